//! What a service is: started with its configuration and what it is handed, it answers routes and runs until its
//! life ends.

use tonic::service::Routes;

/// A started service.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its rpcs, before the server stack is put around them.
    pub routes: Routes,
}

impl Running {
    /// A service that answers these routes.
    pub fn new(routes: Routes) -> Self {
        Self { routes }
    }
}

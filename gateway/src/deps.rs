//! What the gateway is handed.

use std::{collections::HashMap, sync::Arc};

use postmesh_kit::{
    cache::Cache, clock::Clock, identity::Verifier, lifecycle::Lifecycle, transport::Transport,
};
use tokio::net::TcpListener;

/// What the gateway is handed.
pub struct Deps {
    /// The road to each service, by the package of its contracts, such as `postmesh.auth.v1`. Whatever public rpc the
    /// descriptors have in such a package is exposed; packages that are not named here do not exist outside.
    pub backends: HashMap<String, Transport>,
    /// Verifies access tokens, so that junk ends here.
    pub verifier: Arc<Verifier>,
    /// Where throttles count: shared by all gateways with Redis, else in this process.
    pub cache: Cache,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The gateway serves until this life stops.
    pub lifecycle: Lifecycle,
    /// A socket that is bound already; `None` binds `gateway.bind`.
    pub listener: Option<TcpListener>,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("backends", &self.backends.keys()).finish_non_exhaustive()
    }
}

//! What the outside may call, read from the descriptors: which rpcs exist, whose they are, who may call them.
//!
//! Invariant: an internal rpc is not in here, so to the outside it does not exist on any of the three ways in.

use std::{collections::HashMap, sync::Arc};

use postmesh_kit::{
    rules::{Rule, Rules},
    transport::Transport,
};
use prost_reflect::{DescriptorPool, MethodDescriptor};

/// One public rpc.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// `/package.Service/Method`.
    pub(crate) path: Arc<str>,
    pub(crate) method: MethodDescriptor,
    pub(crate) rule: Rule,
    pub(crate) backend: Transport,
}

impl Rpc {
    /// True for a request of one message and an answer of one message.
    pub(crate) fn is_unary(&self) -> bool {
        !self.method.is_client_streaming() && !self.method.is_server_streaming()
    }
}

/// All public rpcs.
#[derive(Debug)]
pub(crate) struct Contracts {
    by_path: HashMap<Arc<str>, Arc<Rpc>>,
}

impl Contracts {
    /// Reads the public rpcs of the packages that have a backend.
    pub(crate) fn read(pool: &DescriptorPool, backends: &HashMap<String, Transport>) -> Self {
        let rules = Rules::read(pool);
        let mut by_path = HashMap::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let service = method.parent_service();
            let path: Arc<str> = format!("/{}/{}", service.full_name(), method.name()).into();
            let rule = rules.method(&path).map(|known| known.rule.clone());
            let (Some(rule), Some(backend)) = (rule, backends.get(service.package_name())) else { continue };
            if !matches!(rule, Rule::Internal(_)) {
                let backend = backend.clone();
                by_path.insert(path.clone(), Arc::new(Rpc { path, method, rule, backend }));
            }
        }
        Self { by_path }
    }

    /// The rpc at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Rpc>> {
        self.by_path.get(path)
    }

    /// All of them, by path.
    pub(crate) fn all(&self) -> Vec<&Arc<Rpc>> {
        let mut all: Vec<_> = self.by_path.values().collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

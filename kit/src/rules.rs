//! The authorization rule of every rpc, read from the descriptor set, so that no handler can forget it.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

/// Who may call an rpc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Anyone.
    Public,
    /// Any signed-in user.
    Authenticated,
    /// A user whose role holds the permission.
    Permission(String),
    /// These services of the mesh.
    Internal(Vec<String>),
}

/// What the layers need to know of one rpc.
#[derive(Debug, Clone)]
pub struct Method {
    /// Package and service, such as `postmesh.auth.v1.AuthService`.
    pub service: String,
    /// The rpc's name.
    pub name: String,
    /// Who may call.
    pub rule: Rule,
    /// True when either side streams: such calls have no deadline of their own.
    pub streaming: bool,
}

/// The rules of all rpcs, by method path (`/package.Service/Method`).
#[derive(Debug, Clone)]
pub struct Rules(Arc<HashMap<String, Method>>);

impl Rules {
    /// Reads the rules from descriptors whose rpcs carry `postmesh.options.v1.authorization`. An rpc without a usable
    /// rule is left out, which refuses every call of it.
    pub fn read(pool: &DescriptorPool) -> Self {
        let mut methods = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                if let Some(rule) = rule_of(pool, &method) {
                    let path = format!("/{}/{}", service.full_name(), method.name());
                    let streaming = method.is_client_streaming() || method.is_server_streaming();
                    let (service, name) = (service.full_name().to_owned(), method.name().to_owned());
                    methods.insert(path, Method { service, name, rule, streaming });
                }
            }
        }
        Self(Arc::new(methods))
    }

    /// The rpc at a path.
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }

    /// All rpcs with their paths, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Method)> {
        self.0.iter().map(|(path, method)| (path.as_str(), method))
    }
}

fn rule_of(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<Rule> {
    let extension = pool.get_extension_by_name("postmesh.options.v1.authorization")?;
    let options = method.options();
    let value = options.has_extension(&extension).then(|| options.get_extension(&extension))?;
    let rule = value.as_message()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match rule.get_field_by_name("access")?.as_enum_number()? {
        1 => Some(Rule::Public),
        2 => Some(Rule::Authenticated),
        3 => text(rule.get_field_by_name("permission")?.as_ref())
            .filter(|p| !p.is_empty())
            .map(Rule::Permission),
        4 => {
            let callers: Vec<_> =
                rule.get_field_by_name("callers")?.as_list()?.iter().filter_map(text).collect();
            (!callers.is_empty()).then_some(Rule::Internal(callers))
        }
        _ => None,
    }
}

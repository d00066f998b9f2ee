//! HTTP routes of the public rpcs: what `google.api.http` states, and `POST /{package.Service}/{Method}` for each.

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};

use super::template::{Capture, Malformed, Template};
use crate::{
    contracts::{Contracts, Rpc},
    error::Error,
};

/// One way to call an rpc over HTTP.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) verb: Method,
    /// The template as written in the contract.
    pub(crate) path: String,
    pub(crate) template: Template,
    pub(crate) body: Body,
    pub(crate) rpc: Arc<Rpc>,
}

/// What the HTTP body fills.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// Nothing: every field is in the path or the query.
    None,
    /// The whole request message.
    Whole,
    /// One field of it.
    Field(FieldDescriptor),
}

/// What a path leads to.
pub(crate) enum Found<'r> {
    Route(&'r Route, Vec<Capture<'r>>),
    /// The path exists, for these verbs.
    OtherVerbs(BTreeSet<&'r str>),
    /// No such path.
    Nothing,
}

/// All routes, the most exact first.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    /// Reads the routes; a route that names what is not there is an error.
    pub(crate) fn read(contracts: &Contracts) -> Result<Self, Error> {
        let mut routes = Vec::new();
        for rpc in contracts.all() {
            let wrong = |why: String| Error::Contracts(format!("{}: {why}", rpc.path));
            let options = rpc.method.options();
            let http = rpc.method.parent_pool().get_extension_by_name("google.api.http");
            if let Some(http) = http.filter(|http| options.has_extension(http))
                && let Some(rule) = options.get_extension(&http).as_message()
            {
                routes.push(route(rpc, rule).map_err(wrong)?);
                let more = rule.get_field_by_name("additional_bindings");
                for rule in more.iter().filter_map(|v| v.as_list()).flatten().filter_map(|v| v.as_message()) {
                    routes.push(route(rpc, rule).map_err(wrong)?);
                }
            }
            routes.push(Route {
                verb: Method::POST,
                path: rpc.path.to_string(),
                template: Template::parse(&rpc.path).map_err(|malformed| wrong(malformed.to_string()))?,
                body: Body::Whole,
                rpc: rpc.clone(),
            });
        }
        routes.sort_by_key(|route| std::cmp::Reverse(route.template.exactness()));
        Ok(Self(routes))
    }

    /// Where a verb and a (still encoded) path lead.
    pub(crate) fn find(&self, verb: &Method, path: &str) -> Found<'_> {
        let mut exactness = None;
        let mut verbs = BTreeSet::new();
        for route in &self.0 {
            // A custom verb in the path belongs to the route that has it, whatever HTTP verb came with it.
            if exactness.is_some_and(|best: (bool, usize, bool)| best.0 && !route.template.exactness().0) {
                break;
            }
            let Some(captures) = route.template.matches(path) else { continue };
            if route.verb == *verb {
                return Found::Route(route, captures);
            }
            exactness.get_or_insert_with(|| route.template.exactness());
            verbs.insert(route.verb.as_str());
        }
        if verbs.is_empty() { Found::Nothing } else { Found::OtherVerbs(verbs) }
    }

    /// All routes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

fn route(rpc: &Arc<Rpc>, rule: &DynamicMessage) -> Result<Route, String> {
    let text = |name: &str| {
        rule.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let named = ["get", "put", "post", "delete", "patch"];
    let plain = named.iter().map(|name| (*name, text(name))).find(|(_, path)| !path.is_empty());
    let (verb, path) = if let Some((name, path)) = plain {
        (name.to_uppercase(), path)
    } else {
        let custom = rule.get_field_by_name("custom").and_then(|v| v.as_message().cloned());
        let custom = custom.ok_or("the route has no path")?;
        let text = |name: &str| custom.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned));
        (text("kind").unwrap_or_default(), text("path").unwrap_or_default())
    };
    let verb = Method::from_bytes(verb.as_bytes()).map_err(|_| format!("`{verb}` is no HTTP verb"))?;
    let template = Template::parse(&path).map_err(|malformed: Malformed| malformed.to_string())?;
    let input = rpc.method.input();
    for variable in &template.variables {
        let fields = resolve(&input, &variable.field)
            .ok_or_else(|| format!("{path}: there is no field {}", variable.field))?;
        if fields.last().is_none_or(|field| field.is_list() || field.is_map()) {
            return Err(format!("{path}: the field {} cannot stand in a path", variable.field));
        }
    }
    let body = match text("body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(
            input.get_field_by_name(name).ok_or_else(|| format!("{path}: there is no field {name}"))?,
        ),
    };
    Ok(Route { verb, path, template, body, rpc: rpc.clone() })
}

/// The fields along a dotted path, by proto or JSON names; all but the last are single messages.
pub(crate) fn resolve(desc: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut fields = Vec::new();
    let mut desc = Some(desc.clone());
    for name in path.split('.') {
        let field = super::decode::field_named(&desc?, name)?;
        desc = match field.kind() {
            Kind::Message(inner)
                if !field.is_list()
                    && !field.is_map()
                    && !inner.full_name().starts_with("google.protobuf.") =>
            {
                Some(inner)
            }
            _ => None,
        };
        fields.push(field);
    }
    Some(fields)
}

//! An HTTP request as a message: path, query and body together, every mistake reported at once.
//!
//! Invariant: what the path says wins over nothing: a field in the path that is also in the query or the body is a
//! mistake, never a silent choice.

use std::collections::BTreeMap;

use postmesh_kit::status::{FieldViolation, Violations};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use super::{
    decode, percent,
    routes::{Body, Route, resolve},
    template::Capture,
};

/// Reads the request message of a route.
pub(crate) fn read(
    route: &Route,
    captures: Vec<Capture<'_>>,
    query: &str,
    body: &[u8],
) -> Result<DynamicMessage, Vec<FieldViolation>> {
    let mut bad = Violations::default();
    let input = route.rpc.method.input();
    let mut message = from_body(route, body, &mut bad).unwrap_or_else(|| DynamicMessage::new(input.clone()));
    let mut from_path = Vec::new();
    for (path, text) in captures {
        let fields = resolve(&input, path).expect("the route was checked when it was read");
        match text {
            Some(text) => from_path.push((path, fields, text)),
            None => bad.add(path, "WRONG_ENCODING", "must be percent-encoded UTF-8"),
        }
    }
    for (path, fields, text) in &from_path {
        let field = fields.last().expect("a path names at least one field");
        if let Some(value) = decode::from_text(&field.kind(), text, path, &mut bad) {
            let holder = holder(&mut message, fields);
            if holder.has_field(field) && *holder.get_field(field) != value {
                bad.add(*path, "CONTRADICTS_PATH", "is in the path already, with another value");
            }
            holder.set_field(field, value);
        }
    }
    from_query(route, query, &mut message, &mut bad);
    bad.into_result().map(|()| message)
}

fn from_body(route: &Route, body: &[u8], bad: &mut Violations) -> Option<DynamicMessage> {
    let input = route.rpc.method.input();
    if route.body == Body::None {
        if !body.iter().all(u8::is_ascii_whitespace)
            && parse(body).is_none_or(|json| json != serde_json::json!({}))
        {
            bad.add(
                "body",
                "UNEXPECTED_BODY",
                format!("{} {} takes no body; use the query", route.verb, route.path),
            );
        }
        return None;
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let json: serde_json::Value = match serde_json::from_slice(body) {
        Ok(json) => json,
        Err(cause) => {
            bad.add("body", "MALFORMED_JSON", format!("is not JSON: {cause}"));
            return None;
        }
    };
    match &route.body {
        Body::Field(field) => {
            let value = decode::field_value(field, &json, field.name(), bad)?;
            let mut message = DynamicMessage::new(input);
            message.set_field(field, value);
            Some(message)
        }
        _ => decode::message(&input, &json, "", bad),
    }
}

fn parse(body: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(body).ok()
}

fn from_query(route: &Route, query: &str, message: &mut DynamicMessage, bad: &mut Violations) {
    let input = route.rpc.method.input();
    let mut values: BTreeMap<String, (Vec<FieldDescriptor>, Vec<String>)> = BTreeMap::new();
    for (key, value) in percent::query(query) {
        let Some(key) = key else {
            bad.add("query", "WRONG_ENCODING", "must be percent-encoded UTF-8");
            continue;
        };
        // With `body: "*"` nothing is left for the query.
        let fields = if route.body == Body::Whole { None } else { resolve(&input, &key) };
        let Some(fields) = fields else {
            bad.add(key, "UNKNOWN_FIELD", unknown_key(route));
            continue;
        };
        match value {
            Some(value) => {
                let name: Vec<_> = fields.iter().map(|field| field.name().to_owned()).collect();
                values.entry(name.join(".")).or_insert_with(|| (fields, Vec::new())).1.push(value);
            }
            None => bad.add(key, "WRONG_ENCODING", "must be percent-encoded UTF-8"),
        }
    }
    for (path, (fields, texts)) in values {
        let field = fields.last().expect("a key names at least one field");
        let in_path = route.template.variables.iter().any(|variable| variable.field == path);
        let in_body = matches!(&route.body, Body::Field(body) if fields.first() == Some(body));
        if in_path || in_body {
            bad.add(
                path,
                "GIVEN_TWICE",
                if in_path { "belongs into the path" } else { "belongs into the body" },
            );
        } else if field.is_map() || is_plain_message(field) {
            bad.add(
                path,
                "WRONG_TYPE",
                "cannot be given in a query as a whole; name its fields, joined by dots",
            );
        } else if field.is_list() {
            let texts = texts.iter().enumerate();
            let values = texts
                .filter_map(|(i, text)| decode::from_text(&field.kind(), text, &format!("{path}[{i}]"), bad));
            let values = Value::List(values.collect());
            holder(message, &fields).set_field(field, values);
        } else if texts.len() > 1 {
            bad.add(path, "GIVEN_TWICE", "is given more than once, but holds one value");
        } else if let Some(value) = decode::from_text(&field.kind(), &texts[0], &path, bad) {
            holder(message, &fields).set_field(field, value);
        }
    }
}

fn unknown_key(route: &Route) -> String {
    if route.body == Body::Whole {
        "is not taken from the query; put it into the body".to_owned()
    } else {
        format!("is not known here; {}", decode::known_fields(&route.rpc.method.input()))
    }
}

fn is_plain_message(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(desc) if !desc.full_name().starts_with("google.protobuf."))
}

/// The message that holds the last of the fields, made on the way down.
fn holder<'m>(message: &'m mut DynamicMessage, fields: &[FieldDescriptor]) -> &'m mut DynamicMessage {
    let mut holder = message;
    for field in &fields[..fields.len() - 1] {
        holder = holder.get_field_mut(field).as_message_mut().expect("all but the last are single messages");
    }
    holder
}

/// Fills an empty `request_id` from the `Idempotency-Key` header, for callers that speak HTTP's words.
pub(crate) fn fill_request_id(message: &mut DynamicMessage, key: Option<&http::HeaderValue>) {
    let Some(key) = key.and_then(|key| key.to_str().ok()) else { return };
    let field = message.descriptor().get_field_by_name("request_id");
    if let Some(field) = field.filter(|field| field.kind() == Kind::String && !field.is_list())
        && !message.has_field(&field)
    {
        message.set_field(&field, Value::String(key.to_owned()));
    }
}

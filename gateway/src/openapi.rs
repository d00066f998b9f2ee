//! The OpenAPI 3.1 document, derived from the same routes that are served, so it cannot drift from them.
//! Descriptions are the comments of the contracts.

mod schema;

use std::collections::BTreeMap;

use postmesh_kit::rules::Rule;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json, json};

use self::schema::{Schemas, comment};
use crate::json::{
    decode::field_named,
    routes::{Body, Route, Routes, resolve},
};

/// The document for these routes. The generic `POST /{package.Service}/{Method}` routes are told of in the
/// description, not listed one by one.
pub(crate) fn document(routes: &Routes) -> Json {
    let mut schemas = Schemas::default();
    let mut paths: BTreeMap<String, Map<String, Json>> = BTreeMap::new();
    let mut tags = BTreeMap::new();
    for route in routes.iter().filter(|route| *route.path != *route.rpc.path) {
        let service = route.rpc.method.parent_service();
        tags.insert(service.name().to_owned(), comment(&service.parent_file(), service.path()));
        let verb = route.verb.as_str().to_lowercase();
        paths.entry(path_of(route)).or_default().insert(verb, operation(route, &mut schemas));
    }
    paths.entry("/v1/uploads/{upload_id}/content".to_owned()).or_default().insert("put".to_owned(), upload());
    let tags: Vec<_> = tags
        .into_iter()
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    let mut components = schemas.into_json();
    components.insert("Error".to_owned(), error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "postmesh",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Plans posts and publishes them on social networks exactly once.\n\n\
                Every method also answers `POST /{package.Service}/{Method}` with its request as JSON. \
                `Accept: application/json; names=proto` answers field names as the contracts spell them. \
                `Idempotency-Key: <UUID>` fills an empty `requestId`. Streams answer one JSON object per line; \
                an `{\"error\": …}` object that ends a stream is its last line.",
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": { "bearer": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "The access token of a session: POST /v1/auth:login answers one.",
            }},
        },
    })
}

/// The template as OpenAPI writes it: `{name=shelves/*}` is `{name}`.
fn path_of(route: &Route) -> String {
    let mut path = route.path.clone();
    while let Some(pattern) = path.find('=') {
        let end = path[pattern..].find('}').map_or(path.len(), |brace| pattern + brace);
        path.replace_range(pattern..end, "");
    }
    path
}

fn operation(route: &Route, schemas: &mut Schemas) -> Json {
    let method = &route.rpc.method;
    let input = method.input();
    let mut description = comment(&method.parent_file(), method.path());
    let security = match &route.rpc.rule {
        Rule::Permission(permission) => {
            description = format!("{description}\n\nNeeds the permission `{permission}`.");
            json!([{ "bearer": [] }])
        }
        Rule::Public => json!([]),
        _ => json!([{ "bearer": [] }]),
    };
    let mut parameters: Vec<Json> = route
        .template
        .variables
        .iter()
        .filter_map(|variable| {
            let fields = resolve(&input, &variable.field)?;
            let field = fields.last()?;
            Some(json!({
                "name": variable.field, "in": "path", "required": true,
                "description": comment(&field.parent_message().parent_file(), field.path()),
                "schema": schemas.of_field(field),
            }))
        })
        .collect();
    if route.body != Body::Whole {
        query_parameters(route, &input, &mut Vec::new(), schemas, &mut parameters);
    }
    let media = if method.is_server_streaming() { "application/x-ndjson" } else { "application/json" };
    let mut operation = json!({
        "operationId": format!("{}_{}", method.parent_service().name(), method.name()),
        "tags": [method.parent_service().name()],
        "summary": summary(&description),
        "description": description,
        "security": security,
        "parameters": parameters,
        "responses": {
            "200": { "description": "Success.", "content": { media: { "schema": schemas.reference(&method.output()) } } },
            "default": { "description": "An error.", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } },
        },
    });
    let body = match &route.body {
        Body::None => None,
        Body::Whole => Some(body_schema(route, &input, schemas)),
        Body::Field(field) => Some(schemas.of_field(field)),
    };
    if let (Some(schema), Some(object)) = (body, operation.as_object_mut()) {
        object.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": { "application/json": { "schema": schema } } }),
        );
    }
    operation
}

/// The request message; where the path carries some of its fields, those are left out.
fn body_schema(route: &Route, input: &MessageDescriptor, schemas: &mut Schemas) -> Json {
    let in_path: Vec<&str> =
        route.template.variables.iter().map(|variable| variable.field.as_str()).collect();
    if in_path.is_empty() {
        schemas.reference(input)
    } else {
        schemas.object(input, |field| !in_path.contains(&field.name()))
    }
}

fn query_parameters(
    route: &Route,
    desc: &MessageDescriptor,
    above: &mut Vec<FieldDescriptor>,
    schemas: &mut Schemas,
    out: &mut Vec<Json>,
) {
    for field in desc.fields() {
        let proto: Vec<_> = above.iter().chain([&field]).map(|field| field.name().to_owned()).collect();
        let taken = route.template.variables.iter().any(|variable| variable.field == proto.join("."))
            || matches!(&route.body, Body::Field(body) if above.first().unwrap_or(&field) == body);
        if taken || field.is_map() {
            continue;
        }
        match field.kind() {
            Kind::Message(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                // Messages that hold themselves end here; a query has no room for them.
                if !field.is_list() && above.len() < 4 && field_named(&inner, field.name()).is_none() {
                    above.push(field.clone());
                    query_parameters(route, &inner, above, schemas, out);
                    above.pop();
                }
            }
            _ => {
                let names: Vec<_> =
                    above.iter().chain([&field]).map(|field| field.json_name().to_owned()).collect();
                out.push(json!({
                    "name": names.join("."), "in": "query", "required": false,
                    "description": comment(&desc.parent_file(), field.path()),
                    "schema": schemas.of_field(&field),
                }));
            }
        }
    }
}

fn summary(description: &str) -> String {
    let first = description.split(". ").next().unwrap_or_default().lines().collect::<Vec<_>>().join(" ");
    first.trim_end_matches('.').to_owned()
}

fn upload() -> Json {
    json!({
        "operationId": "Uploads_PutContent",
        "tags": ["MediaService"],
        "summary": "Sends the bytes of an upload",
        "description": "The address comes from CreateUpload, with its token. The size must be declared and be the one announced.",
        "security": [],
        "parameters": [
            { "name": "upload_id", "in": "path", "required": true, "schema": { "type": "string" } },
            { "name": "token", "in": "query", "required": true, "schema": { "type": "string" } },
        ],
        "requestBody": { "required": true, "content": { "application/octet-stream": {} } },
        "responses": {
            "200": { "description": "All bytes arrived.", "content": { "application/json": { "schema": {
                "type": "object", "properties": { "sizeBytes": { "type": "string", "format": "int64" } },
            } } } },
            "default": { "description": "An error.", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } },
        },
    })
}

fn error() -> Json {
    json!({
        "type": "object",
        "description": "What went wrong, and what to do.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": { "type": "integer", "description": "The HTTP status." },
                "status": { "type": "string", "description": "The gRPC code, such as INVALID_ARGUMENT." },
                "message": { "type": "string", "description": "A sentence for people." },
                "details": { "type": "array", "description": "google.rpc details: BadRequest names each bad field, RetryInfo says when to come back, ErrorInfo has a stable reason.", "items": {
                    "type": "object", "required": ["@type"], "properties": { "@type": { "type": "string" } }, "additionalProperties": true,
                }},
            },
        }},
    })
}

//! Messages as JSON schemas, after the proto3 JSON mapping.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json, json};

/// The schemas a document refers to, by the messages' full names.
#[derive(Debug, Default)]
pub(crate) struct Schemas(BTreeMap<String, Json>);

impl Schemas {
    pub(crate) fn into_json(self) -> Map<String, Json> {
        self.0.into_iter().collect()
    }

    /// A reference to a message's schema, which is made when it is not there yet.
    pub(crate) fn reference(&mut self, desc: &MessageDescriptor) -> Json {
        if let Some(schema) = well_known(desc) {
            return schema;
        }
        let name = desc.full_name().to_owned();
        if !self.0.contains_key(&name) {
            // Taken before its fields are read: a message may hold itself.
            self.0.insert(name.clone(), Json::Null);
            let schema = self.object(desc, |_| true);
            self.0.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// The schema of a message with some of its fields.
    pub(crate) fn object(
        &mut self,
        desc: &MessageDescriptor,
        keep: impl Fn(&FieldDescriptor) -> bool,
    ) -> Json {
        let mut properties = Map::new();
        for field in desc.fields().filter(keep) {
            let mut schema = self.of_field(&field);
            let description = comment(&desc.parent_file(), field.path());
            if let Some(object) = schema.as_object_mut().filter(|_| !description.is_empty()) {
                object.insert("description".to_owned(), Json::from(description));
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        json!({
            "type": "object",
            "description": comment(&desc.parent_file(), desc.path()),
            "properties": properties,
            "additionalProperties": false,
        })
    }

    /// The schema of a field's value.
    pub(crate) fn of_field(&mut self, field: &FieldDescriptor) -> Json {
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
        {
            let value = self.of_kind(&entry.map_entry_value_field().kind());
            return json!({ "type": "object", "additionalProperties": value });
        }
        let schema = self.of_kind(&field.kind());
        if field.is_list() { json!({ "type": "array", "items": schema }) } else { schema }
    }

    fn of_kind(&mut self, kind: &Kind) -> Json {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Float | Kind::Double => json!({ "type": "number" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
            // JSON numbers cannot hold all of them: written as text, read as either.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
            Kind::Enum(desc) => {
                let name = desc.full_name().to_owned();
                let values: Vec<_> = desc.values().map(|value| value.name().to_owned()).collect();
                let meanings: Vec<_> = desc
                    .values()
                    .map(|value| {
                        format!("- `{}`: {}", value.name(), comment(&desc.parent_file(), value.path()))
                    })
                    .collect();
                let description =
                    format!("{}\n\n{}", comment(&desc.parent_file(), desc.path()), meanings.join("\n"));
                self.0.entry(name.clone()).or_insert_with(
                    || json!({ "type": "string", "enum": values, "description": description }),
                );
                json!({ "$ref": format!("#/components/schemas/{name}") })
            }
            Kind::Message(desc) => self.reference(desc),
        }
    }
}

fn well_known(desc: &MessageDescriptor) -> Option<Json> {
    Some(match desc.full_name() {
        "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "google.protobuf.Duration" => json!({ "type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?s$" }),
        "google.protobuf.Struct" | "google.protobuf.Any" | "google.protobuf.Empty" => {
            json!({ "type": "object" })
        }
        "google.protobuf.Value" => json!({}),
        "google.protobuf.ListValue" => json!({ "type": "array", "items": {} }),
        "google.protobuf.BytesValue" => json!({ "type": "string", "contentEncoding": "base64" }),
        "google.protobuf.BoolValue" => json!({ "type": "boolean" }),
        "google.protobuf.Int32Value" | "google.protobuf.UInt32Value" => json!({ "type": "integer" }),
        "google.protobuf.FieldMask"
        | "google.protobuf.StringValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value" => json!({ "type": "string" }),
        "google.protobuf.FloatValue" | "google.protobuf.DoubleValue" => json!({ "type": "number" }),
        _ => return None,
    })
}

/// The comment above a thing in its contract, without the indentation of comment lines.
pub(crate) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default();
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

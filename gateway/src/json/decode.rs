//! JSON to messages by the proto3 JSON mapping, naming every bad field at once.
//!
//! Invariant: a field that could not be read is in the list of violations, under the path a caller can find it by
//! (`targets[1].account_id`, proto names, as the services themselves report fields).

use std::collections::{HashMap, HashSet};

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::GeneralPurposeConfig,
    engine::{DecodePaddingMode, GeneralPurpose},
};
use postmesh_kit::status::Violations;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::Value as Json;

/// Reads a message. `path` is where it stands in the request, empty for the request itself.
pub(crate) fn message(
    desc: &MessageDescriptor,
    json: &Json,
    path: &str,
    bad: &mut Violations,
) -> Option<DynamicMessage> {
    if desc.full_name().starts_with("google.protobuf.") {
        return well_known(desc, json, path, bad);
    }
    let Json::Object(object) = json else {
        let description = format!("must be an object, not {}", kind_of(json));
        bad.add(if path.is_empty() { "body" } else { path }, "WRONG_TYPE", description);
        return None;
    };
    let mut message = DynamicMessage::new(desc.clone());
    let mut seen = HashSet::new();
    for (key, value) in object {
        let Some(field) = field_named(desc, key) else {
            bad.add(join(path, key), "UNKNOWN_FIELD", format!("is not known here; {}", known_fields(desc)));
            continue;
        };
        if value.is_null() && !takes_null(&field) {
            continue;
        }
        let at = join(path, field.name());
        let group = field.containing_oneof().map_or_else(|| at.clone(), |oneof| oneof.full_name().to_owned());
        if !seen.insert(group) {
            bad.add(at, "GIVEN_TWICE", "is given twice, or together with a field that excludes it");
            continue;
        }
        if let Some(value) = field_value(&field, value, &at, bad) {
            message.set_field(&field, value);
        }
    }
    Some(message)
}

/// Reads the value of one field, list and map included.
pub(crate) fn field_value(
    field: &FieldDescriptor,
    json: &Json,
    path: &str,
    bad: &mut Violations,
) -> Option<Value> {
    if field.is_map() {
        map(field, json, path, bad)
    } else if field.is_list() {
        let Json::Array(items) = json else {
            bad.add(path, "WRONG_TYPE", format!("must be a list, not {}", kind_of(json)));
            return None;
        };
        let items = items.iter().enumerate();
        let values = items.filter_map(|(i, item)| single(&field.kind(), item, &format!("{path}[{i}]"), bad));
        Some(Value::List(values.collect()))
    } else {
        single(&field.kind(), json, path, bad)
    }
}

/// Reads one value given as text: a path variable or a query parameter.
pub(crate) fn from_text(kind: &Kind, text: &str, path: &str, bad: &mut Violations) -> Option<Value> {
    let json = match (kind, text) {
        (Kind::Bool, "true") => Json::Bool(true),
        (Kind::Bool, "false") => Json::Bool(false),
        (Kind::Enum(_), number) if number.parse::<i32>().is_ok() => Json::from(number.parse::<i32>().ok()),
        (Kind::Message(desc), _) if desc.full_name() == "google.protobuf.BoolValue" => match text {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            other => Json::from(other),
        },
        _ => Json::from(text),
    };
    single(kind, &json, path, bad)
}

/// The field a JSON key or a query key names: by its JSON name or its proto name.
pub(crate) fn field_named(desc: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    desc.get_field_by_json_name(name).or_else(|| desc.get_field_by_name(name))
}

/// A list of what would be known, for the one who mistyped.
pub(crate) fn known_fields(desc: &MessageDescriptor) -> String {
    let names: Vec<_> = desc.fields().map(|field| field.json_name().to_owned()).collect();
    if names.is_empty() { "no field is".to_owned() } else { format!("known are {}", names.join(", ")) }
}

fn map(field: &FieldDescriptor, json: &Json, path: &str, bad: &mut Violations) -> Option<Value> {
    let Json::Object(object) = json else {
        bad.add(path, "WRONG_TYPE", format!("must be an object, not {}", kind_of(json)));
        return None;
    };
    let Kind::Message(entry) = field.kind() else { return None };
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut entries: HashMap<MapKey, Value> = HashMap::new();
    for (key, value) in object {
        let at = format!("{path}[{key}]");
        let key = from_text(&key_kind, key, &at, bad).and_then(Value::into_map_key);
        let value = single(&value_kind, value, &at, bad);
        if let (Some(key), Some(value)) = (key, value) {
            entries.insert(key, value);
        }
    }
    Some(Value::Map(entries))
}

fn single(kind: &Kind, json: &Json, path: &str, bad: &mut Violations) -> Option<Value> {
    if let Kind::Message(desc) = kind {
        return message(desc, json, path, bad).map(Value::Message);
    }
    match scalar(kind, json) {
        Ok(value) => Some(value),
        Err(description) => {
            bad.add(path, "WRONG_TYPE", description);
            None
        }
    }
}

fn scalar(kind: &Kind, json: &Json) -> Result<Value, String> {
    let wrong = |wanted: &str| format!("must be {wanted}, not {}", kind_of(json));
    match kind {
        Kind::Bool => json.as_bool().map(Value::Bool).ok_or_else(|| wrong("true or false")),
        Kind::String => {
            json.as_str().map(|text| Value::String(text.to_owned())).ok_or_else(|| wrong("a text"))
        }
        Kind::Bytes => {
            let text = json.as_str().ok_or_else(|| wrong("base64 text"))?;
            bytes(text).map(|bytes| Value::Bytes(bytes.into())).ok_or_else(|| "must be base64".to_owned())
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            whole(json, i32::MIN.into(), i32::MAX.into()).map(|n| Value::I32(n as i32))
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            whole(json, i64::MIN.into(), i64::MAX.into()).map(|n| Value::I64(n as i64))
        }
        Kind::Uint32 | Kind::Fixed32 => whole(json, 0, u32::MAX.into()).map(|n| Value::U32(n as u32)),
        Kind::Uint64 | Kind::Fixed64 => whole(json, 0, u64::MAX.into()).map(|n| Value::U64(n as u64)),
        Kind::Float => real(json).map(|n| Value::F32(n as f32)),
        Kind::Double => real(json).map(Value::F64),
        Kind::Enum(desc) => match json {
            Json::String(name) => {
                desc.get_value_by_name(name).map(|value| Value::EnumNumber(value.number())).ok_or_else(|| {
                    let names: Vec<_> = desc.values().map(|value| value.name().to_owned()).collect();
                    format!("must be one of {}", names.join(", "))
                })
            }
            _ => whole(json, i32::MIN.into(), i32::MAX.into()).map(|n| Value::EnumNumber(n as i32)),
        },
        Kind::Message(_) => Err("must be an object".to_owned()),
    }
}

fn whole(json: &Json, least: i128, most: i128) -> Result<i128, String> {
    let number = match json {
        Json::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i128)),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| format!("must be a whole number, not {}", kind_of(json)))?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("must lie between {least} and {most}"))
    }
}

fn real(json: &Json) -> Result<f64, String> {
    let number = match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            other => other.parse().ok().filter(|n: &f64| n.is_finite()),
        },
        _ => None,
    };
    number.ok_or_else(|| format!("must be a number, not {}", kind_of(json)))
}

/// Both alphabets, padded or not, as the JSON mapping asks of a reader.
fn bytes(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

fn well_known(
    desc: &MessageDescriptor,
    json: &Json,
    path: &str,
    bad: &mut Violations,
) -> Option<DynamicMessage> {
    match DynamicMessage::deserialize(desc.clone(), json) {
        Ok(message) => Some(message),
        Err(cause) => {
            let description = match desc.name() {
                "Timestamp" => "must be a time such as 2030-01-31T12:00:00Z".to_owned(),
                "Duration" => "must be a duration such as 1.5s".to_owned(),
                "FieldMask" => "must be field names separated by commas".to_owned(),
                _ => cause.to_string(),
            };
            bad.add(path, "WRONG_TYPE", description);
            None
        }
    }
}

fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(desc) => desc.full_name() == "google.protobuf.Value",
        Kind::Enum(desc) => desc.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, json: &Json) -> Result<DynamicMessage, Vec<(String, String)>> {
        let desc = postmesh_proto::pool().get_message_by_name(name).unwrap();
        let mut bad = Violations::default();
        let read = message(&desc, json, "", &mut bad);
        match bad.into_result() {
            Ok(()) => Ok(read.unwrap()),
            Err(list) => Err(list.into_iter().map(|v| (v.field, v.description)).collect()),
        }
    }

    #[test]
    fn reads_both_spellings_and_every_kind() {
        let read = read(
            "postmesh.scheduler.v1.CreatePostRequest",
            &json!({
                "text": "hi", "schedule_time": "2030-01-01T00:00:00Z", "validateOnly": true, "media": null,
                "targets": [{"accountId": "a", "settings": {"mastodon": {"visibility": "MASTODON_VISIBILITY_PUBLIC"}}}],
            }),
        )
        .unwrap();
        let out = serde_json::to_value(&read).unwrap();
        assert_eq!(out["targets"][0]["settings"]["mastodon"]["visibility"], "MASTODON_VISIBILITY_PUBLIC");
        assert_eq!(out["scheduleTime"], "2030-01-01T00:00:00Z");
        assert_eq!(out["validateOnly"], true);
    }

    #[test]
    fn takes_64_bit_numbers_as_text_or_number() {
        for size in [json!("7"), json!(7), json!(7.0)] {
            let read = read("postmesh.media.v1.CreateUploadRequest", &json!({ "sizeBytes": size })).unwrap();
            assert_eq!(read.get_field_by_name("size_bytes").unwrap().as_i64(), Some(7));
        }
    }

    #[test]
    fn names_every_bad_field_at_once() {
        let bad = read(
            "postmesh.scheduler.v1.CreatePostRequest",
            &json!({
                "text": 5, "scheduleTime": "tomorrow", "colour": "red",
                "targets": [{}, {"accountId": [], "settings": {"mastodon": {}, "bluesky": {}}}],
            }),
        )
        .unwrap_err();
        let fields: Vec<_> = bad.iter().map(|(field, _)| field.as_str()).collect();
        let mut sorted = fields.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            ["colour", "schedule_time", "targets[1].account_id", "targets[1].settings.mastodon", "text"],
            "{bad:?}"
        );
    }

    #[test]
    fn keeps_numbers_in_their_range() {
        let bad = read("postmesh.media.v1.ListMediaRequest", &json!({ "pageSize": 4_000_000_000_u32 }))
            .unwrap_err();
        assert_eq!(bad[0].1, "must lie between -2147483648 and 2147483647");
        let bad = read("postmesh.media.v1.ListMediaRequest", &json!({ "pageSize": 1.5 })).unwrap_err();
        assert_eq!(bad[0].1, "must be a whole number, not a number");
    }
}

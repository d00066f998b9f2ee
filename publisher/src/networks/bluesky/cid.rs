//! The version of a record: its CID, which a server computes from the record's DAG-CBOR bytes and which a reply names.
//! <https://atproto.com/specs/data-model>

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ipld_core::{
    cid::{Cid, multihash::Multihash},
    ipld::Ipld,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The codes of DAG-CBOR and SHA-256 (<https://github.com/multiformats/multicodec>).
const DAG_CBOR: u64 = 0x71;
const SHA2_256: u64 = 0x12;

/// The CID of a record; `None` when it holds what the data model cannot.
pub(super) fn of_record(record: &Value) -> Option<String> {
    let bytes = serde_ipld_dagcbor::to_vec(&model(record)?).ok()?;
    let hash = Multihash::<64>::wrap(SHA2_256, &Sha256::digest(bytes)).ok()?;
    Some(Cid::new_v1(DAG_CBOR, hash).to_string())
}

/// A value of the data model: links and bytes are objects of one field in JSON, and there are no fractions.
fn model(value: &Value) -> Option<Ipld> {
    Some(match value {
        Value::Null => Ipld::Null,
        Value::Bool(is) => Ipld::Bool(*is),
        Value::Number(number) => Ipld::Integer(i128::from(number.as_i64()?)),
        Value::String(text) => Ipld::String(text.clone()),
        Value::Array(values) => Ipld::List(values.iter().map(model).collect::<Option<_>>()?),
        Value::Object(fields) => match only(fields) {
            Some(("$link", link)) => Ipld::Link(Cid::try_from(link).ok()?),
            Some(("$bytes", text)) => {
                Ipld::Bytes(STANDARD_NO_PAD.decode(text).or_else(|_| STANDARD.decode(text)).ok()?)
            }
            _ => {
                let field = |(name, value): (&String, &Value)| Some((name.clone(), model(value)?));
                Ipld::Map(fields.iter().map(field).collect::<Option<BTreeMap<_, _>>>()?)
            }
        },
    })
}

/// The one field of an object that has one, when it is a text.
fn only(fields: &Map<String, Value>) -> Option<(&str, &str)> {
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    Some((name.as_str(), value.as_str()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of_record;

    #[test]
    fn computes_what_every_implementation_computes() {
        // The empty map, and the first fixture of the data model in the interop tests of bluesky-social/atproto.
        let empty = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua";
        assert_eq!(of_record(&json!({})).as_deref(), Some(empty));
        let fixture = json!({
            "string": "abc", "unicode": "a~öñ©⽘☎𓋓😀👨\u{200d}👩\u{200d}👧\u{200d}👧",
            "integer": 123, "bool": true, "null": null, "array": ["abc", "def", "ghi"],
            "object": { "string": "abc", "number": 123, "bool": true, "arr": ["abc", "def", "ghi"] }
        });
        let known = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq";
        assert_eq!(of_record(&fixture).as_deref(), Some(known));
    }

    #[test]
    fn refuses_what_the_data_model_cannot_hold() {
        for bad in [json!({ "n": 1.5 }), json!({ "l": { "$link": "x" } }), json!([{ "$bytes": "?" }])] {
            assert_eq!(of_record(&bad), None, "{bad}");
        }
        assert!(of_record(&json!({ "$link": 1 })).is_some(), "a map like any other");
    }
}

//! Content identifiers: DAG-CBOR records (`bafyrei…`) and raw blobs (`bafkrei…`), CIDv1 with SHA-256 in base32.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ipld_core::{
    cid::{Cid, multihash::Multihash},
    ipld::Ipld,
};
use serde_json::Value;

use crate::crypto;

const DAG_CBOR: u64 = 0x71;
const RAW: u64 = 0x55;
const SHA2_256: u64 = 0x12;

/// The CID of a record, or why the record has no DAG-CBOR form.
pub(crate) fn of_record(record: &Value) -> Result<String, String> {
    let ipld = to_ipld(record)?;
    let bytes = serde_ipld_dagcbor::to_vec(&ipld).map_err(|problem| problem.to_string())?;
    Ok(of_digest(DAG_CBOR, &crypto::sha256(&bytes)))
}

/// Whether a text is a content identifier.
pub(crate) fn is_valid(text: &str) -> bool {
    text.parse::<Cid>().is_ok()
}

pub(crate) fn of_blob(bytes: &[u8]) -> String {
    of_digest(RAW, &crypto::sha256(bytes))
}

fn of_digest(codec: u64, digest: &[u8; 32]) -> String {
    let hash = Multihash::<64>::wrap(SHA2_256, digest).expect("32 bytes fit in 64");
    Cid::new_v1(codec, hash).to_string()
}

/// JSON of the atproto data model: `{"$link"}` is a CID, `{"$bytes"}` bytes, and there are no fractions.
fn to_ipld(value: &Value) -> Result<Ipld, String> {
    Ok(match value {
        Value::Null => Ipld::Null,
        Value::Bool(truth) => Ipld::Bool(*truth),
        Value::Number(number) => Ipld::Integer(
            number
                .as_i64()
                .ok_or_else(|| format!("{number} is not an integer the data model can hold"))?
                .into(),
        ),
        Value::String(text) => Ipld::String(text.clone()),
        Value::Array(items) => Ipld::List(items.iter().map(to_ipld).collect::<Result<_, _>>()?),
        Value::Object(fields) => match (fields.len(), fields.get("$link"), fields.get("$bytes")) {
            (1, Some(Value::String(link)), _) => {
                Ipld::Link(Cid::try_from(link.as_str()).map_err(|_| format!("{link} is not a CID"))?)
            }
            (1, _, Some(Value::String(text))) => {
                let bytes = STANDARD_NO_PAD.decode(text).or_else(|_| STANDARD.decode(text));
                Ipld::Bytes(bytes.map_err(|_| "$bytes is not base64".to_owned())?)
            }
            _ => {
                let mut map = BTreeMap::new();
                for (key, value) in fields {
                    map.insert(key.clone(), to_ipld(value)?);
                }
                Ipld::Map(map)
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{of_blob, of_record};

    /// Known answers: the empty map and the empty raw block, and the data-model fixtures of the atproto interop tests.
    #[test]
    fn computes_the_cids_everybody_computes() {
        assert_eq!(
            of_record(&json!({})).unwrap(),
            "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
        );
        assert_eq!(of_blob(b""), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
        let fixture = json!({
            "string": "abc", "unicode": "a~öñ©⽘☎𓋓😀👨\u{200d}👩\u{200d}👧\u{200d}👧",
            "integer": 123, "bool": true, "null": null, "array": ["abc", "def", "ghi"],
            "object": {"string": "abc", "number": 123, "bool": true, "arr": ["abc", "def", "ghi"]}
        });
        assert_eq!(
            of_record(&fixture).unwrap(),
            "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"
        );
    }

    #[test]
    fn order_of_keys_does_not_matter_and_fractions_are_refused() {
        let (a, b) = (json!({"bb": 1, "a": 2}), json!({"a": 2, "bb": 1}));
        assert_eq!(of_record(&a), of_record(&b));
        assert!(of_record(&json!({"n": 1.5})).is_err());
        assert!(of_record(&json!({"l": {"$link": "nonsense"}})).is_err());
    }
}

//! The parts of a thread in one commit: `com.atproto.repo.applyWrites` creates all of its records or none.
//!
//! **Invariant.** A part's record in the request has the bytes it has when it is sent alone later: the same function
//! builds both, and the versions it replies to, which a lone part reads from the server, are computed here from the
//! records before it. So whatever became of the request, each part can be settled alone by its key.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::{Part, Placed, thread},
    Answer, HandleMap, Ready, Session, Together, Work, cid, errors, json, publish, record, text_of, wire,
};
use crate::domain::{delivery::Reply, outcome::Outcome};

/// Most writes in one request (com/atproto/repo/applyWrites.json).
pub(super) const MOST: usize = 200;

/// Servers read JSON of at least 100 KiB (`jsonLimit` in packages/pds/src/index.ts of bluesky-social/atproto).
const MOST_BYTES: usize = 100_000;

const CREATE: &str = "com.atproto.repo.applyWrites#create";

/// The request for as many of the parts as fit, from the first one on; `None` when that is only one.
pub(super) fn compose(did: &str, parts: &[Part<'_>]) -> Option<(Ready, usize)> {
    let mut writes: Vec<Value> = Vec::new();
    let mut size = object!({ "repo": did, "writes": [] }).to_string().len();
    let mut ends: Option<(Value, Value)> = None; // the first post of the thread, and the last one so far
    let mut last_key = "";
    for part in parts.iter().take(MOST) {
        let key = text_of(&part.work.plan, "rkey");
        let record = record_after(ends.as_ref(), part);
        let Some(version) = cid::of_record(&record) else { break };
        let write =
            object!({ "$type": CREATE, "collection": record::COLLECTION, "rkey": key, "value": record });
        size += write.to_string().len() + 1;
        // Whoever reads the repository reads it in the order of its keys: a reply must not come before its parent.
        if size > MOST_BYTES || key <= last_key {
            break;
        }
        last_key = key;
        writes.push(write);
        let this = object!({ "uri": record::uri(did, part.work), "cid": version });
        let root = ends.map_or_else(|| this.clone(), |(root, _)| root);
        ends = Some((root, this));
    }
    let count = writes.len();
    let request = || object!({ "repo": did, "writes": writes }).to_string();
    (count > 1).then(|| (Ready::new(request()), count))
}

/// The record of a part behind the first post of its thread and the one before it.
fn record_after(ends: Option<&(Value, Value)>, part: &Part<'_>) -> Value {
    let Some((root, parent)) = ends else { return record::record(part.work, part.handles) };
    let mut handles: HandleMap = part.handles.clone();
    handles.insert(thread::REPLY.to_owned(), object!({ "root": root, "parent": parent }));
    let reply = Reply {
        parent_native_id: text_of(parent, "uri").to_owned(),
        root_native_id: text_of(root, "uri").to_owned(),
    };
    record::record(&Work { reply: Some(reply), ..part.work.clone() }, &handles)
}

/// What the answer proves, for all of the parts.
pub(super) fn answer(
    response: &Response<Bytes>,
    session: &Session,
    works: &[Arc<Work>],
    now_ms: i64,
) -> Together {
    let body = json(response).unwrap_or_default();
    let code = text_of(&body, "error");
    let wire = wire::seen(response, Some(code).filter(|code| !code.is_empty()), now_ms);
    let status = response.status();
    if !status.is_success() {
        let proof = wire::judge(errors::RULES, status, code);
        // Whose uploads are gone it does not say.
        let outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms);
        return Together { answer: Answer { outcome, wire }, others: Vec::new() };
    }
    let results = body.get("results").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_made = |(work, result): (&Arc<Work>, &Value)| {
        text_of(result, "uri") == record::uri(&session.native_id, work) && !text_of(result, "cid").is_empty()
    };
    if works.is_empty() || results.len() != works.len() || !works.iter().zip(results).all(is_made) {
        let evidence = format!("the server answered {status} without all of these records");
        let answer = Answer { outcome: Outcome::Ambiguous { evidence }, wire };
        return Together { answer, others: Vec::new() };
    }
    let placed = |work: &Arc<Work>| Placed {
        native_id: record::uri(&session.native_id, work),
        url: record::page(&session.native_id, text_of(&work.plan, "rkey")),
    };
    let outcome = publish::accepted(session, &works[0]);
    Together { answer: Answer { outcome, wire }, others: works[1..].iter().map(placed).collect() }
}

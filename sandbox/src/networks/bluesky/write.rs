//! The writes of one request: each record checked on its own, all of them made true by one event or none.

use std::collections::HashSet;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Refusal, cid,
    record::{BlobRef, blobs, check_key, check_post, is_known},
    repo::{needed, uri},
    session::authorized,
    state::{Account, Commit, Event, POSTS, Record, Write, parent_of},
};
use crate::{
    clock,
    ledger::{self, Attached, Entry},
    networks::Network,
    world::{self, Ctx, World},
};

/// A record that passed its checks.
pub(crate) struct Checked {
    pub(crate) collection: String,
    pub(crate) rkey: String,
    value: Value,
    pub(crate) cid: String,
    blobs: Vec<BlobRef>,
    status: Option<&'static str>,
}

impl Checked {
    pub(crate) fn new(
        collection: String,
        rkey: String,
        mut value: Value,
        validate: Option<bool>,
    ) -> Result<Self, Refusal> {
        let refuse = |text: String| Refusal::invalid(format!("Invalid {collection} record: {text}"));
        check_key(&collection, &rkey).map_err(Refusal::invalid)?;
        let Some(fields) = value.as_object_mut() else {
            return Err(refuse("Record must be an object".to_owned()));
        };
        let kind = fields.entry("$type").or_insert_with(|| Value::String(collection.clone()));
        if *kind != collection.as_str() {
            return Err(Refusal::invalid(format!("Invalid $type: expected {collection}, got {kind}")));
        }
        let status = match (validate, is_known(&collection)) {
            (Some(false), _) => None,
            (Some(true), false) => {
                return Err(Refusal::invalid(format!("Lexicon not found: lex:{collection}")));
            }
            (None, false) => Some("unknown"),
            (_, true) => {
                check_post(&value).map_err(refuse)?;
                Some("valid")
            }
        };
        let cid = cid::of_record(&value).map_err(refuse)?;
        let blobs = blobs(&value).map_err(refuse)?;
        Ok(Self { collection, rkey, value, cid, blobs, status })
    }

    pub(crate) fn answer(&self, account: &Account) -> Value {
        let mut body = Map::new();
        body.insert("uri".to_owned(), Value::String(uri(account, &self.collection, &self.rkey)));
        body.insert("cid".to_owned(), Value::String(self.cid.clone()));
        if let Some(status) = self.status {
            body.insert("validationStatus".to_owned(), Value::String(status.to_owned()));
        }
        Value::Object(body)
    }
}

/// The writes of one request, which become true together or not at all.
pub(crate) struct Batch {
    pub(crate) account: Account,
    request_id: String,
    pub(crate) now_ms: i64,
    pub(crate) writes: Vec<Write>,
    seen: Vec<Entry>,
    taken: HashSet<(String, String)>,
}

impl Batch {
    pub(crate) fn open(
        ctx: &Ctx,
        world: &World,
        headers: &HeaderMap,
        repo: Option<&str>,
        request_id: String,
    ) -> Result<Self, Refusal> {
        let now_ms = ctx.now_ms();
        let account = authorized(world, headers, now_ms)?.clone();
        let repo = needed(repo, "repo")?;
        if world.bluesky.actor(repo).is_none_or(|named| named.did != account.did) {
            let message = "Authentication Required";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationRequired", message));
        }
        let (writes, seen) = (Vec::new(), Vec::new());
        Ok(Self { account, request_id, now_ms, writes, seen, taken: HashSet::new() })
    }

    pub(crate) fn current<'w>(&self, world: &'w World, collection: &str, rkey: &str) -> Option<&'w Record> {
        let records = &world.bluesky.repo(&self.account.did)?.records;
        records.get(&(collection.to_owned(), rkey.to_owned()))
    }

    pub(crate) fn swap_commit(&self, world: &World, expected: Option<&str>) -> Result<(), Refusal> {
        let head = world.bluesky.repo(&self.account.did).map_or("", |repo| repo.head.cid.as_str());
        match expected {
            Some(expected) if expected != head => {
                Err(Refusal::bad("InvalidSwap", format!("Commit was at {head}")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn create(&mut self, world: &World, checked: Checked) -> Result<Value, Refusal> {
        let is_taken = self.current(world, &checked.collection, &checked.rkey).is_some();
        if is_taken || !self.taken.insert((checked.collection.clone(), checked.rkey.clone())) {
            return Err(Refusal::internal());
        }
        self.put(world, checked)
    }

    pub(crate) fn put(&mut self, world: &World, checked: Checked) -> Result<Value, Refusal> {
        let answer = checked.answer(&self.account);
        let attached = self.attached(world, &checked)?;
        if checked.collection == POSTS {
            let text = checked.value["text"].as_str().unwrap_or_default().to_owned();
            self.seen.push(Entry {
                network: Network::Bluesky,
                account: self.account.handle.clone(),
                native_id: uri(&self.account, &checked.collection, &checked.rkey),
                in_reply_to: parent_of(&checked.value),
                text,
                media: attached,
                visible_at_ms: clock::true_now_ms(),
                request_id: self.request_id.clone(),
                kind: ledger::plain(),
            });
        }
        let record = Record {
            cid: checked.cid,
            value: checked.value,
            indexed_ms: self.now_ms,
            counts: world::Counts::default(),
        };
        let blobs = checked.blobs.into_iter().map(|blob| blob.cid).collect();
        self.writes.push(Write::Put { collection: checked.collection, rkey: checked.rkey, record, blobs });
        Ok(answer)
    }

    /// The blobs a record names: each must be here and be what the record says.
    fn attached(&self, world: &World, checked: &Checked) -> Result<Vec<Attached>, Refusal> {
        let alts = alts(&checked.value);
        let mut attached = Vec::with_capacity(checked.blobs.len());
        for (index, named) in checked.blobs.iter().enumerate() {
            let blob = world
                .bluesky
                .blob(&self.account.did, &named.cid, self.now_ms)
                .ok_or_else(|| Refusal::bad("BlobNotFound", format!("Could not find blob: {}", named.cid)))?;
            if blob.mime != named.mime {
                let text = format!(
                    "Referenced Mimetype does not match stored blob. Expected: {}, Got: {}",
                    blob.mime, named.mime
                );
                return Err(Refusal::bad("InvalidMimeType", text));
            }
            let fits = named.accept.strip_suffix('*').map_or_else(
                || named.accept.is_empty() || named.accept == blob.mime,
                |family| blob.mime.starts_with(family),
            );
            if !fits {
                let text =
                    format!("Wrong type of file. It is {} but it must match {}.", blob.mime, named.accept);
                return Err(Refusal::bad("InvalidMimeType", text));
            }
            if named.size.is_some_and(|size| size != blob.size) {
                let text = format!("Referenced Size does not match stored blob. Expected: {}", blob.size);
                return Err(Refusal::bad("InvalidSize", text));
            }
            if blob.size > named.max_size {
                let text = format!(
                    "This file is too large. It is {} bytes but the maximum size is {} bytes.",
                    blob.size, named.max_size
                );
                return Err(Refusal::bad("BlobTooLarge", text));
            }
            attached.push(Attached {
                mime: blob.mime.clone(),
                size: blob.size,
                sha256: blob.sha256.clone(),
                alt: alts.get(index).cloned().unwrap_or_default(),
            });
        }
        Ok(attached)
    }

    /// Makes the writes true and answers the commit.
    pub(crate) fn commit(mut self, world: &mut World) -> Result<Value, Refusal> {
        let visible_at_ms = clock::true_now_ms(); // all of it at one instant
        self.seen.iter_mut().for_each(|entry| entry.visible_at_ms = visible_at_ms);
        let rev = world.bluesky.next_tid(self.now_ms);
        let before = world.bluesky.repo(&self.account.did).map(|repo| repo.head.cid.clone());
        let named: Vec<Value> = self
            .writes
            .iter()
            .map(|write| match write {
                Write::Put { collection, rkey, record, .. } => json!([collection, rkey, record.cid]),
                Write::Delete { collection, rkey } => json!([collection, rkey, null]),
            })
            .collect();
        let commit =
            json!({"version": 3, "did": self.account.did, "rev": rev, "prev": before, "data": named});
        let cid = cid::of_record(&commit).map_err(|_| Refusal::internal())?;
        let answer = json!({"cid": cid, "rev": rev});
        world.commit(world::Event::Bluesky(Event::Wrote {
            did: self.account.did,
            writes: self.writes,
            at_ms: self.now_ms,
            commit: Commit { cid, rev },
            seen: self.seen,
        }))?;
        Ok(answer)
    }
}

/// The alt texts of a post's media, in the order of its blobs.
fn alts(record: &Value) -> Vec<String> {
    let embed = record.get("embed").map(|embed| embed.get("media").unwrap_or(embed));
    let Some(embed) = embed else { return Vec::new() };
    let listed = embed.get("images").or_else(|| embed.get("items")).and_then(Value::as_array);
    let alt = |value: &Value| value.get("alt").and_then(Value::as_str).unwrap_or_default().to_owned();
    listed.map_or_else(|| vec![alt(embed)], |items| items.iter().map(alt).collect())
}

//! Records and blobs. `putRecord` of the identical record answers without a commit, before it looks at
//! `swapRecord`; `createRecord` on a taken key is the reference server's opaque 500. The commit CID is a running
//! hash over the writes, opaque to clients as a real one is.

use std::collections::HashSet;

use axum::{
    Extension, Json,
    extract::{Query, State, rejection::JsonRejection},
    response::IntoResponse,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, Refusal, cid, ok,
    record::{BlobRef, blobs, check_key, check_post, is_known},
    session::{MAX_BLOB, authorized, document},
    state::{Account, Blob, Commit, Event, POSTS, Record, Write},
};
use crate::{
    clock,
    ledger::{Attached, Entry},
    networks::{Network, mastodon::bytes_of},
    sniff,
    web::RequestId,
    world::{self, Ctx, World},
};

/// The input of every record procedure; each checks the parts it needs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Input {
    repo: Option<String>,
    collection: Option<String>,
    rkey: Option<String>,
    record: Option<Value>,
    writes: Option<Vec<Value>>,
    validate: Option<bool>,
    /// Absent, null and a CID mean three different things.
    #[serde(default, deserialize_with = "present")]
    swap_record: Option<Option<String>>,
    swap_commit: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(input).map(Some)
}

type Body = Result<Json<Input>, JsonRejection>;

pub(crate) async fn upload_blob(State(ctx): State<Ctx>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let did = authorized(&ctx.world(), &headers, ctx.now_ms())?.did.clone();
    if bytes.len() > MAX_BLOB {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Refusal::new(status, "PayloadTooLarge", "request entity too large"));
    }
    let claimed = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let claimed = claimed
        .ok_or_else(|| Refusal::invalid("Request encoding (Content-Type) required but not provided"))?;
    let mime = sniff::mime(&bytes).unwrap_or(claimed).to_owned();
    let sha256 = ctx.blobs.put(&bytes).await?;
    let (cid, size) = (cid::of_blob(&bytes), bytes.len() as u64);
    let body = json!({"blob": {"$type": "blob", "ref": {"$link": cid}, "mimeType": mime, "size": size}});
    let blob = Blob { mime, size, sha256, uploaded_ms: ctx.now_ms(), referenced: false };
    ctx.world().commit(world::Event::Bluesky(Event::Blob { did, cid, blob }))?;
    Ok(ok(&body))
}

pub(crate) async fn create_record(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let input = read(body)?;
    let mut world = ctx.world();
    let mut batch = Batch::open(&ctx, &world, &headers, &input, request_id)?;
    let collection = needed(input.collection, "collection")?;
    let rkey = input.rkey.unwrap_or_else(|| world.bluesky.next_tid(batch.now_ms));
    let checked = Checked::new(collection, rkey, needed(input.record, "record")?, input.validate)?;
    batch.swap_commit(&world, input.swap_commit.as_deref())?;
    let mut answer = batch.create(&world, checked)?;
    answer["commit"] = batch.commit(&mut world)?;
    Ok(ok(&answer))
}

pub(crate) async fn put_record(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let input = read(body)?;
    let mut world = ctx.world();
    let mut batch = Batch::open(&ctx, &world, &headers, &input, request_id)?;
    let (collection, rkey) = (needed(input.collection, "collection")?, needed(input.rkey, "rkey")?);
    let checked = Checked::new(collection, rkey, needed(input.record, "record")?, input.validate)?;
    let current = batch.current(&world, &checked.collection, &checked.rkey).map(|record| record.cid.clone());
    if current.as_ref() == Some(&checked.cid) {
        return Ok(ok(&checked.answer(&batch.account)));
    }
    if input.swap_record.is_some_and(|swap| swap != current) {
        let was = current.as_deref().unwrap_or("null");
        return Err(Refusal::bad("InvalidSwap", format!("Record was at {was}")));
    }
    batch.swap_commit(&world, input.swap_commit.as_deref())?;
    let mut answer = batch.put(&world, checked)?;
    answer["commit"] = batch.commit(&mut world)?;
    Ok(ok(&answer))
}

pub(crate) async fn apply_writes(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut input = read(body)?;
    let mut world = ctx.world();
    let mut batch = Batch::open(&ctx, &world, &headers, &input, request_id)?;
    let writes = needed(input.writes.take(), "writes")?;
    if writes.len() > 200 {
        return Err(Refusal::invalid("Too many writes. Max: 200"));
    }
    batch.swap_commit(&world, input.swap_commit.as_deref())?;
    let mut results = Vec::with_capacity(writes.len());
    for mut write in writes {
        let mut text =
            |name: &str| write.get_mut(name).and_then(|value| value.take().as_str().map(str::to_owned));
        let (kind, rkey) = (text("$type").unwrap_or_default(), text("rkey"));
        let collection = needed(text("collection"), "collection")?;
        let value = write.get_mut("value").map(Value::take);
        let action = kind.rsplit('#').next().unwrap_or_default().to_owned();
        let mut result = match action.as_str() {
            "create" => {
                let rkey = rkey.unwrap_or_else(|| world.bluesky.next_tid(batch.now_ms));
                batch.create(
                    &world,
                    Checked::new(collection, rkey, needed(value, "value")?, input.validate)?,
                )?
            }
            "update" => {
                let rkey = needed(rkey, "rkey")?;
                if batch.current(&world, &collection, &rkey).is_none() {
                    return Err(Refusal::internal());
                }
                batch.put(&world, Checked::new(collection, rkey, needed(value, "value")?, input.validate)?)?
            }
            "delete" => {
                batch.writes.push(Write::Delete { collection, rkey: needed(rkey, "rkey")? });
                json!({})
            }
            _ => return Err(Refusal::invalid(format!("Action not supported: {kind}"))),
        };
        result["$type"] = Value::String(format!("com.atproto.repo.applyWrites#{action}Result"));
        results.push(result);
    }
    let commit = batch.commit(&mut world)?;
    Ok(ok(&json!({"commit": commit, "results": results})))
}

pub(crate) async fn delete_record(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let input = read(body)?;
    let mut world = ctx.world();
    let mut batch = Batch::open(&ctx, &world, &headers, &input, request_id)?;
    let (collection, rkey) = (needed(input.collection, "collection")?, needed(input.rkey, "rkey")?);
    let Some(current) = batch.current(&world, &collection, &rkey) else { return Ok(ok(&json!({}))) };
    if input.swap_record.flatten().is_some_and(|swap| swap != current.cid) {
        return Err(Refusal::bad("InvalidSwap", format!("Record was at {}", current.cid)));
    }
    batch.swap_commit(&world, input.swap_commit.as_deref())?;
    batch.writes.push(Write::Delete { collection, rkey });
    Ok(ok(&json!({"commit": batch.commit(&mut world)?})))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Where {
    repo: Option<String>,
    did: Option<String>,
    collection: Option<String>,
    rkey: Option<String>,
    cid: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    reverse: Option<bool>,
}

pub(crate) async fn get_record(State(ctx): State<Ctx>, Query(query): Query<Where>) -> Answer {
    let world = ctx.world();
    let account = hosted(&world, query.repo)?;
    let (collection, rkey) = (needed(query.collection, "collection")?, needed(query.rkey, "rkey")?);
    let uri = uri(account, &collection, &rkey);
    let record = world.bluesky.record(&uri).filter(|record| query.cid.is_none_or(|cid| cid == record.cid));
    let record =
        record.ok_or_else(|| Refusal::bad("RecordNotFound", format!("Could not locate record: {uri}")))?;
    Ok(ok(&json!({"uri": uri, "cid": record.cid, "value": record.value})))
}

pub(crate) async fn list_records(State(ctx): State<Ctx>, Query(query): Query<Where>) -> Answer {
    let limit = query.limit.unwrap_or(50);
    if !(1..=100).contains(&limit) {
        return Err(Refusal::invalid("Error: limit can not be less than 1 or greater than 100"));
    }
    let world = ctx.world();
    let account = hosted(&world, query.repo)?;
    let collection = needed(query.collection, "collection")?;
    let records = &world.bluesky.repo(&account.did).ok_or_else(Refusal::internal)?.records;
    let from = |rkey: &str| (collection.clone(), rkey.to_owned());
    let past_the_last = "\u{7f}"; // sorts after every character a key may have
    let page: Vec<_> = if query.reverse.unwrap_or(false) {
        let after = query.cursor.map_or_else(|| from(""), |cursor| from(&format!("{cursor}\0")));
        records.range(after..from(past_the_last)).take(limit).collect()
    } else {
        let before = from(query.cursor.as_deref().unwrap_or(past_the_last));
        if before <= from("") {
            Vec::new()
        } else {
            records.range(from("")..before).rev().take(limit).collect()
        }
    };
    let listed: Vec<Value> = page
        .iter()
        .map(|((_, rkey), record)| {
            json!({"uri": uri(account, &collection, rkey), "cid": record.cid, "value": record.value})
        })
        .collect();
    let mut body = json!({"records": listed});
    if let Some(((_, rkey), _)) = page.last().filter(|_| page.len() == limit) {
        body["cursor"] = Value::String(rkey.clone());
    }
    Ok(ok(&body))
}

pub(crate) async fn describe_repo(State(ctx): State<Ctx>, Query(query): Query<Where>) -> Answer {
    let world = ctx.world();
    let account = hosted(&world, query.repo)?;
    let records = world.bluesky.repo(&account.did).map(|repo| &repo.records);
    let collections: HashSet<&str> = records
        .into_iter()
        .flat_map(|records| records.keys())
        .map(|(collection, _)| collection.as_str())
        .collect();
    Ok(ok(&json!({"handle": account.handle, "did": account.did, "didDoc": document(&ctx, account),
        "collections": collections, "handleIsCorrect": true})))
}

/// The bytes of a blob, for people and for the AppView's image links.
pub(crate) async fn get_blob(State(ctx): State<Ctx>, Query(query): Query<Where>) -> Answer {
    let (did, cid) = (needed(query.did, "did")?, needed(query.cid, "cid")?);
    let sha256 =
        ctx.world().bluesky.repo(&did).and_then(|repo| repo.blobs.get(&cid)).map(|blob| blob.sha256.clone());
    let bytes = match sha256 {
        Some(sha256) => ctx.blobs.get(&sha256).await,
        None => None,
    };
    Ok(bytes.map_or_else(|| Refusal::bad("BlobNotFound", "Blob not found").into_response(), bytes_of))
}

pub(crate) fn uri(account: &Account, collection: &str, rkey: &str) -> String {
    format!("at://{}/{collection}/{rkey}", account.did)
}

fn read(body: Body) -> Result<Input, Refusal> {
    match body {
        Ok(Json(input)) => Ok(input),
        Err(JsonRejection::MissingJsonContentType(_)) => {
            Err(Refusal::invalid("Request encoding (Content-Type) required but not provided"))
        }
        Err(problem) => Err(Refusal::invalid(problem.body_text())),
    }
}

fn needed<T>(value: Option<T>, name: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::invalid(format!("Input must have the property \"{name}\"")))
}

fn hosted(world: &World, repo: Option<String>) -> Result<&Account, Refusal> {
    let repo = needed(repo, "repo")?;
    world.bluesky.actor(&repo).ok_or_else(|| Refusal::invalid(format!("Could not find repo: {repo}")))
}

/// A record that passed its checks.
struct Checked {
    collection: String,
    rkey: String,
    value: Value,
    cid: String,
    blobs: Vec<BlobRef>,
    status: Option<&'static str>,
}

impl Checked {
    fn new(
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

    fn answer(&self, account: &Account) -> Value {
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
struct Batch {
    account: Account,
    request_id: String,
    now_ms: i64,
    writes: Vec<Write>,
    seen: Vec<Entry>,
    taken: HashSet<(String, String)>,
}

impl Batch {
    fn open(
        ctx: &Ctx,
        world: &World,
        headers: &HeaderMap,
        input: &Input,
        request_id: String,
    ) -> Result<Self, Refusal> {
        let now_ms = ctx.now_ms();
        let account = authorized(world, headers, now_ms)?.clone();
        let repo = needed(input.repo.as_deref(), "repo")?;
        if world.bluesky.actor(repo).is_none_or(|named| named.did != account.did) {
            let message = "Authentication Required";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationRequired", message));
        }
        let (writes, seen) = (Vec::new(), Vec::new());
        Ok(Self { account, request_id, now_ms, writes, seen, taken: HashSet::new() })
    }

    fn current<'w>(&self, world: &'w World, collection: &str, rkey: &str) -> Option<&'w Record> {
        let records = &world.bluesky.repo(&self.account.did)?.records;
        records.get(&(collection.to_owned(), rkey.to_owned()))
    }

    fn swap_commit(&self, world: &World, expected: Option<&str>) -> Result<(), Refusal> {
        let head = world.bluesky.repo(&self.account.did).map_or("", |repo| repo.head.cid.as_str());
        match expected {
            Some(expected) if expected != head => {
                Err(Refusal::bad("InvalidSwap", format!("Commit was at {head}")))
            }
            _ => Ok(()),
        }
    }

    fn create(&mut self, world: &World, checked: Checked) -> Result<Value, Refusal> {
        let is_taken = self.current(world, &checked.collection, &checked.rkey).is_some();
        if is_taken || !self.taken.insert((checked.collection.clone(), checked.rkey.clone())) {
            return Err(Refusal::internal());
        }
        self.put(world, checked)
    }

    fn put(&mut self, world: &World, checked: Checked) -> Result<Value, Refusal> {
        let answer = checked.answer(&self.account);
        let attached = self.attached(world, &checked)?;
        if checked.collection == POSTS {
            let text = checked.value["text"].as_str().unwrap_or_default().to_owned();
            self.seen.push(Entry {
                network: Network::Bluesky,
                account: self.account.handle.clone(),
                native_id: uri(&self.account, &checked.collection, &checked.rkey),
                text,
                media: attached,
                visible_at_ms: clock::true_now_ms(),
                request_id: self.request_id.clone(),
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
    fn commit(self, world: &mut World) -> Result<Value, Refusal> {
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

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
use serde_json::{Value, json};

use super::{
    Answer, Refusal, cid, ok,
    session::{MAX_BLOB, authorized, document},
    state::{Account, Blob, Event, Write},
    write::{Batch, Checked},
};
use crate::{
    networks::mastodon::bytes_of,
    script::Quirks,
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
    #[serde(default)]
    swap_record: Swap,
    swap_commit: Option<String>,
}

/// What `swapRecord` demands of the record that is there. Absent, null and a CID mean three different things.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<String>")]
enum Swap {
    #[default]
    Anything,
    Nothing,
    Exactly(String),
}

impl From<Option<String>> for Swap {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Nothing, Self::Exactly)
    }
}

impl Swap {
    fn refuses(&self, current: Option<&str>) -> bool {
        match self {
            Self::Anything => false,
            Self::Nothing => current.is_some(),
            Self::Exactly(cid) => current != Some(cid),
        }
    }
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
    let mut batch = Batch::open(&ctx, &world, &headers, input.repo.as_deref(), request_id)?;
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
    let mut batch = Batch::open(&ctx, &world, &headers, input.repo.as_deref(), request_id)?;
    let (collection, rkey) = (needed(input.collection, "collection")?, needed(input.rkey, "rkey")?);
    let checked = Checked::new(collection, rkey, needed(input.record, "record")?, input.validate)?;
    let current = batch.current(&world, &checked.collection, &checked.rkey).map(|record| record.cid.clone());
    if current.as_ref() == Some(&checked.cid) {
        return Ok(ok(&checked.answer(&batch.account)));
    }
    if input.swap_record.refuses(current.as_deref()) {
        let was = current.as_deref().unwrap_or("null");
        return Err(Refusal::bad("InvalidSwap", format!("Record was at {was}")));
    }
    batch.swap_commit(&world, input.swap_commit.as_deref())?;
    let mut answer = batch.put(&world, checked)?;
    answer["commit"] = batch.commit(&mut world)?;
    Ok(ok(&answer))
}

/// One write of several.
enum Step {
    Create(Checked),
    Update(Checked),
    /// Key and collection.
    Delete(String, String),
}

pub(crate) async fn apply_writes(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut input = read(body)?;
    let mut world = ctx.world();
    let mut batch = Batch::open(&ctx, &world, &headers, input.repo.as_deref(), request_id)?;
    let writes = needed(input.writes.take(), "writes")?;
    if writes.len() > 200 {
        return Err(Refusal::invalid("Too many writes. Max: 200"));
    }
    // Every record is checked before any of them is looked up.
    let mut checked = Vec::with_capacity(writes.len());
    for mut write in writes {
        let mut text =
            |name: &str| write.get_mut(name).and_then(|value| value.take().as_str().map(str::to_owned));
        let (kind, rkey) = (text("$type").unwrap_or_default(), text("rkey"));
        let collection = needed(text("collection"), "collection")?;
        let value = write.get_mut("value").map(Value::take);
        let action = kind.rsplit('#').next().unwrap_or_default().to_owned();
        let of = |rkey| Checked::new(collection.clone(), rkey, needed(value, "value")?, input.validate);
        let step = match action.as_str() {
            "create" => Step::Create(of(rkey.unwrap_or_else(|| world.bluesky.next_tid(batch.now_ms)))?),
            "update" => Step::Update(of(needed(rkey, "rkey")?)?),
            "delete" => Step::Delete(needed(rkey, "rkey")?, collection),
            _ => return Err(Refusal::invalid(format!("Action not supported: {kind}"))),
        };
        checked.push((action, step));
    }
    batch.swap_commit(&world, input.swap_commit.as_deref())?;
    let mut results = Vec::with_capacity(checked.len());
    for (action, step) in checked {
        let mut result = match step {
            Step::Create(record) => batch.create(&world, record)?,
            Step::Update(record) => {
                if batch.current(&world, &record.collection, &record.rkey).is_none() {
                    return Err(Refusal::internal());
                }
                batch.put(&world, record)?
            }
            Step::Delete(rkey, collection) => {
                batch.writes.push(Write::Delete { collection, rkey });
                json!({})
            }
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
    let mut batch = Batch::open(&ctx, &world, &headers, input.repo.as_deref(), request_id)?;
    let (collection, rkey) = (needed(input.collection, "collection")?, needed(input.rkey, "rkey")?);
    let Some(current) = batch.current(&world, &collection, &rkey) else { return Ok(ok(&json!({}))) };
    if input.swap_record.refuses(Some(&current.cid)) {
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

pub(crate) async fn get_record(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    Query(query): Query<Where>,
) -> Answer {
    let world = ctx.world();
    let account = hosted(&world, query.repo)?;
    let (collection, rkey) = (needed(query.collection, "collection")?, needed(query.rkey, "rkey")?);
    let uri = uri(account, &collection, &rkey);
    let record = world.bluesky.record_at(&uri, quirks.as_of(ctx.now_ms()));
    let record = record.filter(|record| query.cid.is_none_or(|cid| cid == record.cid));
    let record =
        record.ok_or_else(|| Refusal::bad("RecordNotFound", format!("Could not locate record: {uri}")))?;
    Ok(ok(&json!({"uri": uri, "cid": record.cid, "value": record.value})))
}

pub(crate) async fn list_records(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    Query(query): Query<Where>,
) -> Answer {
    let limit = query.limit.unwrap_or(50);
    if !(1..=100).contains(&limit) {
        return Err(Refusal::invalid("Error: limit can not be less than 1 or greater than 100"));
    }
    let world = ctx.world();
    let account = hosted(&world, query.repo)?;
    let collection = needed(query.collection, "collection")?;
    let repo = world.bluesky.repo(&account.did).ok_or_else(Refusal::internal)?;
    let records = repo.records_at(quirks.as_of(ctx.now_ms()));
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

pub(crate) fn needed<T>(value: Option<T>, name: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::invalid(format!("Input must have the property \"{name}\"")))
}

fn hosted(world: &World, repo: Option<String>) -> Result<&Account, Refusal> {
    let repo = needed(repo, "repo")?;
    world.bluesky.actor(&repo).ok_or_else(|| Refusal::invalid(format!("Could not find repo: {repo}")))
}

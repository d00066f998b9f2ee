//! Files: an address to upload to, the upload, and the call that makes them visible. That call answers without the message;
//! in which message a file is shared, its own description tells a moment later.

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Answer, NETWORK, Refusal, channels, forms_only, holder, letters,
    messages::{Draft, made},
    ok,
};
use crate::{
    crypto,
    docs::Change,
    media::{self, Stored},
    params::Params,
    script::Quirks,
    web::{self, RequestId},
    world::Ctx,
};

/// How long it takes until a file tells where it is shared, milliseconds.
const SHARING_MS: u64 = 300;

/// How long an address to upload to works, milliseconds.
const UPLOAD_MS: i64 = 3_600_000;

/// One file as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    id: String,
    account: String,
    name: String,
    alt: String,
    length: u64,
    ends_ms: i64,
    stored: Option<Stored>,
    shared: Option<Shared>,
    is_completed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shared {
    kind: String,
    channel: String,
    ts: String,
    thread_ts: Option<String>,
    /// From when on it is told.
    from_ms: i64,
}

pub(super) async fn ask(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    forms_only(&headers)?;
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &["files:write"], ctx.now_ms())?;
    let length = params.number("length").filter(|length| *length > 0);
    let (Some(name), Some(length)) = (params.present("filename"), length) else {
        return Err(Refusal::new("invalid_arguments"));
    };
    let alt = params.text("alt_txt").unwrap_or_default();
    if alt.chars().count() > 1000 {
        return Err(Refusal::new("alt_txt_too_large"));
    }
    let file = File {
        id: format!("F{}", letters(world.next_id(NETWORK, ctx.now_ms()))),
        account: token.account,
        name,
        alt,
        length: length as u64,
        ends_ms: ctx.now_ms() + UPLOAD_MS,
        stored: None,
        shared: None,
        is_completed: false,
    };
    let ticket = crypto::token::<24>();
    let changes = vec![Change::put("file", &file.id, &file), Change::put("ticket", &ticket, &file.id)];
    world.keep(NETWORK, changes)?;
    let url = format!("{}/upload/v1/{ticket}", ctx.base(NETWORK));
    Ok(ok(json!({"upload_url": url, "file_id": file.id})))
}

/// The bytes alone, or a form with one file. The address is the permission.
pub(super) async fn upload(
    State(ctx): State<Ctx>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let plain = |status, text: &'static str| web::with_type(status, "text/plain; charset=utf-8", text);
    let file = {
        let world = ctx.world();
        let id: Option<String> = world.docs.get(NETWORK, "ticket", &ticket);
        id.and_then(|id| world.docs.get::<File>(NETWORK, "file", &id))
    };
    let Some(file) = file.filter(|file| ctx.now_ms() < file.ends_ms) else {
        return plain(StatusCode::NOT_FOUND, "not found");
    };
    if bytes.len() as u64 != file.length {
        return plain(StatusCode::BAD_REQUEST, "length mismatch");
    }
    let mime = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Ok(stored) = media::store(&ctx, &bytes, mime).await else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "error");
    };
    let text = format!("OK - {}", bytes.len());
    let kept = File { stored: Some(stored), ..file };
    match ctx.world().keep(NETWORK, vec![Change::put("file", &kept.id, &kept)]) {
        Ok(()) => web::with_type(StatusCode::OK, "text/plain; charset=utf-8", text),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "error"),
    }
}

pub(super) async fn complete(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &["files:write"], ctx.now_ms())?;
    let named = params.json("files").and_then(|files| files.as_array().cloned()).unwrap_or_default();
    if named.is_empty() {
        return Err(Refusal::new("invalid_arguments"));
    }
    let mut files: Vec<File> = Vec::new();
    for file in &named {
        let id = file.get("id").and_then(Value::as_str).unwrap_or_default();
        let file: Option<File> = world.docs.get(NETWORK, "file", id);
        let file = file.filter(|file| file.account == token.account && file.stored.is_some());
        files.push(file.ok_or_else(|| Refusal::new("file_not_found"))?);
    }
    let told: Vec<_> = files.iter().map(|file| json!({"id": file.id, "title": file.name})).collect();
    let answer = ok(json!({"files": told}));
    let Some(channel) = params.present("channel_id") else {
        let kept = files.into_iter().map(|file| File { is_completed: true, ..file });
        world.keep(NETWORK, kept.map(|file| Change::put("file", &file.id, &file)).collect())?;
        return Ok(answer);
    };
    let channel = channels::named(&world, &token, &channel)?;
    if !channel.is_member {
        return Err(Refusal::new("not_in_channel"));
    }
    channel.takes_posts_of(&token)?;
    let media = files.iter().filter_map(|file| Some(file.stored.as_ref()?.attached(file.alt.as_str())));
    let draft = Draft {
        channel: channel.id.clone(),
        text: params.present("initial_comment").unwrap_or_default(),
        thread_ts: params.present("thread_ts"),
        metadata: None,
        files: files.iter().map(|file| file.id.clone()).collect(),
        media: media.collect(),
        request_id,
    };
    let wait = quirks.processing.map_or(SHARING_MS, |(ms, _)| ms) as i64;
    let from_ms = ctx.now_ms() + wait;
    made(&ctx, &mut world, &token, draft, |message| {
        let shared = Shared {
            kind: channel.kind().to_owned(),
            channel: message.channel.clone(),
            ts: message.ts.clone(),
            thread_ts: message.thread_ts.clone(),
            from_ms,
        };
        let kept =
            files.into_iter().map(|file| File { is_completed: true, shared: Some(shared.clone()), ..file });
        kept.map(|file| Change::put("file", &file.id, &file)).collect()
    })?;
    Ok(answer)
}

pub(super) async fn info(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    forms_only(&headers)?;
    let world = ctx.world();
    let token = holder(&world, &headers, &params, &["files:read"], ctx.now_ms())?;
    let file: Option<File> = world.docs.get(NETWORK, "file", &params.text("file").unwrap_or_default());
    let file = file.filter(|file| file.account == token.account && file.is_completed);
    let file = file.ok_or_else(|| Refusal::new("file_not_found"))?;
    let mut view =
        json!({"id": file.id, "name": file.name, "title": file.name, "size": file.length, "shares": {}});
    if let Some(shared) = file.shared.filter(|shared| shared.from_ms <= ctx.now_ms()) {
        let mut share = json!({"ts": shared.ts, "reply_count": 0});
        if let Some(thread_ts) = shared.thread_ts {
            share["thread_ts"] = json!(thread_ts);
        }
        view["shares"] = json!({shared.kind: {shared.channel: [share]}});
    }
    Ok(ok(json!({"file": view})))
}

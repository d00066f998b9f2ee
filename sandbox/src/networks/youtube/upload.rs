//! Resumable uploads (<https://developers.google.com/youtube/v3/guides/using_resumable_upload_protocol>): a session is
//! opened with the video's metadata, bytes go to its address, and its address tells how far it has come, also after the
//! end.

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{
    Answer, NETWORK, Refusal, holder,
    state::{Meta, Session, Video, code},
};
use crate::{
    crypto,
    docs::{Change, padded},
    ledger::Entry,
    media, oauth,
    params::Params,
    script::Quirks,
    web::{self, RequestId, bearer},
    world::Ctx,
};

/// What every chunk but the last is a multiple of.
const UNIT: u64 = 262_144;
const LARGEST: u64 = 274_877_906_944;
/// How long a session lives; Google's other resumable uploads say a week.
const SESSION_MS: i64 = 604_800_000;
/// How long a video is processed unless the script says otherwise.
const PROCESSING_MS: u64 = 1000;
const SCOPES: [&str; 3] = ["youtube.upload", "youtube", "youtube.force-ssl"];

/// What the `Content-Range` of a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// How far is it?
    Probe { total: Option<u64> },
    /// These bytes, to the last one named.
    Chunk { first: u64, last: u64, total: Option<u64> },
}

impl Range {
    /// Without the header the body is the whole file.
    pub(super) fn of(headers: &HeaderMap, length: u64) -> Option<Self> {
        let Some(value) = headers.get(header::CONTENT_RANGE) else {
            let last = length.checked_sub(1)?;
            return Some(Self::Chunk { first: 0, last, total: Some(length) });
        };
        let (bytes, total) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        if bytes == "*" {
            return Some(Self::Probe { total });
        }
        let (first, last) = bytes.split_once('-')?;
        Some(Self::Chunk { first: first.parse().ok()?, last: last.parse().ok()?, total })
    }

    /// Whether the file ends with these bytes.
    pub(super) fn is_last(self) -> bool {
        matches!(self, Self::Chunk { last, total: Some(total), .. } if last + 1 == total)
    }
}

pub(super) async fn open(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &SCOPES)?;
    if token.account.starts_with("nochannel") {
        let message = "Unauthorized";
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "youtube.header",
            "youtubeSignupRequired",
            message,
        ));
    }
    if params.text("uploadType").as_deref() != Some("resumable") {
        return Err(Refusal::bad("mediaBodyRequired", "The request does not include the video content."));
    }
    let parts = params.text("part").unwrap_or_default();
    if !parts.split(',').any(|part| part == "snippet") {
        return Err(Refusal::missing("part"));
    }
    if token.account.starts_with("full") {
        let message = "The user has exceeded the number of videos they may upload.";
        return Err(Refusal::bad("uploadLimitExceeded", message));
    }
    let body = Value::Object(params.fields().clone());
    let mut meta = Meta::read(&body)?;
    if token.account.starts_with("unaudited") {
        "private".clone_into(&mut meta.privacy);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mime = text("x-upload-content-type").unwrap_or("application/octet-stream").to_owned();
    if !mime.starts_with("video/") && mime != "application/octet-stream" {
        return Err(Refusal::bad("badContent", "Media type is not supported."));
    }
    let total: Option<u64> = text("x-upload-content-length").and_then(|length| length.parse().ok());
    if total.is_some_and(|total| total > LARGEST) {
        return Err(Refusal::bad("uploadTooLarge", "The file is too large."));
    }
    let id = crypto::token::<48>();
    let session = Session {
        account: token.account,
        total,
        mime,
        meta,
        chunks: Vec::new(),
        stored: 0,
        video: None,
        ends_ms: ctx.now_ms() + SESSION_MS,
        processing: quirks.processing,
    };
    world.keep(NETWORK, vec![Change::put("session", &id, &session)])?;
    let address = format!(
        "{}/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status&upload_id={id}",
        ctx.base(NETWORK)
    );
    let mut response = StatusCode::OK.into_response();
    for (name, value) in [("location", address), ("x-guploader-uploadid", id)] {
        let value = HeaderValue::from_str(&value).expect("addresses and ids are printable ASCII");
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

pub(super) async fn bytes(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    uri: http::Uri,
    body: Bytes,
) -> Answer {
    let query = uri.query().unwrap_or_default().as_bytes();
    let id = url::form_urlencoded::parse(query).find(|(name, _)| name == "upload_id");
    let id = id.map(|(_, id)| id.into_owned()).unwrap_or_default();
    let session = {
        let world = ctx.world();
        // The address is enough; a token that comes along must be one that lives.
        if let Some(token) = bearer(&headers)
            && oauth::live(&world, NETWORK, token, ctx.now_ms()).is_err()
        {
            let message = "Invalid Credentials";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "global", "authError", message));
        }
        let session: Option<Session> = world.docs.get(NETWORK, "session", &id);
        session.filter(|session| session.ends_ms > ctx.now_ms()).ok_or_else(gone)?
    };
    if let Some(video) = &session.video {
        return again(&ctx, video);
    }
    let bad = |why: &str| Refusal::new(StatusCode::BAD_REQUEST, "global", "badRequest", why);
    let range =
        Range::of(&headers, body.len() as u64).ok_or_else(|| bad("Failed to parse Content-Range header."))?;
    let total_of = |total: Option<u64>| match (total, session.total) {
        (Some(told), Some(begun)) if told != begun => Err(bad("The total size differs from the session's.")),
        (told, begun) => Ok(told.or(begun)),
    };
    let (first, last, total) = match range {
        Range::Probe { total } => {
            total_of(total)?;
            return Ok(incomplete(session.stored));
        }
        Range::Chunk { first, last, total } => (first, last, total_of(total)?),
    };
    if last + 1 < first || last + 1 - first != body.len() as u64 {
        return Err(bad("Content-Range does not fit the length of the body."));
    }
    if first > session.stored {
        return Ok(incomplete(session.stored)); // there is a hole before it
    }
    let is_last = total == Some(last + 1);
    if !is_last && (last + 1 - first) % UNIT != 0 {
        return Err(bad("The chunk is not a multiple of 262144 bytes."));
    }
    let known = usize::try_from(session.stored - first).unwrap_or(usize::MAX).min(body.len());
    let mut fresh = body.slice(known..);
    if session.account.starts_with("partial") && !is_last {
        fresh.truncate(usize::try_from(UNIT).unwrap_or(usize::MAX));
    }
    let stored = session.stored + fresh.len() as u64;
    let mut session = Session { total, stored, ..session };
    if !fresh.is_empty() {
        session.chunks.push(ctx.blobs.put(&fresh).await?);
    }
    if total == Some(stored) {
        return finish(&ctx, &id, session, request_id).await;
    }
    ctx.world().keep(NETWORK, vec![Change::put("session", &id, &session)])?;
    Ok(incomplete(stored))
}

/// The file is whole: the video exists.
async fn finish(ctx: &Ctx, session_id: &str, session: Session, request_id: String) -> Answer {
    let mut whole = BytesMut::new();
    for sha256 in &session.chunks {
        whole.extend_from_slice(&ctx.blobs.get(sha256).await.unwrap_or_default());
    }
    let file = media::store(ctx, &whole.freeze(), None).await?;
    let now_ms = ctx.now_ms();
    let mut world = ctx.world();
    // Of two last chunks at once, the first one ends the session.
    let current: Option<Session> = world.docs.get(NETWORK, "session", session_id);
    if let Some(video) = current.and_then(|current| current.video) {
        drop(world);
        return again(ctx, &video);
    }
    let (ms, fails) = session.processing.unwrap_or((PROCESSING_MS, false));
    let prefix = format!("{}|", session.account);
    let is_copy = {
        let others = world.docs.range::<String>(NETWORK, "post_of", &prefix);
        let mut others = others.filter_map(|(_, id)| world.docs.get::<Video>(NETWORK, "post", &id));
        others.any(|other| other.file.sha256 == file.sha256)
    };
    let (end, reason) = match () {
        () if fails => ("failed", "conversion"),
        () if !file.is_video() => ("failed", "invalidFile"),
        () if is_copy => ("rejected", "duplicate"),
        () => ("processed", ""),
    };
    let number = world.next_id(NETWORK, now_ms);
    let video = Video {
        id: code(&format!("video {number}"), 11),
        number,
        account: session.account.clone(),
        meta: session.meta.clone(),
        file: file.clone(),
        created_ms: now_ms,
        ready_ms: now_ms + i64::try_from(ms).unwrap_or(i64::MAX / 2),
        end: end.to_owned(),
        reason: reason.to_owned(),
        thumbnail: None,
    };
    let text = [video.meta.title.as_str(), video.meta.description.as_str()];
    let text = text.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    let entry = Entry::new(NETWORK, "video", &video.account, &video.id, text, request_id)
        .with_media(vec![file.attached("")]);
    let ended = Session { video: Some(video.id.clone()), ..session };
    let changes = vec![
        Change::put("post", &video.id, &video),
        Change::put("post_of", format!("{prefix}{}", padded(number)), &video.id),
        Change::put("session", session_id, &ended),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    Ok(web::json(StatusCode::CREATED, &video.told(&world, "snippet,status", now_ms)))
}

/// The end of a session that has ended before.
fn again(ctx: &Ctx, video: &str) -> Answer {
    let world = ctx.world();
    let video: Video = world.docs.get(NETWORK, "post", video).ok_or_else(gone)?;
    Ok(web::json(StatusCode::OK, &video.told(&world, "snippet,status", ctx.now_ms())))
}

/// 308: more is expected. Without `Range` nothing is stored.
fn incomplete(stored: u64) -> Response {
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    if stored > 0 {
        let range = HeaderValue::from_str(&format!("bytes=0-{}", stored - 1)).expect("digits are ASCII");
        response.headers_mut().insert(header::RANGE, range);
    }
    response
}

fn gone() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "global", "notFound", "The upload session is not known.")
}

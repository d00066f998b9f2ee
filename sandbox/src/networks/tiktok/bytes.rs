//! The upload host: chunks in their order, each exactly as announced, and the post with the last of them.

use axum::{
    Extension,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::{
    NETWORK,
    init::is_film,
    state::{Task, Upload, arrived},
    words::Refusal,
};
use crate::{docs::Change, limits, media, script::Quirks, web::RequestId, world::Ctx};

/// What the address carries.
#[derive(Debug, Deserialize)]
pub(super) struct Address {
    upload_id: String,
    upload_token: String,
}

/// `Content-Range: bytes <start>-<end>/<total>`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    start: u64,
    pub(super) end: u64,
    pub(super) total: u64,
}

/// The range of a request.
pub(super) fn range(headers: &HeaderMap) -> Option<Range> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    Some(Range { start: start.parse().ok()?, end: end.parse().ok()?, total: total.parse().ok()? })
}

/// `PUT upload_url`.
pub(super) async fn receive(
    State(ctx): State<Ctx>,
    Query(address): Query<Address>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    body: Bytes,
) -> Response {
    let found = ctx.world().docs.get::<Upload>(NETWORK, "upload", &address.upload_id);
    let Some(upload) = found.filter(|upload| upload.token == address.upload_token) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if ctx.now_ms() >= upload.expires_ms {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mime = headers.get(header::CONTENT_TYPE).and_then(|mime| mime.to_str().ok()).unwrap_or_default();
    let Some(range) = range(&headers) else { return StatusCode::BAD_REQUEST.into_response() };
    let is_sound = matches!(mime, "video/mp4" | "video/quicktime" | "video/webm")
        && range.total == upload.size
        && range.end < range.total
        && range.start <= range.end
        && body.len() as u64 == range.end - range.start + 1;
    if !is_sound {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if range.start != upload.received {
        return progress(StatusCode::RANGE_NOT_SATISFIABLE, &upload);
    }
    let is_last = upload.parts.len() as u64 + 1 == upload.count;
    let expected = if is_last { upload.size - upload.received } else { upload.chunk };
    if body.len() as u64 != expected {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match take(&ctx, &address.upload_id, &upload, &body, mime, quirks, &request_id).await {
        Ok(upload) => {
            let status = if is_last { StatusCode::CREATED } else { StatusCode::PARTIAL_CONTENT };
            progress(status, &upload)
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Keeps one chunk; with the last one, the video.
async fn take(
    ctx: &Ctx,
    id: &str,
    before: &Upload,
    body: &Bytes,
    mime: &str,
    quirks: Quirks,
    request_id: &str,
) -> Result<Upload, Refusal> {
    let digest = ctx.blobs.put(body).await?;
    let mut upload = before.clone();
    upload.received += body.len() as u64;
    upload.parts.push(digest);
    upload.task.bytes = upload.received;
    let stored = if upload.received == upload.size {
        let mut whole = BytesMut::new();
        for part in &upload.parts {
            whole.extend_from_slice(&ctx.blobs.get(part).await.unwrap_or_default());
        }
        Some(media::store(ctx, &whole.freeze(), Some(mime)).await?)
    } else {
        None
    };
    let mut world = ctx.world();
    let now = world.docs.get::<Upload>(NETWORK, "upload", id);
    if now.is_none_or(|now| now.received != before.received) {
        return Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalid_params"));
    }
    let kept = Change::put("upload", id, &upload);
    if let Some(stored) = stored {
        let task = Task { problem: is_film(&stored).map(str::to_owned), ..upload.task.clone() };
        arrived(ctx, &mut world, task, &[stored], quirks.processing, vec![kept], request_id)?;
    } else {
        let task = Change::put("task", &upload.task.publish_id, &upload.task);
        world.keep(NETWORK, vec![kept, task])?;
    }
    Ok(upload)
}

/// An answer that tells how much has arrived.
fn progress(status: StatusCode, upload: &Upload) -> Response {
    let mut response = status.into_response();
    limits::set(
        response.headers_mut(),
        "content-range",
        format!("bytes 0-{}/{}", upload.received, upload.size),
    );
    response
}

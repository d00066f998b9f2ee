//! The custom thumbnail of a video (<https://developers.google.com/youtube/v3/docs/thumbnails/set>): the request's body is
//! the picture, and the newest one counts.

use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Refusal, holder, ok, state::Video};
use crate::{docs::Change, media, world::Ctx};

const SCOPES: [&str; 3] = ["youtube.upload", "youtube", "youtube.force-ssl"];

/// `maxSize` of thumbnails.set in the API's discovery document.
const LARGEST: usize = 2_097_152;

/// What YouTube makes of one picture.
const SIZES: [(&str, u32, u32); 5] = [
    ("default", 120, 90),
    ("medium", 320, 180),
    ("high", 480, 360),
    ("standard", 640, 480),
    ("maxres", 1280, 720),
];

pub(super) async fn set(State(ctx): State<Ctx>, headers: HeaderMap, uri: Uri, body: Bytes) -> Answer {
    let account = holder(&ctx.world(), &ctx, &headers, &SCOPES)?.account;
    let query = uri.query().unwrap_or_default().as_bytes();
    let field = |wanted: &str| {
        let mut fields = url::form_urlencoded::parse(query);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    if field("uploadType").as_deref() != Some("media") {
        let message = "The stand-in takes thumbnails as simple uploads only.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "global", "badRequest", message));
    }
    let id = field("videoId").filter(|id| !id.is_empty()).ok_or_else(|| Refusal::missing("videoId"))?;
    if body.is_empty() {
        return Err(bad("mediaBodyRequired", "The request does not include the image content."));
    }
    if body.len() > LARGEST {
        let message = format!("Media is too large. Limit: {LARGEST}");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "global", "uploadTooLarge", message));
    }
    let stored = media::store(&ctx, &body, None).await?;
    if !matches!(stored.mime.as_str(), "image/jpeg" | "image/png") {
        return Err(bad("invalidImage", "The provided image content is invalid."));
    }
    let mut world = ctx.world();
    let video: Video = world.docs.get(NETWORK, "post", &id).ok_or_else(no_video)?;
    if video.account != account || account.starts_with("unverified") {
        let message =
            "The authenticated user doesn't have permissions to upload and set custom video thumbnails.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "youtube.thumbnail", "forbidden", message));
    }
    if account.starts_with("hasty") {
        let message =
            "The channel has uploaded too many thumbnails recently. Please try the request again later.";
        let (status, reason) = (StatusCode::TOO_MANY_REQUESTS, "uploadRateLimitExceeded");
        return Err(Refusal::new(status, "youtube.thumbnail", reason, message));
    }
    let answer = json!({"kind": "youtube#thumbnailSetResponse", "items": [sizes(&ctx, &stored.sha256)]});
    let video = Video { thumbnail: Some(stored.sha256), ..video };
    world.keep(NETWORK, vec![Change::put("post", &video.id, &video)])?;
    Ok(ok(&answer))
}

/// The picture in all its sizes.
pub(super) fn sizes(ctx: &Ctx, sha256: &str) -> Value {
    let url = media::url(ctx, sha256);
    let sizes = SIZES.map(|(name, width, height)| {
        (name.to_owned(), json!({"url": url, "width": width, "height": height}))
    });
    Value::Object(sizes.into_iter().collect())
}

fn bad(reason: &'static str, message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "youtube.thumbnail", reason, message)
}

fn no_video() -> Refusal {
    let message = "The video that you are trying to set the thumbnail of cannot be found.";
    Refusal::new(StatusCode::NOT_FOUND, "youtube.thumbnail", "videoNotFound", message)
}

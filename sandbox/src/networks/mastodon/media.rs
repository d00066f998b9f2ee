//! Uploads: images are ready at once (200), video and audio after a while (202, then 206 until they are).

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    Answer, Refusal,
    entity::View,
    instance::{MAX_DESCRIPTION, MAX_IMAGE, MAX_VIDEO, MIME_TYPES},
    ok,
    state::{Event, Media, Progress},
    token::holder,
};
use crate::{
    networks::Network,
    params::Params,
    script::{NOW, Quirks},
    sniff, web,
    world::{self, Ctx},
};

/// How long video and audio are processed unless the script says otherwise, milliseconds.
const PROCESSING_MS: i64 = 1000;
const WRITE: [&str; 1] = ["write:media"];

pub(crate) fn view(ctx: &Ctx) -> View {
    view_as_of(ctx, NOW)
}

/// The entities as a read answers them that knows nothing later than that moment.
pub(crate) fn view_as_of(ctx: &Ctx, as_of: i64) -> View {
    View { base: ctx.base(Network::Mastodon), now_ms: ctx.now_ms(), as_of }
}

pub(crate) async fn upload(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    mut params: Params,
) -> Answer {
    let account = holder(&ctx.world(), &headers, &WRITE)?.id;
    let invalid = || Refusal::invalid("Validation failed: File content type is invalid, File is invalid");
    let upload = params
        .files
        .remove("file")
        .filter(|upload| !upload.bytes.is_empty())
        .ok_or_else(|| Refusal::invalid("Validation failed: File can't be blank"))?;
    let claimed = upload.mime.as_deref().and_then(|mime| mime.split(';').next());
    let mime = sniff::mime(&upload.bytes).ok_or_else(invalid)?;
    let family = |mime: &str| mime.split('/').next().map(str::to_owned);
    // A container may hold sound alone, so an audio claim on a video container stands.
    let mime = match claimed {
        Some(claim) if claim.starts_with("audio/") && family(mime).as_deref() == Some("video") => claim,
        _ => mime,
    };
    if !MIME_TYPES.contains(&mime) {
        return Err(invalid());
    }
    let is_image = mime.starts_with("image/");
    let (limit, shown) = if is_image { (MAX_IMAGE, "16 MB") } else { (MAX_VIDEO, "99 MB") };
    if upload.bytes.len() > limit {
        return Err(Refusal::invalid(format!("Validation failed: File file size must be less than {shown}")));
    }
    let description = described(&params)?;
    let sha256 = ctx.blobs.put(&upload.bytes).await?;
    let now_ms = ctx.now_ms();
    let synchronous = is_image && mime != "image/gif" && quirks.processing.is_none();
    let (processing_ms, fails) = match quirks.processing {
        Some((ms, fails)) => (ms as i64, fails),
        None if synchronous => (0, false),
        None => (PROCESSING_MS, false),
    };
    let mut world = ctx.world();
    let media = Media {
        id: world.mastodon.next_id(now_ms),
        account,
        mime: mime.to_owned(),
        size: upload.bytes.len() as u64,
        sha256,
        dimensions: if is_image { sniff::dimensions(&upload.bytes) } else { None },
        description,
        focus: focus(&params),
        created_ms: now_ms,
        ready_ms: now_ms + processing_ms,
        fails,
        status: None,
    };
    let mut body = view(&ctx).media(&media);
    let status = if synchronous { StatusCode::OK } else { StatusCode::ACCEPTED };
    if !synchronous {
        body["url"] = serde_json::Value::Null;
    }
    world.commit(world::Event::Mastodon(Event::Media(Box::new(media))))?;
    Ok(web::json(status, &body))
}

pub(crate) async fn show(State(ctx): State<Ctx>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let account = holder(&world, &headers, &WRITE)?.id;
    let media = own(&world, &id, account, ctx.now_ms())?;
    let body = view(&ctx).media(media);
    match media.progress(ctx.now_ms()) {
        Progress::Ready => Ok(ok(&body)),
        Progress::Processing => Ok(web::json(StatusCode::PARTIAL_CONTENT, &body)),
        Progress::Failed => Err(Refusal::invalid("Error processing thumbnail for uploaded media")),
    }
}

pub(crate) async fn edit(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let account = holder(&world, &headers, &WRITE)?.id;
    let media = own(&world, &id, account, ctx.now_ms())?;
    let description = match params.get("description") {
        Some(_) => described(&params)?,
        None => media.description.clone(),
    };
    let (id, focus) = (media.id, focus(&params).or(media.focus));
    world.commit(world::Event::Mastodon(Event::MediaText { id, description, focus }))?;
    let media = world.mastodon.media(id, ctx.now_ms()).ok_or_else(Refusal::not_found)?;
    Ok(ok(&view(&ctx).media(media)))
}

pub(crate) async fn discard(State(ctx): State<Ctx>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let mut world = ctx.world();
    let account = holder(&world, &headers, &WRITE)?.id;
    let id = own(&world, &id, account, ctx.now_ms())?.id;
    world.commit(world::Event::Mastodon(Event::MediaGone { id }))?;
    Ok(ok(&json!({})))
}

/// The file itself, by hash; also the plain avatar and header.
pub(crate) async fn file(State(ctx): State<Ctx>, Path(name): Path<String>) -> Response {
    if matches!(name.as_str(), "avatar.svg" | "header.svg") {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"><path fill=\"#6364ff\" d=\"M0 0h8v8H0z\"/></svg>";
        return web::with_type(StatusCode::OK, "image/svg+xml", svg);
    }
    match ctx.blobs.get(&name).await {
        Some(bytes) => bytes_of(bytes),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Bytes as the type they are, never as a page.
pub(crate) fn bytes_of(bytes: Bytes) -> Response {
    let mime = sniff::mime(&bytes).unwrap_or("application/octet-stream");
    let mut response = web::with_type(StatusCode::OK, mime, bytes);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// A file of that account that no status has taken yet.
fn own<'w>(world: &'w world::World, id: &str, account: u64, now_ms: i64) -> Result<&'w Media, Refusal> {
    id.parse()
        .ok()
        .and_then(|id| world.mastodon.media(id, now_ms))
        .filter(|media| media.account == account && media.status.is_none())
        .ok_or_else(Refusal::not_found)
}

fn described(params: &Params) -> Result<Option<String>, Refusal> {
    let text = params.text("description").filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        let error =
            format!("Validation failed: Description is too long (maximum is {MAX_DESCRIPTION} characters)");
        return Err(Refusal::invalid(error));
    }
    Ok(text)
}

fn focus(params: &Params) -> Option<(f64, f64)> {
    let text = params.present("focus")?;
    let (x, y) = text.split_once(',')?;
    let within = |part: &str| part.trim().parse::<f64>().ok().map(|value| value.clamp(-1.0, 1.0));
    Some((within(x)?, within(y)?))
}

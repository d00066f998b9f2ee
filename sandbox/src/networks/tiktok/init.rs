//! Beginning a post: an upload of a video's bytes, or addresses to pull from. Parameters are checked here; what the
//! files are only shows later.

use axum::{Extension, extract::State};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    NETWORK,
    state::{Task, UPLOAD_MS, Upload, arrived, holder, privacy_options, task, trouble},
    words::{Answer, Refusal, ok},
};
use crate::{
    crypto,
    docs::Change,
    media,
    params::Params,
    script::Quirks,
    web::RequestId,
    world::{Ctx, World},
};

const MIN_CHUNK: u64 = 5 << 20;
const MAX_CHUNK: u64 = 64 << 20;
const MAX_LAST: u64 = 128 << 20;
const MAX_VIDEO: u64 = 4 << 30;

/// `POST /v2/post/publish/video/init/`.
pub(super) async fn video(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    begin(&ctx, &headers, quirks, &request_id, &params, "video").await
}

/// `POST /v2/post/publish/inbox/video/init/`: whatever stands beside the source is not looked at.
pub(super) async fn inbox(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    begin(&ctx, &headers, quirks, &request_id, &params, "inbox").await
}

async fn begin(
    ctx: &Ctx,
    headers: &HeaderMap,
    quirks: Quirks,
    request_id: &str,
    params: &Params,
    kind: &str,
) -> Answer {
    let scope = if kind == "inbox" { "video.upload" } else { "video.publish" };
    let source = params.get("source_info").cloned().unwrap_or_default();
    let begun = {
        let mut world = ctx.world();
        let (token, _) = holder(ctx, &world, headers, &[scope])?;
        may_post(ctx, &world, &token.account, kind)?;
        let pulls = match source["source"].as_str() {
            Some("FILE_UPLOAD") => false,
            Some("PULL_FROM_URL") => true,
            _ => return Err(Refusal::params("source_info.source is invalid")),
        };
        let mut begun = task(ctx, &mut world, &token.account, kind, pulls);
        if kind == "video" {
            let info = params.get("post_info").cloned().unwrap_or_default();
            described(&mut begun, &info, 2200)?;
        }
        if !pulls {
            return upload(ctx, &mut world, begun, &source);
        }
        begun
    };
    let url = source["video_url"].as_str().unwrap_or_default();
    check_address(url)?;
    let (files, problem) = pulled(ctx, &[url.to_owned()], "video_pull_failed", is_film).await?;
    let begun = Task { problem, ..begun };
    let told = json!({ "publish_id": begun.publish_id });
    let mut world = ctx.world();
    arrived(ctx, &mut world, begun, &files, quirks.processing, Vec::new(), request_id)?;
    Ok(ok(&told))
}

/// An address for the bytes, which works for an hour.
fn upload(ctx: &Ctx, world: &mut World, begun: Task, source: &Value) -> Answer {
    let number = |name: &str| source[name].as_u64().unwrap_or(0);
    let (size, chunk, count) = (number("video_size"), number("chunk_size"), number("total_chunk_count"));
    let refuse = |text: &str| Err(Refusal::params(text));
    if size == 0 || size > MAX_VIDEO {
        return refuse("video_size is invalid");
    }
    let is_whole = count == 1 && chunk == size;
    let is_cut = (MIN_CHUNK..=MAX_CHUNK).contains(&chunk)
        && count == size / chunk
        && (1..=1000).contains(&count)
        && size - (count - 1) * chunk <= MAX_LAST;
    match size {
        size if size < MIN_CHUNK && !is_whole => return refuse("The chunk size is invalid"),
        size if size <= MAX_CHUNK && !is_whole && !is_cut => {
            return refuse("The total chunk count is invalid");
        }
        size if size > MAX_CHUNK && (!is_cut || count == 1) => {
            return refuse("The total chunk count is invalid");
        }
        _ => {}
    }
    let (id, token) = (begun.post_id.to_string(), crypto::token::<24>());
    let url = format!("{}/video/?upload_id={id}&upload_token={token}", ctx.base(NETWORK));
    let told = json!({ "publish_id": begun.publish_id, "upload_url": url });
    let kept = Upload {
        token,
        account: begun.account.clone(),
        size,
        chunk,
        count,
        received: 0,
        parts: Vec::new(),
        expires_ms: ctx.now_ms() + UPLOAD_MS,
        task: begun,
    };
    let changes =
        vec![Change::put("upload", &id, &kept), Change::put("task", &kept.task.publish_id, &kept.task)];
    world.keep(NETWORK, changes)?;
    Ok(ok(&told))
}

/// `POST /v2/post/publish/content/init/`: the photos are pulled, and nothing more is needed for them to appear.
pub(super) async fn photos(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let is_draft = match params.text("post_mode").as_deref() {
        Some("DIRECT_POST") => false,
        Some("MEDIA_UPLOAD") => true,
        _ => return Err(Refusal::params("post_mode is invalid")),
    };
    if params.text("media_type").as_deref() != Some("PHOTO") {
        return Err(Refusal::params("media_type is invalid"));
    }
    let (scope, kind) = if is_draft { ("video.upload", "inbox") } else { ("video.publish", "photo") };
    let source = params.get("source_info").cloned().unwrap_or_default();
    let urls: Vec<String> = source["photo_images"]
        .as_array()
        .map(|urls| urls.iter().filter_map(|url| url.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let begun = {
        let mut world = ctx.world();
        let (token, _) = holder(&ctx, &world, &headers, &[scope])?;
        may_post(&ctx, &world, &token.account, kind)?;
        let cover = source["photo_cover_index"].as_u64().unwrap_or(0);
        if source["source"].as_str() != Some("PULL_FROM_URL")
            || !(1..=35).contains(&urls.len())
            || cover >= urls.len() as u64
        {
            return Err(Refusal::params("source_info is invalid"));
        }
        let info = params.get("post_info").cloned().unwrap_or_default();
        let mut begun = task(&ctx, &mut world, &token.account, kind, true);
        let description = info["description"].as_str().unwrap_or_default();
        if description.encode_utf16().count() > 4000 {
            return Err(Refusal::params("description is too long"));
        }
        description.clone_into(&mut begun.description);
        if is_draft {
            info["title"].as_str().unwrap_or_default().clone_into(&mut begun.title);
        } else {
            described(&mut begun, &info, 90)?;
        }
        begun
    };
    for url in &urls {
        check_address(url)?;
    }
    let (files, problem) = pulled(&ctx, &urls, "photo_pull_failed", is_photo).await?;
    let begun = Task { problem, ..begun };
    let told = json!({ "publish_id": begun.publish_id });
    let mut world = ctx.world();
    arrived(&ctx, &mut world, begun, &files, quirks.processing, Vec::new(), &request_id)?;
    Ok(ok(&told))
}

fn may_post(ctx: &Ctx, world: &World, handle: &str, kind: &str) -> Result<(), Refusal> {
    match trouble(ctx, world, handle, kind) {
        Some(code) => Err(Refusal::forbidden(code)),
        None => Ok(()),
    }
}

/// Title and privacy of a direct post.
fn described(begun: &mut Task, info: &Value, longest: usize) -> Result<(), Refusal> {
    let title = info["title"].as_str().unwrap_or_default();
    if title.encode_utf16().count() > longest {
        return Err(Refusal::params("title is too long"));
    }
    for name in ["brand_content_toggle", "brand_organic_toggle"] {
        if !info[name].is_boolean() {
            return Err(Refusal::params(&format!("post_info.{name} is required")));
        }
    }
    let privacy = info["privacy_level"].as_str().unwrap_or_default();
    if !privacy_options(&begun.account).contains(&privacy) {
        return Err(Refusal::forbidden("privacy_level_option_mismatch"));
    }
    if begun.account.starts_with("unaudited") && privacy != "SELF_ONLY" {
        return Err(Refusal::forbidden("unaudited_client_can_only_post_to_private_accounts"));
    }
    title.clone_into(&mut begun.title);
    privacy.clone_into(&mut begun.privacy);
    Ok(())
}

/// Hosts have to be verified; all but those of `unverified.example` are.
fn check_address(url: &str) -> Result<(), Refusal> {
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match parsed.as_ref().and_then(url::Url::host_str) {
        None => Err(Refusal::params("The URL is invalid")),
        Some(host) if host.ends_with("unverified.example") => {
            Err(Refusal::forbidden("url_ownership_unverified"))
        }
        Some(_) => Ok(()),
    }
}

/// The files at addresses, and what is wrong with the first bad one.
async fn pulled(
    ctx: &Ctx,
    urls: &[String],
    unpulled: &str,
    judge: fn(&media::Stored) -> Option<&'static str>,
) -> Result<(Vec<media::Stored>, Option<String>), Refusal> {
    let mut files = Vec::new();
    for url in urls {
        let Ok(fetched) = ctx.fetch(url).await else { return Ok((files, Some(unpulled.to_owned()))) };
        let stored = media::store(ctx, &fetched.bytes, fetched.mime.as_deref()).await?;
        if let Some(problem) = judge(&stored) {
            return Ok((files, Some(problem.to_owned())));
        }
        files.push(stored);
    }
    Ok((files, None))
}

fn is_photo(file: &media::Stored) -> Option<&'static str> {
    let is_large = file.width.zip(file.height).is_some_and(|(w, h)| w.min(h) > 1080 || w.max(h) > 1920);
    match file.mime.as_str() {
        "image/jpeg" | "image/webp" if is_large || file.size > 20 << 20 => Some("picture_size_check_failed"),
        "image/jpeg" | "image/webp" => None,
        _ => Some("file_format_check_failed"),
    }
}

/// Also for videos whose bytes were sent.
pub(super) fn is_film(file: &media::Stored) -> Option<&'static str> {
    let is_film = matches!(file.mime.as_str(), "video/mp4" | "video/quicktime" | "video/webm");
    (!is_film).then_some("file_format_check_failed")
}

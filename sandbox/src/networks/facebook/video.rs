//! Videos: drafts of reels and stories with their uploads, files for the feed, and what makes them visible. The answer
//! that finishes a reel names no post; the post appears when the video is processed.

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    NETWORK, Page, Photo, Post, Video, auth,
    graph::{self, Refusal},
    own_page,
    posts::{WRITE, entry, files, kept},
    shown,
};
use crate::{
    crypto,
    docs::Change,
    ledger::Attached,
    media::{self, Stored},
    networks::graph::Answer,
    params::{Params, is_true},
    script::Quirks,
    web::{self, RequestId},
    world::{Ctx, World},
};

/// How long a video is processed.
const PROCESSING_MS: u64 = 300;
/// How long its post takes to appear then.
const APPEARING_MS: i64 = 200;
/// How long a draft waits to be finished.
const DRAFT_MS: i64 = 86_400_000;
/// Reels that a Page publishes in a day.
const REELS: usize = 30;

/// A file on its way to the app, for the feed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    length: u64,
    mime: String,
    partial: Option<Stored>,
}

/// `POST /{app}/uploads`.
pub(super) async fn open_upload(
    State(ctx): State<Ctx>,
    Path((_, app)): Path<(String, String)>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    if token.client_id != app {
        return Err(Refusal::missing(&app, "post"));
    }
    let length = params.number("file_length").and_then(|length| u64::try_from(length).ok());
    let length = length.ok_or_else(|| Refusal::parameter("The parameter file_length is required."))?;
    let mime = params.present("file_type").unwrap_or_default();
    if !["video/mp4", "video/quicktime", "image/jpeg", "image/png", "application/pdf"]
        .contains(&mime.as_str())
    {
        return Err(Refusal::parameter("The parameter file_type is not supported."));
    }
    let id = format!("upload:{}", crypto::token::<16>());
    world.keep(NETWORK, vec![Change::put("upload", &id, &Session { length, mime, partial: None })])?;
    // The signature belongs to the id.
    Ok(graph::ok(&json!({ "id": format!("{id}?sig={}", crypto::token::<6>()) })))
}

/// `GET /upload:…`: where to go on.
pub(super) fn upload_offset(world: &World, id: &str) -> Answer {
    let session: Session =
        world.docs.get(NETWORK, "upload", id).ok_or_else(|| Refusal::missing(id, "get"))?;
    let offset = session.partial.map_or(0, |partial| partial.size);
    Ok(graph::ok(&json!({ "id": id, "file_offset": offset })))
}

/// `POST /upload:…`: the bytes; the file's handle once all are there.
pub(super) async fn receive_upload(ctx: &Ctx, headers: &HeaderMap, id: &str, bytes: Bytes) -> Answer {
    graph::holder(ctx, &ctx.world(), NETWORK, headers, &Params::default())?;
    let session: Option<Session> = ctx.world().docs.get(NETWORK, "upload", id);
    let session = session.ok_or_else(|| Refusal::missing(id, "post"))?;
    let offset = number(headers, "file_offset").unwrap_or(0);
    let stored = match join(ctx, session.partial.as_ref(), offset, &bytes, &session.mime).await? {
        Ok(stored) => stored,
        Err(answer) => return Ok(answer),
    };
    let mut world = ctx.world();
    if stored.size < session.length {
        let session = Session { partial: Some(stored), ..session };
        world.keep(NETWORK, vec![Change::put("upload", id, &session)])?;
        return Ok(interrupted(
            "PartialRequestError",
            "The request did not contain the rest of the file",
            true,
        ));
    }
    let handle = format!("4:{}", crypto::token::<32>());
    world.keep(NETWORK, vec![Change::put("file", &handle, &stored), Change::remove("upload", id)])?;
    Ok(graph::ok(&json!({ "h": handle })))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What was there with what came, provided that it goes on where it stopped.
async fn join(
    ctx: &Ctx,
    partial: Option<&Stored>,
    offset: u64,
    bytes: &Bytes,
    mime: &str,
) -> Result<Result<Stored, Response>, Refusal> {
    let held = partial.map_or(0, |partial| partial.size);
    if offset != held {
        let text = format!("The offset is {offset}, expected {held}");
        return Ok(Err(interrupted("OffsetInvalidError", &text, true)));
    }
    let mut whole = match partial {
        Some(partial) => ctx.blobs.get(&partial.sha256).await.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        None => Vec::new(),
    };
    whole.extend_from_slice(bytes);
    Ok(Ok(media::store(ctx, &whole.into(), Some(mime)).await?))
}

/// The uploading host's own envelope.
fn interrupted(kind: &str, text: &str, retriable: bool) -> Response {
    let body = json!({ "debug_info": { "retriable": retriable, "type": kind, "message": text } });
    web::json(StatusCode::BAD_REQUEST, &body)
}

/// `POST` to the upload address of a draft: bytes, or a file to fetch.
pub(super) async fn receive(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    bytes: Bytes,
) -> Answer {
    graph::holder(&ctx, &ctx.world(), NETWORK, &headers, &Params::default())?;
    let video: Option<Video> = ctx.world().docs.get(NETWORK, "video", &id);
    let video = video.filter(|video| video.file.is_none());
    let Some(video) = video else {
        return Ok(interrupted("ProcessingFailedError", "There is no such upload", false));
    };
    let address = headers.get("file_url").and_then(|value| value.to_str().ok());
    let stored = if let Some(url) = address {
        match ctx.fetch(url).await {
            Ok(fetched) => media::store(&ctx, &fetched.bytes, fetched.mime.as_deref()).await?,
            Err(why) => return Ok(interrupted("ProcessingFailedError", &why.to_string(), false)),
        }
    } else {
        let (Some(offset), Some(size)) = (number(&headers, "offset"), number(&headers, "file_size")) else {
            return Ok(interrupted("ProcessingFailedError", "offset and file_size are required", false));
        };
        let stored = match join(&ctx, video.partial.as_ref(), offset, &bytes, "video/mp4").await? {
            Ok(stored) => stored,
            Err(answer) => return Ok(answer),
        };
        if stored.size < size {
            let video = Video { partial: Some(stored), ..video };
            ctx.world().keep(NETWORK, vec![Change::put("video", &id, &video)])?;
            return Ok(interrupted(
                "PartialRequestError",
                "Partial request (did not match length of file)",
                true,
            ));
        }
        stored
    };
    if !stored.is_video() {
        return Ok(interrupted("ProcessingFailedError", "The file is not a video", false));
    }
    let (ms, fails) = quirks.processing.unwrap_or((PROCESSING_MS, false));
    let ready_ms = ctx.now_ms().saturating_add_unsigned(ms);
    let video = Video { partial: None, file: Some(stored), ready_ms, fails, ..video };
    ctx.world().keep(NETWORK, vec![Change::put("video", &id, &video)])?;
    Ok(auth::success())
}

/// `POST /{page}/video_reels`.
pub(super) async fn reel(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(RequestId(request)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let page = own_page(&ctx, &world, &headers, &params, &id, WRITE)?;
    if params.text("upload_phase").as_deref() == Some("start") {
        return start(&ctx, &mut world, &page, "reel");
    }
    let mut video = draft(&ctx, &world, &page, &params, "reel")?;
    match params.text("video_state").as_deref() {
        Some("PUBLISHED") => {}
        Some("DRAFT") => return Ok(auth::success()),
        _ => return Err(Refusal::parameter("The parameter video_state is required.")),
    }
    let day = ctx.now_ms() - 86_400_000;
    let recent = world
        .docs
        .all::<Post>(NETWORK, "post")
        .filter(|(_, post)| post.page == page.id && post.kind == "reel" && post.created_ms > day);
    let recent = recent.count();
    if world.enforces_limits(NETWORK) && recent >= REELS {
        let text = "(#613) Calls to this api have exceeded the rate limit.";
        return Err(Refusal::new(613, 0, text));
    }
    video.description = params.text("description").unwrap_or_default();
    video.title = params.text("title").unwrap_or_default();
    show(&ctx, &mut world, &page, video, &request)?;
    Ok(auth::success())
}

/// `POST /{page}/video_stories`.
pub(super) async fn story(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(RequestId(request)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let page = own_page(&ctx, &world, &headers, &params, &id, WRITE)?;
    if params.text("upload_phase").as_deref() == Some("start") {
        return start(&ctx, &mut world, &page, "story");
    }
    let video = draft(&ctx, &world, &page, &params, "story")?;
    let post = show(&ctx, &mut world, &page, video, &request)?;
    Ok(graph::ok(&json!({ "success": true, "post_id": post })))
}

fn start(ctx: &Ctx, world: &mut World, page: &Page, kind: &str) -> Answer {
    let video = fresh(ctx, world, page, kind);
    world.keep(NETWORK, vec![Change::put("video", &video.id, &video)])?;
    let url = format!("{}/video-upload/v26.0/{}", ctx.base(NETWORK), video.id);
    Ok(graph::ok(&json!({ "video_id": video.id, "upload_url": url })))
}

fn fresh(ctx: &Ctx, world: &mut World, page: &Page, kind: &str) -> Video {
    Video {
        id: graph::short(world.next_id(NETWORK, ctx.now_ms())).to_string(),
        page: page.id.clone(),
        kind: kind.to_owned(),
        created_ms: ctx.now_ms(),
        partial: None,
        file: None,
        ready_ms: i64::MAX,
        fails: false,
        title: String::new(),
        description: String::new(),
        post: None,
        visible_ms: i64::MAX,
    }
}

/// The draft that is to be finished.
fn draft(ctx: &Ctx, world: &World, page: &Page, params: &Params, kind: &str) -> Result<Video, Refusal> {
    if params.text("upload_phase").as_deref() != Some("finish") {
        return Err(Refusal::parameter("The parameter upload_phase is required."));
    }
    let id = params.present("video_id").unwrap_or_default();
    let video: Option<Video> = world.docs.get(NETWORK, "video", &id);
    let video = video.filter(|video| video.page == page.id && video.kind == kind);
    let video = video.ok_or_else(|| Refusal::missing(&id, "post"))?;
    if video.file.is_none() {
        return Err(Refusal::new(6000, 1_363_130, "Video Upload Is Missing"));
    }
    if video.post.is_some() || is_expired(&video, ctx.now_ms()) {
        return Err(Refusal::parameter("The video is not a draft any more"));
    }
    Ok(video)
}

fn is_expired(video: &Video, now_ms: i64) -> bool {
    video.post.is_none() && now_ms - video.created_ms > DRAFT_MS
}

/// Makes the post of a video. A video whose processing fails gets one that is never seen.
fn show(ctx: &Ctx, world: &mut World, page: &Page, video: Video, request: &str) -> Result<String, Refusal> {
    let now_ms = ctx.now_ms();
    let n = world.next_id(NETWORK, now_ms);
    let number = graph::short(n).to_string();
    let is_story = video.kind == "story";
    let visible_ms = if is_story { now_ms } else { video.ready_ms.max(now_ms) + APPEARING_MS };
    let post = Post {
        // A story's post is named by its number alone.
        id: if is_story { number.clone() } else { format!("{}_{number}", page.id) },
        page: page.id.clone(),
        kind: video.kind.clone(),
        message: video.description.clone(),
        link: String::new(),
        created_ms: now_ms,
        visible_ms,
        published: !video.fails,
        photos: Vec::new(),
        video: Some(video.id.clone()),
        parent: None,
    };
    let media: Vec<Attached> = video.file.iter().map(|file| file.attached("")).collect();
    let seen = post.published.then(|| entry(&post, page, media, request));
    let mut changes = kept(&post, n);
    let video = Video { post: Some(number), visible_ms, ..video };
    changes.push(Change::put("video", &video.id, &video));
    world.show(NETWORK, changes, seen.into_iter().collect())?;
    Ok(post.id)
}

/// `POST /{page}/videos`: a file handle, an address or bytes.
pub(super) async fn publish(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(RequestId(request)): Extension<RequestId>,
    Extension(quirks): Extension<Quirks>,
    mut params: Params,
) -> Answer {
    let page = own_page(&ctx, &ctx.world(), &headers, &params, &id, WRITE)?;
    let unread = |why: &str| Refusal::new(389, 0, format!("Unable to fetch video file from URL. {why}"));
    let handle = params.present("fbuploader_video_file_chunk");
    let file = match (handle, params.present("file_url"), params.files.remove("source")) {
        (Some(handle), ..) => {
            let file: Option<Stored> = ctx.world().docs.get(NETWORK, "file", &handle);
            file.ok_or_else(|| Refusal::parameter("Invalid upload handle"))?
        }
        (None, Some(url), _) => {
            let fetched = ctx.fetch(&url).await.map_err(|why| unread(&why.to_string()))?;
            media::store(&ctx, &fetched.bytes, fetched.mime.as_deref()).await?
        }
        (None, None, Some(upload)) => media::store(&ctx, &upload.bytes, upload.mime.as_deref()).await?,
        (None, None, None) => return Err(Refusal::parameter("The video file you selected is missing")),
    };
    if !file.is_video() {
        return Err(Refusal::new(
            352,
            0,
            "(#352) The video file you selected is in a format that we don't support.",
        ));
    }
    let mut world = ctx.world();
    let (ms, fails) = quirks.processing.unwrap_or((PROCESSING_MS, false));
    let video = fresh(&ctx, &mut world, &page, "video");
    let video = Video {
        file: Some(file),
        ready_ms: ctx.now_ms().saturating_add_unsigned(ms),
        fails,
        title: params.text("title").unwrap_or_default(),
        description: params.text("description").unwrap_or_default(),
        ..video
    };
    let id = video.id.clone();
    if params.get("published").is_none_or(is_true) {
        show(&ctx, &mut world, &page, video, &request)?;
    } else {
        world.keep(NETWORK, vec![Change::put("video", &id, &video)])?;
    }
    Ok(graph::ok(&json!({ "id": id })))
}

/// `POST /{page}/photo_stories`: a photo that no post shows.
pub(super) async fn photo_story(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(RequestId(request)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let page = own_page(&ctx, &world, &headers, &params, &id, WRITE)?;
    let photo_id = params.present("photo_id").unwrap_or_default();
    let photo: Option<Photo> = world.docs.get(NETWORK, "photo", &photo_id);
    let photo = photo.filter(|photo| photo.page == page.id && photo.used_in.is_none());
    let photo = photo.ok_or_else(|| Refusal::parameter("The photo cannot be used for a story"))?;
    let n = world.next_id(NETWORK, ctx.now_ms());
    let post = Post {
        id: graph::short(n).to_string(),
        page: page.id.clone(),
        kind: "story".to_owned(),
        message: String::new(),
        link: String::new(),
        created_ms: ctx.now_ms(),
        visible_ms: ctx.now_ms(),
        published: true,
        photos: vec![photo.id.clone()],
        video: None,
        parent: None,
    };
    let seen = entry(&post, &page, files(std::slice::from_ref(&photo)), &request);
    let mut changes = kept(&post, n);
    let used = Photo { used_in: Some(post.id.clone()), ..photo };
    changes.push(Change::put("photo", &used.id, &used));
    world.show(NETWORK, changes, vec![seen])?;
    Ok(graph::ok(&json!({ "success": true, "post_id": post.id })))
}

/// `GET /{page}/stories`.
pub(super) async fn stories(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let now_ms = ctx.now_ms();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    super::covered(&token, &["pages_read_engagement"])?;
    let docs = world.docs.at(quirks.as_of(now_ms));
    let of_page = docs.range::<String>(NETWORK, "post_of", &format!("{id}|")).rev();
    let stories = of_page.filter_map(|(_, id)| shown(docs, &id, now_ms)).filter(|post| post.kind == "story");
    let fields = graph::fields(&params, "post_id,status,creation_time,media_type,media_id,url");
    let mut nodes = Vec::new();
    for post in stories {
        let (media_type, media_id) = match &post.video {
            Some(video) => ("video", Some(video.clone())),
            None => ("photo", post.photos.first().cloned()),
        };
        let status = if now_ms - post.created_ms > 86_400_000 { "ARCHIVED" } else { "PUBLISHED" };
        let node = json!({
            "post_id": post.id, "status": status, "creation_time": (post.created_ms / 1000).to_string(),
            "media_type": media_type, "media_id": media_id,
            "url": format!("https://www.facebook.com/stories/{}", post.id),
        });
        nodes.push(graph::project(&node, &fields, "Stories")?);
    }
    let address = format!("{}/v26.0/{id}/stories", ctx.base(NETWORK));
    Ok(graph::ok(&graph::page(&nodes, &params, 100, &address, &token.secret)))
}

/// A video as a node.
pub(super) fn node(video: &Video, now_ms: i64) -> Value {
    let is_ready = video.file.is_some() && now_ms >= video.ready_ms;
    let is_public = video.post.is_some() && !video.fails && now_ms >= video.visible_ms;
    let word = match &video.file {
        _ if is_expired(video, now_ms) => "expired",
        None => "uploading",
        Some(_) if !is_ready => "processing",
        Some(_) if video.fails => "error",
        Some(_) => "ready",
    };
    let bytes = video.file.as_ref().or(video.partial.as_ref()).map_or(0, |file| file.size);
    let uploading = match (&video.file, &video.partial) {
        (Some(_), _) => "complete",
        (None, Some(_)) => "in_progress",
        (None, None) => "not_started",
    };
    let mut processing = json!({ "status": match word {
        "processing" => "in_progress",
        "ready" => "complete",
        "error" => "error",
        _ => "not_started",
    } });
    if word == "error" {
        processing["error"] = json!({ "message": "The video could not be processed" });
    }
    let publishing = match &video.post {
        None => json!({ "status": "not_started", "publish_status": "draft" }),
        Some(_) if word == "error" => json!({ "status": "error", "publish_status": "error" }),
        Some(_) if is_public => {
            json!({ "status": "complete", "publish_status": "published", "publish_time": graph::time(video.visible_ms) })
        }
        Some(_) => json!({ "status": "in_progress", "publish_status": "draft" }),
    };
    json!({
        "id": video.id,
        "status": {
            "video_status": word,
            "uploading_phase": { "status": uploading, "bytes_transfered": bytes },
            "processing_phase": processing,
            "publishing_phase": publishing,
        },
        "published": is_public,
        "post_id": video.post.as_ref().filter(|_| is_public),
        "permalink_url": is_public.then(|| format!("/reel/{}/", video.id)),
        "title": Some(&video.title).filter(|title| !title.is_empty()),
        "description": Some(&video.description).filter(|text| !text.is_empty()),
        "created_time": graph::time(video.created_ms),
    })
}

//! Videos of the feed and reels: what makes them visible. The answer that finishes a reel names no post; the post appears
//! when the video is processed.

use serde_json::{Value, json};

use super::{
    NETWORK, Page, Post, Video,
    graph::{self, Refusal},
    own_page,
    posts::{WRITE, entry, kept},
};
use crate::{
    docs::Change,
    ledger::Attached,
    media::{self, Stored},
    networks::graph::{Answer, Ask},
    params::is_true,
    world::World,
};

/// How long a video is processed.
pub(super) const PROCESSING_MS: u64 = 300;
/// How long its post takes to appear then.
const APPEARING_MS: i64 = 200;
/// How long a draft waits to be finished.
const DRAFT_MS: i64 = 86_400_000;
/// Reels that a Page publishes in a day.
const REELS: usize = 30;

/// `POST /{page}/video_reels`.
pub(super) async fn reel(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let page = own_page(&ask, &world, &ask.id, WRITE)?;
    if ask.params.text("upload_phase").as_deref() == Some("start") {
        return start(&ask, &mut world, &page, "reel");
    }
    let mut video = draft(&ask, &world, &page, "reel")?;
    match ask.params.text("video_state").as_deref() {
        Some("PUBLISHED") => {}
        Some("DRAFT") => return Ok(graph::success()),
        _ => return Err(Refusal::parameter("The parameter video_state is required.")),
    }
    let day = ask.now_ms() - 86_400_000;
    let recent = world
        .docs
        .all::<Post>(NETWORK, "post")
        .filter(|(_, post)| post.page == page.id && post.kind == "reel" && post.created_ms > day);
    let recent = recent.count();
    if world.enforces_limits(NETWORK) && recent >= REELS {
        return Err(Refusal::new(613, 0, "(#613) Calls to this api have exceeded the rate limit."));
    }
    video.description = ask.params.text("description").unwrap_or_default();
    video.title = ask.params.text("title").unwrap_or_default();
    show(&ask, &mut world, &page, video)?;
    Ok(graph::success())
}

/// `POST /{page}/videos`: a file handle, an address or bytes.
pub(super) async fn publish(mut ask: Ask) -> Answer {
    let page = own_page(&ask, &ask.ctx.world(), &ask.id, WRITE)?;
    let unread = |why: &str| Refusal::new(389, 0, format!("Unable to fetch video file from URL. {why}"));
    let handle = ask.params.present("fbuploader_video_file_chunk");
    let file = match (handle, ask.params.present("file_url"), ask.params.files.remove("source")) {
        (Some(handle), ..) => {
            let file: Option<Stored> = ask.ctx.world().docs.get(NETWORK, "file", &handle);
            file.ok_or_else(|| Refusal::parameter("Invalid upload handle"))?
        }
        (None, Some(url), _) => {
            let fetched = ask.ctx.fetch(&url).await.map_err(|why| unread(&why.to_string()))?;
            media::store(&ask.ctx, &fetched.bytes, fetched.mime.as_deref()).await?
        }
        (None, None, Some(upload)) => media::store(&ask.ctx, &upload.bytes, upload.mime.as_deref()).await?,
        (None, None, None) => return Err(Refusal::parameter("The video file you selected is missing")),
    };
    if !file.is_video() {
        let text = "(#352) The video file you selected is in a format that we don't support.";
        return Err(Refusal::new(352, 0, text));
    }
    let mut world = ask.ctx.world();
    let (ms, fails) = ask.quirks.processing.unwrap_or((PROCESSING_MS, false));
    let video = Video {
        file: Some(file),
        ready_ms: ask.now_ms().saturating_add_unsigned(ms),
        fails,
        title: ask.params.text("title").unwrap_or_default(),
        description: ask.params.text("description").unwrap_or_default(),
        ..fresh(&ask, &mut world, &page, "video")
    };
    let id = video.id.clone();
    if ask.params.get("published").is_none_or(is_true) {
        show(&ask, &mut world, &page, video)?;
    } else {
        world.keep(NETWORK, vec![Change::put("video", &id, &video)])?;
    }
    Ok(graph::ok(&json!({ "id": id })))
}

/// A draft to be uploaded to and finished.
pub(super) fn start(ask: &Ask, world: &mut World, page: &Page, kind: &str) -> Answer {
    let video = fresh(ask, world, page, kind);
    world.keep(NETWORK, vec![Change::put("video", &video.id, &video)])?;
    let url = format!("{}/video-upload/v26.0/{}", ask.ctx.base(NETWORK), video.id);
    Ok(graph::ok(&json!({ "video_id": video.id, "upload_url": url })))
}

fn fresh(ask: &Ask, world: &mut World, page: &Page, kind: &str) -> Video {
    Video {
        id: graph::short(world.next_id(NETWORK, ask.now_ms())).to_string(),
        page: page.id.clone(),
        kind: kind.to_owned(),
        created_ms: ask.now_ms(),
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
pub(super) fn draft(ask: &Ask, world: &World, page: &Page, kind: &str) -> Result<Video, Refusal> {
    if ask.params.text("upload_phase").as_deref() != Some("finish") {
        return Err(Refusal::parameter("The parameter upload_phase is required."));
    }
    let id = ask.params.present("video_id").unwrap_or_default();
    let video: Option<Video> = world.docs.get(NETWORK, "video", &id);
    let video = video.filter(|video| video.page == page.id && video.kind == kind);
    let video = video.ok_or_else(|| Refusal::missing(&id, "post"))?;
    if video.file.is_none() {
        return Err(Refusal::new(6000, 1_363_130, "Video Upload Is Missing"));
    }
    if video.post.is_some() || is_expired(&video, ask.now_ms()) {
        return Err(Refusal::parameter("The video is not a draft any more"));
    }
    Ok(video)
}

fn is_expired(video: &Video, now_ms: i64) -> bool {
    video.post.is_none() && now_ms - video.created_ms > DRAFT_MS
}

/// Makes the post of a video. A video whose processing fails gets one that is never seen.
pub(super) fn show(ask: &Ask, world: &mut World, page: &Page, video: Video) -> Result<String, Refusal> {
    let now_ms = ask.now_ms();
    let n = world.next_id(NETWORK, now_ms);
    let number = graph::short(n).to_string();
    let is_story = video.kind == "story";
    let visible_ms = if is_story { now_ms } else { video.ready_ms.max(now_ms) + APPEARING_MS };
    // A story's post is named by its number alone.
    let id = if is_story { number.clone() } else { format!("{}_{number}", page.id) };
    let post = Post {
        message: video.description.clone(),
        visible_ms,
        published: !video.fails,
        video: Some(video.id.clone()),
        ..Post::new(page, &video.kind, id, now_ms)
    };
    let media: Vec<Attached> = video.file.iter().map(|file| file.attached("")).collect();
    let seen = post.published.then(|| entry(&post, page, media, &ask.request));
    let mut changes = kept(&post, n);
    let video = Video { post: Some(number), visible_ms, ..video };
    changes.push(Change::put("video", &video.id, &video));
    world.show(NETWORK, changes, seen.into_iter().collect())?;
    Ok(post.id)
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

//! Containers: a file is fetched and processed, a carousel gathers ready children, and publishing makes media of one
//! container once. A container that nobody published is over after a day.

use axum::extract::{Path, State};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Container, Item, NETWORK, Post, covered, is_facebooks, own};
use crate::{
    docs::{Change, padded},
    ledger::Entry,
    media::{self, Stored},
    networks::graph::{self, Answer, Ask, Refusal},
    params::Params,
    world::{Ctx, World},
};

/// How long pictures and films are processed.
const PICTURE_MS: u64 = 250;
const FILM_MS: u64 = 600;

/// How long a container waits to be published.
const LIFE_MS: i64 = 86_400_000;

/// Media published in a day, and containers made in one.
const PUBLISHED: usize = 50;
const MADE: usize = 400;

const PUBLISH: (&str, &str) = ("instagram_business_content_publish", "instagram_content_publish");

/// `POST /{user}/media`.
pub(super) async fn create(ask: Ask) -> Answer {
    let (ctx, params) = (&ask.ctx, &ask.params);
    let (account, token) = own(&ask, &ctx.world())?;
    covered(&token, PUBLISH.0, PUBLISH.1)?;
    let handle = account.handle;
    let is_child = params.truth("is_carousel_item");
    let kind = kind(params, is_child)?;
    let is_story = kind == "STORIES";
    let caption = params.text("caption").filter(|_| !is_child && !is_story).unwrap_or_default();
    check_caption(&caption)?;
    if params.list("collaborators").len() > 3 {
        return Err(Refusal::parameter("Too many collaborators"));
    }
    if is_child && params.truth("is_ai_generated") {
        return Err(Refusal::parameter("is_ai_generated is not allowed on carousel items"));
    }
    let resumable = params.text("upload_type").as_deref() == Some("resumable");
    if resumable && !is_facebooks(&token) {
        return Err(Refusal::parameter("The parameter video_url is required"));
    }
    let (items, error) = match kind {
        "CAROUSEL" => (children(&ctx.world(), &handle, params, ctx.now_ms())?, None),
        _ if resumable => (Vec::new(), None),
        _ => fetched(ctx, params, kind).await?,
    };
    let is_film = matches!(kind, "REELS" | "VIDEO") || items.iter().any(|item| item.file.is_video());
    let usual = if is_film { FILM_MS } else { PICTURE_MS };
    let (ms, fails) = ask.quirks.processing.unwrap_or((usual, false));
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    if world.enforces_limits(NETWORK) && recent(&world, "made", &handle, now_ms) >= MADE {
        return Err(Refusal::new(4, 0, "(#4) Application request limit reached"));
    }
    let n = world.next_id(NETWORK, now_ms);
    let container = Container {
        id: graph::short(n).to_string(),
        account: handle,
        kind: kind.to_owned(),
        is_child,
        caption,
        items,
        created_ms: now_ms,
        ready_ms: if resumable { i64::MAX } else { now_ms.saturating_add_unsigned(ms) },
        error: if fails { Some("352/2207026".to_owned()) } else { error },
        published: None,
    };
    let made = Change::put("made", format!("{}|{}", container.account, padded(n)), &now_ms);
    world.keep(NETWORK, vec![Change::put("container", &container.id, &container), made])?;
    let mut body = json!({ "id": container.id });
    if resumable {
        body["uri"] = json!(format!("{}/ig-api-upload/v26.0/{}", ctx.base(NETWORK), container.id));
    }
    Ok(graph::ok(&body))
}

fn kind(params: &Params, is_child: bool) -> Result<&'static str, Refusal> {
    match (params.text("media_type").as_deref(), is_child) {
        (None | Some("IMAGE"), _) if params.present("image_url").is_some() => Ok("IMAGE"),
        (Some("VIDEO"), true) => Ok("VIDEO"),
        (Some("REELS"), false) => Ok("REELS"),
        (Some("STORIES"), false) => Ok("STORIES"),
        (Some("CAROUSEL"), false) => Ok("CAROUSEL"),
        _ => Err(Refusal::new(100, 2_207_023, "The media type is unknown.")),
    }
}

fn check_caption(caption: &str) -> Result<(), Refusal> {
    let length = caption.chars().count();
    if length > 2200 {
        let text = format!("The caption was too long. It has {length} characters.");
        return Err(Refusal::new(36_004, 2_207_010, text));
    }
    let marked = |mark: char| caption.split_whitespace().filter(|word| word.starts_with(mark)).count();
    if marked('#') > 30 || marked('@') > 20 {
        return Err(Refusal::new(100, 2_207_040, "Cannot use more than 20 tags or 30 hashtags."));
    }
    Ok(())
}

/// The file at the address: a picture that cannot be had is refused at once, a film that cannot ends its container.
async fn fetched(ctx: &Ctx, params: &Params, kind: &str) -> Result<(Vec<Item>, Option<String>), Refusal> {
    let film = params.present("video_url").filter(|_| kind != "IMAGE");
    let url = film.clone().or_else(|| params.present("image_url"));
    let url = url.ok_or_else(|| Refusal::parameter("The parameter image_url or video_url is required"))?;
    let unfetched = || Refusal::new(9004, 2_207_052, "Only photo or video can be accepted as media type.");
    let file = match ctx.fetch(&url).await {
        Ok(found) => media::store(ctx, &found.bytes, found.mime.as_deref()).await?,
        Err(_) if film.is_some() => return Ok((Vec::new(), Some("-2/2207003".to_owned()))),
        Err(_) => return Err(unfetched()),
    };
    let alt = params.text("alt_text").unwrap_or_default();
    if alt.chars().count() > 1000 {
        return Err(Refusal::parameter("Param alt_text must be at most 1000 characters"));
    }
    let error = if film.is_some() {
        (!file.is_video()).then(|| "352/2207026".to_owned())
    } else {
        check_picture(&file, kind == "STORIES")?;
        None
    };
    Ok((vec![Item { file, alt }], error))
}

/// JPEG, at most 8 MiB, between 4:5 and 1.91:1 in the feed.
fn check_picture(file: &Stored, is_story: bool) -> Result<(), Refusal> {
    if file.mime != "image/jpeg" {
        return Err(Refusal::new(
            36_001,
            2_207_005,
            "The image format is not supported. Supported formats are: JPEG.",
        ));
    }
    if file.size > 8 << 20 {
        return Err(Refusal::new(36_000, 2_207_004, "The image size is too large."));
    }
    let (width, height) = (file.width.unwrap_or(1), file.height.unwrap_or(1));
    let ratio = f64::from(width) / f64::from(height);
    if !is_story && !(0.799..=1.911).contains(&ratio) {
        return Err(Refusal::new(
            36_003,
            2_207_009,
            "The submitted image with aspect ratio cannot be published.",
        ));
    }
    Ok(())
}

/// Two to ten ready children of the same account.
fn children(world: &World, handle: &str, params: &Params, now_ms: i64) -> Result<Vec<Item>, Refusal> {
    let text = params.text("children").unwrap_or_else(|| params.list("children").join(","));
    let ids: Vec<&str> = text.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    if !(2..=10).contains(&ids.len()) {
        return Err(Refusal::new(100, 2_207_028, "The carousel needs 2 to 10 items."));
    }
    let mut items = Vec::new();
    for id in ids {
        let child: Option<Container> = world.docs.get(NETWORK, "container", id);
        let child = child.filter(|child| child.account == handle && child.is_child);
        let child = child.ok_or_else(|| Refusal::new(24, 2_207_006, "The media could not be found."))?;
        if code(&child, now_ms) != "FINISHED" {
            return Err(not_ready());
        }
        items.extend(child.items);
    }
    Ok(items)
}

fn not_ready() -> Refusal {
    Refusal::new(9007, 2_207_027, "The media is not ready for publishing, please wait for a moment")
}

/// Where a container stands.
pub(super) fn code(container: &Container, now_ms: i64) -> &'static str {
    match container {
        Container { published: Some(_), .. } => "PUBLISHED",
        _ if now_ms - container.created_ms >= LIFE_MS => "EXPIRED",
        _ if now_ms < container.ready_ms => "IN_PROGRESS",
        Container { error: Some(_), .. } => "ERROR",
        _ => "FINISHED",
    }
}

/// A container as a node.
pub(super) fn node(container: &Container, now_ms: i64) -> Value {
    let code = code(container, now_ms);
    let status = match (&container.error, code) {
        (Some(error), "ERROR") => format!("Error: Media upload has failed with error code {error}"),
        _ => format!("{code}: the media is in this state"),
    };
    json!({ "id": container.id, "status_code": code, "status": status })
}

/// `POST` to the address of a resumable upload.
pub(super) async fn receive(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    graph::holder(&ctx, &ctx.world(), NETWORK, &headers, &Params::default())?;
    let container: Option<Container> = ctx.world().docs.get(NETWORK, "container", &id);
    let Some(container) = container.filter(|container| container.items.is_empty()) else {
        return Ok(graph::interrupted("ProcessingFailedError", "There is no such upload", false));
    };
    let size = headers.get("file_size").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if size != Some(bytes.len()) {
        let text = "Partial request (did not match length of file)";
        return Ok(graph::interrupted("PartialRequestError", text, false));
    }
    let file = media::store(&ctx, &bytes, Some("video/mp4")).await?;
    let ready_ms = ctx.now_ms().saturating_add_unsigned(FILM_MS);
    let container = Container { items: vec![Item { file, alt: String::new() }], ready_ms, ..container };
    ctx.world().keep(NETWORK, vec![Change::put("container", &id, &container)])?;
    Ok(graph::ok(&json!({ "success": true, "message": "Upload successful." })))
}

/// `POST /{user}/media_publish`.
pub(super) async fn publish(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let now_ms = ask.now_ms();
    let (account, token) = own(&ask, &world)?;
    covered(&token, PUBLISH.0, PUBLISH.1)?;
    let creation_id = ask.required("creation_id")?;
    let container: Option<Container> = world.docs.get(NETWORK, "container", &creation_id);
    let container = container.filter(|container| container.account == account.handle && !container.is_child);
    let container = container.ok_or_else(|| Refusal::new(24, 2_207_006, "The media could not be found."))?;
    match code(&container, now_ms) {
        "FINISHED" => {}
        "IN_PROGRESS" => return Err(not_ready()),
        _ => {
            let text = "The media builder with the creation id does not exist or has expired.";
            return Err(Refusal::new(24, 2_207_008, text));
        }
    }
    if world.enforces_limits(NETWORK) && recent(&world, "shown", &account.handle, now_ms) >= PUBLISHED {
        let text = "You reached the maximum number of posts that is allowed to be published by the content publishing API.";
        return Err(Refusal::new(9, 2_207_042, text));
    }
    let n = world.next_id(NETWORK, now_ms);
    let kind = match container.kind.as_str() {
        "REELS" => "reel",
        "STORIES" => "story",
        _ => "post",
    };
    let post = Post {
        caption: container.caption.clone(),
        items: container.items.clone(),
        ..Post::new(graph::short(n), &account.handle, kind, now_ms)
    };
    let attached = post.items.iter().map(|item| item.file.attached(&*item.alt)).collect();
    let entry = Entry::new(NETWORK, kind, &account.handle, &post.id, &post.caption, &ask.request)
        .with_media(attached);
    let key = format!("{}|{}", account.handle, padded(n));
    let changes = vec![
        Change::put("post", &post.id, &post),
        Change::put("post_of", &key, &post.id),
        Change::put("shown", &key, &now_ms),
        Change::put("container", &creation_id, &Container { published: Some(post.id.clone()), ..container }),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    Ok(graph::ok(&json!({ "id": post.id })))
}

/// How many of a kind there were in a day.
fn recent(world: &World, kind: &str, handle: &str, now_ms: i64) -> usize {
    let moments = world.docs.range::<i64>(NETWORK, kind, &format!("{handle}|")).rev();
    moments.take_while(|(_, at_ms)| now_ms - at_ms < LIFE_MS).count()
}

/// `GET /{user}/content_publishing_limit`.
pub(super) async fn quota(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let (account, _) = own(&ask, &world)?;
    let used = recent(&world, "shown", &account.handle, ask.now_ms());
    let config = json!({ "quota_total": PUBLISHED, "quota_duration": 86_400 });
    Ok(graph::ok(&json!({ "data": [{ "quota_usage": used, "config": config }] })))
}

//! Submitting, commenting and deleting. A refusal is status 200 with `json.errors`.

use axum::{Extension, extract::State, response::Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    Answer, NETWORK, Refusal, holder, media,
    posts::{self, Post, Subreddit},
    rules::Shape,
};
use crate::{
    docs::Change,
    ledger::Entry,
    media::Stored,
    oauth::Token,
    params::Params,
    script::Quirks,
    web::{self, RequestId},
    world::{Counts, Ctx, World},
};

/// How long posts with media are processed, milliseconds.
const PROCESSING_MS: u64 = 300;

/// How long accounts without karma wait between two submissions, milliseconds.
const BREAK_MS: i64 = 600_000;

const TITLE: usize = 300;
const TEXT: usize = 40_000;
const COMMENT: usize = 10_000;

pub(super) async fn submit(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    let token = holder(&world, &headers, "submit", now_ms)?;
    let (subreddit, place) = place(&params, &token)?;
    let title = title(&params)?;
    let kind = params.text("kind").unwrap_or_default();
    let (text, url) = (params.text("text").unwrap_or_default(), params.text("url").unwrap_or_default());
    let mut files = Vec::new();
    match kind.as_str() {
        "self" if place.takes == "link" => {
            return Err(Refusal::error("NO_SELFS", "this community doesn't allow text posts", "sr"));
        }
        "self" if text.chars().count() > TEXT => {
            return Err(Refusal::error("TOO_LONG", "this is too long (max: 40000)", "text"));
        }
        "self" => {}
        "link" => {
            if place.takes == "self" {
                return Err(Refusal::error("NO_LINKS", "this community doesn't allow links", "sr"));
            }
            linked(&world, &subreddit, &url, &params)?;
        }
        "image" | "video" | "videogif" => {
            if place.takes == "self" || !place.media {
                let code = if kind == "image" { "NO_IMAGES" } else { "NO_VIDEOS" };
                return Err(Refusal::error(code, "this community doesn't allow such media", "sr"));
            }
            files.push(asset(&world, &token, &url, kind == "image")?);
            if kind != "image" {
                let poster = params.text("video_poster_url").unwrap_or_default();
                asset(&world, &token, &poster, true)?;
            }
        }
        _ => return Err(Refusal::error("INVALID_OPTION", "that option is not valid", "kind")),
    }
    let shape = match kind.as_str() {
        "self" => Shape::Text(text.trim()),
        "link" => Shape::Link(&url),
        _ => Shape::Other,
    };
    place.rules.keep(&params, &title, &shape)?;
    pause(&world, &token, now_ms)?;
    let is_media = !files.is_empty();
    let kind = if kind == "videogif" { "video".to_owned() } else { kind };
    let draft = Draft { kind, subreddit, place, title, text, url, files };
    let post = made(&ctx, &mut world, &token, &params, draft, quirks, request_id)?;
    let data = if is_media {
        let page = format!("{}/user/{}/submitted/", ctx.base(NETWORK), token.account);
        json!({"user_submitted_page": page, "websocket_url": "wss://k8s-lb.wss.redditmedia.com/link/sandbox"})
    } else {
        let url = format!("{}{}", ctx.base(NETWORK), post.permalink());
        json!({"url": url, "drafts_count": 0, "id": post.id, "name": post.name()})
    };
    Ok(web::json(StatusCode::OK, &json!({"json": {"errors": [], "data": data}})))
}

/// Takes JSON alone.
pub(super) async fn gallery(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    let token = holder(&world, &headers, "submit", now_ms)?;
    let mime = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !mime.starts_with("application/json") {
        return Err(Refusal::Http(StatusCode::BAD_REQUEST, "Bad Request", None));
    }
    let (subreddit, place) = place(&params, &token)?;
    let title = title(&params)?;
    if place.takes == "self" || !place.media {
        return Err(Refusal::error("NO_IMAGES", "this community doesn't allow such media", "sr"));
    }
    let items = params.json("items").and_then(|items| items.as_array().cloned()).unwrap_or_default();
    if !(2..=20).contains(&items.len()) {
        return Err(Refusal::error("BAD_GALLERY_SIZE", "a gallery has 2 to 20 items", "items"));
    }
    let mut files = Vec::new();
    for item in &items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("caption").chars().count() > 180 {
            return Err(Refusal::error("TOO_LONG", "this is too long (max: 180)", "caption"));
        }
        let found = media::by_id(&world, &token.account, text("media_id"));
        let found = found.filter(|file| file.mime.starts_with("image/"));
        files.push(found.ok_or_else(|| Refusal::error("BAD_ASSET", "that image is not valid", "items"))?);
    }
    place.rules.keep(&params, &title, &Shape::Gallery(items.len()))?;
    pause(&world, &token, now_ms)?;
    let draft = Draft {
        kind: "gallery".to_owned(),
        subreddit,
        place,
        title,
        text: String::new(),
        url: String::new(),
        files,
    };
    let post = made(&ctx, &mut world, &token, &params, draft, quirks, request_id)?;
    let url = format!("{}{}", ctx.base(NETWORK), post.permalink());
    Ok(web::json(StatusCode::OK, &json!({"json": {"errors": [], "data": {"url": url, "id": post.name()}}})))
}

/// Where a submission goes, provided the account may post there.
fn place(params: &Params, token: &Token) -> Result<(String, Subreddit), Refusal> {
    let name = params.present("sr").unwrap_or_default();
    let found = posts::subreddit(&name, &token.account);
    let found =
        found.ok_or_else(|| Refusal::error("SUBREDDIT_NOEXIST", "that community doesn't exist", "sr"))?;
    if !found.1.is_open {
        return Err(Refusal::error("SUBREDDIT_NOTALLOWED", "you aren't allowed to post there.", "sr"));
    }
    Ok(found)
}

fn title(params: &Params) -> Result<String, Refusal> {
    let title = params.text("title").unwrap_or_default();
    match () {
        () if title.trim().is_empty() => Err(Refusal::error("NO_TEXT", "we need something here", "title")),
        () if title.contains('\n') => Err(Refusal::error("BAD_STRING", "no line breaks in titles", "title")),
        () if title.chars().count() > TITLE => {
            Err(Refusal::error("TOO_LONG", "this is too long (max: 300)", "title"))
        }
        () => Ok(title),
    }
}

/// A link must be one, and with `resubmit=false` nobody may have submitted it there before.
fn linked(world: &World, subreddit: &str, url: &str, params: &Params) -> Result<(), Refusal> {
    if url.is_empty() {
        return Err(Refusal::error("NO_URL", "a url is required", "url"));
    }
    if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        return Err(Refusal::error("BAD_URL", "you should check that url", "url"));
    }
    let before = world.docs.has(NETWORK, "link", &format!("{subreddit}|{url}"));
    if before && params.text("resubmit").as_deref() == Some("false") {
        return Err(Refusal::error("ALREADY_SUB", "that link has already been submitted", "url"));
    }
    Ok(())
}

fn asset(world: &World, token: &Token, url: &str, is_image: bool) -> Result<Stored, Refusal> {
    let found = media::by_url(world, &token.account, url);
    let found = found.filter(|file| file.mime.starts_with(if is_image { "image/" } else { "video/" }));
    found.ok_or_else(|| Refusal::error("BAD_URL", "you should check that url", "url"))
}

/// Accounts without karma may not submit as often.
fn pause(world: &World, token: &Token, now_ms: i64) -> Result<(), Refusal> {
    if !token.account.starts_with("newbie") {
        return Ok(());
    }
    let last: Option<i64> = world.docs.get(NETWORK, "last", &token.account);
    let wait = last.map_or(0, |last| last + BREAK_MS - now_ms);
    if wait > 0 { Err(Refusal::Wait(wait as f64 / 1000.0)) } else { Ok(()) }
}

struct Draft {
    kind: String,
    subreddit: String,
    place: Subreddit,
    title: String,
    text: String,
    url: String,
    files: Vec<Stored>,
}

fn made(
    ctx: &Ctx,
    world: &mut World,
    token: &Token,
    params: &Params,
    draft: Draft,
    quirks: Quirks,
    request_id: String,
) -> Result<Post, Refusal> {
    let now_ms = ctx.now_ms();
    let id = world.next_id(NETWORK, now_ms);
    let (wait_ms, fails) = quirks.processing.unwrap_or((PROCESSING_MS, false));
    let wait_ms = if draft.files.is_empty() || draft.kind == "gallery" { 0 } else { wait_ms as i64 };
    let is_filtered = draft.place.is_filtered;
    let post = Post {
        id: posts::base36(id),
        kind: draft.kind,
        account: token.account.clone(),
        subreddit: draft.subreddit,
        title: draft.title.trim().to_owned(),
        text: draft.text.trim().to_owned(),
        url: draft.url,
        media: draft.files,
        created_ms: now_ms,
        listed_ms: now_ms + wait_ms,
        parent: None,
        nsfw: params.truth("nsfw"),
        spoiler: params.truth("spoiler"),
        flair: params.present("flair_text"),
        removed_by: is_filtered.then(|| "automod_filtered".to_owned()),
        is_deleted: false,
    };
    if fails && wait_ms > 0 {
        return Ok(post); // the websocket would tell; nothing ever appears
    }
    let mut changes = post.changes(id);
    changes.push(Change::put("last", &token.account, &now_ms));
    if post.kind == "link" {
        changes.push(Change::put("link", format!("{}|{}", post.subreddit, post.url), &post.name()));
    }
    let text =
        if post.text.is_empty() { post.title.clone() } else { format!("{}\n{}", post.title, post.text) };
    let entry = Entry::new(NETWORK, "post", &token.account, post.name(), text, request_id);
    let media = post.media.iter().map(|file| file.attached(""));
    world.show(NETWORK, changes, vec![entry.with_media(media.collect())])?;
    Ok(post)
}

pub(super) async fn comment(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, "submit", ctx.now_ms())?;
    let text = params.text("text").unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Refusal::error("NO_TEXT", "we need something here", "text"));
    }
    if text.chars().count() > COMMENT {
        return Err(Refusal::error("TOO_LONG", "this is too long (max: 10000)", "text"));
    }
    let thing = params.text("thing_id").unwrap_or_default();
    let parent: Option<Post> = posts::named(&world, &thing);
    let parent = parent.ok_or(Refusal::Http(StatusCode::FORBIDDEN, "Forbidden", None))?;
    if parent.is_deleted {
        let code = if parent.is_comment() { "DELETED_COMMENT" } else { "DELETED_LINK" };
        return Err(Refusal::error(code, "that has been deleted", "parent"));
    }
    let link = parent.parent.as_ref().map_or_else(|| parent.name(), |(_, link)| link.clone());
    let now_ms = ctx.now_ms();
    let id = world.next_id(NETWORK, now_ms);
    let post = Post {
        id: posts::base36(id),
        kind: "comment".to_owned(),
        account: token.account.clone(),
        title: String::new(),
        text: text.trim().to_owned(),
        url: String::new(),
        media: Vec::new(),
        created_ms: now_ms,
        listed_ms: now_ms,
        parent: Some((thing.clone(), link)),
        flair: None,
        removed_by: None,
        ..parent
    };
    let entry = Entry::new(NETWORK, "comment", &token.account, post.name(), &post.text, request_id);
    world.show(NETWORK, post.changes(id), vec![entry.replying_to(thing)])?;
    let thing = post.child(&ctx, Counts::default(), true);
    Ok(web::json(StatusCode::OK, &json!({"json": {"errors": [], "data": {"things": [thing]}}})))
}

/// The answer is the same whatever the id was. What is deleted stays, without author and text.
pub(super) async fn delete(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Refusal> {
    let mut world = ctx.world();
    let token = holder(&world, &headers, "edit", ctx.now_ms())?;
    let name = params.text("id").unwrap_or_default();
    let post: Option<Post> = world.docs.get(NETWORK, "post", &name);
    if let Some(post) = post.filter(|post| post.account == token.account) {
        let gone = Post { is_deleted: true, ..post };
        world.keep(NETWORK, vec![Change::remove("post", &name), Change::put("gone", &name, &gone)])?;
    }
    Ok(web::json(StatusCode::OK, &json!({})))
}

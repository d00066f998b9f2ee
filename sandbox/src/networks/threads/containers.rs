//! Containers: made from text and addresses, downloaded at once, ready after a while, published once.

use serde_json::json;
use unicode_segmentation::UnicodeSegmentation;

use super::{
    NETWORK,
    posts::used,
    state::{Container, File, IMAGE_MS, Post, VIDEO_MS, holder, key_of},
    words::{self, Answer, Refusal},
};
use crate::{
    docs::Change,
    ledger::Entry,
    media,
    networks::graph::{self, Ask},
    oauth::Token,
    params::Params,
    world::{Ctx, World},
};

const TEXT: usize = 500;
const IMAGE_BYTES: u64 = 8 << 20;
const VIDEO_BYTES: u64 = 1 << 30;
const ITEMS: std::ops::RangeInclusive<usize> = 2..=20;

/// `POST /{user}/threads`.
pub(super) async fn create(ask: Ask) -> Answer {
    let (ctx, params) = (&ask.ctx, &ask.params);
    let replies = params.present("reply_to_id").is_some();
    let scope = if replies { "threads_manage_replies" } else { "threads_content_publish" };
    let token = writer(&ask, &ctx.world(), scope)?;
    let asked = Asked::read(params)?;
    let downloaded = match &asked.url {
        Some(url) => Some(download(ctx, url, &asked.media_type).await?),
        None => None,
    };
    let now_ms = ctx.now_ms();
    let mut world = ctx.world();
    let (mut files, mut problem, mut wait_ms) = (Vec::new(), None, 0);
    if let Some(downloaded) = downloaded {
        wait_ms = if asked.media_type == "VIDEO" { VIDEO_MS } else { IMAGE_MS };
        match downloaded {
            Ok(stored) => files.push(File { stored, alt: asked.alt.clone() }),
            Err(why) => problem = Some(why.to_owned()),
        }
    }
    for child in &asked.children {
        let child: Option<Container> = world.docs.get(NETWORK, "container", child);
        let child = child.filter(|child| child.account == token.account && child.is_item);
        let child = child.ok_or_else(|| words::parameter("A child of the carousel does not exist"))?;
        if child.status(now_ms) != "FINISHED" {
            return Err(words::parameter("A child of the carousel is not ready"));
        }
        files.extend(child.files);
    }
    if let Some(parent) = &asked.reply_to
        && !ask.docs(&world).has(NETWORK, "post", parent)
    {
        return Err(words::missing(parent));
    }
    if let Some((ms, fails)) = ask.quirks.processing {
        wait_ms = ms as i64;
        problem = fails.then(|| "FAILED_PROCESSING_VIDEO".to_owned()).or(problem);
    }
    let container = Container {
        id: world.next_id(NETWORK, now_ms).to_string(),
        account: token.account.clone(),
        media_type: asked.media_type,
        text: asked.text,
        files,
        children: asked.children,
        is_item: asked.is_item,
        reply_to: asked.reply_to,
        topic_tag: asked.topic_tag,
        link: asked.link,
        created_ms: now_ms,
        ready_ms: now_ms + wait_ms,
        problem,
        published: None,
    };
    if params.truth("auto_publish_text") {
        if container.media_type != "TEXT" {
            return Err(words::parameter("auto_publish_text is for text posts"));
        }
        let id = show(&ask, &mut world, &container)?;
        return Ok(graph::ok(&json!({ "id": id })));
    }
    world.keep(NETWORK, vec![Change::put("container", &container.id, &container)])?;
    Ok(graph::ok(&json!({ "id": container.id })))
}

/// `POST /{user}/threads_publish`.
pub(super) async fn publish(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = writer(&ask, &world, "threads_content_publish")?;
    let id = ask.required("creation_id")?;
    let container: Option<Container> = world.docs.get(NETWORK, "container", &id);
    let container = container.filter(|container| container.account == token.account && !container.is_item);
    // A container that is not ready, or was published, is not found by this call.
    let container = container.filter(|container| container.status(ask.now_ms()) == "FINISHED");
    let container = container.ok_or_else(|| words::missing(&id))?;
    let (posts, replies) = used(&world, &token.account, ask.now_ms());
    let is_over = if container.reply_to.is_some() { replies >= 1000 } else { posts >= 250 };
    if is_over && world.enforces_limits(NETWORK) {
        return Err(words::quota());
    }
    let id = show(&ask, &mut world, &container)?;
    Ok(graph::ok(&json!({ "id": id })))
}

/// Makes the post of a container.
fn show(ask: &Ask, world: &mut World, container: &Container) -> Result<String, Refusal> {
    let now_ms = ask.now_ms();
    let id = world.next_id(NETWORK, now_ms).to_string();
    let parent: Option<Post> =
        container.reply_to.as_ref().and_then(|parent| world.docs.get(NETWORK, "post", parent));
    if let Some(missing) = container.reply_to.as_ref().filter(|_| parent.is_none()) {
        return Err(words::missing(missing));
    }
    let post = Post {
        id: id.clone(),
        account: container.account.clone(),
        media_type: match container.media_type.as_str() {
            "TEXT" => "TEXT_POST",
            "CAROUSEL" => "CAROUSEL_ALBUM",
            other => other,
        }
        .to_owned(),
        text: container.text.clone(),
        children: container.children.clone(),
        reply_to: container.reply_to.clone(),
        root: parent.map(|parent| parent.root.unwrap_or(parent.id)),
        topic_tag: container.topic_tag.clone(),
        created_ms: now_ms,
    };
    let attached = container.files.iter().map(|file| file.stored.attached(file.alt.as_str())).collect();
    let entry =
        Entry::new(NETWORK, "post", &post.account, &id, &post.text, &ask.request).with_media(attached);
    let entry = match &post.reply_to {
        Some(parent) => entry.replying_to(parent),
        None => entry,
    };
    let kind = if post.reply_to.is_some() { "post_reply_of" } else { "post_of" };
    let spent = Container { published: Some(id.clone()), ..container.clone() };
    let changes = vec![
        Change::put("post", &id, &post),
        Change::put(kind, key_of(&post.account, &id), &id),
        Change::put("container", &spent.id, &spent),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    Ok(id)
}

/// Writing against the number of an account is refused although the token is good; `me` is the way.
fn writer(ask: &Ask, world: &World, scope: &str) -> Result<Token, Refusal> {
    let (token, _) = holder(ask, world, scope)?;
    if ask.id == "me" { Ok(token) } else { Err(words::missing(&ask.id)) }
}

/// The fields of a creation, checked one by one.
struct Asked {
    media_type: String,
    text: String,
    url: Option<String>,
    alt: String,
    children: Vec<String>,
    is_item: bool,
    reply_to: Option<String>,
    topic_tag: String,
    link: String,
}

impl Asked {
    fn read(params: &Params) -> Result<Self, Refusal> {
        let refuse = |text: &str| Err(words::parameter(text));
        let media_type = params.present("media_type").unwrap_or_default();
        let asked = Self {
            text: params.text("text").unwrap_or_default(),
            url: match media_type.as_str() {
                "IMAGE" => params.present("image_url"),
                "VIDEO" => params.present("video_url"),
                _ => None,
            },
            alt: params.text("alt_text").unwrap_or_default(),
            children: params
                .text("children")
                .map(|ids| ids.split(',').map(|id| id.trim().to_owned()).collect())
                .unwrap_or_default(),
            is_item: params.truth("is_carousel_item"),
            reply_to: params.present("reply_to_id"),
            topic_tag: params.text("topic_tag").unwrap_or_default(),
            link: params.text("link_attachment").unwrap_or_default(),
            media_type,
        };
        let is_text = asked.media_type == "TEXT";
        let control = params.present("reply_control");
        let controls = [
            "everyone",
            "accounts_you_follow",
            "mentioned_only",
            "parent_post_author_only",
            "followers_only",
        ];
        match asked.media_type.as_str() {
            "TEXT" if asked.text.trim().is_empty() => return refuse("The parameter text is required."),
            "IMAGE" if asked.url.is_none() => return refuse("The parameter image_url is required."),
            "VIDEO" if asked.url.is_none() => return refuse("The parameter video_url is required."),
            "CAROUSEL" if !ITEMS.contains(&asked.children.len()) => {
                return refuse("A carousel must have between 2 and 20 children.");
            }
            "TEXT" | "IMAGE" | "VIDEO" | "CAROUSEL" => {}
            _ => return refuse("The parameter media_type is required."),
        }
        if length(&asked.text) > TEXT {
            return refuse("Param text must be at most 500 characters long.");
        }
        if asked.alt.chars().count() > 1000 {
            return refuse("Param alt_text must be at most 1000 characters long.");
        }
        if !asked.link.is_empty() && !is_text {
            return refuse("Param link_attachment is only for text posts.");
        }
        if asked.is_item && (is_text || asked.media_type == "CAROUSEL") {
            return refuse("Only images and videos can be items of a carousel.");
        }
        if asked.topic_tag.contains(['.', '&']) || asked.topic_tag.chars().count() > 50 {
            return refuse("Param topic_tag is not a valid topic.");
        }
        if control.is_some_and(|control| !controls.contains(&control.as_str())) {
            return refuse("Param reply_control is not one of its values.");
        }
        Ok(asked)
    }
}

/// A post's length: an emoji counts its UTF-8 bytes, every other character one.
fn length(text: &str) -> usize {
    let weight = |cluster: &str| {
        let is_emoji = cluster.chars().any(|c| {
            ('\u{1f000}'..='\u{1faff}').contains(&c)
                || ('\u{2600}'..='\u{27bf}').contains(&c)
                || c == '\u{fe0f}'
        });
        if is_emoji { cluster.len() } else { 1 }
    };
    text.graphemes(true).map(weight).sum()
}

/// The file at an address. A picture that cannot be had is refused at once, a video later.
async fn download(
    ctx: &Ctx,
    url: &str,
    media_type: &str,
) -> Result<Result<media::Stored, &'static str>, Refusal> {
    let is_video = media_type == "VIDEO";
    let fetched = match ctx.fetch(url).await {
        Ok(fetched) => fetched,
        Err(_) if is_video => return Ok(Err("FAILED_DOWNLOADING_VIDEO")),
        Err(_) => return Err(words::unfetched()),
    };
    let stored = media::store(ctx, &fetched.bytes, fetched.mime.as_deref()).await?;
    let fits = match stored.mime.as_str() {
        "image/jpeg" | "image/png" => !is_video && stored.size <= IMAGE_BYTES,
        "video/mp4" | "video/quicktime" => is_video && stored.size <= VIDEO_BYTES,
        _ => false,
    };
    let is_wide = stored.width.zip(stored.height).is_some_and(|(w, h)| w > 10 * h || h > 10 * w);
    Ok(match () {
        () if is_wide => Err("INVALID_ASPEC_RATIO"),
        () if fits => Ok(stored),
        () if is_video => Err("FAILED_PROCESSING_VIDEO"),
        () => Err("UNKNOWN"),
    })
}

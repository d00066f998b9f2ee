//! The feed of a Page: posts, drafts, photos, comments, and the lists that show them.

use serde_json::{Value, json};

use super::{
    NETWORK, Page, Photo, Post, acting,
    graph::{self, Refusal},
    own_page, shown,
};
use crate::{
    docs::{Change, View, padded},
    ledger::{Attached, Entry},
    media,
    networks::graph::{Answer, Ask},
    params::{Params, is_true},
    script::NOW,
    world::World,
};

pub(super) const WRITE: &[&str] = &["pages_read_engagement", "pages_manage_posts"];

/// Longest message taken; nothing documents it, so the length is what clients have met.
const MESSAGE: usize = 63_206;

/// `POST /{page}/feed`.
pub(super) async fn publish(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let (now_ms, params) = (ask.now_ms(), &ask.params);
    let page = own_page(&ask, &world, &ask.id, WRITE)?;
    let message = params.text("message").unwrap_or_default();
    let link = params.present("link").unwrap_or_default();
    let photos = attached(&world, &page, params)?;
    let published = params.get("published").is_none_or(is_true);
    if message.trim().is_empty() && link.is_empty() && photos.is_empty() {
        return Err(Refusal::parameter("Missing message or attachment"));
    }
    if message.chars().count() > MESSAGE {
        return Err(Refusal::parameter("Param message must be shorter"));
    }
    if !link.is_empty() && !url::Url::parse(&link).is_ok_and(|url| url.has_host()) {
        return Err(Refusal::new(100, 1_609_005, "The link could not be processed."));
    }
    if photos.is_empty() && published && repeats(&world, &page, &message, &link, now_ms) {
        return Err(Refusal::new(506, 0, "(#506) Duplicate status message"));
    }
    let n = world.next_id(NETWORK, now_ms);
    let post = Post {
        message,
        link,
        published,
        photos: photos.iter().map(|photo| photo.id.clone()).collect(),
        ..Post::new(&page, "post", format!("{}_{}", page.id, graph::short(n)), now_ms)
    };
    let mut changes = kept(&post, n);
    for photo in &photos {
        let used = Photo { used_in: Some(post.id.clone()), ..photo.clone() };
        changes.push(Change::put("photo", &photo.id, &used));
    }
    let seen = published.then(|| entry(&post, &page, files(&photos), &ask.request));
    world.show(NETWORK, changes, seen.into_iter().collect())?;
    made(&ask, &world, &post)
}

/// The answer of a call that made something: its id, or the fields that were asked for.
fn made(ask: &Ask, world: &World, post: &Post) -> Answer {
    ask.node(&node(world, world.docs.at(NOW), post), "id", "Post")
}

/// The documents of a post.
pub(super) fn kept(post: &Post, n: u64) -> Vec<Change> {
    let key = format!("{}|{}", post.page, padded(n));
    vec![Change::put("post", &post.id, post), Change::put("post_of", key, &post.id)]
}

pub(super) fn entry(post: &Post, page: &Page, media: Vec<Attached>, request: &str) -> Entry {
    let entry = Entry::new(NETWORK, &post.kind, &page.owner, &post.id, &post.message, request);
    let entry = entry.with_media(media);
    match &post.parent {
        Some(parent) => entry.replying_to(parent),
        None => entry,
    }
}

pub(super) fn files(photos: &[Photo]) -> Vec<Attached> {
    photos.iter().map(|photo| photo.file.attached(&*photo.alt)).collect()
}

/// The photos of `attached_media`: the Page's own, and shown nowhere yet.
fn attached(world: &World, page: &Page, params: &Params) -> Result<Vec<Photo>, Refusal> {
    let list = match params.json("attached_media") {
        Some(Value::Array(items)) => items,
        // A form names them `attached_media[0]={"media_fbid":"…"}`.
        Some(Value::Object(items)) => items.into_iter().map(|(_, item)| item).collect(),
        _ => Vec::new(),
    };
    let mut photos: Vec<Photo> = Vec::new();
    for item in list {
        let item = match item {
            Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
            item => item,
        };
        let id = item.get("media_fbid").and_then(crate::params::as_text).unwrap_or_default();
        let photo: Option<Photo> = world.docs.get(NETWORK, "photo", &id);
        let free = photo.filter(|photo| photo.page == page.id && photo.used_in.is_none());
        let free = free.filter(|photo| photos.iter().all(|other| other.id != photo.id));
        photos
            .push(free.ok_or_else(|| Refusal::parameter(format!("Invalid parameter: attached_media {id}")))?);
    }
    Ok(photos)
}

/// Whether the Page's newest post has the same words and the same link.
fn repeats(world: &World, page: &Page, message: &str, link: &str, now_ms: i64) -> bool {
    let docs = world.docs.at(NOW);
    let newest = of_page(docs, &page.id, now_ms).find(|post| post.kind == "post");
    newest.is_some_and(|post| post.message == message && post.link == link && post.photos.is_empty())
}

/// What the Page shows, the newest first, without comments and stories.
fn of_page<'d>(docs: View<'d>, page: &str, now_ms: i64) -> impl Iterator<Item = Post> + use<'d> {
    let ids = docs.range::<String>(NETWORK, "post_of", &format!("{page}|")).rev();
    ids.filter_map(move |(_, id)| shown(docs, &id, now_ms))
        .filter(|post| !matches!(post.kind.as_str(), "comment" | "story"))
}

/// `GET /{page}/published_posts` and `GET /{page}/feed`.
pub(super) async fn list(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    super::covered(&token, &["pages_read_engagement"])?;
    world.docs.value(NETWORK, "page", &ask.id).ok_or_else(|| Refusal::missing(&ask.id, "get"))?;
    let docs = ask.docs(&world);
    let nodes = of_page(docs, &ask.id, ask.now_ms()).take(500).map(|post| node(&world, docs, &post));
    ask.list((&token, NETWORK), nodes, ("id,message,created_time", "PagePost"), 100)
}

/// A post as a node. What is not set is null, so that it is left out.
pub(super) fn node(world: &World, docs: View<'_>, post: &Post) -> Value {
    let counts = world.counts(NETWORK, &post.id).unwrap_or_default();
    let sum = |count: u64| json!({ "data": [], "summary": { "total_count": count, "can_comment": true } });
    let number = post.id.split('_').next_back().unwrap_or_default();
    let page = format!("https://www.facebook.com/{}", post.page);
    let permalink = match (&post.video, &post.parent) {
        (Some(video), _) => format!("/reel/{video}"),
        (None, None) => format!("{page}/posts/{number}"),
        (None, Some(parent)) => {
            let parent = parent.split('_').next_back().unwrap_or_default();
            format!("{page}/posts/{parent}?comment_id={number}")
        }
    };
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let page: Option<Page> = docs.get(NETWORK, "page", &post.page);
    json!({
        "id": post.id, "message": some(&post.message), "created_time": graph::time(post.created_ms),
        "permalink_url": permalink, "is_published": post.published,
        "attachments": attachments(post), "from": { "id": post.page, "name": page.map(|page| page.name) },
        "shares": (counts.reposts > 0).then(|| json!({ "count": counts.reposts })),
        "comments": sum(counts.replies), "reactions": sum(counts.likes), "likes": sum(counts.likes),
        "like_count": counts.likes, "comment_count": counts.replies, "insights": Value::Null,
    })
}

/// One photo or video is an attachment by itself, several photos are an album of them, a link is a share.
fn attachments(post: &Post) -> Value {
    let photo = |id: &String| json!({ "media_type": "photo", "target": { "id": id } });
    let data = match (post.photos.as_slice(), &post.video) {
        (_, Some(video)) => json!([{ "media_type": "video", "target": { "id": video } }]),
        ([], None) if post.link.is_empty() => return Value::Null,
        ([], None) => json!([{ "media_type": "link", "target": { "url": post.link } }]),
        ([one], None) => json!([photo(one)]),
        (several, None) => {
            let data: Vec<Value> = several.iter().map(photo).collect();
            json!([{ "media_type": "album", "target": { "id": post.id }, "subattachments": { "data": data } }])
        }
    };
    json!({ "data": data })
}

/// `POST /{page}/photos`: bytes or an address; published it makes a post of its own.
pub(super) async fn photo(mut ask: Ask) -> Answer {
    let page = own_page(&ask, &ask.ctx.world(), &ask.id, WRITE)?;
    let unread = |why: String| Refusal::new(324, 2_069_019, format!("Missing or invalid image file: {why}"));
    let (bytes, mime) = match (ask.params.files.remove("source"), ask.params.present("url")) {
        (Some(file), _) => (file.bytes, file.mime),
        (None, Some(url)) => {
            let fetched = ask.ctx.fetch(&url).await.map_err(|why| unread(why.to_string()))?;
            (fetched.bytes, fetched.mime)
        }
        (None, None) => return Err(unread("there is none".into())),
    };
    let file = media::store(&ask.ctx, &bytes, mime.as_deref()).await?;
    let kinds = ["image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"];
    if !kinds.contains(&file.mime.as_str()) || file.width.is_none() {
        return Err(unread(file.mime));
    }
    if file.size > 10_000_000 {
        let text = "Photos should be smaller than 4 MB and saved as JPG, PNG, GIF, TIFF, HEIF or WebP files.";
        return Err(Refusal::new(100, 1_366_046, text));
    }
    let mut world = ask.ctx.world();
    let (now_ms, params) = (ask.now_ms(), &ask.params);
    let n = world.next_id(NETWORK, now_ms);
    let alt = params.text("alt_text_custom").unwrap_or_default();
    let mut photo =
        Photo { id: graph::short(n).to_string(), page: page.id.clone(), file, alt, used_in: None };
    if !params.get("published").is_none_or(is_true) {
        world.keep(NETWORK, vec![Change::put("photo", &photo.id, &photo)])?;
        return Ok(graph::ok(&json!({ "id": photo.id })));
    }
    let n = world.next_id(NETWORK, now_ms);
    let post = Post {
        message: params.text("message").or_else(|| params.text("caption")).unwrap_or_default(),
        photos: vec![photo.id.clone()],
        ..Post::new(&page, "post", format!("{}_{}", page.id, graph::short(n)), now_ms)
    };
    photo.used_in = Some(post.id.clone());
    let mut changes = kept(&post, n);
    changes.push(Change::put("photo", &photo.id, &photo));
    let seen = entry(&post, &page, files(std::slice::from_ref(&photo)), &ask.request);
    world.show(NETWORK, changes, vec![seen])?;
    Ok(graph::ok(&json!({ "id": photo.id, "post_id": post.id })))
}

/// `POST /{object}/comments`, as the Page of the token.
pub(super) async fn comment(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let page = acting(&ask, &world, &["pages_manage_engagement"])?;
    let now_ms = ask.now_ms();
    let under = shown(world.docs.at(NOW), &ask.id, now_ms);
    let under = under.ok_or_else(|| Refusal::missing(&ask.id, "post"))?;
    let message = ask.params.text("message").unwrap_or_default();
    if message.trim().is_empty() && ask.params.present("attachment_url").is_none() {
        return Err(Refusal::parameter("Missing message or attachment"));
    }
    if message.chars().count() > 8_000 {
        return Err(Refusal::parameter("Param message must be shorter"));
    }
    let n = world.next_id(NETWORK, now_ms);
    let number = under.id.split('_').next_back().unwrap_or_default();
    let post = Post {
        message,
        parent: Some(ask.id.clone()),
        ..Post::new(&page, "comment", format!("{number}_{}", graph::short(n)), now_ms)
    };
    let mut changes = kept(&post, n);
    changes.push(Change::put("post_under", format!("{}|{}", ask.id, padded(n)), &post.id));
    let seen = entry(&post, &page, Vec::new(), &ask.request);
    world.show(NETWORK, changes, vec![seen])?;
    made(&ask, &world, &post)
}

/// `GET /{object}/comments`.
pub(super) async fn comments(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    let docs = ask.docs(&world);
    let now_ms = ask.now_ms();
    shown(docs, &ask.id, now_ms).ok_or_else(|| Refusal::missing(&ask.id, "get"))?;
    let under = docs.range::<String>(NETWORK, "post_under", &format!("{}|", ask.id));
    let posts = under.filter_map(|(_, id)| shown(docs, &id, now_ms));
    let mut nodes: Vec<Value> = posts.map(|post| node(&world, docs, &post)).collect();
    if ask.params.text("order").as_deref() == Some("reverse_chronological") {
        nodes.reverse();
    }
    ask.list((&token, NETWORK), nodes.into_iter(), ("id,message,created_time,from", "Comment"), 100)
}

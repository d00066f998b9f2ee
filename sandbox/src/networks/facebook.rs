//! Facebook at `/facebook`: `graph.facebook.com`, the dialog of `www.facebook.com` and the uploads of
//! `rupload.facebook.com` under one base, as <https://developers.facebook.com/docs/graph-api> describes them for Pages.
//!
//! `auth` is the login and the Pages it shows, `posts` the feed with photos and comments, `upload` how bytes arrive, `video`
//! reels and videos, `story` what is shown for a day, `node` single objects. Invariant: a photo is shown by one post at most, and a draft is finished once.
//!
//! Every account owns three Pages, two of them with too few tasks to post; an account whose handle begins with `agency`
//! owns a fourth that takes posts, one whose handle begins with `reader` none. A list of Pages answers two at a time,
//! whatever is asked for.

mod auth;
mod node;
mod posts;
mod story;
mod upload;
mod video;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, Method, Uri, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Network, StandIn,
    graph::{self, Ask, Refusal},
};
use crate::{
    accounts::Account,
    docs::{Change, View},
    faults::guard,
    limits::{Bucket, Per, Verdict},
    media::Stored,
    oauth::{self, Token},
    params::field,
    requests,
    script::Operation as Op,
    world::{Ctx, World},
};

pub(crate) struct Facebook;

const NETWORK: Network = Network::Facebook;

/// `4800 × engaged users` of a Page in an hour; one engaged user.
const CALLS: &[Bucket] = &[Bucket::new("facebook.pages", 4800, 3600, 1, Per::Account)];

/// A Page.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Page {
    id: String,
    name: String,
    username: String,
    /// The handle of the person who owns it.
    owner: String,
    tasks: Vec<String>,
}

/// A photo, used or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Photo {
    id: String,
    page: String,
    file: Stored,
    alt: String,
    /// The post or story that shows it.
    used_in: Option<String>,
}

/// A video: of the feed, a reel or a story, from its first byte to its post.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Video {
    id: String,
    page: String,
    /// `video`, `reel` or `story`.
    kind: String,
    created_ms: i64,
    /// The bytes that arrived, while some are missing.
    partial: Option<Stored>,
    file: Option<Stored>,
    /// When its processing is over.
    ready_ms: i64,
    /// Whether its processing fails.
    fails: bool,
    title: String,
    description: String,
    /// The post that shows it, from `visible_ms` on.
    post: Option<String>,
    visible_ms: i64,
}

/// Whatever is shown: a post, a reel, a story, a comment.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Post {
    id: String,
    page: String,
    /// As the ledger names it.
    kind: String,
    message: String,
    link: String,
    created_ms: i64,
    /// From when on lists show it.
    visible_ms: i64,
    published: bool,
    photos: Vec<String>,
    video: Option<String>,
    /// What a comment is under.
    parent: Option<String>,
}

impl Post {
    /// Something a Page shows from now on.
    fn new(page: &Page, kind: &str, id: String, now_ms: i64) -> Self {
        Self {
            id,
            page: page.id.clone(),
            kind: kind.to_owned(),
            message: String::new(),
            link: String::new(),
            created_ms: now_ms,
            visible_ms: now_ms,
            published: true,
            photos: Vec::new(),
            video: None,
            parent: None,
        }
    }
}

impl StandIn for Facebook {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Facebook"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |methods| guard(ctx, NETWORK, Op::Read, CALLS, methods);
        let token = get(auth::access_token).post(auth::access_token);
        Router::new()
            .route(
                "/{version}/dialog/oauth",
                guard(ctx, NETWORK, Op::Authorize, &[], oauth::page(&auth::DIALECT)),
            )
            .route("/{version}/oauth/access_token", guard(ctx, NETWORK, Op::Token, &[], token))
            .route("/{version}/debug_token", on(get(auth::debug_token)))
            .route("/{version}/me", on(get(auth::me)))
            .route("/{version}/me/permissions", on(get(auth::permissions).delete(auth::deauthorize)))
            .route("/{version}/me/accounts", on(get(auth::accounts)))
            .route("/video-upload/{version}/{id}", on(post(upload::receive)))
            .route("/{version}/{id}", on(get(node::show).post(node::change).delete(node::remove)))
            .route("/{version}/{id}/feed", on(get(posts::list).post(posts::publish)))
            .route("/{version}/{id}/published_posts", on(get(posts::list)))
            .route("/{version}/{id}/photos", on(post(posts::photo)))
            .route("/{version}/{id}/comments", on(get(posts::comments).post(posts::comment)))
            .route("/{version}/{id}/insights", on(get(node::insights)))
            .route("/{version}/{id}/uploads", on(post(upload::open)))
            .route("/{version}/{id}/videos", on(post(video::publish)))
            .route("/{version}/{id}/video_reels", on(post(video::reel)))
            .route("/{version}/{id}/video_stories", on(post(story::video)))
            .route("/{version}/{id}/photo_stories", on(post(story::photo)))
            .route("/{version}/{id}/stories", on(get(story::list)))
            .fallback(graph::not_found)
    }

    fn account_of(&self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        graph::account_of(ctx, NETWORK, parts, body)
    }

    fn operation(&self, route: Op, parts: &Parts, body: &[u8]) -> Op {
        if route != Op::Read {
            return route;
        }
        let edge = parts.uri.path().rsplit('/').next().unwrap_or_default();
        let unseen = field(parts, body, "published").as_deref() == Some("false")
            || unseen_part(body)
            || matches!(field(parts, body, "upload_phase").as_deref(), Some("start" | "transfer"));
        match (&parts.method, edge) {
            (&Method::GET, _) => Op::Read,
            (&Method::DELETE, "permissions") => Op::Revoke,
            (&Method::DELETE, _) => Op::Delete,
            (_, "feed" | "photos" | "videos" | "video_reels" | "video_stories") if unseen => Op::MediaUpload,
            (
                _,
                "feed" | "photos" | "videos" | "video_reels" | "video_stories" | "photo_stories" | "comments",
            ) => Op::Publish,
            (_, "uploads") => Op::MediaUpload,
            (_, id) if id.starts_with("upload:") || parts.uri.path().starts_with("/video-upload/") => {
                Op::MediaUpload
            }
            _ if field(parts, body, "is_published").is_some() => Op::Publish,
            _ => Op::MediaEdit,
        }
    }

    fn logged_path(&self, uri: &Uri) -> String {
        requests::path(uri)
    }

    fn server_error(&self) -> Response {
        graph::server_error()
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        graph::throttled(80_001, "Page")
    }

    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        graph::usage(headers, verdict, "pages");
    }

    fn throttle(&self) -> (u64, u64) {
        (4800, 3600)
    }

    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let person = graph::short(id);
        let mut changes = Account::new(person.to_string(), handle, display_name, created_ms).changes();
        for page in pages(person, handle, display_name) {
            changes.push(Change::put("page", &page.id, &page));
        }
        changes
    }

    fn credentials(&self, world: &World, account: &Account) -> Value {
        let own = world.docs.all::<Page>(NETWORK, "page").filter(|(_, page)| page.owner == account.handle);
        let pages = own.map(|(_, page)| json!({ "id": page.id, "name": page.name, "tasks": page.tasks }));
        json!({ "pages": pages.collect::<Vec<_>>() })
    }

    fn is_live(&self, world: &World, native_id: &str) -> bool {
        world.docs.get::<Post>(NETWORK, "post", native_id).is_some_and(|post| post.published)
    }

    fn hint(&self, _base: &str) -> String {
        "choose <code>demo</code> on the page that opens; one of its three Pages takes posts".to_owned()
    }
}

/// The Pages of a person, in the order lists answer them.
fn pages(person: u64, handle: &str, display_name: &str) -> Vec<Page> {
    let page = |n: u64, what: &str, name: &str, tasks: &[&str]| Page {
        id: format!("{person}{n}"),
        name: name.to_owned(),
        username: format!("{handle}.{what}"),
        owner: handle.to_owned(),
        tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
    };
    let all = ["MANAGE", "CREATE_CONTENT", "MODERATE", "MESSAGING", "ADVERTISE", "ANALYZE"];
    let mut pages = vec![
        page(1, "archive", &format!("{display_name} Archive"), &["ANALYZE"]),
        page(2, "fans", &format!("{display_name} Fans"), &["MODERATE", "ANALYZE"]),
        page(3, "page", &format!("{display_name} Page"), &all),
    ];
    if handle.starts_with("reader") {
        pages.pop();
    }
    if handle.starts_with("agency") {
        pages.push(page(4, "shop", &format!("{display_name} Shop"), &all));
    }
    pages
}

/// Whether a multipart body has the part `published` with `false`: photos come that way.
fn unseen_part(body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&body[..body.len().min(2048)]);
    let part = head.split_once("name=\"published\"").and_then(|(_, rest)| rest.split("\r\n\r\n").nth(1));
    part.is_some_and(|value| value.starts_with("false"))
}

/// The Page that a token acts for, where it is a Page's token.
fn acts_for(world: &World, token: &Token) -> Option<Page> {
    let id: String = world.docs.get(NETWORK, "page_token", &token.secret)?;
    world.docs.get(NETWORK, "page", &id)
}

/// The Page that the token of a request acts for.
fn acting(ask: &Ask, world: &World, scopes: &[&str]) -> Result<Page, Refusal> {
    let token = ask.token(world, NETWORK)?;
    let acting = acts_for(world, &token).ok_or_else(|| {
        Refusal::new(210, 0, "(#210) A page access token is required to request this resource.")
    })?;
    covered(&token, scopes)?;
    Ok(acting)
}

/// The Page of that id, provided that the token is its own and covers what is asked for.
fn own_page(ask: &Ask, world: &World, id: &str, scopes: &[&str]) -> Result<Page, Refusal> {
    ask.token(world, NETWORK)?;
    let page: Page = world.docs.get(NETWORK, "page", id).ok_or_else(|| Refusal::missing(id, "post"))?;
    let acting = acting(ask, world, scopes)?;
    if acting.id != page.id {
        return Err(Refusal::new(
            200,
            0,
            "(#200) The user hasn't authorized the application to perform this action",
        ));
    }
    if !page.tasks.iter().any(|task| task == "CREATE_CONTENT") {
        return Err(Refusal::new(200, 0, "(#200) The person lacks the task CREATE_CONTENT on this Page"));
    }
    Ok(page)
}

fn covered(token: &Token, scopes: &[&str]) -> Result<(), Refusal> {
    if scopes.iter().all(|scope| token.covers(scope)) {
        return Ok(());
    }
    let text = format!("(#200) If posting to a page, requires {}", scopes.join(" and "));
    Err(Refusal::new(200, 0, text))
}

/// A post that a reader finds at that moment.
fn shown(docs: View<'_>, id: &str, now_ms: i64) -> Option<Post> {
    docs.get::<Post>(NETWORK, "post", id).filter(|post| post.published && post.visible_ms <= now_ms)
}

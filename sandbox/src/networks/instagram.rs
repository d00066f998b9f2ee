//! Instagram at `/instagram`: `graph.instagram.com` with the login of `www.instagram.com`, and the same accounts behind
//! the login of Facebook as `graph.facebook.com` answers them; both under one base and over one store, as
//! <https://developers.facebook.com/docs/instagram-platform/content-publishing> describes them.
//!
//! `auth` is both logins, `container` what is prepared and published, `media` what is there. Invariant: a container is
//! published once. A token of Facebook's login has the scope `instagram_basic`; what only one login may do is decided
//! by that.
//!
//! The code's answer is wrapped in `data`; for an account whose handle begins with `flat` it is flat, with a number for
//! the user's id, as both are met. What an account writes whose handle begins with `terse` is shown without the `@` of
//! mentions and with one space for every run of white space, as is met as well.

mod auth;
mod container;
mod media;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, Method, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Network, StandIn,
    graph::{self, Ask, Refusal},
};
use crate::{
    accounts::{self, Account},
    docs::{Change, View},
    faults::guard,
    limits::{Bucket, Per, Verdict},
    media::Stored,
    oauth::{self, Problem, Token},
    script::Operation as Op,
    world::{Ctx, World},
};

pub(crate) struct Instagram;

const NETWORK: Network = Network::Instagram;

/// `4800 × impressions` of an account in a day; one impression.
const CALLS: &[Bucket] = &[Bucket::new("instagram.calls", 4800, 86_400, 1, Per::Account)];

/// A file with what is said about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    file: Stored,
    alt: String,
}

/// What is prepared: one picture or film, or a carousel of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Container {
    id: String,
    /// The handle.
    account: String,
    /// `IMAGE`, `REELS`, `STORIES`, `CAROUSEL` or `VIDEO`.
    kind: String,
    is_child: bool,
    caption: String,
    items: Vec<Item>,
    created_ms: i64,
    /// When its processing is over; never, while its bytes are awaited.
    ready_ms: i64,
    /// What its processing ends with.
    error: Option<String>,
    /// The media that came of it.
    published: Option<String>,
}

/// What is there: media in the feed, stories, comments.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Post {
    id: String,
    /// The handle.
    account: String,
    /// As the ledger names it: `post`, `reel`, `story` or `comment`.
    kind: String,
    caption: String,
    items: Vec<Item>,
    created_ms: i64,
    /// What a comment is under.
    parent: Option<String>,
}

impl Post {
    /// Something an account shows from now on.
    fn new(id: u64, account: &str, kind: &str, now_ms: i64) -> Self {
        Self {
            id: id.to_string(),
            account: account.to_owned(),
            kind: kind.to_owned(),
            caption: String::new(),
            items: Vec::new(),
            created_ms: now_ms,
            parent: None,
        }
    }
}

impl StandIn for Instagram {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Instagram"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |methods| guard(ctx, NETWORK, Op::Read, CALLS, methods);
        let token = |methods| guard(ctx, NETWORK, Op::Token, &[], methods);
        let page = |dialect| guard(ctx, NETWORK, Op::Authorize, &[], oauth::page(dialect));
        Router::new()
            .route("/oauth/authorize", page(&auth::OWN))
            .route("/oauth/access_token", token(post(auth::code)))
            .route("/access_token", token(get(auth::long_lived)))
            .route("/refresh_access_token", guard(ctx, NETWORK, Op::Refresh, &[], get(auth::refresh)))
            .route("/{version}/dialog/oauth", page(&auth::FACEBOOK))
            .route("/{version}/oauth/access_token", token(get(auth::facebook).post(auth::facebook)))
            .route("/{version}/me", on(get(auth::me)))
            .route("/{version}/me/permissions", on(get(auth::permissions).delete(auth::deauthorize)))
            .route("/{version}/me/accounts", on(get(auth::pages)))
            .route("/ig-api-upload/{version}/{id}", on(post(container::receive)))
            .route("/{version}/{id}", on(get(media::show).delete(media::remove)))
            .route("/{version}/{id}/media", on(get(media::list).post(container::create)))
            .route("/{version}/{id}/media_publish", on(post(container::publish)))
            .route("/{version}/{id}/stories", on(get(media::stories)))
            .route("/{version}/{id}/content_publishing_limit", on(get(container::quota)))
            .route("/{version}/{id}/comments", on(get(media::comments).post(media::comment)))
            .route("/{version}/{id}/insights", on(get(media::insights)))
            .fallback(graph::not_found)
    }

    fn account_of(&self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        graph::account_of(ctx, NETWORK, parts, body)
    }

    fn operation(&self, route: Op, parts: &Parts, _body: &[u8]) -> Op {
        if route != Op::Read {
            return route;
        }
        let path = parts.uri.path();
        match (&parts.method, path.rsplit('/').next().unwrap_or_default()) {
            (&Method::GET, _) => Op::Read,
            (&Method::DELETE, "permissions") => Op::Revoke,
            (&Method::DELETE, _) => Op::Delete,
            (_, "media_publish" | "comments") => Op::Publish,
            (_, "media") => Op::MediaUpload,
            _ if path.starts_with("/ig-api-upload/") => Op::MediaUpload,
            _ => Op::MediaEdit,
        }
    }

    fn server_error(&self) -> Response {
        graph::server_error()
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        graph::throttled(80_002, "Instagram")
    }

    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        graph::usage(headers, verdict, "instagram");
    }

    fn throttle(&self) -> (u64, u64) {
        (4800, 86_400)
    }

    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        Account::new(graph::short(id).to_string(), handle, display_name, created_ms).changes()
    }

    fn hint(&self, _base: &str) -> String {
        "choose <code>demo</code> on the page that opens, with Instagram's login or with Facebook's"
            .to_owned()
    }
}

/// Whether a token came from Facebook's login.
fn is_facebooks(token: &Token) -> bool {
    token.covers("instagram_basic")
}

/// The account that an address names, provided that the token is its own.
fn own(ask: &Ask, world: &World) -> Result<(Account, Token), Refusal> {
    let token = ask.token(world, NETWORK)?;
    let account = accounts::named(world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
    if account.id != ask.id && ask.id != "me" {
        return Err(Refusal::missing(&ask.id, "get"));
    }
    Ok((account, token))
}

/// Whether a token allows something, whichever login it came from.
fn covered(token: &Token, own: &str, facebooks: &str) -> Result<(), Refusal> {
    if token.covers(own) || token.covers(facebooks) {
        return Ok(());
    }
    Err(forbidden())
}

fn forbidden() -> Refusal {
    Refusal::new(10, 0, "(#10) Application does not have permission for this action")
}

fn post_of(docs: View<'_>, id: &str) -> Option<Post> {
    docs.get(NETWORK, "post", id)
}

/// An account as a node.
fn account_node(ctx: &Ctx, account: &Account) -> Value {
    json!({
        "id": account.id, "user_id": account.id, "username": account.handle, "name": account.display_name,
        "account_type": "BUSINESS", "followers_count": 0, "media_count": 0,
        "profile_picture_url": format!("{}/_sandbox/picture", ctx.public_url),
    })
}

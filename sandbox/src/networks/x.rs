//! X API v2 at `/x`: OAuth 2 with PKCE, posts, media, metadata, reading back, limits and problem bodies as
//! <https://docs.x.com/x-api> and its OpenAPI document state them. Answers carry the names live clients see (`tweet`).
//!
//! Invariant: there is no idempotency key; the same text of an account within an hour is refused, and nothing else
//! keeps a post from being made twice.

mod media;
mod posts;
mod read;
mod text;
mod token;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Network, StandIn};
use crate::{
    accounts::Account,
    docs::Change,
    faults::guard,
    ledger::Entry,
    limits::{self, Bucket, Per, Verdict},
    oauth::{self, Dialect, Offline, Pkce, Refresh, Reuse, Token},
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

const NETWORK: Network = Network::X;

/// Codes live half a minute; refresh tokens are used once.
static DIALECT: Dialect = Dialect {
    authorize_path: "/i/oauth2/authorize",
    code_ms: 30_000,
    pkce: Pkce::Required,
    access_ms: Some(7_200_000),
    refresh: Refresh::Rotating { ms: None, reuse: Reuse::Refuse },
    offline: Offline::Scope("offline.access"),
    scopes: &[
        "tweet.read",
        "tweet.write",
        "tweet.moderate.write",
        "users.read",
        "users.email",
        "follows.read",
        "like.read",
        "media.write",
        "offline.access",
    ],
    ..Dialect::of(NETWORK)
};

const POSTS: &[Bucket] = &[
    Bucket::new("x.posts", 100, 900, 1, Per::Account),
    Bucket::new("x.posts_3h", 300, 10_800, 1, Per::Account),
];
const DELETES: &[Bucket] = &[Bucket::new("x.deletes", 50, 900, 1, Per::Account)];
const UPLOADS: &[Bucket] = &[Bucket::new("x.uploads", 500, 900, 1, Per::Account)];
const INITIALIZE: &[Bucket] = &[Bucket::new("x.initialize", 1875, 900, 1, Per::Account)];
const APPEND: &[Bucket] = &[Bucket::new("x.append", 1875, 900, 1, Per::Account)];
const FINALIZE: &[Bucket] = &[Bucket::new("x.finalize", 1875, 900, 1, Per::Account)];
const STATUS: &[Bucket] = &[Bucket::new("x.status", 1000, 900, 1, Per::Account)];
const METADATA: &[Bucket] = &[Bucket::new("x.metadata", 500, 900, 1, Per::Account)];
const ME: &[Bucket] = &[Bucket::new("x.me", 75, 900, 1, Per::Account)];
const TIMELINE: &[Bucket] = &[Bucket::new("x.timeline", 900, 900, 1, Per::Account)];
const LOOKUP: &[Bucket] = &[Bucket::new("x.lookup", 5000, 900, 1, Per::Account)];

pub(crate) struct X;

impl StandIn for X {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "X"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        Router::new()
            .route("/i/oauth2/authorize", on(Op::Authorize, &[], oauth::page(&DIALECT)))
            .route("/2/oauth2/token", on(Op::Token, &[], post(token::issue)))
            .route("/2/oauth2/revoke", on(Op::Revoke, &[], post(token::revoke)))
            .route(
                "/2/tweets",
                on(Op::Publish, POSTS, post(posts::publish)).merge(on(Op::Read, LOOKUP, get(read::lookup))),
            )
            .route("/2/tweets/{id}", on(Op::Delete, DELETES, axum::routing::delete(posts::remove)))
            .route("/2/users/me", on(Op::Read, ME, get(read::me)))
            .route("/2/users/{id}/tweets", on(Op::Read, TIMELINE, get(read::timeline)))
            .route(
                "/2/media/upload",
                on(Op::MediaUpload, UPLOADS, post(media::upload)).merge(on(
                    Op::Read,
                    STATUS,
                    get(media::status),
                )),
            )
            .route("/2/media/upload/initialize", on(Op::MediaUpload, INITIALIZE, post(media::initialize)))
            .route("/2/media/upload/{id}/append", on(Op::MediaUpload, APPEND, post(media::append)))
            .route("/2/media/upload/{id}/finalize", on(Op::MediaUpload, FINALIZE, post(media::finalize)))
            .route("/2/media/metadata", on(Op::MediaEdit, METADATA, post(media::metadata)))
            .route("/{name}/status/{id}", get(read::page))
            .fallback(not_found)
    }

    fn server_error(&self) -> Response {
        Problem::plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", "Internal Server Error")
            .into_response()
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        Problem::plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", "Too Many Requests")
            .into_response()
    }

    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        limits::set(headers, "x-rate-limit-limit", verdict.limit);
        limits::set(headers, "x-rate-limit-remaining", verdict.remaining);
        limits::set(headers, "x-rate-limit-reset", verdict.reset_s());
    }

    /// Handles that begin with `premium` pay for long posts.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let plan = if handle.starts_with("premium") { "Premium" } else { "None" };
        let extra = json!({"subscription_type": plan});
        Account { extra, ..Account::new(id.to_string(), handle, display_name, created_ms) }.changes()
    }

    fn handle_problem(&self, handle: &str) -> Option<&'static str> {
        let is_plain = handle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (!is_plain || !(1..=15).contains(&handle.len())).then_some("1 to 15 letters, digits and underscores")
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        format!("{}/{}/status/{}", ctx.base(NETWORK), entry.account, entry.native_id)
    }
}

/// Whether the account pays for long posts.
fn is_premium(account: &Account) -> bool {
    account.extra.get("subscription_type").and_then(Value::as_str).is_some_and(|plan| plan != "None")
}

/// Why a request is refused, in one of the API's two envelopes.
#[derive(Debug)]
struct Problem(StatusCode, Value);

impl Problem {
    /// A refusal without a type of its own.
    fn plain(status: StatusCode, title: &str, detail: &str) -> Self {
        let body =
            json!({"title": title, "detail": detail, "type": "about:blank", "status": status.as_u16()});
        Self(status, body)
    }

    fn forbidden(detail: &str) -> Self {
        Self::plain(StatusCode::FORBIDDEN, "Forbidden", detail)
    }

    /// One text for many causes: too long, media that do not mix, a reply that is not allowed.
    fn not_permitted() -> Self {
        Self::forbidden("You are not permitted to perform this action.")
    }

    fn unauthorized() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// A parameter that breaks the schema.
    fn invalid(parameter: &str, given: &str, message: &str) -> Self {
        let error = json!({"parameters": {parameter: [given]}, "message": message});
        let body = json!({
            "errors": [error],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": "https://api.twitter.com/2/problems/invalid-request",
        });
        Self(StatusCode::BAD_REQUEST, body)
    }
}

impl From<std::io::Error> for Problem {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", "Service Unavailable")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        web::with_type(self.0, "application/problem+json; charset=utf-8", self.1.to_string())
    }
}

type Answer = Result<Response, Problem>;

fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

/// The token of the request, provided it lives and covers the scopes.
fn holder(world: &World, ctx: &Ctx, headers: &HeaderMap, scopes: &[&str]) -> Result<Token, Problem> {
    let token = oauth::holder(world, NETWORK, headers, ctx.now_ms()).map_err(|_| Problem::unauthorized())?;
    if scopes.iter().all(|scope| token.covers(scope)) {
        Ok(token)
    } else {
        Err(Problem::forbidden("Forbidden"))
    }
}

async fn not_found() -> Response {
    Problem::plain(StatusCode::NOT_FOUND, "Not Found", "Not Found").into_response()
}

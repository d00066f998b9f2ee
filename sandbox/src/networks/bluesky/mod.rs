//! A self-hosted Bluesky PDS at `/bluesky`, with the AppView reads it passes on, its own authorization server, the
//! directory of DIDs and the video service. Behaviour follows the reference PDS' source and its lexicons.
//!
//! Invariant: one record per (repo, collection, rkey); writing the identical record again changes nothing.

mod appview;
mod cid;
mod dpop;
mod jwt;
mod oauth;
mod page;
mod past;
mod record;
mod repo;
mod session;
mod stand_in;
mod state;
mod tid;
mod video;
mod write;

use axum::{
    Router,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get, post},
};
use http::{HeaderMap, StatusCode, request::Parts};
use serde_json::{Value, json};

pub(crate) use self::{
    stand_in::Bluesky,
    state::{Account, Event, State},
};
use crate::{
    faults::guard,
    limits::{self, Bucket, Per, Verdict},
    networks::Network,
    params::field,
    script::Operation as Op,
    web::{self, bearer},
    world::Ctx,
};

const PER_ADDRESS: Bucket = Bucket::new("bluesky.address", 3000, 300, 1, Per::Address);
const CALLS: &[Bucket] = &[PER_ADDRESS];
const CREATE: &[Bucket] = &writes(3);
const PUT: &[Bucket] = &writes(2);
const DELETE: &[Bucket] = &writes(1);
/// As many points as its writes cost, see [`points_of`].
const APPLY: &[Bucket] = &writes(1);
const UPLOAD: &[Bucket] = &[Bucket::new("bluesky.blobs", 1000, 86_400, 1, Per::Address), PER_ADDRESS];
const LOGIN: &[Bucket] = &[
    Bucket::new("bluesky.login", 30, 300, 1, Per::Account),
    Bucket::new("bluesky.logins", 300, 86_400, 1, Per::Account),
    PER_ADDRESS,
];

const fn writes(points: u64) -> [Bucket; 3] {
    [
        Bucket::new("bluesky.writes.hour", 5000, 3600, points, Per::Account),
        Bucket::new("bluesky.writes.day", 35_000, 86_400, points, Per::Account),
        PER_ADDRESS,
    ]
}

fn routes(ctx: &Ctx) -> Router<Ctx> {
    let on = |operation, buckets, methods: MethodRouter<Ctx>| {
        let methods = methods.layer(from_fn_with_state(ctx.clone(), dpop::pass));
        guard(ctx, Network::Bluesky, operation, buckets, methods)
    };
    Router::new()
        .route("/.well-known/oauth-protected-resource", on(Op::Read, CALLS, get(oauth::protected_resource)))
        .route("/.well-known/oauth-authorization-server", on(Op::Read, CALLS, get(oauth::metadata)))
        .route("/oauth/par", on(Op::Register, CALLS, post(oauth::push)))
        .route("/oauth/authorize", on(Op::Authorize, &[], get(oauth::ask).post(oauth::decide)))
        .route("/oauth/token", on(Op::Token, CALLS, post(oauth::token)))
        .route("/oauth/revoke", on(Op::Revoke, CALLS, post(oauth::revoke)))
        .route("/xrpc/com.atproto.server.getServiceAuth", on(Op::Read, CALLS, get(video::service_auth)))
        .route("/xrpc/app.bsky.video.getUploadLimits", on(Op::Read, CALLS, get(video::upload_limits)))
        .route("/xrpc/app.bsky.video.uploadVideo", on(Op::MediaUpload, CALLS, post(video::upload)))
        .route("/xrpc/app.bsky.video.getJobStatus", on(Op::Read, CALLS, get(video::job_status)))
        .route("/{did}", on(Op::Read, CALLS, get(session::directory)))
        .route("/xrpc/_health", on(Op::Read, CALLS, get(session::health)))
        .route("/xrpc/com.atproto.server.describeServer", on(Op::Read, CALLS, get(session::describe_server)))
        .route("/xrpc/com.atproto.server.createSession", on(Op::Session, LOGIN, post(session::create)))
        .route("/xrpc/com.atproto.server.refreshSession", on(Op::Refresh, CALLS, post(session::refresh)))
        .route("/xrpc/com.atproto.server.deleteSession", on(Op::Revoke, CALLS, post(session::delete)))
        .route("/xrpc/com.atproto.server.getSession", on(Op::Read, CALLS, get(session::show)))
        .route("/xrpc/com.atproto.identity.resolveHandle", on(Op::Read, CALLS, get(session::resolve_handle)))
        .route("/xrpc/com.atproto.identity.resolveDid", on(Op::Read, CALLS, get(session::resolve_did)))
        .route("/xrpc/com.atproto.repo.uploadBlob", on(Op::MediaUpload, UPLOAD, post(repo::upload_blob)))
        .route("/xrpc/com.atproto.repo.createRecord", on(Op::Publish, CREATE, post(repo::create_record)))
        .route("/xrpc/com.atproto.repo.putRecord", on(Op::Publish, PUT, post(repo::put_record)))
        .route("/xrpc/com.atproto.repo.applyWrites", on(Op::Publish, APPLY, post(repo::apply_writes)))
        .route("/xrpc/com.atproto.repo.deleteRecord", on(Op::Delete, DELETE, post(repo::delete_record)))
        .route("/xrpc/com.atproto.repo.getRecord", on(Op::Read, CALLS, get(repo::get_record)))
        .route("/xrpc/com.atproto.repo.listRecords", on(Op::Read, CALLS, get(repo::list_records)))
        .route("/xrpc/com.atproto.repo.describeRepo", on(Op::Read, CALLS, get(repo::describe_repo)))
        .route("/xrpc/com.atproto.sync.getBlob", get(repo::get_blob))
        .route("/xrpc/app.bsky.feed.getPosts", on(Op::Read, CALLS, get(appview::get_posts)))
        .route("/xrpc/app.bsky.actor.getProfile", on(Op::Read, CALLS, get(appview::get_profile)))
        .route("/xrpc/{*method}", any(unknown_method))
        .route("/.well-known/atproto-did", on(Op::Read, CALLS, get(session::well_known_did)))
        .route("/.well-known/did.json", on(Op::Read, CALLS, get(session::server_did_document)))
        .route("/profile/{actor}", get(page::profile))
        .route("/profile/{actor}/post/{rkey}", get(page::post))
        .fallback(async || StatusCode::NOT_FOUND)
}

/// The handle a token, a login or a refresh speaks for.
fn account_of(ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
    if let Some(token) = dpop::token(&parts.headers) {
        return oauth::holder(&ctx.world(), token);
    }
    if parts.uri.path().ends_with("/oauth/token") || parts.uri.path().ends_with("/oauth/revoke") {
        let secret =
            ["code", "refresh_token", "token"].into_iter().find_map(|name| field(parts, body, name))?;
        return oauth::holder(&ctx.world(), &secret);
    }
    if let Some(token) = bearer(&parts.headers) {
        let did = jwt::peek_subject(token)?;
        return ctx.world().bluesky.actor(&did).map(|account| account.handle.clone());
    }
    if !parts.uri.path().ends_with(".createSession") {
        return None;
    }
    let identifier = serde_json::from_slice::<Value>(body).ok()?.get("identifier")?.as_str()?.to_owned();
    ctx.world().bluesky.actor(&identifier).map(|account| account.handle.clone())
}

/// How many points the writes of an `applyWrites` cost, 3 for making, 2 for replacing, 1 for deleting a record; 1 for any
/// other request, whose bucket knows its cost.
fn points_of(parts: &Parts, body: &[u8]) -> u64 {
    if !parts.uri.path().ends_with(".applyWrites") {
        return 1;
    }
    let cost = |write: &Value| match write["$type"].as_str().unwrap_or_default().rsplit('#').next() {
        Some("create") => 3,
        Some("update") => 2,
        _ => 1,
    };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["writes"].as_array().map_or(0, |writes| writes.iter().map(cost).sum())
}

/// Why a request is refused, in the words of XRPC.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }

    /// 400 with that name.
    fn bad(error: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, message)
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::bad("InvalidRequest", message)
    }

    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal Server Error")
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::internal()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        web::json(self.status, &json!({"error": self.error, "message": self.message}))
    }
}

type Answer = Result<Response, Refusal>;

fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

async fn unknown_method() -> Refusal {
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "MethodNotImplemented", "Method Not Implemented")
}

fn server_error() -> Response {
    Refusal::internal().into_response()
}

fn too_many_requests(now_ms: i64, verdict: Verdict) -> Response {
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded", "Rate Limit Exceeded");
    let mut response = refusal.into_response();
    let wait_s = (verdict.reset_ms - now_ms).max(0).unsigned_abs().div_ceil(1000);
    limits::set(response.headers_mut(), "retry-after", wait_s);
    response
}

fn limit_headers(headers: &mut HeaderMap, verdict: Verdict) {
    limits::set(headers, "ratelimit-limit", verdict.limit);
    limits::set(headers, "ratelimit-remaining", verdict.remaining);
    limits::set(headers, "ratelimit-reset", verdict.reset_s());
    limits::set(headers, "ratelimit-policy", format!("{};w={}", verdict.limit, verdict.window_s));
}

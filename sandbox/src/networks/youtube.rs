//! YouTube at `/youtube`: Google's OAuth 2, resumable uploads, videos, the uploads playlist and comments of the Data API
//! v3, all hosts under one base, as <https://developers.google.com/youtube/v3/docs> and
//! <https://developers.google.com/identity/protocols/oauth2/web-server> state them.
//!
//! Invariant: a video exists from the moment the last byte of its session is stored, and one session makes at most one.
//!
//! Handles that begin with a certain word have a certain trait: `nochannel` has a Google account alone, `unaudited`
//! comes through a project that was not audited (its videos stay private), `full` has used up its uploads of the day,
//! `partial` meets a server that keeps only the first 256 KiB of a chunk that is not the last, `unverified` has verified no
//! phone number and may set no thumbnail, `hasty` has set too many thumbnails lately.

mod comments;
mod library;
mod state;
mod thumbnails;
mod token;
mod upload;
mod videos;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{Method, StatusCode, Uri, request::Parts};
use serde_json::{Value, json};

use super::{Network, StandIn};
use crate::{
    accounts::Account,
    docs::Change,
    faults::guard,
    ledger::Entry,
    limits::{Bucket, Per, Verdict},
    oauth::{self, Dialect, Offline, Pkce, Refresh, Token},
    pages,
    params::Params,
    requests,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

const NETWORK: Network = Network::Youtube;

/// One refresh token for the life of the grant, and only for those who ask for offline access.
static DIALECT: Dialect = Dialect {
    authorize_path: "/o/oauth2/v2/auth",
    pkce: Pkce::Optional,
    access_ms: Some(3_599_000),
    refresh: Refresh::Fixed { ms: None },
    offline: Offline::Field("access_type", "offline"),
    access_prefix: "ya29.",
    refresh_prefix: "1//",
    echo_scope: Some("scope"),
    scopes: &[
        "https://www.googleapis.com/auth/youtube",
        "https://www.googleapis.com/auth/youtube.upload",
        "https://www.googleapis.com/auth/youtube.readonly",
        "https://www.googleapis.com/auth/youtube.force-ssl",
        "https://www.googleapis.com/auth/yt-analytics.readonly",
        "https://www.googleapis.com/auth/userinfo.profile",
        "https://www.googleapis.com/auth/userinfo.email",
        "openid",
    ],
    ..Dialect::of(NETWORK)
};

/// A project's quota is one for all its users, so it is counted by the address they come from.
const fn units(cost: u64) -> Bucket {
    Bucket::new("youtube.units", 10_000, DAY_S, cost, Per::Address)
}

const DAY_S: u64 = 86_400;
const INSERTS: &[Bucket] = &[Bucket::new("youtube.inserts", 100, DAY_S, 1, Per::Address)];
const LISTS: &[Bucket] = &[units(1)];
const WRITES: &[Bucket] = &[units(50)];

pub(crate) struct Youtube;

impl StandIn for Youtube {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "YouTube"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        let videos = || {
            on(Op::Read, LISTS, get(videos::list))
                .merge(on(Op::MediaEdit, WRITES, put(videos::update)))
                .merge(on(Op::Delete, WRITES, axum::routing::delete(videos::remove)))
        };
        let uploads = || {
            on(Op::MediaUpload, INSERTS, post(upload::open)).merge(on(
                Op::MediaUpload,
                &[],
                put(upload::bytes),
            ))
        };
        Router::new()
            .route("/o/oauth2/v2/auth", on(Op::Authorize, &[], oauth::page(&DIALECT)))
            .route("/token", on(Op::Token, &[], post(token::issue)))
            .route("/revoke", on(Op::Revoke, &[], post(token::revoke)))
            .route("/oauth2/v2/userinfo", on(Op::Read, &[], get(library::userinfo)))
            .route("/upload/youtube/v3/videos", uploads())
            .route("/resumable/upload/youtube/v3/videos", uploads())
            .route("/upload/youtube/v3/thumbnails/set", on(Op::MediaEdit, WRITES, post(thumbnails::set)))
            .route("/youtube/v3/videos", videos())
            .route("/youtube/v3/channels", on(Op::Read, LISTS, get(library::channels)))
            .route("/youtube/v3/playlistItems", on(Op::Read, LISTS, get(library::playlist)))
            .route("/youtube/v3/videoCategories", on(Op::Read, LISTS, get(library::categories)))
            .route(
                "/youtube/v3/commentThreads",
                on(Op::Publish, WRITES, post(comments::insert)).merge(on(
                    Op::Read,
                    LISTS,
                    get(comments::threads),
                )),
            )
            .route(
                "/youtube/v3/comments",
                on(Op::Read, LISTS, get(comments::list)).merge(on(
                    Op::Delete,
                    WRITES,
                    axum::routing::delete(comments::remove),
                )),
            )
            .route("/watch", get(watch))
            .route("/shorts/{id}", get(short))
            .fallback(not_found)
    }

    /// A chunk that ends the file makes the video; a chunk of nothing asks how far the upload has come.
    fn operation(&self, route: Op, parts: &Parts, body: &[u8]) -> Op {
        let is_upload =
            parts.method == Method::PUT && parts.uri.path().ends_with("/upload/youtube/v3/videos");
        if !is_upload {
            let refreshes =
                crate::params::field(parts, body, "grant_type").as_deref() == Some("refresh_token");
            return if route == Op::Token && refreshes { Op::Refresh } else { route };
        }
        match upload::Range::of(&parts.headers, body.len() as u64) {
            Some(upload::Range::Probe { .. }) => Op::Read,
            Some(range) if range.is_last() => Op::Publish,
            _ => Op::MediaUpload,
        }
    }

    /// A session's address is the right to upload to it.
    fn logged_path(&self, uri: &Uri) -> String {
        let path = requests::path(uri);
        path.split_once("upload_id=").map_or(path.clone(), |(before, _)| format!("{before}upload_id=***"))
    }

    fn server_error(&self) -> Response {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "global",
            "backendError",
            "Internal error encountered.",
        )
        .into_response()
    }

    /// The day's quota is a 403; too many requests at once are a 429. Neither says how long to wait.
    fn too_many_requests(&self, _now_ms: i64, verdict: Verdict) -> Response {
        let refusal = if verdict.window_s == DAY_S {
            let message = "The request cannot be completed because you have exceeded your \
                           <a href=\"/youtube/v3/getting-started#quota\">quota</a>.";
            Refusal::new(StatusCode::FORBIDDEN, "youtube.quota", "quotaExceeded", message)
        } else {
            let message =
                "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user'.";
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "usageLimits", "rateLimitExceeded", message)
        };
        refusal.into_response()
    }

    fn throttle(&self) -> (u64, u64) {
        (180, 60)
    }

    fn account(&self, _id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        Account::new(state::channel_id(handle), handle, display_name, created_ms).changes()
    }

    fn is_live(&self, world: &World, native_id: &str) -> bool {
        world.docs.has(NETWORK, "post", native_id) || world.docs.has(NETWORK, "post_comment", native_id)
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let base = ctx.base(NETWORK);
        match &entry.in_reply_to {
            Some(video) => format!("{base}/watch?v={video}&lc={}", entry.native_id),
            None => format!("{base}/watch?v={}", entry.native_id),
        }
    }
}

/// Why a request is refused, in the API's envelope.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    domain: &'static str,
    reason: &'static str,
    message: String,
}

impl Refusal {
    fn new(
        status: StatusCode,
        domain: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, domain, reason, message: message.into() }
    }

    fn bad(reason: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "youtube.video", reason, message)
    }

    fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "youtube.video", "forbidden", message)
    }

    fn no_video() -> Self {
        let message = "The video that you are trying to find cannot be found.";
        Self::new(StatusCode::NOT_FOUND, "youtube.video", "videoNotFound", message)
    }

    fn missing(parameter: &str) -> Self {
        let message = format!("No filter selected. Expected one of: {parameter}");
        Self::new(StatusCode::BAD_REQUEST, "youtube.parameter", "missingRequiredParameter", message)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "global", "backendError", "Backend Error")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({"message": self.message, "domain": self.domain, "reason": self.reason});
        let mut body = json!({
            "error": {"code": self.status.as_u16(), "message": self.message, "errors": [error]}
        });
        match self.reason {
            "authError" => {
                body["error"]["status"] = json!("UNAUTHENTICATED");
                body["error"]["errors"][0]["location"] = json!("Authorization");
                body["error"]["errors"][0]["locationType"] = json!("header");
            }
            "insufficientPermissions" => {
                body["error"]["status"] = json!("PERMISSION_DENIED");
                body["error"]["details"] = json!([{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com",
                }]);
            }
            _ => {}
        }
        web::json(self.status, &body)
    }
}

type Answer = Result<Response, Refusal>;

fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

/// Who calls, provided the token lives and has one of these scopes (named by their ends).
fn holder(world: &World, ctx: &Ctx, headers: &http::HeaderMap, scopes: &[&str]) -> Result<Token, Refusal> {
    let invalid = |_| Refusal::new(StatusCode::UNAUTHORIZED, "global", "authError", "Invalid Credentials");
    let token = oauth::holder(world, NETWORK, headers, ctx.now_ms()).map_err(invalid)?;
    let covers = |scope: &&str| token.covers(&format!("https://www.googleapis.com/auth/{scope}"));
    if scopes.iter().any(covers) {
        return Ok(token);
    }
    let message = "Request had insufficient authentication scopes.";
    Err(Refusal::new(StatusCode::FORBIDDEN, "global", "insufficientPermissions", message))
}

async fn watch(State(ctx): State<Ctx>, params: Params) -> Response {
    shown(&ctx, &params.text("v").unwrap_or_default()).await
}

async fn short(State(ctx): State<Ctx>, Path(id): Path<String>) -> Response {
    shown(&ctx, &id).await
}

async fn shown(ctx: &Ctx, id: &str) -> Response {
    let handle = ctx.world().ledger.find(NETWORK, id).map(|entry| entry.account.clone());
    match handle.and_then(|handle| pages::post(ctx, NETWORK, id, &handle)) {
        Some(page) => web::html(StatusCode::OK, page),
        None => not_found().await,
    }
}

async fn not_found() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "global", "notFound", "Not Found").into_response()
}

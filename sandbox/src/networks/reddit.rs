//! Reddit at `/reddit`, both hosts under one base: OAuth and revocation of `www`, the Data API of `oauth`, and the storage that
//! takes uploads. Rejections come with status 200 and `json.errors`; posts with media appear a moment later and have no id
//! when they are accepted (<https://www.reddit.com/dev/api>).
//!
//! Invariant: there is no idempotency key. Only a link sent with `resubmit=false` is refused the second time.

mod media;
mod posts;
mod read;
mod rules;
mod submit;
mod token;

use axum::{
    Router,
    extract::{Path, Request, State},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use self::posts::Post;
use super::{Network, StandIn};
use crate::{
    accounts::Account,
    docs::Change,
    faults::guard,
    ledger::Entry,
    limits::{self, Bucket, Per, Verdict},
    oauth::{self, Dialect, Offline, Refresh, Token},
    pages,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

pub(crate) struct Reddit;

const NETWORK: Network = Network::Reddit;

/// A hundred calls a minute, averaged over ten minutes.
const CALLS: &[Bucket] = &[Bucket::new("reddit.client", 1000, 600, 1, Per::Account)];

static DIALECT: Dialect = Dialect {
    authorize_path: "/api/v1/authorize",
    access_ms: Some(86_400_000),
    refresh: Refresh::Fixed { ms: None },
    offline: Offline::Field("duration", "permanent"),
    scopes: &["identity", "submit", "read", "flair", "edit", "history", "mysubreddits", "vote", "save"],
    ..Dialect::of(NETWORK)
};

impl StandIn for Reddit {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Reddit"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        let api = Router::new()
            .route("/api/v1/access_token", on(Op::Token, &[], post(token::access)))
            .route("/api/v1/revoke_token", on(Op::Revoke, &[], post(token::revoke)))
            .route("/api/v1/me", on(Op::Read, CALLS, get(read::me)))
            .route("/api/v1/{sr}/post_requirements", on(Op::Read, CALLS, get(read::requirements)))
            .route("/r/{sr}/about", on(Op::Read, CALLS, get(read::about)))
            .route("/r/{sr}/api/link_flair_v2", on(Op::Read, CALLS, get(read::flairs)))
            .route("/api/submit", on(Op::Publish, CALLS, post(submit::submit)))
            .route("/api/submit_gallery_post.json", on(Op::Publish, CALLS, post(submit::gallery)))
            .route("/api/comment", on(Op::Publish, CALLS, post(submit::comment)))
            .route("/api/del", on(Op::Delete, CALLS, post(submit::delete)))
            .route("/api/media/asset.json", on(Op::MediaUpload, CALLS, post(media::lease)))
            .route("/api/info", on(Op::Read, CALLS, get(read::info)))
            .route("/user/{name}/submitted", on(Op::Read, CALLS, get(read::submitted)))
            .route("/user/{name}/comments", on(Op::Read, CALLS, get(read::comments)))
            .route_layer(from_fn(only_introduced));
        api.route("/api/v1/authorize", on(Op::Authorize, &[], oauth::page(&DIALECT)))
            .route("/s3", on(Op::MediaUpload, &[], post(media::store)))
            .route("/r/{sr}/comments/{id}/{slug}/", get(page))
            .route("/r/{sr}/comments/{link}/{slug}/{id}/", get(comment_page))
            .fallback(not_found)
    }

    fn server_error(&self) -> Response {
        refused(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        refused(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
    }

    /// A fraction remains, and the reset is a number of seconds from now.
    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        let wait_s = (verdict.reset_ms - crate::clock::true_now_ms()).max(0).unsigned_abs().div_ceil(1000);
        limits::set(headers, "x-ratelimit-used", verdict.limit - verdict.remaining.min(verdict.limit));
        limits::set(headers, "x-ratelimit-remaining", format!("{}.0", verdict.remaining));
        limits::set(headers, "x-ratelimit-reset", wait_s);
    }

    fn throttle(&self) -> (u64, u64) {
        (1000, 600)
    }

    /// Accounts whose names begin with `newbie` have no karma.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        Account::new(posts::base36(id), handle, display_name, created_ms).changes()
    }

    fn credentials(&self, _world: &World, account: &Account) -> Value {
        json!({"profile": format!("u_{}", account.handle), "subreddits": posts::names()})
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let found: Option<Post> = ctx.world().docs.get(NETWORK, "post", &entry.native_id);
        found.map(|post| format!("{}{}", ctx.base(NETWORK), post.permalink())).unwrap_or_default()
    }
}

/// A refusal as the API writes it.
fn refused(status: StatusCode, message: &str) -> Response {
    web::json(status, &json!({"message": message, "error": status.as_u16()}))
}

/// Why a call is refused.
enum Refusal {
    /// By status.
    Http(StatusCode, &'static str, Option<&'static str>),
    /// With status 200: code, message, field.
    Errors(&'static str, String, &'static str),
    /// With status 200: how many seconds too early it came.
    Wait(f64),
}

impl Refusal {
    fn error(code: &'static str, message: &str, field: &'static str) -> Self {
        Self::Errors(code, message.to_owned(), field)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::Http(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", None)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Http(status, message, reason) => {
                let mut body = json!({"message": message, "error": status.as_u16()});
                if let Some(reason) = reason {
                    body["reason"] = json!(reason);
                }
                let mut response = web::json(status, &body);
                if status == StatusCode::UNAUTHORIZED {
                    let value = "Bearer realm=\"reddit\", error=\"invalid_token\"";
                    limits::set(response.headers_mut(), "www-authenticate", value);
                }
                response
            }
            Self::Errors(code, message, field) => {
                web::json(StatusCode::OK, &json!({"json": {"errors": [[code, message, field]]}}))
            }
            Self::Wait(seconds) => {
                let minutes = (seconds / 60.0).ceil();
                let text = format!(
                    "Looks like you've been doing that a lot. Take a break for {minutes} minutes before trying again."
                );
                let errors = json!([["RATELIMIT", text, "ratelimit"]]);
                web::json(StatusCode::OK, &json!({"json": {"ratelimit": seconds, "errors": errors}}))
            }
        }
    }
}

type Answer = Result<Response, Refusal>;

/// The token of a request, which must cover a scope.
fn holder(world: &World, headers: &HeaderMap, scope: &str, now_ms: i64) -> Result<Token, Refusal> {
    let token = oauth::holder(world, NETWORK, headers, now_ms)
        .map_err(|_| Refusal::Http(StatusCode::UNAUTHORIZED, "Unauthorized", None))?;
    if token.covers(scope) {
        Ok(token)
    } else {
        Err(Refusal::Http(StatusCode::FORBIDDEN, "Forbidden", Some("insufficient_scope")))
    }
}

/// Clients must say what they are and whose.
async fn only_introduced(request: Request, next: Next) -> Response {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.unwrap_or_default();
    if agent.contains("(by /u/") && agent.split(':').count() >= 3 {
        return next.run(request).await;
    }
    let page = "<!doctype html><html><head><title>Too Many Requests</title></head><body>\
                <h1>whoa there, pardner!</h1><p>we're sorry, but you appear to be a bot</p></body></html>";
    web::html(StatusCode::TOO_MANY_REQUESTS, page.to_owned())
}

async fn page(State(ctx): State<Ctx>, Path((_, id, _)): Path<(String, String, String)>) -> Response {
    shown(&ctx, &format!("t3_{id}"))
}

async fn comment_page(
    State(ctx): State<Ctx>,
    Path((_, _, _, id)): Path<(String, String, String, String)>,
) -> Response {
    shown(&ctx, &format!("t1_{id}"))
}

fn shown(ctx: &Ctx, native_id: &str) -> Response {
    let account = ctx.world().ledger.find(NETWORK, native_id).map(|entry| entry.account.clone());
    match account.and_then(|account| pages::post(ctx, NETWORK, native_id, &account)) {
        Some(page) => web::html(StatusCode::OK, page),
        None => web::html(StatusCode::NOT_FOUND, pages::missing("There is nothing here.")),
    }
}

async fn not_found() -> Response {
    refused(StatusCode::NOT_FOUND, "Not Found")
}

//! A Mastodon 4.5 instance at `/mastodon`: apps and OAuth, media, statuses, reading back, limits and error texts as
//! <https://docs.joinmastodon.org> and the server's source state them.
//!
//! The same server answers at `/pixelfed`, `/gotosocial` and `/pleroma` as that software does: another name in nodeinfo, no
//! authorization metadata, keys that are not remembered, other limits; Pixelfed takes no post without media.
//!
//! Invariant: one `Idempotency-Key` of an account makes at most one status within an hour, at Mastodon.

mod entity;
mod instance;
mod media;
mod oauth;
mod page;
mod past;
mod read;
mod stand_in;
mod state;
mod statuses;
mod text;
mod token;

use axum::{
    Extension, Router,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde_json::{Value, json};

pub(crate) use self::{
    media::bytes_of,
    stand_in::{GOTOSOCIAL, MASTODON, PIXELFED, PLEROMA},
    state::{Account, Event, Life, State},
};
use crate::{
    clock,
    faults::guard,
    limits::{self, Bucket, Per, Verdict},
    networks::Network,
    script::Operation as Op,
    web::{self, bearer},
    world::Ctx,
};

const PER_TOKEN: Bucket = Bucket::new("mastodon.token", 300, 300, 1, Per::Account);
const PER_ACCOUNT: Bucket = Bucket::new("mastodon.account", 1500, 300, 1, Per::Account);
const PER_ADDRESS: Bucket = Bucket::new("mastodon.address", 300, 300, 1, Per::AddressWithoutAccount);
const CALLS: &[Bucket] = &[PER_TOKEN, PER_ACCOUNT, PER_ADDRESS];
const STATUSES: &[Bucket] =
    &[Bucket::new("mastodon.statuses", 300, 10_800, 1, Per::Account), PER_TOKEN, PER_ACCOUNT, PER_ADDRESS];
const UPLOADS: &[Bucket] =
    &[Bucket::new("mastodon.media", 30, 1800, 1, Per::Account), PER_TOKEN, PER_ACCOUNT, PER_ADDRESS];
const DELETES: &[Bucket] =
    &[Bucket::new("mastodon.delete", 30, 1800, 1, Per::Account), PER_TOKEN, PER_ACCOUNT, PER_ADDRESS];
const PAGING: &[Bucket] =
    &[Bucket::new("mastodon.paging", 300, 900, 1, Per::Account), PER_TOKEN, PER_ACCOUNT, PER_ADDRESS];

fn routes(ctx: &Ctx, network: Network) -> Router<Ctx> {
    let on = |operation, buckets, methods| guard(ctx, network, operation, buckets, methods);
    Router::new()
        .route("/.well-known/oauth-authorization-server", on(Op::Read, CALLS, get(oauth::metadata)))
        .route("/.well-known/nodeinfo", on(Op::Read, CALLS, get(instance::nodeinfo_links)))
        .route("/nodeinfo/2.0", on(Op::Read, CALLS, get(instance::nodeinfo)))
        .route("/api/v2/instance", on(Op::Read, CALLS, get(instance::v2)))
        .route("/api/v1/instance", on(Op::Read, CALLS, get(instance::v1)))
        .route("/api/v1/apps", on(Op::Register, CALLS, post(oauth::register)))
        .route("/api/v1/apps/verify_credentials", on(Op::Read, CALLS, get(oauth::verify_app)))
        .route("/oauth/authorize", on(Op::Authorize, &[], get(oauth::ask).post(oauth::decide)))
        .route("/oauth/token", on(Op::Token, CALLS, post(token::issue)))
        .route("/oauth/revoke", on(Op::Revoke, CALLS, post(token::revoke)))
        .route("/oauth/userinfo", on(Op::Read, CALLS, get(token::userinfo).post(token::userinfo)))
        .route("/api/v1/accounts/verify_credentials", on(Op::Read, CALLS, get(read::verify_credentials)))
        .route("/api/v1/accounts/lookup", on(Op::Read, CALLS, get(read::lookup)))
        .route("/api/v1/accounts/{id}", on(Op::Read, CALLS, get(read::account)))
        .route("/api/v1/accounts/{id}/statuses", on(Op::Read, PAGING, get(read::listing)))
        .route("/api/v2/media", on(Op::MediaUpload, UPLOADS, post(media::upload)))
        .route("/api/v1/media", on(Op::MediaUpload, UPLOADS, post(media::upload)))
        .route(
            "/api/v1/media/{id}",
            on(Op::Read, CALLS, get(media::show))
                .merge(on(Op::MediaEdit, CALLS, axum::routing::put(media::edit)))
                .merge(on(Op::Delete, CALLS, delete(media::discard))),
        )
        .route(
            "/api/v1/statuses",
            on(Op::Publish, STATUSES, post(statuses::publish)).merge(on(
                Op::Read,
                CALLS,
                get(read::statuses),
            )),
        )
        .route(
            "/api/v1/statuses/{id}",
            on(Op::Read, CALLS, get(read::status)).merge(on(Op::Delete, DELETES, delete(statuses::remove))),
        )
        .route("/api/v1/statuses/{id}/source", on(Op::Read, CALLS, get(read::source)))
        .route("/api/v1/statuses/{id}/context", on(Op::Read, CALLS, get(read::context)))
        .route("/media/{file}", get(media::file))
        .route("/{name}", get(page::profile))
        .route("/{name}/{id}", get(page::status))
        .route("/users/{name}/statuses/{id}", get(page::status))
        .fallback(not_found)
        .layer(Extension(network))
}

/// The handle behind the bearer token, or behind the code of a token request.
fn account_of(ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
    if let Some(token) = bearer(&parts.headers) {
        return ctx.world().mastodon.token_holder(token).map(str::to_owned);
    }
    if !parts.uri.path().ends_with("/oauth/token") {
        return None;
    }
    let is_json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|mime| mime.starts_with("application/json"));
    let code = if is_json {
        serde_json::from_slice::<Value>(body).ok()?.get("code")?.as_str()?.to_owned()
    } else {
        url::form_urlencoded::parse(body).find(|(key, _)| key == "code")?.1.into_owned()
    };
    ctx.world().mastodon.code_holder(&code).map(str::to_owned)
}

/// Why a request is refused, in Mastodon's words.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, Value);

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self(status, json!({"error": error.into()}))
    }

    fn invalid(error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error)
    }

    fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Record not found")
    }

    fn oauth(status: StatusCode, error: &str, description: &str) -> Self {
        Self(status, json!({"error": error, "error_description": description}))
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "There was a temporary problem serving your request, please try again",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        web::json(self.0, &self.1)
    }
}

type Answer = Result<Response, Refusal>;

fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

async fn not_found() -> Response {
    web::json(StatusCode::NOT_FOUND, &json!({"error": "Not found"}))
}

fn server_error() -> Response {
    web::html(
        StatusCode::INTERNAL_SERVER_ERROR,
        "<!DOCTYPE html><html lang=\"en\"><head><title>We're sorry, but something went wrong (500)</title></head>\
         <body><h1>We're sorry, but something went wrong on our end.</h1></body></html>"
            .to_owned(),
    )
}

fn too_many_requests() -> Response {
    web::json(StatusCode::TOO_MANY_REQUESTS, &json!({"error": "Too many requests"}))
}

fn limit_headers(headers: &mut HeaderMap, verdict: Verdict) {
    limits::set(headers, "x-ratelimit-limit", verdict.limit);
    limits::set(headers, "x-ratelimit-remaining", verdict.remaining);
    limits::set(headers, "x-ratelimit-reset", clock::iso_micros(verdict.reset_ms));
}

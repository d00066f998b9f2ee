//! TikTok at `/tiktok`: `open.tiktokapis.com`, the authorization page of `www.tiktok.com` and the upload host under one
//! base, as <https://developers.tiktok.com/doc/content-posting-api-get-started> states them.
//!
//! Invariant: a video becomes visible with its last byte, photos with the call that names their addresses, and one
//! publish id at most once. What a check refuses never does, though its call was answered `ok`.

mod bytes;
mod init;
mod read;
mod state;
mod tokens;
mod words;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{StatusCode, Uri, request::Parts};
use serde_json::Value;

use super::{Network, StandIn};
use crate::{
    accounts::Account,
    docs::Change,
    faults::guard,
    limits::{Bucket, Per, Verdict},
    oauth::{self, Dialect, Refresh, Reuse},
    params::field,
    requests,
    script::Operation as Op,
    world::Ctx,
};
use words::Refusal;

pub(crate) struct Tiktok;

const NETWORK: Network = Network::Tiktok;

/// Of one token and minute (reference pages of the Content Posting API).
const INIT: &[Bucket] = &[Bucket::new("tiktok.init", 6, 60, 1, Per::Account)];
const CREATOR: &[Bucket] = &[Bucket::new("tiktok.creator_info", 20, 60, 1, Per::Account)];
const STATUS: &[Bucket] = &[Bucket::new("tiktok.status", 30, 60, 1, Per::Account)];
const CALLS: &[Bucket] = &[Bucket::new("tiktok.calls", 600, 60, 1, Per::Account)];

static DIALECT: Dialect = Dialect {
    authorize_path: "/v2/auth/authorize/",
    access_ms: Some(86_400_000),
    refresh: Refresh::Rotating { ms: Some(365 * 86_400_000), reuse: Reuse::Refuse },
    scopes: &[
        "user.info.basic",
        "user.info.profile",
        "user.info.stats",
        "video.publish",
        "video.upload",
        "video.list",
    ],
    scope_separator: ',',
    client_field: "client_key",
    access_prefix: "act.",
    refresh_prefix: "rft.",
    denied: &[("error", "access_denied"), ("error_description", "The user denied the request.")],
    echo_scope: Some("scopes"),
    ..Dialect::of(NETWORK)
};

impl StandIn for Tiktok {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "TikTok"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        let publish = "/v2/post/publish";
        Router::new()
            .route("/v2/auth/authorize/", on(Op::Authorize, &[], oauth::page(&DIALECT)))
            .route("/v2/oauth/token/", on(Op::Token, &[], post(tokens::issue)))
            .route("/v2/oauth/revoke/", on(Op::Revoke, &[], post(tokens::revoke)))
            .route("/v2/user/info/", on(Op::Read, CALLS, get(read::user)))
            .route(&format!("{publish}/creator_info/query/"), on(Op::Read, CREATOR, post(read::creator)))
            .route(&format!("{publish}/video/init/"), on(Op::MediaUpload, INIT, post(init::video)))
            .route(&format!("{publish}/inbox/video/init/"), on(Op::MediaUpload, INIT, post(init::inbox)))
            .route(&format!("{publish}/content/init/"), on(Op::Publish, INIT, post(init::photos)))
            .route(&format!("{publish}/status/fetch/"), on(Op::Read, STATUS, post(read::status)))
            .route(&format!("{publish}/cancel/"), on(Op::Delete, CALLS, post(read::cancel)))
            .route("/video/", on(Op::MediaUpload, &[], put(bytes::receive)))
            .route("/v2/video/list/", on(Op::Read, CALLS, post(read::list)))
            .route("/v2/video/query/", on(Op::Read, CALLS, post(read::query)))
            .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "invalid_params").into_response())
    }

    /// Bytes come without a token: the address tells whose they are.
    fn account_of(&self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        match field(parts, &[], "upload_id") {
            Some(id) => Some(ctx.world().docs.get::<state::Upload>(NETWORK, "upload", &id)?.account),
            None => oauth::account_of(ctx, NETWORK, parts, body),
        }
    }

    /// The last bytes of a video publish it, and so does the call that names an address to pull from.
    fn operation(&self, route: Op, parts: &Parts, body: &[u8]) -> Op {
        let pulls = || {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            body.pointer("/source_info/source").and_then(Value::as_str) == Some("PULL_FROM_URL")
        };
        let is_last = || bytes::range(&parts.headers).is_some_and(|range| range.end + 1 == range.total);
        match route {
            Op::Token if field(parts, body, "grant_type").as_deref() == Some("refresh_token") => Op::Refresh,
            Op::MediaUpload if pulls() || is_last() => Op::Publish,
            route => route,
        }
    }

    fn logged_path(&self, uri: &Uri) -> String {
        let path = requests::path(uri);
        match path.split_once("upload_token=") {
            Some((start, secret)) => {
                format!("{start}upload_token={}", requests::masked(secret.as_bytes()))
            }
            None => path,
        }
    }

    fn server_error(&self) -> Response {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error").into_response()
    }

    /// No headers tell when to come back.
    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded").into_response()
    }

    /// Ids of people belong to the app.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        Account::new(format!("-000{id}"), handle, display_name, created_ms).changes()
    }
}

//! Threads at `/threads`: `graph.threads.net` and the authorization page of `threads.net` under one base, as
//! <https://developers.facebook.com/docs/threads> states them. Containers are made, become ready after a while and are
//! published once; posts are read, counted and deleted.
//!
//! Invariant: one container makes at most one post, and a container's id is never a post's id.

mod containers;
mod posts;
mod state;
mod tokens;
mod words;

use super::{Network, StandIn, graph};
use crate::{
    faults::guard,
    ledger::Entry,
    limits::{Bucket, Per, Verdict},
    oauth::{self, Dialect},
    params::field,
    script::Operation as Op,
    world::Ctx,
};
use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use http::{StatusCode, request::Parts};

pub(crate) struct Threads;

const NETWORK: Network = Network::Threads;

/// 4800 calls for each of at least 10 impressions in a day (page "Rate limits").
const CALL: Bucket = Bucket::new("threads.calls", 48_000, 86_400, 1, Per::Account);
const CALLS: &[Bucket] = &[CALL];
/// 100 deletions in a day.
const DELETES: &[Bucket] = &[Bucket::new("threads.deletes", 100, 86_400, 1, Per::Account), CALL];

/// A code lives an hour, a first token too; long-lived ones come from an exchange.
static DIALECT: Dialect = Dialect {
    code_ms: 3_600_000,
    access_ms: Some(3_600_000),
    scopes: &[
        "threads_basic",
        "threads_content_publish",
        "threads_manage_replies",
        "threads_read_replies",
        "threads_manage_insights",
        "threads_delete",
        "threads_location_tagging",
        "threads_keyword_search",
        "threads_manage_mentions",
    ],
    scope_separator: ',',
    access_prefix: "TH",
    denied: &[
        ("error", "access_denied"),
        ("error_reason", "user_denied"),
        ("error_description", "The user denied your request."),
    ],
    suffix: "#_",
    ..Dialect::of(NETWORK)
};

impl StandIn for Threads {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Threads"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        Router::new()
            .route("/oauth/authorize", on(Op::Authorize, &[], oauth::page(&DIALECT)))
            .route("/oauth/access_token", on(Op::Token, &[], post(tokens::exchange)))
            .route("/access_token", on(Op::Token, &[], get(tokens::lengthen)))
            .route("/refresh_access_token", on(Op::Refresh, &[], get(tokens::renew)))
            .route(
                "/v1.0/{id}",
                on(Op::Read, CALLS, get(posts::object)).merge(on(Op::Delete, DELETES, delete(posts::remove))),
            )
            .route(
                "/v1.0/{id}/threads",
                on(Op::Read, CALLS, get(posts::listing)).merge(on(
                    Op::MediaUpload,
                    CALLS,
                    post(containers::create),
                )),
            )
            .route("/v1.0/{id}/threads_publish", on(Op::Publish, CALLS, post(containers::publish)))
            .route("/v1.0/{id}/replies", on(Op::Read, CALLS, get(posts::replies)))
            .route("/v1.0/{id}/threads_publishing_limit", on(Op::Read, CALLS, get(posts::quota)))
            .route("/v1.0/{id}/insights", on(Op::Read, CALLS, get(posts::insights)))
            .fallback(async || words::missing("").into_response())
    }

    /// Text may be created and published in one call.
    fn operation(&self, route: Op, parts: &Parts, body: &[u8]) -> Op {
        let at_once = || field(parts, body, "auto_publish_text").as_deref() == Some("true");
        if route == Op::MediaUpload && at_once() { Op::Publish } else { route }
    }

    /// What was seen on `threads_publish` although the container was published.
    fn server_error(&self) -> Response {
        words::permission().status(StatusCode::INTERNAL_SERVER_ERROR).into_response()
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        words::throttled().into_response()
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        graph::permalink(ctx, NETWORK, &entry.native_id)
    }
}

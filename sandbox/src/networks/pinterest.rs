//! Pinterest at `/pinterest`: consent, boards, pins and videos of API v5, as its public description states them. Every
//! pin needs a board and a picture or video; the same pin twice is two pins.
//!
//! What it punishes, as the real one does: blanks between scopes, an exchange that does not ask for a continuous refresh
//! token, a refresh token used twice, empty texts, a video without a cover, a form whose file does not come last. Apps on
//! trial may not make pins.

mod auth;
mod boards;
mod media;
mod pins;
mod rest;
mod source;

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{delete, get, post},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Network, StandIn};
use crate::{
    accounts::{Account, DEMO_ID},
    docs::Change,
    faults::guard,
    limits::{self, Bucket, Per, Verdict},
    pages,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

pub(crate) struct Pinterest;

const NETWORK: Network = Network::Pinterest;

/// Per minute, user and app, by category of the call.
const WRITES: &[Bucket] = &[Bucket::new("pinterest.org_write", 100, 60, 1, Per::Account)];
const READS: &[Bucket] = &[Bucket::new("pinterest.org_read", 1000, 60, 1, Per::Account)];

impl StandIn for Pinterest {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Pinterest"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        let read = |methods| on(Op::Read, READS, methods);
        Router::new()
            .route("/oauth/", on(Op::Authorize, &[], auth::page()))
            .route("/v5/oauth/token", on(Op::Token, &[], post(auth::token)))
            .route("/v5/user_account", read(get(boards::user_account)))
            .route("/v5/boards", read(get(boards::list)))
            .route("/v5/boards/{board}/pins", read(get(pins::of_board)))
            .route("/v5/boards/{board}/sections", read(get(boards::sections)))
            .route("/v5/boards/{board}/sections/{section}/pins", read(get(pins::of_section)))
            .route("/v5/media", on(Op::MediaUpload, WRITES, post(media::register)))
            .route("/v5/media/{id}", read(get(media::status)))
            .route("/pinterest-media-upload/", on(Op::MediaUpload, &[], post(media::upload)))
            .route("/v5/pins", on(Op::Publish, WRITES, post(pins::create)).merge(read(get(pins::own))))
            .route("/v5/pins/{pin}", read(get(pins::pin)).merge(on(Op::Delete, WRITES, delete(pins::remove))))
            .route("/pin/{pin}/", get(page))
            .fallback(rest::nowhere)
    }

    fn server_error(&self) -> Response {
        let body = json!({"code": 0, "message": "Something went wrong on our end. Sorry about that."});
        web::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        let body = json!({"code": 8, "message": "You have exceeded your rate limit. Try again later."});
        web::json(StatusCode::TOO_MANY_REQUESTS, &body)
    }

    /// The reset is told in seconds from now.
    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        let now_ms = crate::clock::true_now_ms();
        let reset_s = (verdict.reset_ms - now_ms).clamp(0, verdict.window_s as i64 * 1000) / 1000 + 1;
        let Verdict { limit, window_s, .. } = verdict;
        limits::set(
            headers,
            "x-ratelimit-limit",
            format!("{limit}, {limit};w={window_s};name=\"safety_net_app\""),
        );
        limits::set(headers, "x-ratelimit-remaining", verdict.remaining);
        limits::set(headers, "x-ratelimit-reset", reset_s);
    }

    fn throttle(&self) -> (u64, u64) {
        (100, 60)
    }

    fn begin(&self) -> Vec<Change> {
        let mut changes = self.account(DEMO_ID, "demo", "Demo", 0);
        changes.push(auth::trial_app());
        changes
    }

    /// An account with two boards that everybody sees, the first with a section, and a secret one.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let mut changes = Account::new(id.to_string(), handle, display_name, created_ms).changes();
        changes.extend(boards::of_account(id, handle, created_ms));
        changes
    }

    fn credentials(&self, world: &World, account: &Account) -> Value {
        let boards: Vec<Value> = boards::held(world, &account.handle)
            .map(|board| json!({"id": board.id, "name": board.name, "sections": board.sections}))
            .collect();
        json!({"boards": boards})
    }
}

/// The page of a pin.
async fn page(State(ctx): State<Ctx>, Path(pin): Path<String>) -> Response {
    let account = ctx.world().ledger.find(NETWORK, &pin).map(|entry| entry.account.clone());
    match account.and_then(|account| pages::post(&ctx, NETWORK, &pin, &account)) {
        Some(page) => web::html(StatusCode::OK, page),
        None => web::html(StatusCode::NOT_FOUND, pages::missing("This Pin is not here.")),
    }
}

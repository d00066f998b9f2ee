//! LinkedIn at `/linkedin`: consent, the versioned REST API for posts, pictures, videos and comments, for members and
//! for the organizations they administer.
//!
//! What it punishes, as the real one does: a call without a version; an unescaped reserved character, at which the text
//! is cut without a word; the same text twice; reads of a member's own posts, which are closed; a part of a video under
//! another's name. The id of a post stands in a header of an empty answer and nowhere else.

mod auth;
mod media;
mod organizations;
mod posts;
mod rest;
mod social;
mod text;

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{delete, get, post, put},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Network, StandIn};
use crate::{
    accounts::{Account, DEMO_ID},
    docs::Change,
    faults::guard,
    limits::{Bucket, Per, Verdict},
    pages,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

pub(crate) struct Linkedin;

const NETWORK: Network = Network::Linkedin;

/// The numbers are unpublished; portals of developers commonly show this one for creating posts.
const POSTS: &[Bucket] = &[Bucket::new("linkedin.posts", 150, 86_400, 1, Per::Account)];

impl StandIn for Linkedin {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "LinkedIn"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, methods| guard(ctx, NETWORK, operation, &[], methods);
        let publish = |methods| guard(ctx, NETWORK, Op::Publish, POSTS, methods);
        Router::new()
            .route("/oauth/v2/authorization", on(Op::Authorize, auth::page(ctx)))
            .route("/oauth/v2/accessToken", on(Op::Token, post(auth::token)))
            .route("/oauth/v2/revoke", on(Op::Revoke, post(auth::revoke)))
            .route("/v2/userinfo", on(Op::Read, get(auth::userinfo)))
            .route("/rest/organizationAcls", on(Op::Read, get(organizations::roles)))
            .route("/rest/organizations/{id}", on(Op::Read, get(organizations::organization)))
            .route(
                "/rest/organizationalEntityShareStatistics",
                on(Op::Read, get(organizations::share_statistics)),
            )
            .route("/rest/images", on(Op::MediaUpload, post(media::images)))
            .route("/rest/images/{urn}", on(Op::Read, get(media::image)))
            .route("/rest/videos", on(Op::MediaUpload, post(media::videos)))
            .route("/rest/videos/{urn}", on(Op::Read, get(media::video)))
            .route("/dms-uploads/{secret}/{part}", on(Op::MediaUpload, put(media::upload)))
            .route("/rest/posts", publish(post(posts::create)).merge(on(Op::Read, get(posts::find))))
            .route(
                "/rest/posts/{urn}",
                on(Op::Read, get(posts::read)).merge(on(Op::Delete, delete(posts::remove))),
            )
            .route("/rest/socialActions/{urn}", on(Op::Read, get(social::summary)))
            .route(
                "/rest/socialActions/{urn}/comments",
                publish(post(social::comment)).merge(on(Op::Read, get(social::comments))),
            )
            .route("/rest/socialActions/{urn}/comments/{id}", on(Op::Delete, delete(social::remove)))
            .route("/feed/update/{urn}/", get(page))
            .fallback(rest::nowhere)
    }

    fn server_error(&self) -> Response {
        web::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({"status": 500, "message": "Internal Server Error"}),
        )
    }

    /// No header tells of limits, nor of when to come back.
    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        let message = "Resource level throttle MEMBER DAY limit for calls to this resource is reached.";
        let body =
            json!({"status": 429, "serviceErrorCode": 101, "code": "TOO_MANY_REQUESTS", "message": message});
        web::json(StatusCode::TOO_MANY_REQUESTS, &body)
    }

    fn throttle(&self) -> (u64, u64) {
        (150, 86_400)
    }

    fn begin(&self) -> Vec<Change> {
        let mut changes = self.account(DEMO_ID, "demo", "Demo", 0);
        changes.push(auth::share_app());
        changes
    }

    /// A member, and the organizations with the member's role in each: two that may be posted for, one that may not.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let mut changes = Account::new(auth::subject(id), handle, display_name, created_ms).changes();
        changes.extend(organizations::of_account(id, handle, display_name));
        changes
    }

    fn credentials(&self, world: &World, account: &Account) -> Value {
        let organizations: Vec<Value> = organizations::held(world, &account.handle)
            .map(|(organization, role)| {
                json!({"urn": organization.urn(), "vanity_name": organization.vanity, "role": role})
            })
            .collect();
        json!({"person": format!("urn:li:person:{}", account.id), "organizations": organizations})
    }
}

/// The page of a post.
async fn page(State(ctx): State<Ctx>, Path(urn): Path<String>) -> Response {
    let account = ctx.world().ledger.find(NETWORK, &urn).map(|entry| entry.account.clone());
    match account.and_then(|account| pages::post(&ctx, NETWORK, &urn, &account)) {
        Some(page) => web::html(StatusCode::OK, page),
        None => web::html(StatusCode::NOT_FOUND, pages::missing("This post cannot be displayed.")),
    }
}

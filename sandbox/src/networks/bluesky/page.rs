//! The pages a person sees: a profile and a post.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::state::POSTS;
use crate::{networks::Network, pages, web::html, world::Ctx};

pub(crate) async fn profile(State(ctx): State<Ctx>, Path(actor): Path<String>) -> Response {
    let found = ctx.world().bluesky.actor(&actor).map(|a| (a.handle.clone(), a.display_name.clone()));
    match found {
        Some((handle, name)) => html(StatusCode::OK, pages::profile(&ctx, Network::Bluesky, &handle, &name)),
        None => html(StatusCode::NOT_FOUND, pages::missing("There is no such account here.")),
    }
}

pub(crate) async fn post(State(ctx): State<Ctx>, Path((actor, rkey)): Path<(String, String)>) -> Response {
    let found = ctx.world().bluesky.actor(&actor).map(|a| (a.did.clone(), a.handle.clone()));
    let page = found.and_then(|(did, handle)| {
        pages::post(&ctx, Network::Bluesky, &format!("at://{did}/{POSTS}/{rkey}"), &handle)
    });
    match page {
        Some(page) => html(StatusCode::OK, page),
        None => {
            html(StatusCode::NOT_FOUND, pages::missing("This post is not here. It may have been deleted."))
        }
    }
}

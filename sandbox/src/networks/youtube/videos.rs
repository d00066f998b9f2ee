//! Videos by id: read, changed, deleted.

use axum::{Extension, extract::State, response::IntoResponse};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    Answer, NETWORK, Refusal, holder, ok,
    state::{Meta, Video},
    thumbnails,
};
use crate::{
    docs::{Change, padded},
    params::Params,
    script::Quirks,
    world::{Ctx, World},
};

const READ: [&str; 3] = ["youtube.readonly", "youtube", "youtube.force-ssl"];
const WRITE: [&str; 2] = ["youtube", "youtube.force-ssl"];

pub(super) async fn list(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &ctx, &headers, &READ)?;
    let parts = params.present("part").ok_or_else(|| Refusal::missing("part"))?;
    let ids = params.present("id").ok_or_else(|| Refusal::missing("id, chart, myRating"))?;
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > 50 {
        let message = "The request specifies an invalid filter parameter: at most 50 ids.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "youtube.parameter", "invalidFilters", message));
    }
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let found = ids.iter().filter_map(|id| docs.get::<Video>(NETWORK, "post", id.trim()));
    let visible = found.filter(|video| video.account == token.account || video.meta.privacy != "private");
    let items: Vec<Value> = visible
        .map(|video| {
            let mut told = video.told(&world, &parts, ctx.now_ms());
            if let (Some(sha256), true) = (&video.thumbnail, told["snippet"].is_object()) {
                told["snippet"]["thumbnails"] = thumbnails::sizes(&ctx, sha256);
            }
            told
        })
        .collect();
    let page = json!({"totalResults": items.len(), "resultsPerPage": items.len()});
    Ok(ok(&json!({"kind": "youtube#videoListResponse", "items": items, "pageInfo": page})))
}

/// The parts that were sent replace the video's own; what they leave out is gone.
pub(super) async fn update(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &WRITE)?;
    let parts = params.text("part").unwrap_or_default();
    let video = own(&world, &params.text("id").unwrap_or_default(), &token.account)?;
    let mut body = Value::Object(params.fields().clone());
    let has = |name: &str| parts.split(',').any(|part| part == name);
    if has("snippet") && body.pointer("/snippet/categoryId").is_none() {
        let message = "The snippet.categoryId property specifies an invalid category ID.";
        return Err(Refusal::bad("invalidCategoryId", message));
    }
    if !has("snippet") {
        body["snippet"] = json!({
            "title": video.meta.title, "description": video.meta.description, "tags": video.meta.tags,
            "categoryId": video.meta.category,
        });
    }
    let mut meta = Meta::read(&body)?;
    if !has("status") {
        meta = Meta {
            title: meta.title,
            description: meta.description,
            tags: meta.tags,
            category: meta.category,
            ..video.meta.clone()
        };
    }
    let video = Video { meta, ..video };
    world.keep(NETWORK, vec![Change::put("post", &video.id, &video)])?;
    Ok(ok(&video.told(&world, &parts, ctx.now_ms())))
}

pub(super) async fn remove(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &WRITE)?;
    let video = own(&world, &params.text("id").unwrap_or_default(), &token.account)?;
    let place = format!("{}|{}", video.account, padded(video.number));
    world.keep(NETWORK, vec![Change::remove("post", &video.id), Change::remove("post_of", place)])?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The account's own video.
fn own(world: &World, id: &str, account: &str) -> Result<Video, Refusal> {
    let video: Video = world.docs.get(NETWORK, "post", id).ok_or_else(Refusal::no_video)?;
    if video.account == account {
        Ok(video)
    } else {
        Err(Refusal::forbidden("The request is not properly authorized to change the video."))
    }
}

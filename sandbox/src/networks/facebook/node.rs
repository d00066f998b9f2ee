//! Single objects by their id: reading, publishing a draft, editing, deleting, counting.

use axum::{
    extract::{FromRequest, Path, Request, State},
    response::IntoResponse,
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    NETWORK, Page, Photo, Post, Video, auth,
    graph::{self, Refusal},
    own_page,
    posts::{self, WRITE, entry, files},
    shown, video,
};
use crate::{
    docs::Change,
    networks::graph::Answer,
    params::Params,
    script::{NOW, Quirks},
    web::RequestId,
    world::Ctx,
};

/// `GET /{id}`.
pub(super) async fn show(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    axum::Extension(quirks): axum::Extension<Quirks>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    if id.starts_with("upload:") {
        return video::upload_offset(&world, &id);
    }
    if let Some(page) = world.docs.get::<Page>(NETWORK, "page", &id) {
        let fields = graph::fields(&params, "id,name");
        let asks = fields.iter().any(|name| name == "access_token");
        let may = page.owner == token.account && page.tasks.iter().any(|task| task == "CREATE_CONTENT");
        let secret =
            if asks && may { Some(auth::page_token(&ctx, &mut world, &token, &page)?) } else { None };
        return Ok(graph::ok(&graph::project(
            &auth::shown(&ctx, &page, secret.as_deref()),
            &fields,
            "Page",
        )?));
    }
    super::covered(&token, &["pages_read_engagement"])?;
    let docs = world.docs.at(quirks.as_of(now_ms));
    if let Some(found) = world.docs.get::<Video>(NETWORK, "video", &id) {
        let fields = graph::fields(&params, "id,description,created_time");
        return Ok(graph::ok(&graph::project(&video::node(&found, now_ms), &fields, "Video")?));
    }
    if let Some(photo) = world.docs.get::<Photo>(NETWORK, "photo", &id) {
        let node = json!({ "id": photo.id, "alt_text": photo.alt, "page_story_id": photo.used_in });
        return Ok(graph::ok(&graph::project(&node, &graph::fields(&params, "id"), "Photo")?));
    }
    // A draft is shown to its own Page.
    let draft =
        || docs.get::<Post>(NETWORK, "post", &id).filter(|post| !post.published && post.video.is_none());
    let post = shown(docs, &id, now_ms).or_else(draft).ok_or_else(|| Refusal::missing(&id, "get"))?;
    let mut node = posts::node(&world, docs, &post);
    let fields = match post.kind.as_str() {
        "comment" => graph::fields(&params, "id,message,created_time,from"),
        _ => graph::fields(&params, "id,message,created_time"),
    };
    let object = node.as_object_mut().expect("a post is an object");
    let (kind, absent): (&str, &[&str]) = match post.kind.as_str() {
        "comment" => ("Comment", &["shares", "is_published", "attachments"]),
        "story" => ("Story", &["shares", "like_count", "comment_count"]),
        _ => ("Post", &["like_count", "comment_count"]),
    };
    for name in absent {
        object.remove(*name);
    }
    Ok(graph::ok(&graph::project(&node, &fields, kind)?))
}

/// `POST /{id}`: publishes a draft, edits a text, or takes the bytes of an upload.
pub(super) async fn change(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    axum::Extension(RequestId(request_id)): axum::Extension<RequestId>,
    request: Request,
) -> Answer {
    if id.starts_with("upload:") {
        let bytes = Bytes::from_request(request, &()).await.map_err(|_| Refusal::parameter("unreadable"))?;
        return video::receive_upload(&ctx, &headers, &id, bytes).await;
    }
    let params = match Params::from_request(request, &()).await {
        Ok(params) => params,
        Err(answer) => return Ok(answer.into_response()),
    };
    let mut world = ctx.world();
    let post: Option<Post> = world.docs.get(NETWORK, "post", &id);
    let mut post = post.ok_or_else(|| Refusal::missing(&id, "post"))?;
    let page = own_page(&ctx, &world, &headers, &params, &post.page, WRITE)?;
    let mut seen = None;
    if params.truth("is_published") && !post.published {
        (post.published, post.created_ms, post.visible_ms) = (true, ctx.now_ms(), ctx.now_ms());
        let photos: Vec<Photo> =
            post.photos.iter().filter_map(|id| world.docs.get(NETWORK, "photo", id)).collect();
        seen = Some(entry(&post, &page, files(&photos), &request_id));
    }
    if let Some(message) = params.text("message") {
        post.message = message;
    }
    world.show(NETWORK, vec![Change::put("post", &id, &post)], seen.into_iter().collect())?;
    Ok(auth::success())
}

/// `DELETE /{id}`.
pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let by_video: Option<Video> = world.docs.get(NETWORK, "video", &id);
    let key = by_video
        .and_then(|video| video.post.map(|number| format!("{}_{number}", video.page)))
        .unwrap_or_else(|| id.clone());
    let post: Option<Post> = world.docs.get(NETWORK, "post", &key);
    let missing = || Refusal::missing(&id, "delete");
    let page = match &post {
        Some(post) => post.page.clone(),
        None => world.docs.get::<Photo>(NETWORK, "photo", &id).ok_or_else(missing)?.page,
    };
    own_page(&ctx, &world, &headers, &params, &page, WRITE)?;
    let change = if post.is_some() { Change::remove("post", key) } else { Change::remove("photo", id) };
    world.keep(NETWORK, vec![change])?;
    Ok(auth::success())
}

/// `GET /{id}/insights`: a metric that there is not fails the whole call; those of `impressions` are gone.
pub(super) async fn insights(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    super::covered(&token, &["read_insights"])?;
    shown(world.docs.at(NOW), &id, ctx.now_ms()).ok_or_else(|| Refusal::missing(&id, "get"))?;
    let counts = world.counts(NETWORK, &id).unwrap_or_default();
    let metrics = params.present("metric").unwrap_or_default();
    let mut data = Vec::new();
    for name in metrics.split(',').map(str::trim) {
        let value = match name {
            "post_total_media_view_unique" => json!(counts.likes * 10 + counts.replies),
            "post_clicks" => json!(counts.replies),
            "post_reactions_by_type_total" => json!({ "like": counts.likes }),
            "post_clicks_by_type" => json!({ "other clicks": counts.replies }),
            _ => return Err(Refusal::parameter("The value must be a valid insights metric")),
        };
        data.push(json!({
            "name": name, "period": "lifetime", "values": [{ "value": value }], "title": name,
            "id": format!("{id}/insights/{name}/lifetime"),
        }));
    }
    Ok(graph::ok(&json!({ "data": Value::Array(data) })))
}

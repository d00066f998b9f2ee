//! Single objects by their id: reading, publishing a draft, editing, deleting, counting.

use axum::{
    extract::{FromRequest, Path, Request, State},
    response::IntoResponse,
};
use bytes::Bytes;
use serde_json::json;

use super::{
    NETWORK, Page, Photo, Post, Video, auth,
    graph::{self, Refusal},
    own_page,
    posts::{self, WRITE, entry, files},
    shown, upload, video,
};
use crate::{
    docs::Change,
    networks::graph::{Answer, Ask},
    script::NOW,
    world::Ctx,
};

/// `GET /{id}`.
pub(super) async fn show(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let now_ms = ask.now_ms();
    let token = ask.token(&world, NETWORK)?;
    let id = ask.id.as_str();
    if id.starts_with("upload:") {
        return upload::offset(&world, id);
    }
    if let Some(page) = world.docs.get::<Page>(NETWORK, "page", id) {
        let may = page.owner == token.account && page.tasks.iter().any(|task| task == "CREATE_CONTENT");
        let secret = if may && ask.wants("access_token") {
            Some(auth::page_token(&ask.ctx, &mut world, &token, &page)?)
        } else {
            None
        };
        return ask.node(&auth::shown(&ask.ctx, &page, secret.as_deref()), "id,name", "Page");
    }
    super::covered(&token, &["pages_read_engagement"])?;
    let docs = ask.docs(&world);
    if let Some(found) = world.docs.get::<Video>(NETWORK, "video", id) {
        return ask.node(&video::node(&found, now_ms), "id,description,created_time", "Video");
    }
    if let Some(photo) = world.docs.get::<Photo>(NETWORK, "photo", id) {
        let node = json!({ "id": photo.id, "alt_text": photo.alt, "page_story_id": photo.used_in });
        return ask.node(&node, "id", "Photo");
    }
    // A draft is shown to its own Page.
    let draft =
        || docs.get::<Post>(NETWORK, "post", id).filter(|post| !post.published && post.video.is_none());
    let post = shown(docs, id, now_ms).or_else(draft).ok_or_else(|| Refusal::missing(id, "get"))?;
    let mut node = posts::node(&world, docs, &post);
    let object = node.as_object_mut().expect("a post is an object");
    let (kind, untold, absent): (&str, &str, &[&str]) = match post.kind.as_str() {
        "comment" => ("Comment", "id,message,created_time,from", &["shares", "is_published", "attachments"]),
        "story" => ("Story", "id,message,created_time", &["shares", "like_count", "comment_count"]),
        _ => ("Post", "id,message,created_time", &["like_count", "comment_count"]),
    };
    for name in absent {
        object.remove(*name);
    }
    ask.node(&node, untold, kind)
}

/// `POST /{id}`: publishes a draft, edits a text, or takes the bytes of an upload.
pub(super) async fn change(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    request: Request,
) -> Answer {
    if id.starts_with("upload:") {
        let headers = request.headers().clone();
        let bytes = Bytes::from_request(request, &()).await.map_err(|_| Refusal::parameter("unreadable"))?;
        return upload::receive_file(&ctx, &headers, &id, bytes).await;
    }
    let ask = match Ask::from_request(request, &ctx).await {
        Ok(ask) => ask,
        Err(answer) => return Ok(answer.into_response()),
    };
    let mut world = ctx.world();
    let post: Option<Post> = world.docs.get(NETWORK, "post", &id);
    let mut post = post.ok_or_else(|| Refusal::missing(&id, "post"))?;
    let page = own_page(&ask, &world, &post.page, WRITE)?;
    let mut seen = None;
    if ask.params.truth("is_published") && !post.published {
        (post.published, post.created_ms, post.visible_ms) = (true, ask.now_ms(), ask.now_ms());
        let photos: Vec<Photo> =
            post.photos.iter().filter_map(|id| world.docs.get(NETWORK, "photo", id)).collect();
        seen = Some(entry(&post, &page, files(&photos), &ask.request));
    }
    if let Some(message) = ask.params.text("message") {
        post.message = message;
    }
    world.show(NETWORK, vec![Change::put("post", &id, &post)], seen.into_iter().collect())?;
    Ok(graph::success())
}

/// `DELETE /{id}`.
pub(super) async fn remove(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let by_video: Option<Video> = world.docs.get(NETWORK, "video", &ask.id);
    let key = by_video
        .and_then(|video| video.post.map(|number| format!("{}_{number}", video.page)))
        .unwrap_or_else(|| ask.id.clone());
    let post: Option<Post> = world.docs.get(NETWORK, "post", &key);
    let missing = || Refusal::missing(&ask.id, "delete");
    let page = match &post {
        Some(post) => post.page.clone(),
        None => world.docs.get::<Photo>(NETWORK, "photo", &ask.id).ok_or_else(missing)?.page,
    };
    own_page(&ask, &world, &page, WRITE)?;
    let change = if post.is_some() { Change::remove("post", key) } else { Change::remove("photo", &ask.id) };
    world.keep(NETWORK, vec![change])?;
    Ok(graph::success())
}

/// `GET /{id}/insights`; those of `impressions` are gone.
pub(super) async fn insights(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    super::covered(&ask.token(&world, NETWORK)?, &["read_insights"])?;
    shown(world.docs.at(NOW), &ask.id, ask.now_ms()).ok_or_else(|| Refusal::missing(&ask.id, "get"))?;
    let counts = world.counts(NETWORK, &ask.id).unwrap_or_default();
    graph::insights(&ask.id, &ask.params, |name| match name {
        "post_total_media_view_unique" => Ok(json!(counts.likes * 10 + counts.replies)),
        "post_clicks" => Ok(json!(counts.replies)),
        "post_reactions_by_type_total" => Ok(json!({ "like": counts.likes })),
        "post_clicks_by_type" => Ok(json!({ "other clicks": counts.replies })),
        _ => Err(Refusal::parameter("The value must be a valid insights metric")),
    })
}

//! Reading: who somebody is and what they may do, what became of a publish id, and public posts with their counts.

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    NETWORK,
    state::{Task, holder, privacy_options, trouble},
    words::{Answer, Refusal, ok},
};
use crate::{
    accounts::Account,
    params::Params,
    world::{Ctx, World},
};

const POSTING: &[&str] = &["video.publish", "video.upload"];

/// `GET /v2/user/info/`: only what is asked for by name.
pub(super) async fn user(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let (token, account) = holder(&ctx, &world, &headers, &["user.info.basic"])?;
    let fields = fields(&params)?;
    let profile = ["username", "bio_description", "profile_deep_link", "is_verified"];
    let wants_profile = fields.iter().any(|field| profile.contains(&field.as_str()));
    if wants_profile && !token.covers("user.info.profile") {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "scope_not_authorized"));
    }
    let all = json!({
        "open_id": account.id,
        "union_id": format!("union{}", account.id),
        "avatar_url": format!("https://p16.example/{}.jpeg", account.handle),
        "display_name": account.display_name,
        "username": account.handle,
        "bio_description": "",
    });
    Ok(ok(&json!({ "user": picked(&all, &fields) })))
}

/// `POST /v2/post/publish/creator_info/query/`. Some refusals come with a status that says that all is well.
pub(super) async fn creator(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let (_, account) = holder(&ctx, &world, &headers, &["video.publish"])?;
    if let Some(code) = trouble(&ctx, &world, &account.handle, "video") {
        return Err(Refusal::new(StatusCode::OK, code));
    }
    Ok(ok(&json!({
        "creator_avatar_url": format!("https://p16.example/{}.jpeg", account.handle),
        "creator_username": account.handle,
        "creator_nickname": account.display_name,
        "privacy_level_options": privacy_options(&account.handle),
        "comment_disabled": false,
        "duet_disabled": account.handle.starts_with("private"),
        "stitch_disabled": account.handle.starts_with("private"),
        "max_video_post_duration_sec": 600,
    })))
}

/// `POST /v2/post/publish/status/fetch/`.
pub(super) async fn status(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let (_, account) = holder(&ctx, &world, &headers, POSTING)?;
    let id = params.present("publish_id").unwrap_or_default();
    let task: Option<Task> = world.docs.get(NETWORK, "task", &id);
    let task = task.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "invalid_publish_id"))?;
    if task.account != account.handle {
        let code = "token_not_authorized_for_specified_publish_id";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, code));
    }
    let now_ms = ctx.now_ms();
    let status = task.status(now_ms);
    let mut told = json!({ "status": status });
    told[if task.pulls { "downloaded_bytes" } else { "uploaded_bytes" }] = json!(task.bytes);
    if status == "FAILED" {
        told["fail_reason"] = json!(task.problem);
    }
    if task.is_public(now_ms) {
        told["publicaly_available_post_id"] = json!([task.post_id]);
    }
    Ok(ok(&told))
}

/// `POST /v2/post/publish/cancel/`: by the time it is asked for, everything has been pulled.
pub(super) async fn cancel(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    holder(&ctx, &ctx.world(), &headers, POSTING)?;
    Err(Refusal::new(StatusCode::BAD_REQUEST, "publish_not_cancellable"))
}

/// `POST /v2/video/list/`: public posts, the newest first.
pub(super) async fn list(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let (_, account) = holder(&ctx, &world, &headers, &["video.list"])?;
    let fields = fields(&params)?;
    let most = params.number("max_count").unwrap_or(10).clamp(1, 20) as usize;
    let before_ms = params.number("cursor").filter(|cursor| *cursor > 0).unwrap_or(i64::MAX);
    let ids = world.docs.range::<String>(NETWORK, "post_of", &format!("{}|", account.handle)).rev();
    let posts = ids.filter_map(|(_, id)| world.docs.get::<Task>(NETWORK, "task", &id));
    let mut posts = posts.filter(|post| post.is_public(ctx.now_ms()) && post.created_ms < before_ms);
    let page: Vec<Task> = posts.by_ref().take(most).collect();
    let videos: Vec<Value> =
        page.iter().map(|post| picked(&entity(&world, &account, post), &fields)).collect();
    let cursor = page.last().map_or(0, |post| post.created_ms);
    Ok(ok(&json!({ "videos": videos, "cursor": cursor, "has_more": posts.next().is_some() })))
}

/// `POST /v2/video/query/`: what is not there, or not one's own, is left out.
pub(super) async fn query(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let (_, account) = holder(&ctx, &world, &headers, &["video.list"])?;
    let fields = fields(&params)?;
    let filters = params.get("filters").cloned().unwrap_or_default();
    let ids = filters["video_ids"].as_array().cloned().unwrap_or_default();
    if ids.is_empty() || ids.len() > 20 || !ids.iter().all(Value::is_string) {
        return Err(Refusal::params("filters.video_ids is invalid"));
    }
    let mut videos = Vec::new();
    for id in ids.iter().filter_map(Value::as_str) {
        let publish_id: Option<String> = world.docs.get(NETWORK, "post_number", id);
        let post = publish_id.and_then(|id| world.docs.get::<Task>(NETWORK, "task", &id));
        if let Some(post) = post.filter(|post| post.account == account.handle && post.is_public(ctx.now_ms()))
        {
            videos.push(picked(&entity(&world, &account, &post), &fields));
        }
    }
    Ok(ok(&json!({ "videos": videos })))
}

fn entity(world: &World, account: &Account, post: &Task) -> Value {
    let counts = world.counts(NETWORK, &post.publish_id).unwrap_or_default();
    let kind = if post.kind == "photo" { "photo" } else { "video" };
    let id = post.post_id.to_string();
    let share_url = format!("https://www.tiktok.com/@{}/{kind}/{id}", account.handle);
    let text = if post.description.is_empty() { &post.title } else { &post.description };
    json!({
        "id": id,
        "create_time": post.created_ms / 1000,
        "share_url": share_url,
        "title": post.title,
        "video_description": text,
        "duration": 1,
        "view_count": (counts.likes + counts.reposts + counts.replies) * 10,
        "like_count": counts.likes,
        "comment_count": counts.replies,
        "share_count": counts.reposts,
    })
}

/// The fields asked for, which must be named.
fn fields(params: &Params) -> Result<Vec<String>, Refusal> {
    let fields = params.present("fields").ok_or_else(|| Refusal::params("fields is required"))?;
    Ok(fields.split(',').map(|field| field.trim().to_owned()).collect())
}

fn picked(all: &Value, fields: &[String]) -> Value {
    let Value::Object(all) = all else { return Value::Null };
    let wanted =
        |(name, value): (&String, &Value)| fields.contains(name).then(|| (name.clone(), value.clone()));
    Value::Object(all.iter().filter_map(wanted).collect::<Map<_, _>>())
}

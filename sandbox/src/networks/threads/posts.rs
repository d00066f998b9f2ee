//! Reading posts and containers, the quota, the counts, and deleting.

use axum::{
    Extension,
    extract::{Path, State},
};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{
    NETWORK,
    state::{Container, Post, account, holder, is_me, key_of, permalink},
    words::{Answer, Refusal, ok},
};
use crate::{
    accounts::Account,
    docs::Change,
    params::Params,
    script::Quirks,
    world::{Ctx, World},
};

const DAY_MS: i64 = 86_400_000;

/// `GET /{id}`: the account, a container or a post. Posts have no `status`.
pub(super) async fn object(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = holder(&ctx, &world, &headers, &params, "threads_basic")?;
    let account = account(&world, &token)?;
    let fields = fields(&params);
    if is_me(&account, &id) {
        return Ok(ok(&picked(&profile(&account), &fields)));
    }
    let own = |owner: &str| owner == account.handle;
    let container = world.docs.get::<Container>(NETWORK, "container", &id).filter(|c| own(&c.account));
    if let Some(container) = container {
        let status = container.status(ctx.now_ms());
        let mut told = json!({ "id": container.id, "status": status });
        if status == "ERROR" {
            told["error_message"] = json!(container.problem);
        }
        return Ok(ok(&picked(&told, &fields)));
    }
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let post = docs.get::<Post>(NETWORK, "post", &id).filter(|post| own(&post.account));
    let post = post.ok_or_else(|| Refusal::missing(&id))?;
    if fields.iter().any(|field| field == "status") {
        return Err(Refusal::field("status"));
    }
    Ok(ok(&picked(&entity(&ctx, &account, &post), &fields)))
}

/// `GET /{user}/threads`: posts of one's own, without replies, the newest first.
pub(super) async fn listing(
    State(ctx): State<Ctx>,
    Path(user): Path<String>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    list(&ctx, &user, &headers, quirks, &params, ("post_of", "threads_basic"))
}

/// `GET /{user}/replies`: one's own replies, the newest first.
pub(super) async fn replies(
    State(ctx): State<Ctx>,
    Path(user): Path<String>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    list(&ctx, &user, &headers, quirks, &params, ("post_reply_of", "threads_read_replies"))
}

fn list(
    ctx: &Ctx,
    user: &str,
    headers: &HeaderMap,
    quirks: Quirks,
    params: &Params,
    (kind, scope): (&str, &str),
) -> Answer {
    let world = ctx.world();
    let token = holder(ctx, &world, headers, params, scope)?;
    let account = account(&world, &token)?;
    if !is_me(&account, user) {
        return Err(Refusal::missing(user));
    }
    let fields = fields(params);
    let limit = params.number("limit").unwrap_or(25).clamp(1, 100) as usize;
    let since_ms = params.number("since").unwrap_or(0) * 1000;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let ids = docs.range::<String>(NETWORK, kind, &format!("{}|", account.handle)).rev();
    let posts = ids.filter_map(|(_, id)| docs.get::<Post>(NETWORK, "post", &id));
    let posts = posts.take_while(|post| post.created_ms >= since_ms).take(limit);
    let data: Vec<Value> = posts.map(|post| picked(&entity(ctx, &account, &post), &fields)).collect();
    Ok(ok(&json!({ "data": data })))
}

/// `GET /{user}/threads_publishing_limit`.
pub(super) async fn quota(
    State(ctx): State<Ctx>,
    Path(user): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = holder(&ctx, &world, &headers, &params, "threads_content_publish")?;
    let account = account(&world, &token)?;
    if !is_me(&account, &user) {
        return Err(Refusal::missing(&user));
    }
    let (posts, replies) = used(&world, &account.handle, ctx.now_ms());
    let all = json!({
        "quota_usage": posts,
        "config": { "quota_total": 250, "quota_duration": 86_400 },
        "reply_quota_usage": replies,
        "reply_config": { "quota_total": 1000, "quota_duration": 86_400 },
    });
    let mut told = picked(&all, &fields(&params));
    if let Some(told) = told.as_object_mut() {
        told.remove("id");
    }
    Ok(ok(&json!({ "data": [told] })))
}

/// Posts and replies of the last day, deleted ones not counted.
pub(super) fn used(world: &World, handle: &str, now_ms: i64) -> (usize, usize) {
    let count = |kind: &str| {
        let ids = world.docs.range::<String>(NETWORK, kind, &format!("{handle}|")).rev();
        let posts = ids.filter_map(|(_, id)| world.docs.get::<Post>(NETWORK, "post", &id));
        posts.take_while(|post| now_ms - post.created_ms < DAY_MS).count()
    };
    (count("post_of"), count("post_reply_of"))
}

/// `GET /{media}/insights`.
pub(super) async fn insights(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = holder(&ctx, &world, &headers, &params, "threads_manage_insights")?;
    let post = world.docs.get::<Post>(NETWORK, "post", &id).filter(|post| post.account == token.account);
    let counts = post.and_then(|_| world.counts(NETWORK, &id)).ok_or_else(|| Refusal::missing(&id))?;
    let wanted = params.present("metric").unwrap_or_default();
    let views = (counts.likes + counts.reposts + counts.replies) * 10;
    let value = |name: &str| match name {
        "views" => Some(views),
        "likes" => Some(counts.likes),
        "replies" => Some(counts.replies),
        "reposts" => Some(counts.reposts),
        "quotes" | "shares" => Some(0),
        _ => None,
    };
    let mut data = Vec::new();
    for name in wanted.split(',').map(str::trim) {
        let value = value(name).ok_or_else(|| {
            Refusal::parameter("(#100) metric[0] must be one of the following values: views, likes, …")
        })?;
        data.push(json!({
            "name": name,
            "period": "lifetime",
            "values": [{ "value": value }],
            "title": name,
            "description": "",
            "id": format!("{id}/insights/{name}/lifetime"),
        }));
    }
    Ok(ok(&json!({ "data": data })))
}

/// `DELETE /{media}`.
pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&ctx, &world, &headers, &params, "threads_delete")?;
    let post = world.docs.get::<Post>(NETWORK, "post", &id).filter(|post| post.account == token.account);
    let post = post.ok_or_else(|| Refusal::missing(&id))?;
    let key = key_of(&post.account, &id);
    let changes = vec![
        Change::remove("post", &id),
        Change::remove("post_of", &key),
        Change::remove("post_reply_of", &key),
    ];
    world.keep(NETWORK, changes)?;
    Ok(ok(&json!({ "success": true, "deleted_id": id })))
}

fn fields(params: &Params) -> Vec<String> {
    let fields = params.text("fields").unwrap_or_default();
    fields.split(',').map(|field| field.trim().to_owned()).filter(|field| !field.is_empty()).collect()
}

/// The id, and what was asked for of the rest.
fn picked(all: &Value, fields: &[String]) -> Value {
    let Value::Object(all) = all else { return Value::Null };
    let wanted = |(name, value): (&String, &Value)| {
        (name == "id" || fields.contains(name)).then(|| (name.clone(), value.clone()))
    };
    Value::Object(all.iter().filter_map(wanted).collect::<Map<_, _>>())
}

fn profile(account: &Account) -> Value {
    json!({
        "id": account.id,
        "username": account.handle,
        "name": account.display_name,
        "threads_profile_picture_url": format!("https://cdn.example/{}.jpg", account.handle),
        "threads_biography": "",
    })
}

fn entity(ctx: &Ctx, account: &Account, post: &Post) -> Value {
    let time = jiff::Timestamp::from_millisecond(post.created_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut told = json!({
        "id": post.id,
        "media_product_type": "THREADS",
        "media_type": post.media_type,
        "permalink": permalink(ctx, &post.id),
        "owner": { "id": account.id },
        "username": account.handle,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        "shortcode": post.id,
        "is_quote_post": false,
    });
    if !post.text.is_empty() {
        told["text"] = json!(post.text);
    }
    if !post.topic_tag.is_empty() {
        told["topic_tag"] = json!(post.topic_tag);
    }
    if !post.children.is_empty() {
        let children: Vec<Value> = post.children.iter().map(|id| json!({ "id": id })).collect();
        told["children"] = json!({ "data": children });
    }
    if let (Some(parent), Some(root)) = (&post.reply_to, &post.root) {
        told["replied_to"] = json!({ "id": parent });
        told["root_post"] = json!({ "id": root });
        told["is_reply"] = json!(true);
    }
    told
}

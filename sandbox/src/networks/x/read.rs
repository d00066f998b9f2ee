//! Reading posts back: by id, and an account's newest first. Fields beyond id and text are answered when they are asked
//! for, by either of their names.

use std::collections::HashSet;

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Problem, holder, is_premium, not_found, ok, posts::Post};
use crate::{
    accounts, clock,
    docs::padded,
    pages,
    params::Params,
    script::Quirks,
    web,
    world::{Counts, Ctx, World},
};

const READ: [&str; 2] = ["tweet.read", "users.read"];

pub(super) async fn me(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &ctx, &headers, &READ)?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or_else(Problem::unauthorized)?;
    let mut data = json!({"id": account.id, "name": account.display_name, "username": account.handle});
    let plan = account.extra.get("subscription_type").cloned().unwrap_or(Value::Null);
    for field in params.text("user.fields").unwrap_or_default().split(',') {
        match field {
            "verified" => data["verified"] = json!(is_premium(&account)),
            "verified_type" => {
                data["verified_type"] = json!(if is_premium(&account) { "blue" } else { "none" });
            }
            "subscription_type" => data["subscription_type"] = plan.clone(),
            "profile_image_url" => {
                data["profile_image_url"] = json!("https://pbs.twimg.com/profile_images/default_normal.png");
            }
            "created_at" => data["created_at"] = json!(clock::iso_ms(account.created_ms)),
            _ => {}
        }
    }
    Ok(ok(&json!({"data": data})))
}

pub(super) async fn lookup(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    holder(&world, &ctx, &headers, &READ)?;
    let text = params.text("ids").unwrap_or_default();
    let ids: Vec<&str> = text.split(',').filter(|id| !id.is_empty()).collect();
    let is_id = |id: &&str| id.len() <= 19 && id.bytes().all(|b| b.is_ascii_digit());
    if ids.is_empty() || ids.len() > 100 || !ids.iter().all(is_id) {
        let message = "The `ids` query parameter value must be 1 to 100 ids of digits";
        return Err(Problem::invalid("ids", &text, message));
    }
    let as_of = quirks.as_of(ctx.now_ms());
    let fields = fields(&params);
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        match world.docs.at(as_of).get::<Post>(NETWORK, "post", id) {
            Some(post) => data.push(entity(&ctx, &world, &post, &fields)),
            None => errors.push(missing(id)),
        }
    }
    let mut body = json!({});
    if !data.is_empty() {
        body["data"] = json!(data);
    }
    if !errors.is_empty() {
        body["errors"] = json!(errors);
    }
    Ok(ok(&body))
}

fn missing(id: &str) -> Value {
    json!({
        "value": id,
        "detail": format!("Could not find tweet with ids: [{id}]."),
        "title": "Not Found Error",
        "resource_type": "tweet",
        "parameter": "ids",
        "resource_id": id,
        "type": "https://api.twitter.com/2/problems/resource-not-found",
    })
}

pub(super) async fn timeline(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    holder(&world, &ctx, &headers, &READ)?;
    let account = accounts::with_id(&world, NETWORK, &id)
        .ok_or_else(|| Problem::invalid("id", &id, "The `id` query parameter value is not valid"))?;
    let limit = params.number("max_results").unwrap_or(10);
    if !(5..=100).contains(&limit) {
        let message = "The `max_results` query parameter value is not between 5 and 100";
        return Err(Problem::invalid("max_results", &limit.to_string(), message));
    }
    let instant = |name: &str| -> Result<Option<i64>, Problem> {
        let Some(text) = params.present(name) else { return Ok(None) };
        let parsed = text.parse::<jiff::Timestamp>().ok().filter(|_| text.ends_with('Z'));
        let message = format!("The `{name}` query parameter value is not an RFC3339 date-time");
        parsed.map(|at| Some(at.as_millisecond())).ok_or_else(|| Problem::invalid(name, &text, &message))
    };
    let (from, until) = (instant("start_time")?, instant("end_time")?);
    let bound = |name: &str| params.present(name).and_then(|id| id.parse::<u64>().ok()).map(padded);
    let since = bound("since_id");
    let before = bound("until_id").into_iter().chain(bound("pagination_token")).min();
    let excluded = params.text("exclude").unwrap_or_default();
    let excludes_replies = excluded.split(',').any(|what| what == "replies");
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let prefix = format!("{}|", account.handle);
    let fits = |place: &str| {
        let place = &place[prefix.len()..];
        since.as_deref().is_none_or(|since| place > since) && before.as_deref().is_none_or(|end| place < end)
    };
    let mut found: Vec<Post> = docs
        .range::<String>(NETWORK, "post_of", &prefix)
        .rev()
        .filter(|(place, _)| fits(place))
        .filter_map(|(_, id)| docs.get::<Post>(NETWORK, "post", &id))
        .filter(|post| from.is_none_or(|from| post.created_ms >= from))
        .filter(|post| until.is_none_or(|until| post.created_ms < until))
        .filter(|post| !excludes_replies || post.parent.is_none())
        .take(limit as usize + 1)
        .collect();
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let fields = fields(&params);
    let mut meta = json!({"result_count": found.len()});
    if let (Some(newest), Some(oldest)) = (found.first(), found.last()) {
        meta["newest_id"] = json!(newest.id);
        meta["oldest_id"] = json!(oldest.id);
        if more {
            meta["next_token"] = json!(oldest.id);
        }
    }
    let data: Vec<Value> = found.iter().map(|post| entity(&ctx, &world, post, &fields)).collect();
    let mut body = json!({"meta": meta});
    if !data.is_empty() {
        body["data"] = json!(data);
    }
    Ok(ok(&body))
}

fn fields(params: &Params) -> HashSet<String> {
    ["tweet.fields", "post.fields"]
        .iter()
        .filter_map(|name| params.text(name))
        .flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn entity(ctx: &Ctx, world: &World, post: &Post, fields: &HashSet<String>) -> Value {
    let (text, urls) = post.shown(ctx);
    let mut told = json!({"id": post.id, "edit_history_tweet_ids": [post.id]});
    let has = |name: &str| fields.contains(name);
    // A long post shows its beginning; the whole is a field of its own.
    if post.is_long() {
        told["text"] = json!(format!("{}…", text.chars().take(270).collect::<String>()));
        if has("note_tweet") || has("note_post") {
            told["note_tweet"] = json!({"text": text, "entities": {"urls": urls}});
        }
    } else {
        told["text"] = json!(text);
    }
    if has("entities") && !urls.is_empty() {
        told["entities"] = json!({"urls": urls});
    }
    if has("created_at") {
        told["created_at"] = json!(clock::iso_ms(post.created_ms));
    }
    if has("author_id") {
        let author = accounts::named(world, NETWORK, &post.account).map(|account| account.id);
        told["author_id"] = json!(author);
    }
    if has("conversation_id") {
        told["conversation_id"] = json!(post.conversation);
    }
    if has("reply_settings") {
        told["reply_settings"] = json!(post.reply_settings);
    }
    if has("attachments") && !post.media_keys.is_empty() {
        told["attachments"] = json!({"media_keys": post.media_keys});
    }
    if (has("referenced_tweets") || has("referenced_posts"))
        && let Some(parent) = &post.parent
    {
        told["referenced_tweets"] = json!([{"type": "replied_to", "id": parent}]);
    }
    if has("public_metrics") {
        let Counts { likes, reposts, replies } = world.counts(NETWORK, &post.id).unwrap_or_default();
        told["public_metrics"] = json!({
            "retweet_count": reposts, "reply_count": replies, "like_count": likes, "quote_count": 0,
            "bookmark_count": 0, "impression_count": likes * 25,
        });
    }
    told
}

/// The page of a post.
pub(super) async fn page(State(ctx): State<Ctx>, Path((name, id)): Path<(String, String)>) -> Response {
    match pages::post(&ctx, NETWORK, &id, &name) {
        Some(page) => web::html(StatusCode::OK, page),
        None => not_found().await.into_response(),
    }
}

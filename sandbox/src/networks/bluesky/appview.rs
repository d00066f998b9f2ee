//! The reads a PDS passes on to the AppView. Unlike the real one it lags only when told to (`stale_read`).

use axum::{
    Extension,
    extract::{RawQuery, State},
};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    Answer, Refusal, ok,
    session::authorized,
    state::{Account, POSTS, Record, split},
};
use crate::{
    clock::iso_ms,
    networks::Network,
    script::Quirks,
    web::bearer,
    world::{Ctx, World},
};

pub(crate) async fn get_posts(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let world = ctx.world();
    check_token(&ctx, &world, &headers)?;
    let as_of = quirks.as_of(ctx.now_ms());
    let uris = values(query.as_deref(), "uris");
    if uris.is_empty() {
        return Err(Refusal::invalid("Error: Params must have the property \"uris\""));
    }
    if uris.len() > 25 {
        return Err(Refusal::invalid("Error: uris must not have more than 25 elements"));
    }
    let posts: Vec<Value> = uris
        .iter()
        .filter_map(|uri| {
            let (actor, (collection, rkey)) = split(uri)?;
            let account = world.bluesky.actor(actor).filter(|_| collection == POSTS)?;
            let uri = super::repo::uri(account, &collection, &rkey);
            world.bluesky.record_at(&uri, as_of).map(|record| post(&ctx, account, &uri, record))
        })
        .collect();
    Ok(ok(&json!({"posts": posts})))
}

pub(crate) async fn get_profile(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let world = ctx.world();
    check_token(&ctx, &world, &headers)?;
    let actor = values(query.as_deref(), "actor");
    let actor =
        actor.first().ok_or_else(|| Refusal::invalid("Error: Params must have the property \"actor\""))?;
    let account = world.bluesky.actor(actor).ok_or_else(|| Refusal::invalid("Profile not found"))?;
    let records = world.bluesky.repo(&account.did).map(|repo| &repo.records);
    let from = (POSTS.to_owned(), String::new());
    let posts =
        records.map_or(0, |records| records.range(from..).take_while(|((name, _), _)| name == POSTS).count());
    let mut body = author(account);
    body["postsCount"] = posts.into();
    body["followersCount"] = 0.into();
    body["followsCount"] = 0.into();
    body["description"] = "".into();
    body["indexedAt"] = iso_ms(account.created_ms).into();
    Ok(ok(&body))
}

/// No token is fine; a bad one is not.
fn check_token(ctx: &Ctx, world: &World, headers: &HeaderMap) -> Result<(), Refusal> {
    if bearer(headers).is_none() {
        return Ok(());
    }
    authorized(world, headers, ctx.now_ms()).map(|_| ())
}

fn values(query: Option<&str>, name: &str) -> Vec<String> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == name || key.strip_suffix("[]") == Some(name))
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn author(account: &Account) -> Value {
    json!({
        "did": account.did,
        "handle": account.handle,
        "displayName": account.display_name,
        "labels": [],
        "createdAt": iso_ms(account.created_ms),
    })
}

fn post(ctx: &Ctx, account: &Account, uri: &str, record: &Record) -> Value {
    let mut view = json!({
        "uri": uri,
        "cid": record.cid,
        "author": author(account),
        "record": record.value,
        "replyCount": record.counts.replies,
        "repostCount": record.counts.reposts,
        "likeCount": record.counts.likes,
        "quoteCount": 0,
        "bookmarkCount": 0,
        "indexedAt": iso_ms(record.indexed_ms),
        "labels": [],
    });
    if let Some(shown) = record.value.get("embed").and_then(|embed| embed_view(ctx, account, embed)) {
        view["embed"] = shown;
    }
    view
}

/// The `#view` of an embed; quotes stay with their uri and cid.
fn embed_view(ctx: &Ctx, account: &Account, embed: &Value) -> Option<Value> {
    let link = |blob: &Value| {
        let cid = blob.pointer("/ref/$link")?.as_str()?;
        let base = ctx.base(Network::Bluesky);
        Some(format!("{base}/xrpc/com.atproto.sync.getBlob?did={}&cid={cid}", account.did))
    };
    let kind = embed.get("$type")?.as_str()?;
    let mut view = match kind {
        "app.bsky.embed.images" => {
            let images = embed.get("images")?.as_array()?.iter().filter_map(|image| {
                let url = link(image.get("image")?)?;
                Some(json!({"thumb": url, "fullsize": url, "alt": image.get("alt"),
                    "aspectRatio": image.get("aspectRatio")}))
            });
            json!({"images": images.collect::<Vec<_>>()})
        }
        "app.bsky.embed.external" => {
            let external = embed.get("external")?;
            json!({"external": {"uri": external.get("uri"), "title": external.get("title"),
                "description": external.get("description"), "thumb": external.get("thumb").and_then(link)}})
        }
        "app.bsky.embed.video" => {
            let video = embed.get("video")?;
            json!({"cid": video.pointer("/ref/$link"), "playlist": link(video), "alt": embed.get("alt"),
                "aspectRatio": embed.get("aspectRatio")})
        }
        "app.bsky.embed.recordWithMedia" => {
            json!({"media": embed_view(ctx, account, embed.get("media")?)?, "record": embed.get("record")})
        }
        _ => return None,
    };
    view["$type"] = Value::String(format!("{kind}#view"));
    Some(without_nulls(view))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

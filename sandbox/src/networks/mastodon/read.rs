//! Reading back: who am I, one status, many, an account's own, the source, the thread.

use std::{collections::HashSet, ops::Bound};

use axum::{
    Extension,
    extract::{Path, State},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{
    Answer, Refusal,
    media::{view, view_as_of},
    ok,
    state::{Account, Status},
    token::holder,
};
use crate::{
    networks::Network,
    params::Params,
    script::Quirks,
    web::bearer,
    world::{Ctx, World},
};

const READ: [&str; 1] = ["read:statuses"];

pub(crate) async fn verify_credentials(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let account = holder(&world, &headers, &["read:accounts", "profile"])?;
    let mut body = view(&ctx).account(&world.mastodon, account);
    body["source"] = json!({"privacy": "public", "sensitive": false, "language": null, "note": "", "fields": [],
        "follow_requests_count": 0, "quote_policy": "public"});
    body["role"] =
        json!({"id": "-99", "name": "", "permissions": "65536", "color": "", "highlighted": false});
    Ok(ok(&body))
}

pub(crate) async fn lookup(State(ctx): State<Ctx>, params: Params) -> Answer {
    let world = ctx.world();
    let acct = params.present("acct").unwrap_or_default();
    let name = acct.trim_start_matches('@').split('@').next().unwrap_or_default();
    let account = world.mastodon.account_named(name).ok_or_else(Refusal::not_found)?;
    Ok(ok(&view(&ctx).account(&world.mastodon, account)))
}

pub(crate) async fn account(State(ctx): State<Ctx>, Path(id): Path<String>) -> Answer {
    let world = ctx.world();
    Ok(ok(&view(&ctx).account(&world.mastodon, found(&world, &id)?)))
}

/// An account's statuses, newest first; with `min_id` the ones right after it.
pub(crate) async fn listing(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let as_of = quirks.as_of(ctx.now_ms());
    let reader = reader(&world, &headers)?;
    let account = found(&world, &id)?;
    let number = |name: &str| params.present(name).and_then(|text| text.parse::<u64>().ok());
    let limit = number("limit").unwrap_or(20).clamp(1, 40) as usize;
    let (min_id, since_id, max_id) = (number("min_id"), number("since_id"), number("max_id"));
    let (only_media, exclude_replies) = (params.truth("only_media"), params.truth("exclude_replies"));
    let no_pins = params.truth("pinned"); // nothing is ever pinned here
    let keep = |status: &&Status| {
        let left_out =
            (only_media && status.media.is_empty()) || (exclude_replies && status.in_reply_to.is_some());
        visible(status, reader) && !left_out && !no_pins
    };
    let lower = min_id.or(since_id).map_or(Bound::Unbounded, Bound::Excluded);
    let upper = max_id.map_or(Bound::Unbounded, Bound::Excluded);
    let is_empty = matches!((lower, upper), (Bound::Excluded(low), Bound::Excluded(high)) if low >= high);
    let ids = world.mastodon.ids_at(account.id, as_of);
    let range = (!is_empty).then(|| ids.range((lower, upper))).into_iter().flatten();
    let at = |id: &u64| world.mastodon.status_at(*id, as_of);
    let page: Vec<&Status> = if min_id.is_some() {
        let mut page: Vec<_> = range.filter_map(at).filter(keep).take(limit).collect();
        page.reverse();
        page
    } else {
        range.rev().filter_map(at).filter(keep).take(limit).collect()
    };
    let view = view_as_of(&ctx, as_of);
    let body: Vec<Value> = page.iter().map(|status| view.status(&world.mastodon, status)).collect();
    let mut response = ok(&Value::Array(body));
    if let (Some(newest), Some(oldest)) = (page.first(), page.last()) {
        let url =
            format!("{}/api/v1/accounts/{}/statuses?limit={limit}", ctx.base(Network::Mastodon), account.id);
        let mut links = Vec::new();
        if page.len() == limit {
            links.push(format!("<{url}&max_id={}>; rel=\"next\"", oldest.id));
        }
        links.push(format!("<{url}&min_id={}>; rel=\"prev\"", newest.id));
        let value = HeaderValue::from_str(&links.join(", ")).expect("URLs and numbers are printable ASCII");
        response.headers_mut().insert(HeaderName::from_static("link"), value);
    }
    Ok(response)
}

/// `?id[]=…`: those that exist, in the order asked.
pub(crate) async fn statuses(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let as_of = quirks.as_of(ctx.now_ms());
    let reader = reader(&world, &headers)?;
    let view = view_as_of(&ctx, as_of);
    let mut once = HashSet::new();
    let ids = [params.list("id"), params.list("ids")].concat();
    let found: Vec<Value> = ids
        .iter()
        .filter(|id| once.insert((*id).clone()))
        .take(20)
        .filter_map(|id| world.mastodon.status_at(id.parse().ok()?, as_of))
        .filter(|status| visible(status, reader))
        .map(|status| view.status(&world.mastodon, status))
        .collect();
    Ok(ok(&Value::Array(found)))
}

pub(crate) async fn status(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
) -> Answer {
    let world = ctx.world();
    let as_of = quirks.as_of(ctx.now_ms());
    let status = readable(&world, &id, &headers, as_of)?;
    Ok(ok(&view_as_of(&ctx, as_of).status(&world.mastodon, status)))
}

pub(crate) async fn source(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
) -> Answer {
    let world = ctx.world();
    let as_of = quirks.as_of(ctx.now_ms());
    let account = holder(&world, &headers, &READ)?.id;
    let status = readable(&world, &id, &headers, as_of)?;
    if status.account != account {
        return Err(Refusal::new(http::StatusCode::FORBIDDEN, "This action is not allowed"));
    }
    Ok(ok(&json!({"id": status.id.to_string(), "text": status.text, "spoiler_text": status.spoiler})))
}

pub(crate) async fn context(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
) -> Answer {
    let world = ctx.world();
    let as_of = quirks.as_of(ctx.now_ms());
    let view = view_as_of(&ctx, as_of);
    let status = readable(&world, &id, &headers, as_of)?;
    let reader = reader(&world, &headers)?;
    let mut ancestors = Vec::new();
    let mut parent = status.in_reply_to;
    while let Some(above) =
        parent.and_then(|id| world.mastodon.status_at(id, as_of)).filter(|s| visible(s, reader))
    {
        ancestors.insert(0, view.status(&world.mastodon, above));
        parent = above.in_reply_to;
    }
    let mut descendants = Vec::new();
    let mut open: Vec<u64> = vec![status.id];
    while let Some(id) = open.pop() {
        let replies = world.mastodon.replies_to(id).filter(|reply| reply.created_ms <= as_of);
        for reply in replies.filter(|reply| visible(reply, reader)) {
            descendants.push(view.status(&world.mastodon, reply));
            open.push(reply.id);
        }
    }
    Ok(ok(&json!({"ancestors": ancestors, "descendants": descendants})))
}

/// The name and website of the app a token belongs to.
pub(crate) fn app_of(world: &World, headers: &HeaderMap) -> Option<(String, Option<String>)> {
    let token = world.mastodon.token(bearer(headers)?)?;
    world.mastodon.app(&token.client_id).map(|app| (app.name.clone(), app.website.clone()))
}

fn found<'w>(world: &'w World, id: &str) -> Result<&'w Account, Refusal> {
    id.parse().ok().and_then(|id| world.mastodon.account(id)).ok_or_else(Refusal::not_found)
}

/// Who reads: nobody in particular without a token; a token must be good.
fn reader(world: &World, headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    if bearer(headers).is_none() {
        return Ok(None);
    }
    holder(world, headers, &READ).map(|account| Some(account.id))
}

fn readable<'w>(world: &'w World, id: &str, headers: &HeaderMap, as_of: i64) -> Result<&'w Status, Refusal> {
    let reader = reader(world, headers)?;
    let status = id.parse().ok().and_then(|id| world.mastodon.status_at(id, as_of));
    status.filter(|status| visible(status, reader)).ok_or_else(Refusal::not_found)
}

pub(super) fn visible(status: &Status, reader: Option<u64>) -> bool {
    matches!(status.visibility.as_str(), "public" | "unlisted") || reader == Some(status.account)
}

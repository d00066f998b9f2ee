//! Publishing and deleting. The parent is looked up first, then the key, which is stored only together with the status it made; a refused
//! request stores nothing. The body of a replay is not compared, as on a real instance.

use std::collections::HashSet;

use axum::{
    Extension,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    Answer, Refusal,
    instance::{MAX_ATTACHMENTS, MAX_OPTION, MAX_OPTIONS, POLL_EXPIRY, max_characters},
    media::view,
    ok,
    read::visible,
    state::{Event, Poll, Progress, Status},
    text,
    token::holder,
};
use crate::{
    clock,
    faults::Replayed,
    ledger::{self, Attached, Entry},
    networks::Network,
    params::{Params, as_list, as_text, is_true},
    script::Quirks,
    web::RequestId,
    world::{self, Ctx, World},
};

const WRITE: [&str; 1] = ["write:statuses"];
const MAX_KEY: usize = 255;

pub(crate) async fn publish(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(quirks): Extension<Quirks>,
    Extension(network): Extension<Network>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let key = headers
        .get("idempotency-key")
        .filter(|_| !quirks.ignore_idempotency_key && network == Network::Mastodon)
        .and_then(|value| value.to_str().ok())
        .filter(|key| !key.is_empty() && key.len() <= MAX_KEY)
        .map(str::to_owned);
    let mut world = ctx.world();
    let account = holder(&world, &headers, &WRITE)?.id;
    let parent = parent(&world, account, &params)?;
    let now_ms = ctx.now_ms();
    if let Some(status) = key.as_ref().and_then(|key| world.mastodon.replayed(account, key, now_ms)) {
        let mut response = ok(&view(&ctx).status(&world.mastodon, status));
        response.extensions_mut().insert(Replayed);
        return Ok(response);
    }
    let app = super::read::app_of(&world, &headers);
    let status = checked(&world, network, account, parent, app, &params, now_ms)?;
    let seen = seen(&world, network, &status, request_id, now_ms);
    let id = status.id;
    world.commit(world::Event::Mastodon(Event::Posted { status: Box::new(status), key, seen }))?;
    let status = world.mastodon.status(id).ok_or_else(Refusal::not_found)?;
    Ok(ok(&view(&ctx).status(&world.mastodon, status)))
}

pub(crate) async fn remove(State(ctx): State<Ctx>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let mut world = ctx.world();
    let account = holder(&world, &headers, &WRITE)?.id;
    let status = id.parse().ok().and_then(|id| world.mastodon.status(id));
    let status = status.filter(|status| status.account == account).ok_or_else(Refusal::not_found)?;
    let mut body = view(&ctx).status(&world.mastodon, status);
    body["text"] = Value::String(status.text.clone());
    let id = status.id;
    world.commit(world::Event::Mastodon(Event::StatusGone { id, at_ms: ctx.now_ms() }))?;
    Ok(ok(&body))
}

/// The status replied to. A real instance looks for it before anything else, the idempotency key included, so a key
/// whose parent was deleted meanwhile is answered 404 although its own status is there.
fn parent(world: &World, account: u64, params: &Params) -> Result<Option<u64>, Refusal> {
    let Some(id) = params.present("in_reply_to_id") else { return Ok(None) };
    let parent = id.parse().ok().and_then(|id| world.mastodon.status(id));
    let parent = parent.filter(|parent| visible(parent, Some(account))).ok_or_else(|| {
        let error = "The post you are trying to reply to does not appear to exist.";
        Refusal::new(StatusCode::NOT_FOUND, error)
    })?;
    Ok(Some(parent.id))
}

/// The status a request asks for, or the first reason against it.
fn checked(
    world: &World,
    network: Network,
    account: u64,
    in_reply_to: Option<u64>,
    app: Option<(String, Option<String>)>,
    params: &Params,
    now_ms: i64,
) -> Result<Status, Refusal> {
    if params.present("scheduled_at").is_some() {
        return Err(Refusal::invalid("Validation failed: Scheduled at is not offered by this stand-in"));
    }
    let media = attachments(world, account, params, now_ms)?;
    if network == Network::Pixelfed && media.is_empty() && in_reply_to.is_none() {
        let fields = json!({"media_ids": ["The media ids field is required."]});
        let body = json!({"message": "The media ids field is required.", "errors": fields});
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, body));
    }
    let mut spoiler = params.text("spoiler_text").unwrap_or_default();
    let mut text = params.text("status").unwrap_or_default();
    if text.trim().is_empty() && !spoiler.trim().is_empty() {
        text = std::mem::take(&mut spoiler);
    }
    if text.trim().is_empty() && media.is_empty() {
        return Err(Refusal::invalid("Validation failed: Text can't be blank"));
    }
    let most = max_characters(network);
    if text::length(&spoiler, &text) > most {
        let error = format!("Validation failed: Text character limit of {most} exceeded");
        return Err(Refusal::invalid(error));
    }
    let visibility = params.present("visibility").unwrap_or_else(|| "public".to_owned());
    if !["public", "unlisted", "private", "direct"].contains(&visibility.as_str()) {
        return Err(Refusal::invalid("Validation failed: Visibility is not included in the list"));
    }
    let id = world.mastodon.next_id(now_ms);
    Ok(Status {
        id,
        account,
        sensitive: params.truth("sensitive") || !spoiler.is_empty(),
        poll: params.get("poll").map(|poll| checked_poll(poll, id + 1, now_ms)).transpose()?,
        language: Some(params.present("language").unwrap_or_else(|| "en".to_owned())),
        text,
        spoiler,
        visibility,
        in_reply_to,
        media,
        app,
        created_ms: now_ms,
        counts: world::Counts::default(),
    })
}

fn attachments(world: &World, account: u64, params: &Params, now_ms: i64) -> Result<Vec<u64>, Refusal> {
    let mut named = params.list("media_ids");
    let mut once = HashSet::new();
    named.retain(|id| !id.is_empty() && once.insert(id.clone()));
    if named.is_empty() {
        return Ok(Vec::new());
    }
    if named.len() > MAX_ATTACHMENTS || params.get("poll").is_some() {
        return Err(Refusal::invalid(format!("Cannot attach more than {MAX_ATTACHMENTS} files")));
    }
    let find = |id: &String| {
        let media = id.parse().ok().and_then(|id| world.mastodon.media(id, now_ms));
        media.filter(|media| media.account == account && media.status.is_none())
    };
    let missing: Vec<&str> = named.iter().filter(|id| find(id).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        let ids = missing.join(", ");
        return Err(Refusal::invalid(format!("Media {ids} not found or already attached to another post")));
    }
    let media: Vec<_> = named.iter().filter_map(find).collect();
    if media.len() > 1 && media.iter().any(|media| !media.is_image()) {
        return Err(Refusal::invalid("Cannot attach a video to a post that already contains images"));
    }
    if media.iter().any(|media| media.progress(now_ms) != Progress::Ready) {
        return Err(Refusal::invalid(
            "Cannot attach files that have not finished processing. Try again in a moment!",
        ));
    }
    Ok(media.iter().map(|media| media.id).collect())
}

fn checked_poll(poll: &Value, id: u64, now_ms: i64) -> Result<Poll, Refusal> {
    let refuse = |text: String| Err(Refusal::invalid(format!("Validation failed: {text}")));
    let options: Vec<String> = poll
        .get("options")
        .map(as_list)
        .unwrap_or_default()
        .into_iter()
        .filter(|option| !option.trim().is_empty())
        .collect();
    let expires_in = poll.get("expires_in").and_then(as_text).and_then(|text| text.parse::<i64>().ok());
    if options.len() < 2 {
        return refuse("Options must have more than one item".to_owned());
    }
    if options.len() > MAX_OPTIONS {
        return refuse(format!("Options can't contain more than {MAX_OPTIONS} items"));
    }
    if options.iter().any(|option| option.graphemes(true).count() > MAX_OPTION) {
        return refuse(format!("Options cannot be longer than {MAX_OPTION} characters each"));
    }
    if options.iter().collect::<HashSet<_>>().len() < options.len() {
        return refuse("Options contain duplicate items".to_owned());
    }
    let Some(expires_in) = expires_in else { return refuse("Expires at can't be blank".to_owned()) };
    if expires_in > *POLL_EXPIRY.end() {
        return refuse("Expires at is too far into the future".to_owned());
    }
    if expires_in < *POLL_EXPIRY.start() {
        return refuse("Expires at is too soon".to_owned());
    }
    Ok(Poll {
        id,
        options,
        expires_ms: now_ms + expires_in * 1000,
        multiple: poll.get("multiple").is_some_and(is_true),
        hide_totals: poll.get("hide_totals").is_some_and(is_true),
    })
}

fn seen(world: &World, network: Network, status: &Status, request_id: String, now_ms: i64) -> Entry {
    let account = world.mastodon.account(status.account).map(|account| account.handle.clone());
    let media = status
        .media
        .iter()
        .filter_map(|id| world.mastodon.media(*id, now_ms))
        .map(|media| Attached {
            mime: media.mime.clone(),
            size: media.size,
            sha256: media.sha256.clone(),
            alt: media.description.clone().unwrap_or_default(),
        })
        .collect();
    Entry {
        network,
        account: account.unwrap_or_default(),
        native_id: status.id.to_string(),
        in_reply_to: status.in_reply_to.map(|id| id.to_string()),
        text: status.text.clone(),
        media,
        visible_at_ms: clock::true_now_ms(),
        request_id,
        kind: ledger::plain(),
    }
}

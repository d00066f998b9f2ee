//! Pins: made, listed newest first, read, deleted. Nothing tells two pins apart that were made alike.

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    NETWORK, auth, boards,
    rest::{self, Refused},
    source,
};
use crate::{
    docs::{Change, padded},
    ledger::Entry,
    media::Stored,
    script::Quirks,
    web::{self, RequestId},
    world::{Counts, Ctx, World},
};

/// The texts of a pin and their lengths, characters.
const TEXTS: [(&str, usize); 4] = [("title", 100), ("description", 800), ("link", 2048), ("alt_text", 500)];

/// The other fields there are.
const OTHERS: [&str; 6] =
    ["board_id", "board_section_id", "media_source", "dominant_color", "parent_pin_id", "note"];

const READ: &[&str] = &["boards:read", "pins:read"];
const WRITE: &[&str] = &["boards:read", "boards:write", "pins:read", "pins:write"];

/// A pin; its id is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pin {
    id: String,
    account: String,
    board: String,
    section: Option<String>,
    texts: Map<String, Value>,
    media_type: String,
    files: Vec<Stored>,
    created_ms: i64,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let (token, body) = {
        let world = ctx.world();
        let token = rest::caller(&ctx, &world, &headers, WRITE)?;
        if token.client_id == auth::TRIAL {
            let message = "Apps with Trial access may not create Pins in production. The consumer type is not supported.";
            return Err(Refused::new(403, 29, message));
        }
        (token, checked(&bytes)?)
    };
    let source = body.get("media_source").cloned().unwrap_or_default();
    let number = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let board_id = number("board_id").unwrap_or_default();
    let section = number("board_section_id");
    {
        let world = ctx.world();
        let board = boards::board(&world, &token, &board_id, "boards:write_secret")?;
        if section.as_ref().is_some_and(|section| !board.sections.contains(section)) {
            return Err(Refused::new(404, 2031, "Board section not found."));
        }
    }
    let shown = source::read(&ctx, &token.account, &source).await?;
    let texts: Map<String, Value> =
        TEXTS.iter().filter_map(|(name, _)| Some(((*name).to_owned(), body.get(*name)?.clone()))).collect();
    if texts.get("link").and_then(Value::as_str).is_some_and(|link| link.contains("spam.example")) {
        let message = "Sorry! We blocked this link because it may lead to spam.";
        return Err(Refused::new(400, 1, message));
    }
    let mut world = ctx.world();
    let id = world.next_id(NETWORK, ctx.now_ms());
    let pin = Pin {
        id: id.to_string(),
        account: token.account.clone(),
        board: board_id,
        section,
        texts,
        media_type: shown.media_type.to_owned(),
        files: shown.files,
        created_ms: ctx.now_ms(),
    };
    let text = |name: &str| pin.texts.get(name).and_then(Value::as_str).unwrap_or_default();
    let attached = pin.files.iter().map(|file| file.attached(text("alt_text"))).collect();
    let entry = Entry::new(NETWORK, "pin", &pin.account, &pin.id, text("description"), request_id)
        .with_media(attached);
    let key = padded(id);
    let changes = vec![
        Change::put("post", &pin.id, &pin),
        Change::put("post_of", format!("{}|{key}", pin.board), &pin.id),
        Change::put("post_by", format!("{}|{key}", pin.account), &pin.id),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    Ok(web::json(StatusCode::CREATED, &told(&pin, None)))
}

/// The body, provided that it is what the description of the call says.
fn checked(bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    let body: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|_| Refused::invalid("the body is no JSON object"))?;
    let is_known = |name: &str| TEXTS.iter().any(|(text, _)| *text == name) || OTHERS.contains(&name);
    if let Some(name) = body.keys().find(|name| !is_known(name)) {
        let why = format!("Additional properties are not allowed ('{name}' was unexpected)");
        return Err(Refused::invalid(why));
    }
    for (name, most) in TEXTS {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        let text =
            value.as_str().ok_or_else(|| Refused::invalid(format!("{value} is not of type 'string'")))?;
        if text.is_empty() {
            return Err(Refused::invalid(format!("{name}: '' is too short")));
        }
        if text.chars().count() > most {
            return Err(Refused::invalid(format!("{name} is too long; constraint: maxLength={most}")));
        }
    }
    for name in ["board_id", "board_section_id", "parent_pin_id"] {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !value.as_str().is_some_and(is_number) {
            return Err(Refused::invalid(format!("{value} does not match '^\\\\d+$'")));
        }
    }
    for name in ["board_id", "media_source"] {
        if body.get(name).is_none_or(Value::is_null) {
            return Err(Refused::invalid(format!("'{name}' is a required property")));
        }
    }
    Ok(body)
}

fn told(pin: &Pin, metrics: Option<&Value>) -> Value {
    let text = |name: &str| pin.texts.get(name).cloned().unwrap_or_default();
    let media = match pin.files.as_slice() {
        [file] if pin.media_type == "image" => {
            let size = json!({"url": "", "width": file.width, "height": file.height});
            json!({"media_type": "image", "images": {"1200x": size}})
        }
        _ => json!({"media_type": pin.media_type}),
    };
    json!({
        "id": pin.id,
        "created_at": boards::without_zone(pin.created_ms),
        "link": text("link"),
        "title": text("title"),
        "description": text("description"),
        "alt_text": text("alt_text"),
        "dominant_color": "#6E7874",
        "board_id": pin.board,
        "board_section_id": pin.section,
        "board_owner": {"username": pin.account},
        "parent_pin_id": null,
        "is_owner": true,
        "is_standard": true,
        "has_been_promoted": false,
        "creative_type": if pin.media_type == "video" { "VIDEO" } else { "REGULAR" },
        "media": media,
        "pin_metrics": metrics,
    })
}

/// The pins of an index, the newest first, that pass.
fn listed(
    ctx: &Ctx,
    world: &World,
    quirks: Quirks,
    uri: &Uri,
    index: &str,
    owner: &str,
    passes: impl Fn(&Pin) -> bool,
) -> Result<Response, Refused> {
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let ids = docs.range::<String>(NETWORK, index, &format!("{owner}|")).rev();
    let pins = ids.filter_map(|(_, id)| docs.get::<Pin>(NETWORK, "post", &id)).filter(|pin| passes(pin));
    rest::page(uri, pins.map(|pin| told(&pin, None)))
}

pub(super) async fn of_board(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, READ)?;
    let board = boards::board(&world, &token, &id, "boards:read_secret")?;
    listed(&ctx, &world, quirks, &uri, "post_of", &board.id, |_| true)
}

pub(super) async fn of_section(
    State(ctx): State<Ctx>,
    Path((id, section)): Path<(String, String)>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, READ)?;
    let board = boards::board(&world, &token, &id, "boards:read_secret")?;
    let inside = |pin: &Pin| pin.section.as_ref() == Some(&section);
    listed(&ctx, &world, quirks, &uri, "post_of", &board.id, inside)
}

pub(super) async fn own(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, READ)?;
    listed(&ctx, &world, quirks, &uri, "post_by", &token.account, |_| true)
}

pub(super) async fn pin(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, READ)?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let pin: Pin = docs.get(NETWORK, "post", &id).ok_or_else(Refused::no_pin)?;
    if pin.account != token.account {
        return Err(Refused::not_permitted());
    }
    let wanted = rest::query(&uri, "pin_metrics").as_deref() == Some("true");
    let metrics = wanted.then(|| metrics(world.counts(NETWORK, &id).unwrap_or_default()));
    Ok(web::json(StatusCode::OK, &told(&pin, metrics.as_ref())))
}

fn metrics(counts: Counts) -> Value {
    let Counts { likes, reposts, replies } = counts;
    let impressions = 30 * (likes + reposts + replies);
    let recent = json!({"pin_click": likes, "impression": impressions, "clickthrough": 0, "save": reposts});
    let mut lifetime = recent.clone();
    lifetime["reaction"] = json!(likes);
    lifetime["comment"] = json!(replies);
    json!({"90d": recent, "lifetime_metrics": lifetime})
}

pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, WRITE)?;
    let pin: Pin = world.docs.get(NETWORK, "post", &id).ok_or_else(Refused::no_pin)?;
    if pin.account != token.account {
        return Err(Refused::not_permitted());
    }
    world.keep(NETWORK, vec![Change::remove("post", &id)])?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

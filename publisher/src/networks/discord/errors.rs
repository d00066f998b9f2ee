//! What a refusal of Discord proves: status and code of its answer
//! (<https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>). Whatever is not here proves nothing, and
//! no 5xx does.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;

use super::super::{
    server,
    wire::{self, Proof, Rule, json, rule, text_of},
};
use crate::{
    domain::outcome::{Fault, RATE_LIMITED},
    networks::connect::ConnectFault,
};

const GONE: Proof = Proof::Reconnect(
    "The webhook no longer exists. Make a new one in the channel's settings and connect it.",
);
const TOO_LARGE: Proof = Proof::Rejected(
    "MEDIA_TOO_LARGE",
    "The files are larger than this Discord server accepts. Use smaller ones.",
);

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    rule(404, "10015", GONE),
    rule(404, "10003", GONE),
    rule(401, "50027", GONE),
    rule(401, "0", GONE),
    rule(403, "50001", Proof::Rejected("NOT_ALLOWED", "The webhook may not post in its channel any more.")),
    rule(403, "50013", Proof::Rejected("NOT_ALLOWED", "The webhook may not post in its channel any more.")),
    rule(
        400,
        "50006",
        Proof::Rejected("EMPTY", "Discord takes no empty message. Write a text or add a picture."),
    ),
    rule(
        400,
        "50035/content",
        Proof::Rejected("TEXT_TOO_LONG", "The text is longer than Discord accepts. Shorten it."),
    ),
    rule(
        400,
        "50035",
        Proof::Rejected("CONTENT_REFUSED", "Discord refuses this content. Change the text or the settings."),
    ),
    rule(
        400,
        "30015",
        Proof::Rejected("TOO_MANY_IMAGES", "Discord accepts fewer files in one message. Remove some."),
    ),
    rule(
        400,
        "220001",
        Proof::Rejected(
            "NOT_ALLOWED",
            "The webhook belongs to a forum, where each message begins a thread. Use one of a text channel.",
        ),
    ),
    rule(400, "40005", TOO_LARGE),
    rule(413, "40005", TOO_LARGE),
    // A 429 comes before anything is carried out; one of the proxies in front has no body of this form.
    rule(429, "rate", Proof::Transient(RATE_LIMITED, "Discord asks to wait.")),
];

/// The code of a refusal in the API's own form, with the field of a form error; empty for anything else.
pub(super) fn code(body: &Value) -> String {
    if body.get("retry_after").is_some_and(Value::is_number) {
        return "rate".to_owned();
    }
    let Some(code) = body.get("code").and_then(Value::as_i64).filter(|_| body["message"].is_string()) else {
        return String::new();
    };
    let long =
        body.pointer("/errors/content/_errors/0/code").is_some_and(|code| code == "BASE_TYPE_MAX_LENGTH");
    if code == 50035 && long { format!("{code}/content") } else { code.to_string() }
}

/// How long an answer asks to wait: in its body, seconds and parts of them.
pub(super) fn retry_after(body: &Value) -> Option<Duration> {
    body.get("retry_after").and_then(Value::as_f64).and_then(seconds)
}

/// How long until the limit that this request used up is filled again.
pub(super) fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let wait = header("x-ratelimit-reset-after").filter(|_| header("x-ratelimit-remaining") == Some("0"));
    wait.and_then(|wait| wait.parse().ok()).and_then(seconds).filter(|wait| !wait.is_zero())
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(Duration::from_hours(24)))
}

/// Whether it says that the message, and not the webhook, is gone.
pub(super) fn is_gone(response: &Response<Bytes>, body: &Value) -> bool {
    response.status().as_u16() == 404 && code(body) == "10008"
}

/// What a refusal means for a call that makes nothing visible.
pub(super) fn fault(response: &Response<Bytes>, now_ms: i64) -> Fault {
    let body = json(response).unwrap_or_default();
    if let Some(proof) = wire::judge(RULES, response.status(), &code(&body)) {
        wire::fault(proof, retry_after(&body))
    } else {
        let text = Some(text_of(&body, "message")).filter(|text| !text.is_empty());
        wire::refused_as(&[], response, text, now_ms)
    }
}

/// What a refusal means for connecting.
pub(super) fn connect(server: &str, response: &Response<Bytes>, now_ms: i64) -> ConnectFault {
    let body = json(response).unwrap_or_default();
    let why = match (response.status().as_u16(), code(&body).as_str()) {
        (404, "10015") => "the webhook no longer exists; make a new one in the channel's settings",
        (401, _) => "it does not know this webhook; copy its address again",
        (429, "rate") => {
            return ConnectFault::RateLimited {
                server: server::host(server),
                retry_after: retry_after(&body),
            };
        }
        _ => text_of(&body, "message"),
    };
    ConnectFault::from_answer(server, "Discord", response, why, now_ms)
}

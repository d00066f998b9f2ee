//! What a refusal of the Bot API proves: code and description of its answer. The API documents the shape
//! (<https://core.telegram.org/bots/api#making-requests>), not the texts; those here are stable ones of its server
//! (tdlib/telegram-bot-api, `Client.cpp`). Whatever is not here proves nothing, and no 5xx does.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::super::{
    thread,
    wire::{self, Proof, Rule, json, rule, text_of},
};
use crate::domain::outcome::{Fault, RATE_LIMITED};

const NOT_ADMIN: Proof = Proof::Rejected(
    "NOT_ALLOWED",
    "The bot may not post there. Make it an administrator of the channel that may post messages.",
);
const NOT_THERE: Proof =
    Proof::Rejected("NOT_ALLOWED", "The bot is no longer in the channel. Add it as an administrator again.");
const TOO_LONG: Proof =
    Proof::Rejected("TEXT_TOO_LONG", "The text is longer than Telegram accepts. Shorten it.");
const MEDIA: Proof = Proof::Rejected("MEDIA_REFUSED", "Telegram does not accept this file. Use another one.");

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    rule(
        401,
        "Unauthorized",
        Proof::Reconnect("The bot's token was revoked. Get a new one from @BotFather and connect again."),
    ),
    rule(403, "Forbidden: bot was kicked from the", NOT_THERE),
    rule(403, "Forbidden: bot is not a member of the", NOT_THERE),
    rule(403, "Forbidden: bot was blocked by the user", NOT_THERE),
    rule(403, "Forbidden: need administrator rights in the", NOT_ADMIN),
    rule(400, "Bad Request: need administrator rights in the", NOT_ADMIN),
    rule(400, "Bad Request: have no rights to send a message", NOT_ADMIN),
    rule(400, "Bad Request: not enough rights to send", NOT_ADMIN),
    rule(
        400,
        "Bad Request: chat not found",
        Proof::Rejected(
            "CHAT_GONE",
            "The channel no longer exists, or the bot was removed. Connect it again.",
        ),
    ),
    rule(
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        Proof::Rejected(
            "CHAT_MOVED",
            "The group became a supergroup, which has another id. Connect it again.",
        ),
    ),
    rule(400, "Bad Request: message is too long", TOO_LONG),
    rule(400, "Bad Request: message caption is too long", TOO_LONG),
    rule(
        400,
        "Bad Request: message text is empty",
        Proof::Rejected("EMPTY", "Telegram takes no empty message. Write a text or add a picture."),
    ),
    rule(
        400,
        "Bad Request: can't parse entities",
        Proof::Rejected(
            "CONTENT_REFUSED",
            "Telegram does not understand the formatting of this text. Simplify it.",
        ),
    ),
    rule(
        400,
        "Bad Request: message to be replied not found",
        Proof::Rejected(thread::GONE.0, thread::GONE.1),
    ),
    rule(400, "Bad Request: wrong file identifier/HTTP URL specified", MEDIA),
    rule(400, "Bad Request: failed to get HTTP URL content", MEDIA),
    rule(400, "Bad Request: file of size", MEDIA),
    rule(400, "Bad Request: PHOTO_INVALID_DIMENSIONS", MEDIA),
    rule(400, "Bad Request: IMAGE_PROCESS_FAILED", MEDIA),
    rule(
        413,
        "Request Entity Too Large",
        Proof::Rejected("MEDIA_TOO_LARGE", "The files are larger than Telegram accepts. Use smaller ones."),
    ),
    rule(429, "Too Many Requests", Proof::Transient(RATE_LIMITED, "Telegram asks to wait.")),
];

/// The description of a refusal in the API's own form; empty for anything else, such as a page of a proxy.
pub(super) fn description(body: &Value) -> &str {
    if body["ok"] == false { text_of(body, "description") } else { "" }
}

/// How long the answer asks to wait, which it does in its body.
pub(super) fn retry_after(body: &Value) -> Option<Duration> {
    body.pointer("/parameters/retry_after").and_then(Value::as_u64).map(Duration::from_secs)
}

/// What a refusal means for a call that makes nothing visible.
pub(super) fn fault(response: &Response<Bytes>, now_ms: i64) -> Fault {
    let body = json(response).unwrap_or_default();
    let text = Some(description(&body)).filter(|text| !text.is_empty());
    wire::refused_as(RULES, response, text, now_ms).waiting(retry_after(&body))
}

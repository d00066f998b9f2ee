//! What a refusal of Slack proves: its `error`, which comes with status 200 (the error lists of
//! <https://docs.slack.dev/reference/methods/chat.postMessage> and `files.completeUploadExternal`). Whatever is not here
//! proves nothing, among it `internal_error`, `fatal_error`, `request_timeout` and `service_unavailable`, of which Slack says that a
//! part may have been done.

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::super::wire::{self, Proof, Rule, rule, text_of};
use crate::domain::outcome::{Fault, RATE_LIMITED};

const SIGN_IN: Proof = Proof::Reconnect("Slack took the authorization back. Connect the channel again.");
const SCOPES: Proof = Proof::Reconnect(
    "The authorization does not cover this. Connect the channel again and allow everything asked for.",
);
const CHANNEL: Proof = Proof::Rejected(
    "CHANNEL_GONE",
    "The channel no longer exists, or the app cannot see it. Connect another one.",
);
const NOT_ALLOWED: Proof =
    Proof::Rejected("NOT_ALLOWED", "The workspace's rules keep the app from posting in this channel.");
const WAIT: Proof = Proof::Transient(RATE_LIMITED, "Slack asks to wait.");
const CONTENT: Proof =
    Proof::Rejected("CONTENT_REFUSED", "Slack refuses this content. Change the text or the settings.");

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    rule(200, "invalid_auth", SIGN_IN),
    rule(200, "not_authed", SIGN_IN),
    rule(200, "token_revoked", SIGN_IN),
    rule(200, "token_expired", SIGN_IN),
    rule(200, "account_inactive", SIGN_IN),
    rule(200, "org_login_required", SIGN_IN),
    rule(200, "missing_scope", SCOPES),
    rule(200, "no_permission", SCOPES),
    rule(200, "not_allowed_token_type", SCOPES),
    rule(200, "channel_not_found", CHANNEL),
    rule(
        200,
        "not_in_channel",
        Proof::Rejected("NOT_ALLOWED", "The app is not in the channel. Invite it there, then post again."),
    ),
    rule(
        200,
        "is_archived",
        Proof::Rejected("CHANNEL_GONE", "The channel is archived. Connect another one."),
    ),
    rule(200, "restricted_action", NOT_ALLOWED),
    rule(
        200,
        "msg_too_long",
        Proof::Rejected("TEXT_TOO_LONG", "The text is longer than Slack accepts. Shorten it."),
    ),
    rule(
        200,
        "no_text",
        Proof::Rejected("EMPTY", "Slack takes no empty message. Write a text or add a picture."),
    ),
    rule(200, "invalid_blocks", CONTENT),
    rule(200, "invalid_metadata_format", CONTENT),
    rule(200, "ratelimited", WAIT),
    rule(200, "rate_limited", WAIT),
    rule(429, "ratelimited", WAIT),
];

/// The answer when uploads are unknown. On a first send it means that they have been cleared away; on a repetition they
/// may well be in our message, so there it proves nothing.
pub(super) const FILES_GONE: Rule = rule(
    200,
    "file_not_found",
    Proof::Stale("MEDIA_GONE", "Slack has cleared the uploaded files away; they are uploaded again."),
);

/// The error of a refusal in Slack's own form; empty for anything else.
pub(super) fn error(body: &Value) -> &str {
    if body["ok"] == false { text_of(body, "error") } else { "" }
}

/// What a refusal means for a call that makes nothing visible; an error that no line lists is its code.
pub(super) fn fault(response: &Response<Bytes>, body: &Value, now_ms: i64) -> Fault {
    let (status, error) = (response.status(), error(body));
    if let Some(proof) = wire::judge(RULES, status, error) {
        return wire::fault(proof, wire::retry_after(response.headers(), now_ms));
    }
    let passing =
        matches!(error, "" | "internal_error" | "fatal_error" | "request_timeout" | "service_unavailable");
    if passing || !status.is_success() {
        return wire::refused_as(&[], response, None, now_ms);
    }
    let error = wire::short(error);
    Fault::Rejected { code: error.to_uppercase(), message: format!("Slack refused: {error}") }
}

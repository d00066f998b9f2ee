//! What a refusal of X proves. X answers in two envelopes: problems (`title`, `detail`, `type`) and lists of numbered
//! errors. [`code`] makes one text of either, and the table is about that. Whatever is not here proves nothing; a 5xx
//! never does.
//!
//! <https://docs.x.com/x-api/fundamentals/response-codes-and-errors> and the bodies that clients of the API quote.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::super::{
    thread,
    wire::{self, Proof, Rule, json, rule, text_of},
};
use crate::domain::outcome::{APP_EXHAUSTED, Fault, RATE_LIMITED};

/// What happened to the application's credits is the operator's to settle, not the account's: until then every call of
/// every account is refused alike.
const CREDITS: Proof = Proof::Transient(
    "CREDITS_DEPLETED",
    "The application has no credits left at X. Its operator must buy some in the developer console \
     (developer.x.com); what waits goes out within a quarter of an hour after that.",
);

const CAPPED: Proof = Proof::Transient(
    "USAGE_CAPPED",
    "The application has used up what it may do at X this month. Its operator can raise the cap in the developer \
     console (developer.x.com); what waits goes out within a quarter of an hour after that.",
);

/// How long such an application rests: X says nothing about it, and somebody has to act first.
const TOP_UP: Duration = Duration::from_mins(15);

const NOT_COVERED: Proof = Proof::Reconnect(
    "The authorization does not cover posting. Connect the account again and allow everything asked for.",
);

const ONE_CASHTAG: Proof = Proof::Rejected(
    "TOO_MANY_CASHTAGS",
    "X accepts one cashtag, such as $TICK, in a post. Remove the others.",
);

const INVALID_LINK: Proof =
    Proof::Rejected("LINK_REFUSED", "X does not accept a link of this post. Correct or remove it.");

const LONG_VIDEO: Proof = Proof::Rejected(
    "VIDEO_TOO_LONG",
    "X does not take a video of this length from this account. Use a shorter one.",
);

const LIMITED: Proof = Proof::Transient(RATE_LIMITED, "X asks to wait.");

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    // The token is checked before anything else; expired and revoked tokens are answered alike.
    rule(401, "Unauthorized", Proof::TokenExpired),
    // <https://docs.x.com/x-api/getting-started/pricing>: checked before the request is carried out.
    rule(402, "credits", CREDITS),
    rule(402, "CreditsDepleted", CREDITS),
    rule(403, "usage-capped", CAPPED),
    rule(429, "usage-capped", CAPPED),
    rule(
        403,
        "user-suspended",
        Proof::Reconnect("X has suspended this account. Settle it there, then connect again."),
    ),
    rule(403, "unsupported-authentication", NOT_COVERED),
    rule(403, "oauth1-permissions", NOT_COVERED),
    rule(
        403,
        "client-forbidden",
        Proof::Rejected(
            "APP_NOT_ALLOWED",
            "X does not let the application do this. Its operator must attach it to a project in the developer console.",
        ),
    ),
    // Without a type of its own: the detail is the code.
    rule(403, "Posts are limited to a maximum of one cashtag", ONE_CASHTAG),
    rule(400, "Posts are limited to a maximum of one cashtag", ONE_CASHTAG),
    rule(403, "The Tweet contains an invalid URL", INVALID_LINK),
    rule(400, "The Tweet contains an invalid URL", INVALID_LINK),
    rule(403, "This user is not allowed to post a video longer than 2 minutes", LONG_VIDEO),
    rule(400, "This user is not allowed to post a video longer than 2 minutes", LONG_VIDEO),
    rule(
        403,
        "You attempted to reply to a Tweet that is deleted or not visible to you",
        Proof::Rejected(thread::GONE.0, thread::GONE.1),
    ),
    rule(
        400,
        "You attempted to reply to a Tweet that is deleted or not visible to you",
        Proof::Rejected(thread::GONE.0, thread::GONE.1),
    ),
    // One text for many causes: too long, media that do not mix, a reply that the author did not ask for.
    rule(
        403,
        "You are not permitted to perform this action",
        Proof::Rejected(
            "NOT_PERMITTED",
            "X does not let this account post this. Shorten the text, check the media and whom it replies to.",
        ),
    ),
    rule(403, "Forbidden", NOT_COVERED),
    // The schema is checked before the request is carried out.
    rule(
        400,
        "invalid-request",
        Proof::Rejected("REQUEST_REFUSED", "X does not accept this content. Change it."),
    ),
    rule(429, "Too Many Requests", LIMITED),
    rule(429, "code 88", LIMITED),
];

/// The same words as a post of shortly before. A first send that is refused so made nothing visible; a repetition that
/// is refused so most likely meets what an earlier attempt made visible, and proves nothing by itself.
pub(super) const DUPLICATE: Rule = rule(
    403,
    "You are not allowed to create a Tweet with duplicate content",
    Proof::Rejected("DUPLICATE", "The account has just posted the same text. Change it, or wait some hours."),
);

/// Uploads that are unknown, too old or not ready. On a repetition an earlier attempt may have used them.
pub(super) const MEDIA_GONE: Rule = rule(
    400,
    "invalid-request Your media IDs are invalid",
    Proof::Stale("MEDIA_GONE", "X has cleared the uploaded media away; they are uploaded again."),
);

/// One text for either envelope: the problem's type and first message, or its detail where it has no type; `code` and
/// number of the older one. `None` when the body is not one of them.
pub(super) fn code(response: &Response<Bytes>) -> Option<String> {
    let body = json(response)?;
    let first = body.pointer("/errors/0");
    let message = first.map(|error| text_of(error, "message")).unwrap_or_default();
    let (title, detail) = (text_of(&body, "title"), text_of(&body, "detail"));
    // The host of a type is `api.x.com` or `api.twitter.com`, so its last segment alone counts.
    match text_of(&body, "type").rsplit('/').next() {
        Some("" | "about:blank") | None if title.is_empty() && detail.is_empty() => {
            let number = first?.get("code").and_then(Value::as_i64)?;
            Some(format!("code {number} {message}"))
        }
        Some("" | "about:blank") | None => {
            Some(if detail.is_empty() { title.to_owned() } else { detail.to_owned() })
        }
        Some(kind) => Some(format!("{kind} {}", if message.is_empty() { detail } else { message })),
    }
}

/// How long to wait after a refusal of the application, about which X itself says nothing.
pub(super) fn wait(proof: Option<Proof>) -> Option<Duration> {
    matches!(proof, Some(Proof::Transient(reason, _)) if APP_EXHAUSTED.contains(&reason)).then_some(TOP_UP)
}

/// What a refused call that makes nothing visible means.
pub(super) fn fault(response: &Response<Bytes>, now_ms: i64) -> Fault {
    let code = code(response);
    let proof = code.as_deref().and_then(|code| wire::judge(RULES, response.status(), code));
    wire::refused_as(RULES, response, code.as_deref(), now_ms).waiting(wait(proof))
}

/// Whether an answer of the token endpoint means that the authorization is over for good: a spent or unknown refresh
/// token is an `invalid_request` at X.
pub(super) fn ends_session(status: u16, error: &str, description: &str) -> bool {
    let unknown =
        error == "invalid_request" && description.starts_with("Value passed for the token was invalid");
    status == 400 && (unknown || error == "invalid_grant")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_envelopes_are_read_as_one_text() {
        let of = |body: Value| code(&Response::new(Bytes::from(body.to_string())));
        let problem = |kind: &str| json!({ "title": "T", "detail": "D", "type": kind });
        assert_eq!(of(problem("about:blank")).as_deref(), Some("D"));
        assert_eq!(of(problem("https://api.twitter.com/2/problems/credits")).as_deref(), Some("credits D"));
        assert_eq!(of(json!({ "title": "CreditsDepleted" })).as_deref(), Some("CreditsDepleted"));
        let listed = json!({
            "errors": [{ "message": "Your media IDs are invalid." }], "detail": "One or more",
            "type": "https://api.x.com/2/problems/invalid-request",
        });
        assert_eq!(of(listed).as_deref(), Some("invalid-request Your media IDs are invalid."));
        let old = json!({ "errors": [{ "code": 88, "message": "Rate limit exceeded" }] });
        assert_eq!(of(old).as_deref(), Some("code 88 Rate limit exceeded"));
        assert_eq!(of(json!({ "data": { "id": "1" } })), None);
        assert_eq!(code(&Response::new("<html>".into())), None);
    }
}

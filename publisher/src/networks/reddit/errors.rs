//! What a refusal of Reddit proves. It comes in two forms: status 200 with `json.errors`, whose codes are those of
//! `r2/r2/lib/errors.py` in reddit-archive/reddit and of today's `SUBMIT_VALIDATION_*`; or a status with `{"message", "error"}`,
//! written here as `http` and the message. Whatever is not here proves nothing; no 5xx and no page of HTML does.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;

use super::super::{
    thread,
    wire::{self, Proof, Rule, rule, text_of},
};
use crate::domain::outcome::{Fault, RATE_LIMITED};

const WAIT: Proof = Proof::Transient(RATE_LIMITED, "Reddit asks this account to wait before it posts again.");
const NOT_ALLOWED: Proof =
    Proof::Rejected("NOT_ALLOWED", "The account may not post in this subreddit. Choose another one.");
const NOT_SUCH: Proof = Proof::Rejected(
    "KIND_NOT_ALLOWED",
    "The subreddit takes no posts of this kind. Change the post or choose another subreddit.",
);
const FLAIR: Proof = Proof::Rejected(
    "FLAIR",
    "The subreddit asks for a flair that it knows. Choose one in the settings of the post.",
);
const CONTENT: Proof =
    Proof::Rejected("CONTENT_REFUSED", "The post breaks a rule of the subreddit. Change its title or text.");
const LINK: Proof =
    Proof::Rejected("LINK_REFUSED", "Reddit does not accept this link or file. Use another one.");
const ACCOUNT: Proof = Proof::Rejected(
    "ACCOUNT_NOT_READY",
    "Reddit wants something of the account first, such as a confirmed e-mail address. Settle it there.",
);
const GONE: Proof = Proof::Rejected(thread::GONE.0, thread::GONE.1);

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    rule(200, "RATELIMIT", WAIT),
    rule(200, "QUOTA_FILLED", WAIT),
    rule(200, "SUBREDDIT_RATELIMIT", WAIT),
    rule(
        200,
        "SUBREDDIT_NOEXIST",
        Proof::Rejected("SUBREDDIT_GONE", "There is no such subreddit. Check its name."),
    ),
    rule(200, "SUBREDDIT_REQUIRED", Proof::Rejected("SUBREDDIT_GONE", "Name the subreddit.")),
    rule(200, "SUBREDDIT_NOTALLOWED", NOT_ALLOWED),
    rule(200, "NO_SELFS", NOT_SUCH),
    rule(200, "NO_LINKS", NOT_SUCH),
    rule(200, "NO_IMAGES", NOT_SUCH),
    rule(200, "NO_VIDEOS", NOT_SUCH),
    rule(200, "SUBMIT_VALIDATION_FLAIR_REQUIRED", FLAIR),
    rule(200, "BAD_FLAIR_TEMPLATE_ID", FLAIR),
    rule(200, "SUBMIT_VALIDATION_", CONTENT),
    rule(200, "DOMAIN_BANNED", LINK),
    rule(200, "TOO_LONG", Proof::Rejected("TEXT_TOO_LONG", "The title or the text is too long. Shorten it.")),
    rule(200, "TOO_SHORT", CONTENT),
    rule(
        200,
        "NO_TEXT",
        Proof::Rejected("EMPTY", "Reddit takes no post without a title, and no empty comment."),
    ),
    rule(200, "NO_URL", LINK),
    rule(200, "BAD_URL", LINK),
    rule(200, "DELETED_LINK", GONE),
    rule(200, "DELETED_COMMENT", GONE),
    rule(200, "BAD_CAPTCHA", ACCOUNT),
    rule(200, "USER_REQUIRED", ACCOUNT),
    rule(200, "VERIFIED_USER_REQUIRED", ACCOUNT),
    rule(401, "http Unauthorized", Proof::TokenExpired),
    rule(403, "http Forbidden", NOT_ALLOWED),
    rule(
        404,
        "http Not Found",
        Proof::Rejected("SUBREDDIT_GONE", "There is no such subreddit. Check its name."),
    ),
    rule(
        429,
        "http Too Many Requests",
        Proof::Transient(RATE_LIMITED, "Reddit asks this application to wait."),
    ),
];

/// The answer to a link that somebody submitted there before, when resubmitting was not asked for. On a repetition it may
/// well have been us, so there it proves nothing.
pub(super) const ALREADY: Rule = rule(
    200,
    "ALREADY_SUB",
    Proof::Rejected(
        "ALREADY_POSTED",
        "Somebody has posted this link in the subreddit before. Choose another one.",
    ),
);

/// The code of a refusal; empty for anything else, such as a page of HTML.
pub(super) fn code(body: &Value) -> String {
    let first = body.pointer("/json/errors/0");
    if let Some(code) = first.and_then(|error| error.get(0)).and_then(Value::as_str) {
        return code.to_owned();
    }
    match body.get("error") {
        Some(Value::Number(_)) => format!("http {}", text_of(body, "message")),
        _ => String::new(),
    }
}

/// How long an account is asked to wait: in seconds beside the error, or in its sentence.
pub(super) fn pause(body: &Value) -> Option<Duration> {
    let stated = body.pointer("/json/ratelimit").and_then(Value::as_f64);
    let stated = stated.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let told = || body.pointer("/json/errors/0/1").and_then(Value::as_str).and_then(spelt);
    stated.or_else(told).map(|wait| wait.min(Duration::from_hours(24)))
}

/// `… for 2 minutes before …`, `… in an hour.`
fn spelt(sentence: &str) -> Option<Duration> {
    let words: Vec<_> =
        sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).find_map(|pair| {
        let number = if matches!(pair[0], "a" | "an") { 1 } else { pair[0].parse::<u64>().ok()? };
        match pair[1] {
            "millisecond" | "milliseconds" => Some(Duration::from_millis(number)),
            "second" | "seconds" => Some(Duration::from_secs(number)),
            "minute" | "minutes" => Some(Duration::from_secs(number.saturating_mul(60))),
            "hour" | "hours" => Some(Duration::from_secs(number.saturating_mul(3600))),
            _ => None,
        }
    })
}

/// How long until the application's limit is filled again, once nothing remains of it: a number of seconds, and what
/// remains is a fraction (r/redditdev, "rate limiting headers").
pub(super) fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<f64>().ok();
    let wait = number("x-ratelimit-reset")
        .filter(|_| number("x-ratelimit-remaining").is_some_and(|left| left < 1.0));
    let wait = Duration::try_from_secs_f64(wait?).ok()?;
    Some(wait.min(Duration::from_hours(1))).filter(|wait| !wait.is_zero())
}

/// What a refusal means for a call that makes nothing visible.
pub(super) fn fault(response: &Response<Bytes>, body: &Value, now_ms: i64) -> Fault {
    let code = code(body);
    if let Some(proof) = wire::judge(RULES, response.status(), &code) {
        return wire::fault(proof, pause(body).or_else(|| exhausted(response.headers())));
    }
    let text = Some(code.as_str()).filter(|code| !code.is_empty());
    if response.status().is_success() && text.is_some() {
        let message = format!("Reddit refused: {}", wire::short(&code));
        return Fault::Rejected { code: "REFUSED_BY_NETWORK".into(), message };
    }
    wire::refused_as(&[], response, text, now_ms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_how_long_to_wait() {
        let told = |text: &str| json!({ "json": { "errors": [["RATELIMIT", text, "ratelimit"]] } });
        for (body, seconds) in [
            (json!({ "json": { "ratelimit": 123.4, "errors": [["RATELIMIT", "", ""]] } }), Some(123)),
            (told("Take a break for 2 minutes before trying again."), Some(120)),
            (told("Take a break for 9 seconds before trying again."), Some(9)),
            (told("You've submitted too many links recently. Please try again in an hour."), Some(3600)),
            (told("Slow down."), None),
        ] {
            assert_eq!(pause(&body).map(|wait| wait.as_secs()), seconds, "{body}");
        }
        let headers = |remaining: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", remaining.parse().unwrap());
            headers.insert("x-ratelimit-reset", "42".parse().unwrap());
            exhausted(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!((headers("0.0"), headers("96.0")), (Some(42), None));
    }
}

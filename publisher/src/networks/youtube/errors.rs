//! What a refusal of YouTube proves. Its envelope holds a list of errors, and the first one's `reason` is the code;
//! newer front ends of Google answer a `status` alone. Whatever is not here proves nothing; a 5xx never does.
//!
//! <https://developers.google.com/youtube/v3/docs/errors>, `videos.insert` and `commentThreads.insert` there.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use jiff::{Timestamp, ToSpan, tz};
use serde_json::Value;

use super::super::{
    thread,
    wire::{Proof, Rule, json, rule, text_of},
};
use crate::domain::outcome::{Fault, Outcome, RATE_LIMITED};

/// The application's quota of the day is used up; it is filled at midnight Pacific Time.
const QUOTA: Proof = Proof::Transient(
    QUOTA_EXCEEDED,
    "The application has used up its quota at YouTube for today. Its operator can ask Google for more.",
);
const QUOTA_EXCEEDED: &str = "QUOTA_EXCEEDED";

/// The channel's own limit, which YouTube does not tell.
const UPLOADS: Proof =
    Proof::Transient(UPLOAD_LIMIT, "The channel has uploaded as many videos as YouTube allows in a day.");
const UPLOAD_LIMIT: &str = "UPLOAD_LIMIT_REACHED";

const LIMITED: Proof = Proof::Transient(RATE_LIMITED, "YouTube asks to wait.");

const NO_CHANNEL: Proof =
    Proof::Reconnect("The Google account has no YouTube channel. Create one, then connect again.");

const NOT_COVERED: Proof = Proof::Reconnect(
    "The authorization does not cover this. Connect the channel again and allow everything asked for.",
);

const CLOSED: Proof =
    Proof::Reconnect("YouTube has closed or suspended this account. Settle it there, then connect again.");

const REFUSED: Proof = Proof::Rejected("NOT_ALLOWED", "YouTube does not allow this channel to publish this.");

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    // The token is checked before anything else runs.
    rule(401, "authError", Proof::TokenExpired),
    rule(401, "UNAUTHENTICATED", Proof::TokenExpired),
    rule(401, "youtubeSignupRequired", NO_CHANNEL),
    rule(403, "insufficientPermissions", NOT_COVERED),
    rule(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", NOT_COVERED),
    rule(403, "accountSuspended", CLOSED),
    rule(403, "accountClosed", CLOSED),
    rule(
        403,
        "accessNotConfigured",
        Proof::Rejected(
            "APP_NOT_ALLOWED",
            "The application may not use the YouTube Data API. Its operator must enable it in Google Cloud.",
        ),
    ),
    // <https://developers.google.com/youtube/v3/determine_quota_cost>
    rule(403, "quotaExceeded", QUOTA),
    rule(403, "dailyLimitExceeded", QUOTA),
    rule(403, "rateLimitExceeded", LIMITED),
    rule(403, "userRateLimitExceeded", LIMITED),
    rule(429, "rateLimitExceeded", LIMITED),
    rule(429, "uploadRateLimitExceeded", LIMITED),
    rule(429, "RESOURCE_EXHAUSTED", LIMITED),
    rule(400, "uploadLimitExceeded", UPLOADS),
    // Metadata are checked when the session is opened, or at its end.
    rule(
        400,
        "invalidTitle",
        Proof::Rejected("TITLE_REFUSED", "YouTube does not accept this title. Change it."),
    ),
    rule(
        400,
        "invalidDescription",
        Proof::Rejected("TEXT_REFUSED", "YouTube does not accept this description. Change the text."),
    ),
    rule(
        400,
        "invalidTags",
        Proof::Rejected("TAGS_REFUSED", "YouTube does not accept these tags. Change them."),
    ),
    rule(
        400,
        "invalidCategoryId",
        Proof::Rejected("CATEGORY_REFUSED", "YouTube does not know this category. Choose another one."),
    ),
    rule(
        400,
        "invalidVideoMetadata",
        Proof::Rejected("SETTINGS_REFUSED", "YouTube does not accept these settings."),
    ),
    rule(400, "invalidFilename", Proof::Rejected("MEDIA_REFUSED", "YouTube does not accept this file.")),
    rule(400, "badContent", Proof::Rejected("MEDIA_REFUSED", "YouTube does not accept a file of this type.")),
    rule(400, "mediaBodyRequired", Proof::Rejected("MEDIA_REFUSED", "YouTube received no video.")),
    rule(
        400,
        "defaultLanguageNotSet",
        Proof::Rejected("SETTINGS_REFUSED", "YouTube does not accept these settings."),
    ),
    // Comments.
    rule(
        400,
        "commentTextRequired",
        Proof::Rejected("EMPTY", "YouTube takes no empty comment. Write a text."),
    ),
    rule(
        400,
        "commentTextTooLong",
        Proof::Rejected("TEXT_TOO_LONG", "The comment is longer than YouTube accepts."),
    ),
    rule(
        403,
        "commentsDisabled",
        Proof::Rejected(
            "COMMENTS_DISABLED",
            "Nobody can comment on this video, as on all videos for children.",
        ),
    ),
    rule(404, "videoNotFound", Proof::Rejected(thread::GONE.0, thread::GONE.1)),
    rule(403, "forbidden", REFUSED),
];

/// The code of a refusal. `None` when the body is none of YouTube's.
pub(super) fn reason(response: &Response<Bytes>) -> Option<String> {
    let body = json(response)?;
    let error = body.get("error").filter(|error| error.is_object())?;
    let listed = error.pointer("/errors/0").map(|first| text_of(first, "reason"));
    let detailed = || error.pointer("/details/0").map(|first| text_of(first, "reason"));
    let of = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    of(listed).or_else(|| of(detailed())).or_else(|| of(error.get("status").and_then(Value::as_str)))
}

/// Quotas of a day are filled at midnight Pacific Time, which no answer says.
pub(super) fn until_tomorrow(fault: Fault, now_ms: i64) -> Fault {
    match fault {
        Fault::Transient { code, message, .. } if is_daily(&code) => {
            Fault::Transient { code, message, retry_after: Some(to_midnight(now_ms)) }
        }
        other => other,
    }
}

/// The same for what became of a send.
pub(super) fn sent_until_tomorrow(outcome: Outcome, now_ms: i64) -> Outcome {
    match outcome {
        Outcome::Transient { code, message, .. } if is_daily(&code) => {
            Outcome::Transient { code, message, retry_after: Some(to_midnight(now_ms)) }
        }
        other => other,
    }
}

fn is_daily(code: &str) -> bool {
    matches!(code, QUOTA_EXCEEDED | UPLOAD_LIMIT)
}

/// How long until midnight in Los Angeles; where the machine knows no time zones, by its winter time.
fn to_midnight(now_ms: i64) -> Duration {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let zone =
        tz::TimeZone::get("America/Los_Angeles").unwrap_or_else(|_| tz::TimeZone::fixed(tz::offset(-8)));
    let midnight = now.to_zoned(zone).checked_add(1.day()).and_then(|tomorrow| tomorrow.start_of_day()).ok();
    let wait = midnight.map_or(3_600_000, |at| at.timestamp().as_millisecond() - now_ms);
    Duration::from_millis(wait.max(1000).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reason_is_found_in_old_and_new_envelopes() {
        let of = |body: Value| reason(&Response::new(Bytes::from(body.to_string())));
        let old = json!({ "error": { "code": 403, "errors": [{ "reason": "quotaExceeded" }] } });
        assert_eq!(of(old).as_deref(), Some("quotaExceeded"));
        let new = json!({ "error": { "code": 401, "status": "UNAUTHENTICATED" } });
        assert_eq!(of(new).as_deref(), Some("UNAUTHENTICATED"));
        assert_eq!(of(json!({ "error": "invalid_grant" })), None);
        assert_eq!(reason(&Response::new("<html>".into())), None);
    }

    #[test]
    fn a_day_of_quota_ends_at_midnight_pacific_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let winter = to_midnight(at("2026-12-01T07:00:00Z"));
        assert_eq!(winter, Duration::from_hours(1));
        assert!(to_midnight(at("2026-12-01T08:00:00Z")) > Duration::from_hours(23));
    }
}

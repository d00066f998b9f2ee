//! What a refusal of TikTok proves, by `error.code`
//! (<https://developers.tiktok.com/doc/tiktok-api-v2-error-handling>, and the error tables of the Content Posting API).
//! The same codes come with 4xx and, for creators in trouble, with 200; a 5xx never proves anything.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::super::wire::{self, Proof, Rule, json, rule, text_of};
use crate::domain::outcome::{Fault, Outcome, RATE_LIMITED};

const SIGN_IN: Proof = Proof::Reconnect(
    "The authorization does not cover this. Connect the account again and allow everything asked for.",
);

const INVALID: Proof =
    Proof::Rejected("CONTENT_REFUSED", "TikTok refuses this content. Change the text, media or settings.");

const BANNED: Proof = Proof::Rejected(
    "ACCOUNT_RESTRICTED",
    "TikTok does not let this account post. Open the app, settle it there, then post again.",
);

/// First match wins; statuses 200 to 429 alike.
const RULES: &[Rule] = &[
    rule(400, "access_token_invalid", Proof::TokenExpired),
    rule(400, "scope_not_authorized", SIGN_IN),
    rule(400, "scope_permission_missed", SIGN_IN),
    rule(400, "invalid_param", INVALID),
    rule(
        400,
        "app_version_check_failed",
        Proof::Rejected(
            "APP_TOO_OLD",
            "The creator's app is too old for drafts of photos. Update TikTok, then post again.",
        ),
    ),
    rule(
        400,
        "privacy_level_option_mismatch",
        Proof::Rejected(
            "PRIVACY_NOT_OFFERED",
            "The account no longer offers this privacy. Choose another one in the settings of the post.",
        ),
    ),
    rule(
        400,
        "url_ownership_unverified",
        Proof::Rejected(
            "URL_UNVERIFIED",
            "TikTok does not know this server's address. The operator verifies the prefix of public.url with /m/ in \
             TikTok's developer portal.",
        ),
    ),
    rule(
        400,
        "unaudited_client_can_only_post_to_private_accounts",
        Proof::Rejected(
            "APP_UNAUDITED",
            "TikTok has not audited this application: it posts for private accounts, and only for the creator to see.",
        ),
    ),
    rule(
        400,
        "spam_risk_too_many_posts",
        Proof::Transient(RATE_LIMITED, "The account has reached TikTok's limit of this day."),
    ),
    rule(
        400,
        "spam_risk_too_many_pending_share",
        Proof::Transient(RATE_LIMITED, "Too many drafts wait in the creator's inbox."),
    ),
    rule(400, "spam_risk", BANNED),
    rule(
        400,
        "reached_active_user_cap",
        Proof::Transient(
            RATE_LIMITED,
            "The application has reached TikTok's number of creators of this day.",
        ),
    ),
    rule(400, "rate_limit_exceeded", Proof::Transient(RATE_LIMITED, "TikTok asks to wait.")),
];

/// Nobody says how long to wait: a minute for the limits of a minute, longer for those of a day.
fn wait(code: &str) -> Duration {
    if code == "rate_limit_exceeded" { Duration::from_mins(1) } else { Duration::from_hours(1) }
}

/// The `error.code` of an answer, or the flat `error` of the token endpoints; empty without one.
pub(super) fn code(response: &Response<Bytes>) -> String {
    let body = json(response).unwrap_or_default();
    let nested = body.get("error").map(|error| text_of(error, "code")).filter(|code| !code.is_empty());
    nested.unwrap_or_else(|| text_of(&body, "error")).to_owned()
}

/// The `data` of an answer whose code is `ok`.
pub(super) fn data(response: &Response<Bytes>) -> Option<Value> {
    let is_ok = response.status().is_success() && code(response) == "ok";
    is_ok.then(|| json(response)?.get("data").cloned())?
}

fn judge(response: &Response<Bytes>) -> Option<Proof> {
    match response.status().as_u16() {
        200 | 400 | 401 | 403 | 429 => wire::judge(RULES, StatusCode::BAD_REQUEST, &code(response)),
        _ => None,
    }
}

/// What a refused or strange answer to a visible send proved.
pub(super) fn refused(response: &Response<Bytes>, now_ms: i64) -> Outcome {
    let code = code(response);
    let outcome = wire::refused(judge(response), response.status(), response.headers(), Vec::new, now_ms);
    match outcome {
        Outcome::Transient { code: reason, message, retry_after } => {
            let retry_after = retry_after.or_else(|| Some(wait(&code)));
            Outcome::Transient { code: reason, message, retry_after }
        }
        Outcome::Ambiguous { evidence } if !code.is_empty() => {
            Outcome::Ambiguous { evidence: format!("{evidence} with code {}", wire::short(&code)) }
        }
        other => other,
    }
}

/// What a refused answer to a call that makes nothing visible means.
pub(super) fn fault(response: &Response<Bytes>, now_ms: i64) -> Fault {
    let code = code(response);
    let transient = |reason: &str, message: String| {
        let told = wire::retry_after(response.headers(), now_ms);
        let retry_after = told.or_else(|| (reason == RATE_LIMITED).then(|| wait(&code)));
        Fault::Transient { code: reason.into(), message, retry_after }
    };
    match judge(response) {
        Some(Proof::Rejected(reason, message)) => {
            Fault::Rejected { code: reason.into(), message: message.into() }
        }
        Some(Proof::Transient(reason, message) | Proof::Stale(reason, message)) => {
            transient(reason, message.into())
        }
        Some(Proof::TokenExpired) => Fault::TokenExpired,
        Some(Proof::Reconnect(message)) => Fault::Reconnect { message: message.into() },
        None => match response.status() {
            StatusCode::TOO_MANY_REQUESTS => transient(RATE_LIMITED, "TikTok asks to wait.".into()),
            status if status.is_client_error() && !code.is_empty() => Fault::Rejected {
                code: "REFUSED_BY_NETWORK".into(),
                message: format!("The network refused ({status}): {}", wire::short(&code)),
            },
            status => transient("SERVER_ERROR", format!("The server answered {status}.")),
        },
    }
}

/// Why a post that was taken failed later: reason and sentence for people.
pub(super) fn failed(why: &str) -> (String, String) {
    let (code, message) = match why {
        "file_format_check_failed" => {
            ("MEDIA_REFUSED", "TikTok cannot use this kind of file. Use another one.")
        }
        "duration_check_failed" => ("MEDIA_REFUSED", "The video is too long or too short for TikTok."),
        "frame_rate_check_failed" => ("MEDIA_REFUSED", "TikTok takes 23 to 60 pictures in a second."),
        "picture_size_check_failed" => {
            ("MEDIA_REFUSED", "The picture or video is too large or too small for TikTok.")
        }
        "video_pull_failed" | "photo_pull_failed" => (
            "MEDIA_NOT_FETCHED",
            "TikTok could not download the media. The operator makes public.url an address that is reachable from the \
             internet; then post again.",
        ),
        "auth_removed" => (
            "AUTHORIZATION_REMOVED",
            "The authorization was taken back meanwhile. Connect the account, then post again.",
        ),
        "publish_cancelled" => ("CANCELLED", "The post was cancelled at TikTok."),
        why if why.starts_with("spam_risk") => (
            "ACCOUNT_RESTRICTED",
            "TikTok took the post for spam. Open the app, settle it there, then post again.",
        ),
        _ => ("PROCESSING_FAILED", "TikTok could not process the post. Post it again."),
    };
    (code.to_owned(), message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    fn answer(status: u16, code: &str) -> Response<Bytes> {
        let body = object!({ "data": {}, "error": { "code": code, "message": "", "log_id": "1" } });
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }

    #[test]
    fn success_is_the_code_and_not_the_status() {
        assert!(data(&answer(200, "ok")).is_some());
        assert!(data(&answer(200, "spam_risk")).is_none());
        assert!(data(&answer(500, "ok")).is_none());
        let flat = Response::new(Bytes::from_static(br#"{"error":"invalid_grant","error_description":""}"#));
        assert_eq!((code(&flat).as_str(), data(&flat)), ("invalid_grant", None));
        assert_eq!(code(&Response::new(Bytes::from_static(b"<html>"))), "");
    }

    proptest::proptest! {
        #[test]
        fn nothing_unlisted_is_definite(status in 200_u16..600, code in "[a-z_]{0,30}") {
            let response = answer(status, &code);
            let listed = judge(&response).is_some();
            let ambiguous = matches!(refused(&response, 0), Outcome::Ambiguous { .. });
            proptest::prop_assert_eq!(listed, !ambiguous);
            proptest::prop_assert!(status < 500 || ambiguous);
        }
    }
}

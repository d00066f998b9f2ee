//! What a refusal of LinkedIn proves. Answers hold `status`, `code`, `serviceErrorCode` and `message`, not always all of
//! them, so a rule may speak about any. Whatever is not here proves nothing; 5xx never does.
//!
//! <https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/error-handling>

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::super::{
    thread,
    wire::{self, Proof, Rule, json, rule, text_of},
};
use crate::domain::outcome::{Answer, Fault, Outcome, RATE_LIMITED};

const SIGN_IN: Proof = Proof::Reconnect("LinkedIn took the authorization back. Connect the account again.");

const NOT_ALLOWED: Proof = Proof::Reconnect(
    "LinkedIn does not let this login post here. Check the person's role on the page, then connect again and allow \
     everything asked for.",
);

const REFUSED: Proof =
    Proof::Rejected("CONTENT_REFUSED", "LinkedIn refuses this content. Change the text, media or settings.");

const VERSION: Proof = Proof::Rejected(
    "VERSION_RETIRED",
    "LinkedIn no longer answers the version of its interface that this postmesh speaks. Update postmesh, then try again.",
);

const THROTTLED: Proof = Proof::Transient(RATE_LIMITED, "LinkedIn asks to wait: its daily limit is reached.");

/// First match wins, by message before code before number.
pub(super) const RULES: &[Rule] = &[
    // Posts API, error table: the same text by the same author. Only a first send proves anything by it.
    rule(422, DUPLICATE, TWICE),
    rule(422, "DUPLICATE_POST", TWICE),
    rule(400, DUPLICATE, TWICE),
    rule(409, DUPLICATE, TWICE),
    // Error handling: the token is checked before anything else runs.
    rule(401, "EXPIRED_ACCESS_TOKEN", Proof::TokenExpired),
    rule(401, "#65602;", Proof::TokenExpired),
    rule(401, "REVOKED_ACCESS_TOKEN", SIGN_IN),
    rule(401, "#65601;", SIGN_IN),
    rule(401, "INVALID_ACCESS_TOKEN", SIGN_IN),
    rule(401, "#65600;", SIGN_IN),
    rule(401, "EMPTY_ACCESS_TOKEN", SIGN_IN),
    rule(401, "#65604;", SIGN_IN),
    // Videos API: another author's video.
    rule(
        403,
        "Accessing this video resource is forbidden",
        Proof::Rejected("MEDIA_REFUSED", "LinkedIn says that the media belong to another author."),
    ),
    rule(403, "ACCESS_DENIED", NOT_ALLOWED),
    rule(403, "#100;", NOT_ALLOWED),
    // Posts API, error table: fields are checked before the post is made.
    rule(
        400,
        "FIELD_LENGTH_TOO_LONG",
        Proof::Rejected("TEXT_TOO_LONG", "The text is longer than LinkedIn accepts. Shorten it."),
    ),
    rule(400, "INVALID_VALUE_FOR_FIELD", REFUSED),
    rule(400, "MISSING_FIELD", REFUSED),
    rule(422, "UNPROCESSABLE_ENTITY", REFUSED),
    // Error handling: the post that a comment is for.
    rule(404, "NOT_FOUND", Proof::Rejected(thread::GONE.0, thread::GONE.1)),
    // Versioning: <https://learn.microsoft.com/en-us/linkedin/marketing/versioning>.
    rule(400, "VERSION_MISSING", VERSION),
    rule(426, "NONEXISTENT_VERSION", VERSION),
    // Rate limiting: <https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits>.
    rule(429, "TOO_MANY_REQUESTS", THROTTLED),
    rule(429, "#101;", THROTTLED),
    rule(429, "Resource level throttle", THROTTLED),
];

const DUPLICATE: &str = "Content is a duplicate of";

const TWICE: Proof = Proof::Rejected(
    "DUPLICATE",
    "LinkedIn refuses a text that this author has posted shortly before. Change the text.",
);

/// An upload that is still being processed; the message names the asset and its state.
const NOT_READY: Proof = Proof::Transient("MEDIA_PROCESSING", "LinkedIn is still processing the media.");

/// How soon to try again while media are processed.
const SOON: Duration = Duration::from_secs(10);

/// What the answer says of itself.
struct Said {
    message: String,
    code: String,
    number: String,
}

impl Said {
    fn read(response: &Response<Bytes>) -> Self {
        let body = json(response).unwrap_or_default();
        let number = body.get("serviceErrorCode").and_then(Value::as_i64);
        Self {
            message: text_of(&body, "message").to_owned(),
            code: text_of(&body, "code").to_owned(),
            // Marked off, so that a rule fits the whole of it.
            number: number.map(|number| format!("#{number};")).unwrap_or_default(),
        }
    }

    fn proof(&self, status: StatusCode) -> Option<Proof> {
        let unfinished = matches!(status.as_u16(), 400 | 422)
            && (self.message.contains("not AVAILABLE") || self.message.contains("PROCESSING"));
        if unfinished {
            return Some(NOT_READY);
        }
        let texts = [&self.message, &self.code, &self.number];
        texts.into_iter().filter(|text| !text.is_empty()).find_map(|text| wire::judge(RULES, status, text))
    }

    fn is_duplicate(&self) -> bool {
        self.message.starts_with(DUPLICATE) || self.code == "DUPLICATE_POST"
    }

    fn short(&self) -> Option<&str> {
        [&self.code, &self.number, &self.message]
            .into_iter()
            .find(|text| !text.is_empty())
            .map(String::as_str)
    }
}

/// What a refusal of a visible send proved. `resend`: an earlier attempt may have made the post, so a duplicate proves
/// nothing. `fresh`: the token was made a moment ago, and LinkedIn calls such tokens revoked until it knows them
/// everywhere.
pub(super) fn answer(response: &Response<Bytes>, resend: bool, fresh: bool, now_ms: i64) -> Answer {
    let (status, said) = (response.status(), Said::read(response));
    let mut wire = wire::seen(response, said.short(), now_ms);
    if resend && said.is_duplicate() {
        let evidence = format!("the network answered {status}: {}", wire::short(&said.message));
        return Answer { outcome: Outcome::Ambiguous { evidence }, wire };
    }
    let proof = said.proof(status).filter(|_| !status.is_success());
    let proof = if fresh && proof == Some(SIGN_IN) { Some(UNSETTLED) } else { proof };
    let mut outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms);
    if let Outcome::Transient { code, retry_after, .. } = &mut outcome {
        if code == RATE_LIMITED {
            *retry_after = Some(retry_after.unwrap_or_else(|| wait(&said.message, now_ms)));
            wire.hold = *retry_after;
        } else {
            *retry_after = retry_after.or(Some(SOON));
        }
    }
    Answer { outcome, wire }
}

const UNSETTLED: Proof =
    Proof::Transient("TOKEN_NOT_ACTIVE", "LinkedIn does not know the new authorization everywhere yet.");

/// What a refusal of a call that makes nothing visible means.
pub(super) fn fault(response: &Response<Bytes>, now_ms: i64) -> Fault {
    let (status, said) = (response.status(), Said::read(response));
    let transient = |code: &str, message: String, retry_after| Fault::Transient {
        code: code.into(),
        message,
        retry_after: wire::retry_after(response.headers(), now_ms).or(retry_after),
    };
    match said.proof(status) {
        Some(Proof::Rejected(code, message)) => {
            Fault::Rejected { code: code.into(), message: message.into() }
        }
        Some(Proof::Transient(code, message) | Proof::Stale(code, message)) => {
            let wait = if code == RATE_LIMITED { wait(&said.message, now_ms) } else { SOON };
            transient(code, message.into(), Some(wait))
        }
        Some(Proof::TokenExpired) => Fault::TokenExpired,
        Some(Proof::Reconnect(message)) => Fault::Reconnect { message: message.into() },
        None if status == StatusCode::TOO_MANY_REQUESTS => {
            transient(RATE_LIMITED, "LinkedIn asks to wait.".into(), Some(wait(&said.message, now_ms)))
        }
        None if status.is_client_error()
            && status != StatusCode::REQUEST_TIMEOUT
            && said.short().is_some() =>
        {
            let message = format!("LinkedIn refused ({status}): {}", wire::short(&said.message));
            Fault::Rejected { code: "REFUSED_BY_NETWORK".into(), message }
        }
        None => transient("SERVER_ERROR", format!("LinkedIn answered {status}."), None),
    }
}

/// No header says how long to wait. Daily limits are filled again at midnight UTC; others soon.
fn wait(message: &str, now_ms: i64) -> Duration {
    const DAY: u64 = 86_400_000;
    if !message.contains("DAY") {
        return Duration::from_mins(1);
    }
    let today = now_ms.rem_euclid(DAY.cast_signed()).unsigned_abs();
    Duration::from_millis(DAY - today)
}

/// Whether an answer of the token endpoint means that the authorization is over for good.
/// <https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens>
pub(super) fn ends_session(status: u16, code: &str) -> bool {
    matches!(status, 400 | 401) && code == "invalid_grant"
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    fn judged(status: u16, body: &Value, resend: bool) -> Outcome {
        let response = Response::builder().status(status).body(body.to_string().into()).unwrap();
        answer(&response, resend, false, 0).outcome
    }

    #[test]
    fn a_duplicate_is_a_refusal_once_and_proves_nothing_afterwards() {
        let body = object!({ "status": 422, "message": "Content is a duplicate of urn:li:share:6844785523593134080" });
        assert!(matches!(judged(422, &body, false), Outcome::Rejected { code, .. } if code == "DUPLICATE"));
        let Outcome::Ambiguous { evidence } = judged(422, &body, true) else { panic!("it may be ours") };
        assert!(evidence.contains("urn:li:share:6844785523593134080"), "{evidence}");
    }

    #[test]
    fn fields_may_be_missing() {
        for body in [
            object!({ "status": 401, "serviceErrorCode": 65602, "message": "The token used in the request has expired" }),
            object!({ "code": "EXPIRED_ACCESS_TOKEN" }),
        ] {
            assert_eq!(judged(401, &body, false), Outcome::TokenExpired, "{body}");
        }
        let busy = object!({ "code": "UNPROCESSABLE_ENTITY", "message": "The asset urn:li:image:1 is not AVAILABLE" });
        assert!(
            matches!(judged(422, &busy, false), Outcome::Transient { code, .. } if code == "MEDIA_PROCESSING")
        );
    }

    #[test]
    fn a_daily_limit_ends_at_midnight() {
        let body = object!({ "status": 429, "serviceErrorCode": 101,
            "message": "Resource level throttle DAY limit for calls to this resource is reached." });
        let response = Response::builder().status(429).body(Bytes::from(body.to_string())).unwrap();
        let noon = 86_400_000 * 20_000 + 43_200_000;
        let seen = answer(&response, false, false, noon);
        let half_a_day = Some(Duration::from_hours(12));
        assert!(matches!(seen.outcome, Outcome::Transient { retry_after, .. } if retry_after == half_a_day));
        assert_eq!(seen.wire.hold, half_a_day);
        assert_eq!(wait("slow down", noon), Duration::from_mins(1));
    }

    #[test]
    fn a_new_token_that_looks_revoked_is_waited_for() {
        let body = object!({ "status": 401, "code": "REVOKED_ACCESS_TOKEN", "message": "revoked" });
        let response = Response::builder().status(401).body(Bytes::from(body.to_string())).unwrap();
        assert!(matches!(answer(&response, false, true, 0).outcome, Outcome::Transient { .. }));
        assert!(matches!(answer(&response, false, false, 0).outcome, Outcome::Reconnect { .. }));
    }

    proptest::proptest! {
        #[test]
        fn nothing_outside_the_table_is_definite(status in 201_u16..600, text in "\\PC{0,40}") {
            let listed = RULES.iter().any(|rule| rule.fits(status, &text));
            let busy = text.contains("not AVAILABLE") || text.contains("PROCESSING");
            let seen = judged(status, &object!({ "code": text, "message": text }), false);
            let ambiguous = matches!(seen, Outcome::Ambiguous { .. });
            proptest::prop_assert!(listed || busy || ambiguous, "{status} {text}: {seen:?}");
            proptest::prop_assert!(status < 500 || ambiguous, "a 5xx never proves anything");
        }
    }
}

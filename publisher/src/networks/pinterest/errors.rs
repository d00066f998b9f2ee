//! What a refusal of Pinterest proves. Answers hold a number and a sentence; the same number may mean several things, so
//! sentences are looked at first. Whatever is not here proves nothing; 5xx never does.
//!
//! <https://developers.pinterest.com/docs/api/v5/pins-create> (responses) and
//! <https://developers.pinterest.com/docs/reference/rate-limits/>

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::{
    domain::outcome::{Answer, Fault, Outcome, RATE_LIMITED},
    networks::wire::{self, Proof, Rule, json, rule, text_of},
};

const SCOPES: Proof = Proof::Reconnect(
    "The authorization does not cover making pins. Connect again and allow everything asked for.",
);

const BLOCKED: Proof =
    Proof::Rejected("LINK_BLOCKED", "Pinterest takes this link for spam. Use another link or none.");

/// First match wins, by message before number.
pub(super) const RULES: &[Rule] = &[
    // Pins, "Create Pin": 401. Expired, revoked and unknown tokens look the same; a refresh tells them apart.
    rule(401, "#2;", Proof::TokenExpired),
    rule(401, "#3;", SCOPES),
    rule(403, "#3;", SCOPES),
    // Access tiers: <https://developers.pinterest.com/docs/key-concepts/access-tiers/>.
    rule(403, "Apps with Trial access", TRIAL),
    rule(403, BLOCKED_LINK, BLOCKED),
    rule(400, BLOCKED_LINK, BLOCKED),
    // "Create Pin": 403 and 404, looked at before the pin is made.
    rule(
        403,
        "#29;",
        Proof::Rejected("NOT_ALLOWED", "Pinterest does not let this account pin here. Check the board."),
    ),
    rule(
        404,
        "#40;",
        Proof::Rejected("BOARD_GONE", "The board no longer exists. Connect the account with another board."),
    ),
    // "Create Pin": 400, the body does not fit the description of the call.
    rule(
        400,
        "#1;",
        Proof::Rejected("CONTENT_REFUSED", "Pinterest refuses this content. Change the text, link or media."),
    ),
    rule(429, "#8;", Proof::Transient(RATE_LIMITED, "Pinterest asks to wait.")),
];

const BLOCKED_LINK: &str = "Sorry! We blocked this link";

const TRIAL: Proof = Proof::Rejected(
    "TRIAL_ACCESS",
    "Pinterest has not yet given this application more than trial access, so it may not make pins. The operator asks for \
     Standard access in the developer portal.",
);

/// How long to wait when Pinterest does not say.
const WAIT: Duration = Duration::from_mins(1);

fn said(response: &Response<Bytes>) -> (String, String) {
    let body = json(response).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_i64).map(|code| code.to_string());
    (text_of(&body, "message").to_owned(), code.unwrap_or_default())
}

fn proof(status: StatusCode, message: &str, code: &str) -> Option<Proof> {
    if status == StatusCode::FORBIDDEN && message.contains("consumer type") {
        return Some(TRIAL);
    }
    // The number is marked off, so that a rule fits the whole of it: 29 is not 2.
    let texts = [message, &format!("#{code};")];
    texts.into_iter().find_map(|text| wire::judge(RULES, status, text))
}

/// What a refusal of a visible send proved.
pub(super) fn answer(response: &Response<Bytes>, now_ms: i64) -> Answer {
    let (status, (message, code)) = (response.status(), said(response));
    let shown = if code.is_empty() { &message } else { &code };
    let mut seen = wire::seen(response, Some(shown.as_str()).filter(|shown| !shown.is_empty()), now_ms);
    let proof = proof(status, &message, &code).filter(|_| !status.is_success());
    let mut outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms);
    seen.hold = hold(response);
    if let Outcome::Transient { code, retry_after, .. } = &mut outcome
        && code == RATE_LIMITED
    {
        *retry_after = Some(reset(response).unwrap_or(WAIT));
        seen.hold = *retry_after;
    }
    Answer { outcome, wire: seen }
}

/// What a refusal of a call that makes nothing visible means.
pub(super) fn fault(response: &Response<Bytes>) -> Fault {
    let (status, (message, code)) = (response.status(), said(response));
    let transient = |code: &str, message: String, retry_after| Fault::Transient {
        code: code.into(),
        message,
        retry_after,
    };
    match proof(status, &message, &code) {
        Some(Proof::TokenExpired) => Fault::TokenExpired,
        Some(Proof::Reconnect(message)) => Fault::Reconnect { message: message.into() },
        Some(Proof::Rejected(code, message)) => {
            Fault::Rejected { code: code.into(), message: message.into() }
        }
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            let wait = Some(reset(response).unwrap_or(WAIT));
            transient(RATE_LIMITED, "Pinterest asks to wait.".into(), wait)
        }
        _ if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT && !message.is_empty() => {
            let message = format!("Pinterest refused ({status}): {}", wire::short(&message));
            Fault::Rejected { code: "REFUSED_BY_NETWORK".into(), message }
        }
        _ => transient("SERVER_ERROR", format!("Pinterest answered {status}."), None),
    }
}

/// How long the network wants to hear nothing more of the account: it told that nothing remains.
pub(super) fn hold(response: &Response<Bytes>) -> Option<Duration> {
    (first(response, "x-ratelimit-remaining") == Some(0)).then(|| reset(response)).flatten()
}

/// Seconds from now, unlike the limits of most networks.
fn reset(response: &Response<Bytes>) -> Option<Duration> {
    const DAY: Duration = Duration::from_hours(24);
    let seconds = first(response, "x-ratelimit-reset").filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds).min(DAY))
}

/// The first number of a header that may tell of several windows: `100, 100;w=60;name="…"`.
fn first(response: &Response<Bytes>, name: &str) -> Option<u64> {
    let text = response.headers().get(name)?.to_str().ok()?;
    text.split([',', ';']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    fn response(status: u16, body: &Value) -> Response<Bytes> {
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }

    #[test]
    fn limits_are_told_in_seconds_from_now() {
        let mut busy =
            response(429, &object!({ "code": 8, "message": "You have exceeded your rate limit." }));
        let minute = answer(&busy, 0);
        assert!(matches!(minute.outcome, Outcome::Transient { retry_after: Some(WAIT), .. }));
        busy.headers_mut().insert("x-ratelimit-reset", "7, 7;w=60".parse().unwrap());
        let seven = Some(Duration::from_secs(7));
        let seen = answer(&busy, 0);
        assert!(matches!(seen.outcome, Outcome::Transient { retry_after, .. } if retry_after == seven));
        assert_eq!(seen.wire.hold, seven);
        let mut last = response(201, &object!({}));
        last.headers_mut().insert("x-ratelimit-remaining", "0".parse().unwrap());
        last.headers_mut().insert("x-ratelimit-reset", "3".parse().unwrap());
        assert_eq!(hold(&last), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_number_is_compared_as_a_whole() {
        let judged =
            |status, code: i64| answer(&response(status, &object!({ "code": code, "message": "x" })), 0);
        assert_eq!(judged(401, 2).outcome, Outcome::TokenExpired);
        assert!(matches!(judged(401, 29).outcome, Outcome::Ambiguous { .. }), "29 is not 2");
        assert!(matches!(judged(400, 13).outcome, Outcome::Ambiguous { .. }), "13 is not 1");
    }

    proptest::proptest! {
        #[test]
        fn nothing_outside_the_table_is_definite(status in 201_u16..600, code in 0_i64..60, message in "\\PC{0,40}") {
            let body = object!({ "code": code, "message": message });
            let number = format!("#{code};");
            let listed = RULES.iter().any(|rule| rule.fits(status, &message) || rule.fits(status, &number));
            let seen = answer(&response(status, &body), 0).outcome;
            let ambiguous = matches!(seen, Outcome::Ambiguous { .. });
            proptest::prop_assert!(listed || ambiguous || message.contains("consumer type"), "{status} {body}: {seen:?}");
            proptest::prop_assert!(status < 500 || ambiguous, "a 5xx never proves anything");
        }
    }
}

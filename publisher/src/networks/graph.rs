//! What the networks of Meta's Graph API share (Facebook Pages, Instagram, Threads): the error envelope as one code
//! text, the usage headers as a time to wait, and patience with what the network works on.
//!
//! <https://developers.facebook.com/docs/graph-api/guides/error-handling> ·
//! <https://developers.facebook.com/docs/graph-api/overview/rate-limiting>. Invariant: an answer is judged by its code
//! alone, and only when its status says that it was refused; the envelope's `type` is `OAuthException` for almost
//! everything and is never looked at.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::wire::{self, Proof, Rule, json, text_of};
use crate::domain::outcome::{Fault, Outcome, RATE_LIMITED, Wire};

/// The error envelope of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `code/subcode` such as `190/463`; the subcode is 0 where there is none.
    pub(super) code: String,
    /// The network's own sentence.
    pub(super) message: String,
    /// Whether the network says that it may work later.
    pub(super) is_transient: bool,
    /// What the network calls the request.
    trace: String,
}

/// The envelope, where the answer has one.
pub(super) fn refusal(response: &Response<Bytes>) -> Option<Refusal> {
    let body = json(response)?;
    let error = body.get("error").filter(|error| error.is_object())?;
    let number = |name: &str| error.get(name).and_then(Value::as_i64).unwrap_or(0);
    Some(Refusal {
        code: format!("{}/{}", number("code"), number("error_subcode")),
        message: text_of(error, "message").to_owned(),
        is_transient: error.get("is_transient").and_then(Value::as_bool).unwrap_or(false),
        trace: text_of(error, "fbtrace_id").to_owned(),
    })
}

/// The row of a table that fits an answer. Tables are written for status 400; the same codes also come with 401, 403,
/// 404 and 429, and mean the same there. A row `190/` is about every subcode of 190, `190/463` about that pair, and
/// `/2207009` about that number wherever it stands, as subcode or as code. A 5xx fits no row.
pub(super) fn judge(rules: &[Rule], response: &Response<Bytes>) -> Option<Proof> {
    if !matches!(response.status().as_u16(), 400 | 401 | 403 | 404 | 429) {
        return None;
    }
    let refusal = refusal(response)?;
    let (code, subcode) = refusal.code.split_once('/')?;
    let texts = [format!("/{subcode}"), format!("/{code}"), refusal.code.clone()];
    texts.iter().find_map(|text| wire::judge(rules, StatusCode::BAD_REQUEST, text))
}

/// What a refused or strange answer to a visible send proved: a row of the table, or nothing.
pub(super) fn refused(proof: Option<Proof>, response: &Response<Bytes>, now_ms: i64) -> Outcome {
    let outcome = wire::refused(proof, response.status(), response.headers(), Vec::new, now_ms);
    match outcome {
        Outcome::Transient { code, message, retry_after } => {
            let retry_after = longest(retry_after, throttled_for(&code, response));
            Outcome::Transient { code, message, retry_after }
        }
        Outcome::Ambiguous { evidence } => {
            let code = refusal(response).map(|refusal| format!(" with code {}", refusal.code));
            Outcome::Ambiguous { evidence: evidence + &code.unwrap_or_default() }
        }
        other => other,
    }
}

/// What a refused answer to a call that makes nothing visible means. A refusal that no row lists is final only when it
/// comes in the network's envelope and does not call itself transient.
pub(super) fn fault(rules: &[Rule], response: &Response<Bytes>, now_ms: i64) -> Fault {
    let transient = |code: &str, message: String| Fault::Transient {
        code: code.into(),
        message,
        retry_after: longest(wire::retry_after(response.headers(), now_ms), throttled_for(code, response)),
    };
    let status = response.status();
    let refusal = refusal(response);
    match judge(rules, response) {
        Some(Proof::Rejected(code, message)) => {
            Fault::Rejected { code: code.into(), message: message.into() }
        }
        Some(Proof::Transient(code, message) | Proof::Stale(code, message)) => {
            transient(code, message.into())
        }
        Some(Proof::TokenExpired) => Fault::TokenExpired,
        Some(Proof::Reconnect(message)) => Fault::Reconnect { message: message.into() },
        None if status == StatusCode::TOO_MANY_REQUESTS => {
            transient(RATE_LIMITED, "The network asks to wait.".into())
        }
        None => match refusal {
            Some(refusal) if is_throttled(&refusal.code) => {
                transient(RATE_LIMITED, "The network asks to wait.".into())
            }
            Some(refusal) if status.is_client_error() && !may_pass(&refusal) => Fault::Rejected {
                code: "REFUSED_BY_NETWORK".into(),
                message: format!(
                    "The network refused ({status}, code {}): {}",
                    refusal.code,
                    wire::short(&refusal.message)
                ),
            },
            _ => transient("SERVER_ERROR", format!("The server answered {status}.")),
        },
    }
}

/// Whether a refusal may be gone the next time: the network says so, or its code is one of those for trouble of its own.
pub(super) fn may_pass(refusal: &Refusal) -> bool {
    refusal.is_transient || refusal.code.starts_with("1/") || refusal.code.starts_with("2/")
}

/// Whether a code text says that too much was asked: 4 (application), 17 (user), 32 (Page), 341, 613 (custom), and the
/// 800xx of the business use cases.
pub(super) fn is_throttled(code: &str) -> bool {
    let (code, subcode) = code.split_once('/').unwrap_or((code, "0"));
    // 4 with a subcode is something else: 4/2207051 is a suspicion of spam.
    (code == "4" && subcode == "0")
        || matches!(code, "17" | "32" | "341" | "613")
        || (code.len() == 5 && code.starts_with("800"))
}

/// Whether the object asked for is not there, or not for us: `100/33`.
pub(super) fn is_missing(response: &Response<Bytes>) -> bool {
    refusal(response).is_some_and(|refusal| refusal.code == "100/33")
}

/// The wire facts of an answer: code, trace id, and a hold when the limit is used up.
pub(super) fn seen(response: &Response<Bytes>, now_ms: i64) -> Wire {
    let refusal = refusal(response);
    let mut wire = wire::seen(response, refusal.as_ref().map(|refusal| refusal.code.as_str()), now_ms);
    let throttled = refusal.as_ref().is_some_and(|refusal| is_throttled(&refusal.code));
    wire.hold = longest(wire.hold, if throttled { Some(wait(response)) } else { hold(response.headers()) });
    let trace = refusal.map(|refusal| refusal.trace).filter(|trace| !trace.is_empty());
    let trace = trace.or_else(|| header(response.headers(), "x-fb-trace-id").map(str::to_owned));
    if let Some(trace) = trace {
        wire.request_id = Some(wire::short(&trace).to_owned());
    }
    wire
}

/// How long the usage headers ask to wait; `None` while something is left. `X-Business-Use-Case-Usage` names minutes;
/// `X-App-Usage` names percents alone, of a window that moves.
pub(super) fn hold(headers: &HeaderMap) -> Option<Duration> {
    let read = |name: &str| header(headers, name).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let full = |usage: &Value| {
        ["call_count", "total_time", "total_cputime"]
            .iter()
            .any(|name| usage.get(name).and_then(Value::as_f64).is_some_and(|percent| percent >= 100.0))
    };
    let app = read("x-app-usage").filter(full).map(|_| UNTOLD);
    let business = read("x-business-use-case-usage");
    let usages = business.iter().filter_map(Value::as_object).flat_map(|by_id| by_id.values());
    let usages = usages.filter_map(Value::as_array).flatten();
    let waits = usages.filter_map(|usage| {
        let minutes = usage.get("estimated_time_to_regain_access").and_then(Value::as_u64).unwrap_or(0);
        let told = (minutes > 0).then(|| Duration::from_mins(minutes.min(DAY_MINUTES)));
        told.or_else(|| full(usage).then_some(UNTOLD))
    });
    waits.chain(app).max()
}

/// How long to wait after a refusal for asking too much: as told, else a while.
fn wait(response: &Response<Bytes>) -> Duration {
    hold(response.headers()).unwrap_or(UNTOLD)
}

fn throttled_for(code: &str, response: &Response<Bytes>) -> Option<Duration> {
    (code == RATE_LIMITED).then(|| wait(response))
}

fn longest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.max(other)
}

/// The wait where nobody says how long: asking on lengthens the block, and the window moves.
const UNTOLD: Duration = Duration::from_mins(5);

const DAY_MINUTES: u64 = 24 * 60;

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// An id, which some answers write as a text and others as a number; empty when there is none.
pub(super) fn id_of(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    }
}

/// A time as Graph writes it, `2026-01-02T03:04:05+0000`; Unix milliseconds.
pub(super) fn time_of(value: &Value, name: &str) -> Option<i64> {
    let text = text_of(value, name);
    let text = text.strip_suffix("+0000").map_or_else(|| text.to_owned(), |time| format!("{time}Z"));
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// A fault of a look at something already sent, as an outcome: a refusal of the look says nothing about the post.
pub(super) fn look_failed(fault: Fault) -> Outcome {
    match fault {
        Fault::Transient { code, message, retry_after } => Outcome::Transient { code, message, retry_after },
        Fault::TokenExpired => Outcome::TokenExpired,
        Fault::Reconnect { message } => Outcome::Reconnect { message },
        other => Outcome::Ambiguous { evidence: other.to_string() },
    }
}

/// Pauses between looks at what the network works on, longer each time, for a bounded while.
#[derive(Debug)]
pub(super) struct Patience {
    pause: Duration,
    waited: Duration,
}

impl Patience {
    /// How long one call of `prepare` waits in all.
    const MOST: Duration = Duration::from_secs(45);

    /// Pauses of a quarter of a second at first.
    pub(super) const fn new() -> Self {
        Self { pause: Duration::from_millis(250), waited: Duration::ZERO }
    }

    /// Sleeps until the next look; a fault that asks to be called again when the time is up.
    pub(super) async fn pause(&mut self) -> Result<(), Fault> {
        if self.waited >= Self::MOST {
            return Err(Fault::Transient {
                code: "MEDIA_PROCESSING".into(),
                message: "The network is still processing the media.".into(),
                retry_after: Some(Duration::from_secs(10)),
            });
        }
        tokio::time::sleep(self.pause).await;
        self.waited += self.pause;
        self.pause = (self.pause * 2).min(Duration::from_secs(5));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;
    use crate::networks::wire::rule;

    fn answer(status: u16, body: &Value) -> Response<Bytes> {
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }

    fn error(code: i64, subcode: i64) -> Value {
        object!({ "error": { "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode } })
    }

    const RULES: &[Rule] = &[
        rule(400, "190/463", Proof::TokenExpired),
        rule(400, "190/", Proof::Reconnect("r")),
        rule(400, "10/", Proof::Reconnect("scopes")),
        rule(400, "/2207009", Proof::Rejected("ASPECT", "a")),
    ];

    #[test]
    fn a_row_is_about_a_code_a_pair_or_a_number_anywhere() {
        let proof = |status, code, subcode| judge(RULES, &answer(status, &error(code, subcode)));
        assert_eq!(proof(400, 190, 463), Some(Proof::TokenExpired));
        assert_eq!(proof(401, 190, 460), Some(Proof::Reconnect("r")));
        assert_eq!(proof(403, 10, 0), Some(Proof::Reconnect("scopes")));
        assert_eq!(proof(400, 100, 33), None, "100 does not begin with the code 10");
        assert_eq!(proof(400, 36_003, 2_207_009), Some(Proof::Rejected("ASPECT", "a")));
        assert_eq!(proof(400, 2_207_009, 0), Some(Proof::Rejected("ASPECT", "a")));
        assert_eq!(proof(500, 190, 463), None, "a 5xx proves nothing");
        assert_eq!(judge(RULES, &answer(400, &object!({ "error": "invalid" }))), None);
        assert_eq!(judge(RULES, &answer(400, &object!([]))), None);
    }

    #[test]
    fn only_refusals_that_do_not_pass_are_final_for_reads() {
        let read = |status, body: &Value| fault(RULES, &answer(status, body), 0);
        assert!(matches!(read(400, &error(100, 0)), Fault::Rejected { .. }));
        for (status, code) in [(500, 1), (400, 2), (503, 100)] {
            let fault = read(status, &error(code, 0));
            assert!(
                matches!(&fault, Fault::Transient { code, .. } if code == "SERVER_ERROR"),
                "{status} {code}: {fault:?}"
            );
        }
        let mut passing = error(100, 0);
        passing["error"]["is_transient"] = object!(true);
        assert!(matches!(read(400, &passing), Fault::Transient { .. }));
        for code in [4, 17, 32, 341, 613, 80_001, 80_002] {
            let fault = read(400, &error(code, 0));
            assert!(
                matches!(&fault, Fault::Transient { code, retry_after: Some(_), .. } if code == RATE_LIMITED),
                "{code}: {fault:?}"
            );
        }
        assert!(!is_throttled("4/2207051"));
        assert!(matches!(read(502, &object!("<html>")), Fault::Transient { .. }));
    }

    #[test]
    fn usage_headers_tell_how_long_to_wait() {
        let held = |name: &'static str, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, text.parse().unwrap());
            hold(&headers).map(|hold| hold.as_secs())
        };
        let app = |percent: i64| object!({ "call_count": percent, "total_time": 1, "total_cputime": 0 });
        assert_eq!(held("x-app-usage", &app(99).to_string()), None);
        assert_eq!(held("x-app-usage", &app(100).to_string()), Some(300));
        let business = |minutes: i64, percent: i64| {
            let usage = object!({ "type": "pages", "call_count": percent, "estimated_time_to_regain_access": minutes });
            object!({ "12": [{ "type": "instagram", "call_count": 3 }], "13": [usage] }).to_string()
        };
        assert_eq!(held("x-business-use-case-usage", &business(0, 97)), None);
        assert_eq!(held("x-business-use-case-usage", &business(19, 100)), Some(19 * 60));
        assert_eq!(held("x-business-use-case-usage", &business(0, 100)), Some(300));
        assert_eq!(held("x-business-use-case-usage", "[1]"), None);
        let throttled = seen(&answer(400, &error(80_001, 0)), 0);
        assert_eq!((throttled.platform_code.as_deref(), throttled.hold), (Some("80001/0"), Some(UNTOLD)));
    }

    #[test]
    fn reads_ids_and_times_as_they_come() {
        let body = object!({ "a": "17", "b": 17_841_405_793_187_218_i64, "t": "2026-01-02T03:04:05+0000" });
        assert_eq!((id_of(&body, "a"), id_of(&body, "b")), ("17".into(), "17841405793187218".into()));
        assert_eq!(id_of(&body, "c"), "");
        assert_eq!(time_of(&body, "t"), Some(1_767_323_045_000));
        assert_eq!(time_of(&body, "a"), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_unlisted_is_definite(status in 100_u16..600, code in 0_i64..100_000, subcode in 0_i64..3_000_000) {
            let response = answer(status, &error(code, subcode));
            let proof = judge(RULES, &response);
            let outcome = refused(proof, &response, 0);
            proptest::prop_assert_eq!(proof.is_none(), matches!(outcome, Outcome::Ambiguous { .. }));
            proptest::prop_assert!(status < 500 || proof.is_none());
        }
    }
}

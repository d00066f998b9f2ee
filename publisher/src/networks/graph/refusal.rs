//! The error envelope as one code text, and what it proves
//! (<https://developers.facebook.com/docs/graph-api/guides/error-handling>).
//!
//! Invariant: an answer is judged by its code alone, and only when its status says that it was refused; the envelope's
//! `type` is `OAuthException` for almost everything and is never looked at.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::{
    super::{
        thread,
        wire::{self, Proof, Rule, json, rule, text_of},
    },
    node::id_of,
    usage::{header, hold, throttled_for, wait},
};
use crate::domain::outcome::{Fault, Outcome, RATE_LIMITED, Wire};

/// The row about every code that says that too much was asked.
pub(in super::super) const THROTTLED: &str = "throttled";

/// The row about every code that says that a permission is missing.
pub(in super::super) const FORBIDDEN: &str = "forbidden";

/// What a comment under a post that is gone is answered.
pub(in super::super) const ROOT_GONE: Rule =
    rule(400, "100/33", Proof::Rejected(thread::GONE.0, thread::GONE.1));

/// The error envelope of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Refusal {
    /// `code/subcode` such as `190/463`; the subcode is 0 where there is none.
    pub(in super::super) code: String,
    /// The network's own sentence.
    pub(in super::super) message: String,
    /// Whether the network says that it may work later.
    is_transient: bool,
    /// What the network calls the request.
    trace: String,
}

/// The envelope, where the answer has one.
pub(in super::super) fn refusal(response: &Response<Bytes>) -> Option<Refusal> {
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

/// The `code/subcode` of a refusal; empty without one.
pub(in super::super) fn code_of(response: &Response<Bytes>) -> String {
    refusal(response).map(|refusal| refusal.code).unwrap_or_default()
}

/// The row of a table that fits an answer. Tables are written for status 400; the same codes also come with 401, 403,
/// 404 and 429, and mean the same there. A 5xx fits no row.
pub(in super::super) fn judge(rules: &[Rule], response: &Response<Bytes>) -> Option<Proof> {
    if !matches!(response.status().as_u16(), 400 | 401 | 403 | 404 | 429) {
        return None;
    }
    let texts = texts(&refusal(response)?.code);
    texts.iter().find_map(|text| wire::judge(rules, StatusCode::BAD_REQUEST, text))
}

/// What a row may begin with to be about a code, the closest first: `/2207009` is about that number wherever it stands,
/// as subcode or as code; `190/463` about that pair; `190/` about every subcode of 190; [`THROTTLED`] and [`FORBIDDEN`]
/// about all codes of that meaning.
pub(super) fn texts(code: &str) -> Vec<String> {
    let (number, subcode) = code.split_once('/').unwrap_or((code, "0"));
    let meanings = [(THROTTLED, is_throttled(code)), (FORBIDDEN, is_forbidden(number))];
    let meanings = meanings.into_iter().filter(|(_, is)| *is).map(|(meaning, _)| meaning.to_owned());
    [format!("/{subcode}"), format!("/{number}"), code.to_owned()].into_iter().chain(meanings).collect()
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

/// Permissions are 10, and 200 to 299.
fn is_forbidden(code: &str) -> bool {
    code == "10" || code.parse().is_ok_and(|code| (200..300).contains(&code))
}

/// Whether the object asked for is not there, or not for us: `100/33`, and `24/4279009` on Threads.
pub(in super::super) fn is_missing(response: &Response<Bytes>) -> bool {
    response.status().is_client_error() && matches!(code_of(response).as_str(), "100/33" | "24/4279009")
}

/// What a 2xx says was made: the post of the id that it tells.
pub(in super::super) fn accepted(response: &Response<Bytes>) -> Outcome {
    let native_id = id_of(&json(response).unwrap_or_default(), "id");
    if native_id.is_empty() { unnamed(response) } else { Outcome::Accepted { native_id, url: String::new() } }
}

/// A 2xx that names no post.
pub(in super::super) fn unnamed(response: &Response<Bytes>) -> Outcome {
    Outcome::Ambiguous { evidence: format!("the network answered {} without a post", response.status()) }
}

/// What a refused or strange answer to a visible send proved: a row of the table, or nothing.
pub(in super::super) fn refused(proof: Option<Proof>, response: &Response<Bytes>, now_ms: i64) -> Outcome {
    let outcome = wire::refused(proof, response.status(), response.headers(), Vec::new, now_ms);
    match outcome {
        Outcome::Transient { code, message, retry_after } => {
            let retry_after = retry_after.max(throttled_for(&code, response));
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
pub(in super::super) fn fault(rules: &[Rule], response: &Response<Bytes>, now_ms: i64) -> Fault {
    let told = |code: &str| wire::retry_after(response.headers(), now_ms).max(throttled_for(code, response));
    let transient = |code: &str, message: String| Fault::Transient {
        code: code.into(),
        message,
        retry_after: told(code),
    };
    let status = response.status();
    match (judge(rules, response), refusal(response)) {
        (Some(proof), _) => {
            let code = if let Proof::Transient(code, _) | Proof::Stale(code, _) = proof { code } else { "" };
            wire::fault(proof, told(code))
        }
        (None, Some(refusal)) if is_throttled(&refusal.code) => {
            transient(RATE_LIMITED, "The network asks to wait.".into())
        }
        (None, _) if status == StatusCode::TOO_MANY_REQUESTS => {
            transient(RATE_LIMITED, "The network asks to wait.".into())
        }
        (None, Some(refusal)) if status.is_client_error() && !may_pass(&refusal) => Fault::Rejected {
            code: "REFUSED_BY_NETWORK".into(),
            message: format!(
                "The network refused ({status}, code {}): {}",
                refusal.code,
                wire::short(&refusal.message)
            ),
        },
        _ => transient("SERVER_ERROR", format!("The server answered {status}.")),
    }
}

/// Whether a refusal may be gone the next time: the network says so, or its code is one of those for trouble of its own.
fn may_pass(refusal: &Refusal) -> bool {
    refusal.is_transient || refusal.code.starts_with("1/") || refusal.code.starts_with("2/")
}

/// A fault of a look at something already sent, as an outcome: a refusal of the look says nothing about the post.
pub(in super::super) fn look_failed(fault: Fault) -> Outcome {
    match fault {
        Fault::Transient { code, message, retry_after } => Outcome::Transient { code, message, retry_after },
        Fault::TokenExpired => Outcome::TokenExpired,
        Fault::Reconnect { message } => Outcome::Reconnect { message },
        other => Outcome::Ambiguous { evidence: other.to_string() },
    }
}

/// The wire facts of an answer: code, trace id, and a hold when the limit is used up.
pub(in super::super) fn seen(response: &Response<Bytes>, now_ms: i64) -> Wire {
    let refusal = refusal(response);
    let mut wire = wire::seen(response, refusal.as_ref().map(|refusal| refusal.code.as_str()), now_ms);
    let throttled = refusal.as_ref().is_some_and(|refusal| is_throttled(&refusal.code));
    wire.hold = wire.hold.max(if throttled { Some(wait(response)) } else { hold(response.headers()) });
    let trace = refusal.map(|refusal| refusal.trace).filter(|trace| !trace.is_empty());
    let trace = trace.or_else(|| header(response.headers(), "x-fb-trace-id").map(str::to_owned));
    if let Some(trace) = trace {
        wire.request_id = Some(wire::short(&trace).to_owned());
    }
    wire
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::{super::usage::UNTOLD, *};

    fn answer(status: u16, body: &Value) -> Response<Bytes> {
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }

    fn error(code: i64, subcode: i64) -> Value {
        object!({ "error": { "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode } })
    }

    const RULES: &[Rule] = &[
        rule(400, "190/463", Proof::TokenExpired),
        rule(400, "190/", Proof::Reconnect("r")),
        rule(400, FORBIDDEN, Proof::Reconnect("scopes")),
        rule(400, THROTTLED, Proof::Transient(RATE_LIMITED, "w")),
        rule(400, "/2207009", Proof::Rejected("ASPECT", "a")),
    ];

    #[test]
    fn a_row_is_about_a_code_a_pair_a_number_anywhere_or_a_meaning() {
        let proof = |status, code, subcode| judge(RULES, &answer(status, &error(code, subcode)));
        assert_eq!(proof(400, 190, 463), Some(Proof::TokenExpired));
        assert_eq!(proof(401, 190, 460), Some(Proof::Reconnect("r")));
        for code in [10, 200, 210, 299] {
            assert_eq!(proof(403, code, 0), Some(Proof::Reconnect("scopes")), "{code}");
        }
        assert_eq!(proof(400, 100, 33), None, "100 does not begin with the code 10");
        assert_eq!(proof(400, 300, 0), None);
        assert_eq!(proof(400, 80_001, 0), Some(Proof::Transient(RATE_LIMITED, "w")));
        assert_eq!(proof(400, 4, 2_207_051), None);
        assert_eq!(proof(400, 200, 2_207_009), Some(Proof::Rejected("ASPECT", "a")), "the closest row wins");
        assert_eq!(proof(400, 2_207_009, 0), Some(Proof::Rejected("ASPECT", "a")));
        assert_eq!(proof(500, 190, 463), None, "a 5xx proves nothing");
        assert_eq!(judge(RULES, &answer(400, &object!({ "error": "invalid" }))), None);
        assert_eq!(judge(RULES, &answer(400, &object!([]))), None);
    }

    #[test]
    fn only_refusals_that_do_not_pass_are_final_for_reads() {
        let read = |status, body: &Value| fault(&[], &answer(status, body), 0);
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
            for rules in [&[], RULES] {
                let fault = fault(rules, &answer(400, &error(code, 0)), 0);
                assert!(
                    matches!(&fault, Fault::Transient { code, retry_after: Some(UNTOLD), .. } if code == RATE_LIMITED),
                    "{code}: {fault:?}"
                );
            }
        }
        assert!(matches!(read(502, &object!("<html>")), Fault::Transient { .. }));
        let throttled = seen(&answer(400, &error(80_001, 0)), 0);
        assert_eq!((throttled.platform_code.as_deref(), throttled.hold), (Some("80001/0"), Some(UNTOLD)));
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

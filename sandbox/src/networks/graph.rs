//! What the stand-ins of Meta's Graph API share (Facebook Pages, Instagram, Threads): `ask` is a request as handlers read
//! it, `refusal` the error envelope, `nodes` what is shown of things, `tokens` tokens that grow longer; usage headers
//! and plain answers are here.
//!
//! <https://developers.facebook.com/docs/graph-api>. Invariant: `type` of a refusal tells nothing, as the real API answers
//! it; only codes tell refusals apart.

mod ask;
mod nodes;
mod refusal;
mod tokens;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

pub(crate) use self::{
    ask::{Ask, account_of, holder},
    nodes::{insights, permalink, short, time},
    refusal::{Answer, Refusal, code_refused, not_found, server_error, throttled},
    tokens::{issued, lengthened, renewed},
};
use super::Network;
use crate::{limits::Verdict, web};

pub(crate) fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

/// For handlers that answer nothing but success.
pub(crate) fn success() -> Response {
    ok(&json!({ "success": true }))
}

/// The uploading host's own envelope.
pub(crate) fn interrupted(kind: &str, text: &str, retriable: bool) -> Response {
    let body = json!({ "debug_info": { "retriable": retriable, "type": kind, "message": text } });
    web::json(StatusCode::BAD_REQUEST, &body)
}

/// How much is used: both headers, once enough calls were made.
pub(crate) fn usage(headers: &mut HeaderMap, verdict: Verdict, kind: &str) {
    let used = verdict.limit.saturating_sub(verdict.remaining);
    if used < 10 && verdict.allowed {
        return;
    }
    let percent = if verdict.allowed { used * 100 / verdict.limit.max(1) } else { 100 };
    let now_ms = verdict.reset_ms - verdict.window_s as i64 * 1000;
    let minutes =
        if verdict.allowed { 0 } else { (verdict.reset_ms - now_ms).max(0).unsigned_abs().div_ceil(60_000) };
    let app = json!({ "call_count": percent, "total_time": percent / 2, "total_cputime": percent / 2 });
    let mut business = json!({ "type": kind, "estimated_time_to_regain_access": minutes });
    for (name, value) in app.as_object().expect("the literal above is an object") {
        business[name] = value.clone();
    }
    let mut set = |name: &'static str, value: &Value| {
        let value = HeaderValue::from_str(&value.to_string()).expect("JSON of numbers is printable ASCII");
        headers.insert(HeaderName::from_static(name), value);
    };
    // What is used up is this account's share, not the app's.
    if verdict.allowed {
        set("x-app-usage", &app);
    }
    set("x-business-use-case-usage", &json!({ "1800000000000001": [business] }));
}

//! The usage headers of the Graph API as a time to wait
//! (<https://developers.facebook.com/docs/graph-api/overview/rate-limiting>): no `Retry-After` is documented, and asking
//! on while throttled lengthens the block.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;

use crate::domain::outcome::RATE_LIMITED;

/// The wait where nobody says how long: asking on lengthens the block, and the window moves.
pub(super) const UNTOLD: Duration = Duration::from_mins(5);

const DAY_MINUTES: u64 = 24 * 60;

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
pub(super) fn wait(response: &Response<Bytes>) -> Duration {
    hold(response.headers()).unwrap_or(UNTOLD)
}

/// The same for a refusal of that code; `None` for every other one.
pub(super) fn throttled_for(code: &str, response: &Response<Bytes>) -> Option<Duration> {
    (code == RATE_LIMITED).then(|| wait(response))
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

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
    }
}

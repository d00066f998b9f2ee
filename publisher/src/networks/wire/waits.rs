//! How long a network asks to wait, in every spelling of its headers.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};

/// The longest wait that is believed here; what is done about it is shorter still.
const MOST: Duration = Duration::from_hours(24);

/// How long the network asks to wait: `Retry-After` in seconds or as a date, else the reset of an exhausted limit.
/// Clamped to a day.
pub(in super::super) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let asked = header(headers, RETRY_AFTER.as_str()).and_then(|text| {
        let seconds = text.parse().ok().map(Duration::from_secs);
        let date =
            || jiff::fmt::rfc2822::parse(text).ok().map(|at| until(at.timestamp().as_millisecond(), now_ms));
        seconds.or_else(date)
    });
    asked.map(|wait| wait.min(MOST)).or_else(|| exhausted(headers, now_ms))
}

/// How long until an exhausted limit is filled again; `None` while something remains of it. The reset comes in Unix
/// seconds (`RateLimit-*` of AT Protocol servers, `X-Rate-Limit-*` of X) or as a timestamp (`X-RateLimit-*` of
/// Mastodon). Clamped to a day.
pub(in super::super) fn exhausted(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let reset = |limit: &str| {
        let exhausted = header(headers, &format!("{limit}-remaining")) == Some("0");
        let text = header(headers, &format!("{limit}-reset")).filter(|_| exhausted)?;
        let seconds = || text.parse::<i64>().ok().map(|seconds| until(seconds.saturating_mul(1000), now_ms));
        let stamp = || text.parse::<jiff::Timestamp>().ok().map(|at| until(at.as_millisecond(), now_ms));
        seconds().or_else(stamp)
    };
    let named = ["ratelimit", "x-ratelimit", "x-rate-limit"];
    named.into_iter().find_map(reset).map(|wait| wait.min(MOST))
}

fn until(ms: i64, now_ms: i64) -> Duration {
    u64::try_from(ms.saturating_sub(now_ms)).map(Duration::from_millis).unwrap_or_default()
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::headers, *};

    #[test]
    fn reads_how_long_to_wait_in_every_spelling() {
        let now = 1_790_000_000_000;
        let wait =
            |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs), now).map(|wait| wait.as_secs());
        assert_eq!(wait(&[("retry-after", "7")]), Some(7));
        assert_eq!(wait(&[("retry-after", "Mon, 21 Sep 2026 14:13:30 GMT")]), Some(10));
        assert_eq!(wait(&[("retry-after", "9999999")]), Some(86_400));
        assert_eq!(wait(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1790000030")]), Some(30));
        assert_eq!(wait(&[("ratelimit-remaining", "5"), ("ratelimit-reset", "1790000030")]), None);
        let stamp = "2026-09-21T14:14:20.000000Z";
        assert_eq!(wait(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", stamp)]), Some(60));
        assert_eq!(
            wait(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2020-01-01T00:00:00Z")]),
            Some(0)
        );
        assert_eq!(wait(&[("retry-after", "soon")]), None);
    }
}

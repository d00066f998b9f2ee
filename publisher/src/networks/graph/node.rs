//! What the Graph shows of a node: its id, its time, its words, its address. Nothing here is trusted to be well formed.

use serde_json::Value;
use url::Url;

use super::{Fault, text_of, wire};

/// An id, which some answers write as a text and others as a number; empty when there is none.
pub(in super::super) fn id_of(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    }
}

/// The id of something that was made.
pub(in super::super) fn made(body: &Value) -> Result<String, Fault> {
    Some(id_of(body, "id")).filter(|id| !id.is_empty()).ok_or_else(wire::unreadable)
}

/// A time as Graph writes it, `2026-01-02T03:04:05+0000`; Unix milliseconds.
pub(in super::super) fn time_of(value: &Value, name: &str) -> Option<i64> {
    let text = text_of(value, name);
    let text = text.strip_suffix("+0000").map_or_else(|| text.to_owned(), |time| format!("{time}Z"));
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// An insight of an answer's list; 0 where it is not told.
pub(in super::super) fn insight(told: &Value, name: &str) -> i64 {
    let all = told.get("data").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let one = all.iter().find(|one| text_of(one, "name") == name);
    one.and_then(|one| one.pointer("/values/0/value")?.as_i64()).unwrap_or(0)
}

/// A text for comparing: one space for every run of white space.
pub(in super::super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The address of a post, which some answers write without the site's host; empty when it is none.
pub(in super::super) fn address(told: &str, site: &str) -> String {
    let url =
        Some(told).filter(|told| !told.is_empty()).and_then(|told| Url::parse(site).ok()?.join(told).ok());
    url.filter(|url| matches!(url.scheme(), "http" | "https")).map(String::from).unwrap_or_default()
}

/// One path segment; ids come from the network and are not trusted to be free of slashes.
pub(in super::super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    #[test]
    fn reads_ids_and_times_as_they_come() {
        let body = object!({ "a": "17", "b": 17_841_405_793_187_218_i64, "t": "2026-01-02T03:04:05+0000" });
        assert_eq!((id_of(&body, "a"), id_of(&body, "b")), ("17".into(), "17841405793187218".into()));
        assert_eq!(id_of(&body, "c"), "");
        assert_eq!(time_of(&body, "t"), Some(1_767_323_045_000));
        assert_eq!(time_of(&body, "a"), None);
    }

    #[test]
    fn an_address_is_of_the_web_or_none() {
        let site = "https://www.facebook.com";
        assert_eq!(address("/reel/5/", site), "https://www.facebook.com/reel/5/");
        assert_eq!(address("https://www.threads.net/@a/post/B", site), "https://www.threads.net/@a/post/B");
        for told in ["", "javascript:alert(1)", "file:///etc/passwd", "https://["] {
            assert_eq!(address(told, site), "", "{told}");
        }
    }
}

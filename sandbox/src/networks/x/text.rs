//! Texts as X counts and shows them (twitter-text configuration, version 3): weights, links behind `t.co`, and the three
//! characters that come back escaped.

use std::ops::Range;

use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use crate::crypto;

/// What every link counts.
const LINK: usize = 23;

/// Endings after which a name without a scheme is a link as well.
const ENDINGS: [&str; 15] = [
    "com", "org", "net", "edu", "gov", "info", "biz", "app", "dev", "blog", "shop", "online", "site", "tech",
    "xyz",
];

/// Where links stand, with or without a scheme.
pub(super) fn links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|c: char| c.is_whitespace() || "<>\"(){}".contains(c)) {
        let start = at;
        at += word.len();
        at += text[at..].chars().next().map_or(0, char::len_utf8);
        let begin = word.find("https://").or_else(|| word.find("http://"));
        let bare = begin.is_none() && !word.contains('@') && is_bare(word);
        if begin.is_some() || bare {
            let link = &word[begin.unwrap_or(0)..];
            let end = link.trim_end_matches(['.', ',', '!', '?', ':', ';', '\'']).len();
            let from = start + begin.unwrap_or(0);
            found.push(from..from + end);
        }
    }
    found
}

fn is_bare(word: &str) -> bool {
    let host = word.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.trim_end_matches(['.', ',', '!', '?', ':', ';', '\'']);
    let labels: Vec<&str> = host.split('.').collect();
    let plain =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let ending = labels.last().map(|label| label.to_ascii_lowercase()).unwrap_or_default();
    labels.len() > 1 && labels.iter().all(plain) && ENDINGS.contains(&ending.as_str())
}

/// The weighted length.
pub(super) fn weighted(text: &str) -> usize {
    let mut sum = 0;
    let mut at = 0;
    for link in links(text) {
        sum += weight(&text[at..link.start]) + LINK;
        at = link.end;
    }
    sum + weight(&text[at..])
}

fn weight(text: &str) -> usize {
    text.graphemes(true)
        .map(|cluster| {
            let is_emoji = cluster.chars().any(|c| {
                matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{fe0f}' | '\u{20e3}')
            });
            let marks = |c: &char| !matches!(c, '\u{300}'..='\u{36f}');
            if is_emoji { 2 } else { cluster.chars().filter(marks).map(weight_of).sum() }
        })
        .sum()
}

fn weight_of(c: char) -> usize {
    match c {
        '\u{0}'..='\u{10ff}'
        | '\u{2000}'..='\u{200d}'
        | '\u{2010}'..='\u{201f}'
        | '\u{2032}'..='\u{2037}' => 1,
        _ => 2,
    }
}

/// How many `$TICK` a text has.
pub(super) fn cashtags(text: &str) -> usize {
    let is_tag = |word: &&str| {
        word.strip_prefix('$').is_some_and(|name| {
            let name = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            (1..=6).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphabetic())
        })
    };
    text.split_whitespace().filter(is_tag).count()
}

/// A text as it is answered, with its `entities.urls`: links become `t.co` links, a link to each medium follows, and
/// `& < >` are escaped. Indices count characters of the answered text.
pub(super) fn shown(text: &str, id: &str, media_page: Option<(&str, &[String])>) -> (String, Vec<Value>) {
    let mut out = String::new();
    let mut urls = Vec::new();
    let mut at = 0;
    for (n, link) in links(text).into_iter().enumerate() {
        out.push_str(&escaped(&text[at..link.start]));
        let written = &text[link.clone()];
        let expanded = if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
        let display = expanded.split_once("://").map_or(expanded.as_str(), |(_, rest)| rest).to_owned();
        push(&mut out, &mut urls, &short(id, n), json!({"expanded_url": expanded, "display_url": display}));
        at = link.end;
    }
    out.push_str(&escaped(&text[at..]));
    if let Some((page, keys)) = media_page {
        if !out.is_empty() {
            out.push(' ');
        }
        let address = short(id, 99);
        let begin = out.chars().count();
        out.push_str(&address);
        for key in keys {
            urls.push(json!({
                "start": begin, "end": begin + address.chars().count(), "url": address,
                "expanded_url": page, "display_url": "pic.x.com/media", "media_key": key,
            }));
        }
    }
    (out, urls)
}

fn push(out: &mut String, urls: &mut Vec<Value>, address: &str, mut entity: Value) {
    let begin = out.chars().count();
    out.push_str(address);
    entity["start"] = json!(begin);
    entity["end"] = json!(begin + address.chars().count());
    entity["url"] = json!(address);
    urls.push(entity);
}

fn short(id: &str, n: usize) -> String {
    format!("https://t.co/{}", &crypto::sha256_hex(format!("{id}|{n}").as_bytes())[..10])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{cashtags, links, shown, weighted};

    #[test]
    fn links_count_23_with_or_without_a_scheme() {
        assert_eq!(weighted("hello"), 5);
        assert_eq!(weighted("see https://example.com/a/long/path?x=1."), 4 + 23 + 1);
        assert_eq!(weighted("see example.com, now"), 4 + 23 + 5);
        assert_eq!(weighted("日本 👩‍👩‍👧‍👦"), 4 + 1 + 2);
        assert_eq!(links("a@example.com and e.g. this").len(), 0);
        assert_eq!((cashtags("$TSLA up, $aapl, $5"), cashtags("no")), (2, 0));
    }

    #[test]
    fn a_shown_text_names_what_stands_behind_its_links() {
        let (text, urls) =
            shown("a & b https://a.example/x", "1", Some(("https://x.com/p", &["3_1".to_owned()])));
        assert!(text.starts_with("a &amp; b https://t.co/"), "{text}");
        assert_eq!(urls[0]["expanded_url"], "https://a.example/x");
        let (start, end) = (urls[1]["start"].as_u64().unwrap(), urls[1]["end"].as_u64().unwrap());
        let picked: String = text.chars().skip(start as usize).take((end - start) as usize).collect();
        assert_eq!(urls[1]["url"], picked);
        assert_eq!(urls[1]["media_key"], "3_1");
    }
}

//! Counting and reading texts as the networks do: graphemes, links, mentions, tags. Every range is in bytes and lies
//! on character boundaries.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Extended grapheme clusters: what people call characters.
pub fn graphemes(text: &str) -> usize {
    text.graphemes(true).count()
}

/// Length in graphemes where every link counts as `link_length` (0: in full) and, where `short_mentions`,
/// `@user@domain` counts as `@user`.
pub fn length(text: &str, link_length: usize, short_mentions: bool) -> usize {
    let links = if link_length == 0 { Vec::new() } else { links(text) };
    let mut counted = String::with_capacity(text.len());
    let mut at = 0;
    let between = |counted: &mut String, part: &str| {
        if short_mentions { counted.push_str(&shorten_mentions(part)) } else { counted.push_str(part) }
    };
    for link in &links {
        between(&mut counted, &text[at..link.start]);
        counted.extend(std::iter::repeat_n('x', link_length));
        at = link.end;
    }
    between(&mut counted, &text[at..]);
    graphemes(&counted)
}

/// Where http(s) links stand. Bare domains are not links; punctuation at the end of a sentence is not part of one.
pub fn links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = next_scheme(text, at) {
        let scheme_end = start + text[start..].find("://").map_or(0, |colon| colon + 3);
        let rest = &text[scheme_end..];
        let len = rest.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(c));
        let end = scheme_end + trimmed(&rest[..len.unwrap_or(rest.len())]);
        if begins_word(text, start) && has_domain(&text[scheme_end..end]) {
            found.push(start..end);
            at = end;
        } else {
            at = scheme_end;
        }
    }
    found
}

/// Where `@name.domain` mentions of the AT Protocol stand, `@` included.
pub fn handles(text: &str) -> Vec<Range<usize>> {
    marked(text, '@', |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .filter_map(|range| {
            let name = text[range.clone()].trim_end_matches(['.', '-']);
            is_handle(&name[1..]).then(|| range.start..range.start + name.len())
        })
        .collect()
}

/// Where hashtags stand, `#` included. A tag is not a number, and has at most 64 graphemes.
pub fn tags(text: &str) -> Vec<Range<usize>> {
    marked(text, '#', |c| {
        !c.is_whitespace() && !c.is_control() && !"\u{ad}\u{2060}\u{200b}\u{200c}\u{200d}#".contains(c)
    })
    .filter_map(|range| {
        let tag = text[range.clone()].trim_end_matches(is_punctuation);
        let name = tag.strip_prefix('#').unwrap_or_default();
        let says_something = name.chars().any(|c| !c.is_numeric() && !is_punctuation(c));
        let variation = name.starts_with('\u{fe0f}') || name.starts_with('\u{20e3}');
        (says_something && !variation && graphemes(name) <= 64).then(|| range.start..range.start + tag.len())
    })
    .collect()
}

/// Whether a name can be a handle of the AT Protocol (<https://atproto.com/specs/handle>).
pub fn is_handle(name: &str) -> bool {
    let labels: Vec<_> = name.split('.').collect();
    let label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = labels.last().and_then(|top| top.chars().next());
    name.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(label)
        && top.is_some_and(|c| c.is_ascii_alphabetic())
}

/// `@user@domain` becomes `@user`, as Mastodon counts and shows it.
pub fn shorten_mentions(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut at = 0;
    for range in marked(text, '@', |c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@')) {
        let mention = &text[range.clone()];
        let Some(domain_at) = mention[1..].find('@').map(|found| found + 1) else { continue };
        let domain =
            mention[domain_at + 1..].split('@').next().unwrap_or_default().trim_end_matches(['.', '-', '_']);
        if domain_at < 2 || domain.is_empty() || !domain.starts_with(char::is_alphanumeric) {
            continue;
        }
        short.push_str(&text[at..range.start + domain_at]);
        at = range.start + domain_at + 1 + domain.len();
    }
    short.push_str(&text[at..]);
    short
}

/// Words that begin with `mark` where a word may begin.
fn marked(text: &str, mark: char, part: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = Range<usize>> {
    let mut skip_to = 0;
    text.char_indices().filter(move |(_, c)| *c == mark).filter_map(move |(start, c)| {
        if start < skip_to || !begins_word(text, start) {
            return None;
        }
        let after = start + c.len_utf8();
        let len = text[after..].find(|c| !part(c)).unwrap_or(text.len() - after);
        skip_to = after + len;
        (len > 0).then_some(start..after + len)
    })
}

/// A link, mention or tag begins at the start, or after something that is not part of a word or an address.
fn begins_word(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '/' | '=' | '@' | '#' | '&'))
}

fn next_scheme(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find(|&at| {
        let rest = &bytes[at..];
        let starts =
            |scheme: &[u8]| rest.len() >= scheme.len() && rest[..scheme.len()].eq_ignore_ascii_case(scheme);
        starts(b"https://") || starts(b"http://")
    })
}

/// Length without the punctuation that ends a sentence; a closing bracket stays where it was opened inside.
fn trimmed(link: &str) -> usize {
    let mut link = link;
    while let Some(last) = link.chars().next_back() {
        let unbalanced = |open: char, close: char| {
            last == close && link.matches(close).count() > link.matches(open).count()
        };
        let ends = matches!(
            last,
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '…' | '。' | '、' | '，' | '！' | '？'
        );
        if !ends && !unbalanced('(', ')') && !unbalanced('[', ']') {
            break;
        }
        link = &link[..link.len() - last.len_utf8()];
    }
    link.len()
}

/// Whether what follows `://` begins with a name that has a top-level domain.
fn has_domain(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let valid = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    let top = host.rsplit('.').next().unwrap_or_default();
    host.contains('.')
        && host.split('.').all(valid)
        && top.chars().count() >= 2
        && (top.starts_with("xn--") || top.chars().all(char::is_alphabetic))
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || "…。、，！？；：「」『』（）—–‘’“”«»¡¿・".contains(c)
}

/// The text with its HTML entities resolved; what is none stays as it is.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let entity = rest[at..].find(';').filter(|end| *end <= 10).map(|end| &rest[at + 1..at + end]);
        if let Some((c, len)) = entity.and_then(|entity| character(entity).map(|c| (c, entity.len()))) {
            plain.push(c);
            rest = &rest[at + len + 2..];
        } else {
            plain.push('&');
            rest = &rest[at + 1..];
        }
    }
    plain.push_str(rest);
    plain
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = entity.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
            char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str, ranges: Vec<Range<usize>>) -> Vec<&str> {
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn counts_what_people_see() {
        assert_eq!(graphemes("👩‍👩‍👧‍👦 é 🇩🇪"), 5);
        assert_eq!(length("see https://example.com/a/very/long/path/indeed?x=1 now", 23, true), 4 + 23 + 4);
        assert_eq!(length("https://a.de", 23, true), 23);
        assert_eq!(length("https://example.com/", 0, false), 20);
        assert_eq!(length("hi @ana@mastodon.example!", 23, true), "hi @ana!".len());
        assert_eq!(length("mail ana@mastodon.example", 23, true), 25);
        assert_eq!(length("@ana@example.com", 23, false), 16);
        assert_eq!(length("http://localhost/x example.com", 23, true), 30);
    }

    #[test]
    fn finds_links_without_their_surroundings() {
        let found = |text| all(text, links(text));
        assert_eq!(
            found("(https://a.example/x_(y)) and HTTPS://B.example."),
            ["https://a.example/x_(y)", "HTTPS://B.example"]
        );
        assert_eq!(found("https://a.example/日本語?q=ü, next"), ["https://a.example/日本語?q=ü"]);
        assert_eq!(found("xhttps://a.example https:// http://. <https://b.example>"), ["https://b.example"]);
        assert_eq!(found("http://127.0.0.1/ http://localhost/"), [""; 0]);
        assert_eq!(
            found("https://müller.example/ https://xn--mller-kva.xn--p1ai"),
            ["https://müller.example/", "https://xn--mller-kva.xn--p1ai"]
        );
    }

    #[test]
    fn finds_handles_and_tags() {
        let text = "hi @ana.bsky.social, (@bo.test) a@no.test @nodot @-x.y.z @end.example.";
        assert_eq!(all(text, handles(text)), ["@ana.bsky.social", "@bo.test", "@end.example"]);
        let text = "#one, #zwei! #3 #4th x#no ##no #日本語 #a.b #️⃣ #end.";
        assert_eq!(all(text, tags(text)), ["#one", "#zwei", "#4th", "#日本語", "#a.b", "#end"]);
    }

    proptest! {
        #[test]
        fn plain_text_counts_its_graphemes(text in "[^@:]*") {
            prop_assert_eq!(length(&text, 23, true), graphemes(&text));
        }

        #[test]
        fn ranges_lie_inside_on_boundaries_and_in_order(text in "(\\PC|https://a.example/|@a.example|@b@c.example|#tag| |\\(|\\)){0,40}") {
            for ranges in [links(&text), handles(&text), tags(&text)] {
                let mut end = 0;
                for range in ranges {
                    prop_assert!(range.start >= end && range.end > range.start);
                    prop_assert!(text.get(range.clone()).is_some());
                    end = range.end;
                }
            }
            prop_assert!(shorten_mentions(&text).len() <= text.len());
        }

        #[test]
        fn a_link_counts_the_same_whatever_its_length(path in "[a-z0-9]{0,300}") {
            prop_assert_eq!(length(&format!("go https://example.com/{path} now"), 23, true), 3 + 23 + 4);
        }

        #[test]
        fn a_separate_word_adds_its_own_length(a in "[a-z ]{0,30}", b in "[a-z]{1,30}") {
            prop_assert_eq!(length(&format!("{a} {b}"), 23, true), length(&a, 23, true) + 1 + b.len());
        }
    }
}

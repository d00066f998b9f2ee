//! The length of a text as each network counts it. One function for the validator, the composer and the tests.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::{
    limits::{Counting, Limits},
    text::{length, links},
};

/// The length of `text` in the unit that the limits name.
pub fn count(limits: &Limits, text: &str) -> usize {
    let link = usize::try_from(limits.link_length).unwrap_or(0);
    match limits.text_counting {
        Counting::Graphemes => length(text, link, false),
        Counting::Weighted => weighted(text, link),
        Counting::Utf16 => text.encode_utf16().count(),
        Counting::Scalars => text.chars().count(),
        Counting::EmojiBytes => emoji_bytes(text),
    }
}

/// X's weighted length (twitter-text configuration, version 3): every link counts `link`, an emoji sequence 2, the
/// characters of most alphabets 1 and all others 2. Texts are counted in their composed form (NFC).
fn weighted(text: &str, link: usize) -> usize {
    let mut sum = 0;
    let mut at = 0;
    let mut found = links(text);
    found.extend(bare_links(text));
    found.sort_unstable_by_key(|range| range.start);
    for found in found {
        if found.start >= at {
            sum += weight(&text[at..found.start]) + link;
            at = found.end;
        }
    }
    sum + weight(&text[at..])
}

/// Endings after which X takes a name without a scheme for a link; those of countries only under a further name or before
/// a path (twitter-text, `extractUrlsWithIndices`).
const BARE: [&str; 40] = [
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "app", "dev", "blog",
    "shop", "store", "online", "site", "tech", "xyz", "club", "cloud", "digital", "agency", "design", "art",
    "live", "news", "media", "studio", "world", "team", "page", "link", "space", "website", "top", "music",
    "social", "email",
];

const COUNTRIES: &str = "ai ar at au be br ca cc ch cl cn co cz de dk es eu fi fm fr gg ie im in io it jp kr la ly me \
                         mx nl no nz pl pt ru se sh so to tr tv ua uk us ws";

/// Where names such as `example.com/path` stand without a scheme.
fn bare_links(text: &str) -> Vec<Range<usize>> {
    let apart = |c: char| c.is_whitespace() || "<>\"'()[]{},;!“”‘’„«»".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(apart) {
        let start = at;
        at += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
        let word = word.trim_end_matches(['.', ':', '-', '?']);
        if is_bare_link(word) {
            found.push(start..start + word.len());
        }
    }
    found
}

fn is_bare_link(word: &str) -> bool {
    let host = word.split(['/', '#', '?']).next().unwrap_or_default().to_ascii_lowercase();
    let labels: Vec<_> = host.split('.').collect();
    let plain =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let ending = labels.last().copied().unwrap_or_default();
    let country = COUNTRIES.split(' ').any(|country| country == ending);
    let known = BARE.contains(&ending) || country && (labels.len() > 2 || word.len() > host.len());
    labels.len() > 1 && known && labels.iter().all(plain)
}

fn weight(text: &str) -> usize {
    let composed: String = text.nfc().collect();
    composed
        .graphemes(true)
        .map(|cluster| if is_emoji(cluster) { 2 } else { cluster.chars().map(weight_of).sum() })
        .sum()
}

/// The ranges that count 1.
fn weight_of(c: char) -> usize {
    match c {
        '\u{0}'..='\u{10ff}'
        | '\u{2000}'..='\u{200d}'
        | '\u{2010}'..='\u{201f}'
        | '\u{2032}'..='\u{2037}' => 1,
        _ => 2,
    }
}

/// Threads: "emojis are counted as the number of UTF-8 bytes" (reference of the publishing endpoint); everything else
/// counts once.
fn emoji_bytes(text: &str) -> usize {
    text.graphemes(true).map(|cluster| if is_emoji(cluster) { cluster.len() } else { 1 }).sum()
}

/// Whether a cluster is shown as an emoji: a pictograph, a flag, a keycap, or a sequence of such.
fn is_emoji(cluster: &str) -> bool {
    let pictograph = |c: char| {
        matches!(c,
            '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}' | '\u{1f7e0}'..='\u{1f7eb}'
            | '\u{1f90c}'..='\u{1f9ff}' | '\u{1fa70}'..='\u{1faff}' | '\u{1f004}' | '\u{1f0cf}' | '\u{1f18e}'
            | '\u{1f191}'..='\u{1f19a}' | '\u{231a}' | '\u{231b}' | '\u{23e9}'..='\u{23ec}' | '\u{23f0}' | '\u{23f3}'
            | '\u{25fd}' | '\u{25fe}' | '\u{2614}' | '\u{2615}' | '\u{2648}'..='\u{2653}' | '\u{267f}' | '\u{2693}'
            | '\u{26a1}' | '\u{26aa}' | '\u{26ab}' | '\u{26bd}' | '\u{26be}' | '\u{26c4}' | '\u{26c5}' | '\u{26ce}'
            | '\u{26d4}' | '\u{26ea}' | '\u{26f2}' | '\u{26f3}' | '\u{26f5}' | '\u{26fa}' | '\u{26fd}' | '\u{2705}'
            | '\u{270a}' | '\u{270b}' | '\u{2728}' | '\u{274c}' | '\u{274e}' | '\u{2753}'..='\u{2755}' | '\u{2757}'
            | '\u{2795}'..='\u{2797}' | '\u{27b0}' | '\u{27bf}' | '\u{2b1b}' | '\u{2b1c}' | '\u{2b50}' | '\u{2b55}')
    };
    cluster.chars().any(pictograph) || cluster.contains('\u{fe0f}') || cluster.contains('\u{20e3}')
}

/// Cuts a text so that it counts at most `most`, at the end of a word, with an ellipsis; a text that fits is left as it
/// is, and a single word that does not fit is cut inside.
pub fn shorten(limits: &Limits, text: &str, most: usize) -> String {
    if fits(limits, text, most) {
        return text.to_owned();
    }
    let cut = |end: usize| format!("{}…", text[..end].trim_end_matches(|c: char| !c.is_alphanumeric()));
    // From the front, so that a long text is not counted over and over.
    let words = word_ends(text).into_iter().map(cut).take_while(|cut| fits(limits, cut, most));
    words.filter(|cut| cut.len() > "…".len()).last().unwrap_or_else(|| {
        let inside = text.grapheme_indices(true).map(|(at, _)| format!("{}…", &text[..at]));
        inside.take_while(|cut| fits(limits, cut, most)).last().unwrap_or_default()
    })
}

/// Splits a text into parts that each count at most `most`: between paragraphs where that is possible, else between
/// sentences, else between words. No word is lost.
pub fn split(limits: &Limits, text: &str, first: usize, further: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let most = if parts.is_empty() { first } else { further };
        if fits(limits, rest, most) {
            parts.push(rest.to_owned());
            break;
        }
        let end = break_at(limits, rest, most);
        parts.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    parts
}

fn fits(limits: &Limits, text: &str, most: usize) -> bool {
    let bytes = usize::try_from(limits.text_bytes).unwrap_or(0);
    (most == 0 || count(limits, text) <= most) && (bytes == 0 || text.len() <= bytes)
}

/// Where the longest beginning that fits ends best.
fn break_at(limits: &Limits, text: &str, most: usize) -> usize {
    let ends: Vec<usize> =
        word_ends(text).into_iter().take_while(|end| fits(limits, &text[..*end], most)).collect();
    let Some(longest) = ends.last().copied() else {
        let inside = text.grapheme_indices(true).map(|(at, cluster)| at + cluster.len());
        return inside.take_while(|end| fits(limits, &text[..*end], most)).last().unwrap_or(text.len());
    };
    let half = longest / 2;
    let paragraph = ends.iter().rev().find(|end| text[**end..].starts_with("\n\n"));
    let sentence =
        ends.iter().rev().find(|end| text[..**end].ends_with(['.', '!', '?', '…', '。', '！', '？']));
    [paragraph, sentence].into_iter().flatten().copied().find(|end| *end > half).unwrap_or(longest)
}

/// Where words end: before each run of white space, and at the end.
fn word_ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut was_space = true;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !was_space {
            ends.push(at);
        }
        was_space = c.is_whitespace();
    }
    if !was_space {
        ends.push(text.len());
    }
    ends
}

/// The counts of the networks at a glance, for a message.
pub fn unit(counting: Counting) -> &'static str {
    match counting {
        Counting::Graphemes | Counting::Scalars | Counting::EmojiBytes => "characters",
        Counting::Weighted => "weighted characters",
        Counting::Utf16 => "UTF-16 units",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::text::graphemes, *};

    fn by(text_counting: Counting, link_length: i32) -> Limits {
        Limits { text_counting, link_length, ..Limits::default() }
    }

    #[test]
    fn x_weighs_scripts_emoji_and_links() {
        let x = by(Counting::Weighted, 23);
        for (text, expected) in [
            ("hello", 5),
            ("日本", 4),
            ("👩‍👩‍👧‍👦", 2),
            ("🇩🇪🇫🇷", 4),
            ("👍🏽", 2),
            ("1️⃣", 2),
            ("see https://example.com/a/long/path?x=1", 4 + 23),
            ("e\u{301}", 1),
            ("see example.com, now", 4 + 23 + 5),
            ("(www.example.de) example.de/x", 1 + 23 + 2 + 23),
            ("example.de node.js e.g. a@example.com 3.5", 41),
            ("“quoted” – …", 12),
        ] {
            assert_eq!(count(&x, text), expected + usize::from(text.contains('…')), "{text}");
        }
    }

    #[test]
    fn threads_counts_the_bytes_of_emoji_alone() {
        let threads = by(Counting::EmojiBytes, 0);
        assert_eq!(count(&threads, "hi 👍"), 3 + 4);
        assert_eq!(count(&threads, "日本語"), 3);
        assert_eq!(count(&threads, "👩‍👩‍👧‍👦"), "👩‍👩‍👧‍👦".len());
        assert_eq!(count(&by(Counting::Utf16, 0), "a👍"), 3);
        assert_eq!(count(&by(Counting::Scalars, 0), "e\u{301}"), 2);
        assert_eq!(graphemes("e\u{301}"), 1);
    }

    #[test]
    fn cuts_at_the_end_of_a_word() {
        let plain = by(Counting::Graphemes, 0);
        assert_eq!(shorten(&plain, "one two, three", 20), "one two, three");
        assert_eq!(shorten(&plain, "one two, three", 10), "one two…");
        assert_eq!(shorten(&plain, "incomprehensibility", 5), "inco…");
        assert_eq!(shorten(&plain, "one two", 0), "one two");
    }

    #[test]
    fn splits_between_paragraphs_then_sentences_then_words() {
        let plain = by(Counting::Graphemes, 0);
        assert_eq!(
            split(&plain, "First. Second one.\n\nThird one here.", 20, 20),
            ["First. Second one.", "Third one here."]
        );
        assert_eq!(split(&plain, "First one. Second one", 14, 14), ["First one.", "Second one"]);
        assert_eq!(split(&plain, "aaa bbb ccc ddd", 8, 3), ["aaa bbb", "ccc", "ddd"]);
        assert_eq!(split(&plain, "aaaaaa", 4, 4), ["aaaa", "aa"]);
        assert_eq!(split(&plain, "  ", 4, 4), [""; 0]);
    }

    proptest! {
        #[test]
        fn what_is_cut_or_split_fits_and_loses_no_word(text in "(\\PC|a|b| |\\n|\\.|https://a.example/xyz){0,120}", most in 8_usize..60) {
            let x = by(Counting::Weighted, 7);
            prop_assert!(count(&x, &shorten(&x, &text, most)) <= most);
            let parts = split(&x, &text, most, most);
            for part in &parts {
                prop_assert!(count(&x, part) <= most, "{part}");
            }
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&parts.concat()), bare(&text));
        }
    }
}

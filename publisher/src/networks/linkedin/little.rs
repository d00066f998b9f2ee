//! "Little text", the form a commentary has on the wire. A reserved character that stands alone refuses nothing: the
//! network drops the text from there on without a word, so every one of them goes out behind a backslash. Hashtags stay
//! bare, for a sign behind a backslash is no hashtag.
//!
//! Invariant: what is read from an escaped text is the text.
//! <https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format>

const RESERVED: &str = "\\|{}@[]()<>#*_~";

/// The text as it goes out.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut before = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let tag = if c == '#' && starts_word(before) { tag(&rest[1..]) } else { "" };
        if tag.is_empty() {
            if RESERVED.contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            escaped.push('#');
            escaped.push_str(&tag.replace('_', "\\_"));
            rest = &rest[1 + tag.len()..];
        }
        before = text[..text.len() - rest.len()].chars().next_back();
    }
    escaped
}

/// The text that people see: hashtags of either form as they are typed, mentions by their name.
pub(super) fn plain(little: &str) -> String {
    let mut text = String::with_capacity(little.len());
    let mut rest = little;
    while let Some(c) = rest.chars().next() {
        if let Some((tag, left)) = rest.strip_prefix("{hashtag|\\#|").and_then(|tag| tag.split_once('}')) {
            text.push('#');
            text.push_str(&unescape(tag));
            rest = left;
        } else if let Some((name, left)) = mention(rest) {
            text.push_str(&unescape(name));
            rest = left;
        } else if let Some(protected) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) {
            text.push(protected);
            rest = &rest[1 + protected.len_utf8()..];
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    text
}

fn unescape(text: &str) -> String {
    text.replace('\\', "")
}

/// `@[Name](urn:li:…)`.
fn mention(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix("@[")?.split_once("](")?;
    let (urn, left) = rest.split_once(')')?;
    urn.starts_with("urn:li:").then_some((name, left))
}

fn starts_word(before: Option<char>) -> bool {
    before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '#')
}

/// The word of a hashtag at the beginning of `text`: letters, digits and underscores, at least one letter.
fn tag(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let tag = &text[..end];
    if tag.chars().any(char::is_alphabetic) { tag } else { "" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protects_what_would_cut_the_text_and_leaves_hashtags_bare() {
        for (text, escaped) in [
            ("plain, as it is.", "plain, as it is."),
            ("(a) [b] {c} <d> | e", "\\(a\\) \\[b\\] \\{c\\} \\<d\\> \\| e"),
            ("snake_case * ~ \\ @me", "snake\\_case \\* \\~ \\\\ \\@me"),
            ("#Rust and #rust_lang!", "#Rust and #rust\\_lang!"),
            ("C# is #1, a#b ##x", "C\\# is \\#1, a\\#b \\#\\#x"),
            ("https://a.example/x_y?z=(1)#top", "https://a.example/x\\_y?z=\\(1\\)#top"),
            ("(#Tag)", "\\(#Tag\\)"),
        ] {
            assert_eq!(escape(text), escaped, "{text}");
            assert_eq!(plain(escaped), text);
        }
    }

    #[test]
    fn reads_the_long_forms_that_the_network_answers() {
        let little =
            "we like {hashtag|\\#|rust\\_lang} and @[Demo \\(Works\\)](urn:li:organization:7) \\{x\\}";
        assert_eq!(plain(little), "we like #rust_lang and Demo (Works) {x}");
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_as_it_was(text in "(\\PC|[a-z#_\\\\(){}@|\\[\\]<>*~ \n]){0,80}") {
            prop_assert_eq!(plain(&escape(&text)), text);
        }

        #[test]
        fn nothing_reserved_stands_alone_but_the_sign_of_a_hashtag(text in "[a-c#_\\\\(){}@|\\[\\]<>*~ ]{0,60}") {
            let escaped = escape(&text);
            let mut chars = escaped.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => prop_assert!(chars.next().is_some_and(|c| RESERVED.contains(c)), "{escaped}"),
                    '#' => prop_assert!(chars.peek().is_some_and(|c| c.is_alphanumeric() || *c == '\\'), "{escaped}"),
                    c => prop_assert!(!RESERVED.contains(c), "{escaped}"),
                }
            }
        }
    }
}

//! "Little text", the form in which a commentary comes: reserved characters stand behind a backslash, hashtags and
//! mentions have forms of their own. A reserved character that stands alone refuses nothing: everything from there on
//! is dropped.
//!
//! learn.microsoft.com, linkedin/marketing/community-management/shares/little-text-format

use std::fmt::Write;

const RESERVED: &str = "\\|{}@[]()<>#*_~";

/// A stretch of a commentary.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// Without the sign.
    Hashtag(String),
    Mention {
        name: String,
        urn: String,
    },
}

/// What is left of a commentary.
pub(super) fn parse(commentary: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = commentary;
    while let Some(c) = rest.chars().next() {
        let found = match c {
            '\\' => escaped(rest).map(|(c, left)| (Piece::Text(c.to_string()), left)),
            '#' => hashtag(rest),
            '{' => template(rest),
            '@' => mention(rest),
            _ if RESERVED.contains(c) => None,
            _ => Some((Piece::Text(c.to_string()), &rest[c.len_utf8()..])),
        };
        let Some((piece, left)) = found else { break };
        match piece {
            Piece::Text(text) => plain.push_str(&text),
            other => {
                pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
                pieces.push(other);
            }
        }
        rest = left;
    }
    pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
    pieces
}

/// What people see.
pub(super) fn shown(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Hashtag(tag) => {
                text.push('#');
                text.push_str(tag);
            }
            Piece::Mention { name, .. } => text.push_str(name),
        }
    }
    text
}

/// The commentary as reads answer it: hashtags in their long form.
pub(super) fn stored(pieces: &[Piece]) -> String {
    let written = "writing to a string never fails";
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(plain) => text.push_str(&escape(plain)),
            Piece::Hashtag(tag) => write!(text, "{{hashtag|\\#|{}}}", escape(tag)).expect(written),
            Piece::Mention { name, urn } => write!(text, "@[{}]({urn})", escape(name)).expect(written),
        }
    }
    text
}

fn escape(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len());
    for c in plain.chars() {
        if RESERVED.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// A backslash and what it protects.
fn escaped(text: &str) -> Option<(char, &str)> {
    let c = text[1..].chars().next().filter(|c| RESERVED.contains(*c))?;
    Some((c, &text[1 + c.len_utf8()..]))
}

/// `#word`; an underscore inside stands behind a backslash.
fn hashtag(text: &str) -> Option<(Piece, &str)> {
    let (mut tag, mut rest) = (String::new(), &text[1..]);
    loop {
        let next = rest.chars().next();
        if let Some(c) = next.filter(|c| c.is_alphanumeric()) {
            tag.push(c);
            rest = &rest[c.len_utf8()..];
        } else if let Some(left) = rest.strip_prefix("\\_") {
            tag.push('_');
            rest = left;
        } else {
            return (!tag.is_empty()).then_some((Piece::Hashtag(tag), rest));
        }
    }
}

/// `{hashtag|\#|word}`.
fn template(text: &str) -> Option<(Piece, &str)> {
    let inside = text.strip_prefix("{hashtag|\\#|")?;
    let (tag, left) = inside.split_once('}')?;
    Some((Piece::Hashtag(tag.replace('\\', "")), left))
}

/// `@[Name](urn:li:organization:1)`.
fn mention(text: &str) -> Option<(Piece, &str)> {
    let (name, rest) = text.strip_prefix("@[")?.split_once("](")?;
    let (urn, left) = rest.split_once(')')?;
    let name = name.replace('\\', "");
    urn.starts_with("urn:li:").then(|| (Piece::Mention { name, urn: urn.to_owned() }, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(commentary: &str) -> String {
        shown(&parse(commentary))
    }

    #[test]
    fn a_reserved_character_that_stands_alone_cuts_the_text() {
        for (commentary, left) in [
            ("plain & simple.", "plain & simple."),
            ("one (two) three", "one "),
            ("one \\(two\\) three", "one (two) three"),
            ("a_b", "a"),
            ("50 * 2", "50 "),
            ("back\\slash", "back"),
            ("back\\\\slash", "back\\slash"),
            ("hi @someone", "hi "),
            ("# 1", ""),
            ("ends with \\", "ends with "),
        ] {
            assert_eq!(seen(commentary), left, "{commentary}");
        }
    }

    #[test]
    fn hashtags_and_mentions_have_forms_of_their_own() {
        let text = "we like #rust\\_lang, {hashtag|\\#|tests} and @[Demo Works](urn:li:organization:7)!";
        assert_eq!(seen(text), "we like #rust_lang, #tests and Demo Works!");
        let kept = stored(&parse(text));
        assert_eq!(
            kept,
            "we like {hashtag|\\#|rust\\_lang}, {hashtag|\\#|tests} and @[Demo Works](urn:li:organization:7)!"
        );
        assert_eq!(seen(&kept), seen(text), "what is answered reads the same");
    }
}

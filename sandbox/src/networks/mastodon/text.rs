//! How Mastodon counts and shows text: graphemes, every http(s) link as 23, `@user@domain` as `@user`.

use unicode_segmentation::UnicodeSegmentation;

use crate::web::escape;

/// Characters a link counts as, whatever its length.
pub(crate) const PER_URL: usize = 23;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    Url(&'a str),
    /// `@user`, then `@domain` or nothing.
    Mention(&'a str, &'a str),
    /// Without its `#`.
    Tag(&'a str),
}

/// The length of a status as the limit sees it.
pub(crate) fn length(spoiler: &str, text: &str) -> usize {
    let mut countable = String::with_capacity(spoiler.len() + text.len());
    countable.push_str(spoiler);
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => countable.push_str(plain),
            Piece::Url(_) => countable.extend(std::iter::repeat_n('x', PER_URL)),
            Piece::Mention(user, _) => countable.push_str(user),
            Piece::Tag(tag) => {
                countable.push('#');
                countable.push_str(tag);
            }
        }
    }
    countable.graphemes(true).count()
}

/// The text as the HTML of a status' `content`.
pub(crate) fn html(text: &str, base: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut out = String::from("<p>");
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => {
                let safe = escape(&plain.replace("\r\n", "\n"));
                out.push_str(&safe.replace("\n\n", "</p><p>").replace('\n', "<br />"));
            }
            Piece::Url(url) => {
                let (href, shown) =
                    (escape(url), escape(url.split_once("://").map_or(url, |(_, rest)| rest)));
                out.extend([
                    "<a href=\"",
                    &*href,
                    "\" target=\"_blank\" rel=\"nofollow noopener\" translate=\"no\">",
                    &*shown,
                    "</a>",
                ]);
            }
            Piece::Mention(user, domain) => out.push_str(&escape(&format!("{user}{domain}"))),
            Piece::Tag(tag) => {
                let (path, shown) = (escape(&tag.to_lowercase()), escape(tag));
                out.extend([
                    "<a href=\"",
                    base,
                    "/tags/",
                    &*path,
                    "\" class=\"mention hashtag\" rel=\"tag\">#<span>",
                    &*shown,
                    "</span></a>",
                ]);
            }
        }
    }
    out.push_str("</p>");
    out
}

/// The hashtags of a text, lower-case, each once, in order.
pub(crate) fn tags(text: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for piece in pieces(text) {
        if let Piece::Tag(tag) = piece {
            let tag = tag.to_lowercase();
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    tags
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut out, mut plain_from, mut at, mut previous) = (Vec::new(), 0, 0, None);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let found = match c {
            'h' | 'H' if !previous.is_some_and(|p: char| p.is_ascii_alphanumeric() || "@$#".contains(p)) => {
                url(rest).map(|len| (len, Piece::Url(&rest[..len])))
            }
            '@' if !previous.is_some_and(|p| p.is_alphanumeric() || p == '/' || p == '_') => {
                mention(rest).map(|(user, len)| (len, Piece::Mention(&rest[..user], &rest[user..len])))
            }
            '#' if !previous.is_some_and(|p| p.is_alphanumeric() || "/)_&".contains(p)) => {
                tag(rest).map(|len| (len, Piece::Tag(&rest[1..len])))
            }
            _ => None,
        };
        if let Some((len, piece)) = found {
            if plain_from < at {
                out.push(Piece::Plain(&text[plain_from..at]));
            }
            out.push(piece);
            at += len;
            plain_from = at;
            previous = text[..at].chars().next_back();
        } else {
            at += c.len_utf8();
            previous = Some(c);
        }
    }
    if plain_from < text.len() {
        out.push(Piece::Plain(&text[plain_from..]));
    }
    out
}

/// The length of the http(s) link a text begins with.
fn url(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?
        .len();
    let ends = |c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c);
    let mut link = &text[..scheme + text[scheme..].find(ends).unwrap_or(text.len() - scheme)];
    while let Some(last) = link.chars().next_back() {
        let unbalanced =
            |open, close| last == close && link.matches(close).count() > link.matches(open).count();
        if !(".,;:!?'*_~".contains(last) || unbalanced('(', ')') || unbalanced('[', ']')) {
            break;
        }
        link = &link[..link.len() - last.len_utf8()];
    }
    let host = link.get(scheme..).and_then(|rest| rest.chars().next());
    host.is_some_and(char::is_alphanumeric).then_some(link.len())
}

/// The lengths of `@user` and of the whole mention a text begins with.
fn mention(text: &str) -> Option<(usize, usize)> {
    let name = |from: usize, extra: &str| {
        let taken =
            text[from..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || extra.contains(c)));
        let end = taken.map_or(text.len(), |len| from + len);
        from + text[from..end].trim_end_matches(['.', '-']).len()
    };
    let user = name(1, ".-");
    if user == 1 {
        return None;
    }
    if text[user..].starts_with('@') {
        let end = name(user + 1, ".-");
        if end > user + 1 {
            return Some((user, end));
        }
    }
    Some((user, user))
}

/// The length of the hashtag a text begins with; one of digits alone is none.
fn tag(text: &str) -> Option<usize> {
    let body = &text[1..];
    let len = body.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '·')).unwrap_or(body.len());
    body[..len].chars().any(|c| c.is_alphabetic() || c == '_').then_some(1 + len)
}

#[cfg(test)]
mod tests {
    use super::{html, length, tags};

    #[test]
    fn counts_by_the_documented_rule() {
        for (spoiler, text, expected) in [
            ("", "hello", 5),
            ("cw", "hello", 7),
            ("", "👩‍👩‍👧‍👦🇩🇪e\u{301}", 3),
            ("", "see https://example.org/a/very/long/path?with=query now", 4 + 23 + 4),
            ("", "http://x.org.", 24),
            ("", "(https://en.example.org/wiki/A_(b))", 25),
            ("", "example.org/path", 16),
            ("", "@alice@social.example.org hi", 9),
            ("", "@alice hi", 9),
            ("", "mail a@b.org", 12),
            ("", "xhttps://example.org/", 21),
            ("", "https://", 8),
        ] {
            assert_eq!(length(spoiler, text), expected, "{text}");
        }
    }

    #[test]
    fn shows_text_as_safe_html() {
        assert_eq!(
            html("a <b>\nc\n\nd & #Tag", "http://i"),
            "<p>a &lt;b&gt;<br />c</p><p>d &amp; \
            <a href=\"http://i/tags/tag\" class=\"mention hashtag\" rel=\"tag\">#<span>Tag</span></a></p>"
        );
        assert!(html("https://a.org/\"><script>", "").contains("href=\"https://a.org/\""));
        assert_eq!(tags("#One #two #one #123 a#no"), ["one", "two"]);
    }
}

//! The card of a link: servers of the AT Protocol look at no page, so title, description and picture are fetched here and
//! kept with the delivery. A page that cannot be read, or says nothing, makes no card and holds nothing up.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use postmesh_kit::http::Bounds;
use serde_json::{Value, json as object};
use url::Url;

use super::{
    super::text,
    Bluesky, Fault, Handles, Session, Work,
    record::{CARD, text_out},
};

/// A page has this long, and this much, to say what it is.
const PAGE: Bounds = Bounds { answer_in: Duration::from_secs(8), body: 2 << 20 };

/// Its picture; more is refused in a record (app/bsky/embed/external.json).
const THUMB: Bounds = Bounds { answer_in: Duration::from_secs(8), body: 1_000_000 };

/// How often a page may send elsewhere.
const HOPS: usize = 3;

/// Longest title and description kept, bytes.
const LONGEST: [usize; 2] = [300, 1000];

impl Bluesky {
    /// Fetches what the first link of a text without media leads to, unless that is done.
    pub(super) async fn card_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let text = text_out(&work.content);
        let Some(link) = text::links(text).into_iter().next() else { return Ok(()) };
        if !work.content.media.is_empty() || handles.stored().contains_key(CARD) {
            return Ok(());
        }
        let card = self.card(session, &text[link]).await?;
        handles.save(CARD, card).await
    }

    /// The card, or `null`. Only what concerns the account's own session is a fault.
    async fn card(&self, session: &Session, link: &str) -> Result<Value, Fault> {
        let Some((page, url)) = self.fetch(link, PAGE, "text/html,application/xhtml+xml").await else {
            return Ok(Value::Null);
        };
        let is_html = page.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !is_html.is_some_and(|kind| kind.contains("html")) {
            return Ok(Value::Null);
        }
        let about = About::read(&String::from_utf8_lossy(page.body()));
        if about.title.is_empty() {
            return Ok(Value::Null);
        }
        let mut card = object!({ "uri": link, "title": about.title, "description": about.description });
        if let Some(thumb) = self.thumb(session, &url, &about.image).await? {
            card["thumb"] = thumb;
        }
        Ok(card)
    }

    async fn thumb(&self, session: &Session, page: &Url, image: &str) -> Result<Option<Value>, Fault> {
        let Ok(url) = page.join(image) else { return Ok(None) };
        if image.is_empty() {
            return Ok(None);
        }
        let Some((picture, _)) = self.fetch(url.as_str(), THUMB, "image/*").await else { return Ok(None) };
        let Some(kind) = kind_of(picture.body()) else { return Ok(None) };
        match self.upload(session, kind, picture.into_body()).await {
            Ok(blob) => Ok(Some(blob)),
            Err(Fault::Transient { .. } | Fault::Rejected { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// An answer of somebody else's server, which learns nothing but that it was asked; `None` for every kind of failure.
    async fn fetch(&self, link: &str, bounds: Bounds, accept: &str) -> Option<(Response<Bytes>, Url)> {
        let mut url = Url::parse(link).ok()?;
        for _ in 0..=HOPS {
            if self.http.check(&url).is_err() && url.scheme() == "http" {
                url.set_scheme("https").ok()?;
            }
            let request =
                Request::get(url.as_str()).header(header::ACCEPT, accept).body(Bytes::new()).ok()?;
            let answer = self.http.bounded(bounds).send(request).await.ok()?;
            if answer.status().is_success() {
                return Some((answer, url));
            }
            let next = answer.headers().get(header::LOCATION).filter(|_| answer.status().is_redirection())?;
            url = url.join(next.to_str().ok()?).ok()?;
        }
        None
    }
}

/// What a page says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct About {
    title: String,
    description: String,
    image: String,
}

impl About {
    /// From the head of a page: `og:` and `twitter:` properties (<https://ogp.me>), else its title and description.
    fn read(html: &str) -> Self {
        let mut found: [Vec<(usize, String)>; 3] = Default::default();
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            if begins(rest, "body") && found.iter().any(|values| !values.is_empty()) {
                break;
            }
            if begins(rest, "title") {
                let text = rest.split_once('>').map_or("", |(_, text)| text);
                let text = text.find('<').map_or(text, |end| &text[..end]);
                found[0].push((2, clean(text)));
            } else if begins(rest, "meta") {
                let tag = &rest[..end_of_tag(rest)];
                let name = attribute(tag, "property").or_else(|| attribute(tag, "name")).unwrap_or_default();
                let content = clean(&attribute(tag, "content").unwrap_or_default());
                let place = match name.to_ascii_lowercase().as_str() {
                    "og:title" => Some((0, 0)),
                    "twitter:title" => Some((0, 1)),
                    "og:description" => Some((1, 0)),
                    "twitter:description" => Some((1, 1)),
                    "description" => Some((1, 2)),
                    "og:image" | "og:image:url" => Some((2, 0)),
                    "twitter:image" => Some((2, 1)),
                    _ => None,
                };
                if let Some((what, rank)) = place {
                    found[what].push((rank, content));
                }
            }
        }
        let [title, description, image] = found.map(|mut values| {
            values.retain(|(_, text)| !text.is_empty());
            values.into_iter().min_by_key(|(rank, _)| *rank).map(|(_, text)| text).unwrap_or_default()
        });
        let [title_most, description_most] = LONGEST;
        Self { title: cut(title, title_most), description: cut(description, description_most), image }
    }
}

fn begins(tag: &str, name: &str) -> bool {
    tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        && tag[name.len()..].starts_with(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')
}

/// Where a tag ends, quoted angle brackets aside.
fn end_of_tag(tag: &str) -> usize {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return at,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// The value of an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find(name).map(|at| from + at) {
        from = at + name.len();
        let begins = at > 0 && lower.as_bytes()[at - 1].is_ascii_whitespace();
        let Some(value) = tag[from..].trim_start().strip_prefix('=').filter(|_| begins) else { continue };
        let value = value.trim_start();
        return Some(match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split(quote).next()?.to_owned(),
            _ => value.split(|c: char| c.is_ascii_whitespace()).next()?.to_owned(),
        });
    }
    None
}

/// Entities resolved, white space as HTML shows it.
fn clean(text: &str) -> String {
    text::unescape(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// The type of a picture, by its first bytes.
fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_page_says_about_itself() {
        let page = r#"<!doctype html><html><head><title>Plain &amp; simple</title>
            <meta name=description content="the 'plain' one"><META content='A &lt;b&gt; title' property="og:title">
            <meta property="og:description" content="  one > two
            lines "><meta property="og:image" content="/a.png"></head><body><h1>x</h1></body>"#;
        let about = About::read(page);
        assert_eq!((about.title.as_str(), about.description.as_str()), ("A <b> title", "one > two lines"));
        assert_eq!(about.image, "/a.png");
        let plain = About::read("<title>\nOnly a title</title><meta name='description' content='d'>");
        assert_eq!((plain.title.as_str(), plain.description.as_str()), ("Only a title", "d"));
        assert_eq!(About::read("no tags < here"), About::default());
        assert_eq!(About::read(&format!("<title>{}</title>", "ü".repeat(400))).title.len(), 300);
    }

    proptest::proptest! {
        #[test]
        fn no_page_is_too_strange(page in "(<|>|meta|title|content|=|\"|'|property|og:title|&|;|\\PC| ){0,60}") {
            About::read(&page);
        }
    }
}

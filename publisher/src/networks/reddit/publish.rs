//! Making a submission or a comment: checks, the one request, and what its answer proves.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};
use url::{Url, form_urlencoded};

use super::{
    super::{
        count::{count, shorten},
        validate::Check,
    },
    Answer, Call, Content, Limits, SERVER, SITE, Session, Violation, Work,
    assets::Asset,
    errors, json, name, server, text_of, wire,
};
use crate::domain::{
    outcome::Outcome,
    settings::{RedditSettings, Settings},
};

/// Longest address of a link post.
const LINK: usize = 2000;

/// What a work becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Comment,
    Text,
    Link,
    Image,
    Video,
    Gallery,
}

impl Kind {
    pub(super) fn of(work: &Work) -> Self {
        match work.content.media.as_slice() {
            _ if work.reply.is_some() => Self::Comment,
            [] if !settings(&work.content).link.trim().is_empty() => Self::Link,
            [] => Self::Text,
            [one] if one.is_video() => Self::Video,
            [_] => Self::Image,
            _ => Self::Gallery,
        }
    }

    /// Whether it appears only after it was processed.
    pub(super) fn is_late(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Gallery)
    }
}

/// Title and text: the title is the first line where none is set, in one line, as Reddit wants it. A first line that is
/// too long for one is cut for the title and stays whole in the text, where there is one.
pub(super) fn title_and_text(content: &Content) -> (String, String) {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let settings = settings(content);
    let (set, text) = (squeeze(&settings.title), content.text.trim());
    if !set.is_empty() {
        return (set, text.to_owned());
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (limits, title) = (super::limits(), squeeze(first));
    let most = usize::try_from(limits.title_length).unwrap_or(0);
    let shows_text = content.media.is_empty() && settings.link.trim().is_empty();
    if shows_text && count(&limits, &title) > most {
        return (shorten(&limits, &title, most), text.to_owned());
    }
    (title, rest.trim().to_owned())
}

/// Where a submission goes: `r/` is no part of the name, and the account's own profile is a subreddit too.
pub(super) fn subreddit(session: &Session, content: &Content) -> String {
    let set = plain_subreddit(&settings(content).subreddit).to_owned();
    if set.is_empty() { format!("u_{}", name(session)) } else { set }
}

fn plain_subreddit(written: &str) -> &str {
    let written = written.trim().trim_matches('/');
    written.strip_prefix("r/").unwrap_or(written)
}

/// Everything Reddit would refuse, or would not show.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Reddit", limits);
    check.settings(&content.settings, matches!(content.settings, Settings::Reddit(_)));
    if position > 0 {
        check.content(content, position);
        if !content.media.is_empty() {
            let text = "further parts of a thread become comments, which take no files: attach them to the first part";
            check.add("media", "COMMENT_MEDIA", text.to_owned());
        }
        return check.into_violations();
    }
    let settings = settings(content);
    let (title, text) = title_and_text(content);
    if text.is_empty() && !title.is_empty() {
        check.media(content); // a title alone is a post
    } else {
        check.content(&Content { text: text.clone(), ..content.clone() }, 0);
    }
    if title.is_empty() && !content.media.is_empty() {
        let text = "Reddit takes no post without a title: write a text or set one".to_owned();
        check.add("settings.reddit.title", "TITLE_REQUIRED", text);
    }
    check.title("settings.reddit.title", &title);
    let link = settings.link.trim();
    let with_link = !link.is_empty();
    if (with_link || !content.media.is_empty()) && !text.is_empty() {
        let text = "Reddit shows no text beside links, pictures and videos: keep the title alone, and put the rest into \
                    a further part, which becomes a comment";
        check.add("text", "TEXT_BESIDE_MEDIA", text.to_owned());
    }
    if with_link && !content.media.is_empty() {
        let text = "a post is either a link or holds files: remove one of them".to_owned();
        check.add("settings.reddit.link", "LINK_AND_MEDIA", text);
    }
    let is_link =
        Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if with_link && (!is_link || link.len() > LINK) {
        let text = format!("`{}` is no address that a link post can have", wire::short(link));
        check.add("settings.reddit.link", "LINK", text);
    }
    let subreddit = plain_subreddit(&settings.subreddit);
    let plain = subreddit.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !plain || subreddit.len() > 23 {
        let text = format!("`{}` is no subreddit's name; write it like `test`", wire::short(subreddit));
        check.add("settings.reddit.subreddit", "SUBREDDIT", text);
    }
    check.into_violations()
}

/// The body of the request; the same bytes for the same work and handles.
pub(super) fn body(session: &Session, work: &Work, assets: &[Asset]) -> Bytes {
    let kind = Kind::of(work);
    if let Some(reply) = &work.reply {
        let fields = [
            ("api_type", "json"),
            ("thing_id", reply.parent_native_id.as_str()),
            ("text", work.content.text.trim()),
        ];
        return form(&fields);
    }
    let settings = settings(&work.content);
    let (title, text) = title_and_text(&work.content);
    let sr = subreddit(session, &work.content);
    if kind == Kind::Gallery {
        return gallery(&settings, &sr, &title, assets).to_string().into();
    }
    let word = |truth: bool| if truth { "true" } else { "false" };
    let mut fields = vec![
        ("api_type", "json"),
        ("sr", sr.as_str()),
        ("title", title.as_str()),
        ("nsfw", word(settings.nsfw)),
        ("spoiler", word(settings.spoiler)),
        ("sendreplies", word(!settings.replies_muted)),
        ("validate_on_submit", "true"),
    ];
    let url = |i: usize| assets.get(i).map_or("", |asset| asset.url.as_str());
    match kind {
        Kind::Link => {
            // The second submission of a link is then refused, whoever made the first.
            fields.extend([("kind", "link"), ("url", settings.link.trim()), ("resubmit", "false")]);
        }
        Kind::Image => fields.extend([("kind", "image"), ("url", url(0))]),
        Kind::Video => fields.extend([("kind", "video"), ("url", url(0)), ("video_poster_url", url(1))]),
        _ => fields.extend([("kind", "self"), ("text", text.as_str())]),
    }
    fields.extend((!settings.flair_id.is_empty()).then_some(("flair_id", settings.flair_id.as_str())));
    fields.extend((!settings.flair_text.is_empty()).then_some(("flair_text", settings.flair_text.as_str())));
    form(&fields)
}

fn gallery(settings: &RedditSettings, sr: &str, title: &str, assets: &[Asset]) -> Value {
    let items: Vec<_> = assets
        .iter()
        .map(|asset| object!({ "media_id": asset.id, "caption": "", "outbound_url": "" }))
        .collect();
    let mut body = object!({
        "api_type": "json", "sr": sr, "title": title, "items": items, "nsfw": settings.nsfw,
        "spoiler": settings.spoiler, "sendreplies": !settings.replies_muted, "show_error_list": true,
        "validate_on_submit": true,
    });
    for (name, value) in [("flair_id", &settings.flair_id), ("flair_text", &settings.flair_text)] {
        if !value.is_empty() {
            body[name] = object!(value);
        }
    }
    body
}

fn form(fields: &[(&str, &str)]) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into()
}

/// The one visible request.
pub(super) fn request(session: &Session, work: &Work, body: Bytes) -> Call {
    let (path, content_type) = match Kind::of(work) {
        Kind::Comment => ("/api/comment", "application/x-www-form-urlencoded"),
        Kind::Gallery => ("/api/submit_gallery_post.json", "application/json"),
        _ => ("/api/submit", "application/x-www-form-urlencoded"),
    };
    Call::post(&session.server, path).body(content_type, body)
}

/// What the answer to it proves. What is wrong stands in the body, whatever the status.
pub(super) fn answer(session: &Session, response: &Response<Bytes>, resend: bool, now_ms: i64) -> Answer {
    let body = json(response).unwrap_or_default();
    let status = response.status();
    let code = errors::code(&body);
    let mut seen = wire::seen(response, Some(code.as_str()).filter(|code| !code.is_empty()), now_ms);
    seen.hold = errors::exhausted(response.headers()).or(seen.hold);
    if status.is_success() && code.is_empty() {
        let outcome = accepted(session, &body, now_ms);
        let evidence = || Outcome::Ambiguous { evidence: format!("Reddit answered {status} without a post") };
        return Answer { outcome: outcome.unwrap_or_else(evidence), wire: seen };
    }
    let already = (!resend).then(|| wire::judge(&[errors::ALREADY], status, &code)).flatten();
    let proof = already.or_else(|| wire::judge(errors::RULES, status, &code));
    let wait = errors::pause(&body).or_else(|| errors::exhausted(response.headers()));
    let outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms).waiting(wait);
    if matches!(outcome, Outcome::Transient { .. }) {
        seen.hold = wait.or(seen.hold);
    }
    Answer { outcome, wire: seen }
}

/// A submission, a comment, or a submission with media that is not there yet: then the handle is the moment from which
/// on it can appear.
fn accepted(session: &Session, body: &Value, now_ms: i64) -> Option<Outcome> {
    let data = body.pointer("/json/data")?;
    let site = server::sibling(&session.server, SERVER, SITE);
    if let Some(comment) = data.pointer("/things/0/data") {
        let name = text_of(comment, "name");
        let url = format!("{site}{}", text_of(comment, "permalink"));
        return name.starts_with("t1_").then(|| Outcome::Accepted { native_id: name.to_owned(), url });
    }
    let name = [text_of(data, "name"), text_of(data, "id")].into_iter().find(|name| name.starts_with("t3_"));
    if let Some(name) = name {
        let url = text_of(data, "url").to_owned();
        return Some(Outcome::Accepted { native_id: name.to_owned(), url });
    }
    let is_later =
        !text_of(data, "user_submitted_page").is_empty() || !text_of(data, "websocket_url").is_empty();
    is_later.then(|| Outcome::Processing { handle: now_ms.to_string() })
}

/// The fullname in an address: `/r/<sr>/comments/<post>/…`, or with one more part that of a comment.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let at = parts.iter().position(|part| *part == "comments")?;
    let id = |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| id.to_owned());
    match &parts[at + 1..] {
        [post] | [post, _] => id(post).map(|id| format!("t3_{id}")),
        [_, _, comment] => id(comment).map(|id| format!("t1_{id}")),
        _ => None,
    }
}

pub(super) fn settings(content: &Content) -> RedditSettings {
    match &content.settings {
        Settings::Reddit(settings) => settings.clone(),
        _ => RedditSettings::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_title_where_none_is_set() {
        let of = |title: &str, text: &str| {
            let settings =
                Settings::Reddit(RedditSettings { title: title.into(), ..RedditSettings::default() });
            title_and_text(&Content { text: text.into(), settings, ..Content::default() })
        };
        let pair = |title: &str, text: &str| (title.to_owned(), text.to_owned());
        assert_eq!(of("", " one  line \n\n the rest\nof it"), pair("one line", "the rest\nof it"));
        assert_eq!(of("set \n here", "one\ntwo"), pair("set here", "one\ntwo"));
        assert_eq!(of("", "alone"), pair("alone", ""));
        assert_eq!(of("", "  "), pair("", ""));
    }

    #[test]
    fn an_address_tells_its_post() {
        for (url, id) in [
            ("https://www.reddit.com/r/test/comments/abc123/t/", Some("t3_abc123")),
            ("https://www.reddit.com/r/test/comments/abc123", Some("t3_abc123")),
            ("https://www.reddit.com/r/test/comments/abc123/_/def4/?context=3", Some("t1_def4")),
            ("https://www.reddit.com/r/test/", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }
}

//! Making a post or a comment: checks, the one request, and what its answer proves. Posts answer 201 with an empty body
//! and the id in the header `x-restli-id`.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json as object};
use url::Url;

use super::{
    super::{count::count, validate::Check, wire},
    Answer, Call, Content, Limits, Session, Violation, Who, Work, encoded, errors, little, page, read,
    versioned,
};
use crate::{
    domain::{
        delivery::Reply,
        outcome::Outcome,
        settings::{LinkedinSettings, LinkedinVisibility, Settings},
    },
    networks::wire::{json, text_of},
};

/// Longest description of a link card, characters.
const DESCRIPTION: usize = 4086;

/// Smallest video, bytes (Videos API, "Video Specifications").
const VIDEO_BYTES: i64 = 75_000;

/// How long access tokens live, milliseconds; the age of one follows from its end.
const LIFETIME: i64 = 5_184_000_000;

/// How long a new token may be unknown somewhere, milliseconds.
const FRESH: i64 = 60_000;

/// Everything that would be refused, or silently lost.
pub(super) fn validate(
    network: &'static str,
    who: Who,
    limits: &Limits,
    content: &Content,
    position: i64,
) -> Vec<Violation> {
    let mut check = Check::new(network, limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Linkedin(_)));
    let settings = settings(content);
    if position > 0 {
        if !content.media.is_empty() || settings.article.is_some() {
            let text =
                format!("a further part becomes a comment, and comments on {network} carry text alone");
            check.add("media", "COMMENT_WITH_MEDIA", text);
        }
        return check.into_violations();
    }
    if who == Who::Organization && settings.visibility == LinkedinVisibility::Connections {
        let text =
            "a page has no connections: its posts are for everyone, or for everyone signed in".to_owned();
        check.add("settings.linkedin.visibility", "VISIBILITY", text);
    }
    check.title("settings.linkedin.media_title", &settings.media_title);
    article(&mut check, limits, content, &settings);
    for (i, item) in content.media.iter().enumerate().filter(|(_, item)| item.is_video()) {
        if item.size_bytes > 0 && item.size_bytes < VIDEO_BYTES {
            let text =
                format!("the video has {} bytes, {network} asks for at least {VIDEO_BYTES}", item.size_bytes);
            check.add(format!("media[{i}]"), "VIDEO_TOO_SMALL", text);
        }
        let (long, short) = (item.width.max(item.height), item.width.min(item.height));
        if short > 0 && i64::from(long) * 10 > i64::from(short) * 24 {
            let text = format!(
                "the video is {} x {} pixels, {network} accepts at most 2.4 times as long as wide, or as wide as long",
                item.width, item.height
            );
            check.add(format!("media[{i}]"), "VIDEO_RATIO", text);
        }
    }
    check.into_violations()
}

/// The card of a link: the network fetches nothing, so a title must come along; a picture becomes its thumbnail.
fn article(check: &mut Check<'_>, limits: &Limits, content: &Content, settings: &LinkedinSettings) {
    let Some(article) = &settings.article else { return };
    let is_address = Url::parse(&article.source)
        .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some());
    if !is_address {
        let text = format!("`{}` is not an http or https address", wire::short(&article.source));
        check.add("settings.linkedin.article.source", "LINK", text);
    }
    if article.title.trim().is_empty() {
        let text = "a link card needs a title: LinkedIn does not read the page".to_owned();
        check.add("settings.linkedin.article.title", "TITLE_REQUIRED", text);
    }
    check.title("settings.linkedin.article.title", &article.title);
    let length = count(limits, &article.description);
    if length > DESCRIPTION {
        let text =
            format!("the description has {length} UTF-16 units, LinkedIn accepts at most {DESCRIPTION}");
        check.add("settings.linkedin.article.description", "DESCRIPTION_TOO_LONG", text);
    }
    if content.media.len() > 1 || content.media.iter().any(crate::domain::content::Media::is_video) {
        let text = "a link card takes one picture, which becomes its thumbnail".to_owned();
        check.add("media", "LINK_WITH_MEDIA", text);
    }
}

pub(super) fn settings(content: &Content) -> LinkedinSettings {
    match &content.settings {
        Settings::Linkedin(settings) => settings.clone(),
        _ => LinkedinSettings::default(),
    }
}

/// The body of a post; the same bytes for the same content and uploads.
pub(super) fn post(author: &str, content: &Content, urns: &[String]) -> Bytes {
    let settings = settings(content);
    let visibility = match settings.visibility {
        LinkedinVisibility::Public => "PUBLIC",
        LinkedinVisibility::Connections => "CONNECTIONS",
        LinkedinVisibility::LoggedIn => "LOGGED_IN",
    };
    let mut body = object!({
        "author": author,
        "commentary": little::escape(content.text.trim()),
        "visibility": visibility,
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": settings.reshare_disabled,
    });
    if let Some(attached) = attached(content, &settings, urns) {
        body["content"] = attached;
    }
    body.to_string().into()
}

/// What stands below the text.
fn attached(content: &Content, settings: &LinkedinSettings, urns: &[String]) -> Option<Value> {
    if let Some(article) = &settings.article {
        let mut card = object!({ "source": article.source, "title": article.title.trim() });
        if !article.description.trim().is_empty() {
            card["description"] = object!(article.description.trim());
        }
        if let Some(thumbnail) = urns.first() {
            card["thumbnail"] = object!(thumbnail);
        }
        return Some(object!({ "article": card }));
    }
    let mut items = content.media.iter().zip(urns).map(|(item, urn)| {
        let mut media = object!({ "id": urn });
        if !item.alt_text.is_empty() {
            media["altText"] = object!(item.alt_text);
        }
        if item.is_video() && !settings.media_title.trim().is_empty() {
            media["title"] = object!(settings.media_title.trim());
        }
        media
    });
    match urns.len() {
        0 => None,
        1 => items.next().map(|media| object!({ "media": media })),
        _ => Some(object!({ "multiImage": { "images": items.collect::<Vec<_>>() } })),
    }
}

/// The body of a comment on the thread's first part. Comments are plain text.
pub(super) fn comment(actor: &str, object: &str, content: &Content) -> Bytes {
    let body = object!({ "actor": actor, "object": object, "message": { "text": content.text.trim() } });
    body.to_string().into()
}

/// The one visible request.
pub(super) fn request(session: &Session, work: &Work, body: Bytes) -> Call {
    let url = match &work.reply {
        Some(reply) => {
            let root = encoded(&reply.root_native_id);
            format!("{}/rest/socialActions/{root}/comments", session.server)
        }
        None => format!("{}/rest/posts", session.server),
    };
    versioned(Call::new(Method::POST, url), session).body("application/json", body)
}

/// What the answer to it proves.
pub(super) fn answer(
    response: &Response<Bytes>,
    session: &Session,
    work: &Work,
    resend: bool,
    now_ms: i64,
) -> Answer {
    let status = response.status();
    if !status.is_success() {
        let fresh = session.access_expires_at.is_some_and(|end| now_ms - (end - LIFETIME) < FRESH);
        return errors::answer(response, resend, fresh, now_ms);
    }
    let id = made(response, work.reply.as_ref());
    let outcome = match id {
        Some(native_id) => {
            let url = url(&session.server, &native_id, work.reply.as_ref());
            Outcome::Accepted { native_id, url }
        }
        None => Outcome::Ambiguous { evidence: format!("the network answered {status} without an id") },
    };
    Answer { outcome, wire: wire::seen(response, None, now_ms) }
}

/// The id of what was made: a post's stands in the header alone; a comment's full name stands in the body, and follows
/// from the header where the body is empty.
fn made(response: &Response<Bytes>, reply: Option<&Reply>) -> Option<String> {
    let id = response.headers().get("x-restli-id").and_then(|id| id.to_str().ok());
    let id = id.map(str::trim).filter(|id| !id.is_empty());
    match reply {
        None => id.filter(|id| read::is_post(id)).map(str::to_owned),
        Some(reply) => {
            let body = json(response).unwrap_or_default();
            let named = Some(text_of(&body, "commentUrn")).filter(|urn| read::comment_parts(urn).is_some());
            let is_number = |id: &&str| id.bytes().all(|b| b.is_ascii_digit());
            named.map(str::to_owned).or_else(|| {
                let id = id.filter(is_number)?;
                Some(format!("urn:li:comment:({},{id})", reply.root_native_id))
            })
        }
    }
}

/// The page of a post, or of the post with a comment opened.
pub(super) fn url(server: &str, urn: &str, reply: Option<&Reply>) -> String {
    match reply {
        Some(reply) => format!("{}?commentUrn={}", page(server, &reply.root_native_id), encoded(urn)),
        None => page(server, urn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{content::Media, settings::LinkedinArticle};

    fn content(text: &str, settings: LinkedinSettings) -> Content {
        Content { text: text.into(), settings: Settings::Linkedin(settings), ..Content::default() }
    }

    fn reasons(who: Who, content: &Content, position: i64) -> Vec<&'static str> {
        let found = validate("LinkedIn", who, &super::super::limits(), content, position);
        found.into_iter().map(|violation| violation.reason).collect()
    }

    #[test]
    fn builds_the_same_bytes_for_the_same_content() {
        let mut shown = content("hello (world) #Tag \n", LinkedinSettings::default());
        shown.media =
            vec![Media { content_type: "image/png".into(), alt_text: "a dot".into(), ..Media::default() }; 2];
        let urns = ["urn:li:image:1".to_owned(), "urn:li:image:2".to_owned()];
        let body = post("urn:li:person:x", &shown, &urns);
        assert_eq!(body, post("urn:li:person:x", &shown, &urns));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["commentary"], "hello \\(world\\) #Tag");
        assert_eq!(
            body["content"],
            object!({ "multiImage": { "images": [
                { "id": "urn:li:image:1", "altText": "a dot" }, { "id": "urn:li:image:2", "altText": "a dot" },
            ] } })
        );
    }

    #[test]
    fn counts_what_is_shown_and_says_what_would_be_refused() {
        let plain = |text: &str| content(text, LinkedinSettings::default());
        assert_eq!(reasons(Who::Member, &plain(&"(".repeat(3000)), 0), [""; 0], "escapes do not count");
        assert_eq!(reasons(Who::Member, &plain(&"😀".repeat(1501)), 0), ["TEXT_TOO_LONG"]);
        assert_eq!(reasons(Who::Member, &plain(&"x".repeat(1251)), 1), ["TEXT_TOO_LONG"]);
        let connections =
            LinkedinSettings { visibility: LinkedinVisibility::Connections, ..LinkedinSettings::default() };
        assert_eq!(reasons(Who::Member, &content("x", connections.clone()), 0), [""; 0]);
        assert_eq!(reasons(Who::Organization, &content("x", connections), 0), ["VISIBILITY"]);
        let card = |source: &str, title: &str| LinkedinSettings {
            article: Some(LinkedinArticle {
                source: source.into(),
                title: title.into(),
                ..Default::default()
            }),
            ..LinkedinSettings::default()
        };
        assert_eq!(reasons(Who::Member, &content("x", card("https://a.example", "A")), 0), [""; 0]);
        assert_eq!(
            reasons(Who::Member, &content("x", card("ftp://a.example", " ")), 0),
            ["LINK", "TITLE_REQUIRED"]
        );
        assert_eq!(
            reasons(Who::Member, &content("x", card("https://a.example", "A")), 1),
            ["COMMENT_WITH_MEDIA"]
        );
        let mut film = plain("x");
        film.media = vec![Media {
            content_type: "video/mp4".into(),
            size_bytes: 74_999,
            width: 100,
            height: 241,
            duration_ms: 2_999,
            ..Media::default()
        }];
        assert_eq!(reasons(Who::Member, &film, 0), ["VIDEO_TOO_SHORT", "VIDEO_TOO_SMALL", "VIDEO_RATIO"]);
    }
}

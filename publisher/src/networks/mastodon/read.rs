//! Looking back: whether a post whose answer was lost is there, and what became of posts. Changes nothing.

use http::StatusCode;
use serde_json::Value;

use super::{
    super::text::{shorten_mentions, unescape},
    AttemptFacts, Call, Fault, Mastodon, PostMetrics, Session, Work, json,
    publish::settings,
    text_of,
};
use crate::domain::delivery::Reply;

/// Posts asked for at once; the server's own maximum.
const PAGE: usize = 40;

/// Pages read before giving up: a busy account would have to post 200 times around one lost answer.
const PAGES: usize = 5;

/// The parts of one of the account's posts that identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) url: String,
    /// Unix milliseconds.
    pub(super) created_at: i64,
    text: String,
    spoiler: String,
    media: usize,
    in_reply_to: Option<String>,
}

impl Seen {
    fn read(status: &Value) -> Option<Self> {
        let created_at = text_of(status, "created_at").parse::<jiff::Timestamp>().ok()?;
        let own = status.get("reblog").is_none_or(Value::is_null);
        let id = text_of(status, "id");
        (own && !id.is_empty()).then(|| Self {
            id: id.to_owned(),
            url: page(status),
            created_at: created_at.as_millisecond(),
            text: plain_text(text_of(status, "content")),
            spoiler: text_of(status, "spoiler_text").to_owned(),
            media: status.get("media_attachments").and_then(Value::as_array).map_or(0, Vec::len),
            in_reply_to: status.get("in_reply_to_id").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// How well a post fits a work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    No,
    /// Letters and digits agree, the rest was changed by the server's formatting: its source decides.
    Perhaps,
    Yes,
}

fn fit(work: &Work, seen: &Seen) -> Fit {
    let settings = settings(&work.content);
    if seen.media != work.content.media.len() || squeeze(&seen.spoiler) != squeeze(&settings.spoiler_text) {
        return Fit::No;
    }
    if !continues(work.reply.as_ref(), seen) {
        return Fit::No;
    }
    // A mention loses its domain where the server knows the account, and keeps it where it does not.
    let (shown, written) = (shorten_mentions(&seen.text), shorten_mentions(&work.content.text));
    if squeeze(&shown) == squeeze(&written) {
        return Fit::Yes;
    }
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    if letters(&shown) == letters(&written) { Fit::Perhaps } else { Fit::No }
}

/// Whether a post replies to what it should. Servers forget the parent of a reply when the parent is deleted, so a
/// post without one may still be a part of a thread, other than the parts it continues.
fn continues(reply: Option<&Reply>, seen: &Seen) -> bool {
    match (reply, &seen.in_reply_to) {
        (None, parent) => parent.is_none(),
        (Some(reply), Some(parent)) => *parent == reply.parent_native_id,
        (Some(reply), None) => ![&reply.parent_native_id, &reply.root_native_id].contains(&&seen.id),
    }
}

impl Mastodon {
    /// The account's own posts, back to shortly before the first attempt, that fit the work.
    pub(super) async fn matches(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<Seen>, Fault> {
        let since = attempt.looked_for_since();
        let path = format!("/api/v1/accounts/{}/statuses", segment(&session.native_id));
        let mut max_id: Option<String> = None;
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let limit = PAGE.to_string();
            let mut query = vec![("limit", limit.as_str()), ("exclude_reblogs", "true")];
            query.extend(attempt.last_native_id.as_deref().map(|id| ("since_id", id)));
            query.extend(max_id.as_deref().map(|id| ("max_id", id)));
            let call = Call::get(&session.server, &path, &query).bearer(session.access_token.expose());
            let body = json(&self.ask(call).await?).unwrap_or_default();
            let statuses = body.as_array().ok_or_else(|| unreadable("listing"))?;
            let page: Vec<_> = statuses.iter().filter_map(Seen::read).collect();
            for seen in page.iter().filter(|seen| seen.created_at >= since) {
                if !attempt.taken_native_ids.contains(&seen.id) && self.fits(session, work, seen).await? {
                    found.push(seen.clone());
                }
            }
            let all_older = page.last().is_some_and(|last| last.created_at < since);
            max_id = statuses.last().map(|last| text_of(last, "id").to_owned());
            if statuses.is_empty() || all_older {
                return Ok(found);
            }
        }
        Err(unreadable("listing: too many posts since the attempt"))
    }

    async fn fits(&self, session: &Session, work: &Work, seen: &Seen) -> Result<bool, Fault> {
        match fit(work, seen) {
            Fit::No => Ok(false),
            Fit::Yes => Ok(true),
            Fit::Perhaps => {
                let path = format!("/api/v1/statuses/{}/source", segment(&seen.id));
                let call = Call::get(&session.server, &path, &[]).bearer(session.access_token.expose());
                match self.ask(call).await {
                    Ok(response) => {
                        let body = json(&response).ok_or_else(|| unreadable("source"))?;
                        Ok(squeeze(text_of(&body, "text")) == squeeze(&work.content.text))
                    }
                    Err(Fault::Rejected { .. }) => Ok(false),
                    Err(fault) => Err(fault),
                }
            }
        }
    }

    /// Counts of one post.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let path = format!("/api/v1/statuses/{}", segment(native_id));
        let call = Call::get(&session.server, &path, &[]).bearer(session.access_token.expose());
        let response = call.read(&self.http).await?;
        match (response.status(), json(&response)) {
            (StatusCode::OK, Some(body)) if !text_of(&body, "id").is_empty() => Ok(metrics(native_id, &body)),
            (StatusCode::NOT_FOUND | StatusCode::GONE, Some(_)) => {
                Ok(PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() })
            }
            (status, _) if status.is_success() => Err(unreadable("post")),
            _ => Err(self.fault(&response)),
        }
    }
}

fn metrics(native_id: &str, status: &Value) -> PostMetrics {
    let count = |name: &str| status.get(name).and_then(Value::as_i64).unwrap_or(0);
    PostMetrics {
        native_id: native_id.to_owned(),
        found: true,
        likes: count("favourites_count"),
        reposts: count("reblogs_count"),
        replies: count("replies_count"),
        ..PostMetrics::default()
    }
}

/// A post's page: `url`, or where software leaves that empty for direct posts, its ActivityPub id.
pub(super) fn page(status: &Value) -> String {
    let url = text_of(status, "url");
    if url.is_empty() { text_of(status, "uri").to_owned() } else { url.to_owned() }
}

/// The id in a post's address: `/@name/id`, its ActivityPub form `/users/name/statuses/id`, or Pleroma's `/notice/id`.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let id = match parts.as_slice() {
        [.., name, id] if name.starts_with('@') => id,
        [.., "users", _, "statuses", id] | [.., "notice", id] => id,
        _ => return None,
    };
    id.chars().all(|c| c.is_ascii_alphanumeric()).then(|| (*id).to_owned())
}

/// One path segment; ids come from servers and are not trusted to be free of slashes.
pub(super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

fn unreadable(what: &str) -> Fault {
    let message = format!("The server's answer ({what}) could not be read.");
    Fault::Transient { code: "SERVER_ERROR".into(), message, retry_after: None }
}

/// One space for every run of white space, as HTML shows it.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a post's HTML: paragraphs and breaks become white space, tags vanish, entities are resolved.
fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('>') else {
            rest = "";
            break;
        };
        let tag = rest[open + 1..open + close].trim_start_matches('/');
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if matches!(name, "p" | "br" | "div" | "li" | "blockquote") {
            text.push('\n');
        }
        rest = &rest[open + close + 1..];
    }
    text.push_str(rest);
    unescape(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::content::{Content, Media};

    fn work(text: &str, media: usize) -> Work {
        let id = uuid::Uuid::nil();
        let content =
            Content { text: text.into(), media: vec![Media::default(); media], ..Content::default() };
        Work {
            target_id: id,
            post_id: id,
            workspace_id: id,
            account_id: id,
            revision: 1,
            due_at: 0,
            key: "K".into(),
            content,
            plan: Value::Null,
            position: 0,
            reply: None,
        }
    }

    fn seen(html: &str, media: usize) -> Seen {
        let status = json!({
            "id": "1", "uri": "u", "url": null, "created_at": "2026-01-02T03:04:05.678Z", "content": html,
            "spoiler_text": "", "media_attachments": vec![json!({}); media], "reblog": null,
        });
        Seen::read(&status).unwrap()
    }

    #[test]
    fn knows_a_post_by_its_text_as_the_server_shows_it() {
        let html = r#"<p>see <a href="https://a.example/x"><span class="invisible">https://</span><span class="ellipsis">a.exam</span><span class="invisible">ple/x</span></a> &amp; <span class="h-card"><a href="https://m.example/@bo" class="u-url mention">@<span>bo</span></a></span></p><p>2&nbsp;&lt; 3<br />end&#39;s</p>"#;
        let text = "see https://a.example/x & @bo@m.example\n\n2 < 3\nend's";
        assert_eq!(fit(&work(text, 0), &seen(html, 0)), Fit::Yes);
        assert_eq!(fit(&work(text, 1), &seen(html, 0)), Fit::No);
        assert_eq!(fit(&work("other", 0), &seen(html, 0)), Fit::No);
        assert_eq!(
            fit(&work("**bold** move", 0), &seen("<p><strong>bold</strong> move</p>", 0)),
            Fit::Perhaps
        );
    }

    #[test]
    fn a_part_of_a_thread_is_known_by_what_it_replies_to() {
        let replies_to = |parent: Option<&str>| {
            let in_reply_to = parent.map(str::to_owned);
            Seen { in_reply_to, ..seen("<p>more</p>", 0) }
        };
        let alone = work("more", 0);
        let reply = Reply { parent_native_id: "8".into(), root_native_id: "7".into() };
        let part = Work { reply: Some(reply), ..alone.clone() };
        assert_eq!(fit(&part, &replies_to(Some("8"))), Fit::Yes);
        assert_eq!(fit(&part, &replies_to(Some("7"))), Fit::No);
        assert_eq!(fit(&part, &replies_to(None)), Fit::Yes, "its parent may have been deleted since");
        assert_eq!(fit(&part, &Seen { id: "8".into(), ..replies_to(None) }), Fit::No, "it is the parent");
        assert_eq!(fit(&alone, &replies_to(Some("8"))), Fit::No);
        assert_eq!(fit(&alone, &replies_to(None)), Fit::Yes);
    }

    #[test]
    fn an_address_tells_its_post() {
        for (url, id) in [
            ("https://m.example/@ana/103", Some("103")),
            ("https://m.example/@ana@other.example/103/", Some("103")),
            ("https://m.example/users/ana/statuses/103", Some("103")),
            ("https://p.example/notice/AbC9", Some("AbC9")),
            ("https://example.com/under/a/path/@ana/103", Some("103")),
            ("https://m.example/@ana", None),
            ("https://m.example/@ana/with_replies", None),
            ("103", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }

    #[test]
    fn a_boost_is_not_a_post_of_ones_own() {
        let status = json!({ "id": "1", "created_at": "2026-01-02T03:04:05.678Z", "reblog": { "id": "2" } });
        assert_eq!(Seen::read(&status), None);
    }

    #[test]
    fn strange_html_neither_panics_nor_loses_text() {
        for (html, text) in
            [("a & b", "a & b"), ("&#x1F600;&bogus;&#99999999;", "😀&bogus;&#99999999;"), ("a <b", "a ")]
        {
            assert_eq!(plain_text(html), text);
        }
    }
}

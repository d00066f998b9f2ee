//! Looking back: whether a post whose answer was lost is there, and what became of posts. Changes nothing.
//!
//! X shows a post's links as `t.co` links, adds one for its media, and escapes three characters, so a text is compared
//! only after all of that is undone (<https://docs.x.com/x-api/fundamentals/data-dictionary>).

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::{AttemptFacts, Call, Fault, PostMetrics, Session, Work, X, text_of};

/// Posts asked for at once; the most that X answers.
const PAGE: &str = "100";

/// Pages read before giving up.
const PAGES: usize = 5;

/// What identifies a post. X's own documents also call these fields `note_post` and `referenced_posts`.
const FIELDS: &str = "created_at,entities,attachments,referenced_tweets,note_tweet";

/// The parts of one of the account's posts that identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    /// Unix milliseconds.
    pub(super) created_at: i64,
    text: String,
    media: usize,
    in_reply_to: Option<String>,
}

impl Seen {
    /// A post of the account's own; a repost is none.
    fn read(post: &Value) -> Option<Self> {
        let id = text_of(post, "id");
        let created_at = text_of(post, "created_at").parse::<jiff::Timestamp>().ok()?;
        let either = |names: [&str; 2]| names.into_iter().find_map(|name| post.get(name));
        let references = either(["referenced_tweets", "referenced_posts"]).and_then(Value::as_array);
        let of_kind =
            |kinds: &[&str]| references.into_iter().flatten().find(|to| kinds.contains(&text_of(to, "type")));
        if id.is_empty() || of_kind(&["retweeted", "reposted"]).is_some() {
            return None;
        }
        // A long post shows its beginning in `text`, and all of it in a note.
        let whole = either(["note_tweet", "note_post"]).unwrap_or(post);
        let urls = whole.pointer("/entities/urls").or_else(|| post.pointer("/entities/urls"));
        let urls = urls.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            id: id.to_owned(),
            created_at: created_at.as_millisecond(),
            text: written(text_of(whole, "text"), urls),
            media: post.pointer("/attachments/media_keys").and_then(Value::as_array).map_or(0, Vec::len),
            in_reply_to: of_kind(&["replied_to"]).map(|to| text_of(to, "id").to_owned()),
        })
    }

    fn fits(&self, work: &Work) -> bool {
        let parent = work.reply.as_ref().map(|reply| reply.parent_native_id.as_str());
        self.media == work.content.media.len()
            && self.in_reply_to.as_deref() == parent
            && comparable(&self.text) == comparable(&work.content.text)
    }
}

/// The text as it was written: `t.co` links become what they lead to, those of media vanish, `&lt; &gt; &amp;` become
/// characters again.
fn written(shown: &str, urls: &[Value]) -> String {
    let mut text = shown.to_owned();
    for url in urls {
        let (short, expanded) = (text_of(url, "url"), text_of(url, "expanded_url"));
        if !short.is_empty() {
            text = text.replace(short, if is_medium(url, expanded) { "" } else { expanded });
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A link that X added for media: `…/status/<id>/photo/1`.
fn is_medium(url: &Value, expanded: &str) -> bool {
    let parts: Vec<_> = expanded.split('/').collect();
    let is_page = matches!(parts.as_slice(), [.., "status", _, "photo" | "video", _]);
    is_page || url.get("media_key").is_some()
}

/// What stays the same when X normalises a text: composed characters, one space for every run of white space, and links
/// without their scheme and without a slash at their end.
fn comparable(text: &str) -> String {
    let composed: String = text.nfc().collect();
    let bare = composed.replace("https://", "").replace("http://", "");
    bare.split_whitespace().map(|word| word.trim_end_matches('/')).collect::<Vec<_>>().join(" ")
}

impl X {
    /// The account's own posts, back to shortly before the first attempt, that fit the work.
    pub(super) async fn matches(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<Seen>, Fault> {
        let since = attempt.looked_for_since();
        let from = jiff::Timestamp::from_millisecond(since).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let from = from.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let path = format!("/2/users/{}/tweets", segment(&session.native_id));
        let mut next: Option<String> = None;
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let mut query = vec![("max_results", PAGE), ("tweet.fields", FIELDS), ("start_time", &from)];
            query.extend(next.as_deref().map(|token| ("pagination_token", token)));
            let body = self.ask(session, Call::get(&session.server, &path, &query)).await?;
            let meta = body.get("meta").ok_or_else(|| unreadable("no meta"))?;
            let posts = body.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let mine = posts.iter().filter_map(Seen::read);
            found.extend(mine.filter(|seen| {
                seen.created_at >= since && !attempt.taken_native_ids.contains(&seen.id) && seen.fits(work)
            }));
            let token = text_of(meta, "next_token");
            if token.is_empty() {
                return Ok(found);
            }
            next = Some(token.to_owned());
        }
        Err(unreadable("too many posts since the attempt"))
    }
}

/// The counts of the ids, in their order; what the answer does not show is gone.
pub(super) fn counts(ids: &[String], body: &Value) -> Vec<PostMetrics> {
    let posts = body.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of = |id: &String| {
        let metrics = posts.iter().find(|post| text_of(post, "id") == id).map(|post| &post["public_metrics"]);
        let count =
            |name: &str| metrics.and_then(|metrics| metrics.get(name)).and_then(Value::as_i64).unwrap_or(0);
        PostMetrics {
            native_id: id.clone(),
            found: metrics.is_some(),
            likes: count("like_count"),
            reposts: count("retweet_count").max(count("repost_count")) + count("quote_count"),
            replies: count("reply_count"),
            views: count("impression_count"),
        }
    };
    ids.iter().map(of).collect()
}

/// The id in a post's address: `/name/status/id`, also under `i` or `i/web`.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let mut parts = url.path_segments()?.skip_while(|part| *part != "status").skip(1);
    parts.next().filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())).map(str::to_owned)
}

/// One path segment; ids come from answers and are not trusted to be free of slashes.
pub(super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

fn unreadable(why: &str) -> Fault {
    let message = format!("X's answer could not be read: {why}.");
    Fault::Transient { code: "SERVER_ERROR".into(), message, retry_after: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let post = json!({
            "id": "1", "created_at": "2026-01-02T03:04:05.678Z",
            "text": "a &lt;b&gt; &amp;amp; https://t.co/aaa and https://t.co/bbb https://t.co/ccc",
            "entities": { "urls": [
                { "url": "https://t.co/aaa", "expanded_url": "https://a.example/x?y=1&z=2" },
                { "url": "https://t.co/bbb", "expanded_url": "http://bare.example" },
                { "url": "https://t.co/ccc", "expanded_url": "https://x.com/a/status/1/photo/1", "media_key": "3_1" },
            ] },
            "attachments": { "media_keys": ["3_1"] },
            "referenced_tweets": [{ "type": "replied_to", "id": "7" }],
        });
        let seen = Seen::read(&post).unwrap();
        let text = "a <b> &amp; https://a.example/x?y=1&z=2 and bare.example\n";
        assert_eq!(comparable(&seen.text), comparable(text));
        assert_eq!((seen.media, seen.in_reply_to.as_deref()), (1, Some("7")));
        assert_ne!(comparable("a b"), comparable("ab"));
        let long = json!({
            "id": "1", "created_at": "2026-01-02T03:04:05Z", "text": "begin…",
            "note_tweet": { "text": "begin and end" },
        });
        assert_eq!(Seen::read(&long).unwrap().text, "begin and end");
        let repost = json!({
            "id": "1", "created_at": "2026-01-02T03:04:05Z", "text": "x",
            "referenced_tweets": [{ "type": "retweeted", "id": "7" }],
        });
        assert_eq!(Seen::read(&repost), None);
    }

    #[test]
    fn an_address_tells_its_post() {
        for (url, id) in [
            ("https://x.com/ana/status/103", Some("103")),
            ("https://twitter.com/i/web/status/103?s=20", Some("103")),
            ("https://x.com/ana/status/103/photo/1", Some("103")),
            ("https://x.com/ana", None),
            ("https://x.com/ana/status/abc", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }
}

//! Looking back: which post became of a container, and what posts have collected. Changes nothing.

use serde_json::Value;

use super::{AttemptFacts, Fault, PostMetrics, Session, Threads, Work, graph, text_of};

/// The field that tells a post's address.
pub(super) const PERMALINK: (&str, &str) = ("permalink", "https://www.threads.net");

/// Posts asked for at once; the network's maximum.
const PAGE: usize = 100;

impl Threads {
    /// The account's posts since the first attempt that have the work's text and place.
    pub(super) async fn among_posts(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<(String, String)>, Fault> {
        let since = (attempt.looked_for_since() / 1000).max(1_688_540_400).to_string();
        let (path, fields) = if work.reply.is_some() {
            ("me/replies", "id,text,timestamp,permalink,media_type,replied_to")
        } else {
            ("me/threads", "id,text,timestamp,permalink,media_type,is_quote_post")
        };
        let query = [("fields", fields), ("since", since.as_str())];
        let posts = self.api.since(session, path, &query, ("timestamp", PAGE), attempt).await?;
        Ok(posts.fitting(attempt, PERMALINK, |post| {
            graph::words(text_of(post, "text")) == graph::words(&work.content.text)
                && text_of(post, "media_type") == media_type(work)
                && post.get("is_quote_post").and_then(Value::as_bool) != Some(true)
                && work.reply.as_ref().is_none_or(|reply| {
                    let parent = post.get("replied_to").map(|parent| graph::id_of(parent, "id"));
                    parent.as_deref() == Some(reply.parent_native_id.as_str())
                })
        }))
    }

    /// Counts of one post.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let none = || PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        let names = "views,likes,replies,reposts,quotes,shares";
        let Some(told) = self.api.insights(session, native_id, names).await? else { return Ok(none()) };
        let value = |name: &str| graph::insight(&told, name);
        Ok(PostMetrics {
            found: true,
            likes: value("likes"),
            reposts: value("reposts") + value("quotes"),
            replies: value("replies"),
            views: value("views"),
            ..none()
        })
    }
}

/// What a post of this content is called in listings.
fn media_type(work: &Work) -> &'static str {
    match work.content.media.as_slice() {
        [] => "TEXT_POST",
        [one] if one.is_video() => "VIDEO",
        [_] => "IMAGE",
        _ => "CAROUSEL_ALBUM",
    }
}

//! Looking back: which media came of a container, whether a comment is there, and what became of posts. Changes nothing.

use serde_json::Value;

use super::{
    AttemptFacts, Containers, Fault, Found, HandleMap, Instagram, PostMetrics, SITE, Session, Work, graph,
    publish::Shape, text_of,
};
use crate::domain::delivery::Reply;

/// The field that tells a post's address.
pub(super) const PERMALINK: (&str, &str) = ("permalink", SITE);

/// Comments answered at once; the network's maximum.
const COMMENTS: usize = 50;

impl Instagram {
    /// Whether a work is visible: its container decides, or the comments under the root.
    pub(super) async fn look_back(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        match &work.reply {
            Some(reply) => self.among_comments(session, work, reply, attempt).await,
            None => self.look(session, work, handles, attempt).await,
        }
    }

    /// Media of the account since the first attempt with this caption and of this kind.
    pub(super) async fn among_media(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<(String, String)>, Fault> {
        let shape = Shape::of(work);
        let since = (attempt.looked_for_since() / 1000).to_string();
        let fields = ("fields", "id,caption,timestamp,permalink,media_type,media_product_type");
        let (edge, query) = match shape {
            Shape::Story => ("stories", vec![fields]),
            _ => ("media", vec![fields, ("since", since.as_str())]),
        };
        let path = format!("{}/{edge}", graph::segment(&session.native_id));
        let media = self.api.since(session, &path, &query, ("timestamp", 50), attempt).await?;
        let is_film = work.content.media.first().is_some_and(crate::domain::content::Media::is_video);
        Ok(media.fitting(attempt, PERMALINK, |media| {
            let media_type = text_of(media, "media_type");
            let is_kind = match shape {
                Shape::Image => media_type == "IMAGE",
                Shape::Carousel => media_type == "CAROUSEL_ALBUM",
                Shape::Reel => text_of(media, "media_product_type") == "REELS",
                Shape::Story => (media_type == "VIDEO") == is_film,
                Shape::Comment => false,
            };
            is_kind && (shape == Shape::Story || is_text(work, text_of(media, "caption")))
        }))
    }

    /// Comments have no container: one that fits is it, and none proves nothing, for a comment that the network holds
    /// back or whose words it changed is there all the same. The list has the newest first and at most 50 at once
    /// (<https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments>); the
    /// part before this one ends the search, whatever its words are.
    async fn among_comments(
        &self,
        session: &Session,
        work: &Work,
        reply: &Reply,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let path = format!("{}/comments", graph::segment(&reply.root_native_id));
        let query = [("fields", "id,text,timestamp,user,username")];
        let listed = self.api.since(session, &path, &query, ("timestamp", COMMENTS), attempt).await?;
        let listed = listed.after(&reply.parent_native_id);
        let handle = session.handle.trim_start_matches('@');
        // `user` is told of the account's own comments, and the name of everybody else's.
        let found = listed.fitting(attempt, ("", ""), |comment| {
            let is_own = comment.get("user").is_some() || text_of(comment, "username") == handle;
            is_own && is_text(work, text_of(comment, "text"))
        });
        Ok(match graph::one(found) {
            Ok((native_id, url)) => {
                let evidence = "a comment since the attempt says the same".into();
                Found::Live { native_id, url, evidence }
            }
            Err(0) => Found::Unseen,
            Err(several) => Found::Unsure { why: format!("{several} comments say the same") },
        })
    }

    /// Counts of one post or comment.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let none = || PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        // Comments do not have the others.
        let (fields, fewer) = ("like_count,comments_count,media_product_type", Some("like_count"));
        let Some(body) = self.api.fields(session, native_id, fields, fewer).await? else { return Ok(none()) };
        let number = |name: &str| body.get(name).and_then(Value::as_i64).unwrap_or(0);
        let mut counts = PostMetrics {
            found: true,
            likes: number("like_count"),
            replies: number("comments_count"),
            ..none()
        };
        match text_of(&body, "media_product_type") {
            "" => {}
            "STORY" => {
                [counts.views, counts.replies] =
                    self.insights(session, native_id, ["views", "replies"]).await;
            }
            _ => {
                [counts.views, counts.reposts] = self.insights(session, native_id, ["views", "shares"]).await;
            }
        }
        Ok(counts)
    }

    /// Two insights of one post; zeros where they are not told (too few viewers, too early), which says nothing about
    /// the other counts.
    async fn insights(&self, session: &Session, native_id: &str, names: [&str; 2]) -> [i64; 2] {
        let told = self.api.insights(session, native_id, &names.join(",")).await;
        let told = told.ok().flatten().unwrap_or_default();
        names.map(|name| graph::insight(&told, name))
    }
}

/// Whether a text that is shown is the work's. White space may come back otherwise, and mentions without their `@`
/// (<https://developers.facebook.com/docs/instagram-platform/reference/instagram-media>, `caption`).
fn is_text(work: &Work, shown: &str) -> bool {
    let words = |text: &str| graph::words(&text.replace('@', ""));
    words(shown) == words(&work.content.text)
}

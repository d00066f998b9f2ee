//! Looking back: whether a container was published, which media came of it, and what became of posts. Changes nothing.

use http::Method;
use serde_json::Value;

use super::{
    AttemptFacts, Fault, Found, HandleMap, Instagram, PostMetrics, Session, Work,
    container::{CONTAINER, Stage},
    graph, json,
    publish::Shape,
    text_of, wire,
};

/// How far the network's clock may be off, milliseconds.
const SKEW: i64 = 60_000;

impl Instagram {
    /// Whether a work is visible. The container decides; which media it became is found by caption, kind and time, and
    /// never guessed.
    pub(super) async fn look_back(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        if work.reply.is_some() {
            return self.among_comments(session, work, attempt).await;
        }
        let Some(id) = handles.get(CONTAINER).map(|handle| text_of(handle, "id")).filter(|id| !id.is_empty())
        else {
            // Its record was lost: the media may show it, and nothing proves that it was never published.
            let found = self.among_media(session, work, attempt).await?;
            return Ok(match <[_; 1]>::try_from(found) {
                Ok([(native_id, url)]) => {
                    let evidence = "a post since the attempt shows the same".into();
                    Found::Live { native_id, url, evidence }
                }
                Err(none) if none.is_empty() => Found::Unseen,
                Err(_) => Found::Unsure { why: "several posts look like it".into() },
            });
        };
        match self.stage(session, id).await? {
            Stage::Finished => Ok(Found::Absent),
            Stage::Working => Ok(Found::Unsure { why: "Instagram is still at the container".into() }),
            Stage::Published => {
                let found = self.among_media(session, work, attempt).await?;
                let unknown =
                    |why: &str| Found::Unsure { why: format!("the container {id} is published, {why}") };
                Ok(match <[_; 1]>::try_from(found) {
                    Ok([(native_id, url)]) => {
                        Found::Live { native_id, url, evidence: format!("the container {id} is published") }
                    }
                    Err(none) if none.is_empty() => unknown("its post is not shown yet"),
                    Err(_) => unknown("and several posts look like it"),
                })
            }
            // Nothing more comes of it; whether something came of it before it ended only the posts tell.
            Stage::Over(_) => {
                let found = self.among_media(session, work, attempt).await?;
                Ok(match <[_; 1]>::try_from(found) {
                    Ok([(native_id, url)]) => {
                        let evidence = "a post since the attempt shows the same".into();
                        Found::Live { native_id, url, evidence }
                    }
                    Err(none) if none.is_empty() => Found::Absent,
                    Err(_) => Found::Unsure { why: "several posts look like it".into() },
                })
            }
        }
    }

    /// Media of the account since the first attempt with this caption and of this kind.
    async fn among_media(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<(String, String)>, Fault> {
        let shape = Shape::of(work);
        let since = ((attempt.first_armed_at - SKEW) / 1000).to_string();
        let fields = "id,caption,timestamp,permalink,media_type,media_product_type";
        let (edge, mut query) = if shape == Shape::Story {
            ("stories", vec![("fields", fields)])
        } else {
            ("media", vec![("fields", fields), ("since", since.as_str())])
        };
        query.push(("limit", "50"));
        let path = format!("{}/{edge}", segment(&session.native_id));
        let body = self.ask(Self::call(session, Method::GET, &path, &query)).await?;
        let media = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let is_film = work.content.media.first().is_some_and(crate::domain::content::Media::is_video);
        let is_kind = |media: &Value| match shape {
            Shape::Reel => text_of(media, "media_product_type") == "REELS",
            Shape::Carousel => text_of(media, "media_type") == "CAROUSEL_ALBUM",
            Shape::Image => text_of(media, "media_type") == "IMAGE",
            Shape::Story => (text_of(media, "media_type") == "VIDEO") == is_film,
            Shape::Comment => false,
        };
        let is_text = |media: &Value| {
            shape == Shape::Story || squeeze(text_of(media, "caption")) == squeeze(&work.content.text)
        };
        let found =
            media.iter().filter(|media| is_candidate(media, attempt) && is_kind(media) && is_text(media));
        Ok(found.map(|media| (graph::id_of(media, "id"), text_of(media, "permalink").to_owned())).collect())
    }

    /// Comments have no container: one that fits is it, and none proves nothing.
    async fn among_comments(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let Some(reply) = &work.reply else { return Ok(Found::Absent) };
        let path = format!("{}/comments", segment(&reply.root_native_id));
        let query = [("fields", "id,text,timestamp,username"), ("limit", "50")];
        let body = self.ask(Self::call(session, Method::GET, &path, &query)).await?;
        let comments = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let own = session.handle.trim_start_matches('@');
        let fits = |comment: &&Value| {
            is_candidate(comment, attempt)
                && squeeze(text_of(comment, "text")) == squeeze(&work.content.text)
                && [own, ""].contains(&text_of(comment, "username"))
        };
        let found: Vec<_> = comments.iter().filter(fits).map(|comment| graph::id_of(comment, "id")).collect();
        Ok(match <[_; 1]>::try_from(found) {
            Ok([native_id]) => {
                let evidence = "a comment since the attempt says the same".into();
                Found::Live { native_id, url: String::new(), evidence }
            }
            Err(none) if none.is_empty() => Found::Unseen,
            Err(found) => Found::Unsure { why: format!("{} comments match", found.len()) },
        })
    }

    /// Counts of one post or comment.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let none = || PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        let read = async |fields: &str| {
            let call = Self::call(session, Method::GET, &segment(native_id), &[("fields", fields)]);
            call.read(&self.http).await
        };
        let mut response = read("like_count,comments_count,media_product_type").await?;
        if graph::is_missing(&response) {
            return Ok(none());
        }
        if graph::refusal(&response).is_some_and(|refusal| refusal.code.starts_with("100/")) {
            // Comments do not have these fields.
            response = read("like_count").await?;
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        let body = json(&response).ok_or_else(wire::unreadable)?;
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
        let path = format!("{}/insights", segment(native_id));
        let query = [("metric", &*names.join(","))];
        let body = self.ask(Self::call(session, Method::GET, &path, &query)).await.unwrap_or_default();
        let told = body.get("data").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        names.map(|name| {
            let metric = told.iter().find(|metric| text_of(metric, "name") == name);
            metric.and_then(|metric| metric.pointer("/values/0/value")?.as_i64()).unwrap_or(0)
        })
    }
}

/// Whether something may be the attempt's: not before it, and nobody else's.
fn is_candidate(node: &Value, attempt: &AttemptFacts) -> bool {
    let created_at = graph::time_of(node, "timestamp").unwrap_or(i64::MIN);
    created_at >= attempt.first_armed_at - SKEW
        && !attempt.taken_native_ids.contains(&graph::id_of(node, "id"))
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One path segment; ids come from the network and are not trusted to be free of slashes.
pub(super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

//! What became of a publish id, which public posts it stands for, and what these have collected. Changes nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

use super::{
    super::graph,
    Answer, Fault, Found, PostMetrics, Session, Tiktok, Work, errors,
    post::is_video,
    video::Upload,
    wire::{self, text_of},
};
use crate::domain::outcome::Outcome;

/// How long after a send the id of a public post is waited for, milliseconds: it is told after the network has looked at
/// the post, mostly within a minute.
const MODERATION_MS: i64 = 120_000;

/// Posts asked for at once; the network's maximum.
const PAGE: usize = 20;

/// What `poll` asks with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Following {
    id: String,
    /// Whether everybody will see it, so that it gets an id.
    public: bool,
    /// When it was sent, Unix milliseconds.
    since: i64,
}

impl Following {
    pub(super) fn new(publish_id: &str, public: bool, since: i64) -> Self {
        Self { id: publish_id.to_owned(), public, since }
    }

    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).expect("a text, a number and a boolean")
    }
}

/// How far a publish id has come.
pub(super) struct Status {
    /// The network's word.
    pub(super) word: String,
    fail_reason: String,
    /// Public posts: numbers that a double does not hold, so they are kept as texts.
    posts: Vec<String>,
    /// Bytes that were uploaded.
    pub(super) uploaded: Option<u64>,
}

impl Tiktok {
    pub(super) async fn status(&self, session: &Session, publish_id: &str) -> Result<Status, Fault> {
        let body = object!({ "publish_id": publish_id }).to_string();
        let data = self.ask(Self::post(session, "/v2/post/publish/status/fetch/", body)).await?;
        // The first spelling is the network's own.
        let posts = ["publicaly_available_post_id", "publicly_available_post_id"]
            .into_iter()
            .find_map(|name| data.get(name)?.as_array());
        Ok(Status {
            word: text_of(&data, "status").to_owned(),
            fail_reason: text_of(&data, "fail_reason").to_owned(),
            posts: posts.into_iter().flatten().filter_map(id_text).collect(),
            uploaded: data.get("uploaded_bytes").and_then(Value::as_u64),
        })
    }

    /// One look at a post that was taken.
    pub(super) async fn follow(&self, session: &Session, work: &Work, handle: &str) -> Answer {
        let Ok(following) = serde_json::from_str::<Following>(handle) else {
            return Outcome::Ambiguous { evidence: "the publish id cannot be read".into() }.into();
        };
        let status = match self.status(session, &following.id).await {
            Ok(status) => status,
            Err(fault) => return graph::look_failed(fault).into(),
        };
        let outcome = match (status.word.as_str(), status.posts.first()) {
            ("PUBLISH_COMPLETE", Some(post)) => {
                Outcome::Accepted { native_id: post.clone(), url: address(session, work, post) }
            }
            ("PUBLISH_COMPLETE", None) if following.public && self.is_early(&following) => {
                Outcome::Processing { handle: handle.to_owned() }
            }
            ("PUBLISH_COMPLETE", None) => Outcome::Accepted { native_id: following.id, url: String::new() },
            ("SEND_TO_USER_INBOX", _) => Outcome::InInbox { native_id: following.id },
            ("FAILED", _) => {
                let (code, message) = errors::failed(&status.fail_reason);
                Outcome::Rejected { code, message }
            }
            _ => Outcome::Processing { handle: handle.to_owned() },
        };
        outcome.into()
    }

    fn is_early(&self, following: &Following) -> bool {
        self.clock.now_ms() - following.since < MODERATION_MS
    }

    /// Whether the last bytes of a video arrived, and what came of it.
    pub(super) async fn look(&self, session: &Session, work: &Work, upload: Upload) -> Result<Found, Fault> {
        let status = self.status(session, &upload.publish_id).await?;
        let evidence = format!("its publish id is {}", wire::short(&status.word));
        Ok(match status.word.as_str() {
            "PUBLISH_COMPLETE" => match status.posts.first() {
                Some(post) => {
                    Found::Live { native_id: post.clone(), url: address(session, work, post), evidence }
                }
                None => Found::Live { native_id: upload.publish_id, url: String::new(), evidence },
            },
            "SEND_TO_USER_INBOX" => {
                Found::Live { native_id: upload.publish_id, url: String::new(), evidence }
            }
            // It failed for good, and nothing of it is visible.
            "FAILED" => Found::Absent,
            "PROCESSING_UPLOAD" if status.uploaded.is_some_and(|uploaded| uploaded < upload.size) => {
                Found::Absent
            }
            _ => Found::Unsure { why: evidence },
        })
    }

    /// Counts of posts; those that are known by their publish id alone are looked up first.
    pub(super) async fn counts(
        &self,
        session: &Session,
        native_ids: &[String],
    ) -> Result<Vec<PostMetrics>, Fault> {
        let mut posts: Vec<Vec<String>> = Vec::with_capacity(native_ids.len());
        let mut metrics: Vec<PostMetrics> = native_ids
            .iter()
            .map(|id| PostMetrics { native_id: id.clone(), ..PostMetrics::default() })
            .collect();
        for (id, counts) in native_ids.iter().zip(&mut metrics) {
            if is_post(id) {
                posts.push(vec![id.clone()]);
                continue;
            }
            match self.status(session, id).await {
                Ok(status) => {
                    counts.found = matches!(status.word.as_str(), "PUBLISH_COMPLETE" | "SEND_TO_USER_INBOX")
                        && status.posts.is_empty();
                    posts.push(status.posts);
                }
                Err(Fault::Rejected { .. }) => posts.push(Vec::new()),
                Err(fault) => return Err(fault),
            }
        }
        let wanted: BTreeSet<&String> = posts.iter().flatten().collect();
        let wanted: Vec<&String> = wanted.into_iter().collect();
        let mut seen = Vec::new();
        for page in wanted.chunks(PAGE) {
            let path = "/v2/video/query/?fields=id,view_count,like_count,comment_count,share_count";
            let body = object!({ "filters": { "video_ids": page } }).to_string();
            let data = self.ask(Self::post(session, path, body)).await?;
            let videos = data.get("videos").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
            seen.extend(videos.iter().cloned());
        }
        for (counts, posts) in metrics.iter_mut().zip(&posts) {
            let is_ours =
                |video: &&Value| video.get("id").and_then(id_text).is_some_and(|id| posts.contains(&id));
            for video in seen.iter().filter(is_ours) {
                let count = |name: &str| video.get(name).and_then(Value::as_i64).unwrap_or(0);
                counts.found = true;
                counts.likes += count("like_count");
                counts.reposts += count("share_count");
                counts.replies += count("comment_count");
                counts.views += count("view_count");
            }
        }
        Ok(metrics)
    }
}

/// An id, which comes as a text or as a whole number.
fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()).filter(|id| !id.is_empty()),
        Value::Number(id) if id.is_u64() || id.is_i64() => Some(id.to_string()),
        _ => None,
    }
}

/// Whether an id is a post's; publish ids hold other characters.
fn is_post(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// The page of a post.
fn address(session: &Session, work: &Work, post: &str) -> String {
    let kind = if is_video(work) { "video" } else { "photo" };
    format!("https://www.tiktok.com/{}/{kind}/{post}", session.handle)
}

/// The id in a post's address: `/@name/video/id` or `/@name/photo/id`.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let host = url.host_str()?;
    if host != "tiktok.com" && !host.ends_with(".tiktok.com") {
        return None;
    }
    match url.path_segments()?.filter(|part| !part.is_empty()).collect::<Vec<_>>().as_slice() {
        [name, "video" | "photo", id] if name.starts_with('@') && is_post(id) => Some((*id).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_exactly_and_addresses_tell_them() {
        let body: Value =
            serde_json::from_str(r#"{"a":7311456789012345678,"b":"73","c":1.5,"d":""}"#).unwrap();
        let read = |name: &str| body.get(name).and_then(id_text);
        assert_eq!(read("a").as_deref(), Some("7311456789012345678"));
        assert_eq!((read("b").as_deref(), read("c"), read("d")), (Some("73"), None, None));
        for (url, id) in [
            ("https://www.tiktok.com/@ana/video/73?lang=en", Some("73")),
            ("https://tiktok.com/@ana/photo/74/", Some("74")),
            ("https://www.tiktok.com/@ana", None),
            ("https://www.tiktok.com/@ana/video/x", None),
            ("https://tiktok.com.evil.example/@ana/video/73", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }
}

//! Videos after their upload: how far the network's processing has come, and which post became of one. Changes nothing.

use serde_json::Value;

use super::{Facebook, Fault, Found, Outcome, SITE, Session, Work, address::PERMALINK, graph, text_of, wire};

/// How long a published video may be without its post before the video's own id is taken, milliseconds.
const UNNAMED: i64 = 600_000;

/// What the network tells of a video. The sources spell a phase's end `complete` and `completed`, its bytes
/// `bytes_transfered` and `bytes_transferred`, and its problems `error` and `errors`; all are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Video {
    word: String,
    uploaded: bool,
    bytes: u64,
    publishing: bool,
    published: bool,
    pub(super) failed: Option<String>,
    post_id: String,
    permalink: String,
}

impl Video {
    fn read(body: &Value) -> Self {
        let status = body.get("status").cloned().unwrap_or_default();
        let phase = |name: &str| status.get(name).cloned().unwrap_or_default();
        let is_over = |phase: &Value| matches!(text_of(phase, "status"), "complete" | "completed");
        let (uploading, processing, publishing) =
            (phase("uploading_phase"), phase("processing_phase"), phase("publishing_phase"));
        let word = text_of(&status, "video_status").to_owned();
        let bytes = ["bytes_transfered", "bytes_transferred"].iter().find_map(|name| uploading.get(name));
        let problems = [&uploading, &processing, &publishing].into_iter().find_map(problem);
        let is_bad = matches!(word.as_str(), "error" | "expired" | "upload_failed")
            || text_of(&publishing, "publish_status") == "error";
        let published = text_of(&publishing, "publish_status") == "published"
            || (publishing.is_null() && word == "ready" && body["published"] == true);
        let message = problems.unwrap_or_else(|| format!("Facebook could not process the video ({word})."));
        Self {
            uploaded: is_over(&uploading)
                || matches!(word.as_str(), "upload_complete" | "processing" | "ready"),
            bytes: bytes.and_then(Value::as_u64).unwrap_or(0),
            publishing: matches!(text_of(&publishing, "status"), "in_progress" | "complete" | "completed"),
            published,
            failed: (is_bad && !published).then_some(message),
            post_id: graph::id_of(body, "post_id"),
            permalink: graph::address(text_of(body, PERMALINK.0), PERMALINK.1),
            word,
        }
    }

    /// Whether its file is all there.
    pub(super) fn is_uploaded(&self) -> bool {
        self.uploaded
    }

    /// Where its upload goes on; `None` when nothing is missing.
    pub(super) fn rest(&self) -> Option<u64> {
        (!self.uploaded).then_some(self.bytes)
    }
}

/// The network's sentence about a phase that failed.
fn problem(phase: &Value) -> Option<String> {
    let error = phase.get("error").or_else(|| phase.get("errors")?.get(0))?;
    let message = text_of(error, "message");
    (!message.is_empty()).then(|| format!("Facebook refuses the video: {}", wire::short(message)))
}

impl Facebook {
    /// A video as the network tells of it; `None` where it is not shown, as happens right after it was made.
    pub(super) async fn video(&self, session: &Session, id: &str) -> Result<Option<Video>, Fault> {
        let fields = "status,published,post_id,permalink_url";
        let told = self.api.shown(self.api.node(session, id, fields)).await?;
        Ok(told.as_ref().map(Video::read))
    }

    /// How far a video has come that was made visible.
    pub(super) async fn processed(&self, session: &Session, work: &Work, handle: &str) -> Outcome {
        match self.video(session, handle).await {
            Ok(Some(video)) => match (self.post_of(session, work, handle, &video), video.failed) {
                (Some((native_id, url)), _) => Outcome::Accepted { native_id, url },
                (None, Some(message)) => Outcome::Rejected { code: "MEDIA_REFUSED".into(), message },
                (None, None) => Outcome::Processing { handle: handle.to_owned() },
            },
            Ok(None) => Outcome::Processing { handle: handle.to_owned() },
            Err(fault) => graph::look_failed(fault),
        }
    }

    /// The post of a published video; the video itself when no post was named for a long time.
    fn post_of(&self, session: &Session, work: &Work, id: &str, video: &Video) -> Option<(String, String)> {
        if !video.published {
            return None;
        }
        let native_id = match video.post_id.as_str() {
            "" if self.api.clock.now_ms() - work.due_at < UNNAMED => return None,
            "" => id.to_owned(),
            post if post.contains('_') => post.to_owned(),
            post => format!("{}_{post}", session.native_id),
        };
        let url =
            if video.permalink.is_empty() { format!("{SITE}/reel/{id}") } else { video.permalink.clone() };
        Some((native_id, url))
    }

    /// Whether a reel was finished.
    pub(super) async fn finished_reel(
        &self,
        session: &Session,
        work: &Work,
        id: &str,
    ) -> Result<Found, Fault> {
        let Some(video) = self.video(session, id).await? else {
            return Ok(Found::Unsure { why: "Facebook does not show the reel's draft".into() });
        };
        if let Some((native_id, url)) = self.post_of(session, work, id, &video) {
            let evidence = format!("the reel's draft {id} is published");
            return Ok(Found::Live { native_id, url, evidence });
        }
        if video.failed.is_none() && (video.publishing || video.published) {
            return Ok(Found::Unsure { why: format!("Facebook is publishing the reel ({})", video.word) });
        }
        Ok(Found::Absent)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    #[test]
    fn reads_a_videos_state_in_every_spelling() {
        let video = |status: Value, more: Value| {
            let mut body = object!({ "status": status, "id": "5" });
            for (name, value) in more.as_object().unwrap() {
                body[name] = value.clone();
            }
            Video::read(&body)
        };
        let started = video(
            object!({ "video_status": "uploading", "uploading_phase": { "status": "in_progress", "bytes_transfered": 7 } }),
            object!({}),
        );
        assert_eq!((started.rest(), started.published, started.publishing), (Some(7), false, false));
        let other = object!({ "video_status": "uploading", "uploading_phase": { "bytes_transferred": 9 } });
        assert_eq!(video(other, object!({})).rest(), Some(9));
        for word in ["complete", "completed"] {
            let status = object!({ "video_status": "processing", "uploading_phase": { "status": word },
                "publishing_phase": { "status": "in_progress" } });
            let video = video(status, object!({}));
            assert_eq!((video.rest(), video.publishing, video.published), (None, true, false));
        }
        let done = object!({ "video_status": "ready", "publishing_phase": { "status": "complete", "publish_status": "published" } });
        let done = video(done, object!({ "post_id": "77", "permalink_url": "/reel/5" }));
        assert!(done.published && done.failed.is_none());
        assert_eq!(
            (done.post_id.as_str(), done.permalink.as_str()),
            ("77", "https://www.facebook.com/reel/5")
        );
        assert!(video(object!({ "video_status": "ready" }), object!({ "published": true })).published);
        assert!(!video(object!({ "video_status": "ready" }), object!({})).published);
        for (phase, name) in
            [("error", object!({ "message": "too wide" })), ("errors", object!([{ "message": "too wide" }]))]
        {
            let status =
                object!({ "video_status": "error", "processing_phase": { "status": "error", phase: name } });
            let failed = video(status, object!({})).failed;
            assert_eq!(failed.as_deref(), Some("Facebook refuses the video: too wide"));
        }
    }
}

//! Looking back: what became of a video, whether a post whose answer was lost is there, and what became of posts.
//! Changes nothing.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::{
    AttemptFacts, Facebook, Fault, Found, HandleMap, Outcome, PostMetrics, SITE, Session, Work, graph, json,
    publish::Shape, text_of, upload, wire,
};

/// How far the network's clock may be off, milliseconds.
const SKEW: i64 = 60_000;

/// Pages of 25 posts read before giving up.
const PAGES: usize = 8;

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
            permalink: absolute(text_of(body, "permalink_url")),
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
        let query = [("fields", "status,published,post_id,permalink_url")];
        let response = Self::call(session, Method::GET, &segment(id), &query).read(&self.http).await?;
        if graph::is_missing(&response) {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        let body = json(&response).ok_or_else(wire::unreadable)?;
        Ok(Some(Video::read(&body)))
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
            "" if self.clock.now_ms() - work.due_at < UNNAMED => return None,
            "" => id.to_owned(),
            post if post.contains('_') => post.to_owned(),
            post => format!("{}_{post}", session.native_id),
        };
        let url =
            if video.permalink.is_empty() { format!("{SITE}/reel/{id}") } else { video.permalink.clone() };
        Some((native_id, url))
    }

    /// Whether a work is visible, as the post of a handle or as a post of the Page that fits.
    pub(super) async fn look_back(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let id = |step: &str| handles.get(step).map(|handle| text_of(handle, "id").to_owned());
        match Shape::of(work) {
            Shape::Feed | Shape::Video => self.among_posts(session, work, handles, attempt).await,
            Shape::Comment => self.among_comments(session, work, attempt).await,
            Shape::Reel => match id(upload::DRAFT) {
                Some(id) => self.finished_reel(session, work, &id).await,
                None => Ok(Found::Absent),
            },
            Shape::PhotoStory => self.among_stories(session, id(&upload::photo(0))).await,
            Shape::VideoStory => self.among_stories(session, id(upload::DRAFT)).await,
        }
    }

    async fn finished_reel(&self, session: &Session, work: &Work, id: &str) -> Result<Found, Fault> {
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

    /// A story says which photo or video it shows.
    async fn among_stories(&self, session: &Session, media_id: Option<String>) -> Result<Found, Fault> {
        let Some(media_id) = media_id else { return Ok(Found::Absent) };
        let path = format!("{}/stories", segment(&session.native_id));
        let query = [("fields", "post_id,status,creation_time,media_type,media_id,url"), ("limit", "100")];
        let body = self.ask(Self::call(session, Method::GET, &path, &query)).await?;
        let stories = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let found = stories.iter().find(|story| graph::id_of(story, "media_id") == media_id);
        Ok(found.map_or(Found::Absent, |story| Found::Live {
            native_id: graph::id_of(story, "post_id"),
            url: text_of(story, "url").to_owned(),
            evidence: format!("a story of the Page shows {media_id}"),
        }))
    }

    async fn among_comments(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let Some(reply) = &work.reply else { return Ok(Found::Absent) };
        let path = format!("{}/comments", segment(&reply.root_native_id));
        let query = [
            ("fields", "id,message,created_time,from{id}"),
            ("order", "reverse_chronological"),
            ("limit", "100"),
        ];
        let body = self.ask(Self::call(session, Method::GET, &path, &query)).await?;
        let comments = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let own = |comment: &&Value| {
            comment.get("from").is_none_or(|from| graph::id_of(from, "id") == session.native_id)
        };
        let found = comments.iter().filter(own).filter(|comment| is_candidate(comment, attempt));
        let found = found.filter(|comment| is_text(work, text_of(comment, "message")));
        Ok(only(found.map(|comment| (graph::id_of(comment, "id"), String::new())).collect()))
    }

    /// The Page's posts since the first attempt that show what the work shows.
    async fn among_posts(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let wanted = Wanted::of(work, handles);
        let path = format!("{}/published_posts", segment(&session.native_id));
        let fields = "id,message,created_time,permalink_url,is_published,\
                      attachments{media_type,target,subattachments{media_type,target}}";
        let mut after = String::new();
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let mut query = vec![("fields", fields), ("limit", "25")];
            if !after.is_empty() {
                query.push(("after", after.as_str()));
            }
            let body = self.ask(Self::call(session, Method::GET, &path, &query)).await?;
            let posts = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
            let fits = posts.iter().filter(|post| is_candidate(post, attempt) && wanted.is(post));
            found.extend(fits.map(|post| {
                let id = graph::id_of(post, "id");
                let told = absolute(text_of(post, "permalink_url"));
                let url = if told.is_empty() { format!("{SITE}/{id}") } else { told };
                (id, url)
            }));
            let since = attempt.first_armed_at - SKEW;
            let last = posts.last().and_then(|post| graph::time_of(post, "created_time"));
            let next = body.pointer("/paging/cursors/after").and_then(Value::as_str).unwrap_or_default();
            let is_end = body.pointer("/paging/next").is_none() || next.is_empty();
            if is_end || last.is_none_or(|last| last < since) {
                return Ok(only(found));
            }
            next.clone_into(&mut after);
        }
        Ok(Found::Unsure { why: "too many posts since the attempt".into() })
    }

    /// Counts of one post, comment, story or video.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let none = || PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        let is_post = native_id.starts_with(&format!("{}_", session.native_id));
        let fields = if is_post {
            "shares,comments.summary(true).limit(0),reactions.summary(true).limit(0)"
        } else if native_id.contains('_') {
            "like_count,comment_count"
        } else {
            "comments.summary(true).limit(0),reactions.summary(true).limit(0)"
        };
        let read = async |fields: &str| {
            let call = Self::call(session, Method::GET, &segment(native_id), &[("fields", fields)]);
            call.read(&self.http).await
        };
        let mut response = read(fields).await?;
        if graph::is_missing(&response) {
            return Ok(none());
        }
        let code = graph::refusal(&response).map(|refusal| refusal.code).unwrap_or_default();
        if !is_post && code.starts_with("100/") {
            // Stories do not tell every count; whether they are there they do.
            response = read("id").await?;
            if graph::is_missing(&response) {
                return Ok(none());
            }
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        let body = json(&response).ok_or_else(wire::unreadable)?;
        let number = |path: &str| body.pointer(path).and_then(Value::as_i64);
        Ok(PostMetrics {
            found: true,
            likes: number("/reactions/summary/total_count").or(number("/like_count")).unwrap_or(0),
            reposts: number("/shares/count").unwrap_or(0),
            replies: number("/comments/summary/total_count").or(number("/comment_count")).unwrap_or(0),
            views: if is_post { self.views(session, native_id).await } else { 0 },
            ..none()
        })
    }

    /// How many people saw a post; 0 where that is not told, which says nothing about the other counts.
    async fn views(&self, session: &Session, native_id: &str) -> i64 {
        let path = format!("{}/insights", segment(native_id));
        let query = [("metric", "post_total_media_view_unique")];
        let body = self.ask(Self::call(session, Method::GET, &path, &query)).await.unwrap_or_default();
        body.pointer("/data/0/values/0/value").and_then(Value::as_i64).unwrap_or(0)
    }
}

/// What a post of the Page must show to be the one looked for.
struct Wanted<'a> {
    work: &'a Work,
    photos: BTreeSet<String>,
    is_video: bool,
}

impl<'a> Wanted<'a> {
    fn of(work: &'a Work, handles: &HandleMap) -> Self {
        let steps = (0..work.content.media.len()).map(upload::photo);
        let photos =
            steps.filter_map(|step| handles.get(&step)).map(|handle| text_of(handle, "id").to_owned());
        Self { work, photos: photos.collect(), is_video: Shape::of(work) == Shape::Video }
    }

    /// Photos by their ids, which nothing else has; text and videos by the words, with as many media.
    fn is(&self, post: &Value) -> bool {
        let mut shown = Vec::new();
        media_of(post.get("attachments"), &mut shown);
        if post.get("is_published") == Some(&Value::Bool(false)) {
            return false;
        }
        if !self.photos.is_empty() {
            let ids: BTreeSet<&str> = shown.iter().map(|(_, id)| id.as_str()).collect();
            return self.photos.iter().all(|id| ids.contains(id.as_str()));
        }
        let kind = |word: &str| shown.iter().any(|(media_type, _)| media_type.starts_with(word));
        let is_fitting =
            if self.is_video { kind("video") } else { !kind("video") && !kind("photo") && !kind("album") };
        is_fitting && is_text(self.work, text_of(post, "message"))
    }
}

/// Kind and target of every attachment, those of albums included.
fn media_of(attachments: Option<&Value>, shown: &mut Vec<(String, String)>) {
    let data = attachments.and_then(|attachments| attachments.get("data")).and_then(Value::as_array);
    for attachment in data.into_iter().flatten() {
        let target = attachment.get("target").map(|target| graph::id_of(target, "id")).unwrap_or_default();
        shown.push((text_of(attachment, "media_type").to_owned(), target));
        media_of(attachment.get("subattachments"), shown);
    }
}

/// Whether a post may be the attempt's: not before it, and nobody else's.
fn is_candidate(post: &Value, attempt: &AttemptFacts) -> bool {
    let created_at = graph::time_of(post, "created_time").unwrap_or(i64::MIN);
    created_at >= attempt.first_armed_at - SKEW
        && !attempt.taken_native_ids.contains(&graph::id_of(post, "id"))
}

fn is_text(work: &Work, shown: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    squeeze(shown) == squeeze(&work.content.text)
}

/// None, the one, or too many to choose among.
fn only(found: Vec<(String, String)>) -> Found {
    match <[_; 1]>::try_from(found) {
        Ok([(native_id, url)]) => {
            let evidence = "a post of the Page since the attempt shows the same".into();
            Found::Live { native_id, url, evidence }
        }
        Err(found) if found.is_empty() => Found::Absent,
        Err(found) => Found::Unsure { why: format!("{} posts of the Page match", found.len()) },
    }
}

/// Addresses of videos come without their host.
fn absolute(permalink: &str) -> String {
    if permalink.starts_with('/') { format!("{SITE}{permalink}") } else { permalink.to_owned() }
}

/// The id in a post's address: `/{page}_{post}`, `/…/posts/{post}`, or `/permalink.php?story_fbid={post}&id={page}`.
pub(super) fn id_at(page: &str, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let is_facebook =
        url.host_str().is_some_and(|host| host == "facebook.com" || host.ends_with(".facebook.com"));
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let query =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let post = match parts.as_slice() {
        _ if !is_facebook => return None,
        [.., both]
            if both.strip_prefix(page).and_then(|rest| rest.strip_prefix('_')).is_some_and(is_number) =>
        {
            return Some((*both).to_owned());
        }
        ["permalink.php" | "story.php"] if query("id").as_deref() == Some(page) => query("story_fbid")?,
        [.., "posts", post] => (*post).to_owned(),
        _ => return None,
    };
    is_number(&post).then(|| format!("{page}_{post}"))
}

/// One path segment; ids come from the network and are not trusted to be free of slashes.
pub(super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
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

    #[test]
    fn an_address_tells_its_post() {
        for (url, id) in [
            ("https://www.facebook.com/12_34", Some("12_34")),
            ("https://www.facebook.com/some.page/posts/34", Some("12_34")),
            ("https://m.facebook.com/story.php?story_fbid=34&id=12", Some("12_34")),
            ("https://www.facebook.com/permalink.php?story_fbid=34&id=13", None),
            ("https://www.facebook.com/13_34", None),
            ("https://www.facebook.com/some.page/posts/pfbid02x", None),
            ("https://facebook.com.evil.example/12_34", None),
            ("12_34", None),
        ] {
            assert_eq!(id_at("12", url).as_deref(), id, "{url}");
        }
    }
}

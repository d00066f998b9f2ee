//! Making a post of a Page: checks, what it becomes, the one visible request, and what its answer proves.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json as object};

use super::{
    super::validate::Check, Answer, Call, Content, Facebook, Fault, Handles, Limits, MediaSource, Outcome,
    Ready, Session, Violation, Work, address, errors, graph, json, text_of,
};
use crate::domain::settings::{FacebookKind, FacebookSettings, Settings};

/// What a work becomes; each has one visible request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Text, a link or photos: `POST /{page}/feed`.
    Feed,
    /// A video in the feed: `POST /{page}/videos`.
    Video,
    /// `POST /{page}/video_reels`, phase `finish`.
    Reel,
    /// `POST /{page}/photo_stories`.
    PhotoStory,
    /// `POST /{page}/video_stories`, phase `finish`.
    VideoStory,
    /// A further part: `POST /{root}/comments`.
    Comment,
}

impl Shape {
    pub(super) fn of(work: &Work) -> Self {
        if work.reply.is_some() {
            return Self::Comment;
        }
        let video = work.content.media.first().is_some_and(crate::domain::content::Media::is_video);
        match (settings(&work.content).kind, video) {
            (FacebookKind::Feed, false) => Self::Feed,
            (FacebookKind::Feed, true) => Self::Video,
            (FacebookKind::Reel, _) => Self::Reel,
            (FacebookKind::Story, false) => Self::PhotoStory,
            (FacebookKind::Story, true) => Self::VideoStory,
        }
    }

    /// The edge that is called.
    pub(super) const fn edge(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Video => "videos",
            Self::Reel => "video_reels",
            Self::PhotoStory => "photo_stories",
            Self::VideoStory => "video_stories",
            Self::Comment => "comments",
        }
    }
}

pub(super) fn settings(content: &Content) -> FacebookSettings {
    match &content.settings {
        Settings::Facebook(settings) => settings.clone(),
        _ => FacebookSettings::default(),
    }
}

/// Everything a Page with these limits would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Facebook", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Facebook(_)));
    let settings = settings(content);
    let has_video = content.media.iter().any(crate::domain::content::Media::is_video);
    if position > 0 {
        if !content.media.is_empty() {
            let text = "further parts become comments, which go out as text: remove the media".into();
            check.add("media", "COMMENT_WITH_MEDIA", text);
        }
        if settings != FacebookSettings::default() {
            let text = "further parts become comments, which have no settings: remove them".into();
            check.add("settings.facebook", "COMMENT_WITH_SETTINGS", text);
        }
        return check.into_violations();
    }
    if !settings.link.is_empty() {
        if !url::Url::parse(&settings.link).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            let text = format!("`{}` is not a web address, such as https://example.com", settings.link);
            check.add("settings.facebook.link", "LINK", text);
        }
        if !content.media.is_empty() || settings.kind != FacebookKind::Feed {
            let text = "Facebook shows either a link or media: remove one of them".into();
            check.add("settings.facebook.link", "LINK_WITH_MEDIA", text);
        }
    }
    if !settings.title.is_empty() {
        check.title("settings.facebook.title", &settings.title);
        if !has_video || settings.kind == FacebookKind::Story {
            let text = "Facebook shows titles of videos and reels alone: remove it".into();
            check.add("settings.facebook.title", "TITLE_NOT_SHOWN", text);
        }
    }
    match settings.kind {
        FacebookKind::Feed => {}
        FacebookKind::Reel => {
            if content.media.len() != 1 || !has_video {
                check.add("media", "REEL_MEDIA", "a reel is exactly one video: attach one".into());
            }
            check_length(&mut check, content, "a reel");
        }
        FacebookKind::Story => {
            if content.media.len() != 1 {
                let text = "a story is exactly one picture or video: attach one".into();
                check.add("media", "STORY_MEDIA", text);
            }
            if !content.text.trim().is_empty() {
                let text =
                    "Facebook shows no text with a story: remove it, or put it into the picture".into();
                check.add("text", "STORY_TEXT", text);
            }
            check_length(&mut check, content, "a story");
        }
    }
    check.into_violations()
}

/// Reels and video stories last 3 to 90 seconds
/// (<https://developers.facebook.com/docs/video-api/guides/reels-publishing>).
fn check_length(check: &mut Check<'_>, content: &Content, what: &str) {
    for (i, item) in content.media.iter().enumerate().filter(|(_, item)| item.is_video()) {
        let length = item.duration_ms;
        let (reason, bound) = match length {
            1..3_000 => ("VIDEO_TOO_SHORT", "asks for at least 3 s"),
            90_001.. => ("VIDEO_TOO_LONG", "accepts at most 90 s"),
            _ => continue,
        };
        let seconds = std::time::Duration::from_millis(length.unsigned_abs()).as_secs_f64();
        check.add(
            format!("media[{i}]"),
            reason,
            format!("the video lasts {seconds:.1} s, Facebook {bound} for {what}"),
        );
    }
}

impl Facebook {
    /// The invisible steps of a work, and the request that follows them.
    pub(super) async fn get_ready(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let text = work.content.text.trim();
        let settings = settings(&work.content);
        let shape = Shape::of(work);
        let body = match shape {
            Shape::Comment => {
                self.api.root_step(session, work, handles).await?;
                object!({ "message": text })
            }
            Shape::Feed => {
                let mut photos = Vec::new();
                for i in 0..work.content.media.len() {
                    photos.push(self.photo_step(session, work, i, media, handles).await?);
                }
                feed(text, &settings.link, &photos)
            }
            Shape::PhotoStory => {
                object!({ "photo_id": self.photo_step(session, work, 0, media, handles).await? })
            }
            Shape::Video => {
                let file = self.file_step(session, work, media, handles).await?;
                let body = object!({ "published": true, "fbuploader_video_file_chunk": file });
                described(body, text, &settings.title)
            }
            Shape::Reel | Shape::VideoStory => {
                let video_id = self.draft_step(session, work, shape, media, handles).await?;
                let finish = object!({ "upload_phase": "finish", "video_id": video_id });
                if shape == Shape::VideoStory {
                    finish
                } else {
                    let mut finish = described(finish, text, &settings.title);
                    finish["video_state"] = object!("PUBLISHED");
                    finish
                }
            }
        };
        Ok(Ready::new(body.to_string()))
    }

    /// The one visible request.
    pub(super) fn request(&self, session: &Session, work: &Work, body: Bytes) -> Call {
        let node = match &work.reply {
            Some(reply) => &reply.root_native_id,
            None => &session.native_id,
        };
        let path = format!("{}/{}", graph::segment(node), Shape::of(work).edge());
        self.api.call(session, Method::POST, &path, &[]).body("application/json", body)
    }
}

/// The body of a post in the feed.
fn feed(text: &str, link: &str, photos: &[String]) -> Value {
    let mut body = object!({ "published": true });
    if !text.is_empty() {
        body["message"] = object!(text);
    }
    if !link.is_empty() {
        body["link"] = object!(link);
    }
    if !photos.is_empty() {
        body["attached_media"] = photos.iter().map(|id| object!({ "media_fbid": id })).collect();
    }
    body
}

/// A body with what people read beside a video.
fn described(mut body: Value, text: &str, title: &str) -> Value {
    for (name, text) in [("description", text), ("title", title)] {
        if !text.is_empty() {
            body[name] = object!(text);
        }
    }
    body
}

/// What the answer to it proves.
pub(super) fn answer(
    response: &Response<Bytes>,
    work: &Work,
    ready: &Ready,
    resend: bool,
    now_ms: i64,
) -> Answer {
    let wire = graph::seen(response, now_ms);
    let shape = Shape::of(work);
    if response.status().is_success() {
        let body = json(response).unwrap_or_default();
        let outcome = accepted(shape, &body, ready).unwrap_or_else(|| graph::unnamed(response));
        return Answer { outcome, wire };
    }
    let gone = (shape == Shape::Comment).then(|| graph::judge(&[graph::ROOT_GONE], response)).flatten();
    let twice = (!resend).then(|| graph::judge(&[errors::DUPLICATE], response)).flatten();
    let proof = gone.or(twice).or_else(|| graph::judge(errors::RULES, response));
    Answer { outcome: graph::refused(proof, response, now_ms), wire }
}

/// What a 2xx says was made.
fn accepted(shape: Shape, body: &Value, ready: &Ready) -> Option<Outcome> {
    let some = |id: String| Some(id).filter(|id| !id.is_empty());
    let id = || some(graph::id_of(body, "id"));
    match shape {
        Shape::Feed => id().map(|id| Outcome::Accepted { url: address::of_id(&id), native_id: id }),
        Shape::Comment => id().map(|native_id| Outcome::Accepted { native_id, url: String::new() }),
        // The video is there; its post follows when it is processed.
        Shape::Video => id().map(|handle| Outcome::Processing { handle }),
        Shape::Reel => {
            let request: Value = serde_json::from_slice(&ready.request).ok()?;
            let handle = some(text_of(&request, "video_id").to_owned())?;
            (body["success"] == true).then_some(Outcome::Processing { handle })
        }
        Shape::PhotoStory | Shape::VideoStory => {
            let native_id = some(graph::id_of(body, "post_id")).filter(|_| body["success"] == true)?;
            Some(Outcome::Accepted { native_id, url: String::new() })
        }
    }
}

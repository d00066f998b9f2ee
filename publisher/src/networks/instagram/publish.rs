//! Making a post: checks, what it becomes, the one visible request, and what its answer proves.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json as object};

use super::{
    super::validate::Check, Answer, Call, Containers, Content, Fault, Handles, Instagram, Limits,
    MediaSource, Outcome, Ready, Session, Violation, Work, errors, graph,
};
use crate::domain::{
    content::Media,
    settings::{InstagramKind, InstagramSettings, Settings},
};

/// How long a used-up day is left alone: its window moves, and nobody says by when there is room.
const DAY_USED_UP: Duration = Duration::from_hours(1);

/// What a work becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One picture in the feed.
    Image,
    /// Several pictures and videos in the feed.
    Carousel,
    /// A video.
    Reel,
    /// One picture or video for a day.
    Story,
    /// A further part.
    Comment,
}

impl Shape {
    pub(super) fn of(work: &Work) -> Self {
        if work.reply.is_some() { Self::Comment } else { Self::of_content(&work.content) }
    }

    fn of_content(content: &Content) -> Self {
        match (settings(content).kind, content.media.as_slice()) {
            (Some(InstagramKind::Story), _) => Self::Story,
            (Some(InstagramKind::Reel), _) => Self::Reel,
            (_, [one]) if one.is_video() => Self::Reel,
            (_, [_, _, ..]) => Self::Carousel,
            _ => Self::Image,
        }
    }
}

pub(super) fn settings(content: &Content) -> InstagramSettings {
    match &content.settings {
        Settings::Instagram(settings) => settings.clone(),
        _ => InstagramSettings::default(),
    }
}

/// Everything an account with these limits would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    if position > 0 {
        return validate_comment(limits, content, position);
    }
    let mut check = Check::new("Instagram", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Instagram(_)));
    let settings = settings(content);
    let shape = Shape::of_content(content);
    if settings.collaborators.len() > 3 {
        let text =
            format!("{} co-authors are named, Instagram accepts at most 3", settings.collaborators.len());
        check.add("settings.instagram.collaborators", "TOO_MANY_COLLABORATORS", text);
    }
    if shape != Shape::Reel && (settings.share_to_feed.is_some() || settings.cover_offset_ms != 0) {
        let text = "only reels have a cover and are shown in the feed as well: remove these settings".into();
        check.add("settings.instagram", "NOT_A_REEL", text);
    }
    match shape {
        Shape::Reel => {
            if !matches!(content.media.as_slice(), [one] if one.is_video()) {
                check.add("media", "REEL_MEDIA", "a reel is exactly one video: attach one".into());
            }
            let length = content.media.first().map_or(0, |item| item.duration_ms);
            if settings.cover_offset_ms < 0 || (length > 0 && settings.cover_offset_ms > length) {
                let text = "the cover's moment lies outside of the video".into();
                check.add("settings.instagram.cover_offset_ms", "COVER_OUTSIDE", text);
            }
        }
        Shape::Story => validate_story(&mut check, content, &settings),
        _ => {
            for (i, item) in content.media.iter().enumerate() {
                check_ratio(&mut check, i, item);
            }
        }
    }
    check.into_violations()
}

/// Stories show no text and name nobody; videos last 3 to 60 seconds and have at most 100 MB (reference of the media
/// edge, "story video specifications").
fn validate_story(check: &mut Check<'_>, content: &Content, settings: &InstagramSettings) {
    if content.media.len() != 1 {
        check.add("media", "STORY_MEDIA", "a story is exactly one picture or video: attach one".into());
    }
    if !content.text.trim().is_empty() {
        let text = "Instagram shows no text with a story: remove it, or put it into the picture".into();
        check.add("text", "STORY_TEXT", text);
    }
    if !settings.collaborators.is_empty() {
        let text = "stories have no co-authors: remove them".into();
        check.add("settings.instagram.collaborators", "STORY_COLLABORATORS", text);
    }
    for (i, item) in content.media.iter().enumerate().filter(|(_, item)| item.is_video()) {
        if item.duration_ms > 60_000 {
            let seconds = Duration::from_millis(item.duration_ms.unsigned_abs()).as_secs_f64();
            let text = format!("the video lasts {seconds:.1} s, Instagram accepts at most 60 s for a story");
            check.add(format!("media[{i}]"), "VIDEO_TOO_LONG", text);
        }
        if item.size_bytes > 100_000_000 {
            let text = format!(
                "the video has {} bytes, Instagram accepts at most 100000000 for a story",
                item.size_bytes
            );
            check.add(format!("media[{i}]"), "VIDEO_TOO_LARGE", text);
        }
    }
}

/// Pictures of the feed lie between 4:5 and 1.91:1.
fn check_ratio(check: &mut Check<'_>, i: usize, item: &Media) {
    let (width, height) = (i64::from(item.width), i64::from(item.height));
    let is_known = width > 0 && height > 0 && !item.is_video();
    if is_known && (width * 5 < height * 4 || width * 100 > height * 191) {
        let text = format!(
            "the picture has {width} x {height} pixels, Instagram accepts shapes from 4:5 to 1.91:1 in the feed"
        );
        check.add(format!("media[{i}]"), "IMAGE_ASPECT", text);
    }
}

/// Comments are text, of at most 300 characters and 4 hashtags.
fn validate_comment(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let limits = Limits { media_required: false, hashtags: 4, ..limits.clone() };
    let mut check = Check::new("Instagram", &limits);
    check.content(content, position);
    if !content.media.is_empty() {
        let text = "further parts become comments, which go out as text: remove the media".into();
        check.add("media", "COMMENT_WITH_MEDIA", text);
    }
    if !content.settings.is_none() && settings(content) != InstagramSettings::default() {
        let text = "further parts become comments, which have no settings: remove them".into();
        check.add("settings.instagram", "COMMENT_WITH_SETTINGS", text);
    }
    check.into_violations()
}

impl Instagram {
    /// The invisible steps of a work, and the request that follows them.
    pub(super) async fn get_ready(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let request = if Shape::of(work) == Shape::Comment {
            self.api.root_step(session, work, handles).await?;
            object!({ "message": work.content.text.trim() })
        } else {
            object!({ "creation_id": self.contain(session, work, media, handles).await?.id })
        };
        Ok(Ready::new(request.to_string()))
    }

    /// The one visible request.
    pub(super) fn request(&self, session: &Session, work: &Work, body: Bytes) -> Call {
        let (node, edge) = match &work.reply {
            Some(reply) => (&reply.root_native_id, "comments"),
            None => (&session.native_id, "media_publish"),
        };
        let path = format!("{}/{edge}", graph::segment(node));
        self.api.call(session, Method::POST, &path, &[]).body("application/json", body)
    }
}

/// What is said about a post beside the address of its file.
pub(super) fn fields(work: &Work, shape: Shape) -> Value {
    let settings = settings(&work.content);
    let mut fields = object!({});
    let media_type = match shape {
        Shape::Carousel => Some("CAROUSEL"),
        Shape::Reel => Some("REELS"),
        Shape::Story => Some("STORIES"),
        Shape::Image | Shape::Comment => None,
    };
    if let Some(media_type) = media_type {
        fields["media_type"] = object!(media_type);
    }
    if shape == Shape::Story {
        return fields;
    }
    let caption = work.content.text.trim();
    if !caption.is_empty() {
        fields["caption"] = object!(caption);
    }
    if !settings.collaborators.is_empty() {
        fields["collaborators"] = object!(settings.collaborators);
    }
    if shape == Shape::Reel {
        if let Some(share_to_feed) = settings.share_to_feed {
            fields["share_to_feed"] = object!(share_to_feed);
        }
        if settings.cover_offset_ms > 0 {
            fields["thumb_offset"] = object!(settings.cover_offset_ms.to_string());
        }
    }
    if shape == Shape::Image
        && let Some(item) = work.content.media.first()
        && !item.alt_text.is_empty()
    {
        fields["alt_text"] = object!(item.alt_text);
    }
    fields
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, work: &Work, resend: bool, now_ms: i64) -> Answer {
    let mut wire = graph::seen(response, now_ms);
    if response.status().is_success() {
        return Answer { outcome: graph::accepted(response), wire };
    }
    let is_comment = work.reply.is_some();
    let root_gone = is_comment.then(|| graph::judge(&[graph::ROOT_GONE], response)).flatten();
    let is_first = !resend && !is_comment;
    let container_gone = is_first.then(|| graph::judge(&[errors::CONTAINER_GONE], response)).flatten();
    let proof = root_gone.or(container_gone).or_else(|| graph::judge(errors::RULES, response));
    let mut outcome = graph::refused(proof, response, now_ms);
    match &mut outcome {
        Outcome::Stale { steps, .. } => *steps = graph::all_steps(work),
        Outcome::Transient { code, retry_after, .. } if code == errors::DAILY_LIMIT => {
            *retry_after = Some(DAY_USED_UP);
            wire.hold = wire.hold.max(Some(DAY_USED_UP));
        }
        _ => {}
    }
    Answer { outcome, wire }
}

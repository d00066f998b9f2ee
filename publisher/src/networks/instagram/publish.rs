//! Making a post: checks, what it becomes, the one visible request, and what its answer proves.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json as object};

use super::{
    super::{thread, validate::Check},
    Answer, Call, Content, Fault, Handles, Instagram, Limits, MediaSource, Outcome, Ready, Session,
    Violation, Work,
    container::{self, CONTAINER, Piece},
    errors, graph, json, read,
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
        if Shape::of(work) == Shape::Comment {
            self.root_step(session, work, handles).await?;
            return Ok(Ready::new(object!({ "message": work.content.text.trim() }).to_string()));
        }
        let items = work.content.media.as_slice();
        let mut whole = Piece { step: CONTAINER.to_owned(), item: items.first(), fields: fields(work) };
        if Shape::of(work) == Shape::Carousel {
            let piece =
                |(i, item)| Piece { step: container::child(i), item: Some(item), fields: child_fields(item) };
            let pieces: Vec<_> = items.iter().enumerate().map(piece).collect();
            // All are made before the first is waited for: the network works on them side by side.
            for piece in &pieces {
                self.make_step(session, work, piece, media, handles).await?;
            }
            let mut children = Vec::with_capacity(pieces.len());
            for piece in &pieces {
                children.push(self.container_step(session, work, piece, media, handles).await?);
            }
            whole.item = None;
            whole.fields["children"] = object!(children.join(","));
        }
        let id = self.container_step(session, work, &whole, media, handles).await?;
        Ok(Ready::new(object!({ "creation_id": id }).to_string()))
    }

    /// Looks for the post that is commented on, unless that is done: a post just made may not be readable yet.
    async fn root_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let Some(reply) = &work.reply else { return Ok(()) };
        if handles.stored().contains_key(thread::REPLY) {
            return Ok(());
        }
        let root = &reply.root_native_id;
        let call = Self::call(session, Method::GET, &read::segment(root), &[("fields", "id")]);
        let response = call.read(&self.http).await?;
        if graph::is_missing(&response) {
            return Err(thread::missing(handles, self.clock.now_ms()).await);
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        handles.save(thread::REPLY, object!({ "parent": root })).await
    }
}

/// What is said about a post beside the address of its file.
fn fields(work: &Work) -> Value {
    let settings = settings(&work.content);
    let shape = Shape::of(work);
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
            fields["thumb_offset"] = object!(settings.cover_offset_ms);
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

/// What is said about an item of a carousel; captions belong to the carousel.
fn child_fields(item: &Media) -> Value {
    let mut fields = object!({ "is_carousel_item": true });
    if item.is_video() {
        fields["media_type"] = object!("VIDEO");
    } else if !item.alt_text.is_empty() {
        fields["alt_text"] = object!(item.alt_text);
    }
    fields
}

/// The one visible request.
pub(super) fn request(session: &Session, work: &Work, body: Bytes) -> Call {
    let (node, edge) = match &work.reply {
        Some(reply) => (&reply.root_native_id, "comments"),
        None => (&session.native_id, "media_publish"),
    };
    let path = format!("{}/{edge}", read::segment(node));
    Instagram::call(session, Method::POST, &path, &[]).body("application/json", body)
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, work: &Work, resend: bool, now_ms: i64) -> Answer {
    let mut wire = graph::seen(response, now_ms);
    if response.status().is_success() {
        let native_id = graph::id_of(&json(response).unwrap_or_default(), "id");
        let outcome = if native_id.is_empty() {
            let evidence = format!("the network answered {} without a post", response.status());
            Outcome::Ambiguous { evidence }
        } else {
            // The address is not among the answers, and cannot be made from the id.
            Outcome::Accepted { native_id, url: String::new() }
        };
        return Answer { outcome, wire };
    }
    let is_comment = work.reply.is_some();
    let root_gone = is_comment.then(|| graph::judge(&[errors::ROOT_GONE], response)).flatten();
    let is_first = !resend && !is_comment;
    let container_gone = is_first.then(|| graph::judge(&[errors::CONTAINER_GONE], response)).flatten();
    let proof = root_gone.or(container_gone).or_else(|| graph::judge(errors::RULES, response));
    let mut outcome = graph::refused(proof, response, now_ms);
    match &mut outcome {
        Outcome::Stale { steps, .. } => *steps = all_steps(work),
        Outcome::Transient { code, retry_after, .. } if code == errors::DAILY_LIMIT => {
            *retry_after = Some(DAY_USED_UP);
            wire.hold = wire.hold.max(Some(DAY_USED_UP));
        }
        _ => {}
    }
    Answer { outcome, wire }
}

/// The steps that are done again when the container is gone.
fn all_steps(work: &Work) -> Vec<String> {
    let children = (0..work.content.media.len()).map(container::child);
    match Shape::of(work) {
        Shape::Carousel => children.chain([CONTAINER.to_owned()]).collect(),
        _ => vec![CONTAINER.to_owned()],
    }
}

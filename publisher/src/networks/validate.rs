//! Checks a content against limits: everything that would be refused, all at once, in words that carry the count,
//! the limit and the network.

use std::time::Duration;

use super::{
    count::{count, unit},
    limits::{Limits, Violation},
    text::{self, graphemes},
};
use crate::domain::{
    content::{Content, Media},
    settings::Settings,
};

/// Collects violations for one network.
pub(super) struct Check<'a> {
    network: &'static str,
    limits: &'a Limits,
    found: Vec<Violation>,
}

impl<'a> Check<'a> {
    /// A check in the name of `network`, as people call it.
    pub(super) fn new(network: &'static str, limits: &'a Limits) -> Self {
        Self { network, limits, found: Vec::new() }
    }

    /// Notes one more.
    pub(super) fn add(&mut self, field: impl Into<String>, reason: &'static str, description: String) {
        self.found.push(Violation { field: field.into(), reason, description });
    }

    /// What was found.
    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.found
    }

    /// The text of a part at this place, counted as the limits say.
    pub(super) fn content(&mut self, content: &Content, position: i64) {
        let text = content.text.trim();
        self.text_at(content, count(self.limits, text), text.len(), position);
        self.media(content);
    }

    /// The text, whose length the network counts as `length` and `bytes` bytes.
    pub(super) fn text(&mut self, content: &Content, length: usize, bytes: usize) {
        self.text_at(content, length, bytes, 0);
    }

    fn text_at(&mut self, content: &Content, length: usize, bytes: usize, position: i64) {
        if content.text.trim().is_empty() && content.media.is_empty() {
            self.add(
                "text",
                "EMPTY",
                format!("{} takes no empty post: write a text or add a picture", self.network),
            );
        }
        let most = self.limits.length_at(position, !content.media.is_empty());
        if exceeds(length, most) {
            let unit = unit(self.limits.text_counting);
            let text = format!(
                "the text has {length} {unit}, {} accepts at most {most} on this account",
                self.network
            );
            self.add("text", "TEXT_TOO_LONG", text);
        }
        if exceeds(bytes, self.limits.text_bytes) {
            let text = format!(
                "the text has {bytes} bytes, {} accepts at most {}; emoji take several bytes each",
                self.network, self.limits.text_bytes
            );
            self.add("text", "TEXT_TOO_LARGE", text);
        }
        self.marks("hashtags", text::tags(&content.text).len(), self.limits.hashtags);
        let mentions = content.text.split_whitespace().filter(|word| word.len() > 1 && word.starts_with('@'));
        self.marks("mentions", mentions.count(), self.limits.mentions);
    }

    fn marks(&mut self, what: &'static str, count: usize, most: i32) {
        if exceeds(count, most) {
            let reason = if what == "hashtags" { "TOO_MANY_HASHTAGS" } else { "TOO_MANY_MENTIONS" };
            self.add(
                "text",
                reason,
                format!("the text has {count} {what}, {} accepts at most {most}", self.network),
            );
        }
    }

    /// A title of the settings.
    pub(super) fn title(&mut self, field: &'static str, title: &str) {
        let length = count(self.limits, title);
        if exceeds(length, self.limits.title_length) {
            let text = format!(
                "the title has {length} {}, {} accepts at most {}",
                unit(self.limits.text_counting),
                self.network,
                self.limits.title_length
            );
            self.add(field, "TITLE_TOO_LONG", text);
        }
    }

    /// The files that one request carries, as large as they can go out.
    pub(super) fn together(&mut self, content: &Content, most: i64) {
        let largest =
            |item: &Media| if item.is_video() { self.limits.video_bytes } else { self.limits.image_bytes };
        let bytes: i64 = content.media.iter().map(|item| item.size_bytes.min(largest(item))).sum();
        if bytes > most {
            let text = format!(
                "the files have {bytes} bytes together, {} accepts at most {most} in one message",
                self.network
            );
            self.add("media", "MEDIA_TOO_LARGE", text);
        }
    }

    /// Pictures and videos, one by one and together.
    pub(super) fn media(&mut self, content: &Content) {
        let (network, limits) = (self.network, self.limits);
        let videos = content.media.iter().filter(|item| item.is_video()).count();
        let images = content.media.len() - videos;
        if limits.media_required && content.media.is_empty() {
            let wanted = match (limits.images, limits.videos) {
                (0, _) => "a video",
                (_, 0) => "a picture",
                _ => "a picture or a video",
            };
            self.add(
                "media",
                "MEDIA_REQUIRED",
                format!("{network} takes no post without {wanted}: attach one"),
            );
        }
        if images > most(limits.images) && !(limits.mixed_media > 0 && images <= most(limits.mixed_media)) {
            let text = format!("{images} pictures are attached, {network} accepts at most {}", limits.images);
            self.add("media", "TOO_MANY_IMAGES", text);
        }
        if videos > most(limits.videos) && !(limits.mixed_media > 0 && videos <= most(limits.mixed_media)) {
            let text = format!("{videos} videos are attached, {network} accepts at most {}", limits.videos);
            self.add("media", "TOO_MANY_VIDEOS", text);
        }
        if images > 0 && videos > 0 && images + videos > most(limits.mixed_media) {
            let text = if limits.mixed_media == 0 {
                format!("{network} does not take pictures and videos in one post: attach either")
            } else {
                let (count, most) = (images + videos, limits.mixed_media);
                format!("{count} pictures and videos are attached, {network} accepts at most {most}")
            };
            self.add("media", "MIXED_MEDIA", text);
        }
        for (i, item) in content.media.iter().enumerate() {
            if item.is_video() {
                self.video(i, item);
            } else {
                self.picture(i, item);
            }
            let alt = graphemes(&item.alt_text);
            if exceeds(alt, limits.alt_text_length) {
                let text = format!(
                    "the description has {alt} characters, {network} accepts at most {}",
                    limits.alt_text_length
                );
                self.add(format!("media[{i}].alt_text"), "ALT_TEXT_TOO_LONG", text);
            }
        }
    }

    fn picture(&mut self, i: usize, item: &Media) {
        let (network, limits) = (self.network, self.limits);
        // Stills are converted to a type that the network takes.
        let converts =
            is_shrinkable(&item.content_type) && limits.image_types.iter().any(|t| t == "image/jpeg");
        if limits.images > 0 && !limits.image_types.contains(&item.content_type) && !converts {
            let accepted = limits.image_types.join(", ");
            let text = format!("{network} does not accept {}; it accepts {accepted}", item.content_type);
            self.add(format!("media[{i}]"), "IMAGE_TYPE", text);
        }
        let fixed = !is_shrinkable(&item.content_type);
        if fixed && limits.image_bytes > 0 && item.size_bytes > limits.image_bytes {
            let text = format!(
                "the picture has {} bytes, {network} accepts at most {}",
                item.size_bytes, limits.image_bytes
            );
            self.add(format!("media[{i}]"), "IMAGE_TOO_LARGE", text);
        }
        let pixels = i64::from(item.width) * i64::from(item.height);
        if fixed && limits.image_pixels > 0 && pixels > limits.image_pixels {
            let text = format!(
                "the picture has {} x {} = {pixels} pixels, {network} accepts at most {}",
                item.width, item.height, limits.image_pixels
            );
            self.add(format!("media[{i}]"), "IMAGE_TOO_MANY_PIXELS", text);
        }
    }

    fn video(&mut self, i: usize, item: &Media) {
        let (network, limits) = (self.network, self.limits);
        let field = format!("media[{i}]");
        if (limits.videos > 0 || limits.mixed_media > 0) && !limits.video_types.contains(&item.content_type) {
            let accepted = limits.video_types.join(", ");
            let text = format!("{network} does not accept {}; it accepts {accepted}", item.content_type);
            self.add(field.clone(), "VIDEO_TYPE", text);
        }
        if limits.video_bytes > 0 && item.size_bytes > limits.video_bytes {
            let text = format!(
                "the video has {} bytes, {network} accepts at most {}",
                item.size_bytes, limits.video_bytes
            );
            self.add(field.clone(), "VIDEO_TOO_LARGE", text);
        }
        let pixels = i64::from(item.width) * i64::from(item.height);
        if limits.video_pixels > 0 && pixels > limits.video_pixels {
            let text = format!(
                "the video has {} x {} = {pixels} pixels, {network} accepts at most {}",
                item.width, item.height, limits.video_pixels
            );
            self.add(field.clone(), "VIDEO_TOO_MANY_PIXELS", text);
        }
        let seconds = |ms: i64| Duration::from_millis(ms.max(0).unsigned_abs()).as_secs_f64();
        let length = seconds(item.duration_ms);
        if limits.video_max_ms > 0 && item.duration_ms > limits.video_max_ms {
            let most = seconds(limits.video_max_ms);
            let text = format!("the video lasts {length:.1} s, {network} accepts at most {most} s");
            self.add(field.clone(), "VIDEO_TOO_LONG", text);
        }
        if item.duration_ms > 0 && item.duration_ms < limits.video_min_ms {
            let least = seconds(limits.video_min_ms);
            let text = format!("the video lasts {length:.1} s, {network} asks for at least {least} s");
            self.add(field, "VIDEO_TOO_SHORT", text);
        }
    }

    /// Settings that are neither the network's own nor the defaults; `own` says which those are.
    pub(super) fn settings(&mut self, settings: &Settings, own: bool) {
        if !own && !settings.is_none() {
            self.foreign_settings(settings.network());
        }
    }

    /// A further part of a thread on a network that has neither replies nor comments.
    pub(super) fn no_threads(&mut self, position: i64) {
        if position > 0 {
            let text = format!(
                "{} has neither replies nor comments for a further part: post it by itself",
                self.network
            );
            self.add("thread", "NO_THREADS", text);
        }
    }

    /// Settings that belong to another network.
    pub(super) fn foreign_settings(&mut self, of: &str) {
        let text = format!("these settings are for {of}, the account is on {}", self.network);
        self.add("settings", "SETTINGS_OF_ANOTHER_NETWORK", text);
    }
}

/// Larger stills are read as copies that fit. GIF files count as animations, which the media service leaves as they are;
/// whether a WebP or PNG moves only its bytes tell, so that is found when the post is prepared.
fn is_shrinkable(content_type: &str) -> bool {
    matches!(content_type, "image/jpeg" | "image/png" | "image/webp")
}

fn most(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

/// Zero means: not limited.
fn exceeds(count: usize, limit: i32) -> bool {
    limit > 0 && count > usize::try_from(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_made_smaller_is_too_large() {
        let limits = super::super::bluesky::limits();
        let limits = Limits { image_pixels: 1_000_000, ..limits };
        let reasons = |content_type: &str| {
            let media = Media {
                content_type: content_type.into(),
                size_bytes: 12_000_000,
                width: 4000,
                height: 3000,
                ..Media::default()
            };
            let mut check = Check::new("Bluesky", &limits);
            check.media(&Content { media: vec![media], ..Content::default() });
            check.into_violations().into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
        };
        for still in ["image/jpeg", "image/png", "image/webp"] {
            assert_eq!(reasons(still), [""; 0], "{still}");
        }
        assert_eq!(reasons("image/gif"), ["IMAGE_TOO_LARGE", "IMAGE_TOO_MANY_PIXELS"]);
    }
}

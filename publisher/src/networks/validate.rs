//! Checks a content against limits: everything that would be refused, all at once, in words that carry the count,
//! the limit and the network.

use super::{
    limits::{Limits, Violation},
    text::graphemes,
};
use crate::domain::content::Content;

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

    /// The text, whose length the network counts as `length` graphemes and `bytes` bytes.
    pub(super) fn text(&mut self, content: &Content, length: usize, bytes: usize) {
        if content.text.trim().is_empty() && content.media.is_empty() {
            self.add(
                "text",
                "EMPTY",
                format!("{} takes no empty post: write a text or add a picture", self.network),
            );
        }
        if exceeds(length, self.limits.text_length) {
            let text = format!(
                "the text has {length} characters, {} accepts at most {} on this account",
                self.network, self.limits.text_length
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
    }

    /// The pictures, one by one and together.
    pub(super) fn media(&mut self, content: &Content) {
        let count = content.media.len();
        if count > usize::try_from(self.limits.images).unwrap_or(0) {
            let text = format!(
                "{count} pictures are attached, {} accepts at most {}",
                self.network, self.limits.images
            );
            self.add("media", "TOO_MANY_IMAGES", text);
        }
        for (i, item) in content.media.iter().enumerate() {
            let (network, limits) = (self.network, self.limits);
            if !limits.image_types.contains(&item.content_type) {
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

/// Zero means: not limited.
fn exceeds(count: usize, limit: i32) -> bool {
    limit > 0 && count > usize::try_from(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::content::Media;

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

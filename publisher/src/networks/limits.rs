//! What networks accept, as data: the interface, the validator and the tests read the same table.

use serde::{Deserialize, Serialize};

/// What a network, or one account's server, accepts. Zero means: not allowed at all, or for sizes and lengths: not
/// limited. The default accepts nothing but text of any length, so that a table states what it allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Longest text, counted as `text_counting` says.
    pub text_length: i32,
    /// The unit of `text_length`, `comment_length`, `caption_length` and `title_length`.
    pub text_counting: Counting,
    /// Longest text in UTF-8 bytes.
    pub text_bytes: i32,
    /// What every http(s) link counts as; 0 when links count in full.
    pub link_length: i32,
    /// Longest text of a comment or reply; 0 where it is `text_length`.
    pub comment_length: i32,
    /// Longest text beside pictures and videos; 0 where it is `text_length`.
    pub caption_length: i32,
    /// Longest title; 0 where posts have none.
    pub title_length: i32,
    /// Most hashtags in a text.
    pub hashtags: i32,
    /// Most mentions in a text.
    pub mentions: i32,
    /// A post needs at least one picture or video.
    pub media_required: bool,
    /// Most pictures in one post.
    pub images: i32,
    /// Largest picture, bytes.
    pub image_bytes: i64,
    /// Most pixels of a picture.
    pub image_pixels: i64,
    /// Content types of pictures.
    pub image_types: Vec<String>,
    /// Longest description of a picture, in graphemes.
    pub alt_text_length: i32,
    /// Most videos in one post.
    pub videos: i32,
    /// Largest video, bytes.
    pub video_bytes: i64,
    /// Most pixels of a video's picture.
    pub video_pixels: i64,
    /// Content types of videos.
    pub video_types: Vec<String>,
    /// Shortest video, milliseconds.
    pub video_min_ms: i64,
    /// Longest video, milliseconds.
    pub video_max_ms: i64,
    /// Most pictures and videos together; 0 when they do not mix.
    pub mixed_media: i32,
}

impl Limits {
    /// The longest text of a part at this place: comments, and texts beside media, may be shorter than posts.
    pub fn length_at(&self, position: i64, with_media: bool) -> i32 {
        let own =
            if position > 0 && self.comment_length > 0 { self.comment_length } else { self.text_length };
        if with_media && self.caption_length > 0 { own.min(self.caption_length) } else { own }
    }
}

/// How a network counts the length of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// Extended grapheme clusters: what people call characters.
    #[default]
    Graphemes,
    /// X's weights.
    Weighted,
    /// UTF-16 code units.
    Utf16,
    /// Unicode scalar values.
    Scalars,
    /// Grapheme clusters, where each emoji counts its UTF-8 bytes.
    EmojiBytes,
}

/// How many posts may be sent in any span of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permits {
    /// Posts, at most.
    pub posts: i64,
    /// The span, milliseconds.
    pub window_ms: i64,
}

impl Permits {
    /// So many posts in so many hours.
    pub const fn per_hours(posts: i64, hours: i64) -> Self {
        Self { posts, window_ms: hours * 3_600_000 }
    }

    /// So many posts in so many minutes.
    pub const fn per_minutes(posts: i64, minutes: i64) -> Self {
        Self { posts, window_ms: minutes * 60_000 }
    }
}

/// Something that the network would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which part: `text`, `media`, `media[2].alt_text`, `settings.mastodon.language`, …
    pub field: String,
    /// Stable, upper snake case: `TEXT_TOO_LONG`, …
    pub reason: &'static str,
    /// A sentence with the count, the limit and the network.
    pub description: String,
}

//! What networks accept, as data: the interface, the validator and the tests read the same table.

use serde::{Deserialize, Serialize};

/// What a network, or one account's server, accepts. Zero means: not allowed at all, or for sizes and lengths: not
/// limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest text in extended grapheme clusters.
    pub text_length: i32,
    /// Longest text in UTF-8 bytes.
    pub text_bytes: i32,
    /// What every http(s) link counts as; 0 when links count in full.
    pub link_length: i32,
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

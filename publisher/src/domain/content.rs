//! What a target shows: text, media and the settings only its network understands.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::Settings;

/// Text, media and settings of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The text as written.
    pub text: String,
    /// Media in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// What only the target's network understands.
    #[serde(default, skip_serializing_if = "Settings::is_none")]
    pub settings: Settings,
}

/// One media item of a content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Id in the media service.
    pub media_id: Uuid,
    /// Found from the bytes, such as `image/png`.
    pub content_type: String,
    /// Size of the rendition in bytes.
    pub size_bytes: i64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Description for people who cannot see it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub alt_text: String,
    /// Milliseconds, of a video; 0 for pictures.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duration_ms: i64,
}

impl Media {
    /// Whether it is a video.
    pub fn is_video(&self) -> bool {
        self.content_type.starts_with("video/")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

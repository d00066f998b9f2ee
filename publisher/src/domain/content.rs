//! What a target shows: text, media and the settings only its network understands.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
}

/// Settings of one target, for its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "network", rename_all = "snake_case")]
pub enum Settings {
    /// The network's own defaults.
    #[default]
    None,
    /// Mastodon and its relatives.
    Mastodon(MastodonSettings),
    /// Bluesky.
    Bluesky(BlueskySettings),
}

impl Settings {
    /// Whether nothing was set.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Settings on Mastodon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MastodonSettings {
    /// Who sees the post; the account's own default when `None`.
    pub visibility: Option<Visibility>,
    /// Shown in place of the post until it is opened; empty for none.
    pub spoiler_text: String,
    /// Hides the media until they are opened.
    pub sensitive: bool,
    /// ISO 639-1 language of the text; guessed by the server when empty.
    pub language: String,
}

/// Who sees a post on Mastodon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone, in public timelines.
    Public,
    /// Everyone, not in public timelines.
    Unlisted,
    /// Followers.
    Private,
    /// The people mentioned.
    Direct,
}

/// Settings on Bluesky.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlueskySettings {
    /// Languages of the text (BCP 47), at most 3.
    pub languages: Vec<String>,
    /// Content warnings the author puts on the post.
    pub self_labels: Vec<String>,
}

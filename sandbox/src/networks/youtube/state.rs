//! What YouTube keeps: upload sessions, videos and comments, and what a video's answer shows of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{NETWORK, Refusal};
use crate::{clock, crypto, media::Stored, world::World};

/// The id of an account's channel.
pub(super) fn channel_id(handle: &str) -> String {
    format!("UC{}", code(handle, 22))
}

/// The playlist of a channel's uploads.
pub(super) fn uploads_id(channel: &str) -> String {
    format!("UU{}", channel.strip_prefix("UC").unwrap_or(channel))
}

/// Letters, digits, `-` and `_` that depend on nothing but the text.
pub(super) fn code(text: &str, length: usize) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(crypto::sha256(text.as_bytes()))[..length].to_owned()
}

/// What a video is called and who may see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) tags: Vec<String>,
    pub(super) category: String,
    pub(super) privacy: String,
    pub(super) publish_at: Option<String>,
    pub(super) kids: Option<bool>,
    pub(super) synthetic: bool,
}

/// The numbers of the categories a video may be put into.
pub(super) const CATEGORIES: [(&str, &str); 15] = [
    ("1", "Film & Animation"),
    ("2", "Autos & Vehicles"),
    ("10", "Music"),
    ("15", "Pets & Animals"),
    ("17", "Sports"),
    ("19", "Travel & Events"),
    ("20", "Gaming"),
    ("22", "People & Blogs"),
    ("23", "Comedy"),
    ("24", "Entertainment"),
    ("25", "News & Politics"),
    ("26", "Howto & Style"),
    ("27", "Education"),
    ("28", "Science & Technology"),
    ("29", "Nonprofits & Activism"),
];

impl Meta {
    /// Reads the `snippet` and `status` of a request.
    pub(super) fn read(body: &Value) -> Result<Self, Refusal> {
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let truth = |path: &str| body.pointer(path).and_then(Value::as_bool);
        let (title, description) = (text("/snippet/title"), text("/snippet/description"));
        let angled = |text: &str| text.contains(['<', '>']);
        if title.trim().is_empty() || title.chars().count() > 100 || angled(&title) {
            let message = "The request metadata specifies an invalid or empty video title.";
            return Err(Refusal::bad("invalidTitle", message));
        }
        if description.len() > 5000 || angled(&description) {
            let message = "The request metadata specifies an invalid video description.";
            return Err(Refusal::bad("invalidDescription", message));
        }
        let tags = body.pointer("/snippet/tags").and_then(Value::as_array).cloned().unwrap_or_default();
        let tags: Vec<String> = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        // Commas between tags count, and so do the quotes around a tag with a blank.
        let length = |tag: &String| tag.chars().count() + if tag.contains(' ') { 2 } else { 0 };
        let total = tags.iter().map(length).sum::<usize>() + tags.len().saturating_sub(1);
        if total > 500 || tags.iter().any(|tag| angled(tag)) {
            let message = "The request metadata specifies invalid video keywords.";
            return Err(Refusal::bad("invalidTags", message));
        }
        let category = text("/snippet/categoryId");
        if !category.is_empty() && !CATEGORIES.iter().any(|(id, _)| *id == category) {
            let message = "The snippet.categoryId property specifies an invalid category ID.";
            return Err(Refusal::bad("invalidCategoryId", message));
        }
        let privacy = Some(text("/status/privacyStatus")).filter(|privacy| !privacy.is_empty());
        let privacy = privacy.unwrap_or_else(|| "public".to_owned());
        if !["public", "unlisted", "private"].contains(&privacy.as_str()) {
            let message = "The request metadata specifies an invalid privacy status.";
            return Err(Refusal::bad("invalidVideoMetadata", message));
        }
        let publish_at = Some(text("/status/publishAt")).filter(|at| !at.is_empty());
        if publish_at.is_some() && privacy != "private" {
            let message = "The request metadata specifies an invalid scheduled publishing time.";
            return Err(Refusal::bad("invalidPublishAt", message));
        }
        Ok(Self {
            title,
            description,
            tags,
            category,
            privacy,
            publish_at,
            kids: truth("/status/selfDeclaredMadeForKids"),
            synthetic: truth("/status/containsSyntheticMedia").unwrap_or(false),
        })
    }
}

/// An upload that was begun; the id in its address is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) account: String,
    pub(super) total: Option<u64>,
    pub(super) mime: String,
    pub(super) meta: Meta,
    /// SHA-256 of what was stored, in its order.
    pub(super) chunks: Vec<String>,
    pub(super) stored: u64,
    pub(super) video: Option<String>,
    pub(super) ends_ms: i64,
    /// What a script said about processing.
    pub(super) processing: Option<(u64, bool)>,
}

/// One video; its id is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Video {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) account: String,
    pub(super) meta: Meta,
    pub(super) file: Stored,
    pub(super) created_ms: i64,
    pub(super) ready_ms: i64,
    /// How processing ends: `processed`, or `failed` or `rejected` and why.
    pub(super) end: String,
    pub(super) reason: String,
    pub(super) thumbnail: Option<String>,
}

impl Video {
    fn upload_status(&self, now_ms: i64) -> &str {
        if now_ms < self.ready_ms { "uploaded" } else { &self.end }
    }

    /// The parts of it that were asked for.
    pub(super) fn told(&self, world: &World, parts: &str, now_ms: i64) -> Value {
        let has = |name: &str| parts.split(',').any(|part| part.trim() == name);
        let mut told = json!({"kind": "youtube#video", "etag": code(&self.id, 27), "id": self.id});
        if has("snippet") {
            told["snippet"] = json!({
                "publishedAt": clock::iso_ms(self.created_ms), "channelId": channel_id(&self.account),
                "title": self.meta.title, "description": self.meta.description, "tags": self.meta.tags,
                "categoryId": self.meta.category, "liveBroadcastContent": "none",
            });
        }
        if has("status") {
            let status = self.upload_status(now_ms);
            told["status"] = json!({
                "uploadStatus": status, "privacyStatus": self.meta.privacy, "license": "youtube",
                "embeddable": true, "publicStatsViewable": true,
                "madeForKids": self.meta.kids.unwrap_or(false),
                "containsSyntheticMedia": self.meta.synthetic,
            });
            if let Some(kids) = self.meta.kids {
                told["status"]["selfDeclaredMadeForKids"] = json!(kids);
            }
            if let Some(at) = &self.meta.publish_at {
                told["status"]["publishAt"] = json!(at);
            }
            match status {
                "failed" => told["status"]["failureReason"] = json!(self.reason),
                "rejected" => told["status"]["rejectionReason"] = json!(self.reason),
                _ => {}
            }
        }
        if has("processingDetails") {
            let status = match self.upload_status(now_ms) {
                "uploaded" => "processing",
                "failed" => "failed",
                _ => "succeeded",
            };
            told["processingDetails"] = json!({"processingStatus": status});
        }
        if has("contentDetails") {
            told["contentDetails"] = json!({"duration": "PT1S", "definition": "sd"});
        }
        if has("fileDetails") {
            told["fileDetails"] = json!({"fileSize": self.file.size.to_string(), "fileType": "video"});
        }
        if has("statistics") {
            let counts = world.counts(NETWORK, &self.id).unwrap_or_default();
            told["statistics"] = json!({
                "viewCount": (counts.likes * 30).to_string(), "likeCount": counts.likes.to_string(),
                "favoriteCount": "0", "commentCount": counts.replies.to_string(),
            });
        }
        told
    }
}

/// One comment below a video; its id is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Comment {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) account: String,
    pub(super) video: String,
    pub(super) text: String,
    pub(super) created_ms: i64,
}

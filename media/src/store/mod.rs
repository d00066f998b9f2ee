//! The tables. Every method that touches a workspace's rows takes the workspace, and every write is one transaction.

mod library;
mod loose;
mod renditions;
mod shares;
mod uploads;

use postmesh_kit::db::Db;
use uuid::Uuid;

/// The service's tables.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
}

impl Store {
    /// The tables in a migrated database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

/// A file that was announced.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Upload {
    /// Also the id of the media item it becomes.
    pub id: Uuid,
    /// The tenant.
    pub workspace_id: Uuid,
    /// The caller's id of the request, one upload each.
    pub request_id: Uuid,
    /// The name it has at the user's.
    pub filename: String,
    /// Bytes announced.
    pub size_bytes: i64,
    /// Description.
    pub alt_text: String,
    /// Where its bytes go.
    pub blob_key: String,
    /// Milliseconds.
    pub create_time: i64,
    /// Milliseconds; when it became a media item.
    pub complete_time: Option<i64>,
}

/// An item of the library.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Item {
    /// The tenant.
    pub workspace_id: Uuid,
    /// The upload's id.
    pub id: Uuid,
    /// The name it was uploaded under.
    pub filename: String,
    /// Found from the content.
    pub content_type: String,
    /// Bytes as uploaded.
    pub size_bytes: i64,
    /// Pixels, oriented.
    pub width: i64,
    /// Pixels, oriented.
    pub height: i64,
    /// Description.
    pub alt_text: String,
    /// Of the bytes as uploaded.
    pub sha256: Vec<u8>,
    /// Where the stripped bytes are.
    pub rendition_key: String,
    /// How many there are.
    pub rendition_bytes: i64,
    /// How long a video plays, milliseconds; 0 for pictures.
    pub duration_ms: i64,
    /// Milliseconds; when the upload was completed.
    pub create_time: i64,
}

/// The bytes of an item, as they go out.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Rendition {
    /// Of these bytes.
    pub content_type: String,
    /// Pixels, oriented.
    pub width: i64,
    /// Pixels, oriented.
    pub height: i64,
    /// Where they are.
    pub blob_key: String,
    /// How many there are.
    pub size_bytes: i64,
    /// How long a video plays, milliseconds; 0 for pictures.
    #[sqlx(default)]
    pub duration_ms: i64,
}

/// A public address of a rendition.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Share {
    /// Of the credential in the address, which nobody keeps.
    pub token_sha256: Vec<u8>,
    /// The tenant.
    pub workspace_id: Uuid,
    /// The item.
    pub media_id: Uuid,
    /// Of its bytes.
    pub content_type: String,
    /// Where they are.
    pub blob_key: String,
    /// How many there are.
    pub size_bytes: i64,
    /// Milliseconds.
    pub create_time: i64,
    /// Milliseconds; when it ends by itself.
    pub end_time: i64,
}

/// How often a public address was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Reads {
    /// Answers with bytes.
    pub reads: i64,
    /// Milliseconds; the last one.
    pub last_read_time: Option<i64>,
}

impl From<Item> for Rendition {
    fn from(item: Item) -> Self {
        Self {
            content_type: item.content_type,
            width: item.width,
            height: item.height,
            blob_key: item.rendition_key,
            size_bytes: item.rendition_bytes,
            duration_ms: item.duration_ms,
        }
    }
}

/// Ids as a JSON list, which both databases can unfold.
fn id_list(ids: &[Uuid]) -> String {
    let names: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
    serde_json::to_string(&names).expect("a list of texts")
}

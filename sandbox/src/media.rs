//! Uploaded and fetched bytes as every network keeps them: in the blobs by their digest, described by what their first
//! bytes tell. A network stores the description in its documents, never the bytes.

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ledger::Attached, sniff, world::Ctx};

/// A file the sandbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) size: u64,
    /// What the bytes are; what the client claimed when they do not tell.
    pub(crate) mime: String,
    /// Pixels, of a picture.
    #[serde(default)]
    pub(crate) width: Option<u32>,
    #[serde(default)]
    pub(crate) height: Option<u32>,
}

impl Stored {
    /// The file as the ledger tells of it.
    pub(crate) fn attached(&self, alt: impl Into<String>) -> Attached {
        Attached { mime: self.mime.clone(), size: self.size, sha256: self.sha256.clone(), alt: alt.into() }
    }

    /// A picture that stands still.
    pub(crate) fn is_image(&self) -> bool {
        self.mime.starts_with("image/") && self.mime != "image/gif"
    }

    /// A film.
    pub(crate) fn is_video(&self) -> bool {
        self.mime.starts_with("video/")
    }
}

/// Keeps the bytes and tells what they are.
pub(crate) async fn store(ctx: &Ctx, bytes: &Bytes, claimed: Option<&str>) -> io::Result<Stored> {
    let sha256 = ctx.blobs.put(bytes).await?;
    let claimed = claimed.and_then(|mime| mime.split(';').next()).map(str::trim);
    let mime = sniff::mime(bytes).or(claimed).unwrap_or("application/octet-stream");
    let (width, height) = sniff::dimensions(bytes).unzip();
    Ok(Stored { sha256, size: bytes.len() as u64, mime: mime.to_owned(), width, height })
}

/// Where anybody can get the file.
pub(crate) fn url(ctx: &Ctx, sha256: &str) -> String {
    format!("{}/_sandbox/media/{sha256}", ctx.public_url)
}

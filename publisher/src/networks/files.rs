//! Files in memory, and the form that carries them, for networks that take a whole file in one request.
//!
//! Invariant: the same parts and the same seed make the same bytes, so a form that is built again is the same request.

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::Fault;
use crate::{
    domain::{content::Media, delivery::Work},
    media::{MediaSource, Room},
};

/// The largest file that is taken into memory, bytes.
pub(super) const IN_MEMORY: i64 = 64 << 20;

/// A picture or a video as it goes out.
pub(super) struct File {
    pub(super) content_type: String,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) bytes: Bytes,
}

impl File {
    /// The whole item: a picture as the room wants it, a video as it is.
    pub(super) async fn read(
        media: &MediaSource,
        work: &Work,
        item: &Media,
        room: Room,
    ) -> Result<Self, Fault> {
        if !item.is_video() {
            let found = media.read(work.workspace_id, item.media_id, room).await?;
            let (width, height) = (found.width, found.height);
            return Ok(Self { content_type: found.content_type, width, height, bytes: found.bytes });
        }
        let whole = media.open(work.workspace_id, item.media_id).await?;
        if whole.size_bytes > IN_MEMORY.unsigned_abs() {
            let message = "The video is too large for one request. Use a smaller one.".into();
            return Err(Fault::Rejected { code: "VIDEO_TOO_LARGE".into(), message });
        }
        let bytes = whole.read_range(0, whole.size_bytes).await?;
        Ok(Self { content_type: whole.content_type, width: whole.width, height: whole.height, bytes })
    }

    /// A plain name with the ending that belongs to its type.
    pub(super) fn name(&self, stem: &str) -> String {
        let ending = match self.content_type.as_str() {
            "image/jpeg" => "jpg",
            "video/quicktime" => "mov",
            other => other.split('/').nth(1).unwrap_or("bin"),
        };
        format!("{stem}.{ending}")
    }
}

/// A `multipart/form-data` body (RFC 7578) whose length is known beforehand.
pub(super) struct Form {
    boundary: String,
    bytes: BytesMut,
}

impl Form {
    /// An empty form. Its boundary comes from the seed, which nobody else can guess.
    pub(super) fn new(seed: &str) -> Self {
        Self { boundary: boundary(seed), bytes: BytesMut::new() }
    }

    /// The content type of a form of that seed.
    pub(super) fn content_type(seed: &str) -> String {
        format!("multipart/form-data; boundary={}", boundary(seed))
    }

    /// Adds a field.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let head = format!("--{}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n", self.boundary);
        self.part(&head, value.as_bytes());
    }

    /// Adds a field of JSON.
    pub(super) fn json(&mut self, name: &str, value: &serde_json::Value) {
        let head = format!(
            "--{}\r\ncontent-disposition: form-data; name=\"{name}\"\r\ncontent-type: application/json\r\n\r\n",
            self.boundary
        );
        self.part(&head, value.to_string().as_bytes());
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, file_name: &str, content_type: &str, bytes: &[u8]) {
        let head = format!(
            "--{}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
             content-type: {content_type}\r\n\r\n",
            self.boundary
        );
        self.part(&head, bytes);
    }

    fn part(&mut self, head: &str, bytes: &[u8]) {
        self.bytes.reserve(head.len() + bytes.len() + 2);
        self.bytes.put_slice(head.as_bytes());
        self.bytes.put_slice(bytes);
        self.bytes.put_slice(b"\r\n");
    }

    /// The body.
    pub(super) fn finish(mut self) -> Bytes {
        self.bytes.put_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        self.bytes.freeze()
    }
}

fn boundary(seed: &str) -> String {
    let digest = Sha256::new().chain_update("form|").chain_update(seed).finalize();
    format!("postmesh-{}", data_encoding::HEXLOWER.encode(&digest[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_make_the_same_bytes() {
        let build = |seed: &str| {
            let mut form = Form::new(seed);
            form.field("caption", "ü\r\n");
            form.file("photo", "picture.png", "image/png", b"\x89PNG");
            form.finish()
        };
        assert_eq!(build("key"), build("key"));
        assert_ne!(build("key"), build("other"));
        let content_type = Form::content_type("key");
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = String::from_utf8_lossy(&build("key")).into_owned();
        assert_eq!(text.matches(boundary).count(), 3);
        assert!(text.contains("name=\"caption\"\r\n\r\nü\r\n\r\n--"), "{text}");
        assert!(text.ends_with(&format!("\r\n--{boundary}--\r\n")), "{text}");
    }
}

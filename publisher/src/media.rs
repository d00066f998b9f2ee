//! Where adapters get the bytes of pictures: the media service's renditions, without metadata and as small as asked.
//! The same picture and room always answer the same bytes, so an upload that is repeated sends the same file.

use bytes::{Bytes, BytesMut};
use postmesh_kit::transport::Transport;
use postmesh_proto::media::v1::{
    ReadRenditionRequest, media_service_client::MediaServiceClient, read_rendition_response::Part,
};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{domain::outcome::Fault, networks::limits::Limits};

/// The largest rendition taken into memory, bytes.
const MAX_BYTES: usize = 64 << 20;

/// The code of the fault when a picture cannot be made as small as asked.
pub const CANNOT_FIT: &str = "MEDIA_CANNOT_FIT";

/// How large a picture may be; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most bytes.
    pub bytes: i64,
    /// Most pixels.
    pub pixels: i64,
}

impl Room {
    /// What an account accepts.
    pub fn of(limits: &Limits) -> Self {
        Self { bytes: limits.image_bytes, pixels: limits.image_pixels }
    }
}

/// A picture as it goes out.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// Its content type.
    pub content_type: String,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Reads renditions from the media service.
#[derive(Clone)]
pub struct MediaSource {
    client: MediaServiceClient<Transport>,
}

impl std::fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaSource")
    }
}

impl MediaSource {
    /// Reads through this client.
    pub fn new(client: MediaServiceClient<Transport>) -> Self {
        Self { client }
    }

    /// The whole rendition that fits the room. A media service that is away is a transient fault; an item that is gone
    /// or cannot be made small enough is a rejection.
    pub async fn read(&self, workspace_id: Uuid, media_id: Uuid, room: Room) -> Result<Rendition, Fault> {
        let request = ReadRenditionRequest {
            workspace_id: workspace_id.to_string(),
            media_id: media_id.to_string(),
            max_bytes: room.bytes,
            max_pixels: room.pixels,
        };
        let mut stream =
            self.client.clone().read_rendition(request).await.map_err(|status| fault(&status))?.into_inner();
        let mut rendition =
            Rendition { content_type: String::new(), width: 0, height: 0, bytes: Bytes::new() };
        let mut expected = None;
        let mut bytes = BytesMut::new();
        while let Some(message) = stream.message().await.map_err(|status| fault(&status))? {
            match message.part {
                Some(Part::Info(info)) => {
                    let size = usize::try_from(info.size_bytes).unwrap_or(usize::MAX);
                    if size > MAX_BYTES {
                        return Err(Fault::Rejected {
                            code: "MEDIA_TOO_LARGE".into(),
                            message: "The picture is too large to publish. Upload a smaller one.".into(),
                        });
                    }
                    expected = Some(size);
                    bytes.reserve(size);
                    rendition.content_type = info.content_type;
                    rendition.width = info.width;
                    rendition.height = info.height;
                }
                Some(Part::Chunk(chunk)) if bytes.len() + chunk.len() <= MAX_BYTES => {
                    bytes.extend_from_slice(&chunk);
                }
                Some(Part::Chunk(_)) | None => return Err(cut()),
            }
        }
        if expected != Some(bytes.len()) {
            return Err(cut());
        }
        rendition.bytes = bytes.freeze();
        Ok(rendition)
    }
}

fn cut() -> Fault {
    Fault::Transient {
        code: "MEDIA_UNAVAILABLE".into(),
        message: "The picture could not be read completely.".into(),
        retry_after: None,
    }
}

fn fault(status: &tonic::Status) -> Fault {
    match status.code() {
        tonic::Code::NotFound => Fault::Rejected {
            code: "MEDIA_GONE".into(),
            message: "A picture of this post no longer exists. Add it again.".into(),
        },
        tonic::Code::FailedPrecondition if reason(status) == "CANNOT_FIT" => Fault::Rejected {
            code: CANNOT_FIT.into(),
            message:
                "A picture is larger than the account accepts, and animations cannot be made smaller. Use a \
                      smaller one."
                    .into(),
        },
        _ => Fault::Transient {
            code: "MEDIA_UNAVAILABLE".into(),
            message: "The media service did not answer.".into(),
            retry_after: None,
        },
    }
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::source_of_bytes;

    #[tokio::test]
    async fn asks_for_what_fits_and_says_when_nothing_does() {
        let read = |bytes| async move {
            source_of_bytes(70).read(Uuid::nil(), Uuid::nil(), Room { bytes, pixels: 0 }).await
        };
        for bytes in [0, 70] {
            assert_eq!(read(bytes).await.expect("it fits").content_type, "image/png");
        }
        assert!(matches!(read(69).await, Err(Fault::Rejected { code, .. }) if code == CANNOT_FIT));
    }
}

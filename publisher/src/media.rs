//! Where adapters get the bytes of pictures: the media service's renditions, without metadata.

use bytes::{Bytes, BytesMut};
use postmesh_kit::transport::Transport;
use postmesh_proto::media::v1::{
    ReadRenditionRequest, media_service_client::MediaServiceClient, read_rendition_response::Part,
};
use uuid::Uuid;

use crate::domain::outcome::Fault;

/// The largest rendition taken into memory, bytes.
const MAX_BYTES: usize = 64 << 20;

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

    /// The whole rendition. A media service that is away is a transient fault; an item that is gone is a rejection.
    pub async fn read(&self, workspace_id: Uuid, media_id: Uuid) -> Result<Rendition, Fault> {
        let request =
            ReadRenditionRequest { workspace_id: workspace_id.to_string(), media_id: media_id.to_string() };
        let mut stream = self.client.clone().read_rendition(request).await.map_err(fault)?.into_inner();
        let mut rendition =
            Rendition { content_type: String::new(), width: 0, height: 0, bytes: Bytes::new() };
        let mut expected = None;
        let mut bytes = BytesMut::new();
        while let Some(message) = stream.message().await.map_err(fault)? {
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
                Some(Part::Chunk(chunk)) if bytes.len() + chunk.len() <= MAX_BYTES => bytes.extend_from_slice(&chunk),
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

fn fault(status: tonic::Status) -> Fault {
    match status.code() {
        tonic::Code::NotFound => Fault::Rejected {
            code: "MEDIA_GONE".into(),
            message: "A picture of this post no longer exists. Add it again.".into(),
        },
        _ => Fault::Transient {
            code: "MEDIA_UNAVAILABLE".into(),
            message: "The media service did not answer.".into(),
            retry_after: None,
        },
    }
}

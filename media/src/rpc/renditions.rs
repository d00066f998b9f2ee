//! The bytes of items, for the publisher.

use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use postmesh_kit::{
    ids,
    status::{Violations, to_status},
};
use postmesh_proto::media::v1::{
    ReadRenditionRequest, ReadRenditionResponse, RenditionInfo, read_rendition_response::Part,
};
use tonic::Status;

use super::{Rpc, uploads::pieces};
use crate::{error::Error, metrics, picture::Limits};

const CHUNK: usize = 64 * 1024;

impl Rpc {
    pub(super) async fn read(
        &self,
        request: &ReadRenditionRequest,
    ) -> Result<BoxStream<'static, Result<ReadRenditionResponse, Status>>, Error> {
        let mut wrong = Violations::default();
        let workspace_id = wrong.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let id = wrong.take(ids::parse("media_id", &request.media_id)).unwrap_or_default();
        let limits = Limits { max_bytes: request.max_bytes, max_pixels: request.max_pixels };
        for (field, limit) in [("max_bytes", limits.max_bytes), ("max_pixels", limits.max_pixels)] {
            wrong.require(
                limit >= 0,
                field,
                "NEGATIVE",
                format!("is {limit}; it must be 0 (no limit) or more"),
            );
        }
        wrong.into_result()?;
        let item = self.store.item(workspace_id, id).await?.ok_or(Error::MediaNotFound(id))?;
        let rendition = self.fitter.rendition(item, limits).await?;
        let object = self.deps.blob.get(&rendition.blob_key).await?.ok_or(Error::Lost(id))?;
        if i64::try_from(object.size) != Ok(rendition.size_bytes) {
            return Err(Error::Lost(id));
        }
        let info = RenditionInfo {
            content_type: rendition.content_type,
            size_bytes: rendition.size_bytes,
            width: rendition.width as i32,
            height: rendition.height as i32,
        };
        let chunks = object
            .content
            .map_err(|error| to_status(Error::from(error)))
            .map_ok(|bytes: Bytes| pieces(bytes, CHUNK).map(Ok))
            .try_flatten()
            .map_ok(|piece| {
                ::metrics::counter!(metrics::SENT).increment(piece.len() as u64);
                Part::Chunk(piece)
            });
        let parts = stream::iter([Ok(Part::Info(info))]).chain(chunks);
        Ok(parts.map_ok(|part| ReadRenditionResponse { part: Some(part) }).boxed())
    }
}

//! The bytes of items, for the publisher.

use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream, Stream},
};
use postmesh_kit::{
    blob::Object,
    ids,
    status::{Violations, to_status},
    time,
};
use postmesh_proto::media::v1::{
    ReadRenditionRequest, ReadRenditionResponse, RenditionInfo, read_rendition_response::Part,
};
use tonic::Status;
use uuid::Uuid;

use super::{Rpc, uploads::pieces};
use crate::{
    error::Error,
    metrics,
    picture::{Format, Limits},
    store::{Item, Rendition},
};

const CHUNK: usize = 64 * 1024;

impl Rpc {
    pub(super) async fn read(
        &self,
        request: &ReadRenditionRequest,
    ) -> Result<BoxStream<'static, Result<ReadRenditionResponse, Status>>, Error> {
        let mut wrong = Violations::default();
        let workspace_id = wrong.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let id = wrong.take(ids::parse("media_id", &request.media_id)).unwrap_or_default();
        let limits = limits(request.max_bytes, request.max_pixels, &request.content_type, &mut wrong);
        let range = request.range.unwrap_or_default();
        let (offset, length) = (range.offset, request.range.map_or(i64::MAX, |range| range.length));
        for (field, number) in [("range.offset", offset), ("range.length", length)] {
            wrong.require(number >= 0, field, "NEGATIVE", format!("is {number}; it must be 0 or more"));
        }
        wrong.into_result()?;
        let rendition = self.fitter.rendition(self.wanted(workspace_id, id).await?, limits).await?;
        let length = length.min(rendition.size_bytes - offset).max(0);
        let info = stream::iter([Ok(Part::Info(info(&rendition)))]);
        if length == 0 {
            return Ok(info.map_ok(message).boxed());
        }
        let object = self.stored(id, &rendition, offset, length).await?;
        let parts = chunks(object, metrics::SENT).map_ok(Part::Chunk);
        Ok(info.chain(parts).map_ok(message).boxed())
    }

    /// An item of a workspace.
    pub(super) async fn wanted(&self, workspace_id: Uuid, id: Uuid) -> Result<Item, Error> {
        self.store.item(workspace_id, id).await?.ok_or(Error::MediaNotFound(id))
    }

    /// Opens a part of a rendition, which must be as long as its row says.
    pub(super) async fn stored(
        &self,
        id: Uuid,
        rendition: &Rendition,
        offset: i64,
        length: i64,
    ) -> Result<Object, Error> {
        let range = offset.unsigned_abs()..=(offset + length - 1).unsigned_abs();
        let object = self.deps.blob.get_range(&rendition.blob_key, range).await?.ok_or(Error::Lost(id))?;
        if i64::try_from(object.total) != Ok(rendition.size_bytes) || i64::try_from(object.size) != Ok(length)
        {
            return Err(Error::Lost(id));
        }
        Ok(object)
    }
}

/// What a caller takes.
pub(super) fn limits(max_bytes: i64, max_pixels: i64, content_type: &str, wrong: &mut Violations) -> Limits {
    for (field, limit) in [("max_bytes", max_bytes), ("max_pixels", max_pixels)] {
        wrong.require(limit >= 0, field, "NEGATIVE", format!("is {limit}; it must be 0 (no limit) or more"));
    }
    let only_jpeg = content_type == Format::Jpeg.content_type();
    wrong.require(
        only_jpeg || content_type.is_empty(),
        "content_type",
        "UNKNOWN",
        "must be image/jpeg, or empty for any",
    );
    Limits { max_bytes, max_pixels, only_jpeg }
}

pub(super) fn info(rendition: &Rendition) -> RenditionInfo {
    RenditionInfo {
        content_type: rendition.content_type.clone(),
        size_bytes: rendition.size_bytes,
        width: rendition.width as i32,
        height: rendition.height as i32,
        duration: (rendition.duration_ms > 0).then(|| time::duration_to_proto(rendition.duration_ms)),
    }
}

/// A blob's bytes in messages of bounded size, counted as they go.
pub(super) fn chunks(
    object: Object,
    counter: &'static str,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    object
        .content
        .map_err(|error| to_status(Error::from(error)))
        .map_ok(|bytes: Bytes| pieces(bytes, CHUNK).map(Ok))
        .try_flatten()
        .inspect_ok(move |piece| ::metrics::counter!(counter).increment(piece.len() as u64))
}

fn message(part: Part) -> ReadRenditionResponse {
    ReadRenditionResponse { part: Some(part) }
}

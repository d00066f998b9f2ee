//! The service's rpcs: read the message, call, answer. Who may call what is enforced before a handler runs.

mod library;
mod renditions;
mod shares;
mod uploads;

use futures::stream::BoxStream;
use postmesh_kit::{identity::Identity, ids, status::to_status, time};
use postmesh_proto::media::v1::{
    BatchGetMediaRequest, BatchGetMediaResponse, CompleteUploadRequest, CompleteUploadResponse,
    CreateShareRequest, CreateShareResponse, CreateUploadRequest, CreateUploadResponse, DeleteMediaRequest,
    DeleteMediaResponse, GetMediaRequest, GetMediaResponse, ListMediaRequest, ListMediaResponse, Media,
    MediaKind, ReadRenditionRequest, ReadRenditionResponse, ReadShareRequest, ReadShareResponse,
    ReplaceHoldsRequest, ReplaceHoldsResponse, RevokeShareRequest, RevokeShareResponse, WriteUploadRequest,
    WriteUploadResponse, media_service_server::MediaService,
};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::uploads::extra_ms;
use crate::{
    config::Config,
    deps::Deps,
    error::Error,
    fitting::Fitter,
    intake::Intake,
    store::{Item, Store},
    ticket::Signer,
    video,
};

/// Answers the rpcs.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    pub(crate) config: Config,
    pub(crate) deps: Deps,
    pub(crate) store: Store,
    pub(crate) signer: Signer,
    pub(crate) intake: Intake,
    pub(crate) fitter: Fitter,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl MediaService for Rpc {
    async fn create_upload(&self, request: Request<CreateUploadRequest>) -> Answer<CreateUploadResponse> {
        let me = Identity::of(&request)?;
        let answer = self.announce(me.workspace_id, request.into_inner()).await;
        answer.map(Response::new).map_err(to_status)
    }

    async fn write_upload(
        &self,
        request: Request<Streaming<WriteUploadRequest>>,
    ) -> Answer<WriteUploadResponse> {
        let size_bytes = self.receive(request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(WriteUploadResponse { size_bytes }))
    }

    async fn complete_upload(
        &self,
        request: Request<CompleteUploadRequest>,
    ) -> Answer<CompleteUploadResponse> {
        let me = Identity::of(&request)?;
        let id = ids::parse("upload_id", &request.into_inner().upload_id);
        let id = id.map_err(|violation| to_status(Error::from(violation)))?;
        let item = self.intake.complete(me.workspace_id, id).await.map_err(to_status)?;
        Ok(Response::new(CompleteUploadResponse { media: Some(media(item)) }))
    }

    async fn get_media(&self, request: Request<GetMediaRequest>) -> Answer<GetMediaResponse> {
        let me = Identity::of(&request)?;
        let item = self.one(me.workspace_id, &request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(GetMediaResponse { media: Some(media(item)) }))
    }

    async fn list_media(&self, request: Request<ListMediaRequest>) -> Answer<ListMediaResponse> {
        let me = Identity::of(&request)?;
        let answer = self.page(me.workspace_id, &request.into_inner()).await;
        answer.map(Response::new).map_err(to_status)
    }

    async fn delete_media(&self, request: Request<DeleteMediaRequest>) -> Answer<DeleteMediaResponse> {
        let me = Identity::of(&request)?;
        self.delete(me.workspace_id, &request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(DeleteMediaResponse {}))
    }

    async fn batch_get_media(&self, request: Request<BatchGetMediaRequest>) -> Answer<BatchGetMediaResponse> {
        let items = self.several(&request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(BatchGetMediaResponse { media: items.into_iter().map(media).collect() }))
    }

    async fn replace_holds(&self, request: Request<ReplaceHoldsRequest>) -> Answer<ReplaceHoldsResponse> {
        self.hold(&request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(ReplaceHoldsResponse {}))
    }

    type ReadRenditionStream = BoxStream<'static, Result<ReadRenditionResponse, Status>>;

    async fn read_rendition(
        &self,
        request: Request<ReadRenditionRequest>,
    ) -> Answer<Self::ReadRenditionStream> {
        let stream = self.read(&request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(stream))
    }

    async fn create_share(&self, request: Request<CreateShareRequest>) -> Answer<CreateShareResponse> {
        self.share(&request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn revoke_share(&self, request: Request<RevokeShareRequest>) -> Answer<RevokeShareResponse> {
        self.unshare(&request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    type ReadShareStream = BoxStream<'static, Result<ReadShareResponse, Status>>;

    async fn read_share(&self, request: Request<ReadShareRequest>) -> Answer<Self::ReadShareStream> {
        let stream = self.shared(&request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(stream))
    }
}

fn media(item: Item) -> Media {
    let is_video = video::is_video(&item.content_type);
    Media {
        kind: if is_video { MediaKind::Video } else { MediaKind::Image }.into(),
        duration: is_video.then(|| time::duration_to_proto(item.duration_ms)),
        id: item.id.to_string(),
        filename: item.filename,
        content_type: item.content_type,
        size_bytes: item.size_bytes,
        width: item.width as i32,
        height: item.height as i32,
        alt_text: item.alt_text,
        sha256: data_encoding::HEXLOWER.encode(&item.sha256),
        create_time: Some(time::to_proto(item.create_time)),
    }
}

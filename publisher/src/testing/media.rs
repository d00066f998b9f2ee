//! A media service that answers every rendition with the same picture, which cannot be made smaller, through the real
//! client and server stack.

use std::collections::HashMap;

use futures::{
    future::BoxFuture,
    stream::{BoxStream, StreamExt},
};
use postmesh_kit::{
    testing::{Tokens, serve},
    transport::Transport,
};
use postmesh_proto::media::v1::{
    BatchGetMediaRequest, BatchGetMediaResponse, CompleteUploadRequest, CompleteUploadResponse,
    CreateUploadRequest, CreateUploadResponse, DeleteMediaRequest, DeleteMediaResponse, GetMediaRequest,
    GetMediaResponse, ListMediaRequest, ListMediaResponse, ReadRenditionRequest, ReadRenditionResponse,
    RenditionInfo, ReplaceHoldsRequest, ReplaceHoldsResponse, WriteUploadRequest, WriteUploadResponse,
    media_service_client::MediaServiceClient,
    media_service_server::{MediaService, MediaServiceServer},
    read_rendition_response::Part,
};
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tonic_types::{ErrorDetails, StatusExt};

use crate::media::MediaSource;

/// A valid PNG of one pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

/// Answers the picture to whoever has room for so many bytes, and refuses others.
struct OnePicture {
    needs: i64,
}

/// A client of that service.
pub(crate) fn media_client() -> MediaServiceClient<Transport> {
    client_of(OnePicture { needs: 0 })
}

fn client_of(service: OnePicture) -> MediaServiceClient<Transport> {
    let routes = Routes::new(MediaServiceServer::new(service));
    MediaServiceClient::new(serve(postmesh_proto::pool(), routes, "publisher", &Tokens::default()))
}

/// The source of that picture.
pub(crate) fn media_source() -> MediaSource {
    MediaSource::new(media_client())
}

/// A source of a picture that cannot be made smaller than so many bytes.
pub(crate) fn source_of_bytes(needs: i64) -> MediaSource {
    MediaSource::new(client_of(OnePicture { needs }))
}

// `async_trait` does not look into macros, so this is what it would write.
macro_rules! unused {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'me, 'async_trait>(
            &'me self,
            _: Request<$request>,
        ) -> BoxFuture<'async_trait, Result<Response<$response>, Status>>
        where
            'me: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented("the publisher does not ask for this")) })
        })*
    };
}

#[tonic::async_trait]
impl MediaService for OnePicture {
    type ReadRenditionStream = BoxStream<'static, Result<ReadRenditionResponse, Status>>;

    async fn read_rendition(
        &self,
        request: Request<ReadRenditionRequest>,
    ) -> Result<Response<Self::ReadRenditionStream>, Status> {
        if (1..self.needs).contains(&request.get_ref().max_bytes) {
            let why = ErrorDetails::with_error_info("CANNOT_FIT", "postmesh.media", HashMap::new());
            return Err(Status::with_error_details(tonic::Code::FailedPrecondition, "too large", why));
        }
        let size_bytes = i64::try_from(PNG.len()).expect("the picture is tiny");
        let info = RenditionInfo { content_type: "image/png".into(), size_bytes, width: 1, height: 1 };
        let (head, tail) = PNG.split_at(20);
        let parts = [Part::Info(info), Part::Chunk(head.to_vec().into()), Part::Chunk(tail.to_vec().into())];
        let answers = parts.map(|part| Ok(ReadRenditionResponse { part: Some(part) }));
        Ok(Response::new(futures::stream::iter(answers).boxed()))
    }

    unused! {
        create_upload(CreateUploadRequest) -> CreateUploadResponse;
        complete_upload(CompleteUploadRequest) -> CompleteUploadResponse;
        get_media(GetMediaRequest) -> GetMediaResponse;
        list_media(ListMediaRequest) -> ListMediaResponse;
        delete_media(DeleteMediaRequest) -> DeleteMediaResponse;
        write_upload(Streaming<WriteUploadRequest>) -> WriteUploadResponse;
        batch_get_media(BatchGetMediaRequest) -> BatchGetMediaResponse;
        replace_holds(ReplaceHoldsRequest) -> ReplaceHoldsResponse;
    }
}

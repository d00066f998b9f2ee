//! The road inside a process and the road over mutual TLS behave the same: identity, callers, deadlines, traces and
//! error details.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use postmesh_kit::{
    lifecycle::Lifecycle,
    rules::Rules,
    server::Guard,
    status::{FieldViolation, Invalid, to_status},
    testing::{Tokens, with_token},
    tls::{self, MeshTls},
    trace::Context,
    transport::Transport,
};
use postmesh_proto::media::v1::{
    self as proto,
    media_service_client::MediaServiceClient,
    media_service_server::{MediaService, MediaServiceServer},
};
use tonic::{Code, Request, Response, Status, transport::Endpoint};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// Stands for a service: notes the traces it sees and answers what each test asks for.
#[derive(Clone, Default)]
struct Stand {
    traces: Arc<Mutex<Vec<String>>>,
}

type Chunks = futures::stream::Empty<Result<proto::ReadRenditionResponse, Status>>;
type Shared = futures::stream::Empty<Result<proto::ReadShareResponse, Status>>;

#[tonic::async_trait]
impl MediaService for Stand {
    type ReadRenditionStream = Chunks;

    async fn get_media(
        &self,
        request: Request<proto::GetMediaRequest>,
    ) -> Result<Response<proto::GetMediaResponse>, Status> {
        self.traces.lock().unwrap().push(Context::current().trace_id());
        let me = postmesh_kit::identity::Identity::of(&request)?;
        match request.into_inner().media_id.as_str() {
            "slow" => std::future::pending().await,
            "wrong" => {
                Err(to_status(Invalid(vec![FieldViolation::new("media_id", "NOT_A_UUID", "must be a UUID")])))
            }
            "panic" => panic!("on purpose"),
            _ => {
                let media = proto::Media { id: me.workspace_id.to_string(), ..Default::default() };
                Ok(Response::new(proto::GetMediaResponse { media: Some(media) }))
            }
        }
    }

    async fn batch_get_media(
        &self,
        _: Request<proto::BatchGetMediaRequest>,
    ) -> Result<Response<proto::BatchGetMediaResponse>, Status> {
        Ok(Response::new(proto::BatchGetMediaResponse::default()))
    }

    async fn create_upload(
        &self,
        _: Request<proto::CreateUploadRequest>,
    ) -> Result<Response<proto::CreateUploadResponse>, Status> {
        Ok(Response::new(proto::CreateUploadResponse::default()))
    }
    async fn complete_upload(
        &self,
        _: Request<proto::CompleteUploadRequest>,
    ) -> Result<Response<proto::CompleteUploadResponse>, Status> {
        Ok(Response::new(proto::CompleteUploadResponse::default()))
    }
    async fn list_media(
        &self,
        _: Request<proto::ListMediaRequest>,
    ) -> Result<Response<proto::ListMediaResponse>, Status> {
        Ok(Response::new(proto::ListMediaResponse::default()))
    }
    async fn delete_media(
        &self,
        _: Request<proto::DeleteMediaRequest>,
    ) -> Result<Response<proto::DeleteMediaResponse>, Status> {
        Ok(Response::new(proto::DeleteMediaResponse::default()))
    }
    async fn write_upload(
        &self,
        _: Request<tonic::Streaming<proto::WriteUploadRequest>>,
    ) -> Result<Response<proto::WriteUploadResponse>, Status> {
        Ok(Response::new(proto::WriteUploadResponse::default()))
    }
    async fn replace_holds(
        &self,
        _: Request<proto::ReplaceHoldsRequest>,
    ) -> Result<Response<proto::ReplaceHoldsResponse>, Status> {
        Ok(Response::new(proto::ReplaceHoldsResponse::default()))
    }
    async fn read_rendition(
        &self,
        _: Request<proto::ReadRenditionRequest>,
    ) -> Result<Response<Chunks>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }
    async fn create_share(
        &self,
        _: Request<proto::CreateShareRequest>,
    ) -> Result<Response<proto::CreateShareResponse>, Status> {
        Ok(Response::new(proto::CreateShareResponse::default()))
    }
    async fn revoke_share(
        &self,
        _: Request<proto::RevokeShareRequest>,
    ) -> Result<Response<proto::RevokeShareResponse>, Status> {
        Ok(Response::new(proto::RevokeShareResponse::default()))
    }
    type ReadShareStream = Shared;
    async fn read_share(&self, _: Request<proto::ReadShareRequest>) -> Result<Response<Shared>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }
}

/// Both roads to the same service, for any caller.
struct Roads {
    stand: Stand,
    tokens: Tokens,
    guard: Guard,
    rules: Rules,
    folder: tempfile::TempDir,
    port: u16,
    life: Lifecycle,
}

impl Roads {
    async fn build() -> Self {
        tls::install_crypto();
        let (stand, tokens, life) = (Stand::default(), Tokens::default(), Lifecycle::new());
        let rules = Rules::read(postmesh_proto::pool());
        let guard = Guard::new(rules.clone(), tokens.verifier());
        let folder = tempfile::tempdir().unwrap();
        tls::make_certificates(folder.path(), &["media", "scheduler", "analytics"], 1).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = tonic::service::Routes::new(MediaServiceServer::new(stand.clone()));
        life.spawn({
            let (guard, life, own) = (guard.clone(), life.clone(), identity(folder.path(), "media"));
            async move { guard.serve(routes, listener, &own, &life).await }
        });
        Self { stand, tokens, guard, rules, folder, port, life }
    }

    fn local(&self, caller: &str) -> Transport {
        let routes = tonic::service::Routes::new(MediaServiceServer::new(self.stand.clone()));
        Transport::local(caller, self.rules.clone(), self.guard.local(routes))
    }

    fn remote(&self, caller: &str) -> Transport {
        self.remote_with(caller, &identity(self.folder.path(), caller))
    }

    fn remote_with(&self, caller: &str, own: &MeshTls) -> Transport {
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", self.port)).unwrap();
        let channel = endpoint.tls_config(own.client("media")).unwrap().connect_lazy();
        Transport::remote(caller, self.rules.clone(), channel)
    }
}

fn identity(folder: &std::path::Path, service: &str) -> MeshTls {
    let file = |name: String| folder.join(name);
    MeshTls::read(&file("ca.crt".into()), &file(format!("{service}.crt")), &file(format!("{service}.key")))
        .unwrap()
}

fn ask(media_id: &str) -> proto::GetMediaRequest {
    proto::GetMediaRequest { media_id: media_id.into() }
}

#[tokio::test]
async fn both_roads_enforce_carry_and_answer_the_same() {
    let roads = Roads::build().await;
    for road in [Roads::local, Roads::remote] {
        let mut media = MediaServiceClient::new(road(&roads, "scheduler"));
        let (user, workspace) = (Uuid::now_v7(), Uuid::now_v7());
        let reader = roads.tokens.mint(user, workspace, &["media.read"]);

        let answer = media.get_media(with_token(ask("any"), &reader)).await.unwrap().into_inner();
        assert_eq!(answer.media.unwrap().id, workspace.to_string(), "the tenant comes from the token");

        let status = media.get_media(ask("any")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        let writer = roads.tokens.mint(user, workspace, &["media.write"]);
        let status = media.get_media(with_token(ask("any"), &writer)).await.unwrap_err();
        assert_eq!((status.code(), status.message().contains("media.read")), (Code::PermissionDenied, true));

        let status = media.get_media(with_token(ask("wrong"), &reader)).await.unwrap_err();
        let bad = status.get_details_bad_request().expect("details travel");
        assert_eq!(
            (status.code(), bad.field_violations[0].field.as_str()),
            (Code::InvalidArgument, "media_id")
        );

        let status = media.get_media(with_token(ask("panic"), &reader)).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "a panic is one failed call, not a lost process");

        let mut hurried = with_token(ask("slow"), &reader);
        hurried.set_timeout(Duration::from_millis(50));
        let status = media.get_media(hurried).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");

        let context = Context::begin();
        context.scope(media.get_media(with_token(ask("any"), &reader))).await.unwrap();
        assert_eq!(
            roads.stand.traces.lock().unwrap().last(),
            Some(&context.trace_id()),
            "one trace all the way"
        );

        media.batch_get_media(proto::BatchGetMediaRequest::default()).await.expect("the scheduler may");
        let mut stranger = MediaServiceClient::new(road(&roads, "analytics"));
        let status = stranger.batch_get_media(proto::BatchGetMediaRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "analytics may not");
    }
    assert!(roads.life.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_none_is_refused() {
    let roads = Roads::build().await;
    let foreign = tempfile::tempdir().unwrap();
    tls::make_certificates(foreign.path(), &["scheduler"], 1).unwrap();
    let theirs = identity(foreign.path(), "scheduler");
    let mut forged = MediaServiceClient::new(roads.remote_with("scheduler", &theirs));
    let status = forged.batch_get_media(proto::BatchGetMediaRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);

    let plain = Endpoint::from_shared(format!("http://127.0.0.1:{}", roads.port)).unwrap().connect_lazy();
    let mut plain = MediaServiceClient::new(plain);
    assert!(plain.batch_get_media(proto::BatchGetMediaRequest::default()).await.is_err());
    assert!(roads.life.shutdown(Duration::from_secs(5)).await);
}

//! gRPC over HTTP/2, with the clients the contracts generate.

use postmesh_kit::testing::with_token;
use postmesh_proto::{
    auth::v1::{GetMeRequest, RegisterRequest, auth_service_client::AuthServiceClient},
    media::v1::{BatchGetMediaRequest, media_service_client::MediaServiceClient},
    scheduler::v1::{
        CreatePostRequest, GetPostRequest, WatchPostsRequest, post_service_client::PostServiceClient,
    },
};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::harness::world;

#[tokio::test]
async fn a_unary_call_reaches_its_service() {
    let world = world().await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let answer =
        posts.get_post(with_token(GetPostRequest { post_id: "7".into() }, &world.token())).await.unwrap();
    assert!(answer.metadata().get("x-request-id").is_some());
    assert_eq!(answer.into_inner().post.unwrap().id, "7");
}

#[tokio::test]
async fn a_stream_arrives_message_by_message_and_its_error_last() {
    let world = world().await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let request =
        WatchPostsRequest { post_ids: ["a", "b", "missing"].map(str::to_owned).into(), until_final: true };
    let mut stream = posts.watch_posts(with_token(request, &world.token())).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().post.unwrap().id, "a");
    assert_eq!(stream.message().await.unwrap().unwrap().post.unwrap().id, "b");
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_details_error_info().unwrap().reason, "POST_NOT_FOUND");
}

#[tokio::test]
async fn details_of_errors_arrive() {
    let world = world().await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let status =
        posts.create_post(with_token(CreatePostRequest::default(), &world.token())).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<_> =
        status.get_details_bad_request().unwrap().field_violations.into_iter().map(|v| v.field).collect();
    assert_eq!(fields, ["text", "targets"]);
}

#[tokio::test]
async fn junk_in_place_of_a_token_never_reaches_a_service() {
    let world = world().await;
    let mut auth = AuthServiceClient::new(world.channel().await);
    let bare = auth.get_me(GetMeRequest {}).await.unwrap_err();
    let junk = auth.get_me(with_token(GetMeRequest {}, "eyJhbGciOiJub25lIn0.e30.")).await.unwrap_err();
    let other =
        postmesh_kit::testing::Tokens::default().mint(uuid::Uuid::now_v7(), uuid::Uuid::now_v7(), &[]);
    let forged = auth.get_me(with_token(GetMeRequest {}, &other)).await.unwrap_err();
    assert_eq!([bare.code(), junk.code(), forged.code()], [Code::Unauthenticated; 3]);
    assert_eq!(world.seen.count(), 0);
    auth.get_me(with_token(GetMeRequest {}, &world.token())).await.unwrap();
    assert_eq!(world.seen.count(), 1);
}

#[tokio::test]
async fn a_role_without_the_permission_is_refused() {
    let world = world().await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let token = world.tokens.mint(uuid::Uuid::now_v7(), uuid::Uuid::now_v7(), &["media.read"]);
    let status =
        posts.get_post(with_token(GetPostRequest { post_id: "7".into() }, &token)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(world.seen.count(), 0);
}

#[tokio::test]
async fn an_internal_rpc_looks_like_one_that_does_not_exist() {
    let world = world().await;
    let mut media = MediaServiceClient::new(world.channel().await);
    let internal =
        media.batch_get_media(with_token(BatchGetMediaRequest::default(), &world.token())).await.unwrap_err();
    let mut grpc = tonic::client::Grpc::new(world.channel().await);
    grpc.ready().await.unwrap();
    let path = "/postmesh.media.v1.MediaService/NoSuchMethod".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<BatchGetMediaRequest, BatchGetMediaRequest>::default();
    let unknown = grpc.unary(Request::new(BatchGetMediaRequest::default()), path, codec).await.unwrap_err();
    assert_eq!([internal.code(), unknown.code()], [Code::Unimplemented; 2]);
    assert_eq!(
        internal.message().replace("BatchGetMedia", "…"),
        unknown.message().replace("NoSuchMethod", "…")
    );
}

#[tokio::test]
async fn headers_that_claim_something_do_not_get_in() {
    let world = world().await;
    let mut auth = AuthServiceClient::new(world.channel().await);
    let mut request =
        Request::new(RegisterRequest { email: "a@b.example".into(), ..RegisterRequest::default() });
    let spoofed = [
        "x-postmesh-user",
        "x-postmesh-caller",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
        "forwarded",
        "cookie",
    ];
    for name in spoofed {
        request.metadata_mut().insert(name, "6.6.6.6".parse().unwrap());
    }
    request.metadata_mut().insert("x-request-id", "not allowed: spaces".parse().unwrap());
    request
        .metadata_mut()
        .insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
    let answer = auth.register(request).await.unwrap();
    let seen = world.seen.last();
    assert!(!seen.values().any(|value| value.contains("6.6.6.6")), "{seen:?}");
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
    assert!(seen["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "the trace goes on");
    assert_eq!(seen["x-request-id"], answer.metadata().get("x-request-id").unwrap().to_str().unwrap());
    assert!(uuid::Uuid::parse_str(&seen["x-request-id"]).is_ok(), "made anew");
}

#[tokio::test]
async fn health_and_reflection_answer_on_the_same_port() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let world = world().await;
    let mut health = HealthClient::new(world.channel().await);
    assert_eq!(health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status, 1);

    let mut reflection = ServerReflectionClient::new(world.channel().await);
    let ask = |message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let asked = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("postmesh.media.v1.MediaService".into())),
    ];
    let mut answers =
        reflection.server_reflection_info(futures::stream::iter(asked)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("a list was asked for")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    insta::assert_debug_snapshot!(names, @r##"
    [
        "grpc.reflection.v1.ServerReflection",
        "postmesh.auth.v1.AuthService",
        "postmesh.media.v1.MediaService",
        "postmesh.publisher.v1.AccountService",
        "postmesh.publisher.v1.AppService",
        "postmesh.publisher.v1.NetworkService",
        "postmesh.scheduler.v1.PostService",
    ]
    "##);
    let Some(MessageResponse::FileDescriptorResponse(file)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("a file was asked for")
    };
    let file: prost_types::FileDescriptorProto =
        prost::Message::decode(&*file.file_descriptor_proto[0]).unwrap();
    let methods: Vec<_> = file.service[0].method.iter().map(|method| method.name().to_owned()).collect();
    assert_eq!(methods, ["CreateUpload", "CompleteUpload", "GetMedia", "ListMedia", "DeleteMedia"]);
}

//! gRPC-web over HTTP/1.1, with frames made by hand.

use base64::{Engine, engine::general_purpose::STANDARD};
use postmesh_proto::{
    media::v1::BatchGetMediaRequest,
    scheduler::v1::{
        CreatePostRequest, GetPostRequest, GetPostResponse, WatchPostsRequest, WatchPostsResponse,
    },
};
use prost::Message;

use crate::harness::{WebAnswer, frame, world};

const GET_POST: &str = "/postmesh.scheduler.v1.PostService/GetPost";

#[tokio::test]
async fn a_unary_call_is_translated() {
    let world = world().await;
    let answer = world.web(GET_POST, &GetPostRequest { post_id: "7".into() }, Some(&world.token())).await;
    assert_eq!((answer.status, answer.code()), (200, "0"));
    assert_eq!(answer.headers["content-type"], "application/grpc-web+proto");
    let post = GetPostResponse::decode(answer.messages[0].clone()).unwrap();
    assert_eq!(post.post.unwrap().id, "7");
}

#[tokio::test]
async fn the_text_form_is_translated_too() {
    let world = world().await;
    let response = world
        .http
        .post(format!("{}{GET_POST}", world.url))
        .header("content-type", "application/grpc-web-text")
        .header("accept", "application/grpc-web-text")
        .bearer_auth(world.token())
        .body(STANDARD.encode(frame(&GetPostRequest { post_id: "7".into() })))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/grpc-web-text+proto");
    // Each chunk is base64 of its own.
    let text = response.text().await.unwrap();
    let body: Vec<u8> = text
        .split_inclusive('=')
        .collect::<String>()
        .as_bytes()
        .chunks(4)
        .flat_map(|four| STANDARD.decode(four).unwrap())
        .collect();
    let answer = WebAnswer::read(200, reqwest::header::HeaderMap::new(), body.into());
    assert_eq!(answer.code(), "0");
    assert_eq!(GetPostResponse::decode(answer.messages[0].clone()).unwrap().post.unwrap().id, "7");
}

#[tokio::test]
async fn a_stream_arrives_with_its_error_in_the_last_frame() {
    let world = world().await;
    let request =
        WatchPostsRequest { post_ids: ["a", "b", "missing"].map(str::to_owned).into(), until_final: true };
    let answer =
        world.web("/postmesh.scheduler.v1.PostService/WatchPosts", &request, Some(&world.token())).await;
    let ids: Vec<_> = answer
        .messages
        .iter()
        .map(|m| WatchPostsResponse::decode(m.clone()).unwrap().post.unwrap().id)
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(answer.code(), "5");
}

#[tokio::test]
async fn errors_keep_their_details() {
    let world = world().await;
    let path = "/postmesh.scheduler.v1.PostService/CreatePost";
    let answer = world.web(path, &CreatePostRequest::default(), Some(&world.token())).await;
    assert_eq!((answer.status, answer.code()), (200, "3"));
    assert!(answer.trailers.contains_key("grpc-status-details-bin"));
}

#[tokio::test]
async fn an_internal_rpc_does_not_exist() {
    let world = world().await;
    let path = "/postmesh.media.v1.MediaService/BatchGetMedia";
    assert_eq!(world.web(path, &BatchGetMediaRequest::default(), Some(&world.token())).await.code(), "12");
}

#[tokio::test]
async fn without_a_token_a_call_is_unauthenticated() {
    let world = world().await;
    assert_eq!(world.web(GET_POST, &GetPostRequest::default(), None).await.code(), "16");
    assert_eq!(world.seen.count(), 0);
}

//! What is too much: size, time, number.

use std::time::Duration;

use postmesh_gateway::Config;
use postmesh_kit::testing::with_token;
use postmesh_proto::{
    auth::v1::{RegisterRequest, auth_service_client::AuthServiceClient},
    scheduler::v1::{GetPostRequest, WatchPostsRequest, post_service_client::PostServiceClient},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{WebAnswer, World, frame, world, world_with};

fn large() -> RegisterRequest {
    RegisterRequest { display_name: "x".repeat(5 * 1024 * 1024), ..RegisterRequest::default() }
}

#[tokio::test]
async fn a_message_of_5_mib_is_refused_on_all_three_ways() {
    let world = world().await;
    let status = AuthServiceClient::new(world.channel().await).register(large()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let web = world.web("/postmesh.auth.v1.AuthService/Register", &large(), None).await;
    assert_eq!(web.code(), "8");
    let body = serde_json::json!({ "displayName": large().display_name });
    let (status, answer) = world.json(world.ask("POST", "/v1/auth:register").json(&body)).await;
    assert_eq!((status, &answer["error"]["status"]), (413, &serde_json::json!("RESOURCE_EXHAUSTED")));
    assert_eq!(world.seen.count(), 0);
}

#[tokio::test]
async fn a_message_of_3_mib_is_not() {
    let world = world().await;
    let name = "x".repeat(3 * 1024 * 1024);
    let request = RegisterRequest { display_name: name.clone(), ..RegisterRequest::default() };
    let answer = AuthServiceClient::new(world.channel().await).register(request).await.unwrap();
    assert_eq!(answer.into_inner().user.unwrap().display_name.len(), name.len());
}

/// Calls with a deadline of the client's, which the client itself does not watch.
async fn ask_slowly(world: &World, timeout: &str) -> WebAnswer {
    let request = world.ask("POST", "/postmesh.scheduler.v1.PostService/GetPost");
    let request =
        request.header("content-type", "application/grpc-web+proto").header("grpc-timeout", timeout);
    let response = request.body(frame(&GetPostRequest { post_id: "slow".into() })).send().await.unwrap();
    WebAnswer::read(200, response.headers().clone(), response.bytes().await.unwrap())
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    assert_eq!(ask_slowly(&world().await, "50m").await.code(), "4");
}

#[tokio::test]
async fn no_call_outlasts_the_longest_deadline() {
    let world = world_with(Config { unary_deadline_seconds: 1, ..Config::default() }).await;
    assert_eq!(ask_slowly(&world, "1H").await.code(), "4");
}

#[tokio::test]
async fn a_user_that_asks_too_often_is_told_when_to_come_back() {
    let world = world_with(Config { user_rate: 1, user_burst: 2, ..Config::default() }).await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let token = world.token();
    let mut ask = async || posts.get_post(with_token(GetPostRequest { post_id: "7".into() }, &token)).await;
    ask().await.unwrap();
    ask().await.unwrap();
    let status = ask().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    let (status, _) = world.json(world.ask("GET", "/v1/posts/7")).await;
    assert_eq!(status, 200, "another user is not held back");
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let world = world_with(Config { address_rate: 1, address_burst: 1, ..Config::default() }).await;
    assert_eq!(world.json(world.ask("GET", "/v1/posts/7")).await.0, 200);
    let response = world.ask("GET", "/v1/posts/7").header("x-forwarded-for", "9.9.9.9").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "1"));
}

#[tokio::test]
async fn a_proxy_we_trust_says_who_asks() {
    let config = Config {
        address_rate: 1,
        address_burst: 1,
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..Config::default()
    };
    let world = world_with(config).await;
    for client in ["9.9.9.9", "6.6.6.6, 8.8.8.8"] {
        let request = world.ask("GET", "/v1/posts/7").header("x-forwarded-for", client);
        assert_eq!(world.json(request).await.0, 200, "{client}");
    }
    assert_eq!(
        world.seen.last()["x-forwarded-for"],
        "8.8.8.8",
        "what stands before the proxy's word is the client's claim"
    );
}

#[tokio::test]
async fn past_the_limit_calls_are_shed_with_a_hint() {
    let world = world_with(Config { max_in_flight: 1, ..Config::default() }).await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let mut waiting = posts.clone();
    let slow = with_token(GetPostRequest { post_id: "slow".into() }, &world.token());
    let held = world.life.spawn(async move { waiting.get_post(slow).await });
    while world.seen.count() == 0 {
        tokio::task::yield_now().await;
    }
    let status =
        posts.get_post(with_token(GetPostRequest { post_id: "7".into() }, &world.token())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    held.abort();
}

#[tokio::test]
async fn open_streams_are_counted_and_give_their_place_back() {
    let world = world_with(Config { max_streams: 1, ..Config::default() }).await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let watch =
        || with_token(WatchPostsRequest { post_ids: vec!["a".into()], until_final: false }, &world.token());
    let mut first = posts.watch_posts(watch()).await.unwrap().into_inner();
    first.message().await.unwrap();
    assert_eq!(posts.watch_posts(watch()).await.unwrap_err().code(), Code::Unavailable);
    drop(first);
    while posts.watch_posts(watch()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn headers_larger_than_16_kib_are_refused() {
    let world = world().await;
    let response =
        world.ask("GET", "/v1/posts/7").header("x-large", "x".repeat(20_000)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 431);
    assert_eq!(world.seen.count(), 0);
}

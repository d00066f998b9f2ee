//! Starting and stopping.

use std::{collections::HashMap, sync::Arc, time::Duration};

use postmesh_gateway::{Config, Deps, Error};
use postmesh_kit::{
    cache::Cache,
    lifecycle::Lifecycle,
    rules::Rules,
    testing::{FakeClock, Tokens, with_token},
    transport::Transport,
};
use postmesh_proto::scheduler::v1::{WatchPostsRequest, post_service_client::PostServiceClient};
use tonic::{Code, transport::Channel};

use crate::harness::{http_client, world};

fn alone() -> Deps {
    Deps {
        backends: HashMap::new(),
        verifier: Tokens::default().verifier(),
        cache: Cache::memory(),
        clock: Arc::new(FakeClock::at(0)),
        lifecycle: Lifecycle::new(),
        listener: None,
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bind = taken.local_addr().unwrap();
    let error = postmesh_gateway::start(Config { bind, ..Config::default() }, alone()).await.unwrap_err();
    let expected = format!(
        "cannot listen on {bind} (setting gateway.bind): port {} is in use by another program; stop it or choose another port",
        bind.port()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn wrong_settings_are_reported_together() {
    let config = Config { allowed_origins: vec!["*".into()], user_rate: 0, ..Config::default() };
    let Err(Error::Config(problems)) = postmesh_gateway::start(config, alone()).await else {
        panic!("must not start")
    };
    assert_eq!(problems.len(), 2);
}

#[tokio::test]
async fn a_stop_ends_streams_in_good_order_and_closes_the_door() {
    let world = world().await;
    let mut posts = PostServiceClient::new(world.channel().await);
    let request =
        with_token(WatchPostsRequest { post_ids: vec!["a".into()], until_final: false }, &world.token());
    let mut stream = posts.watch_posts(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    world.life.stop();
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("connect again"), "{status}");
    drop((stream, posts));
    assert!(world.life.shutdown(Duration::from_secs(10)).await, "every task ended by itself");
    assert!(world.ask("GET", "/healthz").send().await.is_err());
}

#[tokio::test]
async fn a_service_that_is_away_is_named_and_calls_of_it_say_so() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let rules = Rules::read(postmesh_proto::pool());
    let away = Transport::remote("gateway", rules, Channel::from_shared(address).unwrap().connect_lazy());
    let deps = Deps { backends: HashMap::from([("postmesh.auth.v1".to_owned(), away)]), ..alone() };
    let bind = "127.0.0.1:0".parse().unwrap();
    let gateway = postmesh_gateway::start(Config { bind, ..Config::default() }, deps).await.unwrap();
    let http = http_client();
    let health = http.get(format!("http://{}/healthz", gateway.addr)).send().await.unwrap();
    assert_eq!(health.status().as_u16(), 503);
    let health: serde_json::Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    assert_eq!(health["ready"], false);
    assert!(health["services"]["auth"].as_str().unwrap().contains("cannot be reached"), "{health}");
    let call = http.get(format!("http://{}/v1/auth/keys", gateway.addr)).send().await.unwrap();
    assert_eq!(call.status().as_u16(), 503);
}

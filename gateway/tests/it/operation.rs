//! Starting and stopping.

use std::{collections::HashMap, sync::Arc, time::Duration};

use postmesh_gateway::{Config, Deps, Error};
use postmesh_kit::{
    cache::Cache,
    lifecycle::Lifecycle,
    testing::{FakeClock, Tokens, with_token},
};
use postmesh_proto::scheduler::v1::{WatchPostsRequest, post_service_client::PostServiceClient};
use tonic::Code;

use crate::harness::world;

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

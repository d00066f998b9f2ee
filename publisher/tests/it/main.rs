//! The service from outside, as the program that runs it sees it: public names only. Its stories are in `src/stories`.

use std::sync::Arc;

use postmesh_kit::{
    clock::SystemClock,
    lifecycle::Lifecycle,
    testing::{Tokens, keys, serve, sqlite, with_token},
};
use postmesh_proto::{
    media::v1::media_service_client::MediaServiceClient,
    publisher::v1::{ListNetworksRequest, network_service_client::NetworkServiceClient},
};
use postmesh_publisher::{Config, Deps, MIGRATIONS, start};
use tonic::service::Routes;
use uuid::Uuid;

#[tokio::test]
async fn starts_on_a_fresh_database_answers_and_stops_cleanly() {
    let (db, _folder) = sqlite(MIGRATIONS).await;
    let (tokens, lifecycle) = (Tokens::default(), Lifecycle::new());
    let nobody = serve(postmesh_proto::pool(), Routes::default(), "publisher", &tokens);
    let media = MediaServiceClient::new(nobody);
    let deps = Deps { db, clock: Arc::new(SystemClock), lifecycle: lifecycle.clone(), keys: keys(), media };
    let running = start(Config::default(), deps).await.unwrap();
    let transport = serve(postmesh_proto::pool(), running.routes, "gateway", &tokens);
    let token = tokens.mint(Uuid::now_v7(), Uuid::now_v7(), &[]);
    let request = with_token(ListNetworksRequest {}, &token);
    let answer = NetworkServiceClient::new(transport).list_networks(request).await.unwrap().into_inner();
    let ids: Vec<_> = answer.networks.iter().map(|network| network.id.as_str()).collect();
    assert!(ids.is_sorted() && ids.len() >= 16, "{ids:?}");
    assert!(ids.contains(&"bluesky") && ids.contains(&"x"), "{ids:?}");
    assert!(lifecycle.shutdown(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn refuses_settings_that_make_no_sense_all_at_once() {
    let (db, _folder) = sqlite(MIGRATIONS).await;
    let tokens = Tokens::default();
    let media =
        MediaServiceClient::new(serve(postmesh_proto::pool(), Routes::default(), "publisher", &tokens));
    let deps = Deps { db, clock: Arc::new(SystemClock), lifecycle: Lifecycle::new(), keys: keys(), media };
    let config = Config { window: 0, sweep_ms: 0, ..Config::default() };
    let message = start(config, deps).await.unwrap_err().to_string();
    assert!(message.contains("window") && message.contains("sweep_ms"), "{message}");
}

//! Every process is asked to end (SIGTERM) and started again, in turn, while users write and read. A call may be
//! answered with UNAVAILABLE, which says "again, please"; no call fails in another way, and nothing is lost.

use std::{
    collections::BTreeMap,
    error::Error as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use postmesh_kit::lifecycle::Lifecycle;
use postmesh_proto::{
    auth::v1::{RegisterRequest, auth_service_client::AuthServiceClient},
    scheduler::v1::{ListPostsRequest, post_service_client::PostServiceClient},
};
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint},
};

use super::{
    ground::{Backing, Ground},
    scene::Load,
};
use crate::{Layer, Violation};

/// A process ends within this time of being asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// Readers that call without pause.
const READERS: usize = 3;

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let backing = Backing::start().await?;
    let mut scene = ground.six(&backing, |_| Ok(())).await?;
    let channel = Endpoint::from_shared(scene.mesh.url.clone())?.connect_lazy();
    let token = register(channel.clone()).await?;
    scene.begin(Load { window: Duration::from_secs(8), ..Load::default() })?;
    let life = Lifecycle::new();
    let readers: Vec<_> =
        (0..READERS).map(|_| life.spawn(read(channel.clone(), token.clone(), life.clone()))).collect();
    let mut found = Vec::new();
    for n in 0..scene.mesh.len() {
        let pause = scene.between(Duration::from_millis(100), Duration::from_millis(500));
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        if let Err(error) = scene.mesh.terminate(n, ENDS_WITHIN).await {
            found.push(Violation::of("rolling", format!("{error:#}")));
            scene.mesh.kill(n).await?;
        }
        let name = scene.mesh.starts[n].name.clone();
        scene.say(&format!("{name} ended after {} ms", began.elapsed().as_millis()));
        scene.mesh.start(n)?;
        scene.mesh.wait_ready(n).await?;
    }
    life.stop();
    let mut answered = 0;
    for reader in readers {
        let (fine, failures) = reader.await?.context("a reader was stopped")?;
        answered += fine;
        for (failure, times) in failures {
            found.push(Violation::of("rolling", format!("{times} calls failed: {failure}")));
        }
    }
    if answered == 0 {
        found.push(Violation::of("rolling", "no call was answered at all"));
    }
    scene.end_of_writing().await?;
    scene.judge(found).await
}

async fn register(channel: Channel) -> anyhow::Result<String> {
    let request = RegisterRequest {
        email: "reader@example.com".to_owned(),
        password: uuid::Uuid::now_v7().to_string(),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..Default::default()
    };
    let answer = AuthServiceClient::new(channel).register(request).await?.into_inner();
    Ok(answer.session.context("no session was answered")?.access_token)
}

/// Reads until the life ends: how many calls were answered, and which failures there were besides UNAVAILABLE.
async fn read(channel: Channel, token: String, life: Lifecycle) -> (u64, BTreeMap<String, u64>) {
    let (mut answered, mut failures) = (0, BTreeMap::new());
    while !life.is_stopping() {
        let mut request = Request::new(ListPostsRequest { page_size: 5, ..Default::default() });
        if let Ok(bearer) = format!("Bearer {token}").parse() {
            request.metadata_mut().insert("authorization", bearer);
        }
        match PostServiceClient::new(channel.clone()).list_posts(request).await {
            Ok(_) => answered += 1,
            Err(status) if status.code() == Code::Unavailable => {}
            // Never answered: it waited for a connection that the gateway closed, and was not sent.
            Err(status) if status.source().is_some() && status.code() == Code::Cancelled => {}
            Err(status) => {
                *failures.entry(format!("{:?}: {}", status.code(), status.message())).or_default() += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (answered, failures)
}

//! Two parts lose each other: every connection is cut, or one direction goes silent while the other still works, or
//! what was sent arrives late. The worst is an answer that vanishes: the commit, the hand-over or the post happened,
//! and the one who asked does not know.

use std::time::Duration;

use rand::seq::IndexedRandom as _;

use super::{
    ground::{Backing, DATABASE, Ground, address},
    scene::{Load, Scene},
};
use crate::{
    Layer,
    rig::proxy::{Proxy, Way, Wire},
};

const SHORTEST: Duration = Duration::from_millis(1_500);
const LONGEST: Duration = Duration::from_millis(3_500);

const FAULTS: [Wire; 6] = [
    Wire::Cut,
    Wire::Swallow(Way::Requests),
    Wire::Swallow(Way::Answers),
    Wire::Swallow(Way::Both),
    Wire::Hold(Way::Requests),
    Wire::Hold(Way::Answers),
];

/// The publisher and PostgreSQL.
pub(super) async fn database(mut ground: Ground) -> anyhow::Result<Layer> {
    let backing = Backing::start().await?;
    let wire = Proxy::to(backing.postgres.addr()).await?;
    let url = backing.postgres.url(wire.addr, DATABASE);
    let scene = ground
        .six(&backing, |mesh| {
            let publisher = mesh.number_of("publisher");
            mesh.starts[publisher].env.push(("POSTMESH_DATABASE__URL".to_owned(), url));
            Ok(())
        })
        .await?;
    split(scene, &wire).await
}

/// The scheduler and the publisher.
pub(super) async fn mesh(mut ground: Ground) -> anyhow::Result<Layer> {
    let backing = Backing::start().await?;
    let wire = Proxy::between(Vec::new()).await?;
    let scene = ground
        .six(&backing, |mesh| {
            wire.lead_to(vec![address(mesh, "publisher")?]);
            let scheduler = mesh.number_of("scheduler");
            let through = ("POSTMESH_MESH__PUBLISHER".to_owned(), format!("https://{}", wire.addr));
            mesh.starts[scheduler].env.push(through);
            Ok(())
        })
        .await?;
    split(scene, &wire).await
}

/// The program and the networks.
pub(super) async fn network(mut ground: Ground) -> anyhow::Result<Layer> {
    let wire = ground.networks_behind_a_wire().await?;
    let scene = ground.embedded(&[]).await?;
    split(scene, &wire).await
}

/// Two partitions of different kinds while posts are due.
async fn split(mut scene: Scene, wire: &Proxy) -> anyhow::Result<Layer> {
    scene.begin(Load::default())?;
    let faults: Vec<Wire> = FAULTS.sample(&mut scene.rng, 2).copied().collect();
    for (part, fault) in [0.1, 0.6].into_iter().zip(faults) {
        scene.wait_due(part).await;
        scene.say(&format!("{fault:?}"));
        // From its beginning to its end an answer may have been lost on the way.
        wire.set(fault);
        scene.note_break();
        tokio::time::sleep(scene.between(SHORTEST, LONGEST)).await;
        wire.set(Wire::Pass);
        scene.note_break();
    }
    scene.end_of_writing().await?;
    scene.judge(Vec::new()).await
}

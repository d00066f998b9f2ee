//! A process stands still (SIGSTOP) in the middle of its sends, longer than its leases last, and then goes on as if
//! nothing had happened: the zombie. Meanwhile another publisher has its accounts.

use std::time::Duration;

use serde_json::json;

use super::{
    ground::{Backing, Ground},
    scene::{LEASE, Load, Scene},
};
use crate::Layer;

/// Two publishers on one PostgreSQL; one of them stands still.
pub(super) async fn replica(mut ground: Ground) -> anyhow::Result<Layer> {
    let backing = Backing::start().await?;
    let mut scene = ground.replicas(&backing, &["publisher"]).await?;
    let zombie = if scene.coin() { "publisher" } else { "publisher-2" };
    stand_still(&mut scene, zombie).await?;
    scene.judge(Vec::new()).await
}

/// The one process of the embedded default stands still.
pub(super) async fn embedded(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut scene = ground.embedded(&[]).await?;
    stand_still(&mut scene, "up").await?;
    scene.judge(Vec::new()).await
}

async fn stand_still(scene: &mut Scene, name: &str) -> anyhow::Result<()> {
    // Answers take their time, so that the pause falls into sends: half of them before, half after they took effect.
    for network in ["bluesky", "mastodon"] {
        let late = json!({"kind": "delay", "ms": 150});
        scene
            .sandbox
            .script(json!({"network": network, "operation": "publish", "fault": late, "times": 0}))
            .await?;
    }
    scene.scatter().await?;
    scene.begin(Load::default())?;
    let n = scene.mesh.number_of(name);
    for part in [0.15, 0.6] {
        scene.wait_due(part).await;
        tokio::time::sleep(scene.between(Duration::ZERO, Duration::from_millis(300))).await;
        scene.mesh.pause(n)?;
        scene.note_break();
        tokio::time::sleep(LEASE * 2).await;
        scene.mesh.resume(n)?;
    }
    scene.end_of_writing().await
}

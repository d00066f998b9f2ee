//! PostgreSQL dies under load: it comes back, or a standby takes its place, which may have missed the last commits.

use std::time::Duration;

use super::{
    ground::{Backing, DATABASE, Ground},
    scene::Load,
};
use crate::{
    Layer,
    rig::{
        mesh::Rows,
        proxy::{Proxy, Way, Wire},
        servers::Following,
    },
};

/// It is killed twice and starts again on what it had.
pub(super) async fn kill(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut backing = Backing::start().await?;
    let mut scene = ground.six(&backing, |_| Ok(())).await?;
    scene.begin(Load::default())?;
    for part in [0.1, 0.6] {
        scene.wait_due(part).await;
        tokio::time::sleep(scene.between(Duration::ZERO, Duration::from_millis(400))).await;
        backing.postgres.kill().await;
        scene.note_break();
        tokio::time::sleep(scene.between(Duration::from_millis(200), Duration::from_secs(2))).await;
        backing.postgres.resume().await?;
    }
    scene.end_of_writing().await?;
    scene.judge(Vec::new()).await
}

/// The primary dies; the standby, which has every commit that was answered, takes over.
pub(super) async fn failover(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut backing = Backing::start().await?;
    let standby = backing.postgres.standby(backing.postgres.addr(), Following::Synchronous).await?;
    let mut scene = ground.six(&backing, |_| Ok(())).await?;
    scene.begin(Load::default())?;
    scene.wait_due(0.3).await;
    tokio::time::sleep(scene.between(Duration::ZERO, Duration::from_millis(400))).await;
    backing.postgres.kill().await;
    scene.note_break();
    standby.promote().await?;
    backing.wire.lead_to(vec![standby.addr()]);
    scene.mesh.rows = Rows::Postgres(standby.url(standby.addr(), DATABASE));
    scene.end_of_writing().await?;
    scene.judge(Vec::new()).await
}

/// The primary dies; a standby takes over that had lost touch a moment before, so it never heard of sends that were
/// armed and answered since. Nothing is written in that moment but what the mesh itself commits.
pub(super) async fn amnesia(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut backing = Backing::start().await?;
    let stream = Proxy::to(backing.postgres.addr()).await?;
    let standby = backing.postgres.standby(stream.addr, Following::Asynchronous).await?;
    let mut scene = ground.six(&backing, |_| Ok(())).await?;
    scene.begin(Load { changes: false, ..Load::default() })?;
    scene.end_of_writing().await?;
    scene.wait_due(0.2).await;
    stream.set(Wire::Swallow(Way::Both));
    tokio::time::sleep(scene.between(Duration::from_millis(300), Duration::from_millis(1_500))).await;
    backing.postgres.kill().await;
    scene.note_break();
    standby.promote().await?;
    backing.wire.lead_to(vec![standby.addr()]);
    scene.mesh.rows = Rows::Postgres(standby.url(standby.addr(), DATABASE));
    scene.judge(Vec::new()).await
}

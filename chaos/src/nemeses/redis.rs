//! Redis is emptied, dies, stays away for a while and comes back empty. Publishing does not notice: not one post is
//! late.

use std::time::Duration;

use super::{
    ground::{Backing, Ground},
    scene::{Load, lateness_violations, now_ms},
};
use crate::Layer;

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut backing = Backing::start().await?;
    let mut scene = ground.six(&backing, |_| Ok(())).await?;
    scene.begin(Load::default())?;
    scene.wait_due(0.2).await;
    let began_ms = now_ms();
    backing.redis.flush().await?;
    scene.wait_due(0.4).await;
    backing.redis.kill().await;
    let away = scene.between(Duration::from_secs(1), Duration::from_secs(2));
    tokio::time::sleep(away).await;
    backing.redis.resume().await?;
    backing.redis.flush().await?;
    let ended_ms = now_ms();
    scene.judge_with(|history| lateness_violations(history, (began_ms, ended_ms), |_, _| false)).await
}

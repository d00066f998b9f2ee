//! Redis is emptied, dies, stays away for a while and comes back empty. Publishing does not notice: not one post is
//! late.

use std::time::Duration;

use super::scene::{Backing, Ground, Load};
use crate::Layer;

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut backing = Backing::start().await?;
    let mut scene = ground.six(&backing, |_| Ok(())).await?;
    scene.begin(Load::default()).await?;
    scene.wait_due(0.1).await;
    backing.redis.flush().await?;
    scene.wait_due(0.3).await;
    backing.redis.kill().await;
    tokio::time::sleep(scene.between(Duration::from_secs(1), Duration::from_secs(3))).await;
    backing.redis.resume().await?;
    backing.redis.flush().await?;
    scene.end_of_writing().await?;
    scene.judge(Vec::new()).await
}

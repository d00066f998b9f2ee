//! One network is away for a while: it answers 503, resets every connection, or takes requests and says nothing, even
//! if it carried them out. What was due there goes out once it is back, exactly once; the other network's posts are
//! not late for it.

use std::time::Duration;

use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use super::{
    ground::Ground,
    scene::{Load, lateness_violations, now_ms},
};
use crate::Layer;

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut scene = ground.embedded(&[]).await?;
    let away = if scene.coin() { "bluesky" } else { "mastodon" };
    let faults: [Value; 4] = [
        json!({"kind": "status", "code": 503}),
        json!({"kind": "drop_before"}),
        json!({"kind": "accept_then_reset"}),
        json!({"kind": "accept_then_timeout"}),
    ];
    scene.begin(Load::default())?;
    scene.wait_due(0.2).await;
    let began_ms = now_ms();
    let fault = faults.choose(&mut scene.rng).cloned().unwrap_or_default();
    scene.say(&format!("{away}: {fault}"));
    // Uploads are left alone: one may take two minutes to be given up, longer than a case lasts.
    let rules: Vec<Value> = ["publish", "read", "refresh", "session", "token"]
        .map(|operation| json!({"network": away, "operation": operation, "fault": fault, "times": 0}))
        .to_vec();
    scene.sandbox.script(Value::from(rules)).await?;
    tokio::time::sleep(scene.between(Duration::from_secs(2), Duration::from_secs(4))).await;
    scene.sandbox.clear_script().await?;
    let ended_ms = now_ms();
    scene
        .judge_with(|history| {
            lateness_violations(history, (began_ms, ended_ms), |_, account| account.network == away)
        })
        .await
}

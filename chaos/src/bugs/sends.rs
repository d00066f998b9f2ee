//! Trials around one visible request.

use std::time::Duration;

use serde_json::json;

use super::{Run, scene::Scene};
use crate::Violation;

/// Long enough for a repetition: the send's deadline, the time until it is quiet, and a little.
const REPEATED_WITHIN: Duration = Duration::from_secs(7);

/// The request is held at the network; its user withdraws the post; the network goes on. A withdrawal that was
/// acknowledged must have come before the request.
pub(super) async fn withdrawn_under_way(run: Run) -> anyhow::Result<Vec<Violation>> {
    // The network is slow, and is waited for.
    let patient = [("POSTMESH_PUBLISHER__SEND_TIMEOUT_MS", "5000")];
    let mut scene = Scene::embedded(run, "bluesky", &patient).await?;
    scene.disturb("publish", json!({"kind": "hold"}), 1).await?;
    let post = scene.post(0).await?;
    scene.sandbox.held(1).await?;
    scene.user.cancel(&post.id).await?;
    scene.sandbox.release().await?;
    scene.judge().await
}

/// A request is executed and its answer is lost; the program dies, and afterwards the network cannot be read: only the
/// key keeps the repetition from being a second post.
pub(super) async fn repeated_by_key(run: Run) -> anyhow::Result<Vec<Violation>> {
    let mut scene = Scene::embedded(run, "mastodon", &[]).await?;
    scene.disturb("publish", json!({"kind": "accept_then_timeout"}), 1).await?;
    scene.disturb("read", json!({"kind": "status", "code": 503}), 0).await?;
    scene.post(0).await?;
    scene.visible(1).await?;
    scene.kill(0).await?;
    scene.mesh.start_all().await?;
    scene.asked("publish", 2, REPEATED_WITHIN).await?;
    scene.sandbox.clear_script().await?;
    scene.judge().await
}

/// A request is executed and answered with 500; the same text a second time would be refused for good.
pub(super) async fn stored_and_500(run: Run) -> anyhow::Result<Vec<Violation>> {
    let mut scene = Scene::embedded(run, "mastodon", &[]).await?;
    scene.disturb("publish", json!({"kind": "accept_then_500"}), 1).await?;
    let refusal = json!({"error": "Validation failed: Text can't be blank"});
    scene.disturb("publish", json!({"kind": "status", "code": 422, "body": refusal}), 1).await?;
    scene.post(0).await?;
    scene.judge().await
}

/// The network answers 429 once.
pub(super) async fn throttled(run: Run) -> anyhow::Result<Vec<Violation>> {
    let mut scene = Scene::embedded(run, "mastodon", &[]).await?;
    scene.disturb("publish", json!({"kind": "throttle", "retry_after_s": 1}), 1).await?;
    scene.post(0).await?;
    scene.judge().await
}

/// While a request is under way its account is connected again, which renews the lease under a new fence; the answer
/// says that the post is there, and after it the network says nothing any more. What was true when it was heard stays
/// true.
pub(super) async fn late_truth(run: Run) -> anyhow::Result<Vec<Violation>> {
    let patient = [("POSTMESH_PUBLISHER__SEND_TIMEOUT_MS", "5000")];
    let mut scene = Scene::embedded(run, "mastodon", &patient).await?;
    scene.disturb("publish", json!({"kind": "accept_then_hold"}), 1).await?;
    scene.post(0).await?;
    scene.sandbox.held(1).await?;
    scene.user.connect_again(&scene.sandbox, &scene.account).await?;
    // The actor takes the account up again before the answer comes.
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.disturb("any", json!({"kind": "drop_before"}), 0).await?;
    scene.sandbox.release().await?;
    scene.judge().await
}

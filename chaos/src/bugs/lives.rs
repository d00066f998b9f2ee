//! Trials over more than one life of the program, and around its tokens.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    time::to_proto,
};
use serde_json::json;

use super::{Run, scene::Scene};
use crate::{
    Violation,
    rig::process::{Start, http},
};

/// A process ends within this time of being asked to.
const STOPS_WITHIN: Duration = Duration::from_secs(20);
/// Idempotency keys of Mastodon are forgotten by then, milliseconds.
const KEYS_FORGOTTEN_MS: u64 = 65 * 60_000;

/// A copy of the data is made while a post waits; the post goes out; the copy comes back. The network no longer knows
/// the key by then, so only looking first keeps the post from going out again.
pub(super) async fn restored(run: Run) -> anyhow::Result<Vec<Violation>> {
    let mut scene = Scene::embedded(run, "mastodon", &[]).await?;
    scene.post(4_000).await?;
    scene.mesh.terminate(0, STOPS_WITHIN).await?;
    let (data, copy) = (scene.mesh.folder.join("data"), scene.mesh.folder.join("copy"));
    copy_folder(&data, &copy)?;
    let as_of = to_proto(SystemClock.now_ms()).to_string();
    scene.mesh.start_all().await?;
    scene.visible(1).await?;
    scene.kill(0).await?;
    fs::remove_dir_all(&data)?;
    fs::rename(&copy, &data)?;
    let forward = json!({"advance_ms": KEYS_FORGOTTEN_MS});
    let url = format!("{}/_sandbox/clock", scene.sandbox.url());
    http().post(url).json(&forward).send().await?.error_for_status()?;
    let args = ["restore", "--data", "data", "--as-of", &as_of];
    let verb = Start {
        name: "restore".to_owned(),
        args: args.map(str::to_owned).to_vec(),
        ready_url: String::new(),
        ..scene.mesh.starts[0].clone()
    };
    verb.once().await?;
    scene.judge().await
}

/// Tokens live so shortly that they are refreshed while posts are prepared, by whoever needs them.
pub(super) async fn refreshed(run: Run) -> anyhow::Result<Vec<Violation>> {
    let mut scene = Scene::embedded(run, "bluesky", &[]).await?;
    for fault in [json!({"kind": "token_lifetime", "access_s": 1}), json!({"kind": "expire_tokens"})] {
        scene.sandbox.script(json!({"network": "bluesky", "fault": fault})).await?;
    }
    scene.post(0).await?;
    scene.visible(1).await?;
    // By now the tokens of that post have ended as well.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    for _ in 0..3 {
        scene.post(0).await?;
    }
    scene.judge().await
}

/// The answer to a send is lost, and the account cannot be read until the program has died and lives again.
pub(super) async fn forgotten(run: Run) -> anyhow::Result<Vec<Violation>> {
    let mut scene = Scene::embedded(run, "mastodon", &[]).await?;
    scene.disturb("publish", json!({"kind": "accept_then_reset"}), 1).await?;
    scene.disturb("read", json!({"kind": "status", "code": 503}), 0).await?;
    let post = scene.post(0).await?;
    scene.visible(1).await?;
    // The scheduler knows as well by then: nobody but the sweeper will ask again.
    scene.reaches(&post, "unknown").await?;
    scene.kill(0).await?;
    scene.sandbox.clear_script().await?;
    scene.mesh.start_all().await?;
    scene.judge().await
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

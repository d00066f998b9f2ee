//! The data folder is copied away, posts go out, and then the old copy comes back: it knows nothing of them. After
//! `postmesh restore` says of when the copy is, what was due since then is looked for before it is sent, so nothing is
//! posted twice; what is due later goes out as planned.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use postmesh_kit::time::to_proto;

use super::{
    ground::Ground,
    scene::{Load, Scene, now_ms},
};
use crate::{Layer, rig::process::Start};

/// When the posts are due that were planned before the copy was made, counted from then.
const AHEAD: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(7), Duration::from_secs(9), Duration::from_secs(14)];
/// A process ends within this time of being asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut scene = ground.embedded(&[]).await?;
    scene.begin(Load { window: Duration::from_secs(1), ..Load::default() })?;
    let mut planned = Vec::new();
    for ahead in AHEAD {
        planned.extend(scene.post_each(ahead).await?);
    }
    scene.end_of_writing().await?;
    scene.mesh.terminate(0, ENDS_WITHIN).await?;
    let (data, copy) = (scene.mesh.folder.join("data"), scene.mesh.folder.join("copy"));
    copy_folder(&data, &copy)?;
    let as_of = to_proto(now_ms()).to_string();
    scene.mesh.start_all().await?;

    // The copy comes back in the middle of what it does not know.
    let per_time = planned.len() / AHEAD.len();
    let before = scene.sandbox.ledger().await?.len();
    let seen = scene.sandbox.ledger_of(before + per_time, 20_000).await?.len();
    ensure!(seen >= before + per_time, "nothing went out after the copy was made");
    let after = scene.between(Duration::ZERO, Duration::from_secs(3));
    tokio::time::sleep(after).await;
    scene.kill("up").await?;
    fs::remove_dir_all(&data)?;
    fs::rename(&copy, &data)?;
    restore(&scene, &as_of).await?;
    scene.mesh.start_all().await?;
    scene.judge(Vec::new()).await
}

/// Runs `postmesh restore` on the data folder.
async fn restore(scene: &Scene, as_of: &str) -> anyhow::Result<()> {
    let args = ["restore", "--data", "data", "--as-of", as_of];
    let verb = Start {
        name: "restore".to_owned(),
        args: args.map(str::to_owned).to_vec(),
        ready_url: String::new(),
        ..scene.mesh.starts[0].clone()
    };
    verb.once().await
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

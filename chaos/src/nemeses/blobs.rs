//! The store of pictures is away: moved elsewhere, or its folder cannot be entered. Texts go out on time; a post with
//! a picture waits in preparation, is never sent without it, and goes out once the store is back.

use std::{fs, path::PathBuf, time::Duration};

use super::{
    ground::Ground,
    scene::{Load, lateness_violations, now_ms},
};
use crate::{Layer, Violation, rig::history::Target};

/// What is due this long after the store went away had not been prepared by then.
const PREPARED_AHEAD_MS: i64 = 3_000;

/// A folder that is away until this is dropped.
struct Away {
    folder: PathBuf,
    aside: PathBuf,
    blocked: bool,
}

impl Away {
    /// With a file in its place, entering it is an error of its own; without, it is not there at all.
    fn take(folder: PathBuf, blocked: bool) -> anyhow::Result<Self> {
        let aside = folder.with_extension("away");
        fs::rename(&folder, &aside)?;
        if blocked {
            fs::write(&folder, b"")?;
        }
        Ok(Self { folder, aside, blocked })
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if self.blocked {
            let _ = fs::remove_file(&self.folder);
        }
        // Whatever was made in its place is given up: nothing of the store may be lost for it.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::rename(&self.aside, &self.folder);
    }
}

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let mut scene = ground.embedded(&[]).await?;
    let store = scene.mesh.folder.join("data/blobs");
    scene.begin(Load { changes: false, media: 0.4, window: Duration::from_secs(7), ..Load::default() })?;
    scene.end_of_writing().await?;
    scene.wait_due(0.0).await;
    let away = Away::take(store, scene.coin())?;
    let gone_ms = now_ms();
    tokio::time::sleep(scene.between(Duration::from_millis(4_500), Duration::from_secs(6))).await;
    let back_ms = now_ms();
    drop(away);
    scene
        .judge_with(|history| {
            let mut violations =
                lateness_violations(history, (gone_ms, back_ms), |target, _| has_picture(target));
            for target in &history.targets {
                let Some(last) = target.last().filter(|_| has_picture(target)) else { continue };
                let unprepared = last.due_ms > gone_ms + PREPARED_AHEAD_MS && last.due_ms < back_ms;
                let seen = history.visible.iter().find(|visible| visible.content == last.content);
                if unprepared && seen.is_some_and(|visible| visible.at_ms < back_ms) {
                    violations.push(
                        Violation::of("blobs", "it went out while its picture was out of reach")
                            .at(&target.id),
                    );
                }
            }
            violations
        })
        .await
}

fn has_picture(target: &Target) -> bool {
    target.last().is_some_and(|last| !last.media.is_empty())
}

//! The disk is full while posts are due: sending stops, the process lives, the files stay whole, and everything goes
//! out once there is room again.
//!
//! Two ways to be full: the data folder on a small file system of its own that a ballast fills (needs the right to
//! mount), or a limit on the size of every file the process writes, its log included.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    ground::Ground,
    scene::{Load, Scene},
};
use crate::{Layer, Violation};

/// Room on the small file system.
const ROOM: &str = "size=96m";
/// No file may be written beyond this offset while the limit holds, bytes.
const LIMIT: &str = "16384:";

/// A small file system at a folder; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", ROOM, "tmpfs"]).arg(folder).output()?;
        ensure!(mounted.status.success(), "mounting is not allowed here");
        Ok(Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = fs::File::create(self.ballast())?;
        // The last bytes as well: big pieces first, then small ones.
        for piece in [1 << 20, 4096] {
            while ballast.write_all(&vec![0; piece]).is_ok() {}
        }
        Ok(())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// How the disk becomes full.
enum Full {
    Ballast(Small),
    Limit,
}

impl Full {
    fn begin(&self, scene: &mut Scene) -> anyhow::Result<()> {
        match self {
            Self::Ballast(small) => small.fill(),
            Self::Limit => limit(scene, LIMIT),
        }
    }

    fn end(&self, scene: &mut Scene) -> anyhow::Result<()> {
        match self {
            Self::Ballast(small) => Ok(fs::remove_file(small.ballast())?),
            // A process that has ended took its limit along.
            Self::Limit if !scene.mesh.is_running(0) => Ok(()),
            Self::Limit => limit(scene, "unlimited:"),
        }
    }
}

fn limit(scene: &mut Scene, size: &str) -> anyhow::Result<()> {
    let pid = scene.mesh.process(0)?.pid().context("the process has ended")?;
    let set =
        Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--fsize={size}")]).output()?;
    ensure!(set.status.success(), "prlimit: {}", String::from_utf8_lossy(&set.stderr));
    Ok(())
}

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let data = ground.folder()?.join("data");
    let full = match Small::mount(&data).ok().filter(|_| ground.coin()) {
        Some(small) => Full::Ballast(small),
        None => Full::Limit,
    };
    // A write beyond a limit is a signal first, deadly unless it is ignored.
    let mut scene = ground.embedded_through(&["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).await?;
    scene.begin(Load::default())?;
    scene.wait_due(0.2).await;
    full.begin(&mut scene)?;
    let time = scene.between(Duration::from_secs(2), Duration::from_secs(4));
    tokio::time::sleep(time).await;
    let mut found = Vec::new();
    let lives = scene.mesh.is_running(0);
    full.end(&mut scene)?;
    if !lives {
        found.push(Violation::of("disk", "the process ended when the disk was full"));
        scene.mesh.start_all().await?;
    }
    scene.end_of_writing().await?;
    let folder = scene.mesh.folder.join("data");
    let layer = scene.judge_with(|_| found).await?;
    damaged(&folder)
        .await
        .map(|damaged| Layer { violations: layer.violations.into_iter().chain(damaged).collect(), ..layer })
}

/// What SQLite finds wrong with each database.
async fn damaged(data: &Path) -> anyhow::Result<Vec<Violation>> {
    let mut damaged = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "db") {
            let options = SqliteConnectOptions::new().filename(&path);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let says: String =
                sqlx::query_scalar("pragma integrity_check").fetch_one(&mut connection).await?;
            connection.close().await?;
            if says != "ok" {
                damaged.push(Violation::of("disk", format!("{} is damaged: {says}", path.display())));
            }
        }
    }
    Ok(damaged)
}

//! The clock the embedded program and its database read leaps ahead and back, by an hour and by a day, while posts are
//! due. Nothing may become visible before its time, nothing is missed because of it, and what was due goes out once
//! the clock has been steady.
//!
//! libfaketime stands between the program and the system's clock; the clocks that nobody can set stay real.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use rand::seq::SliceRandom as _;

use super::ground::Ground;
use crate::{Layer, Violation};

/// Leaps, in seconds.
const LEAPS: [i64; 4] = [3_600, -3_600, 86_400, -86_400];
/// When posts are due, counted from their writing.
const AHEAD: [Duration; 4] =
    [Duration::from_secs(3), Duration::from_secs(5), Duration::from_secs(7), Duration::from_secs(9)];
/// How long the clock stays wrong each time, at least.
const WRONG: Duration = Duration::from_millis(1_200);
/// After the last leap the program waits until two clean samples lie a minute apart; then it sends.
const STEADY: Duration = Duration::from_secs(61);

/// A clock that can be set, for programs started with its environment.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let library = fs::read_dir("/usr/lib")?
            .flatten()
            .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
            .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
            .find(|path| path.exists())
            .context("libfaketime is not installed (scripts/setup.sh test)")?;
        let clock = Self { library, file: folder.join("clock") };
        clock.leap(0)?;
        Ok(clock)
    }

    fn env(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file)),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Shows that many seconds more than the true time.
    fn leap(&self, seconds: i64) -> anyhow::Result<()> {
        let aside = self.file.with_extension("new");
        fs::write(&aside, format!("{seconds:+}\n"))?;
        fs::rename(&aside, &self.file)?;
        Ok(())
    }
}

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let clock = Clock::new(ground.folder()?)?;
    let mut scene = ground.embedded(&clock.env()).await?;
    // Far enough ahead that they are handed over at a leap of an hour, and missed, if it were true, at one of a day.
    let later = scene.post_each(Duration::from_mins(30)).await?;
    // All is written before the clock leaps: what a user plans while it is wrong cannot be judged.
    for ahead in AHEAD {
        scene.post_each(ahead).await?;
    }
    let mut leaps = LEAPS;
    leaps.shuffle(&mut scene.rng);
    for leap in leaps {
        clock.leap(leap)?;
        tokio::time::sleep(scene.between(WRONG, WRONG * 2)).await;
        clock.leap(0)?;
        tokio::time::sleep(scene.between(WRONG / 4, WRONG)).await;
    }
    tokio::time::sleep(STEADY).await;
    let mut violations = Vec::new();
    for written in &later {
        for state in scene.states(written).await? {
            if state != "scheduled" && state != "handed_over" {
                let what = format!("due in half an hour, it is {state} after the clock leapt and came back");
                violations.push(Violation::of("clock", what).at(&written.1.id));
            }
        }
    }
    scene.withdraw(&later).await?;
    scene.judge(violations).await
}

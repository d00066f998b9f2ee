//! Clocks that are wrong by a fixed amount, for programs started with this environment. libfaketime stands between the
//! program and the system's clock; the clocks that nobody can set stay true.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The environment of a program whose clock shows that many seconds more than the true time.
pub fn ahead(seconds: i64) -> anyhow::Result<Vec<(String, String)>> {
    let library = library()?.display().to_string();
    let pairs = [
        ("LD_PRELOAD", library),
        ("FAKETIME", format!("{seconds:+}")),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    Ok(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn library() -> anyhow::Result<PathBuf> {
    let of = |folder: &Path| folder.join("faketime/libfaketimeMT.so.1");
    std::fs::read_dir("/usr/lib")?
        .flatten()
        .map(|entry| of(&entry.path()))
        .chain([of(Path::new("/usr/lib"))])
        .find(|path| path.exists())
        .context("libfaketime is not installed (scripts/setup.sh test)")
}

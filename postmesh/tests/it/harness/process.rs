//! A program of ours as a child process that never outlives its test.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_postmesh");

/// A running `postmesh …`, with what it prints in a file.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `postmesh` with arguments and settings; output goes to `<folder>/<name>.log`.
    pub(crate) fn start<S: AsRef<OsStr>>(
        folder: &Path,
        name: &str,
        args: &[S],
        env: &[(String, String)],
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(PROGRAM)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .envs(env.iter().cloned())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal, by name as `kill` knows it.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("still running").to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end; answers how long it took and whether the exit code was 0.
    pub(crate) async fn ended(&mut self) -> (Duration, bool) {
        let began = Instant::now();
        let status = self.child.wait().await.unwrap();
        (began.elapsed(), status.success())
    }

    /// True when it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it printed.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has printed this.
    pub(crate) async fn says(&mut self, words: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.output().contains(words) {
            assert!(!self.has_ended(), "it ended instead of saying {words:?}:\n{}", self.output());
            assert!(Instant::now() < until, "it does not say {words:?}:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until an address answers 200, as an operator's probe does.
    pub(crate) async fn ready(&mut self, url: &str) {
        let client = super::http();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(!self.has_ended(), "it ended instead of answering {url}:\n{}", self.output());
            assert!(Instant::now() < until, "{url} does not answer:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

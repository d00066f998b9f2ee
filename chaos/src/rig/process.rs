//! A process of the program under test: it can be killed, stopped, continued and asked to end, and it never outlives
//! the suite.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How a process is started, again and again.
#[derive(Debug, Clone)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its name in messages and of its log.
    pub name: String,
    /// Its working folder; its log is `<folder>/<name>.log`.
    pub folder: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment, besides `PATH` and a home in the folder. A later setting wins.
    pub env: Vec<(String, String)>,
    /// An address that answers 200 once it is ready; empty when it has none.
    pub ready_url: String,
}

impl Start {
    /// The log of every life of this process.
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Starts it, with further settings for this one life.
    pub fn spawn_with(&self, env: &[(String, String)]) -> anyhow::Result<Process> {
        let out = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .envs(self.env.iter().chain(env).map(|(key, value)| (key, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", self.program.display()))?;
        Ok(Process { start: self.clone(), child, spawned: Instant::now() })
    }

    /// Starts it.
    pub fn spawn(&self) -> anyhow::Result<Process> {
        self.spawn_with(&[])
    }

    /// Runs it to its end, which must be a good one.
    pub async fn once(&self) -> anyhow::Result<()> {
        let mut process = self.spawn()?;
        let status = process.ended().await?;
        ensure!(status.success(), "`{}` failed:\n{}", self.args.join(" "), process.log_end());
        Ok(())
    }
}

/// One life of a process.
#[derive(Debug)]
pub struct Process {
    start: Start,
    child: Child,
    spawned: Instant,
}

impl Process {
    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.spawned.elapsed()
    }

    /// Its process id; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else {
            return Ok(());
        };
        Ok(kill_process(pid, signal)?)
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.start_kill().or_else(|error| match self.child.try_wait() {
            Ok(Some(_)) => Ok(()),
            _ => Err(error),
        })?;
        Ok(self.child.wait().await?)
    }

    /// Stands still until it is resumed (SIGSTOP).
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Goes on (SIGCONT).
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Is asked to end (SIGTERM), and has that long to do so.
    pub async fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} did not end within {within:?} of SIGTERM", self.start.name),
        }
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it says it is ready; an error when it ends or takes longer.
    pub async fn ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        loop {
            if is_ready(&self.start.ready_url).await {
                return Ok(());
            }
            if let Some(status) = self.has_ended() {
                bail!("{} ended ({status}) instead of becoming ready:\n{}", self.start.name, self.log_end());
            }
            ensure!(
                Instant::now() < until,
                "{} is not ready after {within:?}:\n{}",
                self.start.name,
                self.log_end()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The end of what all its lives printed.
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.start.log()).unwrap_or_default();
        let mut from = text.len().saturating_sub(4000);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text[from..].to_owned()
    }
}

/// Whether an address answers 200 now.
pub async fn is_ready(url: &str) -> bool {
    let asked = http().get(url).timeout(Duration::from_secs(2)).send();
    asked.await.is_ok_and(|answer| answer.status().is_success())
}

/// Plain HTTP without proxies or redirects, for addresses of this machine.
#[expect(clippy::disallowed_methods, reason = "the suite calls only what it started itself")]
pub fn http() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // What is asked here is often gone a moment later; and a connection belongs to the runtime it began in.
            .pool_max_idle_per_host(0)
            .build()
            .expect("the client's settings are constant")
    });
    CLIENT.clone()
}

/// A loopback port that was free a moment ago and lies below those the kernel hands out by itself, so that no
/// outgoing connection takes it while the process that listens there is down.
pub fn free_port() -> anyhow::Result<u16> {
    use std::{
        collections::HashSet,
        sync::{Mutex, PoisonError},
    };
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    for _ in 0..10_000 {
        let port = 20_000 + rand::random::<u16>() % 12_000;
        if !given.contains(&port) && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!("no port between 20000 and 32000 is free");
}

/// A folder made if it is missing.
pub fn folder(path: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path.canonicalize()?)
}

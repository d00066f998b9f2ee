//! A mesh as its operators run it: embedded in one process, or six processes on PostgreSQL and Redis with mutual TLS
//! between them. Addresses and folders stay the same over every death and restart.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use super::{
    Sandbox,
    client::{NETWORKS, Way},
    process::{self, Process, Start, free_port},
};

/// The services that run as processes of their own, in call order.
pub const SERVICES: [&str; 6] = ["auth", "media", "publisher", "analytics", "scheduler", "gateway"];
/// A process is ready within this time on a machine that is busy, or something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Short times, so that a crash, a lost answer and a lease are over within seconds.
pub const QUICK: &[(&str, &str)] = &[
    ("POSTMESH_PUBLISHER__SEND_TIMEOUT_MS", "1000"),
    ("POSTMESH_PUBLISHER__QUIESCE_MS", "1000"),
    ("POSTMESH_PUBLISHER__LEASE_MS", "2000"),
    ("POSTMESH_PUBLISHER__SWEEP_MS", "200"),
    ("POSTMESH_PUBLISHER__PREP_LEAD_MS", "2000"),
    ("POSTMESH_PUBLISHER__BACKOFF_FIRST_MS", "100"),
    ("POSTMESH_PUBLISHER__BACKOFF_MOST_MS", "1000"),
    ("POSTMESH_PUBLISHER__ABSENT_SPAN_MS", "2000"),
    ("POSTMESH_PUBLISHER__POLL_MS", "200"),
    ("POSTMESH_SCHEDULER__PREP_LEAD_MS", "2000"),
    ("POSTMESH_SCHEDULER__SCAN_PERIOD_MS", "100"),
    ("POSTMESH_SCHEDULER__OFFER_LEASE_MS", "500"),
    ("POSTMESH_SCHEDULER__WATCH_POLL_MS", "100"),
    // One writer stands for many users here.
    ("POSTMESH_GATEWAY__USER_RATE", "1000000"),
    ("POSTMESH_GATEWAY__USER_BURST", "1000000"),
    ("POSTMESH_GATEWAY__ADDRESS_RATE", "1000000"),
    ("POSTMESH_GATEWAY__ADDRESS_BURST", "1000000"),
    ("POSTMESH_LOG__FILTER", "warn"),
];

/// The servers that six processes share.
#[derive(Debug, Clone)]
pub struct Backends {
    /// URL of a PostgreSQL database of this mesh alone, not migrated yet.
    pub database: String,
    /// URL of a Redis.
    pub cache: String,
}

/// Where the rows of a mesh are, for reading them when all is over.
#[derive(Debug, Clone)]
pub enum Rows {
    /// The folder with one SQLite file per service.
    Sqlite(PathBuf),
    /// A PostgreSQL database with a schema per service.
    Postgres(String),
}

/// A mesh. Its processes end when it is dropped.
#[derive(Debug)]
pub struct Mesh {
    /// Address of the gateway.
    pub url: String,
    /// The folder of its data and logs.
    pub folder: PathBuf,
    /// How each process is started; settings may be changed before a restart.
    pub starts: Vec<Start>,
    /// Where its rows are.
    pub rows: Rows,
    processes: Vec<Option<Process>>,
}

impl Mesh {
    /// Every service in one process on SQLite, in that folder, with these settings besides [`QUICK`]. Not started.
    pub fn embedded(
        program: &Path,
        folder: &Path,
        sandbox: &Sandbox,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let folder = process::folder(folder)?;
        let (gateway, admin) = (free_port()?, free_port()?);
        let mut env = common(sandbox);
        env.extend([
            setting("POSTMESH_GATEWAY__BIND", format!("127.0.0.1:{gateway}")),
            setting("POSTMESH_ADMIN__BIND", format!("127.0.0.1:{admin}")),
        ]);
        env.extend_from_slice(settings);
        let url = format!("http://127.0.0.1:{gateway}");
        let start = Start {
            program: program.to_owned(),
            name: "up".to_owned(),
            folder: folder.clone(),
            args: vec!["up".to_owned(), "--data".to_owned(), "data".to_owned()],
            env,
            ready_url: format!("{url}/healthz"),
        };
        Ok(Self {
            url,
            rows: Rows::Sqlite(folder.join("data")),
            folder,
            starts: vec![start],
            processes: vec![None],
        })
    }

    /// The five services and the gateway as six processes: makes the certificates, migrates the database, starts
    /// nothing yet. A service is number `n` of [`SERVICES`].
    pub async fn six(
        program: &Path,
        folder: &Path,
        sandbox: &Sandbox,
        backends: &Backends,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let folder = process::folder(folder)?;
        let gateway = free_port()?;
        let ports = SERVICES.iter().map(|_| free_port()).collect::<anyhow::Result<Vec<u16>>>()?;
        let mut shared = common(sandbox);
        shared.extend([
            setting("POSTMESH_DATABASE__URL", backends.database.clone()),
            setting("POSTMESH_CACHE__URL", backends.cache.clone()),
            setting("POSTMESH_GATEWAY__BIND", format!("127.0.0.1:{gateway}")),
            setting("POSTMESH_MESH__CA", "certs/ca.crt".to_owned()),
        ]);
        for (service, port) in SERVICES.iter().zip(&ports).filter(|(service, _)| **service != "gateway") {
            let key = format!("POSTMESH_MESH__{}", service.to_uppercase());
            shared.push((key, format!("https://127.0.0.1:{port}")));
        }
        shared.extend_from_slice(settings);
        let once = |args: &[&str]| Start {
            program: program.to_owned(),
            name: "once".to_owned(),
            folder: folder.clone(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: shared.clone(),
            ready_url: String::new(),
        };
        once(&["certs", "--out", "certs"]).once().await?;
        once(&["migrate"]).once().await?;
        let url = format!("http://127.0.0.1:{gateway}");
        let mut starts = Vec::new();
        for (service, port) in SERVICES.iter().zip(&ports) {
            let admin = free_port()?;
            let mut start = Start { name: (*service).to_owned(), ..once(&["run", service]) };
            start.env.extend([
                setting("POSTMESH_MESH__BIND", format!("127.0.0.1:{port}")),
                setting("POSTMESH_MESH__CERT", format!("certs/{service}.crt")),
                setting("POSTMESH_MESH__KEY", format!("certs/{service}.key")),
                setting("POSTMESH_ADMIN__BIND", format!("127.0.0.1:{admin}")),
            ]);
            start.ready_url = match *service {
                "gateway" => format!("{url}/healthz"),
                _ => format!("http://127.0.0.1:{admin}/readyz"),
            };
            starts.push(start);
        }
        let processes = starts.iter().map(|_| None).collect();
        Ok(Self { url, rows: Rows::Postgres(backends.database.clone()), folder, starts, processes })
    }

    /// How many processes it has.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// False: a mesh has at least one process.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Adds a process that is started like the others; answers its number.
    pub fn add(&mut self, start: Start) -> usize {
        self.starts.push(start);
        self.processes.push(None);
        self.len() - 1
    }

    /// The number of that service's process; 0 in the embedded default, which is all of them.
    pub fn number_of(&self, service: &str) -> usize {
        self.starts.iter().position(|start| start.name == service).unwrap_or_default()
    }

    /// Starts every process that does not run and waits until all are ready.
    pub async fn start_all(&mut self) -> anyhow::Result<()> {
        for n in 0..self.len() {
            if !self.is_running(n) {
                self.start(n)?;
            }
        }
        self.wait_all_ready().await
    }

    /// Starts a process, without waiting for anything.
    pub fn start(&mut self, n: usize) -> anyhow::Result<()> {
        self.start_with(n, &[])
    }

    /// The same, with further settings for this one life.
    pub fn start_with(&mut self, n: usize, env: &[(String, String)]) -> anyhow::Result<()> {
        self.processes[n] = Some(self.starts[n].spawn_with(env)?);
        Ok(())
    }

    /// Waits until a process is ready.
    pub async fn wait_ready(&mut self, n: usize) -> anyhow::Result<()> {
        self.process(n)?.ready(PATIENCE).await
    }

    /// Waits until every process is ready.
    pub async fn wait_all_ready(&mut self) -> anyhow::Result<()> {
        for n in 0..self.len() {
            self.wait_ready(n).await?;
        }
        Ok(())
    }

    /// A process that was started.
    pub fn process(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        let name = &self.starts[n].name;
        self.processes[n].as_mut().with_context(|| format!("{name} was not started"))
    }

    /// Whether a process was started and has not ended.
    pub fn is_running(&mut self, n: usize) -> bool {
        self.processes[n].as_mut().is_some_and(|process| process.has_ended().is_none())
    }

    /// Kills a process and waits until it is gone.
    pub async fn kill(&mut self, n: usize) -> anyhow::Result<()> {
        self.process(n)?.kill().await.map(drop)
    }

    /// Stops a process where it stands.
    pub fn pause(&mut self, n: usize) -> anyhow::Result<()> {
        self.process(n)?.pause()
    }

    /// Lets a stopped process go on.
    pub fn resume(&mut self, n: usize) -> anyhow::Result<()> {
        self.process(n)?.resume()
    }

    /// Asks a process to end and waits for that; an error when it ends badly or takes longer.
    pub async fn terminate(&mut self, n: usize, within: Duration) -> anyhow::Result<()> {
        let status = self.process(n)?.terminate(within).await?;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.starts[n].name);
        Ok(())
    }

    /// True when every process is ready now.
    pub async fn is_ready(&self) -> bool {
        for start in &self.starts {
            if !process::is_ready(&start.ready_url).await {
                return false;
            }
        }
        true
    }

    /// Copies what the processes printed into a folder.
    pub fn keep_logs(&self, folder: &Path) -> anyhow::Result<()> {
        for start in &self.starts {
            let to = folder.join(format!("{}.log", start.name));
            if start.log().exists() && start.log() != to {
                std::fs::copy(start.log(), to)?;
            }
        }
        Ok(())
    }
}

fn setting(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

fn common(sandbox: &Sandbox) -> Vec<(String, String)> {
    let quick = QUICK.iter().map(|(key, value)| setting(key, (*value).to_owned()));
    quick
        .chain([setting(
            "POSTMESH_OUTBOUND__ALLOW",
            format!("[\"{}\", \"{}\"]", sandbox.addr(), sandbox.public()),
        )])
        // A case squeezes days of posts into minutes; what daily limits do is shown elsewhere.
        .chain(NETWORKS.iter().map(|network| {
            setting(&format!("POSTMESH_PUBLISHER__PERMITS__{}", network.name.to_uppercase()), "[]".to_owned())
        }))
        .chain(NETWORKS.iter().filter(|network| network.way == Way::App).flat_map(|network| {
            let key =
                |field: &str| format!("POSTMESH_PUBLISHER__APPS__{}__{field}", network.name.to_uppercase());
            [
                (key("CLIENT_ID"), format!("sandbox-{}", network.name)),
                (key("CLIENT_SECRET"), format!("sandbox-{}-secret", network.name)),
            ]
        }))
        .collect()
}

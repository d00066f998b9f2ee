//! `postmesh bench`: N posts due at one instant, through the embedded default, to the sandbox's networks.
//!
//! The mesh and the sandbox run as processes of their own, so that CPU is counted apart. Lateness is what the networks
//! saw: from the due time to the moment a post became visible. Judge by CPU per post and by ratios within one run;
//! wall times depend on the machine.

use std::{
    collections::HashMap,
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    time::to_proto,
};
use postmesh_proto::{
    auth::v1::{RegisterRequest, auth_service_client::AuthServiceClient},
    publisher::v1::{
        BeginConnectRequest, CompleteConnectRequest, ConnectWithPasswordRequest,
        account_service_client::AccountServiceClient,
    },
    scheduler::v1::{CreatePostRequest, TargetInput, post_service_client::PostServiceClient},
};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tonic::{Request, transport::Channel};

use crate::{
    client::{Server, explain, http, request_id},
    demo,
};

/// Posts created at the same time.
const WRITERS: usize = 64;
/// The networks have this long to show everything after the due time.
const PATIENCE: Duration = Duration::from_mins(5);
/// Ticks per second in `/proc/<pid>/stat` on Linux.
const TICKS: f64 = 100.0;

/// Measure this build.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Posts, each to one account
    #[arg(long, default_value_t = 10_000)]
    posts: usize,
    /// Accounts, half of them on each network
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=1000))]
    accounts: u16,
    /// Time for writing the posts before they are due; measured from the first one
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    due_in: Option<Duration>,
}

#[derive(Debug, Deserialize)]
struct Line {
    text: String,
    visible_at_ms: i64,
}

impl Bench {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = std::env::temp_dir().join(format!("postmesh-bench-{}", request_id()));
        std::fs::create_dir_all(&folder)?;
        let outcome = self.measure(&folder).await;
        let _ = std::fs::remove_dir_all(&folder);
        let report = outcome?;
        println!("{report}");
        let clean = ["duplicates", "lost", "early"].iter().all(|key| report[key] == 0);
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn measure(&self, folder: &Path) -> anyhow::Result<serde_json::Value> {
        let sandbox = Part::start(folder, "sandbox", &[], |port| {
            vec!["sandbox".into(), "--bind".into(), format!("127.0.0.1:{port}")]
        })
        .await?;
        let admin = free_port()?;
        let mesh = Part::start(
            folder,
            "mesh",
            &[
                ("POSTMESH_OUTBOUND__ALLOW", format!("[\"127.0.0.1:{}\"]", sandbox.port)),
                ("POSTMESH_ADMIN__BIND", format!("127.0.0.1:{admin}")),
                ("POSTMESH_LOG__FILTER", "warn".into()),
                // One writer stands for many users here.
                ("POSTMESH_GATEWAY__USER_RATE", "1000000".into()),
                ("POSTMESH_GATEWAY__USER_BURST", "1000000".into()),
                ("POSTMESH_GATEWAY__ADDRESS_RATE", "1000000".into()),
                ("POSTMESH_GATEWAY__ADDRESS_BURST", "1000000".into()),
                // What is measured is postmesh, not what the networks allow one account.
                ("POSTMESH_PUBLISHER__PERMITS", "{mastodon = [], bluesky = []}".into()),
            ],
            |_| vec!["up".into(), "--data".into(), "data".into()],
        )
        .await?;
        let idle_mb = mesh.memory_mb("VmRSS")?;
        let channel = Server::at(mesh.url()).connect().await?.1;
        let token = register(channel.clone()).await?;
        let accounts = self.connect(&channel, &token, &sandbox.url()).await?;

        let bar = ProgressBar::new(self.posts as u64);
        let (began, before) = (SystemClock.now_ms(), mesh.cpu_seconds()?);
        let lead = self.due_in.unwrap_or_else(|| Duration::from_millis(5000 + self.posts as u64 * 2));
        let due = began + i64::try_from(lead.as_millis())?;
        let create = |n: usize| {
            let request = CreatePostRequest {
                text: format!("bench {n}"),
                targets: vec![TargetInput {
                    account_id: accounts[n % accounts.len()].clone(),
                    text: None,
                    settings: None,
                }],
                schedule_time: Some(to_proto(due)),
                request_id: request_id(),
                ..Default::default()
            };
            let (channel, token, bar) = (channel.clone(), &token, &bar);
            async move {
                PostServiceClient::new(channel)
                    .create_post(authorized(request, token)?)
                    .await
                    .map_err(|s| explain(&s))?;
                bar.inc(1);
                anyhow::Ok(())
            }
        };
        stream::iter(0..self.posts).map(create).buffer_unordered(WRITERS).try_collect::<Vec<_>>().await?;
        bar.finish_and_clear();
        let written_ms = SystemClock.now_ms() - began;
        ensure!(
            SystemClock.now_ms() < due,
            "writing took {written_ms} ms, longer than the time before they are due; use --due-in"
        );
        let written = mesh.cpu_seconds()?;
        tokio::time::sleep(Duration::from_millis((due - SystemClock.now_ms()).max(0).cast_unsigned())).await;
        let (prepared, sandbox_before) = (mesh.cpu_seconds()?, sandbox.cpu_seconds()?);
        let lines = self.visible(&sandbox.url()).await?;
        let (published, sandbox_after) = (mesh.cpu_seconds()?, sandbox.cpu_seconds()?);

        let mut late: Vec<i64> = lines.iter().map(|line| line.visible_at_ms - due).collect();
        late.sort_unstable();
        let mut times: HashMap<&str, usize> = HashMap::new();
        for line in &lines {
            *times.entry(&line.text).or_default() += 1;
        }
        let at = |share: f64| {
            late.get(((late.len().saturating_sub(1)) as f64 * share) as usize).copied().unwrap_or_default()
        };
        let per_1000 = |seconds: f64| (seconds * 1_000_000.0 / self.posts as f64).round() / 1000.0;
        Ok(serde_json::json!({
            "workload": "burst", "posts": self.posts, "accounts": self.accounts, "store": "sqlite",
            "lost": self.posts - times.len(), "duplicates": lines.len() - times.len(),
            "early": late.iter().filter(|late| **late < 0).count(),
            "lag_ms": {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)},
            "posts_per_s": (self.posts as f64 * 1000.0 / at(1.0).max(1) as f64).round(),
            "created_per_s": (self.posts as f64 * 1000.0 / written_ms.max(1) as f64).round(),
            "cpu_s_per_1000": {"create": per_1000(written - before), "hand_over_and_prepare": per_1000(prepared - written),
                "publish": per_1000(published - prepared), "sandbox": per_1000(sandbox_after - sandbox_before)},
            "memory_mb": {"idle": idle_mb, "peak": mesh.memory_mb("VmHWM")?},
        }))
    }

    /// Connects the accounts, half on each network; answers their ids.
    async fn connect(&self, channel: &Channel, token: &str, sandbox: &str) -> anyhow::Result<Vec<String>> {
        let mut client = AccountServiceClient::new(channel.clone());
        let mut ids = Vec::new();
        for n in 0..self.accounts {
            let account = if n % 2 == 0 {
                let handle = format!("bench{n}.test");
                let made = new_account(sandbox, "bluesky", &handle).await?;
                let request = ConnectWithPasswordRequest {
                    network: "bluesky".into(),
                    server: format!("{sandbox}/bluesky"),
                    identifier: handle,
                    password: made["password"]
                        .as_str()
                        .context("the sandbox answered no password")?
                        .to_owned(),
                    request_id: request_id(),
                };
                client
                    .connect_with_password(authorized(request, token)?)
                    .await
                    .map_err(|s| explain(&s))?
                    .into_inner()
                    .account
            } else {
                let handle = format!("bench{n}");
                new_account(sandbox, "mastodon", &handle).await?;
                let begin = BeginConnectRequest {
                    network: "mastodon".into(),
                    server: format!("{sandbox}/mastodon"),
                    return_path: String::new(),
                    request_id: request_id(),
                };
                let begun = client
                    .begin_connect(authorized(begin, token)?)
                    .await
                    .map_err(|s| explain(&s))?
                    .into_inner();
                demo::allow_as(&handle, &begun.authorization_url).await?;
                let complete =
                    CompleteConnectRequest { connection_id: begun.connection_id, native_ids: Vec::new() };
                client
                    .complete_connect(authorized(complete, token)?)
                    .await
                    .map_err(|s| explain(&s))?
                    .into_inner()
                    .account
            };
            ids.push(account.context("no account was answered")?.id);
        }
        Ok(ids)
    }

    /// Waits until all posts are visible and nothing more comes.
    async fn visible(&self, sandbox: &str) -> anyhow::Result<Vec<Line>> {
        let until = tokio::time::Instant::now() + PATIENCE;
        let ledger = |n: usize, ms: u64| {
            http().get(format!("{sandbox}/_sandbox/ledger?wait_for={n}&timeout_ms={ms}")).send()
        };
        while tokio::time::Instant::now() < until {
            let text = ledger(self.posts, 10_000).await?.text().await?;
            if text.lines().count() >= self.posts {
                break;
            }
        }
        // A duplicate would come after the last: wait for one more than there should be.
        let text = ledger(self.posts + 1, 2_000).await?.text().await?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

async fn register(channel: Channel) -> anyhow::Result<String> {
    let request = RegisterRequest {
        email: "bench@example.com".into(),
        password: request_id(),
        request_id: request_id(),
        ..Default::default()
    };
    let answer =
        AuthServiceClient::new(channel).register(request).await.map_err(|s| explain(&s))?.into_inner();
    Ok(answer.session.context("no session was answered")?.access_token)
}

async fn new_account(sandbox: &str, network: &str, handle: &str) -> anyhow::Result<serde_json::Value> {
    let body = serde_json::json!({"network": network, "handle": handle});
    Ok(http()
        .post(format!("{sandbox}/_sandbox/accounts"))
        .json(&body)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?)
}

fn authorized<T>(message: T, token: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

/// A part of the measurement as its own process; it ends with the measurement.
struct Part {
    child: Child,
    port: u16,
}

impl Part {
    async fn start(
        folder: &Path,
        name: &str,
        env: &[(&str, String)],
        args: impl Fn(u16) -> Vec<String>,
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        let log = std::fs::File::create(folder.join(format!("{name}.log")))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(args(port))
            .env("POSTMESH_GATEWAY__BIND", format!("127.0.0.1:{port}"))
            .envs(env.iter().map(|(key, value)| (key, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let url = format!("http://127.0.0.1:{port}/healthz");
        for _ in 0..1000 {
            if http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(Self { child, port });
            }
            if child.try_wait()?.is_some() {
                bail!("{name} ended: {}", std::fs::read_to_string(folder.join(format!("{name}.log")))?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{name} does not become ready");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let pid = self.child.id().context("it has ended")?;
        std::fs::read_to_string(format!("/proc/{pid}/{file}"))
            .context("CPU and memory are read from /proc, on Linux only")
    }

    /// User and system seconds so far.
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        let (_, after_name) = stat.rsplit_once(')').context("/proc/<pid>/stat has another form")?;
        let ticks: f64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS)
    }

    /// A line of `/proc/<pid>/status`, in MiB.
    fn memory_mb(&self, key: &str) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status
            .lines()
            .find(|line| line.starts_with(key))
            .context("/proc/<pid>/status has another form")?;
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).context("not a number")?;
        Ok(kib / 1024)
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

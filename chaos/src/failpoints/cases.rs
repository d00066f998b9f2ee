//! One case: a mesh of one process, users of one network, points that fail one after the other or all at once, and the
//! judgement.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, select},
    pin_mut,
    stream::FuturesUnordered,
};
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    faults,
    time::to_proto,
};
use rand::{RngExt as _, rngs::StdRng};
use tokio::time::Instant;

use super::{Case, Mode, tour};
use crate::{
    Bar, Kind, Layer, Plan, Violation,
    plan::rng,
    rig::{
        Client, Mesh, Sandbox,
        drain::drain,
        history::{Account, Allowances, Target},
        process::Start,
        remains,
        sandbox::Line,
        workload::{Crowd, Member},
    },
};

/// A point is passed within this time of its post, or it is not passed at all.
const PASSED_WITHIN: Duration = Duration::from_secs(15);
/// All points of one life are passed within this time.
const ALL_PASSED_WITHIN: Duration = Duration::from_secs(45);
/// Two leases of the suite's meshes, milliseconds.
const STANDS_STILL_MS: u64 = 4_000;
/// Accounts of a case: one whose line stands still does not keep the others from passing the next points.
const ACCOUNTS: usize = 6;
/// In a life with every point armed, posts are written this often until all were hit.
const EVERY: Duration = Duration::from_millis(400);

/// Runs a case to its judgement.
pub(super) async fn run(plan: &Plan, case: Case, bar: &Bar) -> anyhow::Result<Layer> {
    let folder = tempfile::Builder::new().prefix("failpoints-").tempdir()?;
    let sandbox = Sandbox::start().await?;
    let mut stage = Stage::set(plan, case, folder.path(), &sandbox).await?;
    let sleep = format!("sleep({STANDS_STILL_MS})");
    let (mut found, action) = match case.mode {
        Mode::Abort => (stage.die_everywhere(bar).await?, "abort"),
        Mode::Error => (stage.fail_everywhere("error", bar).await?, "error"),
        Mode::Sleep => (stage.fail_everywhere(&sleep, bar).await?, sleep.as_str()),
    };
    found.extend(stage.restore(action, bar).await?);
    let layer = stage.judge(plan, found).await?;
    sandbox.shutdown().await;
    Ok(layer)
}

/// A mesh with its users, and what failed so far.
struct Stage<'a> {
    case: Case,
    folder: PathBuf,
    sandbox: &'a Sandbox,
    mesh: Mesh,
    crowd: Crowd,
    /// What users are still doing; they repeat what is not answered.
    under_way: FuturesUnordered<BoxFuture<'a, anyhow::Result<()>>>,
    written: AtomicUsize,
    rng: StdRng,
    crashes: u64,
}

impl<'a> Stage<'a> {
    async fn set(plan: &Plan, case: Case, folder: &Path, sandbox: &'a Sandbox) -> anyhow::Result<Self> {
        let mut mesh = Mesh::embedded(&plan.program, folder, sandbox, &[])?;
        mesh.start_all().await?;
        let client = Client::of(&mesh.url)?;
        let user = client.register(case.network.name).await?;
        let mut accounts = Vec::new();
        for n in 0..ACCOUNTS {
            accounts.push(user.connect(sandbox, case.network, &case.network.handle(&format!("f{n}"))).await?);
        }
        let alt = "a picture".to_owned();
        let picture = (user.upload(&alt).await?, alt.clone());
        let clip = (user.upload_clip(&alt).await?, alt);
        mesh.kill(0).await?;
        let crowd = Crowd { client, users: vec![Member { user, accounts, picture, clip }] };
        Ok(Self {
            case,
            folder: folder.to_owned(),
            sandbox,
            mesh,
            crowd,
            under_way: FuturesUnordered::new(),
            written: AtomicUsize::new(0),
            rng: rng(case.seed),
            crashes: 0,
        })
    }

    fn log(&self) -> PathBuf {
        self.folder.join("faults.log")
    }

    /// The setting with failures at these points, at that hit.
    fn plan(&self, points: &[&str], action: &str, hit: u64) -> (String, String) {
        let failures: Vec<String> = points.iter().map(|point| format!("{point}={action}@{hit}")).collect();
        (faults::VARIABLE.to_owned(), format!("{};log={}", failures.join(";"), self.log().display()))
    }

    /// Starts the process with failures at these points.
    fn start(&mut self, points: &[&str], action: &str) -> anyhow::Result<()> {
        let plan = self.plan(points, action, self.case.hit);
        self.mesh.start_with(0, &[plan])
    }

    /// Has users do what brings a post to the point.
    fn act(&mut self, point: &str) {
        let crowd = self.crowd.clone();
        let account = self.account();
        let n = self.written.fetch_add(1, Ordering::Relaxed);
        let text = format!("{point} {n} {:08x}", self.rng.random::<u32>());
        let (act, sandbox) = (tour::act(point), self.sandbox);
        let doing = async move { tour::perform(act, sandbox, &crowd, &account, text).await };
        self.under_way.push(doing.boxed());
    }

    fn account(&self) -> Account {
        let accounts = &self.crowd.users[0].accounts;
        accounts[self.written.load(Ordering::Relaxed) % accounts.len()].clone()
    }

    /// Points that failed as planned so far.
    fn failed(&self) -> BTreeSet<String> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines = log.lines().filter(|line| !line.starts_with("hit "));
        lines.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
    }

    /// Goes on with what users are doing until the future is ready.
    async fn meanwhile<T>(&mut self, until: impl Future<Output = T>) -> anyhow::Result<T> {
        pin_mut!(until);
        loop {
            if self.under_way.is_empty() {
                return Ok(until.await);
            }
            match select(until.as_mut(), self.under_way.next()).await {
                futures::future::Either::Left((ready, _)) => return Ok(ready),
                futures::future::Either::Right((ended, _)) => {
                    ended.transpose().context("a user gave up")?;
                }
            }
        }
    }

    /// One life per point, each ended there.
    async fn die_everywhere(&mut self, bar: &Bar) -> anyhow::Result<Vec<Violation>> {
        let mut found = Vec::new();
        for point in tour::points(self.case.network).0 {
            self.start(&[point], "abort")?;
            let until = Instant::now() + PASSED_WITHIN;
            for _ in 0..self.case.hit {
                self.act(point);
            }
            while self.mesh.is_running(0) && Instant::now() < until {
                self.meanwhile(tokio::time::sleep(Duration::from_millis(10))).await?;
            }
            if self.mesh.is_running(0) {
                self.mesh.kill(0).await?;
                found.push(self.missed(point));
            } else if !self.failed().contains(point) {
                let what = format!(
                    "the program ended before it reached {point}:\n{}",
                    self.mesh.process(0)?.log_end()
                );
                found.push(Violation::of("run", what));
            }
            self.crashes += 1;
            bar.advance(1);
            if tour::act(point).needs_calm() {
                self.calm().await?;
            }
        }
        Ok(found)
    }

    /// A life in which nothing fails, until everything users began is through, ended in good order.
    async fn calm(&mut self) -> anyhow::Result<()> {
        self.mesh.start_all().await?;
        while let Some(ended) = self.under_way.next().await {
            ended.context("a user gave up")?;
        }
        let written = self.crowd.client.targets();
        let is_through = |ledger: &[Line]| {
            let due = written.iter().filter(|target| target.cancelled_ms.is_none());
            due.filter_map(Target::last).all(|last| ledger.iter().any(|line| line.text == last.content))
        };
        let until = Instant::now() + PASSED_WITHIN;
        while Instant::now() < until && !is_through(&self.sandbox.ledger().await?) {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        self.mesh.terminate(0, PASSED_WITHIN).await
    }

    /// One life with all points armed.
    async fn fail_everywhere(&mut self, action: &str, bar: &Bar) -> anyhow::Result<Vec<Violation>> {
        let (points, _) = tour::points(self.case.network);
        self.start(&points, action)?;
        let until = Instant::now() + ALL_PASSED_WITHIN;
        let mut left: Vec<&str> = points;
        while !left.is_empty() && Instant::now() < until {
            // One post for each kind of act that a point still waits for.
            let mut acts = Vec::new();
            for point in left.clone() {
                if !acts.contains(&tour::act(point)) {
                    acts.push(tour::act(point));
                    self.act(point);
                }
            }
            self.meanwhile(tokio::time::sleep(EVERY)).await?;
            anyhow::ensure!(
                self.mesh.is_running(0),
                "the program ended:\n{}",
                self.mesh.process(0)?.log_end()
            );
            let failed = self.failed();
            let before = left.len();
            left.retain(|point| !failed.contains(*point));
            bar.advance((before - left.len()) as u64);
        }
        Ok(left.into_iter().map(|point| self.missed(point)).collect())
    }

    /// The process ends, and an operator marks its data as a copy from just now: first failing at each point of that,
    /// then in earnest. What is not sent by then is looked for before it is.
    async fn restore(&mut self, action: &str, bar: &Bar) -> anyhow::Result<Vec<Violation>> {
        if self.mesh.is_running(0) {
            self.mesh.kill(0).await?;
            self.crashes += 1;
        }
        let as_of = to_proto(SystemClock.now_ms()).to_string();
        let args = ["restore", "--data", "data", "--as-of", &as_of];
        let verb = Start {
            name: "restore".to_owned(),
            args: args.map(str::to_owned).to_vec(),
            ready_url: String::new(),
            ..self.mesh.starts[0].clone()
        };
        let mut found = Vec::new();
        for point in tour::points(self.case.network).1 {
            verb.spawn_with(&[self.plan(&[point], action, 1)])?.ended().await?;
            if !self.failed().contains(point) {
                found.push(self.missed(point));
            }
            bar.advance(1);
        }
        verb.once().await?;
        Ok(found)
    }

    fn missed(&self, point: &str) -> Violation {
        let Case { mode, network, .. } = self.case;
        let what = format!("{mode:?} on {}: no post passed {point}", network.name);
        Violation::of("run", what)
    }

    /// Lets everything come to its end and judges it.
    async fn judge(mut self, plan: &Plan, missed: Vec<Violation>) -> anyhow::Result<Layer> {
        self.sandbox.clear_script().await?;
        self.mesh.start(0)?;
        while let Some(ended) = self.under_way.next().await {
            ended.context("a user gave up")?;
        }
        // Points that fail keep posts from going out on time, and let others pass.
        let allowances = Allowances::default();
        let Self { case, sandbox, mut mesh, crowd, crashes, .. } = self;
        let history = drain(sandbox, &mut mesh, &crowd, case.seed, crashes, allowances).await;
        let mut layer =
            remains::judged(plan, Kind::Failpoints.name(), case.seed, sandbox, &mesh, history).await;
        layer.counts.failpoints = case.points();
        layer.violations.extend(missed.into_iter().map(|violation| violation.in_case(case.seed, None)));
        Ok(layer)
    }
}

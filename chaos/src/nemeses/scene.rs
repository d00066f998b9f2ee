//! A mesh that runs while a nemesis breaks it: users at work, and the judgement at the end.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    lifecycle::Lifecycle,
};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinHandle, time::Instant};

use super::ground::IDLE;
use crate::{
    Kind, Layer, Violation, invariants, plan,
    rig::{
        History, Mesh, Sandbox,
        client::{Draft, Part, Written},
        drain,
        history::{Account, Allowances, Target, Visible},
        proxy::Proxy,
        workload::{self, Crowd, needs_of},
    },
};

/// How long a lease lasts in the meshes of the suite.
pub(super) const LEASE: Duration = Duration::from_secs(2);
/// Between two bursts of posts.
const EVERY: Duration = Duration::from_millis(500);
/// A post is due at least and at most so long after it was written.
const AHEAD_MS: (i64, i64) = (500, 3_000);
/// How much later than usual a post may be that a fault does not concern.
const SLACK_MS: i64 = 2_000;
/// What was handed over so long before keeps its place in its account's line.
const KNOWN_MS: i64 = 1_500;
/// How far ahead the posts are due that scatter accounts, and how long lies between two of them.
const SCATTER_AHEAD: Duration = Duration::from_millis(1_800);
const SCATTER_EVERY: Duration = Duration::from_millis(100);

/// How much is going on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// How long posts are written.
    pub(super) window: Duration,
    /// Whether posts are edited and withdrawn.
    pub(super) changes: bool,
    /// The part of posts that carry a picture.
    pub(super) media: f64,
    /// Faults of networks per burst, on average.
    pub(super) faults: f64,
}

impl Default for Load {
    fn default() -> Self {
        Self { window: Duration::from_secs(5), changes: true, media: 0.05, faults: 0.0 }
    }
}

/// Now, in Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// A mesh that runs, with its users.
pub(super) struct Scene {
    pub(super) rng: StdRng,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) mesh: Mesh,
    pub(super) crowd: Crowd,
    allow: Allowances,
    /// Processes that were killed.
    crashes: u64,
    /// When something was broken that may have cost an answer.
    broken_ms: Vec<i64>,
    seed: u64,
    folder: PathBuf,
    began: Instant,
    span: Duration,
    pub(super) wires: Vec<Proxy>,
    writing: Option<JoinHandle<Option<anyhow::Result<()>>>>,
    life: Lifecycle,
}

impl Scene {
    pub(super) fn new(sandbox: Arc<Sandbox>, mesh: Mesh, crowd: Crowd, seed: u64, folder: PathBuf) -> Self {
        Self {
            rng: plan::rng(seed),
            seed,
            folder,
            sandbox,
            mesh,
            crowd,
            allow: Allowances { order_after_ms: Some(KNOWN_MS), ..Allowances::default() },
            crashes: 0,
            broken_ms: Vec::new(),
            began: Instant::now(),
            span: Duration::ZERO,
            wires: Vec::new(),
            writing: None,
            life: Lifecycle::new(),
        }
    }

    /// The users begin to write.
    pub(super) fn begin(&mut self, load: Load) -> anyhow::Result<()> {
        ensure!(self.writing.is_none(), "the users are writing");
        let changes = if load.changes { 0.1 } else { 0.0 };
        let work = workload::Load {
            burst: 6,
            every: EVERY,
            ahead_ms: AHEAD_MS,
            edits: changes,
            cancels: changes,
            media: load.media,
            faults: load.faults,
            tokens_s: None,
            ..workload::Load::default()
        };
        let bursts = (load.window.as_millis() / EVERY.as_millis()).max(1) as usize;
        let (crowd, sandbox) = (self.crowd.clone(), self.sandbox.clone());
        let rng = StdRng::seed_from_u64(self.rng.next_u64());
        self.began = Instant::now();
        self.span = load.window + Duration::from_millis(AHEAD_MS.1.unsigned_abs() / 2);
        self.writing =
            Some(self.life.spawn(async move { crowd.work_bursts(&sandbox, &work, rng, bursts).await }));
        Ok(())
    }

    /// Waits until that part of the posts is due, roughly.
    pub(super) async fn wait_due(&self, part: f64) {
        tokio::time::sleep_until(self.began + self.span.mul_f64(part)).await;
    }

    /// Gives each account a first post, and makes callers of a doubled service connect anew before the next one gets
    /// its own, so that both of the two get accounts.
    pub(super) async fn scatter(&mut self) -> anyhow::Result<()> {
        // Whoever connected an account still has it.
        tokio::time::sleep(IDLE * 2).await;
        for (n, member) in self.crowd.users.clone().iter().enumerate() {
            for account in &member.accounts {
                self.post(n, account, SCATTER_AHEAD).await?;
                tokio::time::sleep(SCATTER_EVERY).await;
                for wire in &self.wires {
                    wire.reset();
                }
            }
        }
        Ok(())
    }

    /// Waits until everything the users wanted to do was answered.
    pub(super) async fn end_of_writing(&mut self) -> anyhow::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await?.context("the users were stopped")?,
            None => Ok(()),
        }
    }

    /// A post on every account, due that long from now, with nothing else done to it.
    pub(super) async fn post_each(&mut self, ahead: Duration) -> anyhow::Result<Vec<(usize, Written)>> {
        let mut posts = Vec::new();
        for (n, member) in self.crowd.users.clone().iter().enumerate() {
            for account in &member.accounts {
                posts.push((n, self.post(n, account, ahead).await?));
            }
        }
        Ok(posts)
    }

    async fn post(&mut self, user: usize, account: &Account, ahead: Duration) -> anyhow::Result<Written> {
        let text = format!("apart {:016x}", self.rng.next_u64());
        let due_ms = now_ms() + i64::try_from(ahead.as_millis())?;
        let member = &self.crowd.users[user];
        let parts = vec![Part { text, media: member.needed(needs_of(account)) }];
        let draft = Draft { parts, accounts: vec![account.id.clone()], due_ms };
        member.user.create(draft).await
    }

    /// The states of a post's targets, as the mesh shows them.
    pub(super) async fn states(&self, (user, post): &(usize, Written)) -> anyhow::Result<Vec<String>> {
        let shown = self.crowd.users[*user].user.post(&post.id).await?;
        Ok(shown.targets.iter().map(|target| drain::state_word(target.state())).collect())
    }

    /// Withdraws posts.
    pub(super) async fn withdraw(&self, posts: &[(usize, Written)]) -> anyhow::Result<()> {
        for (user, post) in posts {
            self.crowd.users[*user].user.cancel(&post.id).await?;
        }
        Ok(())
    }

    /// Kills a process and notes it.
    pub(super) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.crashes += 1;
        self.note_break();
        let n = self.mesh.number_of(name);
        self.mesh.kill(n).await
    }

    /// Notes that an answer may be lost now: who asked died, stands still, or forgets.
    pub(super) fn note_break(&mut self) {
        self.broken_ms.push(now_ms());
    }

    /// A time between two, drawn.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        if least >= most { least } else { self.rng.random_range(least..most) }
    }

    /// One of two, drawn.
    pub(super) fn coin(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }

    /// Notes in the suite's log what was drawn.
    pub(super) fn say(&self, words: &str) {
        tracing::info!(seed = self.seed, drawn = words, "a nemesis drew");
    }

    /// Waits until all is settled and judges the invariants; adds what was found already.
    pub(super) async fn judge(self, found: Vec<Violation>) -> anyhow::Result<Layer> {
        self.judge_with(|_| found).await
    }

    /// The same, with a judgement of the nemesis' own.
    pub(super) async fn judge_with(
        mut self,
        own: impl FnOnce(&History) -> Vec<Violation>,
    ) -> anyhow::Result<Layer> {
        self.end_of_writing().await?;
        let (sandbox, crowd, allow) = (self.sandbox.clone(), self.crowd.clone(), self.allow.clone());
        let mut history =
            drain::drain(&sandbox, &mut self.mesh, &crowd, self.seed, self.crashes, allow).await?;
        history.standing.crashed_ms.clone_from(&self.broken_ms);
        let mut layer = invariants::judge(Kind::Nemeses.name(), &history);
        layer.violations.extend(own(&history));
        layer.counts.kills = self.crashes;
        if !layer.violations.is_empty() {
            let folder = &self.folder;
            std::fs::write(folder.join("history.json"), serde_json::to_vec_pretty(&history)?)?;
            self.sandbox.keep(folder).await?;
            self.mesh.keep_logs(folder)?;
        }
        Ok(layer)
    }
}

/// Targets that the fault did not concern and that came late all the same: later than the slack after they were due (or
/// acknowledged, if that was later), and later than those due while there was no fault, which tell how busy the machine
/// is.
pub(super) fn lateness_violations(
    history: &History,
    fault_ms: (i64, i64),
    is_concerned: impl Fn(&Target, &Account) -> bool,
) -> Vec<Violation> {
    let (mut usual_ms, mut during) = (0, Vec::new());
    for target in history.targets.iter().filter(|target| target.position == 0) {
        let (Some(last), Some(account)) = (target.last(), history.account(&target.account)) else { continue };
        if is_concerned(target, account) {
            continue;
        }
        let is_its_post =
            |visible: &&Visible| visible.content == last.content && visible.account == account.handle;
        let Some(visible) = history.visible.iter().find(is_its_post) else { continue };
        let due_ms = last.due_ms.max(last.acked_ms);
        let late_ms = visible.at_ms - due_ms;
        if (fault_ms.0..=fault_ms.1).contains(&due_ms) {
            during.push((late_ms, &target.id));
        } else {
            usual_ms = usual_ms.max(late_ms);
        }
    }
    let most_ms = SLACK_MS + 2 * usual_ms;
    let too_late = during.into_iter().filter(|(late_ms, _)| *late_ms > most_ms);
    too_late
        .map(|(late_ms, id)| {
            let what = format!(
                "{late_ms} ms late, though the fault did not concern it (without one at most {usual_ms} ms)"
            );
            Violation::of("I6", what).at(id)
        })
        .collect()
}

//! The small stage of a trial: one embedded program with the bug in all its lives, one user, one account.

use std::time::Duration;

use anyhow::ensure;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    faults,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Run;
use crate::{
    Violation, invariants,
    rig::{
        Client, Mesh, Sandbox,
        client::{Draft, Part, User, Written, network},
        drain::drain_within,
        history::{Account, Allowances},
        workload::{Crowd, Member},
    },
};

/// A trial's few posts come to their ends within this time, or a bug keeps them from it.
pub(super) const ENDS_WITHIN: Duration = Duration::from_secs(9);

/// The stage.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) mesh: Mesh,
    pub(super) user: User,
    pub(super) account: Account,
    pub(super) crowd: Crowd,
    /// What this trial may do that a run without faults may not.
    pub(super) allow: Allowances,
    run: Run,
    crashes: u64,
    written: u32,
}

/// The setting that switches the run's bug on, if it has one.
pub(super) fn seeded(run: &Run) -> Vec<(String, String)> {
    run.bug.map(|bug| (faults::VARIABLE.to_owned(), format!("bug={}", bug.name()))).into_iter().collect()
}

impl Scene {
    /// A program that runs with these settings, and an account of that network.
    pub(super) async fn embedded(run: Run, network: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let sandbox = Sandbox::start().await?;
        let mut env = seeded(&run);
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut mesh = Mesh::embedded(&run.plan.program, &run.folder, &sandbox, &env)?;
        mesh.start_all().await?;
        Self::new(run, sandbox, mesh, network).await
    }

    /// A mesh that runs, with an account of that network.
    pub(super) async fn new(run: Run, sandbox: Sandbox, mesh: Mesh, name: &str) -> anyhow::Result<Self> {
        let network = network(name).ok_or_else(|| anyhow::anyhow!("there is no network {name}"))?;
        let client = Client::of(&mesh.url)?;
        let user = client.register("trial").await?;
        let account = user.connect(&sandbox, network, &network.handle("trial")).await?;
        let member = Member {
            user: user.clone(),
            accounts: vec![account.clone()],
            picture: (String::new(), String::new()),
            clip: (String::new(), String::new()),
        };
        let crowd = Crowd { client, users: vec![member] };
        Ok(Self {
            sandbox,
            mesh,
            user,
            account,
            crowd,
            allow: Allowances::default(),
            run,
            crashes: 0,
            written: 0,
        })
    }

    /// Makes requests of the account fail: the operation, the fault, how many times (0: for ever).
    pub(super) async fn disturb(&self, operation: &str, fault: Value, times: u32) -> anyhow::Result<()> {
        let Account { network, handle, .. } = &self.account;
        let rule = json!({"network": network, "account": handle, "operation": operation, "fault": fault, "times": times});
        self.sandbox.script(rule).await
    }

    /// Writes a post that is due that many milliseconds from now.
    pub(super) async fn post(&mut self, ahead_ms: i64) -> anyhow::Result<Written> {
        self.written += 1;
        let text = format!("trial {} {}", self.run.seed, self.written);
        let parts = vec![Part { text, media: Vec::new() }];
        let due_ms = SystemClock.now_ms() + ahead_ms;
        self.user.create(Draft { parts, accounts: vec![self.account.id.clone()], due_ms }).await
    }

    /// Waits until the network shows that many posts.
    pub(super) async fn visible(&self, posts: usize) -> anyhow::Result<()> {
        let seen = self.sandbox.ledger_of(posts, 10_000).await?.len();
        ensure!(seen >= posts, "{seen} of {posts} posts became visible");
        Ok(())
    }

    /// Waits until that many requests of a kind were answered or cut off, or that long; answers how many there were.
    pub(super) async fn asked(
        &self,
        operation: &str,
        times: usize,
        within: Duration,
    ) -> anyhow::Result<usize> {
        let until = Instant::now() + within;
        loop {
            let calls = self.sandbox.requests().await?;
            let seen = calls.iter().filter(|call| call.operation == operation).count();
            if seen >= times || Instant::now() >= until {
                return Ok(seen);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a post's only target is in a state, as the mesh shows it.
    pub(super) async fn reaches(&self, post: &Written, state: &str) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let shown = self.user.post(&post.id).await?;
            let states: Vec<_> =
                shown.targets.iter().map(|target| crate::rig::drain::state_word(target.state())).collect();
            if states.iter().all(|known| known == state) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the post is {states:?}, not {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills a process and notes it.
    pub(super) async fn kill(&mut self, n: usize) -> anyhow::Result<()> {
        self.crashes += 1;
        self.mesh.kill(n).await
    }

    /// Lets everything come to its end and judges it.
    pub(super) async fn judge(mut self) -> anyhow::Result<Vec<Violation>> {
        let history = drain_within(
            &self.sandbox,
            &mut self.mesh,
            &self.crowd,
            self.run.seed,
            self.crashes,
            self.allow,
            ENDS_WITHIN,
        )
        .await?;
        let violations = invariants::check(&history);
        // A bug nobody noticed is as much of interest as a complaint.
        if !violations.is_empty() || self.run.bug.is_some() {
            std::fs::write(self.run.folder.join("history.json"), serde_json::to_vec_pretty(&history)?)?;
            self.sandbox.keep(&self.run.folder).await?;
            self.mesh.keep_logs(&self.run.folder)?;
        }
        drop(self.mesh);
        self.sandbox.shutdown().await;
        Ok(violations)
    }
}

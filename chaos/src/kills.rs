//! L3: `kill -9` at random moments, again and again, while users write posts and networks misbehave.
//!
//! Embedded: a few meshes side by side share the stand-in networks; each life ends at an exponential moment, counted
//! half of the time from the start (so that starting is interrupted too) and half of the time from being ready (so
//! that work gets done). Six processes: one of them, drawn, dies at a time. Whatever died starts again at once. When
//! the kills are used up, everything must come to its end, and all invariants must hold.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::bail;
use futures::future::join_all;
use postmesh_kit::clock::{Clock as _, SystemClock};
use rand::{RngExt as _, rngs::StdRng};
use tokio::sync::watch;

use crate::{
    plan::{Kind, Plan, rng},
    progress::{Bar, Progress},
    report::Layer,
    rig::{
        Client, History, Mesh, Sandbox,
        backends::Servers,
        drain,
        history::Allowances,
        remains,
        workload::{Crowd, Load},
    },
};

/// Kills of a whole run.
const EMBEDDED: u64 = 1_000;
/// As above, of the six processes.
const SIX: u64 = 100;
/// Embedded meshes side by side.
const SIDE_BY_SIDE: u64 = 3;
/// Mean life of an embedded mesh, from its start.
const FROM_START: Duration = Duration::from_millis(120);
/// Mean life of an embedded mesh, from being ready.
const FROM_READY: Duration = Duration::from_millis(250);
/// Mean time between two kills among six processes.
const BETWEEN: Duration = Duration::from_millis(550);

/// Which mesh is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Embedded,
    Six,
}

impl Form {
    /// Its part of the seed: the lowest bit.
    fn seed(self, seed: u64) -> u64 {
        (seed & !1) | u64::from(self == Self::Six)
    }

    fn of(seed: u64) -> Self {
        if seed & 1 == 1 { Self::Six } else { Self::Embedded }
    }
}

/// The layer.
pub async fn run(plan: &Plan, out: &Progress) -> anyhow::Result<Layer> {
    let mut layer = Layer::named(Kind::Kills.name());
    let cases = match plan.only {
        Some(seed) => vec![seed],
        None => [Form::Embedded, Form::Six].map(|form| form.seed(plan.case(Kind::Kills, 0))).to_vec(),
    };
    for case in cases {
        layer.add(match Form::of(case) {
            Form::Embedded => embedded(plan, case, plan.count(EMBEDDED), out).await?,
            Form::Six => six(plan, case, plan.count(SIX), out).await?,
        });
    }
    Ok(layer)
}

/// Meshes of one process each, until that many were killed.
pub async fn embedded(plan: &Plan, case: u64, kills: u64, out: &Progress) -> anyhow::Result<Layer> {
    let sandbox = Sandbox::start().await?;
    let folder = tempfile::Builder::new().prefix("chaos-kills-").tempdir()?;
    let bar = out.begin("kill -9, one process", kills);
    let left = AtomicU64::new(kills);
    // A mesh for a handful of kills would only cost its start.
    let meshes = SIDE_BY_SIDE.min(kills.div_ceil(50)).max(1);
    let layers = join_all((0..meshes).map(|n| {
        let (sandbox, bar, left) = (&sandbox, &bar, &left);
        let folder = folder.path().join(format!("embedded-{n}"));
        async move {
            let mut mesh = Mesh::embedded(&plan.program, &folder, sandbox, &[])?;
            let mut killed = Vec::new();
            let name = char::from(b'a' + n as u8).to_string();
            let outcome = life(sandbox, &mut mesh, &name, case, Form::Embedded, left, &mut killed, bar).await;
            let mut layer = remains::judged(plan, Kind::Kills.name(), case, sandbox, &mesh, outcome).await;
            layer.counts.kills = killed.len() as u64;
            anyhow::Ok(layer)
        }
    }))
    .await;
    bar.end();
    let mut layer = Layer::named(Kind::Kills.name());
    for one in layers {
        layer.add(one?);
    }
    sandbox.shutdown().await;
    Ok(layer)
}

/// The six processes, until that many were killed.
pub async fn six(plan: &Plan, case: u64, kills: u64, out: &Progress) -> anyhow::Result<Layer> {
    let sandbox = Sandbox::start().await?;
    let folder = tempfile::Builder::new().prefix("chaos-kills-").tempdir()?;
    let servers = Servers::find().await?;
    let backends = servers.fresh().await?;
    let bar = out.begin("kill -9, six processes", kills);
    let mut mesh = Mesh::six(&plan.program, &folder.path().join("six"), &sandbox, &backends, &[]).await?;
    let (left, mut killed) = (AtomicU64::new(kills), Vec::new());
    let outcome = life(&sandbox, &mut mesh, "s", case, Form::Six, &left, &mut killed, &bar).await;
    let mut layer = remains::judged(plan, Kind::Kills.name(), case, &sandbox, &mesh, outcome).await;
    layer.counts.kills = killed.len() as u64;
    bar.end();
    drop(mesh);
    servers.remove(&backends).await?;
    sandbox.shutdown().await;
    Ok(layer)
}

/// A mesh with its users, from the first start over all kills to the end of everything.
#[expect(clippy::too_many_arguments, reason = "one private function that two callers share")]
async fn life(
    sandbox: &Sandbox,
    mesh: &mut Mesh,
    name: &str,
    case: u64,
    form: Form,
    left: &AtomicU64,
    killed: &mut Vec<i64>,
    bar: &Bar,
) -> anyhow::Result<History> {
    mesh.start_all().await?;
    let client = Client::of(&mesh.url)?;
    let load = Load::default();
    let crowd = Crowd::gather(&client, sandbox, name, &load).await?;
    // Each mesh draws for itself.
    let place = u64::from(name.as_bytes()[0]);
    let (work_rng, mut kill_rng) = (rng(case ^ (place << 32)), rng(case ^ (place << 40)));
    let (stop, stopped) = watch::channel(false);
    let work = crowd.work(sandbox, &load, work_rng, stopped);
    let break_it = async {
        while take_one(left) {
            match form {
                Form::Embedded => one_of_one(mesh, &mut kill_rng).await?,
                Form::Six => one_of_six(mesh, &mut kill_rng).await?,
            }
            killed.push(SystemClock.now_ms());
            bar.advance(1);
        }
        sandbox.clear_script().await?;
        mesh.wait_all_ready().await?;
        stop.send_replace(true);
        anyhow::Ok(())
    };
    let (worked, broke) = tokio::join!(work, break_it);
    broke?;
    worked?;
    bar.note("until everything has ended");
    let allowances = Allowances { order_after_ms: Some(2_000), ..Allowances::default() };
    let mut history = drain::drain(sandbox, mesh, &crowd, case, killed.len() as u64, allowances).await?;
    history.standing.crashed_ms.clone_from(killed);
    Ok(history)
}

/// One kill less to do, if there is one.
fn take_one(left: &AtomicU64) -> bool {
    left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Lets the process live for a while, kills it, and starts it again.
async fn one_of_one(mesh: &mut Mesh, rng: &mut StdRng) -> anyhow::Result<()> {
    if rng.random_bool(0.5) {
        tokio::time::sleep(exponential(FROM_START, rng)).await;
    } else {
        let after = exponential(FROM_READY, rng);
        mesh.wait_ready(0).await?;
        tokio::time::sleep(after).await;
    }
    again(mesh, 0).await
}

/// Lets the processes live for a while, kills one of them, and starts it again.
async fn one_of_six(mesh: &mut Mesh, rng: &mut StdRng) -> anyhow::Result<()> {
    let n = rng.random_range(0..mesh.len());
    let after = exponential(BETWEEN, rng);
    if rng.random_bool(0.5) {
        mesh.wait_ready(n).await?;
    }
    tokio::time::sleep(after).await;
    again(mesh, n).await
}

async fn again(mesh: &mut Mesh, n: usize) -> anyhow::Result<()> {
    let name = mesh.starts[n].name.clone();
    let process = mesh.process(n)?;
    if let Some(status) = process.has_ended() {
        bail!("{name} ended by itself ({status}):\n{}", process.log_end());
    }
    mesh.kill(n).await?;
    mesh.start(n)
}

/// A moment of a Poisson process with that mean, at most five times as late.
fn exponential(mean: Duration, rng: &mut StdRng) -> Duration {
    let uniform: f64 = rng.random_range(0.006..1.0);
    mean.mul_f64(-uniform.ln())
}

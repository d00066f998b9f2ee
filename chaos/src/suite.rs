//! A whole run: which layers, in which order, how much of each, and for how long.
//!
//! The model and the simulation compute; the other layers mostly wait. So one thread does the former while the latter
//! go on beside it, and two cores are enough for both.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    bugs, failpoints, kills, model, nemeses,
    plan::{Kind, Plan},
    progress::Progress,
    report::{Layer, Report, Violation},
    simulation,
};

/// How long a whole run takes, seconds; `--seconds` is measured by it.
const WHOLE_S: f64 = 540.0;

/// How much is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    /// The whole run of continuous integration, once.
    Once,
    /// As much of it as fits, at least one of everything.
    Seconds(u64),
    /// Rounds with new seeds until the time is over; a round that has begun is ended.
    Hours(f64),
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How much.
    pub span: Span,
    /// Which layers.
    pub layers: Vec<Kind>,
    /// The program whose processes are broken.
    pub program: PathBuf,
    /// Where failing cases leave their remains.
    pub keep: PathBuf,
}

/// Runs the layers.
pub async fn run(options: &Options, out: &Progress) -> anyhow::Result<Report> {
    let began = Instant::now();
    let mut report = Report { seed: options.seed, seconds: 0, layers: Vec::new() };
    let share = match options.span {
        Span::Seconds(seconds) => (seconds as f64 / WHOLE_S).min(1.0),
        Span::Once | Span::Hours(_) => 1.0,
    };
    let mut plan = Plan {
        seed: options.seed,
        share,
        program: options.program.clone(),
        keep: options.keep.clone(),
        only: None,
    };
    for round in 1_u64.. {
        for layer in layers(&plan, &options.layers, out).await? {
            for violation in &layer.violations {
                out.say(&format!("{}: {}: {}", layer.name, violation.invariant, violation.what));
            }
            report.add(layer);
        }
        report.seconds = began.elapsed().as_secs();
        let Span::Hours(hours) = options.span else { break };
        let total = report.total();
        let (kills, ambiguous) = (total.counts.kills, total.ambiguous);
        let violations = total.violations.len();
        out.say(&format!(
            "round {round}: {kills} kills, {ambiguous} in doubt, {violations} violations so far"
        ));
        if began.elapsed() >= Duration::from_secs_f64(hours * 3600.0) {
            break;
        }
        plan.seed = Plan::next(plan.seed);
    }
    Ok(report)
}

/// Repeats the case of a seed that a failure named; the seed of a whole run repeats that run.
pub async fn replay(options: &Options, out: &Progress) -> anyhow::Result<Report> {
    let Some(kind) = Kind::of_case(options.seed) else { return run(options, out).await };
    let began = Instant::now();
    let plan = Plan {
        seed: options.seed,
        share: 1.0,
        program: options.program.clone(),
        keep: options.keep.clone(),
        only: Some(options.seed),
    };
    let found = layers(&plan, &[kind], out).await?;
    Ok(Report { seed: options.seed, seconds: began.elapsed().as_secs(), layers: found })
}

/// One round.
async fn layers(plan: &Plan, wanted: &[Kind], out: &Progress) -> anyhow::Result<Vec<Layer>> {
    std::fs::create_dir_all(&plan.keep).with_context(|| format!("cannot make {}", plan.keep.display()))?;
    let is_wanted = |kind: Kind| wanted.contains(&kind);
    let shared = Arc::new((plan.clone(), out.clone(), wanted.to_vec()));
    let computed = tokio::task::spawn_blocking(move || {
        let (plan, out, wanted) = &*shared;
        let mut found = Vec::new();
        if wanted.contains(&Kind::Model) {
            found.push(ended(Kind::Model, model::run(plan, out)));
        }
        if wanted.contains(&Kind::Simulation) {
            found.push(ended(Kind::Simulation, simulation::run(plan, out)));
        }
        found
    });
    let mut broken = Vec::new();
    if is_wanted(Kind::Kills) {
        broken.push(ended(Kind::Kills, kills::run(plan, out).await));
    }
    if is_wanted(Kind::Failpoints) {
        broken.push(ended(Kind::Failpoints, failpoints::run(plan, out).await));
    }
    if is_wanted(Kind::Nemeses) {
        broken.push(nemeses::run(plan, out).await);
    }
    let mut found = computed.await.context("the model or the simulation panicked")?;
    found.append(&mut broken);
    // Last and alone: some of its switches are seen by everything in this process.
    if is_wanted(Kind::Bugs) {
        found.push(ended(Kind::Bugs, bugs::run(plan, out).await));
    }
    remove_if_empty(&plan.keep);
    Ok(found)
}

/// A layer that could not be carried out has failed.
fn ended(kind: Kind, outcome: anyhow::Result<Layer>) -> Layer {
    outcome.unwrap_or_else(|error| {
        let mut layer = Layer::named(kind.name());
        layer
            .violations
            .push(Violation::of("run", format!("{} was not carried out: {error:#}", kind.name())));
        layer
    })
}

/// A good run leaves nothing behind.
fn remove_if_empty(folder: &std::path::Path) {
    let is_empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty && let Err(error) = std::fs::remove_dir(folder) {
        tracing::debug!(%error, "an empty folder stays");
    }
}

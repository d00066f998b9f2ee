//! L1: the pure core under seeded faults, in virtual time. One seed is one run, decided by nothing else: some accounts
//! at simulated networks of all five classes, two workers with leases, twenty to thirty-six targets due in bursts, a
//! fifth of them withdrawn or edited around their due time.
//!
//! ```text
//!  people ─▶ store (guards of the SQL) ◀─▶ worker: leases, tokens, jobs ─▶ networks (the truth)
//!   break ─▶ crash · pause · lease · clock    └── production Line, Item, step, Change
//! ```
//! **What breaks:** workers crash at any event, stand still and come back as zombies, lose leases, have wrong clocks;
//! commits are lost or their answers are; the database and networks go away; requests are lost, late, executed without
//! an answer, answered with 429, 500, garbage, refusals; tokens end and authorizations are taken back; reads fail, hang
//! and lag. Then the faults end, the run drains, and the invariants judge its history.
//!
//! A tenth of the seeds break nothing; there nothing may be missed and little may be late.

mod network;
mod people;
mod store;
mod worker;
mod world;

use postmesh_publisher::domain::{outcome::DeliveryClass, policy::Policy, state::State};

use self::world::{Log, World};
use crate::{Layer, Plan, Progress, Violation, invariants, plan::Kind, rig::history::History};

/// Seeds of a whole run.
const SEEDS: u64 = 10_000;
/// When a run begins, Unix milliseconds.
const START: i64 = 1_790_000_000_000;
/// When nothing is broken any more.
const FAULTS_END: i64 = START + 12 * 60_000;
/// When a run must have ended.
const LAST: i64 = START + 4 * 3_600_000;
/// More events than any run has; a run that has more goes in circles.
const MOST_EVENTS: u64 = 300_000;

const CLASSES: [DeliveryClass; 5] = [
    DeliveryClass::NaturalKey,
    DeliveryClass::Handle,
    DeliveryClass::IdempotencyKey,
    DeliveryClass::ReadBack,
    DeliveryClass::Nothing,
];
const NAMES: [&str; 5] = ["natural-key", "handle", "idempotency-key", "read-back", "nothing"];

fn name_of(class: DeliveryClass) -> &'static str {
    let place = CLASSES.iter().position(|known| *known == class).unwrap_or_default();
    NAMES[place]
}

fn class_of(network: &str) -> DeliveryClass {
    let place = NAMES.iter().position(|name| *name == network).unwrap_or(4);
    CLASSES[place]
}

/// Shorter than in production, so that a run takes an hour; the proportions stay.
fn policy() -> Policy {
    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    Policy {
        prep_lead: MINUTE,
        prep_timeout: worker::LEASE,
        send_timeout: 10 * SECOND,
        quiesce: 10 * SECOND,
        key_window: 10 * MINUTE,
        reconcile_budget: 40 * MINUTE,
        absent_reads: 3,
        absent_span: 2 * MINUTE,
        poll_every: 5 * SECOND,
        late_look_every: 5 * MINUTE,
        late_look_for: 20 * MINUTE,
        backoff_first: 2 * SECOND,
        backoff_most: MINUTE,
        hint_most: 10 * MINUTE,
    }
}

/// What happened in a run, or in many: whether the faults are reached at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events of the queue.
    pub events: u64,
    /// Attempts armed.
    pub attempts: usize,
    /// Of them repetitions after a lost answer.
    pub resends: usize,
    /// Answers that proved nothing.
    pub ambiguous: usize,
    /// Commits of ARM without an answer.
    pub disarmed: usize,
    /// ARMs refused to somebody who had lost the lease.
    pub not_owner: usize,
    /// Workers crashed.
    pub crashes: usize,
    /// Workers that stood still.
    pub pauses: usize,
    /// Leases that ended while their holder lived.
    pub leases_lost: usize,
    /// Workers whose clock was set wrongly.
    pub clock_steps: usize,
    /// Deliveries parked.
    pub parked: usize,
    /// Accounts connected again.
    pub reconnected: usize,
    /// Pairs of tokens refreshed.
    pub refreshed: usize,
    /// Targets edited after their hand-over.
    pub edits: usize,
    /// Targets withdrawn.
    pub cancels: usize,
    /// How targets ended: published, failed, cancelled, missed, left to a person.
    pub ends: [usize; 5],
}

impl Seen {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.attempts += other.attempts;
        self.resends += other.resends;
        self.ambiguous += other.ambiguous;
        self.disarmed += other.disarmed;
        self.not_owner += other.not_owner;
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.leases_lost += other.leases_lost;
        self.clock_steps += other.clock_steps;
        self.parked += other.parked;
        self.reconnected += other.reconnected;
        self.refreshed += other.refreshed;
        self.edits += other.edits;
        self.cancels += other.cancels;
        for (sum, ends) in self.ends.iter_mut().zip(other.ends) {
            *sum += ends;
        }
    }
}

/// One run.
#[derive(Debug)]
pub struct Run {
    /// What the invariants judge.
    pub history: History,
    /// What happened.
    pub seen: Seen,
    /// What happened, line by line, when that was asked for.
    pub log: String,
}

/// Runs one seed.
pub fn run_one(seed: u64, logs: bool) -> Run {
    let is_calm = seed.is_multiple_of(10);
    let rate = if is_calm { 0.0 } else { 0.25 * (1 + seed % 4) as f64 };
    let mut world = World::new(seed, rate, policy(), Log(logs.then(String::new)));
    world.plan();
    world.plan_breaks(is_calm);
    while world.seen.events < MOST_EVENTS && world.now < LAST && !(world.is_over && world.store.is_drained())
    {
        if !world.go() {
            break;
        }
    }
    let mut seen = world.seen;
    for row in world.store.rows.values() {
        let end = match row.state() {
            State::Published | State::InInbox => 0,
            State::Failed => 1,
            State::Cancelled => 2,
            State::Missed => 3,
            _ => 4,
        };
        seen.ends[end] += 1;
    }
    Run { history: world.history(seed, is_calm), seen, log: world.log.0.unwrap_or_default() }
}

/// Runs one seed and judges it.
pub fn judge(seed: u64) -> (Layer, Seen) {
    let run = run_one(seed, false);
    let mut layer = invariants::judge(Kind::Simulation.name(), &run.history);
    layer.ambiguous = run.seen.ambiguous as u64;
    layer.counts.seeds = 1;
    (layer, run.seen)
}

/// The first of these seeds whose run breaks an invariant, with what was broken. A seeded bug that is switched on in
/// this process is part of every run.
pub fn first_violation(seeds: impl IntoIterator<Item = u64>) -> Option<(u64, Vec<Violation>)> {
    seeds.into_iter().map(|seed| (seed, judge(seed).0.violations)).find(|(_, found)| !found.is_empty())
}

/// Runs the seeds of a plan, on one thread.
pub fn run(plan: &Plan, out: &Progress) -> anyhow::Result<Layer> {
    let seeds = plan.cases(Kind::Simulation, SEEDS);
    let bar = out.begin(Kind::Simulation.name(), seeds.len() as u64);
    let mut layer = Layer::named(Kind::Simulation.name());
    let mut seen = Seen::default();
    for seed in seeds {
        let (mut found, of_this) = judge(seed);
        seen.add(&of_this);
        if !found.violations.is_empty() {
            let kept = keep(plan, seed)?;
            found.violations = std::mem::take(&mut found.violations)
                .into_iter()
                .map(|violation| violation.in_case(seed, Some(kept.clone())))
                .collect();
        }
        layer.add(found);
        bar.advance(1);
    }
    bar.end();
    out.say(&format!("simulation: {seen:?}"));
    Ok(layer)
}

/// Runs a seed again and keeps its history and the record of its events.
fn keep(plan: &Plan, seed: u64) -> anyhow::Result<std::path::PathBuf> {
    let folder = plan.folder(seed);
    std::fs::create_dir_all(&folder)?;
    let run = run_one(seed, true);
    std::fs::write(folder.join("events.log"), run.log)?;
    std::fs::write(folder.join("history.json"), serde_json::to_vec_pretty(&run.history)?)?;
    Ok(folder)
}

#[cfg(test)]
mod tests;

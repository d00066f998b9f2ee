//! L2: the real program (embedded, SQLite) at every durable step of a post, on each network: it dies there, fails
//! there, or stands still there for two leases.
//!
//! | Mode | How |
//! |---|---|
//! | `abort` | one folder, one life per point: started with that point armed, given a post that passes it, dead, next |
//! | `error`, `sleep` | one life with every point armed at once, given posts until each of them was hit |
//!
//! **Invariant:** a point that was not hit fails the suite, unless [`tour::unreachable`] says why it cannot be. Every
//! case ends like any other: all is drained and all invariants are judged.

mod cases;
mod tour;

use futures::{StreamExt as _, stream};
use postmesh_kit::faults;
use rand::seq::SliceRandom as _;

use crate::{
    Kind, Layer, Plan, Progress, Violation,
    plan::rng,
    rig::client::{NETWORKS, Network},
};

/// Cases side by side: a life at a point mostly waits for its process to start.
const AT_ONCE: usize = 3;

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Abort,
    Error,
    Sleep,
}

const MODES: [Mode; 3] = [Mode::Abort, Mode::Sleep, Mode::Error];

/// One network in one mode. The seed alone says which, so that a replay needs nothing else.
#[derive(Debug, Clone, Copy)]
struct Case {
    seed: u64,
    mode: Mode,
    network: &'static Network,
    /// The hit that fails, from 1: later rounds fail at later ones.
    hit: u64,
}

impl Case {
    fn of(seed: u64) -> Self {
        let place = usize::try_from(seed % kinds()).unwrap_or_default();
        let (mode, network) = (MODES[place % MODES.len()], &NETWORKS[place / MODES.len()]);
        Self { seed, mode, network, hit: 1 + (seed / kinds()) % 3 }
    }
}

impl Case {
    /// How many points it tries.
    fn points(self) -> u64 {
        let (posts, operators) = tour::points(self.network);
        (posts.len() + operators.len()) as u64
    }
}

fn kinds() -> u64 {
    (MODES.len() * NETWORKS.len()) as u64
}

/// The cases of a run: each network in one mode, the next seed's run in the next one, so that three runs know all.
fn cases(plan: &Plan) -> Vec<Case> {
    if let Some(seed) = plan.only {
        return vec![Case::of(seed)];
    }
    let mut cases = Vec::new();
    for round in 0..plan.count(1) {
        let hit = 1 + round % 3;
        for network in 0..NETWORKS.len() as u64 {
            let modes = MODES.len() as u64;
            let kind = network * modes + (network + round + plan.seed % modes) % modes;
            let drawn = (0..).map(|n| plan.case(Kind::Failpoints, (round << 32) | n));
            let mut fitting = drawn.filter(|seed| seed % kinds() == kind && Case::of(*seed).hit == hit);
            cases.extend(fitting.next().map(Case::of));
        }
    }
    cases.shuffle(&mut rng(plan.seed));
    // The chains of deaths take longest.
    cases.sort_by_key(|case| case.mode != Mode::Abort);
    cases
}

/// Runs every case.
pub async fn run(plan: &Plan, out: &Progress) -> anyhow::Result<Layer> {
    let mut layer = Layer::named(Kind::Failpoints.name());
    if !faults::ENABLED {
        let what =
            "this build cannot fail on purpose; build it with debug assertions or the feature `faults`";
        layer.violations.push(Violation::of("run", what));
        return Ok(layer);
    }
    let cases = cases(plan);
    let points = cases.iter().map(|case| case.points()).sum();
    let bar = out.begin(Kind::Failpoints.name(), points);
    let mut under_way = stream::iter(cases)
        .map(|case| {
            let bar = bar.clone();
            async move {
                let found = cases::run(plan, case, &bar).await;
                found.unwrap_or_else(|error| broken(case, &error))
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(found) = under_way.next().await {
        for violation in &found.violations {
            out.say(&format!("failpoints: {} {}", violation.invariant, violation.what));
        }
        layer.add(found);
    }
    bar.end();
    Ok(layer)
}

/// A case that could not be carried out.
fn broken(case: Case, error: &anyhow::Error) -> Layer {
    let what = format!("{:?} on {}: {error:#}", case.mode, case.network.name);
    let violations = vec![Violation::of("run", what).in_case(case.seed, None)];
    Layer { violations, ..Layer::named(Kind::Failpoints.name()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn three_runs_have_each_mode_on_each_network_and_a_seed_names_its_case() {
        let plan = Plan { seed: 3, share: 1.0, program: "p".into(), keep: "k".into(), only: None };
        let of = |cases: &[Case]| {
            cases
                .iter()
                .map(|case| (format!("{:?}", case.mode), case.network.name, case.hit))
                .collect::<BTreeSet<_>>()
        };
        let whole = cases(&plan);
        assert_eq!(whole.len(), NETWORKS.len());
        let runs = (3..6).flat_map(|seed| cases(&Plan { seed, ..plan.clone() })).collect::<Vec<_>>();
        assert_eq!(of(&runs).len() as u64, kinds());
        assert!(whole.iter().all(|case| case.hit == 1));
        for case in whole {
            let replay = cases(&Plan { only: Some(case.seed), ..plan.clone() });
            assert_eq!(of(&[case]), of(&replay));
        }
        assert_eq!(cases(&Plan { share: 3.0, ..plan }).iter().map(|case| case.hit).max(), Some(3));
    }
}

//! Trials of mistakes that only networks can show for which there is no adapter yet: by the simulation, which runs the
//! publisher's pure core against networks of every class.

use postmesh_kit::faults;

use super::Run;
use crate::{Kind, Violation, simulation};

/// Seeds within which a bug is seen, or the program as it is has shown that it is clean.
const SEEDS: u64 = 500;

/// Answers are lost at networks whose posts are published by a handle that was made before.
pub(super) async fn handles(run: Run) -> anyhow::Result<Vec<Violation>> {
    let searched = tokio::task::spawn_blocking(move || {
        let _seeded = run.bug.map(faults::seed);
        // Seeds of this run alone, so that a replay searches the same ones.
        let plan = crate::Plan { seed: run.seed, ..run.plan };
        simulation::first_violation((0..SEEDS).map(|n| plan.case(Kind::Simulation, n)))
    });
    Ok(searched.await?.map(|(_, violations)| violations).unwrap_or_default())
}

//! Trials of mistakes that only networks can show for which there is no adapter yet: by the simulation, which runs the
//! publisher's pure core against networks of every class.

use super::Run;
use crate::Violation;

/// Answers are lost at networks whose posts are published by a handle that was made before.
pub(super) async fn handles(run: Run) -> anyhow::Result<Vec<Violation>> {
    anyhow::bail!("the simulation cannot be run yet (seed {})", run.seed)
}

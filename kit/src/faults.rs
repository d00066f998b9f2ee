//! Failures on purpose: named points at every durable step, and seeded bugs, for the fault suite.
//!
//! **Real only in builds with debug assertions or with the feature `faults`; folded to nothing otherwise.** A program
//! reads its plan once at the start ([`arm`]), from the variable [`VARIABLE`]:
//!
//! ```text
//! arm.commit.after=abort@3; token.cas.before=error; poll.save.after=sleep(4000)@2+; bug=retry_on_500; log=/path
//! ```
//! `abort` is a SIGKILL of the own process: nothing is flushed. `error` is the failure that place can have. `@3` means
//! at the third hit only, `@3+` from the third on, nothing the first. The log gets a line for the first hit of every
//! point and for every failure, before it happens.
//! Points stand before and after a transaction, never inside one.

mod bugs;
mod plan;
mod points;

use std::sync::OnceLock;

use self::plan::Plan;
pub use self::{
    bugs::{Bug, Seeded, seed},
    plan::PlanError,
    points::{POINTS, Point},
};

/// The environment variable that holds the plan.
pub const VARIABLE: &str = "POSTMESH_FAULTS";

/// Whether this build can fail on purpose.
pub const ENABLED: bool = cfg!(any(debug_assertions, feature = "faults"));

static PLAN: OnceLock<Plan> = OnceLock::new();

/// The failure of a point, as each crate maps it to what can really fail there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed on purpose at {0}")]
pub struct Injected(pub &'static str);

impl From<Injected> for sqlx::Error {
    fn from(injected: Injected) -> Self {
        Self::Io(injected.into())
    }
}

impl From<Injected> for std::io::Error {
    fn from(injected: Injected) -> Self {
        Self::other(injected)
    }
}

/// Reads the plan of this process, once, before anything starts. A build that cannot fail on purpose refuses to run
/// with one, so that nobody believes a test that tested nothing. Answers the plan, for the operator to be told.
pub fn arm() -> Result<Option<String>, PlanError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "not a setting of the mesh: the harness's door into one process"
    )]
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(None) };
    if !ENABLED {
        return Err(PlanError::NotBuiltIn);
    }
    let plan: Plan = text.parse()?;
    for bug in &plan.bugs {
        bugs::switch_on(*bug);
    }
    // A second call in one process keeps the first plan.
    let _ = PLAN.set(plan);
    Ok(Some(text))
}

/// Passes the point `name`, or fails there as planned.
#[inline]
pub async fn at(name: &'static str) -> Result<(), Injected> {
    if ENABLED && let Some(plan) = PLAN.get() {
        return plan.pass(name).await;
    }
    Ok(())
}

/// Whether a seeded bug is switched on.
#[inline]
pub fn bug(bug: Bug) -> bool {
    ENABLED && bugs::is_on(bug)
}

//! The fault suite: breaks the mesh on purpose, layer by layer, and checks fifteen invariants against what the
//! networks saw.
//!
//! | Layer | Breaks |
//! |---|---|
//! | [`model`] | every interleaving of the state machine |
//! | [`simulation`] | the pure core under seeded faults, in virtual time |
//! | [`failpoints`] | the real program at every durable step |
//! | [`kills`] | `kill -9` at random moments, one process and six |
//! | [`nemeses`] | the world around it: pauses, partitions, servers, clocks, disks |
//! | [`bugs`] | the suite itself: twelve seeded bugs, each of which must be caught |

pub mod bugs;
pub mod failpoints;
pub mod invariants;
pub mod kills;
pub mod model;
pub mod nemeses;
pub mod plan;
pub mod progress;
pub mod report;
pub mod rig;
pub mod simulation;
pub mod suite;

pub use crate::{
    plan::{Kind, Plan},
    progress::{Bar, Progress},
    report::{Counts, Layer, Report, Violation},
    suite::{Options, Span, replay, run},
};

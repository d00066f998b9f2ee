//! What one run of a layer is asked to do. Everything random comes from the one seed named here: a case's seed is
//! derived from the run's seed, the layer and the case's number, and carries its layer, so that a seed printed with
//! a failure is enough to repeat it.

use std::path::PathBuf;

use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// Bits of a case's seed that are drawn; the layer stands above them. Together they stay below 2^53, which every
/// JSON reader keeps exactly.
const DRAWN: u32 = 48;

/// The layers, in the order of the table in the crate's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// L0: every interleaving of the state machine.
    Model,
    /// L1: the pure core under seeded faults, in virtual time.
    Simulation,
    /// L2: the real program at every durable step.
    Failpoints,
    /// L3: `kill -9` at random moments.
    Kills,
    /// L4: the world around the program.
    Nemeses,
    /// The test of the tests.
    Bugs,
}

impl Kind {
    /// All layers.
    pub const ALL: [Self; 6] =
        [Self::Model, Self::Simulation, Self::Failpoints, Self::Kills, Self::Nemeses, Self::Bugs];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Simulation => "simulation",
            Self::Failpoints => "failpoints",
            Self::Kills => "kills",
            Self::Nemeses => "nemeses",
            Self::Bugs => "bugs",
        }
    }

    /// The layer of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The layer a case's seed belongs to; a run's own seed belongs to none.
    pub fn of_case(seed: u64) -> Option<Self> {
        let place = usize::try_from(seed >> DRAWN).ok()?.checked_sub(1)?;
        Self::ALL.get(place).copied()
    }
}

/// What a layer is asked to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The run's (or round's) seed.
    pub seed: u64,
    /// The part of the continuous-integration amount: 1.0 is all of it, 0.1 a tenth, 2.0 twice as much.
    pub share: f64,
    /// The program whose processes are broken.
    pub program: PathBuf,
    /// The folder below which a failing case leaves its history, ledger and logs.
    pub keep: PathBuf,
    /// Only the case with this seed (a replay).
    pub only: Option<u64>,
}

impl Plan {
    /// The seed of a layer's `n`-th case.
    pub fn case(&self, layer: Kind, n: u64) -> u64 {
        let place = Kind::ALL.iter().position(|kind| *kind == layer).unwrap_or_default() as u64 + 1;
        let drawn = mixed(mixed(mixed(self.seed) ^ place) ^ n) >> (64 - DRAWN);
        (place << DRAWN) | drawn
    }

    /// The seeds of a layer's cases: that many for a whole run, at least one; the one asked for in a replay.
    pub fn cases(&self, layer: Kind, whole: u64) -> Vec<u64> {
        match self.only {
            Some(seed) => vec![seed],
            None => (0..self.count(whole)).map(|n| self.case(layer, n)).collect(),
        }
    }

    /// The seed of the round after the one with this seed. It belongs to no layer.
    pub fn next(seed: u64) -> u64 {
        mixed(seed) >> (64 - DRAWN)
    }

    /// How many of something this run does, when a whole run does `whole`: at least one.
    pub fn count(&self, whole: u64) -> u64 {
        ((whole as f64 * self.share).round() as u64).max(1)
    }

    /// The folder of a case; made when something is written into it.
    pub fn folder(&self, case: u64) -> PathBuf {
        let layer = Kind::of_case(case).map_or("run", Kind::name);
        self.keep.join(format!("{layer}-{case}"))
    }
}

/// The randomness of a case.
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Spreads a number over all 64 bits (splitmix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(share: f64) -> Plan {
        Plan { seed: 7, share, program: "postmesh".into(), keep: "kept".into(), only: None }
    }

    #[test]
    fn a_case_seed_names_its_layer_and_is_the_same_each_time() {
        for kind in Kind::ALL {
            let seed = plan(1.0).case(kind, 3);
            assert_eq!(Kind::of_case(seed), Some(kind));
            assert_eq!(seed, plan(0.5).case(kind, 3));
            assert_ne!(seed, plan(1.0).case(kind, 4));
            assert!(seed < 1 << 53);
        }
        assert_eq!(Kind::of_case(42), None);
    }

    #[test]
    fn a_share_scales_the_counts_but_leaves_one_of_each() {
        assert_eq!((plan(1.0).count(1000), plan(0.1).count(1000), plan(0.001).count(10)), (1000, 100, 1));
    }

    #[test]
    fn a_replay_has_one_case() {
        let only = Plan { only: Some(9), ..plan(1.0) };
        assert_eq!(only.cases(Kind::Simulation, 10_000), [9]);
    }
}

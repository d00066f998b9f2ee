//! What a run found: one [`Layer`] per layer, added up into a [`Report`] whose JSON form is the last line of
//! `postmesh chaos`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// `I1` to `I15`; `bug:<name>` for a seeded bug nobody caught; `run` when a case could not be carried out.
    pub invariant: String,
    /// The target concerned.
    pub target: Option<String>,
    /// What was seen and what should have been.
    pub what: String,
    /// The case's seed, for `postmesh chaos replay`.
    pub case: Option<u64>,
    /// The folder with what was kept of it.
    pub kept: Option<PathBuf>,
}

impl Violation {
    /// A violation concerning no single target, in no case yet.
    pub fn of(invariant: &str, what: impl Into<String>) -> Self {
        Self { invariant: invariant.to_owned(), target: None, what: what.into(), case: None, kept: None }
    }

    /// The same, of that target.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The same, found in that case, whose remains lie in that folder.
    #[must_use]
    pub fn in_case(mut self, case: u64, kept: Option<PathBuf>) -> Self {
        (self.case, self.kept) = (Some(case), kept);
        self
    }
}

/// How much a layer did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// States the model visited.
    pub states: u64,
    /// Seeds the simulation ran.
    pub seeds: u64,
    /// Failpoint cases: a point, what happens there, a network.
    pub failpoints: u64,
    /// Processes killed with SIGKILL.
    pub kills: u64,
    /// Nemeses carried out.
    pub nemeses: u64,
    /// Targets accepted by the program and judged.
    pub targets: u64,
    /// Posts beyond the first of a target.
    pub duplicates: u64,
    /// Accepted targets that reached no end, or whose post is not there though it says so.
    pub lost: u64,
    /// Seeded bugs that were caught.
    pub seeded_bugs_caught: u64,
    /// Seeded bugs that were tried.
    pub seeded_bugs: u64,
}

impl Counts {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.seeds += other.seeds;
        self.failpoints += other.failpoints;
        self.kills += other.kills;
        self.nemeses += other.nemeses;
        self.targets += other.targets;
        self.duplicates += other.duplicates;
        self.lost += other.lost;
        self.seeded_bugs_caught += other.seeded_bugs_caught;
        self.seeded_bugs += other.seeded_bugs;
    }
}

/// What one layer found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The layer's name.
    pub name: String,
    /// How much it did.
    pub counts: Counts,
    /// Attempts whose outcome was in doubt: the events the promise is about.
    pub ambiguous: u64,
    /// Targets that were left to the user.
    pub needs_confirmation: u64,
    /// What did not hold; empty in a good run.
    pub violations: Vec<Violation>,
}

impl Layer {
    /// A layer that has done nothing yet.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds what another case or part of the same layer found.
    pub fn add(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.ambiguous += other.ambiguous;
        self.needs_confirmation += other.needs_confirmation;
        self.violations.extend(other.violations);
    }
}

/// What a whole run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run's seed.
    pub seed: u64,
    /// How long it took.
    pub seconds: u64,
    /// The layers, in order.
    pub layers: Vec<Layer>,
}

impl Report {
    /// Adds a layer's findings to those of the same layer before it.
    pub fn add(&mut self, layer: Layer) {
        match self.layers.iter_mut().find(|known| known.name == layer.name) {
            Some(known) => known.add(layer),
            None => self.layers.push(layer),
        }
    }

    /// All layers as one.
    pub fn total(&self) -> Layer {
        let mut total = Layer::named("all");
        for layer in &self.layers {
            total.add(layer.clone());
        }
        total
    }

    /// True when every invariant held and every seeded bug was caught.
    pub fn is_clean(&self) -> bool {
        let total = self.total();
        total.violations.is_empty()
            && total.counts.duplicates == 0
            && total.counts.lost == 0
            && total.counts.seeded_bugs_caught == total.counts.seeded_bugs
    }

    /// The last line of `postmesh chaos`. `duplicate_rate_below` is the rule of three: with no duplicate among N
    /// doubtful outcomes, the rate lies below 3/N with 95 % confidence.
    pub fn json(&self) -> serde_json::Value {
        let Layer { counts, ambiguous, needs_confirmation, violations, .. } = self.total();
        let bound = (counts.duplicates == 0 && ambiguous > 0).then(|| (3.0 / ambiguous as f64).min(1.0));
        serde_json::json!({
            "seed": self.seed, "seconds": self.seconds,
            "states": counts.states, "seeds": counts.seeds, "failpoints": counts.failpoints,
            "kills": counts.kills, "nemeses": counts.nemeses, "targets": counts.targets,
            "ambiguous": ambiguous, "duplicates": counts.duplicates, "lost": counts.lost,
            "needs_confirmation": needs_confirmation, "violations": violations.len(),
            "seeded_bugs_caught": counts.seeded_bugs_caught, "seeded_bugs": counts.seeded_bugs,
            "duplicate_rate_below": bound,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills(kills: u64, ambiguous: u64) -> Layer {
        Layer { counts: Counts { kills, ..Counts::default() }, ambiguous, ..Layer::named("kills") }
    }

    #[test]
    fn rounds_of_a_layer_add_up() {
        let mut report = Report { seed: 1, seconds: 2, layers: Vec::new() };
        report.add(kills(1000, 200));
        report.add(kills(100, 100));
        report.add(Layer { counts: Counts { seeds: 5, ..Counts::default() }, ..Layer::named("simulation") });
        let line = report.json();
        assert_eq!((&line["kills"], &line["seeds"]), (&1100.into(), &5.into()));
        assert_eq!(line["duplicate_rate_below"], 0.01);
        assert!(report.is_clean());
    }

    #[test]
    fn a_violation_an_uncaught_bug_or_a_duplicate_spoils_a_run() {
        let with = |layer: Layer| Report { seed: 1, seconds: 2, layers: vec![layer] }.is_clean();
        assert!(with(kills(1, 1)));
        assert!(!with(Layer { violations: vec![Violation::of("I2", "two posts")], ..kills(1, 1) }));
        assert!(!with(Layer { counts: Counts { seeded_bugs: 12, ..Counts::default() }, ..kills(1, 1) }));
        assert!(!with(Layer { counts: Counts { duplicates: 1, ..Counts::default() }, ..kills(1, 1) }));
    }
}

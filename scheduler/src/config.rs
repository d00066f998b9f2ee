//! The scheduler's settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the section `scheduler`. All durations are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long before its due time a target is handed over, so that uploads and tokens are ready in time.
    pub prep_lead_ms: i64,
    /// How late a target may still go out, for example after a power cut; later ones are missed.
    pub max_lateness_ms: i64,
    /// The clock looks at the database at least this often, even when nobody woke it.
    pub scan_period_ms: u64,
    /// An offer to the publisher that was not answered is repeated after this long.
    pub offer_lease_ms: i64,
    /// Batches on their way to the publisher at the same time. One of them is always left to other tenants than those
    /// that have all the rest.
    pub lanes: usize,
    /// Targets of one batch, at most 500.
    pub batch: usize,
    /// How far ahead of its due time a target's account is checked, so that a warning comes in time; 0 for never.
    /// What is handed over within a minute is not checked any more.
    pub preflight_ms: i64,
    /// A checked account is checked again after this long.
    pub preflight_recheck_ms: i64,
    /// Watchers learn of changes made by other replicas within this time.
    pub watch_poll_ms: u64,
    /// How long answers are kept for repeated request ids.
    pub request_memory_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prep_lead_ms: 60_000,
            max_lateness_ms: 60 * 60_000,
            scan_period_ms: 5_000,
            offer_lease_ms: 30_000,
            lanes: 4,
            batch: 500,
            preflight_ms: 60 * 60_000,
            preflight_recheck_ms: 10 * 60_000,
            watch_poll_ms: 1_000,
            request_memory_ms: 24 * 60 * 60_000,
        }
    }
}

impl Config {
    /// What is wrong with the settings, all at once; empty when all is well.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |ok: bool, says: &str| {
            if !ok {
                problems.push(format!("scheduler.{says}"));
            }
        };
        within((0..=3_600_000).contains(&self.prep_lead_ms), "prep_lead_ms must be 0 to 3600000 (an hour)");
        within(
            (0..=7 * 86_400_000).contains(&self.max_lateness_ms),
            "max_lateness_ms must be 0 to 604800000 (a week)",
        );
        within((10..=60_000).contains(&self.scan_period_ms), "scan_period_ms must be 10 to 60000");
        within((100..=600_000).contains(&self.offer_lease_ms), "offer_lease_ms must be 100 to 600000");
        within((1..=64).contains(&self.lanes), "lanes must be 1 to 64");
        within((1..=500).contains(&self.batch), "batch must be 1 to 500");
        within(
            (0..=7 * 86_400_000).contains(&self.preflight_ms),
            "preflight_ms must be 0 (never) to 604800000 (a week)",
        );
        within(
            (60_000..=86_400_000).contains(&self.preflight_recheck_ms),
            "preflight_recheck_ms must be 60000 (a minute) to 86400000 (a day)",
        );
        within((10..=60_000).contains(&self.watch_poll_ms), "watch_poll_ms must be 10 to 60000");
        within(self.request_memory_ms >= 3_600_000, "request_memory_ms must be at least 3600000 (an hour)");
        problems
    }

    pub(crate) fn scan_period(&self) -> Duration {
        Duration::from_millis(self.scan_period_ms)
    }

    pub(crate) fn watch_poll(&self) -> Duration {
        Duration::from_millis(self.watch_poll_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_bad_setting_at_once() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let bad = Config { prep_lead_ms: -1, lanes: 0, batch: 501, ..Config::default() };
        let problems = bad.validate();
        assert_eq!(problems.len(), 3);
        assert!(problems[2].starts_with("scheduler.batch must be"), "{problems:?}");
    }
}

//! Settings of the analytics service.

use serde::{Deserialize, Serialize};

use crate::domain::schedule::Schedule;

/// Settings of the analytics service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ages of a post at which its counts are read, in seconds, growing.
    pub ages_seconds: Vec<u32>,
    /// After the last age counts are read this often, in seconds.
    pub then_every_seconds: u32,
    /// Counts of older posts are not read any more, in days.
    pub until_days: u32,
    /// How often the service looks for accounts with posts to read, in milliseconds.
    pub look_every_ms: u32,
    /// Reads under way at once, over all accounts: low, since publishing goes first.
    pub concurrent_reads: u32,
    /// An account's collector without work ends after this long, in seconds.
    pub idle_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ages_seconds: vec![60, 5 * 60, 15 * 60, 3_600, 6 * 3_600, 24 * 3_600],
            then_every_seconds: 24 * 3_600,
            until_days: 30,
            look_every_ms: 2_000,
            concurrent_reads: 4,
            idle_seconds: 60,
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, in words.
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut require = |ok: bool, text: &str| {
            if !ok {
                wrong.push(text.to_owned());
            }
        };
        let grow = self.ages_seconds.windows(2).all(|pair| pair[0] < pair[1]);
        require(
            grow && !self.ages_seconds.contains(&0),
            "analytics.ages_seconds must grow and begin after 0",
        );
        require(self.then_every_seconds >= 60, "analytics.then_every_seconds must be at least 60");
        require((1..=365).contains(&self.until_days), "analytics.until_days must be between 1 and 365");
        require(self.look_every_ms >= 10, "analytics.look_every_ms must be at least 10");
        require(
            (1..=64).contains(&self.concurrent_reads),
            "analytics.concurrent_reads must be between 1 and 64",
        );
        wrong
    }

    /// When counts are read.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            ages_ms: self.ages_seconds.iter().map(|s| i64::from(*s) * 1_000).collect(),
            then_every_ms: i64::from(self.then_every_seconds.max(1)) * 1_000,
            until_ms: i64::from(self.until_days) * 86_400_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_every_problem_at_once() {
        assert!(Config::default().validate().is_empty());
        let wrong =
            Config { ages_seconds: vec![60, 60], until_days: 0, concurrent_reads: 0, ..Config::default() };
        assert_eq!(wrong.validate().len(), 3);
    }
}

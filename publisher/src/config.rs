//! The publisher's settings.

use std::collections::BTreeMap;

use postmesh_kit::http::OutboundConfig;
use serde::{Deserialize, Serialize};

use crate::domain::policy::Policy;

/// The publisher's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of the gateway as users see it, without a slash at the end: networks send the browser back to
    /// `<public_url>/oauth/callback`. From `public.url`.
    #[serde(skip)]
    pub public_url: String,
    /// Server used when the user names none, by network: `bluesky = "https://bsky.social"`. Overrides the adapter's own.
    pub servers: BTreeMap<String, String>,
    /// What outbound calls may reach besides the public internet. From the section `outbound`.
    #[serde(skip)]
    pub outbound: OutboundConfig,
    /// Posts an account may send per window, by network. No entry: any number.
    pub permits: BTreeMap<String, Permits>,
    /// Milliseconds before its due time at which a delivery is prepared.
    pub prep_lead_ms: i64,
    /// Milliseconds from ARM to the moment after which no byte of an attempt leaves any more.
    pub send_timeout_ms: i64,
    /// Milliseconds after that in which a network may still execute the request.
    pub quiesce_ms: i64,
    /// Milliseconds after the first ARM for which an idempotency key is trusted.
    pub key_window_ms: i64,
    /// Milliseconds for which a lost answer is looked for before the user is asked.
    pub reconcile_budget_ms: i64,
    /// Milliseconds before the first retry; doubles from there.
    pub backoff_first_ms: i64,
    /// Longest milliseconds between retries, unless the network asks for more.
    pub backoff_most_ms: i64,
    /// Milliseconds a lease of an account lasts (PostgreSQL); renewed after a third of it.
    pub lease_ms: i64,
    /// Milliseconds between two sweeps.
    pub sweep_ms: u64,
    /// Milliseconds without work after which an account's actor ends.
    pub idle_ms: u64,
    /// Account actors alive at once; further accounts wait for one to end.
    pub accounts_at_once: usize,
    /// Deliveries of one account held in memory; the others stay in the database.
    pub window: usize,
    /// Deliveries of one account prepared at once.
    pub prepare_at_once: usize,
    /// Milliseconds before its end at which an access token is refreshed.
    pub refresh_ahead_ms: i64,
    /// Milliseconds that a stop waits for sends under way.
    pub grace_ms: u64,
}

/// How many posts an account may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permits {
    /// Posts per window.
    pub posts: i64,
    /// The window in milliseconds; it begins with the first post.
    pub window_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            public_url: "http://127.0.0.1:8080".into(),
            servers: BTreeMap::new(),
            outbound: OutboundConfig::default(),
            permits: BTreeMap::new(),
            prep_lead_ms: policy.prep_lead,
            send_timeout_ms: policy.send_timeout,
            quiesce_ms: policy.quiesce,
            key_window_ms: policy.key_window,
            reconcile_budget_ms: policy.reconcile_budget,
            backoff_first_ms: policy.backoff_first,
            backoff_most_ms: policy.backoff_most,
            lease_ms: 30_000,
            sweep_ms: 5_000,
            idle_ms: 30_000,
            accounts_at_once: 2_000,
            window: 256,
            prepare_at_once: 4,
            refresh_ahead_ms: 10 * 60_000,
            grace_ms: 25_000,
        }
    }
}

impl Config {
    /// The times that decisions use.
    pub fn policy(&self) -> Policy {
        Policy {
            prep_lead: self.prep_lead_ms,
            // When its process died, its lease has ended by then.
            prep_timeout: self.lease_ms,
            send_timeout: self.send_timeout_ms,
            quiesce: self.quiesce_ms,
            key_window: self.key_window_ms,
            reconcile_budget: self.reconcile_budget_ms,
            backoff_first: self.backoff_first_ms,
            backoff_most: self.backoff_most_ms,
            ..Policy::default()
        }
    }

    /// Every setting that makes no sense, as a sentence.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = self.outbound.validate();
        let mut require = |ok: bool, text: &str| {
            if !ok {
                problems.push(text.to_owned());
            }
        };
        require(
            url::Url::parse(&self.public_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
            "publisher.public_url must be an http or https address",
        );
        require(self.prep_lead_ms >= 0, "publisher.prep_lead_ms must not be negative");
        require(self.send_timeout_ms > 0, "publisher.send_timeout_ms must be positive");
        require(self.quiesce_ms >= 0, "publisher.quiesce_ms must not be negative");
        require(
            self.key_window_ms > self.send_timeout_ms + self.quiesce_ms,
            "publisher.key_window_ms must be longer than send_timeout_ms and quiesce_ms together, or no lost answer \
             could be settled by its key",
        );
        require(self.key_window_ms <= 55 * 60_000, "publisher.key_window_ms must be at most 55 minutes");
        require(self.reconcile_budget_ms > 0, "publisher.reconcile_budget_ms must be positive");
        require(
            self.backoff_first_ms > 0 && self.backoff_most_ms >= self.backoff_first_ms,
            "publisher.backoff_first_ms must be positive and at most backoff_most_ms",
        );
        require(self.lease_ms >= 1_000, "publisher.lease_ms must be at least 1000");
        require(self.sweep_ms > 0, "publisher.sweep_ms must be positive");
        require(self.accounts_at_once > 0, "publisher.accounts_at_once must be positive");
        require(self.window >= 2, "publisher.window must be at least 2");
        require(self.prepare_at_once > 0, "publisher.prepare_at_once must be positive");
        require(
            self.permits.values().all(|permits| permits.posts > 0 && permits.window_ms > 0),
            "publisher.permits: posts and window_ms must be positive",
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_problem_is_told() {
        assert_eq!(Config::default().validate(), [] as [String; 0]);
        let wrong = Config { public_url: "x".into(), sweep_ms: 0, window: 0, ..Config::default() };
        assert_eq!(wrong.validate().len(), 3);
    }
}

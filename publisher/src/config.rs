//! The publisher's settings.

use std::collections::BTreeMap;

use postmesh_kit::http::OutboundConfig;
use serde::{Deserialize, Serialize};

use crate::{
    apps::AppConfig,
    domain::policy::Policy,
    networks::{Facts, limits::Permits},
};

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
    /// Our applications at the networks that ask for one, by network; workspaces may set their own.
    pub apps: BTreeMap<String, AppConfig>,
    /// What outbound calls may reach besides the public internet. From the section `outbound`.
    #[serde(skip)]
    pub outbound: OutboundConfig,
    /// How many posts an account may send in any span of a length, by network; all spans of a network hold. No entry:
    /// what the network is known to take; an empty list: any number.
    pub permits: BTreeMap<String, Vec<Permits>>,
    /// How many posts all accounts of one server of a network may send together in a window, for networks that limit our
    /// application as a whole. Windows follow each other without a gap. No entry: any number.
    pub app_permits: BTreeMap<String, Vec<Permits>>,
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
    /// Milliseconds between two looks for a post that the user was asked about; a late find wins.
    pub late_look_ms: i64,
    /// Milliseconds that reads which miss a post have to span before they prove that it is not there, for networks where
    /// only reading back can tell.
    pub absent_span_ms: i64,
    /// Milliseconds between two questions to a network that is still working on a post.
    pub poll_ms: i64,
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
    /// Milliseconds for which events, and the handles and attempts of final deliveries, are kept.
    pub keep_ms: i64,
}

/// Events are kept at least this long, milliseconds: whoever follows them may have been away.
const KEEP_LEAST: i64 = 7 * 24 * 3_600_000;

impl Default for Config {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            public_url: "http://127.0.0.1:8080".into(),
            servers: BTreeMap::new(),
            apps: BTreeMap::new(),
            outbound: OutboundConfig::default(),
            permits: BTreeMap::new(),
            app_permits: BTreeMap::new(),
            prep_lead_ms: policy.prep_lead,
            send_timeout_ms: policy.send_timeout,
            quiesce_ms: policy.quiesce,
            key_window_ms: policy.key_window,
            reconcile_budget_ms: policy.reconcile_budget,
            late_look_ms: policy.late_look_every,
            absent_span_ms: policy.absent_span,
            poll_ms: policy.poll_every,
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
            keep_ms: 90 * 24 * 3_600_000,
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
            late_look_every: self.late_look_ms,
            absent_span: self.absent_span_ms,
            poll_every: self.poll_ms,
            backoff_first: self.backoff_first_ms,
            backoff_most: self.backoff_most_ms,
            ..Policy::default()
        }
    }

    /// How many posts an account of this network may send, in any span of each length.
    pub fn permits_of(&self, facts: &Facts) -> Vec<Permits> {
        self.permits.get(facts.id).cloned().unwrap_or_else(|| facts.permits.to_vec())
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
        require(self.late_look_ms > 0, "publisher.late_look_ms must be positive");
        require(self.absent_span_ms > 0, "publisher.absent_span_ms must be positive");
        require(self.poll_ms > 0, "publisher.poll_ms must be positive");
        require(
            self.backoff_first_ms > 0 && self.backoff_most_ms >= self.backoff_first_ms,
            "publisher.backoff_first_ms must be positive and at most backoff_most_ms",
        );
        require(self.lease_ms >= 1_000, "publisher.lease_ms must be at least 1000");
        require(self.sweep_ms > 0, "publisher.sweep_ms must be positive");
        require(self.accounts_at_once > 0, "publisher.accounts_at_once must be positive");
        require(self.window >= 2, "publisher.window must be at least 2");
        require(self.prepare_at_once > 0, "publisher.prepare_at_once must be positive");
        let set = || self.permits.values().chain(self.app_permits.values()).flatten();
        require(
            set().all(|permits| permits.posts > 0 && permits.window_ms > 0),
            "publisher.permits and app_permits: posts and window_ms must be positive",
        );
        require(self.keep_ms >= KEEP_LEAST, "publisher.keep_ms must be at least 604800000 (7 days)");
        require(
            set().all(|permits| permits.window_ms <= self.keep_ms),
            "publisher.keep_ms must be at least as long as every window of permits",
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
        let zero = Permits { posts: 0, window_ms: 1 };
        let wrong = Config {
            public_url: "x".into(),
            sweep_ms: 0,
            window: 0,
            keep_ms: 1,
            app_permits: BTreeMap::from([("mastodon".to_owned(), vec![zero])]),
            ..Config::default()
        };
        assert_eq!(wrong.validate().len(), 5, "{:?}", wrong.validate());
    }
}

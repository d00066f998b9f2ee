//! What a test asks to go wrong: rules, in order, each for one network, one operation and perhaps one account.
//! A rule lets `skip` matching requests pass, then hits `times` of them (0: for ever): each one, every n-th (`every`),
//! or a `share` drawn from a `seed`, which is the same in every run. Of the faults that act on the exchange the first
//! match wins, and later rules do not count that request; `processing`, `ignore_idempotency_key` and `stale_read` add
//! to it. Held requests wait here.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{crypto, networks::Network, web::lock};

/// The moment known to a read that does not lag.
pub(crate) const NOW: i64 = i64::MAX;

/// What a request wants; each route of a network names its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Publish,
    MediaUpload,
    MediaEdit,
    Token,
    Session,
    Refresh,
    Revoke,
    Register,
    Authorize,
    Read,
    Delete,
    /// In a rule: each of them.
    Any,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// Received, not executed until `POST /_sandbox/release`, which executes it (even if the client has left).
    Hold {},
    /// Executed and visible; the answer waits for the release.
    AcceptThenHold {},
    /// Not executed; the connection is reset.
    DropBefore {},
    /// Executed, never answered; the connection stays until the client leaves.
    AcceptThenTimeout {},
    /// Executed; the connection is reset.
    AcceptThenReset {},
    /// Executed; answers the network's own 500.
    #[serde(rename = "accept_then_500")]
    AcceptThen500 {},
    /// Never answered; executed after that time, whether or not the client is still there.
    AcceptLate { ms: u64 },
    /// Not executed; this answer.
    Status {
        code: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: Map<String, Value>,
    },
    /// Not executed; the network's own 429.
    Throttle { retry_after_s: u64 },
    /// Executed; a 200 nobody can parse.
    Garbage {},
    /// Executed and answered, that much later.
    Delay { ms: u64 },
    /// Publish only: the idempotency key is not looked at, as some other software does.
    IgnoreIdempotencyKey {},
    /// Media uploads only: how long the file is processed, and whether that ends badly.
    Processing {
        ms: u64,
        #[serde(default)]
        fails: bool,
    },
    /// Reads only: posts and records are answered as they were that long ago, as a replica does that lags.
    StaleRead { ms: u64 },
    /// At once: access tokens handed out so far have expired.
    ExpireTokens {},
    /// At once: tokens handed out so far are revoked; with `and_password` the app password as well.
    RevokeTokens {
        #[serde(default)]
        and_password: bool,
    },
    /// At once: how long new access tokens live; not on Mastodon, where they have no end.
    TokenLifetime { access_s: u64 },
}

impl Fault {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hold {} => "hold",
            Self::AcceptThenHold {} => "accept_then_hold",
            Self::DropBefore {} => "drop_before",
            Self::AcceptThenTimeout {} => "accept_then_timeout",
            Self::AcceptThenReset {} => "accept_then_reset",
            Self::AcceptThen500 {} => "accept_then_500",
            Self::AcceptLate { .. } => "accept_late",
            Self::Status { .. } => "status",
            Self::Throttle { .. } => "throttle",
            Self::Garbage {} => "garbage",
            Self::Delay { .. } => "delay",
            Self::IgnoreIdempotencyKey {} => "ignore_idempotency_key",
            Self::Processing { .. } => "processing",
            Self::StaleRead { .. } => "stale_read",
            Self::ExpireTokens {} => "expire_tokens",
            Self::RevokeTokens { .. } => "revoke_tokens",
            Self::TokenLifetime { .. } => "token_lifetime",
        }
    }

    fn is_quirk(&self) -> bool {
        matches!(self, Self::IgnoreIdempotencyKey {} | Self::Processing { .. } | Self::StaleRead { .. })
    }

    /// Whether it acts when it is posted instead of waiting for a request.
    pub(crate) fn acts_at_once(&self) -> bool {
        matches!(self, Self::ExpireTokens {} | Self::RevokeTokens { .. } | Self::TokenLifetime { .. })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) network: Network,
    #[serde(default = "any")]
    pub(crate) operation: Operation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    pub(crate) fault: Fault,
    /// Matching requests to let pass first.
    #[serde(default)]
    pub(crate) skip: u64,
    /// Matching requests to hit; 0 is for ever.
    #[serde(default = "once")]
    pub(crate) times: u64,
    /// Of the matching requests hit every n-th: 5 lets four pass, hits one, lets four pass.
    #[serde(default = "once")]
    pub(crate) every: u64,
    /// Of the matching requests hit this part of them, 0 to 1, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f64>,
    /// What the share is drawn from: the same seed hits the same requests, counted in the order they arrive.
    #[serde(default)]
    pub(crate) seed: u64,
}

impl Rule {
    /// What is wrong with it, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match (&self.fault, self.share) {
            _ if self.every == 0 => Some("every must be at least 1"),
            (_, Some(_)) if self.every != 1 => Some("share: a rule has either every or share"),
            (_, Some(share)) if !(0.0..=1.0).contains(&share) => Some("share must lie between 0 and 1"),
            (_, None) if self.seed != 0 => Some("seed: there is no share to draw"),
            (Fault::StaleRead { .. }, _) if !matches!(self.operation, Operation::Read | Operation::Any) => {
                Some("fault.kind: only reads are stale")
            }
            _ => None,
        }
    }

    /// Whether the n-th request that is not skipped is hit; counts from 1.
    fn hits(&self, nth: u64) -> bool {
        match self.share {
            Some(share) => draw(self.seed, nth) < share,
            None => nth.is_multiple_of(self.every),
        }
    }
}

/// A number from 0 up to 1 that depends on nothing but the two.
fn draw(seed: u64, nth: u64) -> f64 {
    let hash = crypto::sha256(&[seed.to_be_bytes(), nth.to_be_bytes()].concat());
    let mut bits = [0; 8];
    bits.copy_from_slice(&hash[..8]);
    (u64::from_be_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

fn any() -> Operation {
    Operation::Any
}

fn once() -> u64 {
    1
}

#[derive(Debug, Clone, Serialize)]
struct Posted {
    id: u64,
    #[serde(flatten)]
    rule: Rule,
    /// Matching requests so far, skipped ones included.
    seen: u64,
    hits: u64,
}

impl Posted {
    fn is_spent(&self) -> bool {
        self.rule.times > 0 && self.hits >= self.rule.times
    }
}

/// Changes to how a network's own handler behaves, carried by the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quirks {
    pub(crate) ignore_idempotency_key: bool,
    /// Milliseconds of processing, and whether it fails.
    pub(crate) processing: Option<(u64, bool)>,
    /// How far a read lags, milliseconds.
    stale_ms: Option<u64>,
}

impl Quirks {
    /// The latest moment a read knows of.
    pub(crate) fn as_of(&self, now_ms: i64) -> i64 {
        self.stale_ms.map_or(NOW, |ms| now_ms.saturating_sub_unsigned(ms))
    }
}

#[derive(Debug)]
pub(crate) struct Script {
    rules: Mutex<(u64, Vec<Posted>)>,
    held: Mutex<Vec<oneshot::Sender<Released>>>,
    held_count: watch::Sender<usize>,
}

/// Kept by a released request until it has executed.
pub(crate) type Released = mpsc::Sender<()>;

impl Default for Script {
    fn default() -> Self {
        Self { rules: Mutex::default(), held: Mutex::default(), held_count: watch::Sender::new(0) }
    }
}

impl Script {
    /// Adds a rule and answers its id.
    pub(crate) fn add(&self, rule: Rule) -> u64 {
        let mut rules = lock(&self.rules);
        rules.0 += 1;
        let id = rules.0;
        rules.1.push(Posted { id, rule, seen: 0, hits: 0 });
        id
    }

    /// The rules still waiting for requests, oldest first, with what they have seen and hit.
    pub(crate) fn pending(&self) -> Value {
        serde_json::to_value(&lock(&self.rules).1).expect("rules came from JSON")
    }

    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut lock(&self.rules).1).len()
    }

    /// The fault and the quirks for one request, with the names for the log.
    pub(crate) fn take(
        &self,
        network: Network,
        operation: Operation,
        account: Option<&str>,
    ) -> (Option<Fault>, Quirks, Vec<&'static str>) {
        let (mut fault, mut quirks, mut names) = (None, Quirks::default(), Vec::new());
        let mut rules = lock(&self.rules);
        for posted in &mut rules.1 {
            let rule = &posted.rule;
            let matches = rule.network == network
                && (rule.operation == Operation::Any || rule.operation == operation)
                && (rule.account.is_none() || rule.account.as_deref() == account);
            if !matches || (fault.is_some() && !rule.fault.is_quirk()) {
                continue;
            }
            posted.seen += 1;
            if posted.seen <= rule.skip || !rule.hits(posted.seen - rule.skip) {
                continue;
            }
            posted.hits += 1;
            names.push(rule.fault.name());
            match &rule.fault {
                Fault::IgnoreIdempotencyKey {} => quirks.ignore_idempotency_key = true,
                Fault::Processing { ms, fails } => quirks.processing = Some((*ms, *fails)),
                Fault::StaleRead { ms } => quirks.stale_ms = Some(*ms),
                other => fault = Some(other.clone()),
            }
        }
        if !names.is_empty() {
            rules.1.retain(|posted| !posted.is_spent());
        }
        (fault, quirks, names)
    }

    /// Joins the held requests. The receiver fails when the sandbox is reset or stops: then nothing executes.
    pub(crate) fn hold(&self) -> oneshot::Receiver<Released> {
        let (sender, receiver) = oneshot::channel();
        let mut held = lock(&self.held);
        held.push(sender);
        self.held_count.send_replace(held.len());
        receiver
    }

    /// Lets all held requests go and waits until each has executed; answers how many there were.
    pub(crate) async fn release(&self) -> usize {
        let released = self.take_held();
        let (done, mut all_done) = mpsc::channel(1);
        let count = released.into_iter().filter_map(|sender| sender.send(done.clone()).ok()).count();
        drop(done);
        let none = all_done.recv().await; // ends when the last request has let go of its sender
        debug_assert!(none.is_none());
        count
    }

    /// Drops all held requests without executing them.
    pub(crate) fn forget(&self) {
        self.take_held();
    }

    pub(crate) fn watch_held(&self) -> watch::Receiver<usize> {
        self.held_count.subscribe()
    }

    fn take_held(&self) -> Vec<oneshot::Sender<Released>> {
        let mut held = lock(&self.held);
        self.held_count.send_replace(0);
        std::mem::take(&mut *held)
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, Operation, Script};

    fn rule(text: &str) -> super::Rule {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn skips_then_hits_then_is_spent() {
        let script = Script::default();
        script.add(rule(
            r#"{"network":"mastodon","operation":"publish","fault":{"kind":"garbage"},"skip":1,"times":2}"#,
        ));
        let hit = || script.take(Network::Mastodon, Operation::Publish, Some("demo")).0.is_some();
        assert!(script.take(Network::Bluesky, Operation::Publish, None).0.is_none());
        assert!(script.take(Network::Mastodon, Operation::Read, None).0.is_none());
        assert_eq!([hit(), hit(), hit(), hit()], [false, true, true, false]);
        assert_eq!(script.pending(), serde_json::json!([]));
    }

    #[test]
    fn hits_every_nth_or_a_share_that_is_the_same_in_every_run() {
        let hits = |extra: &str| {
            let script = Script::default();
            script.add(rule(&format!(
                r#"{{"network":"mastodon","fault":{{"kind":"garbage"}},"times":0,{extra}}}"#
            )));
            let hit = |_| script.take(Network::Mastodon, Operation::Publish, None).0.is_some();
            (0..2_000).map(hit).collect::<Vec<_>>()
        };
        let places = |hits: Vec<bool>| {
            hits.iter().enumerate().filter(|(_, hit)| **hit).map(|(n, _)| n).collect::<Vec<_>>()
        };
        assert_eq!(places(hits(r#""every":5"#))[..3], [4, 9, 14]);
        assert_eq!(places(hits(r#""every":5,"skip":2"#))[..2], [6, 11]);
        let drawn = places(hits(r#""share":0.2,"seed":7"#));
        assert_eq!(drawn, places(hits(r#""share":0.2,"seed":7"#)));
        assert_ne!(drawn, places(hits(r#""share":0.2,"seed":8"#)));
        assert!((340..460).contains(&drawn.len()), "{}", drawn.len());
        assert_eq!(places(hits(r#""share":0.0"#)).len(), 0);
        assert_eq!(places(hits(r#""share":1.0"#)).len(), 2_000);
    }

    #[test]
    fn the_first_fault_wins_and_quirks_add_to_it() {
        let script = Script::default();
        script.add(rule(r#"{"network":"mastodon","account":"a","fault":{"kind":"delay","ms":1}}"#));
        script.add(rule(r#"{"network":"mastodon","fault":{"kind":"hold"}}"#));
        script.add(rule(r#"{"network":"mastodon","fault":{"kind":"ignore_idempotency_key"},"times":0}"#));
        let (fault, quirks, names) = script.take(Network::Mastodon, Operation::Publish, Some("a"));
        assert_eq!(fault.unwrap().name(), "delay");
        assert!(quirks.ignore_idempotency_key);
        assert_eq!(names, ["delay", "ignore_idempotency_key"]);
        assert_eq!(
            script.take(Network::Mastodon, Operation::Publish, Some("b")).2,
            ["hold", "ignore_idempotency_key"]
        );
    }
}

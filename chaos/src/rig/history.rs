//! What happened in one case, as plain data: what was asked for and answered, what the networks saw, and what the
//! databases say in the end. The simulation and the process layers fill the same form, so one checker judges both.
//!
//! All times are Unix milliseconds. In the process layers the clocks of the suite, the networks and the databases are
//! one machine's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Everything the invariants look at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The case's seed.
    pub case: u64,
    /// The accounts, of all tenants.
    pub accounts: Vec<Account>,
    /// Every target that was accepted.
    pub targets: Vec<Target>,
    /// Everything that became visible, in the order it did.
    pub visible: Vec<Visible>,
    /// Every request to a network.
    pub requests: Vec<Request>,
    /// How the mesh stands after it has drained.
    pub standing: Standing,
    /// What this case may do that a run without faults may not.
    pub allowances: Allowances,
}

/// How an answer that was lost can be settled at a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Natural key.
    A,
    /// Handle.
    B,
    /// Idempotency key.
    C,
    /// Read-back.
    D,
    /// Nothing.
    E,
}

impl Class {
    /// Whether a lost answer can always be settled without a user.
    pub fn settles(self) -> bool {
        matches!(self, Self::A | Self::B | Self::C)
    }
}

/// A connected account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id in the mesh.
    pub id: String,
    /// The workspace it belongs to.
    pub tenant: String,
    /// Its network.
    pub network: String,
    /// Its handle there.
    pub handle: String,
    /// The network's class.
    pub class: Class,
    /// Whether further parts become comments, about which nothing but reading tells.
    #[serde(default)]
    pub comments: bool,
    /// Whether the network shows descriptions of pictures.
    #[serde(default = "yes")]
    pub shows_alt: bool,
    /// How many posts it may send per window.
    pub permits: Option<Permits>,
}

fn yes() -> bool {
    true
}

/// A limit of posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// Posts per window.
    pub posts: usize,
    /// The window; it begins with the first post.
    pub window_ms: i64,
}

/// An accepted target: one post (or part of a thread) on one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// Its post.
    pub post: String,
    /// The workspace.
    pub tenant: String,
    /// Its account's id.
    pub account: String,
    /// The first part of its thread, or itself.
    pub thread: String,
    /// Its place in the thread, from 0.
    pub position: u32,
    /// What was acknowledged, oldest first; only the last may become visible.
    pub revisions: Vec<Revision>,
    /// When its withdrawal was acknowledged.
    pub cancelled_ms: Option<i64>,
    /// Its state in the end, as the API says: `published`, `failed`, …
    pub state: String,
    /// Why, when it has a reason.
    pub problem: Option<String>,
    /// Its id at the network, as the API says.
    pub native_id: Option<String>,
    /// The events of its outbox, oldest first.
    pub events: Vec<Event>,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// What a user was told is planned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// The text, or its digest; unique to a post and its revision.
    pub content: String,
    /// What identifies its pictures at the network, in order (their descriptions).
    pub media: Vec<String>,
    /// When it is to become visible.
    pub due_ms: i64,
    /// When it was acknowledged.
    pub acked_ms: i64,
}

/// One event of the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Its stable id.
    pub id: i64,
    /// The revision.
    pub revision: i64,
    /// The state reached.
    pub state: String,
    /// Which attempt, from 1; 0 before the first.
    pub attempt: i64,
    /// Whether those who follow are told.
    pub reports: bool,
    /// When.
    pub at_ms: i64,
}

/// One committed attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// From 1.
    pub n: i64,
    /// The idempotency key.
    pub key: String,
    /// The revision.
    pub revision: i64,
    /// When it was committed.
    pub armed_ms: i64,
    /// `accepted`, `not_sent`, `transient`, `rejected`, `unconfirmed`; absent while open.
    pub outcome: Option<String>,
}

/// Something that became visible.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Visible {
    /// The network.
    pub network: String,
    /// The account's handle.
    pub account: String,
    /// The post's id there.
    pub native_id: String,
    /// As in [`Revision::content`].
    pub content: String,
    /// As in [`Revision::media`].
    pub media: Vec<String>,
    /// When.
    pub at_ms: i64,
}

/// One request to a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// When it arrived.
    pub at_ms: i64,
    /// The network.
    pub network: String,
    /// The account's handle, when it names one.
    pub account: Option<String>,
    /// `publish`, `refresh`, …
    pub operation: String,
    /// What was answered; absent when nothing was.
    pub status: Option<u16>,
    /// How long the answer asked to wait.
    pub retry_after_ms: Option<i64>,
    /// The digest of the refresh token presented.
    pub refresh_token: Option<String>,
    /// The faults that hit it.
    pub faults: Vec<String>,
}

/// How the mesh stands in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Deliveries whose next step is overdue by more than the grace of the drain.
    pub stuck: i64,
    /// Attempts without an outcome.
    pub open_attempts: i64,
    /// Refreshes begun and not ended, whose old access token has ended as well.
    pub open_refreshes: i64,
    /// Whether every process says it is ready.
    pub is_ready: bool,
    /// Processes that were killed or ended by themselves.
    pub crashes: u64,
    /// When, where it is known.
    pub crashed_ms: Vec<i64>,
    /// Whether a post was expected at all (a case that withdraws everything expects none).
    pub expects_posts: bool,
}

/// What this case may do that a run without faults may not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowances {
    /// The 99th percentile of lateness; `None` where faults make it meaningless.
    pub lateness_p99_ms: Option<i64>,
    /// How long a delivery may be known before it takes its place in its account's line; `None`: order is not judged.
    pub order_after_ms: Option<i64>,
    /// Whether targets may end `missed` (the mesh or a network was away for longer than they may be late).
    pub misses: bool,
    /// Networks that were away for longer than lost answers are looked for.
    pub unreachable: Vec<String>,
    /// Whether reads in the background had the time to find what a user is being asked about.
    pub finds: bool,
}

impl History {
    /// The account of that id.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// Whether a user is asked about it, or about a part of its thread before it.
    pub fn waits_for_a_user(&self, target: &Target) -> bool {
        let is_asked = |asked: &&Target| asked.state == "needs_confirmation";
        self.targets
            .iter()
            .filter(is_asked)
            .any(|asked| asked.thread == target.thread && asked.position <= target.position)
    }

    /// Attempts whose outcome was in doubt: what the promise is about.
    pub fn ambiguous(&self) -> u64 {
        let doubted = |target: &Target| {
            let unconfirmed = target
                .attempts
                .iter()
                .filter(|attempt| attempt.outcome.as_deref() == Some("unconfirmed"))
                .map(|attempt| attempt.n);
            // One that was settled by a late answer or a read is closed as accepted.
            let unknown =
                target.events.iter().filter(|event| event.state == "unknown").map(|event| event.attempt);
            unconfirmed.chain(unknown).collect::<BTreeSet<_>>().len()
        };
        self.targets.iter().map(doubted).sum::<usize>() as u64
    }
}

impl Target {
    /// What may become visible.
    pub fn last(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// Whether nothing happens to it any more.
    pub fn is_final(&self) -> bool {
        matches!(
            self.state.as_str(),
            "published" | "in_inbox" | "failed" | "cancelled" | "missed" | "dropped"
        )
    }
}

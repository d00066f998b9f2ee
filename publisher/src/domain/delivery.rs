//! A delivery: one target of a post at one revision, in the publisher's hands.

use uuid::Uuid;

use super::content::Content;

/// Everything a network needs to know about one delivery. The same from the first call to the last: what must not
/// vary between a send and its repetition is decided once, in [`Work::plan`], and stored before the first call.
#[derive(Debug, Clone)]
pub struct Work {
    /// The target.
    pub target_id: Uuid,
    /// Its post.
    pub post_id: Uuid,
    /// Their workspace.
    pub workspace_id: Uuid,
    /// The account it goes to.
    pub account_id: Uuid,
    /// Counts up with every edit.
    pub revision: i64,
    /// When it becomes visible, not before; Unix milliseconds.
    pub due_at: i64,
    /// The idempotency key: base32 without padding (52 characters) of an HMAC over target, revision and network.
    /// The same for every attempt of this revision.
    pub key: String,
    /// What to publish.
    pub content: Content,
    /// What `Network::plan` decided; `null` only while it decides.
    pub plan: serde_json::Value,
    /// Its place in a thread, from 0.
    pub position: i64,
    /// The posts it continues, for a further part of a thread; `None` while `Network::plan` decides.
    pub reply: Option<Reply>,
}

/// What a further part of a thread replies to: ids at the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The part before it.
    pub parent_native_id: String,
    /// The thread's first part.
    pub root_native_id: String,
}

/// How far a network's clock may be off from the database's, milliseconds.
pub(crate) const SKEW: i64 = 120_000;

/// What is known about an attempt whose outcome is unknown, for looking it up at the network.
#[derive(Debug, Clone)]
pub struct AttemptFacts {
    /// Counts from 1.
    pub n: i64,
    /// When it was armed, Unix milliseconds, database clock: nothing of it is visible before.
    pub armed_at: i64,
    /// When the first attempt of this revision was armed, Unix milliseconds.
    pub first_armed_at: i64,
    /// SHA-256 of the request that was armed.
    pub request_sha256: Vec<u8>,
    /// The newest native id that this account published through us before the attempt; the place to read from.
    pub last_native_id: Option<String>,
    /// Native ids that belong to other deliveries of this account and so cannot be this one, from the time on that is
    /// looked at.
    pub taken_native_ids: Vec<String>,
}

impl AttemptFacts {
    /// Nothing of the delivery is visible before this, by the network's clock; Unix milliseconds.
    pub(crate) fn looked_for_since(&self) -> i64 {
        self.first_armed_at - SKEW
    }
}

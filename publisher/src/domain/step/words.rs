//! The words of the state machine: what decisions depend on, what happens, and what has to be done.

use super::super::{
    outcome::{Fault, Found, Outcome},
    policy::Policy,
    state::State,
};

/// Why a delivery is where it is, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Stable reason, upper snake case.
    pub code: String,
    /// A sentence with the next step.
    pub message: String,
}

impl Problem {
    /// A problem from its parts.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What decisions depend on. All times are Unix milliseconds of the database's clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Where it is.
    pub state: State,
    /// Not visible before.
    pub due_at: i64,
    /// Not sent from here on.
    pub late_at: i64,
    /// When something must be done at the latest; `None` when nothing will.
    pub next_at: Option<i64>,
    /// Failures in a row.
    pub tries: i32,
    /// Whether an attempt of it has no outcome yet.
    pub is_open: bool,
    /// When its first attempt was armed.
    pub first_armed_at: Option<i64>,
    /// Until when its last attempt may write bytes.
    pub send_deadline: Option<i64>,
    /// Since when it may be visible without our knowing.
    pub doubt_since: Option<i64>,
    /// When every attempt in doubt has become quiet: nothing of it can still be under way.
    pub quiet_at: Option<i64>,
    /// Reads after quiescence that did not find it, in a row.
    pub absent_reads: i32,
    /// When the first of them happened.
    pub absent_since: Option<i64>,
    /// A definite refusal that came while an earlier attempt was in doubt.
    pub refusal: Option<Problem>,
}

impl Delivery {
    /// A delivery that was just handed over.
    pub fn new(due_at: i64, max_late: i64, policy: &Policy) -> Self {
        let late_at = due_at.saturating_add(max_late);
        Self {
            state: State::HandedOver,
            due_at,
            late_at,
            next_at: Some((due_at - policy.prep_lead).min(late_at)),
            tries: 0,
            is_open: false,
            first_armed_at: None,
            send_deadline: None,
            doubt_since: None,
            quiet_at: None,
            absent_reads: 0,
            absent_since: None,
            refusal: None,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its time may have come: `next_at` has passed, or its owner looks at it afresh.
    Tick,
    /// The reversible steps begin.
    Begin,
    /// They are done.
    Prepared,
    /// They failed; nothing is visible.
    PrepareFailed(Fault),
    /// ARM: an attempt is committed together with this step, or not at all.
    Arm {
        /// The attempt's send deadline.
        send_deadline: i64,
    },
    /// ARM of the first part of its thread took it along: that one request makes both visible.
    Carried {
        /// That attempt's send deadline.
        send_deadline: i64,
    },
    /// The request that took it along was certainly not executed.
    PutBack {
        /// When that attempt was armed.
        armed_at: i64,
    },
    /// The open attempt's request was answered, or not.
    Settled(Outcome),
    /// An attempt is open whose process is gone.
    Lost,
    /// The network was read.
    Looked(Found),
    /// The network was asked how far its processing is.
    Polled(Outcome),
    /// The scheduler or a user takes it back.
    Recall,
    /// The account needs to be reconnected.
    Disconnected {
        /// What the user should do.
        message: String,
    },
    /// The account is back.
    Reconnected,
    /// The part of the thread before it ended without being published.
    Orphaned,
    /// The database forgot what it knew (a restored copy, a replica that lagged): it may have been sent.
    Doubted,
    /// A user found out what became of it.
    Confirmed(Verdict),
}

/// What a user found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is visible.
    Live {
        /// Its id at the network, when its address tells; may be empty.
        native_id: String,
        /// Its address.
        url: String,
    },
    /// It is left as it is; a newer revision may take its place.
    Dropped,
}

/// How an attempt is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Definitely accepted.
    Accepted,
    /// Definitely not executed, will be tried again.
    NotSent,
    /// Definitely refused this time.
    Transient,
    /// Definitely refused for good.
    Rejected,
    /// Quiet, and nobody knows.
    Unconfirmed,
}

impl Closing {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NotSent => "not_sent",
            Self::Transient => "transient",
            Self::Rejected => "rejected",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// What has to be done, besides storing the new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Close the open attempt, in the same transaction.
    Close(Closing),
    /// Tell the tailers, in the same transaction.
    Report(Option<Problem>),
    /// Store what the network made of it, in the same transaction.
    Record {
        /// Its id there.
        native_id: String,
        /// Its address; may be empty.
        url: String,
        /// How we know, when it was not its own answer.
        evidence: Option<String>,
    },
    /// Store what to ask with, in the same transaction.
    Track {
        /// The network's processing handle.
        handle: String,
    },
    /// Forget these steps' handles, in the same transaction.
    Forget(Vec<String>),
    /// Note what the network answered when it was asked, in the same transaction; no secrets, no post text.
    Note(String),
    /// Run the reversible steps.
    Prepare,
    /// Arm and send the same request again.
    Resend,
    /// Read the network.
    Look,
    /// Ask how far the processing is.
    Poll,
    /// Get new tokens before the next call.
    Refresh,
    /// The account needs to be reconnected.
    ParkAccount {
        /// What the user should do.
        message: String,
    },
}

/// A step that is not allowed in this state; nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not possible while {0}")]
pub struct Refused(pub State);

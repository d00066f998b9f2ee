//! What one exchange with a network proved. Only a definite outcome closes an attempt as success or failure;
//! whatever is not listed as definite is [`Outcome::Ambiguous`], so a mistake in a table can only make us ask again,
//! never post twice or report a false failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a send whose answer was lost can be settled at a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryClass {
    /// A: the post's own key makes an identical second request harmless, for ever.
    NaturalKey,
    /// B: a handle made before the visible step tells what became of it.
    Handle,
    /// C: the network remembers an idempotency key for a while.
    IdempotencyKey,
    /// D: only reading the account's posts back can tell.
    ReadBack,
    /// E: nothing can tell.
    Nothing,
}

/// What a request that may have become visible proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The post exists: a 2xx whose body parsed to its id.
    Accepted {
        /// Id at the network, the one that `metrics` and `delete` take.
        native_id: String,
        /// Address for people; empty when the network told none.
        url: String,
    },
    /// Accepted; the network goes on working. `Network::poll` takes the handle.
    Processing {
        /// What to ask with.
        handle: String,
    },
    /// Delivered to the person's inbox at the network, who publishes it there. Final.
    InInbox {
        /// What the network calls it.
        native_id: String,
    },
    /// No byte left: DNS, connect or TLS failed, or the local deadline passed before the first byte.
    NotSent {
        /// For the log and the evidence; no secrets, no post text.
        why: String,
    },
    /// Refused this time, nothing visible (a listed pair of status and code).
    Transient {
        /// Stable reason, upper snake case, such as `RATE_LIMITED`.
        code: String,
        /// A sentence for people.
        message: String,
        /// How long the network asked to wait.
        retry_after: Option<Duration>,
    },
    /// Refused because something prepared is gone at the network (an upload expired), nothing visible: the named
    /// handles are forgotten and their steps done again.
    Stale {
        /// Steps whose handles are void.
        steps: Vec<String>,
        /// Stable reason, upper snake case.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// Refused for good, nothing visible (a listed pair of status and code).
    Rejected {
        /// Stable reason, upper snake case, such as `TEXT_REFUSED`.
        code: String,
        /// A sentence with the next step.
        message: String,
    },
    /// Not executed: the access token has expired (a listed pair). Refresh, then send again with the same key.
    TokenExpired,
    /// Not executed: the authorization was taken back (a listed pair). Only the user can repair it.
    Reconnect {
        /// A sentence with the next step.
        message: String,
    },
    /// Everything else: it may be visible or not.
    Ambiguous {
        /// What was seen; no secrets, no post text.
        evidence: String,
    },
}

impl Outcome {
    /// The same, to be tried again after the time that was told, if it was.
    #[must_use]
    pub fn waiting(mut self, told: Option<Duration>) -> Self {
        if let Self::Transient { retry_after, .. } = &mut self {
            *retry_after = told.or(*retry_after);
        }
        self
    }

    /// The same as of a call that makes nothing visible, when it was refused this time.
    pub fn refusal(&self) -> Option<Fault> {
        match self {
            Self::Transient { code, message, retry_after } => Some(Fault::Transient {
                code: code.clone(),
                message: message.clone(),
                retry_after: *retry_after,
            }),
            _ => None,
        }
    }
}

/// What was seen on the wire, kept with the attempt as evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wire {
    /// HTTP status, when an answer arrived.
    pub http_status: Option<u16>,
    /// The network's own error code, when it named one.
    pub platform_code: Option<String>,
    /// The network's id of the request, when it named one.
    pub request_id: Option<String>,
    /// How long the network wants to hear nothing more of this account: the limit is used up by this request, or this
    /// request was refused for it.
    pub hold: Option<Duration>,
}

impl Wire {
    /// The same, with what the network asks for limited to `most` milliseconds: a reset a year ahead is a mistake.
    #[must_use]
    pub fn within(mut self, most: i64) -> Self {
        self.hold = self.hold.map(|hold| hold.min(Duration::from_millis(most.max(0).unsigned_abs())));
        self
    }
}

/// An outcome with what was seen on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it proves.
    pub outcome: Outcome,
    /// What was seen.
    pub wire: Wire,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, wire: Wire::default() }
    }
}

/// The reason of a refusal because of too many requests.
pub const RATE_LIMITED: &str = "RATE_LIMITED";

/// Reasons of refusals that concern our application at the network: whatever it asks for any account is refused alike.
pub const APP_EXHAUSTED: [&str; 2] = ["CREDITS_DEPLETED", "USAGE_CAPPED"];

/// Why a reversible call (upload, token, read, delete) did not succeed. Nothing visible can have come of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// May work later: network trouble, 5xx, limits, or the media service is away.
    #[error("{code}: {message}")]
    Transient {
        /// Stable reason, upper snake case.
        code: String,
        /// A sentence for people.
        message: String,
        /// How long to wait, when known.
        retry_after: Option<Duration>,
    },
    /// Will never work with this content.
    #[error("{code}: {message}")]
    Rejected {
        /// Stable reason, upper snake case.
        code: String,
        /// A sentence with the next step.
        message: String,
    },
    /// The access token has expired: refresh and try again.
    #[error("the access token has expired")]
    TokenExpired,
    /// The authorization was taken back.
    #[error("reconnect needed: {message}")]
    Reconnect {
        /// A sentence with the next step.
        message: String,
    },
    /// Our own database did not take a handle: stop here, the step is done again later.
    #[error("a handle could not be stored: {0}")]
    Store(String),
}

impl Fault {
    /// How long the network wants no further calls of this kind, when that is why it refused.
    pub fn throttled(&self) -> Option<Duration> {
        match self {
            Self::Transient { code, retry_after, .. } if code == RATE_LIMITED => *retry_after,
            _ => None,
        }
    }

    /// How long our application as a whole should ask nothing more, when that is why the network refused.
    pub fn exhausted(&self) -> Option<Duration> {
        match self {
            Self::Transient { code, retry_after, .. } if APP_EXHAUSTED.contains(&code.as_str()) => {
                *retry_after
            }
            _ => None,
        }
    }

    /// The same, to be tried again after the time that was told, if it was.
    #[must_use]
    pub fn waiting(mut self, told: Option<Duration>) -> Self {
        if let Self::Transient { retry_after, .. } = &mut self {
            *retry_after = told.or(*retry_after);
        }
        self
    }
}

/// What reading the network back told about a send whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Live {
        /// Id at the network.
        native_id: String,
        /// Address for people; may be empty.
        url: String,
        /// How we know; no post text.
        evidence: String,
    },
    /// It is not there now. Whether a request still under way can change that is the class's question.
    Absent,
    /// It is not shown, and no handle or key can prove that it was not sent: what would prove it was lost, or never was.
    /// Reads that miss it over a while leave the question to a user, whatever the class.
    Unseen,
    /// The network answered, and its answer tells nothing (several posts match, or it shows posts late).
    Unsure {
        /// What was seen.
        why: String,
    },
    /// It could not be read. New tokens may be what is missing.
    Unread(Fault),
}

impl From<Fault> for Found {
    fn from(fault: Fault) -> Self {
        Self::Unread(fault)
    }
}

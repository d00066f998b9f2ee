//! ARM: the one transaction that must be committed before the one visible request.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// Proof that an attempt is committed and this process may send its request, once. Not `Clone`; `Network::send`
/// consumes it.
#[derive(Debug)]
pub struct Armed {
    target_id: Uuid,
    n: i64,
    key: String,
    resend: bool,
    deadline: Instant,
}

impl Armed {
    /// The target.
    pub fn target_id(&self) -> Uuid {
        self.target_id
    }

    /// Which attempt, from 1.
    pub fn n(&self) -> i64 {
        self.n
    }

    /// The idempotency key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether an earlier attempt of the same revision may have become visible.
    pub fn is_resend(&self) -> bool {
        self.resend
    }

    /// Time left until the send deadline; `None` when it has passed and no first byte may leave any more. The whole
    /// exchange must end inside it.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

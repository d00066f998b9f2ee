//! The states of a delivery. `as_str` is what the database stores, so the words never change.

use std::fmt;

/// The state of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// In our hands, nothing begun.
    HandedOver,
    /// The reversible steps are running.
    Preparing,
    /// Ready; waits for its due time and its turn.
    Prepared,
    /// Armed: the one visible request may be on its way.
    Sending,
    /// Accepted; the network is still working on it.
    Processing,
    /// Proven not to be visible; will be tried again.
    RetryWait,
    /// Sent, and the answer was lost.
    Unknown,
    /// Waits for its account to be reconnected.
    Parked,
    /// Visible.
    Published,
    /// In the person's inbox at the network.
    InInbox,
    /// Refused, with proof that nothing is visible.
    Failed,
    /// Withdrawn before anything was sent.
    Cancelled,
    /// Not sent before its deadline.
    Missed,
    /// The network cannot tell; the user decides.
    NeedsConfirmation,
    /// Given up by a user after its answer was lost: nobody knows whether it is visible.
    Dropped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 15] = [
        Self::HandedOver,
        Self::Preparing,
        Self::Prepared,
        Self::Sending,
        Self::Processing,
        Self::RetryWait,
        Self::Unknown,
        Self::Parked,
        Self::Published,
        Self::InInbox,
        Self::Failed,
        Self::Cancelled,
        Self::Missed,
        Self::NeedsConfirmation,
        Self::Dropped,
    ];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HandedOver => "handed_over",
            Self::Preparing => "preparing",
            Self::Prepared => "prepared",
            Self::Sending => "sending",
            Self::Processing => "processing",
            Self::RetryWait => "retry_wait",
            Self::Unknown => "unknown",
            Self::Parked => "parked",
            Self::Published => "published",
            Self::InInbox => "in_inbox",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Missed => "missed",
            Self::NeedsConfirmation => "needs_confirmation",
            Self::Dropped => "dropped",
        }
    }

    /// The state with that stored word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing changes any more. `NeedsConfirmation` is not final: a late find still wins.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Published | Self::InInbox | Self::Failed | Self::Cancelled | Self::Missed | Self::Dropped
        )
    }

    /// Whether it is proven that nothing of this revision is visible or can become so without another ARM.
    pub fn is_unsent(self) -> bool {
        matches!(self, Self::HandedOver | Self::Preparing | Self::Prepared | Self::RetryWait | Self::Parked)
    }

    /// Whether a newer revision may take the place of this one: nothing of this one is visible, or a user decided so.
    pub fn gives_way(self) -> bool {
        self.is_unsent() || matches!(self, Self::Failed | Self::Cancelled | Self::Missed | Self::Dropped)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn words_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("draft"), None);
    }
}

//! The seeded bugs: twelve mistakes the fault suite must catch, each a few lines at the place where somebody could
//! make it. One process-wide set of switches; all off unless a harness turns one on.

use std::sync::atomic::{AtomicU32, Ordering};

static ON: AtomicU32 = AtomicU32::new(0);

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $variant:ident = $name:literal,)+) => {
        /// A mistake made on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $what])+ $variant,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in plans and reports.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What is wrong with it.
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => concat!($($what),+).trim_ascii(),)+ }
            }
        }
    };
}

bugs! {
    /// The request leaves before its attempt is written down.
    SendBeforeArm = "send_before_arm",
    /// Every attempt draws a new idempotency key.
    RandomKey = "random_key",
    /// An answer of the kind 5xx counts as "not done" and is sent again under a new identity.
    RetryOn500 = "retry_on_500",
    /// The lease is judged by the machine's clock in place of the database's.
    LocalClockLease = "local_clock_lease",
    /// The indexes of one open attempt per target and account are missing, and nothing else looks.
    NoOpenAttemptIndex = "no_open_attempt_index",
    /// A cancellation or recall is acknowledged without asking whether the row still was there to cancel.
    CancelWithoutCas = "cancel_without_cas",
    /// A success is written only by the one who still holds the lease.
    FenceOnSuccess = "fence_on_success",
    /// An answer of 429 counts as published.
    RateLimitedIsSuccess = "rate_limited_is_success",
    /// After a lost answer the reversible steps are made anew, so that the repetition is another post.
    NewContainerAfterUnknown = "new_container_after_unknown",
    /// Tokens are refreshed by whoever needs them, without an intent and at the same time.
    RefreshWithoutSingleFlight = "refresh_without_single_flight",
    /// The sweeper does not look for targets whose answer was lost.
    SweeperSkipsUnknown = "sweeper_skips_unknown",
    /// A restored copy of the database does not know that it is one.
    RestoreWithoutStamp = "restore_without_stamp",
}

impl Bug {
    /// The bug of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

pub(super) fn is_on(bug: Bug) -> bool {
    ON.load(Ordering::Relaxed) & bug.bit() != 0
}

pub(super) fn switch_on(bug: Bug) {
    ON.fetch_or(bug.bit(), Ordering::SeqCst);
}

/// Switches a bug on in this process until the guard is dropped: for the simulation, which runs one world at a time.
#[must_use = "the bug is switched off when this is dropped"]
pub fn seed(bug: Bug) -> Seeded {
    switch_on(bug);
    Seeded(bug)
}

/// A bug that is switched on.
#[derive(Debug)]
pub struct Seeded(Bug);

impl Drop for Seeded {
    fn drop(&mut self) {
        ON.fetch_and(!self.0.bit(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_bug_is_on_until_its_guard_is_gone() {
        let seeded = seed(Bug::RandomKey);
        assert!(is_on(Bug::RandomKey) && !is_on(Bug::RetryOn500));
        drop(seeded);
        assert!(!is_on(Bug::RandomKey));
    }

    #[test]
    fn there_are_twelve_with_names_of_their_own() {
        assert_eq!(Bug::ALL.len(), 12);
        for bug in Bug::ALL {
            assert_eq!(Bug::named(bug.name()), Some(*bug));
            assert!(bug.what().ends_with('.'), "{}", bug.what());
        }
    }
}

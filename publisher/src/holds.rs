//! Calls that make nothing visible, held back per account because the network answered "too many". In memory: what a
//! process has not heard itself, it hears with its first call. (Sends are held in the database, in ARM.)

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

/// A kind of calls, which networks limit apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Calls {
    /// Uploads of pictures.
    Uploads,
    /// Reads of posts and their counts.
    Reads,
}

/// More than this many are looked through for those that are over.
const MANY: usize = 1_000;

/// Until when which calls of which account are held, Unix milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<HashMap<(Uuid, Calls), i64>>);

impl Holds {
    /// The network wants no more of these calls for that long.
    pub(crate) fn hold(&self, account_id: Uuid, calls: Calls, wait: Duration, most: i64, now: i64) {
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(most);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() > MANY {
            held.retain(|_, until| *until > now);
        }
        let until = held.entry((account_id, calls)).or_default();
        *until = (*until).max(now.saturating_add(wait));
    }

    /// Until when these calls wait, when they do.
    pub(crate) fn until(&self, account_id: Uuid, calls: Calls, now: i64) -> Option<i64> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&(account_id, calls)).copied().filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_one_kind_of_one_account_for_as_long_as_was_asked_and_allowed() {
        let (holds, account) = (Holds::default(), Uuid::from_u128(1));
        holds.hold(account, Calls::Uploads, Duration::from_secs(9), 60_000, 1_000);
        holds.hold(account, Calls::Uploads, Duration::from_secs(1), 60_000, 1_000);
        assert_eq!(
            holds.until(account, Calls::Uploads, 9_999),
            Some(10_000),
            "a shorter wish takes nothing away"
        );
        assert_eq!(holds.until(account, Calls::Uploads, 10_000), None);
        assert_eq!(holds.until(account, Calls::Reads, 1_000), None);
        assert_eq!(holds.until(Uuid::from_u128(2), Calls::Uploads, 1_000), None);
        holds.hold(account, Calls::Reads, Duration::from_hours(9_000), 60_000, 0);
        assert_eq!(holds.until(account, Calls::Reads, 0), Some(60_000), "a year is a mistake");
    }
}

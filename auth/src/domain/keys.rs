//! When a signing key signs, when the next one is made, and until when tokens of the old one are accepted.
//!
//! Invariant: a key is known to every replica and verifier for [`OVERLAP_MS`] before it signs, and verifies for as
//! long as a token that it signed may live.

use super::session::ACCESS_LIFE_MS;

/// A new key is announced this long before it signs, in milliseconds. Replicas reload far more often.
pub const OVERLAP_MS: i64 = 60 * 60 * 1000;
/// Clocks of replicas may differ by this much, in milliseconds.
const SKEW_MS: i64 = 5 * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// When a key serves. All times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Counts up with every rotation.
    pub generation: i64,
    /// From when it signs.
    pub sign_from: i64,
    /// Until when its tokens are accepted; unset for the newest.
    pub verify_until: Option<i64>,
}

impl Term {
    /// True when it may sign; of several the one with the highest generation does.
    pub fn signs(&self, now: i64) -> bool {
        self.sign_from <= now && self.verifies(now)
    }

    /// True while tokens of it may be accepted.
    pub fn verifies(&self, now: i64) -> bool {
        self.verify_until.is_none_or(|until| now < until)
    }
}

/// The key to make next, if it is time: the very first signs at once, any other after the overlap.
pub fn next(newest: Option<Term>, days: u32, now: i64) -> Option<Term> {
    match newest {
        None => Some(Term { generation: 1, sign_from: now, verify_until: None }),
        Some(term) if now >= term.sign_from + i64::from(days) * DAY_MS - OVERLAP_MS => {
            Some(Term { generation: term.generation + 1, sign_from: now + OVERLAP_MS, verify_until: None })
        }
        Some(_) => None,
    }
}

/// Until when the keys before a new one verify: its first signature, plus the life of the last token before it.
pub fn retire(next: &Term) -> i64 {
    next.sign_from + ACCESS_LIFE_MS + SKEW_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_signs_at_once_and_the_next_after_the_overlap() {
        let first = next(None, 30, 1_000).unwrap();
        assert!(first.signs(1_000));
        let due = 1_000 + 30 * DAY_MS - OVERLAP_MS;
        assert_eq!(next(Some(first), 30, due - 1), None);
        let second = next(Some(first), 30, due).unwrap();
        assert_eq!((second.generation, second.sign_from), (2, 1_000 + 30 * DAY_MS));
        assert!(!second.signs(second.sign_from - 1) && second.verifies(due));
        let retired = Term { verify_until: Some(retire(&second)), ..first };
        assert!(retired.verifies(second.sign_from + ACCESS_LIFE_MS), "its last token still lives then");
        assert!(!retired.verifies(second.sign_from + ACCESS_LIFE_MS + SKEW_MS));
    }

    #[test]
    fn a_late_rotation_still_announces_the_key_first() {
        let old = Term { generation: 4, sign_from: 0, verify_until: None };
        let next = next(Some(old), 1, 100 * DAY_MS).unwrap();
        assert_eq!(next.sign_from, 100 * DAY_MS + OVERLAP_MS);
        assert!(old.signs(100 * DAY_MS), "until then the old one goes on");
    }
}

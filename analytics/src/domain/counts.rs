//! Counts of a target, and what became of asking for them.

use std::time::Duration;

/// Counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Likes, favourites, hearts.
    pub likes: i64,
    /// Reposts, boosts, shares.
    pub reposts: i64,
    /// Replies and comments.
    pub replies: i64,
    /// How often it was seen; 0 where the network does not tell.
    pub views: i64,
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self {
            likes: a.likes.saturating_add(b.likes),
            reposts: a.reposts.saturating_add(b.reposts),
            replies: a.replies.saturating_add(b.replies),
            views: a.views.saturating_add(b.views),
        })
    }
}

/// What the network said about one post; `None` when it no longer knows it.
pub type Reading = Option<Counts>;

/// Why counts could not be read, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may work later; the publisher may have said when.
    Later(Option<Duration>),
    /// The account is not connected; somebody has to reconnect it first.
    Disconnected,
    /// The account is gone, and with it the way to its posts.
    Gone,
}

impl Failure {
    /// How long to wait after this many failures in a row, in milliseconds; `None` for ever.
    pub fn wait_ms(self, failures: i64) -> Option<i64> {
        const MINUTE: i64 = 60_000;
        const HOUR: i64 = 60 * MINUTE;
        match self {
            Self::Later(hint) => {
                let doubled = MINUTE << failures.clamp(1, 10).saturating_sub(1);
                let hint = hint.map_or(0, |wait| i64::try_from(wait.as_millis()).unwrap_or(HOUR));
                Some(doubled.min(HOUR).max(hint.min(24 * HOUR)))
            }
            Self::Disconnected => Some(HOUR),
            Self::Gone => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_overflow() {
        let many = Counts { likes: i64::MAX, reposts: 1, replies: 2, views: 3 };
        assert_eq!(
            [many, many].into_iter().sum::<Counts>(),
            Counts { likes: i64::MAX, reposts: 2, replies: 4, views: 6 }
        );
    }

    #[test]
    fn waits_longer_after_each_failure_up_to_an_hour_and_as_long_as_told() {
        let waits: Vec<_> =
            [0, 1, 2, 3, 7, 1_000].map(|n| Failure::Later(None).wait_ms(n).unwrap() / 60_000).into();
        assert_eq!(waits, [1, 1, 2, 4, 60, 60]);
        assert_eq!(Failure::Later(Some(Duration::from_hours(2))).wait_ms(1), Some(7_200_000));
        assert_eq!(Failure::Later(Some(Duration::from_secs(u64::MAX))).wait_ms(1), Some(3_600_000));
        assert_eq!(Failure::Gone.wait_ms(1), None);
    }
}

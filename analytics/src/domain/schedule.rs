//! When the counts of a post are read: often while it is young, then ever more rarely, at last no more.

/// When counts are read, by the age of the post. All in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Ages at which counts are read, growing.
    pub ages_ms: Vec<i64>,
    /// After the last age they are read this often.
    pub then_every_ms: i64,
    /// Counts of older posts are not read.
    pub until_ms: i64,
}

impl Schedule {
    /// The first turn after `now` of a post published then; `None` when it is too old. Turns that were missed, while
    /// nothing ran, are not made up for.
    pub fn next(&self, published_at: i64, now: i64) -> Option<i64> {
        let age = (now - published_at).max(0);
        let last = self.ages_ms.last().copied().unwrap_or(0);
        let next = self.ages_ms.iter().copied().find(|turn| *turn > age).unwrap_or_else(|| {
            let rounds = (age - last).div_euclid(self.then_every_ms) + 1;
            last + rounds * self.then_every_ms
        });
        (next <= self.until_ms).then_some(published_at + next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 24 * 60 * MINUTE;

    #[test]
    fn decays_with_age_and_ends() {
        let schedule = Config::default().schedule();
        let mut now = 1_000;
        let mut ages = Vec::new();
        while let Some(next) = schedule.next(1_000, now) {
            assert!(next > now);
            ages.push((next - 1_000) / MINUTE);
            now = next;
        }
        assert_eq!(ages[..8], [1, 5, 15, 60, 360, 1_440, 2_880, 4_320]);
        assert_eq!(ages.last(), Some(&(30 * 24 * 60)));
        assert_eq!(ages.len(), 6 + 29);
    }

    #[test]
    fn skips_what_was_missed() {
        let schedule = Config::default().schedule();
        assert_eq!(schedule.next(0, 20 * MINUTE), Some(60 * MINUTE));
        assert_eq!(schedule.next(0, 3 * DAY + 1), Some(4 * DAY));
        assert_eq!(schedule.next(0, 31 * DAY), None);
        assert_eq!(schedule.next(5_000, 0), Some(5_000 + MINUTE), "a publisher's clock may run ahead");
    }

    #[test]
    fn works_without_ages() {
        let schedule = Schedule { ages_ms: vec![], then_every_ms: 10, until_ms: 25 };
        assert_eq!(
            (schedule.next(0, 0), schedule.next(0, 10), schedule.next(0, 20)),
            (Some(10), Some(20), None)
        );
    }
}

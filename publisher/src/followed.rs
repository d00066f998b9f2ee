//! The time by the database's clock, told by this process: its own clock and how far that one is off. Decisions that no
//! statement makes (what is late, what is quiet, how long an answer was looked for) agree with those of ARM then, on a
//! machine whose clock is steadily wrong too.
//!
//! **Invariant:** a database's clock that jumped is not followed; see `ClockGuard`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use postmesh_kit::clock::Clock;

/// A question to the database that took longer says too little about its clock, milliseconds.
const PROMPT: i64 = 1_000;
/// Clocks this close are the same, milliseconds.
const SAME: i64 = 500;

/// Tells the database's time.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    own: Arc<dyn Clock>,
    /// How far the database's clock is ahead, milliseconds.
    ahead: AtomicI64,
}

impl DatabaseClock {
    /// The same as `own` until the database was asked.
    pub(crate) fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, ahead: AtomicI64::new(0) }
    }

    /// This process's own time.
    pub(crate) fn own_ms(&self) -> i64 {
        self.own.now_ms()
    }

    /// The database showed `database` to a question that left at `asked`, by this process's own time, and is answered
    /// now.
    pub(crate) fn follow(&self, database: i64, asked: i64) {
        let heard = self.own.now_ms();
        if (0..=PROMPT).contains(&(heard - asked)) {
            let ahead = database - i64::midpoint(asked, heard);
            let ahead = if ahead.abs() < SAME { 0 } else { ahead };
            if self.ahead.swap(ahead, Ordering::Relaxed) != ahead {
                tracing::warn!(ahead_ms = ahead, "this machine's clock and the database's differ; the database's counts");
            }
        }
    }
}

impl Clock for DatabaseClock {
    fn now_ms(&self) -> i64 {
        self.own.now_ms().saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    fn is_steady(&self) -> bool {
        self.own.is_steady()
    }
}

#[cfg(test)]
mod tests {
    use postmesh_kit::testing::FakeClock;

    use super::*;

    #[test]
    fn tells_the_databases_time_on_a_machine_whose_clock_is_wrong() {
        let clock = DatabaseClock::new(Arc::new(FakeClock::at(10_000_000)));
        assert_eq!(clock.now_ms(), 10_000_000);
        clock.follow(10_000_300, 9_999_900);
        assert_eq!(clock.now_ms(), 10_000_000, "the same but for the way");
        clock.follow(7_400_000, 9_999_800);
        assert_eq!(clock.now_ms(), 7_400_100);
        clock.follow(1_000_000, 9_990_000);
        assert_eq!(clock.now_ms(), 7_400_100, "an answer that took ten seconds tells nothing");
    }
}

//! The time by the database's clock, told by this process: what the database showed last, and the uptime since. Decisions
//! that no statement makes (what is late, what is quiet, how long an answer was looked for) agree with those of ARM then,
//! on a machine whose own clock is wrong or leaps.
//!
//! **Invariant:** a database's clock that jumped is not followed until it is steady again; see `ClockGuard`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use postmesh_kit::{clock::Clock, clockguard::Boottime};

/// A question to the database that took longer says too little about its clock.
const PROMPT: Duration = Duration::from_secs(1);
/// Clocks this close are the same, milliseconds.
const SAME: i64 = 500;

/// Tells the database's time.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    own: Arc<dyn Clock>,
    /// What the database showed, and when, by the uptime.
    shown: Mutex<Option<(i64, Boottime)>>,
}

impl DatabaseClock {
    /// Tells the time of `own` until the database was asked.
    pub(crate) fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, shown: Mutex::new(None) }
    }

    /// The database showed `database` to a question that left at `asked` and is answered now.
    pub(crate) fn follow(&self, database: i64, asked: Boottime) {
        let heard = Boottime::now();
        let Some(took) = heard.checked_duration_since(asked).filter(|took| *took <= PROMPT) else { return };
        let now = database + millis(took / 2);
        let is_same = self.by_database().is_some_and(|told| (told - now).abs() < SAME);
        if !is_same {
            let ahead = now - self.own.now_ms();
            if ahead.abs() >= SAME {
                tracing::warn!(
                    ahead_ms = ahead,
                    "the database's clock and this machine's differ; the database's counts"
                );
            }
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, heard));
        }
    }

    fn by_database(&self) -> Option<i64> {
        let (shown, at) = (*self.shown.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = Boottime::now().checked_duration_since(at).unwrap_or_default();
        Some(shown.saturating_add(millis(since)))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Clock for DatabaseClock {
    fn now_ms(&self) -> i64 {
        self.by_database().unwrap_or_else(|| self.own.now_ms())
    }

    /// The uptime does not leap; before the database was asked, the machine's clock may.
    fn is_steady(&self) -> bool {
        self.by_database().is_some() || self.own.is_steady()
    }
}

#[cfg(test)]
mod tests {
    use postmesh_kit::testing::FakeClock;

    use super::*;

    fn shows(clock: &DatabaseClock, expected: i64) {
        let off = clock.now_ms() - expected;
        assert!((0..60_000).contains(&off), "{off} ms off");
    }

    #[test]
    fn tells_the_databases_time_on_a_machine_whose_clock_is_wrong() {
        let own = FakeClock::at(100_000_000);
        let clock = DatabaseClock::new(Arc::new(own.clone()));
        assert_eq!(clock.now_ms(), 100_000_000, "nobody was asked yet");
        clock.follow(7_000_000, Boottime::now());
        shows(&clock, 7_000_000);
        own.advance(24 * 3_600_000);
        shows(&clock, 7_000_000);
        clock.follow(90_000_000, Boottime::now());
        shows(&clock, 90_000_000);
    }
}

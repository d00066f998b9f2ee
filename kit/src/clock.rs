//! The one place that reads the wall clock, so that every decision takes its time as an argument and tests set it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::clockguard::ClockGuard;

/// Tells the time in milliseconds since 1970, UTC.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now_ms(&self) -> i64;

    /// Whether it ran evenly of late, so that it may say what is too late. Only clocks that somebody sets can say no.
    fn is_steady(&self) -> bool {
        true
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    fn now_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn is_steady(&self) -> bool {
        static GUARD: ClockGuard = ClockGuard::new();
        GUARD.agrees(self.now_ms())
    }
}

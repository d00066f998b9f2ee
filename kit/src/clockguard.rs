//! Notices when a clock jumps, the database's or the machine's: its progress is compared with the machine's uptime
//! clock, which nothing sets. While they disagree nothing is armed and nothing is given up as too late, so a clock that
//! leaps a day ahead can neither publish a day early nor miss a day of posts.
//!
//! **Invariant:** after a jump, a clock is believed again only when two clean samples lie at least a minute apart.

use std::{
    ops::Add,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Disagreement that counts as a jump, milliseconds.
const TOLERANCE: i64 = 5_000;
/// How far apart two clean samples must lie, milliseconds.
const APART: i64 = 60_000;

/// A moment of the clock that runs since the machine was started, its sleep included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boottime(Duration);

impl Boottime {
    /// Now.
    pub fn now() -> Self {
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        Self(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)))
    }

    /// Time since an earlier moment; `None` when that is later.
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Add<Duration> for Boottime {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

/// Compares one clock with the uptime.
#[derive(Debug, Default)]
pub struct ClockGuard(Mutex<Samples>);

/// Whether the clock is believed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Trust {
    #[default]
    Steady,
    /// It jumped, and no sample was clean since.
    Jumped,
    /// Clean samples since this uptime.
    Settling(i64),
}

#[derive(Debug, Default)]
struct Samples {
    /// The last sample: the clock, the uptime.
    last: Option<(i64, i64)>,
    trust: Trust,
}

impl ClockGuard {
    /// A guard that has seen nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Samples { last: None, trust: Trust::Steady }))
    }

    /// Takes a sample of the clock, which shows `now` (Unix milliseconds); whether it may be trusted for deciding what
    /// is due and what is too late.
    pub fn agrees(&self, now: i64) -> bool {
        self.sample(now, Boottime::now().millis())
    }

    fn sample(&self, clock: i64, uptime: i64) -> bool {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((last_clock, last_uptime)) = samples.last else {
            samples.last = Some((clock, uptime));
            return true;
        };
        // Samples of several tasks may be taken out of order by a little; that is far below the tolerance.
        let is_clean = ((clock - last_clock) - (uptime - last_uptime)).abs() <= TOLERANCE;
        samples.last = Some((clock, uptime));
        if !is_clean {
            if samples.trust == Trust::Steady {
                tracing::error!("a clock jumped; nothing is armed or missed by it until it is steady again");
            }
            samples.trust = Trust::Jumped;
            return false;
        }
        match samples.trust {
            Trust::Steady => true,
            Trust::Jumped => {
                samples.trust = Trust::Settling(uptime);
                false
            }
            Trust::Settling(since) if uptime - since < APART => false,
            Trust::Settling(_) => {
                samples.trust = Trust::Steady;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_clocks_agree() {
        let guard = ClockGuard::default();
        for second in 0..1000 {
            assert!(guard.sample(1_700_000_000_000 + second * 1000 + second % 7, 5_000 + second * 1000));
        }
    }

    #[test]
    fn a_jump_stops_arming_until_a_steady_minute_has_passed() {
        let guard = ClockGuard::default();
        assert!(guard.sample(0, 0));
        assert!(!guard.sample(86_400_000, 1_000), "a day ahead");
        assert!(!guard.sample(86_401_000, 2_000), "the first clean sample");
        assert!(!guard.sample(86_460_000, 61_000));
        assert!(guard.sample(86_461_000, 62_000));
        assert!(!guard.sample(86_000_000, 63_000), "backwards counts too");
    }

    #[test]
    fn uptime_runs_forward() {
        let first = Boottime::now();
        assert!(Boottime::now() >= first);
        assert!((first + Duration::from_secs(1)).checked_duration_since(first).is_some());
    }
}

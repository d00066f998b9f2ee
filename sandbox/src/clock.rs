//! The sandbox's own clock. Tests may move it forward (`POST /_sandbox/clock`), so that codes, keys and tokens
//! run out without waiting; it never goes back. The ledger always keeps the true time.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds UTC as the networks see them.
    pub(crate) fn now_ms(&self) -> i64 {
        true_now_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_ahead(&self, ms: i64) {
        self.ahead_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn ahead(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }
}

/// Milliseconds UTC of the machine, whatever the tests did to the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads time; the sandbox knows no other crate's clock"
)]
pub(crate) fn true_now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as i64
}

/// `2026-01-02T03:04:05.678Z`.
pub(crate) fn iso_ms(ms: i64) -> String {
    format!("{:.3}", instant(ms))
}

/// `2026-01-02T03:04:05.678000Z`, the six digits of Mastodon's rate-limit headers.
pub(crate) fn iso_micros(ms: i64) -> String {
    format!("{:.6}", instant(ms))
}

fn instant(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::{iso_micros, iso_ms};

    #[test]
    fn writes_times_as_the_networks_do() {
        assert_eq!(iso_ms(1_767_323_045_678), "2026-01-02T03:04:05.678Z");
        assert_eq!(iso_ms(1_767_323_045_000), "2026-01-02T03:04:05.000Z");
        assert_eq!(iso_micros(1_767_323_045_000), "2026-01-02T03:04:05.000000Z");
    }
}

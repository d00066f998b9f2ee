//! Between protobuf's timestamps and the milliseconds used inside.

use prost_types::{Duration, Timestamp};

/// A moment in milliseconds since 1970 as a protobuf timestamp.
pub fn to_proto(ms: i64) -> Timestamp {
    Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    }
}

/// A protobuf timestamp in milliseconds, rounded down; `None` when it is out of the range the field allows
/// (years 1 to 9999).
pub fn from_proto(timestamp: &Timestamp) -> Option<i64> {
    let in_range = (-62_135_596_800..=253_402_300_799).contains(&timestamp.seconds)
        && (0..1_000_000_000).contains(&timestamp.nanos);
    in_range.then(|| timestamp.seconds * 1000 + i64::from(timestamp.nanos / 1_000_000))
}

/// Milliseconds as a protobuf duration.
pub fn duration_to_proto(ms: i64) -> Duration {
    Duration { seconds: ms / 1000, nanos: i32::try_from((ms % 1000) * 1_000_000).unwrap_or(0) }
}

/// A protobuf duration in milliseconds, saturating.
pub fn duration_from_proto(duration: &Duration) -> i64 {
    duration.seconds.saturating_mul(1000).saturating_add(i64::from(duration.nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_moments_before_and_after_1970() {
        for ms in [-1_500, -1, 0, 1, 999, 1_000, 1_790_000_000_123] {
            assert_eq!(from_proto(&to_proto(ms)), Some(ms));
        }
    }

    #[test]
    fn refuses_moments_out_of_range() {
        assert_eq!(from_proto(&Timestamp { seconds: 253_402_300_800, nanos: 0 }), None);
        assert_eq!(from_proto(&Timestamp { seconds: 0, nanos: -1 }), None);
    }
}

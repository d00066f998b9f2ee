//! When a post may be published: a little in the past means now, and five years ahead is far enough.

use jiff::Timestamp;
use postmesh_kit::status::FieldViolation;

/// This far in the past still means now: clocks differ and forms take time.
pub const GRACE_MS: i64 = 60_000;
/// This far ahead a plan may reach.
pub const HORIZON_MS: i64 = 5 * 366 * 24 * 60 * 60 * 1000;

/// The due time of a requested one, or what is wrong with it.
pub fn due_at(requested: i64, now: i64) -> Result<i64, FieldViolation> {
    if requested < now - GRACE_MS {
        return Err(FieldViolation::new(
            "schedule_time",
            "IN_THE_PAST",
            format!(
                "is {}, which is in the past: it is {} now. Choose a time from now on",
                utc(requested),
                utc(now)
            ),
        ));
    }
    if requested > now + HORIZON_MS {
        return Err(FieldViolation::new(
            "schedule_time",
            "TOO_FAR_AHEAD",
            format!("is {}, more than 5 years ahead of now, {}", utc(requested), utc(now)),
        ));
    }
    Ok(requested.max(now))
}

fn utc(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_minute_in_the_past_means_now() {
        assert_eq!(due_at(NOW - GRACE_MS, NOW), Ok(NOW));
        assert_eq!(due_at(NOW, NOW), Ok(NOW));
        assert_eq!(due_at(NOW + 1, NOW), Ok(NOW + 1));
        assert_eq!(due_at(NOW + HORIZON_MS, NOW), Ok(NOW + HORIZON_MS));
    }

    #[test]
    fn names_both_times_when_it_is_too_late_or_too_far() {
        let late = due_at(NOW - GRACE_MS - 1, NOW).unwrap_err();
        assert_eq!(late.field, "schedule_time");
        assert!(late.description.contains("2027-01-15T07:58:59.999Z"), "{}", late.description);
        assert!(late.description.contains("2027-01-15T08:00:00Z"), "{}", late.description);
        assert_eq!(due_at(NOW + HORIZON_MS + 1, NOW).unwrap_err().reason, "TOO_FAR_AHEAD");
        assert!(due_at(i64::MAX, NOW).is_err());
        assert!(due_at(i64::MIN, NOW).is_err());
    }
}

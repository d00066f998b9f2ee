//! How long to wait before another try: exponential, jittered, never less than the network asked for (clamped).

use std::time::Duration;

use super::policy::Policy;

/// Milliseconds to wait after `tries` failures. `jitter` is anywhere in `0.0..1.0`; it takes up to half of our own
/// delay away, never any of the network's.
pub fn delay(policy: &Policy, tries: i32, hint: Option<Duration>, jitter: f64) -> i64 {
    let doublings = tries.clamp(0, 30) as u32;
    let own = policy.backoff_first.saturating_mul(1_i64 << doublings).min(policy.backoff_most);
    let own = own - (own as f64 * 0.5 * jitter.clamp(0.0, 1.0)) as i64;
    let asked =
        hint.map_or(0, |hint| i64::try_from(hint.as_millis()).unwrap_or(i64::MAX)).min(policy.hint_most);
    own.max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_within_its_bounds() {
        let policy = Policy::default();
        assert_eq!(delay(&policy, 0, None, 0.0), 2_000);
        assert_eq!(delay(&policy, 3, None, 0.0), 16_000);
        assert_eq!(delay(&policy, 3, None, 1.0), 8_000);
        assert_eq!(delay(&policy, 500, None, 0.0), policy.backoff_most);
        assert_eq!(delay(&policy, -1, None, 0.0), 2_000);
    }

    #[test]
    fn obeys_the_network_up_to_a_limit() {
        let policy = Policy::default();
        assert_eq!(delay(&policy, 0, Some(Duration::from_secs(90)), 0.9), 90_000);
        assert_eq!(delay(&policy, 0, Some(Duration::from_secs(u64::MAX)), 0.0), policy.hint_most);
    }
}

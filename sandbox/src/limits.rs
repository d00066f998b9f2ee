//! Rate limits in fixed windows, as both networks count them. Headers are always answered. By default a window
//! refills at once (development and load runs are not what limits are for); `POST /_sandbox/limits` with
//! `"enforce": true` makes a network refuse as documented.

use std::{collections::HashMap, fmt::Display};

use http::{HeaderMap, HeaderName, HeaderValue};

/// One documented limit.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: &'static str,
    pub(crate) limit: u64,
    pub(crate) window_s: u64,
    /// What one request costs.
    pub(crate) cost: u64,
    pub(crate) per: Per,
}

/// Who shares a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    Account,
    Address,
    /// The client's address, unless the request names an account.
    AddressWithoutAccount,
}

impl Bucket {
    pub(crate) const fn new(name: &'static str, limit: u64, window_s: u64, cost: u64, per: Per) -> Self {
        Self { name, limit, window_s, cost, per }
    }
}

/// The tightest bucket after a request was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) window_s: u64,
    pub(crate) reset_ms: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Limits {
    used: HashMap<(&'static str, String), (i64, u64)>,
}

impl Limits {
    /// Counts one request in each of its buckets and answers the tightest.
    pub(crate) fn count(
        &mut self,
        buckets: &[Bucket],
        account: Option<&str>,
        address: &str,
        enforce: bool,
        now_ms: i64,
    ) -> Option<Verdict> {
        let mut tightest: Option<Verdict> = None;
        for bucket in buckets {
            let key = match (bucket.per, account) {
                (Per::Account, Some(account)) => account,
                (Per::Account, None) | (Per::AddressWithoutAccount, Some(_)) => continue,
                (Per::Address, _) | (Per::AddressWithoutAccount, None) => address,
            };
            let window_ms = bucket.window_s as i64 * 1000;
            let window = now_ms.div_euclid(window_ms);
            let mut used = bucket.cost;
            if enforce {
                let slot = self.used.entry((bucket.name, key.to_owned())).or_insert((window, 0));
                if slot.0 != window {
                    *slot = (window, 0);
                }
                slot.1 += bucket.cost;
                used = slot.1;
            }
            let verdict = Verdict {
                allowed: used <= bucket.limit,
                limit: bucket.limit,
                remaining: bucket.limit.saturating_sub(used),
                window_s: bucket.window_s,
                reset_ms: (window + 1) * window_ms,
            };
            let tighter =
                tightest.is_none_or(|t| (verdict.allowed, verdict.remaining) < (t.allowed, t.remaining));
            if tighter {
                tightest = Some(verdict);
            }
        }
        tightest
    }

    /// Gives back what a replayed request was charged.
    pub(crate) fn refund(&mut self, buckets: &[Bucket], account: &str) {
        for bucket in buckets.iter().filter(|bucket| bucket.per == Per::Account) {
            if let Some(slot) = self.used.get_mut(&(bucket.name, account.to_owned())) {
                slot.1 = slot.1.saturating_sub(bucket.cost);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.used.clear();
    }
}

/// Sets a header whose value we made ourselves.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: impl Display) {
    let value = HeaderValue::from_str(&format!("{value}")).expect("numbers and times are printable ASCII");
    headers.insert(HeaderName::from_static(name), value);
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Limits, Per};

    #[test]
    fn refuses_past_the_limit_until_the_window_ends() {
        let buckets = [Bucket::new("b", 2, 60, 1, Per::Account)];
        let mut limits = Limits::default();
        let mut at = |now: i64| limits.count(&buckets, Some("a"), "ip", true, now).unwrap();
        assert_eq!((at(0).allowed, at(1).remaining), (true, 0));
        let refused = at(2);
        assert!(!refused.allowed);
        assert_eq!(refused.reset_ms, 60_000);
        assert!(at(60_000).allowed);
    }

    #[test]
    fn refills_at_once_unless_enforced() {
        let buckets = [Bucket::new("b", 2, 60, 1, Per::Address)];
        let mut limits = Limits::default();
        for _ in 0..9 {
            assert_eq!(limits.count(&buckets, None, "ip", false, 0).unwrap().remaining, 1);
        }
    }
}

//! Rate limits in fixed windows, as the networks count them. Headers are always answered. By default a window
//! refills at once (development and load runs are not what limits are for); `POST /_sandbox/limits` with
//! `"enforce": true` makes a network refuse as documented. Beside that, whether enforced or not, the busiest sliding
//! window of each account and address is remembered: `GET /_sandbox/limits` answers what was really used.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Display,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Per {
    Account,
    Address,
    /// The client's address, unless the request names an account.
    AddressWithoutAccount,
}

impl Per {
    /// Whose share of a bucket a request uses, if anybody's.
    fn key<'a>(self, account: Option<&'a str>, address: &'a str) -> Option<&'a str> {
        match self {
            Self::Account => account,
            Self::Address => Some(address),
            Self::AddressWithoutAccount => account.is_none().then_some(address),
        }
    }
}

impl Bucket {
    /// What a request of so many units costs: an account pays for each, an address for the request.
    fn cost_of(&self, units: u64) -> u64 {
        if self.per == Per::Account { self.cost * units } else { self.cost }
    }

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

impl Verdict {
    /// When the bucket is filled again, in whole Unix seconds: never before it is.
    pub(crate) fn reset_s(self) -> u64 {
        self.reset_ms.unsigned_abs().div_ceil(1000)
    }
}

/// What one account or address used of one bucket.
#[derive(Debug)]
struct Usage {
    bucket: &'static Bucket,
    /// Steps of time with what was used in each, the oldest first; only those of the window that ends now.
    steps: VecDeque<(i64, u64)>,
    used: u64,
    most: u64,
    most_until_ms: i64,
    refused: u64,
}

impl Usage {
    fn new(bucket: &'static Bucket) -> Self {
        Self { bucket, steps: VecDeque::new(), used: 0, most: 0, most_until_ms: 0, refused: 0 }
    }

    /// Adds what one request cost. Time is kept in steps of at most 1/65,536 of the window, and a step leaves as a
    /// whole, so a sum is never smaller than the truth.
    fn add(&mut self, cost: u64, now_ms: i64) {
        let window_ms = self.bucket.window_s as i64 * 1000;
        let step_ms = (window_ms >> 16).max(1);
        while let Some((step, left)) = self.steps.front()
            && *step + step_ms <= now_ms - window_ms + 1
        {
            self.used -= left;
            self.steps.pop_front();
        }
        let step = now_ms - now_ms.rem_euclid(step_ms);
        match self.steps.back_mut().filter(|(last, _)| *last >= step) {
            Some((_, sum)) => *sum += cost,
            None => self.steps.push_back((step, cost)),
        }
        self.used += cost;
        if self.used > self.most {
            (self.most, self.most_until_ms) = (self.used, now_ms);
        }
    }
}

/// The busiest window of one account or address in one bucket.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Busiest {
    bucket: &'static str,
    per: Per,
    /// The account's handle, or the address.
    key: String,
    limit: u64,
    window_s: u64,
    /// The largest use in any sliding window: requests that were executed, by cost; replays cost nothing.
    most: u64,
    /// The end of that window, by the sandbox's clock.
    most_until_ms: i64,
    /// Requests refused by this bucket, which are not in `most`.
    refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Limits {
    used: HashMap<(&'static str, String), (i64, u64)>,
    usage: BTreeMap<(&'static str, String), Usage>,
}

impl Limits {
    /// Counts one request of so many units in each of its buckets and answers the tightest.
    pub(crate) fn count(
        &mut self,
        buckets: &'static [Bucket],
        units: u64,
        account: Option<&str>,
        address: &str,
        enforce: bool,
        now_ms: i64,
    ) -> Option<Verdict> {
        let mut tightest: Option<Verdict> = None;
        for bucket in buckets {
            let Some(key) = bucket.per.key(account, address) else { continue };
            let window_ms = bucket.window_s as i64 * 1000;
            let window = now_ms.div_euclid(window_ms);
            let mut used = bucket.cost_of(units);
            if enforce {
                let slot = self.used.entry((bucket.name, key.to_owned())).or_insert((window, 0));
                if slot.0 != window {
                    *slot = (window, 0);
                }
                slot.1 += bucket.cost_of(units);
                used = slot.1;
            }
            let verdict = Verdict {
                allowed: used <= bucket.limit,
                limit: bucket.limit,
                remaining: bucket.limit.saturating_sub(used),
                window_s: bucket.window_s,
                reset_ms: (window + 1) * window_ms,
            };
            if !verdict.allowed {
                self.usage_of(bucket, key).refused += 1;
            }
            let tighter =
                tightest.is_none_or(|t| (verdict.allowed, verdict.remaining) < (t.allowed, t.remaining));
            if tighter {
                tightest = Some(verdict);
            }
        }
        tightest
    }

    /// Gives back what a replayed request was charged.
    pub(crate) fn refund(&mut self, buckets: &[Bucket], units: u64, account: &str) {
        for bucket in buckets.iter().filter(|bucket| bucket.per == Per::Account) {
            if let Some(slot) = self.used.get_mut(&(bucket.name, account.to_owned())) {
                slot.1 = slot.1.saturating_sub(bucket.cost_of(units));
            }
        }
    }

    /// Notes a request that was executed, in each of its buckets; a replay is charged to no account.
    pub(crate) fn executed(
        &mut self,
        buckets: &'static [Bucket],
        units: u64,
        account: Option<&str>,
        address: &str,
        replayed: bool,
        now_ms: i64,
    ) {
        for bucket in buckets.iter().filter(|bucket| !(replayed && bucket.per == Per::Account)) {
            if let Some(key) = bucket.per.key(account, address) {
                self.usage_of(bucket, key).add(bucket.cost_of(units), now_ms);
            }
        }
    }

    fn usage_of(&mut self, bucket: &'static Bucket, key: &str) -> &mut Usage {
        self.usage.entry((bucket.name, key.to_owned())).or_insert_with(|| Usage::new(bucket))
    }

    /// The busiest window of every account and address in every bucket it used.
    pub(crate) fn busiest(&self) -> Vec<Busiest> {
        let busiest = |((name, key), usage): (&(&'static str, String), &Usage)| Busiest {
            bucket: name,
            per: usage.bucket.per,
            key: key.clone(),
            limit: usage.bucket.limit,
            window_s: usage.bucket.window_s,
            most: usage.most,
            most_until_ms: usage.most_until_ms,
            refused: usage.refused,
        };
        self.usage.iter().map(busiest).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.used.clear();
        self.usage.clear();
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

    static ACCOUNT: [Bucket; 1] = [Bucket::new("b", 2, 60, 1, Per::Account)];
    static ADDRESS: [Bucket; 1] = [Bucket::new("b", 2, 60, 1, Per::Address)];
    static DAILY: [Bucket; 1] = [Bucket::new("d", 9, 86_400, 3, Per::Account)];

    #[test]
    fn refuses_past_the_limit_until_the_window_ends() {
        let mut limits = Limits::default();
        let mut at = |now: i64| limits.count(&ACCOUNT, 1, Some("a"), "ip", true, now).unwrap();
        assert_eq!((at(0).allowed, at(1).remaining), (true, 0));
        let refused = at(2);
        assert!(!refused.allowed);
        assert_eq!(refused.reset_ms, 60_000);
        assert!(at(60_000).allowed);
        assert_eq!((limits.busiest()[0].refused, limits.busiest()[0].most), (1, 0));
    }

    #[test]
    fn refills_at_once_unless_enforced() {
        let mut limits = Limits::default();
        for _ in 0..9 {
            assert_eq!(limits.count(&ADDRESS, 1, None, "ip", false, 0).unwrap().remaining, 1);
        }
    }

    #[test]
    fn remembers_the_busiest_sliding_window() {
        let mut limits = Limits::default();
        for now in [0, 59_000, 60_000, 61_000, 200_000, 200_001] {
            limits.executed(&ACCOUNT, 1, Some("a"), "ip", false, now);
        }
        limits.executed(&ACCOUNT, 1, Some("a"), "ip", true, 200_002);
        limits.executed(&ACCOUNT, 1, None, "ip", false, 200_003);
        let busiest = limits.busiest();
        assert_eq!(busiest.len(), 1);
        assert_eq!((busiest[0].key.as_str(), busiest[0].most, busiest[0].most_until_ms), ("a", 3, 61_000));
    }

    #[test]
    fn a_request_is_in_the_window_that_is_just_not_over() {
        let most = |second: i64| {
            let mut limits = Limits::default();
            limits.executed(&ACCOUNT, 1, Some("a"), "ip", false, 0);
            limits.executed(&ACCOUNT, 1, Some("a"), "ip", false, second);
            limits.busiest()[0].most
        };
        assert_eq!((most(59_999), most(60_000)), (2, 1));
        let mut limits = Limits::default();
        for now in [0, 1, 86_399_999] {
            limits.executed(&DAILY, 1, Some("a"), "ip", false, now);
        }
        assert_eq!(limits.busiest()[0].most, 9, "a long window is kept in steps and never counts too little");
    }
}

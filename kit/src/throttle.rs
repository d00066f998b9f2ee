//! Limits by key: so many of something per period, with a burst, after the generic cell rate algorithm (GCRA).
//!
//! In Redis one script decides on the server, by the server's clock, so all replicas share one limit. When Redis is
//! absent or lost this process limits by itself, with bounded memory. Invariant: a throttle refuses or lets through,
//! it never fails; and a key is stored only as a hash, since keys are e-mail and network addresses.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use deadpool_redis::redis;
use sha2::{Digest, Sha256};

use crate::{
    cache::{Cache, Redis},
    clock::Clock,
};

/// Counter: what was refused, by throttle.
pub const REFUSED: &str = "postmesh_throttle_refused_total";
/// Keys that one throttle remembers in this process. Past it, those nearest to being free are forgotten first.
const LOCAL_KEYS: usize = 20_000;

/// Times in microseconds; doubles hold them exactly. `tat` (theoretical arrival time) is when the key is free again.
const CHECK: &str = "
local now = redis.call('time')
now = now[1] * 1000000 + now[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('get', KEYS[1]) or now)
if tat < now then tat = now end
local early = tat - tolerance - now
if early > 0 then return math.ceil(early) end
tat = tat + interval
redis.call('set', KEYS[1], string.format('%.0f', tat), 'px', math.ceil((tat - now) / 1000))
return 0";

const REFUND: &str = "
local tat = redis.call('get', KEYS[1])
if not tat then return 0 end
redis.call('set', KEYS[1], string.format('%.0f', tonumber(tat) - tonumber(ARGV[1])), 'keepttl')
return 0";

type Key = [u8; 16];

/// A limit on how often something may happen per key. Clones share their counts.
#[derive(Clone)]
pub struct Throttle {
    name: &'static str,
    shared: Option<Arc<Redis>>,
    /// Microseconds between two permits.
    interval: i64,
    /// Microseconds that a key may run ahead.
    tolerance: i64,
    local: Arc<Mutex<HashMap<Key, i64>>>,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Throttle {
    /// Lets `rate` things through per `period` and key, and up to `burst` of them at once. Zeros count as one.
    pub fn new(cache: &Cache, name: &'static str, rate: u32, period: Duration, burst: u32) -> Self {
        let period = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
        let interval = (period / i64::from(rate.max(1))).max(1);
        let shared = match cache {
            Cache::Memory(_) => None,
            Cache::Redis(redis) => Some(redis.clone()),
        };
        let tolerance = interval.saturating_mul(i64::from(burst.max(1)) - 1);
        Self { name, shared, interval, tolerance, local: Arc::default() }
    }

    /// Takes one permit of a key, or answers how long to wait for the next. A refusal costs nothing.
    pub async fn check(&self, key: &str, clock: &dyn Clock) -> Result<(), Duration> {
        let key = self.hash(key);
        let wait = match self.run(CHECK, key).await {
            Some(wait) => wait,
            None => self.check_here(key, clock.now_ms().saturating_mul(1_000)),
        };
        if wait <= 0 {
            return Ok(());
        }
        metrics::counter!(REFUSED, "throttle" => self.name).increment(1);
        Err(Duration::from_micros(wait.unsigned_abs()))
    }

    /// Gives a permit back, for what turned out not to count.
    pub async fn refund(&self, key: &str) {
        let key = self.hash(key);
        if self.run(REFUND, key).await.is_none()
            && let Some(tat) = self.local.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&key)
        {
            *tat -= self.interval;
        }
    }

    async fn run(&self, script: &'static str, key: Key) -> Option<i64> {
        let redis = self.shared.as_ref()?;
        let name = redis.key(&format!("throttle:{}:{}", self.name, data_encoding::HEXLOWER.encode(&key)));
        let mut eval = redis::cmd("EVAL");
        eval.arg(script).arg(1).arg(name).arg(self.interval).arg(self.tolerance);
        redis.ask("throttle", &eval).await
    }

    /// The same decision in this process; microseconds to wait, 0 for a permit.
    fn check_here(&self, key: Key, now: i64) -> i64 {
        let mut keys = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        let tat = keys.get(&key).copied().unwrap_or(now).max(now);
        let early = tat.saturating_sub(self.tolerance) - now;
        if early > 0 {
            return early;
        }
        if keys.len() >= LOCAL_KEYS && !keys.contains_key(&key) {
            make_room(&mut keys, now);
        }
        keys.insert(key, tat.saturating_add(self.interval));
        0
    }

    fn hash(&self, key: &str) -> Key {
        let digest = Sha256::new().chain_update(self.name).chain_update([0]).chain_update(key).finalize();
        let mut short = Key::default();
        short.copy_from_slice(&digest[..16]);
        short
    }
}

/// Forgets the keys that are free; when none is, the tenth that will be free soonest.
fn make_room(keys: &mut HashMap<Key, i64>, now: i64) {
    keys.retain(|_, tat| *tat > now);
    if keys.len() >= LOCAL_KEYS {
        let mut ends: Vec<i64> = keys.values().copied().collect();
        let (_, cut, _) = ends.select_nth_unstable(LOCAL_KEYS / 10);
        let cut = *cut;
        keys.retain(|_, tat| *tat > cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::tests::{at, redis},
        clock::SystemClock,
    };
    use std::sync::atomic::{AtomicI64, Ordering};

    #[derive(Debug, Default)]
    struct FakeClock(AtomicI64);

    impl Clock for FakeClock {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl FakeClock {
        fn advance(&self, by: Duration) {
            self.0.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
        }
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn lets_a_burst_through_then_one_per_interval() {
        let clock = FakeClock::default();
        let throttle = Throttle::new(&Cache::memory(), "t", 6, MINUTE, 3);
        for _ in 0..3 {
            assert_eq!(throttle.check("a", &clock).await, Ok(()));
        }
        assert_eq!(throttle.check("a", &clock).await, Err(Duration::from_secs(10)));
        assert_eq!(throttle.check("b", &clock).await, Ok(()), "another key has its own limit");
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(throttle.check("a", &clock).await, Err(Duration::from_millis(1)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(throttle.check("a", &clock).await, Ok(()));
        assert!(throttle.check("a", &clock).await.is_err());
        clock.advance(MINUTE * 10);
        for _ in 0..3 {
            assert_eq!(
                throttle.check("a", &clock).await,
                Ok(()),
                "a rested key has its burst again, not more"
            );
        }
        assert!(throttle.check("a", &clock).await.is_err());
    }

    #[tokio::test]
    async fn a_refund_gives_one_permit_back() {
        for cache in [Cache::memory(), redis()] {
            let throttle = Throttle::new(&cache, "refund", 1, Duration::from_hours(1), 2);
            throttle.refund("a").await;
            assert_eq!(throttle.check("a", &SystemClock).await, Ok(()));
            assert_eq!(throttle.check("a", &SystemClock).await, Ok(()));
            assert!(throttle.check("a", &SystemClock).await.is_err());
            throttle.refund("a").await;
            assert_eq!(throttle.check("a", &SystemClock).await, Ok(()));
            assert!(throttle.check("a", &SystemClock).await.is_err());
        }
    }

    #[tokio::test]
    async fn replicas_share_one_limit_in_redis_and_never_exceed_it() {
        let cache = redis();
        let replicas: Vec<_> =
            (0..4).map(|_| Throttle::new(&cache, "shared", 1, Duration::from_hours(1), 10)).collect();
        let tries = (0..40).map(|n| {
            let throttle = &replicas[n % 4];
            async move { throttle.check("a", &SystemClock).await.is_ok() }
        });
        let let_through = futures::future::join_all(tries).await.into_iter().filter(|ok| *ok).count();
        assert_eq!(let_through, 10);
        let wait = replicas[0].check("a", &SystemClock).await.unwrap_err();
        assert!(wait > Duration::from_mins(59) && wait <= Duration::from_hours(1), "{wait:?}");
    }

    #[tokio::test]
    async fn redis_lets_through_again_when_it_said_it_would() {
        let throttle = Throttle::new(&redis(), "wait", 20, Duration::from_secs(1), 1);
        assert_eq!(throttle.check("a", &SystemClock).await, Ok(()));
        let wait = throttle.check("a", &SystemClock).await.unwrap_err();
        assert!(wait <= Duration::from_millis(50), "{wait:?}");
        tokio::time::sleep(wait).await;
        assert_eq!(throttle.check("a", &SystemClock).await, Ok(()));
    }

    #[tokio::test]
    async fn limits_by_itself_when_redis_is_lost() {
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let clock = FakeClock::default();
        let throttle = Throttle::new(&at(address), "lost", 6, MINUTE, 1);
        assert_eq!(throttle.check("a", &clock).await, Ok(()));
        assert_eq!(throttle.check("a", &clock).await, Err(Duration::from_secs(10)));
        throttle.refund("a").await;
        assert_eq!(throttle.check("a", &clock).await, Ok(()));
    }

    #[test]
    fn the_memory_of_one_throttle_is_bounded_and_forgets_the_freest_first() {
        let throttle = Throttle::new(&Cache::memory(), "many", 1, MINUTE, 100);
        let busy = throttle.hash("busy");
        for _ in 0..100 {
            assert_eq!(throttle.check_here(busy, 0), 0);
        }
        for n in 0..(LOCAL_KEYS * 2) {
            throttle.check_here(throttle.hash(&n.to_string()), 0);
        }
        assert!(throttle.local.lock().unwrap().len() <= LOCAL_KEYS);
        assert!(throttle.check_here(busy, 0) > 0, "a key that is refused is not forgotten");
    }
}

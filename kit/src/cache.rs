//! Short-lived bytes by key: in memory, or in Redis when several replicas share them.
//!
//! Invariant: losing Redis may slow a caller (by one short timeout), it never fails one. Every trouble counts as a
//! miss, is counted in `postmesh_cache_errors_total`, and is logged at most once a second. A `delete` that could not
//! reach Redis leaves the entry until its end, so a lifetime states how stale a reader may be.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use deadpool_redis::{
    Manager, Pool, PoolConfig, Runtime, Timeouts,
    redis::{self, AsyncConnectionConfig, Cmd, FromRedisValue},
};
use moka::{Expiry, future::Cache as Moka};

use crate::config::CacheConfig;

/// Counter: calls that Redis did not answer.
pub const ERRORS: &str = "postmesh_cache_errors_total";
/// After a trouble Redis is left alone this long, so that a lost one slows one call and not all of them.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one call to Redis may take. Longer counts as a miss.
const TIMEOUT: Duration = Duration::from_millis(50);
/// Connections to Redis; each carries many calls at once.
const CONNECTIONS: usize = 8;
/// What every key in Redis begins with.
const PREFIX: &str = "postmesh";
/// How many bytes the memory holds before it forgets what is used least.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;

/// A cache that cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The address is not one of Redis.
    #[error("cache.url is not a Redis address (redis://host:port/database)")]
    Url(#[source] redis::RedisError),
    /// The pool of connections cannot be built.
    #[error("the pool of connections to Redis cannot be built")]
    Pool(#[from] deadpool_redis::BuildError),
}

/// Short-lived bytes by key. Clones share their entries.
#[derive(Debug, Clone)]
pub enum Cache {
    /// In this process.
    Memory(Memory),
    /// In Redis, shared by replicas.
    Redis(Arc<Redis>),
}

impl Cache {
    /// The cache of the settings. Redis is not contacted yet, and may be down.
    pub fn connect(config: &CacheConfig) -> Result<Self, CacheError> {
        Self::connect_within(config, TIMEOUT)
    }

    /// The same with another limit on how long one call to Redis may take.
    pub fn connect_within(config: &CacheConfig, timeout: Duration) -> Result<Self, CacheError> {
        match config.url.expose().as_str() {
            "" => Ok(Self::memory()),
            url => Ok(Self::Redis(Arc::new(Redis::new(url, PREFIX, timeout)?))),
        }
    }

    /// A cache in the memory of this process.
    pub fn memory() -> Self {
        Self::Memory(Memory::new(MEMORY_BYTES))
    }

    /// The bytes of a key, unless they are absent, past their end, or out of reach.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        match self {
            Self::Memory(memory) => memory.0.get(key).await.map(|entry| entry.bytes),
            Self::Redis(redis) => {
                let bytes: Option<Vec<u8>> = redis.ask("get", redis::cmd("GET").arg(redis.key(key))).await?;
                bytes.map(Bytes::from)
            }
        }
    }

    /// Keeps bytes under a key for `ttl`.
    pub async fn set(&self, key: &str, bytes: impl Into<Bytes>, ttl: Duration) {
        let bytes = bytes.into();
        match self {
            Self::Memory(memory) => memory.0.insert(key.to_owned(), Entry { bytes, ttl }).await,
            Self::Redis(redis) => {
                let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
                let mut set = redis::cmd("SET");
                set.arg(redis.key(key)).arg(&bytes[..]).arg("PX").arg(ttl_ms);
                let _: Option<()> = redis.ask("set", &set).await;
            }
        }
    }

    /// Forgets a key.
    pub async fn delete(&self, key: &str) {
        match self {
            Self::Memory(memory) => memory.0.invalidate(key).await,
            Self::Redis(redis) => {
                let _: Option<i64> = redis.ask("delete", redis::cmd("DEL").arg(redis.key(key))).await;
            }
        }
    }

    /// True when the cache answers now; the memory always does.
    pub async fn is_reachable(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.ask::<String>("ping", &redis::cmd("PING")).await.is_some(),
        }
    }
}

/// Entries in this process, bounded by their bytes.
#[derive(Clone)]
pub struct Memory(Moka<String, Entry>);

#[derive(Clone)]
struct Entry {
    bytes: Bytes,
    ttl: Duration,
}

struct EndsWithItsTtl;

impl Expiry<String, Entry> for EndsWithItsTtl {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }
    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl Memory {
    fn new(bytes: u64) -> Self {
        let weigh =
            |key: &String, entry: &Entry| u32::try_from(key.len() + entry.bytes.len()).unwrap_or(u32::MAX);
        Self(Moka::builder().weigher(weigh).max_capacity(bytes).expire_after(EndsWithItsTtl).build())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

/// Connections to Redis, and what is known of its health.
pub struct Redis {
    pool: Pool,
    prefix: String,
    timeout: Duration,
    began: Instant,
    /// Milliseconds after `began` until which Redis is left alone.
    paused_until: AtomicU64,
    /// Milliseconds after `began` before which no trouble is logged again.
    quiet_until: AtomicU64,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no connection")]
    Connection(#[from] deadpool_redis::PoolError),
    #[error("refused the command")]
    Command(#[from] redis::RedisError),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

impl Redis {
    fn new(url: &str, prefix: &str, timeout: Duration) -> Result<Self, CacheError> {
        let connecting = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let manager = Manager::new_with_config(url, connecting).map_err(CacheError::Url)?;
        let limits = PoolConfig {
            timeouts: Timeouts { wait: Some(timeout), create: Some(timeout), recycle: Some(timeout) },
            ..PoolConfig::new(CONNECTIONS)
        };
        let pool = Pool::builder(manager).config(limits).runtime(Runtime::Tokio1).build()?;
        Ok(Self {
            pool,
            prefix: prefix.to_owned(),
            timeout,
            began: Instant::now(),
            paused_until: AtomicU64::new(0),
            quiet_until: AtomicU64::new(0),
        })
    }

    /// A key as Redis knows it.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.prefix)
    }

    /// One command, or `None` when Redis is lost.
    pub(crate) async fn ask<T: FromRedisValue>(&self, verb: &'static str, command: &Cmd) -> Option<T> {
        let now = self.now();
        if now < self.paused_until.load(Ordering::Relaxed) {
            metrics::counter!(ERRORS, "verb" => verb).increment(1);
            return None;
        }
        let answer = tokio::time::timeout(self.timeout, async {
            let mut connection = self.pool.get().await?;
            Ok::<T, Trouble>(command.query_async(&mut connection).await?)
        })
        .await;
        match answer.map_err(Trouble::from).flatten() {
            Ok(value) => Some(value),
            Err(trouble) => {
                self.note(verb, &trouble);
                None
            }
        }
    }

    fn note(&self, verb: &'static str, trouble: &Trouble) {
        metrics::counter!(ERRORS, "verb" => verb).increment(1);
        let now = self.now();
        self.paused_until.store(now + PAUSE.as_millis() as u64, Ordering::Relaxed);
        let quiet = self.quiet_until.load(Ordering::Relaxed);
        let mine =
            || self.quiet_until.compare_exchange(quiet, now + 1_000, Ordering::Relaxed, Ordering::Relaxed);
        if now >= quiet && mine().is_ok() {
            tracing::warn!(
                verb,
                error = trouble as &dyn std::error::Error,
                "redis is out of reach; going on without"
            );
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Secret;

    /// The address of the Redis that tests share.
    #[expect(clippy::disallowed_methods, reason = "tests take their servers from the environment")]
    fn server() -> String {
        std::env::var("POSTMESH_TEST_REDIS_URL").expect("POSTMESH_TEST_REDIS_URL names a Redis for tests")
    }

    /// A cache in Redis whose keys no other test sees.
    pub(crate) fn redis() -> Cache {
        let prefix = format!("test-{}", crate::ids::new());
        Cache::Redis(Arc::new(Redis::new(&server(), &prefix, Duration::from_secs(2)).unwrap()))
    }

    /// A cache in a Redis at this address, as in production.
    pub(crate) fn at(address: impl fmt::Display) -> Cache {
        Cache::connect(&CacheConfig { url: Secret::new(format!("redis://{address}")) }).unwrap()
    }

    async fn each_cache<F: AsyncFn(Cache)>(body: F) {
        body(Cache::memory()).await;
        body(redis()).await;
    }

    async fn gone(cache: &Cache, key: &str) {
        let waited = tokio::time::timeout(Duration::from_secs(5), async {
            while cache.get(key).await.is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        waited.await.expect("the entry ends by itself");
    }

    #[tokio::test]
    async fn keeps_replaces_and_deletes() {
        each_cache(async |cache| {
            assert_eq!(cache.get("a").await, None);
            cache.set("a", "1", Duration::from_mins(1)).await;
            cache.set("a", "2", Duration::from_mins(1)).await;
            cache.set("b", vec![0, 255], Duration::from_mins(1)).await;
            assert_eq!(cache.get("a").await.as_deref(), Some(&b"2"[..]));
            assert_eq!(cache.get("b").await.as_deref(), Some(&[0, 255][..]));
            cache.delete("a").await;
            assert_eq!(cache.get("a").await, None);
            assert!(cache.is_reachable().await);
        })
        .await;
    }

    #[tokio::test]
    async fn an_entry_ends_with_its_ttl_and_a_new_one_begins_anew() {
        each_cache(async |cache| {
            cache.set("short", "x", Duration::from_millis(20)).await;
            cache.set("long", "x", Duration::from_mins(1)).await;
            gone(&cache, "short").await;
            assert!(cache.get("long").await.is_some());
            cache.set("long", "y", Duration::from_millis(20)).await;
            gone(&cache, "long").await;
        })
        .await;
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let cache = Memory::new(10_000);
        for n in 0..1_000 {
            cache
                .0
                .insert(n.to_string(), Entry { bytes: vec![0; 100].into(), ttl: Duration::from_mins(1) })
                .await;
        }
        cache.0.run_pending_tasks().await;
        assert!(cache.0.weighted_size() <= 10_000);
    }

    #[tokio::test]
    async fn a_redis_that_accepts_and_never_answers_costs_one_timeout() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cache = at(silent.local_addr().unwrap());
        let began = Instant::now();
        cache.set("a", "1", Duration::from_mins(1)).await;
        for _ in 0..100 {
            assert_eq!(cache.get("a").await, None);
        }
        assert!(!cache.is_reachable().await);
        assert!(began.elapsed() < PAUSE, "one timeout of 50 ms, not a hundred");
    }

    #[tokio::test]
    async fn comes_back_when_redis_does() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        // The real server's address with the free port in place of its own.
        let server = url::Url::parse(&server()).unwrap();
        let upstream = (server.host_str().unwrap().to_owned(), server.port().unwrap());
        let mut elsewhere = server;
        elsewhere.set_port(Some(address.port())).unwrap();
        let cache = Cache::connect(&CacheConfig { url: Secret::new(elsewhere.to_string()) }).unwrap();
        cache.set("a", "1", Duration::from_mins(1)).await;
        assert_eq!(cache.get("a").await, None, "nobody listens there");

        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let life = crate::lifecycle::Lifecycle::new();
        life.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far =
                    tokio::net::TcpStream::connect((upstream.0.as_str(), upstream.1)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
        tokio::time::timeout(Duration::from_secs(10), async {
            while !cache.is_reachable().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the cache tries again by itself");
        life.shutdown(Duration::ZERO).await;
    }

    #[test]
    fn refuses_an_address_that_is_not_of_redis() {
        let wrong = CacheConfig { url: Secret::new("http://nowhere".to_owned()) };
        assert!(matches!(Cache::connect(&wrong), Err(CacheError::Url(_))));
        assert!(matches!(Cache::connect(&CacheConfig::default()), Ok(Cache::Memory(_))));
    }
}

//! Hints between the processes of a service that share one PostgreSQL database: "something of this kind was committed,
//! look now and not only at the next sweep". SQLite has one process, so there is nobody to tell.
//!
//! **Only hints.** A bell may be lost, or ring without need; whoever listens looks by itself now and then all the same.
//! Whenever a connection begins, every bell rings once, because some may have been missed before.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{db::Db, lifecycle::Lifecycle};

/// Rings of the same bell within this time are one.
const GATHER: Duration = Duration::from_millis(20);
/// Pause before a lost connection is made again.
const AGAIN: Duration = Duration::from_secs(1);

/// Rings the bells of the other processes.
#[derive(Debug, Clone, Default)]
pub struct Bells {
    rung: Arc<Mutex<BTreeSet<&'static str>>>,
    wake: Arc<Notify>,
}

impl Bells {
    /// Begins to ring and to listen, until the lifecycle stops. `heard` is called with each of `bells` that another
    /// process on the same schema rang; it must not block.
    pub fn start(
        db: &Db,
        lifecycle: &Lifecycle,
        bells: &'static [&'static str],
        heard: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        let this = Self::default();
        let Db::Postgres(pool) = db else { return this };
        let me = Uuid::now_v7().simple().to_string();
        let (pool, ringing, life) = (pool.clone(), this.clone(), lifecycle.clone());
        lifecycle.spawn(async move {
            let ring = ringing.keep_ringing(&pool, &me);
            let listen = keep_listening(&pool, &me, bells, &heard);
            tokio::select! {
                () = life.stopping() => {}
                () = ring => {}
                () = listen => {}
            }
        });
        this
    }

    /// Tells the other processes. Returns at once.
    pub fn ring(&self, bell: &'static str) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).insert(bell);
        self.wake.notify_one();
    }

    async fn keep_ringing(&self, pool: &PgPool, me: &str) {
        loop {
            self.wake.notified().await;
            let rung = std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner));
            for bell in rung {
                let told = sqlx::query("select pg_notify('postmesh ' || current_setting('search_path'), $1)")
                    .bind(format!("{me} {bell}"))
                    .execute(pool)
                    .await;
                if let Err(error) = told {
                    tracing::debug!(%error, bell, "other processes were not told; they look by themselves");
                }
            }
            tokio::time::sleep(GATHER).await;
        }
    }
}

async fn keep_listening(
    pool: &PgPool,
    me: &str,
    bells: &'static [&'static str],
    heard: &(impl Fn(&'static str) + Sync),
) {
    loop {
        let Err(error) = listen(pool, me, bells, heard).await;
        tracing::debug!(%error, "hints of other processes cannot be heard for a moment");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen(
    pool: &PgPool,
    me: &str,
    bells: &'static [&'static str],
    heard: &(impl Fn(&'static str) + Sync),
) -> Result<std::convert::Infallible, sqlx::Error> {
    let schema: String = sqlx::query_scalar("select current_setting('search_path')").fetch_one(pool).await?;
    // A connection of its own: it is never given back.
    let options = pool.connect_options().as_ref().clone();
    let own = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(&format!("postmesh {schema}")).await?;
    loop {
        for bell in bells {
            heard(bell);
        }
        while let Some(told) = listener.try_recv().await? {
            let Some((from, what)) = told.payload().split_once(' ') else { continue };
            if let Some(bell) = bells.iter().find(|bell| from != me && **bell == what) {
                heard(bell);
            }
        }
        // The connection was lost and made again.
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        config::{DatabaseConfig, Secret},
        testing::postgres_url,
    };

    const BELLS: &[&str] = &["tea", "dinner"];

    async fn listener(schema: &str, lifecycle: &Lifecycle) -> (Bells, mpsc::UnboundedReceiver<&'static str>) {
        let config = DatabaseConfig { url: Secret::new(postgres_url()), connections: 2 };
        let db = Db::open(&config, std::path::Path::new(""), schema).await.unwrap();
        let (tell, mut told) = mpsc::unbounded_channel();
        let bells = Bells::start(&db, lifecycle, BELLS, move |bell| {
            let _ = tell.send(bell);
        });
        // It listens once it has rung everything.
        assert_eq!((told.recv().await, told.recv().await), (Some("tea"), Some("dinner")));
        (bells, told)
    }

    #[tokio::test]
    async fn other_processes_of_the_same_service_hear_it() {
        let lifecycle = Lifecycle::new();
        let (mine, mut here) = listener("bells_a", &lifecycle).await;
        let (theirs, mut there) = listener("bells_a", &lifecycle).await;
        let (_, mut elsewhere) = listener("bells_b", &lifecycle).await;
        mine.ring("dinner");
        assert_eq!(there.recv().await, Some("dinner"));
        theirs.ring("tea");
        assert_eq!(here.recv().await, Some("tea"), "and nobody hears their own");
        assert!(elsewhere.try_recv().is_err(), "another service has other bells");
        assert!(lifecycle.shutdown(Duration::from_secs(5)).await);
    }
}

//! Throwaway PostgreSQL and Redis servers that a fault may kill, stop, promote and empty.
//!
//! Each lives in a temporary folder, listens on a loopback port and asks for a random password. Invariant: a server
//! and its folder are gone when its value is dropped, a panic included.

mod postgres;
mod redis;
mod room;

use std::{fs, path::Path, time::Duration};

pub use self::{
    postgres::{Following, Postgres},
    redis::Redis,
};

/// A server answers within this time after its start, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

fn random_word() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::proxy::{Proxy, Way, Wire};

    async fn count(server: &Postgres) -> i64 {
        let mut connection = server.connect().await.unwrap();
        sqlx::query_scalar("select count(*) from word").fetch_one(&mut connection).await.unwrap()
    }

    async fn add(server: &Postgres) {
        let mut connection = server.connect().await.unwrap();
        sqlx::query("insert into word select 1").execute(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn a_killed_primary_keeps_what_it_committed_and_a_lagging_standby_does_not() {
        let mut primary = Postgres::start().await.unwrap();
        let mut connection = primary.connect().await.unwrap();
        sqlx::query("create table word (n int)").execute(&mut connection).await.unwrap();
        add(&primary).await;
        primary.kill().await;
        assert!(primary.connect().await.is_err());
        primary.resume().await.unwrap();
        assert_eq!(count(&primary).await, 1);

        let wire = Proxy::to(primary.addr()).await.unwrap();
        let standby = primary.standby(wire.addr, Following::Asynchronous).await.unwrap();
        wire.set(Wire::Swallow(Way::Both));
        add(&primary).await;
        assert_eq!(count(&primary).await, 2);
        primary.kill().await;
        standby.promote().await.unwrap();
        assert_eq!(count(&standby).await, 1, "it never heard of the second");
        add(&standby).await;
    }

    #[tokio::test]
    async fn a_synchronous_standby_has_every_answered_commit() {
        let mut primary = Postgres::start().await.unwrap();
        let mut connection = primary.connect().await.unwrap();
        sqlx::query("create table word (n int)").execute(&mut connection).await.unwrap();
        let standby = primary.standby(primary.addr(), Following::Synchronous).await.unwrap();
        add(&primary).await;
        primary.kill().await;
        standby.promote().await.unwrap();
        assert_eq!(count(&standby).await, 1);
        add(&standby).await;
    }

    #[tokio::test]
    async fn redis_is_killed_emptied_and_starts_again() {
        let mut redis = Redis::start().await.unwrap();
        redis.flush().await.unwrap();
        redis.kill().await;
        assert!(redis.flush().await.is_err());
        redis.resume().await.unwrap();
        redis.flush().await.unwrap();
    }
}

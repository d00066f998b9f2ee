//! Login: credentials, rehashing, and the limits on failures.

use std::time::Duration;

use postmesh_auth::{Config, MIGRATIONS};
use postmesh_kit::{
    cache::Cache,
    config::{CacheConfig, Secret},
    ids, testing,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::world::{PASSWORD, World, each, reason};

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn wrong_passwords_and_unknown_users_get_the_same_answer() {
    each(async |world| {
        world.register(ADA).await;
        let wrong = world.login_from(ADA, "another password", "").await.unwrap_err();
        let unknown = world.login_from("eve@example.com", PASSWORD, "").await.unwrap_err();
        assert_eq!(wrong.code(), Code::Unauthenticated);
        assert_eq!(
            (wrong.code(), wrong.message(), wrong.details()),
            (unknown.code(), unknown.message(), unknown.details())
        );
        assert!(world.login_from(&format!(" {ADA} "), PASSWORD, "").await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn failures_from_one_address_are_limited_and_the_owner_elsewhere_still_gets_in() {
    each(async |world| {
        world.register(ADA).await;
        let mut looked_at = 0;
        let mut wait = Duration::ZERO;
        for _ in 0..50 {
            let status = world.login_from(ADA, "guess number one", "203.0.113.66").await.unwrap_err();
            match status.code() {
                Code::Unauthenticated => looked_at += 1,
                Code::ResourceExhausted => {
                    assert_eq!(reason(&status), "LOGIN_THROTTLED");
                    wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(looked_at, Config::default().login.account_from_address.burst);
        let refused = world.login_from(ADA, PASSWORD, "203.0.113.66").await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "the right password is not looked at either");
        assert!(world.login_from(ADA, PASSWORD, "198.51.100.7").await.is_ok());

        world.clock.advance(wait.as_millis() as i64);
        assert!(world.login_from(ADA, PASSWORD, "203.0.113.66").await.is_ok(), "nothing is locked for good");
    })
    .await;
}

#[tokio::test]
async fn one_address_cannot_try_many_accounts() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let mut config = Config::default();
    config.login.address.burst = 3;
    let world = World::start_with(db, config, Cache::memory()).await;
    for n in 0..3 {
        let status =
            world.login_from(&format!("user{n}@example.com"), PASSWORD, "203.0.113.66").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let status = world.login_from("user9@example.com", PASSWORD, "203.0.113.66").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = world.login_from("user9@example.com", PASSWORD, "203.0.113.67").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn many_addresses_cannot_try_one_account_without_end() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let mut config = Config::default();
    config.login.account.burst = 4;
    let world = World::start_with(db, config, Cache::memory()).await;
    for n in 0..4 {
        let status = world.login_from(ADA, PASSWORD, &format!("203.0.113.{n}")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let status = world.login_from(ADA, PASSWORD, "203.0.113.200").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn successful_logins_are_not_limited() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let mut config = Config::default();
    config.login.account_from_address.burst = 2;
    let world = World::start_with(db, config, Cache::memory()).await;
    world.register(ADA).await;
    for _ in 0..6 {
        world.login_from(ADA, PASSWORD, "203.0.113.1").await.unwrap();
    }
}

#[tokio::test]
async fn replicas_limit_together_through_redis_and_go_on_without_it() {
    // Patient, since a test must not fall back to the memory when the machine is busy.
    let config = CacheConfig { url: Secret::new(testing::redis_url()) };
    let redis = Cache::connect_within(&config, Duration::from_secs(5)).unwrap();
    let lost = Cache::connect(&CacheConfig { url: Secret::new("redis://127.0.0.1:1".to_owned()) }).unwrap();
    let (db, _schema) = testing::postgres(MIGRATIONS).await;
    let one = World::start_with(db.clone(), Config::default(), redis.clone()).await;
    let two = World::start_with(db.clone(), Config::default(), redis).await;
    let without = World::start_with(db, Config::default(), lost).await;
    let email = format!("{}@example.com", ids::new());
    one.register(&email).await;
    for n in 0..Config::default().login.account_from_address.burst {
        let world = if n % 2 == 0 { &one } else { &two };
        let status = world.login_from(&email, "guess number one", "203.0.113.66").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    for world in [&one, &two] {
        let status = world.login_from(&email, PASSWORD, "203.0.113.66").await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
    assert!(without.login_from(&email, PASSWORD, "203.0.113.66").await.is_ok());
}

#[tokio::test]
async fn a_login_strengthens_a_password_hash_of_weaker_parameters() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    World::start(db.clone()).await.register(ADA).await;
    let stored = async || -> String {
        postmesh_kit::read!(db, c => {
            sqlx::query_scalar("select password_hash from users").fetch_one(&mut *c).await
        })
        .map_err(|e: sqlx::Error| e)
        .unwrap()
    };
    let config = Config { argon2_passes: 3, ..Config::default() };
    let world = World::start_with(db.clone(), config, Cache::memory()).await;
    assert!(world.login_from(ADA, "a wrong password", "").await.is_err());
    assert!(stored().await.contains("t=2"));
    world.login_from(ADA, PASSWORD, "").await.unwrap();
    assert!(stored().await.contains("m=19456,t=3,p=1"));
    world.login_from(ADA, PASSWORD, "").await.unwrap();
}

#[tokio::test]
async fn ten_thousand_guesses_in_an_hour_are_hardly_looked_at_and_the_owner_still_gets_in() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let world = World::start(db).await;
    world.register(ADA).await;
    let mut looked_at = 0;
    for n in 0..10_000 {
        let status = world.login_from(ADA, &format!("guess number {n}"), "203.0.113.66").await.unwrap_err();
        looked_at += u32::from(status.code() == Code::Unauthenticated);
        world.clock.advance(360);
        if n % 2_500 == 0 {
            world.login_from(ADA, PASSWORD, "198.51.100.7").await.unwrap();
        }
    }
    assert!(looked_at < 20, "{looked_at}");
}

//! What the services' own tests share: a clock that is set, keys and tokens, and fresh databases of both kinds.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use prost_reflect::DescriptorPool;
use tonic::service::Routes;
use uuid::Uuid;

use crate::{
    clock::{Clock, SystemClock},
    config::{DatabaseConfig, Secret},
    db::{Db, Migrations},
    identity::{Claims, ISSUER, PublicKey, TOKEN_TYPE, Verifier},
    keys::KeyRing,
    rules::Rules,
    server::Guard,
    transport::Transport,
};

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<AtomicI64>);

impl FakeClock {
    /// A clock that shows a moment, in milliseconds since 1970.
    pub fn at(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }

    /// Shows another moment.
    pub fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    /// Moves on by milliseconds.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Keys for sealing, always the same.
pub fn keys() -> KeyRing {
    KeyRing::single([42; 32])
}

/// Mints access tokens as auth does, with a key of its own.
#[derive(Clone)]
pub struct Tokens {
    key: EncodingKey,
    public: PublicKey,
}

impl Default for Tokens {
    fn default() -> Self {
        let pair = Ed25519KeyPair::generate().expect("the machine has randomness");
        let der = pair.to_pkcs8v1().expect("a fresh key encodes");
        Self {
            key: EncodingKey::from_ed_der(der.as_ref()),
            public: PublicKey {
                kid: "test".to_owned(),
                x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
            },
        }
    }
}

impl Tokens {
    /// A token of a user of a workspace with these permissions, good for an hour of the real clock.
    pub fn mint(&self, user: Uuid, workspace: Uuid, permissions: &[&str]) -> String {
        let now = SystemClock.now_ms() / 1000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user,
            wid: workspace,
            sid: Uuid::now_v7(),
            role: "editor".to_owned(),
            scope: permissions.join(" "),
            iat: now,
            nbf: now,
            exp: now + 3600,
            jti: Uuid::now_v7(),
        };
        let header = Header {
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some(self.public.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, &claims, &self.key).expect("plain claims encode")
    }

    /// Verifies the tokens minted here.
    pub fn verifier(&self) -> Arc<Verifier> {
        let public = self.public.clone();
        Arc::new(Verifier::new(Arc::new(move || {
            let key = public.clone();
            Box::pin(async move { Ok(vec![key]) })
        })))
    }
}

/// A service's routes behind the real server stack, called in process as `caller`. User tokens come from `tokens`.
pub fn serve(pool: &DescriptorPool, routes: Routes, caller: &str, tokens: &Tokens) -> Transport {
    let rules = Rules::read(pool);
    Transport::local(caller, rules.clone(), Guard::new(rules, tokens.verifier()).local(routes))
}

/// A request that carries a bearer token.
pub fn with_token<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

/// Runs a test on a fresh, migrated SQLite file and on a fresh, migrated PostgreSQL schema.
///
/// # Panics
/// Without `POSTMESH_TEST_PG_URL`: `make test` and `scripts/with-servers.sh` set it.
#[expect(clippy::print_stderr, reason = "a failing test tells on which database it ran")]
pub async fn each_database<F, Fut>(migrations: Migrations, test: F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output = ()>,
{
    eprintln!("on SQLite");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let db = Db::open(&DatabaseConfig::default(), folder.path(), "test").await.expect("SQLite opens");
    db.migrate(&migrations).await.expect("SQLite migrates");
    test(db).await;

    eprintln!("on PostgreSQL");
    let (db, _schema) = postgres(migrations).await;
    test(db.clone()).await;
    drop_schema(db).await;
}

/// A fresh, migrated SQLite database and the folder that holds it.
pub async fn sqlite(migrations: Migrations) -> (Db, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let db = Db::open(&DatabaseConfig::default(), folder.path(), "test").await.expect("SQLite opens");
    db.migrate(&migrations).await.expect("SQLite migrates");
    (db, folder)
}

/// A fresh, migrated PostgreSQL schema and its name.
pub async fn postgres(migrations: Migrations) -> (Db, String) {
    let schema = format!("t_{}", Uuid::now_v7().simple());
    let config = DatabaseConfig { url: Secret::new(postgres_url()), connections: 8 };
    let db = Db::open(&config, std::path::Path::new(""), &schema).await.expect("PostgreSQL opens");
    db.migrate(&migrations).await.expect("PostgreSQL migrates");
    (db, schema)
}

async fn drop_schema(db: Db) {
    if let Db::Postgres(pool) = &db {
        let schema: String =
            sqlx::query_scalar("select current_schema()").fetch_one(pool).await.expect("a schema is set");
        let drop = sqlx::AssertSqlSafe(format!("drop schema \"{schema}\" cascade"));
        sqlx::query(drop).execute(pool).await.expect("the test's schema drops");
    }
    db.close().await;
}

/// The PostgreSQL server for tests.
#[expect(clippy::disallowed_methods, reason = "tests are told by their environment where the servers are")]
pub fn postgres_url() -> String {
    std::env::var("POSTMESH_TEST_PG_URL")
        .expect("POSTMESH_TEST_PG_URL names the PostgreSQL server for tests: run `make test`, or scripts/with-servers.sh")
}

/// The Redis server for tests.
#[expect(clippy::disallowed_methods, reason = "tests are told by their environment where the servers are")]
pub fn redis_url() -> String {
    std::env::var("POSTMESH_TEST_REDIS_URL")
        .expect("POSTMESH_TEST_REDIS_URL names the Redis server for tests: run `make test`, or scripts/with-servers.sh")
}

//! PostgreSQL and Redis for meshes of processes: those the caller lends, or throwaway ones that end with the suite.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    mesh::Backends,
    servers::{Postgres, Redis},
};

/// Servers that outlive every kill of the program.
#[derive(Debug)]
pub struct Servers {
    database: String,
    cache: String,
    _own: Option<(Postgres, Redis)>,
}

impl Servers {
    /// The servers that `POSTMESH_TEST_PG_URL` and `POSTMESH_TEST_REDIS_URL` name, or throwaway ones.
    pub async fn find() -> anyhow::Result<Self> {
        if let (Some(database), Some(cache)) = (lent("POSTMESH_TEST_PG_URL"), lent("POSTMESH_TEST_REDIS_URL"))
        {
            return Ok(Self { database, cache, _own: None });
        }
        let postgres = Postgres::start().await.context("PostgreSQL does not start")?;
        let redis = Redis::start().await.context("Redis does not start")?;
        let database = postgres.url(postgres.addr(), "postgres");
        let cache = redis.url(redis.addr());
        Ok(Self { database, cache, _own: Some((postgres, redis)) })
    }

    /// A fresh database for one mesh.
    pub async fn fresh(&self) -> anyhow::Result<Backends> {
        let name = format!("chaos_{}", uuid::Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&self.database).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        let mut url = url::Url::parse(&self.database)?;
        url.set_path(&name);
        Ok(Backends { database: url.to_string(), cache: self.cache.clone() })
    }

    /// Removes a database made by [`Servers::fresh`], whoever is connected to it.
    pub async fn remove(&self, backends: &Backends) -> anyhow::Result<()> {
        let url = url::Url::parse(&backends.database)?;
        let name = url.path().trim_start_matches('/').to_owned();
        let mut connection = PgConnection::connect(&self.database).await?;
        sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "not a setting of the mesh: what the test environment lends")]
fn lent(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}

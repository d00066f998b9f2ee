//! Where rows are kept: SQLite files or PostgreSQL, chosen by the settings, behind the same statements.
//!
//! - [`read!`](crate::read) runs statements on a reader; [`write!`](crate::write) runs them as one transaction and
//!   answers only after the commit is durable.
//! - SQLite has one writer, which commits for many at once.
//! - PostgreSQL has a schema per service, chosen by `search_path`, so the statements name no schema.

mod sqlite;

use std::{path::Path, str::FromStr};

use futures::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, ConnectOptions, PgConnection, PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use self::sqlite::Sqlite;
use crate::config::DatabaseConfig;

/// A service's migrations, in both dialects, with the same numbers.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// For SQLite.
    pub sqlite: &'static Migrator,
    /// For PostgreSQL.
    pub postgres: &'static Migrator,
}

/// A service's database.
#[derive(Debug, Clone)]
pub enum Db {
    /// A file in the data folder.
    Sqlite(Sqlite),
    /// A schema of a server.
    Postgres(PgPool),
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one.
    #[error("database.url is not a postgres:// address: {0}")]
    Url(sqlx::Error),
    /// It cannot be opened.
    #[error("cannot open the database of {name}: {source}")]
    Open {
        /// The service.
        name: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// The file system does not keep the promise of durable commits.
    #[error("{0} does not support SQLite's write-ahead log with full synchronisation")]
    NotDurable(String),
    /// A migration failed.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] MigrateError),
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] sqlx::Error),
}

impl Db {
    /// Opens the database of the service `name`: a schema of that name on PostgreSQL when an address is set,
    /// else the file `<data>/<name>.db`, made when it is not there.
    pub async fn open(config: &DatabaseConfig, data: &Path, name: &str) -> Result<Self, OpenError> {
        let url = config.url.expose();
        if url.is_empty() {
            return Sqlite::open(&data.join(format!("{name}.db")), config.connections)
                .await
                .map(Self::Sqlite);
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(OpenError::Url)?
            // A process that stands still inside a transaction must not keep its locks from the others.
            .options([("search_path", name), ("idle_in_transaction_session_timeout", "30s")])
            .application_name(&format!("postmesh-{name}"))
            .log_slow_statements(log_level(), std::time::Duration::from_secs(1));
        let failed = |source| OpenError::Open { name: name.to_owned(), source };
        let pool = PgPoolOptions::new()
            .max_connections(config.connections)
            .acquire_timeout(std::time::Duration::from_secs(3))
            .connect_with(options)
            .await
            .map_err(failed)?;
        Ok(Self::Postgres(pool))
    }

    /// True for SQLite.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Applies what is pending, making the schema first on PostgreSQL.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<(), OpenError> {
        match self {
            Self::Sqlite(db) => {
                let pool = db.readers().clone();
                migrations.sqlite.run(&pool).await?;
            }
            Self::Postgres(pool) => {
                let schema: String =
                    sqlx::query_scalar("select current_setting('search_path')").fetch_one(pool).await?;
                let quoted = schema.replace('"', "");
                // Two processes that make the schema at once: the loser's error is that it exists.
                let made = sqlx::query(AssertSqlSafe(format!("create schema if not exists \"{quoted}\"")))
                    .execute(pool)
                    .await;
                if let Err(error) = made
                    && error.as_database_error().is_none_or(|e| e.code().as_deref() != Some("23505"))
                {
                    return Err(error.into());
                }
                migrations.postgres.run(pool).await?;
            }
        }
        Ok(())
    }

    /// The versions of migrations that have not been applied.
    pub async fn pending(&self, migrations: &Migrations) -> Result<Vec<i64>, sqlx::Error> {
        let (all, applied) = match self {
            Self::Sqlite(db) => (migrations.sqlite, applied_sqlite(db.readers()).await?),
            Self::Postgres(pool) => (migrations.postgres, applied_postgres(pool).await?),
        };
        Ok(all.iter().map(|m| m.version).filter(|version| !applied.contains(version)).collect())
    }

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), sqlx::Error> {
        crate::read!(self, c => sqlx::query("select 1").execute(&mut *c).await.map(|_| ()))
    }

    /// Closes the connections after what is running. SQLite's write-ahead log is folded into the file.
    pub async fn close(self) {
        match self {
            Self::Sqlite(db) => db.readers().close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

fn log_level() -> tracing::log::LevelFilter {
    tracing::log::LevelFilter::Warn
}

async fn applied_sqlite(pool: &SqlitePool) -> Result<Vec<i64>, sqlx::Error> {
    let there: bool =
        sqlx::query_scalar("select exists(select 1 from sqlite_master where name = '_sqlx_migrations')")
            .fetch_one(pool)
            .await?;
    if !there {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await
}

async fn applied_postgres(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    let there: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(pool).await?;
    if !there {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await
}

/// Runs one transaction on PostgreSQL; see [`write!`](crate::write).
pub async fn write_postgres<F, T, E>(pool: &PgPool, work: F) -> Result<T, E>
where
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>>,
    E: From<sqlx::Error>,
{
    let mut transaction = pool.begin().await?;
    match work(&mut transaction).await {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        Err(error) => {
            // Dropping it would roll back later, and its row locks would linger. A broken connection has none.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// Reads: `read!(db, c => statements)` evaluates to the `Result` of the statements, which run on one reader
/// (`c: &mut SqliteConnection` or `&mut PgConnection`; the body is compiled for each).
#[macro_export]
macro_rules! read {
    ($db:expr, $c:ident => $body:expr) => {
        match &$db {
            $crate::db::Db::Sqlite(db) => {
                async {
                    let mut connection = db.readers().acquire().await?;
                    let $c = &mut *connection;
                    $body
                }
                .await
            }
            $crate::db::Db::Postgres(pool) => {
                async {
                    let mut connection = pool.acquire().await?;
                    let $c = &mut *connection;
                    $body
                }
                .await
            }
        }
    };
}

/// Writes: `write!(db, tx => { statements; Ok::<_, Error>(value) })` runs the statements as one transaction and
/// evaluates to its `Result` after the durable commit; an `Err` rolls back. Captured variables move into the body,
/// which awaits nothing but statements (on SQLite other transactions wait behind it).
#[macro_export]
macro_rules! write {
    ($db:expr, $tx:ident => $body:expr) => {
        match &$db {
            $crate::db::Db::Sqlite(db) => {
                db.write(move |$tx: &mut sqlx::SqliteConnection| ::std::boxed::Box::pin(async move { $body }))
                    .await
            }
            $crate::db::Db::Postgres(pool) => {
                $crate::db::write_postgres(pool, move |$tx: &mut sqlx::PgConnection| {
                    ::std::boxed::Box::pin(async move { $body })
                })
                .await
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> (Db, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&DatabaseConfig::default(), folder.path(), "test").await.unwrap();
        crate::write!(db, tx => {
            sqlx::query("create table word (id integer primary key, text text not null unique) strict").execute(&mut *tx).await?;
            Ok::<_, sqlx::Error>(())
        })
        .unwrap();
        (db, folder)
    }

    async fn add(db: &Db, text: String) -> Result<i64, sqlx::Error> {
        crate::write!(db, tx => {
            sqlx::query_scalar("insert into word (text) values ($1) returning id").bind(text).fetch_one(&mut *tx).await
        })
    }

    async fn count(db: &Db) -> i64 {
        let counted: Result<i64, sqlx::Error> =
            crate::read!(db, c => sqlx::query_scalar("select count(*) from word").fetch_one(&mut *c).await);
        counted.unwrap()
    }

    #[tokio::test]
    async fn groups_transactions_and_undoes_only_the_failed_one() {
        let (db, _folder) = fresh().await;
        let all = (0..200).map(|i| add(&db, format!("word {}", i % 150)));
        let outcomes = futures::future::join_all(all).await;
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 150);
        assert_eq!(count(&db).await, 150);
    }

    #[tokio::test]
    async fn an_error_after_a_statement_undoes_it() {
        let (db, _folder) = fresh().await;
        let failed = crate::write!(db, tx => {
            sqlx::query("insert into word (text) values ('gone')").execute(&mut *tx).await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        });
        assert!(matches!(failed, Err(sqlx::Error::RowNotFound)));
        assert_eq!(count(&db).await, 0);
        add(&db, "stays".to_owned()).await.unwrap();
        assert_eq!(count(&db).await, 1);
    }

    #[tokio::test]
    async fn a_panic_inside_a_transaction_undoes_it_and_the_writer_goes_on() {
        let (db, _folder) = fresh().await;
        let outcome = crate::write!(db, tx => {
            sqlx::query("insert into word (text) values ('gone')").execute(&mut *tx).await?;
            assert!(tx.is_in_transaction_for_test(), "on purpose");
            Ok::<_, sqlx::Error>(())
        });
        assert!(matches!(outcome, Err(sqlx::Error::WorkerCrashed)));
        add(&db, "stays".to_owned()).await.unwrap();
        assert_eq!(count(&db).await, 1);
    }

    trait PanicsOnPurpose {
        fn is_in_transaction_for_test(&self) -> bool {
            false
        }
    }
    impl PanicsOnPurpose for sqlx::SqliteConnection {}
    impl PanicsOnPurpose for PgConnection {}
}

//! A SQLite file and its one writer. It gathers the transactions that wait while a commit reaches the disk into the next
//! one, each in its own savepoint, so that durability costs one `fsync` for many.

use std::{fmt, panic::AssertUnwindSafe, path::Path};

use futures::{FutureExt, future::BoxFuture};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};

use super::{OpenError, log_level};

/// Transactions that one commit takes along at most.
const GROUP: usize = 512;
/// Transactions that may wait for the writer; more wait at the caller.
const QUEUE: usize = 4096;

/// Pages the writer keeps in memory: 8 MiB, as SQLite's negative kibibytes.
const WRITER_CACHE: &str = "-8192";

/// A SQLite file: readers and the one writer.
#[derive(Clone)]
pub struct Sqlite {
    readers: SqlitePool,
    writer: mpsc::Sender<Box<dyn Job>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Sqlite {
    /// Opens a file, making it when it is not there, and starts its writer. The writer ends with the last clone.
    pub async fn open(path: &Path, readers: u32) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { name: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(std::time::Duration::from_secs(5))
            .statement_cache_capacity(256)
            .log_slow_statements(log_level(), std::time::Duration::from_secs(1));
        let writer_options = options.clone().pragma("cache_size", WRITER_CACHE);
        let mut writer = writer_options.connect().await.map_err(failed)?;
        let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut writer).await?;
        let level: i64 = sqlx::query_scalar("pragma synchronous").fetch_one(&mut writer).await?;
        if mode != "wal" || level != 2 {
            return Err(OpenError::NotDurable(path.display().to_string()));
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .connect_with(options)
            .await
            .map_err(failed)?;
        let (sender, jobs) = mpsc::channel(QUEUE);
        spawn_writer(writer, jobs);
        Ok(Self { readers, writer: sender })
    }

    /// Connections to read with.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Runs one transaction; see [`write!`](crate::write).
    pub async fn write<F, T, E>(&self, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Transaction { work: Some(work), outcome: None, reply };
        self.writer.send(Box::new(job)).await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        answer.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }
}

/// One transaction that waits for the writer.
trait Job: Send {
    /// Runs the statements; false when they must be undone.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool>;
    /// Answers the caller: with the outcome, or with why the group did not commit.
    fn finish(self: Box<Self>, lost: Option<&str>);
}

struct Transaction<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Transaction<F, T, E>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send,
    T: Send,
    E: From<sqlx::Error> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool> {
        let work = self.work.take().expect("a job runs once");
        Box::pin(async move {
            let outcome = work(connection).await;
            self.outcome.insert(outcome).is_ok()
        })
    }

    fn finish(self: Box<Self>, lost: Option<&str>) {
        let outcome = match (self.outcome, lost) {
            (Some(Ok(_)) | None, Some(why)) => {
                Err(sqlx::Error::Io(std::io::Error::other(why.to_owned())).into())
            }
            (Some(outcome), _) => outcome,
            (None, None) => Err(sqlx::Error::WorkerCrashed.into()),
        };
        // The caller may have gone; what was committed stays committed.
        let _ = self.reply.send(outcome);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the writer outlives every task that writes and ends with the last clone"
)]
fn spawn_writer(connection: SqliteConnection, jobs: mpsc::Receiver<Box<dyn Job>>) {
    tokio::spawn(writer(connection, jobs));
}

async fn writer(mut connection: SqliteConnection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        let committed = commit_group(&mut connection, &mut jobs, &mut group).await;
        let lost = committed.err().map(|error| error.to_string());
        if let Some(why) = &lost {
            tracing::error!(
                error = why,
                transactions = group.len(),
                "a group of transactions did not commit"
            );
            // Fails when SQLite has rolled back by itself; either way nothing is left open.
            let _ = sqlx::query("rollback").execute(&mut connection).await;
        }
        metrics::histogram!("postmesh_sqlite_group_size").record(group.len() as f64);
        for job in group {
            job.finish(lost.as_deref());
        }
    }
    let _ = connection.close().await;
}

/// Runs the first job and those that wait, as one transaction. Jobs that ran are left in `group`.
async fn commit_group(
    connection: &mut SqliteConnection,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
    group: &mut Vec<Box<dyn Job>>,
) -> Result<(), sqlx::Error> {
    // Statements that need no answer travel together: each message to SQLite's thread costs more than the statement.
    sqlx::raw_sql("begin immediate; savepoint job").execute(&mut *connection).await?;
    loop {
        let job = group.last_mut().expect("the group holds the job that was pushed last");
        let kept = AssertUnwindSafe(job.run(connection)).catch_unwind().await.unwrap_or(false);
        let next = if group.len() < GROUP { jobs.try_recv().ok() } else { None };
        let goes_on = next.is_some();
        group.extend(next);
        let then = match (kept, goes_on) {
            (true, true) => "release job; savepoint job",
            (true, false) => "release job; commit",
            (false, true) => "rollback to job; release job; savepoint job",
            (false, false) => "rollback to job; release job; commit",
        };
        sqlx::raw_sql(then).execute(&mut *connection).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

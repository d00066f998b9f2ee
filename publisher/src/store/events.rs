//! The outbox: what became of deliveries, in an order that a tailer can follow without missing any.
//!
//! SQLite's one writer numbers events as it inserts them. On PostgreSQL transactions commit in another order than they
//! insert, so events are numbered after their commit, in batches, by whoever holds the row of `event_cursor`.

use postmesh_kit::{db, db::Db, read};
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// Events numbered in one batch.
const BATCH: i64 = 5_000;

/// One event.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EventRow {
    pub(crate) sequence: i64,
    pub(crate) target_id: Uuid,
    pub(crate) post_id: Uuid,
    pub(crate) workspace_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) network: String,
    pub(crate) revision: i64,
    pub(crate) state: String,
    pub(crate) native_id: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) problem_code: Option<String>,
    pub(crate) problem_message: Option<String>,
    pub(crate) happened_at: i64,
}

/// Writes the event of a delivery as its row stands now, inside the transaction that changed it.
macro_rules! insert {
    ($tx:ident, $sqlite:expr, $target_id:expr) => {
        sqlx::query($crate::store::timed!(
            $sqlite,
            "insert into events (target_id, post_id, workspace_id, account_id, network, revision, state, native_id,
                 url, problem_code, problem_message, happened_at)
             select target_id, post_id, workspace_id, account_id, network, revision, state, native_id,
                 url, problem_code, problem_message, ",
            " from deliveries where target_id = $1"
        ))
        .bind($target_id)
        .execute(&mut *$tx)
        .await
    };
}
pub(crate) use insert;

impl Store {
    /// Events after `sequence`, oldest first.
    pub(crate) async fn events_after(&self, sequence: i64, limit: i64) -> Result<Vec<EventRow>, Error> {
        self.number_events().await?;
        read!(self.db, c => {
            Ok(sqlx::query_as(
                "select sequence, target_id, post_id, workspace_id, account_id, network, revision, state, native_id,
                        url, problem_code, problem_message, happened_at
                   from events
                  where sequence > $1
                  order by sequence
                  limit $2")
                .bind(sequence).bind(limit).fetch_all(&mut *c).await?)
        })
    }

    /// Gives the events that are committed and have none their sequence.
    async fn number_events(&self) -> Result<(), Error> {
        let Db::Postgres(pool) = &self.db else { return Ok(()) };
        let some: bool = sqlx::query_scalar("select exists (select 1 from events where sequence is null)")
            .fetch_one(pool)
            .await?;
        if !some {
            return Ok(());
        }
        db::write_postgres(pool, |tx| {
            Box::pin(async move {
                let last: i64 = sqlx::query_scalar("select last from event_cursor for update")
                    .fetch_one(&mut *tx)
                    .await?;
                let numbered = sqlx::query(
                    "update events
                        set sequence = $1 + pending.rank
                       from (select id, row_number() over (order by id) as rank
                               from events where sequence is null order by id limit $2) as pending
                      where events.id = pending.id",
                )
                .bind(last)
                .bind(BATCH)
                .execute(&mut *tx)
                .await?
                .rows_affected();
                sqlx::query("update event_cursor set last = last + $1")
                    .bind(i64::try_from(numbered).unwrap_or(0))
                    .execute(&mut *tx)
                    .await?;
                Ok::<_, Error>(())
            })
        })
        .await
    }
}

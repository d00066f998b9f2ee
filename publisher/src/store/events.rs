//! The outbox: what became of deliveries, in an order that a tailer can follow without missing any. It is the timeline
//! of every target too; steps that only the timeline shows are not reported.
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

/// What an event says beside the delivery's row.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    /// Whether tailers hear of it.
    pub(crate) reports: bool,
    /// The process that took it; empty for a user.
    pub(crate) replica: String,
    /// What was seen; no secrets, no post text.
    pub(crate) detail: Option<String>,
}

/// What a step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Into another state.
    Moved,
    /// A read of the network.
    Looked,
    /// A user's answer.
    Confirmed,
}

impl Kind {
    /// The stored word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Looked => "looked",
            Self::Confirmed => "confirmed",
        }
    }
}

impl Step {
    /// A change of state that tailers hear of.
    pub(crate) fn moved(replica: &str) -> Self {
        Self { kind: Kind::Moved, reports: true, replica: replica.to_owned(), detail: None }
    }
}

/// Writes the event of a delivery as its row stands now, inside the transaction that changed it.
macro_rules! insert {
    ($tx:ident, $sqlite:expr, $target_id:expr, $step:expr) => {{
        let step: $crate::store::events::Step = $step;
        sqlx::query($crate::store::timed!(
            $sqlite,
            "insert into events (target_id, post_id, workspace_id, account_id, network, revision, state, native_id,
                 url, problem_code, problem_message, kind, reports, attempt_n, replica, detail, happened_at)
             select target_id, post_id, workspace_id, account_id, network, revision, state, native_id,
                 url, problem_code, problem_message, $2, $3, attempt_n, $4, $5, ",
            " from deliveries where target_id = $1"
        ))
        .bind($target_id)
        .bind(step.kind.as_str())
        .bind(step.reports)
        .bind(step.replica)
        .bind(step.detail)
        .execute(&mut *$tx)
        .await
    }};
}
pub(crate) use insert;

/// Notes the present state of many deliveries (a JSON list of ids) in their timelines; tailers do not hear of it.
macro_rules! note_all {
    ($tx:ident, $sqlite:expr, $ids:expr, $replica:expr) => {
        sqlx::query($crate::store::either!(
            $sqlite,
            "insert into events (target_id, post_id, workspace_id, account_id, network, revision, state, reports,
                 attempt_n, replica, happened_at)
             select target_id, post_id, workspace_id, account_id, network, revision, state, false, attempt_n, $2,
                 cast(unixepoch('subsec') * 1000 as integer)
               from deliveries where target_id in (select unhex(value) from json_each($1))",
            "insert into events (target_id, post_id, workspace_id, account_id, network, revision, state, reports,
                 attempt_n, replica, happened_at)
             select target_id, post_id, workspace_id, account_id, network, revision, state, false, attempt_n, $2,
                 (extract(epoch from clock_timestamp()) * 1000)::bigint
               from deliveries
              where target_id in (select value::uuid from json_array_elements_text($1::json) as value)"
        ))
        .bind($ids)
        .bind($replica)
        .execute(&mut *$tx)
        .await
    };
}
pub(crate) use note_all;

impl Store {
    /// Events after `sequence`, oldest first.
    pub(crate) async fn events_after(&self, sequence: i64, limit: i64) -> Result<Vec<EventRow>, Error> {
        self.number_events().await?;
        read!(self.db, c => {
            Ok(sqlx::query_as(
                "select sequence, target_id, post_id, workspace_id, account_id, network, revision, state, native_id,
                        url, problem_code, problem_message, happened_at
                   from events
                  where sequence > $1 and reports
                  order by sequence
                  limit $2")
                .bind(sequence).bind(limit).fetch_all(&mut *c).await?)
        })
    }

    /// Gives the events that are committed and have none their sequence.
    async fn number_events(&self) -> Result<(), Error> {
        let Db::Postgres(pool) = &self.db else { return Ok(()) };
        let some: bool =
            sqlx::query_scalar("select exists (select 1 from events where sequence is null and reports)")
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
                               from events where sequence is null and reports order by id limit $2) as pending
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

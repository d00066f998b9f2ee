//! What must be remembered about the database itself. A replica that was promoted, or a copy that was restored, has
//! lost its latest commits: an attempt that was armed in them may have been sent, and no row says so.
//!
//! **Invariant.** PostgreSQL counts a timeline up at every promotion and every recovery from an archive. ARM compares it
//! with the one remembered here, so after a failover nothing is armed before every delivery that may have been sent was
//! put in doubt, in the transaction that remembers the new timeline. What is handed over later and was due in the
//! doubtful time is put in doubt as it arrives; a hand-over and the beginning of an epoch wait for each other.

use postmesh_kit::{
    faults::{self, Bug},
    write,
};

use super::{Store, timed};
use crate::{domain::policy::Policy, error::Error};

/// Event numbers left out after a restore or a failover: tailers may have seen higher ones than the database remembers.
const SKIPPED: i64 = 1_000_000;

/// The timeline PostgreSQL writes now.
macro_rules! timeline {
    () => {
        "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
    };
}
pub(super) use timeline;

/// The advisory lock between hand-overs, which share it, and the beginning of an epoch.
macro_rules! epoch_lock {
    () => {
        "hashtextextended('epoch of ' || current_schema(), 0)"
    };
}
pub(super) use epoch_lock;

/// No hand-over is under way, and none begins before this transaction ends.
const LOCK_EPOCH: &str = concat!("select pg_advisory_xact_lock(", epoch_lock!(), ")");

/// Deliveries that arrive and were due by then are put in doubt.
macro_rules! doubted_until {
    ($tx:ident) => {{
        let until: Option<String> =
            sqlx::query_scalar("select value from marks where name = 'doubted_until'")
                .fetch_optional(&mut *$tx)
                .await?;
        until.and_then(|until| until.parse::<i64>().ok())
    }};
}
pub(super) use doubted_until;

/// Puts deliveries in doubt that are not sent as far as anybody knows, and were due by `$until`; evaluates to their ids.
/// However long ago one was due, the commits that are lost may have sent it. The same step as `Event::Doubted`.
macro_rules! doubt {
    ($tx:ident, $sqlite:expr, $replica:expr, $policy:expr, $until:expr) => {{
        let doubted: Vec<uuid::Uuid> = sqlx::query_scalar($crate::store::timed!(
            $sqlite,
            "update deliveries
                set state = 'unknown', tries = 0, absent_reads = 0, absent_since = null,
                    doubt_since = ",
            ", first_armed_at = case when due_at < ",
            " then due_at else ",
            " end,
                    quiet_at = $2 + ",
            ", next_at = ",
            ", updated_at = ",
            ", problem_code = 'RECORDS_LOST',
                    problem_message = $3
              where state in ('handed_over', 'preparing', 'prepared', 'retry_wait', 'parked')
                and due_at <= $1
          returning target_id"
        ))
        .bind($until)
        .bind($policy.send_timeout + $policy.quiesce)
        .bind($crate::domain::step::RECORDS_LOST)
        .fetch_all(&mut *$tx)
        .await?;
        for target_id in &doubted {
            $crate::store::events::insert!(
                $tx,
                $sqlite,
                *target_id,
                $crate::store::events::Step::moved(&$replica)
            )?;
        }
        doubted
    }};
}
pub(super) use doubt;

/// Remembers a value.
macro_rules! remember {
    ($tx:ident, $name:literal, $value:expr) => {
        sqlx::query(
            "insert into marks (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value",
        )
        .bind($name)
        .bind($value)
        .execute(&mut *$tx)
        .await?
    };
}

impl Store {
    /// Whether this is still the database it was: the timeline that is remembered, and how far its log has come.
    /// `None` with SQLite, which has neither.
    pub(crate) async fn epoch(&self) -> Result<Option<(bool, i64)>, Error> {
        let postmesh_kit::db::Db::Postgres(pool) = &self.db else { return Ok(None) };
        Ok(Some(
            sqlx::query_as(concat!(
                "select coalesce((select value from marks where name = 'timeline') = ",
                timeline!(),
                ", false), (pg_current_wal_insert_lsn() - '0/0')::bigint"
            ))
            .fetch_one(pool)
            .await?,
        ))
    }

    /// Remembers the timeline, and puts in doubt whatever may have been sent by commits that another one lost; answers
    /// how many. The first time there is nothing to doubt.
    pub(crate) async fn begin_epoch(&self, is_behind: bool, policy: &Policy) -> Result<usize, Error> {
        let postmesh_kit::db::Db::Postgres(pool) = &self.db else { return Ok(0) };
        let (policy, replica) = (*policy, self.replica.to_string());
        postmesh_kit::db::write_postgres(pool, |tx| {
            Box::pin(async move {
                let known: Option<String> =
                    sqlx::query_scalar("select value from marks where name = 'timeline' for update")
                        .fetch_optional(&mut *tx)
                        .await?;
                sqlx::query(LOCK_EPOCH).execute(&mut *tx).await?;
                let (timeline, now): (String, i64) = sqlx::query_as(concat!(
                    "select ",
                    timeline!(),
                    ", (extract(epoch from clock_timestamp()) * 1000)::bigint"
                ))
                .fetch_one(&mut *tx)
                .await?;
                let mut doubted = 0;
                if known.as_ref().is_some_and(|known| is_behind || *known != timeline) {
                    doubted = doubt!(tx, false, replica, policy, now).len();
                    remember!(tx, "doubted_until", now.to_string());
                    sqlx::query("update event_cursor set last = last + $1")
                        .bind(SKIPPED)
                        .execute(&mut *tx)
                        .await?;
                }
                remember!(tx, "timeline", timeline);
                Ok::<_, Error>(doubted)
            })
        })
        .await
    }

    /// Notes that this is a copy as of `as_of` (Unix milliseconds), and puts in doubt whatever is due and was not sent in
    /// it; answers how many deliveries. Doing it again changes nothing more.
    pub(crate) async fn restored(&self, as_of: i64, policy: &Policy) -> Result<usize, Error> {
        if faults::bug(Bug::RestoreWithoutStamp) {
            return Ok(0);
        }
        let (sqlite, replica, policy) = (self.db.is_sqlite(), self.replica.to_string(), *policy);
        faults::at("restore.stamp.before").await?;
        let doubted = write!(self.db, tx => {
            if !sqlite {
                sqlx::query(LOCK_EPOCH).execute(&mut *tx).await?;
            }
            let now: i64 = sqlx::query_scalar(timed!(sqlite, "select ", "")).fetch_one(&mut *tx).await?;
            let doubted = doubt!(tx, sqlite, replica, policy, now);
            remember!(tx, "restored_from", as_of.to_string());
            remember!(tx, "doubted_until", now.to_string());
            if sqlite {
                sqlx::query("update sqlite_sequence set seq = seq + $1 where name = 'events'")
                    .bind(SKIPPED).execute(&mut *tx).await?;
            } else {
                sqlx::query("update event_cursor set last = last + $1").bind(SKIPPED).execute(&mut *tx).await?;
            }
            Ok::<_, Error>(doubted.len())
        })?;
        faults::at("restore.stamp.after").await?;
        Ok(doubted)
    }
}

//! Whose turn it is to be read, and what was read.
//!
//! Invariant: who reads a target pushes its turn ahead first, so replicas do not read it twice, and a reader that
//! dies gives it back by doing nothing.

use sqlx::FromRow;
use uuid::Uuid;

use super::Store;
use crate::{domain::counts::Reading, error::Error};

/// How many posts one read may ask for; the publisher's limit.
pub const BATCH: usize = 25;

/// An account with targets whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRow)]
pub struct Account {
    /// Its workspace.
    pub workspace_id: Uuid,
    /// Its id.
    pub account_id: Uuid,
}

/// A target to read.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Turn {
    /// Id.
    pub id: Uuid,
    /// The post's id at the network.
    pub native_id: String,
    /// When it became visible.
    pub published_at: i64,
    /// Reads that failed since the last one that worked.
    pub failures: i64,
}

/// What a read said of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The target.
    pub target_id: Uuid,
    /// What the network said.
    pub reading: Reading,
    /// Its next turn.
    pub next_read_at: Option<i64>,
}

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Snapshot {
    /// When the counts were read.
    pub read_at: i64,
    /// False when the network did not know the post.
    pub found: bool,
    /// Likes, favourites, hearts.
    pub likes: i64,
    /// Reposts, boosts, shares.
    pub reposts: i64,
    /// Replies and comments.
    pub replies: i64,
    /// How often it was seen.
    pub views: i64,
}

const CLAIM_SQLITE: &str = "
update targets
set next_read_at = $4
where id in (
  select id from targets
  where workspace_id = $1 and account_id = $2 and next_read_at <= $3
  order by next_read_at
  limit $5
)
returning id, native_id, published_at, failures";

/// The array makes PostgreSQL lock the rows once, whatever plan it takes.
const CLAIM_POSTGRES: &str = "
update targets
set next_read_at = $4
where id = any(array(
  select id from targets
  where workspace_id = $1 and account_id = $2 and next_read_at <= $3
  order by next_read_at
  limit $5
  for update skip locked
))
returning id, native_id, published_at, failures";

impl Store {
    /// Accounts with targets whose turn it is, those that wait longest first.
    pub async fn accounts_in_turn(&self, now: i64, limit: i64) -> Result<Vec<Account>, Error> {
        postmesh_kit::read!(self.db, c => Ok(sqlx::query_as::<_, Account>(
            "select workspace_id, account_id
             from targets
             where next_read_at <= $1
             group by workspace_id, account_id
             order by min(next_read_at)
             limit $2",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(&mut *c)
        .await?))
    }

    /// Takes the targets of an account whose turn it is, at most [`BATCH`], for as long as the lease.
    pub async fn claim(&self, account: Account, now: i64, lease_until: i64) -> Result<Vec<Turn>, Error> {
        let statement = if self.db.is_sqlite() { CLAIM_SQLITE } else { CLAIM_POSTGRES };
        postmesh_kit::write!(self.db, tx => {
            let turns = sqlx::query_as::<_, Turn>(statement)
                .bind(account.workspace_id)
                .bind(account.account_id)
                .bind(now)
                .bind(lease_until)
                .bind(BATCH as i64)
                .fetch_all(&mut *tx)
                .await?;
            Ok::<_, Error>(turns)
        })
    }

    /// All targets of a post on an account, whether it is their turn or not.
    pub async fn turns_of_post(&self, account: Account, post_id: Uuid) -> Result<Vec<Turn>, Error> {
        postmesh_kit::read!(self.db, c => Ok(sqlx::query_as::<_, Turn>(
            "select id, native_id, published_at, failures
             from targets
             where workspace_id = $1 and post_id = $2 and account_id = $3
             order by id",
        )
        .bind(account.workspace_id)
        .bind(post_id)
        .bind(account.account_id)
        .fetch_all(&mut *c)
        .await?))
    }

    /// Stores what was read at `now`: a snapshot of each, and the newest counts. A post that the network no longer
    /// knows keeps the counts it had.
    pub async fn record(&self, outcomes: Vec<Outcome>, now: i64) -> Result<(), Error> {
        postmesh_kit::write!(self.db, tx => {
            for outcome in outcomes {
                let found = outcome.reading.is_some();
                let counts = outcome.reading.unwrap_or_default();
                sqlx::query(
                    "insert into snapshots (target_id, read_at, found, likes, reposts, replies, views)
                     values ($1, $2, $3, $4, $5, $6, $7)
                     on conflict (target_id, read_at) do nothing",
                )
                .bind(outcome.target_id)
                .bind(now)
                .bind(found)
                .bind(counts.likes)
                .bind(counts.reposts)
                .bind(counts.replies)
                .bind(counts.views)
                .execute(&mut *tx)
                .await?;
                sqlx::query(
                    "update targets
                     set likes = case when $2 then $3 else likes end,
                       reposts = case when $2 then $4 else reposts end,
                       replies = case when $2 then $5 else replies end,
                       views = case when $2 then $8 else views end,
                       found = $2, read_at = $6, next_read_at = $7, failures = 0
                     where id = $1 and (read_at is null or read_at <= $6)",
                )
                .bind(outcome.target_id)
                .bind(found)
                .bind(counts.likes)
                .bind(counts.reposts)
                .bind(counts.replies)
                .bind(now)
                .bind(outcome.next_read_at)
                .bind(counts.views)
                .execute(&mut *tx)
                .await?;
            }
            Ok::<_, Error>(())
        })
    }

    /// Notes that targets could not be read, each with its next turn.
    pub async fn postpone(&self, targets: Vec<(Uuid, Option<i64>)>) -> Result<(), Error> {
        postmesh_kit::write!(self.db, tx => {
            for (target_id, next_read_at) in targets {
                sqlx::query("update targets set next_read_at = $2, failures = failures + 1 where id = $1")
                    .bind(target_id)
                    .bind(next_read_at)
                    .execute(&mut *tx)
                    .await?;
            }
            Ok::<_, Error>(())
        })
    }

    /// The snapshots of a target, in the order of time.
    pub async fn snapshots(&self, target_id: Uuid) -> Result<Vec<Snapshot>, Error> {
        postmesh_kit::read!(self.db, c => Ok(sqlx::query_as::<_, Snapshot>(
            "select read_at, found, likes, reposts, replies, views
             from snapshots
             where target_id = $1
             order by read_at",
        )
        .bind(target_id)
        .fetch_all(&mut *c)
        .await?))
    }
}

//! What was published, as the publisher's events tell it, and how far they have been read.
//!
//! Invariant: the cursor moves in the transaction that stores what the events said, and never backwards; hearing an
//! event twice changes nothing.

use sqlx::FromRow;
use uuid::Uuid;

use super::Store;
use crate::{domain::counts::Counts, error::Error};

/// The cursor of the publisher's delivery events.
const DELIVERIES: &str = "deliveries";

/// A target that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Id.
    pub target_id: Uuid,
    /// Its post.
    pub post_id: Uuid,
    /// Their workspace.
    pub workspace_id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// The account's network.
    pub network: String,
    /// The post's id there.
    pub native_id: String,
    /// When it became visible.
    pub published_at: i64,
    /// When its counts are read first; `None` when it is too old already.
    pub next_read_at: Option<i64>,
}

/// A target with its newest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Id.
    pub id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// The account's network.
    pub network: String,
    /// The newest counts.
    pub counts: Counts,
    /// False when the network no longer knows the post.
    pub found: bool,
    /// When the counts were read last; unset before the first time.
    pub read_at: Option<i64>,
}

#[derive(FromRow)]
struct TargetRow {
    id: Uuid,
    account_id: Uuid,
    network: String,
    likes: i64,
    reposts: i64,
    replies: i64,
    views: i64,
    found: bool,
    read_at: Option<i64>,
}

impl From<TargetRow> for Target {
    fn from(row: TargetRow) -> Self {
        let TargetRow { id, account_id, network, likes, reposts, replies, views, found, read_at } = row;
        Self { id, account_id, network, counts: Counts { likes, reposts, replies, views }, found, read_at }
    }
}

impl Store {
    /// The sequence of the last event that was handled; 0 before the first.
    pub async fn cursor(&self) -> Result<i64, Error> {
        let cursor: Result<Option<i64>, Error> = postmesh_kit::read!(self.db, c => Ok(
            sqlx::query_scalar("select sequence from cursors where name = $1")
                .bind(DELIVERIES)
                .fetch_optional(&mut *c)
                .await?
        ));
        Ok(cursor?.unwrap_or(0))
    }

    /// Remembers what was published and moves the cursor to `sequence`.
    pub async fn remember(&self, published: Vec<Published>, sequence: i64) -> Result<(), Error> {
        postmesh_kit::write!(self.db, tx => {
            for target in published {
                sqlx::query(
                    "insert into targets
                       (id, post_id, workspace_id, account_id, network, native_id, published_at, next_read_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8)
                     on conflict (id) do nothing",
                )
                .bind(target.target_id)
                .bind(target.post_id)
                .bind(target.workspace_id)
                .bind(target.account_id)
                .bind(target.network)
                .bind(target.native_id)
                .bind(target.published_at)
                .bind(target.next_read_at)
                .execute(&mut *tx)
                .await?;
            }
            sqlx::query(
                "insert into cursors (name, sequence)
                 values ($1, $2)
                 on conflict (name) do update set sequence = excluded.sequence
                 where cursors.sequence < excluded.sequence",
            )
            .bind(DELIVERIES)
            .bind(sequence)
            .execute(&mut *tx)
            .await?;
            Ok::<_, Error>(())
        })
    }

    /// The published targets of a post of a workspace, in the order of their ids.
    pub async fn targets_of_post(&self, workspace_id: Uuid, post_id: Uuid) -> Result<Vec<Target>, Error> {
        let rows: Result<Vec<TargetRow>, Error> = postmesh_kit::read!(self.db, c => Ok(
            sqlx::query_as(
                "select id, account_id, network, likes, reposts, replies, views, found, read_at
                 from targets
                 where workspace_id = $1 and post_id = $2
                 order by id",
            )
            .bind(workspace_id)
            .bind(post_id)
            .fetch_all(&mut *c)
            .await?
        ));
        Ok(rows?.into_iter().map(Target::from).collect())
    }
}

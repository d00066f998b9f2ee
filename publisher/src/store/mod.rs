//! The publisher's tables, spoken to in business verbs; one transaction per method.
//!
//! - [`intake`]: deliveries come in and are recalled
//! - [`line`]: what an account has to do, in order
//! - [`settle`]: a decided step is stored; with it, perhaps, the next ARM
//! - [`arm`]: the one transaction before the one visible request
//! - [`riders`]: parts of a thread that go with the request of the first part
//! - [`lease`]: who serves an account
//! - [`app_permits`]: what our applications may send, in blocks
//! - [`prune`]: what nobody needs any more
//! - [`events`]: the outbox, and the timeline of every target
//! - [`steps`]: the timeline, read
//! - [`marks`]: what must be remembered about the database itself
//!
//! **Invariant:** what decides about sending (due, late, lease, window) compares with the database's clock, inside
//! the transaction; see `timed!`.

pub mod accounts;
mod app_permits;
pub(crate) mod apps;
mod arm;
pub(crate) mod connections;
mod events;
mod intake;
mod lease;
mod line;
pub(crate) mod marks;
mod points;
mod prune;
mod riders;
mod rows;
mod settle;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use postmesh_kit::{db::Db, read};
use uuid::Uuid;

pub use arm::Armed;
pub(crate) use arm::{ArmRequest, Arming};
pub(crate) use events::{EventRow, Kind};
pub(crate) use intake::{Delivering, Place, Taken};
pub(crate) use line::Replaces;
pub(crate) use riders::Rider;
pub(crate) use rows::Predecessor;
pub use rows::Stored;
pub use settle::Change;
pub(crate) use steps::StepRow;

use crate::error::Error;

/// A statement whose text names the database's clock where the pieces meet: Unix milliseconds, read afresh by every
/// statement (`now()` of PostgreSQL stands still during a transaction).
macro_rules! timed {
    ($sqlite:expr, $first:literal $(, $rest:literal)+) => {
        if $sqlite {
            concat!($first $(, "cast(unixepoch('subsec') * 1000 as integer)", $rest)+)
        } else {
            concat!($first $(, "(extract(epoch from clock_timestamp()) * 1000)::bigint", $rest)+)
        }
    };
}
/// One of two texts: for SQLite, for PostgreSQL.
macro_rules! either {
    ($sqlite:expr, $for_sqlite:expr, $for_postgres:expr) => {
        if $sqlite { $for_sqlite } else { $for_postgres }
    };
}
pub(crate) use {either, timed};

/// The publisher's tables.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) db: Db,
    /// What timelines call this process.
    replica: Arc<str>,
}

impl Store {
    /// Speaks to this database, for the process that timelines call `replica`.
    pub fn new(db: Db, replica: impl Into<Arc<str>>) -> Self {
        Self { db, replica: replica.into() }
    }

    /// The database's clock, Unix milliseconds.
    pub async fn now(&self) -> Result<i64, Error> {
        let sqlite = self.db.is_sqlite();
        read!(self.db, c => {
            Ok(sqlx::query_scalar(timed!(sqlite, "select ", "")).fetch_one(&mut *c).await?)
        })
    }
}

/// Ids as one bind value for both databases: a JSON array of 32 hexadecimal digits each.
pub(crate) fn id_list<'a>(ids: impl IntoIterator<Item = &'a Uuid>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.simple().to_string()).collect();
    serde_json::Value::from(ids).to_string()
}

//! Posts, targets and what is remembered beside them, on SQLite and PostgreSQL.
//!
//! Business verbs, one transaction each. Lists travel into statements as one JSON text, so both dialects bind the
//! same values and a batch costs a fixed number of statements.
//!
//! Invariant: whoever changes the state of targets locks their posts first, then the targets (PostgreSQL; SQLite has
//! one writer), so the derived state of a post never misses a target and `change_seq` moves with every change. A claim
//! locks targets alone and skips those that are locked, so nothing is offered while a change is being decided.

mod changes;
mod claims;
mod facts;
mod feed;
mod holds;
mod list;
mod posts;
mod preflight;
mod requests;
mod rows;
mod turns;

use postmesh_kit::db::Db;
use serde::Serialize;
use uuid::Uuid;

pub use changes::{ChangeRequest, Changed};
pub use claims::{Claimed, Offer, ThreadPlace, Wakes};
pub use facts::Learnt;
pub use feed::Bounds;
pub use holds::HoldCheck;
pub use list::{Page, Position};
pub use posts::Created;
pub use preflight::{DueCheck, Warned};
pub use requests::{Recollection, Repeat, RequestKey};

/// The scheduler's database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
}

impl Store {
    /// A store over a migrated database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The statement for this database.
    fn dialect(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        if self.db.is_sqlite() { sqlite } else { postgres }
    }
}

/// Ids as a JSON list of hexadecimal words, which both dialects turn back into ids.
fn id_list<'a>(ids: impl IntoIterator<Item = &'a Uuid>) -> String {
    json(&ids.into_iter().map(|id| id.simple().to_string()).collect::<Vec<_>>())
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data with text keys always encodes")
}

/// Numbers a change, inside its transaction. On SQLite a counter; on PostgreSQL the transaction's own id, which can be
/// compared with a snapshot, so that a reader of changes never skips one that commits late.
macro_rules! next_change {
    ($tx:expr, $sqlite:expr) => {{
        let sql = if $sqlite {
            "update change_counter set value = value + 1 returning value"
        } else {
            "select pg_current_xact_id()::text::bigint"
        };
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *$tx).await?
    }};
}
use next_change;

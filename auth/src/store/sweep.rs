//! Deleting what nobody can use any more.

use super::Store;
use crate::{domain::session::GRACE_MS, error::Error};

/// A registration can be repeated for this long, in milliseconds.
const REGISTRATION_MS: i64 = 24 * 60 * 60 * 1000;
/// An ended session is kept for this long, for those who look into what happened, in milliseconds.
const ENDED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How many rows of each kind were deleted or emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Sessions, with their refresh tokens.
    pub sessions: u64,
    /// Sealed successors past the grace.
    pub successors: u64,
    /// Request ids.
    pub registrations: u64,
    /// Signing keys whose last token has ended.
    pub keys: u64,
}

impl Store {
    /// Deletes what nobody can use any more.
    pub async fn sweep(&self, now: i64) -> Result<Swept, Error> {
        postmesh_kit::write!(self.db, tx => {
            let sessions = sqlx::query("delete from sessions where expires_at <= $1 or ended_at <= $2")
                .bind(now)
                .bind(now - ENDED_MS)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let successors = sqlx::query(
                "update refresh_tokens set successor = null where successor is not null and used_at < $1",
            )
            .bind(now - GRACE_MS)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            let registrations = sqlx::query("delete from registrations where created_at <= $1")
                .bind(now - REGISTRATION_MS)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let keys = sqlx::query("delete from signing_keys where verify_until <= $1")
                .bind(now)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            Ok::<_, Error>(Swept { sessions, successors, registrations, keys })
        })
    }
}

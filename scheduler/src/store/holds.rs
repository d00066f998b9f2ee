//! Which posts' holds with the media library have to be set right. A check is stored before a hold is placed, so a
//! hold for a post that never came to be is found and let go.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::{Store, changes::CHECK_HOLD};
use crate::error::Error;

/// A post whose holds have to be compared with what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct HoldCheck {
    /// The post; it may not exist.
    pub post_id: Uuid,
    /// Its workspace.
    pub workspace_id: Uuid,
    /// When the check is due, Unix milliseconds.
    pub check_at: i64,
}

impl Store {
    /// Notes that a hold is about to be placed, and when to look whether it was right.
    pub async fn expect_hold(&self, workspace_id: Uuid, post_id: Uuid, check_at: i64) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query(CHECK_HOLD).bind(post_id).bind(workspace_id).bind(check_at).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Checks that are due, oldest first.
    pub async fn due_hold_checks(&self, now: i64, limit: usize) -> Result<Vec<HoldCheck>, Error> {
        let limit = limit as i64;
        let rows: Result<Vec<HoldCheck>, sqlx::Error> = read!(self.db, c =>
            sqlx::query_as(
                "select post_id, workspace_id, check_at from hold_checks where check_at <= $1 order by check_at limit $2",
            )
            .bind(now)
            .bind(limit)
            .fetch_all(&mut *c)
            .await
        );
        Ok(rows?)
    }

    /// Strikes a check off, unless it was renewed meanwhile.
    pub async fn hold_checked(&self, check: HoldCheck) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("delete from hold_checks where post_id = $1 and check_at = $2")
                .bind(check.post_id)
                .bind(check.check_at)
                .execute(&mut *tx)
                .await?;
            Ok::<_, Error>(())
        })
    }
}

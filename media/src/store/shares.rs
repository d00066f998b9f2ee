//! Public addresses of renditions, and how often they were read.
//!
//! **A read is in the count before its first byte leaves**, in a transaction that fails once the address has ended: so
//! after an address was ended, its count tells of every read there was and ever will be.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::{Reads, Share, Store};
use crate::error::Error;

impl Store {
    /// Keeps a new address.
    pub async fn create_share(&self, new: Share) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query(
                "insert into share (token_sha256, workspace_id, media_id, content_type, blob_key, size_bytes,
                                    create_time, end_time)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(new.token_sha256)
            .bind(new.workspace_id)
            .bind(new.media_id)
            .bind(new.content_type)
            .bind(new.blob_key)
            .bind(new.size_bytes)
            .bind(new.create_time)
            .bind(new.end_time)
            .execute(&mut *tx)
            .await?;
            Ok::<_, Error>(())
        })
    }

    /// An address that has not ended.
    pub async fn open_share(&self, token_sha256: Vec<u8>, now: i64) -> Result<Option<Share>, Error> {
        read!(self.db, c => {
            let share = sqlx::query_as(
                "select token_sha256, workspace_id, media_id, content_type, blob_key, size_bytes, create_time, end_time
                 from share
                 where token_sha256 = $1 and revoke_time is null and end_time > $2",
            )
            .bind(token_sha256)
            .bind(now)
            .fetch_optional(&mut *c)
            .await?;
            Ok(share)
        })
    }

    /// Counts a read that is about to begin. False, and it may not begin, when the address has ended meanwhile.
    pub async fn count_read(&self, token_sha256: Vec<u8>, now: i64) -> Result<bool, Error> {
        write!(self.db, tx => {
            let counted = sqlx::query(
                "update share
                 set reads = reads + 1, last_read_time = $2
                 where token_sha256 = $1 and revoke_time is null and end_time > $2",
            )
            .bind(token_sha256)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            Ok::<_, Error>(counted.rows_affected() == 1)
        })
    }

    /// Ends an address of a workspace, unless it has ended, and answers how often it was read.
    pub async fn revoke_share(
        &self,
        workspace_id: Uuid,
        token_sha256: Vec<u8>,
        now: i64,
    ) -> Result<Option<Reads>, Error> {
        write!(self.db, tx => {
            let reads = sqlx::query_as(
                "update share
                 set revoke_time = coalesce(revoke_time, $3)
                 where token_sha256 = $1 and workspace_id = $2
                 returning reads, last_read_time",
            )
            .bind(token_sha256)
            .bind(workspace_id)
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
            Ok::<_, Error>(reads)
        })
    }

    /// Forgets addresses that ended by themselves before `then`, however they ended; answers how many.
    pub async fn forget_shares(&self, then: i64) -> Result<u64, Error> {
        write!(self.db, tx => {
            let gone = sqlx::query("delete from share where end_time < $1").bind(then).execute(&mut *tx).await?;
            Ok::<_, Error>(gone.rows_affected())
        })
    }
}

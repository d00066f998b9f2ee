//! Announcing files, and turning them into items.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::{Item, Store, Upload};
use crate::error::Error;

impl Store {
    /// Keeps a new upload, and its blob's key as loose until `loose_until`. When the workspace has an upload with
    /// the same request id already, nothing is kept. Answers the upload that is there.
    pub async fn create_upload(&self, new: Upload, loose_until: i64) -> Result<Upload, Error> {
        write!(self.db, tx => {
            let kept = sqlx::query(
                "insert into upload (id, workspace_id, request_id, filename, size_bytes, alt_text, blob_key, create_time)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)
                 on conflict (workspace_id, request_id) do nothing",
            )
            .bind(new.id)
            .bind(new.workspace_id)
            .bind(new.request_id)
            .bind(&new.filename)
            .bind(new.size_bytes)
            .bind(&new.alt_text)
            .bind(&new.blob_key)
            .bind(new.create_time)
            .execute(&mut *tx)
            .await?;
            if kept.rows_affected() == 1 {
                sqlx::query("insert into loose_blob (key, not_before) values ($1, $2)")
                    .bind(&new.blob_key)
                    .bind(loose_until)
                    .execute(&mut *tx)
                    .await?;
                return Ok(new);
            }
            let first = sqlx::query_as(
                "select id, workspace_id, request_id, filename, size_bytes, alt_text, blob_key, create_time, complete_time
                 from upload
                 where workspace_id = $1 and request_id = $2",
            )
            .bind(new.workspace_id)
            .bind(new.request_id)
            .fetch_one(&mut *tx)
            .await?;
            Ok::<_, Error>(first)
        })
    }

    /// An upload of a workspace.
    pub async fn upload(&self, workspace_id: Uuid, id: Uuid) -> Result<Option<Upload>, Error> {
        read!(self.db, c => {
            let upload = sqlx::query_as(
                "select id, workspace_id, request_id, filename, size_bytes, alt_text, blob_key, create_time, complete_time
                 from upload
                 where workspace_id = $1 and id = $2",
            )
            .bind(workspace_id)
            .bind(id)
            .fetch_optional(&mut *c)
            .await?;
            Ok(upload)
        })
    }

    /// Makes the item of an upload: its rendition is loose no longer, and the original is from `discard_at` on.
    /// False, and nothing changed, when the upload was completed before.
    pub async fn complete_upload(
        &self,
        item: Item,
        original_key: String,
        discard_at: i64,
    ) -> Result<bool, Error> {
        write!(self.db, tx => {
            let completed = sqlx::query(
                "update upload
                 set complete_time = $3
                 where workspace_id = $1 and id = $2 and complete_time is null",
            )
            .bind(item.workspace_id)
            .bind(item.id)
            .bind(item.create_time)
            .execute(&mut *tx)
            .await?;
            if completed.rows_affected() == 0 {
                return Ok(false);
            }
            // Once the sweeper has taken the key, the blob may be gone.
            let taken_over = sqlx::query("delete from loose_blob where key = $1 and not taken")
                .bind(&item.rendition_key)
                .execute(&mut *tx)
                .await?;
            if taken_over.rows_affected() == 0 {
                return Err(Error::TooSlow);
            }
            sqlx::query("update loose_blob set not_before = $2 where key = $1")
                .bind(original_key)
                .bind(discard_at)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "insert into media (workspace_id, id, filename, content_type, size_bytes, width, height, alt_text,
                                    sha256, rendition_key, rendition_bytes, duration_ms, create_time)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            )
            .bind(item.workspace_id)
            .bind(item.id)
            .bind(item.filename)
            .bind(item.content_type)
            .bind(item.size_bytes)
            .bind(item.width)
            .bind(item.height)
            .bind(item.alt_text)
            .bind(item.sha256)
            .bind(item.rendition_key)
            .bind(item.rendition_bytes)
            .bind(item.duration_ms)
            .bind(item.create_time)
            .execute(&mut *tx)
            .await?;
            Ok::<_, Error>(true)
        })
    }

    /// Forgets uploads created before `then`, completed or not; answers how many.
    pub async fn forget_uploads(&self, then: i64) -> Result<u64, Error> {
        write!(self.db, tx => {
            let gone = sqlx::query("delete from upload where create_time < $1").bind(then).execute(&mut *tx).await?;
            Ok::<_, Error>(gone.rows_affected())
        })
    }
}

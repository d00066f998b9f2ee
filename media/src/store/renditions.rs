//! Copies of items, smaller or of another type.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::{Rendition, Store};
use crate::{error::Error, picture::Limits};

impl Store {
    /// The copy that was made for the limits.
    pub async fn rendition(
        &self,
        workspace_id: Uuid,
        media_id: Uuid,
        limits: Limits,
    ) -> Result<Option<Rendition>, Error> {
        read!(self.db, c => {
            let rendition = sqlx::query_as(
                "select content_type, width, height, blob_key, size_bytes
                 from rendition
                 where workspace_id = $1 and media_id = $2 and max_bytes = $3 and max_pixels = $4 and only_jpeg = $5",
            )
            .bind(workspace_id)
            .bind(media_id)
            .bind(limits.max_bytes)
            .bind(limits.max_pixels)
            .bind(limits.only_jpeg)
            .fetch_optional(&mut *c)
            .await?;
            Ok(rendition)
        })
    }

    /// Keeps a copy whose blob is stored, so it is loose no longer. When there is one for the limits already, that one
    /// stays and is answered, and the new one's blob is due for removal from `now` on.
    pub async fn keep_rendition(
        &self,
        workspace_id: Uuid,
        media_id: Uuid,
        limits: Limits,
        new: Rendition,
        now: i64,
    ) -> Result<Rendition, Error> {
        let kept = write!(self.db, tx => {
            let kept = sqlx::query(
                "insert into rendition (workspace_id, media_id, max_bytes, max_pixels, only_jpeg, content_type, width,
                                        height, blob_key, size_bytes, create_time)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 on conflict (workspace_id, media_id, max_bytes, max_pixels, only_jpeg) do nothing",
            )
            .bind(workspace_id)
            .bind(media_id)
            .bind(limits.max_bytes)
            .bind(limits.max_pixels)
            .bind(limits.only_jpeg)
            .bind(&new.content_type)
            .bind(new.width)
            .bind(new.height)
            .bind(&new.blob_key)
            .bind(new.size_bytes)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if kept.rows_affected() == 1 {
                // Once the sweeper has taken the key, the blob may be gone.
                let taken_over = sqlx::query("delete from loose_blob where key = $1 and not taken")
                    .bind(&new.blob_key)
                    .execute(&mut *tx)
                    .await?;
                return if taken_over.rows_affected() == 1 { Ok(new) } else { Err(Error::TooSlow) };
            }
            sqlx::query("update loose_blob set not_before = $2 where key = $1")
                .bind(&new.blob_key)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            let first: Option<Rendition> = sqlx::query_as(
                "select content_type, width, height, blob_key, size_bytes
                 from rendition
                 where workspace_id = $1 and media_id = $2 and max_bytes = $3 and max_pixels = $4 and only_jpeg = $5",
            )
            .bind(workspace_id)
            .bind(media_id)
            .bind(limits.max_bytes)
            .bind(limits.max_pixels)
            .bind(limits.only_jpeg)
            .fetch_optional(&mut *tx)
            .await?;
            // `None`: the item went, and its copies with it, while this waited for the other row.
            first.ok_or(Error::MediaNotFound(media_id))
        });
        match kept {
            Err(error) if error.is_reference() => Err(Error::MediaNotFound(media_id)),
            other => other,
        }
    }
}

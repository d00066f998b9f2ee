//! Items and the holds on them.

use postmesh_kit::{read, status::FieldViolation, write};
use uuid::Uuid;

use super::{Item, Store, id_list};
use crate::error::Error;

impl Store {
    /// An item of a workspace.
    pub async fn item(&self, workspace_id: Uuid, id: Uuid) -> Result<Option<Item>, Error> {
        read!(self.db, c => {
            let item = sqlx::query_as(
                "select workspace_id, id, filename, content_type, size_bytes, width, height, alt_text, sha256,
                        rendition_key, rendition_bytes, duration_ms, create_time
                 from media
                 where workspace_id = $1 and id = $2",
            )
            .bind(workspace_id)
            .bind(id)
            .fetch_optional(&mut *c)
            .await?;
            Ok(item)
        })
    }

    /// Up to `limit` items of a workspace, newest first, older than the one created at `before.0` with id `before.1`.
    pub async fn items(
        &self,
        workspace_id: Uuid,
        before: (i64, Uuid),
        limit: usize,
    ) -> Result<Vec<Item>, Error> {
        read!(self.db, c => {
            let items = sqlx::query_as(
                "select workspace_id, id, filename, content_type, size_bytes, width, height, alt_text, sha256,
                        rendition_key, rendition_bytes, duration_ms, create_time
                 from media
                 where workspace_id = $1 and (create_time, id) < ($2, $3)
                 order by create_time desc, id desc
                 limit $4",
            )
            .bind(workspace_id)
            .bind(before.0)
            .bind(before.1)
            .bind(limit as i64)
            .fetch_all(&mut *c)
            .await?;
            Ok(items)
        })
    }

    /// Those of the items that the workspace has.
    pub async fn items_by_id(&self, workspace_id: Uuid, ids: &[Uuid]) -> Result<Vec<Item>, Error> {
        let statement = if self.db.is_sqlite() {
            "select workspace_id, id, filename, content_type, size_bytes, width, height, alt_text, sha256,
                    rendition_key, rendition_bytes, duration_ms, create_time
             from media
             where workspace_id = $1 and id in (select unhex(value) from json_each($2))"
        } else {
            "select workspace_id, id, filename, content_type, size_bytes, width, height, alt_text, sha256,
                    rendition_key, rendition_bytes, duration_ms, create_time
             from media
             where workspace_id = $1 and id in (select value::uuid from json_array_elements_text($2::json))"
        };
        let ids = id_list(ids);
        read!(self.db, c => {
            let items = sqlx::query_as(statement).bind(workspace_id).bind(ids).fetch_all(&mut *c).await?;
            Ok(items)
        })
    }

    /// Removes an item unless posts hold it; its bytes and those of its copies are loose from `now` on, and its public
    /// addresses end. Answers the keys of all bytes.
    pub async fn delete_item(&self, workspace_id: Uuid, id: Uuid, now: i64) -> Result<Vec<String>, Error> {
        let is_sqlite = self.db.is_sqlite();
        let deleted = write!(self.db, tx => {
            if !is_sqlite {
                // A copy that is being kept finishes before the look at them, or fails for want of the item.
                sqlx::query("select id from media where workspace_id = $1 and id = $2 for update")
                    .bind(workspace_id)
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
            }
            let posts: Vec<Uuid> =
                sqlx::query_scalar("select owner_id from hold where workspace_id = $1 and media_id = $2 order by owner_id")
                    .bind(workspace_id)
                    .bind(id)
                    .fetch_all(&mut *tx)
                    .await?;
            if !posts.is_empty() {
                return Err(Error::Held { media: id, posts });
            }
            let mut keys: Vec<String> = sqlx::query_scalar(
                "delete from rendition where workspace_id = $1 and media_id = $2 returning blob_key",
            )
            .bind(workspace_id)
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
            let key: Option<String> =
                sqlx::query_scalar("delete from media where workspace_id = $1 and id = $2 returning rendition_key")
                    .bind(workspace_id)
                    .bind(id)
                    .fetch_optional(&mut *tx)
                    .await?;
            keys.push(key.ok_or(Error::MediaNotFound(id))?);
            sqlx::query("update share set revoke_time = $3 where workspace_id = $1 and media_id = $2 and revoke_time is null")
                .bind(workspace_id)
                .bind(id)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            for key in &keys {
                sqlx::query("insert into loose_blob (key, not_before) values ($1, $2)")
                    .bind(key)
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            Ok::<_, Error>(keys)
        });
        match deleted {
            // A post took hold of it between the look and the deletion.
            Err(error) if error.is_reference() => Err(Error::Held { media: id, posts: Vec::new() }),
            other => other,
        }
    }

    /// Sets what an owner holds, in place of what it held. Every item must be one of the workspace's.
    pub async fn replace_holds(
        &self,
        workspace_id: Uuid,
        owner_id: Uuid,
        items: &[Uuid],
    ) -> Result<(), Error> {
        let found = if items.is_empty() { Vec::new() } else { self.items_by_id(workspace_id, items).await? };
        let missing: Vec<FieldViolation> = (0..)
            .zip(items)
            .filter(|(_, id)| found.iter().all(|item| item.id != **id))
            .map(|(at, id): (usize, _)| missing(at, *id))
            .collect();
        if !missing.is_empty() {
            return Err(Error::Invalid(missing));
        }
        let is_sqlite = self.db.is_sqlite();
        let wanted = items.to_vec();
        let replaced = write!(self.db, tx => {
            if !is_sqlite {
                // Two replacements for one owner at once would otherwise leave the union of both.
                sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
                    .bind(owner_id.to_string())
                    .execute(&mut *tx)
                    .await?;
            }
            sqlx::query("delete from hold where workspace_id = $1 and owner_id = $2")
                .bind(workspace_id)
                .bind(owner_id)
                .execute(&mut *tx)
                .await?;
            for id in wanted {
                sqlx::query(
                    "insert into hold (workspace_id, owner_id, media_id) values ($1, $2, $3) on conflict do nothing",
                )
                .bind(workspace_id)
                .bind(owner_id)
                .bind(id)
                .execute(&mut *tx)
                .await?;
            }
            Ok::<_, Error>(())
        });
        match replaced {
            Err(error) if error.is_reference() => Err(Error::field(
                "media_ids",
                "NOT_FOUND",
                "names a media item that was deleted a moment ago",
            )),
            other => other,
        }
    }
}

fn missing(at: usize, id: Uuid) -> FieldViolation {
    FieldViolation::new(
        format!("media_ids[{at}]"),
        "NOT_FOUND",
        format!("names no media item of the workspace: {id}"),
    )
}

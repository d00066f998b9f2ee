//! Keys of blobs that no item needs. Removing one takes three steps: the sweeper takes the key, so nobody makes an
//! item of it any more; the blob is removed; the key is forgotten. A crash between them repeats the rest.

use postmesh_kit::write;

use super::Store;
use crate::error::Error;

impl Store {
    /// Notes a key whose blob is about to be written, to be removed from `not_before` on unless an item takes it over.
    pub async fn note_loose(&self, key: String, not_before: i64) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("insert into loose_blob (key, not_before) values ($1, $2)")
                .bind(key)
                .bind(not_before)
                .execute(&mut *tx)
                .await?;
            Ok::<_, Error>(())
        })
    }

    /// Takes up to `limit` keys that are due, those that were taken before and not forgotten first.
    pub async fn take_loose(&self, now: i64, limit: i64) -> Result<Vec<String>, Error> {
        write!(self.db, tx => {
            let keys = sqlx::query_scalar(
                "update loose_blob
                 set taken = true
                 where key in (select key from loose_blob where not_before <= $1 order by not_before limit $2)
                 returning key",
            )
            .bind(now)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
            Ok::<_, Error>(keys)
        })
    }

    /// Forgets a key whose blob was removed.
    pub async fn forget_loose(&self, key: String) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("delete from loose_blob where key = $1 and taken").bind(key).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }
}

//! Signing keys. Replicas agree on them because the generation is unique: who comes second reads what the first made.

use sqlx::FromRow;

use super::Store;
use crate::{domain::keys::Term, error::Error};

/// A stored signing key.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KeyRow {
    /// Counts up with every rotation.
    pub generation: i64,
    /// Key id.
    pub kid: String,
    /// The 32 bytes of the public key.
    pub public_key: Vec<u8>,
    /// PKCS#8, sealed.
    pub private_key: Vec<u8>,
    /// When it was made.
    pub created_at: i64,
    /// From when it signs.
    pub sign_from: i64,
    /// Until when its tokens are accepted; unset for the newest.
    pub verify_until: Option<i64>,
}

impl KeyRow {
    /// When it serves.
    pub fn term(&self) -> Term {
        Term { generation: self.generation, sign_from: self.sign_from, verify_until: self.verify_until }
    }
}

impl Store {
    /// The keys whose tokens are still accepted, newest first.
    pub async fn keys(&self, now: i64) -> Result<Vec<KeyRow>, Error> {
        postmesh_kit::read!(self.db, c => Ok(sqlx::query_as::<_, KeyRow>(
            "select generation, kid, public_key, private_key, created_at, sign_from, verify_until
             from signing_keys
             where verify_until is null or verify_until > $1
             order by generation desc",
        )
        .bind(now)
        .fetch_all(&mut *c)
        .await?))
    }

    /// Adds a key and retires those before it, unless another replica made this generation first.
    pub async fn add_key(&self, key: KeyRow, retire_older: i64) -> Result<bool, Error> {
        postmesh_kit::write!(self.db, tx => {
            let generation = key.generation;
            let made = sqlx::query(
                "insert into signing_keys
                   (generation, kid, public_key, private_key, created_at, sign_from, verify_until)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (generation) do nothing",
            )
            .bind(generation)
            .bind(key.kid)
            .bind(key.public_key)
            .bind(key.private_key)
            .bind(key.created_at)
            .bind(key.sign_from)
            .bind(key.verify_until)
            .execute(&mut *tx)
            .await?;
            if made.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("update signing_keys set verify_until = $1 where generation < $2 and verify_until is null")
                .bind(retire_older)
                .bind(generation)
                .execute(&mut *tx)
                .await?;
            Ok::<_, Error>(true)
        })
    }
}

//! First answers for repeated request ids: the record is written in the same transaction as what it answers for.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// What makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The tenant.
    pub workspace_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// The rpc's name.
    pub method: &'static str,
    /// The caller's choice.
    pub request_id: Uuid,
}

/// A request that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// Which request.
    pub key: RequestKey,
    /// Of the whole request, to tell a repetition from another request with the same id.
    pub body_sha256: Vec<u8>,
    /// Records made before this are forgotten, Unix milliseconds.
    pub forget_before: i64,
}

/// What is remembered of a request id.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Recollection {
    /// Of the first request.
    pub body_sha256: Vec<u8>,
    /// The first answer, encoded.
    pub response: Vec<u8>,
}

impl Recollection {
    /// The first answer, if the request is the same.
    pub(super) fn answer(self, repeat: &Repeat) -> Result<Vec<u8>, Error> {
        if self.body_sha256 == repeat.body_sha256 {
            Ok(self.response)
        } else {
            Err(Error::request_id_reused())
        }
    }
}

pub(super) const RECALL_ANSWER: &str = "
    select body_sha256, response
    from requests
    where workspace_id = $1 and user_id = $2 and method = $3 and request_id = $4 and created_at >= $5";

/// Inserts nothing when a record that is not forgotten is there.
pub(super) const REMEMBER_ANSWER: &str = "
    insert into requests (workspace_id, user_id, method, request_id, body_sha256, response, created_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (workspace_id, user_id, method, request_id) do update set
        body_sha256 = excluded.body_sha256,
        response = excluded.response,
        created_at = excluded.created_at
    where requests.created_at < $8";

/// Reads the record of a repeat, inside a transaction.
macro_rules! recall_answer {
    ($tx:expr, $repeat:expr) => {
        sqlx::query_as::<_, $crate::store::requests::Recollection>($crate::store::requests::RECALL_ANSWER)
            .bind($repeat.key.workspace_id)
            .bind($repeat.key.user_id)
            .bind($repeat.key.method)
            .bind($repeat.key.request_id)
            .bind($repeat.forget_before)
            .fetch_optional(&mut *$tx)
            .await?
    };
}
pub(super) use recall_answer;

/// Writes the record of a repeat, inside a transaction; false when one is there already.
macro_rules! remember_answer {
    ($tx:expr, $repeat:expr, $response:expr, $now:expr) => {
        sqlx::query($crate::store::requests::REMEMBER_ANSWER)
            .bind($repeat.key.workspace_id)
            .bind($repeat.key.user_id)
            .bind($repeat.key.method)
            .bind($repeat.key.request_id)
            .bind($repeat.body_sha256.clone())
            .bind($response)
            .bind($now)
            .bind($repeat.forget_before)
            .execute(&mut *$tx)
            .await?
            .rows_affected()
            == 1
    };
}
pub(super) use remember_answer;

impl Store {
    /// The first answer to a request, if it was made before.
    pub async fn first_answer(&self, repeat: &Repeat) -> Result<Option<Vec<u8>>, Error> {
        let found: Result<_, sqlx::Error> = read!(self.db, c => Ok(recall_answer!(c, repeat)));
        found?.map(|recollection| recollection.answer(repeat)).transpose()
    }

    /// Forgets answers given before a moment; answers how many.
    pub async fn forget_requests(&self, before: i64) -> Result<u64, Error> {
        write!(self.db, tx => {
            let done = sqlx::query("delete from requests where created_at < $1").bind(before).execute(&mut *tx).await?;
            Ok::<_, Error>(done.rows_affected())
        })
    }
}

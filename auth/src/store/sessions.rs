//! Sessions and their refresh tokens, of which only hashes are kept.
//!
//! Invariant: of all requests that present one refresh token, exactly one rotates it. The session's row is the lock.

use sqlx::FromRow;
use uuid::Uuid;

use super::Store;
use crate::{
    domain::session::{Repeat, repeat},
    error::Error,
    tokens::RefreshHash,
};

/// A session to write.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    /// Id.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// Where.
    pub workspace_id: Uuid,
    /// When it begins.
    pub created_at: i64,
    /// When it ends at the latest.
    pub expires_at: i64,
    /// The first refresh token.
    pub token: RefreshHash,
}

/// A session, as its refresh token finds it.
#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    /// Id.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// Where.
    pub workspace_id: Uuid,
    /// When it ends at the latest.
    pub expires_at: i64,
    /// When it was ended.
    pub ended_at: Option<i64>,
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The user signed out.
    Logout,
    /// A used refresh token came again.
    Reuse,
    /// The user is no longer a member of the workspace.
    Membership,
}

impl Ended {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Membership => "membership",
        }
    }
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The offered successor took the token's place.
    Rotated,
    /// The token was used moments ago: this is the successor it got then, sealed.
    Repeated(Vec<u8>),
    /// The token was used before; the session has been ended now.
    Reused,
    /// The session has ended.
    Ended,
}

/// A refresh token and what is to take its place.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The session.
    pub session_id: Uuid,
    /// The token presented.
    pub token: RefreshHash,
    /// The token after it.
    pub next: RefreshHash,
    /// The pair that holds the token after it, sealed.
    pub successor: Vec<u8>,
}

/// Writes a session within a transaction.
macro_rules! insert {
    ($tx:ident, $session:expr) => {{
        let session: $crate::store::sessions::NewSession = $session;
        sqlx::query(
            "insert into sessions (id, user_id, workspace_id, created_at, refreshed_at, expires_at)
             values ($1, $2, $3, $4, $4, $5)",
        )
        .bind(session.id)
        .bind(session.user_id)
        .bind(session.workspace_id)
        .bind(session.created_at)
        .bind(session.expires_at)
        .execute(&mut *$tx)
        .await?;
        sqlx::query("insert into refresh_tokens (hash, session_id, issued_at) values ($1, $2, $3)")
            .bind(session.token.to_vec())
            .bind(session.id)
            .bind(session.created_at)
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(crate) use insert;

impl Store {
    /// Begins a session.
    pub async fn begin_session(&self, session: NewSession) -> Result<(), Error> {
        postmesh_kit::write!(self.db, tx => {
            insert!(tx, session);
            Ok::<_, Error>(())
        })
    }

    /// The session that a refresh token belongs to.
    pub async fn session_of(&self, token: &RefreshHash) -> Result<Option<SessionRow>, Error> {
        postmesh_kit::read!(self.db, c => Ok(sqlx::query_as::<_, SessionRow>(
            "select s.id, s.user_id, s.workspace_id, s.expires_at, s.ended_at
             from refresh_tokens t
             join sessions s on s.id = t.session_id
             where t.hash = $1",
        )
        .bind(token.to_vec())
        .fetch_optional(&mut *c)
        .await?))
    }

    /// Puts the successor in the place of a refresh token, or tells why not. A reuse ends the session here.
    pub async fn rotate(&self, exchange: Exchange, now: i64) -> Result<Rotation, Error> {
        postmesh_kit::write!(self.db, tx => {
            let Exchange { session_id, token, next, successor } = exchange;
            let alive = sqlx::query(
                "update sessions set refreshed_at = $1 where id = $2 and ended_at is null and expires_at > $1",
            )
            .bind(now)
            .bind(session_id)
            .execute(&mut *tx)
            .await?;
            if alive.rows_affected() == 0 {
                return Ok(Rotation::Ended);
            }
            let used = sqlx::query(
                "update refresh_tokens set used_at = $1, successor = $2
                 where hash = $3 and session_id = $4 and used_at is null",
            )
            .bind(now)
            .bind(successor)
            .bind(token.to_vec())
            .bind(session_id)
            .execute(&mut *tx)
            .await?;
            if used.rows_affected() == 1 {
                sqlx::query("insert into refresh_tokens (hash, session_id, issued_at) values ($1, $2, $3)")
                    .bind(next.to_vec())
                    .bind(session_id)
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
                return Ok(Rotation::Rotated);
            }
            let before: Option<(Option<i64>, Option<Vec<u8>>)> =
                sqlx::query_as("select used_at, successor from refresh_tokens where hash = $1")
                    .bind(token.to_vec())
                    .fetch_optional(&mut *tx)
                    .await?;
            match before {
                Some((Some(used_at), Some(successor))) if repeat(used_at, now) == Repeat::SameAnswer => {
                    Ok::<_, Error>(Rotation::Repeated(successor))
                }
                _ => {
                    sqlx::query("update sessions set ended_at = $1, ended_because = $2 where id = $3")
                        .bind(now)
                        .bind(Ended::Reuse.name())
                        .bind(session_id)
                        .execute(&mut *tx)
                        .await?;
                    Ok(Rotation::Reused)
                }
            }
        })
    }

    /// Ends a session; false when it had ended before.
    pub async fn end_session(&self, session_id: Uuid, why: Ended, now: i64) -> Result<bool, Error> {
        postmesh_kit::write!(self.db, tx => {
            let done = sqlx::query(
                "update sessions set ended_at = $1, ended_because = $2 where id = $3 and ended_at is null",
            )
            .bind(now)
            .bind(why.name())
            .bind(session_id)
            .execute(&mut *tx)
            .await?;
            Ok::<_, Error>(done.rows_affected() == 1)
        })
    }
}

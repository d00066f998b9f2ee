//! Refresh and Logout: rotating and ending sessions.
//!
//! Invariant: presenting a refresh token outside its grace a second time ends the session, whoever presents it.

use postmesh_kit::status::{FieldViolation, Violations};
use postmesh_proto::auth::v1::{LogoutRequest, LogoutResponse, RefreshRequest, RefreshResponse};

use super::{Auth, convert};
use crate::{
    error::Error,
    metrics::REFRESHES,
    store::sessions::{Ended, Exchange, Rotation},
    tokens::{Holder, Pair, RefreshHash, hash_refresh},
};

/// No refresh token is longer, in bytes.
const MAX_TOKEN: usize = 256;

impl Auth {
    pub(super) async fn refresh_session(&self, request: RefreshRequest) -> Result<RefreshResponse, Error> {
        let token = check(&request.refresh_token)?;
        let now = self.now();
        let Some(session) = self.store.session_of(&token).await? else {
            count("ended");
            return Err(Error::SessionEnded);
        };
        let Some(member) = self.store.member(session.workspace_id, session.user_id).await? else {
            self.store.end_session(session.id, Ended::Membership, now).await?;
            count("ended");
            return Err(Error::SessionEnded);
        };
        let holder = Holder {
            session_id: session.id,
            user_id: session.user_id,
            workspace_id: session.workspace_id,
            role: member.role,
            expires_at: session.expires_at,
        };
        let pair = self.mint(&holder, now)?;
        let ring = &self.deps.keys;
        let exchange =
            Exchange { session_id: session.id, token, next: pair.hash(), successor: pair.seal(ring, &token) };
        let pair = match self.store.rotate(exchange, now).await? {
            Rotation::Rotated => {
                count("rotated");
                pair
            }
            Rotation::Repeated(sealed) => {
                count("repeated");
                Pair::open(ring, &token, &sealed)?
            }
            Rotation::Reused => {
                count("reused");
                tracing::warn!(session.id = %session.id, "a used refresh token came again; the session was ended");
                return Err(Error::RefreshReused);
            }
            Rotation::Ended => {
                count("ended");
                return Err(Error::SessionEnded);
            }
        };
        Ok(RefreshResponse { session: Some(convert::session(pair)) })
    }

    pub(super) async fn end_session(&self, request: LogoutRequest) -> Result<LogoutResponse, Error> {
        let token = check(&request.refresh_token)?;
        // A session that is unknown here ended so long ago that it was deleted.
        if let Some(session) = self.store.session_of(&token).await? {
            self.store.end_session(session.id, Ended::Logout, self.now()).await?;
        }
        Ok(LogoutResponse {})
    }
}

fn check(token: &str) -> Result<RefreshHash, Vec<FieldViolation>> {
    let mut wrong = Violations::default();
    wrong.require(!token.is_empty(), "refresh_token", "REQUIRED", "is required");
    wrong.require(token.len() <= MAX_TOKEN, "refresh_token", "TOO_LONG", "must have at most 256 bytes");
    wrong.into_result()?;
    Ok(hash_refresh(token))
}

fn count(outcome: &'static str) {
    metrics::counter!(REFRESHES, "outcome" => outcome).increment(1);
}

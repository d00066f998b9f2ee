//! Connecting and disconnecting accounts.
//!
//! ```text
//!  user ── BeginConnect ──▶ state, verifier (stored: hash, sealed) ──▶ browser ──▶ network
//!  network ──▶ gateway ── ReceiveAuthorization ──▶ state taken away, code sealed
//!  user ── CompleteConnect ──▶ code traded ──▶ account, tokens sealed ──▶ parked deliveries resume
//! ```
//! **Invariant:** no code is traded unless its state was ours, unused, unexpired and begun by the very user who
//! completes; the server it is traded at is the one stored when it began, never one named by the callback.
//!
//! `begin` starts an attempt in the browser, `complete` ends it, `password` is the way without a browser, `disconnect`
//! the way back; `sealing` holds what an attempt keeps secret.

mod begin;
mod complete;
mod disconnect;
mod password;
mod sealing;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc};

use postmesh_kit::{clock::Clock, identity::Identity, keys::KeyRing, status::FieldViolation};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use self::{
    complete::{Callback, Completed},
    password::Login,
};
use crate::{
    apps::Apps,
    error::Error,
    networks::{
        App, Networks,
        connect::{Connect, Connectors},
        server,
    },
    store::{
        Store,
        accounts::Account,
        connections::{Connection, ConnectionStatus},
    },
    vault::Vault,
};

/// How long the user has at the network, milliseconds.
const ATTEMPT: i64 = 600_000;

/// Told of accounts that were connected, perhaps again, or disconnected: their actors read everything afresh.
pub type Listener = Arc<dyn Fn(Uuid) + Send + Sync>;

/// Connects and disconnects.
#[derive(Clone)]
pub struct Connecting {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) apps: Apps,
    pub(crate) networks: Networks,
    pub(crate) connectors: Connectors,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where networks send browsers back to: `{public_url}/oauth/callback`.
    pub(crate) redirect_uri: String,
    /// Server used when the user names none, by network; overrides the adapter's own.
    pub(crate) servers: BTreeMap<String, String>,
    pub(crate) listener: Listener,
    /// Rings when there is something to revoke.
    pub(crate) revocations: Arc<Notify>,
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

impl Connecting {
    fn network(&self, id: &str) -> Result<&Arc<dyn Connect>, FieldViolation> {
        self.connectors.get(id).ok_or_else(|| {
            let description = format!("`{id}` is not a known network; known are {}", self.connectors.known());
            FieldViolation::new("network", "UNKNOWN_NETWORK", description)
        })
    }

    /// The base address of the server that was named, or of the one to use when none is.
    fn server_of(&self, network: &dyn Connect, input: &str) -> Result<String, FieldViolation> {
        let default = || self.servers.get(network.id()).map_or(network.default_server(), String::as_str);
        let input = if input.trim().is_empty() { default() } else { input };
        server::normalise(input)
            .map_err(|wrong| FieldViolation::new("server", "NOT_AN_ADDRESS", wrong.to_string()))
    }

    /// Where an attempt in the browser begins.
    fn begins_at(&self, network: &dyn Connect, input: &str) -> Result<String, FieldViolation> {
        let default = self.servers.get(network.id()).map_or(network.default_server(), String::as_str);
        network
            .begins_at(input, default)
            .map_err(|wrong| FieldViolation::new("server", "NOT_AN_ADDRESS", wrong.to_string()))
    }

    /// Our application at a network that needs one.
    async fn app_of(&self, me: &Identity, network: &dyn Connect) -> Result<Option<App>, Error> {
        if !network.facts().needs_app {
            return Ok(None);
        }
        let app = self.apps.of(me.workspace_id, network.id()).await?;
        app.map(Some).ok_or_else(|| Error::AppMissing(network.id().to_owned()))
    }

    async fn first_result(
        &self,
        me: &Identity,
        request_id: Option<Uuid>,
    ) -> Result<Option<Connection>, Error> {
        match request_id {
            Some(request_id) => {
                self.store.connection_of_request(me.workspace_id, me.user_id, request_id).await
            }
            None => Ok(None),
        }
    }

    async fn of_user(&self, me: &Identity, id: Uuid) -> Result<Connection, Error> {
        let found = self.store.connection(me.workspace_id, me.user_id, id).await?;
        found.ok_or_else(|| void("This attempt to connect is not known; begin again."))
    }

    /// The account of a completed attempt; `None` when its code is still to be traded.
    async fn finished(&self, connection: &Connection) -> Result<Option<Account>, Error> {
        let expired = connection.expires_at <= self.clock.now_ms();
        match (connection.status, connection.account_id) {
            (ConnectionStatus::Completed, Some(account_id)) => {
                let account = self.store.account(connection.workspace_id, account_id).await?;
                account.map(Some).ok_or(Error::AccountNotFound(account_id))
            }
            (ConnectionStatus::Refused, _) => Err(void(&connection.problem)),
            _ if expired => Err(void("This attempt to connect has expired after 10 minutes; begin again.")),
            (ConnectionStatus::Pending, _) => Err(Error::AuthorizationPending),
            _ => Ok(None),
        }
    }
}

fn void(message: &str) -> Error {
    Error::ConnectionVoid(message.to_owned())
}

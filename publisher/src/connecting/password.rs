//! Connecting with an app password, which is used once and kept nowhere.
//!
//! **Invariant:** a repeated request answers the account of the first one, and tries no password again.

use postmesh_kit::{identity::Identity, ids, status::Violations};
use uuid::Uuid;

use super::{ATTEMPT, Connecting, void};
use crate::{
    error::Error,
    networks::{ConnectMethod, Secret},
    store::{
        accounts::Account,
        connections::{Connection, ConnectionStatus},
    },
};

/// A login with an app password.
pub(crate) struct Login {
    pub(crate) network: String,
    pub(crate) server: String,
    pub(crate) identifier: String,
    pub(crate) password: Secret,
    pub(crate) request_id: Option<Uuid>,
}

impl Connecting {
    /// Connects with an app password.
    pub(crate) async fn login(&self, me: &Identity, login: &Login) -> Result<Account, Error> {
        if let Some(first) = self.first_result(me, login.request_id).await? {
            let account = self.finished(&first).await?;
            return account
                .ok_or_else(|| void("This request began another kind of connection; use a new request id."));
        }
        let mut violations = Violations::default();
        let network = violations.take(self.network(&login.network));
        let server =
            network.and_then(|network| violations.take(self.server_of(network.as_ref(), &login.server)));
        // A token or an address made at the network names its account itself.
        let by_token = network.is_some_and(|network| network.facts().connect.contains(&ConnectMethod::Token));
        let named = by_token || !login.identifier.trim().is_empty();
        violations.require(named, "identifier", "REQUIRED", "is required");
        violations.require(!login.password.expose().trim().is_empty(), "password", "REQUIRED", "is required");
        violations.into_result().map_err(Error::Invalid)?;
        let (network, server) = network.zip(server).expect("both were taken without a violation");
        let connected = network.login(&server, &login.identifier, login.password.expose()).await?;
        let identity = network.identity(&connected);
        let account = self.vault.connect(me.workspace_id, network.id(), identity, connected).await?;
        if login.request_id.is_some() {
            self.store.begin_connection(self.completed(me, login, &server, &account)).await?;
        }
        (self.listener)(account.id);
        Ok(account)
    }

    /// The row by which a repeated login finds its first result. It holds no secret.
    fn completed(&self, me: &Identity, login: &Login, server: &str, account: &Account) -> Connection {
        let now = self.clock.now_ms();
        Connection {
            id: ids::new(),
            workspace_id: me.workspace_id,
            user_id: me.user_id,
            network: login.network.clone(),
            server: server.to_owned(),
            request_id: login.request_id,
            status: ConnectionStatus::Completed,
            state_sha256: None,
            authorization_url: None,
            verifier: None,
            registration: None,
            code: None,
            redirect_uri: String::new(),
            return_path: String::new(),
            issuer: String::new(),
            problem: String::new(),
            account_id: Some(account.id),
            created_at: now,
            expires_at: now + ATTEMPT,
        }
    }
}

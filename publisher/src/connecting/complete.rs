//! Ending an attempt in the browser: what the network sent the browser back with is taken once, then its code is traded.
//!
//! **Invariant:** a callback is taken by its state alone and needs no user; the code is traded only for the user who
//! began, at the server stored then.

use postmesh_kit::identity::Identity;
use uuid::Uuid;

use super::{Connecting, sealing::hash, void};
use crate::{
    error::Error,
    networks::connect::{ConnectFault, Finish},
    store::{
        accounts::Account,
        connections::{Connection, ConnectionStatus},
    },
};

/// What the gateway shows after the network sent the browser back.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) connection_id: Uuid,
    pub(crate) return_path: String,
    pub(crate) network_display_name: String,
    pub(crate) is_refused: bool,
}

/// The query of the network's redirect.
#[derive(Default)]
pub(crate) struct Callback {
    pub(crate) state: String,
    pub(crate) code: String,
    pub(crate) issuer: String,
    pub(crate) error: String,
    pub(crate) error_description: String,
}

impl Connecting {
    /// Takes what the network sent the browser back with.
    pub(crate) async fn receive(&self, callback: &Callback) -> Result<Received, Error> {
        let now = self.clock.now_ms();
        let unknown = || {
            void("This link was used already, has expired, or is not ours; connect again from the beginning.")
        };
        let state = hash(&callback.state);
        let waiting = self.store.connection_of_state(state.clone(), now).await?.ok_or_else(unknown)?;
        let answer = if !callback.issuer.is_empty() && !same_issuer(&callback.issuer, &waiting.issuer) {
            Err("The answer came from another server than the one asked. Connect again.".to_owned())
        } else if !callback.error.is_empty() || callback.code.is_empty() {
            Err(refusal(callback))
        } else {
            Ok(self.seal(waiting.id, "code", &callback.code))
        };
        let taken = self.store.receive_authorization(state, answer, now).await?.ok_or_else(unknown)?;
        let name = self
            .connectors
            .get(&taken.network)
            .map_or(taken.network.as_str(), |network| network.display_name());
        Ok(Received {
            connection_id: taken.id,
            network_display_name: name.to_owned(),
            is_refused: taken.status == ConnectionStatus::Refused,
            return_path: taken.return_path,
        })
    }

    /// Trades the code and stores the account.
    pub(crate) async fn complete(&self, me: &Identity, connection_id: Uuid) -> Result<Account, Error> {
        let connection = self.of_user(me, connection_id).await?;
        if let Some(account) = self.finished(&connection).await? {
            return Ok(account);
        }
        let network = self.network(&connection.network).map_err(|wrong| Error::Invalid(vec![wrong]))?;
        let open = |column, sealed: &Option<Vec<u8>>| self.open(connection_id, column, sealed.as_deref());
        let code = open("code", &connection.code)?;
        let verifier = open("verifier", &connection.verifier)?;
        let registration = open("registration", &connection.registration)?;
        let ask = Finish {
            server: &connection.server,
            redirect_uri: &connection.redirect_uri,
            registration: registration.expose(),
            code: code.expose(),
            verifier: verifier.expose(),
        };
        let connected = match network.finish(ask).await {
            Ok(connected) => connected,
            Err(fault) => return self.not_completed(me, &connection, fault).await,
        };
        let account = self
            .vault
            .connect(me.workspace_id, network.id(), self.is_per_server(network.id()), connected)
            .await?;
        self.store.end_connection(connection_id, Ok(account.id)).await?;
        (self.listener)(account.id);
        Ok(account)
    }

    /// The code was not traded. Final refusals end the attempt, unless the same attempt was completed in parallel.
    async fn not_completed(
        &self,
        me: &Identity,
        was: &Connection,
        fault: ConnectFault,
    ) -> Result<Account, Error> {
        if let ConnectFault::RegistrationVoid { .. } = fault {
            let now = self.clock.now_ms();
            self.store.keep_registration(&was.network, &was.server, &was.redirect_uri, None, now).await?;
        }
        if matches!(fault, ConnectFault::Unreachable { .. } | ConnectFault::RateLimited { .. }) {
            return Err(fault.into());
        }
        if let ConnectionStatus::Completed = self.of_user(me, was.id).await?.status {
            let connection = self.of_user(me, was.id).await?;
            return self.finished(&connection).await?.ok_or(Error::AuthorizationPending);
        }
        self.store.end_connection(was.id, Err(fault.to_string())).await?;
        Err(fault.into())
    }
}

fn same_issuer(told: &str, expected: &str) -> bool {
    told.trim_end_matches('/') == expected.trim_end_matches('/')
}

fn refusal(callback: &Callback) -> String {
    let told =
        if callback.error_description.is_empty() { &callback.error } else { &callback.error_description };
    let told: String = told.chars().filter(|c| !c.is_control()).take(200).collect();
    if told.is_empty() {
        "The network sent no code. Connect again.".to_owned()
    } else {
        format!("The network refused: {told} Connect again and allow the access.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_is_the_same_issuer() {
        assert!(same_issuer("https://a.example", "https://a.example/"));
        assert!(!same_issuer("https://a.example.evil", "https://a.example"));
    }
}

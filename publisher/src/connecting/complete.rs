//! Ending an attempt in the browser: what the network sent the browser back with is taken once, then its code is traded.
//!
//! **Invariant:** a callback is taken by its state alone and needs no user; the code is traded only for the user who
//! began, at the server stored then.

use std::sync::Arc;

use postmesh_kit::{identity::Identity, status::FieldViolation};
use uuid::Uuid;

use super::{Connecting, sealing::hash, void};
use crate::{
    error::Error,
    networks::{
        Secret,
        connect::{Connect, ConnectFault, Connected, Finish},
    },
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

/// What completing came to.
pub(crate) enum Completed {
    /// Connected.
    Connected(Vec<Account>),
    /// The login yields several accounts: the user chooses.
    Choose(Vec<Connected>),
}

enum Traded {
    /// The accounts of the login.
    Yields(Vec<Connected>),
    /// Somebody completed the same attempt before.
    Before(Box<Account>),
}

enum Picked {
    These(Vec<Connected>),
    Several(Vec<Connected>),
}

/// The accounts of the given native ids; without ids the only one, or all to choose from. Beside them what was asked for
/// and is not there, or is the same account as another one.
fn pick(network: &dyn Connect, yields: Vec<Connected>, chosen: &[String]) -> (Picked, Vec<FieldViolation>) {
    if chosen.is_empty() {
        let picked = if yields.len() == 1 { Picked::These(yields) } else { Picked::Several(yields) };
        return (picked, Vec::new());
    }
    let known = |id: &String| yields.iter().find(|account| account.native_id == *id);
    let mut wrong = Vec::new();
    for (i, id) in chosen.iter().enumerate() {
        let identity = known(id).map(|account| network.identity(account));
        let mut before = chosen[..i].iter().filter(|before| *before != id).filter_map(known);
        let (reason, text) = match &identity {
            None => ("UNKNOWN_CHOICE", "is not among the accounts of this login"),
            Some(identity) if before.any(|account| network.identity(account) == *identity) => {
                ("SAME_ACCOUNT", "is one account with another choice: choose one, posts can name the others")
            }
            Some(_) => continue,
        };
        wrong.push(FieldViolation::new(format!("native_ids[{i}]"), reason, format!("`{id}` {text}")));
    }
    let these = yields.into_iter().filter(|account| chosen.contains(&account.native_id)).collect();
    (Picked::These(these), wrong)
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

    /// Trades the code and stores the account: the only one that the login yields, or those of the given native ids.
    pub(crate) async fn complete(
        &self,
        me: &Identity,
        connection_id: Uuid,
        chosen: &[String],
    ) -> Result<Completed, Error> {
        let connection = self.of_user(me, connection_id).await?;
        if let Some(account) = self.finished(&connection).await? {
            return Ok(Completed::Connected(vec![account]));
        }
        let network = self.network(&connection.network).map_err(|wrong| Error::Invalid(vec![wrong]))?;
        let yields = match connection.status {
            ConnectionStatus::Choosing => {
                let sealed = self.open(connection_id, "choices", connection.code.as_deref())?;
                let read = serde_json::from_str(sealed.expose());
                read.map_err(|why| Error::corrupt("choices of a connection", why))?
            }
            _ => match self.trade(me, &connection, network).await? {
                Traded::Yields(yields) => yields,
                Traded::Before(account) => return Ok(Completed::Connected(vec![*account])),
            },
        };
        let (picked, wrong) = pick(network.as_ref(), yields, chosen);
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        match picked {
            Picked::Several(choices) => {
                let text = serde_json::to_string(&choices);
                let text = Secret::new(text.map_err(|why| Error::corrupt("choices of a connection", why))?);
                let sealed = self.seal(connection_id, "choices", text.expose());
                if connection.status != ConnectionStatus::Choosing
                    && !self.store.offer_choices(connection_id, sealed).await?
                {
                    return Err(void("This attempt was ended in the meantime; connect again."));
                }
                Ok(Completed::Choose(choices))
            }
            Picked::These(picked) => {
                let mut accounts = Vec::with_capacity(picked.len());
                for connected in picked {
                    let identity = network.identity(&connected);
                    accounts
                        .push(self.vault.connect(me.workspace_id, network.id(), identity, connected).await?);
                }
                let first = accounts.first().map(|account| account.id);
                let first = first.ok_or_else(|| Error::corrupt("connection", "it yields no account"))?;
                self.store.end_connection(connection_id, Ok(first)).await?;
                for account in &accounts {
                    (self.listener)(account.id);
                }
                Ok(Completed::Connected(accounts))
            }
        }
    }

    async fn trade(
        &self,
        me: &Identity,
        connection: &Connection,
        network: &Arc<dyn Connect>,
    ) -> Result<Traded, Error> {
        let connection_id = connection.id;
        let app = self.app_of(me, network.as_ref()).await?;
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
            app: app.as_ref(),
        };
        match network.finish(ask).await {
            Ok(yields) => Ok(Traded::Yields(yields)),
            Err(fault) => {
                self.not_completed(me, connection, fault).await.map(|before| Traded::Before(Box::new(before)))
            }
        }
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

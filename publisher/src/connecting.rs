//! Connecting and disconnecting accounts.
//!
//! ```text
//!  user ── BeginConnect ──▶ state, verifier (stored: hash, sealed) ──▶ browser ──▶ network
//!  network ──▶ gateway ── ReceiveAuthorization ──▶ state taken away, code sealed
//!  user ── CompleteConnect ──▶ code traded ──▶ account, tokens sealed ──▶ parked deliveries resume
//! ```
//! **Invariant:** no code is traded unless its state was ours, unused, unexpired and begun by the very user who
//! completes; the server it is traded at is the one stored when it began, never one named by the callback.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use postmesh_kit::{
    clock::Clock,
    identity::Identity,
    ids,
    keys::KeyRing,
    status::{FieldViolation, Violations},
};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    domain::step::Problem,
    error::Error,
    networks::{
        Networks, Secret,
        connect::{Begin, Connect, ConnectFault, Connectors, Finish},
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

/// How long revoking is tried after a disconnection, milliseconds.
const REVOKE_FOR: i64 = 24 * 3_600_000;

/// Told of accounts that were connected, perhaps again, or disconnected: their actors read everything afresh.
pub type Listener = Arc<dyn Fn(Uuid) + Send + Sync>;

/// Connects and disconnects.
#[derive(Clone)]
pub struct Connecting {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
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

/// An attempt that began.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) connection_id: Uuid,
    pub(crate) authorization_url: String,
    pub(crate) expires_at: i64,
}

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

/// A login with an app password.
pub(crate) struct Login {
    pub(crate) network: String,
    pub(crate) server: String,
    pub(crate) identifier: String,
    pub(crate) password: Secret,
    pub(crate) request_id: Option<Uuid>,
}

impl Connecting {
    /// Begins an attempt in the browser.
    pub(crate) async fn begin(
        &self,
        me: &Identity,
        network: &str,
        server: &str,
        return_path: &str,
        request_id: Option<Uuid>,
    ) -> Result<Started, Error> {
        if let Some(first) = self.first_result(me, request_id).await? {
            return self.started(&first);
        }
        let mut violations = Violations::default();
        let network = violations.take(self.network(network));
        let server = network.and_then(|network| violations.take(self.server_of(network.as_ref(), server)));
        violations.require(
            is_local_path(return_path),
            "return_path",
            "NOT_A_PATH",
            "must be a path such as `/accounts`",
        );
        violations.into_result().map_err(Error::Invalid)?;
        let (network, server) = network.zip(server).expect("both were taken without a violation");

        let id = ids::new();
        let (state, verifier) = (random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()));
        let known = self.known_registration(network.id(), &server).await?;
        let ask = Begin {
            server: &server,
            redirect_uri: &self.redirect_uri,
            state: state.expose(),
            challenge: &challenge,
            registration: known.as_ref().map(Secret::expose),
        };
        let began = network.begin(ask).await?;
        let now = self.clock.now_ms();
        if known.as_ref() != Some(&began.registration) {
            let aad = registration_aad(network.id(), &server, &self.redirect_uri);
            let sealed = self.keys.seal(&aad, began.registration.expose().as_bytes());
            self.store
                .keep_registration(network.id(), &server, &self.redirect_uri, Some(sealed), now)
                .await?;
        }
        let connection = Connection {
            id,
            workspace_id: me.workspace_id,
            user_id: me.user_id,
            network: network.id().to_owned(),
            server,
            request_id,
            status: ConnectionStatus::Pending,
            state_sha256: Some(hash(state.expose())),
            authorization_url: Some(self.seal(id, "authorization_url", &began.authorization_url)),
            verifier: Some(self.seal(id, "verifier", verifier.expose())),
            registration: Some(self.seal(id, "registration", began.registration.expose())),
            code: None,
            redirect_uri: self.redirect_uri.clone(),
            return_path: return_path.to_owned(),
            issuer: began.issuer,
            problem: String::new(),
            account_id: None,
            created_at: now,
            expires_at: now + ATTEMPT,
        };
        if self.store.begin_connection(connection).await? {
            return Ok(Started {
                connection_id: id,
                authorization_url: began.authorization_url,
                expires_at: now + ATTEMPT,
            });
        }
        // The same request came in twice at once; the other one was stored.
        let first = self.first_result(me, request_id).await?;
        self.started(&first.ok_or_else(|| void("This attempt could not be stored; begin again."))?)
    }

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
        violations.require(!login.identifier.trim().is_empty(), "identifier", "REQUIRED", "is required");
        violations.require(!login.password.expose().trim().is_empty(), "password", "REQUIRED", "is required");
        violations.into_result().map_err(Error::Invalid)?;
        let (network, server) = network.zip(server).expect("both were taken without a violation");
        let connected = network.login(&server, &login.identifier, login.password.expose()).await?;
        let account = self
            .vault
            .connect(me.workspace_id, network.id(), self.is_per_server(network.id()), connected)
            .await?;
        if login.request_id.is_some() {
            self.store.begin_connection(self.completed(me, login, &server, &account)).await?;
        }
        (self.listener)(account.id);
        Ok(account)
    }

    /// Disconnects: the tokens leave the account at once, waiting deliveries are cancelled, and the authorization is
    /// taken back at the network as soon as that answers.
    pub(crate) async fn disconnect(&self, me: &Identity, account_id: Uuid) -> Result<Account, Error> {
        let now = self.clock.now_ms();
        let account =
            self.store.disconnect_account(me.workspace_id, account_id, now, now + REVOKE_FOR).await?;
        let account = account.ok_or(Error::AccountNotFound(account_id))?;
        let problem =
            Problem::new("ACCOUNT_DISCONNECTED", "The account was disconnected before this went out.");
        self.store.cancel_account(account_id, &problem).await?;
        (self.listener)(account_id);
        self.revocations.notify_one();
        Ok(account)
    }

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

    fn is_per_server(&self, network: &str) -> bool {
        self.networks.get(network).is_some_and(|network| network.facts().needs_server)
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

    fn started(&self, first: &Connection) -> Result<Started, Error> {
        let is_open = first.status == ConnectionStatus::Pending && first.expires_at > self.clock.now_ms();
        let sealed = first.authorization_url.as_deref().filter(|_| is_open);
        let sealed =
            sealed.ok_or_else(|| void("This attempt is over; begin again with a new request id."))?;
        let url = self.open(first.id, "authorization_url", Some(sealed))?;
        Ok(Started {
            connection_id: first.id,
            authorization_url: url.expose().to_owned(),
            expires_at: first.expires_at,
        })
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

    async fn known_registration(&self, network: &str, server: &str) -> Result<Option<Secret>, Error> {
        let sealed = self.store.registration(network, server, &self.redirect_uri).await?;
        let aad = registration_aad(network, server, &self.redirect_uri);
        // One that no longer opens (a key was lost) is made anew.
        Ok(sealed.and_then(|sealed| self.keys.open(&aad, &sealed).ok()).and_then(|opened| text(&opened)))
    }

    fn seal(&self, id: Uuid, column: &str, secret: &str) -> Vec<u8> {
        self.keys.seal(connection_aad(id, column).as_bytes(), secret.as_bytes())
    }

    fn open(&self, id: Uuid, column: &str, sealed: Option<&[u8]>) -> Result<Secret, Error> {
        let sealed = sealed.ok_or_else(|| Error::corrupt("connection", "a sealed value is missing"))?;
        let opened = self.keys.open(connection_aad(id, column).as_bytes(), sealed);
        let opened = opened.map_err(|why| Error::Vault(why.to_string()))?;
        text(&opened).ok_or_else(|| Error::Vault("not a text".into()))
    }
}

impl From<ConnectFault> for Error {
    fn from(fault: ConnectFault) -> Self {
        let message = fault.to_string();
        let field = |field: &str, reason| Self::Invalid(vec![FieldViolation::new(field, reason, &message)]);
        match fault {
            ConnectFault::BadServer(_) => field("server", "NOT_AN_ADDRESS"),
            ConnectFault::NotAllowed { .. } => field("server", "SERVER_NOT_ALLOWED"),
            ConnectFault::WrongKind { .. } => field("server", "NOT_A_SERVER_OF_THIS_NETWORK"),
            ConnectFault::Unsupported { .. } => field("server", "SERVER_NOT_SUPPORTED"),
            ConnectFault::ForeignEndpoints { .. } => field("server", "SERVER_NOT_TRUSTED"),
            ConnectFault::Moved { .. } => field("server", "SERVER_MOVED"),
            ConnectFault::WrongPassword { .. } => field("password", "WRONG_PASSWORD"),
            ConnectFault::SecondFactor { .. } => field("password", "SECOND_FACTOR"),
            ConnectFault::OtherWay { .. } => field("network", "CONNECT_METHOD"),
            ConnectFault::AccountClosed { .. } => {
                Self::NetworkRefused { code: "ACCOUNT_CLOSED".into(), message }
            }
            ConnectFault::Refused { .. } => Self::NetworkRefused { code: "REFUSED".into(), message },
            ConnectFault::CodeRefused { .. }
            | ConnectFault::RegistrationVoid { .. }
            | ConnectFault::ScopesMissing { .. } => Self::ConnectionVoid(message),
            ConnectFault::Unreachable { .. } => Self::NetworkUnavailable { message, retry_after: None },
            ConnectFault::RateLimited { retry_after, .. } => {
                Self::NetworkUnavailable { message, retry_after }
            }
        }
    }
}

/// A path on our own site, and nothing that a browser could take for another site.
fn is_local_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hidden = ["//", "\\", "%2f", "%5c", "%09", "%0a", "%0d"].iter().any(|trick| lower.contains(trick));
    path.is_empty()
        || (path.starts_with('/')
            && path.len() <= 500
            && !hidden
            && path.chars().all(|c| c.is_ascii_graphic()))
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

fn void(message: &str) -> Error {
    Error::ConnectionVoid(message.to_owned())
}

/// 256 random bits as text.
fn random() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

fn hash(state: &str) -> Vec<u8> {
    Sha256::digest(state).to_vec()
}

fn text(bytes: &[u8]) -> Option<Secret> {
    std::str::from_utf8(bytes).ok().map(Secret::new)
}

fn connection_aad(id: Uuid, column: &str) -> String {
    format!("connection|{id}|{column}")
}

fn registration_aad(network: &str, server: &str, redirect_uri: &str) -> Vec<u8> {
    format!("registration|{network}|{server}|{redirect_uri}").into_bytes()
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn a_return_path_stays_on_the_site() {
        for path in ["", "/", "/accounts", "/accounts?tab=1#x", "/a/b"] {
            assert!(is_local_path(path), "{path}");
        }
        for path in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "https://evil.example",
            "javascript:alert(1)",
            "evil",
            "/%2f%2fevil.example",
            "/%5Cevil",
            "/a//b",
            "/\tevil",
            "/ä",
            "/a b",
            "/%0d%0aLocation:",
            ".//evil",
        ] {
            assert!(!is_local_path(path), "{path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_is_the_same_issuer() {
        assert!(same_issuer("https://a.example", "https://a.example/"));
        assert!(!same_issuer("https://a.example.evil", "https://a.example"));
    }
}

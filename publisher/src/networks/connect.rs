//! How an account comes in: the browser dance and the app password, behind one trait. Connecting sends nothing
//! visible; the secrets it makes leave here only sealed.

mod fault;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::fault::ConnectFault;
use super::{
    App, Network, Secret, Tokens,
    limits::Limits,
    server::{self, BadServer},
    wire::text_of,
};

/// An account as the network describes it, with its first tokens.
#[derive(Clone, Serialize, Deserialize)]
pub struct Connected {
    /// Base address of the server it lives on.
    pub server: String,
    /// Its id there.
    pub native_id: String,
    /// Its name there, such as `@ana@mastodon.example`.
    pub handle: String,
    /// Its name for people; may be empty.
    pub display_name: String,
    /// Its picture; may be empty.
    pub avatar_url: String,
    /// Its page; may be empty.
    pub profile_url: String,
    /// What its server accepts.
    pub limits: Limits,
    /// The access token.
    #[serde(with = "sealed")]
    pub access_token: Secret,
    /// The refresh token, where the network has them.
    #[serde(with = "sealed_option")]
    pub refresh_token: Option<Secret>,
    /// When the access token expires, Unix milliseconds.
    pub access_expires_at: Option<i64>,
    /// What else the adapter needs sealed with the tokens.
    #[serde(with = "sealed")]
    pub extra: Secret,
}

/// A connected account is written down only to be sealed as a whole, while the user chooses among several.
mod sealed {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

mod sealed_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Secret;

    #[expect(clippy::ref_option, reason = "serde calls it with what the field holds")]
    pub(super) fn serialize<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("server", &self.server)
            .field("native_id", &self.native_id)
            .finish_non_exhaustive()
    }
}

/// Where the browser goes, and what finishing will need.
pub struct Began {
    /// The page at the network.
    pub authorization_url: String,
    /// Who must answer (RFC 9207); compared with the `iss` of the callback.
    pub issuer: String,
    /// Our registration at the server: opaque, secret, good for further attempts.
    pub registration: Secret,
}

impl fmt::Debug for Began {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Began").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What beginning needs.
#[derive(Clone, Copy)]
pub struct Begin<'a> {
    /// Base address of the server.
    pub server: &'a str,
    /// Where the network sends the browser back to.
    pub redirect_uri: &'a str,
    /// The secret that names the attempt.
    pub state: &'a str,
    /// PKCE challenge, method S256.
    pub challenge: &'a str,
    /// A registration made before for the same server and redirect address.
    pub registration: Option<&'a str>,
    /// Our application there, where the network needs one ([`super::Facts::needs_app`]): then it is never `None`.
    pub app: Option<&'a App>,
}

/// What finishing needs; all of it stored when the attempt began, but the code.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// Base address of the server.
    pub server: &'a str,
    /// As in [`Begin`].
    pub redirect_uri: &'a str,
    /// From [`Began`].
    pub registration: &'a str,
    /// The authorization code.
    pub code: &'a str,
    /// PKCE verifier.
    pub verifier: &'a str,
    /// As in [`Begin`].
    pub app: Option<&'a App>,
}

/// Our application, at a network that needs one.
pub(super) fn app_of<'a>(
    app: Option<&'a App>,
    server: &str,
    network: &'static str,
) -> Result<&'a App, ConnectFault> {
    app.ok_or_else(|| ConnectFault::Refused {
        server: server::host(server),
        why: format!("no {network} application is set up; add its id and secret to the settings"),
    })
}

/// The tokens of an answer, as RFC 6749 (section 5.1) writes them; `None` when it holds none.
pub(super) fn tokens(body: &Value, now_ms: i64) -> Option<Tokens> {
    let secret = |name: &str| Some(text_of(body, name)).filter(|text| !text.is_empty()).map(Secret::new);
    let lifetime = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    Some(Tokens {
        access_token: secret("access_token")?,
        refresh_token: secret("refresh_token"),
        access_expires_at: lifetime.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000))),
    })
}

/// Whether all was granted that was asked for. Networks write blanks or commas between scopes, and may leave them out
/// when they are those that were asked for (RFC 6749, section 5.1).
pub(super) fn all_granted(server: &str, asked: &[&str], granted: &str) -> Result<(), ConnectFault> {
    let scopes: Vec<_> = granted.split([' ', ',']).collect();
    let missing: Vec<_> = asked.iter().copied().filter(|scope| !scopes.contains(scope)).collect();
    if granted.is_empty() || missing.is_empty() {
        return Ok(());
    }
    Err(ConnectFault::ScopesMissing { server: server::host(server), missing: missing.join(", ") })
}

/// How a network connects accounts. An adapter implements the way it knows; every other one names that way.
#[async_trait]
pub trait Connect: Network {
    /// Network id.
    fn id(&self) -> &'static str {
        self.facts().id
    }

    /// The network as people call it.
    fn display_name(&self) -> &'static str {
        self.facts().display_name
    }

    /// The server used when none is named; empty when one must be.
    fn default_server(&self) -> &'static str {
        ""
    }

    /// Where an attempt in the browser begins, as a base address; `default` when nothing is named.
    fn begins_at(&self, input: &str, default: &str) -> Result<String, BadServer> {
        server::normalise(if input.trim().is_empty() { default } else { input })
    }

    /// What makes an account the same one when it is connected again: its id, beside its server where accounts live on
    /// many. Accounts that share tokens which change with every refresh must be one, or each refresh would void the
    /// tokens of the others.
    fn identity(&self, connected: &Connected) -> String {
        if self.facts().needs_server {
            format!("{} {}", connected.server, connected.native_id)
        } else {
            connected.native_id.clone()
        }
    }

    /// Whether what `begin` registers is kept for further attempts.
    fn keeps_registrations(&self) -> bool {
        true
    }

    /// Proves that the server is one, registers there where needed, and says where the browser goes.
    async fn begin(&self, _ask: Begin<'_>) -> Result<Began, ConnectFault> {
        Err(ConnectFault::OtherWay { network: self.display_name(), instead: PASSWORD_INSTEAD })
    }

    /// Trades the code for tokens and reads who they belong to: one account, or several where one login yields them
    /// (pages, organizations, channels), or choices of one account (boards). Never none.
    async fn finish(&self, _ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        Err(ConnectFault::OtherWay { network: self.display_name(), instead: PASSWORD_INSTEAD })
    }

    /// Opens a session with an app password, which is not kept.
    async fn login(
        &self,
        _server: &str,
        _identifier: &str,
        _password: &str,
    ) -> Result<Connected, ConnectFault> {
        let instead = "begin the connection in the browser";
        Err(ConnectFault::OtherWay { network: self.display_name(), instead })
    }
}

/// What to do where the browser is not the way.
const PASSWORD_INSTEAD: &str = "use an app password";

/// The networks by id, as far as connecting goes.
#[derive(Clone, Default)]
pub struct Connectors {
    by_id: BTreeMap<&'static str, Arc<dyn Connect>>,
}

impl Connectors {
    /// Adds a network.
    #[must_use]
    pub fn with(mut self, network: impl Connect) -> Self {
        self.by_id.insert(network.id(), Arc::new(network));
        self
    }

    /// The network with that id.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Connect>> {
        self.by_id.get(id)
    }

    /// The ids, for a message: `bluesky, mastodon`.
    pub fn known(&self) -> String {
        self.by_id.keys().copied().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

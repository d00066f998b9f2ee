//! Who is calling: a signed-in user (an access token verified locally) or another service of the mesh.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use crate::status::{ErrorKind, plain};

/// `iss` and `aud` of every access token.
pub const ISSUER: &str = "postmesh";
/// `typ` of an access token's header (RFC 9068).
pub const TOKEN_TYPE: &str = "at+jwt";
/// A key that could not be found is asked for again at most this often.
const FETCH_PAUSE: Duration = Duration::from_secs(2);

/// The claims of an access token (RFC 9068).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The workspace.
    pub wid: Uuid,
    /// The session.
    pub sid: Uuid,
    /// The role in the workspace.
    pub role: String,
    /// What the role permits, separated by spaces.
    pub scope: String,
    /// Issued at, seconds.
    pub iat: i64,
    /// Not before, seconds.
    pub nbf: i64,
    /// Ends, seconds.
    pub exp: i64,
    /// The token's own id.
    pub jti: Uuid,
}

/// A signed-in user, as verified from the access token. The server stack puts it into the request's extensions.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user_id: Uuid,
    /// The workspace every read and write of this request is bound to.
    pub workspace_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The role in the workspace.
    pub role: String,
    /// What the role permits.
    pub permissions: Vec<String>,
}

impl Identity {
    /// The identity of a request whose rule asks for one.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, Status> {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(|| unauthenticated("a bearer token is required; sign in first"))
    }

    /// True when the role holds the permission.
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }
}

impl From<Claims> for Identity {
    fn from(claims: Claims) -> Self {
        Self {
            user_id: claims.sub,
            workspace_id: claims.wid,
            session_id: claims.sid,
            role: claims.role,
            permissions: claims.scope.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

/// The service that calls: proven by its certificate between processes, by construction inside one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

/// A public key that verifies access tokens.
#[derive(Clone)]
pub struct PublicKey {
    /// Key id.
    pub kid: String,
    /// The `x` of RFC 8037: the Ed25519 public key, base64url without padding.
    pub x: String,
}

/// Asks the auth service for its keys.
pub type FetchKeys = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<PublicKey>, Status>> + Send + Sync>;

/// Verifies access tokens against auth's keys, which it fetches when it meets a key id it does not know.
pub struct Verifier {
    keys: RwLock<HashMap<String, DecodingKey>>,
    fetch: FetchKeys,
    fetched_at: Mutex<Option<Instant>>,
    fetching: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Verifies with the keys that `fetch` answers.
    pub fn new(fetch: FetchKeys) -> Self {
        Self {
            keys: RwLock::default(),
            fetch,
            fetched_at: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// The identity in a token, or why it is refused. `Unavailable` when the keys cannot be fetched.
    pub async fn verify(&self, token: &str) -> Result<Identity, Status> {
        let header = decode_header(token)
            .map_err(|_| unauthenticated("the bearer token is not a token of this mesh"))?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TOKEN_TYPE) {
            return Err(unauthenticated("the bearer token is not an access token of this mesh"));
        }
        let kid = header.kid.ok_or_else(|| unauthenticated("the bearer token names no key"))?;
        let key = if let Some(key) = self.known(&kid) {
            key
        } else {
            self.refresh(&kid).await?;
            self.known(&kid)
                .ok_or_else(|| unauthenticated("the bearer token's key is not known; sign in again"))?
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        let token = decode::<Claims>(token, &key, &validation).map_err(|refusal| match refusal.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                plain(ErrorKind::Unauthenticated, "TOKEN_EXPIRED", "the access token has expired; refresh it")
            }
            _ => unauthenticated("the bearer token is not valid; sign in again"),
        })?;
        Ok(token.claims.into())
    }

    fn known(&self, kid: &str) -> Option<DecodingKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    async fn refresh(&self, kid: &str) -> Result<(), Status> {
        let _one_at_a_time = self.fetching.lock().await;
        let recently = || {
            let fetched = self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner);
            fetched.is_some_and(|at| at.elapsed() < FETCH_PAUSE)
        };
        if self.known(kid).is_some() || recently() {
            return Ok(());
        }
        let fetched = (self.fetch)().await?;
        let mut keys = HashMap::new();
        for key in fetched {
            if let Ok(decoding) = DecodingKey::from_ed_components(&key.x) {
                keys.insert(key.kid, decoding);
            }
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }
}

fn unauthenticated(message: &str) -> Status {
    plain(ErrorKind::Unauthenticated, "UNAUTHENTICATED", message)
}

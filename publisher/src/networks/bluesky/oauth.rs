//! The account's consent in the browser: a pushed request (RFC 9126), PKCE, and tokens bound to a key of the session
//! (<https://atproto.com/specs/oauth>). There is no secret to register: a client is the document at its own address.
//!
//! **Invariants.** Tokens are kept only for the account whose own server names the issuer they came from. A refresh token
//! works once and only with the session's key; a second use ends the session, so a refresh is sent again only after an
//! answer that asks for a nonce, which executed nothing.

use bytes::Bytes;
use http::Response;
use postmesh_kit::http::{Error as HttpError, GuardedClient};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    super::{
        connect::{Began, Begin, ConnectFault, Connected, Finish},
        server,
        wire::unanswered_read,
    },
    Bluesky, Call, Fault, RefreshFault, Secret, Session, Tokens,
    dpop::{Key, Role, wants_nonce},
    identity::wrong_kind,
    json, limits, text_of, wire,
};

/// The account's identity, and what an app password may do: posting, uploading, reading back and deleting.
pub(super) const SCOPES: [&str; 2] = ["atproto", "transition:generic"];

/// Where the gateway answers what the client is, below the public address.
const METADATA: &str = "/oauth/bluesky/client-metadata.json";

/// Where browsers come back to, below the public address.
const CALLBACK: &str = "/oauth/callback";

/// What an attempt in the browser hands on to its end.
#[derive(Serialize, Deserialize)]
struct Pending {
    grant: Grant,
    /// The account that was named, where one was.
    did: Option<String>,
}

/// What the tokens of one session belong to. Serialised, it is the account's sealed `extra`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    key: String,
    client_id: String,
    issuer: String,
    token: String,
    revocation: String,
}

impl Grant {
    /// Of a session that began in the browser; `None` for one of an app password.
    pub(super) fn of(session: &Session) -> Option<Self> {
        serde_json::from_str(session.extra.expose()).ok()
    }

    fn key(&self) -> Option<Key> {
        Key::parse(&self.key)
    }
}

impl Bluesky {
    pub(super) async fn ask_for_consent(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let to = self.destination(ask.server).await?;
        let host = server::host(&to.issuer.name);
        let client_id = client_id(ask.redirect_uri).ok_or_else(|| ConnectFault::Refused {
            server: host.clone(),
            why: "it sends browsers back to https addresses, or to http://127.0.0.1 and http://[::1]; \
                  set public.url to such an address, or use an app password"
                .into(),
        })?;
        let key = Key::fresh().and_then(|text| Some((Key::parse(text.expose())?, text)));
        let (key, sealed) = key.ok_or_else(|| ConnectFault::Unreachable {
            server: host.clone(),
            why: "no key could be made for the session".into(),
        })?;
        let scope = SCOPES.join(" ");
        let mut fields = vec![
            ("client_id", client_id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", ask.redirect_uri),
            ("scope", &scope),
            ("state", ask.state),
            ("code_challenge", ask.challenge),
            ("code_challenge_method", "S256"),
        ];
        fields.extend(to.hint.as_deref().map(|hint| ("login_hint", hint)));
        let call = Call::post(&to.issuer.par, "").form(&fields);
        let response = self.to_issuer(&key, call).await.map_err(|e| ConnectFault::from_http(&host, &e))?;
        let body = json(&response).unwrap_or_default();
        let request_uri = text_of(&body, "request_uri");
        if !response.status().is_success() || request_uri.is_empty() {
            return Err(self.refusal(&to.issuer.name, &response));
        }
        let mut url = Url::parse(&to.issuer.authorization).map_err(|_| wrong_kind(&to.issuer.name))?;
        url.query_pairs_mut().extend_pairs([("client_id", client_id.as_str()), ("request_uri", request_uri)]);
        let grant = Grant {
            key: sealed.expose().to_owned(),
            client_id: client_id.clone(),
            issuer: to.issuer.name.clone(),
            token: to.issuer.token,
            revocation: to.issuer.revocation,
        };
        let pending = serde_json::to_string(&Pending { grant, did: to.did }).expect("plain strings");
        Ok(Began {
            authorization_url: url.into(),
            issuer: to.issuer.name,
            registration: Secret::new(pending),
        })
    }

    pub(super) async fn trade_code(&self, ask: Finish<'_>) -> Result<Connected, ConnectFault> {
        let void = || ConnectFault::RegistrationVoid { server: server::host(ask.server) };
        let Pending { grant, did: named } = serde_json::from_str(ask.registration).map_err(|_| void())?;
        let key = grant.key().ok_or_else(void)?;
        let host = server::host(&grant.issuer);
        let call = Call::post(&grant.token, "").form(&[
            ("grant_type", "authorization_code"),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
            ("code_verifier", ask.verifier),
            ("client_id", &grant.client_id),
        ]);
        let response = self.to_issuer(&key, call).await.map_err(|e| ConnectFault::from_http(&host, &e))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => {}
            (400 | 401, why @ ("invalid_grant" | "invalid_client" | "invalid_request" | "access_denied")) => {
                return Err(ConnectFault::CodeRefused { server: host, why: why.into() });
            }
            _ => return Err(self.refusal(&grant.issuer, &response)),
        }
        let tokens = tokens(&body, self.clock.now_ms()).ok_or_else(|| wrong_kind(&grant.issuer))?;
        let granted: Vec<_> = text_of(&body, "scope").split_whitespace().collect();
        let missing: Vec<_> = SCOPES.into_iter().filter(|scope| !granted.contains(scope)).collect();
        if !missing.is_empty() {
            return Err(ConnectFault::ScopesMissing { server: host, missing: missing.join(", ") });
        }
        let did = text_of(&body, "sub").to_owned();
        if named.is_some_and(|named| named != did) {
            let why = "another account signed in than the one that was named".into();
            return Err(ConnectFault::Refused { server: host, why });
        }
        let home = self.home_of(ask.server, &did).await?;
        if self.issuer_of_resource(&home.server).await? != grant.issuer.trim_end_matches('/') {
            return Err(ConnectFault::ForeignEndpoints { server: host });
        }
        let profile = self.profile_in_browser(&home.server, &did, &key, &tokens).await;
        let handle = Some(text_of(&profile, "handle")).filter(|handle| !handle.is_empty());
        Ok(Connected {
            profile_url: format!("https://bsky.app/profile/{did}"),
            handle: format!("@{}", handle.unwrap_or(&home.handle)),
            display_name: text_of(&profile, "displayName").to_owned(),
            avatar_url: text_of(&profile, "avatar").to_owned(),
            server: home.server,
            native_id: did,
            limits: limits(),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            access_expires_at: tokens.access_expires_at,
            extra: Secret::new(serde_json::to_string(&grant).expect("plain strings")),
        })
    }

    /// Name and picture; an account without them is connected all the same.
    async fn profile_in_browser(&self, server: &str, did: &str, key: &Key, tokens: &Tokens) -> Value {
        let call = Call::get(server, "/xrpc/app.bsky.actor.getProfile", &[("actor", did)]);
        let asked = self.proven(&self.http, Role::Resource, key, Some(&tokens.access_token), call).await;
        asked
            .ok()
            .filter(|answer| answer.status().is_success())
            .and_then(|answer| json(&answer))
            .unwrap_or_default()
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let body = json(response).unwrap_or_default();
        let why = Some(text_of(&body, "error_description")).filter(|why| !why.is_empty());
        let why = why.unwrap_or(text_of(&body, "error"));
        ConnectFault::from_answer(server, "Bluesky", response, why, self.clock.now_ms())
    }

    async fn to_issuer(&self, key: &Key, call: Call) -> Result<Response<Bytes>, HttpError> {
        self.proven(&self.http, Role::Issuer, key, None, call).await
    }

    /// Sends a call with a proof; once more where the answer asks for its nonce, for then nothing was executed.
    async fn proven(
        &self,
        client: &GuardedClient,
        role: Role,
        key: &Key,
        token: Option<&Secret>,
        call: Call,
    ) -> Result<Response<Bytes>, HttpError> {
        let url = call.target().1.to_owned();
        let first = self.with_proof(role, key, token, call.clone()).ask(client).await?;
        self.nonces.note(role, &url, &first, self.clock.now_ms());
        if !wants_nonce(&first) {
            return Ok(first);
        }
        let second = self.with_proof(role, key, token, call).ask(client).await?;
        self.nonces.note(role, &url, &second, self.clock.now_ms());
        Ok(second)
    }

    fn with_proof(&self, role: Role, key: &Key, token: Option<&Secret>, call: Call) -> Call {
        let nonce = self.nonces.of(role, call.target().1);
        let token = token.map(Secret::expose);
        let proof = key.proof(&call, nonce.as_deref(), token, self.clock.now_ms());
        let call = call.header("dpop", &proof);
        match token {
            Some(token) => call.header("authorization", &format!("DPoP {token}")),
            None => call,
        }
    }

    /// Sends a call in the account's name: with its token alone, or with a proof beside it.
    pub(super) async fn call(&self, session: &Session, call: Call) -> Result<Response<Bytes>, HttpError> {
        self.call_over(&self.http, session, call).await
    }

    /// The same over another client.
    pub(super) async fn call_over(
        &self,
        client: &GuardedClient,
        session: &Session,
        call: Call,
    ) -> Result<Response<Bytes>, HttpError> {
        match Grant::of(session).and_then(|grant| grant.key()) {
            Some(key) => self.proven(client, Role::Resource, &key, Some(&session.access_token), call).await,
            None => call.bearer(session.access_token.expose()).ask(client).await,
        }
    }

    /// The same, where no answer is a fault like any other.
    pub(super) async fn read(&self, session: &Session, call: Call) -> Result<Response<Bytes>, Fault> {
        self.call(session, call).await.map_err(|error| unanswered_read(&error))
    }

    /// The visible request with what proves whose it is; it is not sent here.
    pub(super) fn signed(&self, session: &Session, call: Call) -> Call {
        match Grant::of(session).and_then(|grant| grant.key()) {
            Some(key) => self.with_proof(Role::Resource, &key, Some(&session.access_token), call),
            None => call.bearer(session.access_token.expose()),
        }
    }

    /// Keeps the nonce of an answer to [`Self::signed`].
    pub(super) fn noted(&self, session: &Session, response: &Response<Bytes>) {
        self.nonces.note(Role::Resource, &session.server, response, self.clock.now_ms());
    }

    /// Asks for a nonce ahead of a send, unless one is new enough: a send that is told to bring another one is late.
    pub(super) async fn nonce_step(&self, session: &Session) -> Result<(), Fault> {
        let is_fresh = || self.nonces.is_fresh(Role::Resource, &session.server, self.clock.now_ms());
        if Grant::of(session).is_none() || is_fresh() {
            return Ok(());
        }
        let call = Call::get(&session.server, "/xrpc/com.atproto.server.getSession", &[]);
        let response = self.read(session, call).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.fault(&response)) }
    }

    /// Trades the refresh token, which is used up by it.
    pub(super) async fn renew(&self, session: &Session, grant: &Grant) -> Result<Tokens, RefreshFault> {
        let lost = |what: &str| {
            RefreshFault::Revoked(format!("the session has no {what}; connect the account again"))
        };
        let refresh = session.refresh_token.as_ref().ok_or_else(|| lost("refresh token"))?;
        let key = grant.key().ok_or_else(|| lost("key"))?;
        let call = Call::post(&grant.token, "").form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
            ("client_id", &grant.client_id),
        ]);
        let response = self.to_issuer(&key, call).await.map_err(|e| wire::unrefreshed(&e))?;
        if wants_nonce(&response) {
            let why = "the server keeps asking for another nonce".into();
            return Err(RefreshFault::NotExecuted { why, retry_after: None });
        }
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) if text_of(&body, "sub") != session.native_id => {
                Err(RefreshFault::Revoked("the tokens are another account's; connect this one again".into()))
            }
            (200, _) => tokens(&body, self.clock.now_ms())
                .ok_or_else(|| RefreshFault::Lost("the server's answer holds no tokens".into())),
            // RFC 6749 5.2; a token that was used before, or expired, or a client that is no longer known.
            (400 | 401, code @ ("invalid_grant" | "invalid_client" | "unauthorized_client")) => {
                Err(RefreshFault::Revoked(code.into()))
            }
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }

    /// Ends the session at its issuer (RFC 7009: a token that is not known is no error).
    pub(super) async fn end(&self, session: &Session, grant: &Grant) -> Result<(), Fault> {
        let Some(key) = grant.key().filter(|_| !grant.revocation.is_empty()) else { return Ok(()) };
        let token = session.refresh_token.as_ref().unwrap_or(&session.access_token);
        let fields = [("token", token.expose()), ("client_id", grant.client_id.as_str())];
        let call = Call::post(&grant.revocation, "").form(&fields);
        let response = self.to_issuer(&key, call).await.map_err(|error| unanswered_read(&error))?;
        let body = json(&response).unwrap_or_default();
        let is_gone = matches!(text_of(&body, "error"), "invalid_grant" | "invalid_token" | "invalid_client");
        if response.status().is_success() || is_gone { Ok(()) } else { Err(self.fault(&response)) }
    }
}

/// The tokens of an answer, when they are bound to a key and can be renewed.
fn tokens(body: &Value, now_ms: i64) -> Option<Tokens> {
    let secret = |name: &str| {
        Some(text_of(body, name)).filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()))
    };
    let lifetime = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    text_of(body, "token_type").eq_ignore_ascii_case("dpop").then_some(())?;
    Some(Tokens {
        access_token: secret("access_token")?,
        refresh_token: Some(secret("refresh_token")?),
        access_expires_at: lifetime.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000))),
    })
}

/// Who we are to authorization servers: the address of our document, or on a machine of one's own, where nobody can fetch
/// it, the form that carries its content itself. `None` when browsers cannot be sent back to that address.
fn client_id(redirect_uri: &str) -> Option<String> {
    let url = Url::parse(redirect_uri).ok()?;
    match (url.scheme(), url.host_str()?) {
        ("https", _) => Some(format!("{}{METADATA}", redirect_uri.strip_suffix(CALLBACK)?)),
        ("http", "127.0.0.1" | "[::1]") => {
            let encoded = |text: &str| {
                form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
            };
            let (redirect_uri, scope) = (encoded(redirect_uri), encoded(&SCOPES.join(" ")));
            Some(format!("http://localhost?redirect_uri={redirect_uri}&scope={scope}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_client_is_the_address_of_its_document() {
        assert_eq!(
            client_id("https://mesh.example/oauth/callback").as_deref(),
            Some("https://mesh.example/oauth/bluesky/client-metadata.json")
        );
        assert_eq!(
            client_id("http://127.0.0.1:8080/oauth/callback").as_deref(),
            Some(
                "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Foauth%2Fcallback\
                 &scope=atproto%20transition%3Ageneric"
            )
        );
        for other in ["http://mesh.example/oauth/callback", "http://localhost:8080/oauth/callback", "x"] {
            assert_eq!(client_id(other), None, "{other}");
        }
    }

    #[test]
    fn only_tokens_bound_to_a_key_count() {
        let body = |kind: &str| json!({ "access_token": "a", "refresh_token": "r", "token_type": kind, "expires_in": 60 });
        assert_eq!(tokens(&body("DPoP"), 5).unwrap().access_expires_at, Some(60_005));
        assert!(tokens(&body("Bearer"), 5).is_none());
        assert!(tokens(&json!({ "access_token": "a", "token_type": "DPoP" }), 5).is_none());
    }
}

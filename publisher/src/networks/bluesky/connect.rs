//! The two ways in: the browser, and an app password, which is used once and not kept.

use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;
use postmesh_kit::http::Refusal;
use serde_json::{Value, json as object};

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
        server::{self, BadServer},
    },
    Bluesky, Call, Secret, Tokens, identity, json, limits, text_of, wire,
};

/// Where accounts live whose owners name no server.
const DEFAULT_SERVER: &str = "https://bsky.social";

#[async_trait]
impl Connect for Bluesky {
    fn default_server(&self) -> &'static str {
        DEFAULT_SERVER
    }

    fn begins_at(&self, input: &str, default: &str) -> Result<String, BadServer> {
        identity::begins_at(input, default)
    }

    /// What `begin` hands on is the key of one session.
    fn keeps_registrations(&self) -> bool {
        false
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        self.ask_for_consent(ask).await
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        self.trade_code(ask).await.map(|connected| vec![connected])
    }

    async fn login(&self, server: &str, identifier: &str, password: &str) -> Result<Connected, ConnectFault> {
        let identifier = server::cleaned(identifier);
        let identifier = identifier.strip_prefix('@').unwrap_or(&identifier);
        let body = object!({ "identifier": identifier, "password": password.trim() });
        let call = Call::post(server, "/xrpc/com.atproto.server.createSession").json(&body);
        let response = call.ask(&self.http).await.map_err(|e| ConnectFault::from_http(server, &e))?;
        let session = json(&response).unwrap_or_default();
        let host = server::host(server);
        match (response.status().as_u16(), text_of(&session, "error")) {
            (200, _) => {}
            (401, "AuthFactorTokenRequired") => return Err(ConnectFault::SecondFactor { server: host }),
            (401, "AccountTakedown" | "AccountDeactivated") => {
                let why = wire::short(text_of(&session, "message")).to_owned();
                return Err(ConnectFault::AccountClosed { server: host, why });
            }
            (401, "AuthenticationRequired") | (400, "InvalidRequest") => {
                return Err(ConnectFault::WrongPassword { server: host });
            }
            (_, code) => {
                return Err(ConnectFault::from_answer(
                    server,
                    "Bluesky",
                    &response,
                    code,
                    self.clock.now_ms(),
                ));
            }
        }
        let did = text_of(&session, "did").to_owned();
        let tokens = tokens(&session).filter(|_| did.starts_with("did:"));
        let tokens = tokens.ok_or(ConnectFault::WrongKind { server: host, network: "Bluesky" })?;
        let home = session.get("didDoc").and_then(pds).unwrap_or_else(|| server.to_owned());
        self.require_allowed(&home)?;
        let profile = self.profile(&home, &did, tokens.access_token.expose()).await;
        let handle = text_of(&session, "handle");
        Ok(Connected {
            profile_url: format!("https://bsky.app/profile/{did}"),
            handle: format!("@{handle}"),
            display_name: text_of(&profile, "displayName").to_owned(),
            avatar_url: text_of(&profile, "avatar").to_owned(),
            server: home,
            native_id: did,
            limits: limits(),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            access_expires_at: tokens.access_expires_at,
            extra: Secret::default(),
        })
    }
}

impl Bluesky {
    /// The server answered for another one: that one must keep the rules too, now and at every call.
    pub(super) fn require_allowed(&self, home: &str) -> Result<(), ConnectFault> {
        let checked =
            url::Url::parse(home).map_err(|_| Refusal::Unreadable).and_then(|url| self.http.check(&url));
        checked
            .map_err(|rule| ConnectFault::NotAllowed { server: server::host(home), rule: rule.to_string() })
    }

    /// Name and picture; an account without them is connected all the same.
    async fn profile(&self, server: &str, did: &str, token: &str) -> Value {
        let call = Call::get(server, "/xrpc/app.bsky.actor.getProfile", &[("actor", did)]).bearer(token);
        let asked = call.ask(&self.http).await.ok().filter(|answer| answer.status().is_success());
        asked.and_then(|answer| json(&answer)).unwrap_or_default()
    }
}

/// The account's own server, from its DID document.
pub(super) fn pds(document: &Value) -> Option<String> {
    let services = document.get("service")?.as_array()?;
    let is_pds = |service: &&Value| {
        text_of(service, "id").ends_with("#atproto_pds")
            && text_of(service, "type") == "AtprotoPersonalDataServer"
    };
    server::normalise(text_of(services.iter().find(is_pds)?, "serviceEndpoint")).ok()
}

/// The pair of tokens in an answer of `createSession` or `refreshSession`.
pub(super) fn tokens(session: &Value) -> Option<Tokens> {
    let secret = |name: &str| Some(text_of(session, name)).filter(|text| !text.is_empty());
    let access = secret("accessJwt")?;
    Some(Tokens {
        access_token: Secret::new(access.to_owned()),
        refresh_token: Some(Secret::new(secret("refreshJwt")?.to_owned())),
        access_expires_at: expiry(access),
    })
}

/// The `exp` of a token that is a JWT, milliseconds. Not verified: it only says when to refresh.
fn expiry(token: &str) -> Option<i64> {
    let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.trim_end_matches('=').as_bytes()).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get("exp")?.as_i64()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_accounts_own_server() {
        let session = |endpoint: &str| {
            object!({ "service": [
                { "id": "#other", "type": "X", "serviceEndpoint": "https://no.example" },
                { "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint },
            ] })
        };
        assert_eq!(pds(&session("https://pds.example/")).as_deref(), Some("https://pds.example"));
        assert_eq!(pds(&session("ftp://pds.example/")), None);
        assert_eq!(pds(&object!({})), None);
    }

    #[test]
    fn reads_when_a_token_ends() {
        let token = format!("h.{}.s", BASE64URL_NOPAD.encode(br#"{"exp":1790000000}"#));
        let both = tokens(&object!({ "accessJwt": token, "refreshJwt": "r" })).unwrap();
        assert_eq!(both.access_expires_at, Some(1_790_000_000_000));
        assert_eq!(expiry("opaque"), None);
        assert!(tokens(&object!({ "accessJwt": token })).is_none());
    }
}

//! Who and where: handle → DID → the account's own server → the authorization server that speaks for it.
//!
//! **Invariant:** nothing that a server says about another is believed before that one confirms it: a document carries the
//! DID it was asked for, a server names itself as the resource, and an issuer names itself as the issuer
//! (<https://atproto.com/specs/oauth>).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    super::{
        connect::ConnectFault,
        server::{self, BadServer, same_origin},
        text,
    },
    Bluesky, Call, connect, json, text_of,
};

/// The parameter in which [`begins_at`] hands an account's name on.
const ACCOUNT: &str = "account";

/// The directory of `did:plc` identifiers (<https://web.plc.directory>).
const DIRECTORY: &str = "https://plc.directory";

/// Where an attempt begins: a server's address as it is, or the default server with the account's name, for a name may be
/// a handle, a DID, or after all a server's.
pub(super) fn begins_at(input: &str, default: &str) -> Result<String, BadServer> {
    let name = server::cleaned(input);
    let name = name.strip_prefix('@').unwrap_or(&name);
    if name.is_empty() || name.contains("://") {
        return server::normalise(if name.is_empty() { default } else { name });
    }
    let is_did = name.starts_with("did:plc:") || name.starts_with("did:web:");
    let name = if is_did { name.to_owned() } else { name.to_ascii_lowercase() };
    if !is_did && !text::is_handle(&name) {
        return server::normalise(&name);
    }
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    Ok(format!("{}?{ACCOUNT}={name}", server::normalise(default)?))
}

/// The parts of what [`begins_at`] made.
fn parts(address: &str) -> (&str, Option<String>) {
    let Some((base, query)) = address.split_once('?') else { return (address, None) };
    let account = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == ACCOUNT);
    (base, account.map(|(_, value)| value.into_owned()))
}

/// Another host of the network: the real one, or the stand-in that keeps all of them under one address without TLS.
pub(super) fn host_beside<'a>(server: &'a str, real: &'a str) -> &'a str {
    if server.starts_with("https://") { real } else { server }
}

/// An authorization server, as its metadata says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Issuer {
    #[serde(rename = "issuer")]
    pub(super) name: String,
    pub(super) authorization: String,
    pub(super) par: String,
    pub(super) token: String,
    pub(super) revocation: String,
}

/// Where a person is sent to, and who is expected back.
pub(super) struct Destination {
    pub(super) issuer: Issuer,
    /// The account that was named.
    pub(super) did: Option<String>,
    /// Its name as it was given.
    pub(super) hint: Option<String>,
}

impl Bluesky {
    /// The authorization server to begin at.
    pub(super) async fn destination(&self, address: &str) -> Result<Destination, ConnectFault> {
        let (base, account) = parts(address);
        let Some(account) = account else {
            return Ok(Destination { issuer: self.issuer_at(base).await?, did: None, hint: None });
        };
        let did = if account.starts_with("did:") {
            Some(account.clone())
        } else {
            self.did_of(base, &account).await?
        };
        let Some(did) = did else {
            let issuer = self.issuer_at(&server::normalise(&account)?).await?;
            return Ok(Destination { issuer, did: None, hint: None });
        };
        let home = self.home_of(base, &did).await?;
        let issuer = self.issuer(&self.issuer_of_resource(&home.server).await?).await?;
        Ok(Destination { issuer, did: Some(did), hint: Some(account) })
    }

    /// The authorization server of a server's address, or the server itself where it is one.
    async fn issuer_at(&self, server: &str) -> Result<Issuer, ConnectFault> {
        match self.issuer_of_resource(server).await {
            Ok(issuer) => self.issuer(&issuer).await,
            Err(ConnectFault::WrongKind { .. }) => self.issuer(server).await,
            Err(fault) => Err(fault),
        }
    }

    /// The DID of a handle; `None` when it has none.
    async fn did_of(&self, server: &str, handle: &str) -> Result<Option<String>, ConnectFault> {
        let path = "/xrpc/com.atproto.identity.resolveHandle";
        let body = self.document(server, Call::get(server, path, &[("handle", handle)])).await?;
        let did = body.map(|body| text_of(&body, "did").to_owned());
        Ok(did.filter(|did| did.starts_with("did:")))
    }

    /// What the account's document says: its own server, and the handle it claims.
    pub(super) async fn home_of(&self, address: &str, did: &str) -> Result<Home, ConnectFault> {
        let (base, _) = parts(address);
        let url = match did.strip_prefix("did:web:") {
            Some(host) if !host.contains(':') => format!("https://{host}/.well-known/did.json"),
            _ => format!("{}/{did}", host_beside(base, DIRECTORY)),
        };
        let document = self.document(base, Call::get(&url, "", &[])).await?;
        let document = document.filter(|document| text_of(document, "id") == did);
        let home = document.as_ref().and_then(|document| {
            let names = document.get("alsoKnownAs").and_then(Value::as_array);
            let handle =
                names.and_then(|names| names.iter().find_map(|name| name.as_str()?.strip_prefix("at://")));
            Some(Home { server: connect::pds(document)?, handle: handle.unwrap_or_default().to_owned() })
        });
        let home = home.ok_or_else(|| ConnectFault::Refused {
            server: server::host(&url),
            why: format!("it knows no server of {did}"),
        })?;
        self.require_allowed(&home.server)?;
        Ok(home)
    }

    /// Who gives out tokens for a server that says itself what it is (RFC 9728).
    pub(super) async fn issuer_of_resource(&self, server: &str) -> Result<String, ConnectFault> {
        let call = Call::get(server, "/.well-known/oauth-protected-resource", &[]);
        let body = self.document(server, call).await?.unwrap_or_default();
        let named = body.get("authorization_servers").and_then(Value::as_array);
        let issuer = named.and_then(|named| named.first()?.as_str());
        match issuer.filter(|_| text_of(&body, "resource").trim_end_matches('/') == server) {
            Some(issuer) => Ok(issuer.trim_end_matches('/').to_owned()),
            None => Err(wrong_kind(server)),
        }
    }

    /// The metadata of an authorization server, when it is fit for this (RFC 8414, and the profile of the AT Protocol).
    async fn issuer(&self, issuer: &str) -> Result<Issuer, ConnectFault> {
        self.require_allowed(issuer)?;
        let call = Call::get(issuer, "/.well-known/oauth-authorization-server", &[]);
        let body = self.document(issuer, call).await?.ok_or_else(|| wrong_kind(issuer))?;
        let lists = |name: &str, value: &str| {
            body.get(name).and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one == value))
        };
        let is_fit = lists("scopes_supported", "atproto")
            && lists("dpop_signing_alg_values_supported", "ES256")
            && body.get("client_id_metadata_document_supported") == Some(&Value::Bool(true));
        let text = |name: &str| text_of(&body, name).to_owned();
        let found = Issuer {
            name: text("issuer"),
            authorization: text("authorization_endpoint"),
            par: text("pushed_authorization_request_endpoint"),
            token: text("token_endpoint"),
            revocation: text("revocation_endpoint"),
        };
        if !is_fit || found.par.is_empty() {
            return Err(wrong_kind(issuer));
        }
        let Issuer { authorization, par, token, revocation, .. } = &found;
        let is_own = [authorization, par, token].iter().all(|url| same_origin(issuer, url))
            && (revocation.is_empty() || same_origin(issuer, revocation));
        if is_own && found.name.trim_end_matches('/') == issuer {
            Ok(found)
        } else {
            Err(ConnectFault::ForeignEndpoints { server: server::host(issuer) })
        }
    }

    /// A public document; `None` when the server has none there.
    async fn document(&self, server: &str, call: Call) -> Result<Option<Value>, ConnectFault> {
        let response = call.ask(&self.http).await.map_err(|e| ConnectFault::from_http(server, &e))?;
        match response.status().as_u16() {
            200 => Ok(json(&response)),
            429 | 500.. => {
                let now = self.clock.now_ms();
                Err(ConnectFault::from_answer(server, "Bluesky", &response, "", now))
            }
            _ => Ok(None),
        }
    }
}

/// What an account's document says of it.
pub(super) struct Home {
    /// Base address of the account's own server.
    pub(super) server: String,
    /// The handle it claims; may be empty.
    pub(super) handle: String,
}

pub(super) fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "Bluesky" }
}

/// A server's own DID, as its name gives it (<https://w3c-ccg.github.io/did-method-web/>).
pub(super) fn did_of_server(server: &str) -> String {
    let Ok(url) = Url::parse(server) else { return String::new() };
    let port = url.port().map(|port| format!("%3A{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/').replace('/', ":");
    format!("did:web:{}{port}{path}", url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_account_before_it_is_a_server() {
        let at = |input: &str| begins_at(input, "https://bsky.social").unwrap();
        assert_eq!(at(""), "https://bsky.social");
        assert_eq!(at("https://pds.example/"), "https://pds.example");
        assert_eq!(at(" @Ana.Test "), "https://bsky.social?account=ana.test");
        assert_eq!(at("\u{202a}ana.example\u{202c}"), "https://bsky.social?account=ana.example");
        assert_eq!(at("did:plc:abc"), "https://bsky.social?account=did%3Aplc%3Aabc");
        assert_eq!(at("pds.example:8443"), "https://pds.example:8443");
        assert!(begins_at("two words", "https://bsky.social").is_err());
        assert_eq!(parts(&at("did:plc:abc")), ("https://bsky.social", Some("did:plc:abc".to_owned())));
        assert_eq!(parts("https://bsky.social"), ("https://bsky.social", None));
    }

    #[test]
    fn a_servers_did_is_its_name() {
        assert_eq!(did_of_server("https://pds.example"), "did:web:pds.example");
        assert_eq!(did_of_server("http://127.0.0.1:8090/bluesky"), "did:web:127.0.0.1%3A8090:bluesky");
        assert_eq!(host_beside("https://pds.example", DIRECTORY), DIRECTORY);
        assert_eq!(host_beside("http://127.0.0.1:1/b", DIRECTORY), "http://127.0.0.1:1/b");
    }
}

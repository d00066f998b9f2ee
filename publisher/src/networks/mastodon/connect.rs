//! Bringing an account in: prove that the server is one of the network, register there, send the user to it, trade the code.
//!
//! Endpoints come from the server's metadata (Mastodon 4.3 and later) or from the documented paths, and always lie on
//! the server itself: metadata that points elsewhere is refused, so a rogue server cannot collect another's codes.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
        server::{self, same_origin},
    },
    Call, Limits, Mastodon, Network, Secret, Tokens, dialect, json, text_of,
};

/// Mastodon before 4.3 clears applications away that nobody used; a registration there is not kept longer than this.
const OLD_SERVER_REGISTRATION_MS: i64 = 86_400_000;

/// Our application at one server. Serialised, it is the account's sealed `extra`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Registration {
    client_id: String,
    client_secret: String,
    authorization: String,
    token: String,
    revocation: String,
    issuer: String,
    /// Unix milliseconds.
    registered_at: i64,
    /// Whether the server forgets unused applications.
    may_vanish: bool,
}

impl Registration {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn to_text(&self) -> Secret {
        Secret::new(serde_json::to_string(self).expect("plain strings and numbers"))
    }

    fn is_usable(&self, now_ms: i64) -> bool {
        !self.may_vanish || now_ms - self.registered_at < OLD_SERVER_REGISTRATION_MS
    }

    pub(super) fn token_call(&self, fields: &[(&str, &str)]) -> Call {
        let client = [("client_id", self.client_id.as_str()), ("client_secret", self.client_secret.as_str())];
        Call::post(&self.token, "").form(&[fields, &client].concat())
    }

    pub(super) fn revocation_call(&self, token: &str) -> Call {
        let fields = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.as_str()),
            ("token", token),
        ];
        Call::post(&self.revocation, "").form(&fields)
    }

    fn authorization_url(&self, ask: &Begin<'_>, scope: &str) -> Option<String> {
        let mut url = Url::parse(&self.authorization).ok()?;
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", ask.redirect_uri),
            ("scope", scope),
            ("state", ask.state),
            ("code_challenge", ask.challenge),
            ("code_challenge_method", "S256"),
        ]);
        Some(url.into())
    }
}

/// What the server says about itself.
struct Instance {
    domain: String,
    limits: Limits,
    api_version: Option<i64>,
}

#[async_trait]
impl Connect for Mastodon {
    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let instance = self.instance(ask.server).await?;
        self.require_dialect(ask.server, &instance).await?;
        let known = ask.registration.and_then(Registration::parse);
        let registration = match known.filter(|known| known.is_usable(self.clock.now_ms())) {
            Some(known) => known,
            None => self.register(ask.server, ask.redirect_uri).await?,
        };
        let authorization_url = registration.authorization_url(&ask, &self.dialect.scope());
        let authorization_url = authorization_url.ok_or_else(|| self.wrong_kind(ask.server))?;
        Ok(Began {
            authorization_url,
            issuer: registration.issuer.clone(),
            registration: registration.to_text(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let registration = Registration::parse(ask.registration)
            .ok_or_else(|| ConnectFault::RegistrationVoid { server: server::host(ask.server) })?;
        let scope = self.dialect.scope();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
            ("code_verifier", ask.verifier),
            ("scope", &scope),
        ];
        let response = self.call(ask.server, registration.token_call(&fields)).await?;
        let body = json(&response).unwrap_or_default();
        let host = server::host(ask.server);
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => {}
            (400 | 401, "invalid_client") => return Err(ConnectFault::RegistrationVoid { server: host }),
            (
                400 | 401 | 403,
                why @ ("invalid_grant" | "invalid_scope" | "unauthorized_client" | "access_denied"),
            ) => {
                return Err(ConnectFault::CodeRefused { server: host, why: why.into() });
            }
            _ => return Err(self.refusal(ask.server, &response)),
        }
        let tokens = tokens(&body, self.clock.now_ms()).ok_or_else(|| self.wrong_kind(ask.server))?;
        let granted: Vec<_> = text_of(&body, "scope").split_whitespace().collect();
        let asked = self.dialect.facts.scopes.iter().copied();
        let missing: Vec<_> = asked.filter(|scope| !covers(&granted, scope)).collect();
        if !granted.is_empty() && !missing.is_empty() {
            return Err(ConnectFault::ScopesMissing { server: host, missing: missing.join(", ") });
        }
        let call = Call::get(ask.server, "/api/v1/accounts/verify_credentials", &[])
            .bearer(tokens.access_token.expose());
        let response = self.call(ask.server, call).await?;
        let account = json(&response).filter(|_| response.status().is_success());
        let account = account.ok_or_else(|| self.refusal(ask.server, &response))?;
        let instance = self.instance(ask.server).await?;
        let connected = connected(ask.server, &account, instance, tokens, &registration);
        connected.map(|connected| vec![connected]).ok_or_else(|| self.wrong_kind(ask.server))
    }
}

impl Mastodon {
    async fn instance(&self, server: &str) -> Result<Instance, ConnectFault> {
        for path in ["/api/v2/instance", "/api/v1/instance"] {
            let response = self.get(server, path).await?;
            if response.status().is_redirection() {
                return Err(self.moved(server, &response));
            }
            if response.status().is_server_error() || response.status().as_u16() == 429 {
                return Err(self.refusal(server, &response));
            }
            let instance = json(&response).filter(|_| response.status().is_success());
            let instance = instance.and_then(|body| instance_of(&body, self.limits()));
            if let Some(instance) = instance {
                return Ok(instance);
            }
        }
        Err(self.wrong_kind(server))
    }

    /// Refuses servers that run other software than this network's; where that is another network here, says which.
    async fn require_dialect(&self, server: &str, instance: &Instance) -> Result<(), ConnectFault> {
        let links = json(&self.get(server, "/.well-known/nodeinfo").await?).unwrap_or_default();
        let links = links.get("links").and_then(Value::as_array).cloned().unwrap_or_default();
        let href = links.iter().map(|link| text_of(link, "href")).find(|href| same_origin(server, href));
        let software = match href {
            Some(href) => json(&self.call(server, Call::get(href, "", &[])).await?)
                .and_then(|info| info.pointer("/software/name")?.as_str().map(str::to_lowercase)),
            None => None,
        };
        let host = server::host(server);
        match software {
            Some(name) if self.dialect.speaks(&name) => Ok(()),
            None if instance.api_version.is_some() && self.id() == "mastodon" => Ok(()),
            Some(name) => match dialect::of_software(&name) {
                Some(other) => {
                    Err(ConnectFault::OtherNetwork { server: host, software: name, network: other.facts.id })
                }
                None if self.id() == "mastodon" => {
                    Err(ConnectFault::Unsupported { server: host, software: name })
                }
                None => Err(self.wrong_kind(server)),
            },
            None => Err(self.wrong_kind(server)),
        }
    }

    async fn register(&self, server: &str, redirect_uri: &str) -> Result<Registration, ConnectFault> {
        let mut registration = self.endpoints(server).await?;
        let scope = self.dialect.scope();
        let fields = [("client_name", "postmesh"), ("redirect_uris", redirect_uri), ("scopes", &scope)];
        let response = self.call(server, Call::post(server, "/api/v1/apps").form(&fields)).await?;
        let body = json(&response).unwrap_or_default();
        registration.client_id = text_of(&body, "client_id").into();
        registration.client_secret = text_of(&body, "client_secret").into();
        if !response.status().is_success() || registration.client_id.is_empty() {
            return Err(self.refusal(server, &response));
        }
        Ok(registration)
    }

    /// Where to send the user and the code: from the metadata where there is some, else the documented paths.
    async fn endpoints(&self, server: &str) -> Result<Registration, ConnectFault> {
        let response = self.get(server, "/.well-known/oauth-authorization-server").await?;
        let metadata = json(&response).filter(|_| response.status().is_success());
        let or = |name: &str, path: &str| {
            let stated =
                metadata.as_ref().map(|metadata| text_of(metadata, name)).filter(|stated| !stated.is_empty());
            stated.map_or_else(|| format!("{server}{path}"), str::to_owned)
        };
        let registration = Registration {
            client_id: String::new(),
            client_secret: String::new(),
            authorization: or("authorization_endpoint", "/oauth/authorize"),
            token: or("token_endpoint", "/oauth/token"),
            revocation: or("revocation_endpoint", "/oauth/revoke"),
            issuer: or("issuer", ""),
            registered_at: self.clock.now_ms(),
            may_vanish: metadata.is_none(),
        };
        let Registration { authorization, token, revocation, issuer, .. } = &registration;
        if [authorization, token, revocation, issuer].iter().all(|address| same_origin(server, address)) {
            Ok(registration)
        } else {
            Err(ConnectFault::ForeignEndpoints { server: server::host(server) })
        }
    }

    async fn get(&self, server: &str, path: &str) -> Result<Response<Bytes>, ConnectFault> {
        self.call(server, Call::get(server, path, &[])).await
    }

    async fn call(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let body = json(response).unwrap_or_default();
        ConnectFault::from_answer(
            server,
            self.display_name(),
            response,
            text_of(&body, "error"),
            self.clock.now_ms(),
        )
    }

    fn wrong_kind(&self, server: &str) -> ConnectFault {
        ConnectFault::WrongKind { server: server::host(server), network: self.display_name() }
    }

    fn moved(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let location = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
        let target = location
            .and_then(|location| Url::parse(location).ok())
            .filter(|url| !same_origin(server, url.as_str()));
        target.map_or_else(
            || self.wrong_kind(server),
            |target| ConnectFault::Moved {
                server: server::host(server),
                target: target.origin().ascii_serialization(),
            },
        )
    }
}

/// The account with everything that is kept about it.
fn connected(
    server: &str,
    account: &Value,
    instance: Instance,
    tokens: Tokens,
    registration: &Registration,
) -> Option<Connected> {
    let native_id = text_of(account, "id").to_owned();
    let username = text_of(account, "username");
    (!native_id.is_empty() && !username.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id,
        handle: format!("@{username}@{}", instance.domain),
        display_name: text_of(account, "display_name").to_owned(),
        avatar_url: text_of(account, "avatar").to_owned(),
        profile_url: text_of(account, "url").to_owned(),
        limits: instance.limits,
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra: registration.to_text(),
    })
}

/// The tokens of an answer; some relatives end them after a while.
pub(super) fn tokens(body: &Value, now_ms: i64) -> Option<Tokens> {
    let secret = |name: &str| {
        Some(text_of(body, name)).filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()))
    };
    let lifetime = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    Some(Tokens {
        access_token: secret("access_token")?,
        refresh_token: secret("refresh_token"),
        access_expires_at: lifetime.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000))),
    })
}

/// `domain` in version 2, `uri` in version 1; with the limits announced, others from the table.
fn instance_of(body: &Value, mut limits: Limits) -> Option<Instance> {
    let domain =
        Some(text_of(body, "domain")).filter(|domain| !domain.is_empty()).unwrap_or(text_of(body, "uri"));
    let domain = domain.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let is_instance = !domain.is_empty() && !text_of(body, "version").is_empty();
    let number = |path: &str| body.pointer(path).and_then(Value::as_i64).filter(|n| *n > 0);
    let small = |path: &str| number(path).and_then(|n| i32::try_from(n).ok());
    let set = |field: &mut i32, announced: Option<i32>| *field = announced.unwrap_or(*field);
    // `max_toot_chars` is how servers announced longer posts before Mastodon 3.4.2.
    set(
        &mut limits.text_length,
        small("/configuration/statuses/max_characters").or(small("/max_toot_chars")),
    );
    set(&mut limits.images, small("/configuration/statuses/max_media_attachments"));
    set(&mut limits.link_length, small("/configuration/statuses/characters_reserved_per_url"));
    set(&mut limits.alt_text_length, small("/configuration/media_attachments/description_limit"));
    let set = |field: &mut i64, announced: Option<i64>| *field = announced.unwrap_or(*field);
    // `upload_limit` is Pleroma's, in the same place since its first releases.
    let any = number("/upload_limit");
    set(&mut limits.image_bytes, number("/configuration/media_attachments/image_size_limit").or(any));
    set(&mut limits.video_bytes, number("/configuration/media_attachments/video_size_limit").or(any));
    set(&mut limits.video_pixels, number("/configuration/media_attachments/video_matrix_limit"));
    set(&mut limits.image_pixels, number("/configuration/media_attachments/image_matrix_limit"));
    let types =
        body.pointer("/configuration/media_attachments/supported_mime_types").and_then(Value::as_array);
    if let Some(types) = types {
        limits.image_types.retain(|ours| types.iter().any(|theirs| theirs == ours));
        limits.video_types.retain(|ours| types.iter().any(|theirs| theirs == ours));
        if limits.video_types.is_empty() {
            limits.videos = 0;
        }
    }
    is_instance.then(|| Instance {
        domain: domain.to_owned(),
        limits,
        api_version: body.pointer("/api_versions/mastodon").and_then(Value::as_i64),
    })
}

/// `write` contains `write:media`.
fn covers(granted: &[&str], scope: &str) -> bool {
    granted.contains(&scope) || scope.split_once(':').is_some_and(|(family, _)| granted.contains(&family))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance(body: &Value) -> Option<Instance> {
        instance_of(body, dialect::limits())
    }

    #[test]
    fn takes_the_limits_a_server_announces() {
        let announced = json!({
            "domain": "big.example", "version": "4.5.0+glitch", "api_versions": { "mastodon": 7 },
            "configuration": {
                "statuses": { "max_characters": 11_000, "max_media_attachments": 16, "characters_reserved_per_url": 23 },
                "media_attachments": { "description_limit": 3000, "image_size_limit": 1_000_000, "image_matrix_limit": 5,
                    "video_size_limit": 2_000_000, "video_matrix_limit": 7,
                    "supported_mime_types": ["image/png", "video/mp4"] },
            },
        });
        let big = instance(&announced).unwrap();
        assert_eq!(big.limits.video_types, ["video/mp4"]);
        assert_eq!((big.limits.video_bytes, big.limits.video_pixels), (2_000_000, 7));
        assert_eq!(
            (big.limits.text_length, big.limits.images, big.limits.alt_text_length),
            (11_000, 16, 3000)
        );
        assert_eq!((big.limits.image_bytes, big.limits.image_pixels), (1_000_000, 5));
        assert_eq!(big.limits.image_types, ["image/png"]);
        assert_eq!(big.domain, "big.example");
        let old =
            instance(&json!({ "uri": "https://old.example/", "version": "3.3.0", "max_toot_chars": 1024 }))
                .unwrap();
        assert_eq!(
            (old.limits.text_length, old.limits.images, old.domain.as_str()),
            (1024, 4, "old.example")
        );
        assert!(instance(&json!({ "name": "something else" })).is_none());
    }

    #[test]
    fn reads_tokens_with_and_without_an_end() {
        let body = json!({ "access_token": "a", "token_type": "Bearer", "created_at": 1 });
        assert_eq!(tokens(&body, 5).unwrap().access_expires_at, None);
        let body = json!({ "access_token": "a", "expires_in": 60, "refresh_token": "r" });
        let tokens = tokens(&body, 5).unwrap();
        assert_eq!((tokens.access_expires_at, tokens.refresh_token.is_some()), (Some(60_005), true));
        assert!(super::tokens(&json!({ "access_token": "" }), 5).is_none());
    }

    #[test]
    fn a_family_of_scopes_contains_its_members() {
        assert!(covers(&["write"], "write:media") && covers(&["write:media"], "write:media"));
        assert!(!covers(&["read"], "write:media") && !covers(&["write:statuses"], "write:media"));
    }
}

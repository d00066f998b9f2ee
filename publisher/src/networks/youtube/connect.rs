//! Bringing a YouTube channel in: Google's OAuth 2, with a refresh token every time.
//!
//! <https://developers.google.com/identity/protocols/oauth2/web-server>. The grant covers the one channel that the person
//! chooses, so the channel's id is the account, not Google's.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};
use url::Url;

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
        server,
    },
    ACCOUNTS, API, App, Call, SCOPE, SITE, Secret, TOKENS, Tokens, Youtube, errors, json, limits, text_of,
};

/// A call of the token endpoint in the application's name.
pub(super) fn token_call(server: &str, app: &App, fields: &[(&str, &str)]) -> Call {
    let client = [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.expose())];
    Call::post(server::sibling(server, API, TOKENS), "/token").form(&[fields, &client].concat())
}

/// The tokens of an answer; a refresh brings no new refresh token.
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

#[async_trait]
impl Connect for Youtube {
    fn default_server(&self) -> &'static str {
        API
    }

    /// Only `access_type=offline` together with `prompt=consent` gives a refresh token every time.
    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = application(ask.server, ask.app)?;
        let accounts = server::sibling(ask.server, API, ACCOUNTS);
        let mut url =
            Url::parse(&format!("{accounts}/o/oauth2/v2/auth")).map_err(|_| wrong_kind(ask.server))?;
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &app.client_id),
            ("redirect_uri", ask.redirect_uri),
            ("scope", SCOPE),
            ("state", ask.state),
            ("access_type", "offline"),
            ("prompt", "consent"),
            ("code_challenge", ask.challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(Began {
            authorization_url: url.into(),
            issuer: accounts.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = application(ask.server, ask.app)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
            ("code_verifier", ask.verifier),
        ];
        let response = self.trade(ask.server, token_call(ask.server, app, &fields)).await?;
        let body = json(&response).unwrap_or_default();
        let host = server::host(ask.server);
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => {}
            (400 | 401, "invalid_client" | "unauthorized_client") => {
                let why = "the application's id or secret is not the one in Google Cloud".to_owned();
                return Err(ConnectFault::Refused { server: host, why });
            }
            (400 | 401 | 403, error) if !error.is_empty() => {
                return Err(ConnectFault::CodeRefused { server: host, why: error.to_owned() });
            }
            _ => return Err(self.refusal(ask.server, &response)),
        }
        let tokens = tokens(&body, self.clock.now_ms()).ok_or_else(|| wrong_kind(ask.server))?;
        // People can untick what is asked for.
        if !text_of(&body, "scope").split_whitespace().any(|granted| granted == SCOPE) {
            return Err(ConnectFault::ScopesMissing { server: host, missing: SCOPE.to_owned() });
        }
        if tokens.refresh_token.is_none() {
            let why = "Google gave no lasting authorization; remove the application at \
                       myaccount.google.com/permissions and connect again";
            return Err(ConnectFault::Refused { server: host, why: why.to_owned() });
        }
        let query = [("part", "snippet,contentDetails"), ("mine", "true")];
        let call = Call::get(ask.server, "/youtube/v3/channels", &query).bearer(tokens.access_token.expose());
        let response = self.trade(ask.server, call).await?;
        if errors::reason(&response).as_deref() == Some("youtubeSignupRequired") {
            return Err(no_channel(ask.server));
        }
        if !response.status().is_success() {
            return Err(self.refusal(ask.server, &response));
        }
        let body = json(&response).unwrap_or_default();
        let channels = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let found: Vec<_> =
            channels.iter().filter_map(|channel| connected(ask.server, channel, &tokens)).collect();
        if found.is_empty() { Err(no_channel(ask.server)) } else { Ok(found) }
    }
}

impl Youtube {
    async fn trade(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let why = errors::reason(response).unwrap_or_default();
        ConnectFault::from_answer(server, "YouTube", response, &why, self.clock.now_ms())
    }
}

fn application<'a>(server: &str, app: Option<&'a App>) -> Result<&'a App, ConnectFault> {
    let why = "no application is set for YouTube; the operator must set one";
    app.ok_or_else(|| ConnectFault::Refused { server: server::host(server), why: why.into() })
}

fn connected(server: &str, channel: &Value, tokens: &Tokens) -> Option<Connected> {
    let id = text_of(channel, "id");
    let at = |path: &str| channel.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (title, name) = (at("/snippet/title"), at("/snippet/customUrl"));
    let site = server::sibling(server, API, SITE);
    let uploads = at("/contentDetails/relatedPlaylists/uploads");
    (!id.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id: id.to_owned(),
        handle: if name.is_empty() { title } else { name }.to_owned(),
        display_name: title.to_owned(),
        avatar_url: at("/snippet/thumbnails/default/url").to_owned(),
        profile_url: format!("{site}/channel/{id}"),
        limits: limits(),
        access_token: tokens.access_token.clone(),
        refresh_token: tokens.refresh_token.clone(),
        access_expires_at: tokens.access_expires_at,
        extra: Secret::new(object!({ "uploads": uploads }).to_string()),
    })
}

fn no_channel(server: &str) -> ConnectFault {
    let missing = "the Google account has no YouTube channel";
    ConnectFault::NothingToConnect { server: server::host(server), missing }
}

fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "YouTube" }
}

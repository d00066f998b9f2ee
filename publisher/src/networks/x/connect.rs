//! Bringing an X account in: OAuth 2 with PKCE through an application of the operator's.
//!
//! <https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code>. The code lives half a minute, so it is
//! traded in the callback itself.

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish, all_granted, app_of, tokens},
        server,
    },
    API, App, Call, LONG_TEXT, Limits, SCOPES, SITE, Secret, Tokens, X, errors, json, limits, text_of,
};

/// A call of the token endpoints. An application with a secret presents it in a header; its id stands in every form.
pub(super) fn token_call(server: &str, path: &str, app: &App, fields: &[(&str, &str)]) -> Call {
    let id = [("client_id", app.client_id.as_str())];
    let call = Call::post(server, path).form(&[fields, &id].concat());
    if app.client_secret.is_empty() {
        return call;
    }
    let pair = STANDARD.encode(format!("{}:{}", app.client_id, app.client_secret.expose()));
    call.header("authorization", &format!("Basic {pair}"))
}

#[async_trait]
impl Connect for X {
    fn default_server(&self) -> &'static str {
        API
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = app_of(ask.app, ask.server, "X")?;
        let site = server::sibling(ask.server, API, SITE);
        let scope = SCOPES.join(" ");
        let query = [
            ("response_type", "code"),
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", ask.redirect_uri),
            ("scope", &scope),
            ("state", ask.state),
            ("code_challenge", ask.challenge),
            ("code_challenge_method", "S256"),
        ];
        Ok(Began {
            authorization_url: server::address(site, "/i/oauth2/authorize", &query),
            issuer: site.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = app_of(ask.app, ask.server, "X")?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
            ("code_verifier", ask.verifier),
        ];
        let call = token_call(ask.server, "/2/oauth2/token", app, &fields);
        let response = self.trade(ask.server, call).await?;
        let body = json(&response).unwrap_or_default();
        let host = server::host(ask.server);
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => {}
            (400 | 401, "invalid_client" | "unauthorized_client") => {
                return Err(ConnectFault::Refused { server: host, why: BAD_APPLICATION.into() });
            }
            (400 | 401 | 403, error) if !error.is_empty() => {
                let why = text_of(&body, "error_description").to_owned();
                return Err(ConnectFault::CodeRefused { server: host, why });
            }
            _ => return Err(self.refusal(ask.server, &response)),
        }
        let tokens = tokens(&body, self.clock.now_ms()).ok_or_else(|| wrong_kind(ask.server))?;
        all_granted(ask.server, SCOPES, text_of(&body, "scope"))?;
        let query = [("user.fields", "username,name,profile_image_url,verified,subscription_type")];
        let call = Call::get(ask.server, "/2/users/me", &query).bearer(tokens.access_token.expose());
        let response = self.trade(ask.server, call).await?;
        if !response.status().is_success() {
            return Err(self.refusal(ask.server, &response));
        }
        let body = json(&response).unwrap_or_default();
        let user = body.get("data").cloned().unwrap_or_default();
        let connected = connected(ask.server, &user, tokens);
        connected.map(|connected| vec![connected]).ok_or_else(|| wrong_kind(ask.server))
    }
}

impl X {
    async fn trade(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let why = errors::code(response).unwrap_or_default();
        ConnectFault::from_answer(server, "X", response, &why, self.clock.now_ms())
    }
}

/// What to say when the application itself is refused.
const BAD_APPLICATION: &str = "the application's id or secret is not the one in X's developer console";

fn connected(server: &str, user: &Value, tokens: Tokens) -> Option<Connected> {
    let (id, username) = (text_of(user, "id"), text_of(user, "username"));
    let site = server::sibling(server, API, SITE);
    (!id.is_empty() && !username.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id: id.to_owned(),
        handle: format!("@{username}"),
        display_name: text_of(user, "name").to_owned(),
        avatar_url: text_of(user, "profile_image_url").to_owned(),
        profile_url: format!("{site}/{username}"),
        limits: limits_of(text_of(user, "subscription_type")),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra: Secret::default(),
    })
}

/// Who pays may write longer (<https://help.x.com/en/using-x/x-premium>).
fn limits_of(subscription: &str) -> Limits {
    let pays = matches!(subscription, "Basic" | "Premium" | "PremiumPlus");
    let limits = limits();
    Limits { text_length: if pays { LONG_TEXT } else { limits.text_length }, ..limits }
}

fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "X" }
}

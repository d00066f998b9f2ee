//! Bringing a TikTok account in, renewing its tokens and giving them back. The token endpoints answer errors with a
//! status that says that all is well, so the body decides. Refresh tokens may change with every use.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
        server,
        wire::{json, text_of},
    },
    Call, Fault, RefreshFault, Secret, Session, Tiktok, Tokens, errors, limits, wire,
};
use crate::networks::App;

/// Of <https://developers.tiktok.com/doc/tiktok-api-scopes>: the account and its name, posting, drafts, and reading back
/// what was posted with its counts.
pub(super) const SCOPES: &[&str] =
    &["user.info.basic", "user.info.profile", "video.publish", "video.upload", "video.list"];

const DEFAULT_SERVER: &str = "https://open.tiktokapis.com";

#[async_trait]
impl Connect for Tiktok {
    fn default_server(&self) -> &'static str {
        DEFAULT_SERVER
    }

    /// Applications with a secret use no PKCE here.
    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let site = server::sibling(ask.server, DEFAULT_SERVER, "https://www.tiktok.com");
        let query = [
            ("client_key", app(ask.app, ask.server)?.client_id.as_str()),
            ("response_type", "code"),
            ("scope", &SCOPES.join(",")),
            ("redirect_uri", ask.redirect_uri),
            ("state", ask.state),
        ];
        Ok(Began {
            authorization_url: server::address(site, "/v2/auth/authorize/", &query),
            issuer: site.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let host = server::host(ask.server);
        let fields =
            [("code", ask.code), ("grant_type", "authorization_code"), ("redirect_uri", ask.redirect_uri)];
        let call = token_call(ask.server, "token", app(ask.app, ask.server)?, &fields);
        let response = self.call(ask.server, call).await?;
        let body = json(&response).unwrap_or_default();
        let tokens = match (tokens_of(&body, self.clock.now_ms()), text_of(&body, "error")) {
            (Some(tokens), "") if response.status().is_success() => tokens,
            (_, why @ ("invalid_grant" | "invalid_request" | "invalid_client")) => {
                let told = text_of(&body, "error_description");
                let why = if told.is_empty() { why } else { wire::short(told) };
                return Err(ConnectFault::CodeRefused { server: host, why: why.into() });
            }
            _ => return Err(self.refusal(ask.server, &response)),
        };
        let granted: Vec<&str> = text_of(&body, "scope").split(',').map(str::trim).collect();
        let missing: Vec<&str> = SCOPES.iter().copied().filter(|scope| !granted.contains(scope)).collect();
        if !missing.is_empty() {
            return Err(ConnectFault::ScopesMissing { server: host, missing: missing.join(", ") });
        }
        let query = [("fields", "open_id,union_id,avatar_url,display_name,username")];
        let call = Call::get(ask.server, "/v2/user/info/", &query).bearer(tokens.access_token.expose());
        let response = self.call(ask.server, call).await?;
        let user = errors::data(&response).and_then(|data| data.get("user").cloned());
        let user = user.ok_or_else(|| self.refusal(ask.server, &response))?;
        let (native_id, username) = (text_of(&user, "open_id"), text_of(&user, "username"));
        if native_id.is_empty() || username.is_empty() {
            return Err(ConnectFault::WrongKind { server: host, network: "TikTok" });
        }
        Ok(vec![Connected {
            server: ask.server.to_owned(),
            native_id: native_id.to_owned(),
            handle: format!("@{username}"),
            display_name: text_of(&user, "display_name").to_owned(),
            avatar_url: text_of(&user, "avatar_url").to_owned(),
            profile_url: format!("https://www.tiktok.com/@{username}"),
            limits: limits(),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            access_expires_at: tokens.access_expires_at,
            extra: Secret::default(),
        }])
    }
}

impl Tiktok {
    /// A new pair for the refresh token. Only `invalid_grant` says that the authorization is over.
    pub(super) async fn renew(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let gone =
            || RefreshFault::Revoked("TikTok ended the authorization; connect the account again".into());
        let kept = |why: String| RefreshFault::NotExecuted { why, retry_after: None };
        let refresh = session.refresh_token.as_ref().ok_or_else(gone)?;
        let app = session.app.as_ref().ok_or_else(|| kept("no application is set for TikTok".into()))?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let call = token_call(&session.server, "token", app, &fields);
        let response = call.ask(&self.http).await.map_err(|error| wire::unrefreshed(&error))?;
        let body = json(&response).unwrap_or_default();
        let is_answer = matches!(response.status().as_u16(), 200 | 400 | 401);
        match (tokens_of(&body, self.clock.now_ms()), text_of(&body, "error")) {
            (Some(tokens), "") if response.status().is_success() => Ok(tokens),
            (_, "invalid_grant") if is_answer => Err(gone()),
            // Checked before the token is looked at.
            (_, why @ ("invalid_client" | "invalid_request")) if is_answer => {
                Err(kept(format!("the server answered {why}")))
            }
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }

    /// Gives the authorization back; a token that is no longer known is as good as given back.
    pub(super) async fn give_back(&self, session: &Session) -> Result<(), Fault> {
        let Some(app) = session.app.as_ref() else { return Ok(()) };
        let fields = [("token", session.access_token.expose())];
        let response = token_call(&session.server, "revoke", app, &fields).read(&self.http).await?;
        let is_answer = matches!(response.status().as_u16(), 200 | 400 | 401);
        match errors::code(&response).as_str() {
            "" | "ok" if response.status().is_success() => Ok(()),
            "invalid_grant" | "invalid_token" | "invalid_request" | "access_token_invalid" if is_answer => {
                Ok(())
            }
            _ => Err(errors::fault(&response, self.clock.now_ms())),
        }
    }

    async fn call(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let why = errors::code(response);
        ConnectFault::from_answer(server, "TikTok", response, &why, self.clock.now_ms())
    }
}

/// A call of the token endpoints; the application's id is called `client_key` here.
fn token_call(server: &str, what: &str, app: &App, fields: &[(&str, &str)]) -> Call {
    let client = [("client_key", app.client_id.as_str()), ("client_secret", app.client_secret.expose())];
    Call::post(server, &format!("/v2/oauth/{what}/")).form(&[&client, fields].concat())
}

fn tokens_of(body: &Value, now_ms: i64) -> Option<Tokens> {
    let secret = |name: &str| {
        Some(text_of(body, name)).filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()))
    };
    let life = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    Some(Tokens {
        access_token: secret("access_token")?,
        refresh_token: secret("refresh_token"),
        access_expires_at: life.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000))),
    })
}

fn app<'a>(app: Option<&'a App>, server: &str) -> Result<&'a App, ConnectFault> {
    app.ok_or_else(|| ConnectFault::RegistrationVoid { server: server::host(server) })
}

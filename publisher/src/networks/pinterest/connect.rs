//! Bringing an account in: the person chooses one of its boards, which pins go to that name none. There is no PKCE; the
//! state protects the way back. Scopes stand between commas.
//!
//! **Invariant:** a login is one account, whichever board was chosen. Its refresh token is used up by each refresh, so two
//! accounts with copies of it would end each other.
//!
//! <https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization/>

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{API, Call, FACTS, Pinterest, RefreshFault, Session, Tokens, WEB, is_id, limits, wire};
use crate::networks::{
    App, Secret,
    connect::{Began, Begin, Connect, ConnectFault, Connected, Finish, all_granted, app_of, tokens},
    server,
    wire::{json, text_of},
};

/// Boards asked for at once; the most that is answered.
const PAGE: &str = "250";

/// Pages read: an account has at most 2000 boards.
const PAGES: usize = 8;

#[async_trait]
impl Connect for Pinterest {
    fn default_server(&self) -> &'static str {
        API
    }

    fn identity(&self, connected: &Connected) -> String {
        super::user(&connected.native_id).to_owned()
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = app_of(ask.app, ask.server, "Pinterest")?;
        let web = server::sibling(ask.server, API, WEB);
        let scope = FACTS.scopes.join(",");
        let fields = [
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", ask.redirect_uri),
            ("response_type", "code"),
            ("scope", &scope),
            ("state", ask.state),
        ];
        Ok(Began {
            authorization_url: server::address(web, "/oauth/", &fields),
            issuer: web.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = app_of(ask.app, ask.server, "Pinterest")?;
        let host = server::host(ask.server);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
            // Without it, older applications get a refresh token of a kind that is no longer taken.
            ("continuous_refresh", "true"),
        ];
        let response = self.put(ask.server, token_call(ask.server, app, &fields)).await?;
        let body = json(&response).unwrap_or_default();
        let why = text_of(&body, "message");
        match response.status().as_u16() {
            200 => {}
            401 => {
                let why = "the application's id or secret is wrong; correct it in the settings".into();
                return Err(ConnectFault::Refused { server: host, why });
            }
            400 if !why.is_empty() => {
                return Err(ConnectFault::CodeRefused { server: host, why: wire::short(why).to_owned() });
            }
            _ => return Err(self.refusal(ask.server, &response)),
        }
        let tokens = tokens(&body, self.clock.now_ms())
            .ok_or_else(|| ConnectFault::WrongKind { server: host.clone(), network: "Pinterest" })?;
        all_granted(ask.server, FACTS.scopes, text_of(&body, "scope"))?;
        let user = self.read(ask.server, "/v5/user_account", &[], &tokens).await?;
        let boards = self.boards(ask.server, &tokens).await?;
        let connected: Vec<_> =
            boards.iter().filter_map(|board| connected(ask.server, &user, board, &tokens)).collect();
        if connected.is_empty() {
            return Err(ConnectFault::NothingToConnect { server: host, missing: "no board" });
        }
        Ok(connected)
    }
}

impl Pinterest {
    async fn boards(&self, server: &str, tokens: &Tokens) -> Result<Vec<Value>, ConnectFault> {
        let mut boards = Vec::new();
        let mut bookmark = String::new();
        for _ in 0..PAGES {
            let mut query = vec![("page_size", PAGE)];
            query.extend((!bookmark.is_empty()).then_some(("bookmark", bookmark.as_str())));
            let body = self.read(server, "/v5/boards", &query, tokens).await?;
            boards.extend(body.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            text_of(&body, "bookmark").clone_into(&mut bookmark);
            if bookmark.is_empty() {
                break;
            }
        }
        Ok(boards)
    }

    async fn read(
        &self,
        server: &str,
        path: &str,
        query: &[(&str, &str)],
        tokens: &Tokens,
    ) -> Result<Value, ConnectFault> {
        let call = Call::get(server, path, query).bearer(tokens.access_token.expose());
        let response = self.put(server, call).await?;
        json(&response)
            .filter(|_| response.status().is_success())
            .ok_or_else(|| self.refusal(server, &response))
    }

    async fn put(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let body = json(response).unwrap_or_default();
        let why = text_of(&body, "message");
        ConnectFault::from_answer(server, "Pinterest", response, why, self.clock.now_ms())
    }

    /// Asks for a new pair of tokens; the old refresh token is used up by it.
    pub(super) async fn renew(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let Some(refresh) = session.refresh_token.as_ref().filter(|token| !token.is_empty()) else {
            return Err(RefreshFault::Revoked("there is no refresh token; connect the account again".into()));
        };
        let Some(app) = &session.app else {
            let why = "no Pinterest application is set up".into();
            return Err(RefreshFault::NotExecuted { why, retry_after: None });
        };
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let call = token_call(&session.server, app, &fields);
        let response = call.ask(&self.http).await.map_err(|e| wire::unrefreshed(&e))?;
        let body = json(&response).unwrap_or_default();
        let message = text_of(&body, "message");
        match response.status().as_u16() {
            200 => tokens(&body, self.clock.now_ms())
                .ok_or_else(|| RefreshFault::Lost("the answer holds no token".into())),
            // Both are documented for a refresh token that is over; a proxy's page is not.
            400 | 401 if !message.is_empty() => Err(RefreshFault::Revoked(wire::short(message).to_owned())),
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }
}

fn token_call(server: &str, app: &App, fields: &[(&str, &str)]) -> Call {
    let pair = format!("{}:{}", app.client_id, app.client_secret.expose());
    Call::post(server, "/v5/oauth/token")
        .header("authorization", &format!("Basic {}", STANDARD.encode(pair)))
        .form(fields)
}

/// The account with one of its boards.
fn connected(server: &str, user: &Value, board: &Value, tokens: &Tokens) -> Option<Connected> {
    let (user_id, username) = (text_of(user, "id"), text_of(user, "username"));
    let (id, name) = (text_of(board, "id"), text_of(board, "name"));
    let tokens = tokens.clone();
    let web = server::sibling(server, API, WEB);
    (is_id(id) && !username.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id: format!("{}/{id}", if user_id.is_empty() { username } else { user_id }),
        handle: format!("{username}/{name}"),
        display_name: name.to_owned(),
        avatar_url: text_of(user, "profile_image").to_owned(),
        profile_url: format!("{web}/{username}/"),
        limits: limits(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra: Secret::default(),
    })
}

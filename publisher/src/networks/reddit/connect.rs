//! Bringing an account in: the user agrees on the site, the code is traded by the application, the account names itself.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::Value;
use url::Url;

use super::{
    super::connect::{Began, Begin, Connect, ConnectFault, Connected, Finish, all_granted, app_of, tokens},
    Call, Reddit, SCOPES, SERVER, SITE, Secret, Tokens, agent, json, limits, server, text_of,
};

/// Where tokens come from, on the site.
pub(super) const TOKEN: &str = "/api/v1/access_token";

#[async_trait]
impl Connect for Reddit {
    fn default_server(&self) -> &'static str {
        SERVER
    }

    /// `duration=permanent` asks for a refresh token; without it the authorization ends after a day.
    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = app_of(ask.app, ask.server, "Reddit")?;
        let site = server::sibling(ask.server, SERVER, SITE);
        let scope = SCOPES.join(" ");
        let query = [
            ("client_id", app.client_id.as_str()),
            ("response_type", "code"),
            ("state", ask.state),
            ("redirect_uri", ask.redirect_uri),
            ("duration", "permanent"),
            ("scope", &scope),
        ];
        Ok(Began {
            authorization_url: server::address(site, "/api/v1/authorize", &query),
            issuer: site.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = app_of(ask.app, ask.server, "Reddit")?;
        let host = server::host(ask.server);
        let fields =
            [("grant_type", "authorization_code"), ("code", ask.code), ("redirect_uri", ask.redirect_uri)];
        let response = self.token_call(ask.server, app, TOKEN, &fields).await;
        let response = response.map_err(|error| ConnectFault::from_http(ask.server, &error))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, "") => {}
            (200, why) => return Err(ConnectFault::CodeRefused { server: host, why: why.to_owned() }),
            (401, _) => {
                let why = "the id and secret of the application are not those that Reddit shows".to_owned();
                return Err(ConnectFault::Refused { server: host, why });
            }
            _ => return Err(self.refusal(ask.server, &response)),
        }
        let tokens = tokens(&body, self.clock.now_ms()).ok_or_else(|| wrong_kind(ask.server))?;
        if text_of(&body, "scope") != "*" {
            all_granted(ask.server, SCOPES, text_of(&body, "scope"))?;
        }
        let call = Call::get(ask.server, "/api/v1/me", &[("raw_json", "1")])
            .bearer(tokens.access_token.expose())
            .header("user-agent", &agent(&app.client_id, "postmesh"));
        let response =
            call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(ask.server, &error))?;
        let me = json(&response).filter(|_| response.status().is_success());
        let me = me.ok_or_else(|| self.refusal(ask.server, &response))?;
        if me["is_suspended"] == true {
            let why = "the account is suspended".to_owned();
            return Err(ConnectFault::AccountClosed { server: host, why });
        }
        connected(ask.server, &me, tokens).map(|one| vec![one]).ok_or_else(|| wrong_kind(ask.server))
    }
}

impl Reddit {
    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let body = json(response).unwrap_or_default();
        ConnectFault::from_answer(server, "Reddit", response, text_of(&body, "message"), self.clock.now_ms())
    }
}

/// The account with everything that is kept about it.
fn connected(server: &str, me: &Value, tokens: Tokens) -> Option<Connected> {
    let (id, name) = (text_of(me, "id"), text_of(me, "name"));
    let site = server::sibling(server, SERVER, SITE);
    let title = me.pointer("/subreddit/title").and_then(Value::as_str).filter(|title| !title.is_empty());
    (!id.is_empty() && !name.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id: format!("t2_{id}"),
        handle: format!("u/{name}"),
        display_name: title.unwrap_or(name).to_owned(),
        avatar_url: without_query(text_of(me, "icon_img")),
        profile_url: format!("{site}/user/{name}"),
        limits: limits(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra: Secret::default(),
    })
}

/// The query of a picture's address holds a signature that ends.
fn without_query(address: &str) -> String {
    Url::parse(address).map_or_else(
        |_| String::new(),
        |mut url| {
            url.set_query(None);
            url.into()
        },
    )
}

fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "Reddit" }
}

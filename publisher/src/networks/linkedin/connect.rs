//! Bringing accounts in: a member, or the organizations that a member may post for. LinkedIn binds no code to a
//! verifier for applications with a secret, so there is no PKCE here; the state alone protects the way back.
//!
//! <https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow>

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{
    super::{
        App, Secret,
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish, all_granted, app_of, tokens},
        server,
    },
    API, Call, Fault, Linkedin, RefreshFault, Session, Tokens, WEB, Who, errors, limits, wire, with_version,
};
use crate::networks::wire::{json, text_of};

/// Roles that may post (Organization Access Control, "Roles").
const POSTERS: [&str; 2] = ["ADMINISTRATOR", "CONTENT_ADMINISTRATOR"];

/// Organizations asked for at once.
const PAGE: usize = 100;

/// Pages read: nobody administers more.
const PAGES: usize = 10;

/// A token that was just made may be called revoked until it is known everywhere: how long to wait before each
/// further question.
const SETTLING: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(6)];

#[async_trait]
impl Connect for Linkedin {
    fn default_server(&self) -> &'static str {
        API
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = app_of(ask.app, ask.server, "LinkedIn")?;
        let web = server::sibling(ask.server, API, WEB);
        let fields = [
            ("response_type", "code"),
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", ask.redirect_uri),
            ("state", ask.state),
            ("scope", &self.scope()),
        ];
        // The page takes blanks between scopes only in this form.
        let address = server::address(web, "/oauth/v2/authorization", &fields).replace('+', "%20");
        Ok(Began { authorization_url: address, issuer: web.to_owned(), registration: Secret::default() })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = app_of(ask.app, ask.server, "LinkedIn")?;
        let host = server::host(server::sibling(ask.server, API, WEB));
        let fields =
            [("grant_type", "authorization_code"), ("code", ask.code), ("redirect_uri", ask.redirect_uri)];
        let response = self.put(ask.server, token_call(ask.server, app, "accessToken", &fields)).await?;
        let body = json(&response).unwrap_or_default();
        if response.status().as_u16() != 200 {
            let why = format!("{} {}", text_of(&body, "error"), text_of(&body, "error_description"));
            return Err(match (response.status().as_u16(), text_of(&body, "error")) {
                (_, "invalid_client") => ConnectFault::Refused {
                    server: host,
                    why: "the application's id or secret is wrong; correct it in the settings".into(),
                },
                (400 | 401, error) if !error.is_empty() => {
                    ConnectFault::CodeRefused { server: host, why: wire::short(&why).to_owned() }
                }
                _ => self.refusal(ask.server, &response),
            });
        }
        let tokens = tokens(&body, self.clock.now_ms())
            .ok_or_else(|| ConnectFault::WrongKind { server: host.clone(), network: "LinkedIn" })?;
        all_granted(ask.server, self.scopes(), text_of(&body, "scope"))?;
        match self.who {
            Who::Member => Ok(vec![self.member_of(ask.server, &tokens).await?]),
            Who::Organization => self.organizations_of(ask.server, &tokens).await,
        }
    }
}

impl Linkedin {
    fn scopes(&self) -> &'static [&'static str] {
        super::Network::facts(self).scopes
    }

    fn scope(&self) -> String {
        self.scopes().join(" ")
    }

    /// The member behind the token. Its subject is good for this application alone.
    async fn member_of(&self, server: &str, tokens: &Tokens) -> Result<Connected, ConnectFault> {
        let body = self.ask_settled(server, "/v2/userinfo", tokens).await?;
        let subject = text_of(&body, "sub");
        if subject.is_empty() {
            return Err(ConnectFault::WrongKind { server: server::host(server), network: "LinkedIn" });
        }
        let name = text_of(&body, "name");
        Ok(Connected {
            handle: if name.is_empty() { subject } else { name }.to_owned(),
            display_name: name.to_owned(),
            avatar_url: text_of(&body, "picture").to_owned(),
            ..bare(server, subject, tokens)
        })
    }

    /// Every organization that the member may post for.
    async fn organizations_of(&self, server: &str, tokens: &Tokens) -> Result<Vec<Connected>, ConnectFault> {
        let mut connected = Vec::new();
        for id in self.ids_of(server, tokens).await? {
            let body = self.ask_settled(server, &format!("/rest/organizations/{id}"), tokens).await?;
            let (name, vanity) = (text_of(&body, "localizedName"), text_of(&body, "vanityName"));
            let web = server::sibling(server, API, WEB);
            connected.push(Connected {
                handle: [vanity, name, &id]
                    .into_iter()
                    .find(|text| !text.is_empty())
                    .unwrap_or(&id)
                    .to_owned(),
                display_name: name.to_owned(),
                profile_url: format!("{web}/company/{id}/"),
                ..bare(server, &id, tokens)
            });
        }
        if connected.is_empty() {
            let missing = "no page that this person administers";
            return Err(ConnectFault::NothingToConnect { server: server::host(server), missing });
        }
        Ok(connected)
    }

    async fn ids_of(&self, server: &str, tokens: &Tokens) -> Result<Vec<String>, ConnectFault> {
        let mut ids: Vec<String> = Vec::new();
        for page in 0..PAGES {
            let start = page * PAGE;
            let path =
                format!("/rest/organizationAcls?q=roleAssignee&state=APPROVED&start={start}&count={PAGE}");
            let body = self.ask_settled(server, &path, tokens).await?;
            let elements = body.get("elements").and_then(Value::as_array).cloned().unwrap_or_default();
            for element in elements.iter().filter(|element| POSTERS.contains(&text_of(element, "role"))) {
                // Older versions say `organizationalTarget`.
                let named = ["organization", "organizationalTarget"].map(|name| text_of(element, name));
                let id = named.into_iter().find_map(|urn| urn.strip_prefix("urn:li:organization:"));
                let is_number = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
                if let Some(id) = id.filter(is_number)
                    && !ids.iter().any(|known| known == id)
                {
                    ids.push(id.to_owned());
                }
            }
            if elements.len() < PAGE {
                break;
            }
        }
        Ok(ids)
    }

    /// Reads something with a token that was just made.
    async fn ask_settled(&self, server: &str, path: &str, tokens: &Tokens) -> Result<Value, ConnectFault> {
        let call = || {
            let call = Call::get(server, path, &[]).bearer(tokens.access_token.expose());
            if path.starts_with("/rest/") { with_version(call) } else { call }
        };
        let mut response = self.put(server, call()).await?;
        for pause in SETTLING {
            if response.status().as_u16() != 401 {
                break;
            }
            tokio::time::sleep(pause).await;
            response = self.put(server, call()).await?;
        }
        json(&response)
            .filter(|_| response.status().is_success())
            .ok_or_else(|| self.refusal(server, &response))
    }

    async fn put(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let body = json(response).unwrap_or_default();
        ConnectFault::from_answer(
            server,
            "LinkedIn",
            response,
            text_of(&body, "message"),
            self.clock.now_ms(),
        )
    }

    /// Asks for a new access token with the refresh token.
    pub(super) async fn renew(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let Some(refresh) = session.refresh_token.as_ref().filter(|token| !token.is_empty()) else {
            let why =
                "LinkedIn gave no refresh token, as without its reviewed product; connect the account again";
            return Err(RefreshFault::Revoked(why.into()));
        };
        let Some(app) = &session.app else {
            let why = "no LinkedIn application is set up".into();
            return Err(RefreshFault::NotExecuted { why, retry_after: None });
        };
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let call = token_call(&session.server, app, "accessToken", &fields);
        let response = call.ask(&self.http).await.map_err(|e| wire::unrefreshed(&e))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => tokens(&body, self.clock.now_ms())
                .ok_or_else(|| RefreshFault::Lost("the answer holds no token".into())),
            (status, code) if errors::ends_session(status, code) => Err(RefreshFault::Revoked(code.into())),
            // The application is looked at before the token.
            (400 | 401, "invalid_client") => Err(RefreshFault::NotExecuted {
                why: "LinkedIn does not know the application's id and secret".into(),
                retry_after: None,
            }),
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }

    /// Ends the authorization.
    pub(super) async fn give_back(&self, session: &Session) -> Result<(), Fault> {
        let Some(app) = &session.app else { return Ok(()) };
        let fields = [("token", session.access_token.expose())];
        let response = token_call(&session.server, app, "revoke", &fields).read(&self.http).await?;
        match response.status().as_u16() {
            // A token or an application that is unknown there is of no use any more.
            200..=299 | 400 | 401 | 403 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }
}

fn token_call(server: &str, app: &App, path: &str, fields: &[(&str, &str)]) -> Call {
    let client = [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.expose())];
    Call::post(server::sibling(server, API, WEB), &format!("/oauth/v2/{path}"))
        .form(&[fields, &client].concat())
}

fn bare(server: &str, native_id: &str, tokens: &Tokens) -> Connected {
    let tokens = tokens.clone();
    Connected {
        server: server.to_owned(),
        native_id: native_id.to_owned(),
        handle: String::new(),
        display_name: String::new(),
        avatar_url: String::new(),
        profile_url: String::new(),
        limits: limits(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra: Secret::default(),
    }
}

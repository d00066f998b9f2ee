//! Bringing channels in: the app is installed in a workspace, and every channel that it may post to is an account.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish, all_granted, app_of},
        server,
        wire::Call,
    },
    SCOPES, SERVER, Secret, Session, Slack, errors, json, limits, method, text_of, wire,
};

/// Channels asked for at once, and how often.
const PAGE: &str = "200";
const PAGES: usize = 25;

/// What is kept beside a channel's token.
#[derive(Default, Serialize, Deserialize)]
struct Extra {
    /// Address of the workspace, without a slash at the end.
    workspace: String,
    /// Whether the app was in the channel already.
    member: bool,
}

fn extra(session: &Session) -> Extra {
    serde_json::from_str(session.extra.expose()).unwrap_or_default()
}

/// Where people read the workspace.
pub(super) fn workspace(session: &Session) -> String {
    extra(session).workspace
}

/// Whether the app was in the channel when it was connected.
pub(super) fn was_member(session: &Session) -> bool {
    extra(session).member
}

#[async_trait]
impl Connect for Slack {
    fn default_server(&self) -> &'static str {
        SERVER
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = app_of(ask.app, ask.server, "Slack")?;
        let scopes = SCOPES.join(",");
        let query = [
            ("client_id", app.client_id.as_str()),
            ("scope", &scopes),
            ("redirect_uri", ask.redirect_uri),
            ("state", ask.state),
        ];
        Ok(Began {
            authorization_url: server::address(ask.server, "/oauth/v2/authorize", &query),
            issuer: ask.server.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = app_of(ask.app, ask.server, "Slack")?;
        let fields = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", app.client_secret.expose()),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
        ];
        let host = server::host(ask.server);
        let granted =
            self.call(ask.server, Call::post(ask.server, "/api/oauth.v2.access").form(&fields)).await?;
        let token = text_of(&granted, "access_token");
        if token.is_empty() {
            return Err(wrong_kind(ask.server));
        }
        if !text_of(&granted, "refresh_token").is_empty() {
            let why = "this app rotates its tokens, and one pair cannot serve several channels; create the app with \
                       token rotation off"
                .to_owned();
            return Err(ConnectFault::Refused { server: host, why });
        }
        all_granted(ask.server, SCOPES, text_of(&granted, "scope"))?;
        let me = self.call(ask.server, method(ask.server, token, "auth.test").form(&[])).await?;
        let channels = self.channels(ask.server, token).await?;
        let team = (text_of(&me, "team_id"), text_of(&me, "team"));
        let workspace = text_of(&me, "url").trim_end_matches('/');
        let connected: Vec<_> = channels
            .iter()
            .filter_map(|channel| connected(ask.server, workspace, team, token, channel))
            .collect();
        if connected.is_empty() {
            let missing = "no channel that the app can see";
            return Err(ConnectFault::NothingToConnect { server: host, missing });
        }
        Ok(connected)
    }
}

impl Slack {
    /// Every channel that is in use: public ones, and private ones that the app was invited to.
    async fn channels(&self, server: &str, token: &str) -> Result<Vec<Value>, ConnectFault> {
        let mut channels = Vec::new();
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let mut fields = vec![
                ("types", "public_channel,private_channel"),
                ("exclude_archived", "true"),
                ("limit", PAGE),
            ];
            fields.extend((!cursor.is_empty()).then_some(("cursor", cursor.as_str())));
            let body = self.call(server, method(server, token, "conversations.list").form(&fields)).await?;
            channels.extend(body.get("channels").and_then(Value::as_array).into_iter().flatten().cloned());
            let next = body.pointer("/response_metadata/next_cursor").and_then(Value::as_str);
            let next = next.unwrap_or_default().to_owned();
            if next.is_empty() {
                break;
            }
            cursor = next;
        }
        channels.sort_by_key(|channel| channel["is_member"] != true);
        Ok(channels)
    }

    /// The answer of a method that did what it should.
    async fn call(&self, server: &str, call: Call) -> Result<Value, ConnectFault> {
        let response = call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))?;
        let body = json(&response).unwrap_or_default();
        if response.status().is_success() && body["ok"] == true {
            return Ok(body);
        }
        Err(self.refusal(server, &response, &body))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>, body: &Value) -> ConnectFault {
        let host = server::host(server);
        match errors::error(body) {
            why @ ("invalid_code" | "code_already_used" | "bad_redirect_uri") => {
                ConnectFault::CodeRefused { server: host, why: why.into() }
            }
            why @ ("invalid_client_id" | "bad_client_secret") => {
                let why = format!("{why}: the id and secret of the app are not those that Slack shows");
                ConnectFault::Refused { server: host, why }
            }
            "ratelimited" => ConnectFault::RateLimited {
                server: host,
                retry_after: wire::retry_after(response.headers(), self.clock.now_ms()),
            },
            why => ConnectFault::from_answer(server, "Slack", response, why, self.clock.now_ms()),
        }
    }
}

/// A channel with everything that is kept about it.
fn connected(
    server: &str,
    workspace: &str,
    (team_id, team): (&str, &str),
    token: &str,
    channel: &Value,
) -> Option<Connected> {
    let (id, name) = (text_of(channel, "id"), text_of(channel, "name"));
    let in_use = channel["is_archived"] != true && !id.is_empty() && !name.is_empty();
    let extra = Extra { workspace: workspace.to_owned(), member: channel["is_member"] == true };
    in_use.then(|| Connected {
        server: server.to_owned(),
        native_id: format!("{team_id}/{id}"),
        handle: format!("#{name}"),
        display_name: if team.is_empty() { name.to_owned() } else { format!("{name} ({team})") },
        avatar_url: String::new(),
        profile_url: if workspace.is_empty() { String::new() } else { format!("{workspace}/archives/{id}") },
        limits: limits(),
        access_token: Secret::new(token.to_owned()),
        refresh_token: None,
        access_expires_at: None,
        extra: Secret::new(serde_json::to_string(&extra).expect("a text and a boolean")),
    })
}

fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "Slack" }
}

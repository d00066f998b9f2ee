//! Bringing a Threads account in. The network has no refresh tokens: the access token itself is exchanged for a further
//! one, as long as it has not expired.

use async_trait::async_trait;

use super::{
    super::{
        Secret,
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
        server,
        wire::json,
    },
    Call, Threads,
    graph::{self, Login},
    limits, text_of,
};

/// Of <https://developers.facebook.com/docs/threads/get-started#threads-permissions>: the profile, posting, replying for
/// threads, finding one's own replies again, counts, deleting.
pub(super) const SCOPES: &[&str] = &[
    "threads_basic",
    "threads_content_publish",
    "threads_manage_replies",
    "threads_read_replies",
    "threads_manage_insights",
    "threads_delete",
];

const DEFAULT_SERVER: &str = "https://graph.threads.net";

pub(super) const NAME: &str = "Threads";

#[async_trait]
impl Connect for Threads {
    fn default_server(&self) -> &'static str {
        DEFAULT_SERVER
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let site = server::sibling(ask.server, DEFAULT_SERVER, "https://threads.net");
        self.api.login(ask.server, NAME).page((site, "/oauth/authorize"), &ask, SCOPES, &[])
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let login = self.api.login(ask.server, NAME);
        let app = login.app(ask.app)?;
        let granted = login.trade(ask.server, &ask, app).await?;
        let long = login.lengthen("th_exchange_token", app, text_of(&granted, "access_token")).await?;
        let fields = "id,username,name,threads_profile_picture_url";
        let account = told(&login, "/v1.0/me", fields, &long.access_token, "threads_basic").await?;
        // Answered only to those who may publish.
        let path = "/v1.0/me/threads_publishing_limit";
        let scope = "threads_content_publish";
        told(&login, path, "quota_usage,config", &long.access_token, scope).await?;
        let (native_id, username) = (graph::id_of(&account, "id"), text_of(&account, "username"));
        if native_id.is_empty() || username.is_empty() {
            return Err(login.wrong_kind());
        }
        Ok(vec![Connected {
            server: ask.server.to_owned(),
            native_id,
            handle: format!("@{username}"),
            display_name: text_of(&account, "name").to_owned(),
            avatar_url: text_of(&account, "threads_profile_picture_url").to_owned(),
            profile_url: format!("https://www.threads.net/@{username}"),
            limits: limits(),
            access_token: long.access_token,
            refresh_token: long.refresh_token,
            access_expires_at: long.access_expires_at,
            extra: Secret::default(),
        }])
    }
}

/// The body of a read that needs a scope.
async fn told(
    login: &Login<'_>,
    path: &str,
    fields: &str,
    token: &Secret,
    scope: &str,
) -> Result<serde_json::Value, ConnectFault> {
    let query = [("fields", fields), ("access_token", token.expose())];
    let response = login.call(Call::get(login.server, path, &query)).await?;
    match json(&response) {
        Some(body) if response.status().is_success() => Ok(body),
        _ if response.status().is_client_error() && graph::code_of(&response).starts_with("10/") => {
            Err(login.scopes_missing(&[scope]))
        }
        _ => Err(login.refused(&response)),
    }
}

//! Bringing a Threads account in, and renewing its token. The network has no refresh tokens: the access token itself is
//! exchanged for a further one, as long as it has not expired, and the old one goes on until its own end.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use postmesh_kit::http::Error as HttpError;
use serde_json::Value;

use super::{
    super::{
        connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
        server,
        wire::{json, text_of},
    },
    Call, RefreshFault, Secret, Session, Threads, Tokens, errors, graph, limits, wire,
};
use crate::networks::App;

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

/// A token is renewed this long before its end, or an eighth of its life where that is shorter: a server that was off
/// for some days still finds its accounts connected.
const EARLY_MS: i64 = 7 * 86_400_000;

#[async_trait]
impl Connect for Threads {
    fn default_server(&self) -> &'static str {
        DEFAULT_SERVER
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let site = server::sibling(ask.server, DEFAULT_SERVER, "https://threads.net");
        let query = [
            ("client_id", app(ask.app, ask.server)?.client_id.as_str()),
            ("redirect_uri", ask.redirect_uri),
            ("scope", &SCOPES.join(",")),
            ("response_type", "code"),
            ("state", ask.state),
        ];
        Ok(Began {
            authorization_url: server::address(site, "/oauth/authorize", &query),
            issuer: site.to_owned(),
            registration: Secret::default(),
        })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = app(ask.app, ask.server)?;
        let short = self.exchange(&ask, app).await?;
        let long = self.lengthen(ask.server, app, &short).await?;
        let token = [("access_token", long.access_token.expose())];
        let fields = [("fields", "id,username,name,threads_profile_picture_url")];
        let call = Call::get(ask.server, "/v1.0/me", &[fields.as_slice(), token.as_slice()].concat());
        let account = self.told(ask.server, &self.call(ask.server, call).await?, "threads_basic")?;
        // Answered only to those who may publish.
        let fields = [("fields", "quota_usage,config")];
        let path = "/v1.0/me/threads_publishing_limit";
        let call = Call::get(ask.server, path, &[fields.as_slice(), token.as_slice()].concat());
        self.told(ask.server, &self.call(ask.server, call).await?, "threads_content_publish")?;
        let (native_id, username) = (graph::id_of(&account, "id"), text_of(&account, "username"));
        if native_id.is_empty() || username.is_empty() {
            return Err(wrong_kind(ask.server));
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

impl Threads {
    /// The code for a token of an hour. The code may carry `#_`, which the network puts behind the address.
    async fn exchange(&self, ask: &Finish<'_>, app: &App) -> Result<Secret, ConnectFault> {
        let fields = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", app.client_secret.expose()),
            ("code", ask.code.trim_end_matches("#_")),
            ("grant_type", "authorization_code"),
            ("redirect_uri", ask.redirect_uri),
        ];
        let call = Call::post(ask.server, "/oauth/access_token").form(&fields);
        let response = self.call(ask.server, call).await?;
        let body = json(&response).unwrap_or_default();
        let why = text_of(&body, "error_message");
        match text_of(&body, "access_token") {
            token if response.status().is_success() && !token.is_empty() => Ok(Secret::new(token.to_owned())),
            _ if response.status().as_u16() == 400 && !why.is_empty() => Err(ConnectFault::CodeRefused {
                server: server::host(ask.server),
                why: wire::short(why).into(),
            }),
            _ => Err(self.refusal(ask.server, &response)),
        }
    }

    /// The token of an hour for one of 60 days.
    async fn lengthen(&self, server: &str, app: &App, short: &Secret) -> Result<Tokens, ConnectFault> {
        let query = [
            ("grant_type", "th_exchange_token"),
            ("client_secret", app.client_secret.expose()),
            ("access_token", short.expose()),
        ];
        let response = self.call(server, Call::get(server, "/access_token", &query)).await?;
        let tokens = json(&response).filter(|_| response.status().is_success());
        let tokens = tokens.and_then(|body| tokens_of(&body, self.clock.now_ms()));
        tokens.ok_or_else(|| self.refusal(server, &response))
    }

    /// A further token for the one at hand, which is at least a day old.
    pub(super) async fn renew(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let query = [("grant_type", "th_refresh_token"), ("access_token", session.access_token.expose())];
        let call = Call::get(&session.server, "/refresh_access_token", &query);
        // The token presented goes on in any case, so an answer that is lost has cost nothing.
        let kept = |why: String| RefreshFault::NotExecuted { why, retry_after: None };
        let response = call.ask(&self.http).await.map_err(|error: HttpError| kept(error.to_string()))?;
        let body = json(&response).unwrap_or_default();
        if response.status().is_success() {
            let tokens = tokens_of(&body, self.clock.now_ms());
            return tokens.ok_or_else(|| kept("the answer holds no token".into()));
        }
        let code = errors::code(&response);
        if response.status().is_client_error() && code.starts_with("190/") {
            let why = "the network says that the authorization has ended; connect the account again";
            return Err(RefreshFault::Revoked(why.into()));
        }
        Err(kept(format!("the server answered {} with code {code}", response.status())))
    }

    async fn call(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    /// The body of a read that needs a scope.
    fn told(&self, server: &str, response: &Response<Bytes>, scope: &str) -> Result<Value, ConnectFault> {
        let code = errors::code(response);
        match json(response) {
            Some(body) if response.status().is_success() => Ok(body),
            _ if response.status().is_client_error() && code.starts_with("10/") => {
                Err(ConnectFault::ScopesMissing { server: server::host(server), missing: scope.into() })
            }
            _ => Err(self.refusal(server, response)),
        }
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>) -> ConnectFault {
        let why = graph::refusal(response).map(|refusal| refusal.message).unwrap_or_default();
        ConnectFault::from_answer(server, "Threads", response, &why, self.clock.now_ms())
    }
}

/// The tokens of an answer. The access token renews itself, so it stands where others keep a refresh token.
fn tokens_of(body: &Value, now_ms: i64) -> Option<Tokens> {
    let token = Some(text_of(body, "access_token")).filter(|token| !token.is_empty())?;
    let life = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    let end = life.map(|seconds| {
        let life = seconds.saturating_mul(1000);
        now_ms.saturating_add(life - EARLY_MS.min(life / 8))
    });
    Some(Tokens {
        access_token: Secret::new(token.to_owned()),
        refresh_token: Some(Secret::new(token.to_owned())),
        access_expires_at: end,
    })
}

fn app<'a>(app: Option<&'a App>, server: &str) -> Result<&'a App, ConnectFault> {
    app.ok_or_else(|| ConnectFault::RegistrationVoid { server: server::host(server) })
}

fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "Threads" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_ends_for_us_a_week_before_it_ends_there() {
        let day = 86_400_000;
        let end = |seconds: i64| {
            let body = json!({ "access_token": "TH1", "token_type": "bearer", "expires_in": seconds });
            tokens_of(&body, 0).unwrap().access_expires_at.unwrap()
        };
        assert_eq!(end(60 * 86_400), 53 * day);
        assert_eq!(end(8), 7_000);
        let tokens = tokens_of(&json!({ "access_token": "TH1" }), 5).unwrap();
        assert_eq!(
            (tokens.access_expires_at, tokens.refresh_token.as_ref().map(Secret::expose)),
            (None, Some("TH1"))
        );
        assert!(tokens_of(&json!({ "access_token": "" }), 5).is_none());
    }
}

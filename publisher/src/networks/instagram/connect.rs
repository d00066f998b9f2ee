//! Bringing accounts in, by either login. Instagram's own gives the account's token, which lives sixty days and renews
//! itself; Facebook's shows the Pages that are linked to accounts, with a token of each that has no end of its own.
//!
//! <https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login> ·
//! <https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/get-started>.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::Value;
use url::Url;

use super::{
    super::connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
    Call, Door, Instagram, RefreshFault, Secret, Session, Tokens, VERSION,
    facebook::{self, connect as login},
    graph, json, limits, server, text_of, wire,
};
use crate::domain::outcome::Fault;

/// What is asked for with Instagram's own login.
pub(super) const OWN_SCOPES: [&str; 4] = [
    "instagram_business_basic",
    "instagram_business_content_publish",
    "instagram_business_manage_comments",
    "instagram_business_manage_insights",
];

/// What is asked for with Facebook's login.
pub(super) const FACEBOOK_SCOPES: [&str; 6] = [
    "instagram_basic",
    "instagram_content_publish",
    "instagram_manage_comments",
    "instagram_manage_insights",
    "pages_show_list",
    "pages_read_engagement",
];

const OWN_SERVER: &str = "https://graph.instagram.com";
const SITE: &str = "https://www.instagram.com";
const CODES: &str = "https://api.instagram.com";

const NAME: &str = "Instagram";

/// How long before its end a token counts as over, at most: it can renew itself only while it lives, so that there are
/// days left for trying again.
const MARGIN_MS: i64 = 7 * 86_400_000;

#[async_trait]
impl Connect for Instagram {
    fn default_server(&self) -> &'static str {
        match self.door {
            Door::Own => OWN_SERVER,
            Door::Facebook => facebook::DEFAULT_SERVER,
        }
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let app = ask.app.ok_or_else(|| login::wrong_kind(ask.server, NAME))?;
        let (authorization_url, issuer) = match self.door {
            Door::Own => {
                let site = server::sibling(ask.server, OWN_SERVER, SITE);
                let unreadable = |_| login::wrong_kind(ask.server, NAME);
                let mut url = Url::parse(&format!("{site}/oauth/authorize")).map_err(unreadable)?;
                url.query_pairs_mut().extend_pairs([
                    ("client_id", app.client_id.as_str()),
                    ("redirect_uri", ask.redirect_uri),
                    ("response_type", "code"),
                    ("scope", &OWN_SCOPES.join(",")),
                    ("state", ask.state),
                ]);
                (url.into(), site)
            }
            Door::Facebook => {
                let url = login::dialog(&ask, app, facebook::DEFAULT_SERVER, &FACEBOOK_SCOPES)?;
                (url, server::sibling(ask.server, facebook::DEFAULT_SERVER, facebook::SITE))
            }
        };
        Ok(Began { authorization_url, issuer: issuer.to_owned(), registration: Secret::default() })
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        match self.door {
            Door::Own => Ok(vec![self.finish_own(&ask).await?]),
            Door::Facebook => self.finish_facebook(&ask).await,
        }
    }
}

impl Instagram {
    async fn finish_own(&self, ask: &Finish<'_>) -> Result<Connected, ConnectFault> {
        let app = ask.app.ok_or_else(|| login::wrong_kind(ask.server, NAME))?;
        // The browser's address ends with `#_`, which people copy along.
        let code = ask.code.trim_end_matches("#_");
        let form = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", app.client_secret.expose()),
            ("grant_type", "authorization_code"),
            ("redirect_uri", ask.redirect_uri),
            ("code", code),
        ];
        let codes = server::sibling(ask.server, OWN_SERVER, CODES);
        let response =
            self.connecting(ask.server, Call::post(codes, "/oauth/access_token").form(&form)).await?;
        let body = json(&response).unwrap_or_default();
        let host = || server::host(ask.server);
        let why = text_of(&body, "error_message");
        if response.status().as_u16() == 400 && !why.is_empty() {
            return Err(ConnectFault::CodeRefused { server: host(), why: wire::short(why).to_owned() });
        }
        let body = self.answered(ask.server, &response)?;
        // Documented in a list of one, and met without it.
        let granted = body.pointer("/data/0").unwrap_or(&body);
        let short = text_of(granted, "access_token");
        let scopes = words(granted.get("permissions"));
        let missing: Vec<_> =
            OWN_SCOPES.into_iter().filter(|scope| !scopes.iter().any(|word| word == scope)).collect();
        if !scopes.is_empty() && !missing.is_empty() {
            return Err(ConnectFault::ScopesMissing { server: host(), missing: missing.join(", ") });
        }
        let query = [
            ("grant_type", "ig_exchange_token"),
            ("client_secret", app.client_secret.expose()),
            ("access_token", short),
        ];
        let response = self.connecting(ask.server, Call::get(ask.server, "/access_token", &query)).await?;
        let body = self.answered(ask.server, &response)?;
        let tokens = tokens(&body, self.clock.now_ms());
        let tokens = tokens.ok_or_else(|| login::wrong_kind(ask.server, NAME))?;
        let query = [("fields", "user_id,username,name,account_type,profile_picture_url")];
        let call = Call::get(ask.server, &format!("{VERSION}/me"), &query);
        let response = self.connecting(ask.server, call.bearer(tokens.access_token.expose())).await?;
        let me = self.answered(ask.server, &response)?;
        // `id` is another one for each application.
        let connected = account_of(ask.server, &me, &graph::id_of(&me, "user_id"), tokens, Secret::default());
        connected.ok_or_else(|| login::wrong_kind(ask.server, NAME))
    }

    async fn finish_facebook(&self, ask: &Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let app = ask.app.ok_or_else(|| login::wrong_kind(ask.server, NAME))?;
        let now_ms = self.clock.now_ms();
        let facebook = login::Login { http: &self.http, server: ask.server, network: NAME, now_ms };
        let person = facebook.finish(ask, app, &FACEBOOK_SCOPES).await?;
        let fields = "id,name,tasks,access_token,\
                      instagram_business_account{id,username,name,profile_picture_url}";
        let pages = facebook.accounts(&person, fields).await?;
        let connected: Vec<_> = pages
            .iter()
            .filter(|page| login::is_writable(page))
            .filter_map(|page| {
                let account = page.get("instagram_business_account")?;
                let access_token = Secret::new(text_of(page, "access_token"));
                let tokens = Tokens { access_token, refresh_token: None, access_expires_at: None };
                let extra = login::extra(&graph::id_of(page, "id"), &person);
                account_of(ask.server, account, &graph::id_of(account, "id"), tokens, extra)
            })
            .collect();
        if connected.is_empty() {
            let missing =
                "no professional Instagram account linked to a Page on which you may create content";
            return Err(ConnectFault::NothingToConnect { server: server::host(ask.server), missing });
        }
        Ok(connected)
    }

    /// The same token with a new life. Asking twice does no harm: the one presented lives on.
    pub(super) async fn renewed(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let query = [("grant_type", "ig_refresh_token"), ("access_token", session.access_token.expose())];
        let call = Call::get(&session.server, "/refresh_access_token", &query);
        let later = |why: String, retry_after| RefreshFault::NotExecuted { why, retry_after };
        let response = call.ask(&self.http).await.map_err(|error| later(error.to_string(), None))?;
        if response.status().is_success() {
            let tokens = tokens(&json(&response).unwrap_or_default(), self.clock.now_ms());
            return tokens.ok_or_else(|| later("the answer holds no token".into(), None));
        }
        match self.fault(&response) {
            Fault::TokenExpired | Fault::Reconnect { .. } => Err(RefreshFault::Revoked(
                "Instagram ended the authorization; connect the account again".into(),
            )),
            fault => Err(later(fault.to_string(), fault.throttled())),
        }
    }

    async fn connecting(&self, server: &str, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))
    }

    fn answered(&self, server: &str, response: &Response<Bytes>) -> Result<Value, ConnectFault> {
        if response.status().is_success() {
            return json(response).ok_or_else(|| login::wrong_kind(server, NAME));
        }
        Err(login::refused(server, NAME, response, self.clock.now_ms()))
    }
}

/// A token with its end. It renews itself, so it is its own refresh token.
fn tokens(body: &Value, now_ms: i64) -> Option<Tokens> {
    let token = Some(text_of(body, "access_token")).filter(|token| !token.is_empty())?;
    // Where none is told, sixty days.
    let seconds = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    let life = seconds.map_or(60 * 86_400_000, |seconds| seconds.saturating_mul(1000));
    Some(Tokens {
        access_token: Secret::new(token),
        refresh_token: Some(Secret::new(token)),
        access_expires_at: Some(now_ms.saturating_add(life - MARGIN_MS.min(life / 10))),
    })
}

/// An account with everything that is kept about it.
fn account_of(
    server: &str,
    account: &Value,
    native_id: &str,
    tokens: Tokens,
    extra: Secret,
) -> Option<Connected> {
    let username = text_of(account, "username");
    (!native_id.is_empty() && !username.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id: native_id.to_owned(),
        handle: format!("@{username}"),
        display_name: text_of(account, "name").to_owned(),
        avatar_url: text_of(account, "profile_picture_url").to_owned(),
        profile_url: format!("{SITE}/{username}/"),
        limits: limits(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra,
    })
}

/// Scopes as a list, or as a text with commas.
fn words(scopes: Option<&Value>) -> Vec<String> {
    match scopes {
        Some(Value::String(text)) => {
            text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    #[test]
    fn a_token_counts_as_over_days_before_its_end() {
        let body = object!({ "access_token": "a", "expires_in": 5_184_000 });
        let read = tokens(&body, 1_000).unwrap();
        assert_eq!(read.access_expires_at, Some(1_000 + 5_184_000_000 - 5_184_000_000 / 10));
        assert_eq!(read.refresh_token, Some(Secret::new("a")));
        let long = object!({ "access_token": "a", "expires_in": 100 * 86_400 });
        assert_eq!(tokens(&long, 0).unwrap().access_expires_at, Some(93 * 86_400_000));
        assert!(tokens(&object!({}), 0).is_none());
        assert_eq!(words(Some(&object!("a,b"))), ["a", "b"]);
        assert_eq!(words(Some(&object!(["a", "b"]))), ["a", "b"]);
    }
}

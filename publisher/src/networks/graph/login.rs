//! Connecting at Meta: calls whose refusals speak of connecting, and the tokens of Instagram's own login and of Threads,
//! which renew themselves while they live.
//!
//! <https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login> ·
//! <https://developers.facebook.com/docs/threads/get-started/long-lived-tokens>. Invariant: the token presented for another
//! one goes on until its own end, so an answer that is lost has cost nothing.

use bytes::Bytes;
use http::Response;
use postmesh_kit::http::GuardedClient;
use serde_json::Value;

use super::{
    super::{
        App,
        connect::{Began, Begin, ConnectFault, Finish},
    },
    Api, Call, RefreshFault, Secret, Session, Tokens, json,
    refusal::{is_throttled, refusal},
    server, text_of,
    usage::hold,
    wire,
};
use crate::domain::outcome::Fault;

/// How long before its end a token counts as over, at most: it can renew itself only while it lives, so that a server
/// that was off for some days still finds its accounts connected.
const MARGIN_MS: i64 = 7 * 86_400_000;

/// A login under way.
pub(in super::super) struct Login<'a> {
    http: &'a GuardedClient,
    pub(in super::super) server: &'a str,
    /// The network, as people call it.
    pub(in super::super) network: &'static str,
    pub(in super::super) now_ms: i64,
}

impl Api {
    /// Begins a login of a network at a server.
    pub(in super::super) fn login<'a>(&'a self, server: &'a str, network: &'static str) -> Login<'a> {
        Login { http: &self.http, server, network, now_ms: self.clock.now_ms() }
    }
}

impl Login<'_> {
    /// Our application, which every login here needs.
    pub(in super::super) fn app<'b>(&self, app: Option<&'b App>) -> Result<&'b App, ConnectFault> {
        app.ok_or_else(|| ConnectFault::RegistrationVoid { server: server::host(self.server) })
    }

    /// Where a person agrees, at that page of the network's site.
    pub(in super::super) fn page(
        &self,
        (site, path): (&str, &str),
        ask: &Begin<'_>,
        scopes: &[&str],
        more: &[(&str, &str)],
    ) -> Result<Began, ConnectFault> {
        let query = [
            ("client_id", self.app(ask.app)?.client_id.as_str()),
            ("redirect_uri", ask.redirect_uri),
            ("response_type", "code"),
            ("scope", &scopes.join(",")),
            ("state", ask.state),
        ];
        Ok(Began {
            authorization_url: server::address(site, path, &[&query, more].concat()),
            issuer: site.to_owned(),
            registration: Secret::default(),
        })
    }

    pub(in super::super) fn wrong_kind(&self) -> ConnectFault {
        ConnectFault::WrongKind { server: server::host(self.server), network: self.network }
    }

    pub(in super::super) fn scopes_missing(&self, missing: &[&str]) -> ConnectFault {
        ConnectFault::ScopesMissing { server: server::host(self.server), missing: missing.join(", ") }
    }

    pub(in super::super) fn code_refused(&self, why: &str) -> ConnectFault {
        ConnectFault::CodeRefused { server: server::host(self.server), why: wire::short(why).to_owned() }
    }

    pub(in super::super) async fn call(&self, call: Call) -> Result<Response<Bytes>, ConnectFault> {
        call.ask(self.http).await.map_err(|error| ConnectFault::from_http(self.server, &error))
    }

    pub(in super::super) async fn read(&self, call: Call) -> Result<Value, ConnectFault> {
        let response = self.call(call).await?;
        self.body(&response)
    }

    pub(in super::super) fn body(&self, response: &Response<Bytes>) -> Result<Value, ConnectFault> {
        if response.status().is_success() {
            return json(response).ok_or_else(|| self.wrong_kind());
        }
        Err(self.refused(response))
    }

    /// What a refusal without a meaning of its own means for connecting.
    pub(in super::super) fn refused(&self, response: &Response<Bytes>) -> ConnectFault {
        let refusal = refusal(response);
        if refusal.as_ref().is_some_and(|refusal| is_throttled(&refusal.code)) {
            let retry_after = hold(response.headers());
            return ConnectFault::RateLimited { server: server::host(self.server), retry_after };
        }
        let why = refusal.map(|refusal| refusal.message).unwrap_or_default();
        ConnectFault::from_answer(self.server, self.network, response, &why, self.now_ms)
    }

    /// What the host of codes gives for one: a token of an hour, and what belongs to it.
    pub(in super::super) async fn trade(
        &self,
        codes: &str,
        ask: &Finish<'_>,
        app: &App,
    ) -> Result<Value, ConnectFault> {
        let form = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", app.client_secret.expose()),
            ("grant_type", "authorization_code"),
            ("redirect_uri", ask.redirect_uri),
            // The browser's address ends with `#_`, which people copy along.
            ("code", ask.code.trim_end_matches("#_")),
        ];
        let response = self.call(Call::post(codes, "/oauth/access_token").form(&form)).await?;
        let body = json(&response).unwrap_or_default();
        let why = text_of(&body, "error_message");
        if response.status().as_u16() == 400 && !why.is_empty() {
            return Err(self.code_refused(why));
        }
        self.body(&response)
    }

    /// A token of an hour for one that lives for two months.
    pub(in super::super) async fn lengthen(
        &self,
        grant: &str,
        app: &App,
        short: &str,
    ) -> Result<Tokens, ConnectFault> {
        let query =
            [("grant_type", grant), ("client_secret", app.client_secret.expose()), ("access_token", short)];
        let body = self.read(Call::get(self.server, "/access_token", &query)).await?;
        tokens(&body, self.now_ms).ok_or_else(|| self.wrong_kind())
    }
}

/// A token with its end. It renews itself, so it is its own refresh token.
pub(in super::super) fn tokens(body: &Value, now_ms: i64) -> Option<Tokens> {
    let token = Some(text_of(body, "access_token")).filter(|token| !token.is_empty())?;
    // Where none is told, sixty days.
    let seconds = body.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    let life = seconds.map_or(60 * 86_400_000, |seconds| seconds.saturating_mul(1000));
    Some(Tokens {
        access_token: Secret::new(token),
        refresh_token: Some(Secret::new(token)),
        access_expires_at: Some(now_ms.saturating_add(life - MARGIN_MS.min(life / 8))),
    })
}

/// The same token with a new life; one younger than a day is refused, and asked for again later.
pub(in super::super) async fn renewed(
    api: &Api,
    session: &Session,
    grant: &str,
    network: &str,
) -> Result<Tokens, RefreshFault> {
    let query = [("grant_type", grant), ("access_token", session.access_token.expose())];
    let call = Call::get(&session.server, "/refresh_access_token", &query);
    let later = |why: String, retry_after| RefreshFault::NotExecuted { why, retry_after };
    let response = call.ask(&api.http).await.map_err(|error| later(error.to_string(), None))?;
    if response.status().is_success() {
        let tokens = tokens(&json(&response).unwrap_or_default(), api.clock.now_ms());
        return tokens.ok_or_else(|| later("the answer holds no token".into(), None));
    }
    match api.fault(&response) {
        Fault::TokenExpired | Fault::Reconnect { .. } => Err(RefreshFault::Revoked(format!(
            "{network} ended the authorization; connect the account again"
        ))),
        fault => Err(later(fault.to_string(), fault.throttled())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    #[test]
    fn a_token_counts_as_over_days_before_its_end() {
        let day = 86_400_000;
        let end = |body: Value| tokens(&body, 1_000).unwrap().access_expires_at.unwrap() - 1_000;
        assert_eq!(end(object!({ "access_token": "a", "expires_in": 60 * 86_400 })), 53 * day);
        assert_eq!(
            end(object!({ "access_token": "a", "expires_in": 8 })),
            7_000,
            "or an eighth of a short life"
        );
        assert_eq!(end(object!({ "access_token": "a" })), 53 * day);
        let read = tokens(&object!({ "access_token": "a" }), 0).unwrap();
        assert_eq!(read.refresh_token, Some(Secret::new("a")));
        assert!(tokens(&object!({ "access_token": "" }), 0).is_none());
    }
}

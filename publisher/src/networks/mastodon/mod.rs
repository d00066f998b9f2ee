//! Mastodon and what speaks its API (Pixelfed, GoToSocial, Pleroma, Akkoma): every account lives on a server of its own,
//! and the server says what it accepts. `dialect` holds what differs.
//!
//! <https://docs.joinmastodon.org/methods/> · `connect` finds the server and brings accounts in, `upload` brings media
//! up, `publish` builds the post, `read` looks back, `errors` says what a refusal proves. At Mastodon a lost answer is
//! settled by the `Idempotency-Key`, which servers remember for an hour; after that, and elsewhere, only the account's
//! own posts tell.

mod connect;
mod dialect;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod read;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_dialects;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use self::dialect::Dialect;
#[cfg(test)]
pub(super) use self::dialect::limits;
use super::{
    Facts, HandleMap, Handles, Network, PostMetrics, Ready, RefreshFault, Secret, Session, Tokens,
    limits::{Limits, Violation},
    wire::{self, Call, json, text_of},
};
use crate::{
    domain::{
        content::Content,
        delivery::{AttemptFacts, Work},
        outcome::{Answer, DeliveryClass, Fault, Found},
    },
    media::MediaSource,
    store::Armed,
};

/// The adapter.
#[derive(Clone)]
pub struct Mastodon {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
    dialect: &'static Dialect,
}

impl std::fmt::Debug for Mastodon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.dialect.facts.display_name)
    }
}

impl Mastodon {
    /// Mastodon and its forks, through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock, dialect: &dialect::MASTODON }
    }

    /// Pixelfed.
    #[must_use]
    pub fn pixelfed(&self) -> Self {
        Self { dialect: &dialect::PIXELFED, ..self.clone() }
    }

    /// `GoToSocial`.
    #[must_use]
    pub fn gotosocial(&self) -> Self {
        Self { dialect: &dialect::GOTOSOCIAL, ..self.clone() }
    }

    /// Pleroma and Akkoma.
    #[must_use]
    pub fn pleroma(&self) -> Self {
        Self { dialect: &dialect::PLEROMA, ..self.clone() }
    }

    /// An ordinary call; anything but a 2xx is a fault.
    async fn ask(&self, call: Call) -> Result<Response<Bytes>, Fault> {
        let response = call.read(&self.http).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.fault(&response)) }
    }

    fn fault(&self, response: &Response<Bytes>) -> Fault {
        wire::refused_read(errors::RULES, response, self.clock.now_ms())
    }
}

#[async_trait]
impl Network for Mastodon {
    fn facts(&self) -> &'static Facts {
        &self.dialect.facts
    }

    fn limits(&self) -> Limits {
        (self.dialect.limits)()
    }

    /// Nothing varies: the key is part of the work.
    fn plan(&self, _work: &Work) -> Value {
        Value::Object(serde_json::Map::new())
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(&self.dialect.facts, limits, content, position)
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        self.parent_step(session, work, handles).await?;
        let mut ids = Vec::with_capacity(work.content.media.len());
        for (i, item) in work.content.media.iter().enumerate() {
            ids.push(self.upload_step(session, work, item, i, media, handles).await?);
        }
        Ok(Ready::new(publish::body(work, &ids)))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let resend = armed.is_resend();
        let call = publish::request(session, &work.key, ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(&response, work.content.media.len(), resend, self.clock.now_ms()),
            Err(error) => wire::unanswered(&error),
        }
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        _handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        match self.matches(session, work, attempt).await {
            Ok(found) => match found.as_slice() {
                [] => Found::Absent,
                [one] => {
                    let evidence =
                        format!("the account's own posts hold it, created at {} ms", one.created_at);
                    Found::Live { native_id: one.id.clone(), url: one.url.clone(), evidence }
                }
                several => Found::Unsure { why: format!("{} posts of the account match", several.len()) },
            },
            Err(fault) => Found::Unread(fault),
        }
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        read::id_at(url)
    }

    /// Post by post: reading several at once exists only since Mastodon 4.3.
    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for native_id in native_ids {
            counts.push(self.counts(session, native_id).await?);
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let path = format!("/api/v1/statuses/{}", read::segment(native_id));
        let call = Call::new(Method::DELETE, super::server::address(&session.server, &path, &[]));
        let response = call.bearer(session.access_token.expose()).read(&self.http).await?;
        match response.status().as_u16() {
            200..=299 | 404 | 410 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }

    /// Servers of this family hand out tokens without an end; some relatives add one, and a refresh token.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let revoked =
            || RefreshFault::Revoked("the server ended the session; connect the account again".into());
        let refresh = session.refresh_token.as_ref().ok_or_else(revoked)?;
        let registration = connect::Registration::parse(session.extra.expose()).ok_or_else(revoked)?;
        let call =
            registration.token_call(&[("grant_type", "refresh_token"), ("refresh_token", refresh.expose())]);
        let response = call.ask(&self.http).await.map_err(|e| wire::unrefreshed(&e))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => connect::tokens(&body, self.clock.now_ms())
                .ok_or_else(|| RefreshFault::Lost("the server's answer holds no token".into())),
            (status, code) if errors::ends_session(status, code) => Err(RefreshFault::Revoked(code.into())),
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }

    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        let Some(registration) = connect::Registration::parse(session.extra.expose()) else { return Ok(()) };
        let call = registration.revocation_call(session.access_token.expose());
        let response = call.read(&self.http).await?;
        match response.status().as_u16() {
            // 401 and 403: the server has forgotten the application or the token, so neither is of use any more.
            200..=299 | 400 | 401 | 403 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }
}

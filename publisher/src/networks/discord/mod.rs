//! Discord channels through incoming webhooks: the user makes a webhook in the channel's settings and gives its address.
//!
//! <https://docs.discord.com/developers/resources/webhook> · `connect` takes the address, `publish` builds the message,
//! `errors` says what a refusal proves. A webhook has no idempotency key and cannot list messages, so nothing settles a
//! lost answer: the user is asked. **The token is part of every path and of nothing else.** `wait=true` always: without
//! it Discord answers before the message is stored, and says nothing when that fails.

mod connect;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready, RefreshFault,
    Secret, Session, Tokens,
    limits::{Counting, Limits, Permits, Violation},
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

/// Where the API answers, and where people read.
const SERVER: &str = "https://discord.com";

/// How a client introduces itself; others are blocked
/// (<https://docs.discord.com/developers/reference#user-agent>).
const AGENT: &str =
    concat!("DiscordBot (https://crates.io/crates/postmesh, ", env!("CARGO_PKG_VERSION"), ")");

const FACTS: Facts = Facts {
    id: "discord",
    display_name: "Discord",
    class: DeliveryClass::Nothing,
    connect: &[ConnectMethod::Token],
    needs_server: false,
    needs_app: false,
    scopes: &[],
    capabilities: Capabilities {
        text_only: true,
        alt_text: true,
        threads: false,
        metrics: true,
        delete: true,
        video: true,
        comments: false,
    },
    kinds: &[Kind::Text, Kind::Image, Kind::Carousel, Kind::Video],
    permits: PERMITS,
};

/// A webhook takes 30 messages a minute; the tighter window of two seconds tells of itself in headers
/// (<https://docs.discord.com/developers/topics/rate-limits>).
const PERMITS: &[Permits] = &[Permits::per_minutes(30, 1)];

/// What a webhook takes (<https://docs.discord.com/developers/resources/webhook#execute-webhook>, and
/// `reference#uploading-files` for files of servers without boosts).
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 2000,
        text_counting: Counting::Scalars,
        images: 10,
        image_bytes: 10 << 20,
        image_types: ["image/jpeg", "image/png", "image/gif", "image/webp"].map(String::from).to_vec(),
        alt_text_length: 1024,
        videos: 10,
        video_bytes: 10 << 20,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        mixed_media: 10,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Discord {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl Discord {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// A call about one message of the webhook.
    async fn about(
        &self,
        session: &Session,
        method: Method,
        native_id: &str,
    ) -> Result<Response<Bytes>, Fault> {
        let message: String = url::form_urlencoded::byte_serialize(native_id.as_bytes()).collect();
        let path =
            format!("{}/messages/{message}", webhook(&session.native_id, session.access_token.expose()));
        call(method, &session.server, &path, &[]).read(&self.http).await
    }
}

/// The path of a webhook.
fn webhook(id: &str, token: &str) -> String {
    format!("/api/v10/webhooks/{id}/{token}")
}

fn call(method: Method, server: &str, path: &str, query: &[(&str, &str)]) -> Call {
    Call::new(method, super::server::address(server, path, query)).header("user-agent", AGENT)
}

#[async_trait]
impl Network for Discord {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(limits, content, position)
    }

    /// Files travel with the one visible request, so there is nothing to do at the network beforehand.
    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        _handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        publish::body(session, work, media).await.map(Ready::new)
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let call = publish::request(session, work, ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(session, &response, self.clock.now_ms()),
            Err(error) => wire::unanswered(&error),
        }
    }

    async fn reconcile(
        &self,
        _session: &Session,
        _work: &Work,
        _handles: &HandleMap,
        _attempt: &AttemptFacts,
    ) -> Found {
        Found::Unsure { why: "Discord does not let a webhook read what its channel shows".into() }
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        publish::id_at(url)
    }

    /// Reactions of any kind count as likes; Discord tells nothing else.
    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for native_id in native_ids {
            let response = self.about(session, Method::GET, native_id).await?;
            let body = json(&response).unwrap_or_default();
            let found = response.status().is_success() && !text_of(&body, "id").is_empty();
            if !found && !errors::is_gone(&response, &body) {
                return Err(errors::fault(&response, self.clock.now_ms()));
            }
            let reactions = body.get("reactions").and_then(Value::as_array);
            let likes =
                reactions.into_iter().flatten().filter_map(|reaction| reaction["count"].as_i64()).sum();
            counts.push(PostMetrics { native_id: native_id.clone(), found, likes, ..PostMetrics::default() });
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let response = self.about(session, Method::DELETE, native_id).await?;
        let gone = errors::is_gone(&response, &json(&response).unwrap_or_default());
        if response.status().is_success() || gone {
            return Ok(());
        }
        Err(errors::fault(&response, self.clock.now_ms()))
    }

    /// A webhook's token does not end by itself and cannot be renewed.
    async fn refresh(&self, _session: &Session) -> Result<Tokens, RefreshFault> {
        Err(RefreshFault::Revoked("the webhook no longer exists; make a new one and connect it".into()))
    }

    /// A webhook was made by hand and may serve others too; whoever made it deletes it in the channel's settings.
    async fn revoke(&self, _session: &Session) -> Result<(), Fault> {
        Ok(())
    }
}

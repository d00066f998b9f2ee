//! Slack channels through a bot token: one login gives every channel that the app may post to, the user chooses.
//!
//! <https://docs.slack.dev/reference/methods> · `connect` brings channels in, `publish` builds the message, `files` uploads
//! beforehand, `read` looks back, `errors` says what a refusal proves. Refusals come with status 200. A message carries
//! our key in its metadata and files have ids of their own, so reading back settles a lost answer exactly.

mod connect;
mod errors;
mod files;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::{Value, json as object};

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

/// Where everything is.
const SERVER: &str = "https://slack.com";

/// Posting; seeing and joining channels; reading back what was posted; files and what became of them.
const SCOPES: &[&str] = &[
    "chat:write",
    "channels:read",
    "groups:read",
    "channels:join",
    "channels:history",
    "groups:history",
    "files:read",
    "files:write",
];

const FACTS: Facts = Facts {
    id: "slack",
    display_name: "Slack",
    class: DeliveryClass::ReadBack,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: SCOPES,
    capabilities: Capabilities {
        text_only: true,
        alt_text: true,
        threads: true,
        metrics: true,
        delete: true,
        video: true,
        comments: false,
    },
    kinds: &[Kind::Text, Kind::Image, Kind::Carousel, Kind::Video, Kind::Reply],
    permits: PERMITS,
};

/// About one message a second into a channel (<https://docs.slack.dev/apis/web-api/rate-limits#message>).
const PERMITS: &[Permits] = &[Permits::per_minutes(60, 1)];

/// What Slack takes (<https://docs.slack.dev/reference/methods/chat.postMessage>: longer texts are cut;
/// `files.getUploadURLExternal`: descriptions). Slack itself takes files up to 1 GB; ours travel in one request.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 40_000,
        text_counting: Counting::Utf16,
        images: 10,
        image_bytes: super::files::IN_MEMORY,
        image_types: ["image/jpeg", "image/png", "image/gif", "image/webp"].map(String::from).to_vec(),
        alt_text_length: 1000,
        videos: 10,
        video_bytes: super::files::IN_MEMORY,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        mixed_media: 10,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Slack {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl Slack {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// A method that makes nothing visible; its answer, or why it refused.
    async fn ask(&self, session: &Session, name: &str, fields: &[(&str, &str)]) -> Result<Value, Fault> {
        let call = method(&session.server, session.access_token.expose(), name).form(fields);
        let response = call.read(&self.http).await?;
        let body = json(&response).unwrap_or_default();
        if response.status().is_success() && body["ok"] == true {
            return Ok(body);
        }
        Err(errors::fault(&response, &body, self.clock.now_ms()))
    }
}

/// A call of a method of the Web API.
fn method(server: &str, token: &str, name: &str) -> Call {
    Call::post(server, &format!("/api/{name}")).bearer(token)
}

/// The channel of an account, whose id is `<workspace>/<channel>`.
fn channel(session: &Session) -> &str {
    session.native_id.rsplit('/').next().unwrap_or_default()
}

/// Channel and moment of a message, whose id is `<channel>/<ts>`. The moment is a text, never a number.
fn message(native_id: &str) -> (&str, &str) {
    native_id.split_once('/').unwrap_or_default()
}

#[async_trait]
impl Network for Slack {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(limits, content, position)
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        self.join_step(session, handles).await?;
        self.parent_step(session, work, handles).await?;
        let mut ids = Vec::with_capacity(work.content.media.len());
        for (i, item) in work.content.media.iter().enumerate() {
            ids.push(self.upload_step(session, work, item, i, media, handles).await?);
        }
        Ok(Ready::new(publish::body(session, work, &ids)))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let resend = armed.is_resend();
        let name = if work.content.media.is_empty() { publish::MESSAGE } else { publish::FILES };
        let call = method(&session.server, session.access_token.expose(), name)
            .body("application/json; charset=utf-8", ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(session, work, &response, resend, self.clock.now_ms()),
            Err(error) => wire::unanswered(&error),
        }
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        let found = if work.content.media.is_empty() {
            self.message_of(session, work, attempt).await
        } else {
            self.message_with(session, handles).await
        };
        found.unwrap_or_else(Found::Unread)
    }

    async fn poll(&self, session: &Session, _work: &Work, handle: &str) -> Answer {
        self.shared(session, handle).await.into()
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        publish::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for native_id in native_ids {
            counts.push(self.counts(session, native_id).await?);
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let (channel, ts) = message(native_id);
        let body = object!({ "channel": channel, "ts": ts });
        let call = method(&session.server, session.access_token.expose(), "chat.delete").json(&body);
        let response = call.read(&self.http).await?;
        let body = json(&response).unwrap_or_default();
        let gone = text_of(&body, "error") == "message_not_found";
        if response.status().is_success() && (body["ok"] == true || gone) {
            return Ok(());
        }
        Err(errors::fault(&response, &body, self.clock.now_ms()))
    }

    /// Tokens of apps without rotation do not end by themselves, and others are not connected.
    async fn refresh(&self, _session: &Session) -> Result<Tokens, RefreshFault> {
        Err(RefreshFault::Revoked("the token is no longer valid; connect the channel again".into()))
    }

    /// A workspace has one bot token, which serves every channel that was connected from it: ending it here would end the
    /// others too. The app is removed in the workspace's settings; forgetting the token is all there is to do.
    async fn revoke(&self, _session: &Session) -> Result<(), Fault> {
        Ok(())
    }
}

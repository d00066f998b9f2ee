//! Threads: a container is made, filled and made ready out of sight, and one small call publishes it.
//!
//! <https://developers.facebook.com/docs/threads> · `connect` brings accounts in, `container` is what is prepared, `publish`
//! the one visible request, `read` looks back, `errors` says what a refusal proves. A lost answer is settled by the
//! container: its status says whether it became a post, and publishing the same container again cannot make two.

mod connect;
mod container;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready, RefreshFault,
    Session, Tokens,
    graph::{self, Api, Bearer, Containers, Spare},
    limits::{Counting, Limits, Permits, Violation},
    wire::{self, Call, text_of},
};
use crate::{
    domain::{
        content::Content,
        delivery::{AttemptFacts, Work},
        outcome::{Answer, DeliveryClass, Fault, Found, Outcome},
    },
    media::MediaSource,
    store::Armed,
};

const FACTS: Facts = Facts {
    id: "threads",
    display_name: "Threads",
    class: DeliveryClass::Handle,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: connect::SCOPES,
    capabilities: Capabilities {
        text_only: true,
        alt_text: true,
        threads: true,
        metrics: true,
        delete: true,
        video: true,
        comments: false,
    },
    kinds: &[Kind::Text, Kind::Link, Kind::Image, Kind::Video, Kind::Carousel, Kind::Reply],
    permits: PERMITS,
};

/// 250 posts of a profile in 24 hours, a carousel counting once
/// (<https://developers.facebook.com/docs/threads/overview#rate-limits>). Replies have a limit of their own, 1000, which
/// is never reached under this one.
const PERMITS: &[Permits] = &[Permits::per_hours(250, 24)];

/// What the network accepts (<https://developers.facebook.com/docs/threads/overview#media-specifications>, and the
/// reference of the publishing endpoint for texts and descriptions).
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 500,
        text_counting: Counting::EmojiBytes,
        images: 20,
        image_bytes: 8_000_000,
        image_types: ["image/jpeg", "image/png"].map(String::from).to_vec(),
        alt_text_length: 1000,
        videos: 20,
        video_bytes: 1_000_000_000,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_max_ms: 300_000,
        mixed_media: 20,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone)]
pub struct Threads {
    api: Api,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Threads")
    }
}

impl Threads {
    /// Speaks through this client. Tokens are parameters here, as the network documents them.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        let (version, bearer) = ("/v1.0", Bearer::Parameter);
        Self { api: Api { http, clock, version, bearer, rules: errors::RULES } }
    }
}

#[async_trait]
impl Network for Threads {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    /// Nothing varies: the container is the handle.
    fn plan(&self, _work: &Work) -> Value {
        Value::Object(serde_json::Map::new())
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
        Ok(Ready::new(publish::prepared(&self.contain(session, work, media, handles).await?)))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let spare = Spare::of(&armed);
        let mut answer = match publish::request(session, &ready.request).publish(&self.api.http, armed).await
        {
            Ok(response) => publish::answer(&response, work, &ready.request, self.api.clock.now_ms()),
            Err(error) => return wire::unanswered(&error),
        };
        if let Outcome::Accepted { native_id, url } = &mut answer.outcome {
            *url = spare.read(self.api.permalink(session, native_id, read::PERMALINK)).await;
        }
        answer
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        self.look(session, work, handles, attempt).await.unwrap_or_else(Found::Unread)
    }

    /// Post by post: insights are read one by one.
    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for native_id in native_ids {
            counts.push(self.counts(session, native_id).await?);
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        self.api.delete(session, native_id).await
    }

    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        graph::renewed(&self.api, session, "th_refresh_token", connect::NAME).await
    }

    /// The network has no call that takes an authorization back: the user removes the application in the settings of
    /// the account, and the token ends by itself.
    async fn revoke(&self, _session: &Session) -> Result<(), Fault> {
        Ok(())
    }
}

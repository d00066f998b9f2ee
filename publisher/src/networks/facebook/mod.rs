//! Facebook Pages over the Graph API: text, links, photos, videos, reels, stories, and comments for further parts.
//!
//! <https://developers.facebook.com/docs/pages-api/posts> · `connect` brings a login's Pages in, `publish` builds the one
//! visible request of each kind, `upload` puts photos and videos there unseen, `video` follows videos, `read` looks back,
//! `address` knows what posts are called, `errors` says what a refusal proves. Everything but that request is invisible: photos are uploaded unpublished, reels and video stories
//! are drafts until they are finished. Facebook knows no key for a post, so a lost answer is settled by reading back:
//! by the id of the photo, reel or story video, which was stored before, else by the text.

mod address;
pub(super) mod connect;
mod errors;
#[cfg(test)]
pub(super) mod proof;
mod publish;
mod read;
#[cfg(test)]
mod tests;
mod upload;
mod video;

use std::sync::Arc;

use async_trait::async_trait;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready, RefreshFault,
    Secret, Session, Tokens,
    graph::{self, Api, Bearer, Spare},
    limits::{Counting, Limits, Violation},
    server,
    wire::{self, Call, Rule, json, text_of},
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

/// The API; the dialog is at another host.
pub(super) const DEFAULT_SERVER: &str = "https://graph.facebook.com";

/// Where people read posts, and where they are asked.
pub(super) const SITE: &str = "https://www.facebook.com";

/// The version every call names; one that names none runs on what the developer page says.
pub(super) const VERSION: &str = "/v26.0";

const NAME: &str = "Facebook";

const FACTS: Facts = Facts {
    id: "facebook",
    display_name: NAME,
    class: DeliveryClass::ReadBack,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: &connect::SCOPES,
    capabilities: Capabilities {
        text_only: true,
        alt_text: true,
        threads: true,
        metrics: true,
        delete: true,
        video: true,
        comments: true,
    },
    kinds: &[
        Kind::Text,
        Kind::Link,
        Kind::Image,
        Kind::Carousel,
        Kind::Video,
        Kind::Reel,
        Kind::Story,
        Kind::Comment,
    ],
    // Feed posts have no published number; 30 reels of a Page in 24 hours hold for reels alone
    // (<https://developers.facebook.com/docs/video-api/guides/reels-publishing>).
    permits: &[],
};

/// What a Page accepts. The length of a message is not documented: 63 206 characters is what Facebook has been seen to
/// take. Pictures: <https://developers.facebook.com/docs/graph-api/reference/page/photos/> says 10 MB, the error text of
/// 1366046 says 4 MB; ten of them in a post is what its own composer takes. Videos:
/// <https://developers.facebook.com/docs/video-api/guides/publishing>, and MP4 alone:
/// <https://developers.facebook.com/docs/graph-api/guides/upload>.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 63_206,
        text_counting: Counting::Scalars,
        comment_length: 8_000,
        title_length: 255,
        images: 10,
        image_bytes: 4_000_000,
        image_types: ["image/jpeg", "image/png"].map(String::from).to_vec(),
        videos: 1,
        video_bytes: 10_000_000_000,
        video_types: vec!["video/mp4".into()],
        video_max_ms: 4 * 3_600_000,
        ..Limits::default()
    }
}

/// The way to Facebook's Graph, which Instagram has as well.
pub(super) fn api(http: GuardedClient, clock: Arc<dyn Clock>, rules: &'static [Rule]) -> Api {
    Api { http, clock, version: VERSION, bearer: Bearer::Header, rules }
}

/// The adapter.
#[derive(Clone)]
pub struct Facebook {
    api: Api,
}

impl std::fmt::Debug for Facebook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NAME)
    }
}

impl Facebook {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { api: api(http, clock, errors::RULES) }
    }
}

#[async_trait]
impl Network for Facebook {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    /// Nothing varies: ids come from the network and are stored as handles.
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
        self.get_ready(session, work, media, handles).await
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let (resend, spare) = (armed.is_resend(), Spare::of(&armed));
        let call = self.request(session, work, ready.request.clone());
        let mut answer = match call.publish(&self.api.http, armed).await {
            Ok(response) => publish::answer(&response, work, ready, resend, self.api.clock.now_ms()),
            Err(error) => return wire::unanswered(&error),
        };
        if let Outcome::Accepted { native_id, url } = &mut answer.outcome {
            let told = spare.read(self.address(session, work, native_id)).await;
            if !told.is_empty() {
                *url = told;
            }
        }
        answer
    }

    async fn poll(&self, session: &Session, work: &Work, handle: &str) -> Answer {
        self.processed(session, work, handle).await.into()
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        self.look_back(session, work, handles, attempt).await.unwrap_or_else(Found::Unread)
    }

    fn id_in(&self, account_native_id: &str, url: &str) -> Option<String> {
        address::id_at(account_native_id, url)
    }

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

    /// A Page's token has no end of its own; when it does end, the person's token may still give another one.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        connect::another_page_token(&self.api, session).await
    }

    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        connect::end_authorization(&self.api, session).await
    }
}

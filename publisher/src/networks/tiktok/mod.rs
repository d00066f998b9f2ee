//! TikTok: videos, whose last bytes publish them, and photos, which the network fetches from addresses.
//!
//! <https://developers.tiktok.com/doc/content-posting-api-get-started> · `connect` brings accounts in and renews their
//! tokens, `video` uploads, `photos` shares, `post` holds what both have in common, `status` asks what became of them,
//! `errors` says what a refusal proves. A lost answer about a video is settled by its publish id, which is known before
//! the last bytes leave. The call that names photos is the one that publishes them, and nothing can be asked before its
//! answer: when that is lost, only the list of public posts may still show them, and nothing ever shows their absence.

mod connect;
mod errors;
mod photos;
mod post;
#[cfg(test)]
pub(crate) mod proof;
mod status;
#[cfg(test)]
mod tests;
mod video;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready, RefreshFault,
    Secret, Session, Tokens,
    limits::{Counting, Limits, Permits, Violation},
    wire::{self, Call},
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

const FACTS: Facts = Facts {
    id: "tiktok",
    display_name: "TikTok",
    class: DeliveryClass::Handle,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: connect::SCOPES,
    capabilities: Capabilities {
        text_only: false,
        alt_text: false,
        threads: false,
        metrics: true,
        delete: false,
        video: true,
        comments: false,
    },
    kinds: &[Kind::Video, Kind::Image, Kind::Carousel],
    permits: PERMITS,
};

/// About 15 posts of a creator in 24 hours over all applications
/// (<https://developers.tiktok.com/doc/content-sharing-guidelines>), and 6 beginnings of a post in a minute
/// (<https://developers.tiktok.com/doc/content-posting-api-reference-direct-post>).
const PERMITS: &[Permits] = &[Permits::per_hours(15, 24), Permits::per_minutes(6, 1)];

/// What the network accepts (<https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide>, and the
/// reference of direct posts for texts). The text is that of a video; the description of photos may be longer.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 2200,
        text_counting: Counting::Utf16,
        title_length: 90,
        media_required: true,
        images: 35,
        image_bytes: 20_000_000,
        image_pixels: 2_073_600,
        image_types: ["image/jpeg", "image/webp"].map(String::from).to_vec(),
        videos: 1,
        video_bytes: 4_000_000_000,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_min_ms: 3_000,
        video_max_ms: 600_000,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone)]
pub struct Tiktok {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Tiktok {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tiktok")
    }
}

impl Tiktok {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// A call that makes nothing visible; its `data`. Success is the code `ok`, whatever the status.
    async fn ask(&self, call: Call) -> Result<Value, Fault> {
        let response = call.read(&self.http).await?;
        errors::data(&response).ok_or_else(|| errors::fault(&response, self.clock.now_ms()))
    }

    /// A call with the account's token and a JSON body.
    fn post(session: &Session, path: &str, body: impl Into<Bytes>) -> Call {
        Call::post(&session.server, path)
            .bearer(session.access_token.expose())
            .body("application/json; charset=UTF-8", body)
    }
}

#[async_trait]
impl Network for Tiktok {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    /// Nothing varies: what must stay the same is in the handles.
    fn plan(&self, _work: &Work) -> Value {
        Value::Object(serde_json::Map::new())
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        post::validate(limits, content, position)
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let creator = self.creator_step(session, work, handles).await?;
        let request = match work.content.media.first() {
            Some(item) if item.is_video() => {
                self.upload_step(session, work, item, creator.as_ref(), media, handles).await?
            }
            _ => photos::share_step(session, work, creator.as_ref(), media, handles).await?,
        };
        Ok(Ready::new(request.written()))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let Some(request) = post::Request::read(&ready.request) else {
            return wire::unanswered(&postmesh_kit::http::Error::Malformed(
                "the request cannot be read".into(),
            ));
        };
        let now_ms = self.clock.now_ms();
        match request.call(session).publish(&self.http, armed).await {
            Ok(response) if post::is_video(work) => video::answer(&response, &request, now_ms),
            Ok(response) => photos::answer(&response, &request, now_ms),
            Err(error) => wire::unanswered(&error),
        }
    }

    async fn poll(&self, session: &Session, work: &Work, handle: &str) -> Answer {
        self.follow(session, work, handle).await
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        let found = match video::Upload::parse(handles.get(video::UPLOAD)) {
            Some(upload) if post::is_video(work) => self.look(session, work, upload).await,
            // Photos have no handle, and that of a video may be lost.
            _ => self.look_in_list(session, work, attempt).await,
        };
        found.unwrap_or_else(Found::Unread)
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        status::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        self.counts(session, native_ids).await
    }

    /// The network's interface has no call that deletes.
    async fn delete(&self, _session: &Session, _native_id: &str) -> Result<(), Fault> {
        Err(Fault::Rejected {
            code: "CANNOT_DELETE".into(),
            message: "TikTok lets no application delete posts. Delete it in the app.".into(),
        })
    }

    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        self.renew(session).await
    }

    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        self.give_back(session).await
    }
}

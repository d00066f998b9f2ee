//! Instagram's professional accounts: pictures, carousels, reels, stories, and comments for further parts. One adapter,
//! registered twice: with Instagram's own login and with Facebook's, which differ in host, tokens and deletion.
//!
//! <https://developers.facebook.com/docs/instagram-platform/content-publishing> · `connect` is both logins, `container`
//! what is prepared, `publish` the one visible request, `read` looks back, `errors` says what a refusal proves. Media
//! are fetched by the network from a public address into a container, which nobody sees; publishing a container is
//! keyed by its id, and the container tells afterwards whether it was published. So a container is never replaced once
//! its publication was asked for. Comments have no container: one whose answer was lost is looked for and never sent
//! again.

mod connect;
mod container;
mod errors;
#[cfg(test)]
pub(super) mod proof;
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
    Secret, Session, Tokens, facebook,
    graph::{self, Api, Containers, Spare},
    limits::{Counting, Limits, Permits, Violation},
    server,
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

const CAPABILITIES: Capabilities = Capabilities {
    text_only: false,
    alt_text: true,
    threads: true,
    metrics: true,
    delete: false,
    video: true,
    comments: true,
};

const KINDS: &[Kind] = &[Kind::Image, Kind::Carousel, Kind::Reel, Kind::Story, Kind::Comment];

/// The reference of `content_publishing_limit` says 50 in 24 hours, the guide 100: the smaller number is safe
/// (<https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/content_publishing_limit>).
const PERMITS: &[Permits] = &[Permits::per_hours(50, 24)];

const OWN: Facts = Facts {
    id: "instagram",
    display_name: "Instagram",
    class: DeliveryClass::Handle,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: &connect::OWN_SCOPES,
    capabilities: CAPABILITIES,
    kinds: KINDS,
    permits: PERMITS,
};

const BY_FACEBOOK: Facts = Facts {
    id: "instagram_facebook",
    display_name: "Instagram (Facebook login)",
    scopes: &connect::FACEBOOK_SCOPES,
    capabilities: Capabilities { delete: true, ..CAPABILITIES },
    ..OWN
};

/// What an account accepts
/// (<https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media>, "image
/// specifications", "reel specifications", "limitations"; comments:
/// <https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments>).
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 2200,
        text_counting: Counting::Scalars,
        comment_length: 300,
        hashtags: 30,
        mentions: 20,
        media_required: true,
        images: 10,
        image_bytes: 8_000_000,
        image_types: vec!["image/jpeg".to_owned()],
        alt_text_length: 1000,
        videos: 10,
        video_bytes: 300_000_000,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_min_ms: 3_000,
        video_max_ms: 900_000,
        mixed_media: 10,
        ..Limits::default()
    }
}

/// Where people see posts, and where they agree to its own login.
const SITE: &str = "https://www.instagram.com";

/// Which login accounts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Instagram's own.
    Own,
    /// Facebook's, by a Page that is linked to the account.
    Facebook,
}

/// The adapter.
#[derive(Clone)]
pub struct Instagram {
    api: Api,
    door: Door,
}

impl std::fmt::Debug for Instagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Instagram").field(&self.door).finish()
    }
}

impl Instagram {
    /// With Instagram's own login; speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { api: facebook::api(http, clock, errors::RULES), door: Door::Own }
    }

    /// The same with Facebook's login.
    #[must_use]
    pub fn by_facebook(&self) -> Self {
        Self { door: Door::Facebook, ..self.clone() }
    }
}

#[async_trait]
impl Network for Instagram {
    fn facts(&self) -> &'static Facts {
        match self.door {
            Door::Own => &OWN,
            Door::Facebook => &BY_FACEBOOK,
        }
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
            Ok(response) => publish::answer(&response, work, resend, self.api.clock.now_ms()),
            Err(error) => return wire::unanswered(&error),
        };
        // Comments have no address of their own.
        if let (Outcome::Accepted { native_id, url }, None) = (&mut answer.outcome, &work.reply) {
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
        self.look_back(session, work, handles, attempt).await.unwrap_or_else(Found::Unread)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for native_id in native_ids {
            counts.push(self.counts(session, native_id).await?);
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        if self.door == Door::Own {
            let message =
                "Instagram deletes nothing for accounts connected with its own login. Delete it in \
                           the app, or connect the account with Facebook's login."
                    .into();
            return Err(Fault::Rejected { code: "CANNOT_DELETE".into(), message });
        }
        self.api.delete(session, native_id).await
    }

    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        match self.door {
            Door::Own => graph::renewed(&self.api, session, "ig_refresh_token", connect::NAME).await,
            Door::Facebook => facebook::connect::another_page_token(&self.api, session).await,
        }
    }

    /// Instagram's own login knows no call for it: the person takes it back in the app's settings.
    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        match self.door {
            Door::Own => Ok(()),
            Door::Facebook => facebook::connect::end_authorization(&self.api, session).await,
        }
    }
}

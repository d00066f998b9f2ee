//! X: posts, threads of replies, pictures, animations and videos through the API v2.
//!
//! <https://docs.x.com/x-api> · `connect` brings accounts in, `publish` checks and builds the post, `upload` brings its
//! media up, `read` looks back, `errors` says what a refusal proves. X takes no idempotency key, so a lost answer is
//! settled by reading the account's own posts back (class D), and by the refusal of a repetition as a duplicate.

mod connect;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod read;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    App, Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready,
    RefreshFault, Secret, Session, Tokens,
    limits::{Counting, Limits, Permits, Violation},
    server,
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

/// Where the API is.
const API: &str = "https://api.x.com";

/// Where people are: the authorization page and the posts.
const SITE: &str = "https://x.com";

/// What publishing, looking back and naming the account need; the last one gives a refresh token.
const SCOPES: &[&str] = &["tweet.read", "tweet.write", "users.read", "media.write", "offline.access"];

const FACTS: Facts = Facts {
    id: "x",
    display_name: "X",
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
    kinds: &[Kind::Text, Kind::Link, Kind::Image, Kind::Carousel, Kind::Video, Kind::Reply],
    permits: PERMITS,
};

/// 100 posts of a user in 15 minutes (<https://docs.x.com/x-api/fundamentals/rate-limits>), and 300 posts and reposts in
/// 3 hours across all apps (<https://help.x.com/en/rules-and-policies/x-limits>).
const PERMITS: &[Permits] = &[Permits::per_minutes(100, 15), Permits::per_hours(300, 3)];

/// Most ids that one lookup takes (<https://docs.x.com/x-api/posts/get-posts-by-ids>).
const POSTS_AT_ONCE: usize = 100;

/// What an account accepts that does not pay for more. Text: <https://docs.x.com/fundamentals/counting-characters>;
/// media: <https://docs.x.com/x-api/media/quickstart/best-practices>; alt text: the metadata endpoint's schema.
/// Megabytes are counted as a million bytes, the smaller of both readings.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 280,
        text_counting: Counting::Weighted,
        link_length: 23,
        images: 4,
        image_bytes: 5_000_000,
        image_types: ["image/jpeg", "image/png", "image/webp", "image/gif"].map(String::from).to_vec(),
        alt_text_length: 1000,
        videos: 1,
        video_bytes: 512_000_000,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_min_ms: 500,
        video_max_ms: 140_000,
        ..Limits::default()
    }
}

/// Text of accounts that pay for long posts, weighted (<https://docs.x.com/fundamentals/counting-characters>).
const LONG_TEXT: i32 = 25_000;

/// The adapter.
#[derive(Clone, Debug)]
pub struct X {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl X {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// An ordinary call as the account; anything but a 2xx is a fault.
    async fn ask(&self, session: &Session, call: Call) -> Result<Value, Fault> {
        let response = call.bearer(session.access_token.expose()).read(&self.http).await?;
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        json(&response).ok_or_else(wire::unreadable)
    }

    fn fault(&self, response: &Response<Bytes>) -> Fault {
        errors::fault(response, self.clock.now_ms())
    }
}

#[async_trait]
impl Network for X {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(limits, content, position)
    }

    /// Uploads. The parent of a reply is not looked for: X refuses replies to what is gone, and every read costs.
    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let mut ids = Vec::with_capacity(work.content.media.len());
        for (i, item) in work.content.media.iter().enumerate() {
            ids.push(self.media_step(session, work, item, i, media, handles).await?);
        }
        Ok(Ready::new(publish::body(work, &ids)))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let resend = armed.is_resend();
        let call = Call::post(&session.server, "/2/tweets")
            .bearer(session.access_token.expose())
            .body("application/json", ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(&response, session, work, resend, self.clock.now_ms()),
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
                [one] => Found::Live {
                    native_id: one.id.clone(),
                    url: publish::page(session, &one.id),
                    evidence: format!("the account's own posts hold it, created at {} ms", one.created_at),
                },
                several => Found::Unsure { why: format!("{} posts of the account match", several.len()) },
            },
            Err(fault) => Found::Unread(fault),
        }
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        read::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for ids in native_ids.chunks(POSTS_AT_ONCE) {
            let query = [("ids", ids.join(",")), ("tweet.fields", "public_metrics".to_owned())];
            let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
            let body = self.ask(session, Call::get(&session.server, "/2/tweets", &query)).await?;
            counts.extend(read::counts(ids, &body));
        }
        Ok(counts)
    }

    /// Deleting what is not there is answered like deleting what is.
    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let path = format!("/2/tweets/{}", read::segment(native_id));
        let call = Call::new(Method::DELETE, server::address(&session.server, &path, &[]));
        let response = call.bearer(session.access_token.expose()).read(&self.http).await?;
        match response.status().as_u16() {
            200..=299 | 404 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }

    /// Rotating: each refresh token works once.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let refresh = session.refresh_token.as_ref().filter(|token| !token.is_empty());
        let Some(refresh) = refresh else {
            return Err(RefreshFault::Revoked("the account was connected without offline access".into()));
        };
        let Some(app) = &session.app else {
            let why = "no application is set for X".to_owned();
            return Err(RefreshFault::NotExecuted { why, retry_after: None });
        };
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let call = connect::token_call(&session.server, "/2/oauth2/token", app, &fields);
        let response = call.ask(&self.http).await.map_err(|error| wire::unrefreshed(&error))?;
        let now_ms = self.clock.now_ms();
        let body = json(&response).unwrap_or_default();
        let status = response.status().as_u16();
        match (status, text_of(&body, "error"), text_of(&body, "error_description")) {
            (200, ..) => super::connect::tokens(&body, now_ms)
                .ok_or_else(|| RefreshFault::Lost("X's answer holds no tokens".into())),
            (status, error, description) if errors::ends_session(status, error, description) => {
                Err(RefreshFault::Revoked("X no longer knows the authorization".into()))
            }
            // The application is looked at before the token.
            (400 | 401, "unauthorized_client" | "invalid_client", _) => {
                let why = "X does not know the application or its secret".to_owned();
                Err(RefreshFault::NotExecuted { why, retry_after: None })
            }
            _ => Err(wire::refused_refresh(&response, now_ms)),
        }
    }

    /// Both tokens: ending one does not end the other.
    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        let Some(app) = &session.app else { return Ok(()) };
        for token in session.refresh_token.iter().chain([&session.access_token]) {
            let fields = [("token", token.expose())];
            let call = connect::token_call(&session.server, "/2/oauth2/revoke", app, &fields);
            let response = call.read(&self.http).await?;
            // 400: it is over already. 401: the application is another one now, so the tokens are of no use.
            if !matches!(response.status().as_u16(), 200..=299 | 400 | 401) {
                return Err(self.fault(&response));
            }
        }
        Ok(())
    }
}

//! YouTube: one video per post through a resumable upload, further parts of a thread as comments below it.
//!
//! <https://developers.google.com/youtube/v3/docs> · `connect` brings channels in, `video` checks a post and builds its
//! metadata, `upload` brings the bytes up and sends the last of them, `thumbnail` sets the picture before it plays,
//! `comment` writes comments, `read` looks back, `errors` says what a refusal proves. Nothing is on the channel before the
//! last byte; the session's address, kept first and sealed, tells ever after what became of it: class B.

mod comment;
mod connect;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod read;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_thumbnail;
mod thumbnail;
mod upload;
mod video;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    App, Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready,
    RefreshFault, Secret, Session, Tokens,
    limits::{Counting, Limits, Violation},
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
const API: &str = "https://www.googleapis.com";
/// Where people agree.
const ACCOUNTS: &str = "https://accounts.google.com";
/// Where tokens come from.
const TOKENS: &str = "https://oauth2.googleapis.com";
/// Where people watch.
const SITE: &str = "https://www.youtube.com";

/// The one scope that uploads, lists, deletes and comments (the `scopes` of each method in the API's discovery document).
const SCOPE: &str = "https://www.googleapis.com/auth/youtube.force-ssl";

const FACTS: Facts = Facts {
    id: "youtube",
    display_name: "YouTube",
    class: DeliveryClass::Handle,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: &[SCOPE],
    capabilities: Capabilities {
        text_only: false,
        alt_text: false,
        threads: true,
        metrics: true,
        delete: true,
        video: true,
        comments: true,
    },
    kinds: &[Kind::Video, Kind::Reel, Kind::Comment],
    // A channel's own daily limit is not documented, and the quota is the application's
    // (<https://developers.google.com/youtube/v3/determine_quota_cost>): it is told by refusals.
    permits: &[],
};

/// Most ids that one list takes (`maxItems` of `id` at videos.list and comments.list).
const IDS_AT_ONCE: usize = 50;

/// <https://developers.google.com/youtube/v3/docs/videos> for title and description, `maxSize` of videos.insert for the
/// file, and <https://support.google.com/youtube/answer/71673> for its length. Characters are counted as UTF-16 units,
/// the larger of the possible readings.
pub(super) fn limits() -> Limits {
    Limits {
        text_counting: Counting::Utf16,
        text_bytes: 5000,
        comment_length: 10_000,
        title_length: 100,
        media_required: true,
        videos: 1,
        video_bytes: 274_877_906_944,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_max_ms: 43_200_000,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone)]
pub struct Youtube {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
    /// Where thumbnails come from, after a video is there; `prepare` is handed the place of the video itself.
    media: Option<MediaSource>,
}

impl std::fmt::Debug for Youtube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Youtube")
    }
}

impl Youtube {
    /// Speaks through this client. Sets no thumbnails.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock, media: None }
    }

    /// The same, and sets thumbnails, which it reads there.
    #[must_use]
    pub fn reading(self, media: Option<MediaSource>) -> Self {
        Self { media, ..self }
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
        let now_ms = self.clock.now_ms();
        let reason = errors::reason(response);
        let fault = wire::refused_as(errors::RULES, response, reason.as_deref(), now_ms);
        errors::until_tomorrow(fault, now_ms)
    }
}

#[async_trait]
impl Network for Youtube {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    /// Nothing varies: title, description and file are the whole video.
    fn plan(&self, _work: &Work) -> Value {
        Value::Object(serde_json::Map::new())
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        if position > 0 {
            comment::validate(limits, content, position)
        } else {
            video::validate(limits, content)
        }
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        match &work.reply {
            Some(reply) => Ok(Ready::new(comment::body(&reply.root_native_id, &work.content.text))),
            None => self.upload(session, work, media, handles).await,
        }
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let now_ms = self.clock.now_ms();
        let call = match &work.reply {
            Some(_) => comment::call(session, ready.request.clone()),
            None => match upload::last_call(session, &ready.request) {
                Ok(call) => call,
                Err(answer) => return *answer,
            },
        };
        match call.publish(&self.http, armed).await {
            Ok(response) if work.reply.is_some() => comment::answer(&response, session, work, now_ms),
            Ok(response) => self.before_thumbnail(upload::answer(&response, session, now_ms), work),
            Err(error) => wire::unanswered(&error),
        }
    }

    /// Only a video whose thumbnail comes next is left in processing.
    async fn poll(&self, session: &Session, work: &Work, handle: &str) -> Answer {
        self.after_thumbnail(session, work, handle).await.into()
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        let found = match &work.reply {
            Some(reply) => self.comments_like(session, work, reply, attempt).await,
            None => match self.what_became(session, work, handles, attempt).await {
                Ok(found) => Ok(self.found_with_thumbnail(session, work, found).await),
                unread => unread,
            },
        };
        found.unwrap_or_else(Found::Unread)
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        read::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for ids in native_ids.chunks(IDS_AT_ONCE) {
            counts.extend(self.counts(session, ids).await?);
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let path = if read::is_comment(native_id) { "/youtube/v3/comments" } else { "/youtube/v3/videos" };
        let address = server::address(&session.server, path, &[("id", native_id)]);
        let call = Call::new(Method::DELETE, address).bearer(session.access_token.expose());
        let response = call.read(&self.http).await?;
        match response.status().as_u16() {
            200..=299 | 404 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }

    /// The refresh token stays the same for the life of the authorization.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let refresh = session.refresh_token.as_ref().filter(|token| !token.is_empty());
        let Some(refresh) = refresh else {
            return Err(RefreshFault::Revoked("the account was connected without offline access".into()));
        };
        let Some(app) = &session.app else {
            let why = "no application is set for YouTube".to_owned();
            return Err(RefreshFault::NotExecuted { why, retry_after: None });
        };
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let response = connect::token_call(&session.server, app, &fields)
            .ask(&self.http)
            .await
            .map_err(|error| wire::unrefreshed(&error))?;
        let now_ms = self.clock.now_ms();
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => connect::tokens(&body, now_ms)
                .ok_or_else(|| RefreshFault::Lost("Google's answer holds no token".into())),
            (400, "invalid_grant") => {
                Err(RefreshFault::Revoked("Google says that the authorization expired or was revoked".into()))
            }
            // The application is looked at before the token.
            (400 | 401, "invalid_client" | "unauthorized_client") => {
                let why = "Google does not know the application or its secret".to_owned();
                Err(RefreshFault::NotExecuted { why, retry_after: None })
            }
            _ => Err(wire::refused_refresh(&response, now_ms)),
        }
    }

    /// Ending either token ends the whole authorization.
    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        let token = session.refresh_token.as_ref().unwrap_or(&session.access_token);
        let base = server::sibling(&session.server, API, TOKENS);
        let response =
            Call::post(base, "/revoke").form(&[("token", token.expose())]).read(&self.http).await?;
        match response.status().as_u16() {
            // 400: it is over already.
            200..=299 | 400 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }
}

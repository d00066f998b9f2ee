//! Bluesky and every other server of the AT Protocol: the account's own server (PDS) takes the records.
//!
//! <https://docs.bsky.app/docs/api> and the lexicons of bluesky-social/atproto. `connect` opens the session, `record`
//! builds the post, `publish` uploads, sends and looks back, `errors` says what a refusal proves. The post's key is
//! chosen by us and stored first, so sending the same record again cannot make a second post: class A. `together` makes
//! the parts of a thread visible in one commit, with the versions of them that `cid` computes.
//!
//! A session comes from an app password (`connect`) or from the browser (`identity` finds who speaks for the account,
//! `oauth` asks and renews, `dpop` signs each call); `card` and `video` prepare what pictures do not need.

mod card;
mod cid;
mod connect;
mod dpop;
mod errors;
mod facets;
mod identity;
mod oauth;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod record;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_browser;
#[cfg(test)]
mod tests_media;
#[cfg(test)]
mod tests_together;
mod together;
mod video;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::{Value, json as object};

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, Part, PostMetrics, Ready,
    RefreshFault, Secret, Session, Together, Tokens,
    limits::{Limits, Permits, Violation},
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

const FACTS: Facts = Facts {
    id: "bluesky",
    display_name: "Bluesky",
    class: DeliveryClass::NaturalKey,
    connect: &[ConnectMethod::OAuth, ConnectMethod::AppPassword],
    needs_server: false,
    needs_app: false,
    scopes: &oauth::SCOPES,
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

/// Points of writing a record: 3 for making one, 2 for putting one, 1 for deleting one. A put is counted as if it made
/// one, so that what people do by hand, and our own deletions, have room.
const POINTS: i64 = 3;

/// 5000 points an hour and 35,000 a day of each account, failed writes included
/// (<https://docs.bsky.app/docs/advanced-guides/rate-limits>, packages/pds/src/rate-limits.ts).
const PERMITS: &[Permits] = &[Permits::per_hours(5_000 / POINTS, 1), Permits::per_hours(35_000 / POINTS, 24)];

/// Most uris that `getPosts` takes (app/bsky/feed/getPosts.json).
const POSTS_AT_ONCE: usize = 25;

/// app/bsky/feed/post.json, app/bsky/embed/images.json and video.json; the description's length is the official app's, the
/// length of a video the video service's (`VideoTooLong`).
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 300,
        text_bytes: 3000,
        link_length: 0,
        images: 4,
        image_bytes: 2_000_000,
        image_pixels: 0,
        image_types: ["image/jpeg", "image/png", "image/gif", "image/webp"].map(String::from).to_vec(),
        alt_text_length: 2000,
        videos: 1,
        video_bytes: 300_000_000,
        video_types: vec!["video/mp4".into()],
        video_max_ms: 180_000,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone)]
pub struct Bluesky {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
    nonces: dpop::Nonces,
}

impl std::fmt::Debug for Bluesky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bluesky")
    }
}

impl Bluesky {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock, nonces: dpop::Nonces::default() }
    }

    /// A call in the account's name; anything but a 2xx is a fault.
    async fn ask(&self, session: &Session, call: Call) -> Result<Value, Fault> {
        let response = self.read(session, call).await?;
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        json(&response).ok_or_else(wire::unreadable)
    }

    fn fault(&self, response: &Response<Bytes>) -> Fault {
        wire::refused_read(errors::RULES, response, self.clock.now_ms())
    }
}

fn metrics(uri: &str, post: Option<&Value>) -> PostMetrics {
    let count = |name: &str| post.and_then(|post| post.get(name)).and_then(Value::as_i64).unwrap_or(0);
    PostMetrics {
        native_id: uri.to_owned(),
        found: post.is_some(),
        likes: count("likeCount"),
        reposts: count("repostCount") + count("quoteCount"),
        replies: count("replyCount"),
        ..PostMetrics::default()
    }
}

#[async_trait]
impl Network for Bluesky {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn plan(&self, work: &Work) -> Value {
        record::plan(work)
    }

    fn validate(&self, limits: &Limits, content: &Content, _position: i64) -> Vec<Violation> {
        record::validate(limits, content)
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        self.reply_step(session, work, handles).await?;
        self.mentions_step(session, work, handles).await?;
        self.card_step(session, work, handles).await?;
        for (i, item) in work.content.media.iter().enumerate() {
            if item.is_video() {
                self.video_step(session, work, i, media, handles).await?;
            } else {
                self.upload_step(session, work, i, media, handles).await?;
            }
        }
        self.nonce_step(session).await?;
        Ok(Ready::new(record::put_body(&session.native_id, work, handles.stored())))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let call = Call::post(&session.server, "/xrpc/com.atproto.repo.putRecord")
            .body("application/json", ready.request.clone());
        match self.signed(session, call).publish(&self.http, armed).await {
            Ok(response) => {
                self.noted(session, &response);
                publish::answer(&response, session, work, self.clock.now_ms())
            }
            Err(error) => wire::unanswered(&error),
        }
    }

    fn carries(&self) -> usize {
        together::MOST
    }

    fn compose(&self, session: &Session, parts: &[Part<'_>]) -> Option<(Ready, usize)> {
        together::compose(&session.native_id, parts)
    }

    async fn send_together(
        &self,
        armed: Armed,
        session: &Session,
        works: &[Arc<Work>],
        ready: &Ready,
    ) -> Together {
        let call = Call::post(&session.server, "/xrpc/com.atproto.repo.applyWrites")
            .body("application/json", ready.request.clone());
        match self.signed(session, call).publish(&self.http, armed).await {
            Ok(response) => {
                self.noted(session, &response);
                together::answer(&response, session, works, self.clock.now_ms())
            }
            Err(error) => Together { answer: wire::unanswered(&error), others: Vec::new() },
        }
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        _attempt: &AttemptFacts,
    ) -> Found {
        let call = publish::get_record(session, record::COLLECTION, text_of(&work.plan, "rkey"));
        match self.call(session, call).await {
            Ok(response) => publish::found(&response, session, work, handles, |refusal| self.fault(refusal)),
            Err(error) => Found::Unread(wire::unanswered_read(&error)),
        }
    }

    fn id_in(&self, account_native_id: &str, url: &str) -> Option<String> {
        record::id_at(account_native_id, url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut posts = Vec::new();
        for uris in native_ids.chunks(POSTS_AT_ONCE) {
            let query: Vec<_> = uris.iter().map(|uri| ("uris", uri.as_str())).collect();
            let call = Call::get(&session.server, "/xrpc/app.bsky.feed.getPosts", &query);
            let body = self.ask(session, call).await?;
            posts.extend(body.get("posts").and_then(Value::as_array).cloned().unwrap_or_default());
        }
        let found = |uri: &String| posts.iter().find(|post| text_of(post, "uri") == uri);
        Ok(native_ids.iter().map(|uri| metrics(uri, found(uri))).collect())
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let (collection, rkey) = publish::key_of(native_id)?;
        let body = object!({ "repo": session.native_id, "collection": collection, "rkey": rkey });
        let call = Call::post(&session.server, "/xrpc/com.atproto.repo.deleteRecord");
        self.ask(session, call.json(&body)).await.map(|_| ())
    }

    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        if let Some(grant) = oauth::Grant::of(session) {
            return self.renew(session, &grant).await;
        }
        let Some(refresh) = &session.refresh_token else {
            return Err(RefreshFault::Revoked("the session has no refresh token".into()));
        };
        let call =
            Call::post(&session.server, "/xrpc/com.atproto.server.refreshSession").bearer(refresh.expose());
        let response = call.ask(&self.http).await.map_err(|e| wire::unrefreshed(&e))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => connect::tokens(&body)
                .ok_or_else(|| RefreshFault::Lost("the server's answer holds no tokens".into())),
            (status, code) if errors::ends_session(status, code) => Err(RefreshFault::Revoked(code.into())),
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }

    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        if let Some(grant) = oauth::Grant::of(session) {
            return self.end(session, &grant).await;
        }
        let Some(refresh) = &session.refresh_token else { return Ok(()) };
        let call =
            Call::post(&session.server, "/xrpc/com.atproto.server.deleteSession").bearer(refresh.expose());
        let response = call.read(&self.http).await?;
        let body = json(&response).unwrap_or_default();
        let status = response.status();
        let gone = errors::ends_session(status.as_u16(), text_of(&body, "error"));
        if status.is_success() || gone { Ok(()) } else { Err(self.fault(&response)) }
    }
}

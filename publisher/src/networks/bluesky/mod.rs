//! Bluesky and every other server of the AT Protocol: the account's own server (PDS) takes the records.
//!
//! <https://docs.bsky.app/docs/api> and the lexicons of bluesky-social/atproto. `connect` opens the session, `record`
//! builds the post, `publish` uploads, sends and looks back, `errors` says what a refusal proves. The post's key is
//! chosen by us and stored first, so sending the same record again cannot make a second post: class A.

mod connect;
mod errors;
mod facets;
mod publish;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::Response;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::{Value, json as object};

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Network, PostMetrics, Ready, RefreshFault,
    Secret, Session, Tokens,
    limits::{Limits, Violation},
    wire::{self, Call, json, text_of},
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
    id: "bluesky",
    display_name: "Bluesky",
    class: DeliveryClass::NaturalKey,
    connect: &[ConnectMethod::AppPassword],
    needs_server: false,
    capabilities: Capabilities {
        text_only: true,
        alt_text: true,
        threads: false,
        metrics: true,
        delete: true,
    },
};

/// Most uris that `getPosts` takes (app/bsky/feed/getPosts.json).
const POSTS_AT_ONCE: usize = 25;

/// app/bsky/feed/post.json and app/bsky/embed/images.json; the description's length is the official app's.
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
    }
}

/// The adapter.
#[derive(Clone)]
pub struct Bluesky {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Bluesky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bluesky")
    }
}

impl Bluesky {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// An ordinary call; anything but a 2xx is a fault.
    async fn ask(&self, call: Call) -> Result<Value, Fault> {
        let response = call.ask(&self.http).await.map_err(|e| wire::unanswered_read(&e))?;
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        json(&response).ok_or_else(|| Fault::Transient {
            code: "SERVER_ERROR".into(),
            message: "The server's answer could not be read.".into(),
            retry_after: None,
        })
    }

    fn fault(&self, response: &Response<Bytes>) -> Fault {
        let body = json(response).unwrap_or_default();
        let code = body.get("error").and_then(Value::as_str);
        wire::refused_read(errors::RULES, response.status(), response.headers(), code, self.clock.now_ms())
    }

    async fn counts(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut posts = Vec::new();
        for uris in native_ids.chunks(POSTS_AT_ONCE) {
            let query: Vec<_> = uris.iter().map(|uri| ("uris", uri.as_str())).collect();
            let call = Call::get(&session.server, "/xrpc/app.bsky.feed.getPosts", &query)
                .bearer(session.access_token.expose());
            let body = self.ask(call).await?;
            posts.extend(body.get("posts").and_then(Value::as_array).cloned().unwrap_or_default());
        }
        let found = |uri: &String| posts.iter().find(|post| text_of(post, "uri") == uri);
        Ok(native_ids.iter().map(|uri| metrics(uri, found(uri))).collect())
    }

    async fn delete_once(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let (collection, rkey) = record::key_of(native_id).ok_or_else(|| Fault::Rejected {
            code: "UNKNOWN_POST".into(),
            message: "This is not the address of a post.".into(),
        })?;
        let body = object!({ "repo": session.native_id, "collection": collection, "rkey": rkey });
        let call = Call::post(&session.server, "/xrpc/com.atproto.repo.deleteRecord");
        self.ask(call.bearer(session.access_token.expose()).json(&body)).await.map(|_| ())
    }

    async fn renew(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let Some(refresh) = &session.refresh_token else {
            return Err(RefreshFault::Revoked("the session has no refresh token".into()));
        };
        let call =
            Call::post(&session.server, "/xrpc/com.atproto.server.refreshSession").bearer(refresh.expose());
        let response = call.ask(&self.http).await.map_err(|e| RefreshFault::Transient(e.to_string()))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) => connect::tokens(&body)
                .ok_or_else(|| RefreshFault::Transient("the server's answer holds no tokens".into())),
            (status, code) if errors::ends_session(status, code) => Err(RefreshFault::Revoked(code.into())),
            (status, _) => Err(RefreshFault::Transient(format!("the server answered {status}"))),
        }
    }

    async fn revoke_once(&self, session: &Session) -> Result<(), Fault> {
        let Some(refresh) = &session.refresh_token else { return Ok(()) };
        let call =
            Call::post(&session.server, "/xrpc/com.atproto.server.deleteSession").bearer(refresh.expose());
        let response = call.ask(&self.http).await.map_err(|e| wire::unanswered_read(&e))?;
        let body = json(&response).unwrap_or_default();
        let status = response.status();
        let gone = errors::ends_session(status.as_u16(), text_of(&body, "error"));
        if status.is_success() || gone { Ok(()) } else { Err(self.fault(&response)) }
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
    }
}

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

    fn validate(&self, limits: &Limits, content: &Content) -> Vec<Violation> {
        record::validate(limits, content)
    }

    fn prepare<'a>(
        &'a self,
        session: &'a Session,
        work: &'a Work,
        media: &'a MediaSource,
        handles: &'a mut dyn Handles,
    ) -> BoxFuture<'a, Result<Ready, Fault>> {
        self.prepare_steps(session, work, media, handles).boxed()
    }

    fn send<'a>(
        &'a self,
        armed: Armed,
        session: &'a Session,
        work: &'a Work,
        ready: &'a Ready,
    ) -> BoxFuture<'a, Answer> {
        self.send_once(armed, session, work, ready).boxed()
    }

    fn reconcile<'a>(
        &'a self,
        session: &'a Session,
        work: &'a Work,
        handles: &'a HandleMap,
        _attempt: &'a AttemptFacts,
    ) -> BoxFuture<'a, Found> {
        self.look_back(session, work, handles).boxed()
    }

    fn poll<'a>(&'a self, _session: &'a Session, _work: &'a Work, _handle: &'a str) -> BoxFuture<'a, Answer> {
        let evidence = "posts of this network are never left in processing".to_owned();
        futures::future::ready(Outcome::Ambiguous { evidence }.into()).boxed()
    }

    fn metrics<'a>(
        &'a self,
        session: &'a Session,
        native_ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<PostMetrics>, Fault>> {
        self.counts(session, native_ids).boxed()
    }

    fn delete<'a>(&'a self, session: &'a Session, native_id: &'a str) -> BoxFuture<'a, Result<(), Fault>> {
        self.delete_once(session, native_id).boxed()
    }

    fn refresh<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Result<Tokens, RefreshFault>> {
        self.renew(session).boxed()
    }

    fn revoke<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Result<(), Fault>> {
        self.revoke_once(session).boxed()
    }
}

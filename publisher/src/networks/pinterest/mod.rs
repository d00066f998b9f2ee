//! Pinterest: pins on boards. An account is connected with one of its boards, and a post goes there unless it names
//! another. A pin always shows a picture or a video; there is no text alone, and nothing to reply with.
//!
//! <https://developers.pinterest.com/docs/api/v5/> · `connect` brings accounts in, `upload` brings videos up, `publish`
//! builds the pin, `read` looks back, `errors` says what a refusal proves. The same pin twice is two pins, so a lost
//! answer is settled by reading the board.

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
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready, RefreshFault,
    Session, Tokens,
    limits::{Counting, Limits, Permits, Violation},
    server,
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

/// Where the interface is.
const API: &str = "https://api.pinterest.com";

/// Where people are.
const WEB: &str = "https://www.pinterest.com";

const FACTS: Facts = Facts {
    id: "pinterest",
    display_name: "Pinterest",
    class: DeliveryClass::ReadBack,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: &["boards:read", "boards:write", "pins:read", "pins:write", "user_accounts:read"],
    capabilities: Capabilities {
        text_only: false,
        alt_text: true,
        threads: false,
        metrics: true,
        delete: true,
        video: true,
        comments: false,
    },
    kinds: &[Kind::Image, Kind::Carousel, Kind::Video],
    permits: PERMITS,
};

/// Calls that write, per minute, user and application, with Standard access
/// (<https://developers.pinterest.com/docs/reference/rate-limits/>).
const PERMITS: &[Permits] = &[Permits::per_minutes(100, 1)];

/// What a pin may hold: lengths of "Create Pin" in <https://developers.pinterest.com/docs/api/v5/pins-create>, sizes of
/// <https://help.pinterest.com/en/business/article/pinterest-product-specs>.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 800,
        text_counting: Counting::Scalars,
        title_length: 100,
        media_required: true,
        images: 5,
        // 20 MB are documented for pictures that are fetched. Ours come along as text, which is a third longer, so half
        // of that; larger stills go out as smaller copies.
        image_bytes: 10_000_000,
        image_types: ["image/jpeg", "image/png"].map(String::from).to_vec(),
        alt_text_length: 500,
        videos: 1,
        video_bytes: 2_000_000_000,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_min_ms: 4_000,
        video_max_ms: 900_000,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Pinterest {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl Pinterest {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// An ordinary call; anything but a 2xx is a fault.
    async fn ask(&self, call: Call) -> Result<Response<Bytes>, Fault> {
        let response = call.read(&self.http).await?;
        if response.status().is_success() { Ok(response) } else { Err(errors::fault(&response)) }
    }
}

/// Whose boards they are: the first part of `<user>/<board>`.
fn user(native_id: &str) -> &str {
    native_id.split('/').next().unwrap_or(native_id)
}

/// The handle of the board that a pin goes to: which one an account was connected with may change meanwhile.
const BOARD: &str = "board";

/// The board a pin goes to: the one its handle names, or its settings, or the last part of `<user>/<board>`.
fn board(session: &Session, content: &Content, handles: &HandleMap) -> String {
    let named = publish::settings(content).board_id;
    let chosen = || session.native_id.rsplit('/').next().unwrap_or_default().to_owned();
    let kept = handles.get(BOARD).and_then(Value::as_str).map(str::to_owned);
    kept.unwrap_or_else(|| if named.is_empty() { chosen() } else { named })
}

/// Ids are numbers, longer than numbers of programs are; they stay texts.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The page of a pin.
fn page(server: &str, id: &str) -> String {
    format!("{}/pin/{id}/", server::sibling(server, API, WEB))
}

#[async_trait]
impl Network for Pinterest {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(limits, content, position)
    }

    /// Pictures go out inside the request, so they are read whenever it is built; a video is uploaded once.
    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let source = if work.content.media.first().is_some_and(crate::domain::content::Media::is_video) {
            let media_id = self.video_step(session, work, media, handles).await?;
            publish::video(&media_id, &work.content)
        } else {
            publish::pictures(session, work, media).await?
        };
        if !handles.stored().contains_key(BOARD) {
            handles.save(BOARD, board(session, &work.content, handles.stored()).into()).await?;
        }
        let board = board(session, &work.content, handles.stored());
        Ok(Ready::new(publish::body(&board, &work.content, &source)))
    }

    async fn send(&self, armed: Armed, session: &Session, _work: &Work, ready: &Ready) -> Answer {
        let call = publish::request(session, ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(&response, session, self.clock.now_ms()),
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
        match self.matches(session, work, handles, attempt).await {
            Ok(found) => match found.as_slice() {
                [] => Found::Absent,
                [_] if publish::is_wordless(&work.content) => Found::Unsure {
                    why: "a pin without any words appeared on the board, which may be another".into(),
                },
                [one] => Found::Live {
                    native_id: one.id.clone(),
                    url: page(&session.server, &one.id),
                    evidence: format!("the board holds it, created at {} ms", one.created_at),
                },
                several => Found::Unsure { why: format!("{} pins of the board match", several.len()) },
            },
            Err(fault) => Found::Unread(fault),
        }
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        read::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for native_id in native_ids {
            counts.push(self.counts(session, native_id).await?);
        }
        Ok(counts)
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        if !is_id(native_id) {
            return Ok(());
        }
        let url = format!("{}/v5/pins/{native_id}", session.server);
        let call = Call::new(Method::DELETE, url).bearer(session.access_token.expose());
        let response = call.read(&self.http).await?;
        match response.status().as_u16() {
            200..=299 | 404 | 410 => Ok(()),
            _ => Err(errors::fault(&response)),
        }
    }

    /// Every refresh gives a new refresh token, good for another sixty days.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        self.renew(session).await
    }

    /// Only the person can take an authorization back, in Pinterest's settings: the call for it takes tokens of systems
    /// alone (<https://developers.pinterest.com/docs/api/v5/oauth-token_revoke>).
    async fn revoke(&self, _session: &Session) -> Result<(), Fault> {
        Ok(())
    }
}

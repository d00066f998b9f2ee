//! Telegram channels and groups through the Bot API: the user makes a bot, adds it to the channel, and gives its token.
//!
//! <https://core.telegram.org/bots/api> · `connect` checks token, chat and rights, `publish` builds the message,
//! `errors` says what a refusal proves. A bot cannot read what a chat shows and the API knows no idempotency key, so
//! nothing settles a lost answer: the user is asked. **The token is part of every path and of nothing else.**

mod connect;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
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

/// Where the Bot API answers.
const SERVER: &str = "https://api.telegram.org";

/// Where people read what was posted.
const PAGES: &str = "https://t.me";

const FACTS: Facts = Facts {
    id: "telegram",
    display_name: "Telegram",
    class: DeliveryClass::Nothing,
    connect: &[ConnectMethod::Token],
    needs_server: false,
    needs_app: false,
    scopes: &[],
    capabilities: Capabilities {
        text_only: true,
        alt_text: false,
        threads: true,
        metrics: false,
        delete: true,
        video: true,
        comments: false,
    },
    kinds: &[Kind::Text, Kind::Image, Kind::Carousel, Kind::Video, Kind::Reply],
    permits: PERMITS,
};

/// A bot writes at most 20 messages a minute into one group or channel
/// (<https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>).
const PERMITS: &[Permits] = &[Permits::per_minutes(20, 1)];

/// Longest text under pictures and videos, UTF-16 units (<https://core.telegram.org/bots/api#sendphoto>).
const CAPTION: i32 = 1024;

/// What the Bot API takes (<https://core.telegram.org/bots/api#sendmessage>, `#sending-files`, `#sendmediagroup`).
/// Larger stills are sent smaller.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 4096,
        caption_length: CAPTION,
        text_counting: Counting::Utf16,
        images: 10,
        image_bytes: 10 << 20,
        image_types: ["image/jpeg", "image/png", "image/gif"].map(String::from).to_vec(),
        videos: 10,
        video_bytes: 50 << 20,
        video_types: vec!["video/mp4".to_owned()],
        mixed_media: 10,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Telegram {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl Telegram {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// An ordinary call that makes nothing visible, whatever it answers.
    async fn ask(&self, session: &Session, name: &str, body: &Value) -> Result<Response<Bytes>, Fault> {
        let call = method(&session.server, session.access_token.expose(), name).json(body);
        call.read(&self.http).await
    }
}

/// A call of a method of the Bot API.
fn method(server: &str, token: &str, name: &str) -> Call {
    Call::post(server, &format!("/bot{token}/{name}"))
}

/// The chat that a session posts to, as the API takes it.
fn chat(session: &Session) -> Value {
    session.native_id.parse::<i64>().map_or_else(|_| object!(session.native_id), |id| object!(id))
}

#[async_trait]
impl Network for Telegram {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(limits, content, position)
    }

    /// Files travel with the one visible request, so there is nothing to do at the network beforehand.
    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        _handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        publish::body(session, work, media).await.map(Ready::new)
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let call = publish::request(session, work, ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(session, &response, self.clock.now_ms()),
            Err(error) => wire::unanswered(&error),
        }
    }

    async fn reconcile(
        &self,
        _session: &Session,
        _work: &Work,
        _handles: &HandleMap,
        _attempt: &AttemptFacts,
    ) -> Found {
        Found::Unsure { why: "Telegram does not let a bot read what its chat shows".into() }
    }

    fn id_in(&self, account_native_id: &str, url: &str) -> Option<String> {
        publish::id_at(account_native_id, url)
    }

    async fn metrics(&self, _session: &Session, _native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let message = "Telegram tells bots neither views nor reactions.".into();
        Err(Fault::Rejected { code: "NO_METRICS".into(), message })
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let ids = publish::messages(native_id);
        let response = match ids.as_slice() {
            [] => return Ok(()),
            [one] => {
                let body = object!({ "chat_id": chat(session), "message_id": one });
                self.ask(session, "deleteMessage", &body).await?
            }
            album => {
                let body = object!({ "chat_id": chat(session), "message_ids": album });
                self.ask(session, "deleteMessages", &body).await?
            }
        };
        let body = json(&response).unwrap_or_default();
        let gone = text_of(&body, "description").contains("message to delete not found");
        if body["ok"] == true || gone {
            return Ok(());
        }
        Err(errors::fault(&response, self.clock.now_ms()))
    }

    /// Bot tokens do not end by themselves and cannot be renewed.
    async fn refresh(&self, _session: &Session) -> Result<Tokens, RefreshFault> {
        Err(RefreshFault::Revoked("the bot's token is no longer valid; connect again with a new one".into()))
    }

    /// A token was made by hand, and only its owner can end it, at @BotFather: forgetting it is all there is to do.
    async fn revoke(&self, _session: &Session) -> Result<(), Fault> {
        Ok(())
    }
}

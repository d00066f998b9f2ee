//! The networks: one adapter per network behind one trait, found by id in [`Networks`].
//!
//! An adapter builds requests, parses answers and knows its error table. It never decides to send again: retry
//! policy lives in `domain::step`. The order of calls for one delivery:
//! `plan` (once, stored) → `prepare` (reversible, resumable) → ARM (store) → `send` (the one visible request) →
//! `poll` while processing; `reconcile` after a lost answer. Where a network `carries` several parts of a thread,
//! `compose` and `send_together` stand for one `send` of each.
//!
//! **Connections.** `send` has a client of its own, apart from every other call: one fresh connection per send, no
//! redirects, no retries in any layer, linger 0, and a gate that asks the armed attempt right before the first byte.
//! A fresh connection costs a handshake per post, and buys certainty: what fails before the first byte was not sent.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        content::Content,
        delivery::{AttemptFacts, Work},
        outcome::{Answer, DeliveryClass, Fault, Found, Outcome},
    },
    media::MediaSource,
    store::Armed,
};

pub mod bluesky;
pub mod connect;
pub mod count;
pub mod discord;
pub mod facebook;
mod files;
mod graph;
pub mod instagram;
pub mod limits;
pub mod linkedin;
pub mod mastodon;
mod pieces;
pub mod pinterest;
#[cfg(test)]
pub(crate) mod proof;
pub mod reddit;
mod registry;
pub mod secret;
pub mod server;
pub mod slack;
pub mod telegram;
pub mod text;
mod thread;
pub mod threads;
pub mod tiktok;
mod validate;
mod wire;
pub mod x;
pub mod youtube;

use limits::{Limits, Permits, Violation};
pub use registry::{Networks, all};
pub use secret::Secret;

/// What is true of a network as a whole.
#[derive(Debug)]
pub struct Facts {
    /// Stable id, such as `mastodon`.
    pub id: &'static str,
    /// Name for people.
    pub display_name: &'static str,
    /// How a lost answer is settled.
    pub class: DeliveryClass,
    /// How an account is connected.
    pub connect: &'static [ConnectMethod],
    /// Whether the account lives on a server the user names.
    pub needs_server: bool,
    /// Whether connecting in the browser, refreshing and publishing need an application that an operator registered with
    /// the network.
    pub needs_app: bool,
    /// What the user is asked to allow, as the network names it; empty without a browser.
    pub scopes: &'static [&'static str],
    /// What it can do.
    pub capabilities: Capabilities,
    /// Kinds of posts it takes.
    pub kinds: &'static [Kind],
    /// How many posts it takes from one account. All of them hold; none: any number.
    pub permits: &'static [Permits],
}

/// How an account is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectMethod {
    /// In the browser, at the network.
    OAuth,
    /// With a password made for this purpose.
    AppPassword,
    /// With a token or an address that the network's pages show; taken as the password.
    Token,
}

/// A kind of post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text alone.
    Text,
    /// A link with a card.
    Link,
    /// One picture.
    Image,
    /// Several pictures, or pictures and videos.
    Carousel,
    /// A video.
    Video,
    /// A short upright video.
    Reel,
    /// A picture or video that disappears after a day.
    Story,
    /// A part of a thread that replies to the part before it.
    Reply,
    /// A further part becomes a comment under the first.
    Comment,
}

/// An application that an operator, or an admin of a workspace, registered with a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its public id.
    pub client_id: String,
    /// Its secret; empty for a public client.
    pub client_secret: Secret,
}

/// What a network can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Takes a post without media.
    pub text_only: bool,
    /// Takes descriptions of pictures.
    pub alt_text: bool,
    /// Takes chains of posts.
    pub threads: bool,
    /// Counts likes, reposts and replies.
    pub metrics: bool,
    /// A post can be deleted.
    pub delete: bool,
    /// Takes videos.
    pub video: bool,
    /// Further parts of a thread become comments.
    pub comments: bool,
}

/// An account with its opened tokens, as one call needs it. Made by the vault; never stored, never logged.
#[derive(Clone)]
pub struct Session {
    /// The account.
    pub account_id: Uuid,
    /// Its workspace.
    pub workspace_id: Uuid,
    /// Network id.
    pub network: String,
    /// Base address of its server without a slash at the end, such as `https://mastodon.example`.
    pub server: String,
    /// The account's id at the network.
    pub native_id: String,
    /// The account's name there.
    pub handle: String,
    /// What its server accepts.
    pub limits: Limits,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, where the network has them.
    pub refresh_token: Option<Secret>,
    /// When the access token expires, Unix milliseconds; `None` when it does not.
    pub access_expires_at: Option<i64>,
    /// Counts every stored pair of tokens; the compare-and-set of a refresh.
    pub token_version: i64,
    /// What else the adapter keeps sealed with the tokens (client credentials of the server, …).
    pub extra: Secret,
    /// Our application at the network, as it is now; `None` where none is needed or none was set.
    pub app: Option<App>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("account_id", &self.account_id)
            .field("network", &self.network)
            .field("server", &self.server)
            .field("token_version", &self.token_version)
            .finish_non_exhaustive()
    }
}

/// A new pair of tokens.
#[derive(Clone)]
pub struct Tokens {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token; `None` leaves the stored one in place.
    pub refresh_token: Option<Secret>,
    /// When the access token expires, Unix milliseconds.
    pub access_expires_at: Option<i64>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("access_expires_at", &self.access_expires_at).finish_non_exhaustive()
    }
}

/// Why no new tokens came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshFault {
    /// Certainly not executed: nothing was sent, or too much was asked. The old pair still stands.
    #[error("tokens could not be refreshed now: {why}")]
    NotExecuted {
        /// For the log.
        why: String,
        /// How long the network asked to wait.
        retry_after: Option<Duration>,
    },
    /// Sent, and nobody knows what came of it: the refresh token may be used up.
    #[error("the answer to a refresh was lost: {0}")]
    Lost(String),
    /// The network no longer knows the authorization: the user must connect again.
    #[error("the authorization was taken back: {0}")]
    Revoked(String),
}

/// Handles of one delivery by step: what the reversible steps returned.
pub type HandleMap = BTreeMap<String, Value>;

/// Where `prepare` keeps what it has done. A stored step is not done again.
#[async_trait]
pub trait Handles: Send {
    /// What is stored.
    fn stored(&self) -> &HandleMap;
    /// Stores a handle durably; call it the moment the answer is parsed, before the next call. The first one that is
    /// stored counts, perhaps another process's: read it from [`Handles::stored`] afterwards.
    async fn save(&mut self, step: &str, value: Value) -> Result<(), Fault>;
    /// Stores what became of the handle that is stored.
    async fn update(&mut self, step: &str, value: Value) -> Result<(), Fault>;
}

/// A prepared delivery: nothing is missing but the one visible request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The request's body, built from the work, its plan and its handles alone: the same inputs always make the same
    /// bytes. Holds no token, but may hold the address of an upload: never to be logged.
    pub request: bytes::Bytes,
    /// SHA-256 of `request`.
    pub request_sha256: [u8; 32],
}

impl Ready {
    /// Hashes the request.
    pub fn new(request: impl Into<bytes::Bytes>) -> Self {
        use sha2::Digest;
        let request = request.into();
        let request_sha256 = sha2::Sha256::digest(&request).into();
        Self { request, request_sha256 }
    }
}

/// One part of a thread, as its own reversible steps left it. The posts it replies to are not known yet.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The part.
    pub work: &'a Work,
    /// What its steps returned.
    pub handles: &'a HandleMap,
}

/// What became of a request that was to make several parts of a thread visible.
#[derive(Debug)]
pub struct Together {
    /// The answer, for the first part.
    pub answer: Answer,
    /// Where the parts after it are, in their order; empty unless the answer is an acceptance, which is one of all.
    pub others: Vec<Placed>,
}

/// A post at its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its id there.
    pub native_id: String,
    /// Its address.
    pub url: String,
}

/// Counts of one post.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostMetrics {
    /// Id at the network.
    pub native_id: String,
    /// False when the network no longer knows the post.
    pub found: bool,
    /// Likes, favourites, hearts.
    pub likes: i64,
    /// Reposts, boosts, shares.
    pub reposts: i64,
    /// Replies and comments.
    pub replies: i64,
    /// How often it was seen; 0 where the network does not tell.
    pub views: i64,
}

/// One social network.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// What is true of it as a whole.
    fn facts(&self) -> &'static Facts;

    /// Its limits where an account's own server says nothing else.
    fn limits(&self) -> Limits;

    /// Decides, from the work alone, everything that must not vary between a send and its repetition (record keys,
    /// timestamps). Pure; stored before the first call. `work.plan` is `null`. At most networks nothing varies.
    fn plan(&self, _work: &Work) -> Value {
        Value::Object(serde_json::Map::new())
    }

    /// Everything in the content that the network would refuse, all at once. `position` is its place in a thread, 0 for
    /// the first part and for a post of its own. Pure.
    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation>;

    /// Does the reversible steps that are not stored yet and builds the request. Makes no call when every step is
    /// stored. Stopped at any point, nothing is visible.
    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault>;

    /// Sends the one visible request. Never repeats it. Checks `armed.time_left()` right before the first byte.
    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer;

    /// How many parts of a thread one request can make visible, all of them or none; 0 where each is sent alone. Such a
    /// network is of class A: whatever became of the request, each part can be sent again alone by its own key.
    fn carries(&self) -> usize {
        0
    }

    /// Builds the one request for the first part and those after it, and says how many of `parts` are in it; `None` when
    /// the first is to be sent alone. Pure. Each part's bytes in it are those it would have alone, after the one before.
    fn compose(&self, _session: &Session, _parts: &[Part<'_>]) -> Option<(Ready, usize)> {
        None
    }

    /// Sends that request, under the rules of [`Network::send`]. `works` are the parts that are in it.
    async fn send_together(
        &self,
        _armed: Armed,
        _session: &Session,
        _works: &[Arc<Work>],
        _ready: &Ready,
    ) -> Together {
        let why = "this network takes the parts of a thread one by one".to_owned();
        Together { answer: Outcome::NotSent { why }.into(), others: Vec::new() }
    }

    /// Reads whether a send whose answer was lost is visible. Changes nothing, but for what may be done to a post that is
    /// there as often as one likes (`poll`).
    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found;

    /// Asks how far the network's processing has come, and does what is left to do once a post's id is stored and may be
    /// done again at any time. Most networks leave no post in processing: being asked about one proves nothing.
    async fn poll(&self, _session: &Session, _work: &Work, _handle: &str) -> Answer {
        let evidence = "posts of this network are never left in processing".to_owned();
        Outcome::Ambiguous { evidence }.into()
    }

    /// The id of the account's post at this address, when the address tells it.
    fn id_in(&self, _account_native_id: &str, _url: &str) -> Option<String> {
        None
    }

    /// Reads counts; one answer per id, in their order.
    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault>;

    /// Deletes a post; deleting a deleted one succeeds.
    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault>;

    /// Asks for a new pair of tokens. The caller has committed its intent and stores the answer first.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault>;

    /// Takes the authorization back at the network; revoking a revoked one succeeds.
    async fn revoke(&self, session: &Session) -> Result<(), Fault>;
}

//! Everything the sandbox knows, behind one short lock. A change is an event: journaled first, then applied, both
//! under the lock, so the journal replays to the very same world. Nothing that grows is walked on the way of a
//! request. The script, the request log and the rate windows belong to the process and are not kept.

use std::{
    io,
    ops::Deref,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error,
    blobs::Blobs,
    clock::Clock,
    journal::Journal,
    ledger::Ledger,
    limits::Limits,
    networks::{Network, bluesky, mastodon},
    refreshes::Presentation,
    requests::RequestLog,
    script::Script,
    web::lock,
};

/// One change of the world.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Mastodon(mastodon::Event),
    Bluesky(bluesky::Event),
    Presented(Presentation),
    /// The sandbox's clock runs this many milliseconds ahead of the machine's.
    Clock {
        ahead_ms: i64,
    },
    /// Whether a network's documented rate limits refuse requests.
    Limits {
        network: Network,
        enforce: bool,
    },
}

/// Numbers a post has collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) likes: u64,
    pub(crate) reposts: u64,
    pub(crate) replies: u64,
}

impl Counts {
    /// Plausible numbers that depend on nothing but the post's id.
    pub(crate) fn derived(native_id: &str) -> Self {
        let hash = crate::crypto::sha256(native_id.as_bytes());
        let number = |at: usize| u64::from(u16::from_be_bytes([hash[at], hash[at + 1]]));
        Self { likes: number(0) % 500, reposts: number(2) % 120, replies: number(4) % 40 }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) mastodon: mastodon::State,
    pub(crate) bluesky: bluesky::State,
    pub(crate) ledger: Ledger,
    /// Every presentation of a refresh token.
    pub(crate) refreshes: Vec<Presentation>,
    clock_ahead_ms: i64,
    enforced: Vec<Network>,
    journal: Journal,
}

impl World {
    fn empty() -> Self {
        Self {
            mastodon: mastodon::State::default(),
            bluesky: bluesky::State::default(),
            ledger: Ledger::default(),
            refreshes: Vec::new(),
            clock_ahead_ms: 0,
            enforced: Vec::new(),
            journal: Journal::in_memory(),
        }
    }

    /// Makes a change durable, then true.
    pub(crate) fn commit(&mut self, event: Event) -> io::Result<()> {
        self.journal.append(&event)?;
        self.apply(event);
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Mastodon(event) => {
                if let Some(entry) = self.mastodon.apply(event) {
                    self.ledger.push(entry);
                }
            }
            Event::Bluesky(event) => {
                for entry in self.bluesky.apply(event) {
                    self.ledger.push(entry);
                }
            }
            Event::Presented(presentation) => self.refreshes.push(presentation),
            Event::Clock { ahead_ms } => self.clock_ahead_ms = ahead_ms,
            Event::Limits { network, enforce } => {
                self.enforced.retain(|other| *other != network);
                if enforce {
                    self.enforced.push(network);
                }
            }
        }
    }

    pub(crate) fn enforces_limits(&self, network: Network) -> bool {
        self.enforced.contains(&network)
    }

    /// Whether a reader of the network would still find the post.
    pub(crate) fn is_live(&self, network: Network, native_id: &str) -> bool {
        match network {
            Network::Mastodon => self.mastodon.is_live(native_id),
            Network::Bluesky => self.bluesky.is_live(native_id),
        }
    }

    /// Forgets everything; the default accounts are back.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        self.journal.clear()?;
        self.mastodon = mastodon::State::default();
        self.bluesky = bluesky::State::default();
        self.ledger.clear();
        self.refreshes.clear();
        self.clock_ahead_ms = 0;
        self.enforced.clear();
        self.commit(Event::Bluesky(bluesky::Event::fresh_secret()))
    }
}

/// What every handler is handed.
#[derive(Debug, Clone)]
pub(crate) struct Ctx(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) script: Script,
    pub(crate) requests: Mutex<RequestLog>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    /// Prefix of every URL that is answered, without a slash at the end.
    pub(crate) public_url: String,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Deref for Ctx {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Ctx {
    pub(crate) fn open(
        dir: Option<&Path>,
        public_url: String,
        closing: CancellationToken,
    ) -> Result<Self, Error> {
        let mut world = World::empty();
        if let Some(dir) = dir {
            world.journal = Journal::open(dir, |event| world.apply(event))?;
        }
        if !world.bluesky.has_secret() {
            let event = Event::Bluesky(bluesky::Event::fresh_secret());
            world.commit(event).map_err(|source| Error::folder(dir.unwrap_or(Path::new("")), source))?;
        }
        let clock = Clock::default();
        clock.set_ahead(world.clock_ahead_ms);
        Ok(Self(Arc::new(Shared {
            world: Mutex::new(world),
            script: Script::default(),
            requests: Mutex::default(),
            limits: Mutex::default(),
            blobs: Blobs::open(dir)?,
            clock,
            public_url,
            closing,
            tasks: TaskTracker::new(),
        })))
    }

    /// The world, locked: compute, commit, let go. Never await while holding it.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.0.world)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// `<public_url>/<network>`.
    pub(crate) fn base(&self, network: Network) -> String {
        format!("{}/{}", self.public_url, network.name())
    }
}

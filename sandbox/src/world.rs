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
    clock::{self, Clock},
    docs::{Change, Docs},
    fetch::{Fetched, Fetcher, Unfetched},
    journal::Journal,
    ledger::{self, Ledger},
    limits::Limits,
    networks::{ALL, Network, bluesky, mastodon},
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
    /// Documents of a network changed, and these lines became visible with them.
    Docs {
        network: Network,
        changes: Vec<Change>,
        #[serde(default)]
        seen: Vec<ledger::Entry>,
        /// The last id the network handed out.
        last_id: u64,
        /// The time of the sandbox's clock.
        at_ms: i64,
    },
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
    /// What the other networks know.
    pub(crate) docs: Docs,
    pub(crate) ledger: Ledger,
    /// Every presentation of a refresh token.
    pub(crate) refreshes: Vec<Presentation>,
    clock_ahead_ms: i64,
    enforced: Vec<Network>,
    journal: Journal,
}

impl World {
    fn empty() -> Self {
        let mut world = Self {
            mastodon: mastodon::State::default(),
            bluesky: bluesky::State::default(),
            docs: Docs::default(),
            ledger: Ledger::default(),
            refreshes: Vec::new(),
            clock_ahead_ms: 0,
            enforced: Vec::new(),
            journal: Journal::in_memory(),
        };
        world.begin();
        world
    }

    /// The documents every network begins with; they are not journaled.
    fn begin(&mut self) {
        for stand_in in ALL {
            self.docs.apply(stand_in.network(), stand_in.begin(), 0, 0);
        }
    }

    /// An id of a network larger than every one before it; see [`Docs::next_id`].
    pub(crate) fn next_id(&mut self, network: Network, now_ms: i64) -> u64 {
        self.docs.next_id(network, now_ms)
    }

    /// Commits changes of a network's documents, all of them or none.
    pub(crate) fn keep(&mut self, network: Network, changes: Vec<Change>) -> io::Result<()> {
        self.show(network, changes, Vec::new())
    }

    /// Commits changes of a network's documents together with what became visible by them.
    pub(crate) fn show(
        &mut self,
        network: Network,
        changes: Vec<Change>,
        seen: Vec<ledger::Entry>,
    ) -> io::Result<()> {
        let (last_id, at_ms) = (self.docs.last_id(network), clock::true_now_ms() + self.clock_ahead_ms);
        self.commit(Event::Docs { network, changes, seen, last_id, at_ms })
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
            Event::Docs { network, changes, seen, last_id, at_ms } => {
                self.docs.apply(network, changes, last_id, at_ms);
                for entry in seen {
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
        network.stand_in().is_live(self, native_id)
    }

    /// The counts of a post that is live.
    pub(crate) fn counts(&self, network: Network, native_id: &str) -> Option<Counts> {
        network.stand_in().counts(self, native_id)
    }

    /// Forgets everything; the default accounts are back.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        self.journal.clear()?;
        self.mastodon = mastodon::State::default();
        self.bluesky = bluesky::State::default();
        self.docs.clear();
        self.begin();
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
    fetcher: Fetcher,
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
            fetcher: Fetcher::new(),
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

    /// The file at an address, for networks that pull media. Never under the world's lock.
    pub(crate) async fn fetch(&self, url: &str) -> Result<Fetched, Unfetched> {
        self.fetcher.get(url).await
    }

    /// `<public_url>/<network>`.
    pub(crate) fn base(&self, network: Network) -> String {
        format!("{}/{}", self.public_url, network.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::{Change, Ctx};
    use crate::{accounts, ledger::Entry, networks::Network};

    const NET: Network = Network::X;

    #[test]
    fn documents_ids_and_ledger_lines_are_there_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Ctx::open(Some(dir.path()), String::new(), CancellationToken::new()).unwrap();
        let ctx = open();
        let id = {
            let mut world = ctx.world();
            let id = world.next_id(NET, ctx.now_ms() + 60_000);
            let seen = Entry::new(NET, "reel", "demo", id.to_string(), "hi", "request").replying_to("1");
            let changes = vec![Change::put("post", id.to_string(), &json!({"text": "hi"}))];
            world.show(NET, changes, vec![seen]).unwrap();
            world.keep(NET, vec![Change::remove("account", "demo")]).unwrap();
            id
        };
        drop(ctx);
        let ctx = open();
        let mut world = ctx.world();
        assert!(world.is_live(NET, &id.to_string()));
        assert!(accounts::named(&world, NET, "demo").is_none(), "what was taken away stays away");
        assert!(world.next_id(NET, ctx.now_ms()) > id, "no id comes twice");
        let line = world.ledger.find(NET, &id.to_string()).unwrap();
        assert_eq!((line.kind.as_str(), line.in_reply_to.as_deref()), ("reel", Some("1")));
        assert!(world.ledger.find(Network::Slack, &id.to_string()).is_none());
        world.reset().unwrap();
        assert!(accounts::named(&world, NET, "demo").is_some(), "a reset brings the first account back");
        assert!(!world.is_live(NET, &id.to_string()));
    }

    #[test]
    fn a_line_of_an_older_ledger_is_a_plain_post() {
        let old = r#"{"network":"mastodon","account":"a","native_id":"1","text":"t","media":[],"visible_at_ms":1,
            "request_id":"r"}"#;
        let entry: Entry = serde_json::from_str(old).unwrap();
        assert_eq!(entry.kind, "post");
        assert!(!serde_json::to_string(&entry).unwrap().contains("kind"));
    }
}

//! What the PDS remembers, and the events that change it.

use std::collections::{BTreeMap, HashMap};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tid;
use crate::{crypto, ledger, world::Counts};

/// The collection whose records people see as posts.
pub(crate) const POSTS: &str = "app.bsky.feed.post";
/// How long a blob waits for a record, milliseconds.
const UNREFERENCED_TTL_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) did: String,
    pub(crate) handle: String,
    pub(crate) display_name: String,
    pub(crate) email: String,
    /// The app password; absent once it was revoked.
    pub(crate) password: Option<String>,
    pub(crate) created_ms: i64,
    /// Access tokens with a smaller number have expired.
    pub(crate) access_from: u64,
    /// Seconds a new access token lives.
    pub(crate) access_s: u64,
}

impl Account {
    pub(crate) fn new(handle: &str, display_name: &str, password: String, created_ms: i64) -> Self {
        Self {
            did: did_of(handle),
            handle: handle.to_owned(),
            display_name: display_name.to_owned(),
            email: format!("{handle}@example.invalid"),
            password: Some(password),
            created_ms,
            access_from: 0,
            access_s: 7200,
        }
    }
}

/// A handle's DID is always the same, so tests can know it beforehand.
pub(crate) fn did_of(handle: &str) -> String {
    let name = BASE32_NOPAD.encode(&crypto::sha256(handle.as_bytes())[..15]).to_ascii_lowercase();
    format!("did:plc:{name}")
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) did: String,
    /// The id of the session's first token; a sign-out ends them all.
    pub(crate) family: String,
    pub(crate) next: Option<String>,
    pub(crate) expires_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) mime: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) uploaded_ms: i64,
    pub(crate) referenced: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) cid: String,
    pub(crate) value: Value,
    pub(crate) indexed_ms: i64,
    #[serde(default)]
    pub(crate) counts: Counts,
}

#[derive(Debug, Default)]
pub(crate) struct Repo {
    /// By collection and rkey.
    pub(crate) records: BTreeMap<(String, String), Record>,
    /// What was replaced or deleted and when, for reads that lag; the oldest first.
    pub(super) past: BTreeMap<(String, String), Vec<(Record, i64)>>,
    pub(crate) blobs: HashMap<String, Blob>,
    pub(crate) head: Commit,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) cid: String,
    pub(crate) rev: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Write {
    Put { collection: String, rkey: String, record: Record, blobs: Vec<String> },
    Delete { collection: String, rkey: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Secret {
        hex: String,
    },
    Account(Account),
    SessionOpened(Session),
    /// The old token now lives until then; the new one takes over.
    SessionRotated {
        old: String,
        until_ms: i64,
        new: Session,
    },
    SessionClosed {
        family: String,
    },
    AccessExpired {
        did: Option<String>,
        from: u64,
    },
    Revoked {
        did: Option<String>,
        from: u64,
        and_password: bool,
    },
    AccessLifetime {
        did: Option<String>,
        access_s: u64,
    },
    Blob {
        did: String,
        cid: String,
        blob: Blob,
    },
    Wrote {
        did: String,
        writes: Vec<Write>,
        commit: Commit,
        #[serde(default)]
        at_ms: i64,
        seen: Vec<ledger::Entry>,
    },
    Engaged {
        uri: String,
        counts: Counts,
    },
    EngagedAll {},
}

impl Event {
    pub(crate) fn fresh_secret() -> Self {
        Self::Secret { hex: HEXLOWER.encode(&crypto::random::<32>()) }
    }
}

#[derive(Debug)]
pub(crate) struct State {
    secret: Vec<u8>,
    accounts: BTreeMap<String, Account>,
    /// Handle and e-mail to DID.
    names: HashMap<String, String>,
    sessions: HashMap<String, Session>,
    pub(super) repos: HashMap<String, Repo>,
    last_serial: u64,
    last_micros: u64,
}

impl Default for State {
    /// The one account every PDS begins with.
    fn default() -> Self {
        let mut state = Self {
            secret: Vec::new(),
            accounts: BTreeMap::new(),
            names: HashMap::new(),
            sessions: HashMap::new(),
            repos: HashMap::new(),
            last_serial: 0,
            last_micros: 0,
        };
        state.apply(Event::Account(Account::new("demo.test", "Demo", "demo-demo-demo-demo".to_owned(), 0)));
        state
    }
}

impl State {
    /// Applies one event; posts that became visible come back as their ledger lines.
    pub(crate) fn apply(&mut self, event: Event) -> Vec<ledger::Entry> {
        match event {
            Event::Secret { hex } => self.secret = HEXLOWER.decode(hex.as_bytes()).unwrap_or_default(),
            Event::Account(account) => {
                self.names.insert(account.handle.clone(), account.did.clone());
                self.names.insert(account.email.clone(), account.did.clone());
                self.repos.entry(account.did.clone()).or_default();
                self.accounts.insert(account.did.clone(), account);
            }
            Event::SessionOpened(session) => {
                self.sessions.insert(session.id.clone(), session);
            }
            Event::SessionRotated { old, until_ms, new } => {
                if let Some(old) = self.sessions.get_mut(&old) {
                    old.expires_ms = until_ms;
                    old.next = Some(new.id.clone());
                }
                self.sessions.entry(new.id.clone()).or_insert(new);
            }
            Event::SessionClosed { family } => self.sessions.retain(|_, session| session.family != family),
            Event::AccessExpired { did, from } => {
                self.each(did.as_ref(), |account| account.access_from = from);
            }
            Event::Revoked { did, from, and_password } => {
                self.sessions.retain(|_, session| did.as_ref().is_some_and(|did| *did != session.did));
                self.each(did.as_ref(), |account| {
                    account.access_from = from;
                    if and_password {
                        account.password = None;
                    }
                });
            }
            Event::AccessLifetime { did, access_s } => {
                self.each(did.as_ref(), |account| account.access_s = access_s);
            }
            Event::Blob { did, cid, mut blob } => {
                let blobs = &mut self.repos.entry(did).or_default().blobs;
                blob.referenced = blobs.get(&cid).is_some_and(|known| known.referenced);
                blobs.insert(cid, blob);
            }
            Event::Wrote { did, writes, commit, at_ms, seen } => {
                for write in writes {
                    self.write(&did, write, at_ms);
                }
                if let Some(repo) = self.repos.get_mut(&did) {
                    repo.head = commit;
                }
                return seen;
            }
            Event::Engaged { uri, counts } => {
                if let Some(record) = self.record_mut(&uri) {
                    record.counts = counts;
                }
            }
            Event::EngagedAll {} => {
                for (did, repo) in &mut self.repos {
                    for ((collection, rkey), record) in &mut repo.records {
                        if collection == POSTS {
                            record.counts = Counts::derived(&format!("at://{did}/{collection}/{rkey}"));
                        }
                    }
                }
            }
        }
        Vec::new()
    }

    fn write(&mut self, did: &str, write: Write, at_ms: i64) {
        match write {
            Write::Put { collection, rkey, mut record, blobs } => {
                let repo = self.repos.entry(did.to_owned()).or_default();
                for cid in blobs {
                    if let Some(blob) = repo.blobs.get_mut(&cid) {
                        blob.referenced = true;
                    }
                }
                let parent = parent_of(&record.value);
                let key = (collection, rkey);
                let before = repo.records.remove(&key);
                record.counts = before.as_ref().map_or_else(Counts::default, |before| before.counts);
                let is_new = before.is_none();
                repo.ended(&key, before, at_ms);
                repo.records.insert(key, record);
                if let Some(parent) = parent.filter(|_| is_new).and_then(|uri| self.record_mut(&uri)) {
                    parent.counts.replies += 1;
                }
            }
            Write::Delete { collection, rkey } => {
                let repo = self.repos.entry(did.to_owned()).or_default();
                let key = (collection, rkey);
                let gone = repo.records.remove(&key);
                let parent = gone.as_ref().and_then(|gone| parent_of(&gone.value));
                repo.ended(&key, gone, at_ms);
                if let Some(parent) = parent.and_then(|uri| self.record_mut(&uri)) {
                    parent.counts.replies = parent.counts.replies.saturating_sub(1);
                }
            }
        }
    }

    fn each(&mut self, did: Option<&String>, mut change: impl FnMut(&mut Account)) {
        for account in self.accounts.values_mut() {
            if did.is_none_or(|did| *did == account.did) {
                change(account);
            }
        }
    }

    pub(crate) fn has_secret(&self) -> bool {
        !self.secret.is_empty()
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// A number larger than any before it, also across restarts.
    pub(crate) fn next_serial(&mut self, now_ms: i64) -> u64 {
        self.last_serial = (now_ms as u64 * 1000).max(self.last_serial + 1);
        self.last_serial
    }

    /// A TID later than any before it, also across restarts.
    pub(crate) fn next_tid(&mut self, now_ms: i64) -> String {
        self.last_micros = (now_ms as u64 * 1000).max(self.last_micros + 1);
        tid::of(self.last_micros)
    }

    /// The account of a DID, a handle or an e-mail address.
    pub(crate) fn actor(&self, name: &str) -> Option<&Account> {
        let name = name.trim_start_matches('@').to_ascii_lowercase();
        self.accounts.get(self.names.get(&name).unwrap_or(&name))
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(crate) fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(crate) fn repo(&self, did: &str) -> Option<&Repo> {
        self.repos.get(did)
    }

    /// A blob a record may refer to: known, and not dropped for lack of a record.
    pub(crate) fn blob(&self, did: &str, cid: &str, now_ms: i64) -> Option<&Blob> {
        let blob = self.repos.get(did)?.blobs.get(cid)?;
        (blob.referenced || now_ms < blob.uploaded_ms + UNREFERENCED_TTL_MS).then_some(blob)
    }

    pub(crate) fn record(&self, uri: &str) -> Option<&Record> {
        let (did, key) = split(uri)?;
        self.repos.get(did)?.records.get(&key)
    }

    fn record_mut(&mut self, uri: &str) -> Option<&mut Record> {
        let (did, key) = split(uri)?;
        self.repos.get_mut(did)?.records.get_mut(&key)
    }

    pub(crate) fn is_live(&self, native_id: &str) -> bool {
        self.record(native_id).is_some()
    }
}

/// `at://did/collection/rkey` in its parts.
pub(crate) fn split(uri: &str) -> Option<(&str, (String, String))> {
    let mut parts = uri.strip_prefix("at://")?.splitn(3, '/');
    let (did, collection, rkey) = (parts.next()?, parts.next()?, parts.next()?);
    Some((did, (collection.to_owned(), rkey.to_owned())))
}

/// The uri a post replies to.
pub(crate) fn parent_of(record: &Value) -> Option<String> {
    record.pointer("/reply/parent/uri")?.as_str().map(str::to_owned)
}

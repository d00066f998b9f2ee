//! What the instance remembers, and the events that change it. Ids are snowflakes: milliseconds shifted by 16 bits,
//! never repeated, so a newer status has a larger id.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{ledger, world::Counts};

/// How long an `Idempotency-Key` is remembered, milliseconds.
const KEY_TTL_MS: i64 = 3_600_000;
/// How long a file may stay without a status, milliseconds.
const UNATTACHED_TTL_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: u64,
    pub(crate) handle: String,
    pub(crate) display_name: String,
    pub(crate) created_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) website: Option<String>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) secret: String,
    pub(crate) client_id: String,
    pub(crate) account: u64,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) expires_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Life {
    Live,
    Expired,
    Revoked,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) secret: String,
    pub(crate) client_id: String,
    /// Absent for an app's own token.
    pub(crate) account: Option<u64>,
    pub(crate) scopes: Vec<String>,
    pub(crate) created_ms: i64,
    pub(crate) life: Life,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Media {
    pub(crate) id: u64,
    pub(crate) account: u64,
    pub(crate) mime: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) dimensions: Option<(u32, u32)>,
    pub(crate) description: Option<String>,
    pub(crate) focus: Option<(f64, f64)>,
    pub(crate) created_ms: i64,
    pub(crate) ready_ms: i64,
    pub(crate) fails: bool,
    pub(crate) status: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Processing,
    Ready,
    Failed,
}

impl Media {
    pub(crate) fn progress(&self, now_ms: i64) -> Progress {
        match () {
            () if now_ms < self.ready_ms => Progress::Processing,
            () if self.fails => Progress::Failed,
            () => Progress::Ready,
        }
    }

    pub(crate) fn is_image(&self) -> bool {
        self.mime.starts_with("image/") && self.mime != "image/gif"
    }

    /// `image`, `gifv`, `video` or `audio`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.mime.split('/').next() {
            _ if self.mime == "image/gif" => "gifv",
            Some("image") => "image",
            Some("video") => "video",
            Some("audio") => "audio",
            _ => "unknown",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Poll {
    pub(crate) id: u64,
    pub(crate) options: Vec<String>,
    pub(crate) expires_ms: i64,
    pub(crate) multiple: bool,
    pub(crate) hide_totals: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) account: u64,
    pub(crate) text: String,
    pub(crate) spoiler: String,
    pub(crate) visibility: String,
    pub(crate) sensitive: bool,
    pub(crate) language: Option<String>,
    pub(crate) in_reply_to: Option<u64>,
    pub(crate) media: Vec<u64>,
    pub(crate) poll: Option<Poll>,
    pub(crate) app: Option<(String, Option<String>)>,
    pub(crate) created_ms: i64,
    pub(crate) counts: Counts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Account(Account),
    App(App),
    Code(Code),
    CodeUsed {
        code: String,
    },
    Token(Token),
    TokenRevoked {
        token: String,
    },
    /// All tokens of one account, or of everybody.
    TokensEnded {
        account: Option<u64>,
        life: Life,
    },
    Media(Box<Media>),
    MediaText {
        id: u64,
        description: Option<String>,
        focus: Option<(f64, f64)>,
    },
    MediaGone {
        id: u64,
    },
    Posted {
        status: Box<Status>,
        key: Option<String>,
        seen: ledger::Entry,
    },
    StatusGone {
        id: u64,
        #[serde(default)]
        at_ms: i64,
    },
    Engaged {
        id: u64,
        counts: Counts,
    },
    EngagedAll {},
}

#[derive(Debug)]
pub(crate) struct State {
    accounts: BTreeMap<u64, Account>,
    by_handle: HashMap<String, u64>,
    apps: HashMap<String, App>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Token>,
    media: HashMap<u64, Media>,
    pub(super) statuses: HashMap<u64, Status>,
    /// What was deleted and when, for reads that lag.
    pub(super) gone: HashMap<u64, (Status, i64)>,
    pub(super) by_account: HashMap<u64, BTreeSet<u64>>,
    replies: HashMap<u64, BTreeSet<u64>>,
    /// (account, key) to the status and the time it was stored.
    keys: HashMap<(u64, String), (u64, i64)>,
    last_id: u64,
}

impl Default for State {
    /// The one account every instance begins with.
    fn default() -> Self {
        let mut state = Self {
            accounts: BTreeMap::new(),
            by_handle: HashMap::new(),
            apps: HashMap::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            media: HashMap::new(),
            statuses: HashMap::new(),
            gone: HashMap::new(),
            by_account: HashMap::new(),
            replies: HashMap::new(),
            keys: HashMap::new(),
            last_id: 0,
        };
        state.apply(Event::Account(Account {
            id: 1,
            handle: "demo".to_owned(),
            display_name: "Demo".to_owned(),
            created_ms: 0,
        }));
        state
    }
}

impl State {
    /// Applies one event; a status that became visible comes back as its ledger line.
    pub(crate) fn apply(&mut self, event: Event) -> Option<ledger::Entry> {
        match event {
            Event::Account(account) => {
                self.seen(account.id);
                self.by_handle.insert(account.handle.clone(), account.id);
                self.accounts.insert(account.id, account);
            }
            Event::App(app) => {
                self.seen(app.id);
                self.apps.insert(app.client_id.clone(), app);
            }
            Event::Code(code) => {
                self.codes.insert(code.secret.clone(), code);
            }
            Event::CodeUsed { code } => {
                self.codes.remove(&code);
            }
            Event::Token(token) => {
                self.tokens.insert(token.secret.clone(), token);
            }
            Event::TokenRevoked { token } => {
                if let Some(token) = self.tokens.get_mut(&token) {
                    token.life = Life::Revoked;
                }
            }
            Event::TokensEnded { account, life } => {
                for token in self.tokens.values_mut() {
                    if token.account.is_some() && (account.is_none() || token.account == account) {
                        token.life = life;
                    }
                }
            }
            Event::Media(media) => {
                self.seen(media.id);
                self.media.insert(media.id, *media);
            }
            Event::MediaText { id, description, focus } => {
                if let Some(media) = self.media.get_mut(&id) {
                    media.description = description;
                    media.focus = focus;
                }
            }
            Event::MediaGone { id } => {
                self.media.remove(&id);
            }
            Event::Posted { status, key, seen } => {
                self.post(*status, key);
                return Some(seen);
            }
            Event::StatusGone { id, at_ms } => self.remove(id, at_ms),
            Event::Engaged { id, counts } => {
                if let Some(status) = self.statuses.get_mut(&id) {
                    status.counts = counts;
                }
            }
            Event::EngagedAll {} => {
                for status in self.statuses.values_mut() {
                    status.counts = Counts::derived(&status.id.to_string());
                }
            }
        }
        None
    }

    fn post(&mut self, status: Status, key: Option<String>) {
        self.seen(status.id);
        for id in &status.media {
            if let Some(media) = self.media.get_mut(id) {
                media.status = Some(status.id);
            }
        }
        if let Some(parent) = status.in_reply_to {
            self.replies.entry(parent).or_default().insert(status.id);
            if let Some(parent) = self.statuses.get_mut(&parent) {
                parent.counts.replies += 1;
            }
        }
        if let Some(key) = key {
            self.keys.insert((status.account, key), (status.id, status.created_ms));
        }
        self.by_account.entry(status.account).or_default().insert(status.id);
        self.statuses.insert(status.id, status);
    }

    fn remove(&mut self, id: u64, at_ms: i64) {
        let Some(status) = self.statuses.remove(&id) else { return };
        if let Some(ids) = self.by_account.get_mut(&status.account) {
            ids.remove(&id);
        }
        if let Some(parent) = status.in_reply_to {
            if let Some(replies) = self.replies.get_mut(&parent) {
                replies.remove(&id);
            }
            if let Some(parent) = self.statuses.get_mut(&parent) {
                parent.counts.replies = parent.counts.replies.saturating_sub(1);
            }
        }
        self.gone.insert(id, (status, at_ms));
    }

    fn seen(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// An id larger than every id before it.
    pub(crate) fn next_id(&self, now_ms: i64) -> u64 {
        ((now_ms as u64) << 16).max(self.last_id + 1)
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(crate) fn account(&self, id: u64) -> Option<&Account> {
        self.accounts.get(&id)
    }

    pub(crate) fn account_named(&self, handle: &str) -> Option<&Account> {
        self.by_handle.get(handle).and_then(|id| self.accounts.get(id))
    }

    pub(crate) fn app(&self, client_id: &str) -> Option<&App> {
        self.apps.get(client_id)
    }

    pub(crate) fn code(&self, code: &str) -> Option<&Code> {
        self.codes.get(code)
    }

    pub(crate) fn code_holder(&self, code: &str) -> Option<&str> {
        self.account(self.codes.get(code)?.account).map(|account| account.handle.as_str())
    }

    pub(crate) fn token(&self, token: &str) -> Option<&Token> {
        self.tokens.get(token)
    }

    pub(crate) fn token_holder(&self, token: &str) -> Option<&str> {
        self.account(self.tokens.get(token)?.account?).map(|account| account.handle.as_str())
    }

    /// A file that is attached, or not yet purged.
    pub(crate) fn media(&self, id: u64, now_ms: i64) -> Option<&Media> {
        self.media.get(&id).filter(|media| match media.status {
            Some(status) => self.statuses.contains_key(&status),
            None => now_ms < media.created_ms + UNATTACHED_TTL_MS,
        })
    }

    /// The files of a status, whether or not it is still there.
    pub(crate) fn media_of(&self, status: &Status) -> impl Iterator<Item = &Media> {
        status.media.iter().filter_map(|id| self.media.get(id))
    }

    pub(crate) fn status(&self, id: u64) -> Option<&Status> {
        self.statuses.get(&id)
    }

    /// The status an idempotency key stands for, while it does.
    pub(crate) fn replayed(&self, account: u64, key: &str, now_ms: i64) -> Option<&Status> {
        let (id, stored_ms) = self.keys.get(&(account, key.to_owned()))?;
        self.status(*id).filter(|_| now_ms < stored_ms + KEY_TTL_MS)
    }

    pub(crate) fn ids_of(&self, account: u64) -> Option<&BTreeSet<u64>> {
        self.by_account.get(&account)
    }

    pub(crate) fn replies_to(&self, id: u64) -> impl Iterator<Item = &Status> {
        self.replies.get(&id).into_iter().flatten().filter_map(|id| self.statuses.get(id))
    }

    pub(crate) fn status_count(&self) -> usize {
        self.statuses.len()
    }

    pub(crate) fn is_live(&self, native_id: &str) -> bool {
        native_id.parse().is_ok_and(|id: u64| self.statuses.contains_key(&id))
    }
}

//! The ground truth: one line for everything that became visible on a network, in the order it did, never changed
//! or removed (a deleted post was visible). Answers given again from an idempotency key or an identical record add
//! nothing. The key order of a line is part of the contract: the fault suite's checker reads it.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{clock, networks::Network};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) network: Network,
    /// The account's handle.
    pub(crate) account: String,
    pub(crate) native_id: String,
    /// The native id of the post it replies to; null when it begins a thread of its own.
    #[serde(default)]
    pub(crate) in_reply_to: Option<String>,
    pub(crate) text: String,
    pub(crate) media: Vec<Attached>,
    /// True time of the machine, whatever the sandbox's clock was set to.
    pub(crate) visible_at_ms: i64,
    /// The HTTP request that made it visible (its `X-Request-Id`).
    pub(crate) request_id: String,
    /// What it is at its network: `reel`, `story`, `comment`, …; not written for a plain `post`.
    #[serde(default = "plain", skip_serializing_if = "is_plain")]
    pub(crate) kind: String,
}

/// The kind of everything that has no other.
pub(crate) fn plain() -> String {
    "post".to_owned()
}

fn is_plain(kind: &str) -> bool {
    kind == "post"
}

impl Entry {
    /// What becomes visible now, without media and in no thread.
    pub(crate) fn new(
        network: Network,
        kind: &str,
        account: &str,
        native_id: impl Into<String>,
        text: impl Into<String>,
        request_id: impl Into<String>,
    ) -> Self {
        Self {
            network,
            account: account.to_owned(),
            native_id: native_id.into(),
            in_reply_to: None,
            text: text.into(),
            media: Vec::new(),
            visible_at_ms: clock::true_now_ms(),
            request_id: request_id.into(),
            kind: kind.to_owned(),
        }
    }

    /// The same, in a thread or below a post.
    pub(crate) fn replying_to(self, native_id: impl Into<String>) -> Self {
        Self { in_reply_to: Some(native_id.into()), ..self }
    }

    /// The same with these files.
    pub(crate) fn with_media(self, media: Vec<Attached>) -> Self {
        Self { media, ..self }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attached {
    pub(crate) mime: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) alt: String,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    lines: Vec<Arc<Entry>>,
    /// Of each network the native id to the line that showed it last.
    by_id: HashMap<Network, HashMap<String, usize>>,
    count: watch::Sender<usize>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { lines: Vec::new(), by_id: HashMap::new(), count: watch::Sender::new(0) }
    }
}

impl Ledger {
    pub(crate) fn push(&mut self, entry: Entry) {
        let ids = self.by_id.entry(entry.network).or_default();
        ids.insert(entry.native_id.clone(), self.lines.len());
        self.lines.push(Arc::new(entry));
        self.count.send_replace(self.lines.len());
    }

    pub(crate) fn since(&self, offset: usize) -> Vec<Arc<Entry>> {
        self.lines.get(offset..).unwrap_or_default().to_vec()
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.lines.iter().rev()
    }

    /// The line that showed a post last.
    pub(crate) fn find(&self, network: Network, native_id: &str) -> Option<&Arc<Entry>> {
        self.by_id.get(&network)?.get(native_id).and_then(|index| self.lines.get(*index))
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Follows the number of lines.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.by_id.clear();
        self.count.send_replace(0);
    }
}

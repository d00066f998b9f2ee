//! The ground truth: one line for everything that became visible on a network, in the order it did, never changed
//! or removed (a deleted post was visible). Answers given again from an idempotency key or an identical record add
//! nothing. The key order of a line is part of the contract: the fault suite's checker reads it.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::networks::Network;

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
    /// Native id to the line that showed it last; ids of different networks never look alike.
    by_id: HashMap<String, usize>,
    count: watch::Sender<usize>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { lines: Vec::new(), by_id: HashMap::new(), count: watch::Sender::new(0) }
    }
}

impl Ledger {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.by_id.insert(entry.native_id.clone(), self.lines.len());
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
    pub(crate) fn find(&self, native_id: &str) -> Option<&Arc<Entry>> {
        self.by_id.get(native_id).and_then(|index| self.lines.get(*index))
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

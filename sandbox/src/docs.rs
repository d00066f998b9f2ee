//! What a network knows, as JSON documents by network, kind and key. A change arrives as an event of the world, so it
//! is journaled before it is true and replays to the same documents; nothing else writes here.
//!
//! Keys of one kind are sorted, so `account|padded number` gives an account's newest without walking the others.
//! Kinds that begin with `post` remember what they held, for reads that lag.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{networks::Network, script::NOW};

/// Kinds whose name begins like this remember.
const REMEMBERED: &str = "post";

/// One change of one document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// The document is this from now on.
    Put { kind: String, key: String, value: Value },
    /// The document is no more.
    Remove { kind: String, key: String },
}

impl Change {
    /// A document made or replaced.
    pub(crate) fn put(kind: &str, key: impl Into<String>, value: &impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("documents are structs of texts, numbers and lists");
        Self::Put { kind: kind.to_owned(), key: key.into(), value }
    }

    /// A document taken away; none of that name is fine.
    pub(crate) fn remove(kind: &str, key: impl Into<String>) -> Self {
        Self::Remove { kind: kind.to_owned(), key: key.into() }
    }
}

/// An id as a key whose order as text is its order as a number.
pub(crate) fn padded(id: u64) -> String {
    format!("{id:020}")
}

/// The documents of all networks.
#[derive(Debug, Default)]
pub(crate) struct Docs {
    shelves: BTreeMap<Network, Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    kinds: BTreeMap<String, BTreeMap<String, Slot>>,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Slot {
    /// Absent when the document was removed and is remembered.
    value: Option<Value>,
    since_ms: i64,
    /// What it held before: the value and the moment it ended, oldest first.
    past: Vec<(Value, i64, i64)>,
}

impl Slot {
    fn at(&self, as_of: i64) -> Option<&Value> {
        if as_of == NOW || self.since_ms <= as_of {
            return self.value.as_ref();
        }
        let held = |(_, since_ms, until_ms): &&(Value, i64, i64)| *since_ms <= as_of && as_of < *until_ms;
        self.past.iter().rev().find(held).map(|(value, ..)| value)
    }

    fn replace(&mut self, value: Option<Value>, remembers: bool, at_ms: i64) {
        let before = std::mem::replace(&mut self.value, value);
        if let Some(before) = before.filter(|_| remembers) {
            self.past.push((before, self.since_ms, at_ms));
        }
        self.since_ms = at_ms;
    }
}

impl Docs {
    /// Applies the changes of one event, which happened at that time of the sandbox's clock.
    pub(crate) fn apply(&mut self, network: Network, changes: Vec<Change>, last_id: u64, at_ms: i64) {
        let shelf = self.shelves.entry(network).or_default();
        shelf.last_id = shelf.last_id.max(last_id);
        for change in changes {
            match change {
                Change::Put { kind, key, value } => {
                    let remembers = kind.starts_with(REMEMBERED);
                    let slot = shelf.kinds.entry(kind).or_default().entry(key).or_default();
                    slot.replace(Some(value), remembers, at_ms);
                }
                Change::Remove { kind, key } => {
                    let remembers = kind.starts_with(REMEMBERED);
                    let Some(docs) = shelf.kinds.get_mut(&kind) else { continue };
                    if !remembers {
                        docs.remove(&key);
                    } else if let Some(slot) = docs.get_mut(&key) {
                        slot.replace(None, true, at_ms);
                    }
                }
            }
        }
    }

    /// An id larger than every id of the network before it: milliseconds shifted by 20 bits. It is handed out from
    /// here on; the next event of the network carries it into the journal.
    pub(crate) fn next_id(&mut self, network: Network, now_ms: i64) -> u64 {
        let shelf = self.shelves.entry(network).or_default();
        shelf.last_id = ((now_ms as u64) << 20).max(shelf.last_id + 1);
        shelf.last_id
    }

    /// The last id handed out.
    pub(crate) fn last_id(&self, network: Network) -> u64 {
        self.shelves.get(&network).map_or(0, |shelf| shelf.last_id)
    }

    /// The documents as a read meets them that knows nothing later than that moment.
    pub(crate) fn at(&self, as_of: i64) -> View<'_> {
        View { docs: self, as_of }
    }

    /// One document as it is.
    pub(crate) fn value(&self, network: Network, kind: &str, key: &str) -> Option<&Value> {
        self.at(NOW).value(network, kind, key)
    }

    /// One document; `None` when there is none, or when it is not of that shape.
    pub(crate) fn get<T: DeserializeOwned>(&self, network: Network, kind: &str, key: &str) -> Option<T> {
        self.at(NOW).get(network, kind, key)
    }

    /// Whether there is such a document.
    pub(crate) fn has(&self, network: Network, kind: &str, key: &str) -> bool {
        self.value(network, kind, key).is_some()
    }

    /// The documents of a kind whose keys begin with that text, in the order of their keys.
    pub(crate) fn range<'d, T: DeserializeOwned>(
        &'d self,
        network: Network,
        kind: &str,
        prefix: &str,
    ) -> impl DoubleEndedIterator<Item = (&'d str, T)> + use<'d, T> {
        self.at(NOW).range(network, kind, prefix)
    }

    /// Every document of a kind, in the order of their keys: for kinds that stay small.
    pub(crate) fn all<'d, T: DeserializeOwned>(
        &'d self,
        network: Network,
        kind: &str,
    ) -> impl DoubleEndedIterator<Item = (&'d str, T)> + use<'d, T> {
        self.at(NOW).all(network, kind)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.shelves.clear();
    }
}

/// The documents at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'d> {
    docs: &'d Docs,
    as_of: i64,
}

impl<'d> View<'d> {
    fn kind(self, network: Network, kind: &str) -> Option<&'d BTreeMap<String, Slot>> {
        self.docs.shelves.get(&network)?.kinds.get(kind)
    }

    /// See [`Docs::value`].
    pub(crate) fn value(self, network: Network, kind: &str, key: &str) -> Option<&'d Value> {
        self.kind(network, kind)?.get(key)?.at(self.as_of)
    }

    /// See [`Docs::get`].
    pub(crate) fn get<T: DeserializeOwned>(self, network: Network, kind: &str, key: &str) -> Option<T> {
        self.value(network, kind, key).and_then(|value| read(kind, key, value))
    }

    /// See [`Docs::has`].
    pub(crate) fn has(self, network: Network, kind: &str, key: &str) -> bool {
        self.value(network, kind, key).is_some()
    }

    /// See [`Docs::range`].
    pub(crate) fn range<T: DeserializeOwned>(
        self,
        network: Network,
        kind: &str,
        prefix: &str,
    ) -> impl DoubleEndedIterator<Item = (&'d str, T)> + use<'d, T> {
        let (as_of, kind_name) = (self.as_of, kind.to_owned());
        // A range ends where the prefix's successor begins; the highest character follows every other one.
        let end = format!("{prefix}{}", char::MAX);
        let slots = self.kind(network, kind).map(|docs| docs.range(prefix.to_owned()..end));
        slots.into_iter().flatten().filter_map(move |(key, slot)| {
            let value = slot.at(as_of)?;
            Some((key.as_str(), read(&kind_name, key, value)?))
        })
    }

    /// See [`Docs::all`].
    pub(crate) fn all<T: DeserializeOwned>(
        self,
        network: Network,
        kind: &str,
    ) -> impl DoubleEndedIterator<Item = (&'d str, T)> + use<'d, T> {
        self.range(network, kind, "")
    }
}

/// A document as the type a network keeps it in.
fn read<T: DeserializeOwned>(kind: &str, key: &str, value: &Value) -> Option<T> {
    T::deserialize(value)
        .inspect_err(|problem| {
            tracing::error!(error = %problem, kind, key, "a document does not have the shape it is read in");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::{Change, Docs, NOW, padded};
    use crate::networks::Network;

    const NET: Network = Network::X;

    fn put(docs: &mut Docs, kind: &str, key: &str, value: u64, at_ms: i64) {
        docs.apply(NET, vec![Change::put(kind, key, &value)], 0, at_ms);
    }

    fn keys(found: impl Iterator<Item = (impl Into<String>, u64)>) -> Vec<String> {
        found.map(|(key, _)| key.into()).collect()
    }

    #[test]
    fn reads_ranges_of_a_prefix_from_both_ends() {
        let mut docs = Docs::default();
        for (key, value) in [("a|2", 2), ("a|1", 1), ("b|1", 3), ("a|3", 4), ("a", 5)] {
            put(&mut docs, "post_of", key, value, 0);
        }
        put(&mut docs, "other", "a|9", 9, 0);
        assert_eq!(keys(docs.range(NET, "post_of", "a|")), ["a|1", "a|2", "a|3"]);
        assert_eq!(keys(docs.range(NET, "post_of", "a|").rev().take(2)), ["a|3", "a|2"]);
        assert_eq!(keys(docs.all(NET, "post_of")).len(), 5);
        assert_eq!(keys(docs.range(NET, "nothing", "a|")), Vec::<String>::new());
        assert_eq!(docs.get::<u64>(NET, "post_of", "b|1"), Some(3));
        assert_eq!(docs.get::<String>(NET, "post_of", "b|1"), None, "another shape is no document");
        assert_eq!(docs.get::<u64>(Network::Slack, "post_of", "b|1"), None);
    }

    #[test]
    fn posts_are_remembered_for_reads_that_lag_and_others_are_not() {
        let mut docs = Docs::default();
        for kind in ["post", "upload"] {
            put(&mut docs, kind, "1", 10, 100);
            put(&mut docs, kind, "1", 20, 200);
            docs.apply(NET, vec![Change::remove(kind, "1"), Change::remove(kind, "2")], 0, 300);
        }
        let seen = |kind: &str| [99, 100, 199, 200, 299, 300, NOW].map(|at| docs.at(at).get(NET, kind, "1"));
        let (ten, twenty) = (Some(10_u64), Some(20));
        assert_eq!(seen("post"), [None, ten, ten, twenty, twenty, None, None]);
        assert_eq!(seen("upload"), [None; 7]);
        assert_eq!(keys(docs.at(150).all(NET, "post")), ["1"]);
        assert_eq!(keys(docs.all(NET, "post")), Vec::<String>::new());
        assert!(!docs.has(NET, "post", "1"));
    }

    #[test]
    fn ids_grow_even_when_the_clock_does_not() {
        let mut docs = Docs::default();
        let ids = [5, 5, 1, 6].map(|now| docs.next_id(NET, now));
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        docs.apply(NET, Vec::new(), 1 << 40, 0);
        assert!(docs.next_id(NET, 7) > 1 << 40, "ids of the journal count");
        assert!(docs.next_id(Network::Slack, 7) < 1 << 40, "each network counts its own");
        assert!(padded(9) < padded(10));
        assert_eq!(docs.next_id(NET, 1_767_323_045_678).to_string().len(), 19);
    }
}

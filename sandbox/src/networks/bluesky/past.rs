//! What a read answers that lags: the records as they were at an earlier moment. Replaced and deleted ones are kept for
//! it.

use std::{borrow::Cow, collections::BTreeMap};

use super::state::{Record, Repo, State, split};
use crate::script::NOW;

impl State {
    /// The record as a read answers it that knows nothing later than that moment.
    pub(crate) fn record_at(&self, uri: &str, as_of: i64) -> Option<&Record> {
        let (did, key) = split(uri)?;
        self.repos.get(did)?.record_at(&key, as_of)
    }
}

impl Repo {
    pub(super) fn ended(&mut self, key: &(String, String), record: Option<Record>, at_ms: i64) {
        if let Some(record) = record {
            self.past.entry(key.clone()).or_default().push((record, at_ms));
        }
    }

    fn record_at(&self, key: &(String, String), as_of: i64) -> Option<&Record> {
        let was =
            || self.past.get(key)?.iter().find(|(_, ended_ms)| as_of < *ended_ms).map(|(record, _)| record);
        if as_of == NOW {
            return self.records.get(key);
        }
        was().or_else(|| self.records.get(key)).filter(|record| record.indexed_ms <= as_of)
    }

    /// All records as a read meets them that knows nothing later than that moment.
    pub(crate) fn records_at(&self, as_of: i64) -> Cow<'_, BTreeMap<(String, String), Record>> {
        if as_of == NOW {
            return Cow::Borrowed(&self.records);
        }
        let keys = self.records.keys().chain(self.past.keys());
        Cow::Owned(keys.filter_map(|key| Some((key.clone(), self.record_at(key, as_of)?.clone()))).collect())
    }
}

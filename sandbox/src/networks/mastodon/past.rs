//! What a read answers that lags: the statuses as they were at an earlier moment. Deleted ones are kept for it.

use std::{borrow::Cow, collections::BTreeSet};

use super::state::{State, Status};
use crate::script::NOW;

impl State {
    /// The status as a read answers it that knows nothing later than that moment.
    pub(crate) fn status_at(&self, id: u64, as_of: i64) -> Option<&Status> {
        let gone =
            || self.gone.get(&id).filter(|(_, deleted_ms)| as_of < *deleted_ms).map(|(status, _)| status);
        self.statuses.get(&id).or_else(gone).filter(|status| status.created_ms <= as_of)
    }

    /// The ids a read may meet that lags: those of now and of what was deleted since.
    pub(crate) fn ids_at(&self, account: u64, as_of: i64) -> Cow<'_, BTreeSet<u64>> {
        static NONE: BTreeSet<u64> = BTreeSet::new();
        let now = self.by_account.get(&account).unwrap_or(&NONE);
        if as_of == NOW {
            return Cow::Borrowed(now);
        }
        let gone = self.gone.iter().filter(|(_, (status, _))| status.account == account);
        Cow::Owned(gone.map(|(id, _)| *id).chain(now.iter().copied()).collect())
    }
}

//! Lanes: those who want the same thing queue, and all but the first find it done.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Lane, OwnedMutexGuard};

/// A lane for each thing that somebody is about to do. Clones share them.
#[derive(Debug)]
pub(crate) struct Lanes<K>(Arc<Mutex<HashMap<K, Weak<Lane<()>>>>>);

impl<K> Clone for Lanes<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Lanes<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Lanes<K> {
    /// Waits until nobody else in this process is at the thing.
    pub(crate) async fn enter(&self, thing: K) -> OwnedMutexGuard<()> {
        let lane = {
            let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.retain(|_, lane| lane.strong_count() > 0);
            let open = lanes.get(&thing).and_then(Weak::upgrade);
            open.unwrap_or_else(|| {
                let lane = Arc::new(Lane::new(()));
                lanes.insert(thing, Arc::downgrade(&lane));
                lane
            })
        };
        lane.lock_owned().await
    }
}

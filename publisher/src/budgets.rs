//! The blocks of the application's permits that this process holds, by network, server and window.

use std::{collections::HashMap, time::Duration};

use postmesh_kit::clockguard::Boottime;
use tokio::sync::Mutex;

use crate::{error::Error, networks::limits::Permits, store::Store};

/// A window is spent in about so many blocks.
const BLOCKS: i64 = 20;
/// The largest block.
const LARGEST: i64 = 100;

/// Network, server, and the window's length in milliseconds.
type Key = (String, String, i64);

/// What this process holds.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<HashMap<Key, Held>>);

#[derive(Debug, Clone, Copy)]
struct Held {
    left: i64,
    ends: Boottime,
}

impl Budgets {
    /// Takes one post out of every window. `Some(wait)` when one of them has none left: nothing was taken, and the next
    /// window begins after so many milliseconds.
    pub(crate) async fn take(
        &self,
        store: &Store,
        network: &str,
        server: &str,
        all: &[Permits],
    ) -> Result<Option<i64>, Error> {
        let mut held = self.0.lock().await;
        for permits in all {
            let now = Boottime::now();
            let key = key(network, server, *permits);
            if held.get(&key).is_some_and(|held| held.left > 0 && held.ends > now) {
                continue;
            }
            let most = (permits.posts / BLOCKS).clamp(1, LARGEST);
            let block = store.take_block(network, server, *permits, most).await?;
            if block.posts == 0 {
                return Ok(Some(block.ends_in.max(1)));
            }
            // Counted from before the question, so that it ends here no later than there.
            let ends = now + Duration::from_millis(block.ends_in.max(0).unsigned_abs());
            held.insert(key, Held { left: block.posts, ends });
        }
        for permits in all {
            if let Some(held) = held.get_mut(&key(network, server, *permits)) {
                held.left -= 1;
            }
        }
        Ok(None)
    }

    /// What was taken was not used.
    pub(crate) async fn give_back(&self, network: &str, server: &str, all: &[Permits]) {
        let mut held = self.0.lock().await;
        let now = Boottime::now();
        for permits in all {
            let held = held.get_mut(&key(network, server, *permits)).filter(|held| held.ends > now);
            if let Some(held) = held {
                held.left += 1;
            }
        }
    }
}

fn key(network: &str, server: &str, permits: Permits) -> Key {
    (network.to_owned(), server.to_owned(), permits.window_ms)
}

#[cfg(test)]
mod tests {
    use postmesh_kit::{testing::each_database, write};

    use super::*;
    use crate::MIGRATIONS;

    const HOUR: i64 = 3_600_000;

    async fn spend(budgets: &Budgets, store: &Store, all: &[Permits]) -> i64 {
        let mut spent = 0;
        while budgets.take(store, "x", "https://x.example", all).await.unwrap().is_none() {
            spent += 1;
        }
        spent
    }

    #[tokio::test]
    async fn processes_together_never_spend_more_than_the_window_holds() {
        each_database(MIGRATIONS, |db| async move {
            let store = Store::new(db, "test");
            let long = [Permits { posts: 50, window_ms: 1_000 * HOUR }];
            let (a, b, c) = (Budgets::default(), Budgets::default(), Budgets::default());
            let (spent_a, spent_b) = tokio::join!(spend(&a, &store, &long), spend(&b, &store, &long));
            assert_eq!(spent_a + spent_b, 50);
            assert_eq!(spend(&c, &store, &long).await, 0);
            // Another server has its own; what was not used comes back.
            assert_eq!(c.take(&store, "x", "https://y.example", &long).await.unwrap(), None);
            a.give_back("x", "https://x.example", &long).await;
            assert_eq!(spend(&a, &store, &long).await, 1);
        })
        .await;
    }

    #[tokio::test]
    async fn a_process_that_ends_loses_a_block_and_the_next_window_is_full() {
        each_database(MIGRATIONS, |db| async move {
            let store = Store::new(db, "test");
            let long = Permits { posts: 40, window_ms: 1_000 * HOUR };
            let server = "https://x.example";
            assert_eq!(Budgets::default().take(&store, "x", server, &[long]).await.unwrap(), None);
            let next = Budgets::default();
            assert_eq!(spend(&next, &store, &[long]).await, 38, "a block is two posts here");
            let wait = next.take(&store, "x", server, &[long]).await.unwrap().unwrap();
            assert!(wait > 0 && wait <= long.window_ms);
            let passes: Result<(), Error> = write!(store.db, tx => {
                sqlx::query("update app_permits set window_from = window_from - window_ms").execute(&mut *tx).await?;
                Ok(())
            });
            passes.unwrap();
            assert_eq!(spend(&next, &store, &[long]).await, 40);
        })
        .await;
    }
}

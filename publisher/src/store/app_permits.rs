//! What our application may send to one server of a network in a window, over all accounts and processes. Processes take
//! blocks out of the window's row and spend them in memory; what a process that ends has left is lost until the next
//! window. Windows begin at multiples of their length of the database's clock.
//!
//! **Invariant:** the blocks taken in one window never exceed its posts.

use postmesh_kit::write;
use uuid::Uuid;

use super::{Store, timed};
use crate::{error::Error, networks::limits::Permits};

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Posts; 0 when the window has none left.
    pub(crate) posts: i64,
    /// How long the window still lasts, milliseconds.
    pub(crate) ends_in: i64,
}

impl Store {
    /// Takes at most `most` posts out of the present window.
    pub(crate) async fn take_block(
        &self,
        network: &str,
        server: &str,
        permits: Permits,
        most: i64,
    ) -> Result<Block, Error> {
        let sqlite = self.db.is_sqlite();
        let (network, server) = (network.to_owned(), server.to_owned());
        write!(self.db, tx => {
            // Locks the row until the commit.
            let (now, window_from, taken): (i64, i64, i64) = sqlx::query_as(timed!(sqlite,
                "insert into app_permits (network, server, window_ms, window_from, taken) values ($1, $2, $3, 0, 0)
                     on conflict (network, server, window_ms) do update set taken = app_permits.taken
              returning ", ", window_from, taken"))
                .bind(network.clone()).bind(server.clone()).bind(permits.window_ms).fetch_one(&mut *tx).await?;
            // A window that was counted already stays counted when the clock goes back.
            let from = (now - now.rem_euclid(permits.window_ms)).max(window_from);
            let used = if window_from == from { taken } else { 0 };
            let posts = most.min(permits.posts - used).max(0);
            if posts > 0 {
                sqlx::query(
                    "update app_permits set window_from = $4, taken = $5
                      where network = $1 and server = $2 and window_ms = $3")
                    .bind(network).bind(server).bind(permits.window_ms).bind(from).bind(used + posts)
                    .execute(&mut *tx).await?;
            }
            Ok::<_, Error>(Block { posts, ends_in: from + permits.window_ms - now })
        })
    }

    /// Prepared deliveries of an account have nothing to do for `wait` milliseconds.
    pub(crate) async fn postpone(&self, account_id: Uuid, wait: i64) -> Result<(), Error> {
        let sqlite = self.db.is_sqlite();
        write!(self.db, tx => {
            sqlx::query(timed!(sqlite,
                "update deliveries set next_at = case when late_at < $2 + ", " then late_at else $2 + ", " end
                  where account_id = $1 and state = 'prepared' and next_at < $2 + ", ""))
                .bind(account_id).bind(wait).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }
}

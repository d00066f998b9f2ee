//! Removes what nobody needs: uploads that were never completed, originals whose rendition is stored, renditions of
//! deleted items, copies that were made twice, public addresses that ended a week ago, and what a crash left between a
//! blob and its row.

use std::time::Duration;

use postmesh_kit::{blob::Blob, clock::Clock};

use crate::{deps::Deps, error::Error, metrics, store::Store};

/// Uploads are forgotten after this long, completed or not; milliseconds.
pub const UPLOAD_LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// A key is removed this long after the last moment its blob can be written; milliseconds.
pub(crate) const SLACK_MS: i64 = 60 * 60 * 1000;
/// How long it is told how often a public address was read, after the time when it ended by itself; milliseconds.
pub const SHARE_MEMORY_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const BATCH: i64 = 100;

/// What one round removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Uploads forgotten.
    pub uploads: u64,
    /// Public addresses forgotten.
    pub shares: u64,
    /// Blobs removed.
    pub blobs: u64,
}

/// One round. What fails is left for the next one; the first failure is answered.
pub async fn sweep(store: &Store, blob: &Blob, clock: &dyn Clock) -> Result<Swept, Error> {
    let now = clock.now_ms();
    let uploads = store.forget_uploads(now - UPLOAD_LIFE_MS).await?;
    let shares = store.forget_shares(now - SHARE_MEMORY_MS).await?;
    let mut swept = Swept { uploads, shares, blobs: 0 };
    loop {
        let keys = store.take_loose(now, BATCH).await?;
        if keys.is_empty() {
            return Ok(swept);
        }
        for key in keys {
            blob.delete(&key).await?;
            store.forget_loose(key).await?;
            swept.blobs += 1;
            ::metrics::counter!(metrics::SWEPT).increment(1);
        }
    }
}

/// Sweeps at every interval until the service stops.
pub(crate) async fn keep_sweeping(store: Store, deps: Deps, interval: Duration) {
    loop {
        tokio::select! {
            () = deps.lifecycle.stopping() => return,
            () = tokio::time::sleep(interval) => {}
        }
        match sweep(&store, &deps.blob, &*deps.clock).await {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => {
                let Swept { uploads, shares, blobs } = swept;
                tracing::info!(uploads, shares, blobs, "removed what nobody needs");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "sweeping failed; the next round repeats it"
            ),
        }
    }
}

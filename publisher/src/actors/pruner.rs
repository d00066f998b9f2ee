//! Deletes, now and then and in small batches, what nobody needs any more.

use std::{sync::Arc, time::Duration};

use crate::{deps::Parts, error::Error};

/// Rows of each kind deleted in one transaction.
const BATCH: i64 = 500;
/// Pause between two transactions: sends have the database to themselves in between.
const PAUSE: Duration = Duration::from_millis(100);

/// One run.
pub(super) async fn prune(parts: Arc<Parts>) {
    if let Err(error) = try_prune(&parts).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "old records were not deleted; the next run comes"
        );
    }
}

async fn try_prune(parts: &Parts) -> Result<(), Error> {
    let before = parts.store.now().await? - parts.config.keep_ms;
    let batch = BATCH.unsigned_abs();
    while parts.store.prune(before, BATCH).await? >= batch && !parts.lifecycle.is_stopping() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

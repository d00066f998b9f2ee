//! Refreshes tokens before they end, through the account's actor, so that there is one refresh at a time.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::Accounts;
use crate::{deps::Parts, error::Error};

/// Accounts looked after in one run.
const LIMIT: i64 = 500;
/// Refreshes at once.
const AT_ONCE: usize = 8;

/// One run.
pub(super) async fn keep(parts: Arc<Parts>, accounts: Accounts) {
    let before = parts.clock.now_ms() + parts.config.refresh_ahead_ms;
    let expiring = match parts.store.expiring_accounts(before, LIMIT).await {
        Ok(expiring) => expiring,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "expiring tokens could not be listed");
            return;
        }
    };
    stream::iter(expiring)
        .for_each_concurrent(AT_ONCE, |account_id| {
            let accounts = accounts.clone();
            async move {
                match accounts.session(account_id, None).await {
                    Ok(_) | Err(Error::NeedsReconnect(_) | Error::NotOwner(_) | Error::Stopping) => {}
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, account.id = %account_id, "tokens were not refreshed in time");
                    }
                }
            }
        })
        .await;
}

//! Finds what is due and whose sender is gone, and wakes the accounts. This, not any queue, is why nothing is lost.

use std::{sync::Arc, time::Duration};

use postmesh_kit::clockguard::Boottime;

use super::{Accounts, epoch};
use crate::{deps::Parts, error::Error, metrics};

/// Accounts woken by one sweep, one workspace after the other.
const LIMIT: i64 = 10_000;
/// What is told within this time is looked for at once.
const GATHER: Duration = Duration::from_millis(200);
/// A delivery this long past its deadline is stuck, milliseconds.
const STUCK_AFTER: i64 = 60_000;

/// One sweep.
pub(super) async fn sweep(parts: Arc<Parts>, accounts: Accounts) {
    if let Err(error) = try_sweep(&parts, &accounts).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a sweep failed; the next one comes");
    }
}

async fn try_sweep(parts: &Parts, accounts: &Accounts) -> Result<(), Error> {
    let asked = Boottime::now();
    let database_now = parts.store.now().await?;
    if parts.clock_guard.agrees(database_now) {
        parts.database_clock.follow(database_now, asked);
    }
    epoch::guard(parts).await?;
    let soon = database_now + i64::try_from(parts.config.sweep_ms).unwrap_or(0);
    accounts.wake_all(parts.store.accounts_with_work(soon, LIMIT, parts.owner).await?);
    let stuck = parts.store.stuck(STUCK_AFTER).await?;
    ::metrics::gauge!(metrics::STUCK).set(stuck as f64);
    if stuck > 0 {
        tracing::warn!(stuck, "deliveries are past their deadline");
    }
    Ok(())
}

/// Sweeps as well when another process took work in: some of it may be for accounts that are served here.
pub(super) async fn listen(parts: Arc<Parts>, accounts: Accounts) {
    loop {
        tokio::select! {
            () = parts.lifecycle.stopping() => return,
            () = parts.work.notified() => sweep(parts.clone(), accounts.clone()).await,
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Makes the leases of this process last.
pub(super) async fn renew(parts: Arc<Parts>) {
    if let Err(error) = parts.store.renew_leases(parts.owner, parts.config.lease_ms).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "leases were not renewed");
    }
}

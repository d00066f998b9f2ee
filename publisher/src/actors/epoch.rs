//! Notices that the database is not the one it was: a replica was promoted, or its log went backwards. Deliveries that
//! the lost commits may have sent are put in doubt before anything is armed again; ARM itself checks the same.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{deps::Parts, error::Error};

/// How far the log had come when this process looked last.
#[derive(Debug, Default)]
pub(crate) struct LogPosition(AtomicI64);

/// Looks once; begins a new epoch where one has begun.
pub(super) async fn guard(parts: &Parts) -> Result<(), Error> {
    let Some((is_same, position)) = parts.store.epoch().await? else { return Ok(()) };
    let is_behind = parts.log_position.0.swap(position, Ordering::Relaxed) > position;
    if !is_same || is_behind {
        begin(parts, is_behind).await?;
    }
    Ok(())
}

/// Puts in doubt what may have been sent, and remembers the database as it is now.
pub(crate) async fn begin(parts: &Parts, is_behind: bool) -> Result<(), Error> {
    let doubted = parts.store.begin_epoch(is_behind, &parts.policy).await?;
    if doubted > 0 {
        tracing::error!(
            doubted,
            "the database lost commits: deliveries that may have been sent are looked for before they are sent again"
        );
        parts.ring_events();
    }
    Ok(())
}

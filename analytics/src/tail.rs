//! Hears from the publisher what was published, from where it stopped the last time.
//!
//! Invariant: the cursor is stored with what the events said, so a crash at any point repeats events and loses none.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use postmesh_kit::{ids, lifecycle::Lifecycle, time::from_proto};
use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::{DeliveryEvent, TailEventsRequest},
};
use tonic::Status;

use crate::{
    deps::{DeliveryClient, Deps},
    domain::schedule::Schedule,
    error::Error,
    metrics::{CURSOR, RECONNECTS},
    store::{Store, published::Published},
};

/// The first pause after a broken stream; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Tails the publisher's events.
pub(crate) struct Tail {
    deliveries: DeliveryClient,
    store: Store,
    schedule: Schedule,
    deps: Deps,
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the publisher ended the stream: {0}")]
    Stream(#[from] Status),
    #[error(transparent)]
    Store(#[from] Error),
    #[error("handling an event panicked")]
    Panic,
}

impl Tail {
    pub(crate) fn new(deps: Deps, store: Store, schedule: Schedule) -> Self {
        Self { deliveries: deps.deliveries.clone(), store, schedule, deps }
    }

    /// Runs until the life ends; a broken stream is opened again after a pause.
    pub(crate) async fn run(self, life: Lifecycle) {
        let mut pause = SHORTEST;
        while !life.is_stopping() {
            let mut heard = false;
            let broken = tokio::select! {
                () = life.stopping() => return,
                broken = AssertUnwindSafe(self.follow(&mut heard)).catch_unwind() => broken,
            };
            let broken = match broken {
                Ok(Ok(())) => None,
                Ok(Err(broken)) => Some(broken),
                Err(_) => Some(Broken::Panic),
            };
            metrics::counter!(RECONNECTS).increment(1);
            if let Some(broken) = broken {
                tracing::warn!(error = &broken as &dyn std::error::Error, "the publisher's events broke off");
            }
            pause = if heard { SHORTEST } else { (pause * 2).min(LONGEST) };
            tokio::select! {
                () = life.stopping() => return,
                // Random, so that replicas do not come back in step.
                () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))) => {}
            }
        }
    }

    /// Follows one stream to its end.
    async fn follow(&self, heard: &mut bool) -> Result<(), Broken> {
        let after_sequence = self.store.cursor().await?;
        let mut deliveries = self.deliveries.clone();
        let mut stream = deliveries.tail_events(TailEventsRequest { after_sequence }).await?.into_inner();
        while let Some(batch) = stream.message().await? {
            *heard = true;
            let Some(last) = batch.events.iter().map(|event| event.sequence).max() else { continue };
            let published = batch.events.into_iter().filter_map(|event| self.published(event)).collect();
            self.store.remember(published, last).await?;
            metrics::gauge!(CURSOR).set(last as f64);
        }
        Ok(())
    }

    /// The target of an event that says that it became visible.
    fn published(&self, event: DeliveryEvent) -> Option<Published> {
        if event.state() != TargetState::Published || event.native_id.is_empty() {
            return None;
        }
        let now = self.deps.clock.now_ms();
        let published_at = event.event_time.as_ref().and_then(from_proto).unwrap_or(now);
        let id = |text: &str| {
            ids::parse("id", text)
                .inspect_err(|_| {
                    tracing::error!(sequence = event.sequence, "an event names something without an id");
                })
                .ok()
        };
        Some(Published {
            target_id: id(&event.target_id)?,
            post_id: id(&event.post_id)?,
            workspace_id: id(&event.workspace_id)?,
            account_id: id(&event.account_id)?,
            next_read_at: self.schedule.next(published_at, now),
            network: event.network,
            native_id: event.native_id,
            published_at,
        })
    }
}

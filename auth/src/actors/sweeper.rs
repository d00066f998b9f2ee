//! Deletes what nobody can use any more, now and then. Losing a round costs space, nothing else.

use std::{sync::Arc, time::Duration};

use postmesh_kit::clock::Clock;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::store::Store;

/// How often it sweeps. Sealed successors of refresh tokens outlive their grace by this at most.
const PERIOD: Duration = Duration::from_mins(10);

/// Deletes what nobody can use any more.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// What is swept.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What the sweeper is told.
#[derive(Debug)]
pub enum Msg {
    /// Sweep now.
    Sweep,
}

impl Actor for Sweeper {
    type Msg = Msg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        myself.send_interval(PERIOD, || Msg::Sweep);
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Msg>, message: Msg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let Msg::Sweep = message;
        match self.store.sweep(self.clock.now_ms()).await {
            Ok(swept) => tracing::debug!(?swept, "swept"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not sweep"),
        }
        Ok(())
    }
}

//! An actor that does one thing now and then: at a steady pace, and at once when it is told to. One run at a time.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use postmesh_kit::lifecycle::Lifecycle;
use ractor::{Actor, ActorProcessingErr, ActorRef};

/// The actor.
pub(super) struct Periodic;

/// What it does. Errors are the work's own affair: the next run comes anyway.
pub(super) type Work = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What it is started with.
pub(super) struct Arguments {
    pub(super) lifecycle: Lifecycle,
    pub(super) every: Duration,
    pub(super) work: Work,
}

/// Messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Msg {
    /// The next run is due.
    Run,
    /// A run has ended.
    Ended,
}

impl Actor for Periodic {
    type Msg = Msg;
    type State = Arguments;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Msg>,
        arguments: Arguments,
    ) -> Result<Arguments, ActorProcessingErr> {
        let _ = myself.cast(Msg::Run);
        Ok(arguments)
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut Arguments,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Run if state.lifecycle.is_stopping() => {}
            Msg::Run => {
                let work = (state.work)();
                super::run(&state.lifecycle, &myself, async move {
                    work.await;
                    Msg::Ended
                });
            }
            Msg::Ended => {
                myself.send_after(state.every, || Msg::Run);
            }
        }
        Ok(())
    }
}

//! Claims what is due, a batch at a time, and hands it over, until nothing is left.
//!
//! The claim is committed before the offer leaves, so a cancellation that comes later knows that the publisher may
//! have the target and asks for it back. A batch that cannot be delivered within its lease is dropped here and comes
//! up again in the database.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::{
    Room, beside,
    offers::{hand_over, settle},
    supervisor,
};
use crate::error::Error;

pub(super) struct Lane;

pub(super) enum Msg {
    /// Something is due.
    Work,
    /// The run has ended; false when it died.
    Done(bool),
}

pub(super) struct State {
    room: Room,
    supervisor: ActorRef<supervisor::Msg>,
    running: bool,
    again: bool,
}

impl Actor for Lane {
    type Msg = Msg;
    type State = State;
    type Arguments = (Room, ActorRef<supervisor::Msg>);

    async fn pre_start(
        &self,
        _: ActorRef<Msg>,
        (room, supervisor): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { room, supervisor, running: false, again: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Work if state.running => state.again = true,
            Msg::Work => state.run(&myself),
            Msg::Done(false) => return Err("a hand-over died".into()),
            Msg::Done(true) => {
                state.running = false;
                if std::mem::take(&mut state.again) {
                    state.run(&myself);
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn run(&mut self, myself: &ActorRef<Msg>) {
        self.running = true;
        let (room, supervisor) = (self.room.clone(), self.supervisor.clone());
        beside(&self.room.deps.lifecycle, myself, Msg::Done(false), async move {
            if let Err(error) = run(&room).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a hand-over did not finish");
                // The clock learns the new moments of what was claimed.
                let _ = supervisor.cast(supervisor::Msg::Look);
            }
            Msg::Done(true)
        });
    }
}

async fn run(room: &Room) -> Result<(), Error> {
    while !room.stopping() {
        let lease = Duration::from_millis(room.config.offer_lease_ms as u64);
        let until = Instant::now() + lease;
        // The tenants of the batch take up this lane until it is delivered.
        let (claimed, _load) = room.turns.claim(room).await?;
        if claimed.taken == 0 {
            break;
        }
        hand_over(room, &claimed.offers, until).await?;
        for (workspace_id, post_id) in &claimed.unsettled {
            settle(room, *workspace_id, *post_id).await?;
        }
    }
    Ok(())
}

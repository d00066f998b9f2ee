//! Tails the publisher: what became of deliveries, from the stored cursor on. A lost stream only delays the display;
//! it is opened again with a pause that grows and is never the same for two replicas.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{Room, beside, pause, supervisor};
use crate::{error::Error, metrics, neighbours};

/// Events of one transaction at most.
const BATCH: usize = 500;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Results;

pub(super) enum Msg {
    /// Open the stream.
    Open,
    /// It ended after taking in at least one answer (or none); `None` when its task died.
    Ended(Option<bool>),
}

pub(super) struct State {
    room: Room,
    supervisor: ActorRef<supervisor::Msg>,
    failures: u32,
}

impl Actor for Results {
    type Msg = Msg;
    type State = State;
    type Arguments = (Room, ActorRef<supervisor::Msg>);

    async fn pre_start(
        &self,
        myself: ActorRef<Msg>,
        (room, supervisor): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Open)?;
        Ok(State { room, supervisor, failures: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Open => {
                let (room, supervisor) = (state.room.clone(), state.supervisor.clone());
                beside(&state.room.deps.lifecycle, &myself, Msg::Ended(None), async move {
                    Msg::Ended(Some(tail_and_log(&room, &supervisor).await))
                });
            }
            Msg::Ended(None) => return Err("tailing the publisher died".into()),
            Msg::Ended(Some(worked)) => {
                state.failures = if worked { 0 } else { state.failures + 1 };
                myself.send_after(pause(state.failures, LONGEST_PAUSE), || Msg::Open);
            }
        }
        Ok(())
    }
}

/// How often a quiet tail makes sure that the database still knows what it was told.
const STILL_KNOWN_EVERY: Duration = Duration::from_secs(5);

/// Tails until the stream ends; true when anything was taken in.
async fn tail_and_log(room: &Room, supervisor: &ActorRef<supervisor::Msg>) -> bool {
    let mut worked = false;
    let ended = tokio::select! {
        ended = tail(room, supervisor, &mut worked) => ended,
        () = room.deps.lifecycle.stopping() => return true,
    };
    ::metrics::gauge!(metrics::TAILING).set(0.0);
    match ended {
        Ok(()) => tracing::info!("the publisher ended its stream of events"),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the publisher's stream of events broke"
            );
        }
    }
    worked
}

async fn tail(room: &Room, supervisor: &ActorRef<supervisor::Msg>, worked: &mut bool) -> Result<(), Error> {
    let after = room.store.cursor().await?;
    let mut stream = neighbours::tail(&mut room.deps.publisher.clone(), after).await?;
    ::metrics::gauge!(metrics::TAILING).set(1.0);
    let mut last = after;
    loop {
        let Ok(answer) = tokio::time::timeout(STILL_KNOWN_EVERY, stream.message()).await else {
            if has_forgotten(room, last).await? {
                return Ok(());
            }
            continue;
        };
        let answer = answer.map_err(|status| Error::from_neighbour("publisher", status))?;
        let Some(answer) = answer else { return Ok(()) };
        *worked = true;
        if has_forgotten(room, last).await? {
            return Ok(());
        }
        let mut events = answer.events;
        events.sort_by_key(|event| event.sequence);
        for batch in events.chunks(BATCH) {
            let highest = batch.last().map_or(0, |event| event.sequence);
            let facts: Vec<_> = batch.iter().cloned().filter_map(neighbours::fact).collect();
            ::metrics::counter!(metrics::EVENTS).increment(batch.len() as u64);
            let learnt = room.store.learn_events(facts, highest, room.now()).await?;
            if learnt.contradicted > 0 {
                ::metrics::counter!(metrics::CONTRADICTIONS).increment(learnt.contradicted as u64);
                tracing::error!(
                    targets = learnt.contradicted,
                    "targets are visible although they had ended otherwise"
                );
            }
            last = last.max(highest);
            room.feed.wake(learnt.workspaces);
            if learnt.mended {
                // Parts of threads go out again with the part before them.
                let _ = supervisor.cast(supervisor::Msg::Look);
            }
        }
    }
}

/// Whether the database has lost what this tail had stored (a replica that lagged was promoted): then the tail begins
/// again from what is stored, or what lies between would be skipped.
async fn has_forgotten(room: &Room, last: i64) -> Result<bool, Error> {
    let known = room.store.cursor().await?;
    if known < last {
        tracing::warn!(known, last, "the database lost events that were taken in; they are read again");
    }
    Ok(known < last)
}

//! Rings when the next target has to be handed over: exactly at its moment, at once for new work that is due
//! already, and every few seconds in any case, so that a lost ring only delays.
//!
//! It keeps one number, the next moment, rather than a timer per target: after each ring the database tells the next.

use std::{sync::atomic::Ordering, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use super::{Room, beside, supervisor};
use crate::{error::Error, metrics, store::Wakes};

/// Missed targets taken in at once.
const MISSED_BATCH: usize = 500;

/// While something is due the clock looks this often: a claim leaves out what a change has locked just then.
const DUE_PERIOD: Duration = Duration::from_millis(250);

pub(super) struct Clock;

pub(super) enum Msg {
    /// Look at the database: a ring, or the timer.
    Look,
    /// The look has ended; `None` when it died.
    Looked(Option<Result<Wakes, Error>>),
}

pub(super) struct State {
    room: Room,
    supervisor: ActorRef<supervisor::Msg>,
    looking: bool,
    again: bool,
    timer: Option<JoinHandle<Result<(), ractor::MessagingErr<Msg>>>>,
}

impl Actor for Clock {
    type Msg = Msg;
    type State = State;
    type Arguments = (Room, ActorRef<supervisor::Msg>);

    async fn pre_start(
        &self,
        myself: ActorRef<Msg>,
        (room, supervisor): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Look)?;
        Ok(State { room, supervisor, looking: false, again: false, timer: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Look if state.looking => state.again = true,
            Msg::Look => state.look(&myself),
            Msg::Looked(None) => return Err("a look at the database died".into()),
            Msg::Looked(Some(looked)) => state.looked(looked, &myself),
        }
        Ok(())
    }
}

impl State {
    fn look(&mut self, myself: &ActorRef<Msg>) {
        self.looking = true;
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        // Rings from here on are sent; those before are covered by the look.
        self.room.armed.store(i64::MAX, Ordering::SeqCst);
        let room = self.room.clone();
        beside(&self.room.deps.lifecycle, myself, Msg::Looked(None), async move {
            Msg::Looked(Some(look(&room).await))
        });
    }

    fn looked(&mut self, looked: Result<Wakes, Error>, myself: &ActorRef<Msg>) {
        self.looking = false;
        let wakes = looked.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the clock cannot read the database");
            Wakes::default()
        });
        if wakes.due {
            let _ = self.supervisor.cast(supervisor::Msg::Work);
        }
        if std::mem::take(&mut self.again) {
            return self.look(myself);
        }
        let next = wakes.next.unwrap_or(i64::MAX);
        let earliest = self.room.armed.fetch_min(next, Ordering::SeqCst).min(next);
        let ahead = u64::try_from(earliest.saturating_sub(self.room.now())).unwrap_or(0);
        let most = if wakes.due { DUE_PERIOD } else { self.room.config.scan_period() };
        let wait = Duration::from_millis(ahead).min(most);
        self.timer = Some(myself.send_after(wait, || Msg::Look));
    }
}

/// Marks what was missed, then tells what is due and when to look again.
async fn look(room: &Room) -> Result<Wakes, Error> {
    let now = room.now();
    let wakes = room.store.wakes(now).await?;
    // By a clock that leapt, a whole day might seem to be over.
    if wakes.due && room.deps.clock.is_steady() {
        let missed_before = now - room.config.max_lateness_ms;
        loop {
            let missed = room.store.overdue(now, missed_before, MISSED_BATCH).await?;
            let found = missed.len();
            if found > 0 {
                let learnt = room.store.learn(missed, now).await?;
                ::metrics::counter!(metrics::MISSED).increment(learnt.changed as u64);
                tracing::warn!(targets = learnt.changed, "targets were missed while nobody was running");
                room.feed.wake(learnt.workspaces);
            }
            if found < MISSED_BATCH || room.stopping() {
                break;
            }
        }
    }
    Ok(wakes)
}

//! Starts the scheduler's actors and starts them again, with a growing pause, when one ends. It never stops by itself.

use std::{collections::HashMap, time::Duration};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use super::{Room, clock, lane, pause, preflight, results, sweeper};
use crate::metrics;

/// An actor that has run this long before it ended is started again as if it had never failed.
const STEADY: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct SchedulerSupervisor;

/// Which child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Child {
    Clock,
    Results,
    Sweeper,
    Preflight,
    Lane(usize),
}

impl Child {
    fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Results => "results",
            Self::Sweeper => "sweeper",
            Self::Preflight => "preflight",
            Self::Lane(_) => "lane",
        }
    }
}

pub(super) enum Msg {
    /// The clock shall look at the database.
    Look,
    /// The lanes shall claim what is due.
    Work,
    /// The sweeper shall look at its checks.
    Sweep,
    /// A pause is over.
    Start(Child),
}

pub(super) struct State {
    room: Room,
    children: HashMap<ActorId, Child>,
    clock: Option<ActorRef<clock::Msg>>,
    sweeper: Option<ActorRef<sweeper::Msg>>,
    lanes: HashMap<usize, ActorRef<lane::Msg>>,
    failures: HashMap<Child, (u32, Instant)>,
}

impl Actor for SchedulerSupervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = Room;

    async fn pre_start(&self, _: ActorRef<Msg>, room: Room) -> Result<State, ActorProcessingErr> {
        Ok(State {
            room,
            children: HashMap::new(),
            clock: None,
            sweeper: None,
            lanes: HashMap::new(),
            failures: HashMap::new(),
        })
    }

    async fn post_start(&self, myself: ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        // Lanes first, so that the clock's first ring finds them.
        for lane in 0..state.room.config.lanes {
            state.start(Child::Lane(lane), &myself).await;
        }
        for child in [Child::Results, Child::Sweeper, Child::Preflight, Child::Clock] {
            state.start(child, &myself).await;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // A child that just ended misses its message; when it is back it looks by itself.
        match message {
            Msg::Look => {
                if let Some(clock) = &state.clock {
                    let _ = clock.cast(clock::Msg::Look);
                }
            }
            Msg::Work => {
                for lane in state.lanes.values() {
                    let _ = lane.cast(lane::Msg::Work);
                }
            }
            Msg::Sweep => {
                if let Some(sweeper) = &state.sweeper {
                    let _ = sweeper.cast(sweeper::Msg::Sweep);
                }
            }
            Msg::Start(child) => state.start(child, &myself).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, _, _) => state.ended(&who, &myself),
            SupervisionEvent::ActorFailed(who, error) => {
                tracing::error!(error = %error, "an actor failed");
                state.ended(&who, &myself);
            }
            _ => {}
        }
        Ok(())
    }
}

impl State {
    async fn start(&mut self, child: Child, myself: &ActorRef<Msg>) {
        if self.room.stopping() {
            return;
        }
        let args = (self.room.clone(), myself.clone());
        let cell = myself.get_cell();
        let started = match child {
            Child::Clock => Actor::spawn_linked(None, clock::Clock, args, cell).await.map(|(actor, _)| {
                self.clock = Some(actor.clone());
                actor.get_id()
            }),
            Child::Preflight => Actor::spawn_linked(None, preflight::Preflight, self.room.clone(), cell)
                .await
                .map(|(actor, _)| actor.get_id()),
            Child::Results => {
                Actor::spawn_linked(None, results::Results, args, cell).await.map(|(actor, _)| actor.get_id())
            }
            Child::Sweeper => Actor::spawn_linked(None, sweeper::Sweeper, self.room.clone(), cell).await.map(
                |(actor, _)| {
                    self.sweeper = Some(actor.clone());
                    actor.get_id()
                },
            ),
            Child::Lane(at) => Actor::spawn_linked(None, lane::Lane, args, cell).await.map(|(actor, _)| {
                self.lanes.insert(at, actor.clone());
                actor.get_id()
            }),
        };
        match started {
            Ok(id) => {
                self.children.insert(id, child);
            }
            Err(error) => {
                tracing::error!(actor = child.name(), error = %error, "an actor could not be started");
                self.start_later(child, myself);
            }
        }
    }

    fn ended(&mut self, who: &ActorCell, myself: &ActorRef<Msg>) {
        let Some(child) = self.children.remove(&who.get_id()) else { return };
        if !self.room.stopping() {
            self.start_later(child, myself);
        }
    }

    fn start_later(&mut self, child: Child, myself: &ActorRef<Msg>) {
        ::metrics::counter!(metrics::RESTARTS, "actor" => child.name()).increment(1);
        let (failures, last) = self.failures.entry(child).or_insert((0, Instant::now()));
        *failures = if last.elapsed() > STEADY { 0 } else { *failures + 1 };
        *last = Instant::now();
        myself.send_after(pause(*failures, LONGEST_PAUSE), move || Msg::Start(child));
    }
}

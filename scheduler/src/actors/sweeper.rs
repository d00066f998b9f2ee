//! Sets the holds of posts with the media library right, forgets answers whose request ids are too old, and counts
//! what is stuck.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::{Room, beside};
use crate::{domain::Post, error::Error, metrics, neighbours};

const CHECKS: usize = 100;
/// A target that waits here this long after it was due is stuck.
const STUCK_AFTER_MS: i64 = 60_000;
/// Old answers are forgotten this often.
const FORGET_PERIOD: Duration = Duration::from_mins(10);

pub(super) struct Sweeper;

pub(super) enum Msg {
    /// Look at the checks.
    Sweep,
    /// The sweep has ended; false when it died.
    Swept(bool),
    /// The period is over.
    Tick,
}

pub(super) struct State {
    room: Room,
    sweeping: bool,
    again: bool,
    forgot: Option<Instant>,
}

impl Actor for Sweeper {
    type Msg = Msg;
    type State = State;
    type Arguments = Room;

    async fn pre_start(&self, myself: ActorRef<Msg>, room: Room) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Tick)?;
        Ok(State { room, sweeping: false, again: false, forgot: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Tick => {
                myself.send_after(state.room.config.scan_period(), || Msg::Tick);
                myself.cast(Msg::Sweep)?;
            }
            Msg::Sweep if state.sweeping => state.again = true,
            Msg::Sweep => state.sweep(&myself),
            Msg::Swept(false) => return Err("a sweep died".into()),
            Msg::Swept(true) => {
                state.sweeping = false;
                if std::mem::take(&mut state.again) {
                    state.sweep(&myself);
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn sweep(&mut self, myself: &ActorRef<Msg>) {
        self.sweeping = true;
        let forget = self.forgot.is_none_or(|last| last.elapsed() > FORGET_PERIOD);
        if forget {
            self.forgot = Some(Instant::now());
        }
        let room = self.room.clone();
        beside(&self.room.deps.lifecycle, myself, Msg::Swept(false), async move {
            if let Err(error) = sweep(&room, forget).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a sweep did not finish");
            }
            Msg::Swept(true)
        });
    }
}

async fn sweep(room: &Room, forget: bool) -> Result<(), Error> {
    let now = room.now();
    ::metrics::gauge!(metrics::STUCK).set(room.store.stuck(now - STUCK_AFTER_MS).await? as f64);
    if forget {
        room.store.forget_requests(now - room.config.request_memory_ms).await?;
    }
    loop {
        let checks = room.store.due_hold_checks(now, CHECKS).await?;
        let found = checks.len();
        for check in checks {
            let post = room.store.post(check.workspace_id, check.post_id).await?;
            let needed = post.as_ref().map(Post::needed_media).unwrap_or_default();
            let mut client = room.deps.media.clone();
            match neighbours::replace_holds(&mut client, check.workspace_id, check.post_id, &needed).await {
                Ok(()) => {}
                // An item is gone although it was held; the hand-over will tell the user.
                Err(Error::Neighbour { cause, .. }) if cause.code() == tonic::Code::InvalidArgument => {
                    tracing::error!(post.id = %check.post_id, code = ?cause.code(), "a media hold cannot be set right");
                }
                Err(error) => return Err(error),
            }
            room.store.hold_checked(check).await?;
        }
        if found < CHECKS || room.stopping() {
            return Ok(());
        }
    }
}

//! Starts the actors of the auth service and starts them again when they fail. It ends only when it is stopped.

use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::{keyring::Keyring, sweeper::Sweeper};

/// A failed child is started again after this pause.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the actors of the auth service and starts them again.
#[derive(Debug)]
pub struct Supervisor {
    /// How the keyring is started.
    pub keyring: Keyring,
    /// How the sweeper is started.
    pub sweeper: Sweeper,
}

/// The children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// Loads and rotates the signing keys.
    Keyring,
    /// Deletes what nobody can use.
    Sweeper,
}

/// What the supervisor is told.
#[derive(Debug)]
pub enum Msg {
    /// Start a child that has failed.
    Restart(Child),
}

/// The children that run.
#[derive(Debug)]
pub struct State {
    running: Vec<(Child, ActorCell)>,
}

impl Actor for Supervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    /// Fails when a child does not start: a service that cannot sign does not answer.
    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        let mut running = Vec::new();
        for child in [Child::Keyring, Child::Sweeper] {
            running.push((child, self.start(child, &myself).await?));
        }
        Ok(State { running })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Msg::Restart(child) = message;
        match self.start(child, &myself).await {
            Ok(cell) => state.running.push((child, cell)),
            Err(error) => {
                tracing::error!(?child, error = error.to_string(), "an actor does not start; trying again");
                myself.send_after(PAUSE, move || Msg::Restart(child));
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, why) = match event {
            SupervisionEvent::ActorFailed(who, error) => (who, error.to_string()),
            SupervisionEvent::ActorTerminated(who, _, why) => (who, why.unwrap_or_default()),
            _ => return Ok(()),
        };
        let id = who.get_id();
        if let Some(at) = state.running.iter().position(|(_, cell)| cell.get_id() == id) {
            let (child, _) = state.running.swap_remove(at);
            tracing::error!(?child, why, "an actor ended; starting it again");
            myself.send_after(PAUSE, move || Msg::Restart(child));
        }
        Ok(())
    }
}

impl Supervisor {
    async fn start(&self, child: Child, myself: &ActorRef<Msg>) -> Result<ActorCell, ractor::SpawnErr> {
        let parent = myself.get_cell();
        Ok(match child {
            Child::Keyring => Actor::spawn_linked(None, self.keyring.clone(), (), parent).await?.0.get_cell(),
            Child::Sweeper => Actor::spawn_linked(None, self.sweeper.clone(), (), parent).await?.0.get_cell(),
        })
    }
}

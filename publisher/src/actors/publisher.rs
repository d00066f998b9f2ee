//! The root: starts the others, brings back whichever fails, and ends them in order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::FutureExt;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::sync::oneshot;

use super::{
    Accounts, accounts,
    periodic::{self, Periodic, Work},
    pruner, reconciler, sweeper, token_keeper,
};
use crate::{deps::Parts, error::Error};

/// How often tokens that are about to end are looked for.
const KEEP_TOKENS_EVERY: Duration = Duration::from_secs(30);

/// How often what nobody needs any more is deleted.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// The root supervisor.
struct PublisherSupervisor;

/// The parts of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Accounts,
    Sweeper,
    Leases,
    Reconciler,
    TokenKeeper,
    Pruner,
}

const ROLES: [Role; 6] =
    [Role::Accounts, Role::Sweeper, Role::Leases, Role::Reconciler, Role::TokenKeeper, Role::Pruner];

enum Msg {
    Start(Role),
}

struct State {
    parts: Arc<Parts>,
    accounts: Accounts,
    roles: HashMap<ActorId, Role>,
}

/// Starts the tree; it ends with the lifecycle.
pub(crate) async fn start(parts: Arc<Parts>) -> Result<Accounts, Error> {
    let accounts = Accounts::unset();
    let failed = |error: SpawnErr| Error::Corrupt(format!("the actors did not start: {error}"));
    let (root, _) =
        Actor::spawn(None, PublisherSupervisor, (parts.clone(), accounts.clone())).await.map_err(failed)?;
    parts.lifecycle.spawn(sweeper::listen(parts.clone(), accounts.clone()));
    let lifecycle = parts.lifecycle.clone();
    let handle = accounts.clone();
    lifecycle.spawn(async move {
        parts.lifecycle.stopping().await;
        // Stop arming, let sends under way end, give the accounts back.
        let (reply, drained) = oneshot::channel();
        handle.tell(accounts::Msg::Drain(reply));
        if tokio::time::timeout(Duration::from_millis(parts.config.grace_ms), drained).await.is_err() {
            tracing::warn!(
                "sends were still under way at the end of the grace; their answers will be looked for"
            );
        }
        if let Err(error) = parts.store.release_leases(parts.owner).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "leases were not released; they end by themselves"
            );
        }
        root.stop(None);
    });
    Ok(accounts)
}

impl Actor for PublisherSupervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = (Arc<Parts>, Accounts);

    async fn pre_start(
        &self,
        myself: ActorRef<Msg>,
        (parts, accounts): (Arc<Parts>, Accounts),
    ) -> Result<State, ActorProcessingErr> {
        let mut state = State { parts, accounts, roles: HashMap::new() };
        for role in ROLES {
            state.spawn(&myself, role).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        Msg::Start(role): Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Err(error) = state.spawn(&myself, role).await {
            tracing::error!(%error, ?role, "an actor did not start; trying again");
            myself.send_after(Duration::from_secs(1), move || Msg::Start(role));
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, why) = match event {
            SupervisionEvent::ActorTerminated(cell, ..) => (cell, "ended".to_owned()),
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            _ => return Ok(()),
        };
        if let Some(role) = state.roles.remove(&cell.get_id())
            && !state.parts.lifecycle.is_stopping()
        {
            tracing::error!(?role, why, "an actor failed; it starts again");
            myself.send_after(super::pause(1), move || Msg::Start(role));
        }
        Ok(())
    }
}

impl State {
    async fn spawn(&mut self, myself: &ActorRef<Msg>, role: Role) -> Result<(), SpawnErr> {
        let cell = myself.get_cell();
        let id = match role {
            Role::Accounts => {
                let spawned =
                    Actor::spawn_linked(None, accounts::AccountSupervisor, self.parts.clone(), cell);
                let (actor, _) = spawned.await?;
                self.accounts.set(actor.clone());
                actor.get_id()
            }
            Role::Sweeper => {
                let (parts, accounts) = (self.parts.clone(), self.accounts.clone());
                let work: Work = Arc::new(move || sweeper::sweep(parts.clone(), accounts.clone()).boxed());
                self.periodic(cell, Duration::from_millis(self.parts.config.sweep_ms), work).await?
            }
            Role::Leases => {
                let parts = self.parts.clone();
                let every = Duration::from_millis(u64::try_from(parts.config.lease_ms / 3).unwrap_or(1_000));
                let work: Work = Arc::new(move || sweeper::renew(parts.clone()).boxed());
                self.periodic(cell, every, work).await?
            }
            Role::Reconciler => {
                let (parts, accounts) = (self.parts.clone(), self.accounts.clone());
                let work: Work =
                    Arc::new(move || reconciler::reconcile(parts.clone(), accounts.clone()).boxed());
                self.periodic(cell, Duration::from_millis(self.parts.config.sweep_ms), work).await?
            }
            Role::TokenKeeper => {
                let (parts, accounts) = (self.parts.clone(), self.accounts.clone());
                let work: Work =
                    Arc::new(move || token_keeper::keep(parts.clone(), accounts.clone()).boxed());
                self.periodic(cell, KEEP_TOKENS_EVERY, work).await?
            }
            Role::Pruner => {
                let parts = self.parts.clone();
                let work: Work = Arc::new(move || pruner::prune(parts.clone()).boxed());
                self.periodic(cell, PRUNE_EVERY, work).await?
            }
        };
        self.roles.insert(id, role);
        Ok(())
    }

    async fn periodic(&self, cell: ActorCell, every: Duration, work: Work) -> Result<ActorId, SpawnErr> {
        let arguments = periodic::Arguments { lifecycle: self.parts.lifecycle.clone(), every, work };
        let (actor, _) = Actor::spawn_linked(None, Periodic, arguments, cell).await?;
        Ok(actor.get_id())
    }
}

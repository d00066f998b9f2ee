//! Starts an actor for each account with work, passes messages on, ends the idle ones, and brings back those that
//! failed. At most so many at once; further accounts wait for their turn, and those that only wait for a later moment
//! are asked to make room.
//!
//! **Invariant:** an account's actor ends only after it has heard everything that was passed to it.

use std::{collections::HashMap, sync::Arc};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    account::{self, Account},
    turns::Turns,
};
use crate::{deps::Parts, error::Error, metrics, networks::Session};

/// The supervisor of all accounts.
pub(super) struct AccountSupervisor;

/// Messages.
pub(super) enum Msg {
    /// These accounts, with their workspaces, may have something to do.
    Wake(Vec<(Uuid, Uuid)>),
    /// An account changed.
    Changed(Uuid),
    /// Somebody needs an account's tokens.
    Session { account_id: Uuid, stale: Option<i64>, reply: oneshot::Sender<Result<Arc<Session>, Error>> },
    /// An account has nothing to do, having heard so many messages.
    Idle { account_id: Uuid, heard: u64, actor: ActorId },
    /// Ends all; answers when nothing is under way any more.
    Drain(oneshot::Sender<()>),
}

struct Child {
    actor: ActorRef<account::Msg>,
    told: u64,
    /// It was asked to leave as soon as it can.
    is_asked: bool,
}

/// What it holds.
pub(super) struct State {
    parts: Arc<Parts>,
    children: HashMap<Uuid, Child>,
    by_actor: HashMap<ActorId, Uuid>,
    waiting: Turns,
    drained: Option<oneshot::Sender<()>>,
}

impl Actor for AccountSupervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Parts>;

    async fn pre_start(&self, _: ActorRef<Msg>, parts: Arc<Parts>) -> Result<State, ActorProcessingErr> {
        Ok(State {
            parts,
            children: HashMap::new(),
            by_actor: HashMap::new(),
            waiting: Turns::default(),
            drained: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Wake(accounts) => {
                for (workspace_id, account_id) in accounts {
                    if state.children.contains_key(&account_id) || state.has_room() {
                        state.tell(&myself, account_id, account::Msg::Wake).await;
                    } else {
                        state.waiting.push(workspace_id, account_id);
                    }
                }
                state.ask_for_room();
            }
            Msg::Changed(account_id) => state.tell(&myself, account_id, account::Msg::Changed).await,
            Msg::Session { account_id, stale, reply } => {
                state.tell(&myself, account_id, account::Msg::Session { stale, reply }).await;
            }
            Msg::Idle { account_id, heard, actor } => {
                let ends = state
                    .children
                    .get(&account_id)
                    .is_some_and(|child| child.told == heard && child.actor.get_id() == actor);
                if ends {
                    state.end(&myself, account_id).await;
                }
            }
            Msg::Drain(reply) => {
                state.drained = Some(reply);
                state.waiting.clear();
                for child in state.children.values() {
                    let _ = child.actor.cast(account::Msg::Drain);
                }
                state.check_drained();
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
        match event {
            SupervisionEvent::ActorTerminated(cell, ..) => {
                if let Some(account_id) = state.by_actor.remove(&cell.get_id()) {
                    state.children.remove(&account_id);
                }
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(account_id) = state.by_actor.remove(&cell.get_id()) {
                    tracing::error!(account.id = %account_id, error = %error, "an account's actor failed; it starts again");
                    state.children.remove(&account_id);
                    // It waits for nobody's turn but its own.
                    myself.send_after(super::pause(3), move || Msg::Wake(vec![(account_id, account_id)]));
                }
            }
            _ => {}
        }
        state.start_waiting(&myself).await;
        state.check_drained();
        Ok(())
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.children.len() < self.parts.config.accounts_at_once
    }

    async fn tell(&mut self, myself: &ActorRef<Msg>, account_id: Uuid, message: account::Msg) {
        if self.drained.is_some() {
            return; // a dropped reply tells the asker
        }
        if !self.children.contains_key(&account_id) {
            let arguments =
                account::Arguments { parts: self.parts.clone(), account_id, supervisor: myself.clone() };
            match Actor::spawn_linked(None, Account, arguments, myself.get_cell()).await {
                Ok((actor, _)) => {
                    self.by_actor.insert(actor.get_id(), account_id);
                    self.children.insert(account_id, Child { actor, told: 0, is_asked: false });
                    self.count();
                }
                Err(error) => {
                    tracing::error!(account.id = %account_id, %error, "an account's actor did not start");
                    return;
                }
            }
        }
        if let Some(child) = self.children.get_mut(&account_id) {
            child.told += 1;
            let _ = child.actor.cast(message);
        }
    }

    async fn end(&mut self, myself: &ActorRef<Msg>, account_id: Uuid) {
        if let Some(child) = self.children.remove(&account_id) {
            self.by_actor.remove(&child.actor.get_id());
            child.actor.stop(None);
            let parts = self.parts.clone();
            if !parts.store.db.is_sqlite() {
                let lifecycle = parts.lifecycle.clone();
                lifecycle.spawn(async move {
                    if let Err(error) = parts.store.release_lease(account_id, parts.owner).await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a lease was not released; it ends by itself"
                        );
                    }
                });
            }
        }
        self.start_waiting(myself).await;
    }

    async fn start_waiting(&mut self, myself: &ActorRef<Msg>) {
        while self.has_room() {
            let Some(account_id) = self.waiting.pop() else { break };
            self.tell(myself, account_id, account::Msg::Wake).await;
        }
        self.ask_for_room();
        self.count();
    }

    /// Somebody waits: asks those who are here, but have nothing to do for a while, to leave.
    fn ask_for_room(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for child in self.children.values_mut().filter(|child| !child.is_asked) {
            child.is_asked = true;
            child.told += 1;
            let _ = child.actor.cast(account::Msg::Yield);
        }
    }

    fn count(&self) {
        ::metrics::gauge!(metrics::ACTIVE_ACCOUNTS).set(self.children.len() as f64);
    }

    fn check_drained(&mut self) {
        if self.children.is_empty()
            && let Some(reply) = self.drained.take()
        {
            let _ = reply.send(());
            // Nobody is told anything any more.
            let (closed, _) = oneshot::channel();
            self.drained = Some(closed);
        }
    }
}

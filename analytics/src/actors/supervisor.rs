//! Looks for accounts whose posts are in turn and keeps a collector for each of them while it has work.
//!
//! Invariant: it ends only when it is stopped. It alone sends work to collectors and it alone ends them, so no work
//! is given to one that is ending.

use std::{collections::HashMap, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use uuid::Uuid;

use super::collector::{self, Collector, Tools};
use crate::{metrics::COLLECTORS, store::readings::Account};

/// Accounts taken up in one look; the others wait for the next.
const ACCOUNTS: i64 = 500;

/// Keeps the collectors.
#[derive(Debug)]
pub struct Supervisor {
    /// What collectors work with.
    pub tools: Tools,
    /// How often it looks.
    pub look_every: Duration,
}

/// What the supervisor is told.
#[derive(Debug)]
pub enum Msg {
    /// Look for accounts in turn.
    Look,
    /// Read the targets of a post on an account now. Answers when they are stored, true when it worked.
    Refresh(Account, Uuid, RpcReplyPort<bool>),
    /// A collector has no work.
    Idle(Account),
    /// How many collectors there are.
    Count(RpcReplyPort<usize>),
}

/// The collectors in memory.
#[derive(Debug, Default)]
pub struct State {
    collectors: HashMap<Account, ActorRef<collector::Msg>>,
}

impl Actor for Supervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Look)?;
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Look => {
                self.look(&myself, state).await;
                myself.send_after(self.look_every, || Msg::Look);
            }
            Msg::Refresh(account, post, reply) => {
                if let Some(collector) = self.collector(account, &myself, state).await {
                    let _ = collector.cast(collector::Msg::Refresh(post, reply));
                }
            }
            Msg::Idle(account) => {
                if let Some(collector) = state.collectors.remove(&account) {
                    // What it was sent in between is still handled.
                    let _ = collector.drain();
                }
            }
            Msg::Count(reply) => {
                let _ = reply.send(state.collectors.len());
            }
        }
        metrics::gauge!(COLLECTORS).set(state.collectors.len() as f64);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let ended = match event {
            SupervisionEvent::ActorFailed(who, error) => {
                tracing::error!(
                    error = error.to_string(),
                    "a collector failed; the next look starts another"
                );
                who.get_id()
            }
            SupervisionEvent::ActorTerminated(who, _, _) => who.get_id(),
            _ => return Ok(()),
        };
        state.collectors.retain(|_, collector| collector.get_id() != ended);
        Ok(())
    }
}

impl Supervisor {
    async fn look(&self, myself: &ActorRef<Msg>, state: &mut State) {
        let now = self.tools.clock.now_ms();
        let accounts = match self.tools.store.accounts_in_turn(now, ACCOUNTS).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for posts in turn");
                return;
            }
        };
        for account in accounts {
            if let Some(collector) = self.collector(account, myself, state).await {
                let _ = collector.cast(collector::Msg::Collect);
            }
        }
    }

    async fn collector(
        &self,
        account: Account,
        myself: &ActorRef<Msg>,
        state: &mut State,
    ) -> Option<ActorRef<collector::Msg>> {
        if let Some(collector) = state.collectors.get(&account) {
            return Some(collector.clone());
        }
        let collector = Collector { tools: self.tools.clone(), account, parent: myself.clone() };
        match Actor::spawn_linked(None, collector, (), myself.get_cell()).await {
            Ok((collector, _)) => {
                state.collectors.insert(account, collector.clone());
                Some(collector)
            }
            Err(error) => {
                tracing::error!(error = error.to_string(), "a collector does not start");
                None
            }
        }
    }
}

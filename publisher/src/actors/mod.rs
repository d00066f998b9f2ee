//! Who does what, and when.
//!
//! ```text
//!  PublisherSupervisor ─┬─ AccountSupervisor ─── Account      one per account with work: prepares ahead, sends in
//!   (respawns)          │       ▲ wake             │ tasks    order, one at a time, keeps the account's tokens
//!                       ├─ Sweeper ── due accounts ┘          every few seconds and when told
//!                       ├─ Reconciler                         what waits outside of any line: processing, parked, asked
//!                       ├─ TokenKeeper                        refreshes tokens before they end, through the accounts
//!                       └─ Pruner                             deletes what nobody needs any more
//! ```
//! Actors are a cache of the database. A handler decides and returns; the network and the database are awaited in
//! tasks of the lifecycle, whose results come back as messages. A lost message costs at most one sweep.

use std::{sync::Arc, time::Duration};

use postmesh_kit::lifecycle::Lifecycle;
use ractor::ActorRef;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{deps::Parts, error::Error, networks::Session};

mod account;
mod accounts;
pub(crate) mod epoch;
pub(crate) mod line;
mod periodic;
mod prepare;
mod pruner;
mod publisher;
mod reconciler;
mod send;
mod session;
mod sweeper;
mod token_keeper;
mod turns;

pub(crate) use publisher::start;

/// How long a question to an account's actor may take.
const ASK: Duration = Duration::from_secs(30);

/// The way to the accounts' actors. Cheap to clone; outlives restarts of the actors.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    supervisor: Arc<std::sync::RwLock<Option<ActorRef<accounts::Msg>>>>,
}

impl Accounts {
    fn unset() -> Self {
        Self { supervisor: Arc::default() }
    }

    fn set(&self, supervisor: ActorRef<accounts::Msg>) {
        *self.supervisor.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(supervisor);
    }

    fn tell(&self, message: accounts::Msg) {
        let supervisor = self.supervisor.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(supervisor) = supervisor.as_ref() {
            // Fails while the supervisor restarts; the sweeper finds the work again.
            let _ = supervisor.cast(message);
        }
    }

    /// These accounts of a workspace have something to do now. A hint: the truth is in the database.
    pub(crate) fn wake(&self, workspace_id: Uuid, accounts: impl IntoIterator<Item = Uuid>) {
        self.wake_all(accounts.into_iter().map(|account_id| (workspace_id, account_id)));
    }

    /// These accounts, with their workspaces, have something to do now.
    pub(crate) fn wake_all(&self, accounts: impl IntoIterator<Item = (Uuid, Uuid)>) {
        let mut accounts: Vec<(Uuid, Uuid)> = accounts.into_iter().collect();
        accounts.dedup();
        if !accounts.is_empty() {
            self.tell(accounts::Msg::Wake(accounts));
        }
    }

    /// An account was connected again, disconnected, or lost its authorization: its actor reads everything afresh.
    pub(crate) fn changed(&self, account_id: Uuid) {
        self.tell(accounts::Msg::Changed(account_id));
    }

    /// The account's opened tokens, refreshed when they are about to end or when they are the `stale` version that
    /// the network refused. One refresh at a time per account.
    pub(crate) async fn session(&self, account_id: Uuid, stale: Option<i64>) -> Result<Arc<Session>, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(accounts::Msg::Session { account_id, stale, reply });
        match tokio::time::timeout(ASK, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::NetworkUnavailable {
                message: "the account is busy; try again in a moment".into(),
                retry_after: None,
            }),
        }
    }
}

/// Runs `task` and hands its result to an actor, unless either ends first.
fn run<M, T>(lifecycle: &Lifecycle, actor: &ActorRef<M>, task: T)
where
    M: ractor::Message,
    T: Future<Output = M> + Send + 'static,
{
    let actor = actor.clone();
    lifecycle.spawn(async move {
        let message = task.await;
        let _ = actor.cast(message);
    });
}

/// A fresh number in `0.0..1.0` for delays.
fn jitter() -> f64 {
    rand::random()
}

/// After an error of our own database: how long until the next try.
fn pause(tries: u32) -> Duration {
    Duration::from_millis((50_u64 << tries.min(7)).min(5_000))
}

impl Parts {
    /// The adapter and class of a stored network id.
    pub(crate) fn network(&self, id: &str) -> Result<Arc<dyn crate::networks::Network>, Error> {
        self.networks.get(id).cloned().ok_or_else(|| Error::UnknownNetwork(id.to_owned()))
    }
}

//! Time and the publisher. Every actor is a cache of the database: it may die at any point and lose nothing.
//!
//! ```text
//! SchedulerSupervisor          starts the others, starts them again when they end
//!   ├─ Clock                   rings when the next target has to be handed over
//!   ├─ Lane × n                claims what is due, hands it over, marks the answer
//!   ├─ Results                 tails the publisher's events into the database
//!   ├─ Preflight               warns of accounts that could not publish what is due soon
//!   └─ Sweeper                 sets media holds right, forgets old answers
//! ```
//! Mailboxes stay short by construction: a wake-up is sent only when it is earlier than the one that is set, and each
//! actor runs one task at a time, remembering at most one more wish.

mod clock;
mod lane;
mod offers;
mod preflight;
mod results;
mod supervisor;
mod sweeper;
mod turns;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use postmesh_kit::lifecycle::Lifecycle;
use ractor::{Actor, ActorRef, Message};

use crate::{config::Config, deps::Deps, error::Error, feed::Feed, store::Store};

/// What all actors share.
#[derive(Debug, Clone)]
struct Room {
    config: Config,
    deps: Deps,
    store: Store,
    feed: Feed,
    /// The moment the clock is set to, Unix milliseconds.
    armed: Arc<AtomicI64>,
    /// Which tenants the lanes carry.
    turns: turns::Turns,
}

impl Room {
    fn now(&self) -> i64 {
        self.deps.clock.now_ms()
    }

    fn stopping(&self) -> bool {
        self.deps.lifecycle.is_stopping()
    }
}

/// Tells the actors about new work. Losing a ring only delays: the clock looks by itself every few seconds.
#[derive(Debug, Clone)]
pub struct Bell {
    supervisor: ActorRef<supervisor::Msg>,
    armed: Arc<AtomicI64>,
}

impl Bell {
    /// Something is to be looked at from `wake_at` on.
    pub fn planned(&self, wake_at: i64) {
        if self.armed.fetch_min(wake_at, Ordering::SeqCst) > wake_at {
            // Fails only while everything stops.
            let _ = self.supervisor.cast(supervisor::Msg::Look);
        }
    }

    /// A media hold may be wrong.
    pub fn sweep(&self) {
        let _ = self.supervisor.cast(supervisor::Msg::Sweep);
    }
}

/// Starts the tree; it ends with the lifecycle.
pub async fn start(config: &Config, deps: &Deps, store: &Store, feed: &Feed) -> Result<Bell, Error> {
    let armed = Arc::new(AtomicI64::new(i64::MAX));
    let room = Room {
        config: config.clone(),
        deps: deps.clone(),
        store: store.clone(),
        feed: feed.clone(),
        armed: armed.clone(),
        turns: turns::Turns::default(),
    };
    let (supervisor, ended) = Actor::spawn(None, supervisor::SchedulerSupervisor, room)
        .await
        .map_err(|error| Error::Actor(error.to_string()))?;
    let (root, life) = (supervisor.clone(), deps.lifecycle.clone());
    deps.lifecycle.spawn(async move {
        life.stopping().await;
        root.stop(None);
        let _ = ended.await;
    });
    Ok(Bell { supervisor, armed })
}

/// Runs a task beside an actor and tells the actor when it has ended: with what `task` answers, or with `lost` when
/// it panicked or was dropped.
fn beside<M: Message>(
    lifecycle: &Lifecycle,
    actor: &ActorRef<M>,
    lost: M,
    task: impl Future<Output = M> + Send + 'static,
) {
    let notice = Notice { actor: actor.clone(), message: Some(lost) };
    lifecycle.spawn(async move {
        // Moved in as a whole, so that it is dropped with the task.
        let mut notice = notice;
        let message = task.await;
        notice.message = Some(message);
    });
}

/// Sends its message when dropped, so that no way of ending goes unnoticed.
struct Notice<M: Message> {
    actor: ActorRef<M>,
    message: Option<M>,
}

impl<M: Message> Drop for Notice<M> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            // The actor may have stopped; then nobody waits.
            let _ = self.actor.cast(message);
        }
    }
}

/// A pause that doubles with each failure, from 100 ms up to `most`, of which a random half is kept, so that
/// many who failed together do not come back together.
fn pause(failures: u32, most: Duration) -> Duration {
    let full = Duration::from_millis(100).saturating_mul(1 << failures.min(12)).min(most);
    // The random bits of a version 4 id serve as the coin.
    let coin = uuid::Uuid::new_v4().as_u128() % 1024;
    full / 2 + full.mul_f64(coin as f64 / 2048.0)
}

#[cfg(test)]
mod tests;

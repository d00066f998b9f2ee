//! What became of a post: counts collected through the publisher.
//!
//! ```text
//! publisher events ──▶ Tail ──▶ store ◀── Supervisor ── Collector per account ──▶ publisher ──▶ network
//!                                 ▲                          │
//!                       rpc ──────┴──────── Refresh ─────────┘
//! ```
//!
//! Reading order: [`domain`] (the schedule, counts), [`store`], `tail`, [`actors`], `rpc`.

pub mod actors;
pub mod config;
pub mod deps;
pub mod domain;
pub mod error;
pub mod metrics;
mod rpc;
pub mod store;
mod tail;

use std::{sync::Arc, time::Duration};

use postmesh_kit::service::Running;
use ractor::Actor;
use tokio::sync::Semaphore;

use crate::{
    actors::{collector::Tools, supervisor::Supervisor},
    store::Store,
    tail::Tail,
};
pub use crate::{config::Config, deps::Deps, error::Error, store::MIGRATIONS};

/// Starts the service; it can answer when this returns.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    metrics::describe();
    let store = Store::new(deps.db.clone());
    let schedule = config.schedule();
    let tools = Tools {
        store: store.clone(),
        clock: deps.clock.clone(),
        lifecycle: deps.lifecycle.clone(),
        deliveries: deps.deliveries.clone(),
        schedule: schedule.clone(),
        places: Arc::new(Semaphore::new(config.concurrent_reads as usize)),
        idle: Duration::from_secs(config.idle_seconds.into()),
    };
    let look_every = Duration::from_millis(config.look_every_ms.into());
    let (supervisor, ended) = Actor::spawn(None, Supervisor { tools, look_every }, ())
        .await
        .map_err(|error| Error::Actor(error.to_string()))?;
    let tail = Tail::new(deps.clone(), store.clone(), schedule);
    deps.lifecycle.spawn(tail.run(deps.lifecycle.clone()));
    deps.lifecycle.spawn({
        let (lifecycle, supervisor) = (deps.lifecycle.clone(), supervisor.clone());
        async move {
            lifecycle.stopping().await;
            supervisor.stop(None);
            // Collectors end with it; reads under way are waited for by the lifecycle.
            let _ = ended.await;
        }
    });
    Ok(Running::new(rpc::routes(deps, store, supervisor)))
}

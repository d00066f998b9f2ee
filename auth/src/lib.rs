//! Users, workspaces, sessions and the tokens that every service verifies.
//!
//! ```text
//! rpc ──▶ passwords (argon2id, bounded)      Supervisor ── Keyring ──▶ key set (watch) ──▶ rpc
//!  │ └──▶ login limits (shared by replicas)             └─ Sweeper
//!  └────▶ store ──▶ database
//! ```
//!
//! Reading order: [`domain`] (roles, e-mail addresses, passwords, lifetimes), [`tokens`], [`passwords`], [`store`],
//! [`actors`], [`rpc`].

pub mod actors;
pub mod config;
pub mod deps;
pub mod domain;
pub mod error;
pub mod metrics;
pub mod passwords;
pub mod rpc;
pub mod store;
pub mod tokens;

use std::sync::Arc;

use postmesh_kit::service::Running;
use ractor::Actor;
use tokio::sync::watch;

use crate::{
    actors::{
        keyring::{KeySet, Keyring},
        supervisor::Supervisor,
        sweeper::Sweeper,
    },
    store::Store,
};
pub use crate::{config::Config, deps::Deps, error::Error, store::MIGRATIONS};

/// Starts the service; it can answer when this returns.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    metrics::describe();
    let store = Store::new(deps.db.clone());
    let (published, keys) = watch::channel(Arc::new(KeySet::default()));
    let keyring = Keyring {
        store: store.clone(),
        clock: deps.clock.clone(),
        ring: deps.keys.clone(),
        days: config.signing_key_days,
        published,
    };
    let sweeper = Sweeper { store: store.clone(), clock: deps.clock.clone() };
    let (supervisor, ended) = Actor::spawn(None, Supervisor { keyring, sweeper }, ())
        .await
        .map_err(|error| Error::Actor(error.to_string()))?;
    let lifecycle = deps.lifecycle.clone();
    deps.lifecycle.spawn(async move {
        lifecycle.stopping().await;
        supervisor.stop(None);
        // Its children end with it.
        let _ = ended.await;
    });
    Ok(Running::new(rpc::routes(&config, deps, store, keys)?))
}

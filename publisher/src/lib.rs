//! Connected accounts, their tokens, and the deliveries that publish exactly once.
//!
//! ```text
//!  scheduler ── Deliver ─▶ rpc ─▶ store ◀─ claims, ARM, outcomes ─▶ actors ── one visible request ─▶ network
//!      ▲                            │ events                          (one per account with work)
//!      └────────── TailEvents ◀─────┘
//!  people ── BeginConnect, CompleteConnect ─▶ connecting ─▶ vault (sealed tokens) ─▶ actors
//! ```
//! **Every target ends published, failed with proof, cancelled, missed, or is shown to a person; never twice.**
//! Reading order: [`domain::step`] (the decisions), `store` (the transactions), [`networks`] (the adapters), `actors`
//! (who does what and when), `rpc`.

mod actors;
pub mod apps;
mod budgets;
pub mod config;
pub mod connecting;
pub mod core;
pub mod deps;
pub mod domain;
pub mod drills;
pub mod error;
mod followed;
mod holds;
pub mod media;
mod metrics;
pub mod networks;
pub mod rpc;
pub mod store;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod testing;
pub mod vault;

use std::sync::Arc;

use postmesh_kit::{
    db::{Db, Migrations},
    service::Running,
};
use postmesh_proto::publisher::v1::{
    account_service_server::AccountServiceServer, app_service_server::AppServiceServer,
    delivery_service_server::DeliveryServiceServer, network_service_server::NetworkServiceServer,
};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tonic::service::Routes;

pub use crate::{config::Config, deps::Deps, error::Error};
use crate::{connecting::Connecting, deps::Parts};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The publisher's tables, in both dialects.
pub const MIGRATIONS: Migrations = Migrations { sqlite: &SQLITE, postgres: &POSTGRES };

/// Notes that the publisher's tables are a copy as of `as_of` (Unix milliseconds): whatever is due and not sent in the
/// copy may have been sent since, so it is looked for at the networks before anything of it is sent. Call it before the
/// first start on the copy. Answers how many deliveries were put in doubt.
pub async fn restore(config: &Config, db: Db, as_of: i64) -> Result<usize, Error> {
    store::Store::new(db, "restore").restored(as_of, &config.policy()).await
}

/// Starts the service; it can answer when this returns. Attempts that an earlier life left open are found at once.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let problems = config.validate();
    if !problems.is_empty() {
        return Err(Error::Settings(problems));
    }
    metrics::describe();
    let (keys, clock) = (deps.keys.clone(), deps.clock.clone());
    let parts = Arc::new(Parts::new(config, deps));
    parts.store.begin_life().await?;
    actors::epoch::begin(&parts, false).await?;
    let accounts = actors::start(parts.clone()).await?;

    let (listener, events) = (accounts.clone(), parts.clone());
    let connecting = Connecting {
        store: parts.store.clone(),
        vault: parts.vault.clone(),
        apps: parts.apps.clone(),
        networks: parts.networks.clone(),
        connectors: parts.connectors.clone(),
        keys,
        clock,
        redirect_uri: format!("{}/oauth/callback", parts.config.public_url.trim_end_matches('/')),
        servers: parts.config.servers.clone(),
        listener: Arc::new(move |account_id| {
            events.ring_events();
            listener.changed(account_id);
        }),
        revocations: Arc::new(Notify::new()),
    };
    parts.lifecycle.spawn(connecting.clone().keep_revoking(parts.lifecycle.clone()));

    let networks = rpc::networks::Networks::new(
        parts.networks.clone(),
        parts.connectors.clone(),
        parts.config.servers.clone(),
        parts.apps.clone(),
    );
    let apps = rpc::app::Apps::new(parts.apps.clone(), parts.networks.clone());
    let routes = Routes::new(DeliveryServiceServer::new(rpc::delivery::Deliveries::new(parts, accounts)))
        .add_service(AccountServiceServer::new(rpc::account::Accounts::new(connecting)))
        .add_service(AppServiceServer::new(apps))
        .add_service(NetworkServiceServer::new(networks));
    Ok(Running::new(routes))
}

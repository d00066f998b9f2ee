//! Posts, plans and the wall clock: what is due when, and who gets it.
//!
//! ```text
//!  rpc ── writes ──▶ database ◀── claims ── Lane × n ── Deliver, Recall ──▶ publisher
//!   │ rings                         ▲ pokes   │                               │
//!   └──────▶ SchedulerSupervisor ─▶ Clock     └ marks                         │
//!                   ├─▶ Results ◀───────────────────── TailEvents ────────────┘
//!                   └─▶ Sweeper ── ReplaceHolds ──▶ media
//! ```
//! The database is the truth; actors only know when to look at it. Reading order: [`domain`] (states and decisions),
//! [`store`] (one transaction per verb), [`rpc`] (the contract), [`actors`] (time and the publisher).

pub mod actors;
pub mod config;
pub mod deps;
pub mod domain;
pub mod error;
pub mod feed;
pub mod metrics;
pub mod neighbours;
pub mod rpc;
pub mod store;

use postmesh_kit::{db::Migrations, service::Running};

pub use config::Config;
pub use deps::{Deps, MediaClient, PublisherClient};
pub use error::Error;

static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// The tables of the scheduler.
pub const MIGRATIONS: Migrations = Migrations { sqlite: &SQLITE, postgres: &POSTGRES };

/// Starts the scheduler on a migrated database. It ends with `deps.lifecycle`.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    metrics::describe();
    let store = store::Store::new(deps.db.clone());
    let feed = feed::Feed::start(store.clone(), &config, &deps.lifecycle);
    let bell = actors::start(&config, &deps, &store, &feed).await?;
    Ok(Running::new(rpc::routes(rpc::Posts { config, deps, store, feed, bell })))
}

//! Connected accounts, their tokens, and the deliveries that publish exactly once.

mod actors;
mod clockguard;
pub mod config;
pub mod connecting;
pub mod deps;
pub mod domain;
pub mod error;
pub mod media;
mod metrics;
pub mod networks;
mod revoking;
pub mod rpc;
pub mod store;
pub mod vault;

use postmesh_kit::db::Migrations;
use sqlx::migrate::Migrator;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The publisher's tables, in both dialects.
pub const MIGRATIONS: Migrations = Migrations { sqlite: &SQLITE, postgres: &POSTGRES };

//! The tables of the analytics service, in business verbs. One transaction per method, the same on both databases.

pub mod published;
pub mod readings;

use postmesh_kit::db::{Db, Migrations};

/// The migrations of the analytics service.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: &sqlx::migrate!("migrations/sqlite"),
    postgres: &sqlx::migrate!("migrations/postgres"),
};

/// The tables of the analytics service.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
}

impl Store {
    /// The tables in a migrated database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

//! The tables of the auth service, in business verbs. One transaction per method, the same on both databases.

pub mod keys;
pub mod sessions;
pub mod sweep;
pub mod users;

use postmesh_kit::db::{Db, Migrations};

/// The migrations of the auth service.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: &sqlx::migrate!("migrations/sqlite"),
    postgres: &sqlx::migrate!("migrations/postgres"),
};

/// The tables of the auth service.
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

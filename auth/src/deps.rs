//! What the auth service is handed.

use std::sync::Arc;

use postmesh_kit::{cache::Cache, clock::Clock, db::Db, keys::KeyRing, lifecycle::Lifecycle};

/// What the auth service is handed.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Its tables, migrated.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ends its actors and tasks.
    pub lifecycle: Lifecycle,
    /// Seals signing keys and the successors of refresh tokens.
    pub keys: KeyRing,
    /// Shares the limits on logins between replicas.
    pub cache: Cache,
}

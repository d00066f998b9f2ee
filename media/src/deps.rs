//! What the service is handed.

use std::sync::Arc;

use postmesh_kit::{blob::Blob, clock::Clock, db::Db, keys::KeyRing, lifecycle::Lifecycle};

/// What the media service needs.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Its tables, migrated.
    pub db: Db,
    /// Where bytes are kept.
    pub blob: Blob,
    /// Signs upload addresses.
    pub keys: KeyRing,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The sweeper runs and stops with it.
    pub lifecycle: Lifecycle,
}

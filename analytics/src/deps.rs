//! What the analytics service is handed.

use std::sync::Arc;

use postmesh_kit::{cache::Cache, clock::Clock, db::Db, lifecycle::Lifecycle, transport::Transport};
use postmesh_proto::publisher::v1::delivery_service_client::DeliveryServiceClient;

/// Tells what was published, and reads counts from the networks.
pub type DeliveryClient = DeliveryServiceClient<Transport>;

/// What the analytics service is handed.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Its tables, migrated.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ends its actors and tasks.
    pub lifecycle: Lifecycle,
    /// Shares the limit on refreshes between replicas.
    pub cache: Cache,
    /// The publisher.
    pub deliveries: DeliveryClient,
}

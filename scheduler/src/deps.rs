//! What the scheduler is handed when it starts.

use std::sync::Arc;

use postmesh_kit::{clock::Clock, db::Db, lifecycle::Lifecycle, transport::Transport};
use postmesh_proto::{
    media::v1::media_service_client::MediaServiceClient,
    publisher::v1::delivery_service_client::DeliveryServiceClient,
};

/// The publisher's deliveries.
pub type PublisherClient = DeliveryServiceClient<Transport>;
/// The media library.
pub type MediaClient = MediaServiceClient<Transport>;

/// Parts and neighbours of the scheduler.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Its database, migrated with [`crate::MIGRATIONS`].
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Its life: tasks and actors end with it.
    pub lifecycle: Lifecycle,
    /// Takes targets over, gives them back, tells what became of them.
    pub publisher: PublisherClient,
    /// Knows the media that posts carry.
    pub media: MediaClient,
}

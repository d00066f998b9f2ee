//! Names of the service's metrics.

use metrics::{describe_counter, describe_histogram};

/// Completed uploads; label `outcome`: `accepted`, or the reason of the refusal.
pub const CHECKED: &str = "postmesh_media_uploads_checked_total";
/// Seconds that one file's check took, without waiting for a worker.
pub const CHECK_SECONDS: &str = "postmesh_media_check_seconds";
/// Copies made for limits; label `outcome`: `made`, `animated`, `limit_too_small` or `broken`.
pub const FITTED: &str = "postmesh_media_renditions_fitted_total";
/// Seconds that making one copy took, without waiting for a worker.
pub const FIT_SECONDS: &str = "postmesh_media_fit_seconds";
/// Bytes received through the gateway.
pub const RECEIVED: &str = "postmesh_media_received_bytes_total";
/// Bytes handed to the publisher.
pub const SENT: &str = "postmesh_media_sent_bytes_total";
/// Bytes answered at public addresses.
pub const SHARED: &str = "postmesh_media_shared_bytes_total";
/// Blobs removed because nobody needed them.
pub const SWEPT: &str = "postmesh_media_swept_blobs_total";

/// Describes them to the recorder, once at the start.
pub fn describe() {
    describe_counter!(CHECKED, "Uploads checked, by outcome");
    describe_histogram!(CHECK_SECONDS, metrics::Unit::Seconds, "Time one file's check took");
    describe_counter!(FITTED, "Smaller copies made for receivers, by outcome");
    describe_histogram!(FIT_SECONDS, metrics::Unit::Seconds, "Time making one smaller copy took");
    describe_counter!(RECEIVED, metrics::Unit::Bytes, "Bytes received through the gateway");
    describe_counter!(SENT, metrics::Unit::Bytes, "Bytes handed to the publisher");
    describe_counter!(SHARED, metrics::Unit::Bytes, "Bytes answered at public addresses");
    describe_counter!(SWEPT, "Blobs removed because nobody needed them");
}

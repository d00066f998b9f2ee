//! Names of the analytics service's metrics.

use std::sync::Once;

use metrics::{describe_counter, describe_gauge};

/// Counter of reads through the publisher; label `outcome` (`ok`, or the code of the failure).
pub const READS: &str = "postmesh_analytics_reads_total";
/// Counter of snapshots stored.
pub const SNAPSHOTS: &str = "postmesh_analytics_snapshots_total";
/// Gauge: the sequence of the last delivery event handled.
pub const CURSOR: &str = "postmesh_analytics_cursor";
/// Counter of broken event streams.
pub const RECONNECTS: &str = "postmesh_analytics_reconnects_total";
/// Gauge: collectors in memory.
pub const COLLECTORS: &str = "postmesh_analytics_collectors";

/// Describes the metrics to the recorder, once per process.
pub fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        describe_counter!(READS, "Reads of counts through the publisher, by outcome.");
        describe_counter!(SNAPSHOTS, "Snapshots stored.");
        describe_gauge!(CURSOR, "The sequence of the last delivery event handled.");
        describe_counter!(RECONNECTS, "Event streams of the publisher that broke.");
        describe_gauge!(COLLECTORS, "Accounts whose collector is in memory.");
    });
}

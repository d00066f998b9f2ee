//! Names of the publisher's metrics, described once.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// From due to ARM, seconds.
pub(crate) const LATENESS_SECONDS: &str = "postmesh_publisher_lateness_seconds";
/// From ARM to the committed outcome, seconds; label `network`.
pub(crate) const SEND_SECONDS: &str = "postmesh_publisher_send_seconds";
/// Ends of deliveries; labels `network`, `state`.
pub(crate) const ENDED: &str = "postmesh_publisher_ended_total";
/// Answers to the visible request; labels `network`, `outcome`.
pub(crate) const OUTCOMES: &str = "postmesh_publisher_outcomes_total";
/// Deliveries past their deadline by a minute. Must be 0.
pub(crate) const STUCK: &str = "postmesh_publisher_stuck_targets";
/// Account actors alive.
pub(crate) const ACTIVE_ACCOUNTS: &str = "postmesh_publisher_active_accounts";
/// Token refreshes; label `result`.
pub(crate) const REFRESHES: &str = "postmesh_publisher_token_refreshes_total";

/// Describes them to the recorder.
pub(crate) fn describe() {
    describe_histogram!(LATENESS_SECONDS, Unit::Seconds, "from a delivery's due time to its ARM");
    describe_histogram!(SEND_SECONDS, Unit::Seconds, "from ARM to the committed outcome");
    describe_counter!(ENDED, "deliveries that reached a final state");
    describe_counter!(OUTCOMES, "answers to the visible request");
    describe_gauge!(STUCK, "deliveries a minute past their deadline; must be 0");
    describe_gauge!(ACTIVE_ACCOUNTS, "account actors alive");
    describe_counter!(REFRESHES, "token refreshes");
}

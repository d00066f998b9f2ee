//! Names of the scheduler's metrics, described once.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Targets handed over; label `outcome`.
pub const HANDED_OVER: &str = "postmesh_scheduler_handed_over_total";
/// Seconds between the moment a hand-over was due and its acknowledgement.
pub const HAND_OVER_LATENESS: &str = "postmesh_scheduler_hand_over_lateness_seconds";
/// Batches that the publisher did not take.
pub const HAND_OVER_FAILURES: &str = "postmesh_scheduler_hand_over_failures_total";
/// Offers of single targets that the publisher failed on; anything but 0 needs a look at the publisher.
pub const POISONED: &str = "postmesh_scheduler_poisoned_offers_total";
/// Targets newly warned of because their account could not publish when they are due.
pub const PREFLIGHT_WARNINGS: &str = "postmesh_scheduler_preflight_warnings_total";
/// Targets missed here because nobody was running when they were due.
pub const MISSED: &str = "postmesh_scheduler_missed_total";
/// Events of the publisher taken in.
pub const EVENTS: &str = "postmesh_scheduler_events_total";
/// Facts that contradicted a final state; anything but 0 needs a person.
pub const CONTRADICTIONS: &str = "postmesh_scheduler_contradictions_total";
/// 1 while the publisher's stream is open.
pub const TAILING: &str = "postmesh_scheduler_tailing";
/// Open watch streams.
pub const WATCHERS: &str = "postmesh_scheduler_watchers";
/// Targets a minute past their due time that still wait here; anything but 0 needs a look at the publisher.
pub const STUCK: &str = "postmesh_scheduler_stuck_targets";
/// Actors that were started again; label `actor`.
pub const RESTARTS: &str = "postmesh_scheduler_actor_restarts_total";

/// Describes them to the recorder.
pub fn describe() {
    describe_counter!(HANDED_OVER, "targets handed over to the publisher, by outcome");
    describe_histogram!(
        HAND_OVER_LATENESS,
        Unit::Seconds,
        "from the moment a hand-over was due to its answer"
    );
    describe_counter!(HAND_OVER_FAILURES, "batches that the publisher did not take");
    describe_counter!(POISONED, "offers of single targets that the publisher failed on");
    describe_counter!(PREFLIGHT_WARNINGS, "targets newly warned of because their account could not publish");
    describe_counter!(MISSED, "targets missed because nobody was running when they were due");
    describe_counter!(EVENTS, "events of the publisher taken in");
    describe_counter!(CONTRADICTIONS, "facts that contradicted a final state");
    describe_gauge!(TAILING, "1 while the publisher's event stream is open");
    describe_gauge!(WATCHERS, "open watch streams");
    describe_gauge!(STUCK, "targets a minute past their due time that still wait here");
    describe_counter!(RESTARTS, "actors started again after they ended");
}

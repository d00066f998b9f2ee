//! How everything ended.

use std::collections::HashSet;

use super::{Case, Findings};
use crate::rig::history::Class;

/// I11: a user is asked only where the network cannot tell, or was away for too long; a post found later settles it.
pub(super) fn only_the_undecidable_is_left_to_users(case: &Case<'_>, found: &mut Findings) {
    let allowances = &case.history.allowances;
    for target in case.history.targets.iter().filter(|target| target.state == "needs_confirmation") {
        let Some(account) = case.account_of(target) else { continue };
        // The handle that would tell was lost with the records of its attempts, or never was.
        let handle_is_lost = account.class == Class::B && target.attempts.is_empty();
        let has_none = account.comments && target.position > 0;
        let tells = account.class.settles() && !handle_is_lost && !has_none;
        if tells && !allowances.unreachable.contains(&account.network) {
            found.of(target, format!("{} can tell what became of it, yet a user is asked", account.network));
        } else if allowances.finds && account.class == Class::D && !case.posts_of(target).is_empty() {
            found.of(target, "it is visible and reads had time to find it, yet a user is asked");
        }
    }
}

/// I12: after the drain nothing is stuck or open, and the mesh says it is ready.
pub(super) fn nothing_is_left_lying(case: &Case<'_>, found: &mut Findings) {
    let standing = &case.history.standing;
    if standing.stuck > 0 {
        found.add(format!("{} deliveries are stuck", standing.stuck));
    }
    if standing.open_attempts > 0 {
        found.add(format!("{} attempts are open", standing.open_attempts));
    }
    if standing.open_refreshes > 0 {
        found.add(format!("{} refreshes were begun and not ended", standing.open_refreshes));
    }
    if !standing.is_ready {
        found.add("the mesh does not say it is ready");
    }
}

/// I13: every end has its event, which those who follow are told of; no two events have one id.
pub(super) fn every_end_was_told(case: &Case<'_>, found: &mut Findings) {
    let mut ids = HashSet::new();
    for target in &case.history.targets {
        for event in &target.events {
            if !ids.insert(event.id) {
                found.of(target, format!("event {} stands there twice", event.id));
            }
        }
        // What was withdrawn or missed before it was handed over never came to the outbox.
        let was_handed_over = !target.events.is_empty() || !target.attempts.is_empty();
        let must_be_told = was_handed_over || matches!(target.state.as_str(), "published" | "failed");
        let is_told = target.events.iter().any(|event| event.reports && event.state == target.state);
        let ended = target.is_final() || target.state == "needs_confirmation";
        // The last revision may have been withdrawn before its own hand-over.
        let is_withdrawn = target.state == "cancelled";
        if ended && must_be_told && !is_told && !is_withdrawn {
            found.of(target, format!("{} without an event that says so", target.state));
        }
    }
}

/// I15: every target comes to an end, and a case that was to post something did.
pub(super) fn everything_ends(case: &Case<'_>, found: &mut Findings) {
    for target in &case.history.targets {
        if target.state == "missed" && !case.history.allowances.misses {
            found.of(target, "missed, though nothing was away for so long");
        } else if !target.is_final() && !case.history.waits_for_a_user(target) {
            found.of(target, format!("{:?} is no end", target.state));
        }
    }
    if case.history.standing.expects_posts && case.history.visible.is_empty() {
        found.add("nothing was posted at all");
    }
}

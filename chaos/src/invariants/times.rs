//! When things became visible, against when they were to.

use std::collections::HashMap;

use super::{Case, Findings};
use crate::rig::history::{Target, Visible};

/// I6: nothing is visible before it is due; where it was agreed, the 99th percentile of lateness is kept.
pub(super) fn nothing_is_early_and_little_is_late(case: &Case<'_>, found: &mut Findings) {
    let mut late = Vec::new();
    for target in &case.history.targets {
        let (Some(last), Some(post)) = (target.last(), case.posts_of(target).first()) else { continue };
        if post.at_ms < last.due_ms {
            found.of(target, format!("visible {} ms before it was due", last.due_ms - post.at_ms));
        }
        late.push(post.at_ms - last.due_ms.max(last.acked_ms));
    }
    late.sort_unstable();
    let p99 = late.get((late.len().saturating_sub(1)) * 99 / 100).copied().unwrap_or_default();
    if let Some(most) = case.history.allowances.lateness_p99_ms.filter(|most| p99 > *most) {
        found.add(format!("the 99th percentile of lateness is {p99} ms, above {most} ms"));
    }
}

/// I7: nothing is visible whose withdrawal was acknowledged.
pub(super) fn nothing_withdrawn_is_visible(case: &Case<'_>, found: &mut Findings) {
    for target in &case.history.targets {
        let Some(cancelled) = target.cancelled_ms else { continue };
        // Planned again after that, it may of course appear.
        let is_planned_again = target.last().is_some_and(|last| last.acked_ms > cancelled);
        if let (false, Some(post)) = (is_planned_again, case.posts_of(target).first()) {
            let relative = post.at_ms - cancelled;
            found.of(target, format!("visible {relative} ms after its withdrawal was acknowledged"));
        }
    }
}

/// I8: an account's posts appear by due time, and a thread's parts one after the other, by place.
///
/// Judged are deliveries that were known for a while before the later one was armed; one that waits for an upload, or
/// for its account to be connected again, gives up its place, and so does one that was refused while an earlier attempt
/// of it was in doubt. One that is to be tried again keeps its place within one process, which the line's own tests show.
pub(super) fn accounts_keep_the_order(case: &Case<'_>, found: &mut Findings) {
    let mut lines: HashMap<&str, Vec<(&Target, &Visible)>> = HashMap::new();
    for target in &case.history.targets {
        if let Some(post) = case.posts_of(target).first() {
            lines.entry(&target.account).or_default().push((target, post));
        }
    }
    for line in lines.values() {
        for (earlier, first) in line {
            for (later, second) in line {
                let is_overtaken = first.at_ms > second.at_ms;
                if !is_overtaken {
                    continue;
                }
                if earlier.thread == later.thread && earlier.position < later.position {
                    found.of(
                        later,
                        format!("part {} of a thread came before part {}", later.position, earlier.position),
                    );
                } else if place(earlier) < place(later) && keeps_its_place(case, earlier, later) {
                    let by = place(later).0 - place(earlier).0;
                    found.of(earlier, format!("overtaken by {}, which was due {by} ms later", later.id));
                }
            }
        }
    }
}

/// Where a target stands in its account's line.
fn place(target: &Target) -> (i64, &str, u32) {
    (target.last().map_or(i64::MAX, |last| last.due_ms), &target.thread, target.position)
}

fn keeps_its_place(case: &Case<'_>, earlier: &Target, later: &Target) -> bool {
    let Some(after_ms) = case.history.allowances.order_after_ms else { return false };
    let revision = earlier.events.iter().map(|event| event.revision).max();
    let known_since = earlier
        .events
        .iter()
        .find(|event| Some(event.revision) == revision && event.state == "handed_over")
        .map(|event| event.at_ms);
    let armed = later.attempts.first().map(|attempt| attempt.armed_ms);
    let is_before = |part: &&Target| part.thread == earlier.thread && part.position <= earlier.position;
    let mut up_to_it = case.history.targets.iter().filter(is_before);
    let gave_it_up = up_to_it.any(|part| gives_its_place_up(case, part));
    matches!((known_since, armed), (Some(known), Some(armed)) if known + after_ms <= armed) && !gave_it_up
}

/// Whether it let others pass at some time, and with it the parts of its thread behind it.
fn gives_its_place_up(case: &Case<'_>, target: &Target) -> bool {
    let asks = case.account_of(target).is_none_or(|account| !account.class.settles() || account.comments);
    let let_pass = target.events.iter().any(|event| match event.state.as_str() {
        // Its reversible steps failed; or it was told to come later, and its account may have changed hands meanwhile.
        "parked" | "retry_wait" => true,
        // Nobody can tell whether it may be sent again.
        "unknown" => asks,
        _ => false,
    });
    let refused_in_doubt =
        target.attempts.iter().any(|attempt| attempt.outcome.as_deref() == Some("rejected"));
    let_pass || refused_in_doubt
}

//! Threads: what follows a post as replies, one target per part and account.
//!
//! Invariant: the targets of a post are in the order of its accounts, and those of one account in the order of the
//! thread, so the target before a part is its neighbour in the list. Their ids grow with their position.

use serde::{Deserialize, Serialize};

use super::{
    input::NewTarget,
    post::Media,
    target::{Target, TargetState},
};

/// One further part of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The text.
    pub text: String,
    /// Media in their order.
    pub media: Vec<Media>,
}

/// The targets of a new post: for each account one, and one for each further part.
pub fn spread(inputs: &[NewTarget], further: usize, due_at: Option<i64>, lead_ms: i64) -> Vec<Target> {
    inputs
        .iter()
        .flat_map(|input| {
            (0..=further as i32).map(move |position| Target::new(input, position, due_at, lead_ms))
        })
        .collect()
}

/// The target of the part before the one at this place; `None` for the post itself.
pub fn before(targets: &[Target], at: usize) -> Option<&Target> {
    let target = targets.get(at)?;
    let before = targets.get(at.checked_sub(1)?)?;
    (target.thread_position > 0 && before.account_id == target.account_id).then_some(before)
}

/// True when the part at this place can be sent once the one before it is: that one is visible, or on its way.
pub fn may_follow(targets: &[Target], at: usize) -> bool {
    before(targets, at)
        .is_none_or(|before| !before.state.may_be_retried() && before.state != TargetState::Draft)
}

/// The places of what is planned when the target at this place is sent again: itself, and the later parts that were
/// given up with it.
pub fn sent_again(targets: &[Target], at: usize) -> Vec<usize> {
    let mut places = vec![at];
    let Some(first) = targets.get(at) else { return Vec::new() };
    for place in at + 1..targets.len() {
        if before(targets, place).is_none() {
            break;
        }
        let part = &targets[place];
        // What was missed behind it was missed because of it: nothing passes the part before.
        let with_it = part.is_broken()
            || part.state == TargetState::Missed
            || (part.state == TargetState::Cancelled && first.state == TargetState::Cancelled);
        if with_it {
            places.push(place);
        } else if part.state.may_be_retried() {
            break;
        }
    }
    places
}

/// Plans the part at this place anew when it was given up because of an older plan of the part before it, which is
/// under way again at a newer one: the news of the two crossed. True when it did.
pub fn mend(targets: &mut [Target], at: usize, now: i64) -> bool {
    let Some(before) = before(targets, at) else { return false };
    let (revision, under_way) =
        (before.revision, !before.state.is_final() && before.state != TargetState::Draft);
    let target = &mut targets[at];
    let crossed = target.is_broken() && under_way && revision > target.revision;
    if crossed {
        target.plan(target.due_at.map_or(now, |due| due.max(now)), 0);
        target.wake_at = Some(now);
    }
    crossed
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;

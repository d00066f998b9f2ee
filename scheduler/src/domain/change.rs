//! What a user's change does to a post, decided without a database: edit, plan, withdraw, delete, send again.
//!
//! ```text
//! decide(no verdicts) -> Recall(items) -> the publisher answers -> decide(verdicts) -> Save | Delete | Refuse
//! ```
//! Invariant: a target that waits at the publisher changes only after a `Recalled` verdict about its present revision.
//! While the publisher is asked, the target carries its intent, so a crash neither loses nor revives a plan.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    input::NewTarget,
    post::{Media, Post},
    rewrite::rewrite,
    target::{Fact, Problem, RecallIntent, Stance, Target, TargetState},
    thread::{Part, may_follow, sent_again},
};

/// How long a recall may be under way before the clock asks the publisher again.
pub const RECALL_GRACE_MS: i64 = 20_000;

/// What a user wants changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Other content.
    Edit(Edit),
    /// Plan it, or move it to another time.
    Schedule {
        /// When, Unix milliseconds.
        due_at: i64,
    },
    /// Withdraw what has not been sent.
    Cancel,
    /// Remove it here.
    Delete,
    /// Send one target again, and with it the later parts of its thread that were given up because of it.
    Retry {
        /// The target.
        target_id: Uuid,
    },
    /// Take in what the publisher made of a user's answer about a target whose own answer was lost.
    Confirm(Confirmed),
    /// End targets that cannot be handed over, for the reason a recall of them would carry.
    GiveUp {
        /// The targets and their revisions.
        targets: Vec<(Uuid, i64)>,
        /// Why.
        why: RecallIntent,
    },
    /// Finish recalls whose answer was never stored.
    Settle,
    /// Plan a target anew whose present revision the publisher holds to be void: a recall that was granted to a
    /// process that died before it stored why.
    Revive {
        /// The target.
        target_id: Uuid,
        /// The void revision.
        revision: i64,
    },
}

/// New content; `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The text.
    pub text: Option<String>,
    /// The media.
    pub media: Option<Vec<Media>>,
    /// The accounts; the targets of those that stay keep their ids.
    pub targets: Option<Vec<NewTarget>>,
    /// The further parts.
    pub thread: Option<Vec<Part>>,
}

/// A user's answer about one revision of a target, as the publisher settled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The target.
    pub target_id: Uuid,
    /// The revision the user was asked about.
    pub revision: i64,
    /// Where the publisher has it now.
    pub state: TargetState,
    /// Where it is live; empty when the user did not say so.
    pub url: String,
    /// Whether the user wants it posted again.
    pub again: bool,
}

/// The publisher's answer to one recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It can never be sent at this revision.
    Recalled,
    /// It is being sent, or has ended.
    TooLate,
}

/// Answers by target and revision.
pub type Verdicts = HashMap<(Uuid, i64), Verdict>;

/// Why a change is refused; nothing of it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Part of it is on a network or on its way.
    #[error(
        "part of the post has been sent or is being sent, so it cannot change any more; write a new post"
    )]
    AlreadySent,
    /// Nothing of it waits.
    #[error("no target of the post is waiting to be sent, so there is nothing to withdraw")]
    NothingToCancel,
    /// Deleting would lose what becomes of it.
    #[error("the post is being sent; delete it when its targets have ended")]
    BeingSent,
    /// Nothing of it can be planned.
    #[error("no target of the post can be planned; send failed or missed targets again one by one")]
    NothingToSchedule,
    /// The target has not ended, or is visible.
    #[error("only a failed, missed, cancelled or dropped target can be sent again")]
    NotRetryable,
    /// It would be a reply to nothing.
    #[error(
        "the part of the thread before this one is not published; send that one again, and this one follows it"
    )]
    PartBeforeMissing,
    /// No such target on the post.
    #[error("the post has no such target")]
    NoSuchTarget,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Store the post as it is here (intents are marked), ask the publisher, decide again.
    Recall(Post, Vec<(Uuid, i64)>),
    /// Store the post as it is here; targets that are gone from it are removed.
    Save(Post),
    /// Remove the post.
    Delete,
    /// Refuse; a post here has to be stored, because recalls that were granted must be undone.
    Refuse(Option<Post>, Refusal),
}

/// Numbers and ids a decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now, Unix milliseconds.
    pub now: i64,
    /// How long before its due time a target is handed over.
    pub lead_ms: i64,
}

/// Decides what a change does to a post, given what the publisher answered so far.
pub fn decide(post: Post, change: &Change, verdicts: &Verdicts, moment: Moment) -> Decision {
    if let Err(refusal) = allowed(&post, change, verdicts) {
        let restored = restore(post, change, verdicts, moment);
        return Decision::Refuse(restored, refusal);
    }
    let mut open: Vec<_> = post
        .targets
        .iter()
        .filter(|target| concerns(change, target) && target.stance() == Stance::Held)
        .filter(|target| !verdicts.contains_key(&(target.id, target.revision)))
        .collect();
    // Later parts first, so that none is given up for want of the part before it while it is being withdrawn.
    open.sort_by_key(|target| std::cmp::Reverse(target.thread_position));
    let open: Vec<_> = open.into_iter().map(|target| (target.id, target.revision)).collect();
    if open.is_empty() { apply(post, change, verdicts, moment) } else { ask(post, change, open, moment) }
}

/// True when a change is about this target.
fn concerns(change: &Change, target: &Target) -> bool {
    match change {
        Change::Edit(_) | Change::Schedule { .. } | Change::Cancel | Change::Delete => target.is_waiting(),
        Change::Retry { .. } | Change::Revive { .. } | Change::Confirm(_) => false,
        Change::GiveUp { targets, why } => {
            target.is_waiting()
                && targets.contains(&(target.id, target.revision))
                && target.recall.is_none_or(|intent| intent == *why)
        }
        Change::Settle => target.recall.is_some(),
    }
}

fn verdict(target: &Target, verdicts: &Verdicts) -> Option<Verdict> {
    verdicts.get(&(target.id, target.revision)).copied()
}

fn allowed(post: &Post, change: &Change, verdicts: &Verdicts) -> Result<(), Refusal> {
    let too_late = |target: &&Target| verdict(target, verdicts) == Some(Verdict::TooLate);
    let any = |stance: Stance| post.targets.iter().any(|target| target.stance() == stance);
    let sent = any(Stance::Busy) || any(Stance::Out) || post.targets.iter().any(|target| too_late(&target));
    match change {
        Change::Edit(_) | Change::Schedule { .. } if sent => Err(Refusal::AlreadySent),
        Change::Schedule { .. } if !plannable(post).contains(&true) => Err(Refusal::NothingToSchedule),
        Change::Cancel if !post.targets.iter().filter(|t| !too_late(t)).any(Target::is_waiting) => {
            Err(Refusal::NothingToCancel)
        }
        Change::Delete
            if post.targets.iter().any(|target| {
                too_late(&target)
                    || matches!(
                        target.state,
                        TargetState::Sending | TargetState::Processing | TargetState::Unknown
                    )
            }) =>
        {
            Err(Refusal::BeingSent)
        }
        Change::Retry { target_id } => match place(post, *target_id) {
            None => Err(Refusal::NoSuchTarget),
            Some(at) if !post.targets[at].state.may_be_retried() => Err(Refusal::NotRetryable),
            Some(at) if !may_follow(&post.targets, at) => Err(Refusal::PartBeforeMissing),
            Some(_) => Ok(()),
        },
        Change::Confirm(confirmed) if place(post, confirmed.target_id).is_none() => {
            Err(Refusal::NoSuchTarget)
        }
        _ => Ok(()),
    }
}

/// Which targets can be planned: those that wait, and those that rest and follow nothing that stays behind.
fn plannable(post: &Post) -> Vec<bool> {
    let mut plannable = Vec::with_capacity(post.targets.len());
    for target in &post.targets {
        let rests = matches!(target.state, TargetState::Draft | TargetState::Cancelled);
        let follows = target.thread_position == 0 || plannable.last() == Some(&true);
        plannable.push(target.is_waiting() || (rests && follows));
    }
    plannable
}

fn place(post: &Post, target_id: Uuid) -> Option<usize> {
    post.targets.iter().position(|target| target.id == target_id)
}

/// Marks the intent on everything the change is about, so that nothing more is offered meanwhile.
fn ask(mut post: Post, change: &Change, open: Vec<(Uuid, i64)>, moment: Moment) -> Decision {
    let intent = match change {
        Change::Cancel | Change::Delete => RecallIntent::Cancel,
        Change::GiveUp { why, .. } => *why,
        _ => RecallIntent::Edit,
    };
    for target in post.targets.iter_mut().filter(|target| concerns(change, target)) {
        if *change != Change::Settle {
            target.recall = Some(intent);
        }
        target.wake_at = Some(moment.now + RECALL_GRACE_MS);
    }
    Decision::Recall(post, open)
}

/// Undoes what was recalled for a change that is refused now. `None` when nothing has to be stored.
fn restore(mut post: Post, change: &Change, verdicts: &Verdicts, moment: Moment) -> Option<Post> {
    let before = post.clone();
    for target in post.targets.iter_mut().filter(|target| target.recall.is_some()) {
        match verdict(target, verdicts) {
            Some(Verdict::Recalled) if matches!(change, Change::Delete | Change::Cancel) => target.cancel(),
            Some(Verdict::Recalled) => target.plan_on(moment),
            Some(Verdict::TooLate) => keep(target, moment),
            // Free targets were only held back.
            None if target.stance() == Stance::Free => {
                target.recall = None;
                target.wake_at = target.due_at.map(|due| due - moment.lead_ms);
            }
            None => {}
        }
    }
    (post != before).then_some(post)
}

fn apply(mut post: Post, change: &Change, verdicts: &Verdicts, moment: Moment) -> Decision {
    match change {
        Change::Delete => return Decision::Delete,
        Change::Edit(edit) => rewrite(&mut post, edit, moment),
        Change::Schedule { due_at } => {
            post.due_at = Some(*due_at);
            let plannable = plannable(&post);
            for (target, _) in post.targets.iter_mut().zip(plannable).filter(|(_, can)| *can) {
                target.plan(*due_at, moment.lead_ms);
            }
        }
        Change::Cancel => {
            for target in post.targets.iter_mut().filter(|target| target.is_waiting()) {
                match verdict(target, verdicts) {
                    Some(Verdict::TooLate) => keep(target, moment),
                    _ => target.cancel(),
                }
            }
        }
        Change::Retry { target_id } => {
            if let Some(at) = place(&post, *target_id) {
                send_again(&mut post, at, moment);
            }
        }
        Change::Confirm(confirmed) => {
            if !confirm(&mut post, confirmed, moment) {
                return Decision::Save(post);
            }
        }
        Change::GiveUp { why, .. } => {
            for target in post.targets.iter_mut().filter(|target| concerns(change, target)) {
                match verdict(target, verdicts) {
                    // It has the target although it could not take it: its events tell the rest.
                    Some(Verdict::TooLate) => {
                        target.recall = None;
                        target.wake_at =
                            (target.state == TargetState::Scheduled).then_some(moment.now + RECALL_GRACE_MS);
                    }
                    _ => target.give_up(*why),
                }
            }
            return Decision::Save(post);
        }
        Change::Revive { target_id, revision } => {
            let void = |target: &&mut Target| {
                target.id == *target_id
                    && target.revision == *revision
                    && target.recall.is_none()
                    && target.is_waiting()
            };
            if let Some(target) = post.targets.iter_mut().find(void) {
                target.plan_on(moment);
            }
            return Decision::Save(post);
        }
        Change::Settle => {
            for target in post.targets.iter_mut().filter(|target| target.recall.is_some()) {
                match (verdict(target, verdicts), target.recall) {
                    (Some(Verdict::TooLate), _) => keep(target, moment),
                    // It was armed before the publisher was asked: too late without asking.
                    (None, _) if matches!(target.stance(), Stance::Busy | Stance::Out) => {
                        keep(target, moment);
                    }
                    (_, None | Some(RecallIntent::Edit)) => target.plan_on(moment),
                    (_, Some(why)) => target.give_up(why),
                }
            }
            // Nobody edited, so nobody's etag goes stale.
            return Decision::Save(post);
        }
    }
    post.revision += 1;
    Decision::Save(post)
}

/// Plans a target and what follows it anew, at once or when the post is due.
fn send_again(post: &mut Post, at: usize, moment: Moment) {
    let due_at = post.due_at.map_or(moment.now, |due| due.max(moment.now));
    for place in sent_again(&post.targets, at) {
        post.targets[place].plan(due_at, moment.lead_ms);
    }
    post.due_at = post.due_at.or(Some(due_at));
}

/// Takes a settled answer in; true when the target is sent again because of it. An answer about a revision that is no
/// longer there changes nothing, and neither does the wish to post again what was found to be live.
fn confirm(post: &mut Post, confirmed: &Confirmed, moment: Moment) -> bool {
    let Some(at) = place(post, confirmed.target_id) else { return false };
    let target = &mut post.targets[at];
    // What was found to be live meanwhile stands, with its own address.
    if target.revision != confirmed.revision || target.state.is_visible() {
        return false;
    }
    target.learn(&Fact {
        target_id: confirmed.target_id,
        revision: confirmed.revision,
        state: confirmed.state,
        native_id: String::new(),
        url: if confirmed.state.is_visible() { confirmed.url.clone() } else { String::new() },
        problem: (confirmed.state == TargetState::Dropped)
            .then(|| Problem::new("DROPPED", "Its answer was lost, and a user decided to leave it.")),
        at: moment.now,
    });
    let again = confirmed.again && target.state == TargetState::Dropped;
    if again {
        send_again(post, at, moment);
    }
    again
}

/// Stays with the publisher. One whose hand-over was never confirmed is offered once more, which is harmless.
fn keep(target: &mut Target, moment: Moment) {
    target.recall = None;
    target.wake_at = (target.state == TargetState::Scheduled).then_some(moment.now);
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;

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
    target::{RecallIntent, Stance, Target, TargetState},
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
    /// Send one target again.
    Retry {
        /// The target.
        target_id: Uuid,
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
    /// The targets; those of accounts that stay keep their ids.
    pub targets: Option<Vec<NewTarget>>,
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
    #[error("only a failed, missed or cancelled target can be sent again")]
    NotRetryable,
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
    let open: Vec<_> = post
        .targets
        .iter()
        .filter(|target| concerns(change, target) && target.stance() == Stance::Held)
        .map(|target| (target.id, target.revision))
        .filter(|key| !verdicts.contains_key(key))
        .collect();
    if open.is_empty() { apply(post, change, verdicts, moment) } else { ask(post, change, open, moment) }
}

/// True when a change is about this target.
fn concerns(change: &Change, target: &Target) -> bool {
    match change {
        Change::Edit(_) | Change::Schedule { .. } | Change::Cancel | Change::Delete => target.is_waiting(),
        Change::Retry { .. } | Change::Revive { .. } => false,
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
        Change::Schedule { .. } if !post.targets.iter().any(can_be_planned) => {
            Err(Refusal::NothingToSchedule)
        }
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
        Change::Retry { target_id } => match post.targets.iter().find(|target| target.id == *target_id) {
            None => Err(Refusal::NoSuchTarget),
            Some(target) => match target.state {
                TargetState::Failed | TargetState::Missed | TargetState::Cancelled => Ok(()),
                _ => Err(Refusal::NotRetryable),
            },
        },
        _ => Ok(()),
    }
}

fn can_be_planned(target: &Target) -> bool {
    target.is_waiting() || matches!(target.state, TargetState::Draft | TargetState::Cancelled)
}

/// Marks the intent on everything the change is about, so that nothing more is offered meanwhile.
fn ask(mut post: Post, change: &Change, open: Vec<(Uuid, i64)>, moment: Moment) -> Decision {
    let intent = match change {
        Change::Cancel | Change::Delete => RecallIntent::Cancel,
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
            Some(Verdict::Recalled) => plan_on(target, moment),
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
            for target in post.targets.iter_mut().filter(|target| can_be_planned(target)) {
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
            let due_at = post.due_at.map_or(moment.now, |due| due.max(moment.now));
            if let Some(target) = post.targets.iter_mut().find(|target| target.id == *target_id) {
                target.plan(due_at, moment.lead_ms);
            }
            post.due_at = post.due_at.or(Some(due_at));
        }
        Change::Revive { target_id, revision } => {
            let void = |target: &&mut Target| {
                target.id == *target_id
                    && target.revision == *revision
                    && target.recall.is_none()
                    && target.is_waiting()
            };
            if let Some(target) = post.targets.iter_mut().find(void) {
                plan_on(target, moment);
            }
            return Decision::Save(post);
        }
        Change::Settle => {
            for target in post.targets.iter_mut().filter(|target| target.recall.is_some()) {
                match (verdict(target, verdicts), target.recall) {
                    (Some(Verdict::TooLate), _) => keep(target, moment),
                    (_, Some(RecallIntent::Cancel)) => target.cancel(),
                    _ => plan_on(target, moment),
                }
            }
            // Nobody edited, so nobody's etag goes stale.
            return Decision::Save(post);
        }
    }
    post.revision += 1;
    Decision::Save(post)
}

/// The plan goes on as it was, at a revision the publisher does not know.
fn plan_on(target: &mut Target, moment: Moment) {
    let due_at = target.due_at.unwrap_or(moment.now);
    target.plan(due_at, moment.lead_ms);
}

/// Stays with the publisher. One whose hand-over was never confirmed is offered once more, which is harmless.
fn keep(target: &mut Target, moment: Moment) {
    target.recall = None;
    target.wake_at = (target.state == TargetState::Scheduled).then_some(moment.now);
}

fn rewrite(post: &mut Post, edit: &Edit, moment: Moment) {
    if let Some(text) = &edit.text {
        post.text.clone_from(text);
    }
    if let Some(media) = &edit.media {
        post.media.clone_from(media);
    }
    let planned = post.targets.iter().any(Target::is_waiting);
    for target in &mut post.targets {
        if target.is_waiting() {
            plan_on(target, moment);
        } else {
            target.revise();
        }
    }
    let Some(wanted) = &edit.targets else { return };
    let mut old: HashMap<Uuid, Target> = post.targets.drain(..).map(|t| (t.account_id, t)).collect();
    for new in wanted {
        let due_at = post.due_at.filter(|_| planned);
        let mut target =
            old.remove(&new.account_id).unwrap_or_else(|| Target::new(new, due_at, moment.lead_ms));
        target.network.clone_from(&new.network);
        target.handle.clone_from(&new.handle);
        target.text.clone_from(&new.text);
        target.settings.clone_from(&new.settings);
        post.targets.push(target);
    }
}

impl Target {
    /// A new target with a new id: planned when there is a due time, else a draft.
    pub fn new(input: &NewTarget, due_at: Option<i64>, lead_ms: i64) -> Self {
        Self {
            id: postmesh_kit::ids::new(),
            account_id: input.account_id,
            network: input.network.clone(),
            handle: input.handle.clone(),
            text: input.text.clone(),
            settings: input.settings.clone(),
            state: if due_at.is_some() { TargetState::Scheduled } else { TargetState::Draft },
            revision: 1,
            due_at,
            offered_at: None,
            wake_at: due_at.map(|due| due - lead_ms),
            recall: None,
            native_id: String::new(),
            url: String::new(),
            problem: None,
            published_at: None,
        }
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;

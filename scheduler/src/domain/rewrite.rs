//! What an edit makes of a post whose waiting targets have been given back.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    change::{Edit, Moment},
    input::NewTarget,
    post::Post,
    target::{Target, TargetState},
};

/// Puts new content in. Everything changed begins a new revision; targets that waited wait again. Those of accounts
/// and parts that stay keep their ids.
pub fn rewrite(post: &mut Post, edit: &Edit, moment: Moment) {
    if let Some(text) = &edit.text {
        post.text.clone_from(text);
    }
    if let Some(media) = &edit.media {
        post.media.clone_from(media);
    }
    if let Some(thread) = &edit.thread {
        post.thread.clone_from(thread);
    }
    let planned = post.targets.iter().any(Target::is_waiting);
    for target in &mut post.targets {
        if target.is_waiting() {
            target.plan_on(moment);
        } else {
            target.revise();
        }
    }
    if edit.targets.is_none() && edit.thread.is_none() {
        return;
    }
    let wanted = edit.targets.clone().unwrap_or_else(|| inputs(post));
    let mut old: HashMap<(Uuid, i32), Target> =
        post.targets.drain(..).map(|target| ((target.account_id, target.thread_position), target)).collect();
    for new in &wanted {
        // A new part is planned with the part before it, and a draft is a draft.
        let mut due_at = post.due_at.filter(|_| planned);
        for position in 0..=post.thread.len() as i32 {
            let mut target = old
                .remove(&(new.account_id, position))
                .unwrap_or_else(|| Target::new(new, position, due_at, moment.lead_ms));
            target.write(new);
            due_at = due_at.filter(|_| target.state == TargetState::Scheduled);
            post.targets.push(target);
        }
    }
}

/// The accounts of a post as they were written.
pub fn inputs(post: &Post) -> Vec<NewTarget> {
    post.targets.iter().filter(|target| target.thread_position == 0).map(input).collect()
}

/// One target as it was written.
pub fn input(target: &Target) -> NewTarget {
    NewTarget {
        account_id: target.account_id,
        network: target.network.clone(),
        handle: target.handle.clone(),
        text: target.text.clone(),
        settings: target.settings.clone(),
    }
}

impl Target {
    /// A new target with a new id: planned when there is a due time, else a draft.
    pub fn new(input: &NewTarget, thread_position: i32, due_at: Option<i64>, lead_ms: i64) -> Self {
        let mut target = Self {
            id: postmesh_kit::ids::new(),
            thread_position,
            account_id: input.account_id,
            network: String::new(),
            handle: String::new(),
            text: None,
            settings: Vec::new(),
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
        };
        target.write(input);
        target
    }

    /// Takes over what was written for its account. Further parts have the thread's text.
    fn write(&mut self, input: &NewTarget) {
        self.network.clone_from(&input.network);
        self.handle.clone_from(&input.handle);
        self.text = input.text.clone().filter(|_| self.thread_position == 0);
        self.settings.clone_from(&input.settings);
    }

    /// The plan goes on as it was, at a revision the publisher does not know.
    pub(super) fn plan_on(&mut self, moment: Moment) {
        self.plan(self.due_at.unwrap_or(moment.now), moment.lead_ms);
    }
}

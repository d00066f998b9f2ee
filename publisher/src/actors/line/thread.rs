//! Which parts of a thread go with its first part, where one request makes several visible. Pure.
//!
//! **Invariant.** Only a first part that was never attempted takes others along, and only such as were never attempted
//! either, stand right behind it without a gap, and are ready but for the posts they reply to.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Busy, Item, Line, Place};
use crate::domain::state::State;

/// How long a first part that could go waits for parts that are getting ready to go with it, milliseconds.
pub(super) const GATHER: i64 = 10_000;

/// How long after a read a part in doubt is looked for again, while the one before it is not settled, milliseconds.
pub(super) const LOOK_AGAIN: i64 = 5_000;

/// What may happen to threads that can become visible at once.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Parts that get ready although the one before them is not published.
    pub(super) ahead: HashSet<Uuid>,
    /// First parts with such parts under way.
    pub(super) waiting: HashSet<Uuid>,
}

impl Item {
    /// Whether it never was part of a request.
    fn is_untouched(&self) -> bool {
        self.decision.state.is_unsent() && self.stored.attempt_n == 0 && self.decision.doubt_since.is_none()
    }

    fn leads(&self) -> bool {
        self.carries > 1
            && self.stored.position == 0
            && self.stored.previous_id.is_none()
            && self.is_untouched()
    }

    /// Whether nothing is missing but what it replies to.
    fn may_ride(&self, now: i64) -> bool {
        self.decision.state == State::Prepared
            && self.busy == Busy::No
            && self.ready.is_some()
            && !self.is_stale
            && self.decision.due_at <= now
            && now < self.decision.late_at
    }

    /// Until when it waits for parts that are getting ready to go with it; `None` when it does not wait any more.
    pub(super) fn gathers(&mut self, gathering: &Gathering, now: i64) -> Option<i64> {
        if !gathering.waiting.contains(&self.stored.target_id) {
            return None;
        }
        let patience = GATHER.min((self.decision.late_at - now) / 2);
        let until = *self.gathers_until.get_or_insert(now + patience);
        (until > now).then_some(until)
    }

    /// Whether its steps are being taken for the first time.
    fn is_coming(&self) -> bool {
        self.decision.tries == 0 && self.ready.is_none()
    }
}

impl Line {
    /// The untouched parts behind a first part, without a gap.
    fn followers(&self, place: Place) -> impl Iterator<Item = &Item> {
        let (due_at, thread_id, _) = place;
        let behind = self.items.range((due_at, thread_id, 1)..=(due_at, thread_id, i64::MAX));
        let before = std::iter::once((thread_id, 0))
            .chain(behind.clone().map(|(_, item)| (item.stored.target_id, item.stored.position)));
        behind.map(|(_, item)| item).zip(before).map_while(|(item, (previous, position))| {
            let follows = item.stored.previous_id == Some(previous) && item.stored.position == position + 1;
            (follows && item.is_untouched()).then_some(item)
        })
    }

    /// A first part and those that go with it now, at most so many together; only itself when none does.
    pub fn group(&self, id: Uuid, most: usize, now: i64) -> Vec<&Item> {
        let Some(place) = self.places.get(&id) else { return Vec::new() };
        let Some(head) = self.items.get(place) else { return Vec::new() };
        let mut group = vec![head];
        if head.leads() {
            let riders = self.followers(*place).take_while(|item| item.may_ride(now));
            group.extend(riders.take(most.min(head.carries).saturating_sub(1)));
        }
        group
    }

    /// Goes through the threads that could become visible at once.
    pub(super) fn gather(&self, now: i64) -> Gathering {
        let mut gathering = Gathering::default();
        for (place, head) in self.items.iter().filter(|(_, item)| item.leads()) {
            for part in self.followers(*place).take(head.carries - 1) {
                if now >= part.decision.late_at {
                    break;
                }
                gathering.ahead.insert(part.stored.target_id);
                if part.is_coming() {
                    gathering.waiting.insert(head.stored.target_id);
                } else if part.ready.is_none() {
                    break;
                }
            }
        }
        gathering
    }

    /// Forgets what moved on in the database while something was under way for it; whether there was any.
    pub(super) fn forget_stale(&mut self) -> bool {
        let is_stale = |item: &Item| item.is_stale && item.busy == Busy::No;
        let stale: Vec<Uuid> =
            self.items.values().filter(|item| is_stale(item)).map(|item| item.stored.target_id).collect();
        for id in &stale {
            self.remove(*id);
        }
        !stale.is_empty()
    }
}

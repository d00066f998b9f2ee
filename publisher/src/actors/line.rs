//! An account's line: the deliveries it holds in memory, in order, and what may happen to each of them now. Pure.
//!
//! **Order.** One send at a time, by due time. A delivery that was armed before, or that is being prepared for the
//! first time, keeps its place: the ones behind it wait. One whose preparation failed (its picture cannot be read) lets
//! the others pass, so a missing picture does not hold up the texts behind it. The parts of a thread follow each other
//! without a gap; one that waits for the part before it keeps its place while that one is in the line. Where a network
//! takes several parts in one request, `thread` says which go with the first.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::{
    domain::{
        outcome::Wire,
        policy::Policy,
        state::State,
        step::{Effect, Event, step},
    },
    store::{Change, Predecessor, Stored},
};

mod item;
mod thread;

pub use item::{Busy, Guards, Item, Refusal, Turn};
pub(super) use item::{Fate, account_effects};

/// What may happen now.
#[derive(Debug, Default)]
pub struct Todo {
    /// Reversible steps to run, in order.
    pub prepare: Vec<Uuid>,
    /// The one to arm and send.
    pub send: Option<Uuid>,
    /// Networks to read.
    pub look: Vec<Uuid>,
    /// Steps to store.
    pub store: Vec<Change>,
    /// What the database knows better was forgotten: the line is to be read again.
    pub reread: bool,
    /// When to look at the line again.
    pub wake_at: Option<i64>,
}

impl Todo {
    fn wake(&mut self, at: i64) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// The line.
#[derive(Debug, Default)]
pub struct Line {
    items: BTreeMap<Place, Item>,
    places: HashMap<Uuid, Place>,
}

/// Due time, first part of the thread (or the target itself), position in the thread.
type Place = (i64, Uuid, i64);

impl Line {
    /// How many deliveries it holds.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// One of them.
    pub fn get_mut(&mut self, id: Uuid) -> Option<&mut Item> {
        self.items.get_mut(self.places.get(&id)?)
    }

    /// Forgets one.
    pub fn remove(&mut self, id: Uuid) -> Option<Item> {
        self.items.remove(&self.places.remove(&id)?)
    }

    /// Whether nothing is under way for any delivery.
    pub fn is_idle(&self) -> bool {
        self.items.values().all(|item| item.busy == Busy::No)
    }

    /// Forgets everything that nothing is under way for; for when the account changed hands or tokens.
    pub fn forget_idle(&mut self) {
        self.items.retain(|_, item| item.busy != Busy::No);
        let items = &self.items;
        self.places.retain(|_, place| items.contains_key(place));
    }

    /// Takes a delivery in. One that is here already stays as it is, unless a newer revision replaced it, or the part of
    /// the thread before it has moved on.
    pub fn insert(&mut self, item: Item) {
        let id = item.stored.target_id;
        if let Some(here) = self.get_mut(id) {
            let is_new = here.stored.revision < item.stored.revision
                || here.stored.previous_state != item.stored.previous_state
                || here.stored.root_state != item.stored.root_state;
            if !is_new || here.busy != Busy::No {
                here.is_stale |= is_new && here.stored.revision == item.stored.revision;
                return;
            }
            self.remove(id);
        }
        let place = (item.decision.due_at, item.stored.thread_id, item.stored.position);
        self.places.insert(id, place);
        self.items.insert(place, item);
    }

    /// The line was read again: to its end, or to the last of these rows. What is not among them was withdrawn, moved or
    /// has ended, and is forgotten unless something is under way for it. Else the parts of a withdrawn thread, which are
    /// never armed and so never refused, would hold up everything behind them.
    pub fn forget_gone(&mut self, rows: &[Stored], is_all: bool) {
        let end = rows.last().map(|row| (row.due_at, row.thread_id, row.position)).filter(|_| !is_all);
        let read: HashSet<Uuid> = rows.iter().map(|row| row.target_id).collect();
        self.items.retain(|place, item| {
            let was_read = is_all || end.is_some_and(|end| *place <= end);
            !was_read || item.busy != Busy::No || read.contains(&item.stored.target_id)
        });
        let items = &self.items;
        self.places.retain(|_, place| items.contains_key(place));
    }

    /// Goes through the line once. Deliveries with steps to store are marked as busy.
    pub fn plan(&mut self, policy: &Policy, now: i64, mut jitter: impl FnMut() -> f64) -> Todo {
        let mut todo = Todo { reread: self.forget_stale(), ..Todo::default() };
        let gathering = self.gather(now);
        let mut is_blocked = false;
        // An account has one open attempt. While that is in doubt, ARM would refuse everything but its own repetition,
        // whatever was due before it and got ready later.
        let in_doubt =
            self.items.values().any(|item| item.decision.state == State::Unknown && item.decision.is_open);
        // The last one that lets others pass: so do the parts of its thread that wait for it.
        let mut lets_pass = None;
        for item in self.items.values_mut() {
            let id = item.stored.target_id;
            let waits_with_it = item.stored.previous_id.is_some() && item.stored.previous_id == lets_pass;
            if item.busy != Busy::No {
                if item.busy == Busy::Sending || item.keeps_its_place(now) {
                    is_blocked |= item.busy == Busy::Sending || item.decision.due_at <= now;
                } else {
                    lets_pass = Some(id);
                }
                continue;
            }
            let predecessor = item.stored.predecessor();
            match item.decision.state {
                State::HandedOver | State::RetryWait | State::Preparing | State::Prepared
                    if now >= item.decision.late_at =>
                {
                    tick(item, &mut todo, policy, now, jitter());
                    continue;
                }
                state if state.is_unsent() && predecessor == Predecessor::Gone => {
                    if let Some((change, _)) =
                        item.take(Event::Orphaned, Wire::default(), policy, now, jitter())
                    {
                        item.busy = Busy::Storing;
                        todo.store.push(change);
                    }
                    continue;
                }
                state if state.is_unsent() && !predecessor.lets_pass() => {
                    if gathering.ahead.contains(&id) {
                        prepare_ahead(item, &mut todo, now);
                    }
                    todo.wake(item.decision.late_at);
                    if predecessor == Predecessor::Away || waits_with_it {
                        lets_pass = Some(id);
                    } else {
                        is_blocked |= item.decision.due_at <= now;
                    }
                    continue;
                }
                // Begun by an earlier life of this line: begin again.
                State::Preparing => todo.prepare.push(id),
                State::HandedOver | State::RetryWait => match item.decision.next_at {
                    Some(at) if at > now => todo.wake(at),
                    _ => todo.prepare.push(id),
                },
                State::Prepared if item.ready.is_none() => todo.prepare.push(id),
                State::Prepared => {
                    let at = item.decision.due_at.max(item.not_before);
                    if at > now {
                        todo.wake(at);
                    } else if let Some(until) = item.gathers(&gathering, now) {
                        todo.wake(until);
                    } else if !is_blocked && !in_doubt {
                        todo.send = Some(id);
                        is_blocked = true;
                    }
                    todo.wake(item.decision.late_at);
                }
                // Armed by an earlier life.
                State::Sending => {
                    if let Some((change, _)) = item.take(Event::Lost, Wire::default(), policy, now, jitter())
                    {
                        item.busy = Busy::Storing;
                        todo.store.push(change);
                    }
                }
                State::Unknown if !predecessor.lets_pass() => {
                    wait_in_doubt(item, predecessor, &mut todo, policy, now, jitter());
                    if item.decision.is_open || (predecessor == Predecessor::Ahead && !waits_with_it) {
                        is_blocked |= item.decision.due_at <= now;
                    } else {
                        lets_pass = Some(id);
                    }
                    continue;
                }
                State::Unknown => match item.acts_at() {
                    Some(at) if at > now => todo.wake(at),
                    _ => {
                        let resends = item.resends || wonder(item, &mut todo, policy, now, jitter());
                        let may_go = if in_doubt { item.decision.is_open } else { !is_blocked };
                        if resends && may_go {
                            if item.ready.is_none() {
                                todo.prepare.push(id);
                            } else {
                                todo.send = Some(id);
                            }
                            is_blocked = true;
                        }
                    }
                },
                _ => {}
            }
            if item.keeps_its_place(now) {
                is_blocked |= item.decision.due_at <= now;
            } else {
                lets_pass = Some(id);
            }
        }
        todo
    }
}

/// Lets time act on a delivery and notes what it makes to be stored.
fn tick(item: &mut Item, todo: &mut Todo, policy: &Policy, now: i64, jitter: f64) {
    if let Some((change, _)) = item.take(Event::Tick, Wire::default(), policy, now, jitter) {
        item.busy = Busy::Storing;
        todo.store.push(change);
    }
}

/// Lets a part of a thread get ready that could go with the first part.
fn prepare_ahead(item: &Item, todo: &mut Todo, now: i64) {
    match item.decision.next_at {
        Some(at) if at > now && item.decision.state != State::Prepared => todo.wake(at),
        _ if item.ready.is_none() => todo.prepare.push(item.stored.target_id),
        _ => {}
    }
}

/// A part in doubt whose predecessor is not published is not sent again, only looked for. When that one ended otherwise,
/// it never is.
fn wait_in_doubt(
    item: &mut Item,
    predecessor: Predecessor,
    todo: &mut Todo,
    policy: &Policy,
    now: i64,
    jitter: f64,
) {
    if predecessor == Predecessor::Gone
        && let Some((change, _)) = item.take(Event::Orphaned, Wire::default(), policy, now, jitter)
    {
        item.busy = Busy::Storing;
        todo.store.push(change);
        return;
    }
    match item.decision.next_at.max(Some(item.not_before)) {
        Some(at) if at > now => todo.wake(at),
        _ => {
            if std::mem::take(&mut item.resends) || wonder(item, todo, policy, now, jitter) {
                item.not_before = now + thread::LOOK_AGAIN;
                todo.look.push(item.stored.target_id);
            }
        }
    }
}

/// Looks afresh at a lost answer; whether it is to be sent again.
fn wonder(item: &mut Item, todo: &mut Todo, policy: &Policy, now: i64, jitter: f64) -> bool {
    let Ok((after, effects)) = step(&item.decision, Event::Tick, item.class, policy, now, jitter) else {
        return false;
    };
    if effects.contains(&Effect::Resend) {
        return true; // ARM closes the attempt in doubt
    }
    if effects.iter().any(|effect| !matches!(effect, Effect::Look)) || after.state != State::Unknown {
        tick(item, todo, policy, now, jitter);
    } else if effects.contains(&Effect::Look) {
        todo.look.push(item.stored.target_id);
    } else {
        item.decision = after; // only waits
        if let Some(at) = item.decision.next_at {
            todo.wake(at);
        }
    }
    false
}

#[cfg(test)]
mod tests;

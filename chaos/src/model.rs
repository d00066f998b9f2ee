//! L0: every interleaving of the state machine. A breadth-first search runs the production `step()` for one target and
//! two workers at each class of network, and checks every state it reaches.
//!
//! **What can happen:** `kill -9` of a worker in every state; the loss of a lease while its holder lives, which
//! goes on with what it has begun (a zombie); a holder that stands still; requests lost,
//! late, executed with the answer lost or garbled, refused this time, for good, for an expired token or a lost
//! authorization; commits of ARM whose answer is lost; reads that fail and reads that lag; recalls and edits racing all
//! of it; disconnected accounts; networks that process before they show or refuse.
//!
//! **What must hold:** never two visible posts; no `failed`, `missed`, `cancelled` nor unsent state while the post is
//! visible or can still become so; `published` means visible; a user is asked only where the class can settle nothing
//! or the budget is spent; every state that is not final has a next moment; and from every reachable state a run without
//! further faults ends, with no attempt open.
//!
//! **What is bounded:** the faults of one history (two; a recall and an edit come on top), time (seven ticks, in which
//! a delivery becomes due, late and is looked for; what is open then is judged by a run without faults), and what a
//! network may do after quiescence: a request is executed before `send_deadline + quiesce` or never. That last one is the
//! protocol's only assumption about time. (The library for this, stateright, brings a web server and calls a cycle an end;
//! the search is a hundred lines.)

mod acts;
mod world;

use std::collections::{HashMap, HashSet, VecDeque, hash_map::Entry};

use postmesh_publisher::domain::outcome::DeliveryClass;

use self::{
    acts::Act,
    world::{Rules, Worker, World, mark},
};
use crate::{Counts, Layer, Plan, Progress, Violation, plan::Kind};

/// The classes, each with the faults that one of its histories may hold.
const CLASSES: [(DeliveryClass, u8); 5] = [
    (DeliveryClass::NaturalKey, 2),
    (DeliveryClass::Handle, 2),
    (DeliveryClass::IdempotencyKey, 2),
    (DeliveryClass::ReadBack, 2),
    (DeliveryClass::Nothing, 2),
];
/// A run without faults that is longer than this goes in circles.
const LONGEST: usize = 400;

/// Searches all classes.
pub fn run(plan: &Plan, out: &Progress) -> anyhow::Result<Layer> {
    let mut layer = Layer::named(Kind::Model.name());
    let bar = out.begin(Kind::Model.name(), CLASSES.len() as u64);
    for (class, faults) in CLASSES {
        bar.note(format!("{class:?}"));
        let found = check(class, faults);
        layer.add(Layer {
            counts: Counts { states: found.states as u64, ..Counts::default() },
            violations: found.violation.into_iter().map(|what| Violation::of("model", what)).collect(),
            ..Layer::named(Kind::Model.name())
        });
        bar.advance(1);
    }
    bar.end();
    let _ = plan; // nothing here is drawn
    Ok(layer)
}

/// What the search of one class found.
#[derive(Debug)]
pub struct Searched {
    /// States it went through.
    pub states: usize,
    /// The first violation, with the events that lead to it.
    pub violation: Option<String>,
}

/// Searches every history of one class with so many faults.
pub fn check(class: DeliveryClass, faults: u8) -> Searched {
    search(&Rules::of(class, faults))
}

/// Goes through every state that can be reached, nearest first, until a property does not hold.
fn search(rules: &Rules) -> Searched {
    let start = World::new(rules).canonical(rules);
    let mut came_from: Vec<(u32, Option<Act>)> = vec![(0, None)];
    let mut known: HashMap<u64, u32> = HashMap::from([(mark(&start), 0)]);
    let mut ends: HashSet<u64> = HashSet::new();
    let mut queue: VecDeque<(u32, World)> = VecDeque::from([(0, start)]);
    while let Some((number, world)) = queue.pop_front() {
        let wrong = world.violation(rules).or_else(|| goes_on_for_ever(&world, rules, &mut ends));
        if let Some(what) = wrong {
            let violation = format!("{:?}: {what}\n{}", rules.class, trace(rules, &came_from, number));
            return Searched { states: known.len(), violation: Some(violation) };
        }
        for act in acts::possible(&world) {
            if act == Act::Time && world.now >= rules.horizon {
                continue;
            }
            let Some(after) = world.after(act, rules) else { continue };
            let next = came_from.len() as u32;
            if let Entry::Vacant(place) = known.entry(mark(&after)) {
                place.insert(next);
                came_from.push((number, Some(act)));
                queue.push_back((next, after));
            }
        }
    }
    Searched { states: known.len(), violation: None }
}

/// Whether a run without faults from here never ends. What was seen to end is remembered.
fn goes_on_for_ever(world: &World, rules: &Rules, ends: &mut HashSet<u64>) -> Option<&'static str> {
    let mut road = Vec::new();
    let mut here = Some(world.clone());
    while let Some(mut world) = here {
        world.faults = 0;
        let mark = mark(&world);
        if ends.contains(&mark) {
            break;
        }
        road.push(mark);
        if let Some(what) = world.violation(rules) {
            return Some(what);
        }
        if road.len() > LONGEST {
            return Some("without further faults it never ends");
        }
        here = world.calm(rules);
        let is_quiet = world.workers.iter().all(|worker| matches!(worker, Worker::Idle { .. }));
        if here.is_none() && is_quiet && world.row.open.is_some() {
            return Some("it has ended, and an attempt stays open");
        }
    }
    ends.extend(road);
    None
}

/// The events that lead to a state, one per line, with what they made of the row.
fn trace(rules: &Rules, came_from: &[(u32, Option<Act>)], mut number: u32) -> String {
    let mut acts = Vec::new();
    while let (before, Some(act)) = came_from[number as usize] {
        acts.push(act);
        number = before;
    }
    let mut world = World::new(rules).canonical(rules);
    let mut lines = Vec::new();
    for act in acts.into_iter().rev() {
        if let Some(after) = world.after(act, rules) {
            world = after;
        }
        let row = &world.row;
        lines.push(format!(
            "  {:>2}  {act:<32} {} rev {} attempt {} open {:?} posts {:?} on the way {}",
            world.now,
            row.delivery.state,
            row.revision,
            row.n,
            row.open,
            world.posts.iter().map(|post| post.stage).collect::<Vec<_>>(),
            world.flights.len(),
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_keeps_its_promise_with_one_fault() {
        for (class, _) in CLASSES {
            let found = check(class, 1);
            assert_eq!(found.violation, None);
            assert!(found.states > 500, "{class:?}: {}", found.states);
        }
    }
}

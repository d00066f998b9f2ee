//! The order of a line, decided without a runtime.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::{
    domain::{content::Content, delivery::Work, outcome::DeliveryClass, step},
    networks::Ready,
    store::Stored,
};

const DUE: i64 = 1_000_000;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn an_item(n: u128, state: State, due_at: i64) -> Item {
    let policy = Policy::default();
    let mut decision = step::Delivery::new(due_at, 3_600_000, &policy);
    decision.state = state;
    let stored = Stored {
        target_id: id(n),
        post_id: id(0),
        workspace_id: id(0),
        account_id: id(0),
        network: "silent".into(),
        revision: 1,
        content: String::new(),
        plan: String::new(),
        due_at,
        late_at: decision.late_at,
        state: state.as_str().into(),
        next_at: decision.next_at,
        tries: 0,
        attempt_n: 0,
        first_armed_at: None,
        send_deadline: None,
        is_open: false,
        doubt_since: None,
        quiet_at: None,
        absent_reads: 0,
        absent_since: None,
        refusal_code: None,
        refusal_message: None,
        processing_handle: None,
        thread_id: id(n),
        previous_id: None,
        position: 0,
        previous_state: None,
        previous_native_id: None,
        root_native_id: None,
        root_state: None,
    };
    let work = Work {
        target_id: id(n),
        post_id: id(0),
        workspace_id: id(0),
        account_id: id(0),
        revision: 1,
        due_at,
        key: String::new(),
        content: Content::default(),
        plan: Value::Null,
        position: 0,
        reply: None,
    };
    Item::new(stored, decision, Arc::new(work), DeliveryClass::IdempotencyKey)
}

fn ready(n: u128, due_at: i64) -> Item {
    let mut item = an_item(n, State::Prepared, due_at);
    item.ready = Some(Arc::new(Ready::new("x")));
    item
}

fn plan(line: &mut Line, now: i64) -> Todo {
    line.plan(&Policy::default(), now, || 0.0)
}

#[test]
fn sends_the_first_due_one_and_sleeps_until_the_next() {
    let mut line = Line::default();
    line.insert(ready(2, DUE + 50));
    line.insert(ready(1, DUE));
    assert_eq!(plan(&mut line, DUE - 10).send, None);
    assert_eq!(plan(&mut line, DUE - 10).wake_at, Some(DUE));
    assert_eq!(plan(&mut line, DUE + 60).send, Some(id(1)));
    line.get_mut(id(1)).unwrap().busy = Busy::Sending;
    assert_eq!(plan(&mut line, DUE + 60).send, None, "one at a time");
    line.remove(id(1));
    assert_eq!(plan(&mut line, DUE + 60).send, Some(id(2)));
}

#[test]
fn nobody_overtakes_one_that_was_armed_or_is_being_prepared_the_first_time() {
    for (state, attempt_n, tries, passes) in [
        (State::RetryWait, 1, 1, false), // throttled: it keeps its place
        (State::RetryWait, 0, 1, true),  // its picture cannot be read: the texts behind it go
        (State::HandedOver, 0, 0, false),
    ] {
        let mut line = Line::default();
        let mut first = an_item(1, state, DUE);
        first.stored.attempt_n = attempt_n;
        first.decision.tries = tries;
        first.decision.next_at = Some(DUE + 5_000);
        line.insert(first);
        line.insert(ready(2, DUE + 1));
        assert_eq!(plan(&mut line, DUE + 10).send.is_some(), passes, "{state} {attempt_n}");
    }
}

#[test]
fn a_lost_answer_keeps_its_place_while_it_may_be_sent_again() {
    let mut line = Line::default();
    let mut first = an_item(1, State::Unknown, DUE);
    first.decision.next_at = Some(DUE + 100);
    first.decision.doubt_since = Some(DUE);
    line.insert(first);
    line.insert(ready(2, DUE + 1));
    let todo = plan(&mut line, DUE + 10);
    assert_eq!((todo.send, todo.wake_at), (None, Some(DUE + 100)));
    assert_eq!(plan(&mut line, DUE + 100).look, [id(1)]);
    let first = line.get_mut(id(1)).unwrap();
    first.resends = true;
    assert_eq!(plan(&mut line, DUE + 100).prepare, [id(1)], "its request is built again first");
    line.get_mut(id(1)).unwrap().ready = Some(Arc::new(Ready::new("x")));
    assert_eq!(plan(&mut line, DUE + 100).send, Some(id(1)));
}

#[test]
fn an_open_attempt_in_doubt_is_repeated_before_what_was_due_earlier_and_got_ready_later() {
    let mut line = Line::default();
    line.insert(ready(1, DUE));
    let mut lost = ready(2, DUE + 1);
    lost.class = DeliveryClass::NaturalKey;
    lost.decision.state = State::Unknown;
    lost.decision.is_open = true;
    lost.decision.next_at = Some(DUE + 2);
    line.insert(lost);
    assert_eq!(plan(&mut line, DUE + 10).send, Some(id(2)), "ARM refuses the first while the second is open");
    let lost = line.get_mut(id(2)).unwrap();
    lost.decision.is_open = false;
    assert_eq!(plan(&mut line, DUE + 10).send, Some(id(1)), "then the order is that of the due times again");
}

#[test]
fn what_an_earlier_life_left_is_taken_up_again() {
    let mut line = Line::default();
    line.insert(an_item(1, State::Preparing, DUE));
    line.insert(an_item(2, State::Prepared, DUE + 1));
    let mut sending = an_item(3, State::Sending, DUE + 2);
    sending.decision.is_open = true;
    line.insert(sending);
    let todo = plan(&mut line, DUE - 5_000);
    assert_eq!(todo.prepare, [id(1), id(2)]);
    assert_eq!(todo.store.len(), 1);
    assert_eq!(todo.store[0].after.state, State::Unknown);
}

#[test]
fn what_is_late_is_missed() {
    let mut line = Line::default();
    line.insert(ready(1, DUE));
    let todo = plan(&mut line, DUE + 3_600_000);
    assert_eq!(todo.send, None);
    assert_eq!(todo.store[0].after.state, State::Missed);
}

#[test]
fn a_newer_revision_replaces_an_older_one() {
    let mut line = Line::default();
    line.insert(ready(1, DUE));
    let mut newer = an_item(1, State::HandedOver, DUE + 500);
    newer.stored.revision = 2;
    line.insert(newer);
    assert_eq!(line.len(), 1);
    assert_eq!(plan(&mut line, DUE + 500).prepare, [id(1)]);
}

#[test]
fn a_withdrawn_thread_holds_nobody_up() {
    let mut line = Line::default();
    let mut second = an_item(2, State::HandedOver, DUE);
    second.stored.thread_id = id(1);
    second.stored.position = 1;
    second.stored.previous_id = Some(id(1));
    second.stored.previous_state = Some(State::Prepared.as_str().into());
    line.insert(ready(1, DUE));
    line.insert(second);
    line.insert(ready(3, DUE + 1));
    line.remove(id(1)); // its ARM was refused: it was withdrawn, and the thread with it
    assert_eq!(plan(&mut line, DUE + 10).send, None, "memory still believes that the first part comes");
    let behind = ready(3, DUE + 1).stored;
    line.forget_gone(std::slice::from_ref(&behind), true);
    assert_eq!(line.len(), 1);
    assert_eq!(plan(&mut line, DUE + 10).send, Some(id(3)));
}

/// A part of the thread that begins with delivery 1, behind one that is in `previous`.
fn a_part(n: u128, previous: State) -> Item {
    let mut part = an_item(n, State::HandedOver, DUE);
    part.stored.thread_id = id(1);
    part.stored.position = i64::try_from(n).unwrap() - 1;
    part.stored.previous_id = Some(id(n - 1));
    part.stored.previous_state = Some(previous.as_str().into());
    part
}

#[test]
fn the_parts_behind_one_that_a_user_is_asked_about_let_others_pass() {
    let mut line = Line::default();
    line.insert(a_part(2, State::NeedsConfirmation));
    line.insert(a_part(3, State::HandedOver));
    line.insert(a_part(4, State::HandedOver));
    line.insert(ready(9, DUE + 1));
    assert_eq!(plan(&mut line, DUE + 10).send, Some(id(9)));
}

#[test]
fn a_part_waits_until_the_first_of_its_thread_is_known_to_be_published() {
    let mut line = Line::default();
    let third = |first: State| {
        let mut part = a_part(3, State::Published);
        part.stored.root_state = Some(first.as_str().into());
        part
    };
    line.insert(third(State::Unknown));
    assert!(plan(&mut line, DUE + 10).prepare.is_empty(), "it would name another first post");
    line.insert(third(State::Published));
    assert_eq!(plan(&mut line, DUE + 10).prepare, [id(3)]);
}

#[test]
fn a_thread_waits_with_the_part_that_lets_others_pass() {
    for (class, passes) in [(DeliveryClass::ReadBack, true), (DeliveryClass::Handle, false)] {
        let mut line = Line::default();
        let mut first = Item { class, ..an_item(1, State::Unknown, DUE) };
        first.decision.next_at = Some(DUE + 60_000);
        line.insert(first);
        line.insert(a_part(2, State::Unknown));
        line.insert(a_part(3, State::HandedOver));
        line.insert(ready(9, DUE + 1));
        assert_eq!(plan(&mut line, DUE + 10).send.is_some(), passes, "{class:?}");
    }
}

#[test]
fn what_lies_beyond_the_rows_that_were_read_stays() {
    let mut line = Line::default();
    for n in 1..=4 {
        line.insert(ready(n, DUE + i64::try_from(n).unwrap()));
    }
    line.get_mut(id(1)).unwrap().busy = Busy::Sending;
    let rows = [ready(3, DUE + 3).stored];
    line.forget_gone(&rows, false);
    assert_eq!(line.len(), 3, "the second is gone; the first is under way, the fourth was not read");
    assert!(line.get_mut(id(2)).is_none());
}

/// A part of a thread that begins with target 1, on a network that takes five parts at once.
fn part(n: u128, state: State, is_ready: bool) -> Item {
    let mut item = if is_ready { ready(n, DUE) } else { an_item(n, state, DUE) };
    item.decision.state = state;
    item.class = DeliveryClass::NaturalKey;
    item.carries = 5;
    item.stored.thread_id = id(1);
    item.stored.position = i64::try_from(n).unwrap() - 1;
    if n > 1 {
        item.stored.previous_id = Some(id(n - 1));
        item.stored.previous_state = Some(State::Prepared.as_str().into());
    }
    item
}

fn group(line: &Line, most: usize) -> Vec<Uuid> {
    line.group(id(1), most, DUE + 1).iter().map(|item| item.stored.target_id).collect()
}

#[test]
fn the_longest_ready_stretch_behind_a_first_part_goes_with_it() {
    let mut line = Line::default();
    for n in 1..=7 {
        line.insert(part(n, State::Prepared, true));
    }
    line.insert(ready(9, DUE));
    assert_eq!(group(&line, usize::MAX), (1..=5).map(id).collect::<Vec<_>>(), "as many as the network takes");
    assert_eq!(group(&line, 2), [id(1), id(2)], "as many as the account may send");
    assert_eq!(group(&line, 1), [id(1)]);
    let spoilt: [fn(&mut Item); 6] = [
        |item| item.busy = Busy::Preparing,
        |item| item.ready = None,
        |item| item.decision.state = State::RetryWait,
        |item| item.decision.late_at = DUE,
        |item| item.stored.attempt_n = 1,
        |item| item.is_stale = true,
    ];
    for spoil in spoilt {
        spoil(line.get_mut(id(3)).unwrap());
        assert_eq!(group(&line, usize::MAX), [id(1), id(2)]);
        line.remove(id(3));
        assert_eq!(group(&line, usize::MAX), [id(1), id(2)], "no gap");
        line.insert(part(3, State::Prepared, true));
    }
    let head = line.get_mut(id(1)).unwrap();
    head.stored.attempt_n = 1;
    assert_eq!(group(&line, usize::MAX), [id(1)], "what was attempted goes alone");
    let head = line.get_mut(id(1)).unwrap();
    (head.stored.attempt_n, head.carries) = (0, 0);
    assert_eq!(group(&line, usize::MAX), [id(1)], "and so does what its network takes alone");
}

#[test]
fn a_first_part_waits_a_moment_for_those_that_get_ready() {
    let mut line = Line::default();
    line.insert(part(1, State::Prepared, true));
    line.insert(part(2, State::HandedOver, false));
    line.insert(part(3, State::HandedOver, false));
    let todo = plan(&mut line, DUE + 1);
    assert_eq!((todo.send, todo.prepare), (None, vec![id(2), id(3)]));
    assert!(todo.wake_at.is_some_and(|at| at <= DUE + 1 + super::thread::GATHER));
    line.remove(id(2));
    line.insert(part(2, State::Prepared, true));
    assert_eq!(plan(&mut line, DUE + 2).send, None, "the third is still coming");
    let third = line.get_mut(id(3)).unwrap();
    (third.decision.tries, third.decision.state) = (1, State::RetryWait);
    assert_eq!(plan(&mut line, DUE + 3).send, Some(id(1)), "one that failed is not waited for");
    line.remove(id(3));
    line.insert(part(3, State::HandedOver, false));
    assert_eq!(plan(&mut line, DUE + 4).send, None);
    assert_eq!(plan(&mut line, DUE + 1 + super::thread::GATHER).send, Some(id(1)), "no longer than that");
}

#[test]
fn parts_get_ready_ahead_only_where_they_can_go_with_the_first() {
    let mut line = Line::default();
    let mut head = part(1, State::Prepared, true);
    head.stored.attempt_n = 1;
    line.insert(head);
    line.insert(part(2, State::HandedOver, false));
    let todo = plan(&mut line, DUE + 1);
    assert_eq!((todo.send, todo.prepare.len()), (Some(id(1)), 0));
}

#[test]
fn what_went_along_waits_for_the_part_before_it_and_then_its_own_key_tells() {
    let mut line = Line::default();
    let mut rider = part(2, State::Prepared, true);
    rider.take(Event::Carried { send_deadline: DUE + 60_000 }, Wire::default(), &Policy::default(), DUE, 0.0);
    rider.ready = None;
    let mut head = part(1, State::RetryWait, false);
    head.decision.next_at = Some(DUE + 5_000);
    line.insert(head);
    line.insert(rider);
    line.insert(ready(9, DUE + 1));
    let todo = plan(&mut line, DUE + 10);
    assert_eq!((todo.send, todo.prepare, todo.look), (None, vec![], vec![]));
    let quiet = plan(&mut line, DUE + 120_000);
    assert_eq!((quiet.send, quiet.look), (None, vec![id(2)]), "it is looked for, not sent");
    line.remove(id(1));
    line.get_mut(id(2)).unwrap().stored.previous_state = Some(State::Published.as_str().into());
    line.get_mut(id(2)).unwrap().not_before = 0;
    let todo = plan(&mut line, DUE + 10);
    assert_eq!(todo.prepare, [id(2)], "its request is built now that what it replies to is known");
    line.get_mut(id(2)).unwrap().stored.previous_state = Some(State::Missed.as_str().into());
    let todo = plan(&mut line, DUE + 10);
    assert_eq!(todo.store[0].after.refusal.as_ref().unwrap().code, "THREAD_BROKEN");
    assert_eq!(todo.send, Some(id(9)), "others pass what is never sent again");
}

#[test]
fn what_moved_on_while_something_was_under_way_is_read_again() {
    let mut line = Line::default();
    let mut busy = part(2, State::Preparing, false);
    busy.busy = Busy::Preparing;
    line.insert(busy);
    let mut moved = part(2, State::Preparing, false);
    moved.stored.previous_state = Some(State::Published.as_str().into());
    line.insert(moved);
    assert!(!plan(&mut line, DUE).reread);
    line.get_mut(id(2)).unwrap().busy = Busy::No;
    assert!(plan(&mut line, DUE).reread);
    assert_eq!(line.len(), 0);
}

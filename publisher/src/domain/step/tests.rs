//! Every row of the protocol's table, every pair of state and event, and random histories.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use DeliveryClass::{Handle, IdempotencyKey, NaturalKey, Nothing, ReadBack};

const DUE: i64 = 1_000_000_000;
const LATE: i64 = 3_600_000;

fn policy() -> Policy {
    Policy::default()
}

fn fresh() -> Delivery {
    Delivery::new(DUE, LATE, &policy())
}

fn at(state: State) -> Delivery {
    let mut delivery = fresh();
    delivery.state = state;
    if matches!(state, State::Sending | State::Unknown) {
        delivery.is_open = true;
        delivery.first_armed_at = Some(DUE);
        delivery.send_deadline = Some(DUE + 60_000);
    }
    if matches!(state, State::Unknown | State::NeedsConfirmation | State::Processing) {
        delivery.doubt_since = Some(DUE + 10);
        delivery.quiet_at = Some(DUE + 120_000);
    }
    delivery
}

/// A step, without what it notes for the timeline.
fn go(delivery: &Delivery, event: Event, class: DeliveryClass, now: i64) -> (Delivery, Vec<Effect>) {
    let (after, mut effects) = step(delivery, event, class, &policy(), now, 0.0).unwrap();
    effects.retain(|effect| !matches!(effect, Effect::Note(_)));
    (after, effects)
}

fn live() -> Found {
    Found::Live { native_id: "1".into(), url: "https://x.example/1".into(), evidence: "read".into() }
}

fn ambiguous() -> Event {
    Event::Settled(Outcome::Ambiguous { evidence: "reset".into() })
}

fn accepted() -> Event {
    Event::Settled(Outcome::Accepted { native_id: "1".into(), url: String::new() })
}

fn throttled(wait: u64) -> Outcome {
    Outcome::Transient {
        code: "RATE_LIMITED".into(),
        message: "later".into(),
        retry_after: Some(Duration::from_secs(wait)),
    }
}

fn rejected() -> Outcome {
    Outcome::Rejected { code: "TEXT_REFUSED".into(), message: "shorten it".into() }
}

fn every_event() -> Vec<Event> {
    let outcomes = vec![
        Outcome::Accepted { native_id: "1".into(), url: String::new() },
        Outcome::Processing { handle: "h".into() },
        Outcome::NotSent { why: "dns".into() },
        throttled(1),
        Outcome::Stale { steps: vec!["media.0".into()], code: "BLOB_GONE".into(), message: "again".into() },
        rejected(),
        Outcome::TokenExpired,
        Outcome::Reconnect { message: "connect".into() },
        Outcome::Ambiguous { evidence: "reset".into() },
    ];
    let faults = [
        Fault::Transient { code: "X".into(), message: "x".into(), retry_after: None },
        Fault::Rejected { code: "X".into(), message: "x".into() },
        Fault::TokenExpired,
        Fault::Reconnect { message: "x".into() },
        Fault::Store("x".into()),
    ];
    let mut events = vec![
        Event::Tick,
        Event::Begin,
        Event::Prepared,
        Event::Arm { send_deadline: DUE + 60_000 },
        Event::Lost,
        Event::Looked(live()),
        Event::Looked(Found::Absent),
        Event::Looked(Found::Unsure { why: "timeout".into() }),
        Event::Looked(Found::Unread(Fault::TokenExpired)),
        Event::Looked(Found::Unread(Fault::Reconnect { message: "x".into() })),
        Event::Recall,
        Event::Orphaned,
        Event::Doubted,
        Event::Confirmed(Verdict::Dropped),
        Event::Confirmed(Verdict::Live { native_id: "1".into(), url: "https://x.example/1".into() }),
        Event::Disconnected { message: "connect".into() },
        Event::Reconnected,
    ];
    events.extend(outcomes.iter().cloned().map(Event::Settled));
    events.extend(outcomes.into_iter().map(Event::Polled));
    events.extend(faults.map(Event::PrepareFailed));
    events
}

#[test]
fn the_straight_road_leads_to_published() {
    let (delivery, effects) = go(&fresh(), Event::Tick, IdempotencyKey, DUE - 60_000);
    assert_eq!(effects, [Effect::Prepare]);
    let (delivery, _) = go(&delivery, Event::Begin, IdempotencyKey, DUE - 60_000);
    let (delivery, _) = go(&delivery, Event::Prepared, IdempotencyKey, DUE - 59_000);
    assert_eq!((delivery.state, delivery.next_at), (State::Prepared, Some(DUE)));
    assert!(step(&delivery, Event::Arm { send_deadline: 0 }, NaturalKey, &policy(), DUE - 1, 0.0).is_err());
    let (delivery, _) = go(&delivery, Event::Arm { send_deadline: DUE + 60_000 }, IdempotencyKey, DUE);
    assert_eq!((delivery.state, delivery.next_at), (State::Sending, Some(DUE + 120_000)));
    let (delivery, effects) = go(&delivery, accepted(), IdempotencyKey, DUE + 300);
    assert_eq!((delivery.state, delivery.next_at, delivery.is_open), (State::Published, None, false));
    assert_eq!(effects[0], Effect::Close(Closing::Accepted));
    assert!(matches!(effects[1], Effect::Record { .. }));
    assert_eq!(effects[2], Effect::Report(None));
}

#[test]
fn nothing_is_prepared_before_its_time() {
    assert_eq!(go(&fresh(), Event::Tick, NaturalKey, DUE - 60_001).1, []);
}

#[test]
fn an_answer_for_later_waits_as_long_as_the_network_asks() {
    let (delivery, effects) = go(&at(State::Sending), Event::Settled(throttled(90)), NaturalKey, DUE + 5);
    assert_eq!((delivery.state, delivery.next_at), (State::RetryWait, Some(DUE + 90_005)));
    assert_eq!(effects[0], Effect::Close(Closing::Transient));
    // Never beyond the deadline, so that it ends as missed in time.
    let (delivery, _) = go(&at(State::Sending), Event::Settled(throttled(100_000)), NaturalKey, DUE + 5);
    assert_eq!(delivery.next_at, Some(DUE + LATE));
    assert_eq!(go(&delivery, Event::Tick, NaturalKey, DUE + LATE).0.state, State::Missed);
}

#[test]
fn an_expired_token_is_refreshed_at_once_the_first_time_only() {
    let (delivery, effects) = go(&at(State::Sending), Event::Settled(Outcome::TokenExpired), NaturalKey, DUE);
    assert_eq!((delivery.state, delivery.next_at), (State::RetryWait, Some(DUE)));
    assert!(effects.contains(&Effect::Refresh));
    let told = |effect: &Effect| matches!(effect, Effect::Report(Some(why)) if why.code == "TOKEN_EXPIRED");
    assert!(effects.iter().any(told), "a change of state is an event");
    let mut again = at(State::Sending);
    again.tries = delivery.tries;
    let (delivery, _) = go(&again, Event::Settled(Outcome::TokenExpired), NaturalKey, DUE);
    assert!(delivery.next_at.unwrap() > DUE);
}

#[test]
fn a_refusal_fails_only_what_is_not_in_doubt() {
    let (delivery, effects) = go(&at(State::Sending), Event::Settled(rejected()), IdempotencyKey, DUE);
    assert_eq!(delivery.state, State::Failed);
    assert!(matches!(&effects[1], Effect::Report(Some(problem)) if problem.code == "TEXT_REFUSED"));

    let mut doubtful = at(State::Sending);
    doubtful.doubt_since = Some(DUE);
    doubtful.quiet_at = Some(DUE + 100);
    let (delivery, _) = go(&doubtful, Event::Settled(rejected()), IdempotencyKey, DUE + 200);
    assert_eq!(delivery.state, State::Unknown);
    assert!(!go(&delivery, Event::Tick, IdempotencyKey, DUE + 300).1.contains(&Effect::Resend));
    // Reads after quiescence prove it.
    let mut delivery = delivery;
    for minutes in 0..3 {
        delivery =
            go(&delivery, Event::Looked(Found::Absent), IdempotencyKey, DUE + 400 + minutes * 300_000).0;
    }
    assert_eq!(delivery.state, State::Failed);
}

#[test]
fn class_a_sends_again_at_once_and_is_missed_only_when_absent() {
    let (unknown, _) = go(&at(State::Sending), ambiguous(), NaturalKey, DUE + 10);
    assert_eq!((unknown.state, unknown.next_at, unknown.is_open), (State::Unknown, Some(DUE + 10), true));
    assert_eq!(go(&unknown, Event::Tick, NaturalKey, DUE + 10).1, [Effect::Resend]);
    let (again, effects) = go(&unknown, Event::Arm { send_deadline: DUE + 60_010 }, NaturalKey, DUE + 11);
    assert_eq!(again.state, State::Sending);
    assert_eq!(effects, [Effect::Close(Closing::Unconfirmed)]);
    assert_eq!(go(&again, accepted(), NaturalKey, DUE + 20).0.state, State::Published);
    // When that told nothing either, it looks before it sends once more.
    let (still, _) = go(&again, ambiguous(), NaturalKey, DUE + 20);
    assert_eq!(go(&still, Event::Tick, NaturalKey, DUE + 5_000).1, [Effect::Look]);
    assert!(go(&still, Event::Looked(Found::Absent), NaturalKey, DUE + 5_000).1.contains(&Effect::Resend));
    // Past max_late it looks, and never surprises anybody.
    assert_eq!(
        go(&unknown, Event::Tick, NaturalKey, DUE + LATE).1,
        [Effect::Close(Closing::Unconfirmed), Effect::Look]
    );
    assert!(step(&unknown, Event::Arm { send_deadline: 0 }, NaturalKey, &policy(), DUE + LATE, 0.0).is_err());
    assert_eq!(go(&unknown, Event::Looked(Found::Absent), NaturalKey, DUE + LATE).0.state, State::Missed);
}

#[test]
fn a_look_that_lacks_new_tokens_asks_for_them_and_is_repeated() {
    for class in [Handle, ReadBack] {
        let (unknown, _) = go(&at(State::Sending), Event::Lost, class, DUE + 10);
        let (waits, effects) =
            go(&unknown, Event::Looked(Found::Unread(Fault::TokenExpired)), class, DUE + 20);
        assert_eq!((waits.state, effects), (State::Unknown, vec![Effect::Refresh]));
        assert!(waits.next_at.is_some_and(|at| at > DUE + 20), "{waits:?}");
        let lost = Found::Unread(Fault::Reconnect { message: "connect".into() });
        let (waits, effects) = go(&unknown, Event::Looked(lost), class, DUE + 20);
        assert_eq!(effects, [Effect::ParkAccount { message: "connect".into() }]);
        assert_eq!(waits.state, State::Unknown, "it may be visible all the same");
    }
}

#[test]
fn class_c_looks_first_and_sends_again_only_when_quiet_and_inside_the_window() {
    let (unknown, _) = go(&at(State::Sending), Event::Lost, IdempotencyKey, DUE + 10);
    assert_eq!(go(&unknown, Event::Tick, IdempotencyKey, DUE + 10).1, [Effect::Look]);
    assert_eq!(go(&unknown, Event::Looked(live()), IdempotencyKey, DUE + 50).0.state, State::Published);
    let arm = Event::Arm { send_deadline: DUE + 200_000 };
    let (waits, effects) = go(&unknown, Event::Looked(Found::Absent), IdempotencyKey, DUE + 119_999);
    assert_eq!((waits.next_at, effects), (Some(DUE + 120_000), vec![]));
    assert!(step(&waits, arm.clone(), IdempotencyKey, &policy(), DUE + 119_999, 0.0).is_err());
    let (quiet, effects) = go(&waits, Event::Looked(Found::Absent), IdempotencyKey, DUE + 120_000);
    assert_eq!(effects, [Effect::Close(Closing::Unconfirmed), Effect::Resend]);
    let unsure = Event::Looked(Found::Unsure { why: "503".into() });
    assert_eq!(
        go(&unknown, unsure.clone(), IdempotencyKey, DUE + 119_999).1,
        [],
        "not while it may be under way"
    );
    assert!(
        go(&unknown, unsure, IdempotencyKey, DUE + 120_000).1.contains(&Effect::Resend),
        "the key protects it"
    );
    assert_eq!(go(&quiet, arm.clone(), IdempotencyKey, DUE + 120_000).0.state, State::Sending);
    assert!(
        step(&quiet, arm, IdempotencyKey, &policy(), DUE + 50 * 60_000, 0.0).is_err(),
        "the key may be forgotten"
    );
    // Outside the window: absent reads, then missed, never asked of the user.
    let mut late = quiet;
    for read in 0..3 {
        late = go(&late, Event::Looked(Found::Absent), IdempotencyKey, DUE + LATE + read * 300_000).0;
    }
    assert_eq!(late.state, State::Missed);
}

#[test]
fn class_b_sends_again_when_quiet() {
    let (unknown, _) = go(&at(State::Sending), ambiguous(), Handle, DUE + 10);
    let arm = || Event::Arm { send_deadline: DUE + 200_000 };
    assert!(step(&unknown, arm(), Handle, &policy(), DUE + 119_000, 0.0).is_err());
    assert_eq!(go(&unknown, arm(), Handle, DUE + 120_000).0.state, State::Sending);
}

#[test]
fn classes_d_and_e_never_send_again() {
    for class in [ReadBack, Nothing] {
        let (unknown, _) = go(&at(State::Sending), ambiguous(), class, DUE + 10);
        for now in [DUE + 11, DUE + 120_000, DUE + LATE] {
            assert!(step(&unknown, Event::Arm { send_deadline: 0 }, class, &policy(), now, 0.0).is_err());
        }
    }
    let (unknown, _) = go(&at(State::Sending), ambiguous(), Nothing, DUE + 10);
    assert_eq!(unknown.next_at, Some(DUE + 120_000));
    assert_eq!(go(&unknown, Event::Tick, Nothing, DUE + 120_000).0.state, State::NeedsConfirmation);
    let (mut unknown, _) = go(&at(State::Sending), ambiguous(), ReadBack, DUE + 10);
    for read in 0..3 {
        assert_eq!(unknown.state, State::Unknown);
        unknown = go(&unknown, Event::Looked(Found::Absent), ReadBack, DUE + 120_000 + read * 300_000).0;
    }
    assert_eq!(unknown.state, State::NeedsConfirmation);
    assert_eq!(go(&unknown, Event::Looked(live()), ReadBack, DUE + LATE * 3).0.state, State::Published);
}

#[test]
fn an_unreachable_network_ends_at_the_user_when_the_budget_is_spent() {
    let (unknown, _) = go(&at(State::Sending), ambiguous(), IdempotencyKey, DUE);
    let (later, _) =
        go(&unknown, Event::Looked(Found::Unsure { why: "timeout".into() }), IdempotencyKey, DUE + 9);
    assert_eq!(later.state, State::Unknown);
    assert_eq!(go(&later, Event::Tick, IdempotencyKey, DUE + 86_400_000).0.state, State::NeedsConfirmation);
}

#[test]
fn recall_is_possible_exactly_while_nothing_is_sent() {
    for state in State::ALL {
        let answer = step(&at(state), Event::Recall, NaturalKey, &policy(), DUE, 0.0);
        assert_eq!(answer.is_ok(), state.is_unsent(), "{state}");
        if let Ok((delivery, _)) = answer {
            assert_eq!(delivery.state, State::Cancelled);
        }
    }
}

#[test]
fn parked_deliveries_come_back_or_are_missed() {
    let (parked, effects) = go(
        &at(State::Sending),
        Event::Settled(Outcome::Reconnect { message: "connect".into() }),
        IdempotencyKey,
        DUE,
    );
    assert_eq!(parked.state, State::Parked);
    assert!(effects.contains(&Effect::ParkAccount { message: "connect".into() }));
    let (back, _) = go(&parked, Event::Reconnected, IdempotencyKey, DUE + 5);
    assert_eq!((back.state, back.next_at), (State::HandedOver, Some(DUE + 5)));
    assert_eq!(go(&parked, Event::Tick, IdempotencyKey, DUE + LATE).0.state, State::Missed);
}

#[test]
fn an_orphaned_part_of_a_thread_fails_and_what_was_sent_is_no_orphan() {
    let (after, effects) = go(&at(State::HandedOver), Event::Orphaned, NaturalKey, DUE);
    assert_eq!(after.state, State::Failed);
    assert!(matches!(&effects[0], Effect::Report(Some(problem)) if problem.code == "THREAD_BROKEN"));
    for sent in [State::Sending, State::Published, State::NeedsConfirmation] {
        assert!(step(&at(sent), Event::Orphaned, NaturalKey, &policy(), DUE, 0.0).is_err(), "{sent}");
    }
}

#[test]
fn an_orphan_in_doubt_fails_only_once_it_is_known_not_to_be_there() {
    let (orphan, effects) = go(&at(State::Unknown), Event::Orphaned, NaturalKey, DUE + 20);
    assert_eq!((orphan.state, effects), (State::Unknown, vec![]));
    let again = step(&orphan, Event::Orphaned, NaturalKey, &policy(), DUE + 21, 0.0);
    assert!(again.is_err(), "it is noted once");
    let (_, effects) = go(&orphan, Event::Tick, NaturalKey, DUE + 30);
    assert_eq!(effects, [Effect::Look], "it is not sent again");
    let (early, _) = go(&orphan, Event::Looked(Found::Absent), NaturalKey, DUE + 30);
    assert_eq!(early.state, State::Unknown, "its request may still be under way");
    let (after, effects) = go(&early, Event::Looked(Found::Absent), NaturalKey, DUE + 120_000);
    assert_eq!(after.state, State::Failed);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Report(Some(problem)) if problem.code == "THREAD_BROKEN"))
    );
    assert_eq!(go(&early, Event::Looked(live()), NaturalKey, DUE + 40).0.state, State::Published);
}

#[test]
fn what_is_taken_along_is_in_doubt_until_the_request_is_known_not_to_be_executed() {
    let deadline = DUE + 60_000;
    let (carried, effects) =
        go(&at(State::Prepared), Event::Carried { send_deadline: deadline }, NaturalKey, DUE + 5);
    assert_eq!((carried.state, carried.doubt_since, effects), (State::Unknown, Some(DUE + 5), vec![]));
    assert!(!carried.is_open && carried.first_armed_at == Some(DUE + 5) && carried.quiet_at > Some(deadline));
    for event in [Event::Recall, Event::Begin, Event::Disconnected { message: String::new() }] {
        assert!(step(&carried, event, NaturalKey, &policy(), DUE + 6, 0.0).is_err());
    }
    let (back, _) = go(&carried, Event::PutBack { armed_at: DUE + 5 }, NaturalKey, DUE + 9);
    let was = Delivery { next_at: Some(DUE + 9), ..at(State::Prepared) };
    assert_eq!(back, was, "as if nothing had been");
    assert_eq!(go(&carried, accepted(), NaturalKey, DUE + 9).0.state, State::Published);
    let other = step(&carried, Event::PutBack { armed_at: DUE + 4 }, NaturalKey, &policy(), DUE + 9, 0.0);
    assert!(other.is_err(), "it rode on another attempt");
    for (state, now) in [(State::Prepared, DUE - 1), (State::Prepared, DUE + LATE), (State::Preparing, DUE)] {
        let early =
            step(&at(state), Event::Carried { send_deadline: deadline }, NaturalKey, &policy(), now, 0.0);
        assert!(early.is_err(), "{state} {now}");
    }
}

#[test]
fn a_user_settles_only_what_is_in_question() {
    let live =
        || Event::Confirmed(Verdict::Live { native_id: String::new(), url: "https://x.example/1".into() });
    let asked = at(State::NeedsConfirmation);
    let (after, effects) = go(&asked, live(), Nothing, DUE + 1);
    assert_eq!((after.state, after.next_at), (State::Published, None));
    assert!(
        matches!(&effects[0], Effect::Record { url, evidence: Some(_), .. } if url == "https://x.example/1")
    );
    assert_eq!(go(&asked, Event::Confirmed(Verdict::Dropped), Nothing, DUE + 1).0.state, State::Dropped);
    for state in [State::Unknown, State::Published, State::Dropped, State::Failed] {
        assert!(step(&at(state), live(), Nothing, &policy(), DUE, 0.0).is_err(), "{state}");
    }
}

#[test]
fn lost_records_put_what_is_unsent_in_doubt_from_its_due_time_on() {
    let (doubted, _) = go(&at(State::Prepared), Event::Doubted, IdempotencyKey, DUE + 600_000);
    assert_eq!((doubted.state, doubted.is_open), (State::Unknown, false));
    assert_eq!(doubted.first_armed_at, Some(DUE), "its key may be that old");
    assert_eq!(doubted.quiet_at, Some(DUE + 720_000), "its request may still be under way");
    assert_eq!(go(&doubted, Event::Tick, IdempotencyKey, DUE + 600_000).1, [Effect::Look]);
    assert_eq!(go(&doubted, Event::Tick, NaturalKey, DUE + 600_000).1, [Effect::Resend]);
    assert_eq!(go(&doubted, Event::Tick, Nothing, DUE + 720_000).0.state, State::NeedsConfirmation);
    let past_its_window = DUE + 50 * 60_000 + 1;
    let (late, _) = go(&at(State::HandedOver), Event::Doubted, IdempotencyKey, past_its_window);
    let arm = Event::Arm { send_deadline: past_its_window + 200_000 };
    assert!(step(&late, arm, IdempotencyKey, &policy(), past_its_window + 120_000, 0.0).is_err());
}

#[test]
fn every_unfinished_state_has_a_deadline_and_finals_have_none() {
    for class in [NaturalKey, Handle, IdempotencyKey, ReadBack, Nothing] {
        for state in State::ALL {
            for event in every_event() {
                for now in [DUE - 60_000, DUE, DUE + 120_000, DUE + LATE] {
                    let before = at(state);
                    let Ok((after, effects)) = step(&before, event.clone(), class, &policy(), now, 0.5)
                    else {
                        continue;
                    };
                    assert!(!state.is_final(), "{state} moved by {event:?}");
                    assert_eq!(
                        after.state.is_final(),
                        after.next_at.is_none(),
                        "{state} {event:?} -> {after:?}"
                    );
                    if after.state == State::Sending && state != State::Sending {
                        assert!(matches!(event, Event::Arm { .. }), "{event:?}");
                        assert!(matches!(state, State::Prepared | State::Unknown));
                    }
                    let reports = effects.iter().filter(|effect| matches!(effect, Effect::Report(_))).count();
                    assert!(reports <= 1);
                    if after.state != state && after.state.is_final() {
                        assert_eq!(reports, 1, "{state} {event:?}");
                    }
                }
            }
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop::sample::select(every_event())
}

proptest! {
    /// A network that may have executed any ambiguous send never sees another one unless the class makes it
    /// harmless, and what may be visible never ends as failed, missed or cancelled without reads that say so.
    #[test]
    fn no_history_sends_twice_or_denies_what_may_be_visible(
        class in prop::sample::select(vec![NaturalKey, Handle, IdempotencyKey, ReadBack, Nothing]),
        events in prop::collection::vec((any_event(), 0_i64..400_000), 1..60),
    ) {
        let policy = policy();
        let mut delivery = fresh();
        let mut now = DUE - 70_000;
        let mut may_be_visible = false;
        for (event, pause) in events {
            now += pause;
            let event = match event {
                Event::Arm { .. } => Event::Arm { send_deadline: now + policy.send_timeout },
                other => other,
            };
            let before = delivery.clone();
            let Ok((after, _)) = step(&before, event.clone(), class, &policy, now, 0.3) else { continue };
            prop_assert!(!before.state.is_final());
            if matches!(event, Event::Arm { .. }) {
                prop_assert!(now >= delivery.due_at && now < delivery.late_at);
                if may_be_visible {
                    prop_assert_eq!(before.state, State::Unknown);
                    prop_assert!(matches!(class, NaturalKey | Handle | IdempotencyKey));
                    if class != NaturalKey {
                        prop_assert!(now >= before.quiet_at.unwrap(), "sent again while the first may be under way");
                    }
                }
            }
            if before.state == State::Sending
                && matches!(event, Event::Lost | Event::Tick | Event::Settled(Outcome::Ambiguous { .. }))
            {
                may_be_visible = true;
            }
            may_be_visible |= event == Event::Doubted;
            if may_be_visible && matches!(after.state, State::Failed | State::Missed) {
                prop_assert!(matches!(event, Event::Looked(Found::Absent)));
                prop_assert!(now >= before.quiet_at.unwrap());
            }
            prop_assert!(!(may_be_visible && matches!(after.state, State::Cancelled | State::RetryWait | State::Parked)));
            delivery = after;
        }
    }
}

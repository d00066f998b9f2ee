//! States of a target: a table of transitions, repeats, and random sequences of facts.

use proptest::prelude::*;

use super::*;

pub(crate) fn a_target(state: TargetState) -> Target {
    let planned = state != TargetState::Draft;
    let offered = planned && state != TargetState::Scheduled;
    Target {
        id: Uuid::from_u128(1),
        thread_position: 0,
        account_id: Uuid::from_u128(2),
        network: "mastodon".into(),
        handle: "@ana@mastodon.example".into(),
        text: None,
        settings: Vec::new(),
        state,
        revision: 1,
        due_at: planned.then_some(100_000),
        offered_at: offered.then_some(40_000),
        wake_at: (state == TargetState::Scheduled).then_some(40_000),
        recall: None,
        native_id: String::new(),
        url: String::new(),
        problem: None,
        published_at: None,
    }
}

pub(crate) fn a_fact(state: TargetState) -> Fact {
    Fact {
        target_id: Uuid::from_u128(1),
        revision: 1,
        state,
        native_id: String::new(),
        url: String::new(),
        problem: None,
        at: 100_500,
    }
}

#[test]
fn words_and_states_match_both_ways() {
    for state in TargetState::ALL {
        assert_eq!(TargetState::parse(state.as_str()), Some(state));
    }
    assert_eq!(TargetState::parse("sent"), None);
}

#[test]
fn transitions_follow_the_table() {
    use TargetState as S;
    // From, to, allowed.
    let table = [
        (S::Draft, S::Published, false),
        (S::Scheduled, S::HandedOver, true),
        (S::Scheduled, S::Published, true),
        (S::HandedOver, S::Preparing, true),
        (S::Preparing, S::HandedOver, false),
        (S::Prepared, S::Sending, true),
        (S::Prepared, S::Preparing, true),
        (S::Sending, S::Published, true),
        (S::Sending, S::Unknown, true),
        (S::Unknown, S::NeedsConfirmation, true),
        (S::NeedsConfirmation, S::Published, true),
        (S::NeedsConfirmation, S::Failed, true),
        (S::Parked, S::Preparing, true),
        (S::Parked, S::Missed, true),
        (S::Published, S::Failed, false),
        (S::Published, S::InInbox, false),
        (S::Failed, S::Preparing, false),
        (S::Cancelled, S::HandedOver, false),
        (S::Cancelled, S::Published, true),
        (S::Missed, S::Sending, false),
        (S::HandedOver, S::Draft, false),
        (S::HandedOver, S::Scheduled, false),
        (S::NeedsConfirmation, S::Dropped, true),
        (S::Dropped, S::NeedsConfirmation, false),
        (S::Dropped, S::Failed, false),
        (S::Dropped, S::Published, true),
        (S::Published, S::Dropped, false),
    ];
    for (from, to, allowed) in table {
        let mut target = a_target(from);
        let changed = target.learn(&a_fact(to)) != Learned::Nothing;
        assert_eq!(changed, allowed, "{from:?} -> {to:?}");
        assert_eq!(target.state, if allowed { to } else { from });
    }
}

#[test]
fn a_fact_about_another_revision_changes_nothing() {
    for revision in [0, 2] {
        let mut target = a_target(TargetState::Prepared);
        assert_eq!(target.learn(&Fact { revision, ..a_fact(TargetState::Failed) }), Learned::Nothing);
        assert_eq!(target.state, TargetState::Prepared);
    }
}

#[test]
fn the_echo_of_our_own_recall_does_not_cancel() {
    let mut target = a_target(TargetState::Prepared);
    target.recall = Some(RecallIntent::Edit);
    assert_eq!(target.learn(&a_fact(TargetState::Cancelled)), Learned::Nothing);
    target.recall = None;
    assert_eq!(target.learn(&a_fact(TargetState::Cancelled)), Learned::Changed);
}

#[test]
fn a_pending_recall_keeps_its_timer_until_the_end() {
    let mut target = a_target(TargetState::HandedOver);
    (target.recall, target.wake_at) = (Some(RecallIntent::Edit), Some(7));
    target.learn(&a_fact(TargetState::Preparing));
    assert_eq!((target.wake_at, target.recall), (Some(7), Some(RecallIntent::Edit)));
    target.learn(&a_fact(TargetState::Failed));
    assert_eq!((target.wake_at, target.recall), (None, None));
}

#[test]
fn what_is_visible_contradicts_a_wrong_end() {
    let mut target = a_target(TargetState::Failed);
    assert_eq!(target.learn(&a_fact(TargetState::Published)), Learned::Contradicted);
    assert_eq!(target.published_at, Some(100_500));
}

#[test]
fn a_dropped_target_found_visible_contradicts_nobody() {
    let mut target = a_target(TargetState::Dropped);
    assert_eq!(target.learn(&a_fact(TargetState::Published)), Learned::Changed);
}

#[test]
fn a_given_up_target_says_why() {
    for (why, state, reason) in [
        (RecallIntent::Cancel, TargetState::Cancelled, None),
        (RecallIntent::Miss, TargetState::Missed, Some("HAND_OVER_FAILED")),
        (RecallIntent::Break, TargetState::Failed, Some(THREAD_BROKEN)),
    ] {
        let mut target = a_target(TargetState::HandedOver);
        (target.recall, target.wake_at) = (Some(why), Some(7));
        target.give_up(why);
        assert_eq!((target.state, target.wake_at, target.recall, target.revision), (state, None, None, 1));
        assert_eq!(target.problem.as_ref().map(|problem| problem.reason.as_str()), reason);
        assert_eq!(target.is_broken(), why == RecallIntent::Break);
        assert_eq!(RecallIntent::parse(why.as_str()), Some(why));
    }
}

proptest! {
    #[test]
    fn facts_may_repeat_and_visibility_is_never_lost(steps in proptest::collection::vec(0..TargetState::ALL.len(), 0..40)) {
        let mut target = a_target(TargetState::Scheduled);
        let mut seen_visible = false;
        for step in steps {
            let fact = a_fact(TargetState::ALL[step]);
            let before = target.clone();
            let learned = target.learn(&fact);
            prop_assert_eq!(learned == Learned::Nothing, before == target);
            prop_assert_eq!(target.clone().learn(&fact), Learned::Nothing, "a repeat changes nothing");
            if before.state.is_final() {
                prop_assert!(target.state == before.state || target.state.is_visible());
            }
            seen_visible |= target.state.is_visible();
            prop_assert_eq!(seen_visible, target.state.is_visible());
            prop_assert!(target.state == TargetState::Scheduled || target.wake_at.is_none());
        }
    }
}

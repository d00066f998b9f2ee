//! Decisions about changes: a table of refusals, the two-step recall, and random sequences.

use proptest::prelude::*;

use super::*;
use crate::domain::{post::PostState, target::tests::a_target};

const AT: Moment = Moment { now: 50_000, lead_ms: 60_000 };

fn a_post(states: &[TargetState]) -> Post {
    let targets = states
        .iter()
        .enumerate()
        .map(|(at, state)| Target {
            id: Uuid::from_u128(100 + at as u128),
            account_id: Uuid::from_u128(200 + at as u128),
            ..a_target(*state)
        })
        .collect();
    Post {
        id: Uuid::from_u128(1),
        workspace_id: Uuid::from_u128(2),
        author_id: Uuid::from_u128(3),
        text: "hello".into(),
        media: Vec::new(),
        thread: Vec::new(),
        targets,
        due_at: Some(100_000),
        revision: 5,
        created_at: 0,
        updated_at: 0,
        change_seq: 0,
    }
}

fn none() -> Verdicts {
    Verdicts::new()
}

fn all(items: &[(Uuid, i64)], verdict: Verdict) -> Verdicts {
    items.iter().map(|key| (*key, verdict)).collect()
}

fn edit() -> Change {
    Change::Edit(Edit { text: Some("new".into()), ..Edit::default() })
}

#[test]
fn refuses_what_is_too_late() {
    use TargetState as S;
    let schedule = Change::Schedule { due_at: 200_000 };
    let retry = Change::Retry { target_id: Uuid::from_u128(100) };
    let table: &[(&Change, &[S], Option<Refusal>)] = &[
        (&edit(), &[S::Draft], None),
        (&edit(), &[S::Scheduled, S::Failed], None),
        (&edit(), &[S::Scheduled, S::Sending], Some(Refusal::AlreadySent)),
        (&edit(), &[S::Published], Some(Refusal::AlreadySent)),
        (&edit(), &[S::NeedsConfirmation], Some(Refusal::AlreadySent)),
        (&edit(), &[S::Dropped], Some(Refusal::AlreadySent)),
        (&schedule, &[S::Draft, S::Cancelled], None),
        (&schedule, &[S::Failed], Some(Refusal::NothingToSchedule)),
        (&schedule, &[S::Draft, S::Unknown], Some(Refusal::AlreadySent)),
        (&Change::Cancel, &[S::Scheduled, S::Published], None),
        (&Change::Cancel, &[S::Draft], Some(Refusal::NothingToCancel)),
        (&Change::Cancel, &[S::Sending, S::Published], Some(Refusal::NothingToCancel)),
        (&Change::Cancel, &[S::Cancelled], Some(Refusal::NothingToCancel)),
        (&Change::Delete, &[S::Published, S::Draft, S::NeedsConfirmation], None),
        (&Change::Delete, &[S::Sending], Some(Refusal::BeingSent)),
        (&Change::Delete, &[S::Unknown], Some(Refusal::BeingSent)),
        (&retry, &[S::Failed], None),
        (&retry, &[S::Missed], None),
        (&retry, &[S::Cancelled], None),
        (&retry, &[S::Dropped], None),
        (&retry, &[S::NeedsConfirmation], Some(Refusal::NotRetryable)),
        (&Change::Delete, &[S::Dropped], None),
        (&retry, &[S::Published], Some(Refusal::NotRetryable)),
        (&retry, &[S::Scheduled], Some(Refusal::NotRetryable)),
    ];
    for (change, states, refusal) in table {
        match (decide(a_post(states), change, &none(), AT), refusal) {
            (Decision::Refuse(stored, got), Some(expected)) => {
                assert_eq!((got, stored), (*expected, None), "{change:?} {states:?}");
            }
            (Decision::Refuse(_, got), None) => panic!("{change:?} {states:?} was refused: {got}"),
            (_, Some(expected)) => panic!("{change:?} {states:?} should be refused: {expected}"),
            _ => {}
        }
    }
    let other = Change::Retry { target_id: Uuid::from_u128(9) };
    assert!(matches!(
        decide(a_post(&[S::Failed]), &other, &none(), AT),
        Decision::Refuse(None, Refusal::NoSuchTarget)
    ));
}

#[test]
fn changes_at_once_what_was_never_offered() {
    let Decision::Save(post) = decide(a_post(&[TargetState::Scheduled]), &edit(), &none(), AT) else {
        panic!("nothing is at the publisher")
    };
    assert_eq!((post.text.as_str(), post.revision), ("new", 6));
    let target = &post.targets[0];
    assert_eq!((target.revision, target.due_at, target.wake_at), (2, Some(100_000), Some(40_000)));
}

#[test]
fn asks_for_what_waits_at_the_publisher_first() {
    let post = a_post(&[TargetState::Prepared, TargetState::Scheduled]);
    let Decision::Recall(marked, items) = decide(post, &edit(), &none(), AT) else { panic!("one is held") };
    assert_eq!(items, [(Uuid::from_u128(100), 1)]);
    for target in &marked.targets {
        assert_eq!(target.recall, Some(RecallIntent::Edit), "nothing is offered meanwhile");
        assert_eq!(target.wake_at, Some(AT.now + RECALL_GRACE_MS));
    }
    let Decision::Save(post) = decide(marked.clone(), &edit(), &all(&items, Verdict::Recalled), AT) else {
        panic!("the recall was granted")
    };
    for target in &post.targets {
        assert_eq!((target.state, target.revision), (TargetState::Scheduled, 2));
        assert_eq!((target.recall, target.offered_at), (None, None));
    }
    let Decision::Refuse(Some(kept), Refusal::AlreadySent) =
        decide(marked, &edit(), &all(&items, Verdict::TooLate), AT)
    else {
        panic!("too late refuses the edit")
    };
    assert_eq!(kept.text, "hello");
    assert_eq!((kept.targets[0].state, kept.targets[0].recall), (TargetState::Prepared, None));
    assert_eq!((kept.targets[1].wake_at, kept.targets[1].recall), (Some(40_000), None));
}

#[test]
fn an_edit_refused_half_way_goes_on_with_the_old_plan() {
    let post = a_post(&[TargetState::Prepared, TargetState::Prepared]);
    let Decision::Recall(marked, items) = decide(post, &edit(), &none(), AT) else { panic!("both are held") };
    let verdicts = Verdicts::from([(items[0], Verdict::Recalled), (items[1], Verdict::TooLate)]);
    let Decision::Refuse(Some(post), _) = decide(marked, &edit(), &verdicts, AT) else {
        panic!("one was sent")
    };
    assert_eq!((post.targets[0].state, post.targets[0].revision), (TargetState::Scheduled, 2));
    assert_eq!(post.targets[0].due_at, Some(100_000));
    assert_eq!((post.targets[1].state, post.targets[1].revision), (TargetState::Prepared, 1));
}

#[test]
fn a_cancellation_withdraws_what_it_can() {
    let post = a_post(&[TargetState::Prepared, TargetState::HandedOver, TargetState::Scheduled]);
    let Decision::Recall(marked, items) = decide(post, &Change::Cancel, &none(), AT) else {
        panic!("two are held")
    };
    let verdicts = Verdicts::from([(items[0], Verdict::TooLate), (items[1], Verdict::Recalled)]);
    let Decision::Save(post) = decide(marked, &Change::Cancel, &verdicts, AT) else {
        panic!("two can be withdrawn")
    };
    let states: Vec<_> = post.targets.iter().map(|target| target.state).collect();
    assert_eq!(states, [TargetState::Prepared, TargetState::Cancelled, TargetState::Cancelled]);
}

#[test]
fn a_lost_recall_is_settled_by_its_intent() {
    for (change, state, revision) in
        [(edit(), TargetState::Scheduled, 2), (Change::Cancel, TargetState::Cancelled, 1)]
    {
        let post = a_post(&[TargetState::Prepared]);
        let Decision::Recall(marked, items) = decide(post, &change, &none(), AT) else {
            panic!("one is held")
        };
        let Decision::Recall(again, open) = decide(marked, &Change::Settle, &none(), AT) else {
            panic!("unanswered")
        };
        assert_eq!(open, items);
        let Decision::Save(post) = decide(again, &Change::Settle, &all(&items, Verdict::Recalled), AT) else {
            panic!("settled")
        };
        assert_eq!((post.targets[0].state, post.targets[0].revision), (state, revision));
        assert_eq!((post.revision, post.text.as_str()), (5, "hello"), "nobody edited");
    }
}

/// The power went between the intent and the question; by the time it is settled, the request is on its way.
#[test]
fn a_recall_that_was_never_asked_does_not_revise_what_is_being_sent() {
    for change in [edit(), Change::Cancel] {
        let post = a_post(&[TargetState::Prepared]);
        let Decision::Recall(mut marked, _) = decide(post, &change, &none(), AT) else {
            panic!("one is held")
        };
        marked.targets[0].state = TargetState::Unknown;
        let Decision::Save(post) = decide(marked, &Change::Settle, &none(), AT) else {
            panic!("nothing is left to ask")
        };
        let target = &post.targets[0];
        assert_eq!((target.state, target.revision, target.recall), (TargetState::Unknown, 1, None));
    }
}

#[test]
fn targets_of_accounts_that_stay_keep_their_ids() {
    let input = |account: u128| NewTarget {
        account_id: Uuid::from_u128(account),
        network: "bluesky".into(),
        handle: "ana".into(),
        text: Some("own".into()),
        settings: vec![1],
    };
    let change = Change::Edit(Edit { targets: Some(vec![input(300), input(201)]), ..Edit::default() });
    let post = a_post(&[TargetState::Scheduled, TargetState::Scheduled]);
    let Decision::Save(post) = decide(post, &change, &none(), AT) else { panic!("all are free") };
    assert_eq!(post.targets.len(), 2);
    assert_eq!((post.targets[1].id, post.targets[1].revision), (Uuid::from_u128(101), 2));
    assert_eq!((post.targets[0].state, post.targets[0].revision), (TargetState::Scheduled, 1));
    assert_eq!(post.targets[0].due_at, Some(100_000));
}

#[test]
fn a_retry_keeps_a_due_time_that_is_still_to_come() {
    let change = Change::Retry { target_id: Uuid::from_u128(100) };
    for (due, expected) in [(Some(90_000), 90_000), (Some(10), AT.now), (None, AT.now)] {
        let mut post = a_post(&[TargetState::Cancelled]);
        post.due_at = due;
        let Decision::Save(post) = decide(post, &change, &none(), AT) else { panic!("retried") };
        assert_eq!((post.targets[0].due_at, post.targets[0].revision), (Some(expected), 2));
        assert_eq!(post.state(), PostState::Scheduled);
    }
}

proptest! {
    /// Whatever is asked and whatever the publisher answers: a target at the publisher is never changed without a
    /// granted recall, and no plan is lost except by a cancellation.
    #[test]
    fn nothing_at_the_publisher_changes_without_its_word(
        states in proptest::collection::vec(0..TargetState::ALL.len(), 1..5),
        which in 0usize..5,
        answers in proptest::collection::vec(any::<bool>(), 5),
    ) {
        let states: Vec<_> = states.into_iter().map(|at| TargetState::ALL[at]).collect();
        let post = a_post(&states);
        let change = match which {
            0 => edit(),
            1 => Change::Schedule { due_at: 300_000 },
            2 => Change::Cancel,
            3 => Change::Delete,
            _ => Change::Retry { target_id: Uuid::from_u128(100) },
        };
        let before = post.clone();
        let mut verdicts = Verdicts::new();
        let mut decision = decide(post, &change, &verdicts, AT);
        if let Decision::Recall(marked, items) = decision {
            for (key, granted) in items.iter().zip(&answers) {
                verdicts.insert(*key, if *granted { Verdict::Recalled } else { Verdict::TooLate });
            }
            decision = decide(marked, &change, &verdicts, AT);
        }
        let after = match decision {
            Decision::Save(post) | Decision::Refuse(Some(post), _) => post,
            Decision::Refuse(None, _) => before.clone(),
            Decision::Delete => {
                for target in &before.targets {
                    let granted = verdicts.get(&(target.id, 1)) == Some(&Verdict::Recalled);
                    prop_assert!(target.stance() != Stance::Held || granted);
                }
                return Ok(());
            }
            Decision::Recall(..) => return Err(TestCaseError::fail("asked twice about the same")),
        };
        for (old, new) in before.targets.iter().zip(&after.targets) {
            prop_assert_eq!(new.recall, None);
            let granted = verdicts.get(&(old.id, 1)) == Some(&Verdict::Recalled);
            if old.stance() == Stance::Held && !granted {
                prop_assert_eq!((old.state, old.revision), (new.state, new.revision));
            }
            let sent_again = matches!(change, Change::Retry { .. }) && old.state == TargetState::Dropped;
            if matches!(old.stance(), Stance::Busy | Stance::Out) && !sent_again {
                prop_assert_eq!(old, new);
            }
            if old.is_waiting() && !new.is_waiting() {
                prop_assert!(matches!(change, Change::Cancel | Change::Delete));
            }
            if new.state == TargetState::Scheduled && new.offered_at.is_none() {
                prop_assert!(new.wake_at.is_some(), "a plan without a timer would be forgotten");
            }
        }
    }
}

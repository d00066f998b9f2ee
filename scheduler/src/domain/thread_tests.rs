//! Which parts go together, and what happens when news of two parts cross.

use uuid::Uuid;

use super::*;
use crate::domain::{
    change::{Change, Confirmed, Decision, Edit, Moment, Refusal, Verdict, Verdicts, decide},
    post::Post,
    target::{Problem, tests::a_target},
};

const AT: Moment = Moment { now: 150_000, lead_ms: 60_000 };

fn problem(state: TargetState, broken: bool) -> Option<Problem> {
    match (state.may_be_retried(), broken) {
        (true, true) => Some(Problem::thread_broken()),
        _ => None,
    }
}

/// The parts of a thread, which one is sent again, and which go with it.
type Again = (&'static [(TargetState, bool)], usize, &'static [usize]);

/// Threads of these states on accounts of their own; true marks a part that was given up for the one before it.
fn threads(accounts: &[&[(TargetState, bool)]]) -> Vec<Target> {
    let mut targets = Vec::new();
    for (account, parts) in accounts.iter().enumerate() {
        for (position, (state, broken)) in parts.iter().enumerate() {
            targets.push(Target {
                id: Uuid::from_u128((100 * (account + 1) + position) as u128),
                account_id: Uuid::from_u128(account as u128 + 1),
                thread_position: position as i32,
                problem: problem(*state, *broken),
                ..a_target(*state)
            });
        }
    }
    targets
}

fn a_post(parts: &[(TargetState, bool)]) -> Post {
    Post {
        id: Uuid::from_u128(1),
        workspace_id: Uuid::from_u128(2),
        author_id: Uuid::from_u128(3),
        text: "first".into(),
        media: Vec::new(),
        thread: (1..parts.len()).map(|at| Part { text: format!("part {at}"), media: Vec::new() }).collect(),
        targets: threads(&[parts]),
        due_at: Some(100_000),
        revision: 5,
        created_at: 0,
        updated_at: 0,
        change_seq: 0,
    }
}

fn saved(decision: Decision) -> Post {
    match decision {
        Decision::Save(post) => post,
        other => panic!("not stored: {other:?}"),
    }
}

fn planned(post: &Post) -> Vec<usize> {
    let is_new = |(at, target): (usize, &Target)| (target.revision > 1).then_some(at);
    post.targets.iter().enumerate().filter_map(is_new).collect()
}

#[test]
fn new_targets_are_account_by_account_and_their_ids_grow() {
    let input = |account: u128| NewTarget {
        account_id: Uuid::from_u128(account),
        network: "mastodon".into(),
        handle: "@ana".into(),
        text: Some("own".into()),
        settings: vec![7],
    };
    let targets = spread(&[input(9), input(8)], 2, Some(5), 1);
    let places: Vec<_> = targets.iter().map(|t| (t.account_id.as_u128(), t.thread_position)).collect();
    assert_eq!(places, [(9, 0), (9, 1), (9, 2), (8, 0), (8, 1), (8, 2)]);
    assert!(targets.windows(2).all(|two| two[0].id < two[1].id));
    assert_eq!(targets[0].text.as_deref(), Some("own"));
    assert_eq!(
        (&targets[1].text, &targets[1].settings),
        (&None, &vec![7]),
        "the thread's text, the account's settings"
    );
    assert!(targets.iter().all(|target| target.due_at == Some(5)));
}

#[test]
fn a_part_follows_only_its_own_account_s_part() {
    use TargetState as S;
    let targets =
        threads(&[&[(S::Published, false), (S::Failed, false)], &[(S::Failed, false), (S::Failed, true)]]);
    let before: Vec<_> = (0..4).map(|at| before(&targets, at).map(|target| target.id.as_u128())).collect();
    assert_eq!(before, [None, Some(100), None, Some(200)]);
    assert_eq!((0..4).map(|at| may_follow(&targets, at)).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(sent_again(&targets, 1), [1], "not the next account's post");
}

#[test]
fn sending_again_takes_along_what_was_given_up_with_it() {
    use TargetState as S;
    let table: &[Again] = &[
        (&[(S::Failed, false), (S::Failed, true), (S::Failed, true)], 0, &[0, 1, 2]),
        (&[(S::Dropped, false), (S::Missed, false), (S::Cancelled, true)], 0, &[0, 1, 2]),
        (&[(S::Published, false), (S::Failed, false), (S::Failed, true)], 1, &[1, 2]),
        (&[(S::Failed, false), (S::Cancelled, false), (S::Failed, true)], 0, &[0]),
        (&[(S::Cancelled, false), (S::Cancelled, false), (S::Cancelled, false)], 0, &[0, 1, 2]),
        (&[(S::Failed, false), (S::HandedOver, false), (S::Failed, true)], 0, &[0, 2]),
        (&[(S::Failed, false), (S::Failed, false), (S::Failed, true)], 0, &[0]),
    ];
    for (states, at, expected) in table {
        let post = a_post(states);
        let change = Change::Retry { target_id: post.targets[*at].id };
        let post = saved(decide(post, &change, &Verdicts::new(), AT));
        assert_eq!(planned(&post), *expected, "{states:?}");
        assert!(expected.iter().all(|at| post.targets[*at].due_at == Some(AT.now)), "all at the same time");
    }
}

#[test]
fn a_part_without_the_part_before_it_is_not_sent_again() {
    use TargetState as S;
    for (first, allowed) in [
        (S::Published, true),
        (S::InInbox, true),
        (S::Scheduled, true),
        (S::Sending, true),
        (S::NeedsConfirmation, true),
        (S::Failed, false),
        (S::Cancelled, false),
        (S::Missed, false),
        (S::Dropped, false),
    ] {
        let post = a_post(&[(first, false), (S::Failed, true)]);
        let change = Change::Retry { target_id: post.targets[1].id };
        let refused = matches!(
            decide(post, &change, &Verdicts::new(), AT),
            Decision::Refuse(None, Refusal::PartBeforeMissing)
        );
        assert_eq!(refused, !allowed, "{first:?}");
    }
}

#[test]
fn later_parts_are_withdrawn_first_and_after_a_published_one() {
    use TargetState as S;
    let post = a_post(&[(S::Sending, false), (S::Prepared, false), (S::HandedOver, false)]);
    let Decision::Recall(marked, items) = decide(post, &Change::Cancel, &Verdicts::new(), AT) else {
        panic!("two are held")
    };
    assert_eq!(items, [(Uuid::from_u128(102), 1), (Uuid::from_u128(101), 1)]);
    let verdicts = items.iter().map(|key| (*key, Verdict::Recalled)).collect();
    let post = saved(decide(marked, &Change::Cancel, &verdicts, AT));
    let states: Vec<_> = post.targets.iter().map(|target| target.state).collect();
    assert_eq!(states, [S::Sending, S::Cancelled, S::Cancelled]);
}

#[test]
fn a_plan_leaves_out_what_would_follow_nothing() {
    use TargetState as S;
    let schedule = Change::Schedule { due_at: 900_000 };
    let post = a_post(&[(S::Failed, false), (S::Cancelled, false)]);
    assert!(matches!(
        decide(post, &schedule, &Verdicts::new(), AT),
        Decision::Refuse(None, Refusal::NothingToSchedule)
    ));
    let post = saved(decide(a_post(&[(S::Cancelled, false); 3]), &schedule, &Verdicts::new(), AT));
    assert_eq!(planned(&post), [0, 1, 2]);
}

#[test]
fn another_thread_keeps_the_targets_of_the_parts_that_stay() {
    use TargetState as S;
    let part = |text: &str| Part { text: text.into(), media: Vec::new() };
    let edit = |parts: Vec<Part>| Change::Edit(Edit { thread: Some(parts), ..Edit::default() });
    let post = a_post(&[(S::Scheduled, false), (S::Scheduled, false)]);
    let longer = saved(decide(post, &edit(vec![part("a"), part("b")]), &Verdicts::new(), AT));
    assert_eq!((longer.targets.len(), longer.thread.len()), (3, 2));
    assert_eq!(longer.targets[1].id, Uuid::from_u128(101));
    assert_eq!(longer.targets[2].thread_position, 2);
    assert_eq!((longer.targets[2].state, longer.targets[2].due_at), (S::Scheduled, Some(100_000)));
    let shorter = saved(decide(longer, &edit(Vec::new()), &Verdicts::new(), AT));
    assert_eq!(shorter.targets.iter().map(|target| target.id.as_u128()).collect::<Vec<_>>(), [100]);
    // A part after one that failed is not planned: it would follow nothing.
    let post = a_post(&[(S::Failed, false), (S::Cancelled, false)]);
    let post = saved(decide(post, &edit(vec![part("a"), part("b")]), &Verdicts::new(), AT));
    assert_eq!(post.targets[2].state, S::Draft);
}

#[test]
fn a_wish_to_post_again_takes_the_thread_along_and_yields_to_a_find() {
    use TargetState as S;
    let confirmed = |state, again| {
        Change::Confirm(Confirmed {
            target_id: Uuid::from_u128(100),
            revision: 1,
            state,
            url: "https://x.example/1".into(),
            again,
        })
    };
    let doubtful = || a_post(&[(S::NeedsConfirmation, false), (S::Failed, true)]);
    let post = saved(decide(doubtful(), &confirmed(S::Dropped, true), &Verdicts::new(), AT));
    assert_eq!((planned(&post), post.revision), (vec![0, 1], 6));
    let post = saved(decide(doubtful(), &confirmed(S::Published, true), &Verdicts::new(), AT));
    assert_eq!((post.targets[0].state, planned(&post)), (S::Published, vec![]));
    let post = saved(decide(doubtful(), &confirmed(S::Published, false), &Verdicts::new(), AT));
    assert_eq!((post.targets[0].url.as_str(), post.revision), ("https://x.example/1", 5));
    let post = saved(decide(doubtful(), &confirmed(S::Dropped, false), &Verdicts::new(), AT));
    assert_eq!((post.targets[0].state, planned(&post)), (S::Dropped, vec![]));
    assert_eq!(post.targets[0].url, "");
    let mut found = doubtful();
    (found.targets[0].state, found.targets[0].url) = (S::Published, "https://x.example/found".into());
    assert_eq!(saved(decide(found.clone(), &confirmed(S::Published, false), &Verdicts::new(), AT)), found);
    let mut newer = doubtful();
    newer.targets[0].revision = 2;
    assert_eq!(saved(decide(newer.clone(), &confirmed(S::Dropped, true), &Verdicts::new(), AT)), newer);
}

#[test]
fn a_part_given_up_for_an_older_plan_goes_along_with_the_newer_one() {
    use TargetState as S;
    for (first, revision, mended) in [
        (S::Scheduled, 2, true),
        (S::Sending, 2, true),
        (S::Sending, 1, false),
        (S::Published, 2, false),
        (S::Failed, 2, false),
    ] {
        let mut targets = threads(&[&[(first, false), (S::Failed, true)]]);
        targets[0].revision = revision;
        assert_eq!(mend(&mut targets, 1, 200_000), mended, "{first:?} {revision}");
        let part = &targets[1];
        assert_eq!(part.state, if mended { S::Scheduled } else { S::Failed });
        if mended {
            assert_eq!((part.revision, part.due_at, part.wake_at), (2, Some(200_000), Some(200_000)));
            assert_eq!((part.offered_at, &part.problem), (None, &None));
        }
    }
    let mut refused = threads(&[&[(S::Scheduled, false), (S::Failed, false)]]);
    refused[0].revision = 2;
    assert!(!mend(&mut refused, 1, 200_000), "it failed by itself");
}

#[test]
fn what_cannot_be_handed_over_is_given_up_only_with_the_publisher_s_word() {
    use TargetState as S;
    let post = a_post(&[(S::HandedOver, false), (S::Scheduled, false)]);
    let targets = vec![(Uuid::from_u128(100), 1), (Uuid::from_u128(101), 1)];
    let change = Change::GiveUp { targets, why: crate::domain::RecallIntent::Miss };
    let Decision::Recall(marked, items) = decide(post, &change, &Verdicts::new(), AT) else {
        panic!("one was offered")
    };
    assert_eq!(items, [(Uuid::from_u128(100), 1)]);
    let late = decide(marked.clone(), &change, &[(items[0], Verdict::TooLate)].into(), AT);
    let late = saved(late);
    assert_eq!((late.targets[0].state, late.targets[0].recall), (S::HandedOver, None));
    let recalled = [(items[0], Verdict::Recalled)].into();
    let missed = saved(decide(marked.clone(), &change, &recalled, AT));
    assert!(missed.targets.iter().all(|target| target.state == S::Missed && target.recall.is_none()));
    assert_eq!(missed.revision, 5, "nobody edited");
    // A crash in between is settled by the intent.
    let settled = saved(decide(marked, &Change::Settle, &recalled, AT));
    assert_eq!(settled.targets[0].problem.as_ref().unwrap().reason, "HAND_OVER_FAILED");
    // A withdrawal that is under way decides.
    let mut withdrawn = a_post(&[(S::HandedOver, false)]);
    withdrawn.targets[0].recall = Some(crate::domain::RecallIntent::Cancel);
    assert_eq!(saved(decide(withdrawn.clone(), &change, &Verdicts::new(), AT)), withdrawn);
}

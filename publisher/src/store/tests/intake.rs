//! What is taken in and taken back: revisions, recalls, and what comes too late.

use super::*;

#[tokio::test]
async fn takes_a_revision_once_and_replaces_it_by_a_newer_one() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db, "test");
        let due = now() + HOUR;
        let batch = vec![a_delivery(1, 1, due), a_delivery(2, 1, due), a_delivery(1, 1, due)];
        assert_eq!(store.deliver(batch, &policy()).await.unwrap(), vec![Taken::Accepted; 3]);
        assert_eq!(
            store.deliver(vec![a_delivery(1, 1, due + 5)], &policy()).await.unwrap(),
            [Taken::Accepted]
        );
        assert_eq!(row(&store, 1).await.due_at, due, "the same revision changes nothing");
        assert_eq!(
            store.deliver(vec![a_delivery(1, 2, due + 5)], &policy()).await.unwrap(),
            [Taken::Accepted]
        );
        let stored = row(&store, 1).await;
        assert_eq!((stored.revision, stored.due_at, stored.state.as_str()), (2, due + 5, "handed_over"));
        assert_eq!(stored.next_at, Some(due + 5 - 60_000));
        assert_eq!(store.deliver(vec![a_delivery(1, 1, due)], &policy()).await.unwrap(), [Taken::Superseded]);
        let work = stored.work(&crate::domain::key::Keys::new(&[1; 32])).unwrap();
        assert_eq!(work.content.text, "post 1 'ü' \u{1f600} \u{0}");
        assert_eq!(work.plan, serde_json::json!({"rkey": "3l"}));
        let mut foreign = a_delivery(1, 3, due);
        foreign.workspace_id = Uuid::from_u128(99);
        assert!(matches!(&store.deliver(vec![foreign], &policy()).await.unwrap()[..], [Taken::Refused(_)]));
    })
    .await;
}

#[tokio::test]
async fn refuses_a_newer_revision_while_an_older_one_may_be_visible() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let taken = store.deliver(vec![a_delivery(1, 2, now())], &policy()).await.unwrap();
        assert!(matches!(&taken[..], [Taken::Refused(problem)] if problem.code == "ALREADY_BEING_SENT"));
        assert_eq!(row(&store, 1).await.revision, 1);
    })
    .await;
}

#[tokio::test]
async fn a_recalled_revision_is_never_accepted_whichever_comes_first() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db, "test");
        let due = now() + HOUR;
        let target = Uuid::from_u128;
        // Before it arrives.
        let answers = store.recall(WORKSPACE, vec![(target(1), 1)]).await.unwrap();
        assert_eq!(answers, [Recalled { holds: true, state: None, account_id: None }]);
        assert_eq!(store.deliver(vec![a_delivery(1, 1, due)], &policy()).await.unwrap(), [Taken::Superseded]);
        assert_eq!(store.deliver(vec![a_delivery(1, 2, due)], &policy()).await.unwrap(), [Taken::Accepted]);
        // After; twice.
        for _ in 0..2 {
            let answers = store.recall(WORKSPACE, vec![(target(1), 2)]).await.unwrap();
            assert_eq!(answers[0].state, Some(State::Cancelled));
            assert!(answers[0].holds);
        }
        assert_eq!(store.deliver(vec![a_delivery(1, 2, due)], &policy()).await.unwrap(), [Taken::Superseded]);
        assert_eq!(store.events_after(0, 10).await.unwrap().len(), 1);
        // Another workspace can neither recall nor block it.
        store.deliver(vec![a_delivery(5, 1, due)], &policy()).await.unwrap();
        let answers = store.recall(Uuid::from_u128(99), vec![(target(5), 1), (target(6), 9)]).await.unwrap();
        assert!(!answers[0].holds);
        assert_eq!(store.deliver(vec![a_delivery(6, 1, due)], &policy()).await.unwrap(), [Taken::Accepted]);
        assert_eq!(row(&store, 5).await.state, "handed_over");
    })
    .await;
}

#[tokio::test]
async fn a_recall_is_too_late_once_armed() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 2).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let items = vec![(Uuid::from_u128(1), 1), (Uuid::from_u128(2), 1)];
        let answers = store.recall(WORKSPACE, items).await.unwrap();
        assert_eq!((answers[0].holds, answers[0].state), (false, Some(State::Sending)));
        assert!(answers[1].holds);
        let published = change(&store, 1, accepted("9"), DeliveryClass::IdempotencyKey).await;
        let (_, arming) = store.apply_and_arm(vec![published], an_arm(2, owner, fence)).await.unwrap();
        assert!(matches!(arming, Arming::Gone), "a recalled delivery is never armed: {arming:?}");
        assert_eq!(row(&store, 1).await.state, "published");
    })
    .await;
}

//! Who serves an account, its line, its handles, and what parks it.

use super::*;

#[tokio::test]
async fn a_lease_has_one_owner_and_its_fence_grows() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db, "test");
        let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
        assert_eq!(store.acquire_lease(ACCOUNT, a, 30_000).await.unwrap(), Some(1));
        assert_eq!(store.acquire_lease(ACCOUNT, b, 30_000).await.unwrap(), None);
        assert_eq!(store.acquire_lease(ACCOUNT, a, 30_000).await.unwrap(), Some(2));
        store.renew_leases(a, 30_000).await.unwrap();
        assert!(store.holds_lease(ACCOUNT, a).await.unwrap());
        assert!(!store.holds_lease(ACCOUNT, b).await.unwrap());
        store.release_leases(a).await.unwrap();
        assert!(!store.holds_lease(ACCOUNT, a).await.unwrap(), "what was given back");
        assert_eq!(store.renew_leases(a, 30_000).await.unwrap(), 0, "what ended stays ended");
        assert_eq!(store.acquire_lease(ACCOUNT, b, 30_000).await.unwrap(), Some(3));
        store.begin_life().await.unwrap();
        assert_eq!(store.acquire_lease(ACCOUNT, a, 1).await.unwrap().is_some(), store.db.is_sqlite());
        store.release_lease(ACCOUNT, b).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn finds_accounts_with_work_and_their_line_in_order() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db, "test");
        let start = now();
        let mut other = a_delivery(9, 1, start - 500);
        other.account_id = Uuid::from_u128(20);
        let mut far = a_delivery(10, 1, start + 24 * HOUR);
        far.account_id = Uuid::from_u128(21);
        let batch = vec![
            a_delivery(2, 1, start + 50),
            a_delivery(1, 1, start + 50),
            a_delivery(3, 1, start),
            other,
            far,
        ];
        store.deliver(batch, &policy()).await.unwrap();
        let with_work = async |limit| store.accounts_with_work(start, limit, Uuid::nil()).await.unwrap();
        let other = (WORKSPACE, Uuid::from_u128(20));
        assert_eq!(with_work(10).await, [other, (WORKSPACE, ACCOUNT)]);
        assert_eq!(with_work(1).await, [other]);
        // Another tenant's later account comes before this one's second.
        let tenant = Uuid::from_u128(5);
        let mut late = a_delivery(11, 1, start);
        (late.workspace_id, late.account_id) = (tenant, Uuid::from_u128(22));
        store.deliver(vec![late], &policy()).await.unwrap();
        assert_eq!(with_work(10).await, [other, (tenant, Uuid::from_u128(22)), (WORKSPACE, ACCOUNT)]);
        let holder = Uuid::now_v7();
        store.acquire_lease(ACCOUNT, holder, 30_000).await.unwrap();
        assert_eq!(with_work(10).await.len(), 2, "somebody else serves it");
        assert_eq!(store.accounts_with_work(start, 10, holder).await.unwrap().len(), 3);
        let line = store.line(ACCOUNT, start + HOUR, 10).await.unwrap();
        let order: Vec<_> = line.iter().map(|row| row.target_id.as_u128()).collect();
        assert_eq!(order, [3, 1, 2]);
        assert_eq!(store.line(ACCOUNT, start + HOUR, 2).await.unwrap().len(), 2);
        assert_eq!(store.stuck(0).await.unwrap(), 5, "their preparation should have begun a minute ago");
        assert_eq!(store.stuck(HOUR).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn finds_accounts_whose_sender_is_gone() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        assert_eq!(store.accounts_with_work(0, 10, Uuid::nil()).await.unwrap(), [] as [(Uuid, Uuid); 0]);
        store.release_leases(owner).await.unwrap();
        assert_eq!(store.accounts_with_work(0, 10, Uuid::nil()).await.unwrap(), [(WORKSPACE, ACCOUNT)]);
    })
    .await;
}

#[tokio::test]
async fn keeps_handles_of_a_revision() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db, "test");
        let target = Uuid::from_u128(1);
        let save = async |target, handle: &str, replaces: Replaces| {
            store.save_handle(target, 1, "media.0".into(), handle.into(), replaces).await.unwrap()
        };
        assert_eq!(save(target, "\"a\"", Replaces::Nothing).await, "\"a\"");
        assert_eq!(save(target, "\"late\"", Replaces::Nothing).await, "\"a\"", "the first one counts");
        assert_eq!(save(target, "\"b\"", Replaces::Anything).await, "\"b\"");
        let of_a = Replaces::This("\"a\"".into());
        assert_eq!(save(target, "\"late\"", of_a).await, "\"b\"", "that one is no longer there");
        let of_b = Replaces::This("\"b\"".into());
        assert_eq!(save(target, "\"c\"", of_b).await, "\"c\"");
        save(Uuid::from_u128(2), "\"d\"", Replaces::Nothing).await;
        assert_eq!(
            store.handles(&[target]).await.unwrap(),
            [(target, 1, "media.0".to_owned(), "\"c\"".to_owned())]
        );
    })
    .await;
}

#[tokio::test]
async fn parks_and_cancels_what_an_account_has_not_sent() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 3).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        assert_eq!(store.park_account(ACCOUNT, &Problem::new("RECONNECT", "connect")).await.unwrap(), 2);
        assert_eq!(store.parked(ACCOUNT, 10).await.unwrap().len(), 2);
        assert_eq!(row(&store, 1).await.state, "sending");
        assert_eq!(store.cancel_account(ACCOUNT, &Problem::new("DISCONNECTED", "x")).await.unwrap(), 2);
        let states: Vec<_> =
            store.events_after(0, 10).await.unwrap().into_iter().map(|event| event.state).collect();
        assert_eq!(states, ["parked", "parked", "cancelled", "cancelled"]);
        assert!(store.beside_the_line(now(), 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn posts_before_an_attempt_that_a_look_may_find_are_known_as_taken() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 3).await;
        for (n, id) in [(1, "first"), (2, "second")] {
            store.apply_and_arm(vec![], an_arm(n, owner, fence)).await.unwrap();
            let published = change(&store, n, accepted(id), DeliveryClass::ReadBack).await;
            assert_eq!(store.apply(vec![published]).await.unwrap(), [true]);
        }
        store.apply_and_arm(vec![], an_arm(3, owner, fence)).await.unwrap();
        let facts = store.attempt_facts(&row(&store, 3).await).await.unwrap().unwrap();
        assert_eq!(facts.taken_native_ids, ["first", "second"]);
        assert_eq!(facts.last_native_id.as_deref(), Some("second"));
    })
    .await;
}

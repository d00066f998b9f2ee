//! Parts of a thread that go with the first part: in doubt together, and out of it by a fact or together.

use postmesh_kit::write;

use super::*;

/// A store with a thread of `n` prepared parts that are due, the fence of their account.
async fn thread(db: Db, n: u128) -> (Store, Uuid, i64) {
    let store = Store::new(db, "test");
    store.begin_epoch(false, &policy()).await.unwrap();
    let owner = Uuid::now_v7();
    let due = now() - 1000;
    let part = |target: u128| Delivering {
        thread: Some(Place {
            root_id: Uuid::from_u128(1),
            previous_id: (target > 1).then(|| Uuid::from_u128(target - 1)),
            position: i64::try_from(target).unwrap() - 1,
        }),
        ..a_delivery(target, 1, due)
    };
    store.deliver((1..=n).map(part).collect(), &policy()).await.unwrap();
    let ids: Vec<_> = (1..=n).map(Uuid::from_u128).collect();
    store.begin_preparing(&ids, 1000).await.unwrap();
    assert_eq!(store.mark_prepared(&ids).await.unwrap().len(), ids.len());
    let fence = store.acquire_lease(ACCOUNT, owner, 30_000).await.unwrap().unwrap();
    (store, owner, fence)
}

fn riders(targets: impl IntoIterator<Item = u128>) -> Vec<Rider> {
    targets.into_iter().map(|target| Rider { target_id: Uuid::from_u128(target), revision: 1 }).collect()
}

fn together(owner: Uuid, fence: i64, n: u128) -> ArmRequest {
    ArmRequest { riders: riders(2..=n), nonce: Uuid::now_v7(), ..an_arm(1, owner, fence) }
}

async fn arm(store: &Store, request: ArmRequest) -> Arming {
    store.apply_and_arm(Vec::new(), request).await.unwrap().1
}

async fn states(store: &Store, n: u128) -> Vec<String> {
    let mut states = Vec::new();
    for target in 1..=n {
        states.push(row(store, target).await.state);
    }
    states
}

fn settled(outcome: Outcome) -> Event {
    Event::Settled(outcome)
}

#[tokio::test]
async fn all_are_in_doubt_with_the_commit_that_armed_the_first() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = thread(db, 3).await;
        let Arming::Armed { armed_at, .. } = arm(&store, together(owner, fence, 3)).await else { panic!() };
        assert_eq!(states(&store, 3).await, ["sending", "unknown", "unknown"]);
        assert_eq!(open_attempts(&store).await, 1);
        for target in [2, 3] {
            let rider = row(&store, target).await;
            assert_eq!((rider.doubt_since, rider.first_armed_at), (Some(armed_at), Some(armed_at)));
            assert_eq!((rider.attempt_n, rider.is_open), (0, false));
            assert_eq!((rider.quiet_at, rider.next_at), (Some(armed_at + 120_000), Some(armed_at + 120_000)));
            assert_eq!(store.attempt_facts(&rider).await.unwrap().unwrap().armed_at, armed_at);
        }
        // It can neither be taken back, nor edited, nor prepared again, nor parked.
        let recalled = store.recall(WORKSPACE, vec![(Uuid::from_u128(2), 1)]).await.unwrap();
        assert!(!recalled[0].holds);
        let edited = store.deliver(vec![a_delivery(2, 2, now())], &policy()).await.unwrap();
        assert!(matches!(edited[0], Taken::Refused(_)));
        assert!(store.begin_preparing(&[Uuid::from_u128(2)], 1000).await.unwrap().is_empty());
        assert_eq!(store.park_account(ACCOUNT, &Problem::new("X", "x")).await.unwrap(), 0);
        // Each is settled by a fact of its own.
        let facts = vec![
            change(&store, 1, accepted("a"), DeliveryClass::NaturalKey).await,
            change(&store, 2, accepted("b"), DeliveryClass::NaturalKey).await,
            change(&store, 3, accepted("c"), DeliveryClass::NaturalKey).await,
        ];
        assert_eq!(store.apply(facts).await.unwrap(), [true; 3]);
        assert_eq!(states(&store, 3).await, ["published"; 3]);
        assert_eq!(open_attempts(&store).await, 0);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_armed_when_one_of_them_moved_on() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = thread(db, 3).await;
        let refused = |request| async { matches!(arm(&store, request).await, Arming::RidersGone) };
        let other = Rider { target_id: Uuid::from_u128(3), revision: 2 };
        let edited = ArmRequest { riders: vec![riders([2])[0], other], ..together(owner, fence, 3) };
        assert!(refused(edited).await, "another revision is in the request");
        let gap = ArmRequest { riders: riders([3]), ..together(owner, fence, 3) };
        assert!(refused(gap).await, "the part before it is not in the request");
        store.recall(WORKSPACE, vec![(Uuid::from_u128(3), 1)]).await.unwrap();
        assert!(refused(together(owner, fence, 3)).await, "taken back");
        assert_eq!(states(&store, 3).await, ["prepared", "prepared", "cancelled"]);
        assert_eq!((open_attempts(&store).await, row(&store, 1).await.attempt_n), (0, 0));
        store.begin_preparing(&[Uuid::from_u128(2)], 1000).await.unwrap();
        assert!(refused(together(owner, fence, 2)).await, "not ready");
        assert!(matches!(arm(&store, an_arm(1, owner, fence)).await, Arming::Armed { .. }), "alone");
    })
    .await;
}

#[tokio::test]
async fn what_was_certainly_not_executed_puts_them_back() {
    each_database(MIGRATIONS, |db| async move {
        for outcome in [
            Outcome::NotSent { why: "no route".into() },
            Outcome::TokenExpired,
            Outcome::Transient { code: "X".into(), message: "x".into(), retry_after: None },
            Outcome::Reconnect { message: "connect".into() },
        ] {
            let (store, owner, fence) = thread(db.clone(), 3).await;
            assert!(matches!(arm(&store, together(owner, fence, 3)).await, Arming::Armed { .. }));
            let change = change(&store, 1, settled(outcome), DeliveryClass::NaturalKey).await;
            assert_eq!(store.apply(vec![change]).await.unwrap(), [true]);
            assert_eq!(states(&store, 3).await[1..], ["prepared", "prepared"]);
            let back = row(&store, 3).await;
            assert_eq!((back.doubt_since, back.quiet_at, back.first_armed_at), (None, None, None));
            assert!(store.recall(WORKSPACE, vec![(Uuid::from_u128(3), 1)]).await.unwrap()[0].holds);
            clear(&store).await;
        }
    })
    .await;
}

async fn clear(store: &Store) {
    let cleared: Result<(), Error> = write!(store.db, tx => {
        for table in ["deliveries", "publish_attempts", "recalls", "account_leases"] {
            sqlx::query(sqlx::AssertSqlSafe(format!("delete from {table}"))).execute(&mut *tx).await?;
        }
        Ok::<_, Error>(())
    });
    cleared.unwrap();
}

#[tokio::test]
async fn only_the_attempt_they_rode_on_puts_them_back() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = thread(db, 3).await;
        let request = together(owner, fence, 3);
        assert!(matches!(arm(&store, request).await, Arming::Armed { .. }));
        let late =
            change(&store, 1, settled(Outcome::NotSent { why: "late".into() }), DeliveryClass::NaturalKey)
                .await;
        // Another process found the attempt open, and repeats the first part alone.
        let lost = change(&store, 1, Event::Lost, DeliveryClass::NaturalKey).await;
        assert_eq!(store.apply(vec![lost]).await.unwrap(), [true]);
        assert_eq!(store.apply(vec![late.clone()]).await.unwrap(), [false]);
        let again = ArmRequest {
            from: State::Unknown,
            close: Some(1),
            nonce: Uuid::now_v7(),
            ..an_arm(1, owner, fence)
        };
        assert!(matches!(arm(&store, again).await, Arming::Armed { .. }));
        assert_eq!(store.apply(vec![late]).await.unwrap(), [false]);
        let throttled = Outcome::Transient { code: "X".into(), message: "x".into(), retry_after: None };
        let throttled = change(&store, 1, settled(throttled), DeliveryClass::NaturalKey).await;
        assert_eq!(store.apply(vec![throttled]).await.unwrap(), [true]);
        assert_eq!(states(&store, 3).await, ["unknown"; 3], "nobody knows what the first request did");
        // With an attempt of its own, a part rides on nothing any more.
        let live = change(&store, 1, Event::Looked(found()), DeliveryClass::NaturalKey).await;
        assert_eq!(store.apply(vec![live]).await.unwrap(), [true]);
        let own = ArmRequest { from: State::Unknown, nonce: Uuid::now_v7(), ..an_arm(2, owner, fence) };
        assert!(matches!(arm(&store, own).await, Arming::Armed { .. }));
        let rides: Result<i64, Error> = read!(store.db, c => {
            Ok(sqlx::query_scalar("select count(*) from deliveries where rides_on is not null")
                .fetch_one(&mut *c).await?)
        });
        assert_eq!(rides.unwrap(), 1, "the third");
    })
    .await;
}

fn found() -> Found {
    Found::Live { native_id: "a".into(), url: String::new(), evidence: "read".into() }
}

#[tokio::test]
async fn an_attempt_that_nobody_was_told_of_puts_them_back() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = thread(db, 3).await;
        let request = together(owner, fence, 3);
        let nonce = request.nonce;
        assert!(matches!(arm(&store, request).await, Arming::Armed { .. }));
        assert!(store.disarm(nonce).await.unwrap());
        assert_eq!(states(&store, 3).await, ["retry_wait", "prepared", "prepared"]);
        assert_eq!(row(&store, 2).await.doubt_since, None);
    })
    .await;
}

#[tokio::test]
async fn each_of_them_takes_a_permit() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = thread(db, 3).await;
        let limited = |posts, request| ArmRequest { permits: vec![Permits::per_hours(posts, 1)], ..request };
        let few = arm(&store, limited(2, together(owner, fence, 3))).await;
        assert!(matches!(few, Arming::RidersGone), "{few:?}");
        assert!(matches!(arm(&store, limited(3, together(owner, fence, 3))).await, Arming::Armed { .. }));
        let done = change(&store, 1, accepted("a"), DeliveryClass::NaturalKey).await;
        store.apply(vec![done]).await.unwrap();
        store.deliver(vec![a_delivery(9, 1, now() - 1000)], &policy()).await.unwrap();
        store.begin_preparing(&[Uuid::from_u128(9)], 1000).await.unwrap();
        store.mark_prepared(&[Uuid::from_u128(9)]).await.unwrap();
        let next = || ArmRequest { nonce: Uuid::now_v7(), ..an_arm(9, owner, fence) };
        assert!(matches!(arm(&store, limited(3, next())).await, Arming::OutOfPermits { .. }));
        assert!(matches!(arm(&store, limited(4, next())).await, Arming::Armed { .. }));
    })
    .await;
}

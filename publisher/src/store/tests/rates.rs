//! Permits hold in every span of time and over all processes; what a network asks for holds for the next process too.

use std::time::Duration;

use super::*;
use crate::{domain::step::Closing, store::Stored};

fn permits(all: &[(i64, i64)]) -> Vec<Permits> {
    all.iter().map(|(posts, window_ms)| Permits { posts: *posts, window_ms: *window_ms }).collect()
}

async fn settled(store: &Store, target: u128, event: Event) {
    let settled = change(store, target, event, DeliveryClass::IdempotencyKey).await;
    assert_eq!(store.apply(vec![settled]).await.unwrap(), [true]);
}

fn refused() -> Event {
    Event::Settled(Outcome::Rejected { code: "X".into(), message: "x".into() })
}

#[tokio::test]
async fn what_was_certainly_not_sent_takes_no_permit() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 4).await;
        let arm = |target| ArmRequest { permits: permits(&[(2, HOUR)]), ..an_arm(target, owner, fence) };
        for (target, event) in
            [(1, Event::Settled(Outcome::NotSent { why: "dns".into() })), (2, refused()), (3, accepted("3"))]
        {
            let (_, arming) = store.apply_and_arm(vec![], arm(target)).await.unwrap();
            assert!(matches!(arming, Arming::Armed { .. }), "{target}: {arming:?}");
            settled(&store, target, event).await;
        }
        assert!(matches!(store.apply_and_arm(vec![], arm(4)).await.unwrap().1, Arming::OutOfPermits { .. }));
        let shorter = ArmRequest { permits: permits(&[(9, HOUR), (1, 1)]), ..arm(4) };
        tokio::time::sleep(Duration::from_millis(5)).await; // lets the database's clock leave the short span
        assert!(matches!(store.apply_and_arm(vec![], shorter).await.unwrap().1, Arming::Armed { .. }));
    })
    .await;
}

#[tokio::test]
async fn an_attempt_in_doubt_counts_until_its_deadline_has_left_the_span() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        let arm = || ArmRequest { permits: permits(&[(1, HOUR)]), ..an_arm(1, owner, fence) };
        let (_, arming) = store.apply_and_arm(vec![], arm()).await.unwrap();
        let Arming::Armed { armed_at, .. } = arming else { panic!("{arming:?}") };
        settled(&store, 1, Event::Lost).await;
        let resend = ArmRequest { from: State::Unknown, close: Some(1), nonce: Uuid::now_v7(), ..arm() };
        let Arming::OutOfPermits { until, .. } = store.apply_and_arm(vec![], resend).await.unwrap().1 else {
            panic!("a second request within the hour")
        };
        assert_eq!(until, armed_at + 60_000 + HOUR);
    })
    .await;
}

#[tokio::test]
async fn a_hold_is_stored_with_the_answer_and_obeyed_by_the_next_owner() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 3).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let mut answer = change(&store, 1, accepted("9"), DeliveryClass::IdempotencyKey).await;
        answer.wire.hold = Some(Duration::from_mins(30));
        let (moved, arming) =
            store.apply_and_arm(vec![answer.clone()], an_arm(2, owner, fence)).await.unwrap();
        assert_eq!(moved, [true]);
        let Arming::OutOfPermits { until, now } = arming else { panic!("{arming:?}") };
        assert!((HOUR / 2 - 60_000..=HOUR / 2).contains(&(until - now)));
        store.release_leases(owner).await.unwrap();
        let next = Uuid::now_v7();
        let fence = store.acquire_lease(ACCOUNT, next, 30_000).await.unwrap().unwrap();
        let (_, arming) = store.apply_and_arm(vec![], an_arm(2, next, fence)).await.unwrap();
        assert!(matches!(arming, Arming::OutOfPermits { .. }), "{arming:?}");
        // A later, shorter wish takes nothing away.
        answer.wire.hold = Some(Duration::from_secs(1));
        assert_eq!(store.apply(vec![answer]).await.unwrap(), [false]);
        let (_, arming) = store.apply_and_arm(vec![], an_arm(2, next, fence)).await.unwrap();
        assert!(matches!(arming, Arming::OutOfPermits { until: again, .. } if again == until), "{arming:?}");
        assert_eq!(store.stuck(-HOUR / 2 - 120_000).await.unwrap(), 0, "it waits for good reason");
    })
    .await;
}

const TARGETS: u128 = 60;
const SPANS: [(i64, i64); 2] = [(3, 150), (7, 600)];

/// One replica: takes the account when it can, arms whatever is left, settles it in one way or another.
async fn replica(store: Store, seed: u64) {
    let (owner, mut dice) = (Uuid::now_v7(), seed);
    let mut roll = move |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    for target in (1..=TARGETS).cycle() {
        if roll(4) == 0 {
            tokio::time::sleep(Duration::from_millis(roll(25))).await;
        }
        if left(&store).await == 0 {
            return;
        }
        let Some(fence) = store.acquire_lease(ACCOUNT, owner, 40).await.unwrap() else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let fence = fence - i64::from(roll(9) == 0); // now and then one that was taken over
        let request = ArmRequest { permits: permits(&SPANS), ..an_arm(target, owner, fence) };
        match store.apply_and_arm(vec![], request).await {
            Ok((_, Arming::Armed { .. })) => {}
            Ok(_) | Err(Error::Contended) => continue,
            Err(error) => panic!("{error:?}"),
        }
        if roll(3) == 0 {
            tokio::time::sleep(Duration::from_millis(roll(60))).await; // slower than its lease, sometimes
        }
        let event = match roll(5) {
            0 => Event::Settled(Outcome::NotSent { why: "dns".into() }),
            1 => refused(),
            _ => accepted(&target.to_string()),
        };
        settled(&store, target, event).await;
    }
}

async fn left(store: &Store) -> i64 {
    let left: Result<i64, Error> = read!(store.db, c => {
        Ok(sqlx::query_scalar("select count(*) from deliveries where state = 'prepared'").fetch_one(&mut *c).await?)
    });
    left.unwrap()
}

#[tokio::test]
async fn two_replicas_never_exceed_the_permits_in_any_span() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, _) = ready(db, TARGETS).await;
        store.release_leases(owner).await.unwrap();
        if store.db.is_sqlite() {
            replica(store.clone(), 7).await; // one process alone
        } else {
            tokio::join!(replica(store.clone(), 1), replica(store.clone(), 2));
        }
        let attempts: Result<Vec<(i64, i64)>, Error> = read!(store.db, c => {
            Ok(sqlx::query_as(
                "select armed_at, closed_at from publish_attempts where outcome <> $1 order by armed_at")
                .bind(Closing::NotSent.as_str()).fetch_all(&mut *c).await?)
        });
        let attempts = attempts.unwrap();
        assert!(attempts.len() > 20, "{}", attempts.len());
        for (posts, window_ms) in SPANS {
            let posts = usize::try_from(posts).unwrap();
            for pair in attempts.windows(posts + 1) {
                let (first, last) = (pair[0], pair[posts]);
                // Wherever between ARM and answer the requests reached the network.
                assert!(last.0 - first.1 >= window_ms, "{} in {} ms", posts + 1, last.0 - first.1);
            }
        }
        let stored: Stored = row(&store, 1).await;
        assert_ne!(stored.state, "prepared");
    })
    .await;
}

#[tokio::test]
async fn who_waits_behind_a_throttled_head_is_not_stuck() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 3).await;
        assert_eq!(store.stuck(0).await.unwrap(), 3);
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        assert_eq!(store.stuck(0).await.unwrap(), 0, "the head is being sent");
        let throttled = Event::Settled(Outcome::Transient {
            code: "RATE_LIMITED".into(),
            message: "wait".into(),
            retry_after: Some(Duration::from_mins(30)),
        });
        settled(&store, 1, throttled).await;
        assert_eq!(store.stuck(0).await.unwrap(), 0, "the head waits as it was asked to");
        store.park_account(ACCOUNT, &Problem::new("RECONNECT", "connect")).await.unwrap();
        assert_eq!(store.stuck(0).await.unwrap(), 0, "parked ones have time until their deadline");
        assert_eq!(store.stuck(-2 * HOUR).await.unwrap(), 3, "and no longer");
    })
    .await;
}

#[tokio::test]
async fn old_records_of_final_deliveries_are_pruned_and_others_stay() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 3).await;
        for target in 1..=2 {
            let id = Uuid::from_u128(target);
            store.save_handle(id, 1, "media.0".into(), "\"a\"".into(), Replaces::Nothing).await.unwrap();
            store.apply_and_arm(vec![], an_arm(target, owner, fence)).await.unwrap();
            if target == 1 {
                settled(&store, 1, accepted("1")).await;
            }
        }
        settled(&store, 2, Event::Lost).await; // nobody knows yet: all of it is needed
        let last = store.events_after(0, 10).await.unwrap().last().unwrap().sequence;
        assert_eq!(store.prune(now() - HOUR, 10).await.unwrap(), 0, "nothing is that old");
        assert!(store.prune(now() + HOUR, 10).await.unwrap() > 0);
        assert_eq!(store.prune(now() + HOUR, 10).await.unwrap(), 0);
        let kept: Result<Vec<i64>, Error> = read!(store.db, c => {
            let mut kept = Vec::new();
            for target in [1, 2] {
                let id = Uuid::from_u128(target);
                for count in [
                    "select count(*) from events where target_id = $1",
                    "select count(*) from publish_attempts where target_id = $1",
                    "select count(*) from handles where target_id = $1",
                ] {
                    kept.push(sqlx::query_scalar::<_, i64>(count).bind(id).fetch_one(&mut *c).await?);
                }
            }
            Ok(kept)
        });
        let kept = kept.unwrap();
        assert_eq!(kept[..3], [0, 0, 0], "{kept:?}");
        assert!(kept[3..].iter().all(|rows| *rows > 0), "{kept:?}");
        // Tailers go on where they were; the delivery itself is known for ever.
        store.apply_and_arm(vec![], an_arm(3, owner, fence)).await.unwrap_err();
        assert_eq!(store.deliver(vec![a_delivery(1, 1, now())], &policy()).await.unwrap(), [Taken::Accepted]);
        assert_eq!(row(&store, 1).await.state, "published");
        store.recall(WORKSPACE, vec![(Uuid::from_u128(3), 1)]).await.unwrap();
        assert!(store.events_after(last, 10).await.unwrap()[0].sequence > last);
    })
    .await;
}

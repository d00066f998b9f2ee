//! One conformance test per verb of the store, on both databases.

use std::{sync::Arc, time::Duration};

use postmesh_kit::{
    clock::{Clock, SystemClock},
    clockguard::ClockGuard,
    read,
    testing::each_database,
    write,
};
use uuid::Uuid;

use super::*;
use crate::{
    MIGRATIONS,
    domain::{
        content::Content,
        outcome::{DeliveryClass, Found, Outcome, Wire},
        policy::Policy,
        state::State,
        step::{self, Event, Problem, step},
    },
    networks::limits::Permits,
    store::intake::{Recalled, Taken},
};

mod intake;
mod line;
mod rates;
mod riders;

const WORKSPACE: Uuid = Uuid::from_u128(1);
const ACCOUNT: Uuid = Uuid::from_u128(2);
const HOUR: i64 = 3_600_000;

fn now() -> i64 {
    SystemClock.now_ms()
}

fn policy() -> Policy {
    Policy::default()
}

fn a_delivery(target: u128, revision: i64, due_at: i64) -> Delivering {
    Delivering {
        target_id: Uuid::from_u128(target),
        post_id: Uuid::from_u128(3),
        workspace_id: WORKSPACE,
        account_id: ACCOUNT,
        network: "mastodon".into(),
        revision,
        due_at,
        max_late: HOUR,
        content: Content { text: format!("post {target} 'ü' \u{1f600} \u{0}"), ..Content::default() },
        plan: serde_json::json!({"rkey": "3l"}),
        thread: None,
    }
}

/// A store whose targets 1..=n are prepared and due, and the fence of their account.
async fn ready(db: Db, n: u128) -> (Store, Uuid, i64) {
    let store = Store::new(db, "test");
    store.begin_epoch(false, &policy()).await.unwrap();
    let owner = Uuid::now_v7();
    let batch: Vec<_> = (1..=n).map(|target| a_delivery(target, 1, now() - 1000)).collect();
    store.deliver(batch, &policy()).await.unwrap();
    let ids: Vec<_> = (1..=n).map(Uuid::from_u128).collect();
    assert_eq!(store.begin_preparing(&ids, 1000).await.unwrap().len(), ids.len());
    assert_eq!(store.mark_prepared(&ids).await.unwrap().len(), ids.len());
    let fence = store.acquire_lease(ACCOUNT, owner, 30_000).await.unwrap().unwrap();
    (store, owner, fence)
}

fn an_arm(target: u128, owner: Uuid, fence: i64) -> ArmRequest {
    ArmRequest {
        target_id: Uuid::from_u128(target),
        workspace_id: WORKSPACE,
        account_id: ACCOUNT,
        revision: 1,
        from: State::Prepared,
        close: None,
        needs_quiet: false,
        key_window: 0,
        owner,
        fence,
        key: "KEY".into(),
        request_sha256: [7; 32],
        riders: Vec::new(),
        permits: Vec::new(),
        send_timeout: 60_000,
        quiesce: 60_000,
        nonce: Uuid::now_v7(),
        guard: Arc::new(ClockGuard::default()),
    }
}

async fn open_attempts(store: &Store) -> i64 {
    let count: Result<i64, Error> = read!(store.db, c => {
        Ok(sqlx::query_scalar("select count(*) from publish_attempts where outcome is null")
            .fetch_one(&mut *c).await?)
    });
    count.unwrap()
}

async fn row(store: &Store, target: u128) -> Stored {
    let id = Uuid::from_u128(target);
    let found: Result<Stored, Error> = read!(store.db, c => {
        Ok(sqlx::query_as(concat!("select ", rows::columns!(), " from deliveries where target_id = $1"))
            .bind(id).fetch_one(&mut *c).await?)
    });
    found.unwrap()
}

async fn change(store: &Store, target: u128, event: Event, class: DeliveryClass) -> Change {
    let stored = row(store, target).await;
    let before = stored.decision().unwrap();
    let (after, effects) = step(&before, event, class, &policy(), now(), 0.0).unwrap();
    Change::new(&stored, before.state, after, effects, Wire { http_status: Some(200), ..Wire::default() }).0
}

fn accepted(id: &str) -> Event {
    Event::Settled(Outcome::Accepted { native_id: id.into(), url: format!("https://x.example/{id}") })
}

#[tokio::test]
async fn arms_only_what_is_due_and_only_for_the_owner() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        store.deliver(vec![a_delivery(7, 1, now() + HOUR)], &policy()).await.unwrap();
        store.begin_preparing(&[Uuid::from_u128(7)], 1000).await.unwrap();
        store.mark_prepared(&[Uuid::from_u128(7)]).await.unwrap();
        let arm = |request: ArmRequest| {
            let store = store.clone();
            async move { store.apply_and_arm(vec![], request).await.unwrap().1 }
        };
        assert!(matches!(arm(an_arm(7, owner, fence)).await, Arming::NotDue { .. }));
        assert!(matches!(arm(an_arm(1, Uuid::now_v7(), fence)).await, Arming::NotOwner));
        assert!(matches!(arm(an_arm(1, owner, fence - 1)).await, Arming::NotOwner));
        assert!(matches!(arm(ArmRequest { revision: 2, ..an_arm(1, owner, fence) }).await, Arming::Gone));
        let foreign = ArmRequest { workspace_id: Uuid::from_u128(99), ..an_arm(1, owner, fence) };
        assert!(matches!(arm(foreign).await, Arming::Gone));
        let Arming::Armed { armed, armed_at } = arm(an_arm(1, owner, fence)).await else {
            panic!("must arm")
        };
        assert_eq!((armed.n(), armed.key(), armed.is_resend()), (1, "KEY", false));
        assert!(armed.time_left().unwrap().as_secs() >= 50);
        assert!((armed_at - now()).abs() < 60_000);
        let stored = row(&store, 1).await;
        assert_eq!((stored.state.as_str(), stored.attempt_n, stored.is_open), ("sending", 1, true));
        assert_eq!(stored.next_at, Some(armed_at + 120_000));
        assert!(matches!(arm(an_arm(1, owner, fence)).await, Arming::Gone), "armed twice");
    })
    .await;
}

#[tokio::test]
async fn two_attempts_are_never_open_for_one_account() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 2).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let second = store.apply_and_arm(vec![], an_arm(2, owner, fence)).await;
        assert!(matches!(second, Err(Error::Contended)), "{second:?}");
        assert_eq!(row(&store, 2).await.state, "prepared", "everything was rolled back");
        // Closing the first and arming the second is one transaction.
        let published = change(&store, 1, accepted("9"), DeliveryClass::IdempotencyKey).await;
        let (moved, arming) = store.apply_and_arm(vec![published], an_arm(2, owner, fence)).await.unwrap();
        assert_eq!(moved, [true]);
        assert!(matches!(arming, Arming::Armed { .. }));
        let events = store.events_after(0, 10).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].state.as_str(), events[0].native_id.as_deref()), ("published", Some("9")));
    })
    .await;
}

#[tokio::test]
async fn permits_are_counted_by_arming_alone() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 3).await;
        let one = vec![Permits { posts: 1, window_ms: HOUR }];
        let limited = |target| ArmRequest { permits: one.clone(), ..an_arm(target, owner, fence) };
        let gone = ArmRequest { revision: 9, ..limited(1) };
        assert!(matches!(store.apply_and_arm(vec![], gone).await.unwrap().1, Arming::Gone));
        let (_, first) = store.apply_and_arm(vec![], limited(1)).await.unwrap();
        assert!(matches!(first, Arming::Armed { .. }), "the refused one took no permit: {first:?}");
        let published = change(&store, 1, accepted("9"), DeliveryClass::IdempotencyKey).await;
        let (moved, second) = store.apply_and_arm(vec![published], limited(2)).await.unwrap();
        assert_eq!(moved, [true]);
        let Arming::OutOfPermits { until, now } = second else { panic!("{second:?}") };
        assert!(until > now + HOUR / 2 && until <= now + HOUR);
        assert_eq!(row(&store, 2).await.next_at, Some(row(&store, 2).await.late_at.min(until)), "it waits");
    })
    .await;
}

#[tokio::test]
async fn a_jumping_clock_arms_nothing() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        let guard = Arc::new(ClockGuard::default());
        assert!(guard.agrees(now() - 10 * HOUR));
        let request = ArmRequest { guard, ..an_arm(1, owner, fence) };
        assert!(matches!(store.apply_and_arm(vec![], request).await, Err(Error::ClockJumped)));
        assert_eq!(row(&store, 1).await.state, "prepared");
    })
    .await;
}

#[tokio::test]
async fn a_resend_closes_the_attempt_in_doubt_and_keeps_its_class_guards() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let lost = change(&store, 1, Event::Lost, DeliveryClass::IdempotencyKey).await;
        assert_eq!(store.apply(vec![lost]).await.unwrap(), [true]);
        let resend = ArmRequest { from: State::Unknown, close: Some(1), ..an_arm(1, owner, fence) };
        let quiet = ArmRequest { needs_quiet: true, ..resend.clone() };
        assert!(matches!(store.apply_and_arm(vec![], quiet).await.unwrap().1, Arming::Gone));
        let window = ArmRequest { key_window: 1, nonce: Uuid::now_v7(), ..resend.clone() };
        tokio::time::sleep(Duration::from_millis(5)).await; // lets the database's clock leave the window
        assert!(matches!(store.apply_and_arm(vec![], window).await.unwrap().1, Arming::Gone));
        let again = ArmRequest { nonce: Uuid::now_v7(), ..resend };
        let Arming::Armed { armed, .. } = store.apply_and_arm(vec![], again).await.unwrap().1 else {
            panic!("must arm")
        };
        assert!(armed.is_resend());
        assert_eq!(armed.n(), 2);
        let facts = store.attempt_facts(&row(&store, 1).await).await.unwrap().unwrap();
        assert_eq!((facts.n, facts.request_sha256), (2, vec![7; 32]));
        assert!(facts.first_armed_at <= facts.armed_at);
    })
    .await;
}

#[tokio::test]
async fn disarming_closes_an_attempt_whose_commit_went_unheard() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        let request = an_arm(1, owner, fence);
        let nonce = request.nonce;
        store.apply_and_arm(vec![], request).await.unwrap();
        assert!(store.disarm(nonce).await.unwrap());
        assert!(!store.disarm(nonce).await.unwrap());
        assert_eq!(row(&store, 1).await.state, "retry_wait");
    })
    .await;
}

#[tokio::test]
async fn what_a_network_accepted_is_stored_wherever_the_delivery_is_by_now() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let late_answer = change(&store, 1, accepted("77"), DeliveryClass::IdempotencyKey).await;
        let late_refusal = change(
            &store,
            1,
            Event::Settled(Outcome::Rejected { code: "X".into(), message: "x".into() }),
            DeliveryClass::IdempotencyKey,
        )
        .await;
        let lost = change(&store, 1, Event::Lost, DeliveryClass::IdempotencyKey).await;
        store.apply(vec![lost]).await.unwrap();
        assert_eq!(
            store.apply(vec![late_refusal]).await.unwrap(),
            [false],
            "a zombie's refusal proves nothing"
        );
        assert_eq!(store.apply(vec![late_answer.clone()]).await.unwrap(), [true]);
        assert_eq!(store.apply(vec![late_answer]).await.unwrap(), [false]);
        assert_eq!(row(&store, 1).await.state, "published");
        let states: Vec<_> =
            store.events_after(0, 10).await.unwrap().into_iter().map(|event| event.state).collect();
        assert_eq!(states, ["unknown", "published"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_published_has_no_open_attempt_whoever_found_it() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        let class = DeliveryClass::NaturalKey;
        let lost = change(&store, 1, Event::Lost, class).await;
        store.apply(vec![lost]).await.unwrap();
        // Somebody reads it, stands still, and tells only after another one has sent it again.
        let live = Found::Live { native_id: "77".into(), url: String::new(), evidence: "read".into() };
        let found = change(&store, 1, Event::Looked(live), class).await;
        let resend = ArmRequest { from: State::Unknown, close: Some(1), ..an_arm(1, owner, fence) };
        let (_, arming) = store.apply_and_arm(vec![], resend).await.unwrap();
        assert!(matches!(arming, Arming::Armed { .. }), "{arming:?}");
        assert_eq!(store.apply(vec![found]).await.unwrap(), [true]);
        assert_eq!(row(&store, 1).await.state, "published");
        assert_eq!(open_attempts(&store).await, 0, "an open one would block the account for ever");
    })
    .await;
}

#[tokio::test]
async fn a_tailer_never_skips_an_event_that_commits_late() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db, "test");
        store.deliver(vec![a_delivery(1, 1, now()), a_delivery(2, 1, now())], &policy()).await.unwrap();
        let sqlite = store.db.is_sqlite();
        let (begun, committed) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let slow = async {
            let Db::Postgres(pool) = &store.db else { return };
            let mut transaction = pool.begin().await.unwrap();
            let tx = &mut *transaction;
            events::insert!(tx, sqlite, Uuid::from_u128(1), events::Step::moved("test")).unwrap();
            begun.notify_one();
            committed.notified().await;
            transaction.commit().await.unwrap();
        };
        let fast = async {
            if !sqlite {
                begun.notified().await;
            }
            let done: Result<(), Error> = write!(store.db, tx => {
                events::insert!(tx, sqlite, Uuid::from_u128(2), events::Step::moved("test"))?;
                Ok(())
            });
            done.unwrap();
            let first = store.events_after(0, 10).await.unwrap();
            assert_eq!(first.len(), 1);
            committed.notify_one();
            first[0].sequence
        };
        let ((), seen) = tokio::join!(slow, fast);
        if !sqlite {
            let next = store.events_after(seen, 10).await.unwrap();
            assert_eq!(next.len(), 1, "the event that committed later comes later");
            assert_eq!(next[0].target_id, Uuid::from_u128(1));
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_failover_nothing_is_armed_before_it_is_in_doubt() {
    each_database(MIGRATIONS, |db| async move {
        let (store, owner, fence) = ready(db, 1).await;
        if store.db.is_sqlite() {
            assert_eq!(store.epoch().await.unwrap(), None);
            return;
        }
        let done: Result<(), Error> = write!(store.db, tx => {
            sqlx::query("update marks set value = '0000FFFF' where name = 'timeline'").execute(&mut *tx).await?;
            Ok(())
        });
        done.unwrap();
        assert!(!store.epoch().await.unwrap().unwrap().0);
        let (_, arming) = store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        assert!(matches!(arming, Arming::AnotherEpoch), "{arming:?}");
        assert_eq!(store.begin_epoch(false, &policy()).await.unwrap(), 1);
        assert_eq!(store.begin_epoch(false, &policy()).await.unwrap(), 0, "once");
        let (_, arming) = store.apply_and_arm(vec![], an_arm(1, owner, fence)).await.unwrap();
        assert!(matches!(arming, Arming::Gone), "it is no longer prepared: {arming:?}");
    })
    .await;
}

#[tokio::test]
async fn what_comes_in_while_an_epoch_begins_is_in_doubt() {
    each_database(MIGRATIONS, |db| async move {
        let Db::Postgres(pool) = db.clone() else { return };
        let store = Store::new(db, "test");
        store.begin_epoch(false, &policy()).await.unwrap();
        let lock = |shared| format!("select pg_advisory_xact_lock{shared}({})", marks::epoch_lock!());
        // It arrives while somebody else begins the epoch.
        let mut begins = pool.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(lock(""))).execute(&mut *begins).await.unwrap();
        let arrives = async {
            let batch = vec![a_delivery(1, 1, now() - 1_000), a_delivery(2, 1, now() + HOUR)];
            store.deliver(batch, &policy()).await.unwrap()
        };
        let begun = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            sqlx::query("insert into marks (name, value) values ('doubted_until', $1)")
                .bind(now().to_string())
                .execute(&mut *begins)
                .await
                .unwrap();
            begins.commit().await.unwrap();
        };
        tokio::join!(arrives, begun);
        assert_eq!(
            (row(&store, 1).await.state.as_str(), row(&store, 2).await.state.as_str()),
            ("unknown", "handed_over")
        );
        // An epoch waits for what is arriving.
        let mut arrives = pool.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(lock("_shared"))).execute(&mut *arrives).await.unwrap();
        let waits = policy();
        let begins = store.begin_epoch(true, &waits);
        tokio::pin!(begins);
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut begins).await.is_err());
        sqlx::query("update deliveries set due_at = 1 where target_id = $1")
            .bind(Uuid::from_u128(2))
            .execute(&mut *arrives)
            .await
            .unwrap();
        arrives.commit().await.unwrap();
        assert_eq!(begins.await.unwrap(), 1);
    })
    .await;
}

/// The statement and the step of the domain make the same of a delivery.
#[tokio::test]
async fn lost_records_are_doubted_as_the_domain_says() {
    each_database(MIGRATIONS, |db| async move {
        let (store, ..) = ready(db, 2).await;
        let before = row(&store, 1).await.decision().unwrap();
        assert_eq!(store.restored(now() - HOUR, &policy()).await.unwrap(), 2);
        let stored = row(&store, 1).await;
        let facts = store.attempt_facts(&stored).await.unwrap();
        let facts = facts.expect("without a row of its attempt it is looked for all the same");
        assert_eq!((facts.n, Some(facts.first_armed_at)), (0, stored.first_armed_at));
        let after = stored.decision().unwrap();
        let at = after.doubt_since.unwrap();
        let (wanted, _) =
            step(&before, Event::Doubted, DeliveryClass::IdempotencyKey, &policy(), at, 0.0).unwrap();
        let near = |a: Option<i64>, b: Option<i64>| (a.unwrap() - b.unwrap()).abs() <= 5;
        assert!(near(after.quiet_at, wanted.quiet_at) && near(after.next_at, wanted.next_at));
        let wanted = step::Delivery { quiet_at: after.quiet_at, next_at: after.next_at, ..wanted };
        assert_eq!(after, wanted);
        assert_eq!(
            store.restored(now() - HOUR, &policy()).await.unwrap(),
            0,
            "stamping again doubts nothing more"
        );
    })
    .await;
}

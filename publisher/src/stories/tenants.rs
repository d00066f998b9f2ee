//! Tenants beside each other: one with thousands of due accounts hardly delays another's one.

use std::sync::Arc;

use postmesh_kit::testing::each_database;

use super::*;
use crate::{
    actors,
    deps::Parts,
    domain::content::Content,
    store::{Delivering, Store},
};

const MANY: u128 = 3_000;

/// A delivery to an account that nobody knows: it is cancelled as soon as its account's turn comes.
fn a_delivery(workspace_id: Uuid, n: u128) -> Delivering {
    let target_id = Uuid::from_u128(1_000_000 + n);
    Delivering {
        target_id,
        post_id: Uuid::from_u128(3),
        workspace_id,
        account_id: Uuid::from_u128(n),
        network: "mastodon".into(),
        revision: 1,
        due_at: SystemClock.now_ms(),
        max_late: 3_600_000,
        content: Content::default(),
        plan: Value::Null,
        thread: None,
    }
}

async fn ended(store: &Store) -> Vec<Uuid> {
    store.events_after(0, 10_000).await.unwrap().into_iter().map(|event| event.account_id).collect()
}

#[tokio::test]
async fn a_tenant_with_thousands_of_accounts_hardly_delays_another() {
    each_database(MIGRATIONS, |db| async move {
        let lifecycle = Lifecycle::new();
        let deps = Deps {
            db,
            clock: Arc::new(SystemClock),
            lifecycle: lifecycle.clone(),
            keys: keys(),
            media: media_client(),
        };
        let config = Config { accounts_at_once: 4, sweep_ms: 600_000, ..Config::default() };
        let parts = Arc::new(Parts::new(config, deps));
        parts.store.begin_life().await.unwrap();
        parts.store.begin_epoch(false, &parts.policy).await.unwrap();
        let accounts = actors::start(parts.clone()).await.unwrap();
        let (large, small, one) = (Uuid::from_u128(1), Uuid::from_u128(2), MANY + 1);
        let many: Vec<_> = (1..=MANY).map(|n| a_delivery(large, n)).collect();
        for batch in many.chunks(500) {
            parts.store.deliver(batch.to_vec(), &parts.policy).await.unwrap();
        }
        parts.store.deliver(vec![a_delivery(small, one)], &parts.policy).await.unwrap();
        accounts.wake(large, (1..=MANY).map(Uuid::from_u128));
        let ahead = ended(&parts.store).await.len();
        accounts.wake(small, [Uuid::from_u128(one)]);
        let began = tokio::time::Instant::now();
        while !ended(&parts.store).await.contains(&Uuid::from_u128(one)) {
            assert!(began.elapsed() < PATIENCE, "it still waits behind the other tenant");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = ended(&parts.store).await.iter().position(|id| *id == Uuid::from_u128(one)).unwrap();
        assert!(
            before < ahead + 20,
            "{before} accounts of the other tenant came first, {ahead} before it was there"
        );
        assert!(lifecycle.shutdown(Duration::from_secs(10)).await);
    })
    .await;
}

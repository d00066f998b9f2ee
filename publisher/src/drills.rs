//! Drills on the real store that need two workers of one account at exact moments, for the fault suite's test of
//! itself.

use std::sync::Arc;

use postmesh_kit::{clockguard::ClockGuard, db::Db};
use uuid::Uuid;

use crate::{
    domain::{
        content::Content,
        outcome::{DeliveryClass, Outcome, Wire},
        policy::Policy,
        state::State,
        step::{Event, step},
    },
    error::Error,
    store::{ArmRequest, Arming, Change, Delivering, Store},
};

/// Two posts of one account and the order in which they were sent.
#[derive(Debug, Clone)]
pub struct Sends {
    /// The account.
    pub account_id: Uuid,
    /// The posts with their due times (Unix milliseconds), in the order they are due.
    pub due: Vec<(Uuid, i64)>,
    /// The posts in the order their requests left.
    pub sent: Vec<Uuid>,
}

/// Two workers hold the lease of one account at once, as when a lease changed hands and one of them has not noticed.
/// The first arms the first post and is slow to send it; the second arms the second post meanwhile, or waits when that
/// is refused. `db` is migrated and empty.
pub async fn two_workers(db: Db) -> Result<Sends, Error> {
    let (store, policy) = (Store::new(db, "drill"), Policy::default());
    store.begin_epoch(false, &policy).await?;
    store.begin_life().await?;
    let (workspace_id, account_id, owner) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let now = store.now().await?;
    let due: Vec<(Uuid, i64)> = (0..2).map(|n| (Uuid::now_v7(), now - 2_000 + n * 1_000)).collect();
    let batch = due.iter().map(|(target_id, due_at)| Delivering {
        target_id: *target_id,
        post_id: Uuid::now_v7(),
        workspace_id,
        account_id,
        network: "mastodon".into(),
        revision: 1,
        due_at: *due_at,
        max_late: 3_600_000,
        content: Content::default(),
        plan: serde_json::Value::Null,
        thread: None,
    });
    store.deliver(batch.collect(), &policy).await?;
    let ids: Vec<Uuid> = due.iter().map(|(id, _)| *id).collect();
    store.begin_preparing(&ids, policy.prep_timeout).await?;
    store.mark_prepared(&ids).await?;
    let fence = store.acquire_lease(account_id, owner, 30_000).await?.ok_or(Error::NotOwner(account_id))?;
    let arm = |target_id: Uuid| ArmRequest {
        target_id,
        workspace_id,
        account_id,
        revision: 1,
        from: State::Prepared,
        close: None,
        needs_quiet: false,
        key_window: 0,
        owner,
        fence,
        key: "KEY".into(),
        request_sha256: [0; 32],
        riders: Vec::new(),
        permits: Vec::new(),
        send_timeout: policy.send_timeout,
        quiesce: policy.quiesce,
        nonce: Uuid::now_v7(),
        guard: Arc::new(ClockGuard::default()),
    };
    let (first, second) = (ids[0], ids[1]);
    let mut sent = Vec::new();
    let (_, arming) = store.apply_and_arm(Vec::new(), arm(first)).await?;
    let Arming::Armed { .. } = arming else { return Err(Error::Contended) };
    match store.apply_and_arm(Vec::new(), arm(second)).await {
        Ok((_, Arming::Armed { .. })) => sent.extend([second, first]),
        Ok(_) | Err(Error::Contended) => {
            sent.push(first);
            let line = store.line(account_id, now, 10).await?;
            let row = line.iter().find(|row| row.target_id == first).ok_or(Error::Contended)?;
            let outcome = Outcome::Accepted { native_id: "1".into(), url: String::new() };
            let class = DeliveryClass::IdempotencyKey;
            let before = row.decision()?;
            let (after, effects) = step(&before, Event::Settled(outcome), class, &policy, now, 0.0)
                .map_err(|refused| Error::corrupt("state of a delivery", refused))?;
            let (change, _) = Change::new(row, before.state, after, effects, Wire::default());
            if let (_, Arming::Armed { .. }) = store.apply_and_arm(vec![change], arm(second)).await? {
                sent.push(second);
            }
        }
        Err(error) => return Err(error),
    }
    Ok(Sends { account_id, due, sent })
}

#[cfg(test)]
mod tests {
    use postmesh_kit::{
        faults::{Bug, seed},
        testing::each_database,
    };

    use super::*;
    use crate::MIGRATIONS;

    #[tokio::test]
    async fn the_second_worker_waits_unless_the_indexes_are_gone() {
        each_database(MIGRATIONS, |db| async move {
            let sends = two_workers(db).await.unwrap();
            assert_eq!(sends.sent, [sends.due[0].0, sends.due[1].0]);
        })
        .await;
        let seeded = seed(Bug::NoOpenAttemptIndex);
        each_database(MIGRATIONS, |db| async move {
            let sends = two_workers(db).await.unwrap();
            assert_eq!(sends.sent, [sends.due[1].0, sends.due[0].0]);
        })
        .await;
        drop(seeded);
    }
}

//! Many deliveries at one instant.

use super::*;

const N: usize = 1_000;

async fn burst(kind: Kind) {
    // More than Mastodon takes from one account: what is tried here is the burst.
    let permits = BTreeMap::from([("mastodon".to_owned(), Vec::new())]);
    let config = Config { prep_lead_ms: 20_000, permits, ..quick() };
    let mesh = Mesh::new(kind, config).await;
    let accounts = mesh.both().await;
    let due = SystemClock.now_ms() + 3_000;
    let deliveries: Vec<_> = (0..N)
        .map(|n| {
            let (network, account) = &accounts[n % 2];
            let mut delivery = mesh.a_delivery(account, &format!("{network} {n:04}"), 0);
            delivery.due_time = Some(time::to_proto(due));
            delivery
        })
        .collect();
    let mut targets = Vec::new();
    for batch in deliveries.chunks(500) {
        targets.extend(mesh.deliver(batch.to_vec()).await);
    }
    let ended = mesh.ends(&targets).await;
    assert!(ended.iter().all(|event| event.state() == TargetState::Published));
    let ledger = mesh.bench.ledger().await;
    assert_eq!(ledger.len(), N);
    let unique: std::collections::HashSet<_> = texts(&ledger).into_iter().collect();
    assert_eq!(unique.len(), N);
    let visible = |line: &Value| line["visible_at_ms"].as_i64().unwrap();
    assert!(ledger.iter().all(|line| visible(line) >= due));
    let last = ledger.iter().map(visible).max().unwrap();
    eprintln!("{kind:?}: {N} due at once left in {} ms", last - due);
    for network in ["mastodon", "bluesky"] {
        let seen: Vec<_> = texts(&ledger).into_iter().filter(|text| text.starts_with(network)).collect();
        assert!(seen.is_sorted(), "{network} kept its order");
    }
    mesh.end().await;
}

#[tokio::test]
async fn a_thousand_due_at_once_leave_once_each_with_sqlite() {
    burst(Kind::Sqlite).await;
}

#[tokio::test]
async fn a_thousand_due_at_once_leave_once_each_with_postgresql() {
    burst(Kind::Postgres).await;
}

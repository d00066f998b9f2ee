//! Answers that are lost on the way: whatever the network did, there is exactly one post in the end.

use super::*;

/// Lets the next publish go wrong in this way, publishes, and expects exactly one post.
async fn survives(kind: Kind, fault: Value, releases: bool) {
    let mesh = Mesh::new(kind, quick()).await;
    for (network, account) in mesh.both().await {
        mesh.fault(network, fault.clone()).await;
        let deliveries = vec![
            mesh.a_delivery(&account, &format!("{network} first"), 0),
            mesh.a_delivery(&account, &format!("{network} second"), 5),
        ];
        let targets = mesh.deliver(deliveries).await;
        if releases {
            mesh.held(1).await;
            mesh.follow(&targets[..1], |state| state != TargetState::Sending).await;
            mesh.bench.control("release", &json!({})).await;
        }
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published, "{network} {fault} {event:?}");
        }
        let ledger = mesh.bench.ledger().await;
        let seen: Vec<_> = texts(&ledger).into_iter().filter(|text| text.starts_with(network)).collect();
        assert_eq!(seen, [format!("{network} first"), format!("{network} second")], "{fault}");
    }
    mesh.end().await;
}

#[tokio::test]
async fn accepted_then_reset() {
    for kind in BOTH {
        survives(kind, json!({ "kind": "accept_then_reset" }), false).await;
    }
}

#[tokio::test]
async fn accepted_then_500() {
    for kind in BOTH {
        survives(kind, json!({ "kind": "accept_then_500" }), false).await;
    }
}

#[tokio::test]
async fn accepted_and_never_answered() {
    survives(Kind::Sqlite, json!({ "kind": "accept_then_timeout" }), false).await;
}

#[tokio::test]
async fn dropped_before_it_was_executed() {
    survives(Kind::Sqlite, json!({ "kind": "drop_before" }), false).await;
}

#[tokio::test]
async fn answered_with_garbage() {
    survives(Kind::Sqlite, json!({ "kind": "garbage" }), false).await;
}

#[tokio::test]
async fn an_unlisted_error() {
    let teapot = json!({ "kind": "status", "code": 418, "body": "<html>no</html>" });
    survives(Kind::Sqlite, teapot, false).await;
}

#[tokio::test]
async fn executed_later_than_anybody_waited() {
    survives(Kind::Sqlite, json!({ "kind": "accept_late", "ms": 1_800 }), false).await;
}

#[tokio::test]
async fn a_landed_post_is_found_long_before_its_request_is_quiet() {
    let config = Config { send_timeout_ms: 60_000, quiesce_ms: 60_000, ..quick() };
    let mesh = Mesh::new(Kind::Sqlite, config).await;
    for (network, account) in mesh.both().await {
        mesh.fault(network, json!({ "kind": "accept_then_reset" })).await;
        let targets = mesh.deliver(vec![mesh.a_delivery(&account, &format!("found {network}"), 0)]).await;
        assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::Published);
    }
    assert_eq!(mesh.bench.ledger().await.len(), 2);
    mesh.end().await;
}

#[tokio::test]
async fn a_key_settles_what_cannot_be_read() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    mesh.fault("mastodon", json!({ "kind": "accept_then_reset" })).await;
    let away = json!({ "network": "mastodon", "operation": "read", "times": 0,
        "fault": { "kind": "status", "code": 503, "body": "" } });
    mesh.bench.control("script", &away).await;
    let targets = mesh.deliver(vec![mesh.a_delivery(&account, "by key", 0)]).await;
    assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::Published);
    assert_eq!(mesh.bench.ledger().await.len(), 1);
    mesh.end().await;
}

#[tokio::test]
async fn the_user_is_asked_when_the_network_never_tells() {
    let config = Config { reconcile_budget_ms: 3_000, ..quick() };
    let mesh = Mesh::new(Kind::Sqlite, config).await;
    let account = mesh.mastodon().await;
    let lost = json!({ "network": "mastodon", "operation": "publish", "times": 0,
        "fault": { "kind": "accept_then_reset" } });
    mesh.bench.control("script", &lost).await;
    let away = json!({ "network": "mastodon", "operation": "read", "times": 0,
        "fault": { "kind": "status", "code": 503, "body": "" } });
    mesh.bench.control("script", &away).await;
    let targets = mesh.deliver(vec![mesh.a_delivery(&account, "where is it", 0)]).await;
    let event = mesh.ends(&targets).await.remove(0);
    assert_eq!(event.state(), TargetState::NeedsConfirmation);
    assert_eq!(event.problem.unwrap().reason, "NEEDS_CONFIRMATION");
    assert_eq!(mesh.bench.ledger().await.len(), 1);
    mesh.end().await;
}

//! Tokens whose renewal went wrong: used while they hold, asked for once more, and no oftener.

use super::*;

/// A Bluesky account whose access tokens live for three seconds, while answers to renewals are lost.
async fn with_lost_renewals(kind: Kind, times: u32) -> (Mesh, String) {
    let mesh = Mesh::new(kind, quick()).await;
    mesh.bench.fault("bluesky", "any", json!({ "kind": "token_lifetime", "access_s": 3 })).await;
    let lost = json!({ "network": "bluesky", "operation": "refresh", "times": times,
        "fault": { "kind": "accept_then_reset" } });
    mesh.bench.control("script", &lost).await;
    let account = mesh.bluesky().await;
    (mesh, account)
}

#[tokio::test]
async fn a_lost_renewal_is_asked_for_once_more_after_the_old_token_has_expired() {
    for kind in BOTH {
        let (mut mesh, account) = with_lost_renewals(kind, 1).await;
        let targets = mesh.deliver(vec![mesh.a_delivery(&account, "with the old token", 0)]).await;
        mesh.ends(&targets).await;
        assert_eq!(mesh.bench.requests("refresh").await.len(), 1, "its answer was lost");
        mesh.crash(); // the next life finds the open intent
        mesh.start().await;
        let targets = mesh.deliver(vec![mesh.a_delivery(&account, "with the new one", 4_000)]).await;
        assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::Published);
        let refreshes = mesh.bench.requests("refresh").await;
        let at = |n: usize| refreshes[n]["at_ms"].as_i64().unwrap_or_default();
        assert!(refreshes.len() >= 2, "{refreshes:#?}");
        assert!(at(1) - at(0) >= 2_000, "the old token was used as long as it held: {}", at(1) - at(0));
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_renewal_that_is_lost_twice_ends_in_connecting_again() {
    let (mesh, account) = with_lost_renewals(Kind::Sqlite, 2).await;
    let targets = mesh
        .deliver(vec![
            mesh.a_delivery(&account, "with the old token", 0),
            mesh.a_delivery(&account, "after connecting again", 4_000),
        ])
        .await;
    mesh.follow(&targets[1..], |state| state == TargetState::Parked).await;
    assert_eq!(mesh.bench.requests("refresh").await.len(), 2, "one more try, and no third");
    let get = proto::GetAccountRequest { account_id: account.clone() };
    let shown = mesh.accounts().get_account(mesh.mine(get)).await.unwrap().into_inner().account.unwrap();
    assert_eq!(shown.state(), proto::AccountState::NeedsReconnect);
    assert!(shown.state_message.contains("Connect the account again"), "{}", shown.state_message);
    mesh.bench.fault("bluesky", "any", json!({ "kind": "token_lifetime", "access_s": 600 })).await;
    mesh.bluesky().await;
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published);
    }
    mesh.end().await;
}

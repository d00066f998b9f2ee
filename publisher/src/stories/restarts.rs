//! Crashes and stops: a life of the service ends in the middle, the next one finds out what became of it.

use super::*;

async fn crashes_while(kind: Kind, fault: Value) {
    let mut mesh = Mesh::new(kind, quick()).await;
    let mut targets = Vec::new();
    for (network, account) in mesh.both().await {
        mesh.fault(network, fault.clone()).await;
        let deliveries = vec![
            mesh.a_delivery(&account, &format!("{network} first"), 0),
            mesh.a_delivery(&account, &format!("{network} second"), 10),
        ];
        targets.extend(mesh.deliver(deliveries).await);
    }
    mesh.held(2).await;
    mesh.crash();
    mesh.start().await;
    mesh.follow(&[targets[0].clone(), targets[2].clone()], |state| state != TargetState::Unspecified).await;
    mesh.bench.control("release", &json!({})).await;
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published, "{event:?}");
    }
    let ledger = mesh.bench.ledger().await;
    for network in ["mastodon", "bluesky"] {
        let seen: Vec<_> = texts(&ledger).into_iter().filter(|text| text.starts_with(network)).collect();
        assert_eq!(seen, [format!("{network} first"), format!("{network} second")]);
    }
    mesh.end().await;
}

#[tokio::test]
async fn a_crash_while_the_network_holds_the_request_posts_once() {
    for kind in BOTH {
        crashes_while(kind, hold()).await;
    }
}

#[tokio::test]
async fn a_crash_before_the_answer_was_stored_posts_once() {
    for kind in BOTH {
        crashes_while(kind, json!({ "kind": "accept_then_hold" })).await;
    }
}

#[tokio::test]
async fn what_waits_survives_a_crash() {
    for kind in BOTH {
        let mut mesh = Mesh::new(kind, quick()).await;
        let mut targets = Vec::new();
        for (network, account) in mesh.both().await {
            let mut delivery = mesh.a_delivery(&account, &format!("{network} waits"), 1_500);
            delivery.content.as_mut().unwrap().media.push(picture());
            targets.extend(mesh.deliver(vec![delivery]).await);
        }
        mesh.crash();
        mesh.start().await;
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published);
        }
        assert_eq!(mesh.bench.ledger().await.len(), 2);
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_stop_waits_for_the_send_under_way_and_begins_no_other() {
    for kind in BOTH {
        let mut mesh = Mesh::new(kind, quick()).await;
        let account = mesh.mastodon().await;
        mesh.fault("mastodon", hold()).await;
        let deliveries =
            vec![mesh.a_delivery(&account, "under way", 0), mesh.a_delivery(&account, "next", 50)];
        let targets = mesh.deliver(deliveries).await;
        mesh.held(1).await;
        let life = mesh.life.as_ref().unwrap().lifecycle.clone();
        life.stop();
        mesh.bench.control("release", &json!({})).await;
        assert!(mesh.stop().await, "it ends by itself");
        assert_eq!(texts(&mesh.bench.ledger().await), ["under way"]);
        mesh.start().await;
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published);
        }
        assert_eq!(texts(&mesh.bench.ledger().await), ["under way", "next"]);
        mesh.end().await;
    }
}

//! The ordinary days: publishing on time and in order, limits, tokens, recalls, deadlines.

use super::*;
use crate::networks::limits::Permits;

#[tokio::test]
async fn publishes_text_and_picture_on_both_networks() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        let mut targets = Vec::new();
        for (network, account) in mesh.both().await {
            let mut delivery = mesh.a_delivery(&account, &format!("hello {network}"), 300);
            delivery.content.as_mut().unwrap().media.push(picture());
            targets.extend(mesh.deliver(vec![delivery.clone()]).await);
            mesh.deliver(vec![delivery]).await; // handed over twice is taken once
        }
        let due = SystemClock.now_ms() + 200;
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published, "{event:?}");
            assert!(!event.native_id.is_empty() && event.url.starts_with("http"));
            assert!(time::from_proto(&event.event_time.unwrap()).unwrap() >= due - 200);
        }
        let ledger = mesh.bench.ledger().await;
        assert_eq!(ledger.len(), 2, "{ledger:#?}");
        for line in &ledger {
            assert_eq!(line["media"][0]["alt"], "a dot");
        }
        mesh.end().await;
    }
}

#[tokio::test]
async fn sends_at_the_due_time_not_before_and_hardly_after() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    let delivery = mesh.a_delivery(&account, "on time", 1_000);
    let due = time::from_proto(delivery.due_time.as_ref().unwrap()).unwrap();
    mesh.deliver(vec![delivery]).await;
    let ledger = mesh.bench.ledger_of(1).await;
    let visible = ledger[0]["visible_at_ms"].as_i64().unwrap();
    assert!(visible >= due, "early by {}", due - visible);
    assert!(visible - due < 500, "late by {}", visible - due);
    mesh.end().await;
}

#[tokio::test]
async fn keeps_the_order_of_an_account() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    for (network, account) in mesh.both().await {
        // The first one is refused for a moment; nobody overtakes it.
        mesh.fault(network, json!({ "kind": "throttle", "retry_after_s": 1 })).await;
        let wanted: Vec<String> = (0..20).map(|n| format!("{network} {n:02}")).collect();
        let mut deliveries: Vec<_> =
            wanted.iter().zip(0..).map(|(text, at)| mesh.a_delivery(&account, text, 400 + at)).collect();
        deliveries.reverse();
        let targets = mesh.deliver(deliveries).await;
        mesh.ends(&targets).await;
        let ledger = mesh.bench.ledger().await;
        let seen: Vec<_> = texts(&ledger).into_iter().filter(|text| text.starts_with(network)).collect();
        assert_eq!(seen, wanted);
    }
    mesh.end().await;
}

#[tokio::test]
async fn waits_as_long_as_a_network_asks() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        for (network, account) in mesh.both().await {
            mesh.fault(network, json!({ "kind": "throttle", "retry_after_s": 2 })).await;
            let delivery = mesh.a_delivery(&account, &format!("throttled {network}"), 0);
            let due = time::from_proto(delivery.due_time.as_ref().unwrap()).unwrap();
            let targets = mesh.deliver(vec![delivery]).await;
            let events = mesh.follow(&targets, |state| state == TargetState::Published).await;
            let waited = events.iter().any(|event| {
                event.state() == TargetState::RetryWait
                    && event.problem.as_ref().is_some_and(|problem| problem.reason == "RATE_LIMITED")
            });
            assert!(waited, "{events:#?}");
            let ledger = mesh.bench.ledger().await;
            let visible = ledger.last().unwrap()["visible_at_ms"].as_i64().unwrap();
            assert!(visible - due >= 1_000, "sent again after {} ms", visible - due);
        }
        assert_eq!(mesh.bench.ledger().await.len(), 2);
        mesh.end().await;
    }
}

#[tokio::test]
async fn an_expired_token_is_refreshed_once_and_the_post_goes_out() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.bluesky().await;
    mesh.bench.fault("bluesky", "any", json!({ "kind": "expire_tokens" })).await;
    let deliveries = (0..3).map(|n| mesh.a_delivery(&account, &format!("fresh {n}"), 0)).collect();
    let targets = mesh.deliver(deliveries).await;
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published);
    }
    assert_eq!(mesh.bench.requests("refresh").await.len(), 1);
    assert_eq!(mesh.bench.ledger().await.len(), 3);
    mesh.end().await;
}

#[tokio::test]
async fn a_hiccup_of_the_token_server_stops_nothing_while_the_tokens_hold() {
    let config = Config { refresh_ahead_ms: 24 * 3_600_000, ..quick() };
    let mesh = Mesh::new(Kind::Sqlite, config).await;
    let away = json!({ "network": "bluesky", "operation": "refresh", "times": 0,
        "fault": { "kind": "status", "code": 503, "body": "" } });
    mesh.bench.control("script", &away).await;
    let account = mesh.bluesky().await;
    let targets =
        mesh.deliver((0..3).map(|n| mesh.a_delivery(&account, &format!("on {n}"), n)).collect()).await;
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published);
    }
    assert!(mesh.bench.requests("refresh").await.len() <= 2, "it is not asked again at once");
    mesh.end().await;
}

#[tokio::test]
async fn tokens_that_live_shortly_are_not_refreshed_all_the_time() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    mesh.bench.fault("bluesky", "any", json!({ "kind": "token_lifetime", "access_s": 60 })).await;
    let account = mesh.bluesky().await;
    let targets =
        mesh.deliver((0..10).map(|n| mesh.a_delivery(&account, &format!("brief {n}"), n)).collect()).await;
    mesh.ends(&targets).await;
    assert!(mesh.bench.requests("refresh").await.len() <= 2);
    mesh.end().await;
}

#[tokio::test]
async fn a_lost_authorization_parks_and_connecting_again_resumes() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    mesh.bench.fault("mastodon", "any", json!({ "kind": "revoke_tokens" })).await;
    let targets =
        mesh.deliver(vec![mesh.a_delivery(&account, "one", 0), mesh.a_delivery(&account, "two", 10)]).await;
    mesh.follow(&targets, |state| state == TargetState::Parked).await;
    let get = proto::GetAccountRequest { account_id: account.clone() };
    let shown = mesh.accounts().get_account(mesh.mine(get)).await.unwrap().into_inner().account.unwrap();
    assert_eq!(shown.state(), proto::AccountState::NeedsReconnect);
    assert_eq!(mesh.mastodon().await, account, "the same account");
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published);
    }
    assert_eq!(texts(&mesh.bench.ledger().await), ["one", "two"]);
    mesh.end().await;
}

#[tokio::test]
async fn disconnecting_cancels_what_waits() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    let targets = mesh.deliver(vec![mesh.a_delivery(&account, "never", 60_000)]).await;
    let request = proto::DisconnectAccountRequest { account_id: account.clone(), request_id: String::new() };
    mesh.accounts().disconnect_account(mesh.mine(request)).await.unwrap();
    assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::Cancelled);
    let refused = proto::DeliverRequest { deliveries: vec![mesh.a_delivery(&account, "late", 0)] };
    let answer = mesh.deliveries().deliver(refused).await.unwrap().into_inner();
    assert_eq!(answer.results[0].outcome(), proto::DeliverOutcome::Refused);
    mesh.end().await;
}

#[tokio::test]
async fn a_recall_that_is_answered_holds_and_one_that_is_late_says_so() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        let account = mesh.mastodon().await;
        mesh.fault("mastodon", hold()).await;
        let targets = mesh
            .deliver(vec![mesh.a_delivery(&account, "sent", 0), mesh.a_delivery(&account, "recalled", 20)])
            .await;
        mesh.held(1).await;
        let late = mesh.recall(&targets[0]).await;
        assert_eq!((late.outcome(), late.state()), (proto::RecallOutcome::TooLate, TargetState::Sending));
        let held = mesh.recall(&targets[1]).await;
        assert_eq!((held.outcome(), held.state()), (proto::RecallOutcome::Recalled, TargetState::Cancelled));
        mesh.bench.control("release", &json!({})).await;
        let last = mesh.deliver(vec![mesh.a_delivery(&account, "after", 0)]).await;
        mesh.ends(&last).await;
        assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::Published);
        assert_eq!(texts(&mesh.bench.ledger().await), ["sent", "after"]);
        mesh.end().await;
    }
}

#[tokio::test]
async fn recalls_racing_the_due_time_are_true_or_too_late() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    let deliveries = (0..40).map(|n| mesh.a_delivery(&account, &format!("race {n:02}"), 300)).collect();
    let targets = mesh.deliver(deliveries).await;
    tokio::time::sleep(Duration::from_millis(310)).await; // the race is the subject
    let mut recalled = Vec::new();
    for target in targets.iter().rev() {
        if mesh.recall(target).await.outcome() == proto::RecallOutcome::Recalled {
            recalled.push(target.clone());
        }
    }
    let ended = mesh.ends(&targets).await;
    for event in &ended {
        let wanted =
            if recalled.contains(&event.target_id) { TargetState::Cancelled } else { TargetState::Published };
        assert_eq!(event.state(), wanted);
    }
    assert_eq!(mesh.bench.ledger().await.len(), targets.len() - recalled.len());
    mesh.end().await;
}

#[tokio::test]
async fn what_cannot_be_sent_in_time_is_missed_and_told() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        let account = mesh.mastodon().await;
        mesh.fault("mastodon", json!({ "kind": "throttle", "retry_after_s": 60 })).await;
        let mut delivery = mesh.a_delivery(&account, "too late", 0);
        delivery.max_lateness = Some(time::duration_to_proto(800));
        let targets = mesh.deliver(vec![delivery]).await;
        let event = mesh.ends(&targets).await.remove(0);
        assert_eq!(event.state(), TargetState::Missed);
        assert_eq!(event.problem.unwrap().reason, "MISSED");
        assert_eq!(mesh.bench.ledger().await.len(), 0);
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_refusal_fails_with_its_reason() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    let refusal = json!({ "kind": "status", "code": 422, "body": { "error": "Validation failed: Text can't be blank" } });
    mesh.fault("mastodon", refusal).await;
    let targets = mesh.deliver(vec![mesh.a_delivery(&account, "refused", 0)]).await;
    let event = mesh.ends(&targets).await.remove(0);
    assert_eq!(event.state(), TargetState::Failed, "{event:?}");
    assert!(!event.problem.unwrap().message.is_empty());
    mesh.end().await;
}

#[tokio::test]
async fn checks_contents_and_refuses_what_the_network_would() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    let long = mesh.a_delivery(&account, &"x".repeat(600), 0);
    let item = proto::ValidateItem {
        account_id: account.clone(),
        content: long.content.clone(),
        ..Default::default()
    };
    let unknown = proto::ValidateItem {
        account_id: Uuid::nil().to_string(),
        content: long.content.clone(),
        ..Default::default()
    };
    let request =
        proto::ValidateRequest { workspace_id: mesh.workspace.to_string(), items: vec![item, unknown] };
    let answer = mesh.deliveries().validate(request).await.unwrap().into_inner();
    assert_eq!(answer.results[0].violations[0].reason, "TEXT_TOO_LONG");
    assert_eq!(answer.results[0].account.as_ref().unwrap().id, account);
    assert_eq!(answer.results[1].account, None);
    let answer = mesh
        .deliveries()
        .deliver(proto::DeliverRequest { deliveries: vec![long] })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.results[0].outcome(), proto::DeliverOutcome::Refused);
    let mut wrong = mesh.a_delivery("x", "y", 0);
    wrong.due_time = None;
    let status =
        mesh.deliveries().deliver(proto::DeliverRequest { deliveries: vec![wrong] }).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("deliveries[0].account_id") && status.message().contains("due_time"));
    mesh.end().await;
}

#[tokio::test]
async fn reads_counts_of_published_posts() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    for (_, account) in mesh.both().await {
        let targets = mesh.deliver(vec![mesh.a_delivery(&account, "count me", 0)]).await;
        let native_id = mesh.ends(&targets).await.remove(0).native_id;
        let request = proto::ReadMetricsRequest {
            workspace_id: mesh.workspace.to_string(),
            account_id: account.clone(),
            native_ids: vec![native_id.clone()],
        };
        let analytics = || DeliveryServiceClient::new(mesh.life().analytics.clone());
        let counts = analytics().read_metrics(request.clone()).await.unwrap().into_inner().metrics;
        assert_eq!((counts.len(), counts[0].found, &counts[0].native_id), (1, true, &native_id));
        let foreign = proto::ReadMetricsRequest { workspace_id: Uuid::now_v7().to_string(), ..request };
        assert_eq!(analytics().read_metrics(foreign).await.unwrap_err().code(), tonic::Code::NotFound);
    }
    mesh.end().await;
}

#[tokio::test]
async fn permits_hold_back_what_exceeds_them() {
    let permits = Permits { posts: 2, window_ms: 1_500 };
    let config = Config { permits: BTreeMap::from([("mastodon".to_owned(), vec![permits])]), ..quick() };
    let mesh = Mesh::new(Kind::Sqlite, config).await;
    let account = mesh.mastodon().await;
    let deliveries = (0..4).map(|n| mesh.a_delivery(&account, &format!("permit {n}"), n)).collect();
    let targets = mesh.deliver(deliveries).await;
    mesh.ends(&targets).await;
    let ledger = mesh.bench.ledger().await;
    assert_eq!(texts(&ledger), ["permit 0", "permit 1", "permit 2", "permit 3"]);
    let at = |n: usize| ledger[n]["visible_at_ms"].as_i64().unwrap();
    assert!(at(2) - at(0) >= 1_300, "the third came {} ms after the first", at(2) - at(0));
    mesh.end().await;
}

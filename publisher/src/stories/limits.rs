//! Limits: what a network announces and answers is obeyed, by every life of the service, and what it costs is told.

use super::*;

#[tokio::test]
async fn a_limit_that_is_used_up_is_not_tried_again_by_any_life() {
    for kind in BOTH {
        // The network's own answers must do: no permits of ours.
        let permits = BTreeMap::from([("mastodon".to_owned(), Vec::new())]);
        let mut mesh = Mesh::new(kind, Config { permits, ..quick() }).await;
        let account = mesh.mastodon().await;
        mesh.bench.control("limits", &json!({ "network": "mastodon", "enforce": true })).await;
        let deliveries = (0..290).map(|n| mesh.a_delivery(&account, &format!("{n:03}"), n / 10)).collect();
        mesh.deliver(deliveries).await;
        mesh.bench.ledger_of(290).await;
        let late = |n: i64| {
            let mut delivery = mesh.a_delivery(&account, &format!("late {n:02}"), n);
            delivery.max_lateness = Some(time::duration_to_proto(6_000));
            delivery
        };
        let targets = mesh.deliver((0..20).map(late).collect()).await;
        mesh.follow(&targets[..1], |state| state == TargetState::Published).await;
        mesh.crash(); // the next life must know
        mesh.start().await;
        // The crash may have put the one under way in doubt, and looking for it needs calls that are used up as well:
        // it stays `unknown` until the network takes calls again.
        let settles =
            |state| matches!(state, TargetState::Published | TargetState::Missed | TargetState::Unknown);
        let events = mesh.follow(&targets, settles).await;
        let last = |target: &String| events.iter().rfind(|event| event.target_id == *target).unwrap().state();
        let ends: Vec<_> = targets.iter().map(last).collect();
        let missed = ends.iter().filter(|state| **state == TargetState::Missed).count();
        assert!(missed >= 10, "{missed}");
        assert!(ends.iter().filter(|state| **state == TargetState::Unknown).count() <= 1, "{ends:?}");
        let requests = mesh.bench.requests("publish").await;
        assert!(requests.len() <= 301, "{}", requests.len());
        // What announced the end may be the very answer that the crash cost, or a look after it.
        let in_vain = requests.iter().filter(|request| request["status"] != 200).count();
        assert!(in_vain <= 1, "{in_vain} were asked for in vain");
        mesh.end().await;
    }
}

#[tokio::test]
async fn an_upload_that_is_refused_for_its_number_holds_the_accounts_other_uploads() {
    let mesh = Mesh::new(Kind::Sqlite, Config { prepare_at_once: 1, ..quick() }).await;
    let account = mesh.mastodon().await;
    mesh.bench.fault("mastodon", "media_upload", json!({ "kind": "throttle", "retry_after_s": 3 })).await;
    let with_picture = |text: &str| {
        let mut delivery = mesh.a_delivery(&account, text, 0);
        delivery.content.as_mut().unwrap().media.push(picture());
        delivery
    };
    let mut deliveries: Vec<_> = ["one", "two", "three"].into_iter().map(with_picture).collect();
    deliveries.push(mesh.a_delivery(&account, "without a picture", 200));
    let targets = mesh.deliver(deliveries).await;
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published);
    }
    let uploads = mesh.bench.requests("media_upload").await;
    assert_eq!(uploads.len(), 4, "one was refused");
    let at = |n: usize| uploads[n]["at_ms"].as_i64().unwrap();
    assert!(at(1) - at(0) >= 1_900, "the others waited too: {}", at(1) - at(0));
    mesh.end().await;
}

#[tokio::test]
async fn all_accounts_of_a_server_share_what_the_application_may_send() {
    let permits = crate::networks::limits::Permits { posts: 4, window_ms: 2_000 };
    let app_permits = BTreeMap::from([("mastodon".to_owned(), vec![permits])]);
    let mesh = Mesh::new(Kind::Sqlite, Config { app_permits, ..quick() }).await;
    let (mastodon, bluesky) = (mesh.mastodon().await, mesh.bluesky().await);
    let mut targets =
        mesh.deliver((0..9).map(|n| mesh.a_delivery(&mastodon, &format!("app {n}"), n)).collect()).await;
    targets.extend(mesh.deliver(vec![mesh.a_delivery(&bluesky, "elsewhere", 0)]).await);
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published);
    }
    let ledger = mesh.bench.ledger().await;
    let at: Vec<i64> = ledger
        .iter()
        .filter(|line| line["text"].as_str().unwrap().starts_with("app"))
        .map(|line| line["visible_at_ms"].as_i64().unwrap())
        .collect();
    assert!(at[8] - at[0] >= 1_900, "nine posts need three windows: {} ms", at[8] - at[0]);
    mesh.end().await;
}

#[tokio::test]
async fn an_application_without_credits_is_held_for_all_its_accounts() {
    let ours = crate::apps::AppConfig {
        client_id: "sandbox-x".into(),
        client_secret: Secret::new("sandbox-x-secret".into()),
    };
    let apps = BTreeMap::from([("x".to_owned(), ours)]);
    let mut mesh = Mesh::new(Kind::Sqlite, Config { apps, ..quick() }).await;
    let first = mesh.by_browser("x").await;
    let problem = json!({ "title": "CreditsDepleted", "type": "https://api.x.com/2/problems/credits" });
    mesh.fault("x", json!({ "kind": "status", "code": 402, "body": problem })).await;
    let reason = |events: &[proto::DeliveryEvent]| {
        let problem = events.last().and_then(|event| event.problem.clone()).unwrap();
        (problem.reason, problem.message.contains("must buy some"))
    };
    let told = ("CREDITS_DEPLETED".to_owned(), true);
    let refused = mesh.deliver(vec![mesh.a_delivery(&first, "refused", 0)]).await;
    let waits = |state| state == TargetState::RetryWait;
    assert_eq!(reason(&mesh.follow(&refused, waits).await), told);

    mesh.workspace = Uuid::now_v7();
    let second = mesh.by_browser("x").await;
    let text = mesh.a_delivery(&second, "not even asked for", 0);
    let mut with_picture = mesh.a_delivery(&second, "nor uploaded", 300);
    with_picture.content.as_mut().unwrap().media.push(picture());
    let target = with_picture.target_id.clone();
    mesh.deliver(vec![text, with_picture]).await;
    assert_eq!(reason(&mesh.follow(&[target], waits).await), told);
    let read = proto::ReadMetricsRequest {
        workspace_id: mesh.workspace.to_string(),
        account_id: second,
        native_ids: vec!["1".into()],
    };
    let mut analytics = DeliveryServiceClient::new(mesh.life().analytics.clone());
    let unread = analytics.read_metrics(read).await.unwrap_err();
    assert!(unread.message().contains("must buy some"), "{unread:?}");
    let asked = mesh.bench.all_requests().await;
    let billed = |call: &&Value| {
        let path = call["path"].as_str().unwrap_or_default();
        path.starts_with("/x/2/tweets") || path.starts_with("/x/2/media")
    };
    let paths: Vec<_> = asked.iter().filter(billed).map(|call| &call["path"]).collect();
    assert_eq!(paths, ["/x/2/tweets"], "one call told all");
    mesh.end().await;
}

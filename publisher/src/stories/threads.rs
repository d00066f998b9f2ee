//! Threads: parts follow each other as replies, in order, without a gap; a part whose predecessor is not published is
//! never sent.

use super::*;

impl Mesh {
    /// A thread of so many parts.
    fn a_thread(&self, account: &str, name: &str, parts: usize, due_in: i64) -> Vec<proto::Delivery> {
        let mut thread: Vec<proto::Delivery> = Vec::new();
        for position in 0..parts {
            let mut part = self.a_delivery(account, &format!("{name} {position}"), due_in);
            let (root, previous) = match (thread.first(), thread.last()) {
                (Some(root), Some(previous)) => (root.target_id.clone(), previous.target_id.clone()),
                _ => (part.target_id.clone(), String::new()),
            };
            part.due_time = thread.first().map_or(part.due_time, |root| root.due_time);
            part.thread = Some(proto::ThreadPlace {
                root_target_id: root,
                previous_target_id: previous,
                position: i32::try_from(position).unwrap(),
            });
            thread.push(part);
        }
        thread
    }
}

#[tokio::test]
async fn parts_follow_each_other_as_replies_and_nothing_comes_between() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        for (network, account) in mesh.both().await {
            let mut deliveries = mesh.a_thread(&account, network, 3, 200);
            let mut other = mesh.a_delivery(&account, &format!("{network} other"), 200);
            other.due_time = deliveries[0].due_time;
            deliveries.push(other);
            deliveries.reverse(); // however they arrive
            let targets = mesh.deliver(deliveries).await;
            for event in mesh.ends(&targets).await {
                assert_eq!(event.state(), TargetState::Published, "{event:?}");
            }
            let ledger = mesh.bench.ledger().await;
            let mine: Vec<&Value> =
                ledger.iter().filter(|line| line["network"].as_str() == Some(network)).collect();
            let thread: Vec<usize> = (0..3)
                .map(|n| mine.iter().position(|line| line["text"] == format!("{network} {n}")).unwrap())
                .collect();
            assert_eq!(thread[2] - thread[0], 2, "{mine:?}");
            for pair in thread.windows(2) {
                assert_eq!(mine[pair[1]]["in_reply_to"], mine[pair[0]]["native_id"], "{mine:?}");
            }
        }
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_part_after_a_refused_one_is_not_sent() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.mastodon().await;
    let refusal = json!({ "kind": "status", "code": 422, "body": { "error": "Validation failed: no" } });
    mesh.fault("mastodon", refusal).await;
    let targets = mesh.deliver(mesh.a_thread(&account, "broken", 3, 0)).await;
    let ended = mesh.ends(&targets).await;
    assert_eq!(ended[0].state(), TargetState::Failed);
    for part in &ended[1..] {
        assert_eq!(part.state(), TargetState::Failed);
        assert_eq!(part.problem.as_ref().unwrap().reason, "THREAD_BROKEN");
    }
    assert!(mesh.bench.ledger().await.is_empty());
    mesh.end().await;
}

#[tokio::test]
async fn a_lost_answer_holds_the_thread_until_it_is_found() {
    for kind in BOTH {
        let mut mesh = Mesh::new(kind, quick()).await;
        let mut targets = Vec::new();
        for (network, account) in mesh.both().await {
            mesh.fault(network, hold()).await;
            targets.extend(mesh.deliver(mesh.a_thread(&account, network, 2, 0)).await);
        }
        mesh.held(2).await;
        mesh.crash();
        mesh.start().await;
        mesh.bench.control("release", &json!({})).await;
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published, "{event:?}");
        }
        assert_eq!(mesh.bench.ledger().await.len(), 4);
        mesh.end().await;
    }
}

/// A thread of four with a picture each, due in so many milliseconds.
fn four(mesh: &Mesh, account: &str, name: &str, due_in: i64) -> Vec<proto::Delivery> {
    let mut thread = mesh.a_thread(account, name, 4, due_in);
    for part in &mut thread {
        part.content.as_mut().unwrap().media.push(picture());
    }
    thread
}

/// The methods by which something was written, in their order.
async fn writes(mesh: &Mesh) -> Vec<String> {
    let method = |request: &Value| request["path"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    mesh.bench.requests("publish").await.iter().map(method).collect()
}

/// All of a thread's parts are published, exactly once each, one below the other.
async fn is_whole(mesh: &Mesh, targets: &[String], name: &str) {
    for event in mesh.ends(targets).await {
        assert_eq!(event.state(), TargetState::Published, "{event:?}");
        assert!(!event.native_id.is_empty() && event.url.starts_with("http"), "{event:?}");
    }
    let ledger = mesh.bench.ledger().await;
    let wanted: Vec<String> = (0..targets.len()).map(|n| format!("{name} {n}")).collect();
    assert_eq!(texts(&ledger), wanted);
    for pair in ledger.windows(2) {
        assert_eq!(pair[1]["in_reply_to"], pair[0]["native_id"], "{ledger:?}");
    }
    for line in &ledger {
        assert_eq!(line["media"][0]["alt"], "a dot");
    }
}

#[tokio::test]
async fn a_thread_on_bluesky_appears_at_once() {
    for kind in BOTH {
        for due_in in [0, 800] {
            let mesh = Mesh::new(kind, quick()).await;
            let account = mesh.bluesky().await;
            let mut deliveries = four(&mesh, &account, "at once", due_in);
            deliveries.reverse();
            let mut targets = mesh.deliver(deliveries).await;
            targets.reverse();
            is_whole(&mesh, &targets, "at once").await;
            assert_eq!(writes(&mesh).await, ["applyWrites"]);
            let ledger = mesh.bench.ledger().await;
            assert!(
                ledger.iter().all(|line| line["visible_at_ms"] == ledger[0]["visible_at_ms"]),
                "{ledger:?}"
            );
            mesh.end().await;
        }
    }
}

/// Lets the one request of a thread go wrong; each part must be there exactly once in the end.
async fn survives(kind: Kind, fault: Value, expected: &[&str]) {
    let mesh = Mesh::new(kind, quick()).await;
    let account = mesh.bluesky().await;
    mesh.fault("bluesky", fault.clone()).await;
    let targets = mesh.deliver(four(&mesh, &account, "survives", 500)).await;
    is_whole(&mesh, &targets, "survives").await;
    assert_eq!(writes(&mesh).await, expected, "{fault}");
    mesh.end().await;
}

const ONE_BY_ONE: [&str; 5] = ["applyWrites", "putRecord", "putRecord", "putRecord", "putRecord"];

#[tokio::test]
async fn an_answer_lost_after_a_thread_was_executed_is_settled_part_by_part() {
    for kind in BOTH {
        survives(kind, json!({ "kind": "accept_then_reset" }), &ONE_BY_ONE).await;
        survives(kind, json!({ "kind": "garbage" }), &ONE_BY_ONE).await;
    }
}

#[tokio::test]
async fn a_thread_lost_before_it_was_executed_is_sent_part_by_part() {
    for kind in BOTH {
        survives(kind, json!({ "kind": "drop_before" }), &ONE_BY_ONE).await;
    }
}

#[tokio::test]
async fn a_thread_refused_as_a_whole_is_sent_part_by_part() {
    let refused = |code, error: &str| json!({ "kind": "status", "code": code, "body": { "error": error } });
    for kind in BOTH {
        survives(kind, refused(400, "BlobNotFound"), &ONE_BY_ONE).await;
        survives(kind, refused(400, "InvalidRequest"), &ONE_BY_ONE).await;
    }
}

#[tokio::test]
async fn a_thread_that_was_not_executed_is_in_doubt_no_more() {
    for kind in BOTH {
        survives(kind, json!({ "kind": "throttle", "retry_after_s": 1 }), &ONE_BY_ONE).await;
        survives(
            kind,
            json!({ "kind": "status", "code": 400, "body": { "error": "ExpiredToken", "message": "Token has expired" } }),
            &ONE_BY_ONE,
        )
        .await;
    }
}

#[tokio::test]
async fn a_crash_while_a_thread_is_on_its_way_posts_each_part_once() {
    for kind in BOTH {
        for fault in [hold(), json!({ "kind": "accept_then_hold" })] {
            let mut mesh = Mesh::new(kind, quick()).await;
            let account = mesh.bluesky().await;
            mesh.fault("bluesky", fault).await;
            let targets = mesh.deliver(four(&mesh, &account, "crash", 500)).await;
            mesh.held(1).await;
            mesh.crash();
            mesh.start().await;
            mesh.follow(&targets[..1], |state| state != TargetState::Unspecified).await;
            mesh.bench.control("release", &json!({})).await;
            is_whole(&mesh, &targets, "crash").await;
            mesh.end().await;
        }
    }
}

#[tokio::test]
async fn what_went_along_is_not_taken_back_while_it_may_be_visible() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        let account = mesh.bluesky().await;
        mesh.fault("bluesky", hold()).await;
        let targets = mesh.deliver(four(&mesh, &account, "held", 500)).await;
        mesh.held(1).await;
        for target in &targets {
            let answer = mesh.recall(target).await;
            assert_ne!(answer.outcome(), proto::RecallOutcome::Recalled, "{answer:?}");
        }
        mesh.bench.control("release", &json!({})).await;
        is_whole(&mesh, &targets, "held").await;
        assert_eq!(writes(&mesh).await, ["applyWrites"]);
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_part_withdrawn_before_takes_what_follows_with_it() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        let account = mesh.bluesky().await;
        let targets = mesh.deliver(four(&mesh, &account, "withdrawn", 1_200)).await;
        tokio::time::sleep(Duration::from_millis(900)).await; // its steps are done by now
        let answer = mesh.recall(&targets[2]).await;
        assert_eq!(answer.outcome(), proto::RecallOutcome::Recalled, "{answer:?}");
        let ended: Vec<_> = mesh.ends(&targets).await.iter().map(proto::DeliveryEvent::state).collect();
        let (live, gone) = (TargetState::Published, TargetState::Cancelled);
        assert_eq!(ended, [live, live, gone, TargetState::Failed]);
        let ledger = mesh.bench.ledger().await;
        assert_eq!(texts(&ledger), ["withdrawn 0", "withdrawn 1"]);
        assert_eq!(writes(&mesh).await, ["applyWrites"], "what is left of it still appears at once");
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_part_edited_before_goes_as_it_was_edited() {
    for kind in BOTH {
        let mesh = Mesh::new(kind, quick()).await;
        let account = mesh.bluesky().await;
        let mut deliveries = four(&mesh, &account, "edited", 1_200);
        let targets = mesh.deliver(deliveries.clone()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for target in [&targets[3], &targets[2]] {
            mesh.recall(target).await;
        }
        let mut edited = deliveries.split_off(2);
        for part in &mut edited {
            part.revision = 2;
        }
        edited[0].content.as_mut().unwrap().text = "edited, really".into();
        mesh.deliver(edited).await;
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published, "{event:?}");
        }
        let ledger = mesh.bench.ledger().await;
        assert_eq!(texts(&ledger), ["edited 0", "edited 1", "edited, really", "edited 3"]);
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_part_that_the_network_refuses_fails_alone_and_what_follows_is_not_sent() {
    let mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let account = mesh.bluesky().await;
    let refusal = json!({ "error": "InvalidRequest", "message": "Invalid app.bsky.feed.post record: no" });
    let refused = |skip: u64| {
        json!({ "network": "bluesky", "operation": "publish", "skip": skip,
            "fault": { "kind": "status", "code": 400, "body": refusal } })
    };
    mesh.bench.control("script", &refused(0)).await; // the thread as a whole
    mesh.bench.control("script", &refused(2)).await; // and its third part
    let targets = mesh.deliver(four(&mesh, &account, "refused", 500)).await;
    let ended: Vec<_> = mesh.ends(&targets).await.iter().map(proto::DeliveryEvent::state).collect();
    let (live, failed) = (TargetState::Published, TargetState::Failed);
    assert_eq!(ended, [live, live, failed, failed]);
    assert_eq!(texts(&mesh.bench.ledger().await), ["refused 0", "refused 1"]);
    mesh.end().await;
}

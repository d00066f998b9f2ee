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

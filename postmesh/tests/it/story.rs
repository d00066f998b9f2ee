//! One post from a terminal to two networks and back, on both ways to run a mesh.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::{Mesh, Sandbox, User};

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

async fn story(mesh: &Mesh, sandbox: &Sandbox) {
    let user = User::connected(mesh, sandbox, "ana@example.com").await;
    let photo = user.photo();
    let before = now_ms();
    let args = [
        "post",
        "hello",
        "--image",
        photo,
        "--alt",
        "a grey square",
        "--to",
        "all",
        "--in",
        "2s",
        "--wait",
        "--json",
    ];
    let post = user.well(&args).await.json();
    assert_eq!(post["state"], "published", "{post:#}");
    let targets = post["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);

    let ledger = sandbox.lines_of("hello").await;
    assert_eq!(ledger.len(), 2, "{ledger:?}");
    for target in targets {
        assert_eq!(target["state"], "published");
        let lines: Vec<_> = ledger.iter().filter(|line| target["native_id"] == *line.native_id).collect();
        assert_eq!(lines.len(), 1, "{target} {ledger:?}");
        assert_eq!(target["network"], *lines[0].network);
        assert!(lines[0].visible_at_ms >= before + 2000, "not before its time: {:?}", lines[0]);
        assert_eq!(lines[0].media.len(), 1);
        assert_eq!(lines[0].media[0]["alt"], "a grey square");
        // A Bluesky post's address is the public web's; the self-hosted network's own page can be opened here.
        if target["network"] == "mastodon" {
            let page = crate::harness::http().get(target["url"].as_str().unwrap()).send().await.unwrap();
            assert!(page.status().is_success());
        }
    }

    let stats = user.well(&["stats", post["id"].as_str().unwrap(), "--refresh", "--json"]).await.json();
    assert_eq!(stats["targets"].as_array().unwrap().len(), 2, "{stats}");

    let other = User::registered(mesh, "eve@example.com").await;
    let stolen = other.says("", &["watch", post["id"].as_str().unwrap()]).await;
    assert!(
        !stolen.well && stolen.err.contains("post"),
        "another workspace's post does not exist: {stolen:?}"
    );
}

#[tokio::test]
async fn one_process_on_sqlite() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    story(&mesh, &sandbox).await;
}

#[tokio::test]
async fn six_processes_on_postgresql_and_redis() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::six_processes(&sandbox).await;
    story(&mesh, &sandbox).await;
}

#[tokio::test]
async fn many_posts_at_one_instant_go_out_once_each() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    let account = user.well(&["accounts", "list", "--json"]).await;
    let account: serde_json::Value = serde_json::from_str(account.out.lines().next().unwrap()).unwrap();
    let token = user.token();
    let due = jiff::Timestamp::from_millisecond(now_ms() + 4000).unwrap().to_string();
    let create = |n: usize| {
        let body = serde_json::json!({"text": format!("post {n}"), "scheduleTime": due,
            "targets": [{"accountId": account["id"]}]});
        let request =
            crate::harness::http().post(format!("{}/v1/posts", mesh.url)).bearer_auth(&token).json(&body);
        async move {
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        }
    };
    futures::future::join_all((0..200).map(create)).await;
    let url = format!("{}/_sandbox/ledger?wait_for=200&timeout_ms=30000", sandbox.url());
    crate::harness::http().get(url).send().await.unwrap();
    let mut texts: Vec<_> = sandbox.ledger().await.into_iter().map(|line| line.text).collect();
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), sandbox.ledger().await.len()), (200, 200));
}

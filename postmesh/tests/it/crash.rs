//! Power cuts: a post that was acknowledged goes out once, whatever moment the process dies at.

use serde_json::json;

use crate::harness::{Mesh, Sandbox, User, free_port, http, process::Process};

/// A short wait after which a send without an answer counts as over; the default suits real networks.
const QUICK: [(&str, &str); 2] =
    [("POSTMESH_PUBLISHER__SEND_TIMEOUT_MS", "2000"), ("POSTMESH_PUBLISHER__QUIESCE_MS", "1000")];

async fn ends_published(user: &User, post: &str) {
    let said = user.well(&["watch", post, "--json"]).await;
    assert_eq!(said.json()["state"], "published", "{said:?}");
}

#[tokio::test]
async fn killed_between_scheduling_and_due_time() {
    let sandbox = Sandbox::start().await;
    let mut mesh = Mesh::embedded(&sandbox).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    let post = user.well(&["post", "after the cut", "--to", "all", "--in", "3s", "--json"]).await.json();
    mesh.kill().await;
    mesh.start().await;
    ends_published(&user, post["id"].as_str().unwrap()).await;
    assert_eq!(sandbox.lines_of("after the cut").await.len(), 2, "once on each network");
}

/// The request is at the network, not carried out yet, when the power goes; the network carries it out later.
#[tokio::test]
async fn killed_while_the_network_holds_the_request() {
    killed_during("hold").await;
}

/// The network has carried the request out, but its answer never arrives.
#[tokio::test]
async fn killed_before_the_answer_arrives() {
    killed_during("accept_then_hold").await;
}

async fn killed_during(fault: &str) {
    let sandbox = Sandbox::start().await;
    let mut mesh = Mesh::embedded_with(&sandbox, &QUICK).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    for network in ["mastodon", "bluesky"] {
        sandbox.script(json!({"network": network, "operation": "publish", "fault": {"kind": fault}})).await;
    }
    let post = user.well(&["post", "held", "--to", "all", "--json"]).await.json();
    sandbox.held(2).await;
    mesh.kill().await;
    sandbox.release().await;
    mesh.start().await;
    ends_published(&user, post["id"].as_str().unwrap()).await;
    let lines = sandbox.lines_of("held").await;
    assert_eq!(lines.len(), 2, "once on each network: {lines:?}");
}

/// Answers that are lost without a crash: the network is asked, the post is not repeated.
#[tokio::test]
async fn answers_that_are_lost() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded_with(&sandbox, &QUICK).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    for (n, fault) in ["accept_then_reset", "accept_then_500", "drop_before", "garbage"].iter().enumerate() {
        for network in ["mastodon", "bluesky"] {
            sandbox
                .script(json!({"network": network, "operation": "publish", "fault": {"kind": fault}}))
                .await;
        }
        let text = format!("lost {n}");
        let post = user.says("", &["post", &text, "--to", "all", "--wait", "--json"]).await;
        assert!(post.well, "{fault}: {post:?}\n{}", mesh.output());
        let lines = sandbox.lines_of(&text).await;
        assert_eq!(lines.len(), 2, "{fault}: {lines:?}");
    }
}

/// The networks carry every fifth publish request out and lose the answer: nothing is posted twice, nothing is lost, and
/// nobody is asked.
#[tokio::test]
async fn every_fifth_answer_is_lost() {
    const POSTS: usize = 25;
    let sandbox = Sandbox::start().await;
    let quick = [
        ("POSTMESH_PUBLISHER__SEND_TIMEOUT_MS", "700"),
        ("POSTMESH_PUBLISHER__QUIESCE_MS", "300"),
        ("POSTMESH_PUBLISHER__SWEEP_MS", "200"),
    ];
    let mesh = Mesh::embedded_with(&sandbox, &quick).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    for network in ["mastodon", "bluesky"] {
        let fault = json!({"kind": "accept_then_timeout"});
        let rule =
            json!({"network": network, "operation": "publish", "fault": fault, "every": 5, "times": 0});
        sandbox.script(rule).await;
    }
    let mut posts = Vec::new();
    for n in 0..POSTS {
        let post = user.well(&["post", &format!("fifth {n}"), "--to", "all", "--json"]).await.json();
        posts.push(post["id"].as_str().unwrap().to_owned());
    }
    for post in &posts {
        ends_published(&user, post).await;
    }
    let lines = sandbox.ledger().await;
    assert_eq!(lines.len(), 2 * POSTS, "each post once on each network");
    for n in 0..POSTS {
        assert_eq!(lines.iter().filter(|line| line.text == format!("fifth {n}")).count(), 2);
    }
    let requests = http()
        .get(format!("{}/_sandbox/requests", sandbox.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let lost = requests.matches("accept_then_timeout").count();
    assert!(lost >= 2 * POSTS / 5, "{lost} answers were lost");
}

/// A network that is away for a moment: the post goes out when it is back, and nothing is posted twice.
#[tokio::test]
async fn a_network_that_refuses_for_a_moment() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded_with(&sandbox, &QUICK).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    let throttle = json!({"kind": "throttle", "retry_after_s": 1});
    for network in ["mastodon", "bluesky"] {
        sandbox
            .script(json!({"network": network, "operation": "publish", "fault": throttle, "times": 2}))
            .await;
    }
    user.well(&["post", "patient", "--to", "all", "--wait", "--json"]).await;
    assert_eq!(sandbox.lines_of("patient").await.len(), 2);
    let requests = http()
        .get(format!("{}/_sandbox/requests", sandbox.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(requests.contains("429"), "the fault took place");
}

/// What a developer runs, networks and all in one process: nothing of what was answered is forgotten.
#[tokio::test]
async fn killed_with_its_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, sandbox) = (free_port(), free_port());
    let env: Vec<_> = [("GATEWAY", gateway), ("ADMIN", free_port()), ("SANDBOX", sandbox)]
        .map(|(section, port)| (format!("POSTMESH_{section}__BIND"), format!("127.0.0.1:{port}")))
        .to_vec();
    let up = || Process::start(folder.path(), "up", &["up", "--sandbox"], &env);
    let said = async |args: &[&str]| {
        let mut verb = Process::start(folder.path(), args[0], args, &[]);
        let (_, well) = verb.ended().await;
        assert!(well, "{}", verb.output());
        let output = verb.output();
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<serde_json::Value>>()
    };
    let verb = async |args: &[&str]| said(args).await.pop().unwrap();
    let ledger = async || {
        let url = format!("http://127.0.0.1:{sandbox}/_sandbox/ledger");
        http().get(url).send().await.unwrap().text().await.unwrap()
    };
    let ready = format!("http://127.0.0.1:{gateway}/healthz");

    let mut first = up();
    first.ready(&ready).await;
    first.says("a welcome post is out").await;
    let before = ledger().await;
    let welcomes = before.lines().count();
    assert!(welcomes > 2, "the welcome post is on every network: {before}");
    let accounts = said(&["accounts", "list", "--json"]).await;
    let takes_text = |account: &&serde_json::Value| {
        ["bluesky", "mastodon"].contains(&account["network"].as_str().unwrap())
    };
    let to: Vec<_> =
        accounts.iter().filter(takes_text).map(|account| account["id"].as_str().unwrap()).collect();
    let post = verb(&["post", "after the cut", "--to", &to.join(","), "--in", "3s", "--json"]).await;
    first.kill().await;

    let mut second = up();
    second.ready(&ready).await;
    assert!(ledger().await.starts_with(&before), "the networks remember");
    let watched = verb(&["watch", post["id"].as_str().unwrap(), "--json"]).await;
    assert_eq!(watched["state"], "published", "{watched}");
    assert_eq!(ledger().await.lines().count(), welcomes + 2, "once on each network, and no second welcome");
    second.signal("INT");
    assert!(second.ended().await.1, "{}", second.output());
}

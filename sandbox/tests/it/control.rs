//! `/_sandbox/*`: the ledger and the log as contracts, accounts, counts, errors that name the field.

use postmesh_sandbox::{Config, Error, Sandbox};
use serde_json::json;

use crate::support::{Bench, Mastodon, PNG, client, got, lines, login, loopback};

#[tokio::test]
async fn the_ledger_has_exactly_these_keys_in_this_order() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let media = demo.upload(PNG, "image/png").await.str("/id");
    let answer = got(demo.post(&json!({"status": "caption", "media_ids": [media]}))).await;
    bench.bluesky().await.put("3lxy2abcde22k", "sky").await;
    let raw = got(bench.get("/_sandbox/ledger")).await;
    assert_eq!(raw.header("content-type"), "application/x-ndjson");
    let line = raw.text.lines().next().unwrap();
    let entry = &lines(line)[0];
    let expected = format!(
        "{{\"network\":\"mastodon\",\"account\":\"demo\",\"native_id\":\"{}\",\"in_reply_to\":null,\
         \"text\":\"caption\",\"media\":[{{\
         \"mime\":\"image/png\",\"size\":{},\"sha256\":\"{}\",\"alt\":\"a picture\"}}],\"visible_at_ms\":{},\
         \"request_id\":\"{}\"}}",
        answer.str("/id"),
        PNG.len(),
        entry["media"][0]["sha256"].as_str().unwrap(),
        entry["visible_at_ms"],
        answer.header("x-request-id"),
    );
    assert_eq!(line, expected);
    let rest = lines(&got(bench.get("/_sandbox/ledger?since=1")).await.text);
    assert_eq!((rest.len(), &rest[0]["account"]), (1, &json!("demo.test")));
    assert_eq!(got(bench.get("/_sandbox/ledger?since=9")).await.text, "");
}

#[tokio::test]
async fn logs_requests_without_their_tokens() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let answer = demo.say("hi").await;
    let raw = got(bench.get("/_sandbox/requests")).await;
    assert!(!raw.text.contains(&format!("Bearer {}", demo.token)));
    let last = lines(&raw.text).pop().unwrap();
    assert_eq!((&last["method"], &last["path"]), (&json!("POST"), &json!("/mastodon/api/v1/statuses")));
    assert_eq!(
        (&last["status"], &last["account"], &last["operation"]),
        (&json!(200), &json!("demo"), &json!("publish"))
    );
    assert_eq!(last["body"], json!({"status": "hi"}));
    assert_eq!(last["request_id"], answer.header("x-request-id"));
    assert!(last["headers"]["authorization"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(last["body_sha256"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn errors_name_the_field() {
    let bench = Bench::new().await;
    for (path, body, named) in [
        ("script", json!({"network": "mastodon", "fault": {"kind": "hold"}, "tines": 1}), "`tines`"),
        ("script", json!({"network": "mastodon", "fault": {"kind": "explode"}}), "`explode`"),
        ("script", json!({"network": "mastodon", "fault": {"kind": "hold", "ms": 1}}), "`ms`"),
        ("script", json!({"network": "mastodon", "fault": {"kind": "delay"}}), "`ms`"),
        ("script", json!({"network": "mastodon"}), "`fault`"),
        ("script", json!({"network": "myspace", "fault": {"kind": "hold"}}), "`myspace`"),
        (
            "script",
            json!([{"network": "mastodon", "operation": "dance", "fault": {"kind": "hold"}}]),
            "`dance`",
        ),
        ("script", json!({"network": "mastodon", "fault": {"kind": "status", "code": 99}}), "fault.code"),
        (
            "script",
            json!({"network": "mastodon", "fault": {"kind": "token_lifetime", "access_s": 9}}),
            "fault.kind",
        ),
        ("script", json!({"network": "mastodon", "fault": {"kind": "hold"}, "every": 0}), "every"),
        (
            "script",
            json!({"network": "mastodon", "fault": {"kind": "hold"}, "every": 2, "share": 0.5}),
            "share",
        ),
        ("script", json!({"network": "mastodon", "fault": {"kind": "hold"}, "share": 1.5}), "share"),
        ("script", json!({"network": "mastodon", "fault": {"kind": "hold"}, "seed": 5}), "seed"),
        (
            "script",
            json!({"network": "mastodon", "operation": "publish", "fault": {"kind": "stale_read", "ms": 1}}),
            "fault.kind",
        ),
        ("accounts", json!({"network": "bluesky", "handle": "nodots"}), "handle"),
        ("accounts", json!({"network": "mastodon", "handle": "a b"}), "handle"),
        ("accounts", json!({"network": "mastodon", "handle": "ab", "shoe": 42}), "`shoe`"),
        ("limits", json!({"network": "mastodon"}), "`enforce`"),
        ("clock", json!({"advance_ms": -1}), "advance_ms"),
    ] {
        let answer = bench.control(path, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.str("/error").contains(named), "{body}: {}", answer.text);
    }
    assert_eq!(got(bench.get("/_sandbox/script")).await.body, json!([]), "nothing bad was added");
}

#[tokio::test]
async fn accounts_are_made_and_reset_empties_all() {
    let bench = Bench::new().await;
    let made = bench
        .control("accounts", json!({"network": "bluesky", "handle": "ada.test", "display_name": "Ada"}))
        .await;
    let password = made.str("/password");
    assert_eq!(password.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4, 4]);
    assert_eq!(login(&bench, "ada.test", &password).await.str("/did"), made.str("/did"));
    let made = bench.control("accounts", json!({"network": "mastodon", "handle": "ada"})).await;
    assert_eq!(made.body["password"], "ada");
    let ada = Mastodon::connect(&bench, "ada", "read write").await;
    ada.say("hello").await;
    assert_eq!(bench.control("reset", json!({})).await.status, 200);
    assert_eq!(bench.ledger().await.len(), 0);
    assert_eq!(bench.requests().await.len(), 0);
    assert_eq!(got(ada.post(&json!({"status": "x"}))).await.status, 401);
    assert_eq!(login(&bench, "ada.test", &password).await.status, 401);
    assert_eq!(login(&bench, "demo.test", "demo-demo-demo-demo").await.status, 200);
    bench.mastodon().await.say("again").await;
}

#[tokio::test]
async fn reset_forgets_held_requests_unexecuted() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    bench.script(json!({"network": "mastodon", "operation": "publish", "fault": {"kind": "hold"}})).await;
    let body = json!({"status": "x"});
    let (sent, ()) = tokio::join!(demo.post(&body).send(), async {
        bench.held(1).await;
        assert_eq!(bench.control("reset", json!({})).await.status, 200);
    });
    sent.unwrap_err();
    assert_eq!((bench.ledger().await.len(), bench.release().await), (0, 0));
}

#[tokio::test]
async fn engagement_is_set_or_derived() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let id = demo.say("one").await.str("/id");
    let set = json!({"network": "mastodon", "native_id": id, "likes": 5, "reposts": 4, "replies": 3});
    assert_eq!(bench.control("engage", set).await.status, 200);
    let counts = async || {
        let status = got(demo.get(&format!("/api/v1/statuses/{id}"))).await.body;
        [&status["favourites_count"], &status["reblogs_count"], &status["replies_count"]]
            .map(|n| n.as_u64().unwrap())
    };
    assert_eq!(counts().await, [5, 4, 3]);
    let sky = bench.bluesky().await;
    let uri = sky.put("3lxy2abcde22k", "x").await.str("/uri");
    for _ in 0..2 {
        bench.control("engage", json!({"network": "mastodon"})).await;
        bench.control("engage", json!({"network": "bluesky"})).await;
    }
    let derived = counts().await;
    assert_ne!(derived, [5, 4, 3]);
    let first = got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&[("uris", &uri)])).await;
    bench.control("engage", json!({"network": "bluesky"})).await;
    let second = got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&[("uris", &uri)])).await;
    assert_eq!(first.body, second.body, "the same id, the same numbers");
    let unknown = bench.control("engage", json!({"network": "mastodon", "native_id": "5"})).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn starts_clearly_or_says_why_not() {
    let bench = Bench::new().await;
    let taken = Config { bind: bench.sandbox.addr, ..Config::default() };
    let problem = Sandbox::start(taken).await.unwrap_err();
    assert!(matches!(problem, Error::PortInUse { .. }));
    assert!(problem.to_string().contains("already in use"), "{problem}");
    let config = Config { public_url: Some("nonsense".into()), ..Config::default() };
    assert!(matches!(Sandbox::start(config).await, Err(Error::PublicUrl(_))));

    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let config = Config { public_url: Some("https://social.example/".into()), ..Config::default() };
    let sandbox = Sandbox::start_on(listener, config).unwrap();
    let metadata =
        got(client().get(format!("{}/mastodon/.well-known/oauth-authorization-server", sandbox.url()))).await;
    assert_eq!(metadata.body["token_endpoint"], "https://social.example/mastodon/oauth/token");
    assert_eq!(got(client().get(format!("{}/healthz", sandbox.url()))).await.text, "ok");
    let url = sandbox.url();
    sandbox.shutdown().await;
    assert!(client().get(url).send().await.unwrap_err().is_connect());
}

/// Ten thousand posts on one account, many at a time: every one visible, none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survives_a_burst() {
    use futures::StreamExt;
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let demo = &demo;
    let sent = futures::stream::iter(0..10_000)
        .map(|n| async move { got(demo.post(&json!({"status": format!("n{n}")}))).await.status })
        .buffer_unordered(64);
    assert!(sent.all(async |status| status == 200).await);
    let ledger = bench.ledger().await;
    let ids: std::collections::HashSet<_> = ledger.iter().map(|line| line["native_id"].to_string()).collect();
    assert_eq!((ledger.len(), ids.len()), (10_000, 10_000));
}

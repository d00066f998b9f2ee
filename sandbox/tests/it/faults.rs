//! Each kind of fault: what the client sees, and whether the post became visible.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bench, Mastodon, got, login, refresh};

async fn on_publish(bench: &Bench, fault: Value) {
    bench.script(json!({"network": "mastodon", "operation": "publish", "fault": fault})).await;
}

fn post(demo: &Mastodon<'_>) -> reqwest::RequestBuilder {
    demo.post(&json!({"status": "x"}))
}

/// The fault and status of the newest logged publish.
async fn logged(bench: &Bench) -> (Value, Value) {
    let requests = bench.requests().await;
    let last = requests.iter().rfind(|request| request["operation"] == "publish").unwrap();
    (last["fault"].clone(), last["status"].clone())
}

#[tokio::test]
async fn hold_executes_only_when_released() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(&bench, json!({"kind": "hold"})).await;
    let sent = tokio::join!(got(post(&demo)), async {
        bench.held(1).await;
        assert_eq!(bench.ledger().await.len(), 0);
        assert_eq!(bench.release().await, 1);
        assert_eq!(bench.ledger().await.len(), 1, "released means executed");
    });
    assert_eq!(sent.0.status, 200);
    assert_eq!(logged(&bench).await, (json!(["hold"]), json!(200)));
    assert_eq!(bench.release().await, 0);
}

#[tokio::test]
async fn a_held_request_executes_on_release_though_its_client_has_left() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(&bench, json!({"kind": "hold"})).await;
    tokio::select! {
        answer = post(&demo).send() => panic!("held, but answered {answer:?}"),
        () = bench.held(1) => {}
    }
    assert_eq!(bench.release().await, 1);
    assert_eq!(bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn accept_then_hold_is_visible_before_it_is_answered() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(&bench, json!({"kind": "accept_then_hold"})).await;
    let sent = tokio::join!(got(post(&demo)), async {
        bench.held(1).await;
        assert_eq!(bench.ledger().await.len(), 1);
        bench.release().await;
    });
    assert_eq!(sent.0.body["id"], bench.ledger().await[0]["native_id"]);
}

#[tokio::test]
async fn resets_cut_the_connection_without_a_byte() {
    for (kind, visible) in [("drop_before", 0), ("accept_then_reset", 1)] {
        let bench = Bench::new().await;
        let demo = bench.mastodon().await;
        on_publish(&bench, json!({"kind": kind})).await;
        let problem = post(&demo).send().await.unwrap_err();
        let mut source = std::error::Error::source(&problem);
        let mut reset = false;
        while let Some(cause) = source {
            reset |= cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset);
            source = cause.source();
        }
        assert!(reset, "{kind}: {problem:?}");
        assert_eq!(bench.ledger().await.len(), visible, "{kind}");
        assert_eq!(logged(&bench).await, (json!([kind]), Value::Null));
        assert_eq!(got(post(&demo)).await.status, 200, "once is once");
    }
}

#[tokio::test]
async fn accept_then_timeout_is_visible_and_never_answered() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(&bench, json!({"kind": "accept_then_timeout"})).await;
    tokio::select! {
        answer = post(&demo).send() => panic!("never answered, but {answer:?}"),
        lines = bench.ledger_of(1) => assert_eq!(lines.len(), 1),
    }
    let problem = {
        on_publish(&bench, json!({"kind": "accept_then_timeout"})).await;
        post(&demo).timeout(Duration::from_millis(50)).send().await.unwrap_err()
    };
    assert!(problem.is_timeout());
    assert_eq!(bench.ledger_of(2).await.len(), 2);
}

#[tokio::test]
async fn accept_late_executes_after_the_client_has_left() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(&bench, json!({"kind": "accept_late", "ms": 60})).await;
    let problem = post(&demo).timeout(Duration::from_millis(20)).send().await.unwrap_err();
    assert!(problem.is_timeout());
    assert_eq!(bench.ledger_of(1).await.len(), 1);
}

#[tokio::test]
async fn answers_that_hide_a_success() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(&bench, json!({"kind": "accept_then_500"})).await;
    let failed = got(post(&demo)).await;
    assert_eq!((failed.status, failed.header("content-type")), (500, "text/html; charset=utf-8"));
    on_publish(&bench, json!({"kind": "garbage"})).await;
    let garbage = got(post(&demo)).await;
    assert_eq!((garbage.status, &garbage.body), (200, &Value::Null));
    on_publish(&bench, json!({"kind": "delay", "ms": 5})).await;
    assert_eq!(got(post(&demo)).await.status, 200);
    let ledger = bench.ledger().await;
    assert_eq!(ledger.len(), 3);
    assert_eq!(ledger[0]["request_id"], failed.header("x-request-id"));

    let sky = bench.bluesky().await;
    bench.script(json!({"network": "bluesky", "operation": "publish", "account": "demo.test", "fault": {"kind": "accept_then_500"}})).await;
    let failed = sky.put("3lxy2abcde22k", "x").await;
    assert_eq!(failed.refusal(), (500, "InternalServerError".to_owned()));
    assert_eq!(sky.read("3lxy2abcde22k").await.status, 200);
}

#[tokio::test]
async fn scripted_answers_and_throttling_execute_nothing() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    on_publish(
        &bench,
        json!({"kind": "status", "code": 503, "body": {"error": "busy"}, "headers": {"Retry-After": 7}}),
    )
    .await;
    let busy = got(post(&demo)).await;
    assert_eq!((busy.refusal(), busy.header("retry-after")), ((503, "busy".to_owned()), "7"));
    on_publish(&bench, json!({"kind": "status", "code": 502, "body": "<h1>Bad Gateway</h1>"})).await;
    assert_eq!(got(post(&demo)).await.text, "<h1>Bad Gateway</h1>");
    on_publish(&bench, json!({"kind": "throttle", "retry_after_s": 90})).await;
    let throttled = got(post(&demo)).await;
    assert_eq!(throttled.refusal(), (429, "Too many requests".to_owned()));
    assert_eq!(throttled.header("x-ratelimit-remaining"), "0");
    let requests = bench.requests().await;
    let waits: Vec<_> = requests.iter().filter_map(|request| request["retry_after_ms"].as_i64()).collect();
    assert_eq!(waits, [90_000], "the log keeps how long a client was told to wait");
    let sky = bench.bluesky().await;
    bench.script(json!({"network": "bluesky", "operation": "any", "fault": {"kind": "throttle", "retry_after_s": 90}})).await;
    let throttled = sky.put("3lxy2abcde22k", "x").await;
    assert_eq!(
        (throttled.refusal(), throttled.header("retry-after")),
        ((429, "RateLimitExceeded".to_owned()), "90")
    );
    assert_eq!(bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn tokens_expire_and_are_revoked_at_once() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let act = |network: &str, account: &str, fault: Value| json!({"network": network, "account": account, "fault": fault});
    bench.script(act("mastodon", "demo", json!({"kind": "expire_tokens"}))).await;
    assert_eq!(got(post(&demo)).await.refusal(), (401, "The access token expired".to_owned()));
    bench.script(act("mastodon", "demo", json!({"kind": "revoke_tokens"}))).await;
    assert_eq!(got(post(&demo)).await.refusal(), (401, "The access token was revoked".to_owned()));
    assert_eq!(got(post(&bench.mastodon().await)).await.status, 200, "a new token works");

    let sky = bench.bluesky().await;
    bench.script(act("bluesky", "demo.test", json!({"kind": "expire_tokens"}))).await;
    assert_eq!(sky.put("3lxy2abcde22k", "x").await.refusal(), (400, "ExpiredToken".to_owned()));
    let fresh = refresh(&bench, &sky.refresh).await;
    assert_eq!(fresh.status, 200, "only access tokens expired");
    bench.script(act("bluesky", "demo.test", json!({"kind": "revoke_tokens"}))).await;
    let revoked = refresh(&bench, &fresh.str("/refreshJwt")).await;
    assert_eq!(revoked.str("/message"), "Token has been revoked");
    assert_eq!(login(&bench, "demo.test", "demo-demo-demo-demo").await.status, 200);
    bench.script(act("bluesky", "demo.test", json!({"kind": "revoke_tokens", "and_password": true}))).await;
    assert_eq!(login(&bench, "demo.test", "demo-demo-demo-demo").await.status, 401);
    let account = bench.control("accounts", json!({"network": "bluesky", "handle": "demo.test"})).await;
    assert_eq!(login(&bench, "demo.test", &account.str("/password")).await.status, 200);
    let unknown = bench.control("script", act("bluesky", "x.test", json!({"kind": "expire_tokens"}))).await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn rules_pick_their_requests() {
    let bench = Bench::new().await;
    bench.control("accounts", json!({"network": "mastodon", "handle": "ada"})).await;
    let (demo, ada) = (bench.mastodon().await, Mastodon::connect(&bench, "ada", "read write").await);
    bench.script(json!([
        {"network": "mastodon", "operation": "publish", "account": "ada", "fault": {"kind": "status", "code": 500}, "skip": 1, "times": 2},
        {"network": "mastodon", "operation": "token", "fault": {"kind": "status", "code": 400}},
    ])).await;
    assert_eq!(got(post(&demo)).await.status, 200);
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(got(post(&ada)).await.status);
    }
    let pending = got(bench.get("/_sandbox/script")).await.body;
    assert_eq!(
        (&pending[0]["seen"], &pending[0]["hits"], &pending[1]["hits"]),
        (&json!(2), &json!(1), &json!(0))
    );
    for _ in 0..2 {
        seen.push(got(post(&ada)).await.status);
    }
    assert_eq!(seen, [200, 500, 500, 200]);
    assert_eq!(
        got(bench.get("/_sandbox/script")).await.body.as_array().unwrap().len(),
        1,
        "spent rules leave"
    );
    bench.http.delete(bench.url("/_sandbox/script")).send().await.unwrap();
    assert_eq!(got(bench.get("/_sandbox/script")).await.body, json!([]));
    let before = bench.requests().await.len();
    let (waited, _) = tokio::join!(
        got(bench.get(&format!("/_sandbox/requests?since={before}&wait_for={}", before + 1))),
        got(post(&demo))
    );
    assert_eq!(waited.text.lines().count(), 1);
}

#[tokio::test]
async fn shutting_down_resets_what_is_held() {
    let bench = Bench::new().await;
    let request = {
        let demo = bench.mastodon().await;
        on_publish(&bench, json!({"kind": "hold"})).await;
        post(&demo)
    };
    let mut sent = Box::pin(request.send());
    tokio::select! {
        answer = &mut sent => panic!("held, but answered {answer:?}"),
        () = bench.held(1) => {}
    }
    bench.sandbox.shutdown().await;
    assert!(sent.await.is_err());
}

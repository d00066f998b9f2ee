//! What a checker needs beside the ledger of posts: reads that lag, faults in a known share, refresh tokens presented,
//! and how much of each limit was used.

use serde_json::{Value, json};

use crate::support::{Bench, Mastodon, PNG, got, lines, refresh};

const KEY: &str = "3lxy2abcde22k";

async fn lag(bench: &Bench, network: &str, ms: u64) {
    let fault = json!({"kind": "stale_read", "ms": ms});
    bench.script(json!({"network": network, "operation": "read", "fault": fault, "times": 0})).await;
}

#[tokio::test]
async fn mastodon_reads_lag_as_long_as_told() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let old = demo.say("old").await.str("/id");
    bench.advance(60_000).await;
    lag(&bench, "mastodon", 30_000).await;
    let media = demo.upload(PNG, "image/png").await.str("/id");
    let young = json!({"status": "young", "media_ids": [media], "in_reply_to_id": old});
    let young = got(demo.post(&young)).await.str("/id");
    let listed = async || {
        let listed = got(demo.get("/api/v1/accounts/1/statuses")).await.body;
        let ids = listed.as_array().unwrap().iter().map(|status| status["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let status = async |id: &str| got(demo.get(&format!("/api/v1/statuses/{id}"))).await;
    assert_eq!(listed().await, [&*old], "the new one is not seen yet");
    assert_eq!((status(&young).await.status, status(&old).await.status), (404, 200));
    let many = got(demo.get(&format!("/api/v1/statuses?id[]={young}&id[]={old}"))).await;
    assert_eq!(many.body.as_array().unwrap().len(), 1);
    let context = got(demo.get(&format!("/api/v1/statuses/{old}/context"))).await;
    assert_eq!(context.body["descendants"], json!([]));
    bench.advance(30_000).await;
    assert_eq!(listed().await, [&*young, &*old]);

    for id in [&young, &old] {
        let url = bench.url(&format!("/mastodon/api/v1/statuses/{id}"));
        assert_eq!(got(bench.http.delete(url).bearer_auth(&demo.token)).await.status, 200);
    }
    assert_eq!(listed().await, [&*young, &*old], "what was deleted is still seen");
    let seen = status(&young).await;
    assert_eq!((seen.str("/in_reply_to_id"), seen.str("/media_attachments/0/id")), (old.clone(), media));
    bench.advance(30_000).await;
    assert_eq!((listed().await, status(&young).await.status), (Vec::new(), 404));
}

#[tokio::test]
async fn bluesky_reads_lag_as_long_as_told() {
    let bench = Bench::new().await;
    let sky = bench.bluesky().await;
    lag(&bench, "bluesky", 30_000).await;
    let uri = sky.put(KEY, "first").await.str("/uri");
    let listed = async || {
        let query = [("repo", sky.did.as_str()), ("collection", "app.bsky.feed.post")];
        got(bench.get("/bluesky/xrpc/com.atproto.repo.listRecords").query(&query)).await.body["records"]
            .clone()
    };
    let shown = async || {
        got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&[("uris", &uri)])).await.body["posts"]
            .clone()
    };
    assert_eq!(sky.read(KEY).await.refusal(), (400, "RecordNotFound".to_owned()));
    assert_eq!((listed().await, shown().await), (json!([]), json!([])));
    bench.advance(30_000).await;
    assert_eq!(sky.read(KEY).await.str("/value/text"), "first");
    assert_eq!(listed().await.as_array().unwrap().len(), 1);
    got(sky.call("putRecord", &sky.record(KEY, "second"))).await;
    bench.advance(20_000).await;
    got(sky.call("deleteRecord", &sky.record(KEY, ""))).await;
    assert_eq!(sky.read(KEY).await.str("/value/text"), "first", "neither the change nor the end is seen");
    bench.advance(10_000).await;
    assert_eq!(sky.read(KEY).await.str("/value/text"), "second");
    assert_eq!(shown().await[0]["record"]["text"], "second");
    bench.advance(20_000).await;
    assert_eq!((sky.read(KEY).await.status, listed().await), (400, json!([])));
    bench.http.delete(bench.url("/_sandbox/script")).send().await.unwrap();
    sky.put(KEY, "third").await;
    assert_eq!(sky.read(KEY).await.str("/value/text"), "third", "no lag unless told");
}

#[tokio::test]
async fn every_fifth_answer_is_lost_and_every_post_is_there() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let rule = json!({"network": "mastodon", "operation": "publish", "every": 5, "times": 0,
        "fault": {"kind": "accept_then_reset"}});
    bench.script(rule).await;
    let mut lost = Vec::new();
    for n in 0..12 {
        if demo.post(&json!({"status": format!("n{n}")})).send().await.is_err() {
            lost.push(n);
        }
    }
    assert_eq!((lost, bench.ledger().await.len()), (vec![4, 9], 12));
    let pending = got(bench.get("/_sandbox/script")).await.body;
    assert_eq!(
        (&pending[0]["seen"], &pending[0]["hits"], &pending[0]["every"]),
        (&json!(12), &json!(2), &json!(5))
    );
}

#[tokio::test]
async fn a_share_of_requests_goes_wrong_alike_in_every_run() {
    let run = async |seed: u64| {
        let bench = Bench::new().await;
        let demo = bench.mastodon().await;
        let rule = json!({"network": "mastodon", "operation": "publish", "share": 0.5, "seed": seed, "times": 0,
            "fault": {"kind": "status", "code": 503}});
        bench.script(rule).await;
        let mut statuses = Vec::new();
        for _ in 0..32 {
            statuses.push(got(demo.post(&json!({"status": "x"}))).await.status);
        }
        statuses
    };
    let first = run(1).await;
    assert!(first.contains(&200) && first.contains(&503));
    assert_eq!(run(1).await, first);
    assert_ne!(run(2).await, first);
}

#[tokio::test]
async fn each_presentation_of_a_refresh_token_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with(Some(dir.path().to_owned())).await;
    let demo = bench.bluesky().await;
    let fault = |fault: Value| json!({"network": "bluesky", "operation": "refresh", "fault": fault});
    bench.script(fault(json!({"kind": "status", "code": 502}))).await;
    assert_eq!(refresh(&bench, &demo.refresh).await.status, 502);
    bench.script(fault(json!({"kind": "accept_then_500"}))).await;
    let lost = refresh(&bench, &demo.refresh).await;
    assert_eq!(lost.status, 500);
    let next = refresh(&bench, &demo.refresh).await.str("/refreshJwt");
    assert_eq!(refresh(&bench, &next).await.status, 200);
    bench.advance(7_200_000).await;
    assert_eq!(refresh(&bench, &demo.refresh).await.status, 400);
    assert_eq!(refresh(&bench, "nonsense").await.status, 400);
    let presented = async |bench: &Bench| lines(&got(bench.get("/_sandbox/refreshes")).await.text);
    let all = presented(&bench).await;
    let outcomes: Vec<_> = all.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["not_executed", "rotated", "repeated", "rotated", "refused", "refused"]);
    let tokens: Vec<_> = all.iter().map(|line| line["token_sha256_16"].as_str().unwrap()).collect();
    assert!(
        tokens[..3].iter().all(|token| *token == tokens[0] && token.len() == 16) && tokens[4] == tokens[0]
    );
    assert!(tokens[3] != tokens[0] && tokens[5] != tokens[0]);
    assert_eq!((&all[1]["account"], &all[1]["network"]), (&json!("demo.test"), &json!("bluesky")));
    assert_eq!(
        (&all[1]["request_id"], &all[5]["account"]),
        (&json!(lost.header("x-request-id")), &Value::Null)
    );
    assert_eq!(all[0].as_object().unwrap().len(), 6);
    let rest = lines(&got(bench.get("/_sandbox/refreshes?since=4")).await.text);
    assert_eq!(rest, all[4..]);
    bench.sandbox.shutdown().await;
    let bench = Bench::with(Some(dir.path().to_owned())).await;
    assert_eq!(presented(&bench).await, all, "also after a restart");
    bench.control("reset", json!({})).await;
    assert_eq!(presented(&bench).await.len(), 0);
}

#[tokio::test]
async fn what_was_used_of_each_limit_is_told() {
    let bench = Bench::new().await;
    bench.control("accounts", json!({"network": "mastodon", "handle": "ada"})).await;
    let (demo, ada) = (bench.mastodon().await, Mastodon::connect(&bench, "ada", "read write").await);
    let of = async |bucket: &str, key: &str| {
        let all = got(bench.get("/_sandbox/limits")).await.body;
        let all = all.as_array().unwrap();
        all.iter().find(|one| one["bucket"] == bucket && one["key"] == key).cloned().unwrap_or(Value::Null)
    };
    for n in 0..4 {
        demo.say(&format!("n{n}")).await;
    }
    ada.say("one").await;
    bench.advance(10_801_000).await;
    demo.say("later").await;
    let keyed = || demo.post(&json!({"status": "x"})).header("Idempotency-Key", "k");
    for _ in 0..9 {
        assert_eq!(got(keyed()).await.status, 200);
    }
    let statuses = of("mastodon.statuses", "demo").await;
    assert_eq!(
        (&statuses["most"], &statuses["limit"], &statuses["window_s"]),
        (&json!(4), &json!(300), &json!(10_800))
    );
    assert_eq!((&statuses["per"], &statuses["refused"]), (&json!("account"), &json!(0)));
    assert_eq!(of("mastodon.statuses", "ada").await["most"], 1);
    bench
        .script(json!({"network": "mastodon", "operation": "publish", "fault": {"kind": "drop_before"}}))
        .await;
    ada.post(&json!({"status": "dropped"})).send().await.unwrap_err();
    assert_eq!(of("mastodon.statuses", "ada").await["most"], 1, "what was not executed used nothing");

    bench.control("limits", json!({"network": "mastodon", "enforce": true})).await;
    for _ in 0..32 {
        demo.upload(PNG, "image/png").await;
    }
    let media = of("mastodon.media", "demo").await;
    assert_eq!((&media["most"], &media["refused"]), (&json!(30), &json!(2)));
    let sky = bench.bluesky().await;
    sky.put(KEY, "two points").await;
    assert_eq!(of("bluesky.writes.hour", "demo.test").await["most"], 2);
    assert_eq!(of("bluesky.address", "127.0.0.1").await["per"], "address");
    bench.control("reset", json!({})).await;
    assert_eq!(got(bench.get("/_sandbox/limits")).await.body, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_post_at_once_are_kept_apart() {
    use futures::StreamExt;
    let bench = Bench::new().await;
    let mut clients = Vec::new();
    for n in 0..10 {
        bench.control("accounts", json!({"network": "mastodon", "handle": format!("a{n}")})).await;
        clients.push(Mastodon::connect(&bench, &format!("a{n}"), "read write").await);
    }
    let clients = &clients;
    let sent = futures::stream::iter(0..1_000_usize)
        .map(|n| async move { got(clients[n % 10].post(&json!({"status": format!("n{n}")}))).await.status })
        .buffer_unordered(32);
    assert!(sent.all(async |status| status == 200).await);
    let ledger = bench.ledger().await;
    let own =
        |line: &Value| line["text"].as_str().unwrap().ends_with(&line["account"].as_str().unwrap()[1..]);
    assert_eq!((ledger.len(), ledger.iter().filter(|line| own(line)).count()), (1_000, 1_000));
}

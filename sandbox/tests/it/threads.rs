//! Chains of posts: what a reply says, what the ledger keeps of it, and what becomes of it when its parent goes.

use serde_json::{Value, json};

use crate::support::{Bench, Mastodon, got, post};

const KEYS: [&str; 3] = ["3lxy2abcde22k", "3lxy2abcde23k", "3lxy2abcde24k"];

async fn delete(demo: &Mastodon<'_>, id: &str) {
    let url = demo.bench.url(&format!("/mastodon/api/v1/statuses/{id}"));
    assert_eq!(got(demo.bench.http.delete(url).bearer_auth(&demo.token)).await.status, 200);
}

#[tokio::test]
async fn the_ledger_tells_what_each_post_replies_to() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let first = demo.say("1/3").await.str("/id");
    let second = got(demo.post(&json!({"status": "2/3", "in_reply_to_id": first}))).await.str("/id");
    let third = got(demo.post(&json!({"status": "3/3", "in_reply_to_id": second}))).await.str("/id");
    let sky = bench.bluesky().await;
    let root = sky.put(KEYS[0], "1/2").await;
    let strong = json!({"uri": root.str("/uri"), "cid": root.str("/cid")});
    let mut reply = post("2/2");
    reply["reply"] = json!({"root": strong, "parent": strong});
    let body = json!({"repo": sky.did, "collection": "app.bsky.feed.post", "rkey": KEYS[1], "record": reply});
    assert_eq!(got(sky.call("putRecord", &body)).await.status, 200);
    let parents: Vec<Value> =
        bench.ledger().await.into_iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(first), json!(second), json!(null), json!(root.str("/uri"))]);
    let context = got(demo.get(&format!("/api/v1/statuses/{second}/context"))).await;
    assert_eq!((context.str("/ancestors/0/id"), context.str("/descendants/0/id")), (first, third));
}

#[tokio::test]
async fn a_mastodon_parent_must_be_there_whatever_the_key_says() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let gone = (404, "The post you are trying to reply to does not appear to exist.".to_owned());
    let parent = demo.say("parent").await.str("/id");
    let reply =
        || demo.post(&json!({"status": "reply", "in_reply_to_id": parent})).header("Idempotency-Key", "k");
    let made = got(reply()).await;
    assert_eq!(got(reply()).await.str("/id"), made.str("/id"));
    delete(&demo, &parent).await;
    assert_eq!(got(reply()).await.refusal(), gone, "the parent is looked for before the key");
    let orphan = got(demo.get(&format!("/api/v1/statuses/{}", made.str("/id")))).await;
    assert_eq!((orphan.status, &orphan.body["in_reply_to_id"]), (200, &Value::Null));
    bench.control("accounts", json!({"network": "mastodon", "handle": "ada"})).await;
    let ada = Mastodon::connect(&bench, "ada", "read write").await;
    let private = got(ada.post(&json!({"status": "psst", "visibility": "private"}))).await.str("/id");
    assert_eq!(got(demo.post(&json!({"status": "?", "in_reply_to_id": private}))).await.refusal(), gone);
    assert_eq!(bench.ledger().await.len(), 3);
}

#[tokio::test]
async fn a_bluesky_parent_is_checked_by_its_shape_alone() {
    let bench = Bench::new().await;
    let sky = bench.bluesky().await;
    let nowhere = json!({"uri": "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/3lxy2abcde22k",
        "cid": "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"});
    let put = async |rkey: &str, reply: Value| {
        let mut record = post("x");
        record["reply"] = reply;
        let body =
            json!({"repo": sky.did, "collection": "app.bsky.feed.post", "rkey": rkey, "record": record});
        got(sky.call("putRecord", &body)).await
    };
    let placed = put(KEYS[0], json!({"root": nowhere, "parent": nowhere})).await;
    assert_eq!(placed.status, 200, "a server does not look for the parent: {}", placed.text);
    for (bad, message) in [
        (json!({"root": nowhere}), "Record/reply/parent must be an object"),
        (
            json!({"root": nowhere, "parent": {"uri": nowhere["uri"]}}),
            "Record/reply/parent must have the property \"cid\"",
        ),
        (
            json!({"root": {"uri": "x", "cid": nowhere["cid"]}, "parent": nowhere}),
            "Record/reply/root/uri must be a valid at-uri",
        ),
        (
            json!({"root": nowhere, "parent": {"uri": nowhere["uri"], "cid": "x"}}),
            "Record/reply/parent/cid must be a cid string",
        ),
    ] {
        let refused = put(KEYS[1], bad).await;
        assert_eq!(refused.refusal(), (400, "InvalidRequest".to_owned()));
        assert_eq!(refused.str("/message"), format!("Invalid app.bsky.feed.post record: {message}"));
    }
    assert_eq!(bench.ledger().await.len(), 1);
}

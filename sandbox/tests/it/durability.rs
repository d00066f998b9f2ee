//! What was answered survives the end of the process, however it ends.

use std::io::Write;

use postmesh_sandbox::{Config, Error, Sandbox};
use serde_json::json;

use crate::support::{Bench, PNG, got, loopback, refresh};

#[tokio::test]
async fn a_restart_changes_nothing_a_client_can_see() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with(Some(dir.path().to_owned())).await;
    let demo = bench.mastodon().await;
    let media = demo.upload(PNG, "image/png").await.str("/id");
    let keyed = json!({"status": "kept", "media_ids": [media]});
    let first = got(demo.post(&keyed).header("Idempotency-Key", "k")).await;
    let gone = demo.say("deleted").await.str("/id");
    let delete =
        bench.http.delete(bench.url(&format!("/mastodon/api/v1/statuses/{gone}"))).bearer_auth(&demo.token);
    assert_eq!(got(delete).await.status, 200);
    let sky = bench.bluesky().await;
    let blob = sky.upload(PNG, "image/png").await.body["blob"].clone();
    let put = sky.put("3lxy2abcde22k", "sky").await;
    bench.control("engage", json!({"network": "bluesky", "native_id": put.str("/uri"), "likes": 3})).await;
    bench.control("accounts", json!({"network": "mastodon", "handle": "ada"})).await;
    let (token, access, refreshing) = (demo.token.clone(), sky.access.clone(), sky.refresh.clone());
    let ledger = bench.ledger().await;
    let listed = got(bench.get("/_sandbox/accounts")).await.body;
    drop((demo, sky));
    bench.sandbox.shutdown().await;

    // A request nobody got an answer for left half a line behind.
    let mut journal =
        std::fs::OpenOptions::new().append(true).open(dir.path().join("journal.jsonl")).unwrap();
    journal.write_all(b"{\"mastodon\":{\"posted\":{\"sta").unwrap();
    drop(journal);

    let bench = Bench::with(Some(dir.path().to_owned())).await;
    assert_eq!(bench.ledger().await, ledger);
    assert_eq!(got(bench.get("/_sandbox/accounts")).await.body, listed);
    let statuses = bench.post("/mastodon/api/v1/statuses", &keyed).bearer_auth(&token);
    let replay = got(statuses.header("Idempotency-Key", "k")).await;
    assert_eq!(replay.str("/id"), first.str("/id"), "the key is remembered");
    let shown =
        got(bench.get(&format!("/_sandbox/media/{}", ledger[0]["media"][0]["sha256"].as_str().unwrap())))
            .await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/png"));
    assert_eq!(got(bench.get(&format!("/mastodon/api/v1/statuses/{gone}"))).await.status, 404);
    let again =
        sky_put(&bench, &access, put.str("/uri").split('/').nth(2).unwrap(), &json!({"text": "sky"})).await;
    assert_eq!((again.status, again.str("/cid")), (200, put.str("/cid")));
    assert!(again.body.get("commit").is_none());
    let pictured = json!({"text": "pic", "embed": {"$type": "app.bsky.embed.images", "images": [{"image": blob, "alt": ""}]}});
    let other = sky_put(&bench, &access, put.str("/uri").split('/').nth(2).unwrap(), &pictured).await;
    assert_eq!(other.refusal(), (400, "InvalidSwap".to_owned()));
    let view =
        got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&[("uris", put.str("/uri"))])).await;
    assert_eq!(view.body["posts"][0]["likeCount"], 3);
    assert_eq!(refresh(&bench, &refreshing).await.status, 200);
    assert_eq!(bench.ledger().await, ledger, "nothing of this became visible again");
}

async fn sky_put(bench: &Bench, access: &str, did: &str, extra: &serde_json::Value) -> crate::support::Got {
    let mut record = crate::support::post("");
    record.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let body = json!({"repo": did, "collection": "app.bsky.feed.post", "rkey": "3lxy2abcde22k", "swapRecord": null, "record": record});
    got(bench.post("/bluesky/xrpc/com.atproto.repo.putRecord", &body).bearer_auth(access)).await
}

#[tokio::test]
async fn one_data_folder_has_one_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with(Some(dir.path().to_owned())).await;
    let second = Config { bind: loopback(), data_dir: Some(dir.path().to_owned()), public_url: None };
    assert!(matches!(Sandbox::start(second).await, Err(Error::FolderInUse(_))));
    bench.sandbox.shutdown().await;
}

//! Every documented answer of the Bluesky stand-in.

use serde_json::{Value, json};

use crate::support::{Bench, Bluesky, MP4, PNG, got, login, post, refresh};

const KEY: &str = "3lxy2abcde22k";
/// One byte more than an image may have, with the first bytes of a JPEG.
static LARGE: [u8; 2_000_001] = {
    let mut bytes = [0; 2_000_001];
    (bytes[0], bytes[1], bytes[2]) = (0xff, 0xd8, 0xff);
    bytes
};
const OTHER_KEY: &str = "3lxy2abcde23k";

#[tokio::test]
async fn logs_in_by_handle_mail_or_did() {
    let bench = Bench::new().await;
    let first = login(&bench, "demo.test", "demo-demo-demo-demo").await;
    let did = first.str("/did");
    assert!(did.starts_with("did:plc:") && did.len() == 32);
    assert_eq!(first.str("/didDoc/service/0/serviceEndpoint"), bench.url("/bluesky"));
    assert_eq!(first.str("/didDoc/service/0/id"), "#atproto_pds");
    assert_eq!(first.body["active"], true);
    for identifier in [did.clone(), first.str("/email"), "Demo.Test".to_owned()] {
        assert_eq!(login(&bench, &identifier, "demo-demo-demo-demo").await.str("/did"), did);
    }
    let refused = (401, "AuthenticationRequired".to_owned());
    let wrong = login(&bench, "demo.test", "wrong").await;
    assert_eq!(
        (wrong.refusal(), wrong.str("/message")),
        (refused.clone(), "Invalid identifier or password".to_owned())
    );
    assert_eq!(login(&bench, "nobody.test", "demo-demo-demo-demo").await.refusal(), refused);
    let incomplete =
        got(bench.post("/bluesky/xrpc/com.atproto.server.createSession", &json!({"identifier": "x"}))).await;
    assert_eq!(incomplete.refusal(), (400, "InvalidRequest".to_owned()));
    let handle = got(bench.get("/bluesky/xrpc/com.atproto.identity.resolveHandle?handle=demo.test")).await;
    assert_eq!(handle.body, json!({"did": did}));
    let unknown = got(bench.get("/bluesky/xrpc/com.atproto.identity.resolveHandle?handle=x.test")).await;
    assert_eq!(unknown.str("/message"), "Unable to resolve handle");
    let well_known = bench.get("/bluesky/.well-known/atproto-did").header("host", "demo.test:8090");
    assert_eq!(got(well_known).await.text, did);
    let server = got(bench.get("/bluesky/xrpc/com.atproto.server.describeServer")).await;
    assert_eq!(server.body["blobUploadLimit"], 52_428_800);
    assert_eq!(got(bench.get("/bluesky/xrpc/com.atproto.nothing")).await.refusal().0, 501);
}

#[tokio::test]
async fn access_tokens_expire_and_others_are_refused() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let session = async |token: &str| {
        got(bench.get("/bluesky/xrpc/com.atproto.server.getSession").bearer_auth(token)).await
    };
    assert_eq!(session(&demo.access).await.str("/handle"), "demo.test");
    assert_eq!(session("x.y.z").await.refusal(), (400, "InvalidToken".to_owned()));
    assert_eq!(session(&demo.refresh).await.refusal(), (400, "InvalidToken".to_owned()));
    let missing = got(bench.get("/bluesky/xrpc/com.atproto.server.getSession")).await;
    assert_eq!(missing.refusal(), (401, "AuthMissing".to_owned()));
    bench.advance(7_200_000).await;
    let expired = session(&demo.access).await;
    assert_eq!(
        (expired.refusal(), expired.str("/message")),
        ((400, "ExpiredToken".to_owned()), "Token has expired".to_owned())
    );
    bench.script(json!({"network": "bluesky", "fault": {"kind": "token_lifetime", "access_s": 0}})).await;
    let fresh = refresh(&bench, &demo.refresh).await;
    assert_eq!(session(&fresh.str("/accessJwt")).await.refusal(), (400, "ExpiredToken".to_owned()));
}

#[tokio::test]
async fn refresh_rotates_with_two_hours_of_grace() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let first = refresh(&bench, &demo.refresh).await;
    assert_eq!(first.status, 200);
    let next = first.str("/refreshJwt");
    assert_ne!(next, demo.refresh);
    let jti = |token: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap())
                .unwrap();
        claims["jti"].as_str().unwrap().to_owned()
    };
    let again = refresh(&bench, &demo.refresh).await;
    assert_eq!(
        jti(&again.str("/refreshJwt")),
        jti(&next),
        "reuse within the grace leads to the same session"
    );
    bench.advance(7_200_000).await;
    let late = refresh(&bench, &demo.refresh).await;
    assert_eq!(
        (late.refusal(), late.str("/message")),
        ((400, "ExpiredToken".to_owned()), "Token has been revoked".to_owned())
    );
    let access = refresh(&bench, &first.str("/accessJwt")).await;
    assert_eq!(access.refusal().0, 400, "an access token does not refresh");
    assert_eq!(refresh(&bench, &next).await.status, 200);
    let out = bench.http.post(bench.url("/bluesky/xrpc/com.atproto.server.deleteSession")).bearer_auth(&next);
    assert_eq!(got(out).await.status, 200);
    assert_eq!(refresh(&bench, &next).await.refusal(), (400, "ExpiredToken".to_owned()));
    let old = bench.bluesky().await;
    bench.advance(91 * 86_400_000).await;
    assert_eq!(refresh(&bench, &old.refresh).await.str("/message"), "Token has expired");
}

#[tokio::test]
async fn put_record_is_idempotent_and_never_overwrites_with_a_null_swap() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let first = demo.put(KEY, "hi").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let cid = first.str("/cid");
    assert_eq!(first.str("/uri"), format!("at://{}/app.bsky.feed.post/{KEY}", demo.did));
    assert!(cid.starts_with("bafyrei") && cid.len() == 59);
    assert_eq!(first.str("/validationStatus"), "valid");
    let head = first.str("/commit/cid");
    assert_eq!(first.str("/commit/rev").len(), 13);

    let again = demo.put(KEY, "hi").await;
    assert_eq!((again.status, again.str("/cid")), (200, cid.clone()));
    assert!(again.body.get("commit").is_none(), "an identical record makes no commit");
    let other = demo.put(KEY, "other").await;
    assert_eq!(
        (other.refusal(), other.str("/message")),
        ((400, "InvalidSwap".to_owned()), format!("Record was at {cid}"))
    );
    let create = got(demo.call("createRecord", &demo.record(KEY, "hi"))).await;
    assert_eq!(
        (create.status, create.body),
        (500, json!({"error": "InternalServerError", "message": "Internal Server Error"}))
    );
    assert_eq!(bench.ledger().await.len(), 1);

    let mut body = demo.record(KEY, "edited");
    body["swapRecord"] = json!("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua");
    assert_eq!(got(demo.call("putRecord", &body)).await.refusal(), (400, "InvalidSwap".to_owned()));
    body["swapCommit"] = json!("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua");
    body["swapRecord"] = json!(cid);
    let stale = got(demo.call("putRecord", &body)).await;
    assert_eq!(stale.str("/message"), format!("Commit was at {head}"));
    body["swapCommit"] = json!(head);
    assert_eq!(got(demo.call("putRecord", &body)).await.status, 200, "the right swaps");
    assert_eq!(got(demo.call("putRecord", &demo.record(KEY, "again"))).await.status, 200, "no swap asked");
    let mut absent = demo.record(OTHER_KEY, "x");
    absent["swapRecord"] = json!(cid);
    assert_eq!(got(demo.call("putRecord", &absent)).await.str("/message"), "Record was at null");
    assert_eq!(demo.read(KEY).await.str("/value/text"), "again");
}

#[tokio::test]
async fn records_are_read_listed_and_deleted() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let missing = demo.read(KEY).await;
    assert_eq!(missing.refusal(), (400, "RecordNotFound".to_owned()));
    assert_eq!(
        missing.str("/message"),
        format!("Could not locate record: at://{}/app.bsky.feed.post/{KEY}", demo.did)
    );
    let mut keys = Vec::new();
    for n in 0..5 {
        let mut body = demo.record("", &format!("n{n}"));
        body.as_object_mut().unwrap().remove("rkey");
        let answer = got(demo.call("createRecord", &body)).await;
        keys.push(answer.str("/uri").rsplit('/').next().unwrap().to_owned());
    }
    let list = async |query: &str| {
        let path = format!(
            "/bluesky/xrpc/com.atproto.repo.listRecords?repo=demo.test&collection=app.bsky.feed.post&{query}"
        );
        let answer = got(bench.get(&path)).await;
        let texts: Vec<String> = answer.body["records"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .iter()
            .map(|record| record["value"]["text"].as_str().unwrap().to_owned())
            .collect();
        (texts, answer.body["cursor"].as_str().map(str::to_owned))
    };
    let (page, cursor) = list("limit=2").await;
    assert_eq!(page, ["n4", "n3"], "newest first");
    assert_eq!(cursor.as_ref(), Some(&keys[3]));
    assert_eq!(list(&format!("limit=2&cursor={}", keys[3])).await.0, ["n2", "n1"]);
    assert_eq!(list("limit=9").await, (["n4", "n3", "n2", "n1", "n0"].map(str::to_owned).to_vec(), None));
    assert_eq!(list(&format!("reverse=true&cursor={}", keys[2])).await.0, ["n3", "n4"]);
    let delete = json!({"repo": demo.did, "collection": "app.bsky.feed.post", "rkey": keys[0]});
    let deleted = got(demo.call("deleteRecord", &delete)).await;
    assert!(deleted.body["commit"]["cid"].is_string());
    let again = got(demo.call("deleteRecord", &delete)).await;
    assert_eq!((again.status, again.body), (200, json!({})));
    let unknown =
        got(bench.get("/bluesky/xrpc/com.atproto.repo.getRecord?repo=x.test&collection=a.b.c&rkey=1")).await;
    assert_eq!(unknown.str("/message"), "Could not find repo: x.test");
}

#[tokio::test]
async fn refuses_records_that_break_the_rules() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let try_record = async |rkey: &str, record: Value| {
        let body =
            json!({"repo": demo.did, "collection": "app.bsky.feed.post", "rkey": rkey, "record": record});
        let answer = got(demo.call("putRecord", &body)).await;
        (answer.status, answer.str("/error"), answer.str("/message"))
    };
    let (status, error, message) = try_record("hello", post("x")).await;
    assert_eq!((status, error.as_str()), (400, "InvalidRequest"));
    assert!(message.starts_with("Invalid record key for app.bsky.feed.post: "), "{message}");
    let mut record = post(&"x".repeat(301));
    let (_, _, message) = try_record(KEY, record.clone()).await;
    assert_eq!(
        message,
        "Invalid app.bsky.feed.post record: Record/text must not be longer than 300 graphemes"
    );
    record = post("x");
    record["$type"] = json!("app.bsky.feed.like");
    assert_eq!(try_record(KEY, record).await.0, 400);
    let elsewhere = json!({"repo": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "collection": "app.bsky.feed.post", "rkey": KEY, "record": post("x")});
    assert_eq!(
        got(demo.call("putRecord", &elsewhere)).await.refusal(),
        (401, "AuthenticationRequired".to_owned())
    );
    let known =
        json!({"repo": demo.did, "collection": "org.example.thing", "rkey": "one", "record": {"a": 1}});
    assert_eq!(got(demo.call("putRecord", &known)).await.str("/validationStatus"), "unknown");
    let anonymous = got(bench.post("/bluesky/xrpc/com.atproto.repo.putRecord", &demo.record(KEY, "x"))).await;
    assert_eq!(anonymous.refusal(), (401, "AuthMissing".to_owned()));
    assert_eq!(bench.ledger().await.len(), 0, "another collection is no post");
}

#[tokio::test]
async fn blobs_are_content_addressed_and_checked_when_used() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let blob = demo.upload(PNG, "image/jpeg").await.body["blob"].clone();
    assert_eq!(blob["mimeType"], "image/png", "the bytes tell, not the header");
    assert_eq!(blob["size"], PNG.len());
    assert!(blob["ref"]["$link"].as_str().unwrap().starts_with("bafkrei"));
    assert_eq!(demo.upload(PNG, "image/png").await.body["blob"]["ref"], blob["ref"]);
    let with = |blob: &Value, alt: Option<&str>| {
        let mut record = post("pic");
        let mut image = json!({"image": blob, "aspectRatio": {"width": 1, "height": 1}});
        if let Some(alt) = alt {
            image["alt"] = json!(alt);
        }
        record["embed"] = json!({"$type": "app.bsky.embed.images", "images": [image]});
        json!({"repo": demo.did, "collection": "app.bsky.feed.post", "rkey": KEY, "record": record})
    };
    let refusal = async |body: Value| {
        let answer = got(demo.call("putRecord", &body)).await;
        (answer.status, answer.str("/error"), answer.str("/message"))
    };
    let mut lost = blob.clone();
    lost["ref"]["$link"] = json!("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
    let expected = "Could not find blob: bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    assert_eq!(refusal(with(&lost, Some(""))).await, (400, "BlobNotFound".to_owned(), expected.to_owned()));
    let mut wrong = blob.clone();
    wrong["mimeType"] = json!("image/gif");
    assert_eq!(refusal(with(&wrong, Some(""))).await.1, "InvalidMimeType");
    let film = demo.upload(MP4, "video/mp4").await.body["blob"].clone();
    assert_eq!(refusal(with(&film, Some(""))).await.1, "InvalidMimeType");
    wrong = blob.clone();
    wrong["size"] = json!(1);
    assert_eq!(refusal(with(&wrong, Some(""))).await.1, "InvalidSize");
    assert!(refusal(with(&blob, None)).await.2.contains("images/0 must have the property \"alt\""));
    let large = demo.upload(&LARGE, "image/jpeg").await.body["blob"].clone();
    assert_eq!(refusal(with(&large, Some(""))).await.1, "BlobTooLarge");

    let posted = got(demo.call("putRecord", &with(&blob, Some("a dot")))).await;
    assert_eq!(posted.status, 200, "{}", posted.text);
    let line = &bench.ledger().await[0];
    assert_eq!(line["media"][0]["alt"], "a dot");
    assert_eq!(line["media"][0]["mime"], "image/png");
    let uri = posted.str("/uri");
    let view = got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&[("uris", &uri)])).await;
    let shown = got(bench.http.get(view.str("/posts/0/embed/images/0/fullsize"))).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/png"));
    bench.advance(3_600_000).await;
    assert_eq!(
        got(demo.call("putRecord", &with(&blob, Some("a dot")))).await.status,
        200,
        "referenced: kept"
    );
    let mut late = with(&large, Some(""));
    late["rkey"] = json!(OTHER_KEY);
    assert_eq!(refusal(late).await.1, "BlobNotFound", "unreferenced: dropped after an hour");
}

#[tokio::test]
async fn applies_a_thread_in_one_go_or_not_at_all() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let create = |rkey: &str, text: &str| {
        json!({"$type": "com.atproto.repo.applyWrites#create",
        "collection": "app.bsky.feed.post", "rkey": rkey, "value": post(text)})
    };
    let apply = async |writes: Value| {
        got(demo.call("applyWrites", &json!({"repo": demo.did, "writes": writes}))).await
    };
    let done = apply(json!([create(KEY, "1"), create(OTHER_KEY, "2")])).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.str("/results/1/$type"), "com.atproto.repo.applyWrites#createResult");
    assert!(done.body["commit"]["rev"].is_string());
    assert_eq!(apply(json!([create("3lxy2abcde24k", "3"), create(KEY, "1")])).await.status, 500);
    assert_eq!(apply(json!([create("3lxy2abcde24k", "3"), create("3lxy2abcde24k", "3")])).await.status, 500);
    assert_eq!(demo.read("3lxy2abcde24k").await.status, 400, "all or nothing");
    let ledger = bench.ledger().await;
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger[0]["request_id"], ledger[1]["request_id"]);
    assert_eq!(ledger[0]["visible_at_ms"], ledger[1]["visible_at_ms"]);
    for (n, key) in [KEY, OTHER_KEY].into_iter().enumerate() {
        let result = &done.body["results"][n];
        assert_eq!(result["uri"], format!("at://{}/app.bsky.feed.post/{key}", demo.did));
        assert_eq!(
            (&result["cid"], &result["validationStatus"]),
            (&demo.read(key).await.body["cid"], &json!("valid"))
        );
    }
    let long = create("3lxy2abcde25k", &"x".repeat(301));
    let refused = apply(json!([create(KEY, "1"), long])).await;
    assert_eq!(
        refused.refusal(),
        (400, "InvalidRequest".to_owned()),
        "records are checked before keys are looked up"
    );
    let stranger = json!({"repo": "other.test", "writes": [create("3lxy2abcde24k", "3")]});
    assert_ne!(got(demo.call("applyWrites", &stranger)).await.status, 200);
    let unsigned = bench.post("/bluesky/xrpc/com.atproto.repo.applyWrites", &stranger);
    assert_eq!(got(unsigned).await.refusal(), (401, "AuthMissing".to_owned()));
    let many: Vec<Value> = (0..201).map(|_| create("3lxy2abcde24k", "3")).collect();
    assert_eq!(apply(json!(many)).await.refusal(), (400, "InvalidRequest".to_owned()));
    let delete = json!({"$type": "com.atproto.repo.applyWrites#delete", "collection": "app.bsky.feed.post", "rkey": KEY});
    assert_eq!(apply(json!([delete])).await.status, 200);
    assert_eq!(demo.read(KEY).await.status, 400);
}

#[tokio::test]
async fn each_write_of_many_costs_its_points() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    bench.control("limits", json!({"network": "bluesky", "enforce": true})).await;
    let write = |n: usize| {
        json!({"$type": "com.atproto.repo.applyWrites#create", "collection": "app.bsky.feed.post",
        "value": post(&n.to_string())})
    };
    let apply = async |count: usize| {
        let writes: Vec<Value> = (0..count).map(write).collect();
        got(demo.call("applyWrites", &json!({"repo": demo.did, "writes": writes}))).await
    };
    for _ in 0..8 {
        assert_eq!(apply(200).await.status, 200);
    }
    assert_eq!(apply(66).await.status, 200, "4998 of 5000 points");
    assert_eq!(apply(1).await.refusal(), (429, "RateLimitExceeded".to_owned()));
}

#[tokio::test]
async fn facets_are_kept_verbatim_and_replies_counted() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let root = demo.put(KEY, "root").await;
    let strong = json!({"uri": root.str("/uri"), "cid": root.str("/cid")});
    let mut record = post("sée a.org");
    record["facets"] = json!([{"index": {"byteStart": 5, "byteEnd": 10}, "features": [
        {"$type": "app.bsky.richtext.facet#link", "uri": "https://a.org/x"}]}]);
    record["reply"] = json!({"root": strong, "parent": strong});
    let body =
        json!({"repo": demo.did, "collection": "app.bsky.feed.post", "rkey": OTHER_KEY, "record": record});
    assert_eq!(got(demo.call("createRecord", &body)).await.status, 200);
    assert_eq!(demo.read(OTHER_KEY).await.body["value"], record);
    let view =
        got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&[("uris", root.str("/uri"))])).await;
    assert_eq!(view.body["posts"][0]["replyCount"], 1);
    assert_eq!(view.body["posts"][0]["author"]["handle"], "demo.test");
    let none =
        got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts?uris=at://did:plc:x/app.bsky.feed.post/3")).await;
    assert_eq!(none.body, json!({"posts": []}), "what is missing is silently absent");
    let many: Vec<_> = (0..26).map(|n| ("uris", n.to_string())).collect();
    assert_eq!(got(bench.get("/bluesky/xrpc/app.bsky.feed.getPosts").query(&many)).await.status, 400);
    let profile = got(bench.get("/bluesky/xrpc/app.bsky.actor.getProfile?actor=demo.test")).await;
    assert_eq!((profile.str("/displayName"), &profile.body["postsCount"]), ("Demo".to_owned(), &json!(2)));
}

#[tokio::test]
async fn limits_are_announced_and_enforced_when_asked() {
    let bench = Bench::new().await;
    let demo = bench.bluesky().await;
    let first = demo.put(KEY, "x").await;
    assert_eq!(first.header("ratelimit-policy"), "3000;w=300");
    assert!(first.header("ratelimit-reset").parse::<u64>().unwrap() > 1_700_000_000);
    assert_eq!(first.header("ratelimit-limit"), "3000");
    bench.control("limits", json!({"network": "bluesky", "enforce": true})).await;
    for _ in 0..30 {
        assert_eq!(login(&bench, "demo.test", "wrong").await.status, 401);
    }
    let refused = login(&bench, "demo.test", "demo-demo-demo-demo").await;
    assert_eq!(
        (refused.refusal(), refused.str("/message")),
        ((429, "RateLimitExceeded".to_owned()), "Rate Limit Exceeded".to_owned())
    );
    assert_eq!(refused.header("ratelimit-policy"), "30;w=300");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=300).contains(&wait));
    bench.advance(wait * 1000).await;
    let again = Bluesky::login(&bench, "demo.test", "demo-demo-demo-demo").await;
    assert_eq!(again.put(OTHER_KEY, "y").await.status, 200);
}

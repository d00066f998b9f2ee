//! Every documented answer of the Mastodon stand-in.

use serde_json::{Value, json};

use crate::support::{Bench, MP4, Mastodon, PNG, REDIRECT, agree, exchange, got, press, query, register};

#[tokio::test]
async fn says_what_it_is() {
    let bench = Bench::new().await;
    let v2 = got(bench.get("/mastodon/api/v2/instance")).await;
    let configuration = &v2.body["configuration"];
    assert_eq!(configuration["statuses"]["max_characters"], 500);
    assert_eq!(configuration["statuses"]["characters_reserved_per_url"], 23);
    assert_eq!(configuration["polls"]["max_expiration"], 2_629_746);
    assert_eq!(configuration["media_attachments"]["image_size_limit"], 16_777_216);
    assert!(v2.body["api_versions"]["mastodon"].is_u64());
    let v1 = got(bench.get("/mastodon/api/v1/instance")).await;
    assert_eq!(&v1.body["configuration"], configuration);
    let base = bench.url("/mastodon");
    let metadata = got(bench.get("/mastodon/.well-known/oauth-authorization-server")).await;
    assert_eq!(metadata.body["authorization_endpoint"], format!("{base}/oauth/authorize"));
    assert_eq!(metadata.body["code_challenge_methods_supported"], json!(["S256"]));
    let links = got(bench.get("/mastodon/.well-known/nodeinfo")).await;
    assert_eq!(links.body["links"][0]["href"], format!("{base}/nodeinfo/2.0"));
    assert_eq!(got(bench.get("/mastodon/nodeinfo/2.0")).await.body["software"]["name"], "mastodon");
    assert_eq!(got(bench.get("/mastodon/api/v9/nothing/at/all")).await.status, 404);
}

#[tokio::test]
async fn registers_apps_or_says_why_not() {
    let bench = Bench::new().await;
    let good = json!({"client_name": "n", "redirect_uris": "https://a.org/cb\nurn:ietf:wg:oauth:2.0:oob",
        "scopes": "read write:media", "website": "https://a.org"});
    let answer = got(bench.post("/mastodon/api/v1/apps", &good)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["redirect_uris"], json!(["https://a.org/cb", "urn:ietf:wg:oauth:2.0:oob"]));
    assert_eq!(answer.body["scopes"], json!(["read", "write:media"]));
    assert_eq!(answer.body["client_secret_expires_at"], 0);
    let bad = json!({"client_name": "n", "redirect_uris": ["not a uri"]});
    let expected = (422, "Validation failed: Redirect URI must be an absolute URI.".to_owned());
    assert_eq!(got(bench.post("/mastodon/api/v1/apps", &bad)).await.refusal(), expected);
}

#[tokio::test]
async fn a_person_can_agree_or_decline() {
    let bench = Bench::new().await;
    let (id, secret) = register(&bench, "read write").await;
    let question = [
        ("client_id", id.as_str()),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "read"),
        ("state", "\"><script>"),
    ];
    let page = got(bench.get("/mastodon/oauth/authorize").query(&question)).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("value=\"demo\"")
            && page.text.contains(">Authorize<")
            && page.text.contains(">Deny<")
    );
    assert!(page.text.contains("&quot;&gt;&lt;script&gt;") && !page.text.contains("<script>"));

    let denied = press(&bench, &id, "demo", "read", &[("decision", "deny")]).await;
    let location = denied.header("location");
    assert_eq!(
        (query(location, "error"), query(location, "state")),
        (Some("access_denied".into()), Some("s t".into()))
    );
    assert_eq!(query(location, "tenant").as_deref(), Some("a"), "the redirect keeps its own query");
    let scope = press(&bench, &id, "demo", "push", &[]).await;
    assert_eq!(query(scope.header("location"), "error").as_deref(), Some("invalid_scope"));
    assert_eq!(
        press(&bench, &id, "demo", "read", &[("redirect_uri", "https://evil.org/")]).await.status,
        400
    );
    assert_eq!(press(&bench, "nobody", "demo", "read", &[]).await.status, 401);
    assert_eq!(press(&bench, &id, "nobody", "read", &[]).await.status, 400);

    let oob = press(&bench, &id, "demo", "read", &[("redirect_uri", "urn:ietf:wg:oauth:2.0:oob")]).await;
    assert_eq!(oob.status, 200);
    let code = oob.text.split("<code>").nth(1).unwrap().split('<').next().unwrap();
    let answer = exchange(&bench, &id, &secret, code, &[]).await;
    assert_eq!(answer.refusal(), (400, "invalid_grant".to_owned()), "the redirect differs");
}

#[tokio::test]
async fn codes_work_once_for_ten_minutes_with_their_verifier() {
    let bench = Bench::new().await;
    let (id, secret) = register(&bench, "read write").await;
    let invalid = (400, "invalid_grant".to_owned());
    let code = agree(&bench, &id, "demo", "read", &[]).await;
    assert_eq!(
        exchange(&bench, &id, "wrong", &code, &[]).await.refusal(),
        (401, "invalid_client".to_owned())
    );
    let answer = exchange(&bench, &id, &secret, &code, &[]).await;
    assert_eq!((answer.status, answer.str("/token_type")), (200, "Bearer".to_owned()));
    assert_eq!(answer.body["scope"], "read");
    assert!(answer.body["created_at"].is_i64() && answer.body.get("expires_in").is_none());
    assert_eq!(exchange(&bench, &id, &secret, &code, &[]).await.refusal(), invalid, "used");

    let code = agree(&bench, &id, "demo", "read", &[]).await;
    bench.advance(600_000).await;
    assert_eq!(exchange(&bench, &id, &secret, &code, &[]).await.refusal(), invalid, "expired");

    // The pair of RFC 7636, appendix B.
    let challenge = [
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    let code = agree(&bench, &id, "demo", "read", &challenge).await;
    assert_eq!(exchange(&bench, &id, &secret, &code, &[]).await.refusal(), invalid, "no verifier");
    let wrong = [("code_verifier", "wrong")];
    assert_eq!(exchange(&bench, &id, &secret, &code, &wrong).await.refusal(), invalid);
    let right = [("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")];
    assert_eq!(exchange(&bench, &id, &secret, &code, &right).await.status, 200);
}

#[tokio::test]
async fn tokens_are_checked_scoped_and_revoked() {
    let bench = Bench::new().await;
    let who = "/mastodon/api/v1/accounts/verify_credentials";
    let error = |text: &str| (401, text.to_owned());
    assert_eq!(got(bench.get(who)).await.refusal(), error("The access token is invalid"));
    assert_eq!(got(bench.get(who).bearer_auth("x")).await.refusal(), error("The access token is invalid"));
    let demo = bench.mastodon().await;
    let me = got(demo.get("/api/v1/accounts/verify_credentials")).await;
    assert_eq!((me.str("/username"), me.str("/id")), ("demo".to_owned(), "1".to_owned()));
    assert_eq!(me.body["source"]["privacy"], "public");

    let reader = Mastodon::connect(&bench, "demo", "read").await;
    let refused = got(reader.post(&json!({"status": "no"}))).await.refusal();
    assert_eq!(refused, (403, "This action is outside the authorized scopes".to_owned()));

    let revoke = async |client: &Mastodon<'_>, token: &str| {
        let form =
            [("client_id", &*client.client_id), ("client_secret", &*client.client_secret), ("token", token)];
        got(bench.http.post(bench.url("/mastodon/oauth/revoke")).form(&form)).await
    };
    assert_eq!(revoke(&reader, &demo.token).await.refusal(), (403, "unauthorized_client".to_owned()));
    for _ in 0..2 {
        let answer = revoke(&demo, &demo.token).await;
        assert_eq!((answer.status, answer.body), (200, json!({})));
    }
    let refused = got(demo.get("/api/v1/accounts/verify_credentials")).await.refusal();
    assert_eq!(refused, error("The access token was revoked"));
}

#[tokio::test]
async fn posts_and_reads_back() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let first = demo.say("hello https://example.org/?a=1&b=2 #Tag <b>").await;
    let id = first.str("/id");
    assert_eq!(first.body["visibility"], "public");
    assert_eq!(first.body["application"]["name"], "tester");
    assert_eq!(first.body["card"], Value::Null);
    assert_eq!(first.body["tags"][0]["name"], "tag");
    assert!(first.str("/content").contains("&lt;b&gt;") && first.str("/content").contains("a=1&amp;b=2"));
    assert_eq!(first.str("/url"), bench.url(&format!("/mastodon/@demo/{id}")));
    assert!(first.str("/created_at").ends_with('Z') && first.str("/created_at").len() == 24);

    let reply = json!({"status": "reply", "in_reply_to_id": id, "visibility": "private", "spoiler_text": "cw", "language": "de"});
    let reply = got(demo.post(&reply)).await;
    assert_eq!(reply.body["in_reply_to_id"], id.as_str());
    assert_eq!(reply.body["in_reply_to_account_id"], "1");
    assert_eq!((&reply.body["sensitive"], &reply.body["language"]), (&json!(true), &json!("de")));
    let reply_id = reply.str("/id");
    assert_eq!(got(demo.get(&format!("/api/v1/statuses/{id}"))).await.body["replies_count"], 1);
    let context = got(demo.get(&format!("/api/v1/statuses/{reply_id}/context"))).await;
    assert_eq!(context.body["ancestors"][0]["id"], id.as_str());
    let hidden = got(bench.get(&format!("/mastodon/api/v1/statuses/{reply_id}"))).await;
    assert_eq!(hidden.refusal(), (404, "Record not found".to_owned()), "private without a token");
    let source = got(demo.get(&format!("/api/v1/statuses/{reply_id}/source"))).await;
    assert_eq!((source.str("/text"), source.str("/spoiler_text")), ("reply".to_owned(), "cw".to_owned()));
    let many = got(demo.get(&format!("/api/v1/statuses?id[]={reply_id}&id[]=5&id[]={id}"))).await;
    assert_eq!(many.body.as_array().unwrap().len(), 2);

    let delete = || {
        bench
            .http
            .delete(bench.url(&format!("/mastodon/api/v1/statuses/{reply_id}")))
            .bearer_auth(&demo.token)
    };
    assert_eq!(got(delete()).await.str("/text"), "reply");
    assert_eq!(got(delete()).await.refusal(), (404, "Record not found".to_owned()));
    assert_eq!(got(demo.get(&format!("/api/v1/statuses/{id}"))).await.body["replies_count"], 0);
    assert_eq!(bench.ledger().await.len(), 2, "what was visible stays in the ledger");
}

#[tokio::test]
async fn takes_json_forms_and_multipart() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let url = bench.url("/mastodon/api/v1/statuses");
    let media = demo.upload(PNG, "image/png").await.str("/id");
    let form = [("status", "form"), ("media_ids[]", media.as_str()), ("sensitive", "true")];
    let answer = got(bench.http.post(&url).bearer_auth(&demo.token).form(&form)).await;
    assert_eq!(answer.body["media_attachments"][0]["id"], media.as_str());
    assert_eq!(answer.body["sensitive"], true);
    let form = reqwest::multipart::Form::new()
        .text("status", "poll?")
        .text("poll[options][]", "yes")
        .text("poll[options][]", "no")
        .text("poll[expires_in]", "300")
        .text("poll[multiple]", "1");
    let answer = got(bench.http.post(&url).bearer_auth(&demo.token).multipart(form)).await;
    assert_eq!(answer.body["poll"]["options"][1]["title"], "no");
    assert_eq!(answer.body["poll"]["multiple"], true);
}

#[tokio::test]
async fn refuses_with_the_documented_words() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let image = async || demo.upload(PNG, "image/png").await.str("/id");
    bench.script(json!({"network": "mastodon", "operation": "media_upload", "fault": {"kind": "processing", "ms": 0}, "times": 0})).await;
    let film = demo.upload(MP4, "video/mp4").await.str("/id");
    let images = [image().await, image().await, image().await, image().await, image().await];
    bench.http.delete(bench.url("/_sandbox/script")).send().await.unwrap();
    bench.script(json!({"network": "mastodon", "operation": "media_upload", "fault": {"kind": "processing", "ms": 3_600_000}})).await;
    let unfinished = demo.upload(MP4, "video/mp4").await.str("/id");
    let poll = |options: Value, expires_in: i64| json!({"status": "?", "poll": {"options": options, "expires_in": expires_in}});
    for (body, status, error) in [
        (json!({}), 422, "Validation failed: Text can't be blank"),
        (json!({"status": "  "}), 422, "Validation failed: Text can't be blank"),
        (json!({"status": "x".repeat(501)}), 422, "Validation failed: Text character limit of 500 exceeded"),
        (
            json!({"status": "x".repeat(499), "spoiler_text": "cw"}),
            422,
            "Validation failed: Text character limit of 500 exceeded",
        ),
        (
            json!({"status": "x", "in_reply_to_id": "5"}),
            404,
            "The post you are trying to reply to does not appear to exist.",
        ),
        (
            json!({"status": "x", "visibility": "secret"}),
            422,
            "Validation failed: Visibility is not included in the list",
        ),
        (json!({"media_ids": images}), 422, "Cannot attach more than 4 files"),
        (
            json!({"media_ids": [&images[0], &film]}),
            422,
            "Cannot attach a video to a post that already contains images",
        ),
        (
            json!({"media_ids": [&unfinished]}),
            422,
            "Cannot attach files that have not finished processing. Try again in a moment!",
        ),
        (json!({"media_ids": ["77", &film]}), 422, "Media 77 not found or already attached to another post"),
        (poll(json!(["a"]), 300), 422, "Validation failed: Options must have more than one item"),
        (poll(json!(["a", "b"]), 299), 422, "Validation failed: Expires at is too soon"),
        (poll(json!(["a", "b"]), 2_629_747), 422, "Validation failed: Expires at is too far into the future"),
        (
            poll(json!(["a", "b", "c", "d", "e"]), 300),
            422,
            "Validation failed: Options can't contain more than 4 items",
        ),
        (
            poll(json!(["a", "x".repeat(51)]), 300),
            422,
            "Validation failed: Options cannot be longer than 50 characters each",
        ),
    ] {
        assert_eq!(got(demo.post(&body)).await.refusal(), (status, error.to_owned()), "{body}");
    }
    assert_eq!(bench.ledger().await.len(), 0);
    let fits = format!("{} https://example.org/{}", "x".repeat(476), "y".repeat(300));
    demo.say(&fits).await;
    assert_eq!(got(demo.post(&json!({"media_ids": images[..4]}))).await.status, 200);
    let again = got(demo.post(&json!({"media_ids": [&images[0]]}))).await;
    assert_eq!(again.status, 422, "attached already");
}

#[tokio::test]
async fn processes_media_as_long_as_told() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let image = demo.upload(PNG, "image/png").await;
    assert_eq!((image.status, image.str("/type")), (200, "image".to_owned()));
    assert_eq!(image.body["meta"]["original"]["width"], 1);
    assert_eq!(image.str("/description"), "a picture");
    let shown = got(bench.http.get(image.str("/url"))).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/png"));

    let film = demo.upload(MP4, "video/mp4").await;
    assert_eq!((film.status, film.str("/type"), &film.body["url"]), (202, "video".to_owned(), &Value::Null));
    let path = format!("/api/v1/media/{}", film.str("/id"));
    bench.advance(1000).await;
    let ready = got(demo.get(&path)).await;
    assert_eq!(ready.status, 200);
    assert!(ready.str("/url").starts_with("http://"));

    let rule = |fault: Value| json!({"network": "mastodon", "operation": "media_upload", "fault": fault});
    bench.script(rule(json!({"kind": "processing", "ms": 5000, "fails": true}))).await;
    let path = format!("/api/v1/media/{}", demo.upload(MP4, "video/mp4").await.str("/id"));
    assert_eq!(got(demo.get(&path)).await.status, 206);
    bench.advance(5000).await;
    let failed = (422, "Error processing thumbnail for uploaded media".to_owned());
    assert_eq!(got(demo.get(&path)).await.refusal(), failed);

    let bad = demo.upload(b"this is no picture", "image/png").await;
    let invalid = (422, "Validation failed: File content type is invalid, File is invalid".to_owned());
    assert_eq!(bad.refusal(), invalid);

    let path = format!("/api/v1/media/{}", image.str("/id"));
    let put = bench.http.put(bench.url(&format!("/mastodon{path}"))).bearer_auth(&demo.token);
    assert_eq!(got(put.json(&json!({"description": "better"}))).await.str("/description"), "better");
    let long = bench.http.put(bench.url(&format!("/mastodon{path}"))).bearer_auth(&demo.token);
    assert_eq!(got(long.json(&json!({"description": "x".repeat(1501)}))).await.status, 422);
    let delete = bench.http.delete(bench.url(&format!("/mastodon{path}"))).bearer_auth(&demo.token);
    assert_eq!(got(delete).await.status, 200);
    assert_eq!(got(demo.get(&path)).await.refusal(), (404, "Record not found".to_owned()));
    let kept = demo.upload(PNG, "image/png").await.str("/id");
    bench.advance(86_400_000).await;
    assert_eq!(got(demo.get(&format!("/api/v1/media/{kept}"))).await.status, 404, "purged after a day");
}

#[tokio::test]
async fn an_idempotency_key_makes_one_status_within_the_hour() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let say = async |text: &str, key: &str| {
        got(demo.post(&json!({"status": text})).header("Idempotency-Key", key)).await
    };
    assert_eq!(say("", "a").await.status, 422, "a refusal stores nothing");
    let first = say("one", "a").await.str("/id");
    let replay = say("another text", "a").await;
    assert_eq!((replay.status, replay.str("/id")), (200, first.clone()));
    assert!(replay.str("/content").contains("one"), "the body is not compared");
    assert_ne!(say("two", "b").await.str("/id"), first);
    bench.control("accounts", json!({"network": "mastodon", "handle": "ada"})).await;
    let ada = Mastodon::connect(&bench, "ada", "read write").await;
    let other = got(ada.post(&json!({"status": "mine"})).header("Idempotency-Key", "a")).await;
    assert_ne!(other.str("/id"), first, "keys belong to an account");
    assert_eq!(bench.ledger().await.len(), 3);
    bench.script(json!({"network": "mastodon", "operation": "publish", "fault": {"kind": "ignore_idempotency_key"}})).await;
    assert_ne!(say("one", "a").await.str("/id"), first);
    bench.advance(3_600_000).await;
    assert_ne!(say("one", "b").await.str("/id"), first, "an hour later the key is forgotten");
    assert_eq!(bench.ledger().await.len(), 5);
}

#[tokio::test]
async fn lists_an_accounts_statuses_in_pages() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(demo.say(&format!("n{n}")).await.str("/id"));
    }
    let list = async |query: &str| {
        let answer = got(demo.get(&format!("/api/v1/accounts/1/statuses?{query}"))).await;
        let found: Vec<String> = answer
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|status| status["id"].as_str().unwrap().to_owned())
            .collect();
        (found, answer.header("link").to_owned())
    };
    let (page, link) = list("limit=2").await;
    assert_eq!(page, [&*ids[4], &*ids[3]]);
    let base = bench.url("/mastodon/api/v1/accounts/1/statuses?limit=2");
    assert_eq!(
        link,
        format!("<{base}&max_id={}>; rel=\"next\", <{base}&min_id={}>; rel=\"prev\"", ids[3], ids[4])
    );
    assert_eq!(list(&format!("limit=2&max_id={}", ids[3])).await.0, [&*ids[2], &*ids[1]]);
    assert_eq!(list(&format!("limit=2&min_id={}", ids[0])).await.0, [&*ids[2], &*ids[1]]);
    assert_eq!(list(&format!("min_id={}", ids[4])).await.0, [""; 0]);
    assert_eq!(list(&format!("min_id={}&max_id={}", ids[3], ids[2])).await.0, [""; 0]);
}

#[tokio::test]
async fn limits_are_announced_and_enforced_when_asked() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let first = demo.say("one").await;
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("300", "299"));
    let reset = first.header("x-ratelimit-reset");
    assert!(reset.len() == 27 && reset.ends_with(".000000Z"), "{reset}");
    bench.control("limits", json!({"network": "mastodon", "enforce": true})).await;
    for n in 0..30 {
        assert_eq!(demo.upload(PNG, "image/png").await.status, 200, "{n}");
    }
    let refused = demo.upload(PNG, "image/png").await;
    assert_eq!(refused.refusal(), (429, "Too many requests".to_owned()));
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert!(!refused.headers.contains_key("retry-after"));
    bench.advance(1_800_000).await;
    assert_eq!(demo.upload(PNG, "image/png").await.status, 200);
    let keyed = || demo.post(&json!({"status": "x"})).header("Idempotency-Key", "k");
    let before = got(keyed()).await.header("x-ratelimit-remaining").to_owned();
    for _ in 0..3 {
        assert_eq!(got(keyed()).await.status, 200);
    }
    let after: u64 =
        got(demo.post(&json!({"status": "y"}))).await.header("x-ratelimit-remaining").parse().unwrap();
    assert_eq!(after + 1, before.parse::<u64>().unwrap(), "replays are not charged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_sent_many_times_at_once_is_one_status() {
    let bench = Bench::new().await;
    let demo = bench.mastodon().await;
    let sends =
        (0..16).map(|n| got(demo.post(&json!({"status": format!("n{n}")})).header("Idempotency-Key", "k")));
    let answers = futures::future::join_all(sends).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body["id"] == answers[0].body["id"]));
    assert_eq!(bench.ledger().await.len(), 1);
}

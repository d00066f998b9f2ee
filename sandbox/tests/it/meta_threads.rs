//! Every documented answer of the Threads stand-in. (The parts of a thread on other networks are in `threads.rs`.)

use serde_json::{Value, json};

use crate::support::{Bench, Got, PNG, REDIRECT, got, query};

const SCOPES: &str = "threads_basic,threads_content_publish,threads_manage_replies,threads_read_replies,\
                      threads_manage_insights,threads_delete";
const DAY_MS: u64 = 86_400_000;

struct Threads<'b> {
    bench: &'b Bench,
    token: String,
}

impl<'b> Threads<'b> {
    async fn connect(bench: &'b Bench) -> Self {
        Self::with(bench, SCOPES).await
    }

    async fn with(bench: &'b Bench, scopes: &str) -> Self {
        let short = exchange(bench, &agree(bench, scopes).await, REDIRECT).await.str("/access_token");
        let token = lengthen(bench, &short).await.str("/access_token");
        Self { bench, token }
    }

    async fn get(&self, path: &str) -> Got {
        let joint = if path.contains('?') { '&' } else { '?' };
        got(self.bench.get(&format!("/threads/v1.0{path}{joint}access_token={}", self.token))).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let fields = [fields, &[("access_token", self.token.as_str())]].concat();
        got(self.bench.http.post(self.bench.url(&format!("/threads/v1.0{path}"))).form(&fields)).await
    }

    async fn create(&self, fields: &[(&str, &str)]) -> String {
        let made = self.post("/me/threads", fields).await;
        assert_eq!(made.status, 200, "{}", made.text);
        made.str("/id")
    }

    async fn publish(&self, container: &str) -> Got {
        self.post("/me/threads_publish", &[("creation_id", container)]).await
    }

    async fn say(&self, text: &str, parent: Option<&str>) -> String {
        let mut fields = vec![("media_type", "TEXT"), ("text", text)];
        fields.extend(parent.map(|parent| ("reply_to_id", parent)));
        let container = self.create(&fields).await;
        self.publish(&container).await.str("/id")
    }

    async fn delete(&self, id: &str) -> Got {
        let url = self.bench.url(&format!("/threads/v1.0/{id}?access_token={}", self.token));
        got(self.bench.http.delete(url)).await
    }
}

async fn agree(bench: &Bench, scopes: &str) -> String {
    let form = [
        ("client_id", "sandbox-threads"),
        ("redirect_uri", REDIRECT),
        ("scope", scopes),
        ("response_type", "code"),
        ("state", "s"),
        ("account", "demo"),
        ("decision", "authorize"),
    ];
    let back = got(bench.http.post(bench.url("/threads/oauth/authorize")).form(&form)).await;
    assert!(back.header("location").ends_with("#_"), "{}", back.header("location"));
    query(back.header("location"), "code").unwrap()
}

async fn exchange(bench: &Bench, code: &str, redirect_uri: &str) -> Got {
    let form = [
        ("client_id", "sandbox-threads"),
        ("client_secret", "sandbox-threads-secret"),
        ("code", code),
        ("grant_type", "authorization_code"),
        ("redirect_uri", redirect_uri),
    ];
    got(bench.http.post(bench.url("/threads/oauth/access_token")).form(&form)).await
}

async fn lengthen(bench: &Bench, token: &str) -> Got {
    let path = "/threads/access_token?grant_type=th_exchange_token&client_secret=sandbox-threads-secret";
    got(bench.get(&format!("{path}&access_token={token}"))).await
}

async fn renew(bench: &Bench, token: &str) -> Got {
    let path = "/threads/refresh_access_token?grant_type=th_refresh_token";
    got(bench.get(&format!("{path}&access_token={token}"))).await
}

/// Status, code and subcode of a refusal.
fn refusal(answer: &Got) -> (u16, i64, i64) {
    let number = |name: &str| answer.body["error"][name].as_i64().unwrap_or(0);
    (answer.status, number("code"), number("error_subcode"))
}

#[tokio::test]
async fn a_code_works_once_and_its_token_grows_long() {
    let bench = Bench::new().await;
    let code = agree(&bench, SCOPES).await;
    let elsewhere = exchange(&bench, &code, "http://127.0.0.1:9/other").await;
    assert_eq!((elsewhere.status, &elsewhere.body["error_type"]), (400, &json!("OAuthException")));
    let short = exchange(&bench, &code, REDIRECT).await;
    assert!(short.text.contains("\"user_id\":1701234567890123456"), "a number: {}", short.text);
    let again = exchange(&bench, &code, REDIRECT).await;
    assert_eq!(again.str("/error_message"), "Matching code was not found or was already used");
    let long = lengthen(&bench, &short.str("/access_token")).await;
    assert_eq!(long.body["expires_in"], 60 * 86_400);
    let token = long.str("/access_token");
    assert_eq!(renew(&bench, &token).await.status, 400, "it is not a day old");
    bench.advance(DAY_MS).await;
    assert_eq!(refusal(&lengthen(&bench, &short.str("/access_token")).await), (400, 190, 463));
    let next = renew(&bench, &token).await.str("/access_token");
    assert_ne!(next, token);
    bench.advance(59 * DAY_MS).await;
    assert_eq!(refusal(&renew(&bench, &token).await), (400, 190, 463), "what has ended is not renewed");
    assert_eq!(renew(&bench, &next).await.status, 200);
}

#[tokio::test]
async fn reads_and_writes_are_for_those_who_may() {
    let bench = Bench::new().await;
    let reader = Threads::with(&bench, "threads_basic").await;
    let me = reader.get("/me?fields=id,username").await;
    assert_eq!(me.body, json!({ "id": "1701234567890123456", "username": "demo" }));
    assert_eq!(refusal(&reader.get("/me/threads_publishing_limit?fields=quota_usage").await), (403, 10, 0));
    let text = [("media_type", "TEXT"), ("text", "hi")];
    assert_eq!(refusal(&reader.post("/me/threads", &text).await), (403, 10, 0));
    let demo = Threads::connect(&bench).await;
    let saved = demo.post("/1701234567890123456/threads", &text).await;
    assert_eq!(refusal(&saved), (400, 24, 4_279_009), "a saved number does not work for writing");
    let stranger = Threads { bench: &bench, token: "THnothing".into() };
    assert_eq!(refusal(&stranger.get("/me").await), (400, 190, 0));
}

#[tokio::test]
async fn a_container_is_published_once_and_is_never_a_post() {
    let bench = Bench::new().await;
    let demo = Threads::connect(&bench).await;
    let container = demo.create(&[("media_type", "TEXT"), ("text", "hello 👋")]).await;
    assert_eq!(demo.get(&format!("/{container}?fields=status")).await.body["status"], "FINISHED");
    let post = demo.publish(&container).await.str("/id");
    assert_ne!(post, container);
    assert_eq!(demo.get(&format!("/{container}?fields=status")).await.body["status"], "PUBLISHED");
    assert_eq!(refusal(&demo.publish(&container).await), (400, 24, 4_279_009));
    let asked = demo.get(&format!("/{post}?fields=status")).await;
    assert_eq!(asked.str("/error/message"), "Tried accessing nonexisting field (status)");
    let shown = demo.get(&format!("/{post}?fields=text,permalink,media_type,timestamp")).await;
    assert_eq!((shown.str("/text"), shown.str("/media_type")), ("hello 👋".into(), "TEXT_POST".into()));
    assert!(shown.str("/timestamp").ends_with("+0000"));
    assert!(shown.str("/permalink").ends_with(&post), "{}", shown.text);
    let ledger = bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["native_id"]), (1, &json!(post)));

    let late = demo.create(&[("media_type", "TEXT"), ("text", "late")]).await;
    bench.advance(DAY_MS).await;
    assert_eq!(demo.get(&format!("/{late}?fields=status")).await.body["status"], "EXPIRED");
    assert_eq!(refusal(&demo.publish(&late).await), (400, 24, 4_279_009));
}

#[tokio::test]
async fn files_are_fetched_processed_and_judged() {
    let bench = Bench::new().await;
    let demo = Threads::connect(&bench).await;
    let mastodon = bench.mastodon().await;
    mastodon.upload(PNG, "image/png").await;
    let picture = bench.url(&format!("/_sandbox/media/{}", digest(PNG)));
    let image = demo.create(&[("media_type", "IMAGE"), ("image_url", &picture), ("alt_text", "a dot")]).await;
    assert_eq!(demo.get(&format!("/{image}?fields=status")).await.body["status"], "IN_PROGRESS");
    assert_eq!(refusal(&demo.publish(&image).await), (400, 24, 4_279_009), "not yet");
    bench.advance(1000).await;
    assert_eq!(demo.publish(&image).await.status, 200);
    let missing = bench.url("/_sandbox/media/none");
    let away = demo.post("/me/threads", &[("media_type", "IMAGE"), ("image_url", &missing)]).await;
    assert_eq!(refusal(&away), (400, 9004, 2_207_052));
    for (url, why) in [(&missing, "FAILED_DOWNLOADING_VIDEO"), (&picture, "FAILED_PROCESSING_VIDEO")] {
        let video = demo.create(&[("media_type", "VIDEO"), ("video_url", url)]).await;
        bench.advance(1000).await;
        let status = demo.get(&format!("/{video}?fields=status,error_message")).await.body;
        assert_eq!((&status["status"], &status["error_message"]), (&json!("ERROR"), &json!(why)));
    }
    let item = [("media_type", "IMAGE"), ("image_url", picture.as_str()), ("is_carousel_item", "true")];
    let items = [demo.create(&item).await, demo.create(&item).await];
    let both = items.join(",");
    let parent = [("media_type", "CAROUSEL"), ("children", both.as_str()), ("text", "two")];
    assert_eq!(refusal(&demo.post("/me/threads", &parent).await), (400, 100, 0), "its items are not ready");
    bench.advance(1000).await;
    let parent = demo.create(&parent).await;
    assert_eq!(demo.publish(&parent).await.status, 200);
    let media: Vec<Value> = bench.ledger().await.iter().map(|line| line["media"].clone()).collect();
    assert_eq!((media[0][0]["alt"].clone(), media[1].as_array().unwrap().len()), (json!("a dot"), 2));
}

fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}

#[tokio::test]
async fn replies_are_listed_apart_and_need_their_parent() {
    let bench = Bench::new().await;
    let demo = Threads::connect(&bench).await;
    let orphan = [("media_type", "TEXT"), ("text", "x"), ("reply_to_id", "17")];
    assert_eq!(refusal(&demo.post("/me/threads", &orphan).await), (400, 24, 4_279_009));
    let root = demo.say("first", None).await;
    let reply = demo.say("second", Some(&root)).await;
    let ids = |listed: &Got| {
        listed.body["data"].as_array().unwrap().iter().map(|post| post["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&demo.get("/me/threads?fields=id,text").await), [json!(root)]);
    let replies = demo.get("/me/replies?fields=id,replied_to,root_post").await;
    assert_eq!(ids(&replies), [json!(reply)]);
    assert_eq!(replies.body["data"][0]["replied_to"]["id"], json!(root));
    let quota = demo.get("/me/threads_publishing_limit?fields=quota_usage,reply_quota_usage").await;
    assert_eq!(quota.body["data"], json!([{ "quota_usage": 1, "reply_quota_usage": 1 }]));
    assert_eq!(bench.ledger().await[1]["in_reply_to"], json!(root));
}

#[tokio::test]
async fn texts_over_the_limit_and_strange_settings_are_refused() {
    let bench = Bench::new().await;
    let demo = Threads::connect(&bench).await;
    let text = |length: usize| "x".repeat(length);
    let (full, emoji) = (text(500), format!("{}👋", text(497)));
    assert_eq!(demo.post("/me/threads", &[("media_type", "TEXT"), ("text", &full)]).await.status, 200);
    for fields in [
        &[("media_type", "TEXT"), ("text", emoji.as_str())][..],
        &[("media_type", "TEXT")],
        &[("text", "x")],
        &[("media_type", "TEXT"), ("text", "x"), ("topic_tag", "a.b")],
        &[("media_type", "TEXT"), ("text", "x"), ("reply_control", "nobody")],
        &[("media_type", "CAROUSEL"), ("children", "1")],
    ] {
        assert_eq!(refusal(&demo.post("/me/threads", fields).await), (400, 100, 0), "{fields:?}");
    }
}

#[tokio::test]
async fn counts_deletes_and_the_limit_of_a_day() {
    let bench = Bench::new().await;
    let demo = Threads::connect(&bench).await;
    let post = demo.say("count me", None).await;
    let counts = json!({ "network": "threads", "native_id": post, "likes": 2, "reposts": 1, "replies": 0 });
    assert_eq!(bench.control("engage", counts).await.status, 200);
    let insights = demo.get(&format!("/{post}/insights?metric=views,likes")).await;
    let values: Vec<_> = insights.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["values"][0]["value"].clone())
        .collect();
    assert_eq!(values, [json!(30), json!(2)]);
    assert_eq!(demo.delete(&post).await.body, json!({ "success": true, "deleted_id": post }));
    assert_eq!(refusal(&demo.delete(&post).await), (400, 24, 4_279_009));
    bench.control("limits", json!({ "network": "threads", "enforce": true })).await;
    for n in 0..250 {
        demo.say(&format!("number {n}"), None).await;
    }
    let container = demo.create(&[("media_type", "TEXT"), ("text", "one more")]).await;
    assert_eq!(refusal(&demo.publish(&container).await), (400, 9, 2_207_042));
}

#[tokio::test]
async fn a_server_error_calls_itself_a_missing_permission_and_the_post_is_there() {
    let bench = Bench::new().await;
    let demo = Threads::connect(&bench).await;
    let container = demo.create(&[("media_type", "TEXT"), ("text", "there")]).await;
    bench
        .script(
            json!({ "network": "threads", "operation": "publish", "fault": { "kind": "accept_then_500" } }),
        )
        .await;
    assert_eq!(refusal(&demo.publish(&container).await), (500, 10, 0));
    assert_eq!(demo.get(&format!("/{container}?fields=status")).await.body["status"], "PUBLISHED");
    assert_eq!(bench.ledger().await.len(), 1);
}

//! Webhooks as a client meets them: secrets in paths, silent errors without `wait`, and messages that are made twice.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Bench, Got, PNG, got};

const AGENT: &str = "DiscordBot (https://example.com, 1.0)";

struct Hook<'b> {
    bench: &'b Bench,
    path: String,
}

impl<'b> Hook<'b> {
    async fn new(bench: &'b Bench) -> Self {
        let accounts = got(bench.get("/_sandbox/accounts")).await.body;
        let demo = accounts.as_array().unwrap().iter().find(|account| account["network"] == "discord");
        Self { bench, path: demo.unwrap()["webhook_path"].as_str().unwrap().to_owned() }
    }

    fn call(&self, method: Method, rest: &str) -> RequestBuilder {
        let url = self.bench.url(&format!("/discord{}{rest}", self.path));
        self.bench.http.request(method, url).header("user-agent", AGENT)
    }

    async fn execute(&self, body: &Value) -> Got {
        got(self.call(Method::POST, "?wait=true").json(body)).await
    }
}

fn refusal(got: &Got) -> (u16, i64) {
    assert!(got.body["message"].is_string(), "{}", got.text);
    (got.status, got.body["code"].as_i64().unwrap())
}

#[tokio::test]
async fn a_webhook_is_known_by_its_address() {
    let bench = Bench::new().await;
    let hook = Hook::new(&bench).await;
    let shown = got(hook.call(Method::GET, "")).await;
    assert_eq!((shown.status, &shown.body["type"]), (200, &json!(1)));
    let versioned = hook.path.replace("/api/", "/api/v10/");
    let url = bench.url(&format!("/discord{versioned}"));
    assert_eq!(got(bench.http.get(url).header("user-agent", AGENT)).await.body["id"], shown.body["id"]);
    let blocked = got(bench.get(&format!("/discord{}", hook.path))).await;
    assert_eq!((blocked.status, blocked.body), (403, Value::Null), "no agent, no answer");
    let wrong = format!("/discord/api/webhooks/{}/wrong", shown.str("/id"));
    assert_eq!(refusal(&got(bench.get(&wrong).header("user-agent", AGENT)).await), (401, 50027));
    let unknown = "/discord/api/webhooks/1/wrong";
    assert_eq!(refusal(&got(bench.get(unknown).header("user-agent", AGENT)).await), (404, 10015));
    assert_eq!(got(hook.call(Method::DELETE, "")).await.status, 204);
    assert_eq!(refusal(&hook.execute(&json!({"content": "hi"})).await), (404, 10015));
    let logged = bench.requests().await;
    assert!(logged.iter().all(|line| !line.to_string().contains(hook.path.rsplit('/').next().unwrap())));
}

#[tokio::test]
async fn without_wait_nothing_is_told() {
    let bench = Bench::new().await;
    let hook = Hook::new(&bench).await;
    let silent = got(hook.call(Method::POST, "").json(&json!({"content": "hi @everyone"}))).await;
    assert_eq!((silent.status, silent.text.as_str()), (204, ""));
    let body = json!({"content": "hi @everyone", "allowed_mentions": {"parse": []}, "username": "Ana"});
    let told = hook.execute(&body).await;
    assert_eq!((told.status, &told.body["mention_everyone"]), (200, &json!(false)));
    assert_eq!(told.body["author"]["username"], "Ana");
    let ledger = bench.ledger().await;
    assert_eq!(ledger.len(), 2, "the same content twice is two messages");
    let first = ledger[0]["native_id"].as_str().unwrap();
    let first = got(hook.call(Method::GET, &format!("/messages/{first}"))).await;
    assert_eq!(first.body["mention_everyone"], true, "without allowed_mentions everybody is notified");
}

#[tokio::test]
async fn what_is_wrong_is_told_by_number() {
    let bench = Bench::new().await;
    let hook = Hook::new(&bench).await;
    assert_eq!(refusal(&hook.execute(&json!({"content": " "})).await), (400, 50006));
    let long = hook.execute(&json!({"content": "👋".repeat(2001)})).await;
    assert_eq!(refusal(&long), (400, 50035));
    assert_eq!(long.str("/errors/content/_errors/0/code"), "BASE_TYPE_MAX_LENGTH");
    assert_eq!(hook.execute(&json!({"content": "👋".repeat(2000)})).await.status, 200);
    let named = hook.execute(&json!({"content": "x", "username": "the discord"})).await;
    assert_eq!(refusal(&named), (400, 50035));
    let forum = bench.control("accounts", json!({"network": "discord", "handle": "forum1"})).await;
    let forum = Hook { bench: &bench, path: forum.str("/webhook_path") };
    assert_eq!(refusal(&forum.execute(&json!({"content": "x"})).await), (400, 220_001));
    assert_eq!(forum.execute(&json!({"content": "x", "thread_name": "t"})).await.status, 200);
    bench.script(json!({"network": "discord", "operation": "publish", "fault": {"kind": "throttle", "retry_after_s": 2}})).await;
    let busy = hook.execute(&json!({"content": "x"})).await;
    assert_eq!(
        (busy.status, busy.header("retry-after"), busy.header("x-ratelimit-scope")),
        (429, "2", "user")
    );
    assert!(busy.body["retry_after"].as_f64().is_some_and(|wait| wait > 1.0 && wait <= 2.0));
}

#[tokio::test]
async fn files_come_beside_the_fields() {
    let bench = Bench::new().await;
    let hook = Hook::new(&bench).await;
    let fields =
        json!({"content": "two", "attachments": [{"id": 0, "filename": "a.png", "description": "a dot"}]});
    let file = || Part::bytes(PNG).file_name("a.png").mime_str("image/png").unwrap();
    let form = Form::new().text("payload_json", fields.to_string()).part("files[0]", file());
    let made = got(hook.call(Method::POST, "?wait=true").multipart(form.part("files[1]", file()))).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.str("/attachments/0/description"), "a dot");
    assert_eq!(made.body["attachments"].as_array().unwrap().len(), 2);
    let path = format!("/messages/{}", made.str("/id"));
    bench.control("engage", json!({"network": "discord", "native_id": made.str("/id"), "likes": 3, "reposts": 0, "replies": 0})).await;
    let reactions = got(hook.call(Method::GET, &path)).await.body["reactions"].clone();
    assert_eq!((&reactions[0]["count"], &reactions[1]["count"]), (&json!(2), &json!(1)));
    assert_eq!(got(hook.call(Method::DELETE, &path)).await.status, 204);
    assert_eq!(refusal(&got(hook.call(Method::DELETE, &path)).await), (404, 10008));
    assert_eq!(bench.ledger().await[0]["media"].as_array().unwrap().len(), 2);
}

//! Reddit as a client meets it: refusals with status 200, uploads whose fields have an order, and posts that appear later.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Bench, Got, PNG, REDIRECT, got, query};

const AGENT: &str = "web:tester:v1.0 (by /u/demo)";
const SCOPES: &str = "identity submit flair read history edit";

struct App<'b> {
    bench: &'b Bench,
    token: String,
    refresh: String,
}

async fn code(bench: &Bench, handle: &str, duration: &str) -> String {
    let form = [
        ("client_id", "sandbox-reddit"),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", SCOPES),
        ("state", "s"),
        ("duration", duration),
        ("account", handle),
        ("decision", "authorize"),
    ];
    let back = got(bench.http.post(bench.url("/reddit/api/v1/authorize")).form(&form)).await;
    query(back.header("location"), "code").unwrap()
}

fn site(bench: &Bench, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let basic = format!("Basic {}", STANDARD.encode("sandbox-reddit:sandbox-reddit-secret"));
    let call = bench.http.post(bench.url(&format!("/reddit{path}"))).form(fields);
    call.header("authorization", basic).header("user-agent", AGENT)
}

async fn exchange(bench: &Bench, code: &str) -> Got {
    let fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)];
    got(site(bench, "/api/v1/access_token", &fields)).await
}

impl<'b> App<'b> {
    async fn new(bench: &'b Bench, handle: &str) -> Self {
        let answer = exchange(bench, &code(bench, handle, "permanent").await).await;
        Self { bench, token: answer.str("/access_token"), refresh: answer.str("/refresh_token") }
    }

    fn with(&self, call: RequestBuilder) -> RequestBuilder {
        call.bearer_auth(&self.token).header("user-agent", AGENT)
    }

    async fn get(&self, path: &str) -> Got {
        got(self.with(self.bench.get(&format!("/reddit{path}")))).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        got(self.with(self.bench.http.post(self.bench.url(&format!("/reddit{path}"))).form(fields))).await
    }

    async fn submit(&self, more: &[(&str, &str)]) -> Got {
        let mut fields = vec![("api_type", "json"), ("sr", "test"), ("title", "T"), ("kind", "self")];
        fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        fields.extend(more);
        self.post("/api/submit", &fields).await
    }

    /// Leases and uploads a picture; the asset's id and address.
    async fn upload(&self) -> (String, String) {
        let lease =
            self.post("/api/media/asset.json", &[("filepath", "a.png"), ("mimetype", "image/png")]).await;
        let stored = got(self.bench.http.post(action(&lease)).multipart(filled(&lease, false))).await;
        assert_eq!(stored.status, 201, "{}", stored.text);
        let key =
            lease.body["args"]["fields"].as_array().unwrap().iter().find(|field| field["name"] == "key");
        let url = format!("{}/{}", action(&lease), key.unwrap()["value"].as_str().unwrap());
        (lease.str("/asset/asset_id"), url)
    }
}

fn action(lease: &Got) -> String {
    format!("http:{}", lease.str("/args/action"))
}

fn filled(lease: &Got, file_first: bool) -> Form {
    let file = || Part::bytes(PNG).file_name("a.png").mime_str("image/png").unwrap();
    let mut form = if file_first { Form::new().part("file", file()) } else { Form::new() };
    for field in lease.body["args"]["fields"].as_array().unwrap() {
        let text = |name: &str| field[name].as_str().unwrap().to_owned();
        form = form.text(text("name"), text("value"));
    }
    if file_first { form } else { form.part("file", file()) }
}

/// The code of a rejection, which comes with status 200.
fn rejection(got: &Got) -> String {
    assert_eq!(got.status, 200, "{}", got.text);
    got.str("/json/errors/0/0")
}

#[tokio::test]
async fn clients_must_introduce_themselves() {
    let bench = Bench::new().await;
    let app = App::new(&bench, "demo").await;
    let bare = got(bench.get("/reddit/api/v1/me").bearer_auth(&app.token)).await;
    assert!(bare.status == 429 && bare.text.contains("whoa there, pardner!"));
    let me = app.get("/api/v1/me").await;
    assert_eq!((me.str("/name"), me.body["is_suspended"].clone()), ("demo".to_owned(), json!(false)));
    assert_eq!(me.header("x-ratelimit-remaining"), "999.0");
    let wrong = got(bench.get("/reddit/api/v1/me").bearer_auth("x").header("user-agent", AGENT)).await;
    assert_eq!((wrong.status, wrong.body), (401, json!({"message": "Unauthorized", "error": 401})));
}

#[tokio::test]
async fn tokens_last_as_long_as_they_were_asked_for() {
    let bench = Bench::new().await;
    let temporary = exchange(&bench, &code(&bench, "demo", "temporary").await).await;
    assert_eq!(temporary.body.get("refresh_token"), None);
    let code = code(&bench, "demo", "permanent").await;
    let granted = exchange(&bench, &code).await;
    assert_eq!(granted.body["expires_in"], 86_400);
    let used = exchange(&bench, &code).await;
    assert_eq!((used.status, used.body), (200, json!({"error": "invalid_grant"})));
    let app =
        App { bench: &bench, token: granted.str("/access_token"), refresh: granted.str("/refresh_token") };
    bench.advance(86_400_000).await;
    assert_eq!(app.get("/api/v1/me").await.status, 401);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", app.refresh.as_str())];
    for _ in 0..2 {
        let renewed = got(site(&bench, "/api/v1/access_token", &fields)).await;
        assert_eq!((renewed.status, renewed.body.get("refresh_token")), (200, None), "it stays the same");
    }
    let gone = [("token", app.refresh.as_str()), ("token_type_hint", "refresh_token")];
    for _ in 0..2 {
        assert_eq!(got(site(&bench, "/api/v1/revoke_token", &gone)).await.status, 204);
    }
    assert_eq!(got(site(&bench, "/api/v1/access_token", &fields)).await.status, 400);
}

#[tokio::test]
async fn what_is_wrong_stands_in_the_body() {
    let bench = Bench::new().await;
    let app = App::new(&bench, "demo").await;
    for (fields, expected) in [
        (&[("sr", "nowhere")][..], "SUBREDDIT_NOEXIST"),
        (&[("sr", "closed")], "SUBREDDIT_NOTALLOWED"),
        (&[("sr", "linksonly")], "NO_SELFS"),
        (&[("sr", "textonly"), ("kind", "link"), ("url", "https://e.org/")], "NO_LINKS"),
        (&[("sr", "flairs")], "SUBMIT_VALIDATION_FLAIR_REQUIRED"),
        (&[("flair_id", "f-9")], "BAD_FLAIR_TEMPLATE_ID"),
        (&[("title", "two\nlines")], "BAD_STRING"),
        (&[("title", "")], "NO_TEXT"),
        (&[("kind", "image"), ("url", "https://e.org/a.png")], "BAD_URL"),
        (&[("kind", "link"), ("url", "")], "NO_URL"),
    ] {
        assert_eq!(rejection(&app.submit(fields).await), expected, "{fields:?}");
    }
    assert_eq!(rejection(&app.submit(&[("title", &"x".repeat(301))]).await), "TOO_LONG");
    let link = [("kind", "link"), ("url", "https://e.org/"), ("resubmit", "false")];
    assert!(app.submit(&link).await.str("/json/data/name").starts_with("t3_"));
    assert_eq!(rejection(&app.submit(&link).await), "ALREADY_SUB");
    assert_eq!(app.submit(&[link[0], link[1], ("resubmit", "true")]).await.body["json"]["errors"], json!([]));
    bench.control("accounts", json!({"network": "reddit", "handle": "newbie1"})).await;
    let newbie = App::new(&bench, "newbie1").await;
    assert_eq!(newbie.submit(&[]).await.body["json"]["errors"], json!([]));
    let slow = newbie.submit(&[]).await;
    assert_eq!(rejection(&slow), "RATELIMIT");
    assert!(slow.body["json"]["ratelimit"].as_f64().is_some_and(|wait| wait > 500.0));
    assert!(app.submit(&[("sr", "filtered")]).await.str("/json/data/id").len() > 4);
    assert_eq!(bench.ledger().await.len(), 4);
}

#[tokio::test]
async fn a_subreddit_tells_its_rules_and_keeps_them() {
    let bench = Bench::new().await;
    let app = App::new(&bench, "demo").await;
    let rules = app.get("/api/v1/strict/post_requirements").await.body;
    assert_eq!((&rules["title_text_min_length"], &rules["is_flair_required"]), (&json!(10), &json!(true)));
    assert_eq!(app.get("/api/v1/test/post_requirements").await.body["title_text_min_length"], Value::Null);
    let flairs = app.get("/r/strict/api/link_flair_v2").await.body;
    assert_eq!((&flairs[1]["id"], &flairs[1]["text"]), (&json!("f-3"), &json!("Question")));
    for path in ["/api/v1/nowhere/post_requirements", "/r/nowhere/api/link_flair_v2"] {
        assert_eq!(app.get(path).await.status, 404);
    }
    assert_eq!(app.get("/api/v1/closed/post_requirements").await.status, 403);
    let good = [("sr", "strict"), ("title", "[OC] all is well"), ("text", "here"), ("flair_id", "f-3")];
    assert_eq!(app.submit(&good).await.body["json"]["errors"], json!([]));
    for (name, value, expected) in [
        ("title", "[OC] x", "SUBMIT_VALIDATION_MIN_LENGTH"),
        ("title", "all is well here", "SUBMIT_VALIDATION_TITLE_REQUIREMENT"),
        ("title", "[OC] this is no spam", "SUBMIT_VALIDATION_BLACKLISTED_STRING"),
        ("text", "", "SUBMIT_VALIDATION_BODY_REQUIRED"),
        ("flair_id", "f-2", "BAD_FLAIR_TEMPLATE_ID"),
        ("flair_id", "", "SUBMIT_VALIDATION_FLAIR_REQUIRED"),
    ] {
        let changed = good.map(|(field, good)| (field, if field == name { value } else { good }));
        assert_eq!(rejection(&app.submit(&changed).await), expected, "{name}: {value}");
    }
    let link = [("kind", "link"), ("url", "https://www.example.org/")];
    assert_eq!(rejection(&app.submit(&[&good[..], &link].concat()).await), "DOMAIN_BANNED");
}

#[tokio::test]
async fn listings_show_what_the_account_made() {
    let bench = Bench::new().await;
    let app = App::new(&bench, "demo").await;
    let name = app.submit(&[("title", "a & b"), ("text", "<x>")]).await.str("/json/data/name");
    let escaped = app.get("/user/demo/submitted?sort=new").await;
    assert_eq!(escaped.str("/data/children/0/data/title"), "a &amp; b");
    let raw = app.get("/user/demo/submitted?sort=new&raw_json=1").await;
    assert_eq!(
        (raw.str("/data/children/0/data/title"), raw.str("/data/children/0/data/selftext")),
        ("a & b".into(), "<x>".into())
    );
    let fields = [("api_type", "json"), ("thing_id", name.as_str()), ("text", "re")];
    let comment = app.post("/api/comment", &fields).await.str("/json/data/things/0/data/name");
    let listed = app.get("/user/demo/comments?raw_json=1").await;
    assert_eq!(
        (listed.str("/data/children/0/data/name"), listed.str("/data/children/0/data/parent_id")),
        (comment, name.clone())
    );
    app.submit(&[("title", "second")]).await;
    let page = app.get("/user/demo/submitted?limit=1").await;
    let next = app.get(&format!("/user/demo/submitted?limit=1&after={}", page.str("/data/after"))).await;
    assert_eq!(
        (next.str("/data/children/0/data/name"), &next.body["data"]["after"]),
        (name.clone(), &Value::Null)
    );
    for _ in 0..2 {
        assert_eq!(app.post("/api/del", &[("id", &name)]).await.body, json!({}));
    }
    let info = app.get(&format!("/api/info?id={name},t3_zzz")).await;
    assert_eq!(
        (info.body["data"]["children"].as_array().unwrap().len(), info.str("/data/children/0/data/author")),
        (1, "[deleted]".into())
    );
    assert_eq!(rejection(&app.post("/api/comment", &fields).await), "DELETED_LINK");
    assert_eq!(app.get("/r/flairs/api/link_flair_v2").await.str("/0/id"), "f-1");
    assert_eq!(app.get("/r/linksonly/about").await.str("/data/submission_type"), "link");
    assert_eq!(app.get("/api/v1/flairs/post_requirements").await.body["is_flair_required"], true);
    assert_eq!(app.get("/r/closed/about").await.str("/reason"), "private");
}

#[tokio::test]
async fn media_are_leased_stored_and_processed() {
    let bench = Bench::new().await;
    let app = App::new(&bench, "demo").await;
    let lease = app.post("/api/media/asset.json", &[("filepath", "a.png"), ("mimetype", "image/png")]).await;
    let early = got(bench.http.post(action(&lease)).multipart(filled(&lease, true))).await;
    assert!(early.status == 403 && early.text.contains("AccessDenied"), "the file is the last field");
    let twice = got(bench.http.post(action(&lease)).bearer_auth("x").multipart(filled(&lease, false))).await;
    assert_eq!(twice.status, 400, "the storage takes one kind of permission");
    let stored = got(bench.http.post(action(&lease)).multipart(filled(&lease, false))).await;
    assert!(stored.status == 201 && stored.text.contains("%2F"), "{}", stored.text);
    let (first, url) = app.upload().await;
    let posted = app.submit(&[("kind", "image"), ("url", &url)]).await;
    assert!(
        posted.body["json"]["data"].get("id").is_none()
            && posted.str("/json/data/websocket_url").starts_with("wss://")
    );
    let count =
        async || app.get("/user/demo/submitted").await.body["data"]["children"].as_array().unwrap().len();
    assert_eq!(count().await, 0, "it is processed first");
    bench.advance(1000).await;
    assert_eq!(count().await, 1);
    let (second, _) = app.upload().await;
    let gallery = |ids: &[&str]| {
        let items: Vec<_> =
            ids.iter().map(|id| json!({"media_id": id, "caption": "", "outbound_url": ""})).collect();
        json!({"sr": "test", "title": "G", "api_type": "json", "items": items})
    };
    let send = async |ids: &[&str]| {
        got(app.with(bench.post("/reddit/api/submit_gallery_post.json", &gallery(ids)))).await
    };
    assert!(send(&[&first, &second]).await.str("/json/data/id").starts_with("t3_"));
    assert_eq!(rejection(&send(&[&first]).await), "BAD_GALLERY_SIZE");
    assert_eq!(
        app.submit(&[("sr", "nopictures"), ("kind", "image"), ("url", &url)]).await.str("/json/errors/0/0"),
        "NO_IMAGES"
    );
    let ledger = bench.ledger().await;
    assert_eq!((ledger.len(), ledger[1]["media"].as_array().unwrap().len()), (2, 2));
}

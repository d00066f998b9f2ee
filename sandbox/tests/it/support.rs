//! A running sandbox and small clients for its networks.

use std::{net::SocketAddr, path::PathBuf};

use postmesh_sandbox::{Config, Running, Sandbox};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// A valid PNG of one pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";
/// The first bytes of an MP4.
pub(crate) const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom the rest of a film";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/callback?tenant=a";

pub(crate) struct Bench {
    pub(crate) sandbox: Running,
    pub(crate) http: Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn str(&self, pointer: &str) -> String {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{pointer} in {self:?}"))
            .to_owned()
    }

    /// Status and `error`.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.str("/error"))
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' own plain client, for loopback")]
pub(crate) fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .unwrap()
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn with(data_dir: Option<PathBuf>) -> Self {
        let sandbox = Sandbox::start(Config { bind: loopback(), data_dir, public_url: None }).await.unwrap();
        Self { sandbox, http: client() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url())
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(self.url(path)).json(body)
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Got {
        got(self.post(&format!("/_sandbox/{path}"), &body)).await
    }

    pub(crate) async fn script(&self, rule: Value) {
        let answer = self.control("script", rule).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    pub(crate) async fn held(&self, count: usize) {
        let answer = got(self.get(&format!("/_sandbox/held?wait_for={count}&timeout_ms=10000"))).await;
        assert_eq!(answer.body["held"], count);
    }

    pub(crate) async fn release(&self) -> u64 {
        self.control("release", json!({})).await.body["released"].as_u64().unwrap()
    }

    pub(crate) async fn ledger(&self) -> Vec<Value> {
        lines(&got(self.get("/_sandbox/ledger")).await.text)
    }

    /// The ledger once it has that many lines.
    pub(crate) async fn ledger_of(&self, count: usize) -> Vec<Value> {
        lines(&got(self.get(&format!("/_sandbox/ledger?wait_for={count}&timeout_ms=10000"))).await.text)
    }

    pub(crate) async fn requests(&self) -> Vec<Value> {
        lines(&got(self.get("/_sandbox/requests")).await.text)
    }

    pub(crate) async fn advance(&self, ms: u64) {
        assert_eq!(self.control("clock", json!({"advance_ms": ms})).await.status, 200);
    }

    pub(crate) async fn mastodon(&self) -> Mastodon<'_> {
        Mastodon::connect(self, "demo", "read write").await
    }

    pub(crate) async fn bluesky(&self) -> Bluesky<'_> {
        Bluesky::login(self, "demo.test", "demo-demo-demo-demo").await
    }
}

pub(crate) async fn got(request: RequestBuilder) -> Got {
    read(request.send().await.unwrap()).await
}

pub(crate) async fn read(response: Response) -> Got {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Got { status, headers, body, text }
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A Mastodon client that went the whole way: app, authorize page, token.
pub(crate) struct Mastodon<'b> {
    pub(crate) bench: &'b Bench,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) token: String,
}

impl<'b> Mastodon<'b> {
    pub(crate) async fn connect(bench: &'b Bench, handle: &str, scopes: &str) -> Self {
        let (client_id, client_secret) = register(bench, scopes).await;
        let code = agree(bench, &client_id, handle, scopes, &[]).await;
        let answer = exchange(bench, &client_id, &client_secret, &code, &[]).await;
        let token = answer.str("/access_token");
        Self { bench, client_id, client_secret, token }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.bench.get(&format!("/mastodon{path}")).bearer_auth(&self.token)
    }

    pub(crate) fn post(&self, body: &Value) -> RequestBuilder {
        self.bench.post("/mastodon/api/v1/statuses", body).bearer_auth(&self.token)
    }

    pub(crate) async fn say(&self, text: &str) -> Got {
        let answer = got(self.post(&json!({"status": text}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
    }

    pub(crate) async fn upload(&self, bytes: &'static [u8], mime: &str) -> Got {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("file").mime_str(mime).unwrap();
        let form = reqwest::multipart::Form::new().part("file", part).text("description", "a picture");
        let url = self.bench.url("/mastodon/api/v2/media");
        got(self.bench.http.post(url).bearer_auth(&self.token).multipart(form)).await
    }
}

pub(crate) async fn register(bench: &Bench, scopes: &str) -> (String, String) {
    let body = json!({"client_name": "tester", "redirect_uris": [REDIRECT, "urn:ietf:wg:oauth:2.0:oob"], "scopes": scopes});
    let answer = got(bench.post("/mastodon/api/v1/apps", &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    (answer.str("/client_id"), answer.str("/client_secret"))
}

/// Presses Authorize and answers where the browser is sent.
pub(crate) async fn press(
    bench: &Bench,
    client_id: &str,
    handle: &str,
    scopes: &str,
    extra: &[(&str, &str)],
) -> Got {
    let mut form = vec![
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", scopes),
        ("state", "s t"),
        ("account", handle),
        ("decision", "authorize"),
    ];
    form.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    form.extend(extra);
    got(bench.http.post(bench.url("/mastodon/oauth/authorize")).form(&form)).await
}

pub(crate) async fn agree(
    bench: &Bench,
    client_id: &str,
    handle: &str,
    scopes: &str,
    extra: &[(&str, &str)],
) -> String {
    let answer = press(bench, client_id, handle, scopes, extra).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
    query(answer.header("location"), "code").unwrap()
}

pub(crate) async fn exchange(
    bench: &Bench,
    id: &str,
    secret: &str,
    code: &str,
    extra: &[(&str, &str)],
) -> Got {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("client_secret", secret),
        ("redirect_uri", REDIRECT),
        ("code", code),
    ];
    form.extend(extra);
    got(bench.http.post(bench.url("/mastodon/oauth/token")).form(&form)).await
}

/// A parameter of a URL's query.
pub(crate) fn query(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

pub(crate) struct Bluesky<'b> {
    pub(crate) bench: &'b Bench,
    pub(crate) did: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl<'b> Bluesky<'b> {
    pub(crate) async fn login(bench: &'b Bench, identifier: &str, password: &str) -> Self {
        let answer = login(bench, identifier, password).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self {
            bench,
            did: answer.str("/did"),
            access: answer.str("/accessJwt"),
            refresh: answer.str("/refreshJwt"),
        }
    }

    pub(crate) fn call(&self, method: &str, body: &Value) -> RequestBuilder {
        self.bench.post(&format!("/bluesky/xrpc/com.atproto.repo.{method}"), body).bearer_auth(&self.access)
    }

    pub(crate) fn record(&self, rkey: &str, text: &str) -> Value {
        json!({"repo": self.did, "collection": "app.bsky.feed.post", "rkey": rkey, "record": post(text)})
    }

    pub(crate) async fn put(&self, rkey: &str, text: &str) -> Got {
        let mut body = self.record(rkey, text);
        body["swapRecord"] = Value::Null;
        got(self.call("putRecord", &body)).await
    }

    pub(crate) async fn read(&self, rkey: &str) -> Got {
        let path = "/bluesky/xrpc/com.atproto.repo.getRecord";
        let query = [("repo", self.did.as_str()), ("collection", "app.bsky.feed.post"), ("rkey", rkey)];
        got(self.bench.get(path).query(&query)).await
    }

    pub(crate) async fn upload(&self, bytes: &'static [u8], mime: &str) -> Got {
        let url = self.bench.url("/bluesky/xrpc/com.atproto.repo.uploadBlob");
        got(self.bench.http.post(url).bearer_auth(&self.access).header("content-type", mime).body(bytes))
            .await
    }
}

pub(crate) fn post(text: &str) -> Value {
    json!({"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-01-02T03:04:05.678Z"})
}

pub(crate) async fn login(bench: &Bench, identifier: &str, password: &str) -> Got {
    let body = json!({"identifier": identifier, "password": password});
    got(bench.post("/bluesky/xrpc/com.atproto.server.createSession", &body)).await
}

pub(crate) async fn refresh(bench: &Bench, token: &str) -> Got {
    let url = bench.url("/bluesky/xrpc/com.atproto.server.refreshSession");
    got(bench.http.post(url).bearer_auth(token)).await
}

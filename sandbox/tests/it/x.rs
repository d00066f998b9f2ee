//! The X stand-in: tokens that are used once, media in segments, posts that are refused when they repeat, and reading
//! back through `t.co`.

use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const SCOPES: &str = "tweet.read tweet.write users.read media.write offline.access";

async fn press(bench: &Bench, handle: &str, scope: &str, extra: &[(&str, &str)]) -> Got {
    let mut form = vec![
        ("response_type", "code"),
        ("client_id", "sandbox-x"),
        ("redirect_uri", REDIRECT),
        ("scope", scope),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("account", handle),
        ("decision", "authorize"),
    ];
    form.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    form.extend(extra.iter().filter(|(_, value)| !value.is_empty()));
    got(bench.http.post(bench.url("/x/i/oauth2/authorize")).form(&form)).await
}

async fn code(bench: &Bench, handle: &str, scope: &str) -> String {
    let answer = press(bench, handle, scope, &[]).await;
    query(answer.header("location"), "code").unwrap()
}

async fn token(bench: &Bench, fields: &[(&str, &str)]) -> Got {
    let call =
        bench.http.post(bench.url("/x/2/oauth2/token")).basic_auth("sandbox-x", Some("sandbox-x-secret"));
    got(call.form(fields)).await
}

async fn exchange(bench: &Bench, code: &str) -> Got {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    token(bench, &fields).await
}

struct Client<'b> {
    bench: &'b Bench,
    token: String,
    refresh: String,
}

impl<'b> Client<'b> {
    async fn of(bench: &'b Bench, handle: &str) -> Self {
        let answer = exchange(bench, &code(bench, handle, SCOPES).await).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self { bench, token: answer.str("/access_token"), refresh: answer.str("/refresh_token") }
    }

    async fn post(&self, body: &Value) -> Got {
        got(self.bench.post("/x/2/tweets", body).bearer_auth(&self.token)).await
    }

    async fn say(&self, text: &str) -> String {
        let answer = self.post(&json!({"text": text})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.str("/data/id")
    }

    async fn get(&self, path: &str) -> Got {
        got(self.bench.get(&format!("/x{path}")).bearer_auth(&self.token)).await
    }

    async fn form(&self, path: &str, bytes: &'static [u8], fields: &[(&'static str, &'static str)]) -> Got {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("blob");
        let form = fields
            .iter()
            .fold(reqwest::multipart::Form::new(), |form, (name, value)| form.text(*name, *value));
        let call = self.bench.http.post(self.bench.url(&format!("/x{path}"))).bearer_auth(&self.token);
        got(call.multipart(form.part("media", part))).await
    }

    async fn json(&self, path: &str, body: &Value) -> Got {
        got(self.bench.post(&format!("/x{path}"), body).bearer_auth(&self.token)).await
    }
}

#[tokio::test]
async fn codes_live_half_a_minute_and_clients_present_themselves_in_a_header() {
    let bench = Bench::new().await;
    let refused =
        press(&bench, "demo", SCOPES, &[("code_challenge", ""), ("code_challenge_method", "")]).await;
    assert_eq!(
        query(refused.header("location"), "error").as_deref(),
        Some("invalid_request"),
        "PKCE is needed"
    );
    let denied = press(&bench, "demo", SCOPES, &[("decision", "deny")]).await;
    assert_eq!(query(denied.header("location"), "error").as_deref(), Some("access_denied"));

    let first = code(&bench, "demo", SCOPES).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", first.as_str()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("client_id", "sandbox-x"),
        ("client_secret", "sandbox-x-secret"),
    ];
    let bare = got(bench.http.post(bench.url("/x/2/oauth2/token")).form(&fields)).await;
    assert_eq!(bare.refusal(), (401, "unauthorized_client".to_owned()));
    assert_eq!(bare.str("/error_description"), "Missing valid authorization header");
    let answer = exchange(&bench, &first).await;
    assert_eq!((answer.status, &answer.body["expires_in"]), (200, &json!(7200)));
    assert_eq!(answer.str("/scope"), SCOPES);
    assert_eq!(exchange(&bench, &first).await.refusal(), (400, "invalid_request".to_owned()), "once");

    let late = code(&bench, "demo", SCOPES).await;
    bench.advance(31_000).await;
    assert_eq!(exchange(&bench, &late).await.refusal(), (400, "invalid_request".to_owned()));
    let online = exchange(&bench, &code(&bench, "demo", "tweet.read users.read").await).await;
    assert!(online.body.get("refresh_token").is_none(), "without offline.access there is none");
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_its_end_is_an_invalid_request() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let refresh = async |token_text: &str| {
        token(&bench, &[("grant_type", "refresh_token"), ("refresh_token", token_text)]).await
    };
    let next = refresh(&demo.refresh).await;
    assert_eq!(next.status, 200, "{}", next.text);
    assert_ne!(next.str("/refresh_token"), demo.refresh);
    let spent = refresh(&demo.refresh).await;
    assert_eq!(spent.refusal(), (400, "invalid_request".to_owned()));
    assert_eq!(spent.str("/error_description"), "Value passed for the token was invalid.");
    assert_eq!(refresh(&next.str("/refresh_token")).await.status, 200, "the grant goes on");

    bench.advance(7_200_000).await;
    let expired = demo.post(&json!({"text": "late"})).await;
    let body =
        json!({"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"});
    assert_eq!((expired.status, &expired.body), (401, &body));
    assert!(expired.header("content-type").starts_with("application/problem+json"));
}

#[tokio::test]
async fn the_same_words_are_refused_for_an_hour_and_nothing_else_keeps_a_post_single() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let id = demo.say("Hello  https://example.com/").await;
    let again = demo.post(&json!({"text": "hello https://example.com/"})).await;
    assert_eq!(again.status, 403);
    assert_eq!(again.str("/detail"), "You are not allowed to create a Tweet with duplicate content.");
    bench.advance(3_600_001).await;
    let second = Client::of(&bench, "demo").await.say("hello https://example.com/").await;
    assert_ne!(second, id);
    assert_eq!(bench.ledger().await.len(), 2);
}

#[tokio::test]
async fn posts_are_refused_in_the_apis_words() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let detail = async |body: Value| {
        let answer = demo.post(&body).await;
        (answer.status, answer.str("/detail"))
    };
    let vague = (403, "You are not permitted to perform this action.".to_owned());
    assert_eq!(detail(json!({"text": "日".repeat(141)})).await, vague);
    assert_eq!(detail(json!({"text": "q", "quote_tweet_id": "1"})).await, vague);
    let cashtags = detail(json!({"text": "$TSLA and $AAPL"})).await;
    assert_eq!(cashtags, (403, "Posts are limited to a maximum of one cashtag.".to_owned()));
    let unknown = demo.post(&json!({"text": "x", "status": "x"})).await;
    assert_eq!((unknown.status, unknown.str("/title")), (400, "Invalid Request".to_owned()));
    let media = demo.post(&json!({"text": "x", "media": {"media_ids": ["5"]}})).await;
    assert_eq!(media.str("/errors/0/message"), "Your media IDs are invalid.");
    assert_eq!(demo.post(&json!({"text": " "})).await.status, 400);
    let gone = detail(json!({"text": "x", "reply": {"in_reply_to_tweet_id": "5"}})).await;
    assert!(gone.1.starts_with("You attempted to reply to a Tweet that is deleted"), "{gone:?}");

    bench.control("accounts", json!({"network": "x", "handle": "other"})).await;
    let theirs = Client::of(&bench, "other").await.say("by others").await;
    let reply = json!({"text": "hi", "reply": {"in_reply_to_tweet_id": theirs}});
    assert_eq!(detail(reply).await, vague, "nobody asked for a reply");
    bench.control("accounts", json!({"network": "x", "handle": "premium1"})).await;
    Client::of(&bench, "premium1").await.say(&"日".repeat(141)).await;
    assert_eq!(bench.ledger().await.len(), 2);

    let weak = exchange(&bench, &code(&bench, "demo", "tweet.read users.read").await).await;
    let weak = Client { bench: &bench, token: weak.str("/access_token"), refresh: String::new() };
    assert_eq!(weak.post(&json!({"text": "no scope"})).await.str("/title"), "Forbidden");
}

#[tokio::test]
async fn pictures_go_up_whole_and_films_in_segments() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    assert_eq!(demo.form("/2/media/upload", PNG, &[]).await.status, 400, "the category is required");
    let picture = demo.form("/2/media/upload", PNG, &[("media_category", "tweet_image")]).await;
    assert_eq!((picture.status, &picture.body["data"]["size"]), (200, &json!(PNG.len())));
    let id = picture.str("/data/id");
    let alt = json!({"id": id, "metadata": {"alt_text": {"text": "a dot"}}});
    assert_eq!(demo.json("/2/media/metadata", &alt).await.status, 200);

    let begin = json!({"media_type": "video/mp4", "total_bytes": MP4.len(), "media_category": "tweet_video"});
    let film = demo.json("/2/media/upload/initialize", &begin).await.str("/data/id");
    let path = |verb: &str| format!("/2/media/upload/{film}/{verb}");
    let (head, tail) = MP4.split_at(10);
    assert_eq!(demo.form(&path("append"), tail, &[("segment_index", "1")]).await.status, 200);
    let early = demo.json(&path("finalize"), &json!({})).await;
    assert_eq!(early.status, 400, "a segment is missing");
    for _ in 0..2 {
        assert_eq!(demo.form(&path("append"), head, &[("segment_index", "0")]).await.status, 200);
    }
    let whole = demo.json(&path("finalize"), &json!({})).await;
    assert_eq!(whole.str("/data/processing_info/state"), "pending");
    let body = json!({"media": {"media_ids": [film]}});
    assert_eq!(demo.post(&body).await.status, 400, "it is still processed");
    bench.advance(1000).await;
    let done = demo.get(&format!("/2/media/upload?command=STATUS&media_id={film}")).await;
    assert_eq!(done.str("/data/processing_info/state"), "succeeded");
    let mixed = demo.post(&json!({"text": "m", "media": {"media_ids": [id, film]}})).await;
    assert_eq!(mixed.status, 403, "pictures and films do not mix");
    assert_eq!(demo.post(&body).await.status, 201);
    assert_eq!(demo.post(&json!({"text": "pic", "media": {"media_ids": [id]}})).await.status, 201);
    let ledger = bench.ledger().await;
    assert_eq!(
        (&ledger[0]["media"][0]["mime"], &ledger[1]["media"][0]["alt"]),
        (&json!("video/mp4"), &json!("a dot"))
    );
    bench.advance(86_400_000).await;
    let later = Client::of(&bench, "demo").await;
    assert_eq!(later.post(&json!({"text": "old", "media": {"media_ids": [id]}})).await.status, 400);
}

#[tokio::test]
async fn reading_back_shows_links_as_t_co_and_escapes_three_characters() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let me = demo.get("/2/users/me?user.fields=subscription_type").await;
    assert_eq!((me.str("/data/username"), me.str("/data/subscription_type")), ("demo".into(), "None".into()));
    let root = demo.say("a <b> & https://example.com/x").await;
    let reply =
        demo.post(&json!({"text": "more", "reply": {"in_reply_to_tweet_id": root}})).await.str("/data/id");
    let path = format!(
        "/2/users/{}/tweets?max_results=5&tweet.fields=created_at,entities,referenced_tweets",
        me.str("/data/id")
    );
    let list = demo.get(&path).await;
    assert_eq!(list.body["meta"]["result_count"], 2);
    assert_eq!(
        (list.str("/data/0/id"), list.str("/data/0/referenced_tweets/0/id")),
        (reply.clone(), root.clone())
    );
    assert!(list.str("/data/1/text").starts_with("a &lt;b&gt; &amp; https://t.co/"));
    assert_eq!(list.str("/data/1/entities/urls/0/expanded_url"), "https://example.com/x");
    let newer = demo.get(&format!("{path}&since_id={root}")).await;
    assert_eq!(newer.body["meta"]["result_count"], 1);
    assert_eq!(demo.get(&path.replace("=5", "=3")).await.status, 400);

    bench
        .control("engage", json!({"network": "x", "native_id": root, "likes": 4, "reposts": 2, "replies": 1}))
        .await;
    let looked = demo.get(&format!("/2/tweets?ids={root},99&tweet.fields=public_metrics")).await;
    assert_eq!(looked.body["data"][0]["public_metrics"]["retweet_count"], 2);
    assert_eq!(looked.str("/errors/0/resource_id"), "99");
    for _ in 0..2 {
        let call = bench.http.delete(bench.url(&format!("/x/2/tweets/{reply}"))).bearer_auth(&demo.token);
        assert_eq!(got(call).await.body["data"]["deleted"], true, "deleting twice is answered alike");
    }
    assert_eq!(demo.get(&path).await.body["meta"]["result_count"], 1);
    let page = got(bench.get(&format!("/x/demo/status/{root}"))).await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn limits_are_told_in_headers_of_their_own_and_without_a_retry_after() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    bench.script(json!({"network": "x", "operation": "publish", "fault": {"kind": "throttle", "retry_after_s": 60}})).await;
    let refused = demo.post(&json!({"text": "x"})).await;
    assert_eq!((refused.status, refused.str("/title")), (429, "Too Many Requests".to_owned()));
    assert_eq!((refused.header("x-rate-limit-remaining"), refused.header("retry-after")), ("0", ""));
    assert!(refused.header("x-rate-limit-reset").parse::<i64>().unwrap() > 1_700_000_000);
    assert_eq!(demo.post(&json!({"text": "x"})).await.header("x-rate-limit-limit"), "100");
}

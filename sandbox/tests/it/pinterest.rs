//! Pinterest as a client meets it: consent and its rotating tokens, boards, pins of each kind, and what it punishes.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{
    RequestBuilder,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

const SCOPES: &str = "boards:read,boards:write,pins:read,pins:write,user_accounts:read";
const APP: (&str, &str) = ("sandbox-pinterest", "sandbox-pinterest-secret");
const TRIAL: (&str, &str) = ("sandbox-pinterest-trial", "sandbox-pinterest-trial-secret");

struct Pinterest<'b> {
    bench: &'b Bench,
    token: String,
    board: String,
}

async fn press(bench: &Bench, client_id: &str, scope: &str) -> Got {
    let form = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        ("state", "s"),
        ("scope", scope),
        ("account", "demo"),
        ("decision", "authorize"),
    ];
    got(bench.http.post(bench.url("/pinterest/oauth/")).form(&form)).await
}

async fn token(bench: &Bench, app: (&str, &str), fields: &[(&str, &str)]) -> Got {
    let call = bench.http.post(bench.url("/pinterest/v5/oauth/token"));
    got(call.basic_auth(app.0, Some(app.1)).form(fields)).await
}

async fn exchange(bench: &Bench, app: (&str, &str), more: &[(&str, &str)]) -> Got {
    let code = query(press(bench, app.0, SCOPES).await.header("location"), "code").unwrap();
    let fields = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT)];
    token(bench, app, &[&fields, more].concat()).await
}

impl<'b> Pinterest<'b> {
    async fn connect(bench: &'b Bench, app: (&str, &str)) -> Self {
        let token = exchange(bench, app, &[("continuous_refresh", "true")]).await.str("/access_token");
        let boards = got(bench.get("/pinterest/v5/boards?page_size=250").bearer_auth(&token)).await;
        Self { bench, token, board: boards.str("/items/0/id") }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.bench.get(&format!("/pinterest{path}")).bearer_auth(&self.token)
    }

    async fn pin(&self, body: &Value) -> Got {
        got(self.bench.post("/pinterest/v5/pins", body).bearer_auth(&self.token)).await
    }

    fn body(&self, more: &Value) -> Value {
        let mut body = json!({"board_id": self.board, "media_source": picture()});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }
}

fn picture() -> Value {
    json!({"source_type": "image_base64", "content_type": "image/png", "data": STANDARD.encode(PNG)})
}

fn refusal(answer: &Got) -> (u16, i64) {
    (answer.status, answer.body["code"].as_i64().unwrap())
}

#[tokio::test]
async fn scopes_stand_between_commas_and_refresh_tokens_rotate() {
    let bench = Bench::new().await;
    let blank = press(&bench, APP.0, "boards:read pins:read").await;
    assert_eq!(blank.status, 400, "the page takes no blanks");
    let legacy = exchange(&bench, APP, &[]).await;
    assert_eq!(legacy.body.get("refresh_token"), None, "it must be asked for");
    let first = exchange(&bench, APP, &[("continuous_refresh", "true")]).await;
    assert_eq!(first.str("/scope"), SCOPES.replace(',', " "));
    assert_eq!(
        (&first.body["expires_in"], &first.body["refresh_token_expires_in"]),
        (&json!(2_592_000), &json!(5_184_000))
    );
    let refresh = async |secret: &str| {
        token(&bench, APP, &[("grant_type", "refresh_token"), ("refresh_token", secret)]).await
    };
    bench.advance(50 * 86_400_000).await;
    let second = refresh(&first.str("/refresh_token")).await;
    assert_ne!(second.str("/refresh_token"), first.str("/refresh_token"));
    assert_eq!(refresh(&first.str("/refresh_token")).await.status, 400, "the old one is used up");
    bench.advance(59 * 86_400_000).await;
    assert_eq!(refresh(&second.str("/refresh_token")).await.status, 200, "its window began anew");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_id", APP.0),
        ("client_secret", APP.1),
    ];
    let without_basic = got(bench.http.post(bench.url("/pinterest/v5/oauth/token")).form(&fields)).await;
    assert_eq!(refusal(&without_basic), (401, 2));
}

#[tokio::test]
async fn boards_are_listed_without_the_secret_ones() {
    let bench = Bench::new().await;
    let demo = Pinterest::connect(&bench, APP).await;
    let boards = got(demo.get("/v5/boards?page_size=1")).await;
    assert_eq!(boards.str("/items/0/name"), "Recipes");
    let next = got(demo.get(&format!("/v5/boards?page_size=1&bookmark={}", boards.str("/bookmark")))).await;
    assert_eq!((next.str("/items/0/name"), &next.body["bookmark"]), ("Travel".into(), &Value::Null));
    assert_eq!(got(demo.get("/v5/user_account")).await.str("/username"), "demo");
    assert_eq!(refusal(&got(demo.get("/v5/boards/1/pins")).await), (404, 40));
}

#[tokio::test]
async fn a_pin_is_what_the_description_says_or_it_is_refused() {
    let bench = Bench::new().await;
    let demo = Pinterest::connect(&bench, APP).await;
    for (more, words) in [
        (json!({"title": ""}), "too short"),
        (json!({"title": "x".repeat(101)}), "maxLength=100"),
        (json!({"description": "x".repeat(801)}), "maxLength=800"),
        (json!({"board_id": "abc"}), "does not match"),
        (json!({"board_id": 7}), "does not match"),
        (json!({"text": "x"}), "Additional properties"),
        (json!({"media_source": null}), "required"),
        (json!({"link": "https://spam.example/"}), "blocked this link"),
        (
            json!({"media_source": {"source_type": "multiple_image_base64", "items": vec![json!({}); 6]}}),
            "maxItems=5",
        ),
        (
            json!({"media_source": {"source_type": "image_url", "url": "http://127.0.0.1:9/x.png"}}),
            "could not fetch",
        ),
    ] {
        let refused = demo.pin(&demo.body(&more)).await;
        assert_eq!(refused.status, 400, "{more}: {}", refused.text);
        assert!(refused.str("/message").contains(words), "{words}: {}", refused.text);
    }
    let mut foreign = demo.body(&json!({}));
    foreign["board_id"] = json!("999");
    assert_eq!(refusal(&demo.pin(&foreign).await), (404, 40));
    let on_trial = Pinterest::connect(&bench, TRIAL).await;
    assert_eq!(refusal(&on_trial.pin(&on_trial.body(&json!({}))).await), (403, 29));
    assert!(bench.ledger().await.is_empty());
}

#[tokio::test]
async fn the_same_pin_twice_is_two_pins_listed_newest_first() {
    let bench = Bench::new().await;
    let demo = Pinterest::connect(&bench, APP).await;
    let body = demo.body(
        &json!({"title": "Soup", "description": "hot", "link": "https://a.example/", "alt_text": "a dot"}),
    );
    let first = demo.pin(&body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let second = demo.pin(&body).await.str("/id");
    let listed = got(demo.get(&format!("/v5/boards/{}/pins", demo.board))).await;
    assert_eq!([listed.str("/items/0/id"), listed.str("/items/1/id")], [second, first.str("/id")]);
    assert_eq!(first.str("/created_at").len(), "2022-10-13T01:40:29".len(), "without a zone");
    let line = &bench.ledger().await[0];
    assert_eq!(
        (&line["kind"], &line["text"], &line["media"][0]["alt"]),
        (&json!("pin"), &json!("hot"), &json!("a dot"))
    );
    let id = first.str("/id");
    bench
        .control(
            "engage",
            json!({"network": "pinterest", "native_id": id, "likes": 5, "reposts": 3, "replies": 1}),
        )
        .await;
    let counted = got(demo.get(&format!("/v5/pins/{id}?pin_metrics=true"))).await;
    assert_eq!(counted.body["pin_metrics"]["lifetime_metrics"]["reaction"], 5);
    assert_eq!(got(bench.get(&format!("/pinterest/pin/{id}/"))).await.status, 200);
    let delete =
        || got(bench.http.delete(bench.url(&format!("/pinterest/v5/pins/{id}"))).bearer_auth(&demo.token));
    assert_eq!(delete().await.status, 204);
    assert_eq!(refusal(&delete().await), (404, 50));
}

#[tokio::test]
async fn a_video_goes_through_the_bucket_and_needs_a_cover() {
    let bench = Bench::new().await;
    let demo = Pinterest::connect(&bench, APP).await;
    let begun =
        got(bench.post("/pinterest/v5/media", &json!({"media_type": "video"})).bearer_auth(&demo.token))
            .await;
    assert_eq!(begun.status, 201);
    let id = begun.str("/media_id");
    let status = || async { got(demo.get(&format!("/v5/media/{id}"))).await.str("/status") };
    assert_eq!(status().await, "registered");
    let parameters = begun.body["upload_parameters"].as_object().unwrap().clone();
    let fields = |form: Form| {
        parameters
            .iter()
            .fold(form, |form, (name, value)| form.text(name.clone(), value.as_str().unwrap().to_owned()))
    };
    let file = || Part::bytes(MP4).file_name("video.mp4");
    let put = |form: Form| bench.http.post(begun.str("/upload_url")).multipart(form);
    assert_eq!(got(put(fields(Form::new().part("file", file())))).await.status, 403, "the file comes last");
    let with_token = put(fields(Form::new()).part("file", file())).bearer_auth(&demo.token);
    assert_eq!(got(with_token).await.status, 400, "the bucket knows no token");
    assert_eq!(got(put(fields(Form::new()).part("file", file()))).await.status, 204);
    assert_eq!(status().await, "processing");
    let source = |more: Value| {
        let mut source = json!({"source_type": "video_id", "media_id": id});
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"media_source": source})
    };
    let cover = json!({"cover_image_key_frame_time": 1});
    assert_eq!(demo.pin(&demo.body(&source(cover.clone()))).await.status, 400, "too early");
    bench.advance(5_000).await;
    assert_eq!(status().await, "succeeded");
    assert_eq!(demo.pin(&demo.body(&source(json!({})))).await.status, 400, "no cover");
    let half = json!({"cover_image_key_frame_time": 0.5});
    assert_eq!(demo.pin(&demo.body(&source(half))).await.status, 400, "whole seconds");
    let made = demo.pin(&demo.body(&source(cover))).await;
    assert_eq!((made.status, made.str("/media/media_type")), (201, "video".into()), "{}", made.text);
    assert_eq!(bench.ledger().await[0]["media"][0]["size"], MP4.len());
}

#[tokio::test]
async fn limits_are_told_in_seconds_from_now() {
    let bench = Bench::new().await;
    let demo = Pinterest::connect(&bench, APP).await;
    bench.script(json!({"network": "pinterest", "operation": "publish", "fault": {"kind": "throttle", "retry_after_s": 5}})).await;
    let refused = demo.pin(&demo.body(&json!({}))).await;
    assert_eq!(refusal(&refused), (429, 8));
    let reset: u64 = refused.header("x-ratelimit-reset").parse().unwrap();
    assert!((5..=6).contains(&reset), "{reset}");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert!(refused.header("retry-after").is_empty());
    let expired = json!({"network": "pinterest", "fault": {"kind": "expire_tokens"}});
    bench.script(expired).await;
    let answer = demo.pin(&demo.body(&json!({}))).await;
    assert_eq!((refusal(&answer), answer.str("/status")), ((401, 2), "failure".into()));
}

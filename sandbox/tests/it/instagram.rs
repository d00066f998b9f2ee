//! Instagram with both logins: tokens, containers from their making to their end, and what is refused with which code.

use std::net::SocketAddr;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

/// A JPEG of one pixel.
const JPEG: &[u8] = &[
    0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01, 0x00,
    0x01, 0x00, 0x00, 0xff, 0xc0, 0x00, 0x0b, 0x08, 0x00, 0x01, 0x00, 0x01, 0x01, 0x01, 0x11, 0x00, 0xff,
    0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00, 0x37, 0xff, 0xd9,
];

const OWN: &str = "instagram_business_basic,instagram_business_content_publish,\
                   instagram_business_manage_comments,instagram_business_manage_insights";
const FACEBOOK: &str = "instagram_basic,instagram_content_publish,instagram_manage_comments,\
                        instagram_manage_insights,pages_show_list,pages_read_engagement";

/// A person's files, which the network fetches.
async fn files() -> SocketAddr {
    let router = axum::Router::new()
        .route("/a.jpg", axum::routing::get(async || ([("content-type", "image/jpeg")], JPEG)))
        .route("/a.png", axum::routing::get(async || ([("content-type", "image/png")], PNG)))
        .route("/a.mp4", axum::routing::get(async || ([("content-type", "video/mp4")], MP4)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio_util::task::TaskTracker::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

struct Account<'b> {
    bench: &'b Bench,
    files: SocketAddr,
    id: String,
    token: String,
}

async fn agree(bench: &Bench, path: &str, scopes: &str, handle: &str) -> Got {
    let form = [
        ("client_id", "sandbox-instagram"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", scopes),
        ("state", "s"),
        ("account", handle),
        ("decision", "authorize"),
    ];
    got(bench.http.post(bench.url(&format!("/instagram{path}"))).form(&form)).await
}

async fn short_lived(bench: &Bench, handle: &str) -> (String, Got) {
    let back = agree(bench, "/oauth/authorize", OWN, handle).await;
    assert!(back.header("location").ends_with("#_"), "{}", back.header("location"));
    let code = query(back.header("location"), "code").unwrap();
    let answer = trade(bench, &code).await;
    (code, answer)
}

async fn trade(bench: &Bench, code: &str) -> Got {
    let form = [
        ("client_id", "sandbox-instagram"),
        ("client_secret", "sandbox-instagram-secret"),
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT),
        ("code", code),
    ];
    got(bench.http.post(bench.url("/instagram/oauth/access_token")).form(&form)).await
}

impl<'b> Account<'b> {
    async fn own(bench: &'b Bench) -> Self {
        let short = short_lived(bench, "demo").await.1.str("/data/0/access_token");
        let path =
            "/instagram/access_token?grant_type=ig_exchange_token&client_secret=sandbox-instagram-secret";
        let token = got(bench.get(path).query(&[("access_token", &short)])).await.str("/access_token");
        let me = got(bench.get("/instagram/v26.0/me?fields=id,user_id,username").bearer_auth(&token)).await;
        assert_ne!(me.str("/id"), me.str("/user_id"));
        Self { bench, files: files().await, id: me.str("/user_id"), token }
    }

    async fn by_facebook(bench: &'b Bench) -> Self {
        let back = agree(bench, "/v26.0/dialog/oauth", FACEBOOK, "demo").await;
        let code = query(back.header("location"), "code").unwrap();
        let ours = [("client_id", "sandbox-instagram"), ("client_secret", "sandbox-instagram-secret")];
        let request = bench.get("/instagram/v26.0/oauth/access_token").query(&ours);
        let person =
            got(request.query(&[("redirect_uri", REDIRECT), ("code", &code)])).await.str("/access_token");
        let fields = "access_token,instagram_business_account{id}";
        let path = format!("/instagram/v26.0/me/accounts?fields={fields}&after=at-1");
        let page = got(bench.get(&path).bearer_auth(&person)).await;
        let id = page.str("/data/0/instagram_business_account/id");
        Self { bench, files: files().await, id, token: page.str("/data/0/access_token") }
    }

    fn file(&self, name: &str) -> String {
        format!("http://{}/{name}", self.files)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.bench.get(&format!("/instagram/v26.0/{path}")).bearer_auth(&self.token)
    }

    async fn create(&self, body: Value) -> Got {
        let path = format!("/instagram/v26.0/{}/media", self.id);
        got(self.bench.post(&path, &body).bearer_auth(&self.token)).await
    }

    async fn publish(&self, container: &str) -> Got {
        let path = format!("/instagram/v26.0/{}/media_publish", self.id);
        got(self.bench.post(&path, &json!({ "creation_id": container })).bearer_auth(&self.token)).await
    }

    async fn status(&self, container: &str) -> String {
        got(self.get(&format!("{container}?fields=status_code"))).await.str("/status_code")
    }

    /// A container that is ready.
    async fn ready(&self, body: Value) -> String {
        let id = self.create(body).await.str("/id");
        self.bench.advance(1_000).await;
        assert_eq!(self.status(&id).await, "FINISHED");
        id
    }
}

fn code(answer: &Got) -> (u16, i64, i64) {
    let number = |name: &str| answer.body["error"][name].as_i64().unwrap_or(0);
    (answer.status, number("code"), number("error_subcode"))
}

#[tokio::test]
async fn a_token_of_instagrams_login_renews_itself_after_a_day() {
    let bench = Bench::new().await;
    let (used, first) = short_lived(&bench, "demo").await;
    assert_eq!(first.str("/data/0/permissions"), OWN);
    let again = trade(&bench, &used).await;
    assert_eq!((again.status, again.str("/error_type")), (400, "OAuthException".to_owned()));
    bench.control("accounts", json!({ "network": "instagram", "handle": "flat.bo" })).await;
    let flat = short_lived(&bench, "flat.bo").await.1;
    assert!(flat.body["user_id"].is_u64() && flat.body["permissions"].is_array(), "{}", flat.text);

    let demo = Account::own(&bench).await;
    let refresh = async |token: &str| {
        let path = "/instagram/refresh_access_token?grant_type=ig_refresh_token";
        got(bench.get(path).query(&[("access_token", token)])).await
    };
    assert_eq!(code(&refresh(&demo.token).await), (400, 100, 0), "too young");
    bench.advance(86_400_000).await;
    let renewed = refresh(&demo.token).await;
    assert_eq!(renewed.body["expires_in"], 5_183_944);
    assert_eq!(refresh(&demo.token).await.status, 200, "the one presented lives on");
    bench.advance(5_183_944_000 - 86_400_000).await;
    assert_eq!(code(&refresh(&demo.token).await), (400, 190, 463));
    assert_eq!(refresh(&renewed.str("/access_token")).await.status, 200);
}

#[tokio::test]
async fn a_container_is_published_once() {
    let bench = Bench::new().await;
    let demo = Account::own(&bench).await;
    let body = json!({ "image_url": demo.file("a.jpg"), "caption": "hello", "alt_text": "a dot" });
    let id = demo.create(body).await.str("/id");
    assert_eq!(demo.status(&id).await, "IN_PROGRESS");
    assert_eq!(code(&demo.publish(&id).await), (400, 9007, 2_207_027));
    bench.advance(1_000).await;
    let media = demo.publish(&id).await.str("/id");
    assert_eq!((demo.status(&id).await.as_str(), media != id), ("PUBLISHED", true));
    assert_eq!(code(&demo.publish(&id).await), (400, 24, 2_207_008));
    assert_eq!(demo.status(&id).await, "PUBLISHED");
    assert_eq!(code(&demo.publish("77").await), (400, 24, 2_207_006));
    let told = got(demo.get(&format!("{media}?fields=permalink,shortcode"))).await;
    assert!(told.str("/permalink").ends_with(&told.str("/shortcode")), "{}", told.text);
    let list = got(demo.get(&format!("{}/media?fields=id,caption,media_type", demo.id))).await;
    assert_eq!(list.body["data"], json!([{ "id": media, "caption": "hello", "media_type": "IMAGE" }]));
    let ledger = bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["media"][0]["alt"]), (1, &json!("a dot")));

    let forgotten = demo.ready(json!({ "image_url": demo.file("a.jpg") })).await;
    bench.advance(86_400_000).await;
    assert_eq!(demo.status(&forgotten).await, "EXPIRED");
    assert_eq!(code(&demo.publish(&forgotten).await), (400, 24, 2_207_008));
}

#[tokio::test]
async fn a_carousel_gathers_two_to_ten_ready_children() {
    let bench = Bench::new().await;
    let demo = Account::own(&bench).await;
    let child = json!({ "is_carousel_item": true, "image_url": demo.file("a.jpg"), "caption": "ignored" });
    let film = json!({ "is_carousel_item": true, "media_type": "VIDEO", "video_url": demo.file("a.mp4") });
    let picture = demo.ready(child).await;
    let early = demo.create(film).await.str("/id");
    let of = |children: &str| json!({ "media_type": "CAROUSEL", "children": children, "caption": "both" });
    let both = format!("{picture},{early}");
    assert_eq!(code(&demo.create(of(&both)).await), (400, 9007, 2_207_027), "a child is not ready");
    assert_eq!(code(&demo.create(of(&picture)).await), (400, 100, 2_207_028));
    bench.advance(1_000).await;
    assert_eq!(code(&demo.publish(&picture).await), (400, 24, 2_207_006), "a child is no post");
    let parent = demo.ready(of(&both)).await;
    demo.publish(&parent).await.str("/id");
    let line = &bench.ledger().await[0];
    assert_eq!((&line["text"], line["media"].as_array().unwrap().len()), (&json!("both"), 2));
}

#[tokio::test]
async fn stories_are_in_a_list_of_their_own() {
    let bench = Bench::new().await;
    let demo = Account::own(&bench).await;
    let story = json!({ "media_type": "STORIES", "video_url": demo.file("a.mp4"), "caption": "not shown" });
    let story = demo.publish(&demo.ready(story).await).await.str("/id");
    let list =
        async |edge: &str| got(demo.get(&format!("{}/{edge}?fields=id", demo.id))).await.body["data"].clone();
    assert_eq!((list("media").await, list("stories").await), (json!([]), json!([{ "id": story }])));
    let metrics = async |names: &str| got(demo.get(&format!("{story}/insights?metric={names}"))).await;
    assert_eq!(metrics("views,replies").await.status, 200);
    assert_eq!(code(&metrics("views,likes").await), (400, 100, 0), "one that does not fit fails all");
    bench.advance(86_400_000).await;
    assert_eq!(list("stories").await, json!([]));
    assert_eq!(bench.ledger().await[0]["text"], "");
}

#[tokio::test]
async fn comments_are_listed_newest_first_fifty_at_once_with_their_author() {
    let bench = Bench::new().await;
    let demo = Account::own(&bench).await;
    bench.control("accounts", json!({ "network": "instagram", "handle": "terse.fan" })).await;
    let fan = short_lived(&bench, "terse.fan").await.1.str("/data/0/access_token");
    let media = demo.publish(&demo.ready(json!({ "image_url": demo.file("a.jpg") })).await).await.str("/id");
    let path = format!("/instagram/v26.0/{media}/comments");
    let say = async |token: &str, text: &str| {
        got(bench.post(&path, &json!({ "message": text })).bearer_auth(token)).await.str("/id")
    };
    let first = say(&demo.token, "mine,  @bo").await;
    let second = say(&fan, "theirs,  @bo").await;
    let fields = "id,text,user,username,timestamp";
    let list = got(demo.get(&format!("{media}/comments?fields={fields}"))).await;
    let (newest, oldest) = (&list.body["data"][0], &list.body["data"][1]);
    assert_eq!((&newest["id"], &newest["username"]), (&json!(second), &json!("terse.fan")));
    assert_eq!((newest.get("user"), &newest["text"]), (None, &json!("theirs, bo")));
    assert_eq!((&oldest["id"], &oldest["user"]["id"]), (&json!(first), &json!(demo.id)));
    assert_eq!((oldest.get("username"), &oldest["text"]), (None, &json!("mine,  @bo")));
    for n in 0..50 {
        say(&fan, &format!("number {n}")).await;
    }
    let page = got(demo.get(&format!("{media}/comments?fields=id&limit=100"))).await;
    assert_eq!(page.body["data"].as_array().unwrap().len(), 50);
    let rest = page.str("/paging/cursors/after");
    let rest = got(demo.get(&format!("{media}/comments?fields=id&limit=100&after={rest}"))).await;
    assert_eq!(rest.body["data"], json!([{ "id": second }, { "id": first }]));
}

#[tokio::test]
async fn refuses_with_the_documented_codes() {
    let bench = Bench::new().await;
    let demo = Account::own(&bench).await;
    let image = |more: Value| {
        let mut body = json!({ "image_url": demo.file("a.jpg") });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (body, expected) in [
        (json!({ "image_url": demo.file("none.jpg") }), (400, 9004, 2_207_052)),
        (json!({ "image_url": demo.file("a.png") }), (400, 36_001, 2_207_005)),
        (image(json!({ "caption": "x".repeat(2201) })), (400, 36_004, 2_207_010)),
        (image(json!({ "caption": "#a ".repeat(31) })), (400, 100, 2_207_040)),
        (image(json!({ "collaborators": ["a", "b", "c", "d"] })), (400, 100, 0)),
        (json!({ "media_type": "VIDEO", "video_url": demo.file("a.mp4") }), (400, 100, 2_207_023)),
        (json!({ "caption": "text alone" }), (400, 100, 2_207_023)),
        (json!({ "media_type": "REELS", "upload_type": "resumable" }), (400, 100, 0)),
    ] {
        assert_eq!(code(&demo.create(body.clone()).await), expected, "{body}");
    }
    let film =
        demo.create(json!({ "media_type": "REELS", "video_url": demo.file("none.mp4") })).await.str("/id");
    bench.advance(1_000).await;
    let status = got(demo.get(&format!("{film}?fields=status_code,status"))).await;
    assert_eq!(status.str("/status_code"), "ERROR");
    assert!(status.str("/status").ends_with("-2/2207003"), "{}", status.text);
    bench.control("limits", json!({ "network": "instagram", "enforce": true })).await;
    for _ in 0..50 {
        let id = demo.ready(image(json!({}))).await;
        assert_eq!(demo.publish(&id).await.status, 200);
    }
    let quota =
        got(demo.get(&format!("{}/content_publishing_limit?fields=quota_usage,config", demo.id))).await;
    assert_eq!(quota.body["data"][0]["quota_usage"], 50);
    let id = demo.ready(image(json!({}))).await;
    assert_eq!(code(&demo.publish(&id).await), (400, 9, 2_207_042));
    assert_eq!(demo.status(&id).await, "FINISHED");
}

#[tokio::test]
async fn only_facebooks_login_deletes_and_uploads_bytes() {
    let bench = Bench::new().await;
    let own = Account::own(&bench).await;
    let other = Account::by_facebook(&bench).await;
    assert_eq!(own.id, other.id, "one account behind both");
    let media = own.publish(&own.ready(json!({ "image_url": own.file("a.jpg") })).await).await.str("/id");
    let delete = async |token: &str| {
        got(bench.http.delete(bench.url(&format!("/instagram/v26.0/{media}"))).bearer_auth(token)).await
    };
    assert_eq!(code(&delete(&own.token).await), (400, 100, 33));
    assert_eq!(delete(&other.token).await.body["success"], true);
    let reel = other.create(json!({ "media_type": "REELS", "upload_type": "resumable" })).await;
    let upload = bench.http.post(reel.str("/uri")).header("authorization", format!("OAuth {}", other.token));
    let upload = upload.header("offset", "0").header("file_size", MP4.len().to_string()).body(MP4);
    assert_eq!(got(upload).await.body["success"], true);
    bench.advance(1_000).await;
    assert_eq!(other.publish(&reel.str("/id")).await.status, 200);
    let refresh = "/instagram/refresh_access_token?grant_type=ig_refresh_token";
    let refused = got(bench.get(refresh).query(&[("access_token", &other.token)])).await;
    assert_eq!(code(&refused), (400, 100, 0), "these tokens do not renew themselves");
}

//! Facebook Pages: the login and its traps, posts, drafts of photos, reels and stories, and what is refused with which
//! code.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

const SCOPES: &str =
    "pages_show_list,pages_manage_posts,pages_read_engagement,pages_manage_engagement,read_insights";

/// The person's long-lived token, and a Page with its own.
struct Page<'b> {
    bench: &'b Bench,
    person: String,
    id: String,
    token: String,
}

async fn dialog(bench: &Bench, scopes: &str, decision: &str) -> Got {
    let form = [
        ("client_id", "sandbox-facebook"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", scopes),
        ("state", "s"),
        ("account", "demo"),
        ("decision", decision),
    ];
    got(bench.http.post(bench.url("/facebook/v26.0/dialog/oauth")).form(&form)).await
}

async fn token(bench: &Bench, fields: &[(&str, &str)]) -> Got {
    let ours = [("client_id", "sandbox-facebook"), ("client_secret", "sandbox-facebook-secret")];
    let request = bench.get("/facebook/v26.0/oauth/access_token");
    got(request.query(&ours).query(fields)).await
}

async fn person(bench: &Bench, scopes: &str) -> String {
    let back = dialog(bench, scopes, "authorize").await;
    let code = query(back.header("location"), "code").unwrap();
    let short = token(bench, &[("redirect_uri", REDIRECT), ("code", &code)]).await.str("/access_token");
    let long = token(bench, &[("grant_type", "fb_exchange_token"), ("fb_exchange_token", &short)]).await;
    assert_eq!(long.body["expires_in"], 5_183_944);
    long.str("/access_token")
}

impl<'b> Page<'b> {
    async fn new(bench: &'b Bench) -> Self {
        let person = person(bench, SCOPES).await;
        let path = "/facebook/v26.0/me/accounts?after=at-2";
        let page = got(bench.get(path).bearer_auth(&person)).await;
        let (id, token) = (page.str("/data/0/id"), page.str("/data/0/access_token"));
        Self { bench, person, id, token }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.bench.get(&format!("/facebook/v26.0/{path}")).bearer_auth(&self.token)
    }

    fn post(&self, edge: &str, body: &Value) -> RequestBuilder {
        self.bench.post(&format!("/facebook/v26.0/{}/{edge}", self.id), body).bearer_auth(&self.token)
    }

    async fn photo(&self) -> String {
        let part = reqwest::multipart::Part::bytes(PNG).file_name("p.png").mime_str("image/png").unwrap();
        let form = reqwest::multipart::Form::new().part("source", part).text("published", "false");
        let url = self.bench.url(&format!("/facebook/v26.0/{}/photos", self.id));
        let answer = got(self.bench.http.post(url).bearer_auth(&self.token).multipart(form)).await;
        assert!(answer.body.get("post_id").is_none(), "{}", answer.text);
        answer.str("/id")
    }
}

fn code(answer: &Got) -> (u16, i64, i64) {
    let number = |name: &str| answer.body["error"][name].as_i64().unwrap_or(0);
    assert_eq!(answer.body["error"]["type"], "OAuthException", "{}", answer.text);
    (answer.status, number("code"), number("error_subcode"))
}

#[tokio::test]
async fn a_login_shows_pages_two_at_a_time_with_tokens_that_do_not_end() {
    let bench = Bench::new().await;
    let denied = dialog(&bench, SCOPES, "deny").await;
    let location = denied.header("location").to_owned();
    assert_eq!(query(&location, "error_reason").as_deref(), Some("user_denied"));
    let back = dialog(&bench, SCOPES, "authorize").await;
    let code_text = query(back.header("location"), "code").unwrap();
    let fields = [("redirect_uri", REDIRECT), ("code", code_text.as_str())];
    assert_eq!(
        code(&token(&bench, &[("redirect_uri", "http://other.example/"), fields[1]]).await),
        (400, 100, 36_008)
    );
    assert_eq!(token(&bench, &fields).await.status, 200);
    assert_eq!(code(&token(&bench, &fields).await), (400, 100, 36_009), "a code works once");

    let page = Page::new(&bench).await;
    let first = got(bench.get("/facebook/v26.0/me/accounts?limit=100").bearer_auth(&page.person)).await;
    assert_eq!(first.body["data"].as_array().unwrap().len(), 2);
    assert!(first.str("/paging/next").contains("access_token="), "the next address holds the token");
    assert_eq!(first.body["data"][0]["tasks"], json!(["ANALYZE"]));
    bench.advance(5_184_000_000).await;
    let expired = got(bench.get("/facebook/v26.0/me").bearer_auth(&page.person)).await;
    assert_eq!(code(&expired), (400, 190, 463));
    assert_eq!(got(page.get("me")).await.status, 200, "the Page's token goes on");

    let url = bench.url("/facebook/v26.0/me/permissions");
    assert_eq!(got(bench.http.delete(url).bearer_auth(&page.token)).await.body["success"], true);
    assert_eq!(code(&got(page.get("me")).await), (400, 190, 458));
}

#[tokio::test]
async fn a_short_token_gives_page_tokens_that_end_with_it() {
    let bench = Bench::new().await;
    let back = dialog(&bench, SCOPES, "authorize").await;
    let code_text = query(back.header("location"), "code").unwrap();
    let short = token(&bench, &[("redirect_uri", REDIRECT), ("code", &code_text)]).await.str("/access_token");
    let pages = got(bench.get("/facebook/v26.0/me/accounts").bearer_auth(&short)).await;
    let page = pages.str("/data/0/access_token");
    bench.advance(5_400_001).await;
    assert_eq!(code(&got(bench.get("/facebook/v26.0/me").bearer_auth(&page)).await), (400, 190, 463));
    let trade = [("grant_type", "fb_exchange_token"), ("fb_exchange_token", short.as_str())];
    assert_eq!(code(&token(&bench, &trade).await), (400, 190, 463), "too late to exchange it");
}

#[tokio::test]
async fn posts_text_links_and_photos_that_are_used_once() {
    let bench = Bench::new().await;
    let page = Page::new(&bench).await;
    let text = got(page.post("feed", &json!({ "message": "hello", "published": true }))).await;
    assert!(text.str("/id").starts_with(&format!("{}_", page.id)));
    let again = got(page.post("feed", &json!({ "message": "hello" }))).await;
    assert_eq!(code(&again), (400, 506, 0));
    let link = json!({ "message": "hello", "link": "https://example.com/" });
    assert_eq!(got(page.post("feed", &link)).await.status, 200, "another link is another post");
    assert_eq!(code(&got(page.post("feed", &json!({}))).await), (400, 100, 0));

    let photos = [page.photo().await, page.photo().await];
    let attached: Vec<Value> = photos.iter().map(|id| json!({ "media_fbid": id })).collect();
    let body = json!({ "message": "two", "attached_media": attached });
    let post = got(page.post("feed", &body)).await.str("/id");
    assert_eq!(code(&got(page.post("feed", &body)).await), (400, 100, 0), "attached already");
    let story = got(page.post("photo_stories", &json!({ "photo_id": photos[0] }))).await;
    assert_eq!(code(&story), (400, 100, 0), "a story takes no photo of a post");
    let unused = page.photo().await;
    let story = got(page.post("photo_stories", &json!({ "photo_id": unused }))).await;
    assert_eq!((story.body["success"] == true, story.str("/post_id").contains('_')), (true, false));
    let stories = got(page.get(&format!("{}/stories", page.id))).await;
    assert_eq!(stories.body["data"][0]["media_id"], json!(unused));

    let fields = "id,message,is_published,attachments{media_type,target,subattachments{media_type,target}}";
    let list = got(page.get(&format!("{}/published_posts?fields={fields}", page.id))).await;
    let newest = &list.body["data"][0];
    assert_eq!(newest["id"], json!(post));
    let album = &newest["attachments"]["data"][0];
    assert_eq!(
        (&album["media_type"], &album["subattachments"]["data"][1]["target"]["id"]),
        (&json!("album"), &json!(photos[1]))
    );
    let ledger = bench.ledger().await;
    assert_eq!(
        ledger.iter().map(|line| line["media"].as_array().unwrap().len()).collect::<Vec<_>>(),
        [0, 0, 2, 1]
    );
    assert_eq!(ledger[3]["kind"], "story");
}

#[tokio::test]
async fn a_draft_is_published_once_by_its_id() {
    let bench = Bench::new().await;
    let page = Page::new(&bench).await;
    let draft = got(page.post("feed", &json!({ "message": "later", "published": false }))).await.str("/id");
    assert_eq!(bench.ledger().await.len(), 0);
    let path = format!("/facebook/v26.0/{draft}");
    for _ in 0..2 {
        let publish = bench.post(&path, &json!({ "is_published": true })).bearer_auth(&page.token);
        assert_eq!(got(publish).await.body["success"], true);
    }
    assert_eq!(bench.ledger().await.len(), 1);
    let shown = got(page.get(&format!("{draft}?fields=is_published"))).await;
    assert_eq!(shown.body["is_published"], true);
}

#[tokio::test]
async fn a_reel_names_its_post_when_it_is_processed() {
    let bench = Bench::new().await;
    let page = Page::new(&bench).await;
    let start = got(page.post("video_reels", &json!({ "upload_phase": "start" }))).await;
    let (id, url) = (start.str("/video_id"), start.str("/upload_url"));
    let finish =
        json!({ "upload_phase": "finish", "video_id": id, "video_state": "PUBLISHED", "description": "hi" });
    assert_eq!(
        code(&got(page.post("video_reels", &finish)).await),
        (400, 6000, 1_363_130),
        "nothing was uploaded"
    );
    let send = |offset: usize, bytes: &'static [u8]| {
        let request = bench.http.post(&url).header("authorization", format!("OAuth {}", page.token));
        request.header("offset", offset.to_string()).header("file_size", MP4.len().to_string()).body(bytes)
    };
    let cut = MP4.len() - 1;
    assert_eq!(got(send(0, &MP4[..cut])).await.str("/debug_info/type"), "PartialRequestError");
    assert_eq!(got(send(0, MP4)).await.str("/debug_info/type"), "OffsetInvalidError");
    let status = got(page.get(&format!("{id}?fields=status"))).await;
    assert_eq!(status.body["status"]["uploading_phase"]["bytes_transfered"], cut);
    assert_eq!(got(send(cut, &MP4[cut..])).await.body["success"], true);
    assert_eq!(got(page.post("video_reels", &finish)).await.body, json!({ "success": true }));
    let look = async || got(page.get(&format!("{id}?fields=status,post_id,published"))).await.body;
    let before = look().await;
    assert_eq!((before.get("post_id"), &before["published"]), (None, &json!(false)));
    bench.advance(1000).await;
    let after = look().await;
    let post = format!("{}_{}", page.id, after["post_id"].as_str().unwrap());
    assert_eq!(after["status"]["publishing_phase"]["publish_status"], "published");
    let ledger = bench.ledger().await;
    assert_eq!((&ledger[0]["native_id"], &ledger[0]["kind"]), (&json!(post), &json!("reel")));
    assert_eq!(code(&got(page.post("video_reels", &finish)).await), (400, 100, 0), "it is no draft any more");
}

#[tokio::test]
async fn comments_stand_under_posts_that_are_there() {
    let bench = Bench::new().await;
    let page = Page::new(&bench).await;
    let post = got(page.post("feed", &json!({ "message": "root" }))).await.str("/id");
    let path = format!("/facebook/v26.0/{post}/comments");
    let say = |text: &str| bench.post(&path, &json!({ "message": text })).bearer_auth(&page.token);
    let first = got(say("first")).await.str("/id");
    got(say("second")).await;
    let list = got(page.get(&format!("{post}/comments?order=reverse_chronological"))).await;
    assert_eq!(list.body["data"][0]["message"], "second");
    assert_eq!(list.body["data"][0]["from"]["id"], json!(page.id));
    assert_eq!(bench.ledger().await[1]["in_reply_to"], json!(post));
    let told = got(page.get(&format!("{first}?fields=permalink_url"))).await.str("/permalink_url");
    let number = |id: &str| id.split('_').nth(1).unwrap().to_owned();
    let end = format!("/posts/{}?comment_id={}", number(&post), number(&first));
    assert!(told.ends_with(&end), "{told}");
    let url = bench.url(&format!("/facebook/v26.0/{post}"));
    assert_eq!(got(bench.http.delete(url).bearer_auth(&page.token)).await.body["success"], true);
    assert_eq!(code(&got(say("third")).await), (400, 100, 33));
    assert!(!first.starts_with(&page.id));
}

#[tokio::test]
async fn refuses_with_the_documented_codes() {
    let bench = Bench::new().await;
    let page = Page::new(&bench).await;
    let say = |token: &str| {
        bench
            .post(&format!("/facebook/v26.0/{}/feed", page.id), &json!({ "message": "x" }))
            .bearer_auth(token.to_owned())
    };
    assert_eq!(code(&got(say("nonsense")).await), (400, 190, 0));
    assert_eq!(code(&got(say(&page.person)).await), (400, 210, 0), "a person's token does not post");
    let narrow = person(&bench, "pages_show_list,pages_read_engagement").await;
    let pages = got(bench.get("/facebook/v26.0/me/accounts?after=at-2").bearer_auth(&narrow)).await;
    assert_eq!(code(&got(say(&pages.str("/data/0/access_token"))).await), (400, 200, 0));
    bench.script(json!({ "network": "facebook", "operation": "publish", "fault": { "kind": "throttle", "retry_after_s": 600 } })).await;
    let throttled = got(say(&page.token)).await;
    assert_eq!(code(&throttled), (400, 80_001, 0));
    let usage: Value = serde_json::from_str(throttled.header("x-business-use-case-usage")).unwrap();
    let usage = usage.as_object().unwrap().values().next().unwrap();
    assert_eq!(usage[0]["call_count"], 100);
    assert!(usage[0]["estimated_time_to_regain_access"].as_i64().unwrap() > 0);
    bench
        .script(
            json!({ "network": "facebook", "operation": "publish", "fault": { "kind": "accept_then_500" } }),
        )
        .await;
    assert_eq!(code(&got(say(&page.token)).await), (500, 2, 0));
    assert_eq!(bench.ledger().await.len(), 1);
}

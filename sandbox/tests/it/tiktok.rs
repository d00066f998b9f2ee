//! Every documented answer of the TikTok stand-in.

use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

const SCOPES: &str = "user.info.basic,user.info.profile,video.publish,video.upload,video.list";
const HOUR_MS: u64 = 3_600_000;

struct Tiktok<'b> {
    bench: &'b Bench,
    token: String,
    refresh: String,
}

impl<'b> Tiktok<'b> {
    async fn connect(bench: &'b Bench, handle: &str) -> Self {
        Self::with(bench, handle, SCOPES).await
    }

    async fn with(bench: &'b Bench, handle: &str, scopes: &str) -> Self {
        let code = agree(bench, handle, scopes).await;
        let fields =
            [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT)];
        let issued = token(bench, &fields).await;
        Self { bench, token: issued.str("/access_token"), refresh: issued.str("/refresh_token") }
    }

    async fn post(&self, path: &str, body: &Value) -> Got {
        got(self.bench.post(&format!("/tiktok/v2{path}"), body).bearer_auth(&self.token)).await
    }

    async fn info(&self, query: &str) -> Got {
        got(self.bench.get(&format!("/tiktok/v2/user/info/{query}")).bearer_auth(&self.token)).await
    }

    async fn init(&self, size: usize, chunk: usize, count: usize) -> Got {
        self.post(
            "/post/publish/video/init/",
            &json!({ "post_info": info("hi"), "source_info": source(size, chunk, count) }),
        )
        .await
    }

    async fn status(&self, publish_id: &str) -> Value {
        let told = self.post("/post/publish/status/fetch/", &json!({ "publish_id": publish_id })).await;
        assert_eq!(code(&told), (200, "ok".to_owned()), "{}", told.text);
        told.body["data"].clone()
    }

    async fn put(&self, url: &str, bytes: Vec<u8>, range: &str) -> Got {
        let request = self.bench.http.put(url).header("content-type", "video/mp4");
        got(request.header("content-range", range).body(bytes)).await
    }

    async fn photos(&self, urls: &[&str]) -> Got {
        let mut info = info("");
        info["description"] = json!("photos");
        let source = json!({ "source": "PULL_FROM_URL", "photo_cover_index": 0, "photo_images": urls });
        let body = json!({ "media_type": "PHOTO", "post_mode": "DIRECT_POST", "post_info": info, "source_info": source });
        self.post("/post/publish/content/init/", &body).await
    }
}

fn info(title: &str) -> Value {
    json!({
        "title": title,
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "brand_content_toggle": false,
        "brand_organic_toggle": false,
    })
}

fn source(size: usize, chunk: usize, count: usize) -> Value {
    json!({ "source": "FILE_UPLOAD", "video_size": size, "chunk_size": chunk, "total_chunk_count": count })
}

async fn agree(bench: &Bench, handle: &str, scopes: &str) -> String {
    let form = [
        ("client_key", "sandbox-tiktok"),
        ("redirect_uri", REDIRECT),
        ("scope", scopes),
        ("response_type", "code"),
        ("state", "s"),
        ("account", handle),
        ("decision", "authorize"),
    ];
    let back = got(bench.http.post(bench.url("/tiktok/v2/auth/authorize/")).form(&form)).await;
    assert_eq!(query(back.header("location"), "scopes").unwrap(), scopes);
    query(back.header("location"), "code").unwrap()
}

async fn token(bench: &Bench, fields: &[(&str, &str)]) -> Got {
    let client = [("client_key", "sandbox-tiktok"), ("client_secret", "sandbox-tiktok-secret")];
    let form = [&client, fields].concat();
    got(bench.http.post(bench.url("/tiktok/v2/oauth/token/")).form(&form)).await
}

async fn refresh(bench: &Bench, secret: &str) -> Got {
    token(bench, &[("grant_type", "refresh_token"), ("refresh_token", secret)]).await
}

/// Status and code.
fn code(answer: &Got) -> (u16, String) {
    (answer.status, answer.str("/error/code"))
}

fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}

#[tokio::test]
async fn errors_of_the_token_endpoint_come_with_200_and_refresh_tokens_work_once() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    assert!(demo.token.starts_with("act.") && demo.refresh.starts_with("rft."));
    let unknown = token(&bench, &[("grant_type", "authorization_code"), ("code", "x")]).await;
    assert_eq!(unknown.refusal(), (200, "invalid_grant".to_owned()));
    let id = [("client_id", "sandbox-tiktok"), ("client_secret", "sandbox-tiktok-secret")];
    let wrong = got(bench.http.post(bench.url("/tiktok/v2/oauth/token/")).form(&id)).await;
    assert_eq!(wrong.refusal(), (200, "invalid_client".to_owned()), "the id is called client_key");
    let next = refresh(&bench, &demo.refresh).await;
    assert_ne!(next.str("/refresh_token"), demo.refresh);
    assert_eq!(
        (&next.body["expires_in"], &next.body["refresh_expires_in"]),
        (&json!(86_400), &json!(31_536_000))
    );
    assert_eq!(refresh(&bench, &demo.refresh).await.refusal(), (200, "invalid_grant".to_owned()));
    bench.advance(24 * HOUR_MS).await;
    assert_eq!(code(&demo.info("?fields=open_id").await), (401, "access_token_invalid".to_owned()));
}

#[tokio::test]
async fn fields_are_asked_for_by_name_and_scopes_count() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    assert_eq!(code(&demo.info("").await), (400, "invalid_params".to_owned()));
    let user = demo.info("?fields=open_id,username").await;
    assert_eq!(
        user.body["data"]["user"],
        json!({ "open_id": "-0001701234567890123456", "username": "demo" })
    );
    let basic = Tiktok::with(&bench, "demo", "user.info.basic").await;
    assert_eq!(code(&basic.info("?fields=username").await), (401, "scope_not_authorized".to_owned()));
    let creator = basic.post("/post/publish/creator_info/query/", &json!({})).await;
    assert_eq!(code(&creator), (401, "scope_not_authorized".to_owned()));
}

#[tokio::test]
async fn what_creators_may_do_differs() {
    let bench = Bench::new().await;
    for handle in ["private.ana", "banned.ana", "unaudited.ana"] {
        bench.control("accounts", json!({ "network": "tiktok", "handle": handle })).await;
    }
    let ask = async |handle: &str| {
        let account = Tiktok::connect(&bench, handle).await;
        (account.post("/post/publish/creator_info/query/", &json!({})).await, account.init(100, 100, 1).await)
    };
    let (creator, begun) = ask("demo").await;
    assert_eq!(creator.body["data"]["privacy_level_options"][0], "PUBLIC_TO_EVERYONE");
    assert_eq!(code(&begun), (200, "ok".to_owned()));
    let (creator, begun) = ask("private.ana").await;
    assert_eq!(creator.body["data"]["privacy_level_options"][0], "FOLLOWER_OF_CREATOR");
    assert_eq!(code(&begun), (403, "privacy_level_option_mismatch".to_owned()));
    let (creator, begun) = ask("banned.ana").await;
    let banned = "spam_risk_user_banned_from_posting".to_owned();
    assert_eq!((code(&creator), code(&begun)), ((200, banned.clone()), (403, banned)));
    let (_, begun) = ask("unaudited.ana").await;
    assert_eq!(code(&begun).1, "unaudited_client_can_only_post_to_private_accounts");
}

#[tokio::test]
async fn an_upload_is_announced_as_the_network_counts() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    for (size, chunk, count, is_fine) in [
        (100, 100, 1, true),
        (100, 50, 2, false),
        (50_000_123, 10_000_000, 5, true),
        (50_000_123, 10_000_000, 6, false),
        (50_000_123, 50_000_123, 1, true),
        (50_000_123, 1_000_000, 50, false),
        (100_000_000, 100_000_000, 1, false),
        (100_000_000, 50_000_000, 2, true),
        (0, 0, 1, false),
    ] {
        let begun = demo.init(size, chunk, count).await;
        assert_eq!(begun.status == 200, is_fine, "{size} {chunk} {count}: {}", begun.text);
    }
    let long = json!({ "post_info": info(&"👋".repeat(1101)), "source_info": source(100, 100, 1) });
    let refused = demo.post("/post/publish/video/init/", &long).await;
    assert_eq!(code(&refused), (400, "invalid_params".to_owned()), "an emoji counts two");
}

#[tokio::test]
async fn bytes_come_in_their_order_and_the_last_ones_publish() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    let chunk = 5 << 20;
    let mut film = MP4.to_vec();
    film.resize(2 * chunk + 100, 0);
    let size = film.len();
    let begun = demo.init(size, chunk, 2).await;
    let (id, url) = (begun.str("/data/publish_id"), begun.str("/data/upload_url"));
    assert!(id.starts_with("v_pub_file~") && url.len() <= 256, "{id} {url}");
    let range = |start: usize, end: usize| format!("bytes {start}-{}/{size}", end - 1);
    let part = |start: usize, end: usize| film[start..end].to_vec();
    let later = demo.put(&url, part(chunk, size), &range(chunk, size)).await;
    assert_eq!((later.status, later.header("content-range")), (416, format!("bytes 0-0/{size}").as_str()));
    assert_eq!(demo.put(&url, part(0, 100), &range(0, 100)).await.status, 400, "not as announced");
    assert_eq!(demo.put(&url, part(0, chunk), &range(0, chunk - 1)).await.status, 400, "another length");
    assert_eq!(demo.put(&url, part(0, chunk), &range(0, chunk)).await.status, 206);
    let status = demo.status(&id).await;
    assert_eq!((&status["status"], &status["uploaded_bytes"]), (&json!("PROCESSING_UPLOAD"), &json!(chunk)));
    assert_eq!(bench.ledger().await.len(), 0);
    assert_eq!(demo.put(&url, part(chunk, size), &range(chunk, size)).await.status, 201);
    assert_eq!(demo.put(&url, part(chunk, size), &range(chunk, size)).await.status, 416);
    assert_eq!(bench.ledger().await.len(), 1);
    bench.advance(300).await;
    let done = demo.status(&id).await;
    assert_eq!(
        (&done["status"], &done["publicaly_available_post_id"]),
        (&json!("PUBLISH_COMPLETE"), &Value::Null)
    );
    bench.advance(300).await;
    let post = demo.status(&id).await["publicaly_available_post_id"][0].as_u64().unwrap();
    assert!(post > 1 << 53);
    let list = demo.post("/video/list/?fields=id,title", &json!({ "max_count": 20 })).await;
    assert_eq!(list.body["data"]["videos"], json!([{ "id": post.to_string(), "title": "hi" }]));
    assert_eq!(code(&demo.post("/video/list/", &json!({})).await), (400, "invalid_params".to_owned()));
    let ids = json!({ "filters": { "video_ids": [post.to_string(), "1"] } });
    let counts = demo.post("/video/query/?fields=id,like_count", &ids).await;
    assert_eq!(counts.body["data"]["videos"], json!([{ "id": post.to_string(), "like_count": 0 }]));
    let unknown = demo.post("/post/publish/status/fetch/", &json!({ "publish_id": "x" })).await;
    assert_eq!(code(&unknown), (400, "invalid_publish_id".to_owned()));
}

#[tokio::test]
async fn an_address_works_for_an_hour_and_files_are_judged_later() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    let begun = demo.init(PNG.len(), PNG.len(), 1).await;
    let (id, url) = (begun.str("/data/publish_id"), begun.str("/data/upload_url"));
    let range = format!("bytes 0-{}/{}", PNG.len() - 1, PNG.len());
    let strange = url.replace("upload_id=", "upload_id=1");
    assert_eq!(demo.put(&strange, PNG.to_vec(), &range).await.status, 404);
    assert_eq!(demo.put(&url, PNG.to_vec(), &range).await.status, 201, "no film, but that shows later");
    bench.advance(1000).await;
    let failed = demo.status(&id).await;
    assert_eq!(
        (&failed["status"], &failed["fail_reason"]),
        (&json!("FAILED"), &json!("file_format_check_failed"))
    );
    let late = demo.init(PNG.len(), PNG.len(), 1).await.str("/data/upload_url");
    bench.advance(HOUR_MS).await;
    assert_eq!(demo.put(&late, PNG.to_vec(), &range).await.status, 403);
    assert_eq!(bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn drafts_end_in_the_inbox() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    let size = MP4.len();
    let body = json!({ "source_info": source(size, size, 1) });
    let begun = demo.post("/post/publish/inbox/video/init/", &body).await;
    let id = begun.str("/data/publish_id");
    assert!(id.starts_with("v_inbox_file~"), "{id}");
    let range = format!("bytes 0-{}/{size}", size - 1);
    assert_eq!(demo.put(&begun.str("/data/upload_url"), MP4.to_vec(), &range).await.status, 201);
    bench.advance(1000).await;
    assert_eq!(demo.status(&id).await["status"], "SEND_TO_USER_INBOX");
    assert_eq!(bench.ledger().await[0]["kind"], "inbox");
}

#[tokio::test]
async fn photos_are_pulled_and_their_call_publishes_them() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    let jpeg = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(16, 16).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    let large = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(1100, 1100).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    let mastodon = bench.mastodon().await;
    let mut urls = Vec::new();
    for bytes in [jpeg, large, PNG.to_vec()] {
        urls.push(bench.url(&format!("/_sandbox/media/{}", digest(&bytes))));
        mastodon.upload(bytes.leak(), "image/jpeg").await;
    }
    let missing = bench.url("/_sandbox/media/none");
    for (url, why) in [
        (&urls[1], "picture_size_check_failed"),
        (&urls[2], "file_format_check_failed"),
        (&missing, "photo_pull_failed"),
    ] {
        let id = demo.photos(&[url.as_str()]).await.str("/data/publish_id");
        assert_eq!(demo.status(&id).await["status"], "PROCESSING_DOWNLOAD");
        bench.advance(1000).await;
        assert_eq!(demo.status(&id).await["fail_reason"], *why);
    }
    let unverified = demo.photos(&["https://unverified.example/1.jpg"]).await;
    assert_eq!(code(&unverified), (403, "url_ownership_unverified".to_owned()));
    assert_eq!(demo.photos(&[]).await.status, 400);
    assert_eq!(bench.ledger().await.len(), 0);
    let id = demo.photos(&[urls[0].as_str(), urls[0].as_str()]).await.str("/data/publish_id");
    assert!(id.starts_with("p_pub_url~"), "{id}");
    let ledger = bench.ledger().await;
    assert_eq!((&ledger[0]["native_id"], ledger[0]["media"].as_array().unwrap().len()), (&json!(id), 2));
    let cancelled = demo.post("/post/publish/cancel/", &json!({ "publish_id": id })).await;
    assert_eq!(code(&cancelled), (400, "publish_not_cancellable".to_owned()));
}

#[tokio::test]
async fn limits_of_a_minute_and_of_a_day_refuse() {
    let bench = Bench::new().await;
    let demo = Tiktok::connect(&bench, "demo").await;
    bench.control("limits", json!({ "network": "tiktok", "enforce": true })).await;
    let mut refused = 0;
    for _ in 0..13 {
        let begun = demo.init(100, 100, 1).await;
        if begun.status != 200 {
            assert_eq!(code(&begun), (429, "rate_limit_exceeded".to_owned()));
            assert_eq!(begun.header("retry-after"), "", "nobody says how long");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

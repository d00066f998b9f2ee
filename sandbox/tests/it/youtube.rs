//! The YouTube stand-in: consent and refresh tokens, resumable sessions, what becomes of a video, and comments.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

const ALL: &str = "https://www.googleapis.com/auth/youtube https://www.googleapis.com/auth/youtube.upload \
                   https://www.googleapis.com/auth/youtube.force-ssl";

async fn code(bench: &Bench, handle: &str, extra: &[(&str, &str)]) -> String {
    let mut form = vec![
        ("response_type", "code"),
        ("client_id", "sandbox-youtube"),
        ("redirect_uri", REDIRECT),
        ("scope", ALL),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("state", "s"),
        ("account", handle),
        ("decision", "authorize"),
    ];
    form.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    form.extend(extra);
    let answer = got(bench.http.post(bench.url("/youtube/o/oauth2/v2/auth")).form(&form)).await;
    query(answer.header("location"), "code").unwrap_or_else(|| panic!("{answer:?}"))
}

async fn token(bench: &Bench, fields: &[(&str, &str)]) -> Got {
    let client = [("client_id", "sandbox-youtube"), ("client_secret", "sandbox-youtube-secret")];
    got(bench.http.post(bench.url("/youtube/token")).form(&[fields, &client].concat())).await
}

async fn exchange(bench: &Bench, code: &str) -> Got {
    token(bench, &[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)]).await
}

struct Client<'b> {
    bench: &'b Bench,
    token: String,
}

impl<'b> Client<'b> {
    async fn of(bench: &'b Bench, handle: &str) -> Self {
        if handle != "demo" {
            bench.control("accounts", json!({"network": "youtube", "handle": handle})).await;
        }
        let answer = exchange(bench, &code(bench, handle, &[]).await).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self { bench, token: answer.str("/access_token") }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.bench.get(&format!("/youtube{path}")).bearer_auth(&self.token)
    }

    async fn open(&self, size: usize, meta: &Value) -> Got {
        let path = "/youtube/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status";
        let call = self.bench.post(path, meta).bearer_auth(&self.token);
        got(call.header("x-upload-content-length", size).header("x-upload-content-type", "video/mp4")).await
    }

    async fn put(&self, session: &str, range: &str, bytes: Vec<u8>) -> Got {
        let call = self.bench.http.put(session).bearer_auth(&self.token).header("content-range", range);
        got(call.body(bytes)).await
    }

    async fn upload(&self, title: &str, bytes: &[u8]) -> Got {
        let session = self.open(bytes.len(), &meta(title)).await.header("location").to_owned();
        let range = format!("bytes 0-{}/{}", bytes.len() - 1, bytes.len());
        self.put(&session, &range, bytes.to_vec()).await
    }
}

fn meta(title: &str) -> Value {
    json!({"snippet": {"title": title, "description": "d", "categoryId": "22"},
        "status": {"privacyStatus": "public", "selfDeclaredMadeForKids": false}})
}

fn reason(answer: &Got) -> (u16, String) {
    (answer.status, answer.str("/error/errors/0/reason"))
}

#[tokio::test]
async fn a_refresh_token_comes_with_offline_access_and_consent_and_is_not_rotated() {
    let bench = Bench::new().await;
    let online = exchange(&bench, &code(&bench, "demo", &[("access_type", "online")]).await).await;
    assert!(online.body.get("refresh_token").is_none());
    let first = exchange(&bench, &code(&bench, "demo", &[("prompt", "none")]).await).await;
    let refresh = first.str("/refresh_token");
    let second = exchange(&bench, &code(&bench, "demo", &[("prompt", "none")]).await).await;
    assert!(second.body.get("refresh_token").is_none(), "the second time only after consent");
    let renew = async |refresh: &str| {
        token(&bench, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    };
    for _ in 0..2 {
        let renewed = renew(&refresh).await;
        assert_eq!((renewed.status, renewed.body.get("refresh_token")), (200, None));
        assert_eq!(renewed.body["expires_in"], 3599);
    }
    let mut newest = String::new();
    for _ in 0..100 {
        newest = exchange(&bench, &code(&bench, "demo", &[]).await).await.str("/refresh_token");
    }
    assert_eq!(renew(&refresh).await.refusal(), (400, "invalid_grant".to_owned()), "the oldest of 101 ended");
    assert_eq!(renew(&newest).await.status, 200);
    let revoke =
        async || got(bench.http.post(bench.url("/youtube/revoke")).form(&[("token", &newest)])).await;
    assert_eq!(revoke().await.status, 200);
    assert_eq!(revoke().await.refusal(), (400, "invalid_token".to_owned()));
    assert_eq!(renew(&newest).await.str("/error_description"), "Token has been expired or revoked.");
}

#[tokio::test]
async fn a_video_exists_after_its_last_byte_and_its_session_tells_so_for_ever() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let mut film = MP4.to_vec();
    film.resize(300_000, 7);
    let session = demo.open(film.len(), &meta("Film")).await.header("location").to_owned();
    let none = demo.put(&session, "bytes */300000", Vec::new()).await;
    assert_eq!((none.status, none.header("range")), (308, ""), "nothing is stored");
    let odd = demo.put(&session, "bytes 0-9/300000", film[..10].to_vec()).await;
    assert_eq!(odd.status, 400, "a chunk is a multiple of 262144");
    let head = demo.put(&session, "bytes 0-262143/300000", film[..262_144].to_vec()).await;
    assert_eq!((head.status, head.header("range")), (308, "bytes=0-262143"));
    let hole = demo.put(&session, "bytes 299999-299999/300000", film[299_999..].to_vec()).await;
    assert_eq!((hole.status, hole.header("range")), (308, "bytes=0-262143"));
    assert_eq!(bench.ledger().await.len(), 0);
    bench
        .script(json!({"network": "youtube", "operation": "publish", "fault": {"kind": "accept_then_reset"}}))
        .await;
    let call = bench.http.put(&session).header("content-range", "bytes 262144-299999/300000");
    assert!(call.body(film[262_144..].to_vec()).send().await.is_err(), "the last answer is lost");
    let probe = demo.put(&session, "bytes */300000", Vec::new()).await;
    assert_eq!((probe.status, probe.str("/status/uploadStatus")), (200, "uploaded".to_owned()));
    let line = bench.ledger().await.remove(0);
    assert_eq!((&line["native_id"], &line["media"][0]["size"]), (&probe.body["id"], &json!(300_000)));
    bench.advance(604_800_001).await;
    assert_eq!(
        Client::of(&bench, "demo").await.put(&session, "bytes */300000", Vec::new()).await.status,
        404
    );
}

#[tokio::test]
async fn a_server_may_keep_less_than_it_was_sent() {
    let bench = Bench::new().await;
    let some = Client::of(&bench, "partial1").await;
    let film = vec![7; 524_288 + 5];
    let session = some.open(film.len(), &meta("Film")).await.header("location").to_owned();
    let total = film.len();
    let first = some.put(&session, &format!("bytes 0-524287/{total}"), film[..524_288].to_vec()).await;
    assert_eq!((first.status, first.header("range")), (308, "bytes=0-262143"));
    let range = format!("bytes 262144-{}/{total}", total - 1);
    assert_eq!(some.put(&session, &range, film[262_144..].to_vec()).await.status, 201);
}

#[tokio::test]
async fn metadata_quotas_and_traits_are_refused_in_the_apis_words() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let with = |path: &str, value: Value| {
        let mut meta = meta("T");
        *meta.pointer_mut(path).unwrap() = value;
        meta
    };
    for (body, expected) in [
        (with("/snippet/title", json!("")), "invalidTitle"),
        (with("/snippet/title", json!("a < b")), "invalidTitle"),
        (with("/snippet/title", json!("x".repeat(101))), "invalidTitle"),
        (with("/snippet/description", json!("é".repeat(2501))), "invalidDescription"),
        (with("/snippet/categoryId", json!("3")), "invalidCategoryId"),
        (with("/status/privacyStatus", json!("secret")), "invalidVideoMetadata"),
    ] {
        assert_eq!(reason(&demo.open(9, &body).await), (400, expected.to_owned()));
    }
    let mut tags = meta("T");
    tags["snippet"]["tags"] = json!(vec!["a b"; 84]);
    assert_eq!(reason(&demo.open(9, &tags).await).1, "invalidTags", "84 × 5 + 83 is more than 500");
    let full = Client::of(&bench, "full1").await;
    assert_eq!(reason(&full.open(9, &meta("T")).await), (400, "uploadLimitExceeded".to_owned()));
    let none = Client::of(&bench, "nochannel1").await;
    assert_eq!(reason(&none.open(9, &meta("T")).await), (401, "youtubeSignupRequired".to_owned()));
    let mine = "/youtube/v3/channels?part=snippet,contentDetails&mine=true";
    assert!(got(none.get(mine)).await.body.get("items").is_none());
    let unaudited = Client::of(&bench, "unaudited1").await.upload("T", MP4).await;
    assert_eq!(unaudited.str("/status/privacyStatus"), "private");
    let stranger = Client { bench: &bench, token: "ya29.other".into() };
    assert_eq!(reason(&got(stranger.get(mine)).await), (401, "authError".to_owned()));
    let scope = [("scope", "https://www.googleapis.com/auth/youtube.upload")];
    let weak = exchange(&bench, &code(&bench, "demo", &scope).await).await.str("/access_token");
    let weak = Client { bench: &bench, token: weak };
    assert_eq!(reason(&got(weak.get(mine)).await), (403, "insufficientPermissions".to_owned()));

    bench.control("limits", json!({"network": "youtube", "enforce": true})).await;
    let mut last = None;
    for _ in 0..101 {
        last = Some(demo.open(9, &meta("T")).await);
    }
    let last = last.unwrap();
    assert_eq!(reason(&last), (403, "quotaExceeded".to_owned()));
    assert_eq!(
        (last.str("/error/errors/0/domain"), last.header("retry-after")),
        ("youtube.quota".into(), "")
    );
}

#[tokio::test]
async fn a_video_is_processed_listed_counted_and_deleted_and_a_copy_is_rejected() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let id = demo.upload("Film", MP4).await.str("/id");
    assert_eq!(id.len(), 11);
    let copy = demo.upload("Film again", MP4).await.str("/id");
    let still = demo.upload("Not a film", PNG).await.str("/id");
    bench.advance(1000).await;
    let path = format!("/youtube/v3/videos?part=status,fileDetails&id={id},{copy},{still},unknown");
    let list = got(demo.get(&path)).await;
    let status = |n: usize| list.str(&format!("/items/{n}/status/uploadStatus"));
    assert_eq!([status(0), status(1), status(2)].join(" "), "processed rejected failed");
    assert_eq!(list.str("/items/1/status/rejectionReason"), "duplicate");
    assert_eq!(list.body["items"].as_array().unwrap().len(), 3);
    assert_eq!(list.str("/items/0/fileDetails/fileSize"), MP4.len().to_string());

    let channel = got(demo.get("/youtube/v3/channels?part=contentDetails&mine=true")).await;
    let uploads = channel.str("/items/0/contentDetails/relatedPlaylists/uploads");
    assert!(uploads.starts_with("UU"));
    let path =
        format!("/youtube/v3/playlistItems?part=snippet,contentDetails&playlistId={uploads}&maxResults=2");
    let page = got(demo.get(&path)).await;
    assert_eq!(
        (page.str("/items/0/contentDetails/videoId"), page.str("/items/1/snippet/title")),
        (still, "Film again".into())
    );
    let next =
        got(demo.get(&format!("{path}&pageToken={}", page.str("/nextPageToken").replace('|', "%7C")))).await;
    assert_eq!(next.str("/items/0/snippet/resourceId/videoId"), id);

    bench
        .control(
            "engage",
            json!({"network": "youtube", "native_id": id, "likes": 4, "reposts": 0, "replies": 1}),
        )
        .await;
    let counted = got(demo.get(&format!("/youtube/v3/videos?part=statistics&id={id}"))).await;
    assert_eq!(counted.str("/items/0/statistics/likeCount"), "4", "counts are texts");
    let erased = json!({"id": id, "snippet": {"title": "New", "categoryId": "22"}});
    let call = bench.http.put(bench.url("/youtube/youtube/v3/videos?part=snippet")).bearer_auth(&demo.token);
    assert_eq!(got(call.json(&erased)).await.str("/snippet/description"), "", "what is left out is gone");
    let delete = async || {
        let url = bench.url(&format!("/youtube/youtube/v3/videos?id={id}"));
        got(bench.http.delete(url).bearer_auth(&demo.token)).await
    };
    assert_eq!(delete().await.status, 204);
    assert_eq!(reason(&delete().await), (404, "videoNotFound".to_owned()));
    assert_eq!(got(bench.get(&format!("/youtube/watch?v={copy}"))).await.status, 200);
}

#[tokio::test]
async fn a_thumbnail_is_a_small_picture_of_a_channel_that_may_set_one() {
    let bench = Bench::new().await;
    let set = async |client: &Client<'_>, query: &str, body: Vec<u8>| {
        let url = bench.url(&format!("/youtube/upload/youtube/v3/thumbnails/set?{query}"));
        let call = bench.http.post(url).bearer_auth(&client.token).header("content-type", "image/png");
        got(call.body(body)).await
    };
    let demo = Client::of(&bench, "demo").await;
    let id = demo.upload("Film", MP4).await.str("/id");
    let query = format!("videoId={id}&uploadType=media");
    let path = format!("/youtube/v3/videos?part=snippet&id={id}");
    assert!(got(demo.get(&path)).await.body["items"][0]["snippet"].get("thumbnails").is_none());
    for _ in 0..2 {
        let answer = set(&demo, &query, PNG.to_vec()).await;
        assert_eq!((answer.status, answer.str("/kind")), (200, "youtube#thumbnailSetResponse".to_owned()));
        assert_eq!(answer.body["items"][0]["maxres"]["width"], 1280);
    }
    let shown = got(demo.get(&path)).await.str("/items/0/snippet/thumbnails/default/url");
    let file = bench.http.get(shown).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(file, PNG);
    assert_eq!(bench.ledger().await.len(), 1, "a thumbnail is nothing new to see");

    let mut large = PNG.to_vec();
    large.resize(2_097_152, 0);
    assert_eq!(set(&demo, &query, large.clone()).await.status, 200, "as large as it may be");
    large.push(0);
    assert_eq!(reason(&set(&demo, &query, large).await), (413, "uploadTooLarge".to_owned()));
    assert_eq!(reason(&set(&demo, &query, MP4.to_vec()).await), (400, "invalidImage".to_owned()));
    assert_eq!(reason(&set(&demo, &query, Vec::new()).await), (400, "mediaBodyRequired".to_owned()));
    let nowhere = set(&demo, "uploadType=media", PNG.to_vec()).await;
    assert_eq!(reason(&nowhere), (400, "missingRequiredParameter".to_owned()));
    let other = set(&demo, &format!("videoId={id}&uploadType=resumable"), PNG.to_vec()).await;
    assert_eq!(other.status, 400);
    let unknown = set(&demo, "videoId=nothing&uploadType=media", PNG.to_vec()).await;
    assert_eq!(reason(&unknown), (404, "videoNotFound".to_owned()));
    for (handle, expected) in
        [("unverified1", (403, "forbidden")), ("hasty1", (429, "uploadRateLimitExceeded"))]
    {
        let client = Client::of(&bench, handle).await;
        let foreign = set(&client, &query, PNG.to_vec()).await;
        assert_eq!(reason(&foreign), (403, "forbidden".to_owned()));
        let own = client.upload("Film", MP4).await.str("/id");
        let refused = set(&client, &format!("videoId={own}&uploadType=media"), PNG.to_vec()).await;
        assert_eq!(reason(&refused), (expected.0, expected.1.to_owned()));
        assert_eq!(refused.str("/error/errors/0/domain"), "youtube.thumbnail");
    }
}

#[tokio::test]
async fn comments_stand_below_a_video_as_often_as_they_are_made() {
    let bench = Bench::new().await;
    let demo = Client::of(&bench, "demo").await;
    let id = demo.upload("Film", MP4).await.str("/id");
    let say = async |video: &str, text: &str| {
        let body =
            json!({"snippet": {"videoId": video, "topLevelComment": {"snippet": {"textOriginal": text}}}});
        got(bench.post("/youtube/youtube/v3/commentThreads?part=snippet", &body).bearer_auth(&demo.token))
            .await
    };
    assert_eq!(reason(&say(&id, " ").await), (400, "commentTextRequired".to_owned()));
    assert_eq!(reason(&say("nothing", "x").await), (404, "videoNotFound".to_owned()));
    let first = say(&id, "one").await.str("/id");
    assert_ne!(say(&id, "one").await.str("/id"), first);
    let list = got(demo.get(&format!("/youtube/v3/commentThreads?part=snippet&videoId={id}"))).await;
    assert_eq!(list.str("/items/1/snippet/topLevelComment/snippet/textOriginal"), "one");
    let ledger = bench.ledger().await;
    assert_eq!((&ledger[1]["kind"], &ledger[1]["in_reply_to"]), (&json!("comment"), &json!(id)));
    let url = bench.url(&format!("/youtube/youtube/v3/comments?id={first}"));
    assert_eq!(got(bench.http.delete(&url).bearer_auth(&demo.token)).await.status, 204);
    assert_eq!(reason(&got(bench.http.delete(&url).bearer_auth(&demo.token)).await).1, "commentNotFound");
}

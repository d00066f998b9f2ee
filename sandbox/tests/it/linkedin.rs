//! LinkedIn as a client meets it: consent, the two kinds of authors, and what it punishes.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, REDIRECT, got, query};

const MEMBER: &str = "openid profile w_member_social";
const ORGANIZATION: &str = "w_organization_social r_organization_social r_organization_admin";
const APP: (&str, &str) = ("sandbox-linkedin", "sandbox-linkedin-secret");

struct LinkedIn<'b> {
    bench: &'b Bench,
    token: String,
    author: String,
}

async fn press(bench: &Bench, client_id: &str, scope: &str, decision: &str) -> Got {
    let form = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        ("state", "s"),
        ("scope", scope),
        ("account", "demo"),
        ("decision", decision),
    ];
    got(bench.http.post(bench.url("/linkedin/oauth/v2/authorization")).form(&form)).await
}

async fn exchange(bench: &Bench, app: (&str, &str), code: &str) -> Got {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("client_id", app.0),
        ("client_secret", app.1),
    ];
    got(bench.http.post(bench.url("/linkedin/oauth/v2/accessToken")).form(&form)).await
}

async fn tokens(bench: &Bench, scope: &str) -> Got {
    let back = press(bench, APP.0, scope, "authorize").await;
    let code = query(back.header("location"), "code").unwrap();
    exchange(bench, APP, &code).await
}

async fn demo(bench: &Bench) -> Value {
    let accounts = got(bench.get("/_sandbox/accounts")).await.body;
    let accounts = accounts.as_array().unwrap();
    accounts.iter().find(|account| account["network"] == "linkedin").unwrap().clone()
}

impl<'b> LinkedIn<'b> {
    async fn member(bench: &'b Bench) -> Self {
        let author = demo(bench).await["person"].as_str().unwrap().to_owned();
        Self { bench, token: tokens(bench, MEMBER).await.str("/access_token"), author }
    }

    async fn organization(bench: &'b Bench) -> Self {
        let author = demo(bench).await["organizations"][0]["urn"].as_str().unwrap().to_owned();
        Self { bench, token: tokens(bench, ORGANIZATION).await.str("/access_token"), author }
    }

    fn call(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .bearer_auth(&self.token)
            .header("LinkedIn-Version", "202609")
            .header("X-Restli-Protocol-Version", "2.0.0")
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.call(self.bench.get(&format!("/linkedin{path}")))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.call(self.bench.post(&format!("/linkedin{path}"), body))
    }

    fn body(&self, commentary: &str) -> Value {
        json!({
            "author": self.author, "commentary": commentary, "visibility": "PUBLIC", "lifecycleState": "PUBLISHED",
            "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
            "isReshareDisabledByAuthor": false,
        })
    }

    async fn say(&self, commentary: &str) -> String {
        let made = got(self.post("/rest/posts", &self.body(commentary))).await;
        assert_eq!((made.status, made.text.as_str()), (201, ""), "the answer is empty");
        made.header("x-restli-id").to_owned()
    }

    async fn picture(&self) -> String {
        let ask = json!({"initializeUploadRequest": {"owner": self.author}});
        let begun = got(self.post("/rest/images?action=initializeUpload", &ask)).await;
        let put = self.bench.http.put(begun.str("/value/uploadUrl")).bearer_auth(&self.token).body(PNG);
        assert_eq!(got(put).await.status, 201);
        begun.str("/value/image")
    }
}

fn encoded(urn: &str) -> String {
    url::form_urlencoded::byte_serialize(urn.as_bytes()).collect()
}

fn refusal(answer: &Got) -> (u16, String) {
    (answer.status, answer.str("/code"))
}

#[tokio::test]
async fn consent_gives_what_the_app_has() {
    let bench = Bench::new().await;
    let denied = press(&bench, APP.0, MEMBER, "deny").await;
    assert_eq!(query(denied.header("location"), "error").as_deref(), Some("user_cancelled_authorize"));
    let beyond = press(&bench, "sandbox-linkedin-share", ORGANIZATION, "authorize").await;
    assert_eq!(query(beyond.header("location"), "error").as_deref(), Some("unauthorized_scope_error"));
    let page = got(bench.get(&format!(
        "/linkedin/oauth/v2/authorization?response_type=code&client_id=nobody&redirect_uri={}&scope=secret",
        encoded(REDIRECT)
    )))
    .await;
    assert_eq!(page.status, 400, "an unknown app is not sent anywhere");
    let member = tokens(&bench, MEMBER).await;
    assert_eq!(member.str("/scope"), "openid,profile,w_member_social");
    assert_eq!((&member.body["expires_in"], member.body.get("refresh_token")), (&json!(5_184_000), None));
    let back = press(&bench, APP.0, MEMBER, "authorize").await;
    let code = query(back.header("location"), "code").unwrap();
    assert_eq!(exchange(&bench, (APP.0, "other"), &code).await.str("/error"), "invalid_client");
    assert_eq!(exchange(&bench, APP, &code).await.status, 200);
    assert_eq!(exchange(&bench, APP, &code).await.str("/error"), "invalid_request", "a code works once");
}

#[tokio::test]
async fn a_new_token_is_unknown_for_a_moment_and_a_refresh_token_is_kept() {
    let bench = Bench::new().await;
    let granted = tokens(&bench, ORGANIZATION).await;
    let token = granted.str("/access_token");
    let roles = || {
        let request = bench.get("/linkedin/rest/organizationAcls?q=roleAssignee&state=APPROVED");
        request.bearer_auth(&token).header("LinkedIn-Version", "202609")
    };
    assert_eq!(refusal(&got(roles()).await), (401, "REVOKED_ACCESS_TOKEN".into()));
    bench.advance(200).await;
    assert_eq!(got(roles()).await.body["elements"].as_array().unwrap().len(), 3);
    let refresh = granted.str("/refresh_token");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
        ("client_id", APP.0),
        ("client_secret", APP.1),
    ];
    let renew = || got(bench.http.post(bench.url("/linkedin/oauth/v2/accessToken")).form(&form));
    bench.advance(59 * 86_400_000).await;
    let renewed = renew().await;
    assert_eq!(renewed.str("/refresh_token"), refresh, "it does not rotate");
    assert_eq!(renewed.body["refresh_token_expires_in"].as_i64().unwrap() / 86_400, 305);
    bench.advance(307 * 86_400_000).await;
    assert_eq!(renew().await.str("/error"), "invalid_grant", "a year from the consent, refreshed or not");
}

#[tokio::test]
async fn a_post_is_cut_silently_and_refused_the_second_time() {
    let bench = Bench::new().await;
    let demo = LinkedIn::member(&bench).await;
    let urn = demo.say("one (two) three").await;
    assert!(urn.starts_with("urn:li:share:"), "{urn}");
    demo.say("all of it \\(really\\) #yes\\_it is").await;
    let ledger = bench.ledger().await;
    assert_eq!(
        ledger.iter().map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>(),
        ["one ", "all of it (really) #yes_it is"]
    );
    assert_eq!((&ledger[0]["account"], &ledger[0]["native_id"]), (&json!("demo"), &json!(urn)));
    let again = got(demo.post("/rest/posts", &demo.body("one (and more"))).await;
    assert_eq!(refusal(&again), (422, "DUPLICATE_POST".into()));
    assert_eq!(again.str("/message"), format!("Content is a duplicate of {urn}"));
    let long = got(demo.post("/rest/posts", &demo.body(&"x".repeat(3001)))).await;
    assert_eq!(refusal(&long), (400, "FIELD_LENGTH_TOO_LONG".into()));
    demo.say(&"\\(".repeat(3000)).await;
    bench.advance(86_400_000).await;
    demo.say("one ").await;
    assert_eq!(bench.ledger().await.len(), 4, "a day later it is no duplicate");
}

#[tokio::test]
async fn each_call_names_a_living_version_and_encodes_its_names() {
    let bench = Bench::new().await;
    let demo = LinkedIn::member(&bench).await;
    let raw = |version: Option<&str>| {
        let mut request = bench.post("/linkedin/rest/posts", &demo.body("x")).bearer_auth(&demo.token);
        if let Some(version) = version {
            request = request.header("LinkedIn-Version", version.to_owned());
        }
        got(request)
    };
    assert_eq!(refusal(&raw(None).await), (400, "VERSION_MISSING".into()));
    assert_eq!(refusal(&raw(Some("202401")).await), (426, "NONEXISTENT_VERSION".into()));
    let urn = demo.say("hello").await;
    let delete = |path: String| got(demo.call(bench.http.delete(bench.url(&path))));
    assert_eq!(delete(format!("/linkedin/rest/posts/{urn}")).await.status, 400, "not encoded");
    for _ in 0..2 {
        assert_eq!(delete(format!("/linkedin/rest/posts/{}", encoded(&urn))).await.status, 204);
    }
    let ghost = got(demo.post("/rest/posts", &demo.body("hello"))).await;
    assert_eq!(ghost.str("/message"), format!("Content is a duplicate of {urn}"), "of a post that is gone");
    assert_eq!(got(bench.get("/linkedin/rest/nothing")).await.str("/code"), "RESOURCE_NOT_FOUND");
    let no_token = got(bench.post("/linkedin/rest/posts", &json!({})).header("LinkedIn-Version", "202609"));
    assert_eq!(refusal(&no_token.await), (401, "EMPTY_ACCESS_TOKEN".into()));
}

#[tokio::test]
async fn a_member_may_write_and_not_read() {
    let bench = Bench::new().await;
    let demo = LinkedIn::member(&bench).await;
    let urn = demo.say("mine").await;
    let image = demo.picture().await;
    for path in [
        format!("/rest/posts/{}", encoded(&urn)),
        format!("/rest/images/{}", encoded(&image)),
        format!("/rest/socialActions/{}", encoded(&urn)),
        format!("/rest/socialActions/{}/comments", encoded(&urn)),
    ] {
        assert_eq!(refusal(&got(demo.get(&path)).await), (403, "ACCESS_DENIED".into()), "{path}");
    }
    let list = demo.get(&format!("/rest/posts?q=author&author={}", encoded(&demo.author)));
    assert_eq!(refusal(&got(list.header("X-RestLi-Method", "FINDER")).await).0, 403);
    let of_page = json!({"initializeUploadRequest": {"owner": "urn:li:organization:1"}});
    let refused = got(demo.post("/rest/images?action=initializeUpload", &of_page)).await;
    assert_eq!(refusal(&refused), (403, "ACCESS_DENIED".into()));
}

#[tokio::test]
async fn an_organization_is_posted_for_read_and_counted() {
    let bench = Bench::new().await;
    let works = LinkedIn::organization(&bench).await;
    let guild = demo(&bench).await["organizations"].as_array().unwrap().clone();
    let guild = guild.iter().find(|held| held["role"] == "ANALYST").unwrap()["urn"].clone();
    let mut foreign = works.body("x");
    foreign["author"] = guild;
    assert_eq!(got(works.post("/rest/posts", &foreign)).await.status, 403, "an analyst may not post");
    let urn = works.say("news \\(big\\) #launch").await;
    assert_eq!(bench.ledger().await[0]["account"], "demo-works");
    let path = format!("/rest/posts?q=author&author={}&count=10&sortBy=CREATED", encoded(&works.author));
    assert_eq!(got(works.get(&path)).await.status, 400, "the finder must be named");
    let found = got(works.get(&path).header("X-RestLi-Method", "FINDER")).await;
    assert_eq!(found.str("/elements/0/commentary"), "news \\(big\\) {hashtag|\\#|launch}");
    assert_eq!(found.str("/elements/0/id"), urn);
    let statistics = format!(
        "/rest/organizationalEntityShareStatistics?q=organizationalEntity&organizationalEntity={}&shares=List({})",
        encoded(&works.author),
        encoded(&urn)
    );
    let none = got(works.get(&statistics)).await;
    assert_eq!(none.body["elements"], json!([]), "nobody reacted, nothing is told");
    bench
        .control(
            "engage",
            json!({"network": "linkedin", "native_id": urn, "likes": 5, "reposts": 3, "replies": 1}),
        )
        .await;
    let some = got(works.get(&statistics)).await;
    assert_eq!(some.body["elements"][0]["totalShareStatistics"]["likeCount"], 5);
    let comment = json!({"actor": works.author, "object": urn, "message": {"text": "(first)"}});
    let path = format!("/rest/socialActions/{}/comments", encoded(&urn));
    let made = got(works.post(&path, &comment)).await;
    assert_eq!((made.status, made.header("x-restli-id")), (201, made.str("/id").as_str()));
    assert!(!made.str("/commentUrn").contains(&urn), "it is named after the activity, not the share");
    let line = &bench.ledger().await[1];
    assert_eq!(
        (&line["kind"], &line["in_reply_to"], &line["text"]),
        (&json!("comment"), &json!(urn), &json!("(first)"))
    );
    let listed = got(works.get(&path)).await;
    assert_eq!(listed.str("/elements/0/commentUrn"), made.str("/commentUrn"));
    assert_eq!(got(bench.get(&format!("/linkedin/feed/update/{urn}/"))).await.status, 200);
}

#[tokio::test]
async fn media_is_waited_for_and_a_video_comes_in_named_parts() {
    let bench = Bench::new().await;
    let works = LinkedIn::organization(&bench).await;
    let image = works.picture().await;
    let mut body = works.body("look");
    body["content"] = json!({"media": {"id": image, "altText": "a dot"}});
    let early = got(works.post("/rest/posts", &body)).await;
    assert_eq!(early.status, 422, "{}", early.text);
    assert!(early.str("/message").contains("is not AVAILABLE"));
    bench.advance(1_000).await;
    assert_eq!(got(works.post("/rest/posts", &body)).await.status, 201);

    let mut film = vec![0; (4 << 20) + 100];
    film[..MP4.len()].copy_from_slice(MP4);
    let ask = json!({"initializeUploadRequest": {"owner": works.author, "fileSizeBytes": film.len(),
        "uploadCaptions": false, "uploadThumbnail": false}});
    let begun = got(works.post("/rest/videos?action=initializeUpload", &ask)).await;
    let video = begun.str("/value/video");
    let mut etags = Vec::new();
    for n in 0..2 {
        let at = |name: &str| begun.body["value"]["uploadInstructions"][n][name].as_u64().unwrap() as usize;
        let (first, last) = (at("firstByte"), at("lastByte"));
        let url = begun.str(&format!("/value/uploadInstructions/{n}/uploadUrl"));
        let short = got(bench.http.put(&url).body(vec![0; 5])).await;
        assert_eq!(short.status, 400, "a part has the length it was given");
        let put = got(bench.http.put(&url).body(film[first..=last].to_vec())).await;
        etags.push(put.header("etag").to_owned());
    }
    let end = |ids: Vec<&String>, token: String| {
        let body =
            json!({"finalizeUploadRequest": {"video": video, "uploadToken": token, "uploadedPartIds": ids}});
        let request = works.post("/rest/videos?action=finalizeUpload", &body);
        async move { got(request).await.status }
    };
    let token = begun.str("/value/uploadToken");
    assert_eq!(end(vec![&etags[1], &etags[0]], token.clone()).await, 400, "in another order");
    assert_eq!(end(vec![&etags[0]], token.clone()).await, 400, "one is missing");
    assert_eq!(end(etags.iter().collect(), String::new()).await, 400, "the token comes back");
    assert_eq!(end(etags.iter().collect(), token).await, 200);
    let status =
        || async { got(works.get(&format!("/rest/videos/{}", encoded(&video)))).await.str("/status") };
    assert_eq!(status().await, "PROCESSING");
    bench.advance(5_000).await;
    assert_eq!(status().await, "AVAILABLE");
    let mut body = works.body("a film");
    body["content"] = json!({"media": {"id": video, "title": "Film"}});
    let made = got(works.post("/rest/posts", &body)).await;
    assert!(made.header("x-restli-id").starts_with("urn:li:ugcPost:"));
    assert_eq!(bench.ledger().await[1]["media"][0]["size"], film.len());
}

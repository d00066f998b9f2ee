//! The adapter against Pages over a real socket: what a login yields, what is prepared unseen, what each lost answer
//! proves and each refusal says. The stand-in's ledger of what became visible is the judge.

use serde_json::json as object;

use super::{
    super::{
        connect::{Begin, Connect, ConnectFault, Connected, Finish},
        proof::accepted,
        wire::Rule,
    },
    *,
};
use crate::{
    domain::{
        content::Media,
        delivery::Reply,
        outcome::RATE_LIMITED,
        settings::{FacebookKind, FacebookSettings, Settings},
    },
    networks::App,
    testing::{Bench, CLIP, Kept, Library, PNG, TIME, app, attempt, clip, library, session, work},
};

const REDIRECT: &str = "https://mesh.example/oauth/callback";

struct Stage {
    bench: Bench,
    library: Library,
    facebook: Facebook,
    session: Session,
}

/// Sends a person through the dialog with these scopes; what the browser brings back.
async fn agreed(bench: &Bench, facebook: &Facebook, handle: &str, scopes: Option<&str>) -> String {
    let (server, app) = (bench.server("facebook"), app("facebook"));
    let ask = Begin {
        server: &server,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: "",
        registration: None,
        app: Some(&app),
    };
    let began = facebook.begin(ask).await.unwrap();
    assert_eq!(began.issuer, server);
    let mut url = url::Url::parse(&began.authorization_url).unwrap();
    let fields: Vec<_> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    assert!(fields.contains(&("scope".to_owned(), connect::SCOPES.join(","))));
    url.set_query(None);
    let fields = fields.into_iter().map(|(name, value)| match scopes {
        Some(scopes) if name == "scope" => (name, scopes.to_owned()),
        _ => (name, value),
    });
    let pressed =
        [("account".to_owned(), handle.to_owned()), ("decision".to_owned(), "authorize".to_owned())];
    let form =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields.chain(pressed)).finish();
    let request = http::Request::post(url.as_str())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .unwrap();
    let answer = bench.http.send(request).await.unwrap();
    let back = url::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

async fn finish(bench: &Bench, facebook: &Facebook, code: &str) -> Result<Vec<Connected>, ConnectFault> {
    let (server, app): (String, App) = (bench.server("facebook"), app("facebook"));
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: "",
        code,
        verifier: "",
        app: Some(&app),
    };
    facebook.finish(ask).await
}

impl Stage {
    async fn new() -> Self {
        Self::of("demo").await
    }

    async fn of(handle: &str) -> Self {
        let bench = Bench::new().await;
        if handle != "demo" {
            bench.control("accounts", &object!({ "network": "facebook", "handle": handle })).await;
        }
        let facebook = Facebook::new(bench.http.clone(), bench.clock.clone());
        let code = agreed(&bench, &facebook, handle, None).await;
        let page = finish(&bench, &facebook, &code).await.unwrap().remove(0);
        Self { bench, library: library().await, facebook, session: session("facebook", page) }
    }

    async fn prepared(&self, work: &Work, kept: &mut Kept) -> Result<Ready, Fault> {
        self.facebook.prepare(&self.session, work, &self.library.source(), kept).await
    }

    async fn ready(&self, work: &Work) -> Ready {
        self.prepared(work, &mut Kept::default()).await.unwrap()
    }

    async fn send(&self, work: &Work, ready: &Ready) -> Answer {
        self.facebook.send(Armed::for_tests(false, TIME), &self.session, work, ready).await
    }

    async fn post(&self, text: &str) -> String {
        let work = work(&self.facebook, text, 0);
        accepted(&self.send(&work, &self.ready(&work).await).await)
    }

    async fn fault(&self, operation: &str, fault: Value) {
        self.bench.fault("facebook", operation, fault).await;
    }

    async fn refuse(&self, operation: &str, status: u16, code: i64, subcode: i64) {
        let error =
            object!({ "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode });
        let fault = object!({ "kind": "status", "code": status, "body": { "error": error } });
        self.fault(operation, fault).await;
    }
}

fn of_kind(kind: FacebookKind, work: Work) -> Work {
    let mut work = work;
    work.content.settings = Settings::Facebook(FacebookSettings { kind, ..FacebookSettings::default() });
    work
}

fn clip_item() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(clip().len()).unwrap(),
        duration_ms: 5_000,
        width: 64,
        height: 64,
        ..Media::default()
    }
}

#[tokio::test]
async fn a_login_yields_the_pages_that_take_posts_and_a_token_of_each() {
    let bench = Bench::new().await;
    bench.control("accounts", &object!({ "network": "facebook", "handle": "agency" })).await;
    bench.control("accounts", &object!({ "network": "facebook", "handle": "reader" })).await;
    let facebook = Facebook::new(bench.http.clone(), bench.clock.clone());
    let code = agreed(&bench, &facebook, "agency", None).await;
    let pages = finish(&bench, &facebook, &code).await.unwrap();
    let names: Vec<_> = pages.iter().map(|page| page.display_name.as_str()).collect();
    assert_eq!(names, ["agency Page", "agency Shop"], "of four Pages on two pages of the list");
    assert_ne!(pages[0].access_token, pages[1].access_token);
    assert_eq!(pages[0].handle, "@agency.page");
    assert!(pages.iter().all(|page| page.access_expires_at.is_none() && page.refresh_token.is_none()));
    let used = finish(&bench, &facebook, &code).await.unwrap_err();
    assert!(matches!(used, ConnectFault::CodeRefused { .. }), "{used:?}");

    let code =
        agreed(&bench, &facebook, "demo", Some("pages_show_list,pages_read_engagement,read_insights")).await;
    let missing = finish(&bench, &facebook, &code).await.unwrap_err();
    assert!(
        matches!(&missing, ConnectFault::ScopesMissing { missing, .. } if missing == "pages_manage_posts, pages_manage_engagement"),
        "{missing:?}"
    );
    let code = agreed(&bench, &facebook, "reader", None).await;
    let nothing = finish(&bench, &facebook, &code).await.unwrap_err();
    assert!(matches!(nothing, ConnectFault::NothingToConnect { .. }), "{nothing:?}");
    for request in bench.all_requests().await {
        let path = request["path"].as_str().unwrap();
        assert!(!path.contains("access_token=EAA"), "no token stands in an address: {path}");
    }
}

#[tokio::test]
async fn what_is_prepared_is_unseen_and_not_done_again() {
    let stage = Stage::new().await;
    let album = work(&stage.facebook, "two dots", 2);
    let mut kept = Kept::default();
    let ready = stage.prepared(&album, &mut kept).await.unwrap();
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["photo.0", "photo.1"]);
    assert_eq!(stage.bench.ledger().await.len(), 0);
    let before = stage.bench.all_requests().await.len();
    let again = stage.prepared(&album, &mut kept).await.unwrap();
    assert_eq!((again, stage.bench.all_requests().await.len()), (ready.clone(), before));
    let id = accepted(&stage.send(&album, &ready).await);
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[0]["native_id"], &ledger[0]["media"][1]["alt"]), (&object!(id), &object!("a dot")));
    assert_eq!(ledger[0]["media"][0]["size"], object!(PNG.len()));

    for kind in [FacebookKind::Feed, FacebookKind::Reel, FacebookKind::Story] {
        let mut film = work(&stage.facebook, "a film", 0);
        film.content.media = vec![clip_item()];
        let film = of_kind(kind, film);
        let mut kept = Kept::default();
        let ready = stage.prepared(&film, &mut kept).await.unwrap();
        let before = stage.bench.all_requests().await.len();
        let again = stage.prepared(&film, &mut kept).await.unwrap();
        assert_eq!((again, stage.bench.all_requests().await.len()), (ready, before), "{kind:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_stopped() {
    let stage = Stage::new().await;
    for kind in [FacebookKind::Feed, FacebookKind::Reel] {
        let mut film = work(&stage.facebook, "a film", 0);
        film.content.media = vec![clip_item()];
        let film = of_kind(kind, film);
        let mut kept = Kept::default();
        // The first upload call opens the draft or the session, the second carries the bytes.
        let rule = object!({ "network": "facebook", "operation": "media_upload", "skip": 1, "fault": { "kind": "accept_then_reset" } });
        stage.bench.control("script", &rule).await;
        let broke = stage.prepared(&film, &mut kept).await.unwrap_err();
        assert!(matches!(broke, Fault::Transient { .. }), "{kind:?}: {broke:?}");
        // The reel's draft knows that its file is there; the session of the feed's file is over, and a new one begins.
        let ready = stage.prepared(&film, &mut kept).await.unwrap();
        let answer = stage.send(&film, &ready).await;
        assert!(matches!(answer.outcome, Outcome::Processing { .. }), "{kind:?}: {answer:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 2);
}

#[tokio::test]
async fn a_video_is_followed_until_its_post_is_named() {
    let stage = Stage::new().await;
    let mut film = work(&stage.facebook, "a film", 0);
    film.content.media = vec![clip_item()];
    for (kind, fails) in
        [(FacebookKind::Feed, false), (FacebookKind::Reel, false), (FacebookKind::Reel, true)]
    {
        let film = of_kind(kind, film.clone());
        let operation = if kind == FacebookKind::Feed { "publish" } else { "media_upload" };
        let rule = object!({ "network": "facebook", "operation": operation, "times": 2,
            "fault": { "kind": "processing", "ms": 1_500, "fails": fails } });
        stage.bench.control("script", &rule).await;
        let ready = stage.ready(&film).await;
        let answer = stage.send(&film, &ready).await;
        stage.bench.clear_script().await;
        let Outcome::Processing { handle } = answer.outcome else { panic!("{answer:?}") };
        let early = stage.facebook.poll(&stage.session, &film, &handle).await.outcome;
        assert_eq!(early, Outcome::Processing { handle: handle.clone() });
        tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
        let late = stage.facebook.poll(&stage.session, &film, &handle).await;
        if fails {
            assert!(
                matches!(&late.outcome, Outcome::Rejected { code, .. } if code == "MEDIA_REFUSED"),
                "{late:?}"
            );
        } else {
            let shown = stage.bench.ledger().await.last().unwrap()["native_id"].clone();
            assert_eq!(object!(accepted(&late)), shown);
        }
    }
    assert_eq!(stage.bench.ledger().await.len(), 2);
    let refused = graph::look_failed(Fault::Rejected { code: "X".into(), message: "y".into() });
    assert!(matches!(refused, Outcome::Ambiguous { .. }), "a refused look says nothing about the post");
}

#[tokio::test]
async fn a_lost_answer_is_found_by_ids_or_words_and_never_guessed() {
    let stage = Stage::new().await;
    let facts = attempt();
    let first = work(&stage.facebook, "the same words", 0);
    let ready = stage.ready(&first).await;
    stage.fault("publish", object!({ "kind": "accept_then_reset" })).await;
    let lost = stage.send(&first, &ready).await.outcome;
    assert!(matches!(lost, Outcome::Ambiguous { .. }), "{lost:?}");
    let find = async |work: &Work, handles: &HandleMap, facts: &AttemptFacts| {
        stage.facebook.reconcile(&stage.session, work, handles, facts).await
    };
    let none = HandleMap::new();
    let Found::Live { native_id, url, .. } = find(&first, &none, &facts).await else { panic!("not found") };
    assert!(url.starts_with("https://www.facebook.com/"), "{url}");
    let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts.clone() };
    assert_eq!(find(&first, &none, &taken).await, Found::Absent);
    let later = AttemptFacts { first_armed_at: facts.first_armed_at + 120_000, ..facts.clone() };
    assert_eq!(find(&first, &none, &later).await, Found::Absent, "a post from before the attempt");
    stage.post("other words").await;
    stage.post("the same words").await;
    assert!(matches!(find(&first, &none, &facts).await, Found::Unsure { .. }));

    // Photos are told apart by their ids, whatever the words.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let photo = work(&stage.facebook, "the same words", 1);
        let mut kept = Kept::default();
        let ready = stage.prepared(&photo, &mut kept).await.unwrap();
        let id = accepted(&stage.send(&photo, &ready).await);
        let found = find(&photo, &kept.handles, &facts).await;
        assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == id), "{found:?}");
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    stage.refuse("read", 400, 100, 33).await;
    assert!(matches!(find(&first, &none, &facts).await, Found::Unsure { .. }));
    stage.fault("read", object!({ "kind": "stale_read", "ms": 60_000 })).await;
    assert_eq!(find(&first, &none, &facts).await, Found::Absent);
}

#[tokio::test]
async fn further_parts_are_comments_that_are_found_again() {
    let stage = Stage::new().await;
    let root = stage.post("root").await;
    let reply = Reply { parent_native_id: "whatever".into(), root_native_id: root.clone() };
    let part = Work { reply: Some(reply), position: 1, ..work(&stage.facebook, "a comment", 0) };
    stage.refuse("read", 400, 100, 33).await;
    let mut kept = Kept::default();
    let late = stage.prepared(&part, &mut kept).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
    let ready = stage.prepared(&part, &mut kept).await.unwrap();
    let facts = attempt();
    stage.fault("publish", object!({ "kind": "accept_then_500" })).await;
    assert!(matches!(stage.send(&part, &ready).await.outcome, Outcome::Ambiguous { .. }));
    let found = stage.facebook.reconcile(&stage.session, &part, &kept.handles, &facts).await;
    let Found::Live { native_id, .. } = found else { panic!("{found:?}") };
    let line = &stage.bench.ledger().await[1];
    assert_eq!(
        (&line["native_id"], &line["in_reply_to"], &line["kind"]),
        (&object!(native_id), &object!(root), &object!("comment"))
    );
    let counts =
        object!({ "network": "facebook", "native_id": native_id, "likes": 4, "reposts": 0, "replies": 2 });
    stage.bench.control("engage", &counts).await;
    let metrics = stage.facebook.metrics(&stage.session, &[native_id]).await.unwrap();
    assert_eq!((metrics[0].found, metrics[0].likes, metrics[0].replies), (true, 4, 2));
    stage.facebook.delete(&stage.session, &root).await.unwrap();
    let gone = stage.send(&part, &ready).await.outcome;
    assert!(matches!(&gone, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");

    let pictured = work(&stage.facebook, "x", 1);
    let reasons = |work: &Work| {
        let found = stage.facebook.validate(&limits(), &work.content, 1);
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&pictured), ["COMMENT_WITH_MEDIA"]);
    assert_eq!(reasons(&of_kind(FacebookKind::Reel, part)), ["COMMENT_WITH_SETTINGS"]);
    assert_eq!(reasons(&work(&stage.facebook, &"x".repeat(8_001), 0)), ["TEXT_TOO_LONG"]);
}

/// What each row is about, with what follows from it.
const REFUSALS: &[(i64, i64, &str)] = &[
    (190, 463, "expired"),
    (190, 458, "reconnect"),
    (190, 0, "reconnect"),
    (102, 0, "reconnect"),
    (200, 1_404_078, "reconnect"),
    (100, 4_854_002, "reconnect"),
    (100, 1_363_040, "REEL_REFUSED"),
    (100, 1_363_127, "REEL_REFUSED"),
    (100, 1_363_128, "REEL_REFUSED"),
    (100, 1_363_129, "REEL_REFUSED"),
    (100, 1_609_005, "LINK_REFUSED"),
    (100, 1_609_008, "LINK_REFUSED"),
    (100, 2_061_006, "LINK_REFUSED"),
    (100, 1_366_046, "MEDIA_REFUSED"),
    (324, 2_069_019, "MEDIA_REFUSED"),
    (1_349_125, 0, "MEDIA_REFUSED"),
    (324, 0, "MEDIA_REFUSED"),
    (389, 0, "MEDIA_REFUSED"),
    (368, 0, "BLOCKED_BY_NETWORK"),
    (1_346_003, 0, "BLOCKED_BY_NETWORK"),
    (200, 1_404_102, "BLOCKED_BY_NETWORK"),
    (200, 1_404_112, "BLOCKED_BY_NETWORK"),
    (200, 1_404_006, "BLOCKED_BY_NETWORK"),
    (100, 1_390_008, RATE_LIMITED),
    (4, 0, RATE_LIMITED),
    (17, 0, RATE_LIMITED),
    (32, 0, RATE_LIMITED),
    (341, 0, RATE_LIMITED),
    (613, 0, RATE_LIMITED),
    (80_001, 0, RATE_LIMITED),
    (3, 0, "reconnect"),
    (10, 0, "reconnect"),
    (200, 0, "reconnect"),
    (210, 0, "reconnect"),
    (230, 0, "reconnect"),
    (283, 0, "reconnect"),
    (294, 0, "reconnect"),
    (299, 0, "reconnect"),
    (100, 33, "PAGE_GONE"),
    (100, 0, "CONTENT_REFUSED"),
    (506, 0, "DUPLICATE"),
];

fn word(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::TokenExpired => "expired",
        Outcome::Reconnect { .. } => "reconnect",
        Outcome::Rejected { code, .. } | Outcome::Transient { code, .. } => code,
        Outcome::Ambiguous { .. } => "ambiguous",
        _ => "other",
    }
}

#[tokio::test]
async fn each_listed_refusal_says_what_to_do_and_no_other_proves_anything() {
    let stage = Stage::new().await;
    let work = work(&stage.facebook, "hello", 0);
    let ready = stage.ready(&work).await;
    for (code, subcode, expected) in REFUSALS {
        stage.refuse("publish", 400, *code, *subcode).await;
        let answer = stage.send(&work, &ready).await;
        assert_eq!(word(&answer.outcome), *expected, "{code}/{subcode}");
        assert_eq!(answer.wire.platform_code.as_deref(), Some(&*format!("{code}/{subcode}")));
    }
    let is_tried = |rule: &Rule| {
        REFUSALS.iter().any(|(code, subcode, _)| {
            [format!("{code}/{subcode}"), format!("/{code}"), format!("/{subcode}")]
                .iter()
                .any(|text| rule.fits(400, text))
        })
    };
    assert!(errors::RULES.iter().chain([&errors::DUPLICATE]).all(is_tried), "a row without a test");
    for (status, code, subcode) in [
        (400, 1, 0),
        (400, 2, 0),
        (500, 2, 0),
        (500, 190, 463),
        (400, 4, 2_207_051),
        (400, 9, 0),
        (408, 190, 0),
        (400, 100_000, 0),
    ] {
        stage.refuse("publish", status, code, subcode).await;
        let outcome = stage.send(&work, &ready).await.outcome;
        assert_eq!(word(&outcome), "ambiguous", "{status} {code}/{subcode}");
    }
    stage.refuse("publish", 400, 506, 0).await;
    let resent = stage.facebook.send(Armed::for_tests(true, TIME), &stage.session, &work, &ready).await;
    assert_eq!(word(&resent.outcome), "ambiguous", "on a repetition the other post may be ours");
    for fault in ["garbage", "drop_before"] {
        stage.fault("publish", object!({ "kind": fault })).await;
        assert_eq!(word(&stage.send(&work, &ready).await.outcome), "ambiguous", "{fault}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 1, "the garbled answer was to a post");
}

#[tokio::test]
async fn a_throttled_page_is_left_alone_for_as_long_as_the_header_says() {
    let stage = Stage::new().await;
    let work = work(&stage.facebook, "hello", 0);
    let ready = stage.ready(&work).await;
    stage.fault("publish", object!({ "kind": "throttle", "retry_after_s": 1_800 })).await;
    let answer = stage.send(&work, &ready).await;
    let Outcome::Transient { code, retry_after: Some(wait), .. } = answer.outcome else {
        panic!("{answer:?}")
    };
    assert_eq!(code, RATE_LIMITED);
    assert!(wait.as_secs() >= 1_800, "{wait:?}");
    assert_eq!(answer.wire.hold, Some(wait));
}

#[tokio::test]
async fn counts_deletes_and_asks_for_another_token() {
    let mut stage = Stage::new().await;
    let id = stage.post("count me").await;
    let counts = object!({ "network": "facebook", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let gone = format!("{}_1", stage.session.native_id);
    let metrics = stage.facebook.metrics(&stage.session, &[id.clone(), gone]).await.unwrap();
    let one = &metrics[0];
    assert_eq!((one.likes, one.reposts, one.replies, one.views, one.found), (5, 3, 1, 51, true));
    assert!(!metrics[1].found);
    stage.fault("read", object!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(
        stage.facebook.metrics(&stage.session, std::slice::from_ref(&id)).await,
        Err(Fault::Transient { .. })
    ));
    stage.facebook.delete(&stage.session, &id).await.unwrap();
    stage.facebook.delete(&stage.session, &id).await.unwrap();
    assert!(!stage.facebook.metrics(&stage.session, &[id]).await.unwrap()[0].found);

    let old = stage.session.access_token.clone();
    let tokens = stage.facebook.refresh(&stage.session).await.unwrap();
    assert!(tokens.access_token != old && tokens.access_expires_at.is_none());
    stage.session.access_token = tokens.access_token;
    stage.post("with another token").await;
    stage.fault("read", object!({ "kind": "accept_then_reset" })).await;
    let lost = stage.facebook.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::NotExecuted { .. }), "asking once more does no harm: {lost:?}");
}

#[tokio::test]
async fn an_authorization_ends_with_the_last_page_that_it_shows() {
    let several = Stage::of("agency").await;
    several.facebook.revoke(&several.session).await.unwrap();
    several.post("the other Page goes on, and so does this one's token").await;
    let stage = Stage::new().await;
    stage.facebook.revoke(&stage.session).await.unwrap();
    stage.facebook.revoke(&stage.session).await.unwrap();
    let work = work(&stage.facebook, "hello", 0);
    let ready = stage.ready(&work).await;
    assert_eq!(word(&stage.send(&work, &ready).await.outcome), "reconnect");
    assert!(matches!(stage.facebook.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
    let late = stage
        .facebook
        .send(Armed::for_tests(false, std::time::Duration::ZERO), &stage.session, &work, &ready)
        .await;
    assert!(matches!(late.outcome, Outcome::NotSent { .. }), "{late:?}");
}

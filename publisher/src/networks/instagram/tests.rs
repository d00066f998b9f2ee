//! The adapter against Instagram over a real socket, with either login: what is prepared unseen, what each lost answer
//! proves, each refusal says, and how tokens go on. The stand-in's ledger of what became visible is the judge.

use std::time::Duration;

use serde_json::json as object;

use super::{
    super::{
        connect::{Begin, Connect, ConnectFault, Connected, Finish},
        proof::accepted,
        wire::Rule,
    },
    proof::{film, picture},
    *,
};
use crate::{
    domain::{
        content::Media,
        delivery::Reply,
        outcome::RATE_LIMITED,
        settings::{InstagramKind, InstagramSettings, Settings},
    },
    testing::{Bench, Kept, Library, PICTURE_JPEG, PICTURE_PNG, TIME, app, attempt, library, session, work},
};

const REDIRECT: &str = "https://mesh.example/oauth/callback";

struct Stage {
    bench: Bench,
    library: Library,
    instagram: Instagram,
    session: Session,
}

async fn agreed(bench: &Bench, instagram: &Instagram, handle: &str, scopes: Option<&str>) -> String {
    let (server, app) = (bench.server("instagram"), app("instagram"));
    let ask = Begin {
        server: &server,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: "",
        registration: None,
        app: Some(&app),
    };
    let began = instagram.begin(ask).await.unwrap();
    let mut url = url::Url::parse(&began.authorization_url).unwrap();
    let fields: Vec<_> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
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
    assert_eq!(back.fragment().is_some(), instagram.door == Door::Own, "`#_` at the end");
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

async fn finish(bench: &Bench, instagram: &Instagram, code: &str) -> Result<Vec<Connected>, ConnectFault> {
    let (server, app) = (bench.server("instagram"), app("instagram"));
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: "",
        code,
        verifier: "",
        app: Some(&app),
    };
    instagram.finish(ask).await
}

impl Stage {
    async fn new(door: Door) -> Self {
        let bench = Bench::new().await;
        let instagram = Instagram { door, ..Instagram::new(bench.http.clone(), bench.clock.clone()) };
        let code = agreed(&bench, &instagram, "demo", None).await;
        let account = finish(&bench, &instagram, &code).await.unwrap().remove(0);
        let session = session(instagram.facts().id, account);
        Self { bench, library: library().await, instagram, session }
    }

    fn work(&self, text: &str, media: Vec<Media>, kind: Option<InstagramKind>) -> Work {
        let mut work = work(&self.instagram, text, 0);
        work.content.media = media;
        if kind.is_some() {
            let settings = InstagramSettings { kind, ..InstagramSettings::default() };
            work.content.settings = Settings::Instagram(settings);
        }
        work
    }

    fn image(&self, text: &str) -> Work {
        self.work(text, vec![picture(PICTURE_JPEG)], None)
    }

    fn story(&self, item: Media) -> Work {
        self.work("", vec![item], Some(InstagramKind::Story))
    }

    async fn prepared(&self, work: &Work, kept: &mut Kept) -> Result<Ready, Fault> {
        self.instagram.prepare(&self.session, work, &self.library.source(), kept).await
    }

    async fn ready(&self, work: &Work) -> Ready {
        self.prepared(work, &mut Kept::default()).await.unwrap()
    }

    async fn send(&self, work: &Work, ready: &Ready) -> Answer {
        self.instagram.send(Armed::for_tests(false, TIME), &self.session, work, ready).await
    }

    async fn resend(&self, work: &Work, ready: &Ready) -> Answer {
        self.instagram.send(Armed::for_tests(true, TIME), &self.session, work, ready).await
    }

    async fn find(&self, work: &Work, handles: &HandleMap, facts: &AttemptFacts) -> Found {
        self.instagram.reconcile(&self.session, work, handles, facts).await
    }

    async fn fault(&self, operation: &str, fault: Value) {
        self.bench.fault("instagram", operation, fault).await;
    }

    async fn refuse(&self, operation: &str, status: u16, code: i64, subcode: i64) {
        let error =
            object!({ "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode });
        let fault = object!({ "kind": "status", "code": status, "body": { "error": error } });
        self.fault(operation, fault).await;
    }

    async fn advance(&self, ms: u64) {
        self.bench.control("clock", &object!({ "advance_ms": ms })).await;
    }
}

fn word(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::TokenExpired => "expired",
        Outcome::Reconnect { .. } => "reconnect",
        Outcome::Stale { .. } => "stale",
        Outcome::Rejected { code, .. } | Outcome::Transient { code, .. } => code,
        Outcome::Ambiguous { .. } => "ambiguous",
        _ => "other",
    }
}

#[tokio::test]
async fn both_logins_yield_the_same_account_with_tokens_of_their_own() {
    let bench = Bench::new().await;
    bench.control("accounts", &object!({ "network": "instagram", "handle": "flat.ana" })).await;
    let own = Instagram::new(bench.http.clone(), bench.clock.clone());
    let by_facebook = own.by_facebook();
    let code = agreed(&bench, &own, "demo", None).await;
    let one = finish(&bench, &own, &code).await.unwrap().remove(0);
    assert_eq!((one.handle.as_str(), one.refresh_token.as_ref()), ("@demo", Some(&one.access_token)));
    assert!(one.access_expires_at.unwrap() > bench.clock.now_ms() + 50 * 86_400_000);
    let used = finish(&bench, &own, &code).await.unwrap_err();
    assert!(
        matches!(&used, ConnectFault::CodeRefused { why, .. } if why.contains("already used")),
        "{used:?}"
    );
    let code = agreed(&bench, &by_facebook, "demo", None).await;
    let other = finish(&bench, &by_facebook, &code).await.unwrap();
    assert_eq!(other.len(), 1, "a Page that is linked to no account yields none");
    assert_eq!((&other[0].native_id, &other[0].handle), (&one.native_id, &one.handle));
    assert!(other[0].access_expires_at.is_none() && other[0].refresh_token.is_none());

    // The flat form of the code's answer, with a number for the id, and a code that was copied with its end.
    let code = agreed(&bench, &own, "flat.ana", None).await;
    let flat = finish(&bench, &own, &format!("{code}#_")).await.unwrap().remove(0);
    assert_eq!(flat.handle, "@flat.ana");
    let code = agreed(&bench, &own, "demo", Some("instagram_business_basic")).await;
    let missing = finish(&bench, &own, &code).await.unwrap_err();
    assert!(
        matches!(&missing, ConnectFault::ScopesMissing { missing, .. } if missing.starts_with("instagram_business_content_publish")),
        "{missing:?}"
    );
    let code = agreed(&bench, &by_facebook, "demo", Some("instagram_basic,pages_show_list")).await;
    let missing = finish(&bench, &by_facebook, &code).await.unwrap_err();
    assert!(matches!(missing, ConnectFault::ScopesMissing { .. }), "{missing:?}");
}

#[tokio::test]
async fn what_is_prepared_is_unseen_and_its_address_ends_with_it() {
    let stage = Stage::new(Door::Own).await;
    let media = vec![picture(PICTURE_PNG), film(5_000), picture(PICTURE_JPEG)];
    let work = stage.work("three", media, None);
    let mut kept = Kept::default();
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["child.0", "child.1", "child.2", "container"]);
    assert_eq!(stage.library.fetches(), 3);
    let created = stage.bench.requests("media_upload").await;
    let url = created[0]["body"]["image_url"].as_str().unwrap();
    assert!(url.split('.').next_back() == Some("jpg"), "a PNG goes out as JPEG: {url}");
    assert_eq!(stage.library.fetch(url, "").await.0, 404, "the address has ended");
    let before = stage.bench.all_requests().await.len();
    let again = stage.prepared(&work, &mut kept).await.unwrap();
    assert_eq!((&again, stage.bench.all_requests().await.len()), (&ready, before));
    assert_eq!(stage.bench.ledger().await.len(), 0);
    let id = accepted(&stage.send(&work, &ready).await);
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[0]["native_id"], ledger[0]["media"].as_array().unwrap().len()), (&object!(id), 3));
    assert_eq!(ledger[0]["media"][1]["mime"], "video/mp4");
}

#[tokio::test]
async fn containers_that_fail_are_replaced_unless_the_next_would_fail_too() {
    let stage = Stage::new(Door::Own).await;
    let work = stage.image("hi");
    stage.refuse("media_upload", 400, -1, 2_207_032).await;
    let mut kept = Kept::default();
    let failed = stage.prepared(&work, &mut kept).await.unwrap_err();
    assert!(matches!(&failed, Fault::Transient { code, .. } if code == "MEDIA_FAILED"), "{failed:?}");
    assert_eq!(kept.handles["container"]["tries"], 1);
    stage.refuse("read", 400, 100, 33).await;
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    accepted(&stage.send(&work, &ready).await);

    let film = stage.work("hi", vec![film(5_000)], None);
    stage.fault("media_upload", object!({ "kind": "processing", "ms": 100, "fails": true })).await;
    let refused = stage.prepared(&film, &mut Kept::default()).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { code, .. } if code == "VIDEO_REFUSED"), "{refused:?}");

    // A container that was made and whose answer was lost is made again: it is invisible.
    stage.fault("media_upload", object!({ "kind": "accept_then_reset" })).await;
    let mut kept = Kept::default();
    let lost = stage.prepared(&work, &mut kept).await.unwrap_err();
    assert!(matches!(lost, Fault::Transient { .. }), "{lost:?}");
    assert!(
        kept.handles["container"]["url"].as_str().unwrap().starts_with("http"),
        "kept before it was told"
    );
    accepted(&stage.send(&work, &stage.prepared(&work, &mut kept).await.unwrap()).await);
    assert_eq!(stage.bench.ledger().await.len(), 2);
}

#[tokio::test]
async fn an_unreachable_address_is_tried_a_few_times_and_then_named() {
    let stage = Stage::new(Door::Own).await;
    let work = stage.image("hi");
    let mut kept = Kept::default();
    let mut codes = Vec::new();
    for _ in 0..3 {
        stage.refuse("media_upload", 400, 9004, 2_207_052).await;
        match stage.prepared(&work, &mut kept).await.unwrap_err() {
            Fault::Transient { code, .. } => codes.push(code),
            Fault::Rejected { code, .. } => codes.push(format!("final {code}")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(codes, ["MEDIA_UNREACHABLE", "MEDIA_UNREACHABLE", "final MEDIA_UNREACHABLE"]);
}

#[tokio::test]
async fn the_container_tells_whether_a_lost_answer_was_a_post() {
    for door in [Door::Own, Door::Facebook] {
        let stage = Stage::new(door).await;
        let mut taken = Vec::new();
        for (n, work) in [
            stage.image("the same words"),
            stage.work("the same words", vec![film(5_000)], None),
            stage.work("the same words", vec![picture(PICTURE_JPEG); 2], None),
            stage.story(picture(PICTURE_JPEG)),
            stage.story(film(5_000)),
        ]
        .into_iter()
        .enumerate()
        {
            let mut kept = Kept::default();
            let ready = stage.prepared(&work, &mut kept).await.unwrap();
            let facts = AttemptFacts { taken_native_ids: std::mem::take(&mut taken), ..attempt() };
            assert_eq!(stage.find(&work, &kept.handles, &facts).await, Found::Absent, "{n} before");
            stage.fault("publish", object!({ "kind": "accept_then_reset" })).await;
            let lost = stage.send(&work, &ready).await.outcome;
            assert_eq!(word(&lost), "ambiguous", "{n}");
            let found = stage.find(&work, &kept.handles, &facts).await;
            let Found::Live { native_id, .. } = found else { panic!("{n}: {found:?}") };
            assert_eq!(stage.bench.ledger().await[n]["native_id"], object!(native_id));
            let again = stage.resend(&work, &ready).await;
            assert_eq!(word(&again.outcome), "ambiguous", "{n}: a container is published once");
            assert_eq!(stage.bench.ledger().await.len(), n + 1);
            taken = facts.taken_native_ids;
            taken.push(native_id);
        }
    }
}

#[tokio::test]
async fn a_published_container_whose_post_is_unclear_is_not_guessed() {
    let stage = Stage::new(Door::Own).await;
    let facts = attempt();
    let mut kept = Kept::default();
    let works = [stage.image("twice"), stage.image("twice")];
    for work in &works {
        kept = Kept::default();
        let ready = stage.prepared(work, &mut kept).await.unwrap();
        accepted(&stage.send(work, &ready).await);
    }
    let several = stage.find(&works[1], &kept.handles, &facts).await;
    assert!(matches!(&several, Found::Unsure { why } if why.contains("several")), "{several:?}");
    let rule = object!({ "network": "instagram", "operation": "read", "fault": { "kind": "stale_read", "ms": 60_000 }, "times": 2 });
    stage.bench.control("script", &rule).await;
    let late = stage.find(&works[1], &kept.handles, &facts).await;
    assert!(matches!(&late, Found::Unsure { why } if why.contains("not shown yet")), "{late:?}");

    // Live, although the answer says spam: the container is asked, not the code.
    let spam = stage.image("taken for spam");
    let mut kept = Kept::default();
    let ready = stage.prepared(&spam, &mut kept).await.unwrap();
    let facts = attempt();
    stage.fault("publish", object!({ "kind": "accept_then_500" })).await;
    assert_eq!(word(&stage.send(&spam, &ready).await.outcome), "ambiguous");
    stage.refuse("publish", 400, 4, 2_207_051).await;
    assert_eq!(word(&stage.resend(&spam, &ready).await.outcome), "ambiguous");
    assert!(matches!(stage.find(&spam, &kept.handles, &facts).await, Found::Live { .. }));
    stage.refuse("read", 400, 100, 33).await;
    assert!(matches!(stage.find(&spam, &kept.handles, &facts).await, Found::Unsure { .. }));
}

#[tokio::test]
async fn a_container_that_expired_is_made_again_before_anything_may_be_visible() {
    let stage = Stage::new(Door::Own).await;
    let work = stage.work("late", vec![picture(PICTURE_JPEG); 2], None);
    let mut kept = Kept::default();
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    stage.advance(86_400_001).await;
    let facts = attempt();
    let Outcome::Stale { steps, .. } = stage.send(&work, &ready).await.outcome else { panic!("not stale") };
    assert_eq!(steps, ["child.0", "child.1", "container"]);
    assert_eq!(word(&stage.resend(&work, &ready).await.outcome), "ambiguous");
    assert_eq!(stage.find(&work, &kept.handles, &facts).await, Found::Absent);
    for step in steps {
        kept.handles.remove(&step);
    }
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    accepted(&stage.send(&work, &ready).await);
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn further_parts_are_comments_that_are_found_and_never_sent_blindly() {
    let stage = Stage::new(Door::Own).await;
    let root = stage.image("root");
    let root = accepted(&stage.send(&root, &stage.ready(&root).await).await);
    let reply = Reply { parent_native_id: "whatever".into(), root_native_id: root.clone() };
    let part = Work { reply: Some(reply), position: 1, ..stage.work("a comment", vec![], None) };
    assert_eq!(stage.instagram.validate(&limits(), &part.content, 1), []);
    let mut kept = Kept::default();
    let ready = stage.prepared(&part, &mut kept).await.unwrap();
    let facts = attempt();
    let none = stage.find(&part, &kept.handles, &facts).await;
    assert!(matches!(none, Found::Unsure { .. }), "that it is not shown proves nothing: {none:?}");
    stage.fault("publish", object!({ "kind": "accept_then_reset" })).await;
    assert_eq!(word(&stage.send(&part, &ready).await.outcome), "ambiguous");
    let found = stage.find(&part, &kept.handles, &facts).await;
    let Found::Live { native_id, .. } = found else { panic!("{found:?}") };
    let line = &stage.bench.ledger().await[1];
    assert_eq!((&line["native_id"], &line["in_reply_to"]), (&object!(native_id), &object!(root)));
    let counts = object!({ "network": "instagram", "native_id": native_id, "likes": 4 });
    stage.bench.control("engage", &counts).await;
    assert_eq!(stage.instagram.metrics(&stage.session, &[native_id]).await.unwrap()[0].likes, 4);
    stage.refuse("publish", 400, 100, 33).await;
    assert_eq!(word(&stage.send(&part, &ready).await.outcome), "PARENT_GONE");
    let reasons = |work: &Work| {
        let found = stage.instagram.validate(&limits(), &work.content, 1);
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&stage.image("x")), ["COMMENT_WITH_MEDIA"]);
    assert_eq!(reasons(&stage.work(&"x".repeat(301), vec![], None)), ["TEXT_TOO_LONG"]);
    assert_eq!(reasons(&stage.work("x", vec![], Some(InstagramKind::Reel))), ["COMMENT_WITH_SETTINGS"]);
}

/// What each row is about, with what follows from it.
const REFUSALS: &[(i64, i64, &str)] = &[
    (190, 463, "expired"),
    (190, 458, "reconnect"),
    (102, 0, "reconnect"),
    (25, 2_207_050, "reconnect"),
    (9, 2_207_042, "DAILY_LIMIT"),
    (9007, 2_207_027, "MEDIA_PROCESSING"),
    (352, 2_207_026, "VIDEO_REFUSED"),
    (2_207_077, 0, "VIDEO_REFUSED"),
    (36_000, 2_207_004, "IMAGE_TOO_LARGE"),
    (36_001, 2_207_005, "MEDIA_REFUSED"),
    (36_003, 2_207_009, "IMAGE_ASPECT"),
    (36_004, 2_207_010, "TEXT_TOO_LONG"),
    (100, 2_207_023, "MEDIA_REFUSED"),
    (100, 2_207_028, "CAROUSEL_REFUSED"),
    (100, 2_207_035, "TAGS_REFUSED"),
    (100, 2_207_036, "TAGS_REFUSED"),
    (100, 2_207_037, "TAGS_REFUSED"),
    (100, 2_207_040, "TAGS_REFUSED"),
    (1, 2_207_057, "COVER_REFUSED"),
    (100, 2_207_081, "NOT_ALLOWED"),
    (4, 0, RATE_LIMITED),
    (17, 0, RATE_LIMITED),
    (32, 0, RATE_LIMITED),
    (613, 0, RATE_LIMITED),
    (80_002, 0, RATE_LIMITED),
    (10, 0, "reconnect"),
    (200, 0, "reconnect"),
    (210, 0, "reconnect"),
    (230, 0, "reconnect"),
    (283, 0, "reconnect"),
    (294, 0, "reconnect"),
    (299, 0, "reconnect"),
    (100, 33, "reconnect"),
    (100, 0, "CONTENT_REFUSED"),
    (24, 2_207_008, "stale"),
];

#[tokio::test]
async fn each_listed_refusal_says_what_to_do_and_no_other_proves_anything() {
    let stage = Stage::new(Door::Own).await;
    let work = stage.image("hello");
    let ready = stage.ready(&work).await;
    for (code, subcode, expected) in REFUSALS {
        stage.refuse("publish", 400, *code, *subcode).await;
        let answer = stage.send(&work, &ready).await;
        assert_eq!(word(&answer.outcome), *expected, "{code}/{subcode}");
        assert_eq!(answer.wire.platform_code.as_deref(), Some(&*format!("{code}/{subcode}")));
        if *expected == "DAILY_LIMIT" {
            assert_eq!(answer.wire.hold, Some(Duration::from_hours(1)));
        }
    }
    let is_tried = |rule: &Rule| {
        REFUSALS.iter().any(|(code, subcode, _)| {
            let texts = [format!("{code}/{subcode}"), format!("/{code}"), format!("/{subcode}")];
            texts.iter().any(|text| rule.fits(400, text))
        })
    };
    assert!(errors::RULES.iter().all(is_tried), "a row without a test");
    for (status, code, subcode) in [
        (400, 4, 2_207_051),
        (400, 24, 2_207_006),
        (400, -1, 2_207_001),
        (400, -2, 2_207_003),
        (400, 1, 0),
        (400, 2, 0),
        (500, 9, 2_207_042),
        (500, 2, 0),
        (400, 9, 0),
        (408, 190, 0),
    ] {
        stage.refuse("publish", status, code, subcode).await;
        let outcome = stage.send(&work, &ready).await.outcome;
        assert_eq!(word(&outcome), "ambiguous", "{status} {code}/{subcode}");
    }
    stage.fault("publish", object!({ "kind": "drop_before" })).await;
    assert_eq!(word(&stage.send(&work, &ready).await.outcome), "ambiguous");
    let late =
        stage.instagram.send(Armed::for_tests(false, Duration::ZERO), &stage.session, &work, &ready).await;
    assert!(matches!(late.outcome, Outcome::NotSent { .. }), "{late:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn a_day_that_is_used_up_is_waited_for() {
    let stage = Stage::new(Door::Own).await;
    stage.bench.control("limits", &object!({ "network": "instagram", "enforce": true })).await;
    stage.fault("publish", object!({ "kind": "throttle", "retry_after_s": 600 })).await;
    let work = stage.image("hello");
    let ready = stage.ready(&work).await;
    let throttled = stage.send(&work, &ready).await;
    assert_eq!(word(&throttled.outcome), RATE_LIMITED);
    assert!(throttled.wire.hold.unwrap() >= Duration::from_mins(10), "{throttled:?}");
    let mut sent = Vec::new();
    for n in 0..51 {
        let work = stage.image(&format!("number {n}"));
        sent.push(word(&stage.send(&work, &stage.ready(&work).await).await.outcome).to_owned());
    }
    assert_eq!((sent[49].as_str(), sent[50].as_str()), ("other", "DAILY_LIMIT"));
    assert_eq!(stage.bench.ledger().await.len(), 50);
}

#[tokio::test]
async fn a_token_renews_itself_from_its_second_day_on() {
    let mut stage = Stage::new(Door::Own).await;
    let young = stage.instagram.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(young, RefreshFault::NotExecuted { .. }), "{young:?}");
    stage.advance(86_400_001).await;
    stage.fault("refresh", object!({ "kind": "accept_then_reset" })).await;
    let lost = stage.instagram.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::NotExecuted { .. }), "the old one goes on: {lost:?}");
    let tokens = stage.instagram.refresh(&stage.session).await.unwrap();
    assert!(tokens.access_token != stage.session.access_token);
    assert_eq!(tokens.refresh_token, Some(tokens.access_token.clone()));
    stage.session.access_token = tokens.access_token;
    let work = stage.image("renewed");
    accepted(&stage.send(&work, &stage.ready(&work).await).await);
    stage
        .bench
        .control("script", &object!({ "network": "instagram", "fault": { "kind": "expire_tokens" } }))
        .await;
    assert_eq!(word(&stage.send(&work, &Ready::new("{}")).await.outcome), "expired");
    let over = stage.instagram.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(over, RefreshFault::Revoked(_)), "{over:?}");
}

#[tokio::test]
async fn counts_and_deletes_as_far_as_the_login_goes() {
    for door in [Door::Own, Door::Facebook] {
        let stage = Stage::new(door).await;
        let mut ids = Vec::new();
        for work in [stage.image("count me"), stage.story(picture(PICTURE_JPEG))] {
            let id = accepted(&stage.send(&work, &stage.ready(&work).await).await);
            let counts =
                object!({ "network": "instagram", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
            stage.bench.control("engage", &counts).await;
            ids.push(id);
        }
        ids.push("1".into());
        let metrics = stage.instagram.metrics(&stage.session, &ids).await.unwrap();
        let post = &metrics[0];
        assert_eq!((post.likes, post.reposts, post.replies, post.views), (5, 3, 1, 51));
        assert_eq!((metrics[1].replies, metrics[1].views, metrics[2].found), (1, 51, false));
        // An insight that is not told spoils nothing.
        let rule = object!({ "network": "instagram", "operation": "read", "skip": 1, "fault": { "kind": "status", "code": 400,
            "body": { "error": { "message": "m", "code": 10 } } } });
        stage.bench.control("script", &rule).await;
        let less = stage.instagram.metrics(&stage.session, &ids[..1]).await.unwrap();
        assert_eq!((less[0].likes, less[0].views), (5, 0));
        let deleted = stage.instagram.delete(&stage.session, &ids[0]).await;
        assert_eq!(stage.instagram.facts().capabilities.delete, deleted.is_ok());
        match door {
            Door::Own => {
                assert!(matches!(&deleted, Err(Fault::Rejected { code, .. }) if code == "CANNOT_DELETE"));
                stage.instagram.revoke(&stage.session).await.unwrap();
            }
            Door::Facebook => {
                stage.instagram.delete(&stage.session, &ids[0]).await.unwrap();
                assert!(!stage.instagram.metrics(&stage.session, &ids[..1]).await.unwrap()[0].found);
                let tokens = stage.instagram.refresh(&stage.session).await.unwrap();
                assert!(tokens.access_token != stage.session.access_token);
                stage.instagram.revoke(&stage.session).await.unwrap();
                stage.instagram.revoke(&stage.session).await.unwrap();
                let gone = stage.instagram.metrics(&stage.session, &ids).await.unwrap_err();
                assert!(matches!(gone, Fault::Reconnect { .. }), "{gone:?}");
            }
        }
    }
}

#[test]
fn stories_are_checked_for_what_they_cannot_show() {
    let bench = postmesh_kit::http::OutboundConfig::default();
    let clock: Arc<dyn Clock> = Arc::new(postmesh_kit::clock::SystemClock);
    let instagram = Instagram::new(GuardedClient::new(&bench), clock);
    let reasons = |text: &str, media: Vec<Media>| {
        let kind = Some(InstagramKind::Story);
        let settings = Settings::Instagram(InstagramSettings { kind, ..InstagramSettings::default() });
        let content = Content { text: text.into(), media, settings };
        let found = instagram.validate(&limits(), &content, 0);
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    let tall = Media { width: 90, height: 160, ..picture(PICTURE_PNG) };
    assert_eq!(reasons("", vec![tall.clone()]), [""; 0]);
    assert_eq!(reasons("", vec![film(60_000)]), [""; 0]);
    assert_eq!(reasons("words", vec![tall.clone()]), ["STORY_TEXT"]);
    assert_eq!(reasons("", vec![tall.clone(), tall]), ["STORY_MEDIA"]);
    assert_eq!(reasons("", vec![film(60_001)]), ["VIDEO_TOO_LONG"]);
    assert_eq!(reasons("", vec![Media { size_bytes: 100_000_001, ..film(5_000) }]), ["VIDEO_TOO_LARGE"]);
}

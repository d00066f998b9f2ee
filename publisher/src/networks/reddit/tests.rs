//! The adapter against Reddit over a real socket: what is posted, what each lost answer proves, and what looking back finds.
//! The ledger of what became visible is the judge.

use std::time::Duration;

use serde_json::json;

use super::{
    proof::{WAY, in_test, set},
    *,
};
use crate::{
    domain::{
        delivery::Reply,
        outcome::{Outcome, RATE_LIMITED},
        settings::RedditSettings,
    },
    networks::{
        connect::{ConnectFault, Connected},
        proof::{
            Stage, accepted,
            shared::{self, film, png, proves, with},
        },
    },
    testing::{Bench, Kept, TIME, app, attempt},
};

async fn stage() -> Stage {
    Stage::new("reddit", WAY).await
}

async fn login(bench: &Bench, change: impl Fn(&str) -> String) -> Result<Vec<Connected>, ConnectFault> {
    let reddit = Reddit::new(bench.http.clone(), bench.clock.clone());
    shared::login(bench, &reddit, Some(&app("reddit")), change).await
}

fn titled(title: &str, text: &str) -> Content {
    set(RedditSettings { title: title.into(), ..in_test() }, with(text, Vec::new()))
}

#[tokio::test]
async fn an_account_comes_in_with_a_lasting_authorization() {
    let bench = Bench::new().await;
    let connected = login(&bench, str::to_owned).await.unwrap().remove(0);
    assert!(connected.native_id.starts_with("t2_") && connected.refresh_token.is_some());
    assert_eq!((connected.handle.as_str(), connected.avatar_url.contains('?')), ("u/demo", false));
    let fewer = |url: &str| url.replace("+history", "");
    let missing = login(&bench, fewer).await.unwrap_err();
    assert!(
        matches!(&missing, ConnectFault::ScopesMissing { missing, .. } if missing == "history"),
        "{missing:?}"
    );
    let refused = json!({ "kind": "status", "code": 200, "body": { "error": "invalid_grant" } });
    bench.fault("reddit", "token", refused).await;
    let refused = login(&bench, str::to_owned).await.unwrap_err();
    assert!(matches!(refused, ConnectFault::CodeRefused { .. }), "{refused:?}");
    let refused =
        json!({ "kind": "status", "code": 401, "body": { "message": "Unauthorized", "error": 401 } });
    bench.fault("reddit", "token", refused).await;
    assert!(matches!(login(&bench, str::to_owned).await, Err(ConnectFault::Refused { .. })));
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_listing() {
    let stage = stage().await;
    for (n, fault) in ["accept_then_reset", "accept_then_500", "garbage"].into_iter().enumerate() {
        let work = stage.work(titled(&format!("number {n} & <more>"), "the text\n\nof it"));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.bench.fault("reddit", "publish", json!({ "kind": fault })).await;
        let lost = stage.send(&work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{fault}: {lost:?}");
        let facts = attempt();
        let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &facts).await;
        let Found::Live { native_id, url, .. } = found else { panic!("{fault}: {found:?}") };
        let lines = stage.bench.ledger().await;
        assert_eq!((lines.len(), &lines[n]["native_id"]), (n + 1, &json!(native_id)));
        assert_eq!(stage.network.id_in("", &url), Some(native_id.clone()));
        let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts };
        let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &taken).await;
        assert_eq!(found, Found::Absent, "it belongs to another delivery");
    }
    let work = stage.work(titled("number 0 & <more>", "another text"));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    stage.bench.fault("reddit", "publish", json!({ "kind": "drop_before" })).await;
    stage.send(&work, &ready).await;
    let look = async || stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
    assert_eq!(look().await, Found::Absent);
    stage.bench.fault("reddit", "read", json!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(look().await, Found::Unread(_)));
    for _ in 0..2 {
        stage.send(&work, &ready).await;
    }
    assert!(matches!(look().await, Found::Unsure { .. }), "two are not guessed between");
}

#[tokio::test]
async fn a_link_is_posted_once_even_when_it_is_sent_again() {
    let stage = stage().await;
    let settings = RedditSettings { link: "https://example.com/a?b=1&c=2".into(), ..in_test() };
    let work = stage.work(set(settings, with("a link", Vec::new())));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    stage.bench.fault("reddit", "publish", json!({ "kind": "accept_then_reset" })).await;
    stage.send(&work, &ready).await;
    let again = stage.network.send(Armed::for_tests(true, TIME), &stage.session, &work, &ready).await;
    assert!(matches!(again.outcome, Outcome::Ambiguous { .. }), "it may have been us: {again:?}");
    let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
    assert!(matches!(found, Found::Live { .. }), "{found:?}");
    let first = stage.send(&work, &ready).await.outcome;
    assert!(matches!(&first, Outcome::Rejected { code, .. } if code == "ALREADY_POSTED"), "{first:?}");
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn media_are_uploaded_before_and_appear_later() {
    let stage = stage().await;
    let work = stage.work(set(in_test(), with("a film", vec![film()])));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["asset.0", "poster", "rules"]);
    let uploads = stage.bench.requests("media_upload").await;
    let to_storage: Vec<_> = uploads.iter().filter(|call| call["path"] == "/reddit/s3").collect();
    assert_eq!((uploads.len(), to_storage.len()), (4, 2));
    assert!(to_storage.iter().all(|call| call["headers"].get("authorization").is_none()), "no token leaves");
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.requests("media_upload").await.len(), 4, "no step is done again");
    let sent = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
    let Outcome::Processing { handle } = &sent.outcome else { panic!("{sent:?}") };
    let polled = stage.network.poll(&stage.session, &work, handle).await;
    assert!(matches!(polled.outcome, Outcome::Processing { .. }), "{polled:?}");
    let early = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
    assert!(matches!(early, Found::Unsure { .. }), "it is too early to say: {early:?}");
    let late = AttemptFacts { armed_at: attempt().armed_at - 700_000, ..attempt() };
    let absent = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &late).await;
    assert_eq!(absent, Found::Absent);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let id = accepted(&stage.network.poll(&stage.session, &work, handle).await);
    let lines = stage.bench.ledger().await;
    assert_eq!(
        (lines.len(), &lines[0]["native_id"], &lines[0]["media"][0]["mime"]),
        (1, &json!(id), &json!("video/mp4"))
    );
    let denied = json!({ "kind": "status", "code": 403, "body": "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>" });
    let rule = json!({ "network": "reddit", "operation": "media_upload", "skip": 1, "fault": denied });
    stage.bench.control("script", &rule).await;
    let next = stage.work(set(in_test(), with("a picture", vec![png()])));
    let media = stage.library.source();
    let refused =
        stage.network.prepare(&stage.session, &next, &media, &mut Kept::default()).await.unwrap_err();
    assert!(matches!(refused, Fault::Transient { .. }), "the next lease may do: {refused:?}");
}

#[tokio::test]
async fn further_parts_are_comments() {
    let stage = stage().await;
    let root = stage.publish(titled("root", "")).await;
    let part = |text: &str, parent: &str| {
        let reply = Reply { parent_native_id: parent.into(), root_native_id: root.clone() };
        Work { reply: Some(reply), position: 1, ..stage.work(with(text, Vec::new())) }
    };
    let second = part("the same *words*", &root);
    let ready = stage.ready(&second, &mut Kept::default()).await;
    stage.bench.fault("reddit", "publish", json!({ "kind": "accept_then_reset" })).await;
    stage.send(&second, &ready).await;
    let look = async |work: &Work| {
        stage.network.reconcile(&stage.session, work, &HandleMap::new(), &attempt()).await
    };
    let Found::Live { native_id: middle, url, .. } = look(&second).await else { panic!("it is there") };
    assert_eq!(stage.network.id_in("", &url), Some(middle.clone()));
    let third = part("the same *words*", &middle);
    assert_eq!(look(&third).await, Found::Absent, "it has another parent");
    let ready = stage.ready(&third, &mut Kept::default()).await;
    accepted(&stage.send(&third, &ready).await);
    let lines = stage.bench.ledger().await;
    let parents: Vec<_> = lines.iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(middle)]);
    let reasons = |content: &Content| {
        stage
            .network
            .validate(&limits(), content, 1)
            .into_iter()
            .map(|found| found.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(&with(&"x".repeat(10_000), Vec::new())), [""; 0]);
    assert_eq!(reasons(&with(&"x".repeat(10_001), Vec::new())), ["TEXT_TOO_LONG"]);
    assert_eq!(reasons(&with("x", vec![png()])), ["COMMENT_MEDIA"]);
    stage.network.delete(&stage.session, &root).await.unwrap();
    let late = part("late", &root);
    let ready = stage.ready(&late, &mut Kept::default()).await;
    let gone = stage.send(&late, &ready).await.outcome;
    assert!(matches!(&gone, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");
}

#[tokio::test]
async fn each_listed_refusal_is_what_the_table_says_and_nothing_else_is_definite() {
    let stage = stage().await;
    let work = stage.work(titled("refused", ""));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let send = async |code: u16, body: Value| {
        stage.bench.fault("reddit", "publish", json!({ "kind": "status", "code": code, "body": body })).await;
        stage.send(&work, &ready).await.outcome
    };
    for rule in errors::RULES {
        let (status, text, proof) = rule.parts();
        let body = match text.strip_prefix("http ") {
            Some(message) => json!({ "message": message, "error": status }),
            None => json!({ "json": { "errors": [[text, "of it", "sr"]] } }),
        };
        let outcome = send(status, body).await;
        assert!(proves(proof, &outcome), "{status} {text}: {outcome:?}");
    }
    for (status, body) in [
        (200, json!({ "json": { "errors": [["SOMETHING_NEW", "x", "y"]] } })),
        (200, json!({ "json": { "errors": [] } })),
        (200, json!("<html>")),
        (500, json!({ "message": "Internal Server Error", "error": 500 })),
        (503, json!({ "json": { "errors": [["NO_SELFS", "x", "sr"]] } })),
        (429, json!("<html>whoa there, pardner!</html>")),
        (403, json!("<html>")),
    ] {
        let outcome = send(status, body.clone()).await;
        assert!(matches!(outcome, Outcome::Ambiguous { .. }), "{status} {body}: {outcome:?}");
    }
    let slow = json!({ "json": { "ratelimit": 123.4, "errors": [["RATELIMIT", "2 minutes", "ratelimit"]] } });
    stage.bench.fault("reddit", "publish", json!({ "kind": "status", "code": 200, "body": slow })).await;
    let answer = stage.send(&work, &ready).await;
    let wait = Some(Duration::from_millis(123_400));
    assert!(
        matches!(&answer.outcome, Outcome::Transient { code, retry_after, .. } if code == RATE_LIMITED && *retry_after == wait),
        "{answer:?}"
    );
    assert_eq!((answer.wire.hold, stage.bench.ledger().await.len()), (wait, 0));
}

#[tokio::test]
async fn refusals_of_the_subreddit_itself_are_understood() {
    let stage = stage().await;
    let sent = async |subreddit: &str, flair_id: &str| {
        let settings = RedditSettings { subreddit: subreddit.into(), flair_id: flair_id.into(), ..in_test() };
        let work = stage.work(set(settings, with("hi", Vec::new())));
        // As where the rules are not shown to the account.
        let hidden =
            json!({ "kind": "status", "code": 403, "body": { "message": "Forbidden", "error": 403 } });
        stage
            .bench
            .control(
                "script",
                &json!({ "network": "reddit", "operation": "read", "times": 2, "fault": hidden }),
            )
            .await;
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.bench.clear_script().await;
        stage.send(&work, &ready).await.outcome
    };
    for (subreddit, flair, expected) in [
        ("nowhere", "", "SUBREDDIT_GONE"),
        ("closed", "", "NOT_ALLOWED"),
        ("linksonly", "", "KIND_NOT_ALLOWED"),
        ("flairs", "", "FLAIR"),
        ("test", "f-2", "FLAIR"),
        ("strict", "", "CONTENT_REFUSED"),
    ] {
        let refused = sent(subreddit, flair).await;
        assert!(
            matches!(&refused, Outcome::Rejected { code, .. } if code == expected),
            "{subreddit}: {refused:?}"
        );
    }
    for subreddit in ["r/test", "", "filtered", "u_demo"] {
        let made = sent(subreddit, "").await;
        assert!(matches!(made, Outcome::Accepted { .. }), "{subreddit}: {made:?}");
    }
    let request = &stage.bench.requests("publish").await[7];
    assert!(request["body"].as_str().unwrap().contains("sr=u_demo"), "its own profile: {request}");
    let agent = request["headers"]["user-agent"].as_str().unwrap();
    assert_eq!(agent, format!("web:postmesh.sandbox-reddit:v{} (by /u/demo)", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_rule_of_the_subreddit_is_named_before_anything_is_uploaded_or_sent() {
    let stage = stage().await;
    let prepare = async |content: Content, settings: RedditSettings, kept: &mut Kept| {
        let work = stage.work(set(settings, content));
        stage.network.prepare(&stage.session, &work, &stage.library.source(), kept).await
    };
    let to = |subreddit: &str, flair_id: &str| RedditSettings {
        subreddit: subreddit.into(),
        flair_id: flair_id.into(),
        ..RedditSettings::default()
    };
    let choose = "wants a flair: set the id of one of f-1 (News), f-3 (Question).";
    for (settings, content, code, words) in [
        (to("nowhere", ""), with("hi", Vec::new()), "SUBREDDIT_GONE", "no such subreddit"),
        (to("flairs", ""), with("hi", vec![png()]), "FLAIR", choose),
        (to("test", "f-2"), with("hi", Vec::new()), "FLAIR", choose),
        (
            to("strict", "f-1"),
            with("[OC] spam", vec![png(); 2]),
            "SUBREDDIT_RULES",
            "r/strict wants a title of at least 10 characters, this one has 9; a title without `spam`; a gallery of at \
             least 3 pictures, this one has 2.",
        ),
        (
            to("strict", ""),
            with("a title\nand its text", Vec::new()),
            "SUBREDDIT_RULES",
            "this one has 7; a title with [OC] or [Meta]; a flair: set the id",
        ),
    ] {
        let refused = prepare(content, settings, &mut Kept::default()).await.unwrap_err();
        assert!(
            matches!(&refused, Fault::Rejected { code: found, message } if found == code && message.contains(words)),
            "{refused:?}"
        );
    }
    stage.bench.fault("reddit", "read", json!({ "kind": "status", "code": 503 })).await;
    let away = prepare(with("hi", Vec::new()), to("test", ""), &mut Kept::default()).await;
    assert!(matches!(away, Err(Fault::Transient { .. })), "they are read later: {away:?}");
    for operation in ["publish", "media_upload"] {
        assert_eq!(stage.bench.requests(operation).await.len(), 0);
    }
    let work = stage.work(set(to("strict", "f-3"), with("[Meta] the title\nand its text", Vec::new())));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    let calls = stage.bench.all_requests().await.len();
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.all_requests().await.len(), calls, "they are read once");
    accepted(&stage.send(&work, &ready).await);
}

#[tokio::test]
async fn counts_refreshes_deletes_and_revokes() {
    let mut stage = stage().await;
    let id = stage.publish(titled("count me", "")).await;
    let other = stage.publish(titled("other", "")).await;
    let counts = json!({ "network": "reddit", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let missing = "t3_zzz".to_owned();
    let found = stage.network.metrics(&stage.session, &[missing, id.clone()]).await.unwrap();
    assert_eq!((found[0].found, found[1].likes, found[1].reposts, found[1].replies), (false, 6, 3, 1));
    for _ in 0..2 {
        stage.network.delete(&stage.session, &id).await.unwrap();
    }
    assert!(!stage.network.metrics(&stage.session, &[id]).await.unwrap()[0].found);
    stage
        .bench
        .control("script", &json!({ "network": "reddit", "fault": { "kind": "expire_tokens" } }))
        .await;
    let expired = stage.network.metrics(&stage.session, std::slice::from_ref(&other)).await.unwrap_err();
    assert_eq!(expired, Fault::TokenExpired);
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert!(tokens.refresh_token.is_none() && tokens.access_expires_at.is_some(), "the old one stays");
    stage.session.access_token = tokens.access_token;
    assert!(stage.network.metrics(&stage.session, std::slice::from_ref(&other)).await.unwrap()[0].found);
    stage.bench.fault("reddit", "refresh", json!({ "kind": "accept_then_reset" })).await;
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Lost(_))));
    stage.bench.fault("reddit", "refresh", json!({ "kind": "throttle", "retry_after_s": 9 })).await;
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::NotExecuted { .. })));
    for _ in 0..2 {
        stage.network.revoke(&stage.session).await.unwrap();
    }
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
}

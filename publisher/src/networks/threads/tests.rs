//! The adapter against a stand-in of Threads over a real socket; its ledger of what became visible is the judge.

use serde_json::json;

use super::{
    graph::stage::{self, addressed, agreed, code, film, finish, part_of, word},
    proof::{picture, with},
    *,
};
use crate::{
    domain::{content::Media, outcome::RATE_LIMITED},
    networks::connect::ConnectFault,
    testing::{Bench, Kept, attempt, work},
};

type Stage = stage::Stage<Threads>;

fn adapter(bench: &Bench) -> Threads {
    Threads::new(bench.http.clone(), bench.clock.clone())
}

async fn stage() -> Stage {
    Stage::of(adapter, "demo").await
}

impl Stage {
    fn work(&self, content: Content) -> Work {
        Work { content, ..work(&self.network, "", 0) }
    }

    async fn say(&self, words: &str) -> String {
        self.publish(&self.work(text(words))).await.0
    }
}

fn text(text: &str) -> Content {
    with(text.to_owned(), Vec::new())
}

#[tokio::test]
async fn connects_with_a_long_lived_token_and_an_exact_id() {
    let stage = stage().await;
    let session = &stage.session;
    assert_eq!((session.native_id.as_str(), session.handle.as_str()), ("1701234567890123456", "@demo"));
    let days = (session.access_expires_at.unwrap() - stage.bench.clock.now_ms()) / 86_400_000;
    assert!((50..60).contains(&days), "{days}");
    assert_eq!(session.refresh_token.as_ref(), Some(&session.access_token));
    assert_eq!(session.limits, limits());
}

#[tokio::test]
async fn says_what_went_wrong_while_connecting() {
    let bench = Bench::new().await;
    let threads = adapter(&bench);
    let agree = async |scopes: Option<&str>| {
        let back = agreed(&bench, &threads, "demo", scopes).await;
        assert!(back.fragment().is_some(), "`#_` at the end");
        code(&back)
    };
    let finish = async |code: &str| finish(&bench, &threads, code).await.map(|accounts| accounts.len());
    let unknown = finish("nothing").await.unwrap_err();
    assert!(matches!(unknown, ConnectFault::CodeRefused { .. }), "{unknown:?}");
    let missing = finish(&agree(Some("threads_basic,threads_delete")).await).await.unwrap_err();
    let is_named = matches!(&missing, ConnectFault::ScopesMissing { missing, .. } if missing == "threads_content_publish");
    assert!(is_named, "{missing:?}");
    let code = agree(None).await;
    assert_eq!(
        finish(&format!("{code}#_")).await,
        Ok(1),
        "the mark behind the address is no part of the code"
    );
    let used = finish(&code).await.unwrap_err();
    assert!(matches!(used, ConnectFault::CodeRefused { .. }), "{used:?}");
}

#[tokio::test]
async fn a_carousel_is_prepared_once_and_published_with_its_descriptions() {
    let stage = stage().await;
    let media = vec![Media { alt_text: "a dot".into(), ..picture() }, film(1_000)];
    let work = stage.work(with("two of them ".into(), media));
    let mut kept = Kept::default();
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["child.0", "child.1", "container"]);
    let calls = stage.bench.all_requests().await.len();
    assert_eq!(stage.prepared(&work, &mut kept).await.unwrap(), ready);
    assert_eq!(stage.bench.all_requests().await.len(), calls, "everything is stored");
    let (id, _) = addressed(stage.send(&work, &ready).await);
    let ledger = stage.bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["native_id"]), (1, &json!(id)));
    assert_eq!(ledger[0]["text"], "two of them");
    let seen = |i: usize| (ledger[0]["media"][i]["mime"].clone(), ledger[0]["media"][i]["alt"].clone());
    assert_eq!((seen(0), seen(1)), ((json!("image/jpeg"), json!("a dot")), (json!("video/mp4"), json!(""))));
    let spent = stage.send(&work, &ready).await.outcome;
    assert!(matches!(spent, Outcome::Transient { .. }), "{spent:?}");
    assert_eq!(stage.bench.ledger().await.len(), 1, "a container makes one post");
}

#[tokio::test]
async fn a_post_has_the_address_that_the_network_tells_of_it() {
    let stage = stage().await;
    let (root, url) = stage.publish(&stage.work(text("root"))).await;
    assert!(url.starts_with("http") && url.ends_with(&root), "{url}");
    let reply = part_of(&root, &root, stage.work(text("reply")));
    let (reply, url) = stage.publish(&reply).await;
    assert!(url.starts_with("http") && url.ends_with(&reply), "{url}");
}

#[tokio::test]
async fn reading_the_address_of_a_post_cannot_spoil_it() {
    let stage = stage().await;
    stage.address_is_cosmetic(|n| stage.work(text(&format!("number {n}"))), |_| String::new()).await;
}

#[tokio::test]
async fn a_thread_is_a_chain_of_replies_that_are_found_again() {
    let stage = stage().await;
    let root = stage.say("the same words").await;
    let part = |parent: &str| part_of(&root, parent, stage.work(text("the same words")));
    let second = part(&root);
    let mut kept = Kept::default();
    let ready = stage.prepared(&second, &mut kept).await.unwrap();
    stage.fault("publish", json!({ "kind": "accept_then_500" })).await;
    let lost = stage.send(&second, &ready).await.outcome;
    assert!(matches!(lost, Outcome::Ambiguous { .. }), "code 10 with a 500 proves nothing: {lost:?}");
    let found = stage.find(&second, &kept.handles, &attempt()).await;
    let Found::Live { native_id: middle, url, .. } = found else { panic!("{found:?}") };
    assert!(middle != root && url.contains(&middle), "{middle} {url}");
    stage.publish(&part(&middle)).await;
    let parents: Vec<_> = stage.bench.ledger().await.iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(middle)]);

    let orphan = part("17000000000000000");
    let late = stage.prepared(&orphan, &mut Kept::default()).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
}

#[tokio::test]
async fn the_container_tells_what_became_of_a_lost_answer() {
    let stage = stage().await;
    let work = stage.work(text("never sent"));
    let mut kept = Kept::default();
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    let look = async |handles: &HandleMap, facts: &AttemptFacts| stage.find(&work, handles, facts).await;
    assert_eq!(look(&kept.handles, &attempt()).await, Found::Absent, "it is FINISHED");
    assert!(matches!(look(&HandleMap::new(), &attempt()).await, Found::Unsure { .. }));
    stage.fault("read", json!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(look(&kept.handles, &attempt()).await, Found::Unread(_)));
    stage.fault("publish", json!({ "kind": "accept_then_reset" })).await;
    assert!(matches!(stage.send(&work, &ready).await.outcome, Outcome::Ambiguous { .. }));
    let facts = attempt();
    let found = look(&kept.handles, &facts).await;
    let Found::Live { native_id, .. } = found else { panic!("{found:?}") };
    let unrecorded = look(&HandleMap::new(), &facts).await;
    assert!(matches!(unrecorded, Found::Live { .. }), "without its record the posts tell: {unrecorded:?}");
    let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts };
    let unsure = look(&kept.handles, &taken).await;
    assert!(matches!(unsure, Found::Unsure { .. }), "published, and we do not know as what: {unsure:?}");
    let other = stage.say("never sent").await;
    let unsure = look(&kept.handles, &attempt()).await;
    assert!(matches!(unsure, Found::Unsure { .. }), "two posts have the text: {unsure:?}");
    let before = AttemptFacts { last_native_id: Some(other), ..attempt() };
    let found = look(&kept.handles, &before).await;
    assert!(matches!(found, Found::Live { .. }), "one of them is the post before it: {found:?}");
}

#[tokio::test]
async fn media_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let stage = stage().await;
    let refused = async |content: Content, tries: usize| {
        let (work, mut kept) = (stage.work(content), Kept::default());
        let mut faults = Vec::new();
        for _ in 0..tries {
            faults.push(stage.prepared(&work, &mut kept).await.unwrap_err());
        }
        faults.pop().unwrap()
    };
    stage.fault("media_upload", json!({ "kind": "processing", "ms": 50, "fails": true })).await;
    let bad = refused(with(String::new(), vec![film(1_000)]), 1).await;
    assert!(matches!(&bad, Fault::Rejected { code, .. } if code == "MEDIA_REFUSED"), "{bad:?}");
    for _ in 0..3 {
        stage.refuse("media_upload", 400, 9004, 2_207_052).await;
    }
    let away = refused(with(String::new(), vec![picture()]), 3).await;
    assert!(matches!(&away, Fault::Rejected { code, .. } if code == "MEDIA_NOT_FETCHED"), "{away:?}");
    let long = refused(text(&"x".repeat(501)), 1).await;
    assert!(matches!(&long, Fault::Rejected { code, .. } if code == "CONTENT_REFUSED"), "{long:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

/// What each row is about, with what follows from it.
const REFUSALS: &[(i64, i64, &str)] = &[
    (190, 463, "reconnect"),
    (190, 460, "reconnect"),
    (190, 0, "reconnect"),
    (10, 0, "reconnect"),
    (24, 4_279_009, "CONTAINER_NOT_SEEN"),
    (9004, 2_207_052, "MEDIA_NOT_FETCHED"),
    (9, 2_207_042, RATE_LIMITED),
    (1, 4_279_013, "ACCOUNT_RESTRICTED"),
    (4, 0, RATE_LIMITED),
    (17, 0, RATE_LIMITED),
    (32, 0, RATE_LIMITED),
    (613, 0, RATE_LIMITED),
    (100, 0, "CONTENT_REFUSED"),
];

#[tokio::test]
async fn each_listed_refusal_proves_what_it_says_and_nothing_else_does() {
    let unlisted =
        [(400, 4, 2_207_051), (400, 1, 0), (400, 2, 0), (500, 10, 0), (503, 190, 463), (400, 77, 0)];
    let stage = stage().await;
    let work = stage.work(text("refused"));
    stage.refusals(&work, &[errors::RULES], &[REFUSALS], &unlisted).await;
    let ready = stage.ready(&work).await;
    stage.fault("publish", json!({ "kind": "throttle", "retry_after_s": 60 })).await;
    let throttled = stage.send(&work, &ready).await;
    assert!(matches!(throttled.outcome, Outcome::Transient { retry_after: Some(_), .. }), "{throttled:?}");
    assert!(throttled.wire.hold.is_some());
    stage.fault("publish", json!({ "kind": "garbage" })).await;
    assert_eq!(word(&stage.send(&work, &ready).await.outcome), "ambiguous");
}

#[tokio::test]
async fn a_container_that_stays_away_is_made_again() {
    let stage = stage().await;
    let work = stage.work(text("hi"));
    let error = json!({ "error": { "message": "m", "code": 24, "error_subcode": 4_279_009 } });
    let response = http::Response::builder().status(400).body(error.to_string().into()).unwrap();
    let prepared = json!({ "id": "1", "made_at": 0 }).to_string().into();
    let at = |now_ms| publish::answer(&response, &work, &prepared, now_ms).outcome;
    assert!(matches!(at(300_000), Outcome::Transient { .. }));
    assert!(matches!(at(300_001), Outcome::Stale { steps, .. } if steps == ["container"]));

    // Also while it is prepared.
    let mut kept = Kept::default();
    kept.handles.insert("container".into(), json!({ "id": "17", "made_at": 0 }));
    stage.prepared(&work, &mut kept).await.unwrap();
    assert_ne!(kept.handles["container"]["id"], "17");
}

#[tokio::test]
async fn a_token_is_renewed_after_a_day_and_an_ended_one_is_not() {
    let mut stage = stage().await;
    let young = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(young, RefreshFault::NotExecuted { .. }), "{young:?}");
    stage.bench.control("clock", &json!({ "advance_ms": 2 * 86_400_000_i64 })).await;
    stage.fault("refresh", json!({ "kind": "accept_then_reset" })).await;
    let lost = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::NotExecuted { .. }), "the old token goes on: {lost:?}");
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert_ne!(tokens.access_token, stage.session.access_token);
    assert_eq!(tokens.refresh_token.as_ref(), Some(&tokens.access_token));
    stage.say("with the old token").await;
    stage.session.access_token = tokens.access_token;
    stage.say("with the new one").await;
    let work = stage.work(text("too late"));
    let ready = stage.ready(&work).await;
    stage.script("any", json!({ "fault": { "kind": "expire_tokens" } })).await;
    let ended = stage.send(&work, &ready).await.outcome;
    assert!(matches!(ended, Outcome::Reconnect { .. }), "{ended:?}");
    let over = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(over, RefreshFault::Revoked(_)), "{over:?}");
    stage.network.revoke(&stage.session).await.unwrap();
}

#[tokio::test]
async fn counts_what_is_there_and_deletes_it_once() {
    let stage = stage().await;
    let id = stage.say("count me").await;
    let counts = json!({ "network": "threads", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let both = [id.clone(), "1".to_owned()];
    let metrics = stage.network.metrics(&stage.session, &both).await.unwrap();
    let first = &metrics[0];
    assert_eq!((first.likes, first.reposts, first.replies, first.views, first.found), (5, 3, 1, 90, true));
    assert!(!metrics[1].found);
    stage.network.delete(&stage.session, &id).await.unwrap();
    stage.network.delete(&stage.session, &id).await.unwrap();
    assert!(!stage.network.metrics(&stage.session, &[id]).await.unwrap()[0].found);
}

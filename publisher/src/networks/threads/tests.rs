//! The adapter against a stand-in of Threads over a real socket; its ledger of what became visible is the judge.

use serde_json::json;

use super::{
    proof::{film, picture, with},
    *,
};
use crate::{
    domain::{content::Media, delivery::Reply, outcome::Outcome},
    networks::{
        connect::{Begin, Connect, ConnectFault, Finish},
        proof::{Stage, Way, accepted},
    },
    testing::{Bench, Kept, TIME, app, attempt},
};

async fn stage() -> Stage {
    Stage::new("threads", Way::OAuth(|_| true)).await
}

fn text(text: &str) -> Content {
    with(text.to_owned(), Vec::new())
}

async fn send(stage: &Stage, work: &Work, ready: &Ready) -> Outcome {
    stage.network.send(Armed::for_tests(false, TIME), &stage.session, work, ready).await.outcome
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
    let threads = Threads::new(bench.http.clone(), bench.clock.clone());
    let (server, app) = (bench.server("threads"), app("threads"));
    let redirect_uri = "https://mesh.example/oauth/callback";
    let ask = Begin {
        server: &server,
        redirect_uri,
        state: "s",
        challenge: "c",
        registration: None,
        app: Some(&app),
    };
    let began = threads.begin(ask).await.unwrap();
    let declined = bench.press(&began.authorization_url, "deny").await;
    assert_eq!(declined["error"], "access_denied");
    let finish = async |code: &str| {
        let ask =
            Finish { server: &server, redirect_uri, registration: "", code, verifier: "v", app: Some(&app) };
        threads.finish(ask).await.map(|accounts| accounts.len())
    };
    let unknown = finish("nothing").await.unwrap_err();
    assert!(matches!(unknown, ConnectFault::CodeRefused { .. }), "{unknown:?}");
    let fewer = began.authorization_url.replace("threads_content_publish%2C", "");
    let code = bench.press(&fewer, "authorize").await["code"].clone();
    let missing = finish(&code).await.unwrap_err();
    let is_named = matches!(&missing, ConnectFault::ScopesMissing { missing, .. } if missing == "threads_content_publish");
    assert!(is_named, "{missing:?}");
    let code = bench.press(&began.authorization_url, "authorize").await["code"].clone();
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
    let media = vec![Media { alt_text: "a dot".into(), ..picture() }, film()];
    let work = stage.work(with("two of them ".into(), media));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(
        kept.handles.keys().collect::<Vec<_>>(),
        ["container", "item.0", "item.1", "share.0", "share.1"]
    );
    let calls = stage.bench.all_requests().await.len();
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.all_requests().await.len(), calls, "everything is stored");
    let id = match send(&stage, &work, &ready).await {
        Outcome::Accepted { native_id, .. } => native_id,
        other => panic!("{other:?}"),
    };
    let ledger = stage.bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["native_id"]), (1, &json!(id)));
    assert_eq!(ledger[0]["text"], "two of them");
    let seen = |i: usize| (ledger[0]["media"][i]["mime"].clone(), ledger[0]["media"][i]["alt"].clone());
    assert_eq!((seen(0), seen(1)), ((json!("image/jpeg"), json!("a dot")), (json!("video/mp4"), json!(""))));
    let spent = send(&stage, &work, &ready).await;
    assert!(matches!(spent, Outcome::Transient { .. }), "{spent:?}");
    assert_eq!(stage.bench.ledger().await.len(), 1, "a container makes one post");
}

#[tokio::test]
async fn a_thread_is_a_chain_of_replies_that_are_found_again() {
    let stage = stage().await;
    let root = stage.publish(text("the same words")).await;
    let part = |parent: &str| {
        let reply = Reply { parent_native_id: parent.to_owned(), root_native_id: root.clone() };
        Work { reply: Some(reply), ..stage.work(text("the same words")) }
    };
    let second = part(&root);
    let mut kept = Kept::default();
    let ready = stage.ready(&second, &mut kept).await;
    stage.bench.fault("threads", "publish", json!({ "kind": "accept_then_500" })).await;
    let lost = send(&stage, &second, &ready).await;
    assert!(matches!(lost, Outcome::Ambiguous { .. }), "code 10 with a 500 proves nothing: {lost:?}");
    let found = stage.network.reconcile(&stage.session, &second, &kept.handles, &attempt()).await;
    let Found::Live { native_id: middle, url, .. } = found else { panic!("{found:?}") };
    assert!(middle != root && url.contains(&middle), "{middle} {url}");
    let third = part(&middle);
    let ready = stage.ready(&third, &mut Kept::default()).await;
    accepted(&stage.send(&third, &ready).await);
    let parents: Vec<_> = stage.bench.ledger().await.iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(middle)]);

    let orphan = part("17000000000000000");
    let mut kept = Kept::default();
    let media = stage.library.source();
    let late = stage.network.prepare(&stage.session, &orphan, &media, &mut kept).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
}

#[tokio::test]
async fn the_container_tells_what_became_of_a_lost_answer() {
    let stage = stage().await;
    let work = stage.work(text("never sent"));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    let look = async |handles: &HandleMap, facts: &AttemptFacts| {
        stage.network.reconcile(&stage.session, &work, handles, facts).await
    };
    assert_eq!(look(&kept.handles, &attempt()).await, Found::Absent, "it is FINISHED");
    assert!(matches!(look(&HandleMap::new(), &attempt()).await, Found::Unsure { .. }));
    stage.bench.fault("threads", "read", json!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(look(&kept.handles, &attempt()).await, Found::Unsure { .. }));
    stage.bench.fault("threads", "publish", json!({ "kind": "accept_then_reset" })).await;
    assert!(matches!(send(&stage, &work, &ready).await, Outcome::Ambiguous { .. }));
    let facts = attempt();
    let found = look(&kept.handles, &facts).await;
    let Found::Live { native_id, .. } = found else { panic!("{found:?}") };
    let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts };
    let unsure = look(&kept.handles, &taken).await;
    assert!(matches!(unsure, Found::Unsure { .. }), "published, and we do not know as what: {unsure:?}");
    stage.publish(text("never sent")).await;
    let unsure = look(&kept.handles, &attempt()).await;
    assert!(matches!(unsure, Found::Unsure { .. }), "two posts have the text: {unsure:?}");
}

#[tokio::test]
async fn media_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let stage = stage().await;
    let media = stage.library.source();
    let refused = async |content: Content, tries: usize| {
        let (work, mut kept) = (stage.work(content), Kept::default());
        let mut faults = Vec::new();
        for _ in 0..tries {
            faults.push(stage.network.prepare(&stage.session, &work, &media, &mut kept).await.unwrap_err());
        }
        faults.pop().unwrap()
    };
    stage
        .bench
        .fault("threads", "media_upload", json!({ "kind": "processing", "ms": 50, "fails": true }))
        .await;
    let bad = refused(with(String::new(), vec![film()]), 1).await;
    assert!(matches!(&bad, Fault::Rejected { code, .. } if code == "MEDIA_REFUSED"), "{bad:?}");
    let unfetched = json!({ "kind": "status", "code": 400, "body": { "error": {
        "message": "Media download has failed.", "type": "OAuthException", "code": 9004, "error_subcode": 2_207_052,
    } } });
    for _ in 0..3 {
        stage.bench.fault("threads", "media_upload", unfetched.clone()).await;
    }
    let away = refused(with(String::new(), vec![picture()]), 3).await;
    assert!(matches!(&away, Fault::Rejected { code, .. } if code == "MEDIA_NOT_FETCHED"), "{away:?}");
    let long = refused(text(&"x".repeat(501)), 1).await;
    assert!(matches!(&long, Fault::Rejected { code, .. } if code == "CONTENT_REFUSED"), "{long:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn each_listed_refusal_proves_what_it_says_and_nothing_else_does() {
    let stage = stage().await;
    let work = stage.work(text("refused"));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let answer = async |status: u16, code: i64, subcode: i64| {
        let error =
            json!({ "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode });
        let fault = json!({ "kind": "status", "code": status, "body": { "error": error } });
        stage.bench.fault("threads", "publish", fault).await;
        send(&stage, &work, &ready).await
    };
    for (status, code, subcode, expected) in [
        (400, 190, 463, "reconnect"),
        (401, 190, 460, "reconnect"),
        (400, 190, 0, "reconnect"),
        (403, 10, 0, "reconnect"),
        (400, 24, 4_279_009, "CONTAINER_NOT_SEEN"),
        (400, 9004, 2_207_052, "MEDIA_NOT_FETCHED"),
        (400, 9, 2_207_042, "RATE_LIMITED"),
        (400, 1, 4_279_013, "ACCOUNT_RESTRICTED"),
        (403, 4, 0, "RATE_LIMITED"),
        (400, 17, 0, "RATE_LIMITED"),
        (400, 32, 0, "RATE_LIMITED"),
        (429, 613, 0, "RATE_LIMITED"),
        (400, 100, 0, "CONTENT_REFUSED"),
        (400, 4, 2_207_051, "ambiguous"),
        (400, 1, 0, "ambiguous"),
        (400, 2, 0, "ambiguous"),
        (500, 10, 0, "ambiguous"),
        (503, 190, 463, "ambiguous"),
        (400, 77, 0, "ambiguous"),
    ] {
        let seen = match answer(status, code, subcode).await {
            Outcome::Reconnect { .. } => "reconnect".to_owned(),
            Outcome::Ambiguous { .. } => "ambiguous".to_owned(),
            Outcome::Transient { code, .. } | Outcome::Rejected { code, .. } => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, expected, "{status} {code}/{subcode}");
    }
    stage.bench.fault("threads", "publish", json!({ "kind": "throttle", "retry_after_s": 60 })).await;
    let throttled = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
    assert!(matches!(throttled.outcome, Outcome::Transient { retry_after: Some(_), .. }), "{throttled:?}");
    assert!(throttled.wire.hold.is_some());
    stage.bench.fault("threads", "publish", json!({ "kind": "garbage" })).await;
    let garbage = send(&stage, &work, &ready).await;
    assert!(matches!(garbage, Outcome::Ambiguous { .. }), "{garbage:?}");
}

#[test]
fn a_container_that_stays_away_is_made_again() {
    let error = json!({ "error": { "message": "m", "code": 24, "error_subcode": 4_279_009 } });
    let response = Response::builder().status(400).body(Bytes::from(error.to_string())).unwrap();
    let prepared = Bytes::from(json!({ "id": "1", "made_at": 0, "ready": true }).to_string());
    let at = |now_ms| publish::answer(&response, &prepared, now_ms).outcome;
    assert!(matches!(at(300_000), Outcome::Transient { .. }));
    assert!(matches!(at(300_001), Outcome::Stale { steps, .. } if steps == ["container"]));
}

#[tokio::test]
async fn a_token_is_renewed_after_a_day_and_an_ended_one_is_not() {
    let mut stage = stage().await;
    let young = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(young, RefreshFault::NotExecuted { .. }), "{young:?}");
    stage.bench.control("clock", &json!({ "advance_ms": 2 * 86_400_000_i64 })).await;
    stage.bench.fault("threads", "refresh", json!({ "kind": "accept_then_reset" })).await;
    let lost = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::NotExecuted { .. }), "the old token goes on: {lost:?}");
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert_ne!(tokens.access_token, stage.session.access_token);
    assert_eq!(tokens.refresh_token.as_ref(), Some(&tokens.access_token));
    stage.publish(text("with the old token")).await;
    stage.session.access_token = tokens.access_token;
    stage.publish(text("with the new one")).await;
    let work = stage.work(text("too late"));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    stage
        .bench
        .control("script", &json!({ "network": "threads", "fault": { "kind": "expire_tokens" } }))
        .await;
    let ended = send(&stage, &work, &ready).await;
    assert!(matches!(ended, Outcome::Reconnect { .. }), "{ended:?}");
    let over = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(over, RefreshFault::Revoked(_)), "{over:?}");
    stage.network.revoke(&stage.session).await.unwrap();
}

#[tokio::test]
async fn counts_what_is_there_and_deletes_it_once() {
    let stage = stage().await;
    let id = stage.publish(text("count me")).await;
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

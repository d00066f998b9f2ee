//! The adapter against a Mastodon server over a real socket: what is posted, what each lost answer proves, and what
//! looking back finds. The server's ledger of what became visible is the judge.

use serde_json::json;

use super::*;
use crate::{
    domain::{delivery::Reply, outcome::Outcome},
    networks::{
        connect::{Begin, Connect, ConnectFault},
        proof::shared::{self, REDIRECT, proves},
    },
    testing::{Bench, Kept, PNG, TIME, attempt, media_source, session, work},
};

async fn connected(bench: &Bench) -> (Mastodon, Session) {
    let mastodon = Mastodon::new(bench.http.clone(), bench.clock.clone());
    let all = shared::login(bench, &mastodon, None, str::to_owned).await.unwrap();
    let connected = all.into_iter().next().unwrap();
    assert!(connected.handle.starts_with("@demo@"), "{}", connected.handle);
    assert_eq!((connected.limits.text_length, connected.limits.images), (500, 4));
    (mastodon, session("mastodon", connected))
}

async fn ready(mastodon: &Mastodon, session: &Session, work: &Work) -> Ready {
    mastodon.prepare(session, work, &media_source(), &mut Kept::default()).await.unwrap()
}

fn native_id(answer: &Answer) -> &str {
    match &answer.outcome {
        Outcome::Accepted { native_id, .. } => native_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn posts_text_and_picture_once_however_often_it_is_sent() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let work = work(&mastodon, "hello https://example.com/ #tag 👋", 2);
    let mut kept = Kept::default();
    let ready = mastodon.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["media.0", "media.1"]);
    let first = mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    let id = native_id(&first).to_owned();
    assert_eq!(first.wire.http_status, Some(200));
    assert!(first.wire.request_id.is_some());
    let uploads = bench.requests("media_upload").await.len();
    let again = mastodon.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
    assert_eq!(
        (again.request_sha256, bench.requests("media_upload").await.len()),
        (ready.request_sha256, uploads)
    );
    let second = mastodon.send(Armed::for_tests(true, TIME), &session, &work, &again).await;
    assert_eq!(native_id(&second), id);
    let ledger = bench.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0]["text"], "hello https://example.com/ #tag 👋");
    assert_eq!(
        (&ledger[0]["media"][0]["alt"], &ledger[0]["media"][0]["size"]),
        (&json!("a dot"), &json!(PNG.len()))
    );
}

#[tokio::test]
async fn an_answer_lost_after_the_post_is_found_and_not_repeated() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    for (n, fault) in ["accept_then_reset", "accept_then_500", "garbage"].into_iter().enumerate() {
        let work = work(&mastodon, &format!("number {n} <&> @ana@other.example\n\nend"), 1);
        let ready = ready(&mastodon, &session, &work).await;
        bench.fault("mastodon", "publish", json!({ "kind": fault })).await;
        let facts = attempt();
        let lost = mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{fault}: {lost:?}");
        let found = mastodon.reconcile(&session, &work, &HandleMap::new(), &facts).await;
        let Found::Live { native_id: found, .. } = found else { panic!("{fault}: {found:?}") };
        assert_eq!(bench.ledger().await[n]["native_id"], json!(found));
        let resent = mastodon.send(Armed::for_tests(true, TIME), &session, &work, &ready).await;
        assert_eq!((native_id(&resent), bench.ledger().await.len()), (found.as_str(), n + 1));
        let taken = AttemptFacts { taken_native_ids: vec![found], ..facts };
        assert_eq!(mastodon.reconcile(&session, &work, &HandleMap::new(), &taken).await, Found::Absent);
    }
}

#[tokio::test]
async fn a_request_lost_before_the_post_is_absent() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let earlier = work(&mastodon, "earlier", 0);
    let ready_earlier = ready(&mastodon, &session, &earlier).await;
    let last = mastodon.send(Armed::for_tests(false, TIME), &session, &earlier, &ready_earlier).await;
    let work = work(&mastodon, "dropped", 0);
    let ready = ready(&mastodon, &session, &work).await;
    bench.fault("mastodon", "publish", json!({ "kind": "drop_before" })).await;
    let lost = mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    let facts = AttemptFacts { last_native_id: Some(native_id(&last).to_owned()), ..attempt() };
    assert_eq!(mastodon.reconcile(&session, &work, &HandleMap::new(), &facts).await, Found::Absent);
    bench.fault("mastodon", "read", json!({ "kind": "status", "code": 503 })).await;
    let unread = mastodon.reconcile(&session, &work, &HandleMap::new(), &facts).await;
    assert!(matches!(unread, Found::Unread(_)), "{unread:?}");
}

#[tokio::test]
async fn two_posts_that_match_are_not_guessed_between() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    for _ in 0..2 {
        let work = work(&mastodon, "the same words", 0);
        let ready = ready(&mastodon, &session, &work).await;
        mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    }
    let third = work(&mastodon, "the same words", 0);
    let found = mastodon.reconcile(&session, &third, &HandleMap::new(), &attempt()).await;
    assert!(matches!(found, Found::Unsure { .. }), "{found:?}");
}

fn part(mastodon: &Mastodon, text: &str, root: &str, parent: &str) -> Work {
    let reply = Reply { parent_native_id: parent.to_owned(), root_native_id: root.to_owned() };
    Work { reply: Some(reply), ..work(mastodon, text, 0) }
}

#[tokio::test]
async fn a_thread_is_a_chain_of_replies_that_are_found_again() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let first = work(&mastodon, "the same words", 0);
    let ready_first = ready(&mastodon, &session, &first).await;
    let sent = mastodon.send(Armed::for_tests(false, TIME), &session, &first, &ready_first).await;
    let root = native_id(&sent).to_owned();
    let second = part(&mastodon, "the same words", &root, &root);
    let mut kept = Kept::default();
    let request = mastodon.prepare(&session, &second, &media_source(), &mut kept).await.unwrap();
    assert_eq!(kept.handles["reply"], json!({ "parent": root }));
    let reads = bench.requests("read").await.len();
    let again = mastodon.prepare(&session, &second, &media_source(), &mut kept).await.unwrap();
    assert_eq!((&again, bench.requests("read").await.len()), (&request, reads), "no call once it is known");
    bench.fault("mastodon", "publish", json!({ "kind": "accept_then_reset" })).await;
    let lost = mastodon.send(Armed::for_tests(false, TIME), &session, &second, &request).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    let find =
        async |work: &Work| match mastodon.reconcile(&session, work, &HandleMap::new(), &attempt()).await {
            Found::Live { native_id, .. } => native_id,
            other => panic!("{other:?}"),
        };
    let middle = find(&second).await;
    assert_eq!(find(&first).await, root, "the reply with the same words is not taken for it");
    let third = part(&mastodon, "the same words", &root, &middle);
    assert_eq!(mastodon.reconcile(&session, &third, &HandleMap::new(), &attempt()).await, Found::Absent);
    let ready_third = ready(&mastodon, &session, &third).await;
    native_id(&mastodon.send(Armed::for_tests(false, TIME), &session, &third, &ready_third).await);
    let parents: Vec<_> = bench.ledger().await.into_iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(middle)]);
}

#[tokio::test]
async fn a_parent_that_is_late_is_waited_for_and_one_that_is_gone_is_not() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let first = work(&mastodon, "first", 0);
    let request = ready(&mastodon, &session, &first).await;
    let root =
        native_id(&mastodon.send(Armed::for_tests(false, TIME), &session, &first, &request).await).to_owned();
    let second = part(&mastodon, "second", &root, &root);
    bench.fault("mastodon", "read", json!({ "kind": "stale_read", "ms": 30_000 })).await;
    let mut kept = Kept::default();
    let late = mastodon.prepare(&session, &second, &media_source(), &mut kept).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
    let request = mastodon.prepare(&session, &second, &media_source(), &mut kept).await.unwrap();

    mastodon.delete(&session, &root).await.unwrap();
    let refused = mastodon.send(Armed::for_tests(false, TIME), &session, &second, &request).await.outcome;
    assert!(matches!(&refused, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{refused:?}");
    let mut kept = Kept::default();
    mastodon.prepare(&session, &second, &media_source(), &mut kept).await.unwrap_err();
    let since = kept.handles["reply.missing_since"].as_i64().unwrap();
    kept.handles.insert("reply.missing_since".into(), json!(since - 60_000));
    let gone = mastodon.prepare(&session, &second, &media_source(), &mut kept).await.unwrap_err();
    assert!(matches!(&gone, Fault::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");
    assert_eq!(bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn waits_for_uploads_that_are_being_processed() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    bench.fault("mastodon", "media_upload", json!({ "kind": "processing", "ms": 300 })).await;
    let slow = work(&mastodon, "slow", 1);
    let mut kept = Kept::default();
    let ready = mastodon.prepare(&session, &slow, &media_source(), &mut kept).await.unwrap();
    assert_eq!((kept.writes, &kept.handles["media.0"]["ready"]), (2, &json!(true)));
    native_id(&mastodon.send(Armed::for_tests(false, TIME), &session, &slow, &ready).await);
    bench.fault("mastodon", "media_upload", json!({ "kind": "processing", "ms": 1, "fails": true })).await;
    let bad = work(&mastodon, "bad", 1);
    let refused = mastodon.prepare(&session, &bad, &media_source(), &mut Kept::default()).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { code, .. } if code == "MEDIA_REFUSED"), "{refused:?}");
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let work = work(&mastodon, &"x".repeat(501), 0);
    let ready = ready(&mastodon, &session, &work).await;
    let send = || mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready);
    let long = send().await.outcome;
    assert!(matches!(&long, Outcome::Rejected { code, .. } if code == "TEXT_TOO_LONG"), "{long:?}");
    bench.fault("mastodon", "publish", json!({ "kind": "throttle", "retry_after_s": 7 })).await;
    let throttled = send().await.outcome;
    assert!(matches!(throttled, Outcome::Transient { retry_after: Some(_), .. }), "{throttled:?}");
    let proxy = json!({ "kind": "status", "code": 403, "body": "<html>challenge</html>" });
    bench.fault("mastodon", "publish", proxy).await;
    assert!(matches!(send().await.outcome, Outcome::Ambiguous { .. }));
    bench.control("script", &json!({ "network": "mastodon", "fault": { "kind": "revoke_tokens" } })).await;
    let revoked = send().await.outcome;
    assert!(matches!(revoked, Outcome::Reconnect { .. }), "{revoked:?}");
    let late = mastodon
        .send(Armed::for_tests(false, std::time::Duration::ZERO), &session, &work, &ready)
        .await
        .outcome;
    assert!(matches!(late, Outcome::NotSent { .. }), "{late:?}");
    assert_eq!(bench.ledger().await.len(), 0);
    bench.stop().await;
    let gone = send().await.outcome;
    assert!(matches!(gone, Outcome::NotSent { .. }), "{gone:?}");
}

#[tokio::test]
async fn reads_counts_deletes_and_revokes() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let work = work(&mastodon, "count me", 0);
    let ready = ready(&mastodon, &session, &work).await;
    let id =
        native_id(&mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await).to_owned();
    let counts = json!({ "network": "mastodon", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    bench.control("engage", &counts).await;
    let metrics = mastodon.metrics(&session, &[id.clone(), "1".into()]).await.unwrap();
    assert_eq!((metrics[0].likes, metrics[0].reposts, metrics[0].replies, metrics[0].found), (5, 3, 1, true));
    assert!(!metrics[1].found);
    mastodon.delete(&session, &id).await.unwrap();
    mastodon.delete(&session, &id).await.unwrap();
    assert!(!mastodon.metrics(&session, std::slice::from_ref(&id)).await.unwrap()[0].found);
    mastodon.revoke(&session).await.unwrap();
    mastodon.revoke(&session).await.unwrap();
    let gone = mastodon.metrics(&session, &[id]).await.unwrap_err();
    assert!(matches!(gone, Fault::Reconnect { .. }), "{gone:?}");
    assert!(matches!(mastodon.refresh(&session).await, Err(RefreshFault::Revoked(_))));
}

#[tokio::test]
async fn says_what_is_wrong_with_a_server() {
    let bench = Bench::new().await;
    let mastodon = Mastodon::new(bench.http.clone(), bench.clock.clone());
    let begin = async |server: String| {
        let ask = Begin {
            server: &server,
            redirect_uri: REDIRECT,
            state: "s",
            challenge: "c",
            registration: None,
            app: None,
        };
        mastodon.begin(ask).await.unwrap_err()
    };
    let wrong = begin(bench.server("bluesky")).await;
    assert!(matches!(wrong, ConnectFault::WrongKind { .. }), "{wrong:?}");
    let refused = begin("http://127.0.0.1:1".into()).await;
    assert!(matches!(refused, ConnectFault::NotAllowed { .. }), "{refused:?}");
    assert!(refused.to_string().contains("only https"), "{refused}");
    let down = bench.server("mastodon");
    bench.fault("mastodon", "read", json!({ "kind": "status", "code": 502 })).await;
    let away = begin(down).await;
    assert!(matches!(away, ConnectFault::Unreachable { .. }), "{away:?}");
}

#[tokio::test]
async fn each_listed_refusal_proves_what_the_table_says() {
    let bench = Bench::new().await;
    let (mastodon, session) = connected(&bench).await;
    let work = work(&mastodon, "refused", 0);
    let ready = ready(&mastodon, &session, &work).await;
    for rule in errors::RULES {
        let (status, text, proof) = rule.parts();
        let body = json!({ "error": text });
        bench.fault("mastodon", "publish", json!({ "kind": "status", "code": status, "body": body })).await;
        let outcome = mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await.outcome;
        assert!(proves(proof, &outcome), "{status} {text}: {outcome:?}");
    }
    assert_eq!(bench.ledger().await.len(), 0);
}

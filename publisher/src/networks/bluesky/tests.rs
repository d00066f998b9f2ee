//! The adapter against a personal data server over a real socket; its ledger of what became visible is the judge.

use serde_json::json;

use super::*;
use crate::{
    domain::{delivery::Reply, outcome::Outcome},
    networks::{
        connect::{Connect, ConnectFault},
        proof::shared::proves,
    },
    testing::{Bench, Kept, PNG, TIME, attempt, media_source, session, work},
};

const HANDLE: &str = "demo.test";
const PASSWORD: &str = "demo-demo-demo-demo";

async fn connected(bench: &Bench) -> (Bluesky, Session) {
    let bluesky = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let connected =
        bluesky.login(&bench.server("bluesky"), "\u{202a}@Demo.test\u{202c} ", PASSWORD).await.unwrap();
    assert_eq!(connected.handle, "@demo.test");
    assert_eq!(connected.server, bench.server("bluesky"));
    assert!(connected.native_id.starts_with("did:") && connected.access_expires_at.is_some());
    (bluesky, session("bluesky", connected))
}

async fn ready(bluesky: &Bluesky, session: &Session, work: &Work, kept: &mut Kept) -> Ready {
    bluesky.prepare(session, work, &media_source(), kept).await.unwrap()
}

fn native_id(answer: &Answer) -> &str {
    match &answer.outcome {
        Outcome::Accepted { native_id, .. } => native_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn posts_once_however_often_it_is_sent() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let work = work(&bluesky, "hi @demo.test and @nobody.test, see https://example.com/ü #tag\n", 1);
    let mut kept = Kept::default();
    let ready = ready(&bluesky, &session, &work, &mut kept).await;
    assert_eq!(kept.handles["mentions"], json!({ "demo.test": session.native_id, "nobody.test": null }));
    let first = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    let id = native_id(&first).to_owned();
    let uploads = bench.requests("media_upload").await.len();
    let again = bluesky.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
    assert_eq!(
        (again.request_sha256, bench.requests("media_upload").await.len()),
        (ready.request_sha256, uploads)
    );
    let second = bluesky.send(Armed::for_tests(true, TIME), &session, &work, &again).await;
    assert_eq!(native_id(&second), id);
    let ledger = bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["native_id"]), (1, &json!(id)));
    assert_eq!(ledger[0]["text"], "hi @demo.test and @nobody.test, see https://example.com/ü #tag");
    assert_eq!(
        (&ledger[0]["media"][0]["alt"], &ledger[0]["media"][0]["size"]),
        (&json!("a dot"), &json!(PNG.len()))
    );
    let facets = &bench.requests("publish").await[0]["body"]["record"]["facets"];
    assert_eq!(facets.as_array().unwrap().len(), 3, "{facets}");
}

#[tokio::test]
async fn an_answer_lost_after_the_post_is_found_and_not_repeated() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    for (n, fault) in ["accept_then_reset", "accept_then_500", "garbage"].into_iter().enumerate() {
        let work = work(&bluesky, &format!("number {n}"), 1);
        let mut kept = Kept::default();
        let ready = ready(&bluesky, &session, &work, &mut kept).await;
        bench.fault("bluesky", "publish", json!({ "kind": fault })).await;
        let lost = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{fault}: {lost:?}");
        let found = bluesky.reconcile(&session, &work, &kept.handles, &attempt()).await;
        let Found::Live { native_id: found, .. } = found else { panic!("{fault}: {found:?}") };
        assert_eq!(bench.ledger().await[n]["native_id"], json!(found));
        let resent = bluesky.send(Armed::for_tests(true, TIME), &session, &work, &ready).await;
        assert_eq!((native_id(&resent), bench.ledger().await.len()), (found.as_str(), n + 1));
    }
}

#[tokio::test]
async fn a_request_lost_before_the_post_is_absent() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let work = work(&bluesky, "dropped", 0);
    let mut kept = Kept::default();
    let ready = ready(&bluesky, &session, &work, &mut kept).await;
    bench.fault("bluesky", "publish", json!({ "kind": "drop_before" })).await;
    let lost = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    assert_eq!(bluesky.reconcile(&session, &work, &kept.handles, &attempt()).await, Found::Absent);
    native_id(&bluesky.send(Armed::for_tests(true, TIME), &session, &work, &ready).await);
    assert_eq!(bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn another_record_under_the_key_is_neither_replaced_nor_taken_for_ours() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let ours = work(&bluesky, "first", 0);
    let ready_ours = ready(&bluesky, &session, &ours, &mut Kept::default()).await;
    bluesky.send(Armed::for_tests(false, TIME), &session, &ours, &ready_ours).await;
    let mut other = ours.clone();
    other.content.text = "second".into();
    let ready_other = ready(&bluesky, &session, &other, &mut Kept::default()).await;
    let swapped = bluesky.send(Armed::for_tests(false, TIME), &session, &other, &ready_other).await;
    assert!(matches!(swapped.outcome, Outcome::Ambiguous { .. }), "{swapped:?}");
    assert_eq!(swapped.wire.platform_code.as_deref(), Some("InvalidSwap"));
    let found = bluesky.reconcile(&session, &other, &HandleMap::new(), &attempt()).await;
    assert!(matches!(found, Found::Unsure { .. }), "{found:?}");
    assert_eq!(bench.ledger().await.len(), 1);
}

fn part(bluesky: &Bluesky, text: &str, root: &str, parent: &str) -> Work {
    let reply = Reply { parent_native_id: parent.to_owned(), root_native_id: root.to_owned() };
    Work { reply: Some(reply), ..work(bluesky, text, 0) }
}

#[tokio::test]
async fn a_thread_names_the_versions_it_replies_to() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let send = async |work: &Work, kept: &mut Kept| {
        let request = ready(&bluesky, &session, work, kept).await;
        native_id(&bluesky.send(Armed::for_tests(false, TIME), &session, work, &request).await).to_owned()
    };
    let root = send(&work(&bluesky, "1/4", 0), &mut Kept::default()).await;
    let second = part(&bluesky, "2/4", &root, &root);
    let mut kept = Kept::default();
    let request = ready(&bluesky, &session, &second, &mut kept).await;
    let reply = kept.handles["reply"].clone();
    assert_eq!((&reply["root"], &reply["root"]["uri"]), (&reply["parent"], &json!(root)));
    let reads = bench.requests("read").await.len();
    let again = ready(&bluesky, &session, &second, &mut kept).await;
    assert_eq!((&again, bench.requests("read").await.len()), (&request, reads), "no call once it is known");
    bench.fault("bluesky", "publish", json!({ "kind": "accept_then_reset" })).await;
    let lost = bluesky.send(Armed::for_tests(false, TIME), &session, &second, &request).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    let found = bluesky.reconcile(&session, &second, &kept.handles, &attempt()).await;
    let Found::Live { native_id: middle, .. } = found else { panic!("{found:?}") };
    let mut other = kept.handles.clone();
    other.insert(
        "reply".into(),
        json!({ "root": reply["root"], "parent": { "uri": root, "cid": "another" } }),
    );
    let strange = bluesky.reconcile(&session, &second, &other, &attempt()).await;
    assert!(matches!(strange, Found::Unsure { .. }), "it replies to another version: {strange:?}");

    let mut kept = Kept::default();
    let third = send(&part(&bluesky, "3/4", &root, &middle), &mut kept).await;
    let reply = kept.handles["reply"].clone();
    assert_eq!((&reply["root"]["uri"], &reply["parent"]["uri"]), (&json!(root), &json!(middle)));
    bluesky.delete(&session, &root).await.unwrap();
    let mut kept = Kept::default();
    send(&part(&bluesky, "4/4", &root, &third), &mut kept).await;
    assert_eq!(kept.handles["reply"]["root"], reply["root"], "the parent still names a root that is gone");
    let parents: Vec<_> = bench.ledger().await.into_iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(middle), json!(third)]);
    let shown = bluesky.metrics(&session, &[middle]).await.unwrap();
    assert_eq!(shown[0].replies, 1);
}

#[tokio::test]
async fn a_parent_that_is_late_is_waited_for_and_one_that_is_gone_is_not() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let first = work(&bluesky, "first", 0);
    let request = ready(&bluesky, &session, &first, &mut Kept::default()).await;
    let root =
        native_id(&bluesky.send(Armed::for_tests(false, TIME), &session, &first, &request).await).to_owned();
    let second = part(&bluesky, "second", &root, &root);
    bench.fault("bluesky", "read", json!({ "kind": "stale_read", "ms": 30_000 })).await;
    let mut kept = Kept::default();
    let late = bluesky.prepare(&session, &second, &media_source(), &mut kept).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
    ready(&bluesky, &session, &second, &mut kept).await;

    bluesky.delete(&session, &root).await.unwrap();
    let mut kept = Kept::default();
    bluesky.prepare(&session, &second, &media_source(), &mut kept).await.unwrap_err();
    let since = kept.handles["reply.missing_since"].as_i64().unwrap();
    kept.handles.insert("reply.missing_since".into(), json!(since - 60_000));
    let gone = bluesky.prepare(&session, &second, &media_source(), &mut kept).await.unwrap_err();
    assert!(matches!(&gone, Fault::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");
    let nonsense = part(&bluesky, "x", "103", "103");
    let refused =
        bluesky.prepare(&session, &nonsense, &media_source(), &mut Kept::default()).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { code, .. } if code == "UNKNOWN_POST"), "{refused:?}");
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_a_revoked_one_is_not() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let work = work(&bluesky, "after a refresh", 0);
    let ready = ready(&bluesky, &session, &work, &mut Kept::default()).await;
    bench.control("script", &json!({ "network": "bluesky", "fault": { "kind": "expire_tokens" } })).await;
    let expired = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    assert_eq!(expired.outcome, Outcome::TokenExpired);
    let tokens = bluesky.refresh(&session).await.unwrap();
    let renewed =
        Session { access_token: tokens.access_token, refresh_token: tokens.refresh_token, ..session };
    native_id(&bluesky.send(Armed::for_tests(false, TIME), &renewed, &work, &ready).await);
    bench.fault("bluesky", "refresh", json!({ "kind": "status", "code": 502 })).await;
    assert!(matches!(bluesky.refresh(&renewed).await, Err(RefreshFault::Lost(_))));
    bench.control("script", &json!({ "network": "bluesky", "fault": { "kind": "revoke_tokens" } })).await;
    let over = bluesky.refresh(&renewed).await;
    assert!(matches!(over, Err(RefreshFault::Revoked(_))), "{over:?}");
    bluesky.revoke(&renewed).await.unwrap();
}

#[tokio::test]
async fn reads_counts_deletes_and_ends_the_session() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let work = work(&bluesky, "count me", 0);
    let ready = ready(&bluesky, &session, &work, &mut Kept::default()).await;
    let id =
        native_id(&bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await).to_owned();
    let counts = json!({ "network": "bluesky", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    bench.control("engage", &counts).await;
    let missing = format!("at://{}/app.bsky.feed.post/3jzfcijpj2z2a", session.native_id);
    let metrics = bluesky.metrics(&session, &[missing, id.clone()]).await.unwrap();
    assert_eq!((metrics[1].likes, metrics[1].reposts, metrics[1].replies), (5, 3, 1));
    assert!(metrics[1].found && !metrics[0].found);
    bluesky.delete(&session, &id).await.unwrap();
    bluesky.delete(&session, &id).await.unwrap();
    bluesky.revoke(&session).await.unwrap();
    assert!(matches!(bluesky.refresh(&session).await, Err(RefreshFault::Revoked(_))));
}

#[tokio::test]
async fn a_did_document_that_points_inside_is_refused() {
    let bench = Bench::new().await;
    let bluesky = Bluesky::new(bench.http.clone(), bench.clock.clone());
    for endpoint in ["https://127.0.0.1", "http://10.0.0.1", "https://localhost:8443", "https://[::1]"] {
        let service =
            json!({ "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint });
        let body = json!({ "did": "did:plc:x", "handle": "x.test", "accessJwt": "a", "refreshJwt": "r",
            "didDoc": { "service": [service] } });
        bench.fault("bluesky", "session", json!({ "kind": "status", "code": 200, "body": body })).await;
        let refused = bluesky.login(&bench.server("bluesky"), HANDLE, PASSWORD).await.unwrap_err();
        assert!(matches!(refused, ConnectFault::NotAllowed { .. }), "{endpoint}: {refused:?}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_a_login() {
    let bench = Bench::new().await;
    let bluesky = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let server = bench.server("bluesky");
    let wrong = bluesky.login(&server, HANDLE, "nope").await.unwrap_err();
    assert!(matches!(wrong, ConnectFault::WrongPassword { .. }), "{wrong:?}");
    let second = json!({ "error": "AuthFactorTokenRequired", "message": "A sign in code has been sent" });
    bench.fault("bluesky", "session", json!({ "kind": "status", "code": 401, "body": second })).await;
    let second = bluesky.login(&server, HANDLE, PASSWORD).await.unwrap_err();
    assert!(second.to_string().contains("app password"), "{second}");
    bench.fault("bluesky", "session", json!({ "kind": "throttle", "retry_after_s": 7 })).await;
    let throttled = bluesky.login(&server, HANDLE, PASSWORD).await.unwrap_err();
    assert!(matches!(throttled, ConnectFault::RateLimited { retry_after: Some(_), .. }), "{throttled:?}");
    let other = bluesky.login(&bench.server("mastodon"), HANDLE, PASSWORD).await.unwrap_err();
    assert!(matches!(other, ConnectFault::WrongKind { .. } | ConnectFault::Refused { .. }), "{other:?}");
    let bluesky = Bluesky::new(bench.stop().await, std::sync::Arc::new(postmesh_kit::clock::SystemClock));
    let gone = bluesky.login(&server, HANDLE, PASSWORD).await.unwrap_err();
    assert!(matches!(gone, ConnectFault::Unreachable { .. }), "{gone:?}");
}

#[tokio::test]
async fn each_listed_refusal_proves_what_the_table_says() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench).await;
    let work = work(&bluesky, "refused", 0);
    let ready = ready(&bluesky, &session, &work, &mut Kept::default()).await;
    for rule in errors::RULES {
        let (status, text, proof) = rule.parts();
        let body = json!({ "error": text });
        bench.fault("bluesky", "publish", json!({ "kind": "status", "code": status, "body": body })).await;
        let outcome = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await.outcome;
        assert!(proves(proof, &outcome), "{status} {text}: {outcome:?}");
    }
    assert_eq!(bench.ledger().await.len(), 0);
}

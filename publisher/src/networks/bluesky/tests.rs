//! The adapter against a personal data server over a real socket; its ledger of what became visible is the judge.

use serde_json::json;

use super::*;
use crate::{
    domain::outcome::Outcome,
    networks::connect::{Connect, ConnectFault},
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
    assert!(matches!(bluesky.refresh(&renewed).await, Err(RefreshFault::Transient(_))));
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

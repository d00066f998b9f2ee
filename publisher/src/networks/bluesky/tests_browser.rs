//! Sessions from the browser against an authorization server over a real socket, which refuses proofs without its nonce,
//! proofs of another key, and ends a session whose refresh token comes twice.

use serde_json::json;

use super::*;
use crate::{
    domain::outcome::Outcome,
    networks::connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
    testing::{Bench, Kept, TIME, media_source, session, work},
};

const REDIRECT: &str = "http://127.0.0.1:8080/oauth/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn begin(bluesky: &Bluesky, server: &str) -> Result<Began, ConnectFault> {
    let ask = Begin {
        server,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: CHALLENGE,
        registration: None,
        app: None,
    };
    bluesky.begin(ask).await
}

async fn finish(
    bluesky: &Bluesky,
    server: &str,
    began: &Began,
    code: &str,
) -> Result<Connected, ConnectFault> {
    let ask = Finish {
        server,
        redirect_uri: REDIRECT,
        registration: began.registration.expose(),
        code,
        verifier: VERIFIER,
        app: None,
    };
    bluesky.finish(ask).await.map(|mut accounts| accounts.remove(0))
}

async fn connected(bench: &Bench, named: &str) -> (Bluesky, Session) {
    let bluesky = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let server = bluesky.begins_at(named, &bench.server("bluesky")).unwrap();
    let began = begin(&bluesky, &server).await.unwrap();
    assert_eq!(began.issuer, bench.server("bluesky"));
    let back = bench.press(&began.authorization_url, "authorize").await;
    assert_eq!((back["state"].as_str(), &back["iss"]), ("s", &began.issuer));
    let connected = finish(&bluesky, &server, &began, &back["code"]).await.unwrap();
    assert_eq!((connected.handle.as_str(), &connected.server), ("@demo.test", &bench.server("bluesky")));
    assert!(connected.refresh_token.is_some() && connected.access_expires_at.is_some());
    (bluesky, session("bluesky", connected))
}

async fn ready(bluesky: &Bluesky, session: &Session, work: &Work) -> Ready {
    bluesky.prepare(session, work, &media_source(), &mut Kept::default()).await.unwrap()
}

fn accepted(answer: &Answer) -> String {
    match &answer.outcome {
        Outcome::Accepted { native_id, .. } => native_id.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handle_a_did_or_a_server_leads_to_the_account() {
    let bench = Bench::new().await;
    for named in ["", "@Demo.test", &demo_did(&bench).await] {
        let (_, session) = connected(&bench, named).await;
        assert!(session.native_id.starts_with("did:plc:"));
    }
}

async fn demo_did(bench: &Bench) -> String {
    let accounts = bench.read("accounts").await;
    let demo = accounts.as_array().unwrap().iter().find(|account| account["handle"] == "demo.test");
    demo.unwrap()["did"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn everything_a_session_does_carries_a_proof() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench, "demo.test").await;
    let work = work(&bluesky, "with a proof, @demo.test", 1);
    let ready = ready(&bluesky, &session, &work).await;
    let id = accepted(&bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await);
    assert_eq!(accepted(&bluesky.send(Armed::for_tests(true, TIME), &session, &work, &ready).await), id);
    assert_eq!(bench.ledger().await.len(), 1);
    let calls = [bench.requests("publish").await, bench.requests("media_upload").await].concat();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call["headers"]["dpop"].is_string()), "{calls:?}");
    assert!(bluesky.metrics(&session, std::slice::from_ref(&id)).await.unwrap()[0].found);
    let found = bluesky.reconcile(&session, &work, &HandleMap::new(), &crate::testing::attempt()).await;
    assert!(matches!(found, Found::Unsure { .. }), "without its handles it is another record: {found:?}");
    bluesky.delete(&session, &id).await.unwrap();

    let stolen = Session { extra: Secret::default(), ..session.clone() };
    let refused = bluesky.send(Armed::for_tests(false, TIME), &stolen, &work, &ready).await.outcome;
    assert!(
        matches!(refused, Outcome::Reconnect { .. }),
        "a token without its key is of no use: {refused:?}"
    );
    bluesky.revoke(&session).await.unwrap();
    bluesky.revoke(&session).await.unwrap();
    let over = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await.outcome;
    assert_eq!(over, Outcome::TokenExpired);
    assert!(matches!(bluesky.refresh(&session).await, Err(RefreshFault::Revoked(_))));
}

#[tokio::test]
async fn a_send_that_is_asked_for_a_nonce_was_not_executed() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench, "").await;
    let work = work(&bluesky, "late nonce", 0);
    let ready = ready(&bluesky, &session, &work).await;
    let restarted = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let first = restarted.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    assert!(matches!(&first.outcome, Outcome::Transient { code, .. } if code == "NONCE"), "{first:?}");
    assert_eq!((bench.ledger().await.len(), bench.requests("publish").await.len()), (0, 1));
    accepted(&restarted.send(Armed::for_tests(false, TIME), &session, &work, &ready).await);
    let again = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let reads = bench.requests("read").await.len();
    again.prepare(&session, &work, &media_source(), &mut Kept::default()).await.unwrap();
    assert_eq!(bench.requests("read").await.len(), reads + 2, "a refused read for the nonce, and the read");
    accepted(&again.send(Armed::for_tests(true, TIME), &session, &work, &ready).await);
    assert_eq!(bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn refresh_tokens_work_once_and_a_second_use_ends_the_session() {
    let bench = Bench::new().await;
    let (bluesky, session) = connected(&bench, "").await;
    let work = work(&bluesky, "after a refresh", 0);
    let ready = ready(&bluesky, &session, &work).await;
    bench.control("script", &json!({ "network": "bluesky", "fault": { "kind": "expire_tokens" } })).await;
    let expired = bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
    assert_eq!(expired.outcome, Outcome::TokenExpired);
    let restarted = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let tokens = restarted.refresh(&session).await.expect("it asks once more with the nonce");
    let renewed =
        Session { access_token: tokens.access_token, refresh_token: tokens.refresh_token, ..session.clone() };
    accepted(&bluesky.send(Armed::for_tests(false, TIME), &renewed, &work, &ready).await);
    bench.fault("bluesky", "refresh", json!({ "kind": "status", "code": 502 })).await;
    assert!(matches!(bluesky.refresh(&renewed).await, Err(RefreshFault::Lost(_))));
    let replayed = bluesky.refresh(&session).await;
    assert!(matches!(replayed, Err(RefreshFault::Revoked(_))), "{replayed:?}");
    assert!(matches!(bluesky.refresh(&renewed).await, Err(RefreshFault::Revoked(_))), "it ended them all");
}

#[tokio::test]
async fn says_what_went_wrong_in_the_browser() {
    let bench = Bench::new().await;
    let bluesky = Bluesky::new(bench.http.clone(), bench.clock.clone());
    let server = bench.server("bluesky");
    let began = begin(&bluesky, &server).await.unwrap();
    assert_eq!(bench.press(&began.authorization_url, "deny").await["error"], "access_denied");

    let other = json!({ "network": "bluesky", "handle": "other-pds.test" });
    bench.control("accounts", &other).await;
    let named = bluesky.begins_at("other-pds.test", &server).unwrap();
    let began = begin(&bluesky, &named).await.unwrap();
    let back = bench.press(&began.authorization_url, "authorize").await;
    let wrong = finish(&bluesky, &named, &began, &back["code"]).await.unwrap_err();
    assert!(wrong.to_string().contains("another account"), "{wrong}");
    let used = finish(&bluesky, &named, &began, &back["code"]).await.unwrap_err();
    assert!(matches!(used, ConnectFault::CodeRefused { .. }), "{used:?}");

    let began = begin(&bluesky, &server).await.unwrap();
    let back = bench.press(&began.authorization_url, "authorize").await;
    let less = json!({ "access_token": "a", "refresh_token": "r", "token_type": "DPoP", "expires_in": 60,
        "scope": "atproto", "sub": demo_did(&bench).await });
    bench.fault("bluesky", "token", json!({ "kind": "status", "code": 200, "body": less })).await;
    let less = finish(&bluesky, &server, &began, &back["code"]).await.unwrap_err();
    assert!(less.to_string().contains("transition:generic"), "{less}");

    let evil = json!({ "resource": server, "authorization_servers": ["https://127.0.0.1"] });
    bench.fault("bluesky", "read", json!({ "kind": "status", "code": 200, "body": evil })).await;
    let inside = begin(&bluesky, &server).await.unwrap_err();
    assert!(matches!(inside, ConnectFault::NotAllowed { .. }), "{inside:?}");
    let kind = begin(&bluesky, &bench.server("mastodon")).await.unwrap_err();
    assert!(matches!(kind, ConnectFault::WrongKind { .. }), "{kind:?}");
    let ask = Begin {
        server: &server,
        redirect_uri: "http://mesh.example/oauth/callback",
        state: "s",
        challenge: CHALLENGE,
        registration: None,
        app: None,
    };
    let plain = bluesky.begin(ask).await.unwrap_err();
    assert!(plain.to_string().contains("public.url"), "{plain}");
}

//! The adapter against X's stand-in over a real socket. Its ledger of what became visible is the judge.

use serde_json::json;

use super::*;
use crate::{
    domain::{
        content::Media,
        delivery::Reply,
        outcome::{Outcome, RATE_LIMITED},
        settings::{Settings, XReplySettings, XSettings},
    },
    networks::proof::{
        Stage, Way, accepted,
        shared::{self, film, png},
    },
    testing::{Kept, TIME, attempt, clip, work},
};

const ANY: Way = Way::OAuth(|_| true);

async fn stage() -> Stage {
    Stage::new("x", ANY).await
}

fn text(text: &str) -> Content {
    Content { text: text.into(), ..Content::default() }
}

fn picture_item() -> Media {
    Media { alt_text: "a dot".into(), ..png() }
}

#[tokio::test]
async fn pictures_and_a_video_go_up_and_are_resumed() {
    let stage = stage().await;
    let pictures = Content { media: vec![picture_item(); 4], ..text("four & more https://example.com/a") };
    let planned = stage.work(pictures);
    let mut kept = Kept::default();
    let ready = stage.ready(&planned, &mut kept).await;
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["media.0", "media.1", "media.2", "media.3"]);
    let calls = stage.bench.all_requests().await.len();
    assert_eq!(stage.ready(&planned, &mut kept).await, ready);
    assert_eq!(stage.bench.all_requests().await.len(), calls, "everything is stored");
    accepted(&stage.send(&planned, &ready).await);

    let video = stage.work(Content { media: vec![film()], ..text("") });
    let mut kept = Kept::default();
    stage.bench.fault("x", "media_upload", json!({ "kind": "processing", "ms": 1500 })).await;
    let ready = stage.ready(&video, &mut kept).await;
    assert_eq!(kept.handles["media.0"]["ready"], json!(true));
    accepted(&stage.send(&video, &ready).await);
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[0]["media"][3]["alt"], &ledger[0]["media"][4]), (&json!("a dot"), &json!(null)));
    assert_eq!(ledger[1]["media"][0]["size"], json!(clip().len()));
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on_and_one_that_is_gone_is_made_again() {
    let stage = stage().await;
    let video = stage.work(Content { media: vec![film()], ..text("in two goes") });
    let mut kept = Kept::default();
    let rule =
        json!({ "network": "x", "operation": "media_upload", "skip": 2, "fault": { "kind": "drop_before" } });
    stage.bench.control("script", &rule).await;
    let cut = stage.network.prepare(&stage.session, &video, &stage.library.source(), &mut kept).await;
    assert!(matches!(cut, Err(Fault::Transient { .. })), "{cut:?}");
    let first = kept.handles["media.0"].clone();
    assert_eq!(first["segments"], json!(1), "its bytes are there, it was not finalized");
    stage.ready(&video, &mut kept).await;
    assert_eq!(kept.handles["media.0"]["id"], first["id"]);
    let begun = |calls: &[Value]| {
        calls.iter().filter(|call| call["path"].as_str().is_some_and(|p| p.ends_with("/initialize"))).count()
    };
    assert_eq!(begun(&stage.bench.all_requests().await), 1);

    let mut stale = Kept::default();
    let gone = json!({ "id": "5", "segments": 1, "until": i64::MAX });
    stale.handles.insert("media.0".into(), gone);
    stage.ready(&video, &mut stale).await;
    assert_ne!(stale.handles["media.0"]["id"], json!("5"));
    let mut old = Kept::default();
    let expired = json!({ "id": first["id"], "whole": true, "ready": true, "until": 1 });
    old.handles.insert("media.0".into(), expired);
    stage.ready(&video, &mut old).await;
    assert_ne!(old.handles["media.0"]["id"], first["id"], "what X clears away soon is not used");
}

#[tokio::test]
async fn a_refused_file_ends_the_delivery() {
    let stage = stage().await;
    let video = stage.work(Content { media: vec![film()], ..text("bad") });
    stage.bench.fault("x", "media_upload", json!({ "kind": "processing", "ms": 1, "fails": true })).await;
    let refused =
        stage.network.prepare(&stage.session, &video, &stage.library.source(), &mut Kept::default()).await;
    assert!(matches!(&refused, Err(Fault::Rejected { code, .. }) if code == "MEDIA_REFUSED"), "{refused:?}");
}

#[tokio::test]
async fn a_lost_answer_is_read_back_through_t_co() {
    let stage = stage().await;
    for (n, kind) in ["accept_then_reset", "accept_then_500", "garbage"].into_iter().enumerate() {
        let words = format!("number {n} <&> https://example.com/{n}?a=1&b=2 and example.org\n\nend ü");
        let planned = stage.work(Content { media: vec![picture_item()], ..text(&words) });
        let ready = stage.ready(&planned, &mut Kept::default()).await;
        stage.bench.fault("x", "publish", json!({ "kind": kind })).await;
        let facts = attempt();
        let lost = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &planned, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{kind}: {lost:?}");
        let found = stage.network.reconcile(&stage.session, &planned, &HandleMap::new(), &facts).await;
        let Found::Live { native_id, url, .. } = found else { panic!("{kind}: {found:?}") };
        assert_eq!(stage.bench.ledger().await[n]["native_id"], json!(native_id));
        assert!(url.ends_with(&format!("/demo/status/{native_id}")), "{url}");
        let again = stage.network.send(Armed::for_tests(true, TIME), &stage.session, &planned, &ready).await;
        assert!(matches!(again.outcome, Outcome::Ambiguous { .. }), "a duplicate is evidence: {again:?}");
        let fresh = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &planned, &ready).await;
        assert!(matches!(&fresh.outcome, Outcome::Rejected { code, .. } if code == "DUPLICATE"), "{fresh:?}");
        let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts };
        let none = stage.network.reconcile(&stage.session, &planned, &HandleMap::new(), &taken).await;
        assert_eq!(none, Found::Absent);
        assert_eq!(stage.bench.ledger().await.len(), n + 1);
    }
}

#[tokio::test]
async fn a_thread_is_a_chain_of_replies_that_are_found_again() {
    let stage = stage().await;
    let root = stage.publish(text("first")).await;
    let part = |words: &str, parent: &str| {
        let reply = Reply { parent_native_id: parent.to_owned(), root_native_id: root.clone() };
        Work { position: 1, reply: Some(reply), ..stage.work(text(words)) }
    };
    let second = part("second", &root);
    let ready = stage.ready(&second, &mut Kept::default()).await;
    stage.bench.fault("x", "publish", json!({ "kind": "accept_then_reset" })).await;
    let facts = attempt();
    stage.network.send(Armed::for_tests(false, TIME), &stage.session, &second, &ready).await;
    let found = stage.network.reconcile(&stage.session, &second, &HandleMap::new(), &facts).await;
    let Found::Live { native_id: middle, .. } = found else { panic!("{found:?}") };
    let elsewhere = part("second", &middle);
    let found = stage.network.reconcile(&stage.session, &elsewhere, &HandleMap::new(), &facts).await;
    assert_eq!(found, Found::Absent, "another parent makes another post");
    let third = part("third", &middle);
    let ready = stage.ready(&third, &mut Kept::default()).await;
    accepted(&stage.send(&third, &ready).await);
    let parents: Vec<_> =
        stage.bench.ledger().await.into_iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(middle)]);

    stage.network.delete(&stage.session, &middle).await.unwrap();
    let late = part("too late", &middle);
    let ready = stage.ready(&late, &mut Kept::default()).await;
    let gone = stage.send(&late, &ready).await.outcome;
    assert!(matches!(&gone, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");
}

#[tokio::test]
async fn a_read_that_lags_is_absent_and_two_that_match_are_not_guessed_between() {
    let stage = stage().await;
    let planned = stage.work(Content { media: vec![picture_item()], ..text("") });
    for _ in 0..2 {
        let ready = stage.ready(&planned, &mut Kept::default()).await;
        accepted(&stage.send(&planned, &ready).await);
    }
    stage.bench.fault("x", "read", json!({ "kind": "stale_read", "ms": 60_000 })).await;
    let (none, facts) = (HandleMap::new(), attempt());
    let look = || stage.network.reconcile(&stage.session, &planned, &none, &facts);
    assert_eq!(look().await, Found::Absent);
    let found = look().await;
    assert!(matches!(found, Found::Unsure { .. }), "{found:?}");
    stage.bench.fault("x", "read", json!({ "kind": "status", "code": 503 })).await;
    let found = look().await;
    assert!(matches!(found, Found::Unread(_)), "{found:?}");
}

#[tokio::test]
async fn each_listed_refusal_is_what_it_says_and_others_prove_nothing() {
    let stage = stage().await;
    let planned = stage.work(text("refused"));
    let ready = stage.ready(&planned, &mut Kept::default()).await;
    let send = async |resend: bool, code: u16, body: Value| {
        stage.bench.fault("x", "publish", json!({ "kind": "status", "code": code, "body": body })).await;
        stage.network.send(Armed::for_tests(resend, TIME), &stage.session, &planned, &ready).await.outcome
    };
    let detail = |detail: &str| json!({ "title": "T", "type": "about:blank", "detail": detail });
    let typed = |kind: &str| json!({ "title": "T", "detail": "D", "type": format!("https://api.x.com/2/problems/{kind}") });
    let parent = "You attempted to reply to a Tweet that is deleted or not visible to you.";
    let cashtag = "Posts are limited to a maximum of one cashtag.";
    let link = "The Tweet contains an invalid URL.";
    let long = "This user is not allowed to post a video longer than 2 minutes";
    for (code, body, reason) in [
        (401, detail("Unauthorized"), "token"),
        (402, typed("credits"), "CREDITS_DEPLETED"),
        (402, json!({ "title": "CreditsDepleted" }), "CREDITS_DEPLETED"),
        (403, typed("usage-capped"), "USAGE_CAPPED"),
        (429, typed("usage-capped"), "USAGE_CAPPED"),
        (403, typed("user-suspended"), "reconnect"),
        (403, typed("unsupported-authentication"), "reconnect"),
        (403, typed("oauth1-permissions"), "reconnect"),
        (403, typed("client-forbidden"), "APP_NOT_ALLOWED"),
        (403, detail(cashtag), "TOO_MANY_CASHTAGS"),
        (400, detail(cashtag), "TOO_MANY_CASHTAGS"),
        (403, detail(link), "LINK_REFUSED"),
        (400, detail(link), "LINK_REFUSED"),
        (403, detail(long), "VIDEO_TOO_LONG"),
        (400, detail(long), "VIDEO_TOO_LONG"),
        (403, detail(parent), "PARENT_GONE"),
        (400, detail(parent), "PARENT_GONE"),
        (403, detail("You are not permitted to perform this action."), "NOT_PERMITTED"),
        (403, detail("Forbidden"), "reconnect"),
        (400, typed("invalid-request"), "REQUEST_REFUSED"),
        (429, detail("Too Many Requests"), RATE_LIMITED),
        (429, json!({ "errors": [{ "code": 88, "message": "Rate limit exceeded" }] }), RATE_LIMITED),
        (403, detail("You are not allowed to create a Tweet with duplicate content."), "DUPLICATE"),
    ] {
        let seen = match send(false, code, body.clone()).await {
            Outcome::TokenExpired => "token".to_owned(),
            Outcome::Reconnect { .. } => "reconnect".to_owned(),
            Outcome::Rejected { code, .. } | Outcome::Transient { code, .. } => code,
            other => panic!("{code} {body}: {other:?}"),
        };
        assert_eq!(seen, reason, "{code} {body}");
    }
    for (code, kind) in [(402, "credits"), (403, "usage-capped"), (429, "usage-capped")] {
        let used_up = send(false, code, typed(kind)).await;
        let wait = Some(std::time::Duration::from_mins(15));
        assert!(
            matches!(&used_up, Outcome::Transient { retry_after, .. } if *retry_after == wait),
            "somebody has to act first: {used_up:?}"
        );
        stage.bench.fault("x", "read", json!({ "kind": "status", "code": code, "body": typed(kind) })).await;
        let unread = stage.network.metrics(&stage.session, &["1".into()]).await.unwrap_err();
        assert_eq!(Some(unread), used_up.refusal());
    }
    let media = json!({
        "type": "https://api.twitter.com/2/problems/invalid-request", "detail": "One or more",
        "errors": [{ "message": "Your media IDs are invalid." }],
    });
    assert!(matches!(send(false, 400, media.clone()).await, Outcome::Stale { .. }));
    for (resend, code, body) in [
        (true, 400, media),
        (true, 403, detail("You are not allowed to create a Tweet with duplicate content.")),
        (false, 402, detail("spending limit")),
        (false, 403, json!("<html>")),
        (false, 404, detail("Not Found")),
        (false, 500, detail("Unauthorized")),
        (false, 503, typed("credits")),
        (false, 408, detail("Too Many Requests")),
        (false, 302, json!(null)),
        (false, 200, json!({ "errors": [{ "title": "partial" }] })),
    ] {
        let seen = send(resend, code, body.clone()).await;
        assert!(matches!(seen, Outcome::Ambiguous { .. }), "{code} {body}: {seen:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn limits_hold_the_account_until_their_reset() {
    let stage = stage().await;
    let planned = stage.work(text("soon"));
    let ready = stage.ready(&planned, &mut Kept::default()).await;
    stage.bench.fault("x", "publish", json!({ "kind": "throttle", "retry_after_s": 90 })).await;
    let answer = stage.send(&planned, &ready).await;
    let about = |wait: Option<std::time::Duration>| wait.is_some_and(|w| (80..=90).contains(&w.as_secs()));
    assert!(about(answer.wire.hold), "{answer:?}");
    assert!(
        matches!(&answer.outcome, Outcome::Transient { code, retry_after, .. }
        if code == RATE_LIMITED && about(*retry_after)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_refresh_rotates_and_only_its_documented_refusal_ends_the_account() {
    let stage = stage().await;
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert!(tokens.refresh_token.is_some() && tokens.access_expires_at.is_some());
    let spent = stage.network.refresh(&stage.session).await;
    assert!(matches!(spent, Err(RefreshFault::Revoked(_))), "{spent:?}");
    let wrong = App { client_secret: Secret::new("other"), ..stage.session.app.clone().unwrap() };
    let session = Session {
        refresh_token: tokens.refresh_token.clone(),
        access_token: tokens.access_token.clone(),
        app: Some(wrong),
        ..stage.session.clone()
    };
    let wrong = stage.network.refresh(&session).await;
    assert!(matches!(wrong, Err(RefreshFault::NotExecuted { .. })), "the operator's mistake: {wrong:?}");
    let session = Session { app: stage.session.app.clone(), ..session };
    stage.bench.fault("x", "refresh", json!({ "kind": "accept_then_500" })).await;
    let lost = stage.network.refresh(&session).await;
    assert!(matches!(lost, Err(RefreshFault::Lost(_))), "{lost:?}");
}

#[tokio::test]
async fn counts_views_and_revokes() {
    let stage = stage().await;
    let id = stage.publish(text("count me")).await;
    let counts = json!({ "network": "x", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let metrics = stage.network.metrics(&stage.session, &[id.clone(), "1".into()]).await.unwrap();
    let read = &metrics[0];
    assert_eq!((read.likes, read.reposts, read.replies, read.views, read.found), (5, 3, 1, 125, true));
    assert!(!metrics[1].found);
    stage.network.delete(&stage.session, &id).await.unwrap();
    stage.network.delete(&stage.session, &id).await.unwrap();
    assert!(!stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await.unwrap()[0].found);
    stage.network.revoke(&stage.session).await.unwrap();
    stage.network.revoke(&stage.session).await.unwrap();
    let gone = stage.network.metrics(&stage.session, &[id]).await;
    assert_eq!(gone, Err(Fault::TokenExpired));
}

#[test]
fn a_body_holds_what_was_asked_for_and_is_the_same_again() {
    let http = GuardedClient::new(&postmesh_kit::http::OutboundConfig::default());
    let x = X::new(http, Arc::new(postmesh_kit::clock::SystemClock));
    let mut planned = work(&x, " hello \n", 0);
    planned.content.settings = Settings::X(XSettings {
        reply_settings: Some(XReplySettings::MentionedUsers),
        made_with_ai: true,
        paid_partnership: false,
    });
    let built = publish::body(&planned, &["9".into()]);
    let whole = r#"{"made_with_ai":true,"media":{"media_ids":["9"]},"reply_settings":"mentionedUsers","text":"hello"}"#;
    assert_eq!(built, whole);
    planned.reply = Some(Reply { parent_native_id: "8".into(), root_native_id: "7".into() });
    let reply = r#"{"made_with_ai":true,"reply":{"in_reply_to_tweet_id":"8"},"text":"hello"}"#;
    assert_eq!(publish::body(&planned, &[]), reply);
}

#[test]
fn says_what_x_would_refuse() {
    let check = |content: &Content| {
        publish::validate(&limits(), content, 0).into_iter().map(|v| v.reason).collect::<Vec<_>>()
    };
    assert_eq!(check(&text(&"日".repeat(140))), [""; 0]);
    assert_eq!(check(&text(&"日".repeat(141))), ["TEXT_TOO_LONG"]);
    let linked = format!("{} https://example.com/{}", "x".repeat(256), "y".repeat(300));
    assert_eq!(check(&text(&linked)), [""; 0]);
    assert_eq!(check(&text("$TSLA $AAPL")), ["TOO_MANY_CASHTAGS"]);
    let with = |media: Vec<Media>| Content { media, ..text("m") };
    let gif = Media { content_type: "image/gif".into(), size_bytes: 15_000_000, ..picture_item() };
    assert_eq!(check(&with(vec![gif.clone()])), [""; 0]);
    assert_eq!(check(&with(vec![gif.clone(), picture_item()])), ["MIXED_MEDIA"]);
    assert_eq!(check(&with(vec![Media { size_bytes: 15_000_001, ..gif }])), ["IMAGE_TOO_LARGE"]);
    assert_eq!(check(&with(vec![picture_item(); 5])), ["TOO_MANY_IMAGES"]);
    assert_eq!(check(&with(vec![film(), picture_item()])), ["MIXED_MEDIA"]);
    assert_eq!(check(&with(vec![Media { width: 31, ..film() }])), ["VIDEO_TOO_SMALL"]);
    assert_eq!(check(&with(vec![Media { duration_ms: 140_001, ..film() }])), ["VIDEO_TOO_LONG"]);
    let mut foreign = text("m");
    foreign.settings = Settings::Slack(crate::domain::settings::SlackSettings::default());
    assert_eq!(check(&foreign), ["SETTINGS_OF_ANOTHER_NETWORK"]);
}

#[tokio::test]
async fn connecting_says_what_is_missing() {
    use crate::networks::connect::{Begin, Connect, ConnectFault, Finish};
    let stage = stage().await;
    let x = X::new(stage.bench.http.clone(), stage.bench.clock.clone());
    assert_eq!((stage.session.handle.as_str(), stage.session.limits.text_length), ("@demo", 280));
    let real = Begin {
        server: API,
        redirect_uri: "https://mesh.example/cb",
        state: "s",
        challenge: "c",
        registration: None,
        app: stage.session.app.as_ref(),
    };
    let began = x.begin(real).await.unwrap();
    assert!(began.authorization_url.starts_with("https://x.com/i/oauth2/authorize?response_type=code&"));
    assert_eq!(began.issuer, "https://x.com");
    let none = x.begin(Begin { app: None, ..real }).await;
    assert!(matches!(none, Err(ConnectFault::Refused { .. })), "{none:?}");
    let finish = async |code: &str, app: &App| {
        let ask = Finish {
            server: &stage.session.server,
            redirect_uri: "https://mesh.example/cb",
            registration: "",
            code,
            verifier: "v",
            app: Some(app),
        };
        x.finish(ask).await
    };
    let app = stage.session.app.clone().unwrap();
    let unknown = finish("nothing", &app).await;
    assert!(matches!(unknown, Err(ConnectFault::CodeRefused { .. })), "{unknown:?}");
    let wrong = finish("nothing", &App { client_secret: Secret::new("no"), ..app.clone() }).await;
    assert!(matches!(&wrong, Err(ConnectFault::Refused { why, .. }) if why.contains("secret")), "{wrong:?}");
    let fewer = |url: &str| url.replace("media.write+", "");
    let less = shared::login(&stage.bench, &x, Some(&app), fewer).await;
    assert!(
        matches!(&less, Err(ConnectFault::ScopesMissing { missing, .. }) if missing == "media.write"),
        "{less:?}"
    );
}

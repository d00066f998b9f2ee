//! The adapter against Pinterest's stand-in over a real socket: which boards are offered, what is pinned, what each
//! lost answer proves, and what looking back finds. The ledger of what became visible is the judge.

use serde_json::json;

use super::{
    errors::RULES,
    proof::{TRAVEL, WAY, film, set},
    *,
};
use crate::{
    domain::{
        outcome::{Outcome, RATE_LIMITED},
        settings::PinterestSettings,
    },
    networks::{
        App, Secret,
        connect::{Connect, ConnectFault, Connected},
        proof::{
            Stage, accepted,
            shared::{self, jpeg, png, with},
        },
    },
    testing::{Bench, Kept, TIME, app, attempt, clip, media_source},
};

async fn stage() -> Stage {
    Stage::new("pinterest", WAY).await
}

async fn send(stage: &Stage, work: &Work, ready: &Ready) -> Outcome {
    let armed = Armed::for_tests(false, TIME);
    stage.network.send(armed, &stage.session, work, ready).await.outcome
}

async fn connect(bench: &Bench, app: &App) -> Result<Vec<Connected>, ConnectFault> {
    let pinterest = Pinterest::new(bench.http.clone(), bench.clock.clone());
    shared::login(bench, &pinterest, Some(app), str::to_owned).await
}

#[tokio::test]
async fn one_login_is_one_account_with_a_choice_of_boards_that_are_not_secret() {
    let bench = Bench::new().await;
    let connected = connect(&bench, &app("pinterest")).await.unwrap();
    let handles: Vec<_> = connected.iter().map(|board| board.handle.as_str()).collect();
    assert_eq!(handles, ["demo/Recipes", "demo/Travel"]);
    assert!(connected[0].native_id.ends_with("/13609876543120987649"), "longer than a number of 64 bits");
    let pinterest = Pinterest::new(bench.http.clone(), bench.clock.clone());
    assert_eq!(pinterest.identity(&connected[0]), pinterest.identity(&connected[1]));
    assert!(connected.iter().all(|board| board.refresh_token.is_some()));
    let wrong = App { client_secret: Secret::new("other"), ..app("pinterest") };
    let refused = connect(&bench, &wrong).await.unwrap_err();
    assert!(refused.to_string().contains("id or secret is wrong"), "{refused}");
    let none = json!({ "kind": "status", "code": 200, "body": { "items": [], "bookmark": null } });
    let account = json!({ "network": "pinterest", "operation": "read", "skip": 1, "fault": none });
    bench.control("script", &account).await;
    let none = connect(&bench, &app("pinterest")).await.unwrap_err();
    assert!(matches!(none, ConnectFault::NothingToConnect { .. }), "{none:?}");
    let narrow = json!({ "access_token": "x", "scope": "boards:read pins:read", "token_type": "bearer" });
    bench.fault("pinterest", "token", json!({ "kind": "status", "code": 200, "body": narrow })).await;
    let narrow = connect(&bench, &app("pinterest")).await.unwrap_err();
    assert!(matches!(&narrow, ConnectFault::ScopesMissing { missing, .. } if missing.contains("pins:write")));
}

#[tokio::test]
async fn an_application_on_trial_may_not_pin() {
    let trial = App {
        client_id: "sandbox-pinterest-trial".into(),
        client_secret: Secret::new("sandbox-pinterest-trial-secret"),
    };
    let mut stage = stage().await;
    let connected = connect(&stage.bench, &trial).await.unwrap().remove(0);
    stage.session = crate::testing::session("pinterest", connected);
    let work = stage.work(with("x", vec![png()]));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let refused = send(&stage, &work, &ready).await;
    assert!(matches!(&refused, Outcome::Rejected { code, .. } if code == "TRIAL_ACCESS"), "{refused:?}");
}

#[tokio::test]
async fn only_what_says_something_is_sent() {
    let stage = stage().await;
    stage.publish(with(" ", vec![png()])).await;
    let pins = stage.bench.requests("publish").await;
    let fields: Vec<_> = pins[0]["body"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["board_id", "media_source"], "empty texts are refused");
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[0]["account"], &ledger[0]["kind"]), (&json!("demo"), &json!("pin")));
}

#[tokio::test]
async fn a_video_is_uploaded_once_and_the_upload_begins_anew_when_its_form_is_over() {
    let stage = stage().await;
    let work = stage.work(with("a film", vec![film()]));
    let mut kept = Kept::default();
    let prepare =
        async |kept: &mut Kept| stage.network.prepare(&stage.session, &work, &media_source(), kept).await;
    let cut = json!({ "network": "pinterest", "operation": "media_upload", "skip": 1,
        "fault": { "kind": "drop_before" } });
    stage.bench.control("script", &cut).await;
    assert!(matches!(prepare(&mut kept).await, Err(Fault::Transient { .. })), "the connection was cut");
    let first = kept.handles["media.0"]["media_id"].clone();
    stage.bench.fault("pinterest", "media_upload", json!({ "kind": "status", "code": 403 })).await;
    assert!(matches!(prepare(&mut kept).await, Err(Fault::Transient { .. })), "its form is over");
    let ready = stage.ready(&work, &mut kept).await;
    assert_ne!(kept.handles["media.0"]["media_id"], first);
    assert_eq!(kept.handles["media.0"]["fields"], json!({}), "the signed form is forgotten");
    let before = stage.bench.all_requests().await.len();
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.all_requests().await.len(), before, "nothing is missing");
    accepted(&stage.send(&work, &ready).await);
    assert_eq!(stage.bench.ledger().await[0]["media"][0]["size"], clip().len());

    let fails = json!({ "network": "pinterest", "operation": "media_upload", "times": 2,
        "fault": { "kind": "processing", "ms": 1, "fails": true } });
    stage.bench.control("script", &fails).await;
    let refused = prepare(&mut Kept::default()).await;
    assert!(matches!(&refused, Err(Fault::Rejected { code, .. }) if code == "MEDIA_REFUSED"), "{refused:?}");
}

#[tokio::test]
async fn a_lost_pin_is_found_on_its_board_and_nothing_is_guessed() {
    let stage = stage().await;
    let work = stage.work(with("soup  of\nthe day", vec![png()]));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let facts = attempt();
    stage.bench.fault("pinterest", "publish", json!({ "kind": "accept_then_reset" })).await;
    let lost = send(&stage, &work, &ready).await;
    assert!(matches!(lost, Outcome::Ambiguous { .. }), "{lost:?}");
    let look = async |work: &Work, facts: &AttemptFacts| {
        stage.network.reconcile(&stage.session, work, &HandleMap::new(), facts).await
    };
    let Found::Live { native_id, url, .. } = look(&work, &facts).await else { panic!("it is there") };
    assert_eq!(json!(native_id), stage.bench.ledger().await[0]["native_id"]);
    assert_eq!(stage.network.id_in("", &url), Some(native_id.clone()));
    let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts.clone() };
    assert_eq!(look(&work, &taken).await, Found::Absent, "it belongs to another delivery");
    let late = AttemptFacts { first_armed_at: facts.first_armed_at + 600_000, ..facts.clone() };
    assert_eq!(look(&work, &late).await, Found::Absent, "it was there before");
    let other = stage.work(with("soup of yesterday", vec![png()]));
    assert_eq!(look(&other, &facts).await, Found::Absent);
    let moving = stage.work(with("soup of the day", vec![film()]));
    assert_eq!(look(&moving, &facts).await, Found::Absent, "a picture is no video");
    accepted(&stage.send(&work, &ready).await);
    assert!(matches!(look(&work, &facts).await, Found::Unsure { .. }), "two match");
    let wordless = stage.work(with("", vec![png()]));
    assert_eq!(look(&wordless, &facts).await, Found::Absent);
    let ready = stage.ready(&wordless, &mut Kept::default()).await;
    accepted(&stage.send(&wordless, &ready).await);
    assert!(matches!(look(&wordless, &facts).await, Found::Unsure { .. }), "nothing tells it apart");
    stage.bench.fault("pinterest", "read", json!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(look(&work, &facts).await, Found::Unread(_)));
}

#[tokio::test]
async fn the_board_is_read_page_by_page() {
    let stage = stage().await;
    let facts = attempt();
    let first = stage.work(with("the first of many", vec![png()]));
    let ready = stage.ready(&first, &mut Kept::default()).await;
    let id = accepted(&stage.send(&first, &ready).await);
    for n in 0..55 {
        let work = stage.work(with(&format!("number {n}"), vec![png()]));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        accepted(&stage.send(&work, &ready).await);
    }
    let found = stage.network.reconcile(&stage.session, &first, &HandleMap::new(), &facts).await;
    assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == id), "{found:?}");
}

#[tokio::test]
async fn each_row_of_the_table_is_classified_and_nothing_else() {
    let stage = stage().await;
    let work = stage.work(with("refused", vec![png()]));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let answered = async |status: u16, body: Value| {
        let fault = json!({ "kind": "status", "code": status, "body": body });
        stage.bench.fault("pinterest", "publish", fault).await;
        send(&stage, &work, &ready).await
    };
    let trial = "Apps with Trial access may not create Pins in production.";
    let spam = "Sorry! We blocked this link because it may lead to spam.";
    let rows = [
        (401, json!({ "code": 2, "message": "Authentication failed.", "status": "failure" }), "expired"),
        (401, json!({ "code": 3, "message": "Authorization failed." }), "reconnect"),
        (403, json!({ "code": 3, "message": "Authorization failed." }), "reconnect"),
        (403, json!({ "code": 29, "message": trial }), "TRIAL_ACCESS"),
        (403, json!({ "code": 29, "message": spam }), "LINK_BLOCKED"),
        (400, json!({ "code": 1, "message": spam }), "LINK_BLOCKED"),
        (
            403,
            json!({ "code": 29, "message": "You are not permitted to access that resource." }),
            "NOT_ALLOWED",
        ),
        (404, json!({ "code": 40, "message": "Board not found." }), "BOARD_GONE"),
        (400, json!({ "code": 1, "message": "Invalid request: x" }), "CONTENT_REFUSED"),
        (429, json!({ "code": 8, "message": "You have exceeded your rate limit." }), RATE_LIMITED),
    ];
    assert_eq!(rows.len(), RULES.len(), "every line");
    for (status, body, expected) in rows {
        let outcome = answered(status, body.clone()).await;
        let fits = match &outcome {
            Outcome::TokenExpired => expected == "expired",
            Outcome::Reconnect { .. } => expected == "reconnect",
            Outcome::Rejected { code, .. } | Outcome::Transient { code, .. } => code == expected,
            _ => false,
        };
        assert!(fits, "{status} {body}: {outcome:?}");
    }
    let other = json!({ "code": 29, "message": "The consumer type of this app is not supported." });
    let trial = answered(403, other).await;
    assert!(matches!(&trial, Outcome::Rejected { code, .. } if code == "TRIAL_ACCESS"), "{trial:?}");
    for (status, body) in [
        (200, json!({})),
        (201, json!({ "id": "not a number" })),
        (400, json!({ "code": 235, "message": "Sorry we could not fetch the image." })),
        (401, json!("<html>")),
        (403, json!("<html>challenge")),
        (404, json!({ "code": 50, "message": "Pin not found." })),
        (408, json!({ "code": 8 })),
        (429, json!("<html>")),
        (500, json!({ "code": 1, "message": "Invalid request" })),
        (502, json!(null)),
        (503, json!({ "code": 8, "message": "x" })),
        (504, json!("<html>")),
    ] {
        let outcome = answered(status, body.clone()).await;
        assert!(matches!(outcome, Outcome::Ambiguous { .. }), "{status} {body}: {outcome:?}");
    }
    stage.bench.fault("pinterest", "publish", json!({ "kind": "throttle", "retry_after_s": 5 })).await;
    let answer = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
    let waits =
        |wait: Option<std::time::Duration>| wait.is_some_and(|wait| (4..=7).contains(&wait.as_secs()));
    assert!(waits(answer.wire.hold), "{answer:?}");
    assert!(matches!(answer.outcome, Outcome::Transient { retry_after, .. } if waits(retry_after)));
    assert!(stage.bench.ledger().await.is_empty());
}

#[tokio::test]
async fn one_account_pins_to_all_its_boards_with_the_tokens_of_each_refresh() {
    let mut stage = stage().await;
    let to_travel = |text: &str| {
        let settings = PinterestSettings { board_id: TRAVEL.into(), ..PinterestSettings::default() };
        set(settings, with(text, vec![png()]))
    };
    for n in 0..3 {
        stage.publish(with(&format!("soup {n}"), vec![png()])).await;
        stage.publish(to_travel(&format!("sea {n}"))).await;
        let tokens = stage.network.refresh(&stage.session).await.unwrap();
        stage.session.access_token = tokens.access_token;
        stage.session.refresh_token = tokens.refresh_token;
    }
    let boards: Vec<_> = stage.bench.requests("publish").await;
    let boards: Vec<_> = boards.iter().map(|call| call["body"]["board_id"].as_str().unwrap()).collect();
    assert_eq!(boards, ["13609876543120987649", TRAVEL].repeat(3));

    let work = stage.work(to_travel("lost at sea"));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    stage.bench.fault("pinterest", "publish", json!({ "kind": "accept_then_reset" })).await;
    let facts = attempt();
    send(&stage, &work, &ready).await;
    let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &facts).await;
    assert!(matches!(found, Found::Live { .. }), "it is looked for on its own board: {found:?}");

    let work = stage.work(with("moved", vec![png()]));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    stage.bench.fault("pinterest", "publish", json!({ "kind": "accept_then_reset" })).await;
    send(&stage, &work, &ready).await;
    stage.session.native_id = format!("{}/{TRAVEL}", user(&stage.session.native_id));
    let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &facts).await;
    assert!(matches!(found, Found::Live { .. }), "and where it was sent to: {found:?}");
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
}

#[tokio::test]
async fn each_refresh_uses_the_token_up_and_gives_the_next() {
    let mut stage = stage().await;
    let first = stage.session.clone();
    let tokens = stage.network.refresh(&first).await.unwrap();
    assert!(tokens.refresh_token.is_some() && tokens.refresh_token != first.refresh_token);
    let over = stage.network.refresh(&first).await;
    assert!(matches!(over, Err(RefreshFault::Revoked(_))), "{over:?}");
    stage.session.access_token = tokens.access_token;
    stage.session.refresh_token = tokens.refresh_token;
    stage.publish(with("after it", vec![png()])).await;
    stage.bench.fault("pinterest", "refresh", json!({ "kind": "accept_then_reset" })).await;
    let lost = stage.network.refresh(&stage.session).await;
    assert!(matches!(lost, Err(RefreshFault::Lost(_))), "{lost:?}");
    stage.bench.fault("pinterest", "refresh", json!({ "kind": "throttle", "retry_after_s": 3 })).await;
    let busy = stage.network.refresh(&stage.session).await;
    assert!(matches!(busy, Err(RefreshFault::NotExecuted { .. })), "{busy:?}");
}

#[tokio::test]
async fn pins_are_counted_and_deleted_and_an_authorization_is_the_persons_to_end() {
    let stage = stage().await;
    let id = stage.publish(with("count me", vec![jpeg()])).await;
    let counts = json!({ "network": "pinterest", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let ids = ["1".to_owned(), id.clone(), "../user_account".to_owned()];
    let metrics = stage.network.metrics(&stage.session, &ids).await.unwrap();
    let found: Vec<_> = metrics.iter().map(|m| (m.found, m.likes, m.reposts, m.replies)).collect();
    assert_eq!(found, [(false, 0, 0, 0), (true, 5, 3, 1), (false, 0, 0, 0)]);
    assert!(metrics[1].views > 0);
    for _ in 0..2 {
        stage.network.delete(&stage.session, &id).await.unwrap();
    }
    assert!(!stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await.unwrap()[0].found);
    stage.network.revoke(&stage.session).await.unwrap();
    let expire = json!({ "network": "pinterest", "fault": { "kind": "expire_tokens" } });
    stage.bench.control("script", &expire).await;
    let expired = stage.network.metrics(&stage.session, &[id]).await.unwrap_err();
    assert_eq!(expired, Fault::TokenExpired);
}

#[tokio::test]
async fn there_are_no_threads_and_a_webp_goes_out_as_a_jpeg() {
    let stage = stage().await;
    let found = stage.network.validate(&stage.session.limits, &with("x", vec![png()]), 1);
    assert_eq!(found[0].reason, "NO_THREADS");
    let webp = crate::domain::content::Media { content_type: "image/webp".into(), ..png() };
    stage.publish(with("converted", vec![webp])).await;
    assert_eq!(stage.bench.ledger().await[0]["media"][0]["mime"], "image/jpeg");
}

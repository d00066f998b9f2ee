//! The adapter against LinkedIn's stand-in over a real socket: who is connected, what is posted, what each lost answer
//! proves, and what looking back finds. The ledger of what became visible is the judge.

use serde_json::{Value, json};

use super::{
    errors::RULES,
    proof::{WAY, png},
    *,
};
use crate::{
    domain::{
        delivery::Reply,
        outcome::{Outcome, RATE_LIMITED},
    },
    networks::{
        App, Secret,
        connect::{Begin, Connect, ConnectFault, Connected, Finish},
        proof::{
            Stage, accepted,
            shared::{REDIRECT, with},
        },
    },
    testing::{Bench, Kept, TIME, app, attempt},
};

pub(super) async fn stage(network: &str) -> Stage {
    Stage::new(network, WAY).await
}

pub(super) async fn send(stage: &Stage, work: &Work, ready: &Ready, resend: bool) -> Outcome {
    let armed = Armed::for_tests(resend, TIME);
    stage.network.send(armed, &stage.session, work, ready).await.outcome
}

async fn begin(linkedin: &Linkedin, bench: &Bench, app: &App) -> String {
    let ask = Begin {
        server: &bench.server("linkedin"),
        redirect_uri: REDIRECT,
        state: "s",
        challenge: "",
        registration: None,
        app: Some(app),
    };
    linkedin.begin(ask).await.unwrap().authorization_url
}

async fn finish(
    linkedin: &Linkedin,
    bench: &Bench,
    app: &App,
    code: &str,
) -> Result<Vec<Connected>, ConnectFault> {
    let ask = Finish {
        server: &bench.server("linkedin"),
        redirect_uri: REDIRECT,
        registration: "",
        code,
        verifier: "",
        app: Some(app),
    };
    linkedin.finish(ask).await
}

#[tokio::test]
async fn one_login_connects_a_member_or_each_page_that_may_be_posted_for() {
    let bench = Bench::new().await;
    let member = Linkedin::member(bench.http.clone(), bench.clock.clone());
    let url = begin(&member, &bench, &app("linkedin")).await;
    assert!(url.contains("scope=openid%20profile%20w_member_social"), "{url}");
    let back = bench.press(&url, "authorize").await;
    let connected = finish(&member, &bench, &app("linkedin"), &back["code"]).await.unwrap();
    assert_eq!((connected.len(), connected[0].handle.as_str()), (1, "Demo"));
    assert!(connected[0].refresh_token.is_none(), "it comes only with the reviewed product");

    let pages = Linkedin::organization(bench.http.clone(), bench.clock.clone());
    let back = bench.press(&begin(&pages, &bench, &app("linkedin")).await, "authorize").await;
    let connected = finish(&pages, &bench, &app("linkedin"), &back["code"]).await.unwrap();
    let handles: Vec<_> = connected.iter().map(|page| page.handle.as_str()).collect();
    assert_eq!(handles, ["demo-works", "demo-labs"], "an analyst may not post");
    assert!(connected.iter().all(|page| page.refresh_token.is_some()));
    assert_ne!(connected[0].native_id, connected[1].native_id);
}

#[tokio::test]
async fn connecting_says_what_went_wrong() {
    let bench = Bench::new().await;
    let pages = Linkedin::organization(bench.http.clone(), bench.clock.clone());
    let shared = App {
        client_id: "sandbox-linkedin-share".into(),
        client_secret: Secret::new("WPL_AP1.share.secret=="),
    };
    let back = bench.press(&begin(&pages, &bench, &shared).await, "authorize").await;
    assert_eq!(back["error"], "unauthorized_scope_error", "the application lacks the product");
    let back = bench.press(&begin(&pages, &bench, &app("linkedin")).await, "deny").await;
    assert_eq!(back["error"], "user_cancelled_authorize");
    let refused = finish(&pages, &bench, &app("linkedin"), "nonsense").await.unwrap_err();
    assert!(matches!(refused, ConnectFault::CodeRefused { .. }), "{refused:?}");
    let wrong = App { client_secret: Secret::new("other"), ..app("linkedin") };
    let refused = finish(&pages, &bench, &wrong, "nonsense").await.unwrap_err();
    assert!(refused.to_string().contains("id or secret is wrong"), "{refused}");
    let back = bench.press(&begin(&pages, &bench, &app("linkedin")).await, "authorize").await;
    bench.fault("linkedin", "token", json!({ "kind": "status", "code": 502 })).await;
    let away = finish(&pages, &bench, &app("linkedin"), &back["code"]).await.unwrap_err();
    assert!(matches!(away, ConnectFault::Unreachable { .. }), "{away:?}");
    let nobody = json!({ "kind": "status", "code": 200, "body": { "elements": [] } });
    bench.fault("linkedin", "read", nobody).await;
    let none = finish(&pages, &bench, &app("linkedin"), &back["code"]).await.unwrap_err();
    assert!(matches!(none, ConnectFault::NothingToConnect { .. }), "{none:?}");

    // The secret of LinkedIn's applications ends in `==`, which a form must carry.
    let member = Linkedin::member(bench.http.clone(), bench.clock.clone());
    let back = bench.press(&begin(&member, &bench, &shared).await, "authorize").await;
    assert_eq!(finish(&member, &bench, &shared, &back["code"]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_text_arrives_whole_whatever_is_in_it() {
    let stage = stage("linkedin").await;
    let texts = [
        "all (of) [it] {is} <here> | * ~ \\ @me #Tag #snake_case, 50% of C# at https://a.example/x_y?z=(1)#top",
        "two\n\nparagraphs 👋",
        "#",
    ];
    for text in texts {
        let id = stage.publish(with(text, Vec::new())).await;
        assert!(id.starts_with("urn:li:share:"), "{id}");
    }
    let ledger = stage.bench.ledger().await;
    assert_eq!(ledger.iter().map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>(), texts);
}

#[tokio::test]
async fn only_an_id_proves_that_it_was_posted() {
    let stage = stage("linkedin").await;
    let work = stage.work(with("no id", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    for (code, headers) in [
        (201, json!({})),
        (201, json!({ "x-restli-id": "" })),
        (201, json!({ "x-restli-id": "urn:li:person:1" })),
        (200, json!({})),
    ] {
        let fault = json!({ "kind": "status", "code": code, "headers": headers });
        stage.bench.fault("linkedin", "publish", fault).await;
        let seen = send(&stage, &work, &ready, false).await;
        assert!(matches!(seen, Outcome::Ambiguous { .. }), "{code}: {seen:?}");
    }
    let fault = json!({ "kind": "status", "code": 201, "headers": { "X-RestLi-Id": "urn:li:ugcPost:7" } });
    stage.bench.fault("linkedin", "publish", fault).await;
    let Outcome::Accepted { native_id, url } = send(&stage, &work, &ready, false).await else {
        panic!("the header's case does not matter")
    };
    assert_eq!(native_id, "urn:li:ugcPost:7");
    assert!(url.ends_with("/linkedin/feed/update/urn:li:ugcPost:7/"), "{url}");
    assert_eq!(stage.network.id_in("", &url).as_deref(), Some("urn:li:ugcPost:7"));
}

#[tokio::test]
async fn a_duplicate_is_a_refusal_at_first_and_only_a_hint_later() {
    let stage = stage("linkedin").await;
    let id = stage.publish(with("once", Vec::new())).await;
    let work = stage.work(with("once", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let first = send(&stage, &work, &ready, false).await;
    assert!(matches!(&first, Outcome::Rejected { code, .. } if code == "DUPLICATE"), "{first:?}");
    let Outcome::Ambiguous { evidence } = send(&stage, &work, &ready, true).await else {
        panic!("an earlier attempt may have made it")
    };
    assert!(evidence.contains(&id), "{evidence}");
    let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
    assert!(matches!(found, Found::Unsure { .. }), "{found:?}");
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn further_parts_become_comments_on_the_first() {
    for network in ["linkedin", "linkedin_organization"] {
        let stage = stage(network).await;
        let root = stage.publish(with("the post", Vec::new())).await;
        let reply = Reply { parent_native_id: root.clone(), root_native_id: root.clone() };
        let work = Work { position: 1, reply: Some(reply), ..stage.work(with("(more) _of_ it", Vec::new())) };
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.bench.fault("linkedin", "publish", json!({ "kind": "accept_then_reset" })).await;
        let facts = attempt();
        let lost = send(&stage, &work, &ready, false).await;
        assert!(matches!(lost, Outcome::Ambiguous { .. }), "{lost:?}");
        let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &facts).await;
        let second = Work { content: with("the end", Vec::new()), ..work };
        let ready = stage.ready(&second, &mut Kept::default()).await;
        let id = accepted(&stage.send(&second, &ready).await);
        let ledger = stage.bench.ledger().await;
        let texts: Vec<_> = ledger.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["the post", "(more) _of_ it", "the end"], "comments are plain text");
        assert_eq!((&ledger[2]["in_reply_to"], &ledger[2]["native_id"]), (&json!(root), &json!(id)));
        if network == "linkedin" {
            assert!(matches!(found, Found::Unsure { .. }), "{found:?}");
        } else {
            let Found::Live { native_id, url, .. } = found else { panic!("{found:?}") };
            assert_eq!(json!(native_id), ledger[1]["native_id"]);
            assert!(url.contains("?commentUrn=urn%3Ali%3Acomment"), "{url}");
            let counts =
                json!({ "network": "linkedin", "native_id": id, "likes": 4, "reposts": 0, "replies": 2 });
            stage.bench.control("engage", &counts).await;
            let metrics = stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await.unwrap();
            assert_eq!((metrics[0].likes, metrics[0].replies, metrics[0].found), (4, 2, true));
        }
        for _ in 0..2 {
            stage.network.delete(&stage.session, &id).await.unwrap();
        }
        stage.network.delete(&stage.session, &root).await.unwrap();
        let gone = send(&stage, &second, &ready, false).await;
        assert!(matches!(&gone, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");
        let media = stage.network.validate(&stage.session.limits, &with("x", vec![png()]), 1);
        assert_eq!(media[0].reason, "COMMENT_WITH_MEDIA");
    }
}

#[tokio::test]
async fn a_page_finds_its_own_post_and_guesses_nothing() {
    let stage = stage("linkedin_organization").await;
    let pictures = || with("look (at) this #Tag", vec![png(); 2]);
    let work = stage.work(pictures());
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    let facts = attempt();
    stage.bench.fault("linkedin", "publish", json!({ "kind": "accept_then_500" })).await;
    let lost = send(&stage, &work, &ready, false).await;
    assert!(matches!(lost, Outcome::Ambiguous { .. }), "{lost:?}");
    let look = async |work: &Work, kept: &Kept, facts: &AttemptFacts| {
        stage.network.reconcile(&stage.session, work, &kept.handles, facts).await
    };
    let Found::Live { native_id, .. } = look(&work, &kept, &facts).await else { panic!("it is there") };
    assert_eq!(json!(native_id), stage.bench.ledger().await[0]["native_id"]);
    let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts.clone() };
    assert_eq!(look(&work, &kept, &taken).await, Found::Absent, "it belongs to another delivery");
    let other = stage.work(pictures());
    let mut uploads = Kept::default();
    stage.ready(&other, &mut uploads).await;
    assert_eq!(look(&other, &uploads, &facts).await, Found::Absent, "these are not its pictures");
    let late = AttemptFacts { first_armed_at: facts.first_armed_at + 600_000, ..facts.clone() };
    assert_eq!(look(&work, &kept, &late).await, Found::Absent, "it was there before");
    stage.bench.fault("linkedin", "read", json!({ "kind": "stale_read", "ms": 60_000 })).await;
    assert_eq!(look(&work, &kept, &facts).await, Found::Absent, "reads may lag");
    stage.bench.fault("linkedin", "read", json!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(look(&work, &kept, &facts).await, Found::Unread(_)));
}

#[tokio::test]
async fn each_row_of_the_table_is_classified_and_nothing_else() {
    let stage = stage("linkedin").await;
    let work = stage.work(with("refused", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let answered = async |code: u16, body: Value| {
        let fault = json!({ "kind": "status", "code": code, "body": body });
        stage.bench.fault("linkedin", "publish", fault).await;
        send(&stage, &work, &ready, false).await
    };
    let mut stale = stage.session.clone();
    stale.access_expires_at = Some(bench_now() + 1_000_000);
    let rows = [
        (401, json!({ "serviceErrorCode": 65602 }), "expired"),
        (401, json!({ "code": "EXPIRED_ACCESS_TOKEN" }), "expired"),
        (403, json!({ "code": "ACCESS_DENIED", "serviceErrorCode": 100 }), "reconnect"),
        (403, json!({ "serviceErrorCode": 100 }), "reconnect"),
        (
            403,
            json!({ "message": "Accessing this video resource is forbidden. Please check" }),
            "MEDIA_REFUSED",
        ),
        (422, json!({ "message": "Content is a duplicate of urn:li:share:1" }), "DUPLICATE"),
        (422, json!({ "code": "DUPLICATE_POST" }), "DUPLICATE"),
        (400, json!({ "message": "Content is a duplicate of urn:li:share:1" }), "DUPLICATE"),
        (409, json!({ "message": "Content is a duplicate of urn:li:share:1" }), "DUPLICATE"),
        (400, json!({ "code": "FIELD_LENGTH_TOO_LONG" }), "TEXT_TOO_LONG"),
        (400, json!({ "code": "INVALID_VALUE_FOR_FIELD" }), "CONTENT_REFUSED"),
        (400, json!({ "code": "MISSING_FIELD" }), "CONTENT_REFUSED"),
        (422, json!({ "code": "UNPROCESSABLE_ENTITY" }), "CONTENT_REFUSED"),
        (404, json!({ "code": "NOT_FOUND" }), "PARENT_GONE"),
        (400, json!({ "code": "VERSION_MISSING" }), "VERSION_RETIRED"),
        (426, json!({ "code": "NONEXISTENT_VERSION" }), "VERSION_RETIRED"),
        (429, json!({ "code": "TOO_MANY_REQUESTS" }), RATE_LIMITED),
        (429, json!({ "serviceErrorCode": 101 }), RATE_LIMITED),
        (429, json!({ "message": "Resource level throttle DAY limit for calls" }), RATE_LIMITED),
        (400, json!({ "message": "The asset is not AVAILABLE" }), "MEDIA_PROCESSING"),
    ];
    let mut seen_rows = 0;
    for (status, body, expected) in rows {
        let outcome = answered(status, body.clone()).await;
        let fits = match &outcome {
            Outcome::TokenExpired => expected == "expired",
            Outcome::Reconnect { .. } => expected == "reconnect",
            Outcome::Rejected { code, .. } | Outcome::Transient { code, .. } => code == expected,
            _ => false,
        };
        assert!(fits, "{status} {body}: {outcome:?}");
        seen_rows += 1;
    }
    // The six lines about tokens that look revoked depend on the token's age.
    for (code, number) in
        [("REVOKED_ACCESS_TOKEN", 65_601), ("INVALID_ACCESS_TOKEN", 65_600), ("EMPTY_ACCESS_TOKEN", 65_604)]
    {
        for body in [json!({ "code": code }), json!({ "serviceErrorCode": number })] {
            let young = answered(401, body.clone()).await;
            assert!(
                matches!(&young, Outcome::Transient { code, .. } if code == "TOKEN_NOT_ACTIVE"),
                "{young:?}"
            );
            let fault = json!({ "kind": "status", "code": 401, "body": body });
            stage.bench.fault("linkedin", "publish", fault).await;
            let old = stage.network.send(Armed::for_tests(false, TIME), &stale, &work, &ready).await.outcome;
            assert!(matches!(old, Outcome::Reconnect { .. }), "{old:?}");
            seen_rows += 1;
        }
    }
    assert_eq!(seen_rows, RULES.len() + 1, "every line, and the one for media that are not ready");
    for (status, body) in [
        (401, json!("<html>")),
        (403, json!({ "message": "resource is forbidden" })),
        (409, json!({ "code": "CONFLICT" })),
        (400, json!({ "message": "Unable to obtain activity" })),
        (500, json!({ "code": "EXPIRED_ACCESS_TOKEN" })),
        (502, json!("<html>bad gateway")),
        (503, json!({ "code": "UNPROCESSABLE_ENTITY" })),
        (504, json!(null)),
    ] {
        let outcome = answered(status, body.clone()).await;
        assert!(matches!(outcome, Outcome::Ambiguous { .. }), "{status} {body}: {outcome:?}");
    }
    stage.bench.fault("linkedin", "publish", json!({ "kind": "throttle", "retry_after_s": 9 })).await;
    let answer = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
    assert!(answer.wire.hold.is_some() && answer.wire.http_status == Some(429), "{answer:?}");
    assert!(stage.bench.ledger().await.is_empty());
}

fn bench_now() -> i64 {
    use postmesh_kit::clock::{Clock, SystemClock};
    SystemClock.now_ms()
}

#[tokio::test]
async fn a_page_is_refreshed_counted_and_let_go() {
    let stage = stage("linkedin_organization").await;
    let before = stage.session.refresh_token.clone().unwrap();
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert!(tokens.refresh_token == Some(before), "it stays the same for its year");
    let id = stage.publish(with("count me", Vec::new())).await;
    let counts = json!({ "network": "linkedin", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    let quiet = stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await.unwrap();
    assert!(quiet[0].found && quiet[0].views == 0, "a post without reactions is there all the same");
    stage.bench.control("engage", &counts).await;
    let ids = ["urn:li:ugcPost:1".to_owned(), id.clone(), "nonsense".to_owned()];
    let metrics = stage.network.metrics(&stage.session, &ids).await.unwrap();
    let found: Vec<_> = metrics.iter().map(|m| (m.found, m.likes, m.reposts, m.replies)).collect();
    assert_eq!(found, [(false, 0, 0, 0), (true, 5, 3, 1), (false, 0, 0, 0)]);
    assert!(metrics[1].views > 0);
    stage.network.delete(&stage.session, &id).await.unwrap();
    stage.network.delete(&stage.session, &id).await.unwrap();
    assert!(!stage.network.metrics(&stage.session, &ids).await.unwrap()[1].found);
    stage.network.revoke(&stage.session).await.unwrap();
    stage.network.revoke(&stage.session).await.unwrap();
    let over = stage.network.refresh(&stage.session).await;
    assert!(matches!(over, Err(RefreshFault::Revoked(_))), "{over:?}");
    let gone = stage.network.metrics(&stage.session, &ids).await.unwrap_err();
    assert!(matches!(gone, Fault::Reconnect { .. }), "{gone:?}");
}

#[tokio::test]
async fn a_member_must_come_back_after_sixty_days() {
    let stage = stage("linkedin").await;
    let end = stage.session.access_expires_at.unwrap() - bench_now();
    assert!((59 * 86_400_000..=60 * 86_400_000).contains(&end), "{end}");
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
    let none = stage.network.metrics(&stage.session, &[]).await.unwrap_err();
    assert!(matches!(&none, Fault::Rejected { code, .. } if code == "NO_METRICS"), "{none:?}");
    let mut keyless = stage.session.clone();
    keyless.refresh_token = Some(Secret::new("x"));
    keyless.app = Some(App { client_secret: Secret::new("other"), ..app("linkedin") });
    let kept = stage.network.refresh(&keyless).await;
    assert!(matches!(kept, Err(RefreshFault::NotExecuted { .. })), "{kept:?}");
    stage.bench.fault("linkedin", "refresh", json!({ "kind": "accept_then_reset" })).await;
    keyless.app = Some(app("linkedin"));
    let lost = stage.network.refresh(&keyless).await;
    assert!(matches!(lost, Err(RefreshFault::Lost(_))), "{lost:?}");
}

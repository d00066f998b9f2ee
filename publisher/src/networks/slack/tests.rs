//! The adapter against a workspace over a real socket: which channels come in, what is posted, what each lost answer proves,
//! and what looking back finds. The workspace's ledger of what became visible is the judge.

use std::time::Duration;

use serde_json::json;

use super::{proof::WAY, *};
use crate::{
    domain::{
        content::Media,
        delivery::Reply,
        outcome::{Outcome, RATE_LIMITED},
    },
    networks::{
        connect::{ConnectFault, Connected},
        proof::{
            Stage, Way, accepted,
            shared::{self, film, jpeg, png, proves, with},
        },
    },
    testing::{Bench, Kept, TIME, app, attempt},
};

async fn stage() -> Stage {
    Stage::new("slack", WAY).await
}

async fn login(bench: &Bench, change: impl Fn(&str) -> String) -> Result<Vec<Connected>, ConnectFault> {
    let slack = Slack::new(bench.http.clone(), bench.clock.clone());
    shared::login(bench, &slack, Some(&app("slack")), change).await
}

#[tokio::test]
async fn a_login_gives_every_channel_that_the_app_may_post_to() {
    let bench = Bench::new().await;
    let connected = login(&bench, str::to_owned).await.unwrap();
    let handles: Vec<_> = connected.iter().map(|channel| channel.handle.as_str()).collect();
    assert_eq!(
        handles,
        ["#general", "#plans", "#announcements", "#random"],
        "members first, nothing archived or secret"
    );
    assert!(
        connected.iter().all(|channel| channel.native_id.starts_with('T') && channel.refresh_token.is_none())
    );
    let fewer = |url: &str| url.replace("%2Cfiles%3Awrite", "");
    let missing = login(&bench, fewer).await.unwrap_err();
    assert_eq!(
        missing,
        ConnectFault::ScopesMissing { server: bench.address(), missing: "files:write".into() }
    );
    let refused = json!({ "kind": "status", "code": 200, "body": { "ok": false, "error": "invalid_code" } });
    bench.fault("slack", "token", refused).await;
    let refused = login(&bench, str::to_owned).await.unwrap_err();
    assert!(matches!(refused, ConnectFault::CodeRefused { .. }), "{refused:?}");
    let rotating = json!({ "ok": true, "access_token": "xoxe.xoxb-1", "refresh_token": "xoxe-1", "scope": "chat:write" });
    bench.fault("slack", "token", json!({ "kind": "status", "code": 200, "body": rotating })).await;
    let refused = login(&bench, str::to_owned).await.unwrap_err();
    assert!(refused.to_string().contains("token rotation off"), "{refused}");
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_mark_of_the_message() {
    let stage = stage().await;
    for (n, fault) in ["accept_then_reset", "accept_then_500", "garbage"].into_iter().enumerate() {
        let work = stage.work(with("the same <words> & more", Vec::new()));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.bench.fault("slack", "publish", json!({ "kind": fault })).await;
        let facts = attempt();
        let lost = stage.send(&work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{fault}: {lost:?}");
        let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &facts).await;
        let Found::Live { native_id, url, .. } = found else { panic!("{fault}: {found:?}") };
        let lines = stage.bench.ledger().await;
        assert_eq!(
            (lines.len(), &lines[n]["native_id"]),
            (n + 1, &json!(native_id)),
            "words that are the same do not confuse"
        );
        assert_eq!(lines[n]["text"], "the same <words> & more");
        assert_eq!(stage.network.id_in("", &url), Some(native_id));
    }
    let dropped = stage.work(with("the same <words> & more", Vec::new()));
    let ready = stage.ready(&dropped, &mut Kept::default()).await;
    stage.bench.fault("slack", "publish", json!({ "kind": "drop_before" })).await;
    let lost = stage.send(&dropped, &ready).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    let look =
        async || stage.network.reconcile(&stage.session, &dropped, &HandleMap::new(), &attempt()).await;
    assert_eq!(look().await, Found::Absent);
    stage.bench.fault("slack", "read", json!({ "kind": "throttle", "retry_after_s": 60 })).await;
    assert!(matches!(look().await, Found::Unread(_)));
    for _ in 0..2 {
        stage.send(&dropped, &ready).await;
    }
    assert!(matches!(look().await, Found::Unsure { .. }), "two are not guessed between");
}

#[tokio::test]
async fn a_message_is_found_behind_many_others() {
    let stage = stage().await;
    let work = stage.work(with("mine", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let id = accepted(&stage.send(&work, &ready).await);
    for n in 0..20 {
        stage.publish(with(&format!("other {n}"), Vec::new())).await;
    }
    let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
    assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == id), "{found:?}");
}

#[tokio::test]
async fn files_are_uploaded_before_and_tell_where_they_are() {
    let stage = stage().await;
    let described = Media { alt_text: "a dot".into(), ..png() };
    let work = stage.work(with("three files", vec![described, film(), jpeg()]));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["file.0", "file.1", "file.2"]);
    assert_eq!(stage.bench.ledger().await.len(), 0, "nothing is visible yet");
    let uploads = stage.bench.requests("media_upload").await.len();
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.requests("media_upload").await.len(), uploads, "no step is done again");
    let look = async || stage.network.reconcile(&stage.session, &work, &kept.handles, &attempt()).await;
    assert_eq!(look().await, Found::Absent, "files that were not completed");
    stage.bench.fault("slack", "publish", json!({ "kind": "accept_then_reset" })).await;
    let lost = stage.send(&work, &ready).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    assert!(matches!(look().await, Found::Unsure { .. }), "they do not tell yet");
    tokio::time::sleep(Duration::from_millis(400)).await;
    let lines = stage.bench.ledger().await;
    let Found::Live { native_id, .. } = look().await else { panic!("they are there") };
    assert_eq!((lines.len(), &lines[0]["native_id"]), (1, &json!(native_id)));
    assert_eq!(
        (&lines[0]["media"][0]["alt"], &lines[0]["media"][1]["mime"]),
        (&json!("a dot"), &json!("video/mp4"))
    );
    let next = stage.work(with("next", vec![png()]));
    let ready = stage.ready(&next, &mut Kept::default()).await;
    let sent = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &next, &ready).await;
    assert!(matches!(sent.outcome, Outcome::Processing { .. }), "{sent:?}");
    let id = accepted(&stage.send(&stage.work(with("", vec![png()])), &ready).await);
    assert_eq!(stage.bench.ledger().await[2]["native_id"], json!(id));
}

#[tokio::test]
async fn uploads_that_are_gone_are_made_again_only_on_a_first_send() {
    let stage = stage().await;
    let work = stage.work(with("gone", vec![png(), png()]));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let gone = json!({ "kind": "status", "code": 200, "body": { "ok": false, "error": "file_not_found" } });
    stage.bench.fault("slack", "publish", gone.clone()).await;
    let first = stage.send(&work, &ready).await.outcome;
    assert!(matches!(&first, Outcome::Stale { steps, .. } if steps == &["file.0", "file.1"]), "{first:?}");
    stage.bench.fault("slack", "publish", gone).await;
    let again = stage.network.send(Armed::for_tests(true, TIME), &stage.session, &work, &ready).await;
    assert!(matches!(again.outcome, Outcome::Ambiguous { .. }), "{again:?}");
}

#[tokio::test]
async fn a_thread_hangs_below_its_first_part() {
    let stage = stage().await;
    let root = stage.publish(with("first", Vec::new())).await;
    let part = |text: &str, media: Vec<Media>| {
        let reply = Reply { parent_native_id: "C1/1.000001".into(), root_native_id: root.clone() };
        Work { reply: Some(reply), position: 1, ..stage.work(with(text, media)) }
    };
    let second = part("second", Vec::new());
    let ready = stage.ready(&second, &mut Kept::default()).await;
    stage.bench.fault("slack", "publish", json!({ "kind": "accept_then_reset" })).await;
    stage.send(&second, &ready).await;
    let found = stage.network.reconcile(&stage.session, &second, &HandleMap::new(), &attempt()).await;
    assert!(matches!(found, Found::Live { .. }), "{found:?}");
    let third = part("third", vec![png()]);
    let ready = stage.ready(&third, &mut Kept::default()).await;
    let id = accepted(&stage.send(&third, &ready).await);
    let parents: Vec<_> =
        stage.bench.ledger().await.into_iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(root), json!(root)]);
    let counts = stage.network.metrics(&stage.session, &[root.clone(), id]).await.unwrap();
    assert_eq!((counts[0].replies, counts[1].found), (2, true));
    stage.network.delete(&stage.session, &root).await.unwrap();
    let mut kept = Kept::default();
    let (late, media) = (part("late", Vec::new()), stage.library.source());
    let late = stage.network.prepare(&stage.session, &late, &media, &mut kept).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
}

#[tokio::test]
async fn each_listed_refusal_is_what_the_table_says_and_nothing_else_is_definite() {
    let stage = stage().await;
    let work = stage.work(with("refused", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let send = async |code: u16, body: Value| {
        stage.bench.fault("slack", "publish", json!({ "kind": "status", "code": code, "body": body })).await;
        stage.send(&work, &ready).await.outcome
    };
    for rule in errors::RULES {
        let (status, text, proof) = rule.parts();
        let outcome = send(status, json!({ "ok": false, "error": text })).await;
        assert!(proves(proof, &outcome), "{status} {text}: {outcome:?}");
    }
    for (status, body) in [
        (200, json!({ "ok": false, "error": "internal_error" })),
        (200, json!({ "ok": false, "error": "fatal_error" })),
        (200, json!({ "ok": false, "error": "service_unavailable" })),
        (200, json!({ "ok": false, "error": "something_new" })),
        (200, json!({ "ok": false })),
        (200, json!({ "ok": true })),
        (200, json!("<html>")),
        (500, json!({ "ok": false, "error": "invalid_auth" })),
        (403, json!("<html>")),
    ] {
        let outcome = send(status, body.clone()).await;
        assert!(matches!(outcome, Outcome::Ambiguous { .. }), "{status} {body}: {outcome:?}");
    }
    stage.bench.fault("slack", "publish", json!({ "kind": "throttle", "retry_after_s": 30 })).await;
    let answer = stage.send(&work, &ready).await;
    let wait = Some(Duration::from_secs(30));
    assert!(
        matches!(&answer.outcome, Outcome::Transient { code, retry_after, .. } if code == RATE_LIMITED && *retry_after == wait),
        "{answer:?}"
    );
    assert_eq!((answer.wire.hold, stage.bench.ledger().await.len()), (wait, 0));
}

#[tokio::test]
async fn refusals_of_the_workspace_itself_are_understood() {
    let stage = Stage::new("slack", Way::OAuth(|channel| channel.handle == "#announcements")).await;
    let work = stage.work(with("hi", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let refused = stage.send(&work, &ready).await.outcome;
    assert!(matches!(&refused, Outcome::Rejected { code, .. } if code == "NOT_ALLOWED"), "{refused:?}");
    let stage = Stage::new("slack", Way::OAuth(|channel| channel.handle == "#random")).await;
    let work = stage.work(with("hi", Vec::new()));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert!(kept.handles.contains_key("joined"), "a public channel is joined");
    accepted(&stage.send(&work, &ready).await);
    let slack = Slack::new(stage.bench.http.clone(), stage.bench.clock.clone());
    let channel = channel(&stage.session).to_owned();
    slack.ask(&stage.session, "conversations.leave", &[("channel", &channel)]).await.unwrap();
    let refused = stage.send(&work, &ready).await.outcome;
    assert!(matches!(&refused, Outcome::Rejected { code, .. } if code == "NOT_ALLOWED"), "{refused:?}");
    for (fault, is_over) in [("expire_tokens", true), ("revoke_tokens", true)] {
        stage.bench.control("script", &json!({ "network": "slack", "fault": { "kind": fault } })).await;
        let over = stage.send(&work, &ready).await.outcome;
        assert_eq!(matches!(over, Outcome::Reconnect { .. }), is_over, "{over:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn counts_reactions_deletes_and_keeps_the_workspace() {
    let stage = stage().await;
    let id = stage.publish(with("count me", Vec::new())).await;
    let other = stage.publish(with("other", Vec::new())).await;
    let counts = json!({ "network": "slack", "native_id": id, "likes": 5, "reposts": 0, "replies": 2 });
    stage.bench.control("engage", &counts).await;
    let channel = channel(&stage.session);
    let missing = format!("{channel}/1.000001");
    let found = stage.network.metrics(&stage.session, &[missing, id.clone()]).await.unwrap();
    assert_eq!((found[0].found, found[1].likes, found[1].replies), (false, 5, 2));
    for _ in 0..2 {
        stage.network.delete(&stage.session, &id).await.unwrap();
    }
    assert!(!stage.network.metrics(&stage.session, &[id]).await.unwrap()[0].found);
    stage.network.revoke(&stage.session).await.unwrap();
    assert!(stage.network.metrics(&stage.session, &[other]).await.unwrap()[0].found, "other channels go on");
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
}

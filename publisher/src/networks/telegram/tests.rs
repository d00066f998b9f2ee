//! The adapter against a Bot API over a real socket: what is posted, what each answer proves, and what is never repeated.
//! The server's ledger of what became visible is the judge.

use serde_json::json;

use super::{proof::WAY, *};
use crate::{
    domain::{
        content::Media,
        delivery::Reply,
        outcome::{Outcome, RATE_LIMITED},
        settings::{Settings, TelegramSettings},
    },
    networks::{
        connect::{Connect, ConnectFault},
        proof::{
            Stage, accepted,
            shared::{film, jpeg, png, proves, with},
        },
    },
    testing::{Bench, Kept, PNG, attempt},
};

async fn stage() -> Stage {
    Stage::new("telegram", WAY).await
}

async fn login(bench: &Bench, identifier: &str, token: &str) -> Result<String, ConnectFault> {
    let telegram = Telegram::new(bench.http.clone(), bench.clock.clone());
    let connected = telegram.login(&bench.server("telegram"), identifier, token).await?;
    Ok(format!("{} {} {}", connected.native_id, connected.handle, connected.profile_url))
}

async fn demo(bench: &Bench) -> Value {
    let accounts = bench.read("accounts").await;
    let demo = accounts.as_array().unwrap().iter().find(|account| account["network"] == "telegram");
    demo.unwrap().clone()
}

#[tokio::test]
async fn a_channel_is_connected_when_its_bot_may_post() {
    let bench = Bench::new().await;
    let demo = demo(&bench).await;
    let (token, id) = (demo["bot_token"].as_str().unwrap(), demo["chat_id"].to_string());
    let page = format!("{}/demo", bench.server("telegram"));
    for name in ["@demo", "demo", "https://t.me/demo", id.as_str()] {
        assert_eq!(login(&bench, name, token).await.unwrap(), format!("{id} @demo {page}"), "{name}");
    }
    let private = demo["private_chat_id"].to_string();
    assert_eq!(login(&bench, &private, token).await.unwrap(), format!("{private} Demo private "));
    for (name, token, why) in [
        ("@demo_readers", token, "may not post"),
        ("@demo_outside", token, "not in that channel"),
        ("@demo_kicked", token, "not in that channel"),
        ("@nobody", token, "no such channel"),
        ("", token, "name the channel"),
        ("@demo", "12:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "does not know this bot token"),
        ("@demo", "no token", "no bot token"),
    ] {
        let fault = login(&bench, name, token).await.unwrap_err().to_string();
        assert!(fault.contains(why), "{name}: {fault}");
        assert!(!fault.contains("AAAAAAAA"), "a token is in {fault}");
    }
}

#[tokio::test]
async fn files_travel_with_the_message() {
    let stage = stage().await;
    let chat = stage.session.native_id.clone();
    let mixed = with("three", vec![png(), film(), jpeg()]);
    let album = stage.publish(mixed).await;
    assert_eq!(album, format!("{chat}/2,3,4"));
    let animation = with("moves", vec![Media { content_type: "image/gif".into(), ..png() }]);
    let work = stage.work(animation);
    let ready = stage.ready(&work, &mut Kept::default()).await;
    assert_eq!(stage.ready(&work, &mut Kept::default()).await, ready, "the same bytes for the same work");
    let answer = stage.send(&work, &ready).await;
    assert_eq!(accepted(&answer), format!("{chat}/5"));
    let url = format!("{}/demo/5", stage.session.server);
    assert!(matches!(&answer.outcome, Outcome::Accepted { url: told, .. } if *told == url));
    assert_eq!(stage.network.id_in(&chat, &url), Some(format!("{chat}/5")));
    let private = url::Url::parse("https://t.me/c/1234/9").unwrap();
    assert_eq!(stage.network.id_in("-1001234", private.as_str()).as_deref(), Some("-1001234/9"));
    assert_eq!(stage.network.id_in("-1009999", private.as_str()), None);
    let lines = stage.bench.ledger().await;
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["text"], lines[0]["media"].as_array().unwrap().len()), (&json!("three"), 3));
    assert_eq!(lines[0]["media"][0]["size"], json!(PNG.len()));
    assert_eq!(lines[0]["media"][1]["mime"], "video/mp4");
}

#[tokio::test]
async fn a_thread_is_a_chain_of_replies() {
    let stage = stage().await;
    let root = stage.publish(with("first", vec![png(), png()])).await;
    let reply = |parent: &str| Some(Reply { parent_native_id: parent.into(), root_native_id: root.clone() });
    let mut second = stage.work(with("second", vec![png()]));
    second.reply = reply(&root);
    let ready = stage.ready(&second, &mut Kept::default()).await;
    let middle = accepted(&stage.send(&second, &ready).await);
    let mut third = stage.work(with("third", Vec::new()));
    third.reply = reply(&middle);
    let ready = stage.ready(&third, &mut Kept::default()).await;
    accepted(&stage.send(&third, &ready).await);
    let chat = &stage.session.native_id;
    let parents: Vec<_> =
        stage.bench.ledger().await.into_iter().map(|line| line["in_reply_to"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(format!("{chat}/2")), json!(middle)]);
    stage.network.delete(&stage.session, &middle).await.unwrap();
    let refused = stage.send(&third, &ready).await.outcome;
    assert!(matches!(&refused, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{refused:?}");
}

#[tokio::test]
async fn a_lost_answer_is_never_guessed_about() {
    let stage = stage().await;
    for fault in [
        json!({ "kind": "accept_then_reset" }),
        json!({ "kind": "accept_then_500" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "drop_before" }),
        json!({ "kind": "status", "code": 403, "body": "<html>blocked</html>" }),
        json!({ "kind": "status", "code": 400, "body": { "ok": false, "error_code": 400, "description": "Bad Request: something new" } }),
        json!({ "kind": "status", "code": 500, "body": { "ok": false, "error_code": 500, "description": "Unauthorized" } }),
        json!({ "kind": "status", "code": 200, "body": { "ok": true, "result": true } }),
    ] {
        let work = stage.work(with("once", Vec::new()));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.bench.fault("telegram", "publish", fault.clone()).await;
        let lost = stage.send(&work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{fault}: {lost:?}");
        let found = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
        assert!(matches!(found, Found::Unsure { .. }), "{found:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 3);
}

#[tokio::test]
async fn each_listed_refusal_is_what_the_table_says() {
    let stage = stage().await;
    let work = stage.work(with("refused", Vec::new()));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    for rule in errors::RULES {
        let (status, text, proof) = rule.parts();
        let body = json!({ "ok": false, "error_code": status, "description": format!("{text} of it") });
        let fault = json!({ "kind": "status", "code": status, "body": body });
        stage.bench.fault("telegram", "publish", fault).await;
        let outcome = stage.send(&work, &ready).await.outcome;
        assert!(proves(proof, &outcome), "{status} {text}: {outcome:?}");
    }
    stage.bench.fault("telegram", "publish", json!({ "kind": "throttle", "retry_after_s": 35 })).await;
    let answer = stage.send(&work, &ready).await;
    let wait = Some(std::time::Duration::from_secs(35));
    assert!(
        matches!(&answer.outcome, Outcome::Transient { code, retry_after, .. } if code == RATE_LIMITED && *retry_after == wait),
        "{answer:?}"
    );
    assert_eq!(answer.wire.hold, wait);
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn refusals_of_the_server_itself_are_understood() {
    let mut stage = stage().await;
    let demo = demo(&stage.bench).await;
    let own = stage.session.native_id.clone();
    let send = async |stage: &mut Stage, chat: &str, text: &str| {
        stage.session.native_id = chat.to_owned();
        let work = stage.work(with(text, Vec::new()));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.send(&work, &ready).await.outcome
    };
    let id = own.parse::<i64>().unwrap();
    for (chat, text, expected) in [
        ((id - 2).to_string(), "hi", "NOT_ALLOWED"),
        ((id - 3).to_string(), "hi", "NOT_ALLOWED"),
        ((id - 5).to_string(), "hi", "NOT_ALLOWED"),
        ("-1".to_owned(), "hi", "CHAT_GONE"),
        (demo["old_group_id"].to_string(), "hi", "CHAT_MOVED"),
        (own.clone(), " ", "EMPTY"),
        (own.clone(), &"x".repeat(4097), "TEXT_TOO_LONG"),
    ] {
        let outcome = send(&mut stage, &chat, text).await;
        assert!(
            matches!(&outcome, Outcome::Rejected { code, .. } if code == expected),
            "{chat}: {outcome:?}"
        );
    }
    let revoke = json!({ "network": "telegram", "fault": { "kind": "revoke_tokens" } });
    stage.bench.control("script", &revoke).await;
    let revoked = send(&mut stage, &own, "hi").await;
    assert!(matches!(revoked, Outcome::Reconnect { .. }), "{revoked:?}");
    let late = stage.work(with("late", Vec::new()));
    let ready = stage.ready(&late, &mut Kept::default()).await;
    let armed = Armed::for_tests(false, std::time::Duration::ZERO);
    let late = stage.network.send(armed, &stage.session, &late, &ready).await;
    assert!(matches!(late.outcome, Outcome::NotSent { .. }), "{late:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn deletes_every_message_of_an_album_and_forgets_the_token() {
    let stage = stage().await;
    let album = stage.publish(with("album", vec![png(); 2])).await;
    let other = stage.publish(with("other", Vec::new())).await;
    for _ in 0..2 {
        stage.network.delete(&stage.session, &album).await.unwrap();
    }
    let requests = stage.bench.requests("delete").await;
    assert_eq!(requests[0]["body"]["message_ids"], json!([2, 3]));
    stage.network.delete(&stage.session, &other).await.unwrap();
    stage.network.delete(&stage.session, &other).await.unwrap();
    stage.network.revoke(&stage.session).await.unwrap();
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
    let counts = stage.network.metrics(&stage.session, &[album]).await.unwrap_err();
    assert!(matches!(&counts, Fault::Rejected { code, .. } if code == "NO_METRICS"), "{counts:?}");
    let throttle = json!({ "kind": "throttle", "retry_after_s": 3 });
    stage.bench.fault("telegram", "delete", throttle).await;
    let wait = stage.network.delete(&stage.session, &other).await.unwrap_err();
    assert_eq!(wait.throttled(), Some(std::time::Duration::from_secs(3)));
}

#[tokio::test]
async fn settings_and_large_pictures_reach_the_wire() {
    let stage = stage().await;
    let settings = TelegramSettings { silent: true, preview_disabled: false, protect_content: true };
    let mut content = with("quiet", Vec::new());
    content.settings = Settings::Telegram(settings);
    stage.publish(content).await;
    let body = &stage.bench.requests("publish").await[0]["body"];
    let chat: i64 = stage.session.native_id.parse().unwrap();
    let expected =
        json!({ "chat_id": chat, "text": "quiet", "disable_notification": true, "protect_content": true });
    assert_eq!(body, &expected);
    let logged = stage.bench.requests("publish").await[0]["path"].as_str().unwrap().to_owned();
    assert!(logged.starts_with("/telegram/botsha256:"), "{logged}");
    let found =
        stage.network.validate(&limits(), &with("x", vec![Media { width: 9000, height: 2000, ..png() }]), 0);
    assert_eq!(found, [], "it is sent smaller");
}

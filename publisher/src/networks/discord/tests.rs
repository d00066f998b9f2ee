//! The adapter against a webhook over a real socket: what is posted, what each answer proves, and what is never repeated.
//! The server's ledger of what became visible is the judge.

use std::time::Duration;

use serde_json::json;

use super::{
    proof::{WAY, set},
    *,
};
use crate::{
    domain::{
        content::Media,
        outcome::{Outcome, RATE_LIMITED},
        settings::DiscordSettings,
    },
    networks::{
        connect::Connect,
        proof::{
            Stage, accepted,
            shared::{film, jpeg, png, proves, with},
        },
    },
    testing::{Bench, Kept, PNG, attempt},
};

async fn stage() -> Stage {
    Stage::new("discord", WAY).await
}

async fn path(bench: &Bench) -> String {
    let accounts = bench.read("accounts").await;
    let demo = accounts.as_array().unwrap().iter().find(|account| account["network"] == "discord");
    demo.unwrap()["webhook_path"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_channel_is_connected_by_the_address_of_its_webhook() {
    let bench = Bench::new().await;
    let (server, path) = (bench.server("discord"), path(&bench).await);
    let discord = Discord::new(bench.http.clone(), bench.clock.clone());
    let address = format!(" {server}{path} ");
    let connected = discord.login(&server, "", &address).await.unwrap();
    assert_eq!((connected.handle.as_str(), connected.limits.text_length), ("Demo", 2000));
    assert!(path.contains(&connected.native_id) && !connected.profile_url.contains("webhooks"));
    let secret = path.rsplit('/').next().unwrap().to_owned();
    let wrong = path.replace(&secret, &"z".repeat(60));
    let unknown = format!("/api/webhooks/1/{secret}");
    for (address, why) in [
        (format!("{server}{wrong}"), "does not know this webhook"),
        (unknown, "no longer exists"),
        (format!("https://discord.com{path}"), "no webhook's address"),
        ("https://example.com/".to_owned(), "no webhook's address"),
    ] {
        let fault = discord.login(&server, "", &address).await.unwrap_err().to_string();
        assert!(fault.contains(why), "{fault}");
        assert!(!fault.contains(&secret), "a token is in {fault}");
    }
}

#[tokio::test]
async fn files_travel_with_the_message_and_nobody_is_notified() {
    let stage = stage().await;
    let alt = Media { alt_text: "a dot".into(), ..png() };
    let work = stage.work(with("hello @everyone", vec![alt, film(), jpeg()]));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    assert_eq!(stage.ready(&work, &mut Kept::default()).await, ready, "the same bytes for the same work");
    let answer = stage.send(&work, &ready).await;
    let id = accepted(&answer);
    let Outcome::Accepted { url, .. } = &answer.outcome else { unreachable!("it was accepted") };
    assert_eq!(stage.network.id_in("", url), Some(id.clone()));
    let lines = stage.bench.ledger().await;
    assert_eq!((lines.len(), &lines[0]["native_id"]), (1, &json!(id)));
    assert_eq!(
        (&lines[0]["media"][0]["alt"], &lines[0]["media"][0]["size"]),
        (&json!("a dot"), &json!(PNG.len()))
    );
    assert_eq!(lines[0]["media"][1]["mime"], "video/mp4");
    let settings = DiscordSettings { mentions_notify: true, ..DiscordSettings::default() };
    stage.publish(set(settings, with("hello @everyone", Vec::new()))).await;
    let body = &stage.bench.requests("publish").await[1]["body"];
    assert_eq!(body["allowed_mentions"]["parse"], json!(["everyone", "roles", "users"]));
    let logged = stage.bench.requests("publish").await[1]["path"].as_str().unwrap().to_owned();
    assert!(!logged.contains(stage.session.access_token.expose()), "{logged}");
}

#[tokio::test]
async fn a_lost_answer_is_never_guessed_about() {
    let stage = stage().await;
    for fault in [
        json!({ "kind": "accept_then_reset" }),
        json!({ "kind": "accept_then_500" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "drop_before" }),
        json!({ "kind": "status", "code": 204 }),
        json!({ "kind": "status", "code": 403, "body": "<html>blocked</html>" }),
        json!({ "kind": "status", "code": 429, "body": "<html>blocked</html>" }),
        json!({ "kind": "status", "code": 400, "body": { "code": 99_999, "message": "new" } }),
        json!({ "kind": "status", "code": 500, "body": { "code": 10015, "message": "Unknown Webhook" } }),
    ] {
        let work = stage.work(with("once", Vec::new()));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.bench.fault("discord", "publish", fault.clone()).await;
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
        let body = match text {
            "rate" => {
                json!({ "message": "You are being rate limited.", "retry_after": 0.64, "global": false })
            }
            "50035/content" => {
                let errors = json!([{ "code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length." }]);
                json!({ "code": 50035, "message": "Invalid Form Body", "errors": { "content": { "_errors": errors } } })
            }
            code => json!({ "code": code.parse::<i64>().unwrap(), "message": "of it" }),
        };
        let fault = json!({ "kind": "status", "code": status, "body": body });
        stage.bench.fault("discord", "publish", fault).await;
        let outcome = stage.send(&work, &ready).await.outcome;
        assert!(proves(proof, &outcome), "{status} {text}: {outcome:?}");
    }
    stage.bench.fault("discord", "publish", json!({ "kind": "throttle", "retry_after_s": 3 })).await;
    let answer = stage.send(&work, &ready).await;
    let Outcome::Transient { code, retry_after: Some(wait), .. } = &answer.outcome else {
        panic!("{answer:?}")
    };
    assert!(
        code == RATE_LIMITED && *wait > Duration::from_secs(2) && *wait <= Duration::from_secs(3),
        "{answer:?}"
    );
    assert_eq!(answer.wire.hold, Some(*wait));
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn refusals_of_the_server_itself_are_understood() {
    let stage = stage().await;
    let outcome = async |content| {
        let work = stage.work(content);
        let ready = stage.ready(&work, &mut Kept::default()).await;
        stage.send(&work, &ready).await.outcome
    };
    let named = DiscordSettings { username: "clyde".into(), ..DiscordSettings::default() };
    for (content, expected) in [
        (with(&"x".repeat(2001), Vec::new()), "TEXT_TOO_LONG"),
        (with(" ", Vec::new()), "EMPTY"),
        (set(named, with("hi", Vec::new())), "CONTENT_REFUSED"),
        (with("hi", vec![png(); 11]), "TOO_MANY_IMAGES"),
    ] {
        let refused = outcome(content).await;
        assert!(matches!(&refused, Outcome::Rejected { code, .. } if code == expected), "{refused:?}");
    }
    let found = stage.network.validate(&limits(), &with("x", Vec::new()), 1);
    assert_eq!(found[0].reason, "NO_THREADS");
    let revoke = json!({ "network": "discord", "fault": { "kind": "revoke_tokens" } });
    stage.bench.control("script", &revoke).await;
    let revoked = outcome(with("hi", Vec::new())).await;
    assert!(matches!(revoked, Outcome::Reconnect { .. }), "{revoked:?}");
    let counted = stage.network.metrics(&stage.session, &["1".into()]).await.unwrap_err();
    assert!(matches!(counted, Fault::Reconnect { .. }), "{counted:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn counts_reactions_and_deletes() {
    let stage = stage().await;
    let id = stage.publish(with("count me", Vec::new())).await;
    let counts = json!({ "network": "discord", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let found = stage.network.metrics(&stage.session, &["1".into(), id.clone()]).await.unwrap();
    assert_eq!((found[0].found, found[1].found, found[1].likes, found[1].reposts), (false, true, 5, 0));
    for _ in 0..2 {
        stage.network.delete(&stage.session, &id).await.unwrap();
    }
    assert!(!stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await.unwrap()[0].found);
    stage.network.revoke(&stage.session).await.unwrap();
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
    let broken = json!({ "kind": "status", "code": 502, "body": "<html>" });
    stage.bench.fault("discord", "delete", broken).await;
    let later = stage.network.delete(&stage.session, &id).await.unwrap_err();
    assert!(matches!(later, Fault::Transient { .. }), "{later:?}");
}

#[test]
fn an_exhausted_limit_holds_the_account() {
    let hold = |remaining: &str, after: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-ratelimit-remaining", remaining.parse().unwrap());
        headers.insert("x-ratelimit-reset-after", after.parse().unwrap());
        errors::exhausted(&headers)
    };
    assert_eq!(hold("0", "1.5"), Some(Duration::from_millis(1500)));
    assert_eq!(hold("1", "1.5"), None);
    assert_eq!(hold("0", "-1"), None);
    assert_eq!(hold("0", "soon"), None);
}

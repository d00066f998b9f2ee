//! The relatives of Mastodon and its videos over a real socket: who is connected as what, what a lost answer leaves behind
//! where keys are forgotten, and what goes up.

use serde_json::json;

use super::*;
use crate::{
    domain::{content::Media, outcome::Outcome},
    networks::connect::{Begin, Connect, ConnectFault, Finish},
    testing::{Bench, CLIP, Kept, TIME, attempt, clip, media_source, session, work},
};

const REDIRECT: &str = "https://mesh.example/oauth/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn begin(server: &str) -> Begin<'_> {
    Begin { server, redirect_uri: REDIRECT, state: "s", challenge: CHALLENGE, registration: None, app: None }
}

async fn connected(bench: &Bench, adapter: &Mastodon) -> Session {
    let server = bench.server(adapter.id());
    let began = adapter.begin(begin(&server)).await.unwrap();
    let back = bench.press(&began.authorization_url, "authorize").await;
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: began.registration.expose(),
        code: &back["code"],
        verifier: VERIFIER,
        app: None,
    };
    session(adapter.id(), adapter.finish(ask).await.unwrap().remove(0))
}

fn all(bench: &Bench) -> [Mastodon; 4] {
    let mastodon = Mastodon::new(bench.http.clone(), bench.clock.clone());
    [mastodon.pixelfed(), mastodon.gotosocial(), mastodon.pleroma(), mastodon]
}

fn native_id(answer: &Answer) -> &str {
    match &answer.outcome {
        Outcome::Accepted { native_id, .. } => native_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_server_is_connected_as_what_it_runs() {
    let bench = Bench::new().await;
    for adapter in all(&bench) {
        for other in ["mastodon", "pixelfed", "gotosocial", "pleroma"] {
            let began = adapter.begin(begin(&bench.server(other))).await;
            if other == adapter.id() {
                began.unwrap();
                continue;
            }
            let wrong = began.unwrap_err();
            assert!(
                matches!(&wrong, ConnectFault::OtherNetwork { network, .. } if *network == other),
                "{} at {other}: {wrong:?}",
                adapter.id()
            );
            assert!(wrong.to_string().contains(&format!("`{other}`")), "{wrong}");
        }
    }
}

#[tokio::test]
async fn where_keys_are_forgotten_a_lost_post_is_found_by_reading() {
    let bench = Bench::new().await;
    for adapter in all(&bench) {
        let session = connected(&bench, &adapter).await;
        let before = bench.ledger().await.len();
        let work = work(&adapter, &format!("a post at {}", adapter.id()), 1);
        assert_eq!(adapter.validate(&session.limits, &work.content, 0), [], "{}", adapter.id());
        let mut kept = Kept::default();
        let ready = adapter.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
        let facts = attempt();
        bench.fault(adapter.id(), "publish", json!({ "kind": "accept_then_reset" })).await;
        let lost = adapter.send(Armed::for_tests(false, TIME), &session, &work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
        let found = adapter.reconcile(&session, &work, &kept.handles, &facts).await;
        let Found::Live { native_id, .. } = found else { panic!("{}: {found:?}", adapter.id()) };
        let ledger = bench.ledger().await;
        assert_eq!(ledger.len(), before + 1);
        assert_eq!(
            (&ledger[before]["native_id"], &ledger[before]["network"]),
            (&json!(native_id), &json!(adapter.id()))
        );
        assert!(adapter.metrics(&session, std::slice::from_ref(&native_id)).await.unwrap()[0].found);
        adapter.delete(&session, &native_id).await.unwrap();
        adapter.revoke(&session).await.unwrap();
    }
}

#[tokio::test]
async fn pixelfed_takes_nothing_without_a_picture_and_no_threads() {
    let bench = Bench::new().await;
    let [pixelfed, ..] = all(&bench);
    let session = connected(&bench, &pixelfed).await;
    let text = work(&pixelfed, "words alone", 0);
    let reasons = |position| {
        let found = pixelfed.validate(&session.limits, &text.content, position);
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(0), ["MEDIA_REQUIRED"]);
    assert_eq!(reasons(1), ["NO_THREADS", "MEDIA_REQUIRED"]);
    let ready = pixelfed.prepare(&session, &text, &media_source(), &mut Kept::default()).await.unwrap();
    let refused = pixelfed.send(Armed::for_tests(false, TIME), &session, &text, &ready).await.outcome;
    assert!(matches!(refused, Outcome::Ambiguous { .. }), "an unlisted refusal proves nothing: {refused:?}");
    assert_eq!(bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn a_video_is_read_while_it_goes_up_and_waited_for() {
    let bench = Bench::new().await;
    let [.., mastodon] = all(&bench);
    let session = connected(&bench, &mastodon).await;
    assert_eq!((session.limits.videos, session.limits.video_bytes), (1, 103_809_024));
    let mut work = work(&mastodon, "watch", 1);
    work.content.media[0] = Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: clip().len() as i64,
        width: 64,
        height: 64,
        alt_text: "a clip".into(),
        duration_ms: 1000,
    };
    assert_eq!(mastodon.validate(&session.limits, &work.content, 0), []);
    let mut kept = Kept::default();
    let ready = mastodon.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
    assert_eq!((kept.writes, &kept.handles["media.0"]["ready"]), (2, &json!(true)));
    let upload = &bench.requests("media_upload").await[0];
    let length: usize = upload["headers"]["content-length"].as_str().unwrap().parse().unwrap();
    assert!(length > clip().len() && upload["headers"].get("transfer-encoding").is_none(), "{upload}");
    native_id(&mastodon.send(Armed::for_tests(false, TIME), &session, &work, &ready).await);
    let media = &bench.ledger().await[0]["media"][0];
    assert_eq!((&media["mime"], &media["alt"]), (&json!("video/mp4"), &json!("a clip")));
    assert_eq!(media["size"], json!(clip().len()));

    let mut mixed = work.content.clone();
    mixed.media.push(crate::testing::work(&mastodon, "", 1).content.media.remove(0));
    let found = mastodon.validate(&session.limits, &mixed, 0);
    assert_eq!(found[0].reason, "MIXED_MEDIA");
    let large = Media { width: 3840, height: 2161, size_bytes: 103_809_025, ..work.content.media[0].clone() };
    let large = Content { media: vec![large], ..work.content };
    let reasons: Vec<_> =
        mastodon.validate(&session.limits, &large, 0).into_iter().map(|found| found.reason).collect();
    assert_eq!(reasons, ["VIDEO_TOO_LARGE", "VIDEO_TOO_MANY_PIXELS"]);
}

//! The adapter against a stand-in of TikTok over a real socket; its ledger of what became visible is the judge.

use serde_json::json;

use super::{
    proof::{film, picture, with},
    *,
};
use crate::{
    domain::{
        content::Media,
        outcome::Outcome,
        settings::{TiktokPrivacy, TiktokSettings},
    },
    networks::{
        connect::{Begin, Connect, ConnectFault, Finish},
        proof::{Stage, Way, accepted},
    },
    testing::{Bench, Kept, LONGER_CLIP, TIME, app, attempt, longer_clip},
};

const REDIRECT: &str = "https://mesh.example/oauth/callback";

async fn stage() -> Stage {
    Stage::new("tiktok", Way::OAuth(|_| true)).await
}

fn video(text: &str) -> Content {
    with(text, vec![film()], TiktokSettings::default())
}

fn photos(text: &str) -> Content {
    with(text, vec![picture(), picture()], TiktokSettings::default())
}

/// A video of several chunks.
fn long(text: &str) -> Content {
    let size_bytes = i64::try_from(longer_clip().len()).unwrap();
    with(text, vec![Media { media_id: LONGER_CLIP, size_bytes, ..film() }], TiktokSettings::default())
}

async fn send(stage: &Stage, work: &Work, ready: &Ready) -> Outcome {
    stage.network.send(Armed::for_tests(false, TIME), &stage.session, work, ready).await.outcome
}

/// The account of that handle, connected.
async fn as_account(bench: &Bench, handle: &str) -> (Tiktok, Session) {
    bench.control("accounts", &json!({ "network": "tiktok", "handle": handle })).await;
    let tiktok = Tiktok::new(bench.http.clone(), bench.clock.clone());
    let connected = connect(bench, &tiktok, connect::SCOPES, handle).await.unwrap();
    (tiktok, crate::testing::session("tiktok", connected))
}

async fn connect(
    bench: &Bench,
    tiktok: &Tiktok,
    scopes: &[&str],
    handle: &str,
) -> Result<crate::networks::connect::Connected, ConnectFault> {
    let (server, app) = (bench.server("tiktok"), app("tiktok"));
    let ask = Begin {
        server: &server,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: "c",
        registration: None,
        app: Some(&app),
    };
    let began = tiktok.begin(ask).await.unwrap();
    let mut page = url::Url::parse(&began.authorization_url).unwrap();
    let fields: Vec<(String, String)> = page
        .query_pairs()
        .map(|(name, value)| {
            let value = if name == "scope" { scopes.join(",") } else { value.into_owned() };
            (name.into_owned(), value)
        })
        .chain([("account".into(), handle.into()), ("decision".into(), "authorize".into())])
        .collect();
    page.set_query(None);
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = http::Request::post(page.as_str())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .unwrap();
    let back = bench.http.send(request).await.unwrap();
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: "",
        code: &code,
        verifier: "v",
        app: Some(&app),
    };
    tiktok.finish(ask).await.map(|mut accounts| accounts.remove(0))
}

#[tokio::test]
async fn connects_and_reads_refusals_that_come_with_200() {
    let stage = stage().await;
    let session = &stage.session;
    assert_eq!((session.native_id.as_str(), session.handle.as_str()), ("-0001701234567890123456", "@demo"));
    assert!(session.refresh_token.is_some() && session.access_expires_at.is_some());
    let tiktok = Tiktok::new(stage.bench.http.clone(), stage.bench.clock.clone());
    let fewer =
        connect(&stage.bench, &tiktok, &["user.info.basic", "video.publish"], "demo").await.unwrap_err();
    let named = "user.info.profile, video.upload, video.list";
    assert!(matches!(&fewer, ConnectFault::ScopesMissing { missing, .. } if missing == named), "{fewer:?}");
    let (server, app) = (stage.bench.server("tiktok"), app("tiktok"));
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: "",
        code: "nothing",
        verifier: "v",
        app: Some(&app),
    };
    let unknown = tiktok.finish(ask).await.unwrap_err();
    assert!(matches!(unknown, ConnectFault::CodeRefused { .. }), "{unknown:?}");
}

#[tokio::test]
async fn a_long_video_is_uploaded_in_chunks_and_published_by_the_last_one() {
    let stage = stage().await;
    let work = stage.work(long("in parts"));
    let mut kept = Kept::default();
    stage.bench.fault("tiktok", "media_upload", json!({ "kind": "delay", "ms": 1 })).await;
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["creator", "upload"]);
    assert!(kept.handles["upload"]["count"].as_u64().unwrap() > 1, "{:?}", kept.handles["upload"]);
    let calls = stage.bench.all_requests().await.len();
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.all_requests().await.len(), calls, "everything is stored");
    let look = async || stage.network.reconcile(&stage.session, &work, &kept.handles, &attempt()).await;
    assert_eq!(look().await, Found::Absent, "the last bytes are missing");
    assert_eq!(stage.bench.ledger().await.len(), 0);
    let id = accepted(&stage.send(&work, &ready).await);
    let ledger = stage.bench.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert!(ledger[0]["native_id"].as_str().unwrap().ends_with(&id), "{id}");
    assert_eq!(
        (&ledger[0]["media"][0]["size"], &ledger[0]["text"]),
        (&json!(longer_clip().len()), &json!("in parts"))
    );
    let again = send(&stage, &work, &ready).await;
    assert!(matches!(again, Outcome::Ambiguous { .. }), "{again:?}");
    let found = look().await;
    assert!(
        matches!(&found, Found::Live { native_id, url, .. } if *native_id == id && url.ends_with(&id)),
        "{found:?}"
    );
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn an_upload_goes_on_where_a_lost_answer_left_it() {
    let stage = stage().await;
    let work = stage.work(long("resumed"));
    let (mut kept, media) = (Kept::default(), stage.library.source());
    let lost = json!({ "network": "tiktok", "operation": "media_upload", "skip": 1,
        "fault": { "kind": "accept_then_reset" } });
    stage.bench.control("script", &lost).await;
    let hiccup = stage.network.prepare(&stage.session, &work, &media, &mut kept).await.unwrap_err();
    assert!(matches!(hiccup, Fault::Transient { .. }), "{hiccup:?}");
    assert_eq!(kept.handles["upload"]["sent"], 0, "nobody knows that the first chunk arrived");
    let publish_id = kept.handles["upload"]["publish_id"].clone();
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(kept.handles["upload"]["publish_id"], publish_id);
    accepted(&stage.send(&work, &ready).await);
    assert_eq!(stage.bench.ledger().await[0]["media"][0]["size"], json!(longer_clip().len()));
}

#[tokio::test]
async fn an_upload_whose_hour_is_over_is_made_again() {
    let stage = stage().await;
    let work = stage.work(video("late"));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    stage.bench.control("clock", &json!({ "advance_ms": 3_600_000 })).await;
    let stale = send(&stage, &work, &ready).await;
    assert!(matches!(&stale, Outcome::Stale { steps, .. } if steps == &["upload"]), "{stale:?}");
    kept.handles.remove("upload");
    let ready = stage.ready(&work, &mut kept).await;
    accepted(&stage.send(&work, &ready).await);
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_to_the_last_chunk_is_settled_by_the_publish_id() {
    let stage = stage().await;
    let work = stage.work(video("lost"));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    let look = async || stage.network.reconcile(&stage.session, &work, &kept.handles, &attempt()).await;
    stage.bench.fault("tiktok", "publish", json!({ "kind": "drop_before" })).await;
    assert!(matches!(send(&stage, &work, &ready).await, Outcome::Ambiguous { .. }));
    assert_eq!(look().await, Found::Absent);
    stage.bench.fault("tiktok", "publish", json!({ "kind": "processing", "ms": 400 })).await;
    stage.bench.fault("tiktok", "publish", json!({ "kind": "accept_then_reset" })).await;
    assert!(matches!(send(&stage, &work, &ready).await, Outcome::Ambiguous { .. }));
    let early = look().await;
    assert!(matches!(early, Found::Unsure { .. }), "all bytes are there: {early:?}");
    stage.bench.control("clock", &json!({ "advance_ms": 500 })).await;
    let found = look().await;
    assert!(matches!(found, Found::Live { .. }), "{found:?}");
    assert_eq!(stage.bench.ledger().await.len(), 1);
    // When the record of the upload was lost, the list of public posts may show it; that it does not proves nothing.
    stage.bench.control("clock", &json!({ "advance_ms": 1000 })).await;
    let listed = stage.network.reconcile(&stage.session, &work, &HandleMap::new(), &attempt()).await;
    assert!(matches!(listed, Found::Live { .. }), "{listed:?}");
    let other = stage.work(with("never sent", vec![film()], TiktokSettings::default()));
    let unseen = stage.network.reconcile(&stage.session, &other, &HandleMap::new(), &attempt()).await;
    assert_eq!(unseen, Found::Unseen);
}

#[tokio::test]
async fn drafts_end_in_the_inbox() {
    let stage = stage().await;
    let settings = TiktokSettings { to_inbox: true, ..TiktokSettings::default() };
    for (media, start) in [(vec![film()], "v_inbox_file~"), (vec![picture()], "v_inbox_url~")] {
        let work = stage.work(with("to finish", media, settings.clone()));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        let answer = stage.send(&work, &ready).await;
        let Outcome::InInbox { native_id } = &answer.outcome else { panic!("{answer:?}") };
        assert!(native_id.starts_with(start), "{native_id}");
    }
    let asked = stage.bench.all_requests().await;
    assert!(!asked.iter().any(|call| call["path"].as_str().unwrap().contains("creator_info")));
}

#[tokio::test]
async fn photos_are_fetched_as_jpeg_and_their_absence_is_never_believed() {
    let stage = stage().await;
    let work = stage.work(photos("two photos"));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["creator", "share.0", "share.1"]);
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    let look = async || stage.network.reconcile(&stage.session, &work, &kept.handles, &attempt()).await;
    stage.bench.fault("tiktok", "publish", json!({ "kind": "drop_before" })).await;
    assert!(matches!(send(&stage, &work, &ready).await, Outcome::Ambiguous { .. }));
    let absent = look().await;
    assert_eq!(absent, Found::Unseen);
    stage.bench.fault("tiktok", "publish", json!({ "kind": "accept_then_500" })).await;
    assert!(matches!(send(&stage, &work, &ready).await, Outcome::Ambiguous { .. }));
    stage.bench.control("clock", &json!({ "advance_ms": 1000 })).await;
    let found = look().await;
    assert!(matches!(&found, Found::Live { url, .. } if url.contains("/photo/")), "{found:?}");
    let ledger = stage.bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["media"][1]["mime"]), (1, &json!("image/jpeg")));
    stage.publish(photos("two photos")).await;
    let twice = look().await;
    assert!(matches!(twice, Found::Unsure { .. }), "{twice:?}");
}

#[tokio::test]
async fn what_fails_after_it_was_taken_is_told_with_its_reason() {
    let stage = stage().await;
    let work = stage.work(video("bad"));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    stage.bench.fault("tiktok", "publish", json!({ "kind": "processing", "ms": 50, "fails": true })).await;
    let failed = stage.send(&work, &ready).await.outcome;
    assert!(matches!(&failed, Outcome::Rejected { code, .. } if code == "PROCESSING_FAILED"), "{failed:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
    for (why, code) in [
        ("file_format_check_failed", "MEDIA_REFUSED"),
        ("photo_pull_failed", "MEDIA_NOT_FETCHED"),
        ("auth_removed", "AUTHORIZATION_REMOVED"),
        ("spam_risk_text", "ACCOUNT_RESTRICTED"),
        ("publish_cancelled", "CANCELLED"),
        ("internal", "PROCESSING_FAILED"),
    ] {
        assert_eq!(errors::failed(why).0, code, "{why}");
    }
}

#[tokio::test]
async fn a_post_whose_id_is_never_told_keeps_its_publish_id() {
    let stage = stage().await;
    let settings = TiktokSettings { privacy: Some(TiktokPrivacy::SelfOnly), ..TiktokSettings::default() };
    let id = stage.publish(with("for me", vec![film()], settings)).await;
    assert!(id.starts_with("v_pub_file~"), "{id}");
    let metrics = stage.network.metrics(&stage.session, &[id, "1".into()]).await.unwrap();
    assert!(metrics[0].found && metrics[0].views == 0 && !metrics[1].found, "{metrics:?}");
}

#[tokio::test]
async fn what_the_creator_may_do_is_asked_before_each_post() {
    let bench = Bench::new().await;
    let library = crate::testing::library().await;
    let prepare = async |handle: &str, privacy: Option<TiktokPrivacy>| {
        let (tiktok, session) = as_account(&bench, handle).await;
        let content = with("x", vec![film()], TiktokSettings { privacy, ..TiktokSettings::default() });
        let work = Work { content, ..crate::testing::work(&tiktok, "", 0) };
        let mut kept = Kept::default();
        let prepared = tiktok.prepare(&session, &work, &library.source(), &mut kept).await;
        prepared.map(|_| kept.handles["creator"]["privacy"].as_str().unwrap().to_owned())
    };
    assert_eq!(prepare("private.ana", None).await, Ok("FOLLOWER_OF_CREATOR".into()));
    let code = |fault: Result<String, Fault>| match fault.unwrap_err() {
        Fault::Rejected { code, .. } | Fault::Transient { code, .. } => code,
        other => panic!("{other:?}"),
    };
    let public = Some(TiktokPrivacy::PublicToEveryone);
    assert_eq!(code(prepare("private.ana", public).await), "PRIVACY_NOT_OFFERED");
    assert_eq!(code(prepare("banned.ana", None).await), "ACCOUNT_RESTRICTED");
    assert_eq!(code(prepare("busy.ana", None).await), "RATE_LIMITED");
    assert_eq!(code(prepare("unaudited.ana", None).await), "APP_UNAUDITED");
    assert_eq!(bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn each_listed_refusal_proves_what_it_says_and_nothing_else_does() {
    let stage = stage().await;
    let work = stage.work(photos("refused"));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let answer = async |status: u16, code: &str| {
        let body = json!({ "data": {}, "error": { "code": code, "message": "", "log_id": "1" } });
        stage
            .bench
            .fault("tiktok", "publish", json!({ "kind": "status", "code": status, "body": body }))
            .await;
        send(&stage, &work, &ready).await
    };
    for (status, code, expected) in [
        (401, "access_token_invalid", "expired"),
        (401, "scope_not_authorized", "reconnect"),
        (401, "scope_permission_missed", "reconnect"),
        (400, "invalid_params", "CONTENT_REFUSED"),
        (400, "invalid_param", "CONTENT_REFUSED"),
        (400, "app_version_check_failed", "APP_TOO_OLD"),
        (403, "privacy_level_option_mismatch", "PRIVACY_NOT_OFFERED"),
        (403, "url_ownership_unverified", "URL_UNVERIFIED"),
        (403, "unaudited_client_can_only_post_to_private_accounts", "APP_UNAUDITED"),
        (403, "spam_risk_too_many_posts", "RATE_LIMITED"),
        (200, "spam_risk_too_many_posts", "RATE_LIMITED"),
        (403, "spam_risk_too_many_pending_share", "RATE_LIMITED"),
        (403, "spam_risk_user_banned_from_posting", "ACCOUNT_RESTRICTED"),
        (200, "spam_risk", "ACCOUNT_RESTRICTED"),
        (403, "spam_risk_text", "ACCOUNT_RESTRICTED"),
        (403, "reached_active_user_cap", "RATE_LIMITED"),
        (429, "rate_limit_exceeded", "RATE_LIMITED"),
        (500, "internal_error", "ambiguous"),
        (503, "spam_risk", "ambiguous"),
        (400, "something_new", "ambiguous"),
        (200, "ok", "ambiguous"),
    ] {
        let seen = match answer(status, code).await {
            Outcome::TokenExpired => "expired".to_owned(),
            Outcome::Reconnect { .. } => "reconnect".to_owned(),
            Outcome::Ambiguous { .. } => "ambiguous".to_owned(),
            Outcome::Transient { code, retry_after: Some(_), .. } | Outcome::Rejected { code, .. } => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, expected, "{status} {code}");
    }
    stage.bench.fault("tiktok", "publish", json!({ "kind": "garbage" })).await;
    let garbage = send(&stage, &work, &ready).await;
    assert!(matches!(garbage, Outcome::Ambiguous { .. }), "{garbage:?}");
}

#[tokio::test]
async fn each_answer_of_the_upload_host_proves_what_it_says() {
    let stage = stage().await;
    let work = stage.work(video("refused"));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    for (status, expected) in [
        (400, "rejected"),
        (403, "stale"),
        (404, "stale"),
        (200, "ambiguous"),
        (206, "ambiguous"),
        (416, "ambiguous"),
        (500, "ambiguous"),
    ] {
        stage.bench.fault("tiktok", "publish", json!({ "kind": "status", "code": status })).await;
        let seen = match send(&stage, &work, &ready).await {
            Outcome::Rejected { .. } => "rejected",
            Outcome::Stale { .. } => "stale",
            Outcome::Ambiguous { .. } => "ambiguous",
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, expected, "{status}");
    }
}

#[tokio::test]
async fn refresh_tokens_work_once_and_an_ended_authorization_is_told() {
    let mut stage = stage().await;
    let old = stage.session.clone();
    let tokens = stage.network.refresh(&old).await.unwrap();
    assert!(tokens.refresh_token.is_some() && tokens.refresh_token != old.refresh_token);
    let used = stage.network.refresh(&old).await.unwrap_err();
    assert!(matches!(used, RefreshFault::Revoked(_)), "an error that comes with 200: {used:?}");
    stage.session.access_token = tokens.access_token;
    stage.session.refresh_token = tokens.refresh_token;
    stage.bench.fault("tiktok", "refresh", json!({ "kind": "accept_then_500" })).await;
    let lost = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::Lost(_)), "{lost:?}");
    stage.bench.fault("tiktok", "refresh", json!({ "kind": "throttle", "retry_after_s": 60 })).await;
    let limited = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(limited, RefreshFault::NotExecuted { .. }), "{limited:?}");
    stage.network.revoke(&stage.session).await.unwrap();
    stage.network.revoke(&stage.session).await.unwrap();
    let gone = stage.network.metrics(&stage.session, &["1".into()]).await.unwrap_err();
    assert_eq!(gone, Fault::TokenExpired);
}

#[tokio::test]
async fn counts_posts_by_either_id_and_deletes_none() {
    let stage = stage().await;
    let id = stage.publish(video("count me")).await;
    let publish_id = stage.bench.ledger().await[0]["native_id"].as_str().unwrap().to_owned();
    let counts =
        json!({ "network": "tiktok", "native_id": publish_id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let ids = [id.clone(), publish_id, "v_pub_file~v2-1.1".into()];
    let metrics = stage.network.metrics(&stage.session, &ids).await.unwrap();
    for counts in &metrics[..2] {
        assert_eq!(
            (counts.likes, counts.reposts, counts.replies, counts.views, counts.found),
            (5, 3, 1, 90, true)
        );
    }
    assert!(!metrics[2].found);
    let refused = stage.network.delete(&stage.session, &id).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { code, .. } if code == "CANNOT_DELETE"), "{refused:?}");
}

//! The adapter against YouTube's stand-in over a real socket. Its ledger of what became visible is the judge.

use serde_json::json;

use super::*;
use crate::{
    domain::{
        content::Media,
        delivery::Reply,
        outcome::{Outcome, RATE_LIMITED},
        settings::{Settings, YoutubeSettings},
    },
    networks::{
        connect::{Begin, Connect, ConnectFault, Finish},
        proof::{Stage, Way, accepted},
    },
    testing::{CLIP, Kept, LONG_CLIP, TIME, attempt, clip, long_clip, session},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://mesh.example/oauth/callback";

pub(super) async fn stage() -> Stage {
    Stage::new("youtube", Way::OAuth(|_| true)).await
}

pub(super) fn film(text: &str, media_id: uuid::Uuid) -> Content {
    let size = if media_id == CLIP { clip().len() } else { long_clip().len() };
    let video = Media {
        media_id,
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(size).unwrap(),
        width: 64,
        height: 64,
        duration_ms: 1000,
        ..Media::default()
    };
    Content { text: text.into(), media: vec![video], ..Content::default() }
}

/// The handle as it would be of a session that YouTube does not know.
fn of_no_session(kept: &Kept) -> Value {
    let mut handle = kept.handles["upload"].clone();
    handle["address"] = json!(format!("{}-", handle["address"].as_str().unwrap()));
    handle
}

fn puts(calls: &[Value]) -> Vec<String> {
    let puts = calls.iter().filter(|call| call["method"] == "PUT");
    puts.map(|call| call["headers"]["content-range"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Connects another account of the stand-in.
pub(super) async fn connect_as(
    stage: &Stage,
    handle: &str,
) -> Result<Vec<super::super::connect::Connected>, ConnectFault> {
    let youtube = Youtube::new(stage.bench.http.clone(), stage.bench.clock.clone());
    stage.bench.control("accounts", &json!({ "network": "youtube", "handle": handle })).await;
    let app = stage.session.app.as_ref();
    let server = stage.session.server.as_str();
    let ask =
        Begin { server, redirect_uri: REDIRECT, state: "s", challenge: CHALLENGE, registration: None, app };
    let url = youtube.begin(ask).await?.authorization_url;
    let (page, question) = url.split_once('?').unwrap();
    let form = Bytes::from(format!("{question}&account={handle}&decision=authorize"));
    let request = http::Request::post(page).header("content-type", "application/x-www-form-urlencoded");
    let agreed = stage.bench.http.send(request.body(form).unwrap()).await.unwrap();
    let back = url::Url::parse(agreed.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let code = code.as_str();
    let ask = Finish { server, redirect_uri: REDIRECT, registration: "", code, verifier: VERIFIER, app };
    youtube.finish(ask).await
}

#[tokio::test]
async fn nothing_is_there_before_the_last_chunk() {
    let stage = stage().await;
    let work = stage.work(film("A long film\n\nand what it is about", LONG_CLIP));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert!(ready.request.len() < 300_000, "the visible request is the end of the file alone");
    assert_eq!(stage.bench.ledger().await.len(), 0);
    let calls = stage.bench.all_requests().await;
    let expected = ["bytes 0-8388607/9000000", "bytes 8388608-8912895/9000000"];
    assert_eq!(puts(&calls), expected);
    assert_eq!(stage.ready(&work, &mut kept).await, ready);
    assert_eq!(stage.bench.all_requests().await.len(), calls.len(), "everything is stored");
    let answer = stage.send(&work, &ready).await;
    let id = accepted(&answer);
    let Outcome::Accepted { url, .. } = &answer.outcome else { panic!("{answer:?}") };
    assert!(url.ends_with(&format!("/watch?v={id}")), "{url}");
    let line = stage.bench.ledger().await.remove(0);
    assert_eq!((&line["native_id"], &line["media"][0]["size"]), (&json!(id), &json!(9_000_000)));
    assert_eq!(line["text"], "A long film\n\nA long film\n\nand what it is about");
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_youtube_says_it_is() {
    let stage = stage().await;
    let work = stage.work(film("Broken off", LONG_CLIP));
    let mut kept = Kept::default();
    let rule = json!({
        "network": "youtube", "operation": "media_upload", "skip": 1, "fault": { "kind": "accept_then_reset" },
    });
    stage.bench.control("script", &rule).await;
    let cut = stage.network.prepare(&stage.session, &work, &stage.library.source(), &mut kept).await;
    assert!(matches!(cut, Err(Fault::Transient { .. })), "{cut:?}");
    assert_eq!(kept.handles["upload"]["sent"], json!(0), "nobody knows that it arrived");
    let ready = stage.ready(&work, &mut kept).await;
    let ranges = puts(&stage.bench.all_requests().await);
    let expected = ["bytes 0-8388607/9000000", "bytes */9000000", "bytes 8388608-8912895/9000000"];
    assert_eq!(ranges, expected, "it asks, and does not send twice what is there");
    accepted(&stage.send(&work, &ready).await);

    let mut gone = Kept::default();
    let mut handle = of_no_session(&kept);
    handle["sent"] = json!(0);
    gone.handles.insert("upload".into(), handle.clone());
    stage.ready(&work, &mut gone).await;
    assert_ne!(gone.handles["upload"]["address"], handle["address"], "a session that is gone is opened anew");
}

#[tokio::test]
async fn a_server_that_keeps_less_than_it_was_sent_is_followed() {
    let stage = stage().await;
    let connected = connect_as(&stage, "partial1").await.unwrap().remove(0);
    let some = session("youtube", connected);
    let work = stage.work(film("Bit by bit", LONG_CLIP));
    let ready =
        stage.network.prepare(&some, &work, &stage.library.source(), &mut Kept::default()).await.unwrap();
    assert_eq!(puts(&stage.bench.all_requests().await).len(), 34, "256 KiB each time");
    accepted(&stage.network.send(Armed::for_tests(false, TIME), &some, &work, &ready).await);
    assert_eq!(stage.bench.ledger().await[0]["media"][0]["size"], json!(9_000_000));
}

#[tokio::test]
async fn a_lost_answer_is_told_by_the_session() {
    let stage = stage().await;
    for (n, kind) in ["accept_then_reset", "accept_then_500", "garbage"].into_iter().enumerate() {
        let work = stage.work(film(&format!("number {n}"), CLIP));
        let mut kept = Kept::default();
        let ready = stage.ready(&work, &mut kept).await;
        stage.bench.fault("youtube", "publish", json!({ "kind": kind })).await;
        let facts = attempt();
        let lost = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{kind}: {lost:?}");
        let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &facts).await;
        let Found::Live { native_id, .. } = found else { panic!("{kind}: {found:?}") };
        let again = stage.network.send(Armed::for_tests(true, TIME), &stage.session, &work, &ready).await;
        assert_eq!(accepted(&again), native_id, "the session answers with the same video");
        assert_eq!(stage.bench.ledger().await.len(), n + 1);
    }
    let work = stage.work(film("never arrived", CLIP));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    stage.bench.fault("youtube", "publish", json!({ "kind": "drop_before" })).await;
    stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
    let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &attempt()).await;
    assert_eq!(found, Found::Absent);
    stage.bench.fault("youtube", "read", json!({ "kind": "status", "code": 503 })).await;
    let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &attempt()).await;
    assert!(matches!(found, Found::Unread(_)), "{found:?}");
}

#[tokio::test]
async fn a_session_that_is_gone_is_looked_for_among_the_uploads() {
    let stage = stage().await;
    let work = stage.work(film("Where is it", CLIP));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    let facts = attempt();
    let id = accepted(&stage.send(&work, &ready).await);
    let handle = of_no_session(&kept);
    kept.handles.insert("upload".into(), handle);
    let look = async |facts: &AttemptFacts| {
        stage.network.reconcile(&stage.session, &work, &kept.handles, facts).await
    };
    let found = look(&facts).await;
    assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == id), "{found:?}");
    let taken = AttemptFacts { taken_native_ids: vec![id.clone()], ..facts.clone() };
    let found = look(&taken).await;
    assert!(matches!(found, Found::Unsure { .. }), "the list may lag: {found:?}");
    let long_ago = AttemptFacts { armed_at: facts.armed_at - 600_001, ..taken };
    assert_eq!(look(&long_ago).await, Found::Absent);
    accepted(&stage.send(&work, &stage.ready(&work, &mut Kept::default()).await).await);
    let found = look(&facts).await;
    assert!(matches!(found, Found::Unsure { .. }), "two of them: {found:?}");
    let other = stage.work(film("Another title", CLIP));
    let long_ago = AttemptFacts { armed_at: facts.armed_at - 600_001, ..facts };
    let found = stage.network.reconcile(&stage.session, &other, &HandleMap::new(), &long_ago).await;
    assert_eq!(found, Found::Unseen, "no session is known, so nothing proves that there was none");
}

#[tokio::test]
async fn further_parts_are_comments_below_the_video() {
    let stage = stage().await;
    let video = stage.publish(film("First", CLIP)).await;
    let part = |text: &str| {
        let reply = Reply { parent_native_id: "x".into(), root_native_id: video.clone() };
        let content = Content { text: text.into(), ..Content::default() };
        Work { position: 1, reply: Some(reply), ..stage.work(content) }
    };
    let second = part(" second\n");
    let ready = stage.ready(&second, &mut Kept::default()).await;
    let body = r#"{"snippet":{"topLevelComment":{"snippet":{"textOriginal":"second"}},"videoId":"VIDEO"}}"#;
    assert_eq!(ready.request, body.replace("VIDEO", &video));
    stage.bench.fault("youtube", "publish", json!({ "kind": "accept_then_reset" })).await;
    let facts = attempt();
    let lost = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &second, &ready).await;
    assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
    let look = async |work: &Work, facts: &AttemptFacts| {
        stage.network.reconcile(&stage.session, work, &HandleMap::new(), facts).await
    };
    let found = look(&second, &facts).await;
    let Found::Live { native_id: comment, url, .. } = found else { panic!("{found:?}") };
    assert!(url.ends_with(&format!("/watch?v={video}&lc={comment}")), "{url}");
    let never = look(&part("third"), &facts).await;
    assert_eq!(never, Found::Unseen, "comments may be held back");
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[1]["native_id"], &ledger[1]["in_reply_to"]), (&json!(comment), &json!(video)));

    let counts =
        json!({ "network": "youtube", "native_id": comment, "likes": 2 , "reposts": 0, "replies": 0 });
    stage.bench.control("engage", &counts).await;
    let metrics = stage.network.metrics(&stage.session, &[comment.clone(), video.clone()]).await.unwrap();
    assert_eq!((metrics[0].likes, metrics[0].found, metrics[1].found), (2, true, true));
    for _ in 0..2 {
        stage.network.delete(&stage.session, &comment).await.unwrap();
        stage.network.delete(&stage.session, &video).await.unwrap();
    }
    let late = part("too late");
    let ready = stage.ready(&late, &mut Kept::default()).await;
    let gone = stage.send(&late, &ready).await.outcome;
    assert!(matches!(&gone, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");
}

#[tokio::test]
async fn each_listed_refusal_is_what_it_says_and_others_prove_nothing() {
    let stage = stage().await;
    let work = stage.work(film("refused", CLIP));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let send = async |code: u16, body: Value| {
        stage
            .bench
            .fault("youtube", "publish", json!({ "kind": "status", "code": code, "body": body }))
            .await;
        stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await.outcome
    };
    let listed = |reason: &str| json!({ "error": { "errors": [{ "reason": reason }] } });
    let newer = |status: &str| json!({ "error": { "status": status } });
    for (code, body, expected) in [
        (401, listed("authError"), "token"),
        (401, newer("UNAUTHENTICATED"), "token"),
        (401, listed("youtubeSignupRequired"), "reconnect"),
        (403, listed("insufficientPermissions"), "reconnect"),
        (
            403,
            json!({ "error": { "details": [{ "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT" }] } }),
            "reconnect",
        ),
        (403, listed("accountSuspended"), "reconnect"),
        (403, listed("accountClosed"), "reconnect"),
        (403, listed("accessNotConfigured"), "APP_NOT_ALLOWED"),
        (403, listed("quotaExceeded"), "QUOTA_EXCEEDED"),
        (403, listed("dailyLimitExceeded"), "QUOTA_EXCEEDED"),
        (403, listed("rateLimitExceeded"), RATE_LIMITED),
        (403, listed("userRateLimitExceeded"), RATE_LIMITED),
        (429, listed("rateLimitExceeded"), RATE_LIMITED),
        (429, listed("uploadRateLimitExceeded"), RATE_LIMITED),
        (429, newer("RESOURCE_EXHAUSTED"), RATE_LIMITED),
        (400, listed("uploadLimitExceeded"), "UPLOAD_LIMIT_REACHED"),
        (400, listed("invalidTitle"), "TITLE_REFUSED"),
        (400, listed("invalidDescription"), "TEXT_REFUSED"),
        (400, listed("invalidTags"), "TAGS_REFUSED"),
        (400, listed("invalidCategoryId"), "CATEGORY_REFUSED"),
        (400, listed("invalidVideoMetadata"), "SETTINGS_REFUSED"),
        (400, listed("invalidFilename"), "MEDIA_REFUSED"),
        (400, listed("badContent"), "MEDIA_REFUSED"),
        (400, listed("mediaBodyRequired"), "MEDIA_REFUSED"),
        (400, listed("defaultLanguageNotSet"), "SETTINGS_REFUSED"),
        (400, listed("commentTextRequired"), "EMPTY"),
        (400, listed("commentTextTooLong"), "TEXT_TOO_LONG"),
        (403, listed("commentsDisabled"), "COMMENTS_DISABLED"),
        (403, listed("forbidden"), "NOT_ALLOWED"),
        (403, listed("forbiddenPrivacySetting"), "NOT_ALLOWED"),
        (308, json!(null), "UPLOAD_INCOMPLETE"),
        (404, listed("notFound"), "UPLOAD_GONE"),
        (410, json!(null), "UPLOAD_GONE"),
    ] {
        let seen = match send(code, body.clone()).await {
            Outcome::TokenExpired => "token".to_owned(),
            Outcome::Reconnect { .. } => "reconnect".to_owned(),
            Outcome::Transient { code, retry_after, .. } => {
                let daily = matches!(code.as_str(), "QUOTA_EXCEEDED" | "UPLOAD_LIMIT_REACHED");
                assert_eq!(retry_after.is_some(), daily, "{code}: only the day's limits have an end we know");
                code
            }
            Outcome::Rejected { code, .. } | Outcome::Stale { code, .. } => code,
            other => panic!("{code} {body}: {other:?}"),
        };
        assert_eq!(seen, expected, "{code} {body}");
    }
    for (code, body) in [
        (500, listed("backendError")),
        (503, listed("quotaExceeded")),
        (400, listed("processingFailure")),
        (403, json!("<html>")),
        (401, json!(null)),
        (408, listed("authError")),
        (302, json!(null)),
        (200, json!({})),
    ] {
        let seen = send(code, body.clone()).await;
        assert!(matches!(seen, Outcome::Ambiguous { .. }), "{code} {body}: {seen:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn quotas_wait_for_the_next_day_and_overload_for_a_while() {
    let stage = stage().await;
    let connected = connect_as(&stage, "full1").await.unwrap().remove(0);
    let full = session("youtube", connected);
    let work = stage.work(film("One too many", CLIP));
    let prepare = async |session: &Session| {
        stage.network.prepare(session, &work, &stage.library.source(), &mut Kept::default()).await
    };
    let refused = prepare(&full).await;
    assert!(
        matches!(&refused, Err(Fault::Transient { code, retry_after: Some(_), .. }) if code == "UPLOAD_LIMIT_REACHED"),
        "{refused:?}"
    );
    stage.bench.fault("youtube", "media_upload", json!({ "kind": "status", "code": 503 })).await;
    let away = prepare(&stage.session).await;
    assert!(matches!(&away, Err(Fault::Transient { code, .. }) if code == "SERVER_ERROR"), "{away:?}");
    let elsewhere =
        json!({ "kind": "status", "code": 200, "headers": { "location": "https://evil.example/u" } });
    stage.bench.fault("youtube", "media_upload", elsewhere).await;
    let strange = prepare(&stage.session).await;
    assert!(matches!(strange, Err(Fault::Transient { .. })), "no token goes there: {strange:?}");
    assert_eq!(stage.bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn a_refresh_keeps_its_token_and_an_ended_grant_is_told_apart() {
    let stage = stage().await;
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert!(tokens.refresh_token.is_none() && tokens.access_expires_at.is_some());
    stage.network.refresh(&stage.session).await.unwrap();
    let wrong = App { client_secret: Secret::new("other"), ..stage.session.app.clone().unwrap() };
    let wrong = stage.network.refresh(&Session { app: Some(wrong), ..stage.session.clone() }).await;
    assert!(matches!(wrong, Err(RefreshFault::NotExecuted { .. })), "the operator's mistake: {wrong:?}");
    stage.bench.fault("youtube", "refresh", json!({ "kind": "accept_then_500" })).await;
    let lost = stage.network.refresh(&stage.session).await;
    assert!(matches!(lost, Err(RefreshFault::Lost(_))), "{lost:?}");
    stage.network.revoke(&stage.session).await.unwrap();
    stage.network.revoke(&stage.session).await.unwrap();
    let ended = stage.network.refresh(&stage.session).await;
    assert!(matches!(ended, Err(RefreshFault::Revoked(_))), "{ended:?}");
    let gone = stage.network.metrics(&stage.session, &["dQw4w9WgXcQ".into()]).await;
    assert_eq!(gone, Err(Fault::TokenExpired));
}

#[tokio::test]
async fn counts_of_videos_are_texts_and_the_gone_are_told() {
    let stage = stage().await;
    let id = stage.publish(film("count me", CLIP)).await;
    let counts = json!({ "network": "youtube", "native_id": id, "likes": 5, "reposts": 0, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let ids = [id, "dQw4w9WgXcQ".to_owned()];
    let metrics = stage.network.metrics(&stage.session, &ids).await.unwrap();
    let read = &metrics[0];
    assert_eq!((read.likes, read.replies, read.views, read.found), (5, 1, 150, true));
    assert!(!metrics[1].found);
}

#[tokio::test]
async fn connecting_needs_a_channel_and_everything_asked_for() {
    let stage = stage().await;
    assert_eq!((stage.session.handle.as_str(), stage.session.native_id.starts_with("UC")), ("@demo", true));
    let none = connect_as(&stage, "nochannel1").await;
    assert!(matches!(none, Err(ConnectFault::NothingToConnect { .. })), "{none:?}");
    let youtube = Youtube::new(stage.bench.http.clone(), stage.bench.clock.clone());
    let app = stage.session.app.as_ref();
    let real = Begin {
        server: API,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: CHALLENGE,
        registration: None,
        app,
    };
    let began = youtube.begin(real).await.unwrap();
    let address = &began.authorization_url;
    assert!(
        address.starts_with("https://accounts.google.com/o/oauth2/v2/auth?response_type=code&"),
        "{address}"
    );
    assert!(address.contains("access_type=offline&prompt=consent"), "{address}");
    let server = stage.session.server.as_str();
    let url = youtube.begin(Begin { server, ..real }).await.unwrap().authorization_url;
    let finish = async |url: &str| {
        let back = stage.bench.press(url, "authorize").await;
        let code = &back["code"];
        let ask = Finish { server, redirect_uri: REDIRECT, registration: "", code, verifier: VERIFIER, app };
        youtube.finish(ask).await
    };
    let less = finish(&url.replace("youtube.force-ssl", "youtube.upload")).await;
    assert!(matches!(less, Err(ConnectFault::ScopesMissing { .. })), "{less:?}");
    let brief = finish(&url.replace("access_type=offline", "access_type=online")).await;
    assert!(matches!(brief, Err(ConnectFault::Refused { .. })), "{brief:?}");
    let ask =
        Finish { server, redirect_uri: REDIRECT, registration: "", code: "none", verifier: VERIFIER, app };
    let unknown = youtube.finish(ask).await;
    assert!(matches!(unknown, Err(ConnectFault::CodeRefused { .. })), "{unknown:?}");
}

#[test]
fn a_title_is_set_or_the_first_line_and_the_description_is_the_text() {
    let mut content = film("\n First line  \nsecond", CLIP);
    let body = video::metadata(&limits(), &content);
    assert_eq!(body["snippet"]["title"], "First line");
    assert_eq!(body["snippet"]["description"], "First line  \nsecond");
    assert_eq!(body["snippet"]["categoryId"], "22");
    assert_eq!(body["status"], json!({ "privacyStatus": "public", "selfDeclaredMadeForKids": false }));
    content.text = "word ".repeat(40);
    let title = video::title(&limits(), &content);
    assert!(title.chars().count() <= 100 && title.ends_with('…'), "{title}");
    content.settings = Settings::Youtube(YoutubeSettings { title: " Set ".into(), ..Default::default() });
    assert_eq!(video::title(&limits(), &content), "Set");
    let comment = Content { text: "x".repeat(10_001), ..Content::default() };
    let reasons: Vec<_> =
        comment::validate(&limits(), &comment, 1).into_iter().map(|violation| violation.reason).collect();
    assert_eq!(reasons, ["TEXT_TOO_LONG"]);
    let with_media = comment::validate(&limits(), &film("x", CLIP), 1);
    assert_eq!(with_media[0].reason, "TOO_MANY_VIDEOS");
}

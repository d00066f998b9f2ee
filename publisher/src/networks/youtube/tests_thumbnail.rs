//! Thumbnails against YouTube's stand-in: set once the video is there, and never what a post fails for.

use serde_json::json;

use super::{
    tests::{connect_as, film, stage},
    *,
};
use crate::{
    domain::{
        content::Media,
        outcome::{Outcome, RATE_LIMITED},
        settings::{Settings, YoutubeSettings},
    },
    networks::proof::{Stage, accepted},
    testing::{CLIP, JPEG, Kept, PICTURE_JPEG, PICTURE_PNG, PNG, TIME, attempt, session, source_of_bytes},
};

/// A film with this item as its thumbnail, as the hand-over names it.
fn with_thumbnail(text: &str, media_id: uuid::Uuid) -> Content {
    let thumbnail = Some(Media { media_id, ..Media::default() });
    let settings = Settings::Youtube(YoutubeSettings { thumbnail, ..YoutubeSettings::default() });
    Content { settings, ..film(text, CLIP) }
}

/// Sends a film, which is then in processing; what to ask with.
async fn sent(stage: &Stage, session: &Session, work: &Work) -> String {
    let media = stage.library.source();
    let ready = stage.network.prepare(session, work, &media, &mut Kept::default()).await.unwrap();
    let answer = stage.network.send(Armed::for_tests(false, TIME), session, work, &ready).await;
    let Outcome::Processing { handle } = answer.outcome else { panic!("{answer:?}") };
    handle
}

async fn poll(stage: &Stage, session: &Session, work: &Work, handle: &str) -> Outcome {
    stage.network.poll(session, work, handle).await.outcome
}

/// The bytes of a video's thumbnail; none when it has none of its own.
async fn shown(stage: &Stage, id: &str) -> Option<Bytes> {
    let query = [("part", "snippet"), ("id", id)];
    let call = Call::get(&stage.session.server, "/youtube/v3/videos", &query);
    let call = call.bearer(stage.session.access_token.expose());
    let body = json(&call.read(&stage.bench.http).await.unwrap()).unwrap();
    let url = body.pointer("/items/0/snippet/thumbnails/maxres/url")?.as_str().unwrap().to_owned();
    let file = Call::new(Method::GET, url).read(&stage.bench.http).await.unwrap();
    Some(file.into_body())
}

async fn tries(stage: &Stage) -> usize {
    stage.bench.requests("media_edit").await.len()
}

#[tokio::test]
async fn a_video_is_published_after_its_thumbnail_is_set() {
    let stage = stage().await;
    for (media_id, bytes) in [(PICTURE_PNG, PNG), (PICTURE_JPEG, JPEG)] {
        let work = stage.work(with_thumbnail("With a picture", media_id));
        let handle = sent(&stage, &stage.session, &work).await;
        let id = stage.bench.ledger().await.pop().unwrap()["native_id"].as_str().unwrap().to_owned();
        assert!(handle.starts_with(&id), "its id is stored before anything else is done to it");
        assert_eq!(shown(&stage, &id).await, None);
        for _ in 0..2 {
            let outcome = poll(&stage, &stage.session, &work, &handle).await;
            let url = format!("{}/watch?v={id}", stage.session.server);
            assert_eq!(outcome, Outcome::Accepted { native_id: id.clone(), url }, "as often as one asks");
        }
        assert_eq!(shown(&stage, &id).await.as_deref(), Some(bytes));
    }
    assert_eq!(stage.bench.ledger().await.len(), 2);
    let plain = stage.work(film("Without", CLIP));
    let ready = stage.ready(&plain, &mut Kept::default()).await;
    let answer = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &plain, &ready).await;
    accepted(&answer);
    assert_eq!(tries(&stage).await, 4);
}

#[tokio::test]
async fn a_refused_thumbnail_leaves_the_video_published() {
    let stage = stage().await;
    let unverified = session("youtube", connect_as(&stage, "unverified1").await.unwrap().remove(0));
    let work = stage.work(with_thumbnail("Not verified", PICTURE_PNG));
    let handle = sent(&stage, &unverified, &work).await;
    let outcome = poll(&stage, &unverified, &work, &handle).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    assert_eq!(tries(&stage).await, 1);

    let work = stage.work(with_thumbnail("Refused", PICTURE_PNG));
    let handle = sent(&stage, &stage.session, &work).await;
    let listed = |reason: &str| json!({ "error": { "errors": [{ "reason": reason }] } });
    for (code, body) in [
        (400, listed("invalidImage")),
        (400, listed("imageTooTall")),
        (403, listed("forbidden")),
        (403, listed("quotaExceeded")), // until midnight: nobody waits for that
        (403, listed("insufficientPermissions")),
        (413, listed("uploadTooLarge")),
    ] {
        let fault = json!({ "kind": "status", "code": code, "body": body });
        stage.bench.fault("youtube", "media_edit", fault).await;
        let outcome = poll(&stage, &stage.session, &work, &handle).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{code} {body}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_for_some_minutes_and_not_longer() {
    let stage = stage().await;
    let hasty = session("youtube", connect_as(&stage, "hasty1").await.unwrap().remove(0));
    let work = stage.work(with_thumbnail("Too many", PICTURE_PNG));
    let handle = sent(&stage, &hasty, &work).await;
    let outcome = poll(&stage, &hasty, &work, &handle).await;
    let pause = std::time::Duration::from_mins(1);
    assert!(
        matches!(&outcome, Outcome::Transient { code, retry_after, .. } if code == RATE_LIMITED && *retry_after == Some(pause)),
        "a try costs 50 units: {outcome:?}"
    );
    let (id, since) = handle.split_once(' ').unwrap();
    let long_ago = format!("{id} {}", since.parse::<i64>().unwrap() - 240_001);
    for handle in [long_ago.as_str(), id] {
        let outcome = poll(&stage, &hasty, &work, handle).await;
        assert!(matches!(&outcome, Outcome::Accepted { native_id, .. } if native_id == id), "{outcome:?}");
    }

    let work = stage.work(with_thumbnail("Trouble", PICTURE_PNG));
    let handle = sent(&stage, &stage.session, &work).await;
    let gone = json!({ "error": { "errors": [{ "reason": "videoNotFound" }] } });
    for (fault, expected) in [
        (json!({ "kind": "status", "code": 503 }), "SERVER_ERROR"),
        (json!({ "kind": "drop_before" }), "SERVER_UNREACHABLE"),
        (json!({ "kind": "accept_then_reset" }), "SERVER_UNREACHABLE"),
        (json!({ "kind": "status", "code": 404, "body": gone }), "VIDEO_NOT_READY"),
    ] {
        stage.bench.fault("youtube", "media_edit", fault).await;
        let outcome = poll(&stage, &stage.session, &work, &handle).await;
        assert!(matches!(&outcome, Outcome::Transient { code, .. } if code == expected), "{outcome:?}");
    }
    let expire = json!({ "network": "youtube", "fault": { "kind": "expire_tokens" } });
    stage.bench.control("script", &expire).await;
    assert_eq!(poll(&stage, &stage.session, &work, &handle).await, Outcome::TokenExpired);
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    let fresh = Session { access_token: tokens.access_token, ..stage.session.clone() };
    let outcome = poll(&stage, &fresh, &work, &handle).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_picture_that_cannot_be_had_leaves_the_video_published() {
    let stage = stage().await;
    let work = stage.work(with_thumbnail("A film as a picture", CLIP));
    let handle = sent(&stage, &stage.session, &work).await;
    let outcome = poll(&stage, &stage.session, &work, &handle).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    let work = stage.work(with_thumbnail("Never small enough", PICTURE_PNG));
    let handle = sent(&stage, &stage.session, &work).await;
    let large = Youtube::new(stage.bench.http.clone(), stage.bench.clock.clone())
        .reading(Some(source_of_bytes(2_097_153)));
    let outcome = large.poll(&stage.session, &work, &handle).await.outcome;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    assert_eq!(tries(&stage).await, 0);
    let fitting = Youtube::new(stage.bench.http.clone(), stage.bench.clock.clone())
        .reading(Some(source_of_bytes(2_097_152)));
    fitting.poll(&stage.session, &work, &handle).await;
    assert_eq!(tries(&stage).await, 1, "a copy of that size is asked for");
}

#[tokio::test]
async fn a_video_that_is_found_after_a_lost_answer_gets_its_thumbnail() {
    let stage = stage().await;
    let lost = async |text: &str| {
        let work = stage.work(with_thumbnail(text, PICTURE_PNG));
        let mut kept = Kept::default();
        let ready = stage.ready(&work, &mut kept).await;
        let facts = attempt();
        stage.bench.fault("youtube", "publish", json!({ "kind": "accept_then_reset" })).await;
        let lost = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{lost:?}");
        (work, kept, facts)
    };
    let found = async |(work, kept, facts): &(Work, Kept, AttemptFacts)| {
        let found = stage.network.reconcile(&stage.session, work, &kept.handles, facts).await;
        let Found::Live { native_id, evidence, .. } = found else { panic!("{found:?}") };
        (native_id, evidence)
    };
    let first = lost("Found").await;
    let (id, evidence) = found(&first).await;
    assert_eq!(shown(&stage, &id).await.as_deref(), Some(PNG));
    assert!(!evidence.contains("thumbnail"), "{evidence}");
    let second = lost("Found without").await;
    stage.bench.fault("youtube", "media_edit", json!({ "kind": "status", "code": 503 })).await;
    let (id, evidence) = found(&second).await;
    assert_eq!(shown(&stage, &id).await, None);
    assert!(
        evidence.ends_with(
            "its thumbnail was not set: SERVER_ERROR: The server answered 503 Service Unavailable."
        ),
        "{evidence}"
    );
    assert_eq!(stage.bench.ledger().await.len(), 2);
}

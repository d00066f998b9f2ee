//! What each refusal of a publication says.

use std::time::Duration;

use super::{stage::word, *};
use crate::domain::outcome::RATE_LIMITED;

/// What each further row is about, with what follows from it.
const REFUSALS: &[(i64, i64, &str)] = &[
    (25, 2_207_050, "reconnect"),
    (9, 2_207_042, "DAILY_LIMIT"),
    (9007, 2_207_027, "MEDIA_PROCESSING"),
    (352, 2_207_026, "VIDEO_REFUSED"),
    (2_207_077, 0, "VIDEO_REFUSED"),
    (36_000, 2_207_004, "IMAGE_TOO_LARGE"),
    (36_001, 2_207_005, "MEDIA_REFUSED"),
    (36_003, 2_207_009, "IMAGE_ASPECT"),
    (36_004, 2_207_010, "TEXT_TOO_LONG"),
    (100, 2_207_023, "MEDIA_REFUSED"),
    (100, 2_207_028, "CAROUSEL_REFUSED"),
    (100, 2_207_035, "TAGS_REFUSED"),
    (100, 2_207_036, "TAGS_REFUSED"),
    (100, 2_207_037, "TAGS_REFUSED"),
    (100, 2_207_040, "TAGS_REFUSED"),
    (1, 2_207_057, "COVER_REFUSED"),
    (100, 2_207_081, "NOT_ALLOWED"),
    (100, 33, "reconnect"),
    (24, 2_207_008, "stale"),
];

#[tokio::test]
async fn each_listed_refusal_says_what_to_do_and_no_other_proves_anything() {
    let unlisted = [
        (400, 4, 2_207_051),
        (400, 24, 2_207_006),
        (400, -1, 2_207_001),
        (400, -2, 2_207_003),
        (400, 1, 0),
        (400, 2, 0),
        (500, 9, 2_207_042),
        (500, 2, 0),
        (400, 9, 0),
        (408, 190, 0),
    ];
    let stage = stage(Door::Own).await;
    let work = stage.image("hello");
    stage
        .refusals(&work, &[errors::RULES, &[errors::CONTAINER_GONE]], &[stage::REFUSALS, REFUSALS], &unlisted)
        .await;
}

#[tokio::test]
async fn a_day_that_is_used_up_is_waited_for() {
    let stage = stage(Door::Own).await;
    stage.bench.control("limits", &object!({ "network": "instagram", "enforce": true })).await;
    stage.fault("publish", object!({ "kind": "throttle", "retry_after_s": 600 })).await;
    let work = stage.image("hello");
    let ready = stage.ready(&work).await;
    let throttled = stage.send(&work, &ready).await;
    assert_eq!(word(&throttled.outcome), RATE_LIMITED);
    assert!(throttled.wire.hold.unwrap() >= Duration::from_mins(10), "{throttled:?}");
    for n in 0..50 {
        stage.publish(&stage.image(&format!("number {n}"))).await;
    }
    let work = stage.image("one more");
    let used_up = stage.send(&work, &stage.ready(&work).await).await;
    assert_eq!(word(&used_up.outcome), "DAILY_LIMIT");
    assert_eq!(used_up.wire.hold, Some(Duration::from_hours(1)));
    assert_eq!(stage.bench.ledger().await.len(), 50);
}

//! What each refusal of a publication says.

use super::{stage::word, *};
use crate::domain::outcome::RATE_LIMITED;

/// What each further row is about, with what follows from it.
const REFUSALS: &[(i64, i64, &str)] = &[
    (200, 1_404_078, "reconnect"),
    (100, 4_854_002, "reconnect"),
    (100, 1_363_040, "REEL_REFUSED"),
    (100, 1_363_127, "REEL_REFUSED"),
    (100, 1_363_128, "REEL_REFUSED"),
    (100, 1_363_129, "REEL_REFUSED"),
    (100, 1_609_005, "LINK_REFUSED"),
    (100, 1_609_008, "LINK_REFUSED"),
    (100, 2_061_006, "LINK_REFUSED"),
    (100, 1_366_046, "MEDIA_REFUSED"),
    (324, 2_069_019, "MEDIA_REFUSED"),
    (1_349_125, 0, "MEDIA_REFUSED"),
    (324, 0, "MEDIA_REFUSED"),
    (389, 0, "MEDIA_REFUSED"),
    (368, 0, "BLOCKED_BY_NETWORK"),
    (1_346_003, 0, "BLOCKED_BY_NETWORK"),
    (200, 1_404_102, "BLOCKED_BY_NETWORK"),
    (200, 1_404_112, "BLOCKED_BY_NETWORK"),
    (200, 1_404_006, "BLOCKED_BY_NETWORK"),
    (100, 1_390_008, RATE_LIMITED),
    (3, 0, "reconnect"),
    (100, 33, "PAGE_GONE"),
    (506, 0, "DUPLICATE"),
];

#[tokio::test]
async fn each_listed_refusal_says_what_to_do_and_no_other_proves_anything() {
    let unlisted = [
        (400, 1, 0),
        (400, 2, 0),
        (500, 2, 0),
        (500, 190, 463),
        (400, 4, 2_207_051),
        (400, 9, 0),
        (408, 190, 0),
        (400, 100_000, 0),
    ];
    let stage = stage().await;
    let work = stage.work("hello", 0);
    stage
        .refusals(&work, &[errors::RULES, &[errors::DUPLICATE]], &[stage::REFUSALS, REFUSALS], &unlisted)
        .await;
    let ready = stage.ready(&work).await;
    stage.refuse("publish", 400, 506, 0).await;
    let resent = stage.resend(&work, &ready).await;
    assert_eq!(word(&resent.outcome), "ambiguous", "on a repetition the other post may be ours");
    stage.fault("publish", object!({ "kind": "garbage" })).await;
    assert_eq!(word(&stage.send(&work, &ready).await.outcome), "ambiguous");
    assert_eq!(stage.bench.ledger().await.len(), 1, "the garbled answer was to a post");
}

#[tokio::test]
async fn a_throttled_page_is_left_alone_for_as_long_as_the_header_says() {
    let stage = stage().await;
    let work = stage.work("hello", 0);
    let ready = stage.ready(&work).await;
    stage.fault("publish", object!({ "kind": "throttle", "retry_after_s": 1_800 })).await;
    let answer = stage.send(&work, &ready).await;
    let Outcome::Transient { code, retry_after: Some(wait), .. } = answer.outcome else {
        panic!("{answer:?}")
    };
    assert_eq!(code, RATE_LIMITED);
    assert!(wait.as_secs() >= 1_800, "{wait:?}");
    assert_eq!(answer.wire.hold, Some(wait));
}

//! Lost answers: found by ids or words, never guessed.

use super::{
    stage::{addressed, part_of},
    *,
};

#[tokio::test]
async fn a_lost_answer_is_found_by_ids_or_words_and_never_guessed() {
    let stage = stage().await;
    let facts = attempt();
    let first = stage.work("the same words", 0);
    let ready = stage.ready(&first).await;
    stage.fault("publish", object!({ "kind": "accept_then_reset" })).await;
    let lost = stage.send(&first, &ready).await.outcome;
    assert!(matches!(lost, Outcome::Ambiguous { .. }), "{lost:?}");
    let none = HandleMap::new();
    let Found::Live { native_id, url, .. } = stage.find(&first, &none, &facts).await else {
        panic!("not found")
    };
    assert!(url.starts_with("https://www.facebook.com/"), "{url}");
    let taken = AttemptFacts { taken_native_ids: vec![native_id], ..facts.clone() };
    assert_eq!(stage.find(&first, &none, &taken).await, Found::Absent);
    let later = AttemptFacts { first_armed_at: facts.first_armed_at + 120_000, ..facts.clone() };
    assert_eq!(stage.find(&first, &none, &later).await, Found::Absent, "a post from before the attempt");
    stage.post("other words").await;
    stage.post("the same words").await;
    assert!(matches!(stage.find(&first, &none, &facts).await, Found::Unsure { .. }));

    // Photos are told apart by their ids, whatever the words.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let photo = stage.work("the same words", 1);
        let mut kept = Kept::default();
        let ready = stage.prepared(&photo, &mut kept).await.unwrap();
        let id = addressed(stage.send(&photo, &ready).await).0;
        let found = stage.find(&photo, &kept.handles, &facts).await;
        assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == id), "{found:?}");
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    stage.refuse("read", 400, 100, 33).await;
    assert!(matches!(stage.find(&first, &none, &facts).await, Found::Unread(_)));
    stage.fault("read", object!({ "kind": "stale_read", "ms": 60_000 })).await;
    assert_eq!(stage.find(&first, &none, &facts).await, Found::Absent);
}

#[tokio::test]
async fn further_parts_are_comments_that_are_found_again() {
    let stage = stage().await;
    let root = stage.post("root").await;
    let part = part_of(&root, &root, stage.work("a comment", 0));
    stage.refuse("read", 400, 100, 33).await;
    let mut kept = Kept::default();
    let late = stage.prepared(&part, &mut kept).await.unwrap_err();
    assert!(matches!(&late, Fault::Transient { code, .. } if code == "PARENT_NOT_SEEN"), "{late:?}");
    let ready = stage.prepared(&part, &mut kept).await.unwrap();
    let facts = attempt();
    stage.fault("publish", object!({ "kind": "accept_then_500" })).await;
    assert!(matches!(stage.send(&part, &ready).await.outcome, Outcome::Ambiguous { .. }));
    let found = stage.find(&part, &kept.handles, &facts).await;
    let Found::Live { native_id, .. } = found else { panic!("{found:?}") };
    let line = &stage.bench.ledger().await[1];
    assert_eq!(
        (&line["native_id"], &line["in_reply_to"], &line["kind"]),
        (&object!(native_id), &object!(root), &object!("comment"))
    );
    let counts =
        object!({ "network": "facebook", "native_id": native_id, "likes": 4, "reposts": 0, "replies": 2 });
    stage.bench.control("engage", &counts).await;
    let metrics = stage.network.metrics(&stage.session, &[native_id]).await.unwrap();
    assert_eq!((metrics[0].found, metrics[0].likes, metrics[0].replies), (true, 4, 2));
    stage.network.delete(&stage.session, &root).await.unwrap();
    let gone = stage.send(&part, &ready).await.outcome;
    assert!(matches!(&gone, Outcome::Rejected { code, .. } if code == "PARENT_GONE"), "{gone:?}");

    let pictured = stage.work("x", 1);
    let reasons = |work: &Work| {
        let found = stage.network.validate(&limits(), &work.content, 1);
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&pictured), ["COMMENT_WITH_MEDIA"]);
    assert_eq!(reasons(&of_kind(FacebookKind::Reel, part)), ["COMMENT_WITH_SETTINGS"]);
    assert_eq!(reasons(&stage.work(&"x".repeat(8_001), 0)), ["TEXT_TOO_LONG"]);
}

#[tokio::test]
async fn what_came_before_the_attempt_is_not_its_post() {
    let stage = stage().await;
    let root = stage.post("root").await;
    let facts = attempt();
    let say =
        async |parent: &str, text: &str| stage.publish(&part_of(&root, parent, stage.work(text, 0))).await.0;
    let first = say(&root, "the same words").await;
    let second = say(&first, "other words").await;
    let third = part_of(&root, &second, stage.work("the same words", 0));
    let none = HandleMap::new();
    assert_eq!(stage.find(&third, &none, &facts).await, Found::Absent, "the first says the same");
    let third_id = stage.publish(&third).await.0;
    let found = stage.find(&third, &none, &facts).await;
    assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == third_id), "{found:?}");
    // More than a page of comments is read.
    for n in 0..110 {
        say(&third_id, &format!("number {n}")).await;
    }
    assert!(matches!(stage.find(&third, &none, &facts).await, Found::Live { .. }));

    // The post right before it is another delivery's.
    let before = stage.post("twice").await;
    let twice = stage.work("twice", 0);
    let facts = AttemptFacts { last_native_id: Some(before), ..attempt() };
    assert_eq!(stage.find(&twice, &none, &facts).await, Found::Absent);
}

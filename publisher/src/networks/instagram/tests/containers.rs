//! What is prepared unseen, when it is made anew, and what it tells of a post whose answer was lost.

use super::{
    stage::{addressed, word},
    *,
};

#[tokio::test]
async fn what_is_prepared_is_unseen_and_its_address_ends_with_it() {
    let stage = stage(Door::Own).await;
    let media = vec![picture(PICTURE_PNG), film(5_000), picture(PICTURE_JPEG)];
    let work = stage.work("three", media, None);
    let mut kept = Kept::default();
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["child.0", "child.1", "child.2", "container"]);
    assert_eq!(stage.library.fetches(), 3);
    let created = stage.bench.requests("media_upload").await;
    let url = created[0]["body"]["image_url"].as_str().unwrap();
    assert!(url.split('.').next_back() == Some("jpg"), "a PNG goes out as JPEG: {url}");
    assert_eq!(stage.library.fetch(url, "").await.0, 404, "the address has ended");
    let before = stage.bench.all_requests().await.len();
    let again = stage.prepared(&work, &mut kept).await.unwrap();
    assert_eq!((&again, stage.bench.all_requests().await.len()), (&ready, before));
    assert_eq!(stage.bench.ledger().await.len(), 0);
    let (id, _) = addressed(stage.send(&work, &ready).await);
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[0]["native_id"], ledger[0]["media"].as_array().unwrap().len()), (&object!(id), 3));
    assert_eq!(ledger[0]["media"][1]["mime"], "video/mp4");
}

#[tokio::test]
async fn a_post_has_the_address_that_the_network_tells_of_it() {
    for door in [Door::Own, Door::Facebook] {
        let stage = stage(door).await;
        for work in [
            stage.image("one"),
            stage.work("a film", vec![film(5_000)], None),
            stage.work("two", vec![picture(PICTURE_JPEG); 2], None),
            stage.story(film(5_000)),
        ] {
            let mut kept = Kept::default();
            let facts = attempt();
            let ready = stage.prepared(&work, &mut kept).await.unwrap();
            let (id, url) = addressed(stage.send(&work, &ready).await);
            let query = [("fields", "permalink,shortcode")];
            let node = stage.network.api.call(&stage.session, http::Method::GET, &id, &query);
            let told = stage.network.api.ask(node).await.unwrap();
            assert!(url.starts_with("http") && url.contains(text_of(&told, "shortcode")), "{url} {told}");
            assert_eq!(url, text_of(&told, "permalink"));
            let found = stage.find(&work, &kept.handles, &facts).await;
            assert!(matches!(&found, Found::Live { url: same, .. } if *same == url), "{found:?}");
        }
    }
}

#[tokio::test]
async fn reading_the_address_of_a_post_cannot_spoil_it() {
    let stage = stage(Door::Own).await;
    stage.address_is_cosmetic(|n| stage.image(&format!("number {n}")), |_| String::new()).await;
}

#[tokio::test]
async fn containers_that_fail_are_replaced_unless_the_next_would_fail_too() {
    let stage = stage(Door::Own).await;
    let work = stage.image("hi");
    stage.refuse("media_upload", 400, -1, 2_207_032).await;
    let mut kept = Kept::default();
    let failed = stage.prepared(&work, &mut kept).await.unwrap_err();
    assert!(matches!(&failed, Fault::Transient { code, .. } if code == "MEDIA_FAILED"), "{failed:?}");
    assert_eq!(kept.handles["container"]["tries"], 1);
    stage.refuse("read", 400, 100, 33).await;
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    addressed(stage.send(&work, &ready).await);

    let film = stage.work("hi", vec![film(5_000)], None);
    stage.fault("media_upload", object!({ "kind": "processing", "ms": 100, "fails": true })).await;
    let refused = stage.prepared(&film, &mut Kept::default()).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { code, .. } if code == "VIDEO_REFUSED"), "{refused:?}");

    // A container that was made and whose answer was lost is made again: it is invisible.
    stage.fault("media_upload", object!({ "kind": "accept_then_reset" })).await;
    let mut kept = Kept::default();
    let lost = stage.prepared(&work, &mut kept).await.unwrap_err();
    assert!(matches!(lost, Fault::Transient { .. }), "{lost:?}");
    assert!(
        kept.handles["container"]["url"].as_str().unwrap().starts_with("http"),
        "kept before it was told"
    );
    addressed(stage.send(&work, &stage.prepared(&work, &mut kept).await.unwrap()).await);
    assert_eq!(stage.bench.ledger().await.len(), 2);
}

#[tokio::test]
async fn an_unreachable_address_is_tried_a_few_times_and_then_named() {
    let stage = stage(Door::Own).await;
    let work = stage.image("hi");
    let mut kept = Kept::default();
    let mut codes = Vec::new();
    for _ in 0..3 {
        stage.refuse("media_upload", 400, 9004, 2_207_052).await;
        match stage.prepared(&work, &mut kept).await.unwrap_err() {
            Fault::Transient { code, .. } => codes.push(code),
            Fault::Rejected { code, .. } => codes.push(format!("final {code}")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(codes, ["MEDIA_NOT_FETCHED", "MEDIA_NOT_FETCHED", "final MEDIA_NOT_FETCHED"]);
}

#[tokio::test]
async fn the_container_tells_whether_a_lost_answer_was_a_post() {
    for door in [Door::Own, Door::Facebook] {
        let stage = stage(door).await;
        let mut last = None;
        for (n, work) in [
            stage.image("the same words"),
            stage.image("the same words"),
            stage.work("the same words", vec![film(5_000)], None),
            stage.work("the same words", vec![picture(PICTURE_JPEG); 2], None),
            stage.story(picture(PICTURE_JPEG)),
            stage.story(picture(PICTURE_JPEG)),
            stage.story(film(5_000)),
        ]
        .into_iter()
        .enumerate()
        {
            let mut kept = Kept::default();
            let ready = stage.prepared(&work, &mut kept).await.unwrap();
            let facts = AttemptFacts { last_native_id: last, ..attempt() };
            assert_eq!(stage.find(&work, &kept.handles, &facts).await, Found::Absent, "{n} before");
            stage.fault("publish", object!({ "kind": "accept_then_reset" })).await;
            let lost = stage.send(&work, &ready).await.outcome;
            assert_eq!(word(&lost), "ambiguous", "{n}");
            let found = stage.find(&work, &kept.handles, &facts).await;
            let Found::Live { native_id, .. } = found else { panic!("{n}: {found:?}") };
            assert_eq!(stage.bench.ledger().await[n]["native_id"], object!(native_id));
            let again = stage.resend(&work, &ready).await;
            assert_eq!(word(&again.outcome), "ambiguous", "{n}: a container is published once");
            assert_eq!(stage.bench.ledger().await.len(), n + 1);
            last = Some(native_id);
        }
    }
}

#[tokio::test]
async fn a_published_container_whose_post_is_unclear_is_not_guessed() {
    let stage = stage(Door::Own).await;
    let facts = attempt();
    let mut kept = Kept::default();
    let works = [stage.image("twice"), stage.image("twice")];
    let mut ids = Vec::new();
    for work in &works {
        kept = Kept::default();
        let ready = stage.prepared(work, &mut kept).await.unwrap();
        ids.push(addressed(stage.send(work, &ready).await).0);
    }
    let several = stage.find(&works[1], &kept.handles, &facts).await;
    assert!(matches!(&several, Found::Unsure { why } if why.contains("several")), "{several:?}");
    let stale = object!({ "fault": { "kind": "stale_read", "ms": 60_000 }, "times": 2 });
    stage.script("read", stale).await;
    let late = stage.find(&works[1], &kept.handles, &facts).await;
    assert!(matches!(&late, Found::Unsure { why } if why.contains("not shown yet")), "{late:?}");
    // The post right before this one is another delivery's, whatever it shows.
    let known = AttemptFacts { last_native_id: Some(ids[0].clone()), ..facts.clone() };
    let found = stage.find(&works[1], &kept.handles, &known).await;
    assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == ids[1]), "{found:?}");
    let taken = AttemptFacts { taken_native_ids: vec![ids[1].clone()], ..known };
    let found = stage.find(&works[1], &kept.handles, &taken).await;
    assert!(matches!(&found, Found::Unsure { .. }), "{found:?}");

    // Live, although the answer says spam: the container is asked, not the code.
    let spam = stage.image("taken for spam");
    let mut kept = Kept::default();
    let ready = stage.prepared(&spam, &mut kept).await.unwrap();
    let facts = attempt();
    stage.fault("publish", object!({ "kind": "accept_then_500" })).await;
    assert_eq!(word(&stage.send(&spam, &ready).await.outcome), "ambiguous");
    stage.refuse("publish", 400, 4, 2_207_051).await;
    assert_eq!(word(&stage.resend(&spam, &ready).await.outcome), "ambiguous");
    assert!(matches!(stage.find(&spam, &kept.handles, &facts).await, Found::Live { .. }));
    // A container that is not shown, or whose record was lost, says nothing: the posts do.
    stage.refuse("read", 400, 100, 33).await;
    assert!(matches!(stage.find(&spam, &kept.handles, &facts).await, Found::Live { .. }));
    assert!(matches!(stage.find(&spam, &HandleMap::new(), &facts).await, Found::Live { .. }));
    let unsent = stage.find(&stage.image("never sent"), &HandleMap::new(), &facts).await;
    assert!(matches!(unsent, Found::Unsure { .. }), "not absent, for that would make another: {unsent:?}");
    stage.fault("read", object!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(stage.find(&spam, &kept.handles, &facts).await, Found::Unread(_)));
}

#[tokio::test]
async fn a_container_that_expired_is_made_again_before_anything_may_be_visible() {
    let stage = stage(Door::Own).await;
    let work = stage.work("late", vec![picture(PICTURE_JPEG); 2], None);
    let mut kept = Kept::default();
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    stage.advance(86_400_001).await;
    let facts = attempt();
    let Outcome::Stale { steps, .. } = stage.send(&work, &ready).await.outcome else { panic!("not stale") };
    assert_eq!(steps, ["child.0", "child.1", "container"]);
    assert_eq!(word(&stage.resend(&work, &ready).await.outcome), "ambiguous");
    assert_eq!(stage.find(&work, &kept.handles, &facts).await, Found::Absent);
    for step in steps {
        kept.handles.remove(&step);
    }
    let ready = stage.prepared(&work, &mut kept).await.unwrap();
    addressed(stage.send(&work, &ready).await);
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

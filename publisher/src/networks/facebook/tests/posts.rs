//! What is prepared unseen, what goes on where it broke off, and the address of what is there.

use super::{stage::addressed, *};

#[tokio::test]
async fn what_is_prepared_is_unseen_and_not_done_again() {
    let stage = stage().await;
    let album = stage.work("two dots", 2);
    let mut kept = Kept::default();
    let ready = stage.prepared(&album, &mut kept).await.unwrap();
    assert_eq!(kept.handles.keys().collect::<Vec<_>>(), ["photo.0", "photo.1"]);
    assert_eq!(stage.bench.ledger().await.len(), 0);
    let before = stage.bench.all_requests().await.len();
    let again = stage.prepared(&album, &mut kept).await.unwrap();
    assert_eq!((again, stage.bench.all_requests().await.len()), (ready.clone(), before));
    let id = addressed(stage.send(&album, &ready).await).0;
    let ledger = stage.bench.ledger().await;
    assert_eq!((&ledger[0]["native_id"], &ledger[0]["media"][1]["alt"]), (&object!(id), &object!("a dot")));
    assert_eq!(ledger[0]["media"][0]["size"], object!(PNG.len()));

    for kind in [FacebookKind::Feed, FacebookKind::Reel, FacebookKind::Story] {
        let film = stage.film(kind);
        let mut kept = Kept::default();
        let ready = stage.prepared(&film, &mut kept).await.unwrap();
        let before = stage.bench.all_requests().await.len();
        let again = stage.prepared(&film, &mut kept).await.unwrap();
        assert_eq!((again, stage.bench.all_requests().await.len()), (ready, before), "{kind:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_stopped() {
    let stage = stage().await;
    for kind in [FacebookKind::Feed, FacebookKind::Reel] {
        let film = stage.film(kind);
        let mut kept = Kept::default();
        // The first upload call opens the draft or the session, the second carries the bytes.
        stage.script("media_upload", object!({ "skip": 1, "fault": { "kind": "accept_then_reset" } })).await;
        let broke = stage.prepared(&film, &mut kept).await.unwrap_err();
        assert!(matches!(broke, Fault::Transient { .. }), "{kind:?}: {broke:?}");
        // The reel's draft knows that its file is there; the session of the feed's file is over, and a new one begins.
        let ready = stage.prepared(&film, &mut kept).await.unwrap();
        let answer = stage.send(&film, &ready).await;
        assert!(matches!(answer.outcome, Outcome::Processing { .. }), "{kind:?}: {answer:?}");
    }
    assert_eq!(stage.bench.ledger().await.len(), 2);
}

#[tokio::test]
async fn a_feed_video_needs_the_person_and_nothing_else_does() {
    let mut stage = stage().await;
    let page_id = stage.session.native_id.clone();
    stage.session.extra = connect::extra(&page_id, "a token that has ended");
    let refused = stage.prepared(&stage.film(FacebookKind::Feed), &mut Kept::default()).await.unwrap_err();
    let is_person = |code: &str| code == "PERSON_AUTHORIZATION_ENDED";
    assert!(matches!(&refused, Fault::Rejected { code, .. } if is_person(code)), "{refused:?}");
    stage.session.extra = Secret::default();
    let unkept = stage.prepared(&stage.film(FacebookKind::Feed), &mut Kept::default()).await.unwrap_err();
    assert_eq!(unkept, refused);
    let page = stage.session.access_token.clone();
    stage.session.extra = connect::extra(&page_id, page.expose());
    let refused = stage.prepared(&stage.film(FacebookKind::Feed), &mut Kept::default()).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { .. }), "a Page is no person: {refused:?}");
    stage.prepared(&stage.film(FacebookKind::Reel), &mut Kept::default()).await.unwrap();
    stage.prepared(&stage.work("a dot", 1), &mut Kept::default()).await.unwrap();
}

#[tokio::test]
async fn a_video_is_followed_until_its_post_is_named() {
    let stage = stage().await;
    for (kind, fails) in
        [(FacebookKind::Feed, false), (FacebookKind::Reel, false), (FacebookKind::Reel, true)]
    {
        let film = stage.film(kind);
        let operation = if kind == FacebookKind::Feed { "publish" } else { "media_upload" };
        let slow = object!({ "times": 2, "fault": { "kind": "processing", "ms": 1_500, "fails": fails } });
        stage.script(operation, slow).await;
        let ready = stage.ready(&film).await;
        let answer = stage.send(&film, &ready).await;
        stage.bench.clear_script().await;
        let Outcome::Processing { handle } = answer.outcome else { panic!("{answer:?}") };
        let early = stage.network.poll(&stage.session, &film, &handle).await.outcome;
        assert_eq!(early, Outcome::Processing { handle: handle.clone() });
        tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
        let late = stage.network.poll(&stage.session, &film, &handle).await;
        if fails {
            assert!(
                matches!(&late.outcome, Outcome::Rejected { code, .. } if code == "MEDIA_REFUSED"),
                "{late:?}"
            );
        } else {
            let shown = stage.bench.ledger().await.last().unwrap()["native_id"].clone();
            let (id, url) = addressed(late);
            assert_eq!(object!(id), shown);
            assert_eq!(url, format!("{SITE}/reel/{handle}/"));
        }
    }
    assert_eq!(stage.bench.ledger().await.len(), 2);
    let refused = graph::look_failed(Fault::Rejected { code: "X".into(), message: "y".into() });
    assert!(matches!(refused, Outcome::Ambiguous { .. }), "a refused look says nothing about the post");
}

#[tokio::test]
async fn a_post_has_the_address_that_the_network_tells_of_it() {
    let stage = stage().await;
    let root = stage.post("root").await;
    let comment = stage::part_of(&root, &root, stage.work("a comment", 0));
    let mut story = of_kind(FacebookKind::Story, stage.work("", 1));
    story.content.media[0].alt_text.clear();
    for (work, begin) in [
        (stage.work("text", 0), format!("{SITE}/{}/posts/", stage.session.native_id)),
        (stage.work("photo", 1), format!("{SITE}/{}/posts/", stage.session.native_id)),
        (comment, format!("{SITE}/{}/posts/{}?comment_id=", stage.session.native_id, number(&root))),
        (story, format!("{SITE}/stories/")),
        (stage.film(FacebookKind::Story), format!("{SITE}/stories/")),
    ] {
        let (facts, mut kept) = (attempt(), Kept::default());
        let ready = stage.prepared(&work, &mut kept).await.unwrap();
        let (id, url) = addressed(stage.send(&work, &ready).await);
        assert_eq!(url, format!("{begin}{}", number(&id)));
        let found = stage.find(&work, &kept.handles, &facts).await;
        assert!(matches!(&found, Found::Live { url: same, .. } if *same == url), "{url} {found:?}");
    }
}

/// The part of an id behind its Page or post.
fn number(id: &str) -> &str {
    id.rsplit('_').next().unwrap()
}

#[tokio::test]
async fn reading_the_address_of_a_post_cannot_spoil_it() {
    let stage = stage().await;
    let of_id = |id: &str| format!("{SITE}/{id}");
    stage.address_is_cosmetic(|n| stage.work(&format!("number {n}"), 0), of_id).await;
}

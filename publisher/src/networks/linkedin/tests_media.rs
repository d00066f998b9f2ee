//! Uploads against LinkedIn's stand-in over a real socket: made once, resumed after a cut, waited for.

use std::time::Duration;

use serde_json::json;

use super::{
    proof::{film, png},
    tests::{send, stage},
    *,
};
use crate::{
    domain::{content::Media, outcome::Outcome},
    networks::proof::{accepted, shared::with},
    testing::{Kept, clip, media_source},
};

#[tokio::test]
async fn uploads_are_made_once_and_waited_for() {
    let stage = stage("linkedin_organization").await;
    let work = stage.work(with("a film", vec![film()]));
    let mut kept = Kept::default();
    let ready = stage.ready(&work, &mut kept).await;
    assert_eq!(kept.handles["media.0"]["ready"], true);
    let before = stage.bench.all_requests().await.len();
    let again = stage.ready(&work, &mut kept).await;
    assert_eq!(
        (again, stage.bench.all_requests().await.len()),
        (ready.clone(), before),
        "nothing is missing"
    );
    accepted(&stage.send(&work, &ready).await);
    let size = clip().len();
    assert_eq!(stage.bench.ledger().await[0]["media"][0]["size"], size);

    stage.bench.fault("linkedin", "media_upload", json!({ "kind": "drop_before" })).await;
    let cut = stage.work(with("cut off", vec![film()]));
    let mut kept = Kept::default();
    let prepare =
        async |kept: &mut Kept| stage.network.prepare(&stage.session, &cut, &media_source(), kept).await;
    assert!(matches!(prepare(&mut kept).await, Err(Fault::Transient { .. })));
    let skipped = json!({ "network": "linkedin", "operation": "media_upload", "skip": 1,
        "fault": { "kind": "status", "code": 403, "body": { "status": 403 } } });
    stage.bench.control("script", &skipped).await;
    assert!(matches!(prepare(&mut kept).await, Err(Fault::Transient { .. })), "its address is of no use");
    let ready = stage.ready(&cut, &mut kept).await;
    accepted(&stage.send(&cut, &ready).await);

    let fails = json!({ "network": "linkedin", "operation": "media_upload", "times": 2,
        "fault": { "kind": "processing", "ms": 1, "fails": true } });
    stage.bench.control("script", &fails).await;
    let bad = stage.work(with("bad", vec![png()]));
    let refused = stage.network.prepare(&stage.session, &bad, &media_source(), &mut Kept::default()).await;
    assert!(matches!(&refused, Err(Fault::Rejected { code, .. }) if code == "MEDIA_REFUSED"), "{refused:?}");
}

#[tokio::test]
async fn a_picture_that_is_not_ready_is_tried_again() {
    let stage = stage("linkedin").await;
    let slow = json!({ "network": "linkedin", "operation": "media_upload", "times": 2,
        "fault": { "kind": "processing", "ms": 1500 } });
    stage.bench.control("script", &slow).await;
    let work = stage.work(with("slow", vec![png()]));
    let ready = stage.ready(&work, &mut Kept::default()).await;
    let early = send(&stage, &work, &ready, false).await;
    assert!(
        matches!(&early, Outcome::Transient { code, retry_after: Some(_), .. } if code == "MEDIA_PROCESSING"),
        "{early:?}"
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;
    accepted(&stage.send(&work, &ready).await);
    assert_eq!(stage.bench.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_webp_goes_out_as_a_jpeg() {
    let stage = stage("linkedin").await;
    let media = Media { content_type: "image/webp".into(), ..png() };
    stage.publish(Content { media: vec![media], ..with("converted", Vec::new()) }).await;
    assert_eq!(stage.bench.ledger().await[0]["media"][0]["mime"], "image/jpeg");
}

#[tokio::test]
async fn each_part_of_a_video_goes_to_its_own_address_and_is_named_in_order() {
    let stage = stage("linkedin").await;
    let (size, half) = (clip().len(), clip().len() / 2);
    let url = |n: u8| format!("{}/dms-uploads/secret/{n}", stage.session.server);
    let begun = json!({ "value": { "video": "urn:li:video:1", "uploadToken": "t", "uploadInstructions": [
        { "uploadUrl": url(0), "firstByte": 0, "lastByte": half - 1 },
        { "uploadUrl": url(1), "firstByte": half, "lastByte": size - 1 },
    ] } });
    for (body, headers) in [
        (begun, json!({})),
        (json!(null), json!({ "ETag": "first" })),
        (json!(null), json!({ "etag": "second" })),
        (json!({}), json!({})),
    ] {
        let fault = json!({ "kind": "status", "code": 200, "body": body, "headers": headers });
        stage.bench.fault("linkedin", "media_upload", fault).await;
    }
    let available = json!({ "kind": "status", "code": 200, "body": { "status": "AVAILABLE" } });
    stage.bench.fault("linkedin", "read", available).await;
    let work = stage.work(with("a film", vec![film()]));
    stage.ready(&work, &mut Kept::default()).await;
    let calls = stage.bench.requests("media_upload").await;
    assert_eq!(calls.len(), 4);
    let digest = |bytes: &[u8]| {
        use sha2::Digest;
        data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
    };
    for (call, (path, bytes)) in calls[1..3].iter().zip([
        ("/linkedin/dms-uploads/secret/0", &clip()[..half]),
        ("/linkedin/dms-uploads/secret/1", &clip()[half..]),
    ]) {
        assert_eq!((&call["path"], &call["body_sha256"]), (&json!(path), &json!(digest(bytes))));
        assert_eq!(call["headers"]["content-type"], "application/octet-stream");
        assert_eq!(call["headers"].get("authorization"), None, "the address is all that a part needs");
    }
    let named =
        json!({ "video": "urn:li:video:1", "uploadToken": "t", "uploadedPartIds": ["first", "second"] });
    assert_eq!(calls[3]["body"]["finalizeUploadRequest"], named);
}

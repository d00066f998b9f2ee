//! What nobody needs goes, what a crash leaves between a blob and its row goes, and nothing else does.

use bytes::Bytes;
use postmesh_kit::testing;
use postmesh_media::{Config, MIGRATIONS, store::Store};
use postmesh_proto::media::v1::ListMediaRequest;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    files,
    world::{BlobKind, HOUR, World, everywhere},
};

#[tokio::test]
async fn uploads_that_were_never_completed_go_after_a_day() {
    everywhere(async |world| {
        let anna = world.member();
        let file = files::photo(8, 8, 1);
        let kept = anna.upload(&file).await.unwrap();
        let late = anna.announce(file.len()).await;
        world.send(&late.upload_url, &[&file]).await.unwrap();
        world.clock.advance(24 * HOUR);
        world.sweep().await;
        assert_eq!(world.blobs(), 2, "a day is not over before it is over");
        world.clock.advance(HOUR);
        let swept = world.sweep().await;
        assert_eq!(swept.uploads, 2);
        assert_eq!(world.blobs(), 1);
        assert_eq!(anna.complete(&late.upload_id).await.unwrap_err().code(), Code::NotFound);
        world.rendition(anna.workspace, &kept.id).await.expect("items stay");
        assert_eq!(
            world.sweep().await,
            postmesh_media::sweep::Swept::default(),
            "a second round finds nothing"
        );
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_blob_and_row_leaves_a_key_for_the_sweeper() {
    everywhere(async |world| {
        // What CompleteUpload does before its last step, without the last step.
        let key = "0190b8e0-0000-7000-8000-000000000000/rendition".to_owned();
        let store: &Store = &world.store;
        store.note_loose(key.clone(), 1).await.unwrap();
        world.blob.put_bytes(&key, Bytes::from_static(b"a rendition")).await.unwrap();
        assert!(store.take_loose(10, 5).await.unwrap().contains(&key), "a sweeper that dies here ...");
        assert_eq!(world.sweep().await.blobs, 1, "... leaves it to the next one");
        assert!(world.blob.get(&key).await.unwrap().is_none());
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_item_never_takes_over_a_blob_that_the_sweeper_has_taken() {
    everywhere(async |world| {
        let anna = world.member();
        let item = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let upload = anna.announce(1).await;
        let id = upload.upload_id.parse().unwrap();
        let mut late = world.store.item(anna.workspace, item.id.parse().unwrap()).await.unwrap().unwrap();
        late.id = id;
        late.rendition_key = format!("{}/late", anna.workspace);
        world.store.note_loose(late.rendition_key.clone(), 1).await.unwrap();
        assert!(world.store.take_loose(1, 9).await.unwrap().contains(&late.rendition_key));
        let refused = world.store.complete_upload(late, "x".into(), 0).await;
        assert!(matches!(refused, Err(postmesh_media::Error::TooSlow)), "{refused:?}");
        assert!(
            world.store.item(anna.workspace, id).await.unwrap().is_none(),
            "and the transaction left no row"
        );
        let open = world.store.upload(anna.workspace, id).await.unwrap().unwrap();
        assert_eq!(open.complete_time, None);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn no_item_is_made_while_its_bytes_cannot_be_stored() {
    testing::each_database(MIGRATIONS, |db| async move {
        let config = Config { direct_uploads: false, ..Config::default() };
        let world = World::new(db, BlobKind::Directory, config).await;
        let anna = world.member();
        let file = files::photo(8, 8, 1);
        let upload = anna.announce(file.len()).await;
        world.send(&upload.upload_url, &[&file]).await.unwrap();
        // A file where new blobs are written: reading goes on, writing fails.
        let incoming = world.folder.path().join("blobs/.incoming");
        std::fs::remove_dir_all(&incoming).unwrap();
        std::fs::write(&incoming, b"").unwrap();
        assert_eq!(anna.complete(&upload.upload_id).await.unwrap_err().code(), Code::Internal);
        assert!(world.blob.check().await.is_err());
        let list = anna.api().list_media(anna.ask(ListMediaRequest::default())).await.unwrap().into_inner();
        assert!(list.media.is_empty());
        std::fs::remove_file(&incoming).unwrap();
        std::fs::create_dir(&incoming).unwrap();
        anna.complete(&upload.upload_id).await.expect("trying again once it is repaired");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn while_the_blob_store_is_away_callers_are_told_to_come_back() {
    testing::each_database(MIGRATIONS, |db| async move {
        let config = Config { direct_uploads: false, ..Config::default() };
        let world = World::new(db, BlobKind::Away, config).await;
        let anna = world.member();
        let upload = anna.announce(3).await;
        let write = world.send(&upload.upload_url, &[b"abc"]).await.unwrap_err();
        let complete = anna.complete(&upload.upload_id).await.unwrap_err();
        for refused in [write, complete] {
            assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
            assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
        }
        world.end().await;
    })
    .await;
}

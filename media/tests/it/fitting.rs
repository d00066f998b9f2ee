//! Copies that fit what a receiver takes: made once, stored like every blob, and gone with their item.

use futures::future::join_all;
use postmesh_media::{Error, picture::Limits, store::Rendition};
use postmesh_proto::media::v1::DeleteMediaRequest;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    files,
    world::{HOUR, everywhere},
};

const SMALL: Limits = Limits { max_bytes: 30_000, ..Limits::NONE };

#[tokio::test]
async fn one_upload_is_read_in_every_size_and_each_copy_is_made_once() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::grainy_photo(400, 300, 6)).await.unwrap();
        assert_eq!((media.width, media.height), (300, 400));
        let (own, original) = world.rendition(anna.workspace, &media.id).await.unwrap();
        assert_eq!((own.width, own.height), (300, 400));
        let roomy = Limits { max_bytes: original.len() as i64, max_pixels: 300 * 400, only_jpeg: false };
        assert_eq!(world.fitted(anna.workspace, &media.id, roomy).await.unwrap(), (own, original));
        assert_eq!(world.blobs(), 1, "what fits is not copied");

        let (info, bytes) = world.fitted(anna.workspace, &media.id, SMALL).await.unwrap();
        assert_eq!(info.content_type, "image/jpeg");
        assert!(bytes.len() <= 30_000);
        let picture = image::load_from_memory(&bytes).unwrap();
        assert_eq!((picture.width() as i32, picture.height() as i32), (info.width, info.height));
        assert!(info.height > info.width, "upright");
        assert_eq!(world.blobs(), 2);
        for _ in 0..2 {
            assert_eq!(
                world.fitted(anna.workspace, &media.id, SMALL).await.unwrap(),
                (info.clone(), bytes.clone())
            );
        }
        assert_eq!(world.blobs(), 2, "it was made once");

        let few = Limits { max_pixels: 10_000, ..Limits::NONE };
        let (info, _) = world.fitted(anna.workspace, &media.id, few).await.unwrap();
        assert!(info.width * info.height <= 10_000);
        assert_eq!(world.blobs(), 3, "other limits, another copy");
        world.clock.advance(30 * HOUR);
        world.sweep().await;
        assert_eq!(world.blobs(), 3, "copies stay as long as their item");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn many_at_once_share_one_copy() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::grainy_photo(400, 300, 1)).await.unwrap();
        let answers = join_all((0..8).map(|_| world.fitted(anna.workspace, &media.id, SMALL))).await;
        let first = answers[0].as_ref().unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == first));
        assert_eq!(world.blobs(), 2);
        assert_eq!(world.sweep().await.blobs, 0, "no second copy was made and thrown away");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn of_two_processes_that_make_a_copy_the_first_row_counts() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::grainy_photo(400, 300, 1)).await.unwrap();
        let id: Uuid = media.id.parse().unwrap();
        let (_, bytes) = world.fitted(anna.workspace, &media.id, SMALL).await.unwrap();
        let first = world.store.rendition(anna.workspace, id, SMALL).await.unwrap().unwrap();
        // What another process does that looked before the first had finished.
        let key = format!("{}/second", anna.workspace);
        let now = postmesh_kit::clock::Clock::now_ms(&world.clock);
        world.store.note_loose(key.clone(), now + HOUR).await.unwrap();
        world.blob.put_bytes(&key, bytes::Bytes::from(bytes.clone())).await.unwrap();
        let second = Rendition { blob_key: key.clone(), ..first.clone() };
        let kept = world.store.keep_rendition(anna.workspace, id, SMALL, second, now).await.unwrap();
        assert_eq!(kept, first);
        assert_eq!(world.blobs(), 3);
        assert_eq!(world.sweep().await.blobs, 1, "the second blob goes at once");
        assert!(world.blob.get(&key).await.unwrap().is_none());
        assert_eq!(world.fitted(anna.workspace, &media.id, SMALL).await.unwrap().1, bytes);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_copy_takes_over_no_blob_that_the_sweeper_has_taken() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let id: Uuid = media.id.parse().unwrap();
        let key = format!("{}/late", anna.workspace);
        world.store.note_loose(key.clone(), 1).await.unwrap();
        assert!(world.store.take_loose(1, 9).await.unwrap().contains(&key));
        let late = copy(key);
        let refused = world.store.keep_rendition(anna.workspace, id, SMALL, late, 0).await;
        assert!(matches!(refused, Err(Error::TooSlow)), "{refused:?}");
        assert_eq!(world.store.rendition(anna.workspace, id, SMALL).await.unwrap(), None);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn copies_go_with_their_item_and_none_outlives_it() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::grainy_photo(400, 300, 1)).await.unwrap();
        let id: Uuid = media.id.parse().unwrap();
        for max_bytes in [20_000, 30_000] {
            world.fitted(anna.workspace, &media.id, Limits { max_bytes, ..Limits::NONE }).await.unwrap();
        }
        assert_eq!(world.blobs(), 3);
        let request = DeleteMediaRequest { media_id: media.id.clone() };
        anna.api().delete_media(anna.ask(request)).await.unwrap();
        assert_eq!(world.blobs(), 0);
        assert_eq!(world.sweep().await.blobs, 3, "their keys were on record");
        assert_eq!(world.store.rendition(anna.workspace, id, SMALL).await.unwrap(), None);
        let refused = world.fitted(anna.workspace, &media.id, SMALL).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);

        // A copy that was being made meanwhile.
        let key = format!("{}/late", anna.workspace);
        world.store.note_loose(key.clone(), i64::MAX).await.unwrap();
        let late = world.store.keep_rendition(anna.workspace, id, SMALL, copy(key), 0).await;
        assert!(matches!(late, Err(Error::MediaNotFound(_))), "{late:?}");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_made_smaller_is_refused_with_its_reason() {
    everywhere(async |world| {
        let anna = world.member();
        for file in
            [files::animated_gif(40, 30, 2), files::animated_webp(40, 30), files::animated_png(40, 30)]
        {
            let media = anna.upload(&file).await.unwrap();
            let limits = Limits { max_pixels: 100, ..Limits::NONE };
            let refused = world.fitted(anna.workspace, &media.id, limits).await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
            assert_eq!(refused.get_details_error_info().unwrap().reason, "CANNOT_FIT");
            let roomy = Limits { max_bytes: 1_000_000, max_pixels: 40 * 30, only_jpeg: false };
            world.fitted(anna.workspace, &media.id, roomy).await.expect("it passes where it fits");
        }
        let media = anna.upload(&files::photo(40, 30, 1)).await.unwrap();
        let few = Limits { max_bytes: 100, ..Limits::NONE };
        assert_eq!(
            world.fitted(anna.workspace, &media.id, few).await.unwrap_err().code(),
            Code::FailedPrecondition
        );
        let wrong = Limits { max_bytes: -1, max_pixels: -1, only_jpeg: false };
        let refused = world.fitted(anna.workspace, &media.id, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations.len(), 2);
        let bert = world.member();
        let refused = world.fitted(bert.workspace, &media.id, SMALL).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "another workspace's item");
        world.end().await;
    })
    .await;
}

fn copy(blob_key: String) -> Rendition {
    Rendition {
        content_type: "image/jpeg".into(),
        width: 1,
        height: 1,
        blob_key,
        size_bytes: 1,
        duration_ms: 0,
    }
}

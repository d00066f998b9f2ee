//! Videos: what becomes of them on their way into the library and out of it, and what is no video.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::future::join_all;
use postmesh_kit::{testing, time};
use postmesh_media::{
    Config, Error, MIGRATIONS,
    picture::Limits,
    video::{self, Source},
};
use postmesh_proto::media::v1::{
    ByteRange, CreateUploadRequest, MediaKind, ReadRenditionRequest, read_rendition_response::Part,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    clips::{self, CLIP, HEVC},
    files::{self, contains},
    world::{BlobKind, World, everywhere},
};

/// Where another reader of such files finds their frames, and the frames.
fn frames(file: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let movie = re_mp4::Mp4::read_bytes(file).unwrap();
    let tracks = movie.tracks().values();
    tracks
        .map(|track| {
            let of = |sample: &re_mp4::Sample| {
                file[sample.offset as usize..(sample.offset + sample.size) as usize].to_vec()
            };
            track.samples.iter().map(of).collect()
        })
        .collect()
}

#[tokio::test]
async fn a_video_becomes_an_item_and_goes_out_without_its_place() {
    everywhere(async |world| {
        let anna = world.member();
        let with_telemetry = clips::with_telemetry();
        let files = [
            ("video/mp4", CLIP, (64, 64), 1000, CLIP),
            ("video/mp4", &with_telemetry, (64, 64), 1000, CLIP),
            ("video/quicktime", HEVC, (64, 96), 500, HEVC),
        ];
        for (kind, file, size, length_ms, frames_of) in files {
            let media = anna.upload(file).await.unwrap();
            assert_eq!((&*media.content_type, media.kind()), (kind, MediaKind::Video));
            assert_eq!((media.width, media.height), size);
            let duration = time::duration_from_proto(&media.duration.unwrap());
            assert!((duration - length_ms).abs() < 80, "{duration}");
            assert_eq!(media.size_bytes, file.len() as i64);
            assert_eq!(media.sha256, data_encoding::HEXLOWER.encode(&Sha256::digest(file)));

            let (info, bytes) = world.rendition(anna.workspace, &media.id).await.unwrap();
            assert_eq!((&*info.content_type, info.width, info.height), (kind, size.0, size.1));
            assert_eq!(info.duration, media.duration);
            assert_eq!(bytes.len(), file.len(), "nothing moves");
            for planted in clips::PLANTED {
                assert!(!contains(&bytes, planted), "{kind} holds {}", planted.escape_ascii());
            }
            assert_eq!(frames(&bytes), frames(frames_of), "every frame is as it was");
        }
        assert_eq!(world.blobs(), 3, "the originals, with their places, are gone");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn refuses_what_networks_would_and_says_why() {
    everywhere(async |world| {
        let anna = world.member();
        let media = clips::body(CLIP, b"mdat");
        let elsewhere = clips::changed(b"url \0\0\0\x01", b"url \0\0\0\0");
        let looping = clips::changed(b"\0\0\0Hstco", b"\0\0\0\0stco");
        let cases: &[(&str, &[u8], &str, &str)] = &[
            ("VP9", clips::VP9, "CODEC", "picture is coded as VP9; accepted are H.264 and HEVC"),
            ("MP3", clips::MP3, "CODEC", "sound is coded as MP3; accepted is AAC, or no sound"),
            ("fragments", clips::FRAGMENTS, "FRAGMENTED", "plain MP4"),
            ("sound alone", clips::SOUND, "NO_PICTURE", "without a picture"),
            ("no header", &CLIP[..media.end], "CUT_OFF", "send the whole file"),
            ("half a header", &CLIP[..CLIP.len() - 300], "CUT_OFF", "send the whole file"),
            ("cut in its frames", &HEVC[..60], "CUT_OFF", "send the whole file"),
            ("frames in another file", &elsewhere, "NOT_SELF_CONTAINED", "other files"),
            ("a box of no length", &looping, "BROKEN_VIDEO", "is not one"),
            ("a name alone", &CLIP[..32], "CUT_OFF", "send the whole file"),
            ("junk", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isomjunk and more", "CUT_OFF", "send the whole file"),
            ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1\0\0\0\0", "NOT_A_PICTURE", "a HEIC picture"),
            ("Matroska", b"\x1A\x45\xDF\xA3 and more", "NOT_A_PICTURE", "a WebM or Matroska video"),
        ];
        for (name, file, reason, words) in cases {
            let refused = anna.upload(file).await.expect_err(name);
            assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused:?}");
            let fields = refused.get_details_bad_request().unwrap().field_violations;
            assert_eq!((fields.len(), &*fields[0].field), (1, "upload"), "{name}");
            assert!(fields[0].description.contains(words), "{name}: {}", fields[0].description);
            assert_eq!(refused.get_details_error_info().unwrap().reason, *reason, "{name}");
        }
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_may_be_as_large_as_its_kind_may() {
    testing::each_database(MIGRATIONS, |db| async move {
        let config = Config { max_video_bytes: 60 << 20, ..Config::default() };
        let world = World::new(db, BlobKind::Directory, config).await;
        let anna = world.member();
        let request = CreateUploadRequest {
            filename: "a.mp4".into(),
            size_bytes: (60 << 20) + 1,
            ..CreateUploadRequest::default()
        };
        let refused = anna.api().create_upload(anna.ask(request)).await.unwrap_err();
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, "size_bytes");

        let large = clips::padded(51 << 20);
        let media = anna.upload(&large).await.unwrap();
        assert_eq!(media.size_bytes, large.len() as i64);
        let mut picture = files::photo(8, 8, 1);
        picture.resize(51 << 20, 0);
        let refused = anna.upload(&picture).await.unwrap_err();
        assert_eq!(refused.get_details_error_info().unwrap().reason, "TOO_LARGE");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_video_larger_than_is_allowed_is_refused_though_a_picture_might_be_so_large() {
    testing::each_database(MIGRATIONS, |db| async move {
        let config = Config { max_video_bytes: 1 << 20, ..Config::default() };
        let world = World::new(db, BlobKind::Directory, config).await;
        let anna = world.member();
        let refused = anna.upload(&clips::padded(1 << 20)).await.unwrap_err();
        assert_eq!(refused.get_details_error_info().unwrap().reason, "TOO_LARGE");
        anna.upload(CLIP).await.unwrap();
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn completing_at_once_and_again_makes_one_item() {
    everywhere(async |world| {
        let anna = world.member();
        let upload = anna.announce(CLIP.len()).await;
        world.send(&upload.upload_url, &[CLIP]).await.unwrap();
        let all = join_all((0..4).map(|_| anna.complete(&upload.upload_id))).await;
        let media = anna.complete(&upload.upload_id).await.unwrap();
        for one in all {
            assert_eq!(one.unwrap(), media);
        }
        world.clock.advance(3 * crate::world::HOUR);
        world.sweep().await;
        assert_eq!(world.blobs(), 1, "one copy was made");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn any_range_of_a_file_is_read_by_itself() {
    everywhere(async |world| {
        let anna = world.member();
        for file in [CLIP.to_vec(), files::photo(40, 30, 6)] {
            let media = anna.upload(&file).await.unwrap();
            let (whole, bytes) = world.rendition(anna.workspace, &media.id).await.unwrap();
            let size = bytes.len() as i64;
            for (offset, length) in
                [(0, 0), (0, 1), (5, 700), (size - 3, 3), (size - 3, 900), (size, 5), (0, size)]
            {
                let request = ReadRenditionRequest {
                    workspace_id: anna.workspace.to_string(),
                    media_id: media.id.clone(),
                    range: Some(ByteRange { offset, length }),
                    ..ReadRenditionRequest::default()
                };
                let mut parts = world.publisher.clone().read_rendition(request).await.unwrap().into_inner();
                let mut read = Vec::new();
                while let Some(message) = parts.message().await.unwrap() {
                    match message.part.unwrap() {
                        Part::Info(info) => assert_eq!(info, whole, "it describes the whole file"),
                        Part::Chunk(chunk) => read.extend_from_slice(&chunk),
                    }
                }
                let end = (offset + length).min(size) as usize;
                assert_eq!(read, bytes[(offset as usize).min(end)..end], "{length} from {offset}");
            }
        }
        let request = ReadRenditionRequest {
            range: Some(ByteRange { offset: -1, length: -1 }),
            content_type: "image/avif".into(),
            ..ReadRenditionRequest::default()
        };
        let refused = world.publisher.clone().read_rendition(request).await.unwrap_err();
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations.len(), 5);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn pictures_become_jpeg_where_nothing_else_is_taken() {
    everywhere(async |world| {
        let anna = world.member();
        let jpeg = Limits { only_jpeg: true, ..Limits::NONE };
        let photo = anna.upload(&files::photo(40, 30, 1)).await.unwrap();
        let own = world.rendition(anna.workspace, &photo.id).await.unwrap();
        assert_eq!(world.fitted(anna.workspace, &photo.id, jpeg).await.unwrap(), own, "it is one");
        assert_eq!(world.blobs(), 1);

        let clear = anna.upload(&files::clear_png(40, 30)).await.unwrap();
        let webp = anna.upload(&files::webp_with_secrets(40, 30, 1)).await.unwrap();
        for media in [&clear, &webp] {
            let (info, bytes) = world.fitted(anna.workspace, &media.id, jpeg).await.unwrap();
            assert_eq!((&*info.content_type, info.width, info.height), ("image/jpeg", 40, 30));
            assert!(bytes.starts_with(&[0xFF, 0xD8, 0xFF]));
            let again = world.fitted(anna.workspace, &media.id, jpeg).await.unwrap();
            assert_eq!(again, (info, bytes), "always the same");
        }
        let (_, bytes) = world.fitted(anna.workspace, &clear.id, jpeg).await.unwrap();
        let corner = image::load_from_memory(&bytes).unwrap().to_rgb8().get_pixel(0, 0).0;
        assert!(corner.iter().all(|colour| *colour > 250), "clear parts are white: {corner:?}");
        let (info, _) = world.rendition(anna.workspace, &clear.id).await.unwrap();
        assert_eq!(info.content_type, "image/png", "others still get the original");
        assert_eq!(world.blobs(), 5);

        let small = Limits { max_pixels: 300, ..jpeg };
        let (info, _) = world.fitted(anna.workspace, &clear.id, small).await.unwrap();
        assert!(info.content_type == "image/jpeg" && info.width * info.height <= 300);
        for file in [files::animated_gif(40, 30, 2), files::animated_webp(40, 30)] {
            let media = anna.upload(&file).await.unwrap();
            let refused = world.fitted(anna.workspace, &media.id, jpeg).await.unwrap_err();
            assert_eq!(refused.get_details_error_info().unwrap().reason, "CANNOT_FIT");
        }
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_video_goes_out_as_it_is_or_not_at_all() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(CLIP).await.unwrap();
        let roomy = Limits { max_bytes: CLIP.len() as i64, max_pixels: 1, only_jpeg: true };
        world.fitted(anna.workspace, &media.id, roomy).await.expect("pixels and type are limits of pictures");
        let tight = Limits { max_bytes: CLIP.len() as i64 - 1, ..Limits::NONE };
        let refused = world.fitted(anna.workspace, &media.id, tight).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(refused.get_details_error_info().unwrap().reason, "CANNOT_FIT");
        world.end().await;
    })
    .await;
}

struct Memory(Bytes);

impl Source for Memory {
    async fn read(&self, at: u64, length: u64) -> Result<Bytes, Error> {
        let range = at as usize..(at + length) as usize;
        Ok(self.0.slice(range))
    }
}

fn inspect(file: Vec<u8>) -> Result<video::Video, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let size = file.len() as u64;
    runtime.block_on(video::inspect(&Memory(file.into()), size))
}

/// Counts panics, also those that are caught.
fn panics() -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        counter.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    count
}

#[test]
fn no_change_of_a_single_number_in_a_header_panics_or_hangs() {
    let panics = panics();
    for file in [CLIP, HEVC] {
        let movie = clips::body(file, b"moov");
        for at in movie.clone().step_by(2) {
            for value in [[0, 0, 0, 0], [0xFF; 4], [0, 0, 0, 1], [0x7F, 0xFF, 0xFF, 0xFF]] {
                let mut changed = file.to_vec();
                let end = (at + 4).min(changed.len());
                changed[at..end].copy_from_slice(&value[..end - at]);
                let _ = inspect(changed);
            }
        }
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_come_nothing_panics(
        which in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut file = if which { CLIP.to_vec() } else { HEVC.to_vec() };
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        let count = panics();
        let _ = inspect(file);
        let _ = std::panic::take_hook();
        prop_assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}

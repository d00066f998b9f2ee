//! From an announced file to an item: the whole way, its repetitions, and everything that must not get through.

use bytes::Bytes;
use futures::future::join_all;
use image::ImageFormat;
use postmesh_kit::clock::Clock;
use postmesh_proto::media::v1::{
    CompleteUploadRequest, CreateUploadRequest, GetMediaRequest, UploadTicket, write_upload_request::Part,
};
use sha2::{Digest, Sha256};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    bombs,
    files::{self, PLANTED, contains},
    world::{everywhere, parts},
};

#[tokio::test]
async fn a_file_becomes_an_item_and_the_publisher_gets_it_without_its_place() {
    everywhere(async |world| {
        let anna = world.member();
        let files = [
            ("image/jpeg", files::photo(40, 30, 6), (30, 40)),
            ("image/png", files::png_with_secrets(40, 30, 1), (40, 30)),
            ("image/gif", files::gif_with_secrets(40, 30), (40, 30)),
            ("image/webp", files::webp_with_secrets(40, 30, 1), (40, 30)),
            // Larger than a message of either direction.
            ("image/png", noise(700, 500), (700, 500)),
        ];
        for (kind, file, size) in files {
            let media = anna.upload(&file).await.unwrap();
            assert_eq!(media.content_type, kind);
            assert_eq!((media.width, media.height), size);
            assert_eq!(media.size_bytes, file.len() as i64);
            assert_eq!(media.sha256, data_encoding::HEXLOWER.encode(&Sha256::digest(&file)));
            assert_eq!((&*media.filename, &*media.alt_text), ("holiday.jpg", "A beach"));

            let (info, bytes) = world.rendition(anna.workspace, &media.id).await.unwrap();
            assert_eq!((&*info.content_type, info.width, info.height), (kind, size.0, size.1));
            for planted in PLANTED {
                assert!(!contains(&bytes, planted), "{kind} holds {planted:?}");
            }
            let request = GetMediaRequest { media_id: media.id.clone() };
            let got = anna.api().get_media(anna.ask(request)).await.unwrap().into_inner().media.unwrap();
            assert_eq!(got, media);
        }
        assert_eq!(world.blobs(), 5, "the originals, with their places, are gone");
        world.end().await;
    })
    .await;
}

fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1u32;
    let picture = image::RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

#[tokio::test]
async fn repeating_answers_the_same() {
    everywhere(async |world| {
        let anna = world.member();
        let file = files::photo(20, 20, 1);
        let request = CreateUploadRequest {
            filename: "a.jpg".into(),
            size_bytes: file.len() as i64,
            alt_text: String::new(),
            request_id: Uuid::now_v7().to_string(),
        };
        let first = anna.api().create_upload(anna.ask(request.clone())).await.unwrap().into_inner();
        let second = anna.api().create_upload(anna.ask(request.clone())).await.unwrap().into_inner();
        assert_eq!(first, second);
        let ben = world.member();
        let other = ben.api().create_upload(ben.ask(request.clone())).await.unwrap().into_inner();
        assert_ne!(first.upload_id, other.upload_id, "another workspace's request ids are its own");

        world.send(&first.upload_url, &[&file]).await.unwrap();
        world.send(&first.upload_url, &[&file]).await.unwrap();
        let all = join_all((0..4).map(|_| anna.complete(&first.upload_id))).await;
        let media = anna.complete(&first.upload_id).await.unwrap();
        for one in all {
            assert_eq!(one.unwrap(), media);
        }
        let third = anna.api().create_upload(anna.ask(request)).await.unwrap().into_inner();
        assert_eq!(third.upload_id, media.id);
        let refused = world.send(&third.upload_url, &[&file]).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "a checked file cannot be replaced");

        world.clock.advance(2 * crate::world::HOUR);
        world.sweep().await;
        assert_eq!(world.blobs(), 1, "one rendition, whoever else made one");
        world.rendition(anna.workspace, &media.id).await.unwrap();
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn refuses_what_is_no_picture_and_says_what_it_found() {
    everywhere(async |world| {
        let anna = world.member();
        for (name, file, reason, words) in bombs::all() {
            let refused = anna.upload(&file).await.expect_err(name);
            assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
            let fields = refused.get_details_bad_request().unwrap().field_violations;
            assert_eq!(fields.len(), 1, "{name}");
            assert_eq!(fields[0].field, "upload", "{name}");
            assert!(fields[0].description.contains(words), "{name}: {}", fields[0].description);
            let given = refused.get_details_error_info().unwrap().reason;
            assert!(reason.is_empty() || given == reason, "{name}: {given}");
        }
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_takes_exactly_the_announced_bytes() {
    everywhere(async |world| {
        let anna = world.member();
        let upload = anna.announce(10).await;
        for pieces in [&[b"too few".as_slice()][..], &[b"12345", b"67890", b"x"], &[b"123456789ab"], &[]] {
            let refused = world.send(&upload.upload_url, pieces).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{pieces:?}");
        }
        assert_eq!(world.blobs(), 0, "nothing is kept of them");
        assert_eq!(anna.complete(&upload.upload_id).await.unwrap_err().code(), Code::FailedPrecondition);
        assert_eq!(world.send(&upload.upload_url, &[b"1234", b"", b"567890"]).await.unwrap(), 10);

        let (upload_id, token) = parts(&upload.upload_url);
        let ticket = Part::Ticket(UploadTicket { upload_id, token });
        let chunk = |size: usize| Part::Chunk(Bytes::from(vec![0; size]));
        for wrong in [
            vec![],
            vec![chunk(10)],
            vec![ticket.clone(), ticket.clone()],
            vec![ticket, chunk(2 * 1024 * 1024)],
        ] {
            assert_eq!(world.send_parts(wrong).await.unwrap_err().code(), Code::InvalidArgument);
        }
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_is_for_one_upload_and_ten_minutes() {
    everywhere(async |world| {
        let anna = world.member();
        let upload = anna.announce(3).await;
        let other = anna.announce(3).await;
        let (id, token) = parts(&upload.upload_url);
        let (other_id, _) = parts(&other.upload_url);
        let mut forged = token.clone().into_bytes();
        forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        for (id, token) in [(&other_id, &token), (&id, &forged), (&id, &String::new())] {
            let ticket = Part::Ticket(UploadTicket { upload_id: id.clone(), token: token.clone() });
            let refused =
                world.send_parts(vec![ticket, Part::Chunk(Bytes::from_static(b"abc"))]).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
        world.clock.advance(10 * 60 * 1000 - 1);
        world.send(&upload.upload_url, &[b"abc"]).await.unwrap();
        world.clock.advance(1);
        let refused = world.send(&upload.upload_url, &[b"abc"]).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(upload.expire_time.unwrap(), postmesh_kit::time::to_proto(world.clock.now_ms()));
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn names_every_bad_field_of_an_announcement() {
    everywhere(async |world| {
        let anna = world.member();
        let request = CreateUploadRequest {
            filename: "../etc/passwd".into(),
            size_bytes: (1 << 30) + 1,
            alt_text: "ä".repeat(2001),
            request_id: "first".into(),
        };
        let refused = anna.api().create_upload(anna.ask(request)).await.unwrap_err();
        let fields = refused.get_details_bad_request().unwrap().field_violations;
        let names: Vec<_> = fields.iter().map(|violation| &*violation.field).collect();
        assert_eq!(names, ["filename", "size_bytes", "alt_text", "request_id"]);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn only_those_who_may_write_upload() {
    everywhere(async |world| {
        let viewer = world.member_who_may(&["media.read"]);
        let request =
            CreateUploadRequest { filename: "a.jpg".into(), size_bytes: 1, ..CreateUploadRequest::default() };
        let refused = viewer.api().create_upload(viewer.ask(request.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let complete = CompleteUploadRequest { upload_id: Uuid::now_v7().to_string() };
        assert_eq!(
            viewer.api().complete_upload(viewer.ask(complete)).await.unwrap_err().code(),
            Code::PermissionDenied
        );
        assert_eq!(viewer.api().create_upload(request).await.unwrap_err().code(), Code::Unauthenticated);
        let ticket = Part::Ticket(UploadTicket::default());
        let messages =
            futures::stream::iter([postmesh_proto::media::v1::WriteUploadRequest { part: Some(ticket) }]);
        let refused = world.scheduler.clone().write_upload(messages).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "only the gateway passes bytes on");
        world.end().await;
    })
    .await;
}

//! Public addresses: who gets what under them, what is counted, and how they end.

use futures::future::join_all;
use postmesh_kit::time;
use postmesh_proto::media::v1::{
    CreateShareRequest, CreateShareResponse, DeleteMediaRequest, ReadShareRequest, RevokeShareRequest,
    RevokeShareResponse, ShareInfo, ShareRange, read_share_response::Part,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    clips::CLIP,
    files,
    world::{HOUR, World, everywhere},
};

fn wanted(workspace: Uuid, media_id: &str) -> CreateShareRequest {
    CreateShareRequest {
        workspace_id: workspace.to_string(),
        media_id: media_id.into(),
        ..CreateShareRequest::default()
    }
}

impl World {
    async fn share(&self, workspace: Uuid, media_id: &str) -> CreateShareResponse {
        self.publisher.clone().create_share(wanted(workspace, media_id)).await.unwrap().into_inner()
    }

    async fn revoke(&self, workspace: Uuid, url: &str) -> Result<RevokeShareResponse, Status> {
        let request = RevokeShareRequest { workspace_id: workspace.to_string(), url: url.into() };
        Ok(self.publisher.clone().revoke_share(request).await?.into_inner())
    }

    /// Reads as the gateway does.
    async fn fetch(&self, request: ReadShareRequest) -> Result<(ShareInfo, Vec<u8>), Status> {
        let mut parts = self.gateway.clone().read_share(request).await?.into_inner();
        let Some(Part::Info(info)) = parts.message().await?.and_then(|message| message.part) else {
            panic!("the first message says what follows");
        };
        let mut bytes = Vec::new();
        while let Some(message) = parts.message().await? {
            let Some(Part::Chunk(chunk)) = message.part else { panic!("then come bytes") };
            assert!(chunk.len() <= 64 * 1024);
            bytes.extend_from_slice(&chunk);
        }
        Ok((info, bytes))
    }
}

fn token(url: &str) -> String {
    let name = url.strip_prefix("http://127.0.0.1:8080/m/").unwrap();
    name.split_once('.').unwrap().0.into()
}

fn whole(url: &str) -> ReadShareRequest {
    ReadShareRequest { token: token(url), ..ReadShareRequest::default() }
}

fn span(url: &str, first: Option<i64>, last: Option<i64>) -> ReadShareRequest {
    ReadShareRequest { range: Some(ShareRange { first, last }), ..whole(url) }
}

#[tokio::test]
async fn a_network_fetches_what_was_shared_and_each_read_is_counted() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(CLIP).await.unwrap();
        let (_, bytes) = world.rendition(anna.workspace, &media.id).await.unwrap();
        let shared = world.share(anna.workspace, &media.id).await;
        let secret = token(&shared.url);
        assert!(shared.url.is_ascii() && shared.url.split('.').next_back() == Some("mp4"));
        assert_eq!(secret.len(), 43, "256 bits");
        let info = shared.rendition.unwrap();
        assert_eq!((&*info.content_type, info.size_bytes), ("video/mp4", CLIP.len() as i64));

        let size = bytes.len() as i64;
        let (info, read) = world.fetch(whole(&shared.url)).await.unwrap();
        assert_eq!(
            (&*info.content_type, info.size_bytes, info.offset, info.length),
            ("video/mp4", size, 0, size)
        );
        assert_eq!(read, bytes);
        let (info, read) = world.fetch(span(&shared.url, Some(10), Some(99))).await.unwrap();
        assert_eq!((info.size_bytes, info.offset, info.length), (size, 10, 90));
        assert_eq!(read, bytes[10..100]);
        let (info, read) = world.fetch(span(&shared.url, None, Some(7))).await.unwrap();
        assert_eq!((info.offset, info.length, read.as_slice()), (size - 7, 7, &bytes[bytes.len() - 7..]));

        // Looking is not reading, and what has no bytes is none.
        let head = ReadShareRequest { only_info: true, ..whole(&shared.url) };
        let (info, read) = world.fetch(head).await.unwrap();
        assert_eq!((info.length, read.len()), (size, 0));
        let (info, read) = world.fetch(span(&shared.url, Some(size), None)).await.unwrap();
        assert_eq!((info.size_bytes, info.length, read.len()), (size, 0, 0));

        let now = postmesh_kit::clock::Clock::now_ms(&world.clock);
        let reads = world.revoke(anna.workspace, &shared.url).await.unwrap();
        assert_eq!((reads.read_count, reads.last_read_time), (3, Some(time::to_proto(now))));
        for request in [whole(&shared.url), ReadShareRequest { only_info: true, ..whole(&shared.url) }] {
            assert_eq!(world.fetch(request).await.unwrap_err().code(), Code::NotFound);
        }
        assert_eq!(world.revoke(anna.workspace, &shared.url).await.unwrap(), reads, "it may be repeated");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn every_share_is_another_address_that_only_its_workspace_can_end() {
    everywhere(async |world| {
        let (anna, mallory) = (world.member(), world.member());
        let media = anna.upload(&files::png_with_secrets(40, 30, 1)).await.unwrap();
        let first = world.share(anna.workspace, &media.id).await;
        let second = world.share(anna.workspace, &media.id).await;
        assert_ne!(first.url, second.url);
        assert!(first.url.split('.').next_back() == Some("png"));
        let stolen = world.publisher.clone().create_share(wanted(mallory.workspace, &media.id)).await;
        assert_eq!(stolen.unwrap_err().code(), Code::NotFound);
        let ended = world.revoke(mallory.workspace, &first.url).await;
        assert_eq!(ended.unwrap_err().code(), Code::NotFound);
        world.fetch(whole(&first.url)).await.expect("it was not ended");

        assert_eq!(world.revoke(anna.workspace, &first.url).await.unwrap().read_count, 1);
        world.fetch(whole(&second.url)).await.expect("the other one goes on");
        for url in ["http://127.0.0.1:8080/m/unknown.png", "", "nothing"] {
            let unknown = world.revoke(anna.workspace, url).await;
            assert_eq!(unknown.unwrap_err().code(), Code::NotFound, "{url}");
        }
        for token in ["", "unknown", &first.url] {
            let request = ReadShareRequest { token: token.into(), ..ReadShareRequest::default() };
            assert_eq!(world.fetch(request).await.unwrap_err().code(), Code::NotFound, "{token}");
        }
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_answers_the_copy_that_was_asked_for() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::png_with_secrets(40, 30, 1)).await.unwrap();
        let request = CreateShareRequest {
            content_type: "image/jpeg".into(),
            max_pixels: 300,
            ..wanted(anna.workspace, &media.id)
        };
        let shared = world.publisher.clone().create_share(request).await.unwrap().into_inner();
        assert!(shared.url.split('.').next_back() == Some("jpg"));
        let (info, bytes) = world.fetch(whole(&shared.url)).await.unwrap();
        assert_eq!(info.content_type, "image/jpeg");
        let picture = image::load_from_memory(&bytes).unwrap();
        assert!(picture.width() * picture.height() <= 300);

        let gif = anna.upload(&files::animated_gif(40, 30, 2)).await.unwrap();
        let request =
            CreateShareRequest { content_type: "image/jpeg".into(), ..wanted(anna.workspace, &gif.id) };
        let refused = world.publisher.clone().create_share(request).await.unwrap_err();
        assert_eq!(refused.get_details_error_info().unwrap().reason, "CANNOT_FIT");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn addresses_end_by_themselves_and_are_forgotten_a_week_later() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let request = CreateShareRequest {
            ttl: Some(time::duration_to_proto(HOUR)),
            ..wanted(anna.workspace, &media.id)
        };
        let short = world.publisher.clone().create_share(request).await.unwrap().into_inner();
        let day = world.share(anna.workspace, &media.id).await;
        world.clock.advance(HOUR - 1);
        world.fetch(whole(&short.url)).await.unwrap();
        world.clock.advance(1);
        assert_eq!(world.fetch(whole(&short.url)).await.unwrap_err().code(), Code::NotFound);
        world.fetch(whole(&day.url)).await.unwrap();
        world.clock.advance(23 * HOUR);
        assert_eq!(world.fetch(whole(&day.url)).await.unwrap_err().code(), Code::NotFound);

        world.clock.advance(6 * 24 * HOUR);
        assert_eq!(world.sweep().await.shares, 0);
        assert_eq!(world.revoke(anna.workspace, &short.url).await.unwrap().read_count, 1, "still known");
        world.clock.advance(24 * HOUR + 1);
        assert_eq!(world.sweep().await.shares, 2);
        let gone = world.revoke(anna.workspace, &short.url).await;
        assert_eq!(gone.unwrap_err().get_details_error_info().unwrap().reason, "SHARE_NOT_FOUND");

        for ttl in [0, -1, 7 * 24 * HOUR + 1] {
            let request = CreateShareRequest {
                ttl: Some(time::duration_to_proto(ttl)),
                ..wanted(anna.workspace, &media.id)
            };
            let refused = world.publisher.clone().create_share(request).await.unwrap_err();
            assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, "ttl");
        }
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_ends_with_its_item_and_still_tells_its_reads() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let shared = world.share(anna.workspace, &media.id).await;
        world.fetch(whole(&shared.url)).await.unwrap();
        let request = DeleteMediaRequest { media_id: media.id };
        anna.api().delete_media(anna.ask(request)).await.unwrap();
        assert_eq!(world.fetch(whole(&shared.url)).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(world.revoke(anna.workspace, &shared.url).await.unwrap().read_count, 1);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_read_is_in_the_count_or_was_refused() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let shared = world.share(anna.workspace, &media.id).await;
        let reads = join_all((0..30).map(|_| world.fetch(whole(&shared.url))));
        let (reads, ended) = tokio::join!(reads, world.revoke(anna.workspace, &shared.url));
        let read = reads.iter().filter(|read| read.is_ok()).count() as i64;
        for refused in reads.iter().filter_map(|read| read.as_ref().err()) {
            assert_eq!(refused.code(), Code::NotFound);
        }
        let counted = ended.unwrap().read_count;
        assert_eq!(counted, read, "nothing was read after it had ended");
        assert_eq!(world.revoke(anna.workspace, &shared.url).await.unwrap().read_count, counted);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn sharing_is_the_publishers_and_answering_the_gateways() {
    everywhere(async |world| {
        let anna = world.member();
        let media = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let shared = world.share(anna.workspace, &media.id).await;
        for caller in [&world.gateway, &world.scheduler] {
            let create = caller.clone().create_share(wanted(anna.workspace, &media.id)).await;
            assert_eq!(create.unwrap_err().code(), Code::PermissionDenied);
            let request =
                RevokeShareRequest { workspace_id: anna.workspace.to_string(), url: shared.url.clone() };
            assert_eq!(
                caller.clone().revoke_share(request).await.unwrap_err().code(),
                Code::PermissionDenied
            );
        }
        let read = world.publisher.clone().read_share(whole(&shared.url)).await;
        assert_eq!(read.err().unwrap().code(), Code::PermissionDenied);
        world.end().await;
    })
    .await;
}

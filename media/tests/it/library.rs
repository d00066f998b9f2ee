//! Listing and fetching several.

use postmesh_proto::media::v1::{BatchGetMediaRequest, ListMediaRequest};
use tonic::Code;
use uuid::Uuid;

use crate::{files, world::everywhere};

#[tokio::test]
async fn pages_through_the_library_newest_first_without_gaps() {
    everywhere(async |world| {
        let anna = world.member();
        let mut ids = Vec::new();
        for i in 0..5 {
            // Two of them in the same millisecond.
            if i != 3 {
                world.clock.advance(1);
            }
            ids.push(anna.upload(&files::photo(8 + i, 8, 1)).await.unwrap().id);
        }
        ids.reverse();
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListMediaRequest { page_size: 2, page_token };
            let page = anna.api().list_media(anna.ask(request)).await.unwrap().into_inner();
            assert!(page.media.len() <= 2);
            seen.extend(page.media.into_iter().map(|media| media.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ids);

        let request = ListMediaRequest { page_size: -1, page_token: "nonsense".into() };
        let refused = anna.api().list_media(anna.ask(request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn fetches_those_that_exist() {
    everywhere(async |world| {
        let anna = world.member();
        let one = anna.upload(&files::photo(8, 8, 1)).await.unwrap();
        let two = anna.upload(&files::photo(9, 8, 1)).await.unwrap();
        let media_ids = vec![two.id.clone(), Uuid::now_v7().to_string(), one.id.clone(), one.id.clone()];
        let request = BatchGetMediaRequest { workspace_id: anna.workspace.to_string(), media_ids };
        let mut found = world.publisher.clone().batch_get_media(request).await.unwrap().into_inner().media;
        found.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(found, [one, two]);

        let request = BatchGetMediaRequest { workspace_id: "x".into(), media_ids: vec!["y".into()] };
        let refused = world.scheduler.clone().batch_get_media(request).await.unwrap_err();
        assert!(refused.message().contains("workspace_id") && refused.message().contains("media_ids[0]"));
        world.end().await;
    })
    .await;
}

//! One workspace never sees nor touches what is another's, whichever door is tried.

use postmesh_proto::media::v1::{
    BatchGetMediaRequest, DeleteMediaRequest, GetMediaRequest, ListMediaRequest, ReplaceHoldsRequest,
};
use tonic::Code;
use uuid::Uuid;

use crate::{files, world::everywhere};

#[tokio::test]
async fn another_workspaces_items_do_not_exist() {
    everywhere(async |world| {
        let (anna, mallory) = (world.member(), world.member());
        let file = files::photo(8, 8, 1);
        let media_id = anna.upload(&file).await.unwrap().id;
        let waiting = anna.announce(file.len()).await;
        world.send(&waiting.upload_url, &[&file]).await.unwrap();

        let get = mallory.api().get_media(mallory.ask(GetMediaRequest { media_id: media_id.clone() })).await;
        assert_eq!(get.unwrap_err().code(), Code::NotFound);
        let delete =
            mallory.api().delete_media(mallory.ask(DeleteMediaRequest { media_id: media_id.clone() })).await;
        assert_eq!(delete.unwrap_err().code(), Code::NotFound);
        let list =
            mallory.api().list_media(mallory.ask(ListMediaRequest::default())).await.unwrap().into_inner();
        assert!(list.media.is_empty());
        for upload_id in [&media_id, &waiting.upload_id] {
            assert_eq!(mallory.complete(upload_id).await.unwrap_err().code(), Code::NotFound);
        }
        let workspace_id = mallory.workspace.to_string();
        assert_eq!(world.rendition(mallory.workspace, &media_id).await.unwrap_err().code(), Code::NotFound);
        let request =
            BatchGetMediaRequest { workspace_id: workspace_id.clone(), media_ids: vec![media_id.clone()] };
        assert!(
            world.publisher.clone().batch_get_media(request).await.unwrap().into_inner().media.is_empty()
        );
        let request = ReplaceHoldsRequest {
            workspace_id,
            owner_id: Uuid::now_v7().to_string(),
            media_ids: vec![media_id.clone()],
        };
        assert_eq!(
            world.scheduler.clone().replace_holds(request).await.unwrap_err().code(),
            Code::InvalidArgument
        );

        anna.complete(&waiting.upload_id).await.expect("and nothing of Anna's was touched");
        world.rendition(anna.workspace, &media_id).await.unwrap();
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn letting_go_in_one_workspace_leaves_the_same_owner_id_in_another() {
    everywhere(async |world| {
        let (anna, mallory) = (world.member(), world.member());
        let media_id = anna.upload(&files::photo(8, 8, 1)).await.unwrap().id;
        let owner_id = Uuid::now_v7().to_string();
        let hold = |workspace: Uuid, media_ids: Vec<String>| {
            let request = ReplaceHoldsRequest {
                workspace_id: workspace.to_string(),
                owner_id: owner_id.clone(),
                media_ids,
            };
            let mut scheduler = world.scheduler.clone();
            async move { scheduler.replace_holds(request).await.unwrap() }
        };
        hold(anna.workspace, vec![media_id.clone()]).await;
        hold(mallory.workspace, Vec::new()).await;
        let delete = anna.api().delete_media(anna.ask(DeleteMediaRequest { media_id })).await;
        assert_eq!(delete.unwrap_err().code(), Code::FailedPrecondition);
        world.end().await;
    })
    .await;
}

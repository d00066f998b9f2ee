//! Who writes but may not publish: drafts only, whichever rpc is tried.

use postmesh_kit::testing::with_token;
use postmesh_proto::scheduler::v1::{self as proto, PostState};
use tonic::Code;

use crate::world::{MINUTE, mask, reason, story};

#[tokio::test]
async fn a_contributor_writes_drafts_and_leaves_plans_alone() {
    story(async |world| {
        let token = world.tokens.mint(world.user, world.workspace, &["posts.read", "posts.write"]);
        let mut client = world.client.clone();
        let planned = with_token(world.a_post(Some(10 * MINUTE)), &token);
        let status = client.create_post(planned).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "PUBLISH_PERMISSION_DENIED")
        );

        let draft = with_token(world.a_post(None), &token);
        let draft = client.create_post(draft).await.unwrap().into_inner().post.unwrap();
        let edit = |post_id: &str| {
            let request = proto::UpdatePostRequest {
                post_id: post_id.to_owned(),
                text: "another text".into(),
                update_mask: Some(mask(&["text"])),
                ..Default::default()
            };
            with_token(request, &token)
        };
        client.update_post(edit(&draft.id)).await.unwrap();

        let planned = world.schedule(&draft.id, 10 * MINUTE).await.unwrap();
        let edited = client.update_post(edit(&draft.id)).await.unwrap_err();
        let delete = proto::DeletePostRequest { post_id: draft.id.clone(), ..Default::default() };
        let deleted = client.delete_post(with_token(delete, &token)).await.unwrap_err();
        assert_eq!((edited.code(), deleted.code()), (Code::PermissionDenied, Code::PermissionDenied));
        assert_eq!(world.get(&draft.id).await, planned, "untouched");
        assert_eq!(planned.state(), PostState::Scheduled);
    })
    .await;
}

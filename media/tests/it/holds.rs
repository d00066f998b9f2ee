//! What a planned post needs cannot be deleted.

use postmesh_proto::media::v1::{DeleteMediaRequest, ReplaceHoldsRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    files,
    world::{Member, everywhere},
};

async fn hold(member: &Member<'_>, post: Uuid, media: &[&str]) -> Result<(), Status> {
    let request = ReplaceHoldsRequest {
        workspace_id: member.workspace.to_string(),
        owner_id: post.to_string(),
        media_ids: media.iter().map(|id| (*id).into()).collect(),
    };
    member.world.scheduler.clone().replace_holds(request).await.map(drop)
}

async fn delete(member: &Member<'_>, media: &str) -> Result<(), Status> {
    let request = DeleteMediaRequest { media_id: media.into() };
    member.api().delete_media(member.ask(request)).await.map(drop)
}

#[tokio::test]
async fn a_held_item_stays_until_the_last_post_lets_go() {
    everywhere(async |world| {
        let anna = world.member();
        let one = anna.upload(&files::photo(8, 8, 1)).await.unwrap().id;
        let two = anna.upload(&files::photo(9, 9, 1)).await.unwrap().id;
        let (monday, tuesday) = (Uuid::now_v7(), Uuid::now_v7());
        hold(&anna, monday, &[&one, &two, &one]).await.unwrap();
        hold(&anna, monday, &[&one]).await.unwrap();
        hold(&anna, tuesday, &[&one]).await.unwrap();

        let refused = delete(&anna, &one).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(
            refused.message().contains(&monday.to_string())
                && refused.message().contains(&tuesday.to_string())
        );
        assert_eq!(
            refused.get_details_precondition_failure().unwrap().violations[0].subject,
            format!("media/{one}")
        );
        delete(&anna, &two).await.expect("the post has another picture now");

        hold(&anna, monday, &[]).await.unwrap();
        assert_eq!(delete(&anna, &one).await.unwrap_err().code(), Code::FailedPrecondition);
        hold(&anna, tuesday, &[]).await.unwrap();
        delete(&anna, &one).await.unwrap();
        assert_eq!(delete(&anna, &one).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(world.rendition(anna.workspace, &one).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(world.blobs(), 0);
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn holds_on_items_that_do_not_exist_are_errors_naming_them_and_change_nothing() {
    everywhere(async |world| {
        let anna = world.member();
        let one = anna.upload(&files::photo(8, 8, 1)).await.unwrap().id;
        let post = Uuid::now_v7();
        hold(&anna, post, &[&one]).await.unwrap();
        let nobody = Uuid::now_v7().to_string();
        let refused = hold(&anna, post, &[&one, &nobody]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let fields = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(fields[0].field, "media_ids[1]");
        assert!(fields[0].description.contains(&nobody));
        assert_eq!(
            delete(&anna, &one).await.unwrap_err().code(),
            Code::FailedPrecondition,
            "the old hold stands"
        );
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_hold_and_a_deletion_at_once_never_leave_a_hold_on_nothing() {
    everywhere(async |world| {
        let anna = world.member();
        for _ in 0..8 {
            let one = anna.upload(&files::photo(8, 8, 1)).await.unwrap().id;
            let post = Uuid::now_v7();
            let wanted = [&*one];
            let (held, deleted) = futures::join!(hold(&anna, post, &wanted), delete(&anna, &one));
            assert_ne!(held.is_ok(), deleted.is_ok(), "exactly one of them: {held:?}, {deleted:?}");
            if let Err(refused) = held {
                assert_eq!(refused.code(), Code::InvalidArgument);
            }
            if let Err(refused) = deleted {
                assert_eq!(refused.code(), Code::FailedPrecondition);
            }
        }
        world.end().await;
    })
    .await;
}

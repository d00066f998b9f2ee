//! Workspaces are apart: another workspace's ids do not exist.

use postmesh_kit::time;
use postmesh_proto::{
    common::v1::{
        TargetConfirmation, TargetState,
        target_confirmation::{Answer, Drop},
    },
    scheduler::v1::{self as proto, CreatePostRequest, PostState},
};
use tonic::{Code, Status};

use crate::world::{MINUTE, mask, reason, story, with};

#[tokio::test]
async fn every_rpc_answers_not_found_for_another_workspace() {
    story(async |world| {
        let media = world.add_media();
        let request = CreatePostRequest {
            media: vec![with(media)],
            request_id: uuid::Uuid::now_v7().to_string(),
            ..world.a_post(Some(10 * MINUTE))
        };
        let post = world.create(request.clone()).await.unwrap();
        let id = post.id.clone();
        let mut client = world.client.clone();
        let mut answers: Vec<(&str, Status)> = Vec::new();
        let get = proto::GetPostRequest { post_id: id.clone() };
        answers.push(("get", client.get_post(world.stranger(get)).await.unwrap_err()));
        let update = proto::UpdatePostRequest {
            post_id: id.clone(),
            text: "mine".into(),
            update_mask: Some(mask(&["text"])),
            ..Default::default()
        };
        answers.push(("update", client.update_post(world.stranger(update)).await.unwrap_err()));
        let schedule = proto::SchedulePostRequest {
            post_id: id.clone(),
            schedule_time: Some(time::to_proto(world.now() + MINUTE)),
            ..Default::default()
        };
        answers.push(("schedule", client.schedule_post(world.stranger(schedule)).await.unwrap_err()));
        let cancel = proto::CancelPostRequest { post_id: id.clone(), ..Default::default() };
        answers.push(("cancel", client.cancel_post(world.stranger(cancel)).await.unwrap_err()));
        let delete = proto::DeletePostRequest { post_id: id.clone(), ..Default::default() };
        answers.push(("delete", client.delete_post(world.stranger(delete)).await.unwrap_err()));
        let retry = proto::RetryTargetRequest {
            post_id: id.clone(),
            target_id: post.targets[0].id.clone(),
            request_id: String::new(),
        };
        answers.push(("retry", client.retry_target(world.stranger(retry)).await.unwrap_err()));
        let confirm = proto::ConfirmTargetRequest {
            post_id: id.clone(),
            target_id: post.targets[0].id.clone(),
            confirmation: Some(TargetConfirmation { answer: Some(Answer::Drop(Drop {})) }),
            request_id: String::new(),
        };
        answers.push(("confirm", client.confirm_target(world.stranger(confirm)).await.unwrap_err()));
        let events = proto::ListTargetEventsRequest {
            post_id: id.clone(),
            target_id: post.targets[0].id.clone(),
            ..Default::default()
        };
        answers.push(("events", client.list_target_events(world.stranger(events)).await.unwrap_err()));
        let watch = proto::WatchPostsRequest { post_ids: vec![id.clone()], until_final: false };
        answers.push(("watch", client.watch_posts(world.stranger(watch)).await.unwrap_err()));
        // The account is of another workspace, too.
        answers.push(("create", client.create_post(world.stranger(request)).await.unwrap_err()));
        for (rpc, status) in answers {
            assert_eq!(status.code(), Code::NotFound, "{rpc}: {status:?}");
        }
        let list = client.list_posts(world.stranger(Default::default())).await.unwrap().into_inner();
        assert!(list.posts.is_empty());
        assert_eq!(world.get(&id).await, post, "untouched");
    })
    .await;
}

#[tokio::test]
async fn a_watch_of_a_workspace_shows_nothing_of_another() {
    story(async |world| {
        let mut client = world.client.clone();
        let mut stranger = client
            .watch_posts(world.stranger(proto::WatchPostsRequest::default()))
            .await
            .unwrap()
            .into_inner();
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        assert_eq!(post.state(), PostState::Scheduled);
        world.life.stop();
        let ended = stranger.message().await.unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "STOPPING"));
    })
    .await;
}

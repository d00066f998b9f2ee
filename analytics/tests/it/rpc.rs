//! GetPostAnalytics: whose posts, and how fresh.

use postmesh_kit::{clock::Clock, ids};
use postmesh_proto::common::v1::TargetState;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    publisher::{Target, a_target},
    world::each,
};

#[tokio::test]
async fn sums_the_targets_of_a_post() {
    each(async |world| {
        let one = world.publish(ids::new(), (1, 2, 3)).await;
        let two = Target { post: one.post, ..a_target(world.workspace, ids::new()) };
        world.publisher.count(&two, (10, 20, 30));
        world.publisher.tell(&two, TargetState::Published, world.clock.now_ms());
        crate::world::until("both are known", async || {
            world.store.targets_of_post(world.workspace, one.post).await.unwrap().len() == 2
        })
        .await;
        let answer = world.get(one.post, true).await.unwrap();
        assert_eq!(answer.post_id, one.post.to_string());
        let total = answer.total.unwrap();
        assert_eq!((total.likes, total.reposts, total.replies), (11, 22, 33));
        let targets: Vec<_> = answer.targets.iter().map(|t| t.target_id.clone()).collect();
        assert_eq!(targets, [one.id.to_string(), two.id.to_string()]);
        assert!(
            answer.targets.iter().all(|t| t.found && t.network == "mastodon" && t.collect_time.is_some())
        );
    })
    .await;
}

#[tokio::test]
async fn posts_of_other_workspaces_do_not_exist() {
    each(async |world| {
        let target = world.publish(ids::new(), (1, 2, 3)).await;
        let stranger = ids::new();
        for (workspace, post) in [(stranger, target.post), (world.workspace, ids::new())] {
            let status = world.get_as(workspace, post, true, &["analytics.read"]).await.unwrap_err();
            assert_eq!(status.code(), Code::NotFound);
            assert_eq!(status.get_details_error_info().unwrap().reason, "POST_NOT_FOUND");
        }
        assert!(world.publisher.reads().is_empty(), "a stranger's refresh asks no network");
        let status = world.get_as(world.workspace, target.post, false, &["posts.read"]).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    })
    .await;
}

#[tokio::test]
async fn a_bad_id_is_named() {
    each(async |world| {
        for text in ["", "7"] {
            let status = world.get_text(text).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "post_id");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_asks_the_network_at_most_once_in_ten_seconds_per_post() {
    each(async |world| {
        let likes =
            |answer: postmesh_proto::analytics::v1::GetPostAnalyticsResponse| answer.total.unwrap().likes;
        let target = world.publish(ids::new(), (1, 0, 0)).await;
        let other = world.publish(ids::new(), (5, 0, 0)).await;
        assert_eq!(likes(world.get(target.post, false).await.unwrap()), 0, "not read yet");
        assert_eq!(likes(world.get(target.post, true).await.unwrap()), 1);
        world.publisher.count(&target, (2, 0, 0));
        world.clock.advance(9_999);
        assert_eq!(likes(world.get(target.post, true).await.unwrap()), 1, "the newest stored");
        assert_eq!(likes(world.get(other.post, true).await.unwrap()), 5, "each post for itself");
        world.clock.advance(1);
        assert_eq!(likes(world.get(target.post, true).await.unwrap()), 2);
        assert_eq!(world.publisher.reads().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_fails_answers_what_is_stored() {
    each(async |world| {
        let account = ids::new();
        let target = world.publish(account, (1, 0, 0)).await;
        world.get(target.post, true).await.unwrap();
        let read_at = world.clock.now_ms();
        world.clock.advance(10_000);
        world.publisher.count(&target, (2, 0, 0));
        world.publisher.fail(account, Some(Status::unavailable("down")));
        let answer = world.get(target.post, true).await.unwrap();
        assert_eq!(answer.total.unwrap().likes, 1);
        assert_eq!(answer.targets[0].collect_time, Some(postmesh_kit::time::to_proto(read_at)));
    })
    .await;
}

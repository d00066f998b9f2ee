//! CancelPost, and its race with the hand-over: an acknowledged cancellation means that nothing is sent.

use postmesh_proto::{
    common::v1::TargetState,
    scheduler::v1::{self as proto, CreatePostRequest, PostState},
};
use tonic::Code;
use uuid::Uuid;

use crate::world::{MINUTE, fields, reason, story, to};

#[tokio::test]
async fn a_plan_is_withdrawn_and_can_be_planned_again() {
    story(async |world| {
        let post = world.create(world.a_post(Some(60 * MINUTE))).await.unwrap();
        let request = proto::CancelPostRequest {
            post_id: post.id.clone(),
            request_id: Uuid::now_v7().to_string(),
            ..Default::default()
        };
        let cancelled = world
            .client
            .clone()
            .cancel_post(world.ask(request.clone()))
            .await
            .unwrap()
            .into_inner()
            .post
            .unwrap();
        assert_eq!(cancelled.state(), PostState::Cancelled);
        let again =
            world.client.clone().cancel_post(world.ask(request)).await.unwrap().into_inner().post.unwrap();
        assert_eq!(again, cancelled);
        let status = world.cancel(&post.id).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "NOTHING_TO_CANCEL")
        );
        let status = world.client.clone().cancel_post(world.ask(Default::default())).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id"]);
        let planned = world.schedule(&post.id, 90 * MINUTE).await.unwrap();
        assert_eq!((planned.state(), planned.targets[0].revision), (PostState::Scheduled, 2));
        world.clock.advance(60 * MINUTE);
        world.cancel(&post.id).await.unwrap();
        assert!(world.publisher.0.borrow().delivered.is_empty(), "it never left");
    })
    .await;
}

#[tokio::test]
async fn what_the_publisher_holds_is_taken_back() {
    story(async |world| {
        let accounts = world.connect_many(2);
        let request = CreatePostRequest {
            targets: vec![to(world.account), to(accounts[0]), to(accounts[1])],
            ..world.a_post(Some(0))
        };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.tell(&post, 2, TargetState::Published);
        world.post_until(&post.id, |post| post.targets[2].state() == TargetState::Published).await;
        world.publisher.0.send_modify(|publisher| {
            publisher.sending.insert(post.targets[0].id.clone());
        });
        let cancelled = world.cancel(&post.id).await.unwrap();
        let states: Vec<_> = cancelled.targets.iter().map(proto::Target::state).collect();
        assert_eq!(states, [TargetState::HandedOver, TargetState::Cancelled, TargetState::Published]);
        // The echo changes nothing, the one that was too late arrives.
        world.tell(&post, 1, TargetState::Cancelled);
        world.tell(&post, 0, TargetState::Published);
        let post = world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Published).await;
        assert_eq!(post.state(), PostState::Published);
        assert_eq!(post.targets[1].state(), TargetState::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_that_crosses_a_lost_hand_over_still_asks_the_publisher() {
    story(async |world| {
        // The publisher takes the target, but its answer is lost: here the target still looks planned.
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        world.publisher_until(|publisher| !publisher.delivered.is_empty()).await;
        assert_eq!(world.get(&post.id).await.targets[0].state(), TargetState::Scheduled);
        let status = world.cancel(&post.id).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "without the publisher's word nothing is cancelled");
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        let cancelled = world.cancel(&post.id).await;
        // The clock may have finished the lost cancellation in between.
        assert!(cancelled.is_ok() || reason(&cancelled.unwrap_err()) == "NOTHING_TO_CANCEL");
        assert_eq!(world.get(&post.id).await.state(), PostState::Cancelled);
        assert_eq!(world.publisher.0.borrow().recalled.get(&post.targets[0].id), Some(&1));
    })
    .await;
}

#[tokio::test]
async fn a_lost_cancellation_is_finished_by_the_clock() {
    story(async |world| {
        let post = world.create(world.a_post(Some(MINUTE / 2))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        assert_eq!(world.cancel(&post.id).await.unwrap_err().code(), Code::Unavailable);
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        world.clock.advance(MINUTE / 2);
        let post = world.post_in(&post.id, TargetState::Cancelled).await;
        assert_eq!(post.targets[0].revision, 1);
    })
    .await;
}

#[tokio::test]
async fn cancelling_while_everything_is_handed_over_never_lets_one_slip() {
    story(async |world| {
        let mut posts = Vec::new();
        for _ in 0..40 {
            posts.push(world.create(world.a_post(Some(2 * MINUTE))).await.unwrap());
        }
        // All become due for the hand-over while half of them are being cancelled.
        world.clock.advance(MINUTE + 1);
        let cancelled =
            futures::future::join_all(posts.iter().step_by(2).map(|post| world.cancel(&post.id))).await;
        for post in posts.iter().skip(1).step_by(2) {
            world.post_in(&post.id, TargetState::HandedOver).await;
        }
        let publisher = world.publisher.0.borrow();
        for (post, cancelled) in posts.iter().step_by(2).zip(cancelled) {
            assert_eq!(cancelled.unwrap().state(), PostState::Cancelled);
            let target = &post.targets[0].id;
            let arrived = publisher.delivered.iter().any(|delivery| delivery.target_id == *target);
            assert!(
                !arrived || publisher.recalled.contains_key(target),
                "it was sent although it was cancelled"
            );
        }
    })
    .await;
}

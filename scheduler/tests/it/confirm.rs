//! ConfirmTarget: a user settles what the network cannot tell, and nothing is settled twice.

use postmesh_proto::{
    common::v1::{
        TargetConfirmation, TargetState,
        target_confirmation::{Answer, Drop, PostAgain},
    },
    publisher::v1::AccountState,
    scheduler::v1::{self as proto, CreatePostRequest, Post, PostState},
};
use tonic::Code;
use uuid::Uuid;

use crate::world::{World, fields, reason, story, then};

const URL: &str = "https://mastodon.example/@ana/110";

fn live() -> Answer {
    Answer::LiveUrl(URL.into())
}

fn again() -> Answer {
    Answer::PostAgain(PostAgain {})
}

fn leave() -> Answer {
    Answer::Drop(Drop {})
}

/// A post whose answer was lost.
async fn a_doubtful_post(world: &World, request: CreatePostRequest) -> Post {
    let post = world.create(request).await.unwrap();
    world.post_in(&post.id, TargetState::HandedOver).await;
    world.doubt(&post.id, 0).await
}

#[tokio::test]
async fn what_is_live_is_published_at_once_and_the_event_agrees() {
    story(async |world| {
        let post = a_doubtful_post(&world, world.a_post(Some(0))).await;
        assert_eq!(post.state(), PostState::NeedsAttention);
        world.publisher.0.send_modify(|publisher| publisher.muted = true);
        let settled = world.confirm(&post.id, &post.targets[0].id, live()).await.unwrap();
        assert_eq!(settled.state(), PostState::Published, "before the event is here");
        let target = &settled.targets[0];
        assert_eq!((target.state(), target.url.as_str(), target.revision), (TargetState::Published, URL, 1));
        assert!(target.publish_time.is_some());
        assert_eq!(settled.etag, post.etag, "nobody edited");
        world.publisher.0.send_modify(|publisher| publisher.muted = false);
        let told = world.post_until(&post.id, |post| !post.targets[0].native_id.is_empty()).await;
        assert_eq!((told.targets[0].native_id.as_str(), told.targets[0].url.as_str()), ("110", URL));
        // The same answer again changes nothing; another one comes too late.
        world.confirm(&post.id, &post.targets[0].id, live()).await.unwrap();
        let elsewhere = Answer::LiveUrl("https://mastodon.example/@ana/999".into());
        for answer in [leave(), again(), elsewhere] {
            let status = world.confirm(&post.id, &post.targets[0].id, answer).await.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::FailedPrecondition, "TARGET_NOT_CONFIRMABLE")
            );
        }
        assert_eq!(world.get(&post.id).await.targets, told.targets, "what is live stands as it is");
    })
    .await;
}

#[tokio::test]
async fn what_is_left_is_dropped_for_good_until_it_is_sent_again() {
    story(async |world| {
        let post = a_doubtful_post(&world, world.a_post(Some(0))).await;
        let target = post.targets[0].id.clone();
        let dropped = world.confirm(&post.id, &target, leave()).await.unwrap();
        assert_eq!((dropped.targets[0].state(), dropped.state()), (TargetState::Dropped, PostState::Failed));
        assert_eq!(dropped.targets[0].problem.as_ref().unwrap().reason, "DROPPED");
        let status = world.edit_text(&post.id, "other").await.unwrap_err();
        assert_eq!(reason(&status), "ALREADY_SENT");
        let status = world.confirm(&post.id, &target, again()).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let retried = world.retry(&post.id, &target).await.unwrap();
        assert_eq!(retried.targets[0].revision, 2);
        world.publisher_until(|publisher| publisher.delivered.iter().any(|d| d.revision == 2)).await;
        world.delete(&post.id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_posted_again_goes_out_at_a_new_revision_with_its_thread() {
    story(async |world| {
        let request =
            CreatePostRequest { thread: vec![then("second"), then("third")], ..world.a_post(Some(0)) };
        let post = a_doubtful_post(&world, request).await;
        // The publisher gives the later parts up, and its word for it arrives only after the new plan.
        world.publisher.0.send_modify(|publisher| publisher.muted = true);
        let request = proto::ConfirmTargetRequest {
            post_id: post.id.clone(),
            target_id: post.targets[0].id.clone(),
            confirmation: Some(TargetConfirmation { answer: Some(again()) }),
            request_id: Uuid::now_v7().to_string(),
        };
        let mut client = world.client.clone();
        let first = client.confirm_target(world.ask(request.clone())).await.unwrap().into_inner();
        let repeated = client.confirm_target(world.ask(request.clone())).await.unwrap().into_inner();
        assert_eq!(first, repeated, "one answer for one request");
        let other = proto::ConfirmTargetRequest {
            confirmation: Some(TargetConfirmation { answer: Some(leave()) }),
            ..request
        };
        let status = client.confirm_target(world.ask(other)).await.unwrap_err();
        assert_eq!(fields(&status), ["request_id"]);
        let planned = first.post.unwrap();
        assert_eq!((planned.targets[0].revision, planned.targets[0].state()), (2, TargetState::Scheduled));
        assert_ne!(planned.etag, post.etag);
        assert_eq!(planned.targets[1].revision, 1);
        world.publisher.0.send_modify(|publisher| publisher.muted = false);
        let post = world
            .post_until(&post.id, |post| {
                post.targets.iter().all(|t| t.revision == 2 && t.state() == TargetState::HandedOver)
            })
            .await;
        let publisher = world.publisher.0.borrow();
        for target in &post.targets {
            assert_eq!(publisher.newest(&target.id).unwrap().revision, 2, "the whole thread again");
        }
        assert_eq!(publisher.confirmed, 1);
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_the_publisher_and_us_leaves_a_dropped_target_that_can_be_sent_again() {
    story(async |world| {
        let post = a_doubtful_post(&world, world.a_post(Some(0))).await;
        let target = post.targets[0].id.clone();
        // The publisher takes the answer, but we never hear of it.
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        let status = world.confirm(&post.id, &target, again()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let dropped = world.post_in(&post.id, TargetState::Dropped).await;
        assert_eq!(dropped.targets[0].revision, 1);
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        // Either way out: repeat the answer, or send again.
        let planned = world.confirm(&post.id, &target, again()).await.unwrap();
        assert_eq!((planned.targets[0].revision, planned.targets[0].state()), (2, TargetState::Scheduled));
        let other = a_doubtful_post(&world, world.a_post(Some(0))).await;
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        world.confirm(&other.id, &other.targets[0].id, again()).await.unwrap_err();
        world.post_in(&other.id, TargetState::Dropped).await;
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        let planned = world.retry(&other.id, &other.targets[0].id).await.unwrap();
        assert_eq!(planned.targets[0].revision, 2);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_answer_names_its_fields_and_settles_nothing() {
    story(async |world| {
        let post = a_doubtful_post(&world, world.a_post(Some(0))).await;
        let target = post.targets[0].id.clone();
        let status = world.client.clone().confirm_target(world.ask(Default::default())).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id", "target_id", "confirmation"]);
        for url in ["mastodon.example/1", "ftp://mastodon.example/1", ""] {
            let status = world.confirm(&post.id, &target, Answer::LiveUrl(url.into())).await.unwrap_err();
            assert_eq!(fields(&status), ["confirmation.live_url"], "{url:?}");
        }
        let status = world.confirm(&post.id, &Uuid::now_v7().to_string(), live()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "TARGET_NOT_FOUND"));
        // An account that could not post again: nothing is dropped for that.
        world.connect(world.account, AccountState::NeedsReconnect);
        let status = world.confirm(&post.id, &target, again()).await.unwrap_err();
        assert_eq!(reason(&status), "ACCOUNT_NOT_READY");
        world.publisher.0.send_modify(|publisher| publisher.down = true);
        let status = world.confirm(&post.id, &target, live()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(world.get(&post.id).await.targets[0].state(), TargetState::NeedsConfirmation);
        assert_eq!(world.publisher.0.borrow().confirmed, 0);
    })
    .await;
}

#[tokio::test]
async fn only_what_waits_for_an_answer_takes_one() {
    story(async |world| {
        let planned = world.create(world.a_post(Some(600_000))).await.unwrap();
        let status = world.confirm(&planned.id, &planned.targets[0].id, leave()).await.unwrap_err();
        assert_eq!(reason(&status), "TARGET_NOT_CONFIRMABLE");
        assert!(status.message().contains("has not been sent"), "{}", status.message());
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let status = world.confirm(&post.id, &post.targets[0].id, leave()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "TARGET_NOT_CONFIRMABLE")
        );
        assert_eq!(status.message(), "the target does not wait for a confirmation", "the publisher's words");
    })
    .await;
}

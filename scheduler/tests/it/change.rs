//! UpdatePost, SchedulePost, RetryTarget and DeletePost, before and after the hand-over.

use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::AccountState,
    scheduler::v1::{self as proto, CreatePostRequest, PostState, TargetInput, UpdatePostRequest},
};
use tonic::Code;
use uuid::Uuid;

use crate::world::{MINUTE, fields, mask, reason, story, to, with};

#[tokio::test]
async fn an_edit_changes_what_its_mask_names() {
    story(async |world| {
        let accounts = world.connect_many(2);
        let request = CreatePostRequest {
            targets: vec![to(world.account), to(accounts[0])],
            ..world.a_post(Some(10 * MINUTE))
        };
        let post = world.create(request).await.unwrap();
        let media = world.add_media();
        let request = UpdatePostRequest {
            post_id: post.id.clone(),
            text: "new".into(),
            media: vec![with(media)],
            targets: vec![to(accounts[1]), TargetInput { text: Some("own".into()), ..to(world.account) }],
            update_mask: Some(mask(&["media", "targets"])),
            etag: post.etag.clone(),
            request_id: Uuid::now_v7().to_string(),
            thread: Vec::new(),
        };
        let edited = world
            .client
            .clone()
            .update_post(world.ask(request.clone()))
            .await
            .unwrap()
            .into_inner()
            .post
            .unwrap();
        assert_eq!(edited.text, "hello", "the mask does not name it");
        assert_ne!(edited.etag, post.etag);
        let ids: Vec<_> = edited.targets.iter().map(|target| target.account_id.clone()).collect();
        assert_eq!(ids, [accounts[1].to_string(), world.account.to_string()]);
        assert_eq!(edited.targets[1].id, post.targets[0].id, "an account that stays keeps its target");
        assert_eq!((edited.targets[1].revision, edited.targets[1].text.as_deref()), (2, Some("own")));
        assert_eq!(edited.targets[0].state(), TargetState::Scheduled);
        assert_eq!(world.get(&post.id).await, edited);
        world.holds_until(&post.id, &[media]).await;

        let again = world.client.clone().update_post(world.ask(request.clone())).await.unwrap().into_inner();
        assert_eq!(again.post.unwrap(), edited, "a repetition answers the first result");
        let stale = UpdatePostRequest { request_id: String::new(), ..request };
        let status = world.client.clone().update_post(world.ask(stale)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_STALE"));
    })
    .await;
}

#[tokio::test]
async fn an_edit_names_every_bad_field_at_once() {
    story(async |world| {
        let request = UpdatePostRequest {
            post_id: "no".into(),
            targets: vec![TargetInput::default()],
            update_mask: Some(mask(&["targets", "state"])),
            request_id: "no".into(),
            ..Default::default()
        };
        let status = world.client.clone().update_post(world.ask(request)).await.unwrap_err();
        assert_eq!(fields(&status), ["request_id", "post_id", "update_mask", "targets[0].account_id"]);
        let status =
            world.client.clone().update_post(world.ask(UpdatePostRequest::default())).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id", "update_mask"]);
        let post = world.create(world.a_post(None)).await.unwrap();
        let status = world.edit_text(&post.id, &"x".repeat(501)).await.unwrap_err();
        assert_eq!(fields(&status), ["text"]);
    })
    .await;
}

#[tokio::test]
async fn an_edit_after_the_hand_over_takes_the_targets_back_first() {
    story(async |world| {
        let post = world.create(world.a_post(Some(MINUTE / 2))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let edited = world.edit_text(&post.id, "new").await.unwrap();
        assert_eq!((edited.text.as_str(), edited.targets[0].revision), ("new", 2));
        world.publisher_until(|publisher| publisher.delivered.len() == 2).await;
        let publisher = world.publisher.0.borrow();
        assert_eq!(publisher.recalled.get(&post.targets[0].id), Some(&1));
        let last = publisher.delivered.last().unwrap();
        assert_eq!((last.revision, last.content.as_ref().unwrap().text.as_str()), (2, "new"));
    })
    .await;
}

#[tokio::test]
async fn an_edit_that_comes_too_late_is_refused_and_nothing_is_lost() {
    story(async |world| {
        let accounts = world.connect_many(1);
        let request = CreatePostRequest {
            targets: vec![to(world.account), to(accounts[0])],
            ..world.a_post(Some(MINUTE / 2))
        };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.publisher.0.send_modify(|publisher| {
            publisher.sending.insert(post.targets[0].id.clone());
        });
        let status = world.edit_text(&post.id, "new").await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "ALREADY_SENT"));
        // The other target was recalled for nothing: it goes out as it was, at a new revision.
        world.publisher_until(|publisher| publisher.delivered.len() == 3).await;
        let last = world.publisher.0.borrow().delivered.last().cloned().unwrap();
        assert_eq!((last.target_id, last.revision), (post.targets[1].id.clone(), 2));
        assert_eq!(last.content.unwrap().text, "hello");
        assert_eq!(world.get(&post.id).await.targets[0].revision, 1);

        world.tell(&post, 0, TargetState::Published);
        let post = world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Published).await;
        let status = world.edit_text(&post.id, "new").await.unwrap_err();
        assert_eq!(reason(&status), "ALREADY_SENT");
    })
    .await;
}

#[tokio::test]
async fn an_edit_whose_recall_is_lost_ends_with_the_old_plan() {
    story(async |world| {
        let post = world.create(world.a_post(Some(MINUTE / 2))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        assert_eq!(world.edit_text(&post.id, "new").await.unwrap_err().code(), Code::Unavailable);
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        // The publisher's echo of the recall must not cancel the post.
        world.tell(&post, 0, TargetState::Cancelled);
        world.clock.advance(MINUTE / 2);
        world.publisher_until(|publisher| publisher.delivered.len() == 2).await;
        let last = world.publisher.0.borrow().delivered.last().cloned().unwrap();
        assert_eq!((last.revision, last.content.unwrap().text.as_str()), (2, "hello"));
    })
    .await;
}

#[tokio::test]
async fn a_draft_is_planned_and_a_plan_is_moved() {
    story(async |world| {
        let post = world.create(world.a_post(None)).await.unwrap();
        let planned = world.schedule(&post.id, 60 * MINUTE).await.unwrap();
        assert_eq!((planned.state(), planned.targets[0].revision), (PostState::Scheduled, 2));
        assert_ne!(planned.etag, post.etag);
        let moved = world.schedule(&post.id, MINUTE / 2).await.unwrap();
        assert_eq!(moved.targets[0].revision, 3);
        world.publisher_until(|publisher| publisher.delivered.len() == 1).await;
        let delivered = world.publisher.0.borrow().delivered[0].clone();
        assert_eq!((delivered.revision, delivered.due_time), (3, moved.schedule_time));

        let later = world.schedule(&post.id, 90 * MINUTE).await.unwrap();
        assert_eq!((later.state(), later.targets[0].revision), (PostState::Scheduled, 4));
        assert_eq!(world.publisher.0.borrow().recalled.get(&post.targets[0].id), Some(&3));

        let mut client = world.client.clone();
        let status = client.schedule_post(world.ask(Default::default())).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id", "schedule_time"]);
        let status = world.schedule(&post.id, -2 * MINUTE).await.unwrap_err();
        assert_eq!(fields(&status), ["schedule_time"]);
        assert!(status.message().contains("in the past"));
        world.connect(world.account, AccountState::NeedsReconnect);
        assert_eq!(world.schedule(&post.id, MINUTE).await.unwrap_err().code(), Code::FailedPrecondition);
    })
    .await;
}

#[tokio::test]
async fn a_failed_target_is_sent_again_at_a_new_revision() {
    story(async |world| {
        let media = world.add_media();
        let request = CreatePostRequest { media: vec![with(media)], ..world.a_post(Some(0)) };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let target = post.targets[0].id.clone();
        let status = world.retry(&post.id, &target).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "TARGET_NOT_RETRYABLE")
        );

        world.tell(&post, 0, TargetState::Failed);
        world.post_in(&post.id, TargetState::Failed).await;
        world.holds_until(&post.id, &[]).await;
        let again = world.retry(&post.id, &target).await.unwrap();
        assert_eq!(again.targets[0].revision, 2);
        world.holds_until(&post.id, &[media]).await;
        world.publisher_until(|publisher| publisher.delivered.iter().any(|d| d.revision == 2)).await;
        // The end of the first revision, told once more, is about something else now.
        world.tell(&post, 0, TargetState::Failed);
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.tell(&post, 0, TargetState::Published);
        let post = world.post_in(&post.id, TargetState::Published).await;
        assert_eq!((post.state(), post.targets[0].native_id.as_str()), (PostState::Published, "109"));

        let status = world.retry(&post.id, &Uuid::now_v7().to_string()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "TARGET_NOT_FOUND"));
        let status = world.client.clone().retry_target(world.ask(Default::default())).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id", "target_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_post_is_gone_and_its_deletion_repeatable() {
    story(async |world| {
        let media = world.add_media();
        let request = CreatePostRequest { media: vec![with(media)], ..world.a_post(Some(MINUTE / 2)) };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let request = proto::DeletePostRequest {
            post_id: post.id.clone(),
            etag: String::new(),
            request_id: Uuid::now_v7().to_string(),
        };
        let stale = proto::DeletePostRequest { etag: "old".into(), ..request.clone() };
        let status = world.client.clone().delete_post(world.ask(stale)).await.unwrap_err();
        assert_eq!(status.code(), Code::Aborted);
        world.client.clone().delete_post(world.ask(request.clone())).await.unwrap();
        assert_eq!(world.publisher.0.borrow().recalled.get(&post.targets[0].id), Some(&1));
        world.holds_until(&post.id, &[]).await;
        let status = world.delete(&post.id).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "POST_NOT_FOUND"));
        world.client.clone().delete_post(world.ask(request)).await.unwrap();
        let status = world.client.clone().delete_post(world.ask(Default::default())).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_post_that_is_being_sent_is_not_deleted() {
    story(async |world| {
        let accounts = world.connect_many(1);
        let request =
            CreatePostRequest { targets: vec![to(world.account), to(accounts[0])], ..world.a_post(Some(0)) };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.publisher.0.send_modify(|publisher| {
            publisher.sending.insert(post.targets[1].id.clone());
        });
        let status = world.delete(&post.id).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "BEING_SENT"));
        let kept = world.get(&post.id).await;
        assert_eq!(kept.targets[0].state(), TargetState::Cancelled, "what waited was withdrawn first");
        world.tell(&post, 1, TargetState::Published);
        world.post_until(&post.id, |post| post.targets[1].state() == TargetState::Published).await;
        world.delete(&post.id).await.unwrap();
    })
    .await;
}

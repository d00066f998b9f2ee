//! What the publisher tells arrives once, in order, whatever happens to the stream.

use postmesh_proto::{
    common::v1::{TargetProblem, TargetState},
    scheduler::v1::{CreatePostRequest, PostState},
};

use crate::world::{MINUTE, an_event, story, to};

#[tokio::test]
async fn a_post_ends_as_its_targets_do() {
    story(async |world| {
        let accounts = world.connect_many(1);
        let request =
            CreatePostRequest { targets: vec![to(world.account), to(accounts[0])], ..world.a_post(Some(0)) };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.tell(&post, 0, TargetState::Sending);
        let seen = world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Sending).await;
        assert_eq!(seen.state(), PostState::Publishing);
        assert_eq!(seen.etag, post.etag, "only users change the etag");
        world.tell(&post, 0, TargetState::Published);
        let problem = TargetProblem { reason: "TEXT_REFUSED".into(), message: "shorten\0 the text".into() };
        world.publisher.0.send_modify(|publisher| {
            let sequence = publisher.events.last().unwrap().sequence + 1;
            let mut event = an_event(&world, &post, 1, TargetState::Failed, sequence);
            event.problem = Some(problem);
            publisher.events.push(event);
        });
        let seen = world.post_until(&post.id, |post| post.targets[1].state() == TargetState::Failed).await;
        assert_eq!(seen.state(), PostState::PartlyPublished);
        assert_eq!(seen.targets[0].url, "https://mastodon.example/@ana/109");
        assert!(seen.targets[0].publish_time.is_some());
        let problem = seen.targets[1].problem.clone().unwrap();
        assert_eq!((problem.reason.as_str(), problem.message.as_str()), ("TEXT_REFUSED", "shorten the text"));
    })
    .await;
}

#[tokio::test]
async fn repeated_and_shuffled_events_change_nothing_more() {
    story(async |world| {
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.publisher.0.send_modify(|publisher| {
            // One batch, out of order, with a repetition.
            let event = |state, sequence| an_event(&world, &post, 0, state, sequence);
            publisher.events = vec![
                event(TargetState::Published, 4),
                event(TargetState::Preparing, 1),
                event(TargetState::Sending, 3),
                event(TargetState::Prepared, 2),
                event(TargetState::Published, 4),
            ];
        });
        world.post_in(&post.id, TargetState::Published).await;
        assert_eq!(world.store.cursor().await.unwrap(), 4);
        // Everything once more, as after a publisher that forgot what it sent.
        world.publisher.0.send_modify(|publisher| {
            let mut all = publisher.events.clone();
            all.push(an_event(&world, &post, 0, TargetState::Failed, 3));
            publisher.events.extend(all);
            // A last one marks that all before it were taken in.
            publisher.events.push(an_event(&world, &post, 0, TargetState::Published, 9));
        });
        let mut cursor = 0;
        while cursor < 9 {
            cursor = world.store.cursor().await.unwrap();
        }
        assert_eq!(world.get(&post.id).await.state(), PostState::Published);
    })
    .await;
}

#[tokio::test]
async fn a_broken_stream_goes_on_from_the_stored_cursor() {
    story(async |mut world| {
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.tell(&post, 0, TargetState::Preparing);
        world.post_in(&post.id, TargetState::Preparing).await;
        world.publisher.0.send_modify(|publisher| {
            publisher.down = true;
            publisher.cut += 1;
        });
        world.tell(&post, 0, TargetState::Prepared);
        world.publisher.0.send_modify(|publisher| publisher.down = false);
        world.post_in(&post.id, TargetState::Prepared).await;
        assert_eq!(world.publisher.0.borrow().tails.last(), Some(&1));

        assert!(world.life.shutdown(std::time::Duration::from_secs(5)).await);
        world.tell(&post, 0, TargetState::Published);
        world.restart().await;
        world.post_in(&post.id, TargetState::Published).await;
        assert_eq!(world.publisher.0.borrow().tails.last(), Some(&2));
    })
    .await;
}

#[tokio::test]
async fn a_target_that_needs_a_person_says_so() {
    story(async |world| {
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        for (told, state) in [
            (TargetState::Parked, PostState::NeedsAttention),
            (TargetState::Unknown, PostState::Publishing),
            (TargetState::NeedsConfirmation, PostState::NeedsAttention),
            (TargetState::Published, PostState::Published),
        ] {
            world.tell(&post, 0, told);
            let seen = world.post_in(&post.id, told).await;
            assert_eq!(seen.state(), state);
        }
    })
    .await;
}

#[tokio::test]
async fn events_about_strangers_are_skipped() {
    story(async |world| {
        let post = world.create(world.a_post(Some(MINUTE / 2))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.publisher.0.send_modify(|publisher| {
            let mut unknown = an_event(&world, &post, 0, TargetState::Failed, 1);
            unknown.target_id = uuid::Uuid::now_v7().to_string();
            let mut broken = an_event(&world, &post, 0, TargetState::Failed, 2);
            broken.target_id = "no id".into();
            let mut future = an_event(&world, &post, 0, TargetState::Failed, 3);
            future.revision = 7;
            publisher.events = vec![unknown, broken, future];
        });
        world.tell(&post, 0, TargetState::Prepared);
        world.post_in(&post.id, TargetState::Prepared).await;
    })
    .await;
}

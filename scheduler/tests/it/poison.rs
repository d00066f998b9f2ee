//! A target the publisher fails on: it holds nothing else up, and it does not go round for ever.

use postmesh_proto::{
    common::v1::TargetState,
    scheduler::v1::{CreatePostRequest, PostState},
};

use crate::world::{MINUTE, story};

#[tokio::test]
async fn a_target_the_publisher_fails_on_is_missed_when_its_time_is_over() {
    story(async |world| {
        let mut posts = Vec::new();
        for at in 0..5 {
            let text = if at == 2 { "CRASH" } else { "fine" };
            let request = CreatePostRequest { text: text.into(), ..world.a_post(Some(2 * MINUTE)) };
            posts.push(world.create(request).await.unwrap());
        }
        world.clock.advance(MINUTE);
        for post in posts.iter().enumerate().filter_map(|(at, post)| (at != 2).then_some(post)) {
            world.post_in(&post.id, TargetState::HandedOver).await;
        }
        let poison = &posts[2];
        world.publisher_until(|publisher| publisher.crashes > 0).await;
        assert_eq!(world.get(&poison.id).await.state(), PostState::Scheduled, "it may still work");
        let crashes = world.publisher.0.borrow().crashes;
        world.clock.advance(world.config.offer_lease_ms);
        world.publisher_until(|publisher| publisher.crashes > crashes).await;
        assert_eq!(world.get(&poison.id).await.targets[0].state(), TargetState::Scheduled);

        world.clock.advance(MINUTE + world.config.max_lateness_ms);
        let missed = world.post_in(&poison.id, TargetState::Missed).await;
        assert_eq!(missed.targets[0].problem.as_ref().unwrap().reason, "HAND_OVER_FAILED");
        assert_eq!(
            world.publisher.0.borrow().recalled.get(&poison.targets[0].id),
            Some(&1),
            "the publisher gave its word that nothing is sent"
        );
        let again = world.retry(&poison.id, &poison.targets[0].id).await.unwrap();
        assert_eq!(again.targets[0].revision, 2);
    })
    .await;
}

#[tokio::test]
async fn without_the_publisher_s_word_it_is_never_missed() {
    story(async |world| {
        let request = CreatePostRequest { text: "CRASH".into(), ..world.a_post(Some(MINUTE)) };
        let post = world.create(request).await.unwrap();
        world.publisher_until(|publisher| publisher.crashes > 0).await;
        // It was taken after all: the failure came behind the commit.
        world.publisher.0.send_modify(|publisher| {
            publisher.sending.insert(post.targets[0].id.clone());
        });
        let crashes = world.publisher.0.borrow().crashes;
        world.clock.advance(MINUTE + world.config.max_lateness_ms + world.config.offer_lease_ms);
        world.publisher_until(|publisher| publisher.crashes > crashes).await;
        world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Scheduled).await;
        world.tell(&post, 0, TargetState::Published);
        let post = world.post_in(&post.id, TargetState::Published).await;
        assert_eq!(post.targets[0].revision, 1);
    })
    .await;
}

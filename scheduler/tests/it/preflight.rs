//! Warnings ahead of the due time: which targets are checked when, and that a check is not repeated before its time.

use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::AccountState,
    scheduler::v1::{self as proto, CreatePostRequest, PostState},
};

use crate::world::{MINUTE, World, story, to};

fn warned(post: &proto::Post, at: usize) -> bool {
    post.targets[at].problem.as_ref().is_some_and(|problem| problem.reason == "ACCOUNT_NEEDS_RECONNECT")
}

/// The span of due times that is looked at.
fn hour(now: i64) -> std::ops::RangeInclusive<i64> {
    now..=now + 60 * MINUTE
}

async fn checks_until(world: &World, count: usize) {
    world.publisher_until(|publisher| publisher.checks.len() >= count).await;
}

#[tokio::test]
async fn an_account_that_could_not_publish_is_told_in_time_and_taken_back_when_it_can() {
    story(async |world| {
        let accounts = world.connect_many(1);
        let request = CreatePostRequest {
            targets: vec![to(world.account), to(accounts[0])],
            ..world.a_post(Some(90 * MINUTE))
        };
        let post = world.create(request).await.unwrap();
        let far = world.create(world.a_post(Some(600 * MINUTE))).await.unwrap();
        world.connect(world.account, AccountState::NeedsReconnect);
        let mut watch = world
            .client
            .clone()
            .watch_posts(world.ask(proto::WatchPostsRequest::default()))
            .await
            .unwrap()
            .into_inner();
        world.clock.advance(30 * MINUTE - 1);
        assert_eq!(world.store.take_checks(world.now(), hour(world.now()), 0, 10).await.unwrap(), []);
        world.clock.advance(1);
        let told = watch.message().await.unwrap().unwrap().post.unwrap();
        assert_eq!((told.id.as_str(), warned(&told, 0), warned(&told, 1)), (post.id.as_str(), true, false));
        assert_eq!((told.state(), told.targets[0].state()), (PostState::Scheduled, TargetState::Scheduled));
        assert_eq!((told.etag.as_str(), told.targets[0].revision), (post.etag.as_str(), 1), "nobody edited");
        {
            let publisher = world.publisher.0.borrow();
            assert_eq!(publisher.checks.len(), 1);
            let asked = &publisher.checks[0];
            assert_eq!(
                (asked.account_ids.len(), asked.workspace_id.clone()),
                (2, world.workspace.to_string())
            );
        }
        // Nothing is asked again before its time, by nobody.
        let (other, _) = world.replica().await;
        world.clock.advance(10 * MINUTE - 1);
        let before = world.now();
        assert_eq!(world.store.take_checks(before, hour(before), 0, 10).await.unwrap(), []);
        assert_eq!(world.publisher.0.borrow().checks.len(), 1);
        world.connect(world.account, AccountState::Connected);
        world.clock.advance(1);
        let taken_back = world.post_until(&post.id, |post| post.targets[0].problem.is_none()).await;
        assert_eq!(taken_back.state(), PostState::Scheduled);
        assert!(world.get(&far.id).await.targets[0].problem.is_none());
        assert!(other.shutdown(std::time::Duration::from_secs(10)).await);
    })
    .await;
}

#[tokio::test]
async fn a_new_plan_is_checked_anew_and_a_hand_over_ends_the_warning() {
    story(async |world| {
        let post = world.create(world.a_post(Some(30 * MINUTE))).await.unwrap();
        checks_until(&world, 1).await;
        world.connect(world.account, AccountState::NeedsReconnect);
        world.clock.advance(10 * MINUTE);
        world.post_until(&post.id, |post| warned(post, 0)).await;
        world.connect(world.account, AccountState::Connected);
        let checks = world.publisher.0.borrow().checks.len();
        let moved = world.schedule(&post.id, 40 * MINUTE).await.unwrap();
        assert!(moved.targets[0].problem.is_none());
        checks_until(&world, checks + 1).await;
        world.connect(world.account, AccountState::NeedsReconnect);
        world.clock.advance(10 * MINUTE);
        world.post_until(&post.id, |post| warned(post, 0)).await;
        world.clock.advance(29 * MINUTE);
        let handed = world.post_in(&post.id, TargetState::HandedOver).await;
        assert!(handed.targets[0].problem.is_none());
    })
    .await;
}

#[tokio::test]
async fn what_leaves_in_a_moment_is_not_held_up_by_a_check() {
    story(async |world| {
        let lead = world.config.prep_lead_ms;
        let accounts = world.connect_many(1);
        world.create(world.a_post(Some(lead + MINUTE - 1))).await.unwrap();
        let request =
            CreatePostRequest { targets: vec![to(accounts[0])], ..world.a_post(Some(lead + MINUTE)) };
        world.create(request).await.unwrap();
        checks_until(&world, 1).await;
        // The sooner one would have been asked about first, or with it.
        let asked = world.publisher.0.borrow().checks[0].account_ids.clone();
        assert_eq!(asked, [accounts[0].to_string()]);
    })
    .await;
}

#[tokio::test]
async fn many_targets_of_few_accounts_cost_few_questions() {
    story(async |world| {
        let accounts = world.connect_many(150);
        world.publisher.0.send_modify(|publisher| publisher.down = false);
        let far = world.config.preflight_ms + 30 * MINUTE;
        for chunk in accounts.chunks(75) {
            for _ in 0..4 {
                let request = CreatePostRequest {
                    targets: chunk.iter().map(|account| to(*account)).collect(),
                    ..world.a_post(Some(far))
                };
                world.create(request).await.unwrap();
            }
        }
        world.clock.advance(40 * MINUTE);
        let all = world.now() + world.config.preflight_ms;
        loop {
            let asked: usize =
                world.publisher.0.borrow().checks.iter().map(|check| check.account_ids.len()).sum();
            if asked >= 150 {
                break;
            }
            world.publisher.0.subscribe().changed().await.unwrap();
        }
        // 600 targets are two batches; the second asks only about accounts the first has not.
        let publisher = world.publisher.0.borrow();
        assert!(publisher.checks.iter().all(|check| check.account_ids.len() <= 100));
        let mut asked: Vec<_> = publisher.checks.iter().flat_map(|check| check.account_ids.clone()).collect();
        asked.sort();
        asked.dedup();
        let total: usize = publisher.checks.iter().map(|check| check.account_ids.len()).sum();
        assert_eq!((asked.len(), total), (150, 150), "each account once, until {all}");
    })
    .await;
}

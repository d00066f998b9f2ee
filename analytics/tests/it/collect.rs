//! Reading counts on the schedule.

use std::collections::HashSet;

use postmesh_kit::ids;
use tonic::Status;

use crate::world::{MINUTE, each, until};

#[tokio::test]
async fn counts_are_read_at_the_ages_of_the_schedule_and_kept_as_snapshots() {
    each(async |world| {
        let target = world.publish(ids::new(), (1, 0, 0)).await;
        let unread = world.get(target.post, false).await.unwrap();
        assert_eq!(unread.targets[0].collect_time, None);
        for (n, age) in [1, 5, 15, 60, 360].into_iter().enumerate() {
            let likes = 10 * (n as i64 + 1);
            world.publisher.count(&target, (likes, 2, 3));
            world.clock.set(world.began + age * MINUTE);
            world.read_times(&target, n + 1).await;
            let answer = world.get(target.post, false).await.unwrap();
            assert_eq!(answer.targets[0].counts.unwrap().likes, likes);
            assert_eq!(answer.total.unwrap().reposts, 2);
        }
        let snapshots = world.store.snapshots(target.id).await.unwrap();
        let seen: Vec<_> = snapshots.iter().map(|s| ((s.read_at - world.began) / MINUTE, s.likes)).collect();
        assert_eq!(seen, [(1, 10), (5, 20), (15, 30), (60, 40), (360, 50)]);
        assert_eq!(world.publisher.reads().len(), 5, "no read more than the schedule says");
    })
    .await;
}

#[tokio::test]
async fn one_call_asks_for_25_posts_at_most_and_for_each_once() {
    each(async |world| {
        let account = ids::new();
        let mut last = None;
        for _ in 0..60 {
            last = Some(world.publish(account, (1, 1, 1)).await);
        }
        world.clock.advance(MINUTE);
        until("all are read", async || {
            world.publisher.reads().iter().map(|read| read.native_ids.len()).sum::<usize>() >= 60
        })
        .await;
        world.read_times(&last.unwrap(), 1).await;
        let reads = world.publisher.reads();
        assert!(
            reads.iter().all(|read| read.native_ids.len() <= 25 && read.account_id == account.to_string())
        );
        let asked: Vec<_> = reads.into_iter().flat_map(|read| read.native_ids).collect();
        assert_eq!((asked.len(), asked.iter().collect::<HashSet<_>>().len()), (60, 60));
    })
    .await;
}

#[tokio::test]
async fn an_account_that_fails_waits_and_keeps_no_other_waiting() {
    each(async |world| {
        let (good, bad) = (ids::new(), ids::new());
        let ours = world.publish(good, (1, 0, 0)).await;
        let theirs = world.publish(bad, (7, 0, 0)).await;
        world.publisher.fail(bad, Some(Status::unavailable("the network is down")));
        world.clock.advance(MINUTE);
        world.read_times(&ours, 1).await;
        let failed =
            || world.publisher.reads().iter().filter(|read| read.account_id == bad.to_string()).count();
        until("the failing one is tried", async || failed() == 1).await;

        world.publisher.fail(bad, None);
        let turn = async |now| world.store.accounts_in_turn(now, 10).await.unwrap();
        until("its next turn is set", async || {
            turn(world.began + 2 * MINUTE).await.iter().any(|account| account.account_id == bad)
        })
        .await;
        world.clock.advance(MINUTE);
        world.read_times(&theirs, 1).await;
        assert_eq!(failed(), 2);
        assert_eq!(world.get(theirs.post, false).await.unwrap().total.unwrap().likes, 7);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_gone_is_not_read_again() {
    each(async |world| {
        let account = ids::new();
        let target = world.publish(account, (1, 0, 0)).await;
        world.publisher.fail(account, Some(Status::not_found("no such account")));
        world.clock.advance(MINUTE);
        until("its turns are over", async || {
            !world.publisher.reads().is_empty()
                && world.store.accounts_in_turn(i64::MAX, 10).await.unwrap().is_empty()
        })
        .await;
        assert!(world.get(target.post, false).await.is_ok(), "what is stored stays");
    })
    .await;
}

#[tokio::test]
async fn a_post_that_the_network_no_longer_knows_keeps_its_last_counts() {
    each(async |world| {
        let target = world.publish(ids::new(), (5, 4, 3)).await;
        world.clock.advance(MINUTE);
        world.read_times(&target, 1).await;
        world.publisher.lose(&target);
        world.clock.advance(5 * MINUTE);
        world.read_times(&target, 2).await;
        let answer = world.get(target.post, false).await.unwrap();
        assert!(!answer.targets[0].found);
        assert_eq!(answer.total.unwrap().likes, 5);
        let snapshots = world.store.snapshots(target.id).await.unwrap();
        assert_eq!(snapshots.iter().map(|s| (s.found, s.likes)).collect::<Vec<_>>(), [(true, 5), (false, 0)]);
    })
    .await;
}

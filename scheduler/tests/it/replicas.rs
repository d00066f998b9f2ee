//! Two schedulers on one PostgreSQL: they share the work, and both tail the publisher without losing an event or
//! turning a state back.

use std::{collections::HashMap, time::Duration};

use postmesh_kit::testing;
use postmesh_proto::{
    common::v1::TargetState,
    scheduler::v1::{self as proto, CreatePostRequest, Post, PostState},
};
use postmesh_scheduler::MIGRATIONS;

use crate::world::{MINUTE, World, to};

const POSTS: usize = 60;
const TARGETS: usize = 10;

#[tokio::test]
async fn two_schedulers_share_one_database() {
    let (db, _schema) = testing::postgres(MIGRATIONS).await;
    let world = World::start(db).await;
    let (second, mut elsewhere) = world.replica().await;
    let accounts = world.connect_many(TARGETS);
    let targets: Vec<_> = accounts.iter().map(|account| to(*account)).collect();

    // Written through both, handed over by both, each once.
    let mut posts: Vec<Post> = Vec::new();
    for at in 0..POSTS {
        let request = CreatePostRequest { targets: targets.clone(), ..world.a_post(Some(2 * MINUTE)) };
        posts.push(if at % 2 == 0 {
            world.create(request).await.unwrap()
        } else {
            elsewhere.create_post(world.ask(request)).await.unwrap().into_inner().post.unwrap()
        });
    }
    world.clock.advance(MINUTE);
    world.publisher_until(|publisher| publisher.delivered.len() >= POSTS * TARGETS).await;
    let mut times = HashMap::<String, usize>::new();
    for delivery in &world.publisher.0.borrow().delivered {
        *times.entry(delivery.target_id.clone()).or_default() += 1;
    }
    assert_eq!((times.len(), times.values().max()), (POSTS * TARGETS, Some(&1)), "none twice, none missing");

    // Both tail: each event counts once, and a late one of an old state turns nothing back.
    assert!(world.publisher.0.borrow().tails.len() >= 2, "both have a stream");
    for state in [TargetState::Preparing, TargetState::Sending, TargetState::Published] {
        for post in &posts {
            for at in 0..TARGETS {
                world.tell(post, at, state);
            }
        }
        // Streams break in the middle, and both come again with the cursor that is stored.
        world.publisher.0.send_modify(|publisher| publisher.cut += 1);
    }
    for (at, post) in posts.iter().enumerate() {
        // Seen through the one that did not write it.
        let request =
            world.ask(proto::WatchPostsRequest { post_ids: vec![post.id.clone()], until_final: true });
        let mut client = if at % 2 == 0 { elsewhere.clone() } else { world.client.clone() };
        let mut stream = client.watch_posts(request).await.unwrap().into_inner();
        let mut last = None;
        let followed = async {
            while let Some(change) = stream.message().await.unwrap() {
                last = change.post;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), followed).await.expect("it ends");
        let last = last.unwrap();
        assert_eq!(last.state(), PostState::Published);
        assert!(last.targets.iter().all(|target| target.native_id == "109" && target.revision == 1));
    }
    let sequence = world.publisher.0.borrow().events.last().unwrap().sequence;
    assert_eq!(world.store.cursor().await.unwrap(), sequence);

    // One goes; the other has it all.
    assert!(world.life.shutdown(Duration::from_secs(10)).await);
    let request = world.ask(CreatePostRequest { targets, ..world.a_post(Some(0)) });
    let post = elsewhere.create_post(request).await.unwrap().into_inner().post.unwrap();
    let all = POSTS * TARGETS + TARGETS;
    world.publisher_until(|publisher| publisher.delivered.len() >= all).await;
    let cancel = proto::CancelPostRequest { post_id: post.id.clone(), ..Default::default() };
    let cancelled = elsewhere.cancel_post(world.ask(cancel)).await.unwrap().into_inner().post.unwrap();
    assert_eq!(cancelled.state(), PostState::Cancelled);
    assert!(second.shutdown(Duration::from_secs(10)).await);
}

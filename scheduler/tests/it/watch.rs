//! WatchPosts: the present first, then every change; by other replicas too; ends as asked or with the service.

use std::time::Duration;

use postmesh_proto::{
    common::v1::TargetState,
    scheduler::v1::{self as proto, Post, PostState, WatchPostsRequest},
};
use tonic::{Code, Status, Streaming};

use crate::world::{MINUTE, World, an_event, fields, reason, story};

async fn watch(world: &World, posts: &[&Post], until_final: bool) -> Streaming<proto::WatchPostsResponse> {
    let post_ids = posts.iter().map(|post| post.id.clone()).collect();
    let request = WatchPostsRequest { post_ids, until_final };
    world.client.clone().watch_posts(world.ask(request)).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<proto::WatchPostsResponse>) -> Result<Option<Post>, Status> {
    let message =
        tokio::time::timeout(Duration::from_secs(20), stream.message()).await.expect("nothing came");
    Ok(message?.and_then(|answer| answer.post))
}

#[tokio::test]
async fn begins_with_the_present_and_ends_when_all_are_final() {
    story(async |world| {
        let one = world.create(world.a_post(Some(0))).await.unwrap();
        let two = world.create(world.a_post(Some(60 * MINUTE))).await.unwrap();
        let one = world.post_in(&one.id, TargetState::HandedOver).await;
        let mut stream = watch(&world, &[&two, &one], true).await;
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), two);
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), one);
        world.tell(&one, 0, TargetState::Published);
        let published = next(&mut stream).await.unwrap().unwrap();
        assert_eq!((published.id.as_str(), published.state()), (one.id.as_str(), PostState::Published));
        let cancelled = world.cancel(&two.id).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), cancelled);
        assert_eq!(next(&mut stream).await.unwrap(), None, "all are final");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_post_no_longer_keeps_a_watch_open() {
    story(async |world| {
        let post = world.create(world.a_post(None)).await.unwrap();
        let mut stream = watch(&world, &[&post], true).await;
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), post);
        world.delete(&post.id).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_is_watched_from_now_on() {
    story(async |world| {
        world.create(world.a_post(None)).await.unwrap();
        let mut stream = watch(&world, &[], false).await;
        let new = world.create(world.a_post(None)).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().unwrap().id, new.id, "the old one is not news");
        let edited = world.edit_text(&new.id, "edited").await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), edited);
    })
    .await;
}

#[tokio::test]
async fn changes_of_another_replica_arrive() {
    story(async |world| {
        let post = world.create(world.a_post(None)).await.unwrap();
        let mut named = watch(&world, &[&post], false).await;
        let mut whole = watch(&world, &[], false).await;
        assert_eq!(next(&mut named).await.unwrap().unwrap().text, "hello");
        // Written through the database alone, as another replica does: nobody here is woken.
        let workspace = world.workspace;
        let change = postmesh_scheduler::store::ChangeRequest {
            workspace_id: workspace,
            post_id: post.id.parse().unwrap(),
            etag: None,
            change: postmesh_scheduler::domain::Change::Edit(postmesh_scheduler::domain::Edit {
                text: Some("from afar".into()),
                ..Default::default()
            }),
            verdicts: Default::default(),
            repeat: None,
            encode: |_| Vec::new(),
            moment: postmesh_scheduler::domain::change::Moment { now: world.now(), lead_ms: MINUTE },
        };
        world.store.change(change).await.unwrap();
        assert_eq!(next(&mut named).await.unwrap().unwrap().text, "from afar");
        assert_eq!(next(&mut whole).await.unwrap().unwrap().text, "from afar");
    })
    .await;
}

#[tokio::test]
async fn a_slow_consumer_gets_the_newest_state() {
    story(async |world| {
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let mut slow = watch(&world, &[&post], true).await;
        // Many changes while nobody reads.
        for round in 0..50 {
            let state = if round % 2 == 0 { TargetState::Preparing } else { TargetState::Prepared };
            world.publisher.0.send_modify(|publisher| {
                publisher.events.push(an_event(&world, &post, 0, state, round + 1));
            });
        }
        world.tell(&post, 0, TargetState::Published);
        world.post_in(&post.id, TargetState::Published).await;
        let mut seen = Vec::new();
        while let Some(post) = next(&mut slow).await.unwrap() {
            seen.push(post.state());
        }
        assert_eq!(seen.last(), Some(&PostState::Published));
    })
    .await;
}

#[tokio::test]
async fn bad_watches_name_every_field() {
    story(async |world| {
        let request = WatchPostsRequest { post_ids: vec!["no".into(), String::new()], until_final: true };
        let status = world.client.clone().watch_posts(world.ask(request)).await.unwrap_err();
        assert_eq!(fields(&status), ["post_ids[0]", "post_ids[1]"]);
        let request = WatchPostsRequest { post_ids: Vec::new(), until_final: true };
        let status = world.client.clone().watch_posts(world.ask(request)).await.unwrap_err();
        assert_eq!(fields(&status), ["until_final"]);
        let request =
            WatchPostsRequest { post_ids: vec![uuid::Uuid::now_v7().to_string(); 1001], until_final: false };
        let status = world.client.clone().watch_posts(world.ask(request)).await.unwrap_err();
        assert_eq!(fields(&status), ["post_ids"]);
    })
    .await;
}

#[tokio::test]
async fn a_stopping_service_says_so() {
    story(async |world| {
        let post = world.create(world.a_post(None)).await.unwrap();
        let mut stream = watch(&world, &[&post], false).await;
        next(&mut stream).await.unwrap();
        world.life.stop();
        let ended = next(&mut stream).await.unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "STOPPING"));
    })
    .await;
}

//! Hearing from the publisher what was published.

use postmesh_analytics::MIGRATIONS;
use postmesh_kit::{clock::Clock, ids, testing};
use postmesh_proto::{common::v1::TargetState, publisher::v1::DeliveryEvent};

use crate::{
    publisher::a_target,
    world::{World, each, until},
};

#[tokio::test]
async fn only_what_was_published_is_remembered() {
    each(async |world| {
        let failed = a_target(world.workspace, ids::new());
        world.publisher.tell(&failed, TargetState::Preparing, world.began);
        world.publisher.tell(&failed, TargetState::Failed, world.began);
        let inbox = a_target(world.workspace, ids::new());
        world.publisher.tell(&inbox, TargetState::InInbox, world.began);
        world.publisher.tell_raw(DeliveryEvent {
            target_id: "not an id".to_owned(),
            state: TargetState::Published.into(),
            native_id: "1".to_owned(),
            ..DeliveryEvent::default()
        });
        world.publish(ids::new(), (0, 0, 0)).await;
        assert!(world.store.targets_of_post(failed.workspace, failed.post).await.unwrap().is_empty());
        assert!(world.store.targets_of_post(inbox.workspace, inbox.post).await.unwrap().is_empty());
        assert_eq!(world.store.cursor().await.unwrap(), 5, "what cannot be read does not stop the rest");
    })
    .await;
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_where_it_stopped() {
    each(async |world| {
        world.publish(ids::new(), (0, 0, 0)).await;
        world.publish(ids::new(), (0, 0, 0)).await;
        world.publisher.break_streams();
        let after = a_target(world.workspace, ids::new());
        world.publisher.tell(&after, TargetState::Published, world.clock.now_ms());
        world.known(&after).await;
        assert_eq!(world.publisher.tails(), [0, 2]);
    })
    .await;
}

#[tokio::test]
async fn a_restarted_service_goes_on_where_it_stopped_and_hearing_twice_changes_nothing() {
    testing::each_database(MIGRATIONS, async |db| {
        let world = World::start(db).await;
        let first = world.publish(ids::new(), (1, 0, 0)).await;
        world.clock.advance(60_000);
        world.read_times(&first, 1).await;
        let (db, publisher) = (world.db.clone(), world.publisher.clone());
        assert!(world.stop().await, "it ends by itself");

        // The same event again, as after a crash between two commits of the publisher.
        publisher.tell(&first, TargetState::Published, 0);
        let world = World::beside(db, publisher).await;
        let second = world.publish(ids::new(), (0, 0, 0)).await;
        assert_eq!(world.publisher.tails(), [0, 1]);
        world.known(&second).await;
        until("the cursor is stored", async || world.store.cursor().await.unwrap() == 3).await;
        let known = world.store.targets_of_post(first.workspace, first.post).await.unwrap();
        assert_eq!((known.len(), known[0].counts.likes), (1, 1), "its counts are still there");
    })
    .await;
}

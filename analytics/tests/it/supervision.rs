//! The tree of actors: collectors come with work, go when idle, and one that fails takes nobody along.

use std::{sync::Arc, time::Duration};

use postmesh_analytics::{
    Config, MIGRATIONS,
    actors::{
        collector::Tools,
        supervisor::{Msg, Supervisor},
    },
    store::{Store, published::Published},
};
use postmesh_kit::{
    db::Db,
    ids,
    lifecycle::Lifecycle,
    testing::{self, FakeClock},
};
use ractor::{Actor, ActorRef, ActorStatus, call_t};
use tokio::sync::Semaphore;

use crate::{
    publisher::{Publisher, Target, a_target},
    world::until,
};

struct Tree {
    supervisor: ActorRef<Msg>,
    store: Store,
    publisher: Publisher,
    places: Arc<Semaphore>,
}

impl Tree {
    async fn start(db: Db, idle: Duration) -> Self {
        let (store, publisher, places) = (Store::new(db), Publisher::new(), Arc::new(Semaphore::new(1)));
        let tools = Tools {
            store: store.clone(),
            clock: Arc::new(FakeClock::at(1_000)),
            lifecycle: Lifecycle::new(),
            deliveries: publisher.client(),
            schedule: Config::default().schedule(),
            places: places.clone(),
            idle,
        };
        let (supervisor, _) =
            Actor::spawn(None, Supervisor { tools, look_every: Duration::from_millis(5) }, ()).await.unwrap();
        Self { supervisor, store, publisher, places }
    }

    async fn in_turn(&self) -> Target {
        let target = a_target(ids::new(), ids::new());
        self.publisher.count(&target, (1, 1, 1));
        let published = Published {
            target_id: target.id,
            post_id: target.post,
            workspace_id: target.workspace,
            account_id: target.account,
            network: "mastodon".to_owned(),
            native_id: target.native_id.clone(),
            published_at: 0,
            next_read_at: Some(500),
        };
        self.store.remember(vec![published], 1).await.unwrap();
        target
    }

    async fn collectors(&self) -> usize {
        call_t!(self.supervisor, Msg::Count, 5_000).unwrap()
    }

    async fn is_read(&self, target: &Target) {
        until("it is read", async || !self.store.snapshots(target.id).await.unwrap().is_empty()).await;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.supervisor.stop(None);
    }
}

#[tokio::test]
async fn collectors_come_with_work_and_go_when_idle() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let tree = Tree::start(db, Duration::from_millis(20)).await;
    assert_eq!(tree.collectors().await, 0);
    let target = tree.in_turn().await;
    tree.is_read(&target).await;
    until("the collector is gone", async || tree.collectors().await == 0).await;
    let next = tree.in_turn().await;
    tree.is_read(&next).await;
}

#[tokio::test]
async fn a_collector_that_ends_unexpectedly_takes_nobody_along() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let tree = Tree::start(db, Duration::from_mins(1)).await;
    // The only place is taken, so the collector stays busy.
    let place = tree.places.acquire().await.unwrap();
    tree.in_turn().await;
    until("a collector works", async || tree.collectors().await == 1).await;
    for child in tree.supervisor.get_cell().get_children() {
        child.kill();
    }
    until("it is forgotten", async || tree.collectors().await == 0).await;
    assert_eq!(tree.supervisor.get_status(), ActorStatus::Running);
    drop(place);
    let next = tree.in_turn().await;
    tree.is_read(&next).await;
}

//! The tree outlives its actors.

use std::time::Duration;

use postmesh_kit::{
    clock::SystemClock,
    ids,
    lifecycle::Lifecycle,
    testing::{self, Tokens},
};
use ractor::ActorStatus;
use tonic::service::Routes;

use super::*;
use crate::{
    MIGRATIONS, MediaClient, PublisherClient,
    domain::{NewTarget, Post, Target},
};

#[test]
fn pauses_grow_and_stay_within_their_bounds() {
    for failures in 0..40 {
        let most = Duration::from_secs(5);
        let full = Duration::from_millis(100).saturating_mul(1 << failures.min(12)).min(most);
        let got = pause(failures, most);
        assert!(got >= full / 2 && got <= full, "{failures}: {got:?}");
    }
}

/// A scheduler whose neighbours answer nothing they are asked.
async fn a_room() -> (Room, tempfile::TempDir) {
    let (db, folder) = testing::sqlite(MIGRATIONS).await;
    let lonely =
        || testing::serve(postmesh_proto::pool(), Routes::default(), "scheduler", &Tokens::default());
    let config = Config { scan_period_ms: 20, ..Config::default() };
    let deps = Deps {
        db: db.clone(),
        clock: Arc::new(SystemClock),
        lifecycle: Lifecycle::new(),
        publisher: PublisherClient::new(lonely()),
        media: MediaClient::new(lonely()),
    };
    let store = Store::new(db);
    let feed = Feed::start(store.clone(), &config, &deps.lifecycle);
    let armed = Arc::new(AtomicI64::new(i64::MAX));
    (Room { config, deps, store, feed, armed, turns: turns::Turns::default() }, folder)
}

fn a_due_post(now: i64) -> Post {
    let input = NewTarget {
        account_id: ids::new(),
        network: "mastodon".into(),
        handle: "@ana".into(),
        text: None,
        settings: Vec::new(),
    };
    Post {
        id: ids::new(),
        workspace_id: ids::new(),
        author_id: ids::new(),
        text: "hello".into(),
        media: Vec::new(),
        thread: Vec::new(),
        targets: vec![Target::new(&input, 0, Some(now), 0)],
        due_at: Some(now),
        revision: 1,
        created_at: now,
        updated_at: now,
        change_seq: 0,
    }
}

#[tokio::test]
async fn killed_actors_come_back_and_go_on_with_the_database() {
    let (room, _folder) = a_room().await;
    let bell = start(&room.config, &room.deps, &room.store, &room.feed).await.unwrap();
    let children = || bell.supervisor.get_cell().get_children();
    let all = room.config.lanes + 4;
    let settled = async {
        while children().len() < all {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settled).await.expect("the tree starts");
    let first: Vec<_> = children();
    for child in &first {
        child.kill_and_wait(None).await.unwrap();
    }
    assert_eq!(bell.supervisor.get_status(), ActorStatus::Running, "the supervisor never stops by itself");
    let post = a_due_post(room.now());
    room.store.create(&post, None).await.unwrap();
    // Nobody rings: the actors that come back find the post by themselves.
    let offered = async {
        loop {
            let read = room.store.post(post.workspace_id, post.id).await.unwrap().unwrap();
            if read.targets[0].offered_at.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), offered).await.expect("the post is claimed");
    assert!(children().iter().all(|child| first.iter().all(|old| old.get_id() != child.get_id())));
    assert!(room.deps.lifecycle.shutdown(Duration::from_secs(10)).await);
    assert_eq!(bell.supervisor.get_status(), ActorStatus::Stopped);
}

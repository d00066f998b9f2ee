//! Signing keys: rotation, agreement of replicas, and what survives a restart.

use std::sync::Arc;

use postmesh_auth::{
    MIGRATIONS,
    actors::{
        keyring::{KeySet, Keyring, Keys, Msg},
        supervisor::Supervisor,
        sweeper::Sweeper,
    },
    domain::{keys::OVERLAP_MS, session::ACCESS_LIFE_MS},
    store::Store,
};
use postmesh_kit::{
    db::Db,
    testing::{self, FakeClock, each_database},
};
use postmesh_proto::auth::v1::GetKeySetRequest;
use ractor::{Actor, ActorRef, call_t};
use tokio::sync::watch;

use crate::world::World;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

struct Replica {
    keyring: ActorRef<Msg>,
    keys: Keys,
    clock: FakeClock,
}

impl Replica {
    async fn start(db: &Db, clock: &FakeClock) -> Self {
        let (published, keys) = watch::channel(Arc::new(KeySet::default()));
        let keyring = Keyring {
            store: Store::new(db.clone()),
            clock: Arc::new(clock.clone()),
            ring: testing::keys(),
            days: 30,
            published,
        };
        let (keyring, _) = Actor::spawn(None, keyring, ()).await.unwrap();
        Self { keyring, keys, clock: clock.clone() }
    }

    async fn reload(&self) -> bool {
        call_t!(self.keyring, |reply| Msg::Reload(Some(reply)), 10_000).unwrap()
    }

    fn signing(&self) -> String {
        self.keys.borrow().signing(at(&self.clock)).unwrap().kid.clone()
    }

    fn verifying(&self) -> Vec<String> {
        self.keys.borrow().verifying(at(&self.clock)).map(|key| key.kid.clone()).collect()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.keyring.stop(None);
    }
}

fn at(clock: &FakeClock) -> i64 {
    postmesh_kit::clock::Clock::now_ms(clock)
}

#[tokio::test]
async fn replicas_started_at_once_agree_on_the_first_key() {
    each_database(MIGRATIONS, async |db| {
        let clock = FakeClock::at(1_000);
        let replicas = futures::future::join_all((0..4).map(|_| Replica::start(&db, &clock))).await;
        for replica in &replicas {
            assert_eq!(replica.signing(), replicas[0].signing());
            assert_eq!(replica.verifying().len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_rotation_announces_the_next_key_before_it_signs_and_keeps_the_old_one_while_its_tokens_live() {
    each_database(MIGRATIONS, async |db| {
        let clock = FakeClock::at(0);
        let (one, two) = (Replica::start(&db, &clock).await, Replica::start(&db, &clock).await);
        let old = one.signing();
        clock.set(30 * DAY_MS - OVERLAP_MS);
        assert!(one.reload().await && two.reload().await);
        assert_eq!(one.signing(), old, "announced, not in use");
        assert_eq!((one.verifying().len(), two.verifying()), (2, one.verifying()));

        clock.set(30 * DAY_MS);
        let new = one.signing();
        assert_ne!(new, old);
        assert_eq!(two.signing(), new);
        clock.advance(ACCESS_LIFE_MS);
        assert!(one.verifying().contains(&old), "its last token still lives");
        clock.advance(OVERLAP_MS);
        assert!(one.reload().await);
        assert_eq!(one.verifying(), std::slice::from_ref(&new));

        assert_eq!(
            Store::new(db.clone()).sweep(at(&clock)).await.unwrap().keys,
            1,
            "the private key is deleted"
        );
        let restarted = Replica::start(&db, &clock).await;
        assert_eq!(restarted.signing(), new);
    })
    .await;
}

#[tokio::test]
async fn losing_the_database_keeps_the_keys_published_last() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let clock = FakeClock::at(0);
    let replica = Replica::start(&db, &clock).await;
    let key = replica.signing();
    db.clone().close().await;
    clock.set(40 * DAY_MS);
    assert!(!replica.reload().await);
    assert_eq!(replica.signing(), key);
}

#[tokio::test]
async fn tokens_survive_a_restart_of_the_service() {
    each_database(MIGRATIONS, async |db| {
        let before = World::start(db.clone()).await;
        let session = before.register("ada@example.com").await.session.unwrap();
        let keys = before.auth.clone().get_key_set(GetKeySetRequest {}).await.unwrap().into_inner().keys;
        drop(before);
        let after = World::start(db).await;
        assert_eq!(
            after.auth.clone().get_key_set(GetKeySetRequest {}).await.unwrap().into_inner().keys,
            keys
        );
        assert!(after.verifier.verify(&session.access_token).await.is_ok());
        assert!(after.refresh(&session.refresh_token).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_keyring_that_fails_is_started_again_and_its_parent_goes_on() {
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let clock = FakeClock::at(0);
    let (store, clock_of) = (Store::new(db), Arc::new(clock.clone()));
    let (published, keys) = watch::channel(Arc::new(KeySet::default()));
    let keyring = Keyring {
        store: store.clone(),
        clock: clock_of.clone(),
        ring: testing::keys(),
        days: 30,
        published: published.clone(),
    };
    let sweeper = Sweeper { store, clock: clock_of };
    let (supervisor, _) = Actor::spawn(None, Supervisor { keyring, sweeper }, ()).await.unwrap();
    let children = supervisor.get_cell().get_children();
    assert_eq!(children.len(), 2);
    let mut seen = keys.clone();
    seen.mark_unchanged();
    for child in children {
        child.kill();
    }
    let loaded = tokio::time::timeout(std::time::Duration::from_secs(20), seen.changed()).await;
    assert!(loaded.is_ok(), "the new keyring loads the keys again");
    assert_eq!(supervisor.get_status(), ractor::ActorStatus::Running);
    assert_eq!(keys.borrow().signing(0).unwrap().term.generation, 1);
    supervisor.stop(None);
}

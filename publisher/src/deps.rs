//! What the publisher is handed, and the parts it makes of that.

use std::sync::Arc;

use postmesh_kit::{
    bells::Bells, clock::Clock, clockguard::ClockGuard, db::Db, http::GuardedClient, keys::KeyRing,
    lifecycle::Lifecycle, transport::Transport,
};
use postmesh_proto::media::v1::media_service_client::MediaServiceClient;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::{
    actors::epoch::LogPosition,
    apps::Apps,
    budgets::Budgets,
    config::Config,
    domain::{
        key::{self, Keys},
        policy::Policy,
    },
    followed::DatabaseClock,
    holds::Holds,
    media::MediaSource,
    networks::{self, Networks, connect::Connectors},
    store::Store,
    vault::Vault,
};

/// What the publisher is handed.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Its tables, migrated.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ends its actors and tasks.
    pub lifecycle: Lifecycle,
    /// Seals tokens; the secret of the idempotency keys is derived from its oldest key.
    pub keys: KeyRing,
    /// Where pictures come from.
    pub media: MediaServiceClient<Transport>,
}

/// What every actor and rpc of the publisher works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) policy: Policy,
    /// The database's time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The same clock, to be told what the database shows.
    pub(crate) database_clock: Arc<DatabaseClock>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    /// Our applications at the networks.
    pub(crate) apps: Apps,
    pub(crate) media: MediaSource,
    pub(crate) networks: Networks,
    /// How accounts are connected, by network.
    pub(crate) connectors: Connectors,
    pub(crate) keys: Keys,
    pub(crate) clock_guard: Arc<ClockGuard>,
    pub(crate) log_position: LogPosition,
    /// Calls that networks want fewer of.
    pub(crate) holds: Holds,
    /// What our applications may still send.
    pub(crate) budgets: Budgets,
    /// This life of this process, as leases name it.
    pub(crate) owner: Uuid,
    /// Counts commits that wrote events, here and elsewhere; tailers wake by it.
    pub(crate) events: watch::Sender<u64>,
    /// Another process took work in; a sweep is woken by it.
    pub(crate) work: Arc<Notify>,
    bells: Bells,
}

/// Rung when events were committed.
const EVENTS: &str = "events";
/// Rung when accounts got work.
const WORK: &str = "work";

/// What timelines and logs call this life of this process: its host, and enough of its id to tell lives apart.
fn replica(owner: Uuid) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}/{}", &owner.simple().to_string()[20..])
}

impl Parts {
    pub(crate) fn new(config: Config, deps: Deps) -> Self {
        let owner = postmesh_kit::ids::new();
        let store = Store::new(deps.db, replica(owner));
        let (events, work) = (watch::Sender::new(0), Arc::new(Notify::new()));
        let (ring, wake) = (events.clone(), work.clone());
        let bells = Bells::start(&store.db, &deps.lifecycle, &[EVENTS, WORK], move |bell| match bell {
            EVENTS => count(&ring),
            _ => wake.notify_one(),
        });
        let database_clock = Arc::new(DatabaseClock::new(deps.clock));
        let clock: Arc<dyn Clock> = database_clock.clone();
        let media = MediaSource::new(deps.media);
        let (networks, connectors) =
            networks::all(&GuardedClient::new(&config.outbound), &clock, Some(&media));
        let apps = Apps::new(config.apps.clone(), store.clone(), deps.keys.clone(), clock.clone());
        Self {
            policy: config.policy(),
            vault: Vault::new(store.clone(), deps.keys.clone(), clock.clone(), apps.clone()),
            apps,
            store,
            media,
            networks,
            connectors,
            keys: Keys::new(&deps.keys.derive(key::LABEL)),
            clock,
            database_clock,
            lifecycle: deps.lifecycle,
            clock_guard: Arc::new(ClockGuard::default()),
            log_position: LogPosition::default(),
            holds: Holds::default(),
            budgets: Budgets::default(),
            owner,
            events,
            work,
            bells,
            config,
        }
    }

    /// Wakes the tailers, of other processes too: events were committed.
    pub(crate) fn ring_events(&self) {
        count(&self.events);
        self.bells.ring(EVENTS);
    }

    /// Tells other processes that accounts got work: theirs may be among them.
    pub(crate) fn ring_work(&self) {
        self.bells.ring(WORK);
    }
}

fn count(commits: &watch::Sender<u64>) {
    commits.send_modify(|commits| *commits = commits.wrapping_add(1));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postmesh_kit::{
        clock::SystemClock,
        config::{DatabaseConfig, Secret},
        testing::{keys, postgres_url},
    };

    use super::*;
    use crate::testing::media_client;

    async fn replica_of(schema: &str, lifecycle: &Lifecycle) -> Parts {
        let database = DatabaseConfig { url: Secret::new(postgres_url()), connections: 2 };
        let db = Db::open(&database, std::path::Path::new(""), schema).await.unwrap();
        let (clock, lifecycle) = (Arc::new(SystemClock), lifecycle.clone());
        let parts =
            Parts::new(Config::default(), Deps { db, clock, lifecycle, keys: keys(), media: media_client() });
        parts.work.notified().await; // it listens: every bell rang once
        parts
    }

    #[tokio::test]
    async fn replicas_hear_of_each_others_events_and_work() {
        let lifecycle = Lifecycle::new();
        let schema = format!("t_{}", Uuid::now_v7().simple());
        let (a, b) = (replica_of(&schema, &lifecycle).await, replica_of(&schema, &lifecycle).await);
        let mut events = b.events.subscribe();
        events.mark_unchanged();
        let heard = async {
            a.ring_events();
            events.changed().await.unwrap();
            a.ring_work();
            b.work.notified().await;
        };
        tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
        assert!(lifecycle.shutdown(Duration::from_secs(5)).await);
    }
}

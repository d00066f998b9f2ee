//! What the publisher is handed, and the parts it makes of that.

use std::sync::Arc;

use postmesh_kit::{
    clock::Clock, clockguard::ClockGuard, db::Db, http::GuardedClient, keys::KeyRing, lifecycle::Lifecycle,
    transport::Transport,
};
use postmesh_proto::media::v1::media_service_client::MediaServiceClient;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    actors::epoch::LogPosition,
    budgets::Budgets,
    config::Config,
    domain::{
        key::{self, Keys},
        policy::Policy,
    },
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
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
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
    /// Counts commits that wrote events; tailers wake by it.
    pub(crate) events: watch::Sender<u64>,
}

/// What timelines and logs call this life of this process: its host, and enough of its id to tell lives apart.
fn replica(owner: Uuid) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}/{}", &owner.simple().to_string()[20..])
}

impl Parts {
    pub(crate) fn new(config: Config, deps: Deps) -> Self {
        let owner = postmesh_kit::ids::new();
        let store = Store::new(deps.db, replica(owner));
        let (networks, connectors) = networks::all(&GuardedClient::new(&config.outbound), &deps.clock);
        Self {
            policy: config.policy(),
            vault: Vault::new(store.clone(), deps.keys.clone(), deps.clock.clone()),
            store,
            media: MediaSource::new(deps.media),
            networks,
            connectors,
            keys: Keys::new(&deps.keys.derive(key::LABEL)),
            clock: deps.clock,
            lifecycle: deps.lifecycle,
            clock_guard: Arc::new(ClockGuard::default()),
            log_position: LogPosition::default(),
            holds: Holds::default(),
            budgets: Budgets::default(),
            owner,
            events: watch::Sender::new(0),
            config,
        }
    }

    /// Wakes the tailers: events were committed.
    pub(crate) fn ring_events(&self) {
        self.events.send_modify(|commits| *commits = commits.wrapping_add(1));
    }
}

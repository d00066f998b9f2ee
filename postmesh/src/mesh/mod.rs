//! Builds the mesh in call order: `auth, media, publisher, analytics, scheduler`, then the gateway. Calls go only
//! towards the left of that list; a shutdown runs backwards.
//!
//! The same code starts a service for both distances: [`local`] hands it roads inside the process, [`remote`] roads
//! to other processes.

pub(crate) mod local;
pub(crate) mod remote;

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;
use postmesh_kit::{
    blob::Blob,
    cache::Cache,
    clock::{Clock, SystemClock},
    db::{Db, Migrations},
    health::Health,
    identity::{FetchKeys, PublicKey, Verifier},
    keys::KeyRing,
    lifecycle::Lifecycle,
    rules::Rules,
    transport::Transport,
};
use postmesh_proto::{
    auth::v1::{GetKeySetRequest, auth_service_client::AuthServiceClient},
    media::v1::media_service_client::MediaServiceClient,
    publisher::v1::delivery_service_client::DeliveryServiceClient,
};
use tonic::service::Routes;

use crate::config::Config;

/// A service of the mesh, in call order. The gateway stands apart: it has no rpcs of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Service {
    /// Users and sessions.
    Auth,
    /// Uploads and the library.
    Media,
    /// Accounts and deliveries.
    Publisher,
    /// Counts.
    Analytics,
    /// Posts and plans.
    Scheduler,
}

impl Service {
    /// All, in call order.
    pub(crate) const ALL: [Self; 5] =
        [Self::Auth, Self::Media, Self::Publisher, Self::Analytics, Self::Scheduler];

    /// The name in certificates, addresses and database schemas.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Media => "media",
            Self::Publisher => "publisher",
            Self::Analytics => "analytics",
            Self::Scheduler => "scheduler",
        }
    }

    /// The package of its contracts.
    pub(crate) fn package(self) -> String {
        format!("postmesh.{}.v1", self.name())
    }

    /// Its tables.
    pub(crate) fn migrations(self) -> Migrations {
        match self {
            Self::Auth => postmesh_auth::MIGRATIONS,
            Self::Media => postmesh_media::MIGRATIONS,
            Self::Publisher => postmesh_publisher::MIGRATIONS,
            Self::Analytics => postmesh_analytics::MIGRATIONS,
            Self::Scheduler => postmesh_scheduler::MIGRATIONS,
        }
    }

    /// Opens its database.
    pub(crate) async fn database(self, config: &Config) -> anyhow::Result<Db> {
        Ok(Db::open(&config.database, &config.data.dir, self.name()).await?)
    }
}

/// How a service reaches another.
pub(crate) trait Roads {
    /// The road from `caller` to `callee`.
    fn road(&self, caller: &str, callee: Service) -> Transport;
}

/// What every service of a process stands on.
pub(crate) struct Ground {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub keys: KeyRing,
    pub cache: Cache,
    pub rules: Rules,
}

impl Ground {
    /// Opens keys and cache.
    pub(crate) fn prepare(config: Config) -> anyhow::Result<Self> {
        let keys = KeyRing::open_or_create(&config.keys.file).with_context(|| {
            format!("cannot use the key file {} (setting keys.file)", config.keys.file.display())
        })?;
        let cache = Cache::connect(&config.cache).context("cannot use the cache (setting cache.url)")?;
        Ok(Self {
            clock: Arc::new(SystemClock),
            keys,
            cache,
            rules: Rules::read(postmesh_proto::pool()),
            config,
        })
    }

    /// Starts one service; answers its routes.
    pub(crate) async fn start(
        &self,
        service: Service,
        db: Db,
        roads: &dyn Roads,
        life: &Lifecycle,
        health: &mut Health,
    ) -> anyhow::Result<Routes> {
        health.add(format!("{} database", service.name()), {
            let db = db.clone();
            move || {
                let db = db.clone();
                async move { db.check().await.map_err(|error| error.to_string()) }
            }
        });
        let (clock, lifecycle, keys) = (self.clock.clone(), life.clone(), self.keys.clone());
        let road = |callee| roads.road(service.name(), callee);
        let config = &self.config;
        let running = match service {
            Service::Auth => {
                let deps = postmesh_auth::Deps { db, clock, lifecycle, keys, cache: self.cache.clone() };
                postmesh_auth::start(config.auth.clone(), deps).await?
            }
            Service::Media => {
                let blob = Blob::connect(&config.blob, &config.data.dir)
                    .await
                    .context("cannot use the blob store (section blob)")?;
                health.add("blob store", {
                    let blob = blob.clone();
                    move || {
                        let blob = blob.clone();
                        async move { blob.check().await.map_err(|error| error.to_string()) }
                    }
                });
                let deps = postmesh_media::Deps { db, clock, lifecycle, keys, blob };
                postmesh_media::start(config.media.clone(), deps).await?
            }
            Service::Publisher => {
                let media = MediaServiceClient::new(road(Service::Media));
                let deps = postmesh_publisher::Deps { db, clock, lifecycle, keys, media };
                postmesh_publisher::start(config.publisher.clone(), deps).await?
            }
            Service::Analytics => {
                let deliveries = DeliveryServiceClient::new(road(Service::Publisher));
                let deps =
                    postmesh_analytics::Deps { db, clock, lifecycle, cache: self.cache.clone(), deliveries };
                postmesh_analytics::start(config.analytics.clone(), deps).await?
            }
            Service::Scheduler => {
                let publisher = DeliveryServiceClient::new(road(Service::Publisher));
                let media = MediaServiceClient::new(road(Service::Media));
                let deps = postmesh_scheduler::Deps { db, clock, lifecycle, publisher, media };
                postmesh_scheduler::start(config.scheduler.clone(), deps).await?
            }
        };
        Ok(running.routes)
    }

    /// Starts the gateway on its port.
    pub(crate) async fn open_gateway(
        &self,
        roads: &dyn Roads,
        verifier: Arc<Verifier>,
        life: &Lifecycle,
    ) -> anyhow::Result<postmesh_gateway::Running> {
        let backends: HashMap<_, _> = Service::ALL
            .into_iter()
            .map(|service| (service.package(), roads.road("gateway", service)))
            .collect();
        let deps = postmesh_gateway::Deps {
            backends,
            verifier,
            cache: self.cache.clone(),
            clock: self.clock.clone(),
            lifecycle: life.clone(),
            listener: None,
        };
        Ok(postmesh_gateway::start(self.config.gateway.clone(), deps).await?)
    }
}

/// Verifies access tokens with the keys that auth answers over this road.
pub(crate) fn verifier(auth: impl Fn() -> Option<Transport> + Send + Sync + 'static) -> Arc<Verifier> {
    let fetch: FetchKeys = Arc::new(move || {
        let road = auth();
        Box::pin(async move {
            let road = road.ok_or_else(|| tonic::Status::unavailable("auth has not started yet"))?;
            let answer = AuthServiceClient::new(road).get_key_set(GetKeySetRequest {}).await?.into_inner();
            Ok(answer.keys.into_iter().map(|key| PublicKey { kid: key.kid, x: key.x }).collect())
        })
    });
    Arc::new(Verifier::new(fetch))
}

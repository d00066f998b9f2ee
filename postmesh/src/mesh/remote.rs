//! One service in its own process, with the others elsewhere: mutual TLS between them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use postmesh_kit::{
    health::Health, lifecycle::Lifecycle, rules::Rules, server::Guard, tls::MeshTls, transport::Transport,
};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

use super::{Ground, Roads, Service, verifier};
use crate::{admin, config::Config};

/// What a shutdown may take: calls in flight end, sends close or are left to the next start.
const GRACE: Duration = Duration::from_secs(25);

struct RemoteRoads {
    rules: Rules,
    channels: Vec<(Service, Channel)>,
}

impl Roads for RemoteRoads {
    fn road(&self, caller: &str, callee: Service) -> Transport {
        let (_, channel) = self
            .channels
            .iter()
            .find(|(service, _)| *service == callee)
            .expect("every service has a channel");
        Transport::remote(caller, self.rules.clone(), channel.clone())
    }
}

impl RemoteRoads {
    fn new(config: &Config, tls: &MeshTls, rules: Rules) -> anyhow::Result<Self> {
        let channels = Service::ALL.into_iter().map(|service| Ok((service, channel(config, tls, service)?)));
        Ok(Self { rules, channels: channels.collect::<anyhow::Result<_>>()? })
    }
}

/// A channel that connects when it is first used and again whenever it broke.
fn channel(config: &Config, tls: &MeshTls, service: Service) -> anyhow::Result<Channel> {
    let mesh = &config.mesh;
    let address = match service {
        Service::Auth => &mesh.auth,
        Service::Media => &mesh.media,
        Service::Publisher => &mesh.publisher,
        Service::Analytics => &mesh.analytics,
        Service::Scheduler => &mesh.scheduler,
    };
    let name = service.name();
    ensure!(address.starts_with("https://"), "mesh.{name}: `{address}` must begin with https://");
    let endpoint = Endpoint::from_shared(address.clone())
        .with_context(|| format!("mesh.{name}: `{address}` is not an address"))?
        .tls_config(tls.client(name))?
        .connect_timeout(Duration::from_secs(3))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    Ok(endpoint.connect_lazy())
}

/// Serves one service until the life ends.
pub(crate) async fn serve(service: Service, config: Config, life: &Lifecycle) -> anyhow::Result<()> {
    let name = service.name();
    let tls = read_tls(&config)?;
    let ground = Ground::prepare(config)?;
    let roads = RemoteRoads::new(&ground.config, &tls, ground.rules.clone())?;
    let db = service.database(&ground.config).await?;
    let pending = db.pending(&service.migrations()).await?;
    ensure!(pending.is_empty(), "the tables of {name} are not up to date; run `postmesh migrate` first");

    // Auth asks itself for its keys without leaving the process.
    let own: Arc<OnceLock<Transport>> = Arc::default();
    let remote = roads.road(name, Service::Auth);
    let verifier = verifier({
        let own = own.clone();
        move || if service == Service::Auth { own.get().cloned() } else { Some(remote.clone()) }
    });
    let mut health = Health::default();
    let work = life.child();
    let routes = ground.start(service, db.clone(), &roads, &work, &mut health).await?;
    let guard = Guard::new(ground.rules.clone(), verifier);
    if service == Service::Auth {
        let _ = own.set(Transport::local(name, ground.rules.clone(), guard.local(routes.clone())));
    }
    let bind = ground.config.mesh.bind;
    let listener = TcpListener::bind(bind)
        .await
        .with_context(|| format!("cannot listen on {bind}; choose another address with mesh.bind"))?;
    admin::serve(ground.config.admin.bind, health, life).await?;
    tracing::info!(service = name, address = %bind, "serving");
    guard.serve(routes, listener, &tls, life).await?;
    work.shutdown(GRACE).await;
    db.close().await;
    Ok(())
}

/// Serves the gateway until the life ends.
pub(crate) async fn serve_gateway(config: Config, life: &Lifecycle) -> anyhow::Result<()> {
    let tls = read_tls(&config)?;
    let ground = Ground::prepare(config)?;
    let roads = RemoteRoads::new(&ground.config, &tls, ground.rules.clone())?;
    let auth = roads.road("gateway", Service::Auth);
    let child = life.child();
    let running = ground.open_gateway(&roads, verifier(move || Some(auth.clone())), &child).await?;
    admin::serve(ground.config.admin.bind, Health::default(), life).await?;
    tracing::info!(service = "gateway", address = %running.addr, "serving");
    life.stopping().await;
    child.shutdown(GRACE).await;
    Ok(())
}

fn read_tls(config: &Config) -> anyhow::Result<MeshTls> {
    let mesh = &config.mesh;
    MeshTls::read(&mesh.ca, &mesh.cert, &mesh.key).context(
        "a service of a mesh needs certificates: make them with `postmesh certs --out DIR` and set mesh.ca, mesh.cert and mesh.key",
    )
}

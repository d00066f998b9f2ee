//! What every nemesis stands on before its mesh is started: a folder, networks, servers.
//!
//! ```text
//!  Ground ──embedded / six / replicas──▶ Scene ──begin──▶ (faults) ──end_of_writing──▶ judge ──▶ Layer
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use rand::RngExt as _;

use super::scene::Scene;
use crate::{
    plan,
    rig::{
        Backends, Client, Mesh, Sandbox,
        process::free_port,
        proxy::Proxy,
        servers::{Postgres, Redis},
        workload::{self, Crowd},
    },
};

/// A doubled publisher gives an account back after this long without work.
pub(super) const IDLE: Duration = Duration::from_millis(300);
/// What follows the name of a service's second process.
const SECOND: &str = "-2";
/// The database of a mesh.
pub(super) const DATABASE: &str = "mesh";

/// A PostgreSQL, behind a wire that leads to whichever server is the primary, and a Redis.
pub(super) struct Backing {
    pub(super) postgres: Postgres,
    pub(super) wire: Proxy,
    pub(super) redis: Redis,
}

impl Backing {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let (postgres, redis) = tokio::try_join!(Postgres::start(), Redis::start())?;
        postgres.create(DATABASE).await?;
        let wire = Proxy::to(postgres.addr()).await?;
        Ok(Self { postgres, wire, redis })
    }

    fn backends(&self) -> Backends {
        Backends {
            database: self.postgres.url(self.wire.addr, DATABASE),
            cache: self.redis.url(self.redis.addr()),
        }
    }
}

/// A case before its mesh is started.
pub(super) struct Ground {
    program: PathBuf,
    folder: PathBuf,
    seed: u64,
    sandbox: Option<Sandbox>,
}

impl Ground {
    pub(super) fn new(program: PathBuf, folder: PathBuf, seed: u64) -> Self {
        Self { program, folder, seed, sandbox: None }
    }

    /// The case's folder, made if it is missing.
    pub(super) fn folder(&self) -> anyhow::Result<&Path> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        Ok(&self.folder)
    }

    /// Puts a wire between the mesh and the networks.
    pub(super) async fn networks_behind_a_wire(&mut self) -> anyhow::Result<Proxy> {
        let wire = Proxy::between(Vec::new()).await?;
        let sandbox = Sandbox::start_behind(wire.addr).await?;
        wire.lead_to(vec![sandbox.addr()]);
        self.sandbox = Some(sandbox);
        Ok(wire)
    }

    /// The embedded default, with these settings besides the suite's.
    pub(super) async fn embedded(&mut self, settings: &[(String, String)]) -> anyhow::Result<Scene> {
        let sandbox = self.networks().await?;
        let mesh = Mesh::embedded(&self.program, self.folder()?, &sandbox, settings)?;
        self.scene(sandbox, mesh).await
    }

    /// The embedded default, its program started by another one.
    pub(super) async fn embedded_through(&mut self, starter: &[&str]) -> anyhow::Result<Scene> {
        let sandbox = self.networks().await?;
        let mut mesh = Mesh::embedded(&self.program, self.folder()?, &sandbox, &[])?;
        let (program, args) = starter.split_first().context("a starter is a program")?;
        let start = &mut mesh.starts[0];
        let own = [start.program.display().to_string()];
        start.args = args.iter().map(|arg| (*arg).to_owned()).chain(own).chain(start.args.clone()).collect();
        start.program = PathBuf::from(program);
        self.scene(sandbox, mesh).await
    }

    /// One of two, drawn.
    pub(super) fn coin(&self) -> bool {
        // Apart from the draws of the scene, which begins later.
        plan::rng(!self.seed).random_bool(0.5)
    }

    /// Six processes on these servers, changed before they are started.
    pub(super) async fn six(
        &mut self,
        backing: &Backing,
        change: impl FnOnce(&mut Mesh) -> anyhow::Result<()>,
    ) -> anyhow::Result<Scene> {
        let sandbox = self.networks().await?;
        let backends = backing.backends();
        let mut mesh = Mesh::six(&self.program, self.folder()?, &sandbox, &backends, &[]).await?;
        change(&mut mesh)?;
        self.scene(sandbox, mesh).await
    }

    /// Six processes and a second one of each of these services, `<service>-2`. A new connection to such a service goes to
    /// any of the two, or to the one that is left.
    pub(super) async fn replicas(&mut self, backing: &Backing, services: &[&str]) -> anyhow::Result<Scene> {
        let mut wires = Vec::new();
        for _ in services {
            wires.push(Proxy::between(Vec::new()).await?);
        }
        let mut scene = self
            .six(backing, |mesh| {
                for (service, wire) in services.iter().zip(&wires) {
                    wire.lead_to(vec![address(mesh, service)?, twin(mesh, service)?]);
                }
                for (service, wire) in services.iter().zip(&wires) {
                    let key = format!("POSTMESH_MESH__{}", service.to_uppercase());
                    for start in &mut mesh.starts {
                        start.env.push((key.clone(), format!("https://{}", wire.addr)));
                    }
                }
                for start in &mut mesh.starts {
                    let idle = IDLE.as_millis().to_string();
                    start.env.push(("POSTMESH_PUBLISHER__IDLE_MS".to_owned(), idle));
                }
                Ok(())
            })
            .await?;
        scene.wires = wires;
        Ok(scene)
    }

    async fn networks(&mut self) -> anyhow::Result<Arc<Sandbox>> {
        match self.sandbox.take() {
            Some(sandbox) => Ok(Arc::new(sandbox)),
            None => Ok(Arc::new(Sandbox::start().await?)),
        }
    }

    async fn scene(&self, sandbox: Arc<Sandbox>, mut mesh: Mesh) -> anyhow::Result<Scene> {
        mesh.start_all().await?;
        let client = Client::of(&mesh.url)?;
        let load = workload::Load { accounts: 18, tenants: 2, ..workload::Load::default() };
        let crowd = Crowd::gather(&client, &sandbox, "n", &load).await?;
        Ok(Scene::new(sandbox, mesh, crowd, self.seed, self.folder.clone()))
    }
}

/// Where a service of a mesh listens for the others.
pub(super) fn address(mesh: &Mesh, service: &str) -> anyhow::Result<SocketAddr> {
    let start = &mesh.starts[mesh.number_of(service)];
    let bind = start.env.iter().rfind(|(key, _)| key == "POSTMESH_MESH__BIND");
    Ok(bind.with_context(|| format!("{service} listens nowhere"))?.1.parse()?)
}

/// Adds a second process of a service; answers where it listens.
fn twin(mesh: &mut Mesh, service: &str) -> anyhow::Result<SocketAddr> {
    let mut start = mesh.starts[mesh.number_of(service)].clone();
    let bind: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
    let admin: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
    start.name = format!("{service}{SECOND}");
    start.ready_url = format!("http://{admin}/readyz");
    start.env.push(("POSTMESH_MESH__BIND".to_owned(), bind.to_string()));
    start.env.push(("POSTMESH_ADMIN__BIND".to_owned(), admin.to_string()));
    mesh.add(start);
    Ok(bind)
}

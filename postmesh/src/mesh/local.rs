//! Every service in one process: the embedded default.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use postmesh_kit::{
    db::Db,
    health::Health,
    lifecycle::Lifecycle,
    rules::Rules,
    server::Guard,
    transport::{Handler, Transport},
};

use super::{Ground, Roads, Service, verifier};
use crate::{admin, config::Config};

/// What a shutdown may take altogether; then what is left is dropped, which loses nothing that was acknowledged.
const GRACE: Duration = Duration::from_millis(4500);

/// A running mesh in this process.
pub(crate) struct Mesh {
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// The services' lives in call order, the gateway's and the admin port's last.
    lives: Vec<(&'static str, Lifecycle)>,
    databases: Vec<Db>,
    _folder: File,
}

/// Roads inside the process: a service's routes behind the server stack, once it has started.
struct LocalRoads {
    rules: Rules,
    handlers: Mutex<HashMap<Service, Handler>>,
}

impl Roads for LocalRoads {
    fn road(&self, caller: &str, callee: Service) -> Transport {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let handler =
            handlers.get(&callee).expect("services start in call order and call only what started before");
        Transport::local(caller, self.rules.clone(), handler.clone())
    }
}

impl Mesh {
    /// Starts everything. When a part fails to start, those that did are stopped again.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        let folder = own_folder(&config)?;
        let life = Lifecycle::new();
        let ground = Ground::prepare(config)?;
        let mut mesh = Self {
            gateway: ground.config.gateway.bind,
            admin: ground.config.admin.bind,
            lives: Vec::new(),
            databases: Vec::new(),
            _folder: folder,
        };
        match mesh.build(&ground, &life).await {
            Ok(()) => Ok(mesh),
            Err(error) => {
                mesh.shutdown().await;
                Err(error)
            }
        }
    }

    async fn build(&mut self, ground: &Ground, life: &Lifecycle) -> anyhow::Result<()> {
        let roads = LocalRoads { rules: ground.rules.clone(), handlers: Mutex::default() };
        let auth: Arc<OnceLock<Transport>> = Arc::default();
        let verifier = verifier({
            let auth = auth.clone();
            move || auth.get().cloned()
        });
        let guard = Guard::new(ground.rules.clone(), verifier.clone());
        let mut health = Health::default();
        for service in Service::ALL {
            let db = service.database(&ground.config).await?;
            self.databases.push(db.clone());
            db.migrate(&service.migrations()).await?;
            let child = life.child();
            self.lives.push((service.name(), child.clone()));
            let routes = ground
                .start(service, db, &roads, &child, &mut health)
                .await
                .with_context(|| format!("cannot start {}", service.name()))?;
            let handler = guard.local(routes);
            roads.handlers.lock().unwrap_or_else(PoisonError::into_inner).insert(service, handler);
            if service == Service::Auth {
                let _ = auth.set(roads.road("mesh", Service::Auth));
            }
        }
        let child = life.child();
        self.lives.push(("gateway", child.clone()));
        self.gateway = ground.open_gateway(&roads, verifier, &child).await?.addr;
        let child = life.child();
        self.lives.push(("admin", child.clone()));
        self.admin = admin::serve(ground.config.admin.bind, health, &child).await?;
        Ok(())
    }

    /// Stops backwards: the public door first, what others rest on last. True when all ended by themselves.
    pub(crate) async fn shutdown(mut self) -> bool {
        let until = tokio::time::Instant::now() + GRACE;
        let mut clean = true;
        for (name, life) in self.lives.drain(..).rev() {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if !life.shutdown(left).await {
                tracing::warn!(
                    service = name,
                    "did not stop in time and was ended; nothing acknowledged is lost"
                );
                clean = false;
            }
        }
        for db in self.databases.drain(..) {
            db.close().await;
        }
        clean
    }
}

/// Takes the data folder for this process alone: two embedded meshes on one folder would publish side by side.
pub(crate) fn own_folder(config: &Config) -> anyhow::Result<File> {
    let folder = &config.data.dir;
    let shown = folder.display();
    std::fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the data folder {shown}; choose another with --data or data.dir")
    })?;
    let file = File::create(folder.join("postmesh.lock")).with_context(|| {
        format!("cannot write to the data folder {shown}; choose another with --data or data.dir")
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another postmesh runs on the data folder {shown}; stop it, or choose another folder with --data"
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock the data folder {shown}"))
        }
    }
}

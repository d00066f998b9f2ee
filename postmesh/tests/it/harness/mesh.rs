//! A mesh as its operators run it: embedded in one process, or six processes on PostgreSQL and Redis.

use std::path::Path;

use tempfile::TempDir;

use super::{Sandbox, free_port, process::Process};

pub(crate) struct Mesh {
    /// Address of the gateway.
    pub url: String,
    /// Health addresses, one per process.
    ready: Vec<String>,
    /// How each process is started, so that it can be started again.
    commands: Vec<Vec<String>>,
    env: Vec<Vec<(String, String)>>,
    pub processes: Vec<Process>,
    pub folder: TempDir,
}

/// The services that run as processes of their own, in call order.
const SERVICES: [&str; 6] = ["auth", "media", "publisher", "analytics", "scheduler", "gateway"];

impl Mesh {
    /// Every service in one process on SQLite.
    pub(crate) async fn embedded(sandbox: &Sandbox) -> Self {
        Self::embedded_with(sandbox, &[]).await
    }

    /// As [`Mesh::embedded`], with settings of its own.
    pub(crate) async fn embedded_with(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, admin) = (free_port(), free_port());
        let mut env = common(sandbox);
        env.extend([
            setting("POSTMESH_GATEWAY__BIND", format!("127.0.0.1:{gateway}")),
            setting("POSTMESH_ADMIN__BIND", format!("127.0.0.1:{admin}")),
        ]);
        env.extend(settings.iter().map(|(key, value)| setting(key, (*value).to_owned())));
        let mut mesh = Self {
            url: format!("http://127.0.0.1:{gateway}"),
            ready: vec![format!("http://127.0.0.1:{gateway}/healthz")],
            commands: vec![vec!["up".to_owned(), "--data".to_owned(), "data".to_owned()]],
            env: vec![env],
            processes: Vec::new(),
            folder,
        };
        mesh.start().await;
        mesh
    }

    /// The five services and the gateway as six processes on PostgreSQL and Redis, mutual TLS between them.
    pub(crate) async fn six_processes(sandbox: &Sandbox) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = fresh_database().await;
        let gateway = free_port();
        let ports: Vec<u16> = SERVICES.iter().map(|_| free_port()).collect();
        let mut shared = common(sandbox);
        shared.extend([
            setting("POSTMESH_DATABASE__URL", database),
            setting("POSTMESH_CACHE__URL", std::env::var("POSTMESH_TEST_REDIS_URL").unwrap()),
            setting("POSTMESH_GATEWAY__BIND", format!("127.0.0.1:{gateway}")),
            setting("POSTMESH_MESH__CA", "certs/ca.crt".to_owned()),
        ]);
        for (service, port) in SERVICES.iter().zip(&ports).take(5) {
            let key = format!("POSTMESH_MESH__{}", service.to_uppercase());
            shared.push((key, format!("https://127.0.0.1:{port}")));
        }
        once(folder.path(), &["certs", "--out", "certs"], &shared).await;
        once(folder.path(), &["migrate"], &shared).await;
        let mut mesh = Self {
            url: format!("http://127.0.0.1:{gateway}"),
            ready: Vec::new(),
            commands: Vec::new(),
            env: Vec::new(),
            processes: Vec::new(),
            folder,
        };
        for (service, port) in SERVICES.iter().zip(&ports) {
            let admin = free_port();
            let mut env = shared.clone();
            env.extend([
                setting("POSTMESH_MESH__BIND", format!("127.0.0.1:{port}")),
                setting("POSTMESH_MESH__CERT", format!("certs/{service}.crt")),
                setting("POSTMESH_MESH__KEY", format!("certs/{service}.key")),
                setting("POSTMESH_ADMIN__BIND", format!("127.0.0.1:{admin}")),
            ]);
            mesh.env.push(env);
            mesh.commands.push(vec!["run".to_owned(), (*service).to_owned()]);
            mesh.ready.push(format!("http://127.0.0.1:{admin}/readyz"));
        }
        mesh.ready[5] = format!("{}/healthz", mesh.url);
        mesh.start().await;
        mesh
    }

    /// Starts the processes (again) and waits until each is ready.
    pub(crate) async fn start(&mut self) {
        self.processes = (0..self.commands.len())
            .map(|n| {
                Process::start(self.folder.path(), &format!("mesh-{n}"), &self.commands[n], &self.env[n])
            })
            .collect();
        for (process, url) in self.processes.iter_mut().zip(&self.ready) {
            process.ready(url).await;
        }
    }

    /// Ends every process as a power cut would.
    pub(crate) async fn kill(&mut self) {
        for process in &mut self.processes {
            process.kill().await;
        }
    }

    /// What all processes printed.
    pub(crate) fn output(&self) -> String {
        self.processes.iter().map(Process::output).collect()
    }
}

fn setting(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

fn common(sandbox: &Sandbox) -> Vec<(String, String)> {
    vec![
        setting("POSTMESH_OUTBOUND__ALLOW", format!("[\"{}\"]", sandbox.addr)),
        setting("POSTMESH_LOG__FILTER", "info,postmesh=debug,sqlx=warn".to_owned()),
    ]
}

async fn once(folder: &Path, args: &[&str], env: &[(String, String)]) {
    let mut process = Process::start(folder, "once", args, env);
    let (_, well) = process.ended().await;
    assert!(well, "{args:?}:\n{}", process.output());
}

/// A database of its own on the test server.
async fn fresh_database() -> String {
    use sqlx::{AssertSqlSafe, Connection, PgConnection};
    let server = std::env::var("POSTMESH_TEST_PG_URL")
        .expect("POSTMESH_TEST_PG_URL names the PostgreSQL server for tests: run `make test`, or scripts/with-servers.sh");
    let name = format!("mesh_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await.unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    url.to_string()
}

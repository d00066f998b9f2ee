//! A PostgreSQL server, and standbys of it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::process::Child;

use super::{PATIENCE, last_lines, random_word, room::Room};
use crate::rig::process::free_port;

/// How a standby follows its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// A commit is answered once the standby has it as well.
    Synchronous,
    /// It follows when it can.
    Asynchronous,
}

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    room: Room,
    port: u16,
    password: String,
    child: Option<Child>,
}

impl Postgres {
    /// A fresh server that accepts connections.
    pub async fn start() -> anyhow::Result<Self> {
        let room = Room::open()?;
        let password = random_word();
        let secret = room.path().join("password");
        fs::write(&secret, &password)?;
        room.lend(&secret)?;
        let args = [
            "-D",
            "data",
            "--username=postmesh",
            "--pwfile=password",
            "--auth=password",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        room.run(&program("initdb")?, &args, &[]).await?;
        let mut server = Self { room, port: free_port()?, password, child: None };
        server.resume().await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Address of a database of it, for connections made at `through` (the server itself, or a wire to it).
    pub fn url(&self, through: SocketAddr, database: &str) -> String {
        format!("postgres://postmesh:{}@{through}/{database}", self.password)
    }

    /// A connection to the database `postgres`, past any wire.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url(self.addr(), "postgres")).await
    }

    /// Makes an empty database.
    pub async fn create(&self, database: &str) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        sqlx::query(AssertSqlSafe(format!("create database {database}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Ends every process of it as a power cut would. What it had committed is there at the next [`Self::resume`].
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_family(&child);
            let _ = child.wait().await;
        }
    }

    /// Starts it on what it has, and waits until it accepts connections.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the server is running");
        let (port, sockets) = (
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.room.path().display()),
        );
        let settings = [
            "listen_addresses=127.0.0.1",
            &port,
            &sockets,
            "max_connections=200",
            "wal_level=replica",
            "hot_standby=on",
            "max_wal_senders=4",
            "restart_after_crash=on",
        ];
        let until = Instant::now() + PATIENCE;
        let server = program("postgres")?;
        loop {
            let mut command = self.room.command(&server, "postgres.log")?;
            command.args(["-D", "data"]);
            for setting in settings {
                command.args(["-c", setting]);
            }
            let mut child = command.spawn().context("PostgreSQL cannot be started")?;
            loop {
                if let Ok(connection) = self.connect().await {
                    connection.close().await?;
                    self.child = Some(child);
                    return Ok(());
                }
                if child.try_wait()?.is_some() {
                    break; // an earlier life may still hold its memory or its port for a moment
                }
                ensure!(Instant::now() < until, "PostgreSQL does not accept connections:\n{}", self.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ensure!(Instant::now() < until, "PostgreSQL does not start:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A standby of this server that reads from `through` (the server itself, or a wire to it), up to date now.
    pub async fn standby(&self, through: SocketAddr, following: Following) -> anyhow::Result<Self> {
        let room = Room::open()?;
        let source = format!(
            "host={} port={} user=postmesh password={} application_name=standby",
            through.ip(),
            through.port(),
            self.password
        );
        let args = ["-d", &source, "-D", "data", "-X", "stream", "-c", "fast", "-R", "--no-sync"];
        room.run(&program("pg_basebackup")?, &args, &[]).await?;
        let mut standby = Self { room, port: free_port()?, password: self.password.clone(), child: None };
        standby.resume().await?;
        let mut connection = self.connect().await?;
        if following == Following::Synchronous {
            sqlx::query("alter system set synchronous_standby_names = 'standby'")
                .execute(&mut connection)
                .await?;
            sqlx::query("select pg_reload_conf()").execute(&mut connection).await?;
        }
        let wanted = if following == Following::Synchronous { "sync" } else { "async" };
        let until = Instant::now() + PATIENCE;
        loop {
            let state: Option<String> = sqlx::query_scalar(
                "select sync_state from pg_stat_replication where application_name = 'standby' and state = 'streaming'",
            )
            .fetch_optional(&mut connection)
            .await?;
            if state.as_deref() == Some(wanted) {
                break;
            }
            ensure!(Instant::now() < until, "the standby does not follow:\n{}", standby.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        connection.close().await?;
        Ok(standby)
    }

    /// Makes a standby a primary of its own and waits until it writes.
    pub async fn promote(&self) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let done: bool = sqlx::query_scalar("select pg_promote(true, 30)").fetch_one(&mut connection).await?;
        ensure!(done, "the standby was not promoted:\n{}", self.log());
        // A copy of the primary's settings, its wish for a standby included, came along.
        sqlx::query("alter system reset synchronous_standby_names").execute(&mut connection).await?;
        sqlx::query("select pg_reload_conf()").execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// The last lines it logged.
    pub fn log(&self) -> String {
        last_lines(&self.room.path().join("postgres.log"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            kill_family(child);
        }
    }
}

/// Kills a process and those it started. PostgreSQL's are sessions of their own, so no group reaches them.
fn kill_family(child: &Child) {
    let Some(pid) = child.id() else { return };
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let family =
        std::iter::once(pid).chain(children.split_whitespace().filter_map(|child| child.parse().ok()));
    for pid in family.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// A program of PostgreSQL, of the newest version there is.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.exists().then_some((version, path))
        })
        .collect();
    found.sort();
    match found.pop() {
        Some((_, path)) => Ok(path),
        None => bail!(
            "no {name} under /usr/lib/postgresql: the fault suite needs PostgreSQL (scripts/setup.sh test)"
        ),
    }
}

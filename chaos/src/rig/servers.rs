//! Throwaway PostgreSQL and Redis servers that a fault may kill, stop, promote and empty.
//!
//! Each lives in a temporary folder, listens on a loopback port and asks for a random password. Invariant: a server
//! and its folder are gone when its value is dropped, a panic included.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use super::process::free_port;

/// A server answers within this time after its start, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// The user that servers run as when the caller is root, which PostgreSQL refuses to serve.
#[derive(Debug, Clone, Copy)]
struct Lent {
    uid: u32,
    gid: u32,
}

impl Lent {
    /// Nobody else when the caller is an ordinary user.
    fn find() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("the users of this machine cannot be read")?;
        let of = |name: &str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next()? == name).then_some(())?;
                let uid = fields.nth(1)?.parse().ok()?;
                Some(Self { uid, gid: fields.next()?.parse().ok()? })
            })
        };
        let lent = of("postgres").or_else(|| of("nobody"));
        Ok(Some(lent.context("PostgreSQL does not run as root, and there is no other user to run it as")?))
    }
}

/// A folder of a server, in the hands of the user that runs it.
#[derive(Debug)]
struct Room {
    folder: TempDir,
    lent: Option<Lent>,
}

impl Room {
    fn open() -> anyhow::Result<Self> {
        let room =
            Self { folder: tempfile::Builder::new().prefix("chaos-server-").tempdir()?, lent: Lent::find()? };
        room.lend(room.folder.path())?;
        Ok(room)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn lend(&self, path: &Path) -> io::Result<()> {
        match self.lent {
            Some(Lent { uid, gid }) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// A command that runs here, as the user it may run as, its output in `<folder>/<log>`.
    fn command(&self, program: &Path, log: &str) -> anyhow::Result<Command> {
        let mut command = match self.lent {
            Some(Lent { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
                command.args(["--init-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let out = fs::File::options().create(true).append(true).open(self.path().join(log))?;
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A signal of the terminal is for the suite, which ends its servers itself.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    async fn run(&self, program: &Path, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
        let status = self.command(program, "once.log")?.args(args).envs(env.iter().copied()).status().await?;
        let said = || fs::read_to_string(self.path().join("once.log")).unwrap_or_default();
        ensure!(status.success(), "{} failed:\n{}", program.display(), said());
        Ok(())
    }
}

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

/// A Redis server.
#[derive(Debug)]
pub struct Redis {
    room: Room,
    port: u16,
    password: String,
    child: Option<Child>,
}

impl Redis {
    /// A fresh server that answers.
    pub async fn start() -> anyhow::Result<Self> {
        let mut server =
            Self { room: Room::open()?, port: free_port()?, password: random_word(), child: None };
        let settings = format!(
            "bind 127.0.0.1\nport {}\nrequirepass {}\nsave \"\"\nappendonly no\ndaemonize no\n",
            server.port, server.password
        );
        let file = server.room.path().join("redis.conf");
        fs::write(&file, settings)?;
        server.room.lend(&file)?;
        server.resume().await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its address, for connections made at `through` (the server itself, or a wire to it).
    pub fn url(&self, through: SocketAddr) -> String {
        format!("redis://:{}@{through}/0", self.password)
    }

    /// Ends it; what it held is gone.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Starts it, empty, and waits until it answers.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the server is running");
        let mut command = self.room.command(Path::new("redis-server"), "redis.log")?;
        let mut child = command
            .arg("redis.conf")
            .spawn()
            .context("Redis cannot be started; is redis-server installed?")?;
        let until = Instant::now() + PATIENCE;
        while self.ask("PING").await.is_err() {
            let log = || last_lines(&self.room.path().join("redis.log"));
            ensure!(child.try_wait()?.is_none(), "Redis ended:\n{}", log());
            ensure!(Instant::now() < until, "Redis does not answer:\n{}", log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.child = Some(child);
        Ok(())
    }

    /// Forgets everything it holds.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.ask("FLUSHALL").await
    }

    async fn ask(&self, command: &str) -> anyhow::Result<()> {
        let mut stream = BufReader::new(TcpStream::connect(self.addr()).await?);
        for command in [&format!("AUTH {}", self.password), command] {
            stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            ensure!(answer.starts_with('+'), "Redis answered {answer:?}");
        }
        Ok(())
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

fn random_word() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::proxy::{Proxy, Way, Wire};

    async fn count(server: &Postgres) -> i64 {
        let mut connection = server.connect().await.unwrap();
        sqlx::query_scalar("select count(*) from word").fetch_one(&mut connection).await.unwrap()
    }

    async fn add(server: &Postgres) {
        let mut connection = server.connect().await.unwrap();
        sqlx::query("insert into word select 1").execute(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn a_killed_primary_keeps_what_it_committed_and_a_lagging_standby_does_not() {
        let mut primary = Postgres::start().await.unwrap();
        let mut connection = primary.connect().await.unwrap();
        sqlx::query("create table word (n int)").execute(&mut connection).await.unwrap();
        add(&primary).await;
        primary.kill().await;
        assert!(primary.connect().await.is_err());
        primary.resume().await.unwrap();
        assert_eq!(count(&primary).await, 1);

        let wire = Proxy::to(primary.addr()).await.unwrap();
        let standby = primary.standby(wire.addr, Following::Asynchronous).await.unwrap();
        wire.set(Wire::Swallow(Way::Both));
        add(&primary).await;
        assert_eq!(count(&primary).await, 2);
        primary.kill().await;
        standby.promote().await.unwrap();
        assert_eq!(count(&standby).await, 1, "it never heard of the second");
        add(&standby).await;
    }

    #[tokio::test]
    async fn a_synchronous_standby_has_every_answered_commit() {
        let mut primary = Postgres::start().await.unwrap();
        let mut connection = primary.connect().await.unwrap();
        sqlx::query("create table word (n int)").execute(&mut connection).await.unwrap();
        let standby = primary.standby(primary.addr(), Following::Synchronous).await.unwrap();
        add(&primary).await;
        primary.kill().await;
        standby.promote().await.unwrap();
        assert_eq!(count(&standby).await, 1);
        add(&standby).await;
    }

    #[tokio::test]
    async fn redis_is_killed_emptied_and_starts_again() {
        let mut redis = Redis::start().await.unwrap();
        redis.flush().await.unwrap();
        redis.kill().await;
        assert!(redis.flush().await.is_err());
        redis.resume().await.unwrap();
        redis.flush().await.unwrap();
    }
}

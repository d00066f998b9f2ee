//! A Redis server.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Child,
};

use super::{PATIENCE, last_lines, random_word, room::Room};
use crate::rig::process::free_port;

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

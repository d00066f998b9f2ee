//! Stand-ins for social networks that speak the real protocol over a real socket.
//!
//! ```text
//!   client ──▶ server.rs (socket that can be reset) ──▶ faults.rs (script.rs decides) ──▶ networks/<name>
//!                                                                                            │ commit
//!   GET /_sandbox/ledger ◀── ledger.rs ◀──────────────── world.rs ◀─────────────────────────┘
//!                                                           └──▶ journal.rs (survives kill -9)
//! ```
//! One port, one path prefix per network: `/mastodon` is an instance, `/bluesky` a self-hosted PDS, `/x` and the others
//! are the one server of their network and keep JSON documents (docs.rs, oauth.rs). `GET /` shows what was posted, `/_sandbox/*` is for tests. Nothing here is shared with the adapters under test, so the two
//! cannot share a mistake. The invariant: a post is in the ledger exactly when a reader of the network could see it.

mod accounts;
mod blobs;
mod clock;
mod control;
mod crypto;
mod docs;
mod faults;
mod fetch;
mod journal;
mod ledger;
mod limits;
mod media;
mod networks;
mod oauth;
mod pages;
mod params;
mod refreshes;
mod requests;
mod script;
mod server;
mod sniff;
mod web;
mod world;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::Ctx;

/// Where the sandbox listens and what it remembers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Folder for the journal and the media; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// Prefix of every URL a network answers; `None` means `http://<bound address>`.
    pub public_url: Option<String>,
}

impl Default for Config {
    /// Loopback, a free port, nothing kept.
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 0)), data_dir: None, public_url: None }
    }
}

/// Why a sandbox did not start or stopped badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program holds the port.
    #[error("port {port} is already in use on {addr}: stop the other program or choose another address")]
    PortInUse {
        /// The address asked for.
        addr: SocketAddr,
        /// Its port, named first because it is what people change.
        port: u16,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The public URL is not an absolute http(s) URL.
    #[error("public_url {0:?} is not an absolute http or https URL")]
    PublicUrl(String),
    /// The data folder cannot be used.
    #[error("cannot use the data folder {path}")]
    Folder {
        /// The folder or the file in it.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another sandbox has the same data folder open.
    #[error("the data folder {0} is in use by another sandbox")]
    FolderInUse(PathBuf),
    /// A line in the middle of the journal makes no sense; only the last line may be torn.
    #[error("line {line} of the journal {path} is unreadable: {reason}")]
    Journal {
        /// The journal file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn folder(path: &Path, source: io::Error) -> Self {
        Self::Folder { path: path.to_owned(), source }
    }
}

/// The stand-in networks, before they listen.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Listens on `config.bind` and serves until [`Running::shutdown`].
    pub async fn start(config: Config) -> Result<Running, Error> {
        let addr = config.bind;
        let listener = TcpListener::bind(addr).await.map_err(|source| {
            if source.kind() == io::ErrorKind::AddrInUse {
                Error::PortInUse { addr, port: addr.port() }
            } else {
                Error::Bind { addr, source }
            }
        })?;
        Self::start_on(listener, config)
    }

    /// Serves on a listener that is already bound; `config.bind` is not looked at.
    pub fn start_on(listener: TcpListener, config: Config) -> Result<Running, Error> {
        let addr = listener.local_addr().map_err(|source| Error::Bind { addr: config.bind, source })?;
        let public_url = match config.public_url {
            None => format!("http://{addr}"),
            Some(text) => match url::Url::parse(&text) {
                Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => {
                    text.trim_end_matches('/').to_owned()
                }
                _ => return Err(Error::PublicUrl(text)),
            },
        };
        let closing = CancellationToken::new();
        let ctx = Ctx::open(config.data_dir.as_deref(), public_url, closing.clone())?;
        let served = ctx.tasks.spawn(server::serve(listener, networks::router(&ctx), closing.clone()));
        Ok(Running { addr, ctx, closing, served })
    }
}

/// A sandbox that is listening. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    /// The address it listens on.
    pub addr: SocketAddr,
    ctx: Ctx,
    closing: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

impl Running {
    /// `http://address:port`, without a slash at the end; a network lives at `<url>/<network>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops listening, resets what is held back, and waits (2 s at most) for the requests under way.
    pub async fn shutdown(mut self) {
        self.closing.cancel();
        self.ctx.script.forget();
        if tokio::time::timeout(Duration::from_secs(2), &mut self.served).await.is_err() {
            self.served.abort();
        }
        self.ctx.tasks.close();
        if tokio::time::timeout(Duration::from_secs(2), self.ctx.tasks.wait()).await.is_err() {
            tracing::warn!("a request was still running when the sandbox stopped");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

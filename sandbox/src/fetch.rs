//! The client of networks that pull media from an address they are given. It follows no redirects, as such networks
//! ask for the file itself, and never reads more than it would keep.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// The largest file fetched, bytes.
const MAX_BYTES: usize = 64 << 20;
/// The longest a whole fetch takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A file that was fetched.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    /// The content type its server claimed.
    pub(crate) mime: Option<String>,
}

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfetched {
    /// Not an absolute http(s) address.
    #[error("{0:?} is not an http or https address")]
    Url(String),
    /// No connection, an answer that broke off, or none in time.
    #[error("cannot read it: {0}")]
    Unreachable(String),
    /// An answer other than 2xx; redirects are among them.
    #[error("its server answered {0}")]
    Status(u16),
    /// More than 64 MiB.
    #[error("it is larger than 64 MiB")]
    TooLarge,
}

/// Keeps no connection open between two fetches: a test's server may be gone by then.
#[derive(Debug)]
pub(crate) struct Fetcher(reqwest::Client);

impl Fetcher {
    #[expect(
        clippy::disallowed_methods,
        reason = "the sandbox may call private addresses: tests serve media there"
    )]
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .no_proxy()
            .user_agent("postmesh-sandbox")
            .build()
            .expect("a client without certificates of its own builds wherever TLS does");
        Self(client)
    }

    /// The bytes at an address, or the reason why not.
    pub(crate) async fn get(&self, url: &str) -> Result<Fetched, Unfetched> {
        let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let parsed = parsed.ok_or_else(|| Unfetched::Url(url.to_owned()))?;
        let broken = |problem: reqwest::Error| Unfetched::Unreachable(problem.to_string());
        let mut answer = self.0.get(parsed).send().await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(Unfetched::Status(answer.status().as_u16()));
        }
        let mime = answer.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mime = mime.map(str::to_owned);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if bytes.len() + chunk.len() > MAX_BYTES {
                return Err(Unfetched::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes: bytes.freeze(), mime })
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, response::Redirect, routing::get};

    use super::{Fetcher, MAX_BYTES, Unfetched};

    async fn served() -> (String, tokio::task::JoinHandle<()>) {
        let router = Router::new()
            .route("/file", get(async || ([("content-type", "image/png")], "bytes")))
            .route("/moved", get(async || Redirect::to("/file")))
            .route("/large", get(async || vec![0_u8; MAX_BYTES + 1]));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let tasks = tokio_util::task::TaskTracker::new();
        (base, tasks.spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }

    #[tokio::test]
    async fn fetches_a_file_and_says_why_not() {
        let (base, server) = served().await;
        let fetcher = Fetcher::new();
        let file = fetcher.get(&format!("{base}/file")).await.unwrap();
        assert_eq!((&file.bytes[..], file.mime.as_deref()), (&b"bytes"[..], Some("image/png")));
        let why = async |path: &str| fetcher.get(&format!("{base}{path}")).await.unwrap_err();
        assert!(matches!(why("/moved").await, Unfetched::Status(303)));
        assert!(matches!(why("/nothing").await, Unfetched::Status(404)));
        assert!(matches!(why("/large").await, Unfetched::TooLarge));
        assert!(matches!(fetcher.get("file:///etc/hosts").await, Err(Unfetched::Url(_))));
        server.abort();
        let gone = server.await;
        assert!(gone.is_err_and(|ended| ended.is_cancelled()));
        assert!(matches!(fetcher.get(&format!("{base}/file")).await, Err(Unfetched::Unreachable(_))));
    }
}

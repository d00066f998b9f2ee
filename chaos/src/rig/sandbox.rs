//! The stand-in networks in the suite's own process: what they saw outlives every kill, and is the ground truth.

use std::{collections::HashMap, net::SocketAddr, path::Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::process::http;

/// The networks.
#[derive(Debug)]
pub struct Sandbox {
    running: postmesh_sandbox::Running,
    public: SocketAddr,
    http: reqwest::Client,
}

/// One line of the ledger: something that became visible.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// `mastodon`, `bluesky`, …
    pub network: String,
    /// The account's handle.
    pub account: String,
    /// The post's id at the network.
    pub native_id: String,
    /// Its text.
    pub text: String,
    /// Its pictures.
    pub media: Vec<Attached>,
    /// When, on this machine's clock.
    pub visible_at_ms: i64,
    /// The request that made it visible.
    pub request_id: String,
}

/// A picture of a post.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attached {
    /// Its description.
    pub alt: String,
    /// Its digest at the network.
    pub sha256: String,
}

/// One request to a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// When it arrived, on this machine's clock.
    pub at_ms: i64,
    /// The network.
    pub network: String,
    /// `publish`, `refresh`, `read`, …
    pub operation: String,
    /// The account's handle, when the request names one.
    pub account: Option<String>,
    /// Its headers; credentials only as the start of their digest.
    pub headers: serde_json::Map<String, Value>,
    /// The digest of its body.
    pub body_sha256: String,
    /// Its body, when it was a form or JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// What was answered; absent when nothing was.
    pub status: Option<u16>,
    /// The faults that hit it.
    pub fault: Vec<String>,
    /// Its id.
    pub request_id: String,
}

/// A refresh token that was presented.
#[derive(Deserialize)]
struct Presented {
    request_id: String,
    token_sha256_16: String,
}

impl Sandbox {
    /// Fresh networks on a free port, kept in memory.
    pub async fn start() -> anyhow::Result<Self> {
        let running = postmesh_sandbox::Sandbox::start(postmesh_sandbox::Config::default()).await?;
        Ok(Self { public: running.addr, running, http: http() })
    }

    /// The same, for meshes that reach them through a wire at this address.
    pub async fn start_behind(public: SocketAddr) -> anyhow::Result<Self> {
        let public_url = Some(format!("http://{public}"));
        let config = postmesh_sandbox::Config { public_url, ..postmesh_sandbox::Config::default() };
        let running = postmesh_sandbox::Sandbox::start(config).await?;
        Ok(Self { public, running, http: http() })
    }

    /// Where meshes reach them.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Where they listen.
    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// `http://address:port`; a network lives at `<url>/<network>`.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// Adds a fault, or a list of them (see `script.rs` of the sandbox for their form).
    pub async fn script(&self, rules: Value) -> anyhow::Result<()> {
        self.post("script", rules).await.map(drop)
    }

    /// Takes back the faults that have not hit yet.
    pub async fn clear_script(&self) -> anyhow::Result<()> {
        let answer = self.http.delete(self.control("script")).send().await?;
        ensure!(answer.status().is_success(), "the faults could not be cleared: {}", answer.status());
        Ok(())
    }

    /// Lets held requests go on.
    pub async fn release(&self) -> anyhow::Result<()> {
        self.post("release", json!({})).await.map(drop)
    }

    /// Waits until that many requests are held.
    pub async fn held(&self, n: usize) -> anyhow::Result<()> {
        let answer: Value = self
            .http
            .get(self.control(&format!("held?wait_for={n}&timeout_ms=30000")))
            .send()
            .await?
            .json()
            .await?;
        ensure!(answer["held"].as_u64() >= Some(n as u64), "fewer than {n} requests came to be held");
        Ok(())
    }

    /// Makes an account; answers its credentials.
    pub async fn account(&self, network: &str, handle: &str) -> anyhow::Result<Value> {
        self.post("accounts", json!({"network": network, "handle": handle})).await
    }

    /// All that became visible, in order.
    pub async fn ledger(&self) -> anyhow::Result<Vec<Line>> {
        lines(&self.text("ledger").await?)
    }

    /// Waits until so many posts are visible, or that long; answers what there is.
    pub async fn ledger_of(&self, n: usize, within_ms: u64) -> anyhow::Result<Vec<Line>> {
        lines(&self.text(&format!("ledger?wait_for={n}&timeout_ms={within_ms}")).await?)
    }

    /// Every request that has ended.
    pub async fn requests(&self) -> anyhow::Result<Vec<Call>> {
        lines(&self.text("requests").await?)
    }

    /// Every presentation of a refresh token, as far as its digest goes: the request's id and the token.
    pub async fn refreshes(&self) -> anyhow::Result<HashMap<String, String>> {
        let presented: Vec<Presented> = lines(&self.text("refreshes").await?)?;
        Ok(presented.into_iter().map(|line| (line.request_id, line.token_sha256_16)).collect())
    }

    /// Keeps the ledger and the log of requests in a folder.
    pub async fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        tokio::fs::write(folder.join("ledger.ndjson"), self.text("ledger").await?).await?;
        tokio::fs::write(folder.join("requests.ndjson"), self.text("requests").await?).await?;
        Ok(())
    }

    /// Stops listening.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
    }

    fn control(&self, path: &str) -> String {
        format!("{}/_sandbox/{path}", self.url())
    }

    async fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(self.http.get(self.control(path)).send().await?.error_for_status()?.text().await?)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.http.post(self.control(path)).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path} was refused with {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON"))
    }
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> anyhow::Result<Vec<T>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

//! The stand-in networks as their own process, so that killing a mesh never touches the ground truth.

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{free_port, http, process::Process};

pub(crate) struct Sandbox {
    pub addr: String,
    _process: Process,
    _folder: TempDir,
}

/// One line of the ledger: something that became visible.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the whole line is stated, so that a change of its shape is seen")]
pub(crate) struct Line {
    pub network: String,
    pub account: String,
    pub native_id: String,
    pub in_reply_to: Option<String>,
    pub text: String,
    pub media: Vec<Value>,
    pub visible_at_ms: i64,
    pub request_id: String,
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let addr = format!("127.0.0.1:{}", free_port());
        let mut process = Process::start(folder.path(), "sandbox", &["sandbox", "--bind", &addr], &[]);
        process.ready(&format!("http://{addr}/healthz")).await;
        Self { addr, _process: process, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All that became visible.
    pub(crate) async fn ledger(&self) -> Vec<Line> {
        let text =
            http().get(format!("{}/_sandbox/ledger", self.url())).send().await.unwrap().text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What became visible with this text, once there are at least `n` lines in all; then what there is.
    pub(crate) async fn lines_of(&self, text: &str) -> Vec<Line> {
        self.ledger().await.into_iter().filter(|line| line.text == text).collect()
    }

    /// Adds a fault.
    pub(crate) async fn script(&self, rule: Value) {
        let answer = http().post(format!("{}/_sandbox/script", self.url())).json(&rule).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Waits until so many requests are held.
    pub(crate) async fn held(&self, n: usize) {
        let url = format!("{}/_sandbox/held?wait_for={n}&timeout_ms=30000", self.url());
        let answer = http().get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Lets held requests go on.
    pub(crate) async fn release(&self) {
        let answer =
            http().post(format!("{}/_sandbox/release", self.url())).json(&json!({})).send().await.unwrap();
        assert!(answer.status().is_success());
    }
}

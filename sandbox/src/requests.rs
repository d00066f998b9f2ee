//! The log of every request to a network, as it arrived and as it was answered. Kept in memory, the newest 64 MiB
//! of it; offsets keep counting when old entries leave. Tokens of headers, queries and forms appear only as the start of
//! their SHA-256.

use std::collections::VecDeque;

use http::{HeaderMap, Uri, header};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::{crypto, networks::Network, script::Operation};

const KEPT_BYTES: usize = 64 << 20;
/// JSON and form bodies up to this size are kept whole.
const KEPT_BODY: usize = 64 << 10;
/// Parameters of a query or a form that are not shown.
const SECRETS: [&str; 6] =
    ["access_token", "refresh_token", "client_secret", "fb_exchange_token", "input_token", "token"];

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Logged {
    pub(crate) at_ms: i64,
    pub(crate) network: Network,
    pub(crate) operation: Operation,
    pub(crate) account: Option<String>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Map<String, Value>,
    pub(crate) body_sha256: String,
    /// JSON as JSON, a form as text, anything else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// The status answered; absent when nothing was.
    pub(crate) status: Option<u16>,
    /// How long the answer told the client to wait, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<i64>,
    /// The names of the faults applied.
    pub(crate) fault: Vec<&'static str>,
    pub(crate) request_id: String,
}

#[derive(Debug)]
pub(crate) struct RequestLog {
    lines: VecDeque<String>,
    bytes: usize,
    gone: usize,
    count: watch::Sender<usize>,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self { lines: VecDeque::new(), bytes: 0, gone: 0, count: watch::Sender::new(0) }
    }
}

impl RequestLog {
    pub(crate) fn push(&mut self, logged: &Logged) {
        let line = serde_json::to_string(logged).expect("a log entry holds only strings, numbers and JSON");
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > KEPT_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.gone += 1;
        }
        self.count.send_replace(self.gone + self.lines.len());
    }

    /// Follows the number of entries, those that left included.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// The entries from that offset on, one a line.
    pub(crate) fn since(&self, offset: usize) -> String {
        let mut out = String::new();
        for line in self.lines.iter().skip(offset.saturating_sub(self.gone)) {
            out.push_str(line);
            out.push('\n');
        }
        out
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        (self.bytes, self.gone) = (0, 0);
        self.count.send_replace(0);
    }
}

/// The headers as JSON, credentials replaced by the first 16 digits of their SHA-256.
pub(crate) fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in headers {
        let value = if name == header::AUTHORIZATION || name == header::COOKIE || name == "dpop" {
            masked(value.as_bytes())
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        out.insert(name.as_str().to_owned(), Value::String(value));
    }
    out
}

/// A secret as the log shows it.
pub(crate) fn masked(secret: &[u8]) -> String {
    format!("sha256:{}", &crypto::sha256_hex(secret)[..16])
}

/// The path and the query of a request, the query's secrets masked.
pub(crate) fn path(uri: &Uri) -> String {
    match uri.query() {
        None => uri.path().to_owned(),
        Some(query) => format!("{}?{}", uri.path(), pairs(query)),
    }
}

/// The pairs of a query or a form, the secret values masked.
fn pairs(text: &str) -> String {
    let shown = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if SECRETS.contains(&name) => format!("{name}={}", masked(value.as_bytes())),
        _ => pair.to_owned(),
    });
    shown.collect::<Vec<_>>().join("&")
}

pub(crate) fn body(headers: &HeaderMap, bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() || bytes.len() > KEPT_BODY {
        return None;
    }
    let mime = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if mime.starts_with("application/json") {
        serde_json::from_slice(bytes).ok()
    } else if mime.starts_with("application/x-www-form-urlencoded") {
        Some(Value::String(pairs(&String::from_utf8_lossy(bytes))))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{body, path};

    #[test]
    fn queries_and_forms_are_shown_without_their_secrets() {
        let shown = path(&"/me?fields=id&access_token=hidden&limit=2".parse().unwrap());
        assert!(
            shown.starts_with("/me?fields=id&access_token=sha256:") && shown.ends_with("&limit=2"),
            "{shown}"
        );
        assert!(!shown.contains("hidden"));
        assert_eq!(path(&"/plain".parse().unwrap()), "/plain");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let headers = form.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let shown =
            body(&headers.into_iter().collect(), b"grant_type=refresh_token&refresh_token=hidden").unwrap();
        let shown = shown.as_str().unwrap();
        assert!(shown.starts_with("grant_type=refresh_token&refresh_token=sha256:"), "{shown}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

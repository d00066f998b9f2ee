//! What the gateway counts, and the one log line of every request.

use std::sync::Arc;

use http::HeaderValue;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use tokio::time::Instant;

/// Counter: requests, by `method` (an rpc's path or a path template) and `code` (a gRPC code or an HTTP status).
pub const REQUESTS: &str = "postmesh_gateway_requests_total";
/// Histogram: seconds from the first header to the last byte, by `method`.
pub const SECONDS: &str = "postmesh_gateway_request_seconds";

/// Describes the metrics to the recorder.
pub fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Requests from outside, by method and code");
    describe_histogram!(SECONDS, Unit::Seconds, "Time a request from outside took");
}

/// One request under observation; counted once, when it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Observation {
    method: Arc<str>,
    request_id: HeaderValue,
    began: Instant,
    ended: bool,
}

impl Observation {
    /// Begins to observe a request of a method, named without what the caller chose.
    pub(crate) fn begin(method: Arc<str>, request_id: HeaderValue) -> Self {
        Self { method, request_id, began: Instant::now(), ended: false }
    }

    /// Counts the request with the code it ended with. Later calls do nothing.
    pub(crate) fn end(&mut self, code: &str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.began.elapsed();
        counter!(REQUESTS, "method" => self.method.clone(), "code" => code.to_owned()).increment(1);
        histogram!(SECONDS, "method" => self.method.clone()).record(took.as_secs_f64());
        tracing::info!(
            method = &*self.method,
            code,
            ms = took.as_secs_f64() * 1e3,
            request_id = self.request_id.to_str().unwrap_or_default(),
            "request"
        );
    }
}

impl Drop for Observation {
    /// Nobody waited for the end.
    fn drop(&mut self) {
        self.end("Cancelled");
    }
}

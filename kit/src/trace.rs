//! One id from the browser to the network and back: the W3C `traceparent`, and the deadline that travels with it.
//!
//! The server stack opens a scope around each handler; every call made inside it carries the same trace on and ends
//! by the same deadline.

use std::future::Future;

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

/// The header of W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Context;
}

/// What a request passes on to the calls it makes.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    trace_id: [u8; 16],
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl Context {
    /// A trace that begins here.
    pub fn begin() -> Self {
        Self { trace_id: rand::random(), deadline: None }
    }

    /// The context this task runs in, or a new one.
    pub fn current() -> Self {
        CURRENT.try_with(|context| *context).unwrap_or_else(|_| Self::begin())
    }

    /// Goes on with the trace a request carries, or begins one when it carries none that is valid.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .and_then(parse)
            .map_or_else(Self::begin, |trace_id| Self { trace_id, deadline: None })
    }

    /// The trace id in hexadecimal, as logs show it.
    pub fn trace_id(&self) -> String {
        HEXLOWER.encode(&self.trace_id)
    }

    /// The header for a call made in this context; each call gets a span id of its own.
    pub fn traceparent(&self) -> HeaderValue {
        let span: [u8; 8] = rand::random();
        let text = format!("00-{}-{}-01", self.trace_id(), HEXLOWER.encode(&span));
        HeaderValue::try_from(text).expect("hexadecimal digits and dashes are valid in a header")
    }

    /// Runs a task in this context.
    pub async fn scope<F: Future>(self, task: F) -> F::Output {
        CURRENT.scope(self, task).await
    }
}

fn parse(value: &str) -> Option<[u8; 16]> {
    let mut parts = value.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    if version == "ff" || version.len() != 2 || span.len() != 16 {
        return None;
    }
    let id: [u8; 16] = HEXLOWER.decode(trace.as_bytes()).ok()?.try_into().ok()?;
    (id != [0; 16]).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_with_a_valid_trace_only() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(parse(valid).is_some());
        for wrong in ["", "00", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-0-0-01"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
        let context = Context { trace_id: parse(valid).unwrap(), deadline: None };
        assert!(context.traceparent().to_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    }
}

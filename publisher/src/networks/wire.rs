//! One request and one answer, as every adapter speaks HTTP: builders for requests, and the table that says what an
//! answer proves. Retries are off here; a table decides nothing it does not list.

mod waits;

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use postmesh_kit::{
    faults,
    http::{Bounds, Error as HttpError, GuardedClient, Sent, Unreached},
};
use serde_json::Value;
use url::{Url, form_urlencoded};

use self::waits::header;
pub(super) use self::waits::{exhausted, retry_after};
use super::{RefreshFault, server};
use crate::{
    domain::outcome::{Answer, Fault, Outcome, RATE_LIMITED, Wire},
    store::Armed,
};

/// A request being built.
#[derive(Clone)]
pub(super) struct Call {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Call {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn get(base: &str, path: &str, query: &[(&str, &str)]) -> Self {
        Self::new(Method::GET, server::address(base, path, query))
    }

    pub(super) fn post(base: &str, path: &str) -> Self {
        Self::new(Method::POST, server::address(base, path, &[]))
    }

    /// Method and address, for a proof that belongs to them.
    pub(super) fn target(&self) -> (&Method, &str) {
        (&self.method, &self.url)
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(super) fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    pub(super) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// The request; an error when an address or a token cannot stand in HTTP.
    pub(super) fn build(self) -> Result<Request<Bytes>, HttpError> {
        let mut builder =
            Request::builder().method(self.method).uri(self.url).header("accept", "application/json");
        for (name, value) in self.headers {
            let mut value = HeaderValue::try_from(value).map_err(|e| HttpError::Malformed(e.into()))?;
            value.set_sensitive(name == AUTHORIZATION.as_str());
            builder = builder.header(name, value);
        }
        builder.body(self.body).map_err(|e| HttpError::Malformed(e.into()))
    }

    /// Sends it over the ordinary client: for calls that make nothing visible.
    pub(super) async fn ask(self, client: &GuardedClient) -> Result<Response<Bytes>, HttpError> {
        client.send(self.build()?).await
    }

    /// The same, where no answer is a fault like any other.
    pub(super) async fn read(self, client: &GuardedClient) -> Result<Response<Bytes>, Fault> {
        self.ask(client).await.map_err(|error| unanswered_read(&error))
    }

    /// Sends it once, inside the time the armed attempt has left.
    pub(super) async fn publish(
        self,
        client: &GuardedClient,
        armed: Armed,
    ) -> Result<Response<Bytes>, HttpError> {
        let request = self.build()?;
        let url = Url::parse(&request.uri().to_string()).map_err(|e| HttpError::Malformed(e.into()))?;
        let late = || HttpError::Unreached {
            server: url.host_str().unwrap_or_default().to_owned(),
            why: Unreached::Deadline,
            source: "no time was left to connect".into(),
        };
        let left = armed.time_left().ok_or_else(late)?;
        let bounds = Bounds { answer_in: left, ..Bounds::default() };
        let publishing = client.bounded(bounds).publishing();
        let dialed = tokio::time::timeout(left, publishing.dial(&url)).await.map_err(|_| late())??;
        let left = armed.time_left().ok_or_else(late)?;
        faults::at("send.first_byte").await.map_err(|unsent| HttpError::Unreached {
            server: url.host_str().unwrap_or_default().to_owned(),
            why: Unreached::Connect,
            source: unsent.into(),
        })?;
        dialed.answering_in(left).send(request, move || armed.time_left().is_some()).await
    }
}

/// What a rule says an answer proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Refused for good: reason and a sentence with the next step.
    Rejected(&'static str, &'static str),
    /// Refused this time: reason and a sentence.
    Transient(&'static str, &'static str),
    /// Uploads are gone at the network: reason and a sentence.
    Stale(&'static str, &'static str),
    /// The access token has expired.
    TokenExpired,
    /// The authorization is gone: a sentence with the next step.
    Reconnect(&'static str),
}

/// One line of an error table: status and the beginning of the network's code or text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    status: u16,
    text: &'static str,
    proof: Proof,
}

impl Rule {
    /// Whether it speaks about such an answer.
    pub(super) fn fits(&self, status: u16, text: &str) -> bool {
        self.status == status && text.starts_with(self.text)
    }

    /// Its columns, for the tests of a table.
    #[cfg(test)]
    pub(super) fn parts(&self) -> (u16, &'static str, Proof) {
        (self.status, self.text, self.proof)
    }
}

/// A line of an error table.
pub(super) const fn rule(status: u16, text: &'static str, proof: Proof) -> Rule {
    Rule { status, text, proof }
}

/// The first line that fits; none means that the answer proves nothing.
pub(super) fn judge(rules: &[Rule], status: StatusCode, text: &str) -> Option<Proof> {
    rules.iter().find(|rule| rule.fits(status.as_u16(), text)).map(|rule| rule.proof)
}

/// What a visible send without an answer proved.
pub(super) fn unanswered(error: &HttpError) -> Answer {
    let outcome = match error.sent() {
        Sent::No => Outcome::NotSent { why: explain(error) },
        Sent::Maybe => Outcome::Ambiguous { evidence: explain(error) },
    };
    outcome.into()
}

/// What a refused or strange answer to a visible send proved; `stale` names the steps of its uploads.
pub(super) fn refused(
    proof: Option<Proof>,
    status: StatusCode,
    headers: &HeaderMap,
    stale: impl FnOnce() -> Vec<String>,
    now_ms: i64,
) -> Outcome {
    match proof {
        Some(Proof::Rejected(code, message)) => {
            Outcome::Rejected { code: code.into(), message: message.into() }
        }
        Some(Proof::Transient(code, message)) => {
            let retry_after = retry_after(headers, now_ms);
            Outcome::Transient { code: code.into(), message: message.into(), retry_after }
        }
        Some(Proof::Stale(code, message)) => {
            Outcome::Stale { steps: stale(), code: code.into(), message: message.into() }
        }
        Some(Proof::TokenExpired) => Outcome::TokenExpired,
        Some(Proof::Reconnect(message)) => Outcome::Reconnect { message: message.into() },
        None => Outcome::Ambiguous { evidence: format!("the network answered {status}") },
    }
}

/// How long an upload of so many bytes may take: even over a slow line, and no longer, because what comes after it in its
/// account's line waits meanwhile.
pub(super) fn upload_bounds(bytes: usize) -> Bounds {
    const SLOW_LINE: usize = 64 << 10; // bytes a second
    let seconds = 15 + (bytes / SLOW_LINE) as u64;
    Bounds { answer_in: Duration::from_secs(seconds), body: 1 << 20 }
}

/// Passes a point of a call that makes nothing visible; failing there is a hiccup of the network.
pub(super) async fn pass(point: &'static str) -> Result<(), Fault> {
    faults::at(point).await.map_err(|failed| Fault::Transient {
        code: "SERVER_UNREACHABLE".into(),
        message: failed.to_string(),
        retry_after: None,
    })
}

/// What a call that makes nothing visible ran into.
pub(super) fn unanswered_read(error: &HttpError) -> Fault {
    Fault::Transient { code: "SERVER_UNREACHABLE".into(), message: explain(error), retry_after: None }
}

/// What a refused answer to a call that makes nothing visible means. Unlisted refusals in the network's own form, JSON
/// with an `error`, are final; overload, and pages of proxies in front of it, are not.
pub(super) fn refused_read(rules: &[Rule], response: &Response<Bytes>, now_ms: i64) -> Fault {
    let body = json(response).unwrap_or_default();
    refused_as(rules, response, body.get("error").and_then(Value::as_str), now_ms)
}

/// The same for a network whose refusals have another form: `text` is what the adapter read in it, if it was one.
pub(super) fn refused_as(
    rules: &[Rule],
    response: &Response<Bytes>,
    text: Option<&str>,
    now_ms: i64,
) -> Fault {
    let status = response.status();
    let transient = |code: &str, message: String| Fault::Transient {
        code: code.into(),
        message,
        retry_after: retry_after(response.headers(), now_ms),
    };
    match text.and_then(|text| judge(rules, status, text)) {
        Some(proof) => fault(proof, retry_after(response.headers(), now_ms)),
        None => match (status, text) {
            (StatusCode::TOO_MANY_REQUESTS, _) => transient(RATE_LIMITED, "The network asks to wait.".into()),
            (status, Some(text)) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                let message = format!("The network refused ({status}): {}", short(text));
                Fault::Rejected { code: "REFUSED_BY_NETWORK".into(), message }
            }
            _ => transient("SERVER_ERROR", format!("The server answered {status}.")),
        },
    }
}

/// What a proof means for a call that makes nothing visible; `retry_after` is how long the network asks to wait.
pub(super) fn fault(proof: Proof, retry_after: Option<Duration>) -> Fault {
    match proof {
        Proof::Rejected(code, message) => Fault::Rejected { code: code.into(), message: message.into() },
        Proof::Transient(code, message) | Proof::Stale(code, message) => {
            Fault::Transient { code: code.into(), message: message.into(), retry_after }
        }
        Proof::TokenExpired => Fault::TokenExpired,
        Proof::Reconnect(message) => Fault::Reconnect { message: message.into() },
    }
}

/// What a refresh without an answer proved.
pub(super) fn unrefreshed(error: &HttpError) -> RefreshFault {
    match error.sent() {
        Sent::No => RefreshFault::NotExecuted { why: explain(error), retry_after: None },
        Sent::Maybe => RefreshFault::Lost(explain(error)),
    }
}

/// What an answer to a refresh proved that neither brought tokens nor ended the session: limits are checked before the
/// token is looked at; everything else may have used it up.
pub(super) fn refused_refresh(response: &Response<Bytes>, now_ms: i64) -> RefreshFault {
    let why = format!("the server answered {}", response.status());
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        RefreshFault::NotExecuted { why, retry_after: retry_after(response.headers(), now_ms) }
    } else {
        RefreshFault::Lost(why)
    }
}

/// The fault of an answer that should hold something and does not.
pub(super) fn unreadable() -> Fault {
    let message = "The server's answer could not be read.".into();
    Fault::Transient { code: "SERVER_ERROR".into(), message, retry_after: None }
}

/// The wire facts of an answer.
pub(super) fn seen(response: &Response<Bytes>, platform_code: Option<&str>, now_ms: i64) -> Wire {
    let headers = response.headers();
    let hold = if response.status() == StatusCode::TOO_MANY_REQUESTS {
        retry_after(headers, now_ms)
    } else {
        exhausted(headers, now_ms)
    };
    Wire {
        hold: hold.filter(|hold| !hold.is_zero()),
        http_status: Some(response.status().as_u16()),
        platform_code: platform_code.map(|code| short(code).to_owned()),
        request_id: header(headers, "x-request-id").map(|id| short(id).to_owned()),
    }
}

/// The body as JSON, where it is.
pub(super) fn json(response: &Response<Bytes>) -> Option<Value> {
    serde_json::from_slice(response.body()).ok()
}

/// A string inside a JSON object; empty when absent.
pub(super) fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An error with its cause, for evidence and log.
fn explain(error: &HttpError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error} ({cause})"))
}

/// At most 200 bytes, cut between characters.
pub(super) fn short(text: &str) -> &str {
    let end = (0..=text.len().min(200)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn an_account_is_held_when_nothing_remains_or_when_it_was_refused() {
        let now = 1_790_000_000_000;
        let hold = |status: u16, pairs: &[(&'static str, &str)]| {
            let mut response = Response::builder().status(status).body(Bytes::new()).unwrap();
            *response.headers_mut() = headers(pairs);
            seen(&response, None, now).hold.map(|hold| hold.as_secs())
        };
        let left = |remaining| [("ratelimit-remaining", remaining), ("ratelimit-reset", "1790000030")];
        assert_eq!(hold(200, &left("0")), Some(30), "it took the last one");
        assert_eq!(hold(200, &left("1")), None);
        assert_eq!(hold(429, &[("retry-after", "7")]), Some(7));
        assert_eq!(
            hold(503, &[("retry-after", "7")]),
            None,
            "that is about the server, not about this account"
        );
        assert_eq!(hold(429, &[]), None, "nobody said until when");
        let year = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2027-09-21T14:14:20.000000Z")];
        let mut response = Response::builder().status(429).body(Bytes::new()).unwrap();
        *response.headers_mut() = headers(&year);
        let clamped = seen(&response, None, now).within(6 * 3_600_000);
        assert_eq!(clamped.hold, Some(Duration::from_hours(6)));
    }

    #[test]
    fn only_a_limit_proves_that_a_refresh_was_not_executed() {
        let answer = |status: u16| {
            let response = Response::builder().status(status).header("retry-after", "9").body(Bytes::new());
            refused_refresh(&response.unwrap(), 0)
        };
        let limited = answer(429);
        let wait = Some(Duration::from_secs(9));
        assert!(matches!(limited, RefreshFault::NotExecuted { retry_after, .. } if retry_after == wait));
        for status in [200, 302, 400, 408, 500, 502, 503, 504] {
            assert!(matches!(answer(status), RefreshFault::Lost(_)), "{status}");
        }
    }

    #[test]
    fn an_unlisted_refusal_proves_nothing_about_a_send() {
        let outcome = refused(None, StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), Vec::new, 0);
        assert!(matches!(outcome, Outcome::Ambiguous { .. }));
    }

    #[test]
    fn a_proxy_page_is_a_hiccup_and_a_refusal_is_not() {
        let read = |status, text: Option<&str>| {
            let body = text.map_or_else(|| "<html>".to_owned(), |text| format!(r#"{{"error":"{text}"}}"#));
            refused_read(&[], &Response::builder().status(status).body(body.into()).unwrap(), 0)
        };
        assert!(matches!(read(StatusCode::FORBIDDEN, None), Fault::Transient { .. }));
        assert!(matches!(read(StatusCode::BAD_GATEWAY, Some("x")), Fault::Transient { .. }));
        assert!(matches!(read(StatusCode::TOO_MANY_REQUESTS, None), Fault::Transient { .. }));
        assert!(matches!(read(StatusCode::UNPROCESSABLE_ENTITY, Some("x")), Fault::Rejected { .. }));
    }
}

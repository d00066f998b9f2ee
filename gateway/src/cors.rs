//! Which web pages may call: the gateway's own origin and an exact list, nothing by pattern.
//!
//! Invariant: `access-control-allow-origin` names the origin that asked, and only one that is on the list.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::body::Body;

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, accept, idempotency-key, x-request-id, traceparent, \
                               grpc-timeout, x-grpc-web, x-user-agent";
const RESPONSE_HEADERS: &str =
    "grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after";
/// How long a browser may remember a preflight, seconds.
const MAX_AGE: &str = "7200";

/// The origins that may call.
#[derive(Debug)]
pub(crate) struct Cors {
    allowed: HashSet<String>,
}

/// Where a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No page, or a page of the gateway itself.
    Own,
    /// A page of an origin on the list.
    Allowed(HeaderValue),
    /// Any other page.
    Foreign,
}

impl Cors {
    pub(crate) fn new(allowed: &[String]) -> Self {
        Self { allowed: allowed.iter().cloned().collect() }
    }

    /// Where a request comes from, by its `Origin` header.
    pub(crate) fn origin<B>(&self, request: &Request<B>) -> Origin {
        let mut given = request.headers().get_all(header::ORIGIN).iter();
        let Some(origin) = given.next() else { return Origin::Own };
        let Some(text) = origin.to_str().ok().filter(|_| given.next().is_none()) else {
            return Origin::Foreign;
        };
        if self.allowed.contains(text) {
            return Origin::Allowed(origin.clone());
        }
        let host = request.uri().authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
        let asked = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if asked.is_some() && asked == host { Origin::Own } else { Origin::Foreign }
    }

    /// The answer to a preflight, if the request is one.
    pub(crate) fn preflight<B>(request: &Request<B>, origin: &Origin) -> Option<Response<Body>> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ORIGIN)
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = Response::new(Body::empty());
        if *origin == Origin::Foreign {
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Some(response);
        }
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        Some(response)
    }

    /// Tells the browser whether its page may read the answer.
    pub(crate) fn decorate(headers: &mut HeaderMap, origin: &Origin) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Origin::Allowed(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
        }
    }
}

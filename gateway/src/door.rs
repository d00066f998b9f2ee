//! The door: every request comes in here, is given an id and a place, and is sent the right way.
//!
//! ```text
//!  request ─ id, origin, limits ─┬ application/grpc ──────▶ edge
//!                                ├ application/grpc-web ──▶ tonic-web ─▶ edge
//!                                ├ /healthz /openapi.json /oauth/callback, uploads, shares
//!                                └ anything else ─────────▶ JSON ─▶ edge
//! ```

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use postmesh_kit::{clock::Clock, status::to_status, throttle::Throttle};
use tokio::sync::Semaphore;
use tonic::{Status, body::Body};
use tonic_web::GrpcWebService;
use tower::ServiceExt as _;

use crate::{
    client,
    cors::{Cors, Origin},
    edge::{Edge, Visitor},
    error::Refusal,
    json::{Json, encode},
    metrics::Observation,
    oauth::Callback,
    ready::Ready,
    shares::Shares,
    uploads::Uploads,
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All that answers, behind one port.
pub(crate) struct Door {
    pub(crate) edge: Edge,
    pub(crate) web: GrpcWebService<Edge>,
    pub(crate) json: Json,
    pub(crate) uploads: Option<Uploads>,
    pub(crate) shares: Option<Shares>,
    pub(crate) callback: Option<Callback>,
    pub(crate) ready: Ready,
    pub(crate) openapi: bytes::Bytes,
    pub(crate) client: bytes::Bytes,
    pub(crate) cors: Cors,
    pub(crate) in_flight: Semaphore,
    pub(crate) uploads_in_flight: Semaphore,
    pub(crate) addresses: Throttle,
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Grpc,
    GrpcWeb,
    Plain,
}

impl Door {
    /// Answers one request of a peer.
    pub(crate) async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let request_id = request_id(request.headers());
        let address = self.client_address(request.headers(), peer);
        // Nothing that a library left in the request's extensions may speak for the caller.
        *request.extensions_mut() = http::Extensions::new();
        request.extensions_mut().insert(Visitor { address, request_id: request_id.clone() });
        let origin = self.cors.origin(&request);
        let speech = Speech::of(request.headers());
        let mut response = match Cors::preflight(&request, &origin) {
            Some(response) => response,
            None => self.admit(request, &origin, speech, address).await,
        };
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, request_id);
        Cors::decorate(headers, &origin);
        if speech == Speech::Plain {
            guard_against_browsers(headers);
        }
        response
    }

    async fn admit(
        &self,
        request: Request<Body>,
        origin: &Origin,
        speech: Speech,
        address: IpAddr,
    ) -> Response<Body> {
        let changes_nothing = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if *origin == Origin::Foreign && !changes_nothing {
            return speech.refuse(&to_status(Refusal::ForeignOrigin));
        }
        if request.uri().path() == "/healthz" {
            return self.ready.answer().await;
        }
        if let Err(wait) = self.addresses.check(&address.to_string(), &*self.clock).await {
            return speech.refuse(&to_status(Refusal::Throttled(wait)));
        }
        // Held until the answer begins. Open streams and uploads, which take long, are counted apart.
        let upload = speech == Speech::Plain && upload_id(request.uri().path()).is_some();
        let places = if upload { &self.uploads_in_flight } else { &self.in_flight };
        let Ok(_place) = places.try_acquire() else {
            return speech.refuse(&to_status(Refusal::Overloaded));
        };
        self.route(request, speech).await
    }

    async fn route(&self, request: Request<Body>, speech: Speech) -> Response<Body> {
        match speech {
            Speech::Plain => self.plain(request).await,
            _ if request.method() != Method::POST => not_allowed("POST"),
            Speech::Grpc if request.version() == Version::HTTP_2 => self.edge.handle(request).await,
            Speech::Grpc => {
                let why = "gRPC needs HTTP/2; over HTTP/1.1 speak gRPC-web or JSON";
                encode::failure(&Status::invalid_argument(why))
            }
            Speech::GrpcWeb => {
                let Ok(answer) = self.web.clone().oneshot(request).await;
                answer
            }
        }
    }

    async fn plain(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if let Some((token, shares)) = share_token(&path).zip(self.shares.as_ref()) {
            return match *request.method() {
                Method::GET | Method::HEAD => {
                    observed("/m/{token}", request, |r| shares.send(token, r)).await
                }
                _ => not_allowed("GET, HEAD"),
            };
        }
        match (path.as_str(), upload_id(&path), &self.uploads, &self.callback) {
            (client::PATH, ..) => match *request.method() {
                Method::GET | Method::HEAD => {
                    encode::answer(StatusCode::OK, "application/json", self.client.clone())
                }
                _ => not_allowed("GET, HEAD"),
            },
            ("/openapi.json", ..) => match *request.method() {
                Method::GET | Method::HEAD => {
                    encode::answer(StatusCode::OK, "application/json", self.openapi.clone())
                }
                _ => not_allowed("GET, HEAD"),
            },
            (_, Some(id), Some(uploads), _) => match *request.method() {
                Method::PUT => {
                    observed("/v1/uploads/{upload_id}/content", request, |r| uploads.receive(id, r)).await
                }
                _ => not_allowed("PUT"),
            },
            ("/oauth/callback", _, _, Some(callback)) => match *request.method() {
                Method::GET => observed("/oauth/callback", request, |r| callback.receive(r)).await,
                _ => not_allowed("GET"),
            },
            _ => self.json.handle(request).await,
        }
    }

    /// The client's address: the peer, or what a proxy we trust says of the peer before it.
    fn client_address(&self, headers: &HeaderMap, peer: SocketAddr) -> IpAddr {
        let peer = peer.ip().to_canonical();
        if !self.trusted_proxies.contains(&peer) {
            return peer;
        }
        let said = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<IpAddr> =
            said.flat_map(|text| text.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
        hops.into_iter().rev().find(|hop| !self.trusted_proxies.contains(hop)).unwrap_or(peer)
    }
}

impl Speech {
    fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if kind.starts_with(b"application/grpc-web") {
            Self::GrpcWeb
        } else if kind.starts_with(b"application/grpc") {
            Self::Grpc
        } else {
            Self::Plain
        }
    }

    fn refuse(self, status: &Status) -> Response<Body> {
        if self == Self::Plain {
            return encode::failure(status);
        }
        let mut response: Response<Body> = status.clone().into_http();
        if self == Self::GrpcWeb {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
        }
        response
    }
}

async fn observed<'d, F, Fut>(template: &'static str, request: Request<Body>, handle: F) -> Response<Body>
where
    F: FnOnce(Request<Body>) -> Fut,
    Fut: Future<Output = Response<Body>> + 'd,
{
    let id = request.extensions().get::<Visitor>().map(|visitor| visitor.request_id.clone());
    let mut observation =
        Observation::begin(template.into(), id.unwrap_or_else(|| HeaderValue::from_static("none")));
    let response = handle(request).await;
    observation.end(response.status().as_str());
    response
}

/// The upload whose bytes a path takes, still encoded.
fn upload_id(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/v1/uploads/")?.strip_suffix("/content")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// The credential in the path of a public address; the file's extension is for those who look at nothing else.
fn share_token(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/m/")?;
    let token = name.split('.').next()?;
    (!token.is_empty() && !name.contains('/')).then_some(token)
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let status = Status::unimplemented(format!("this is not answered here; use {allowed}"));
    let mut response = encode::failure_as(&status, StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The caller's request id when it is short and plain, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let usable = |value: &&HeaderValue| (1..=64).contains(&value.len()) && value.as_bytes().iter().all(plain);
    headers.get(REQUEST_ID).filter(usable).cloned().unwrap_or_else(|| {
        HeaderValue::try_from(uuid::Uuid::now_v7().to_string()).expect("a UUID is valid in a header")
    })
}

/// What keeps a browser from making more of an answer than it is. A page that states its own policy keeps it.
fn guard_against_browsers(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

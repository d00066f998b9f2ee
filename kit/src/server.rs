//! The server stack: what stands between the wire and every handler, in one order, for both roads.
//!
//! trace and span -> rule of the rpc -> identity -> deadline -> panic guard -> handler. A request that the rule does
//! not let through never reaches a handler; an rpc that has no rule does not exist.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use metrics::histogram;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tonic::{
    Code, Status,
    body::Body,
    service::Routes,
    transport::{
        CertificateDer, Server,
        server::{TcpConnectInfo, TcpIncoming, TlsConnectInfo},
    },
};
use tower::{Layer, Service};
use tracing::Instrument;

use crate::{
    identity::{Caller, Identity, Verifier},
    lifecycle::Lifecycle,
    rules::{Method, Rule, Rules},
    status::{ErrorKind, plain},
    tls,
    trace::Context,
    transport::{Handler, parse_timeout, split},
};

/// Histogram of calls as the server sees them, in seconds; labels `service`, `method`, `code`.
pub const SERVER_SECONDS: &str = "postmesh_rpc_server_seconds";
/// Streams one connection may have open at once.
const STREAMS: u32 = 1000;

/// Puts the server stack around a service's routes.
#[derive(Debug, Clone)]
pub struct Guard {
    rules: Rules,
    verifier: Arc<Verifier>,
}

impl Guard {
    /// Guards with the rules of the contracts and a verifier of access tokens.
    pub fn new(rules: Rules, verifier: Arc<Verifier>) -> Self {
        Self { rules, verifier }
    }

    /// The routes as other services of the same process call them.
    pub fn local(&self, routes: Routes) -> Handler {
        Handler::new(self.layer(routes))
    }

    /// Serves the routes to the other services of the mesh over mutual TLS until the life ends. The peer's
    /// certificate says which service calls.
    pub async fn serve(
        &self,
        routes: Routes,
        listener: TcpListener,
        tls: &tls::MeshTls,
        life: &Lifecycle,
    ) -> Result<(), tonic::transport::Error> {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .tls_config(tls.server())?
            .max_concurrent_streams(STREAMS)
            .http2_keepalive_interval(Some(std::time::Duration::from_secs(20)))
            .http2_keepalive_timeout(Some(std::time::Duration::from_secs(10)))
            .layer(self.clone())
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, life.stopping())
            .await
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;
    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// Routes with the server stack around them.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let guard = self.guard.clone();
        let (_, service, method) = split(request.uri().path());
        let mut context = Context::from_headers(request.headers());
        let span = tracing::info_span!("rpc", service, method, trace_id = context.trace_id());
        let labels = guard.rules.method(request.uri().path()).map(|m| (m.service.clone(), m.name.clone()));
        let began = Instant::now();
        context.deadline =
            request.headers().get("grpc-timeout").and_then(parse_timeout).map(|wait| began + wait);
        Box::pin(
            async move {
                let answer = guard.handle(request, inner, context).await.unwrap_or_else(Status::into_http);
                let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code());
                let (service, method) = labels.unwrap_or_else(|| ("unknown".to_owned(), "unknown".to_owned()));
                tracing::debug!(code = ?code, "answered");
                histogram!(SERVER_SECONDS, "service" => service, "method" => method, "code" => format!("{code:?}"))
                    .record(began.elapsed().as_secs_f64());
                Ok(answer)
            }
            .instrument(span),
        )
    }
}

impl Guard {
    async fn handle<S>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
        context: Context,
    ) -> Result<Response<Body>, Status>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let path = request.uri().path();
        match self.rules.method(path) {
            Some(method) => self.authorize(method, &mut request).await?,
            None if path.starts_with("/grpc.health.v1.Health/") => {}
            None => return Err(unknown(path)),
        }
        let call = AssertUnwindSafe(context.scope(inner.call(request))).catch_unwind();
        let answered = match context.deadline {
            Some(deadline) => timeout_at(deadline, call).await.map_err(|_| {
                plain(
                    ErrorKind::Timeout,
                    "DEADLINE_EXCEEDED",
                    "the call took longer than its deadline allows",
                )
            })?,
            None => call.await,
        };
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Err(_panic) => Err(plain(
                ErrorKind::Internal,
                "PANIC",
                "something went wrong on our side; it has been logged. Report the request id if it stays",
            )),
        }
    }

    /// Enforces the rule of the rpc. What a client claims about itself in extensions' place never counts: the caller
    /// comes from the transport, the user from a verified token.
    async fn authorize(&self, method: &Method, request: &mut Request<Body>) -> Result<(), Status> {
        if let Rule::Internal(allowed) = &method.rule {
            let caller = caller(request).ok_or_else(|| unknown(request.uri().path()))?;
            if allowed.iter().any(|name| **name == *caller.0) {
                request.extensions_mut().insert(caller);
                return Ok(());
            }
            return Err(plain(
                ErrorKind::Forbidden,
                "CALLER_NOT_ALLOWED",
                "this service may not call this method",
            ));
        }
        if method.rule == Rule::Public {
            return Ok(());
        }
        let identity = self.verifier.verify(bearer(request)?).await?;
        if let Rule::Permission(permission) = &method.rule
            && !identity.may(permission)
        {
            let message = format!(
                "your role, {}, does not hold {permission}; ask an admin of the workspace",
                identity.role
            );
            return Err(plain(ErrorKind::Forbidden, "PERMISSION_DENIED", &message));
        }
        request.extensions_mut().insert(identity);
        Ok(())
    }
}

/// The service that calls: stated by the in-process transport, or read from the peer's certificate.
fn caller(request: &Request<Body>) -> Option<Caller> {
    let extensions = request.extensions();
    if let Some(info) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() {
        let certificates = info.peer_certs()?;
        let leaf: &CertificateDer<'_> = certificates.first()?;
        return tls::service_name(leaf).map(|name| Caller(name.into()));
    }
    extensions.get::<Caller>().cloned()
}

/// The bearer token of a request's `authorization` header.
pub fn bearer<B>(request: &Request<B>) -> Result<&str, Status> {
    let missing =
        || plain(ErrorKind::Unauthenticated, "UNAUTHENTICATED", "a bearer token is required; sign in first");
    let value = request.headers().get(http::header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

fn unknown(path: &str) -> Status {
    plain(ErrorKind::Unimplemented, "UNKNOWN_METHOD", &format!("there is no method {path}"))
}

/// Makes sure a request from outside does not smuggle in who it claims to be.
pub fn strip_identity<B>(request: &mut Request<B>) {
    request.extensions_mut().remove::<Caller>();
    request.extensions_mut().remove::<Identity>();
}

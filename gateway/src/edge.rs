//! gRPC calls from outside: method path -> service, bytes passed on undecoded.
//!
//! gRPC comes in as it is, gRPC-web and JSON are translated to it first, so what is decided here holds for all three:
//! which methods exist, who may call, how large and how long a call may be, and which headers a service gets to see.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use postmesh_kit::{
    clock::Clock, identity::Verifier, lifecycle::Lifecycle, rules::Rule, server::bearer, status::to_status,
    throttle::Throttle, trace::Context, transport::DEFAULT_DEADLINE,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tonic::{Status, body::Body, service::Routes};
use tower::{Service, ServiceExt as _};

use crate::{
    contracts::{Contracts, Rpc},
    error::Refusal,
    frames::{Sized, Watched, code_in},
    metrics::Observation,
};

/// Who is at the door, as the gateway knows it; travels in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) address: IpAddr,
    pub(crate) request_id: HeaderValue,
}

/// Passes calls on to the services. Clones share everything.
#[derive(Clone)]
pub(crate) struct Edge(Arc<Parts>);

/// What the edge is made of.
pub(crate) struct Parts {
    pub(crate) contracts: Arc<Contracts>,
    /// Health and reflection, answered here.
    pub(crate) own: Routes,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) users: Throttle,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) longest_unary: Duration,
}

impl Edge {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn contracts(&self) -> &Contracts {
        &self.0.contracts
    }

    /// Answers one call. Errors are answers too: their status is in the headers.
    pub(crate) async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        if path.starts_with("/grpc.") {
            let Ok(answer) = self.0.own.clone().oneshot(request).await;
            return answer;
        }
        let request_id = request.extensions().get::<Visitor>().map(|visitor| visitor.request_id.clone());
        let begin =
            |name| Observation::begin(name, request_id.unwrap_or_else(|| HeaderValue::from_static("none")));
        let Some(rpc) = self.0.contracts.get(path).cloned() else {
            let status = to_status(Refusal::UnknownMethod(path.to_owned()));
            begin("unknown".into()).end("Unimplemented");
            return status.into_http();
        };
        let mut observation = begin(rpc.path.clone());
        match self.pass_on(&rpc, request).await {
            Ok((answer, permit)) => {
                let (mut head, body) = answer.into_parts();
                head.headers = outbound(&head.headers);
                if let Some(code) = code_in(&head.headers) {
                    observation.end(&format!("{code:?}"));
                }
                let body = match permit {
                    Some(permit) => {
                        let life = self.0.lifecycle.clone();
                        let stopping = Box::pin(async move { life.stopping().await });
                        Body::new(Watched::stream(body, observation, permit, stopping))
                    }
                    None => Body::new(Watched::unary(body, observation)),
                };
                Response::from_parts(head, body)
            }
            Err(status) => {
                observation.end(&format!("{:?}", status.code()));
                status.into_http()
            }
        }
    }

    async fn pass_on(
        &self,
        rpc: &Rpc,
        request: Request<Body>,
    ) -> Result<(Response<Body>, Option<tokio::sync::OwnedSemaphorePermit>), Status> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let mut passed = Request::new(Body::empty());
        *passed.method_mut() = http::Method::POST;
        *passed.uri_mut() = rpc.path.parse().expect("a method path is a valid address");
        *passed.version_mut() = http::Version::HTTP_2;
        *passed.headers_mut() = inbound(&head.headers, head.extensions.get());
        if rpc.rule != Rule::Public {
            let identity = self.0.verifier.verify(bearer(&passed)?).await?;
            let permit = self.0.users.check(&identity.user_id.to_string(), &*self.0.clock).await;
            permit.map_err(|wait| to_status(Refusal::Throttled(wait)))?;
        }
        let mut context = Context::from_headers(passed.headers());
        let asked = head.headers.get("grpc-timeout").and_then(timeout);
        let longest = rpc.is_unary().then_some(self.0.longest_unary);
        let wait = match (asked, longest) {
            (Some(asked), Some(longest)) => Some(asked.min(longest)),
            (None, Some(_)) => Some(DEFAULT_DEADLINE),
            (asked, None) => asked,
        };
        context.deadline = wait.map(|wait| began + wait);
        if let Some(wait) = wait {
            passed.headers_mut().insert("grpc-timeout", timeout_header(wait));
        }
        let permit = if rpc.method.is_server_streaming() {
            let permit = self.0.streams.clone().try_acquire_owned();
            Some(permit.map_err(|_| to_status(Refusal::Overloaded))?)
        } else {
            None
        };
        let mut body = Sized::new(body);
        let call = async {
            // A client that streams may wait for our headers before it sends its first message.
            if !rpc.method.is_client_streaming() {
                body.peek().await?;
            }
            *passed.body_mut() = Body::new(body);
            rpc.backend.clone().oneshot(passed).await
        };
        let answer = context.scope(async {
            match context.deadline {
                Some(deadline) => {
                    timeout_at(deadline, call).await.unwrap_or_else(|_| Err(to_status(Refusal::TooLate)))
                }
                None => call.await,
            }
        });
        Ok((answer.await?, permit))
    }
}

impl Service<Request<Body>> for Edge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let edge = self.clone();
        Box::pin(async move { Ok(edge.handle(request).await) })
    }
}

/// The headers a service gets to see: nothing that claims an identity or a way travelled, and nothing of the
/// connection. What the gateway itself knows is added.
fn inbound(given: &HeaderMap, visitor: Option<&Visitor>) -> HeaderMap {
    const DROPPED: [HeaderName; 11] = [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::CONTENT_LENGTH,
        header::COOKIE,
        header::ORIGIN,
        header::REFERER,
        header::FORWARDED,
        header::PROXY_AUTHORIZATION,
        header::VIA,
    ];
    let mut kept = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let text = name.as_str();
        let claims = [
            "x-postmesh-",
            "x-forwarded-",
            "x-real-",
            "x-client-",
            "x-original-",
            "x-envoy-",
            "proxy-",
            "sec-",
            "cf-",
            "true-client-",
        ];
        let replaced = ["x-request-id", "grpc-timeout", "keep-alive"];
        if !DROPPED.contains(name)
            && !claims.iter().any(|prefix| text.starts_with(prefix))
            && !replaced.contains(&text)
        {
            kept.append(name.clone(), value.clone());
        }
    }
    if let Some(visitor) = visitor {
        let address = visitor.address.to_string();
        kept.insert(
            "x-forwarded-for",
            HeaderValue::try_from(address).expect("an address is valid in a header"),
        );
        kept.insert("x-request-id", visitor.request_id.clone());
    }
    kept
}

/// The headers the outside gets to see.
fn outbound(given: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        if name != header::SERVER && !name.as_str().starts_with("x-postmesh-") {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// Reads `grpc-timeout`: at most eight digits and a unit. Anything else counts as absent.
fn timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u64 = match unit {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    nanos.checked_mul(digits.parse().ok()?).map(Duration::from_nanos)
}

fn timeout_header(wait: Duration) -> HeaderValue {
    let millis = wait.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).expect("digits and a letter are valid in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_timeouts_or_none() {
        let read = |text: &'static str| timeout(&HeaderValue::from_static(text));
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        for wrong in ["", "S", "3", "-1S", "123456789S", "99999999H0"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

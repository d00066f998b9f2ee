//! One client transport, two distances: straight into another service's routes in the same process, or over a
//! channel to another process. Generated clients are built on it and cannot tell which.
//!
//! Identity, deadline, trace and metrics are added here, around both, because tonic enforces `grpc-timeout` only in
//! its own connection stack, which the short road does not have.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use metrics::histogram;
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body, transport::Channel};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use crate::{
    identity::Caller,
    rules::Rules,
    status::{ErrorKind, plain},
    trace::{self, Context},
};

/// A unary call without a deadline of its own ends after this long.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// Histogram of calls as the caller sees them, in seconds; labels `service`, `method`, `code`.
pub const CLIENT_SECONDS: &str = "postmesh_rpc_client_seconds";

/// A service's routes with the whole server stack around them.
pub type Handler = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What generated clients are made of.
#[derive(Clone)]
pub struct Transport {
    road: Road,
    caller: Arc<str>,
    rules: Rules,
}

#[derive(Clone)]
enum Road {
    Local(Handler),
    Remote(Channel),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let road = match self.road {
            Road::Local(_) => "local",
            Road::Remote(_) => "remote",
        };
        write!(f, "Transport({} -> {road})", self.caller)
    }
}

impl Transport {
    /// Calls a service of the same process, as `caller`.
    pub fn local(caller: &str, rules: Rules, handler: Handler) -> Self {
        Self { road: Road::Local(handler), caller: caller.into(), rules }
    }

    /// Calls a service over a channel whose client certificate says who `caller` is.
    pub fn remote(caller: &str, rules: Rules, channel: Channel) -> Self {
        Self { road: Road::Remote(channel), caller: caller.into(), rules }
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let context = Context::current();
        let path = request.uri().path().to_owned();
        let streaming = self.rules.method(&path).is_some_and(|method| method.streaming);
        let deadline = deadline_of(&request, &context, streaming);
        let headers = request.headers_mut();
        headers.insert(trace::TRACEPARENT, context.traceparent());
        if let Some(deadline) = deadline {
            headers
                .insert("grpc-timeout", timeout_header(deadline.saturating_duration_since(Instant::now())));
        }
        let road = self.road.clone();
        let caller = Caller(self.caller.clone());
        Box::pin(async move {
            let began = Instant::now();
            let answer = async {
                match road {
                    Road::Local(handler) => {
                        request.extensions_mut().insert(caller);
                        let Ok(answer) = handler.oneshot(request).await;
                        Ok(answer)
                    }
                    Road::Remote(channel) => {
                        let answer = channel.oneshot(request).await;
                        answer.map(|answer| answer.map(whole)).map_err(|error| unreachable_service(&error))
                    }
                }
            };
            let answer = match deadline {
                Some(deadline) => timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(too_late())),
                None => answer.await,
            };
            let (_, service, method) = split(&path);
            let code = match &answer {
                Ok(answer) => Status::from_header_map(answer.headers()).map_or(tonic::Code::Ok, |s| s.code()),
                Err(status) => status.code(),
            };
            histogram!(CLIENT_SECONDS, "service" => service.to_owned(), "method" => method.to_owned(),
                "code" => format!("{code:?}"))
            .record(began.elapsed().as_secs_f64());
            answer
        })
    }
}

/// The sooner of what the request, the context and (for unary calls) the default allow.
fn deadline_of(request: &Request<Body>, context: &Context, streaming: bool) -> Option<Instant> {
    let asked = request.headers().get("grpc-timeout").and_then(parse_timeout);
    let default = (!streaming).then_some(DEFAULT_DEADLINE);
    let own = asked.or(default).map(|wait| Instant::now() + wait);
    match (own, context.deadline) {
        (Some(own), Some(outer)) => Some(own.min(outer)),
        (own, outer) => own.or(outer),
    }
}

/// Reads a `grpc-timeout` header: at most eight digits and a unit.
pub(crate) fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

fn timeout_header(wait: Duration) -> HeaderValue {
    let millis = wait.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).expect("digits and a letter are valid in a header")
}

/// Splits `/package.Service/Method` into package, service with package, and method.
pub(crate) fn split(path: &str) -> (&str, &str, &str) {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or(("", ""));
    let package = service.rsplit_once('.').map_or("", |(package, _)| package);
    (package, service, method)
}

fn too_late() -> Status {
    plain(ErrorKind::Timeout, "DEADLINE_EXCEEDED", "the call took longer than its deadline allows")
}

fn unreachable_service(error: &tonic::transport::Error) -> Status {
    // The channel enforces the deadline too, and may be the first to notice.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return too_late();
        }
        cause = error.source();
    }
    tracing::warn!(error = error as &dyn std::error::Error, "a service of the mesh cannot be reached");
    plain(
        ErrorKind::Unavailable,
        "SERVICE_UNREACHABLE",
        "a part of the service cannot be reached; try again in a moment",
    )
}

/// A body that breaks off is the road's fault, not the service's: tonic alone would call it unknown. What a service
/// says itself stands in trailers, never in an error of the body.
fn whole(body: Body) -> Body {
    Body::new(body.map_err(|broken| {
        tracing::warn!(error = &broken as &dyn std::error::Error, "a service's answer broke off");
        plain(
            ErrorKind::Unavailable,
            "ANSWER_BROKE_OFF",
            "a part of the service ended while it answered; try again in a moment",
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_breaks_off_may_be_asked_for_again() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let body = http_body_util::StreamBody::new(futures::stream::iter([Err::<
            http_body::Frame<bytes::Bytes>,
            _,
        >(reset)]));
        let broken = whole(Body::new(body)).collect().await.unwrap_err();
        assert_eq!(broken.code(), tonic::Code::Unavailable);
    }

    #[test]
    fn reads_and_writes_timeouts() {
        let parse = |text: &str| parse_timeout(&HeaderValue::from_str(text).unwrap());
        assert_eq!(parse("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        for wrong in ["", "S", "3", "3s", "-1S", "123456789S", "é"] {
            assert_eq!(HeaderValue::from_str(wrong).ok().as_ref().and_then(parse_timeout), None, "{wrong}");
        }
        assert_eq!(
            parse_timeout(&timeout_header(Duration::from_millis(1500))),
            Some(Duration::from_millis(1500))
        );
    }
}

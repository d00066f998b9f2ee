//! JSON over HTTP, translated to gRPC from the descriptors: no rpc has a line of its own here.
//!
//! ```text
//!  HTTP request ─ routes ─▶ input (path, query, body) ─▶ gRPC call through the edge ─▶ encode ─▶ JSON or NDJSON
//! ```
//! A stream answers one JSON object per line (`application/x-ndjson`); an error that ends it is the last line.

pub(crate) mod decode;
pub(crate) mod encode;
mod input;
pub(crate) mod percent;
pub(crate) mod routes;
mod stream;
pub(crate) mod template;

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use postmesh_kit::status::{Invalid, to_status};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tokio::time::timeout;
use tonic::{Code, Status, body::Body};

use self::{
    encode::Names,
    routes::{Found, Route, Routes},
};
use crate::{
    MESSAGE_BYTES,
    edge::{Edge, Visitor},
    error::{Error, Refusal},
    frames::{PREFIX, code_in},
    metrics::Observation,
};

/// A body that has not arrived by then comes too slowly.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// Answers JSON requests by calling the edge.
pub(crate) struct Json {
    routes: Routes,
    edge: Edge,
}

impl Json {
    pub(crate) fn new(edge: Edge) -> Result<Self, Error> {
        Ok(Self { routes: Routes::read(edge.contracts())?, edge })
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Answers one request, whatever its path.
    pub(crate) async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let request_id = request.extensions().get::<Visitor>().map(|visitor| visitor.request_id.clone());
        let begin = |method: &str| {
            Observation::begin(
                method.into(),
                request_id.clone().unwrap_or_else(|| HeaderValue::from_static("none")),
            )
        };
        let (head, body) = request.into_parts();
        let (route, captures) = match self.routes.find(&head.method, head.uri.path()) {
            Found::Route(route, captures) => (route, captures),
            Found::OtherVerbs(verbs) => {
                begin("unknown").end("405");
                let allowed = verbs.into_iter().collect::<Vec<_>>().join(", ");
                let message = format!("{} is not answered here; use {allowed}", head.method);
                let mut response =
                    encode::failure_as(&Status::unimplemented(message), StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::try_from(allowed).expect("verbs and commas are valid in a header");
                response.headers_mut().insert(header::ALLOW, allowed);
                return response;
            }
            Found::Nothing => {
                begin("unknown").end("404");
                let message =
                    format!("there is nothing at {}; /openapi.json lists every path", head.uri.path());
                return encode::failure(&Status::not_found(message));
            }
        };
        let declared =
            head.headers.get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<usize>().ok());
        let body = match timeout(BODY_PATIENCE, Limited::new(body, MESSAGE_BYTES).collect()).await {
            Err(_) => {
                begin(&route.rpc.path).end("408");
                let status = Status::deadline_exceeded("the body took too long to arrive; send it again");
                return encode::failure_as(&status, StatusCode::REQUEST_TIMEOUT);
            }
            Ok(Ok(whole)) if declared.is_none_or(|length| length <= MESSAGE_BYTES) => whole.to_bytes(),
            Ok(Err(cause)) if !cause.is::<LengthLimitError>() => {
                begin(&route.rpc.path).end("400");
                return encode::failure(&Status::invalid_argument("the body ended before all of it arrived"));
            }
            _ => {
                begin(&route.rpc.path).end("413");
                return encode::failure_as(&to_status(Refusal::TooLarge), StatusCode::PAYLOAD_TOO_LARGE);
            }
        };
        let mut message = match input::read(route, captures, head.uri.query().unwrap_or_default(), &body) {
            Ok(message) => message,
            Err(violations) => {
                begin(&route.rpc.path).end("InvalidArgument");
                return encode::failure(&to_status(Invalid(violations)));
            }
        };
        input::fill_request_id(&mut message, head.headers.get("idempotency-key"));
        self.call(route, head, &message).await
    }

    async fn call(
        &self,
        route: &Route,
        head: http::request::Parts,
        message: &DynamicMessage,
    ) -> Response<Body> {
        let names = Names::asked(&head.headers);
        let mut call = Request::new(Body::new(Full::new(frame(message))));
        *call.method_mut() = http::Method::POST;
        *call.uri_mut() = route.rpc.path.parse().expect("a method path is a valid address");
        *call.headers_mut() = head.headers;
        *call.extensions_mut() = head.extensions;
        let headers = call.headers_mut();
        for name in
            [header::CONTENT_LENGTH, header::ACCEPT, header::ACCEPT_ENCODING, header::CONTENT_ENCODING]
        {
            headers.remove(name);
        }
        // We read the answer ourselves, and not compressed.
        headers.remove("grpc-accept-encoding");
        headers.remove("grpc-encoding");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let answer = self.edge.handle(call).await;
        if let Some(status) = refused(answer.headers()) {
            return encode::failure(&status);
        }
        let output = route.rpc.method.output();
        if route.rpc.method.is_server_streaming() {
            return stream::answer(answer.into_body(), output, names);
        }
        match unary(answer.into_body()).await {
            Ok(bytes) => {
                match DynamicMessage::decode(output, bytes).map(|message| encode::message(&message, names)) {
                    Ok(Ok(json)) => encode::answer(StatusCode::OK, "application/json", json),
                    _ => encode::failure(&to_status(Refusal::Garbled)),
                }
            }
            Err(status) => encode::failure(&status),
        }
    }
}

/// The error in headers or trailers, if they carry one.
fn refused(headers: &http::HeaderMap) -> Option<Status> {
    code_in(headers).filter(|code| *code != Code::Ok)?;
    Status::from_header_map(headers)
}

/// The one message of a unary answer.
async fn unary(body: Body) -> Result<Bytes, Status> {
    let whole = body.collect().await?;
    if let Some(status) = whole.trailers().and_then(refused) {
        return Err(status);
    }
    let mut bytes = BytesMut::from(&whole.to_bytes()[..]);
    stream::split_message(&mut bytes).transpose()?.ok_or_else(|| to_status(Refusal::Garbled))
}

/// A message as one gRPC frame.
fn frame(message: &DynamicMessage) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("the body it was read from is smaller"));
    message.encode(&mut frame).expect("the buffer grows as needed");
    frame.freeze()
}

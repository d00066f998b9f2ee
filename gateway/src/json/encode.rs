//! Messages and errors as JSON.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Value as Json, json};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

/// How field names are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// `scheduleTime`, the JSON mapping's default.
    Camel,
    /// `schedule_time`, as in the contract: `Accept: application/json; names=proto`.
    Proto,
}

impl Names {
    /// What the `Accept` header asks for.
    pub(crate) fn asked(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let proto = accept.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case("names=proto"));
        if proto { Self::Proto } else { Self::Camel }
    }
}

/// A message as JSON text.
pub(crate) fn message(message: &DynamicMessage, names: Names) -> Result<Vec<u8>, serde_json::Error> {
    let options = SerializeOptions::new().use_proto_field_name(names == Names::Proto);
    let mut out = serde_json::Serializer::new(Vec::with_capacity(256));
    message.serialize_with_options(&mut out, &options)?;
    Ok(out.into_inner())
}

/// `{"error": …}` as Google's APIs write it: code, status, message, and the details with their types.
pub(crate) fn error(status: &Status, http: StatusCode) -> Json {
    let details: Vec<Json> = tonic_types::pb::Status::decode(status.details())
        .map(|status| status.details.iter().map(detail).collect())
        .unwrap_or_default();
    json!({ "error": {
        "code": http.as_u16(), "status": name(status.code()), "message": status.message(), "details": details,
    }})
}

/// The answer to a failed request.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    failure_as(status, http_status(status.code()))
}

/// As [`failure`], with an HTTP status that says more than the gRPC code can.
pub(crate) fn failure_as(status: &Status, http: StatusCode) -> Response<Body> {
    let mut response = answer(http, "application/json", error(status, http).to_string());
    let headers = response.headers_mut();
    if let Some(wait) = status.get_details_retry_info().and_then(|retry| retry.retry_delay) {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if http == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A whole answer.
pub(crate) fn answer(
    http: StatusCode,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let body = http_body_util::Full::new(body.into());
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = http;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The HTTP status of a gRPC code, as Google's APIs map them.
pub(crate) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).expect("499 is a status"),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code's name in upper snake case.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The types of error details.
static DETAILS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::global();
    pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .expect("the details' descriptors need nothing but the well-known types");
    pool
});

fn detail(any: &prost_types::Any) -> Json {
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    let known =
        DETAILS.get_message_by_name(name).or_else(|| postmesh_proto::pool().get_message_by_name(name));
    let message = known.and_then(|desc| DynamicMessage::decode(desc, any.value.as_slice()).ok());
    let mut json = match message.and_then(|message| serde_json::to_value(message).ok()) {
        Some(Json::Object(object)) => object,
        _ => serde_json::Map::from_iter([("value".to_owned(), Json::from(STANDARD.encode(&any.value)))]),
    };
    json.insert("@type".to_owned(), Json::from(any.type_url.as_str()));
    Json::Object(json)
}

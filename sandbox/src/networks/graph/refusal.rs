//! The error envelope: code, subcode and sentence of what is refused.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::{crypto, oauth::Problem, web};

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// What the envelope calls `type`.
    kind: &'static str,
    code: i64,
    subcode: i64,
    message: String,
    user_message: String,
    transient: bool,
}

/// An answer, or the refusal of it.
pub(crate) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(crate) fn new(code: i64, subcode: i64, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "OAuthException",
            code,
            subcode,
            message: message.into(),
            user_message: String::new(),
            transient: false,
        }
    }

    /// `(#100)`: a parameter is missing or wrong.
    pub(crate) fn parameter(message: impl AsRef<str>) -> Self {
        Self::new(100, 0, format!("(#100) {}", message.as_ref()))
    }

    /// What is asked for is not there, or not for this token.
    pub(crate) fn missing(id: &str, verb: &str) -> Self {
        let text = format!(
            "Unsupported {verb} request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation"
        );
        Self::new(100, 33, text)
    }

    /// A field that the node does not have.
    pub(crate) fn no_field(name: &str, node: &str) -> Self {
        Self::parameter(format!("Tried accessing nonexisting field ({name}) on node type ({node})"))
    }

    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// With a sentence for people.
    pub(crate) fn for_people(self, text: impl Into<String>) -> Self {
        Self { user_message: text.into(), ..self }
    }

    pub(crate) fn transient(self) -> Self {
        Self { transient: true, ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let trace = crypto::token::<8>();
        let mut error = json!({
            "message": self.message, "type": self.kind, "code": self.code, "is_transient": self.transient,
            "fbtrace_id": trace,
        });
        if self.subcode != 0 {
            error["error_subcode"] = json!(self.subcode);
        }
        if !self.user_message.is_empty() {
            error["error_user_msg"] = json!(self.user_message);
        }
        let mut response = web::json(self.status, &json!({ "error": error }));
        let value = HeaderValue::from_str(&trace).expect("a token is printable ASCII");
        response.headers_mut().insert(HeaderName::from_static("x-fb-trace-id"), value);
        response
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        server_trouble()
    }
}

impl From<Problem> for Refusal {
    /// An access token that is refused.
    fn from(problem: Problem) -> Self {
        let text = |why: &str| format!("Error validating access token: {why}");
        match problem {
            Problem::ExpiredToken => Self::new(190, 463, text("Session has expired.")),
            Problem::RevokedToken => Self::new(190, 458, text("The user has not authorized application.")),
            Problem::UnknownClient => {
                Self::new(101, 0, "Error validating application. Cannot get application info.")
            }
            Problem::BadSecret => Self::new(1, 0, "Error validating client secret."),
            Problem::MissingCode => Self::new(100, 0, "(#100) Missing authorization code"),
            Problem::UnknownCode | Problem::OtherClient => {
                Self::new(100, 36_009, "This authorization code has been used.")
            }
            Problem::ExpiredCode => Self::new(100, 36_007, "This authorization code has expired."),
            Problem::RedirectMismatch => Self::new(100, 36_008, REDIRECT),
            Problem::TooYoung => Self::parameter("The access token is too young to be refreshed."),
            Problem::Unkept(problem) => problem.into(),
            _ => Self::new(190, 0, "Invalid OAuth access token - Cannot parse access token"),
        }
    }
}

const REDIRECT: &str = "Error validating verification code. Please make sure your redirect_uri is identical to the \
                        one you used in the OAuth dialog request";

/// A refusal of a code's exchange at the hosts of Instagram's own login and of Threads, which has a form of its own.
pub(crate) fn code_refused(problem: &Problem) -> Response {
    let message = match problem {
        Problem::UnknownClient | Problem::BadSecret => "Invalid platform app",
        Problem::RedirectMismatch => REDIRECT,
        Problem::ExpiredCode => "This authorization code has expired",
        Problem::MissingCode => "Missing required field code",
        _ => "Matching code was not found or was already used",
    };
    let body = json!({ "error_type": "OAuthException", "code": 400, "error_message": message });
    web::json(StatusCode::BAD_REQUEST, &body)
}

fn server_trouble() -> Refusal {
    let text = "An unexpected error has occurred. Please retry your request later.";
    Refusal::new(2, 0, text).status(StatusCode::INTERNAL_SERVER_ERROR).transient()
}

/// The answer of servers that failed.
pub(crate) fn server_error() -> Response {
    server_trouble().into_response()
}

/// The refusal of a client that asked too much, which is a 400.
pub(crate) fn throttled(code: i64, of: &str) -> Response {
    let text =
        format!("(#{code}) There have been too many calls to this {of} account. Wait a bit and try again.");
    Refusal::new(code, 0, text).into_response()
}

/// What no route is for.
pub(crate) async fn not_found() -> Response {
    Refusal::new(2500, 0, "Unknown path components").status(StatusCode::NOT_FOUND).into_response()
}

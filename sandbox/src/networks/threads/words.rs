//! Refusals in the Graph's envelope, with the codes of Threads.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{crypto, oauth::Problem, web};

/// One refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: u32,
    subcode: u32,
    message: String,
    user_message: String,
    is_transient: bool,
}

/// An answer or the refusal of it.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    fn new(status: StatusCode, code: u32, subcode: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: "OAuthException",
            code,
            subcode,
            message: message.into(),
            user_message: String::new(),
            is_transient: false,
        }
    }

    /// A parameter that is wrong.
    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self { kind: "THApiException", ..Self::new(StatusCode::BAD_REQUEST, 100, 0, message) }
    }

    /// An object that is not there, or not there yet.
    pub(super) fn missing(id: &str) -> Self {
        let told = Self::new(StatusCode::BAD_REQUEST, 24, 4_279_009, "The requested resource does not exist");
        Self { user_message: format!("The media with id {id} cannot be found"), ..told }
    }

    /// A field that objects of this kind do not have.
    pub(super) fn field(name: &str) -> Self {
        Self::parameter(format!("Tried accessing nonexisting field ({name})"))
    }

    /// A permission that was not granted.
    pub(super) fn permission() -> Self {
        let message = "Application does not have permission for this action";
        Self { kind: "THApiException", ..Self::new(StatusCode::FORBIDDEN, 10, 0, message) }
    }

    /// A picture that could not be downloaded.
    pub(super) fn unfetched() -> Self {
        let message = "Media download has failed. The media URI doesn't meet our requirements.";
        let told = Self::new(StatusCode::BAD_REQUEST, 9004, 2_207_052, message);
        Self { user_message: "The media could not be fetched from this URI".to_owned(), ..told }
    }

    /// The day's posts or replies are used up.
    pub(super) fn quota() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            9,
            2_207_042,
            "The user has reached the posting limit of this day.",
        )
    }

    /// Too many calls.
    pub(super) fn throttled() -> Self {
        let told = Self::new(StatusCode::FORBIDDEN, 4, 0, "Application request limit reached");
        Self { is_transient: true, ..told }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let expired = "Error validating access token: Session has expired. The current time is later.";
        let (subcode, message) = match problem {
            Problem::ExpiredToken => (463, expired),
            Problem::RevokedToken => {
                (460, "Error validating access token: The user has not authorized the application.")
            }
            Problem::Unkept(problem) => return problem.into(),
            _ => (0, "Invalid OAuth access token - Cannot parse access token"),
        };
        Self::new(StatusCode::BAD_REQUEST, 190, subcode, message)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        let told = Self::new(StatusCode::INTERNAL_SERVER_ERROR, 2, 0, "An unexpected error has occurred.");
        Self { is_transient: true, ..told }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({
            "message": self.message,
            "type": self.kind,
            "code": self.code,
            "is_transient": self.is_transient,
            "fbtrace_id": trace(),
        });
        if self.subcode > 0 {
            error["error_subcode"] = json!(self.subcode);
        }
        if !self.user_message.is_empty() {
            error["error_user_msg"] = json!(self.user_message);
        }
        web::json(self.status, &json!({ "error": error }))
    }
}

/// A refusal of the code's exchange, which has a form of its own.
pub(super) fn code_refused(problem: &Problem) -> Response {
    let message = match problem {
        Problem::UnknownClient | Problem::BadSecret => "Error validating client secret.",
        Problem::RedirectMismatch => {
            "Error validating verification code. Please make sure your redirect_uri is identical to the one you used \
             in the OAuth dialog request"
        }
        Problem::ExpiredCode => "This authorization code has expired",
        Problem::MissingCode => "Missing required field code",
        _ => "Matching code was not found or was already used",
    };
    let body = json!({ "error_type": "OAuthException", "code": 400, "error_message": message });
    web::json(StatusCode::BAD_REQUEST, &body)
}

pub(super) fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

pub(super) fn trace() -> String {
    format!("A{}", crypto::token::<16>())
}

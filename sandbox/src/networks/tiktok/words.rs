//! Answers of the API: `data` beside an `error` whose code is `ok` or tells why not, whatever the status.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{crypto, oauth::Problem, web};

/// One refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

/// An answer or the refusal of it.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str) -> Self {
        let message = match code {
            "access_token_invalid" => "The access token is invalid or not found in the request.",
            "scope_not_authorized" => {
                "The user did not authorize the scope required for completing this request."
            }
            "rate_limit_exceeded" => "The API rate limit was exceeded. Please try again later.",
            "privacy_level_option_mismatch" => {
                "privacy_level is not among the privacy_level_options of the creator."
            }
            "url_ownership_unverified" => "Please verify your ownership of the domain or URL prefix.",
            "unaudited_client_can_only_post_to_private_accounts" => {
                "Please review our integration guidelines."
            }
            "spam_risk_too_many_posts" => "The daily post cap from the API is reached for the current user.",
            "internal_error" => "Something went wrong. Please try again later.",
            _ => "",
        };
        Self { status, code: code.to_owned(), message: message.to_owned() }
    }

    /// A parameter that is wrong.
    pub(super) fn params(message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_params".to_owned(),
            message: message.to_owned(),
        }
    }

    /// A rule that the creator or the app broke.
    pub(super) fn forbidden(code: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Unkept(problem) => problem.into(),
            _ => Self::new(StatusCode::UNAUTHORIZED, "access_token_invalid"),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "log_id": log_id() });
        web::json(self.status, &json!({ "error": error }))
    }
}

/// Success.
pub(super) fn ok(data: &Value) -> Response {
    let error = json!({ "code": "ok", "message": "", "log_id": log_id() });
    web::json(StatusCode::OK, &json!({ "data": data, "error": error }))
}

/// A refusal of the token endpoints: flat, and with a status that says that all is well.
pub(super) fn flat(problem: &Problem) -> Response {
    let description = match problem {
        Problem::ExpiredCode | Problem::UnknownCode => "Authorization code is expired.",
        Problem::RedirectMismatch => "Redirect_uri is not matched with the uri when requesting code.",
        Problem::UnknownClient | Problem::BadSecret => "Client key or secret is incorrect.",
        Problem::UnknownRefresh
        | Problem::UsedRefresh
        | Problem::ExpiredRefresh
        | Problem::RevokedRefresh => "Refresh token is invalid or expired.",
        _ => "The request parameters are malformed.",
    };
    let body = json!({ "error": problem.error(), "error_description": description, "log_id": log_id() });
    web::json(StatusCode::OK, &body)
}

fn log_id() -> String {
    format!("2026{}", crypto::token::<12>())
}

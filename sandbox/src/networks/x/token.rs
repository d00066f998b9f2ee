//! The token endpoint. An app with a secret must present it in an HTTP Basic header, every request names its client,
//! and a refresh token that is spent or unknown is an `invalid_request`, not an `invalid_grant`.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::DIALECT;
use crate::{
    oauth::{self, App, Issued, Problem},
    params::Params,
    web,
    world::{Ctx, World},
};

/// Why the endpoint refuses: RFC 6749 section 5.2, in its own words.
struct Refusal(StatusCode, &'static str, String);

impl Refusal {
    fn invalid(description: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "invalid_request", description.into())
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::UnknownClient => Self(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "Client authentication failed due to unknown client".to_owned(),
            ),
            Problem::BadSecret => no_header(),
            Problem::MissingCode => Self::invalid("Missing required parameter [code]."),
            Problem::UnknownCode | Problem::ExpiredCode | Problem::OtherClient => {
                Self::invalid("Value passed for the authorization code was invalid.")
            }
            Problem::RedirectMismatch => Self::invalid(
                "Value passed for the redirect uri did not match the uri of the authorization code.",
            ),
            Problem::PkceMissing => Self::invalid("Missing required parameter [code_verifier]."),
            Problem::PkceMismatch => {
                Self::invalid("Value passed for the code verifier did not match the code challenge.")
            }
            Problem::Unkept(_) => {
                Self(StatusCode::SERVICE_UNAVAILABLE, "server_error", "Service Unavailable".to_owned())
            }
            _ => Self::invalid("Value passed for the token was invalid."),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        web::json(self.0, &json!({"error": self.1, "error_description": self.2}))
    }
}

fn no_header() -> Refusal {
    let description = "Missing valid authorization header".to_owned();
    Refusal(StatusCode::UNAUTHORIZED, "unauthorized_client", description)
}

/// The app, which has a secret and so must come with a header.
fn client(world: &World, headers: &HeaderMap, params: &Params) -> Result<App, Refusal> {
    let has_header =
        headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Basic "));
    if !has_header {
        return Err(no_header());
    }
    Ok(oauth::client(world, &DIALECT, headers, params)?)
}

pub(super) async fn issue(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    decided(&ctx, &headers, &params).unwrap_or_else(IntoResponse::into_response)
}

fn decided(ctx: &Ctx, headers: &HeaderMap, params: &Params) -> Result<Response, Refusal> {
    let mut world = ctx.world();
    let app = client(&world, headers, params)?;
    match params.text("grant_type").as_deref() {
        Some("authorization_code") => Ok(answer(&oauth::exchange(ctx, &mut world, &DIALECT, &app, params)?)),
        Some("refresh_token") => {
            let token = params
                .present("refresh_token")
                .ok_or_else(|| Refusal::invalid("Missing required parameter [refresh_token]."))?;
            let issued = oauth::refresh(ctx, &mut world, &DIALECT, &app, &token)?;
            let mut response = answer(&issued);
            issued.mark(&mut response);
            Ok(response)
        }
        Some(_) => Err(Refusal(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "The grant type is not supported.".to_owned(),
        )),
        None => Err(Refusal::invalid("Missing required parameter [grant_type].")),
    }
}

fn answer(issued: &Issued) -> Response {
    let mut body = json!({
        "token_type": "bearer",
        "expires_in": issued.expires_in,
        "access_token": issued.access_token,
        "scope": issued.scope(&DIALECT),
    });
    if let Some(refresh_token) = &issued.refresh_token {
        body["refresh_token"] = Value::String(refresh_token.clone());
    }
    web::json(StatusCode::OK, &body)
}

pub(super) async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let revoked = || -> Result<Response, Refusal> {
        let mut world = ctx.world();
        client(&world, &headers, &params)?;
        let token =
            params.present("token").ok_or_else(|| Refusal::invalid("Missing required parameter [token]."))?;
        oauth::revoke(&mut world, super::NETWORK, &token)?;
        Ok(web::json(StatusCode::OK, &json!({"revoked": true})))
    };
    revoked().unwrap_or_else(IntoResponse::into_response)
}

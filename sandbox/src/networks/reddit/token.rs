//! Tokens: failures of a grant come with status 200, those of the app with 401.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{DIALECT, NETWORK, refused};
use crate::{
    oauth::{self, Issued},
    params::Params,
    web,
    world::Ctx,
};

/// Whether the app presents itself the way it must.
fn is_basic(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Basic "))
}

pub(super) async fn access(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    let app = match oauth::client(&world, &DIALECT, &headers, &params) {
        Ok(app) if is_basic(&headers) => app,
        _ => return refused(StatusCode::UNAUTHORIZED, "Unauthorized"),
    };
    match params.text("grant_type").as_deref() {
        Some("authorization_code") => match oauth::exchange(&ctx, &mut world, &DIALECT, &app, &params) {
            Ok(issued) => told(&issued, true),
            Err(_) => web::json(StatusCode::OK, &json!({"error": "invalid_grant"})),
        },
        Some("refresh_token") => {
            let secret = params.text("refresh_token").unwrap_or_default();
            match oauth::refresh(&ctx, &mut world, &DIALECT, &app, &secret) {
                Ok(issued) => told(&issued, false),
                Err(_) => refused(StatusCode::BAD_REQUEST, "Bad Request"),
            }
        }
        _ => web::json(StatusCode::OK, &json!({"error": "unsupported_grant_type"})),
    }
}

/// A refresh does not repeat the refresh token, which stays the same.
fn told(issued: &Issued, is_first: bool) -> Response {
    let mut body = json!({
        "access_token": issued.access_token, "token_type": "bearer", "expires_in": issued.expires_in,
        "scope": issued.scope(&DIALECT),
    });
    if let Some(refresh_token) = issued.refresh_token.as_ref().filter(|_| is_first) {
        body["refresh_token"] = json!(refresh_token);
    }
    let mut response = web::json(StatusCode::OK, &body);
    issued.mark(&mut response);
    response
}

/// The answer is the same whatever the token was.
pub(super) async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    if !is_basic(&headers) || oauth::client(&world, &DIALECT, &headers, &params).is_err() {
        return refused(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let token = params.text("token").unwrap_or_default();
    match oauth::revoke(&mut world, NETWORK, &token) {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

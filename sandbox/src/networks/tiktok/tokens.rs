//! Tokens: of a day, with refresh tokens that work once.

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{DIALECT, NETWORK, words::flat};
use crate::{
    accounts,
    oauth::{self, Problem},
    params::Params,
    web,
    world::Ctx,
};

/// `POST /v2/oauth/token/`: exchange and refresh.
pub(super) async fn issue(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    let issued = oauth::client(&world, &DIALECT, &headers, &params).and_then(|app| {
        match params.text("grant_type").as_deref() {
            Some("authorization_code") => oauth::exchange(&ctx, &mut world, &DIALECT, &app, &params),
            Some("refresh_token") => {
                let token = params.present("refresh_token").ok_or(Problem::MissingCode)?;
                oauth::refresh(&ctx, &mut world, &DIALECT, &app, &token)
            }
            _ => Err(Problem::MissingCode),
        }
    });
    match issued {
        Ok(issued) => {
            let account = accounts::named(&world, NETWORK, &issued.account);
            let body = json!({
                "access_token": issued.access_token,
                "expires_in": issued.expires_in,
                "open_id": account.map(|account| account.id),
                "refresh_token": issued.refresh_token,
                "refresh_expires_in": issued.refresh_expires_in,
                "scope": issued.scope(&DIALECT),
                "token_type": "Bearer",
            });
            let mut response = web::json(StatusCode::OK, &body);
            issued.mark(&mut response);
            response
        }
        Err(problem) => flat(&problem),
    }
}

/// `POST /v2/oauth/revoke/`.
pub(super) async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    let token = params.present("token").unwrap_or_default();
    let done = oauth::client(&world, &DIALECT, &headers, &params)
        .and_then(|_| oauth::live(&world, NETWORK, &token, ctx.now_ms()))
        .and_then(|_| oauth::revoke(&mut world, NETWORK, &token));
    match done {
        Ok(_) => web::json(StatusCode::OK, &json!({})),
        Err(problem) => flat(&problem),
    }
}

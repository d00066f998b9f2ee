//! From a code to a token of an hour, from that to one of 60 days, and on to further ones.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{
    DIALECT, NETWORK,
    words::{Refusal, code_refused, ok},
};
use crate::{
    accounts,
    oauth::{self, Issued, Problem},
    params::Params,
    web,
    world::Ctx,
};

const LONG_MS: i64 = 60 * 86_400_000;
const DAY_MS: i64 = 86_400_000;

/// `user_id` is a number larger than a double holds exactly.
pub(super) async fn exchange(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    if params.text("grant_type").as_deref() != Some("authorization_code") {
        return code_refused(&Problem::MissingCode);
    }
    let mut world = ctx.world();
    let issued = oauth::client(&world, &DIALECT, &headers, &params)
        .and_then(|app| oauth::exchange(&ctx, &mut world, &DIALECT, &app, &params));
    match issued {
        Ok(issued) => {
            let account = accounts::named(&world, NETWORK, &issued.account);
            let id: u64 = account.and_then(|account| account.id.parse().ok()).unwrap_or_default();
            ok(&json!({ "access_token": issued.access_token, "user_id": id }))
        }
        Err(problem) => code_refused(&problem),
    }
}

/// `GET /access_token?grant_type=th_exchange_token`.
pub(super) async fn lengthen(State(ctx): State<Ctx>, params: Params) -> Response {
    let mut world = ctx.world();
    if params.text("grant_type").as_deref() != Some("th_exchange_token") {
        return Refusal::parameter("Unsupported grant type").into_response();
    }
    let token = params.present("access_token").unwrap_or_default();
    let is_ours = oauth::live(&world, NETWORK, &token, ctx.now_ms()).map(|token| {
        let secret = format!("{}-secret", token.client_id);
        params.text("client_secret").as_deref() == Some(secret.as_str())
    });
    match is_ours {
        Ok(true) => {
            let issued = oauth::renew(&ctx, &mut world, &DIALECT, &token, 0, Some(LONG_MS));
            issued.map_or_else(|problem| Refusal::from(problem).into_response(), |issued| told(&issued))
        }
        Ok(false) => Refusal::parameter("Error validating client secret.").into_response(),
        Err(problem) => Refusal::from(problem).into_response(),
    }
}

/// `GET /refresh_access_token?grant_type=th_refresh_token`: the token is at least a day old and not over. The one
/// presented goes on until its own time is over.
pub(super) async fn renew(State(ctx): State<Ctx>, params: Params) -> Response {
    let mut world = ctx.world();
    if params.text("grant_type").as_deref() != Some("th_refresh_token") {
        return Refusal::parameter("Unsupported grant type").into_response();
    }
    let token = params.present("access_token").unwrap_or_default();
    match oauth::renew(&ctx, &mut world, &DIALECT, &token, DAY_MS, Some(LONG_MS)) {
        Ok(issued) => {
            let mut response = told(&issued);
            issued.mark(&mut response);
            response
        }
        Err(Problem::TooYoung) => {
            Refusal::parameter("The access token is not yet 24 hours old").into_response()
        }
        Err(problem) => Refusal::from(problem).into_response(),
    }
}

fn told(issued: &Issued) -> Response {
    let body = json!({
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.expires_in,
    });
    web::json(StatusCode::OK, &body)
}

//! Consent and tokens. Access lives a month, a refresh token two; each refresh gives a new one and ends the old.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{NETWORK, rest::Refused};
use crate::{
    docs::Change,
    oauth::{self, App, Dialect, Issued, Problem, Refresh, Reuse},
    pages,
    params::{Params, field},
    web,
    world::Ctx,
};

const DAY_MS: i64 = 86_400_000;

/// An app whose access is on trial.
pub(super) const TRIAL: &str = "sandbox-pinterest-trial";

static DIALECT: Dialect = Dialect {
    authorize_path: "/oauth/",
    access_ms: Some(30 * DAY_MS),
    refresh: Refresh::Rotating { ms: Some(60 * DAY_MS), reuse: Reuse::Refuse },
    access_prefix: "pina_",
    refresh_prefix: "pinr_",
    scopes: &[
        "boards:read",
        "boards:read_secret",
        "boards:write",
        "boards:write_secret",
        "pins:read",
        "pins:read_secret",
        "pins:write",
        "pins:write_secret",
        "user_accounts:read",
    ],
    ..Dialect::of(NETWORK)
};

pub(super) fn trial_app() -> Change {
    let app = App {
        client_id: TRIAL.to_owned(),
        client_secret: format!("{TRIAL}-secret"),
        name: "Postmesh on trial".to_owned(),
        redirect_uris: Vec::new(),
    };
    Change::put("app", TRIAL, &app)
}

/// The consent page; scopes stand between commas.
pub(super) fn page() -> MethodRouter<Ctx> {
    oauth::page(&DIALECT).route_layer(from_fn(with_commas))
}

async fn with_commas(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, 1 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    if field(&parts, &bytes, "scope").is_some_and(|scope| scope.contains([' ', '+'])) {
        return web::html(StatusCode::BAD_REQUEST, pages::missing("The scopes are not valid."));
    }
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

pub(super) async fn token(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !basic.is_some_and(|value| value.starts_with("Basic ")) {
        return Err(Refused::unauthenticated());
    }
    let app = oauth::client(&world, &DIALECT, &headers, &params).map_err(|_| Refused::unauthenticated())?;
    let grant = params.text("grant_type").unwrap_or_default();
    let issued = match grant.as_str() {
        "authorization_code" => oauth::exchange(&ctx, &mut world, &DIALECT, &app, &params),
        "refresh_token" => {
            let token = params.text("refresh_token").unwrap_or_default();
            oauth::refresh(&ctx, &mut world, &DIALECT, &app, &token)
        }
        _ => return Err(Refused::invalid("grant_type is not valid")),
    };
    let issued = issued.map_err(|problem| refusal(&problem))?;
    // An app that does not ask for it has a refresh token of a kind that is no longer given.
    let continuous = grant == "refresh_token" || params.truth("continuous_refresh");
    let mut response = answer(&ctx, &grant, &issued, continuous);
    issued.mark(&mut response);
    Ok(response)
}

fn refusal(problem: &Problem) -> Refused {
    match problem {
        Problem::UnknownRefresh
        | Problem::UsedRefresh
        | Problem::ExpiredRefresh
        | Problem::RevokedRefresh => Refused::new(400, 1, "Refresh token is invalid or expired."),
        Problem::Unkept(_) => Refused::new(500, 0, "Something went wrong on our end. Sorry about that."),
        _ => Refused::new(400, 283, "Authorization code is invalid, expired or used."),
    }
}

fn answer(ctx: &Ctx, grant: &str, issued: &Issued, continuous: bool) -> Response {
    let mut body = json!({
        "response_type": grant,
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scope(&DIALECT),
    });
    if let Some(refresh_token) = issued.refresh_token.as_ref().filter(|_| continuous) {
        let life_s = issued.refresh_expires_in.unwrap_or(0);
        body["refresh_token"] = json!(refresh_token);
        body["refresh_token_expires_in"] = json!(life_s);
        body["refresh_token_expires_at"] = json!(ctx.now_ms() / 1000 + life_s);
    }
    web::json(StatusCode::OK, &body)
}

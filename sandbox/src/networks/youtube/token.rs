//! Google's token endpoint. A refresh token is given with consent alone, is never rotated, and is the oldest of a hundred
//! and one when it ends without a word.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{DIALECT, NETWORK};
use crate::{
    docs::{Change, padded},
    oauth::{self, Issued, Problem},
    params::Params,
    web,
    world::{Ctx, World},
};

/// Refresh tokens of one account and app that live at once.
const MOST_TOKENS: usize = 100;

struct Refusal(StatusCode, &'static str, &'static str);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let bad = StatusCode::BAD_REQUEST;
        match problem {
            Problem::UnknownClient => {
                Self(StatusCode::UNAUTHORIZED, "invalid_client", "The OAuth client was not found.")
            }
            Problem::BadSecret => {
                Self(StatusCode::UNAUTHORIZED, "invalid_client", "The provided client secret is invalid.")
            }
            Problem::MissingCode => Self(bad, "invalid_request", "Missing required parameter: code"),
            Problem::UnknownCode | Problem::ExpiredCode => Self(bad, "invalid_grant", "Malformed auth code."),
            Problem::RedirectMismatch => Self(bad, "redirect_uri_mismatch", "Bad Request"),
            Problem::PkceMissing | Problem::PkceMismatch => {
                Self(bad, "invalid_grant", "Invalid code verifier.")
            }
            Problem::UnknownToken => Self(bad, "invalid_token", "Token expired or revoked"),
            Problem::Unkept(_) => Self(StatusCode::SERVICE_UNAVAILABLE, "internal_failure", "Backend Error"),
            _ => Self(bad, "invalid_grant", "Token has been expired or revoked."),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        web::json(self.0, &json!({"error": self.1, "error_description": self.2}))
    }
}

pub(super) async fn issue(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    decided(&ctx, &headers, &params).unwrap_or_else(IntoResponse::into_response)
}

fn decided(ctx: &Ctx, headers: &HeaderMap, params: &Params) -> Result<Response, Refusal> {
    let mut world = ctx.world();
    let app = oauth::client(&world, &DIALECT, headers, params)?;
    match params.text("grant_type").as_deref() {
        Some("authorization_code") => {
            let issued = oauth::exchange(ctx, &mut world, &DIALECT, &app, params)?;
            let shown = remembered(ctx, &mut world, &issued, &app.client_id)?;
            Ok(answer(&issued, shown))
        }
        Some("refresh_token") => {
            let token = params.present("refresh_token").ok_or(Refusal(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Missing required parameter: refresh_token",
            ))?;
            let issued = oauth::refresh(ctx, &mut world, &DIALECT, &app, &token)?;
            let mut response = answer(&issued, None);
            issued.mark(&mut response);
            Ok(response)
        }
        _ => Err(Refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Invalid grant_type")),
    }
}

/// The refresh token, when the person was asked for consent or is here for the first time; the hundred and first ends
/// the oldest.
fn remembered(
    ctx: &Ctx,
    world: &mut World,
    issued: &Issued,
    client_id: &str,
) -> Result<Option<String>, Problem> {
    let Some(token) = issued.refresh_token.clone() else { return Ok(None) };
    let prefix = format!("{}|{client_id}|", issued.account);
    let known: Vec<(String, String)> = world
        .docs
        .range::<String>(NETWORK, "granted", &prefix)
        .map(|(key, token)| (key.to_owned(), token))
        .collect();
    let consent = issued.fields.get("prompt").is_some_and(|prompt| prompt.contains("consent"));
    if !consent && !known.is_empty() {
        return Ok(None);
    }
    if known.len() >= MOST_TOKENS
        && let Some((key, oldest)) = known.first()
    {
        oauth::revoke(world, NETWORK, oldest)?;
        world.keep(NETWORK, vec![Change::remove("granted", key)])?;
    }
    let place = format!("{prefix}{}", padded(world.next_id(NETWORK, ctx.now_ms())));
    world.keep(NETWORK, vec![Change::put("granted", place, &token)])?;
    Ok(Some(token))
}

fn answer(issued: &Issued, refresh_token: Option<String>) -> Response {
    let mut body = json!({
        "access_token": issued.access_token,
        "expires_in": issued.expires_in,
        "scope": issued.scope(&DIALECT),
        "token_type": "Bearer",
    });
    if let Some(token) = refresh_token {
        body["refresh_token"] = Value::String(token);
    }
    web::json(StatusCode::OK, &body)
}

pub(super) async fn revoke(State(ctx): State<Ctx>, params: Params) -> Response {
    let token = params.present("token").unwrap_or_default();
    let mut world = ctx.world();
    let is_live = oauth::live(&world, NETWORK, &token, ctx.now_ms()).is_ok();
    let is_refresh = world.docs.has(NETWORK, "refresh", &token);
    let mut ended = || -> Result<Response, Refusal> {
        if !(is_live || is_refresh) || !oauth::revoke(&mut world, NETWORK, &token)? {
            return Err(Problem::UnknownToken.into());
        }
        if is_refresh {
            world.keep(NETWORK, vec![Change::remove("refresh", &token)]).map_err(Problem::Unkept)?;
        }
        Ok(web::json(StatusCode::OK, &json!({})))
    };
    ended().unwrap_or_else(IntoResponse::into_response)
}

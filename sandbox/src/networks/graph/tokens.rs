//! Tokens that grow longer: one of an hour becomes one of two months, which renews itself once it is a day old. The one
//! presented goes on until its own end.

use axum::response::Response;
use serde_json::json;

use super::{Ask, Refusal, ok};
use crate::oauth::{self, Dialect, Issued, Problem};

/// How old a token must be to renew itself.
const LEAST_AGE_MS: i64 = 86_400_000;

/// `GET /access_token`: a long token for one of an hour, with the secret of the app that has it.
pub(crate) fn lengthened(ask: &Ask, dialect: &Dialect, grant: &str, ms: i64) -> Result<Issued, Refusal> {
    let mut world = ask.ctx.world();
    let secret = ask.params.present("access_token").unwrap_or_default();
    let token = oauth::live(&world, dialect.network, &secret, ask.now_ms())?;
    let app = oauth::app(&world, dialect.network, &token.client_id).ok_or(Problem::UnknownClient)?;
    if ask.params.text("client_secret").as_deref() != Some(app.client_secret.as_str()) {
        return Err(Problem::BadSecret.into());
    }
    granted(ask, grant)?;
    Ok(oauth::renew(&ask.ctx, &mut world, dialect, &secret, 0, Some(ms))?)
}

/// `GET /refresh_access_token`: the token once more, with a new life.
pub(crate) fn renewed(ask: &Ask, dialect: &Dialect, grant: &str, ms: i64) -> Result<Issued, Refusal> {
    granted(ask, grant)?;
    let secret = ask.params.present("access_token").unwrap_or_default();
    Ok(oauth::renew(&ask.ctx, &mut ask.ctx.world(), dialect, &secret, LEAST_AGE_MS, Some(ms))?)
}

fn granted(ask: &Ask, grant: &str) -> Result<(), Refusal> {
    let is_that = ask.params.text("grant_type").as_deref() == Some(grant);
    if is_that { Ok(()) } else { Err(Refusal::parameter("Unsupported grant_type")) }
}

/// A token as it is answered, with the permissions where they are told.
pub(crate) fn issued(issued: &Issued, permissions: Option<String>) -> Response {
    let mut body = json!({ "access_token": issued.access_token, "token_type": "bearer" });
    if let Some(seconds) = issued.expires_in {
        body["expires_in"] = json!(seconds);
    }
    if let Some(permissions) = permissions {
        body["permissions"] = json!(permissions);
    }
    let mut response = ok(&body);
    issued.mark(&mut response);
    response
}

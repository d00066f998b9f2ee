//! Tokens: from a code, for an app, revoked, and the check every other route begins with. They live until they are
//! revoked, as on a real instance.

use axum::extract::State;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{
    Answer, Refusal, ok,
    state::{Account, App, Event, Life, Token},
};
use crate::{
    crypto,
    networks::Network,
    params::Params,
    web::bearer,
    world::{self, Ctx},
};

pub(crate) async fn issue(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let app = client(&world, &headers, &params)?;
    let now_ms = ctx.now_ms();
    let (account, scopes) = match params.present("grant_type").as_deref() {
        Some("authorization_code") => {
            let invalid = || {
                Refusal::oauth(
                    StatusCode::BAD_REQUEST,
                    "invalid_grant",
                    "The provided authorization grant is invalid, expired, revoked, does not match the redirection \
                     URI used in the authorization request, or was issued to another client.",
                )
            };
            let text = params.present("code").unwrap_or_default();
            let code = world.mastodon.code(&text).cloned().ok_or_else(invalid)?;
            let verified = code.challenge.as_ref().is_none_or(|challenge| {
                params
                    .text("code_verifier")
                    .is_some_and(|verifier| crypto::pkce_s256(&verifier) == *challenge)
            });
            let fits = code.client_id == app.client_id
                && params.present("redirect_uri").as_deref() == Some(code.redirect_uri.as_str())
                && now_ms < code.expires_ms;
            if !(fits && verified) {
                return Err(invalid());
            }
            world.commit(world::Event::Mastodon(Event::CodeUsed { code: text }))?;
            (Some(code.account), code.scopes)
        }
        Some("client_credentials") => {
            let scopes = words(&params.present("scope").unwrap_or_else(|| "read".to_owned()));
            if scopes.iter().any(|scope| !covers(&app.scopes, scope)) {
                let text = "The requested scope is invalid, unknown, or malformed.";
                return Err(Refusal::oauth(StatusCode::BAD_REQUEST, "invalid_scope", text));
            }
            (None, scopes)
        }
        _ => {
            let text = "The authorization grant type is not supported by the authorization server.";
            return Err(Refusal::oauth(StatusCode::BAD_REQUEST, "unsupported_grant_type", text));
        }
    };
    let token = Token {
        secret: crypto::token::<32>(),
        client_id: app.client_id,
        account,
        scopes,
        created_ms: now_ms,
        life: Life::Live,
    };
    let body = json!({
        "access_token": token.secret,
        "token_type": "Bearer",
        "scope": token.scopes.join(" "),
        "created_at": now_ms / 1000,
    });
    world.commit(world::Event::Mastodon(Event::Token(token)))?;
    Ok(ok(&body))
}

pub(crate) async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let foreign = || {
        Refusal::oauth(
            StatusCode::FORBIDDEN,
            "unauthorized_client",
            "You are not authorized to revoke this token",
        )
    };
    let app = client(&world, &headers, &params).map_err(|_| foreign())?;
    let text = params.present("token").unwrap_or_default();
    if let Some(token) = world.mastodon.token(&text) {
        if token.client_id != app.client_id {
            return Err(foreign());
        }
        world.commit(world::Event::Mastodon(Event::TokenRevoked { token: text }))?;
    }
    Ok(ok(&json!({})))
}

pub(crate) async fn userinfo(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let account = holder(&world, &headers, &["profile", "read:accounts"])?;
    let url = format!("{}/@{}", ctx.base(Network::Mastodon), account.handle);
    Ok(ok(
        &json!({"iss": format!("{}/", ctx.base(Network::Mastodon)), "sub": url, "name": account.display_name,
        "preferred_username": account.handle, "profile": url}),
    ))
}

/// The account behind the bearer token, provided the token covers one of these scopes.
pub(crate) fn holder<'w>(
    world: &'w world::World,
    headers: &HeaderMap,
    scopes: &[&str],
) -> Result<&'w Account, Refusal> {
    let token = live(world, headers)?;
    if !scopes.iter().any(|scope| covers(&token.scopes, scope)) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "This action is outside the authorized scopes"));
    }
    token
        .account
        .and_then(|id| world.mastodon.account(id))
        .ok_or_else(|| Refusal::invalid("This method requires an authenticated user"))
}

pub(crate) fn live<'w>(world: &'w world::World, headers: &HeaderMap) -> Result<&'w Token, Refusal> {
    let unauthorized = |text: &str| Refusal::new(StatusCode::UNAUTHORIZED, text);
    let token = bearer(headers)
        .and_then(|token| world.mastodon.token(token))
        .ok_or_else(|| unauthorized("The access token is invalid"))?;
    match token.life {
        Life::Live => Ok(token),
        Life::Expired => Err(unauthorized("The access token expired")),
        Life::Revoked => Err(unauthorized("The access token was revoked")),
    }
}

/// The app that authenticates, by form fields or by HTTP Basic.
fn client(world: &world::World, headers: &HeaderMap, params: &Params) -> Result<App, Refusal> {
    let basic = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
    };
    let (id, secret) = basic().unwrap_or_else(|| {
        (params.text("client_id").unwrap_or_default(), params.text("client_secret").unwrap_or_default())
    });
    world.mastodon.app(&id).filter(|app| app.client_secret == secret).cloned().ok_or_else(|| {
        Refusal::oauth(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "Client authentication failed due to unknown client, no client authentication included, or unsupported \
             authentication method.",
        )
    })
}

/// The scopes of a parameter.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split([' ', '+']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether granted scopes contain one: `write` contains `write:media`.
pub(crate) fn covers(granted: &[String], scope: &str) -> bool {
    let family = scope.rsplit_once(':').map(|(family, _)| family);
    granted.iter().any(|one| one == scope || Some(one.as_str()) == family)
}

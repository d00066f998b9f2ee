//! Logging in with an app password, refreshing, and who is who. A refresh token that was used already works for two
//! more hours and leads to the same next session, so refreshing twice at once does no harm here.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use data_encoding::BASE32_NOPAD;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Refusal, jwt, ok,
    state::{Account, Event, Session},
};
use crate::{
    crypto,
    networks::Network,
    refreshes::Outcome,
    web::{bearer, json as answer_json},
    world::{self, Ctx, World},
};

const REFRESH_MS: i64 = 90 * 86_400_000;
const GRACE_MS: i64 = 2 * 3_600_000;
/// Largest blob `uploadBlob` takes, bytes: the default of the bsky-hosted servers.
pub(crate) const MAX_BLOB: usize = 52_428_800;

#[derive(Debug, Deserialize)]
pub(crate) struct Login {
    identifier: Option<String>,
    password: Option<String>,
}

pub(crate) async fn create(State(ctx): State<Ctx>, body: Result<Json<Login>, JsonRejection>) -> Answer {
    let Json(login) = body.map_err(|_| Refusal::invalid("Input must be a JSON object"))?;
    let missing = |name| Refusal::invalid(format!("Input must have the property \"{name}\""));
    let identifier = login.identifier.ok_or_else(|| missing("identifier"))?;
    let password = login.password.ok_or_else(|| missing("password"))?;
    let mut world = ctx.world();
    let account =
        world.bluesky.actor(&identifier).filter(|account| account.password.as_ref() == Some(&password));
    let account = account.cloned().ok_or_else(|| {
        Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationRequired", "Invalid identifier or password")
    })?;
    let id = session_id();
    let now_ms = ctx.now_ms();
    let session = Session {
        family: id.clone(),
        id,
        did: account.did.clone(),
        next: None,
        expires_ms: now_ms + REFRESH_MS,
    };
    world.commit(world::Event::Bluesky(Event::SessionOpened(session.clone())))?;
    Ok(ok(&tokens(&ctx, &mut world, &account, &session, now_ms)))
}

pub(crate) async fn refresh(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    let old = live_session(&world, &headers, now_ms)?;
    let account = world.bluesky.actor(&old.did).cloned().ok_or_else(Refusal::internal)?;
    let known = old.next.as_ref().and_then(|id| world.bluesky.session(id)).cloned();
    let new = known.unwrap_or_else(|| Session {
        id: old.next.clone().unwrap_or_else(session_id),
        did: old.did.clone(),
        family: old.family.clone(),
        next: None,
        expires_ms: now_ms + REFRESH_MS,
    });
    let outcome = if old.next.is_some() { Outcome::Repeated } else { Outcome::Rotated };
    let until_ms = old.expires_ms.min(now_ms + GRACE_MS);
    world.commit(world::Event::Bluesky(Event::SessionRotated { old: old.id, until_ms, new: new.clone() }))?;
    let mut response = ok(&tokens(&ctx, &mut world, &account, &new, now_ms));
    response.extensions_mut().insert(outcome);
    Ok(response)
}

pub(crate) async fn delete(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let mut world = ctx.world();
    let family = live_session(&world, &headers, ctx.now_ms())?.family;
    world.commit(world::Event::Bluesky(Event::SessionClosed { family }))?;
    Ok(StatusCode::OK.into_response())
}

pub(crate) async fn show(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let account = authorized(&world, &headers, ctx.now_ms())?;
    Ok(ok(&described(&ctx, account)))
}

pub(crate) async fn health() -> Response {
    ok(&json!({"version": "0.4.0"}))
}

pub(crate) async fn describe_server(State(ctx): State<Ctx>) -> Response {
    ok(&json!({
        "did": server_did(&ctx),
        "availableUserDomains": [".test"],
        "inviteCodeRequired": true,
        "phoneVerificationRequired": false,
        "blobUploadLimit": MAX_BLOB,
        "links": {},
        "contact": {},
    }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    handle: Option<String>,
    did: Option<String>,
}

pub(crate) async fn resolve_handle(State(ctx): State<Ctx>, Query(query): Query<Resolve>) -> Answer {
    let handle =
        query.handle.ok_or_else(|| Refusal::invalid("Error: Params must have the property \"handle\""))?;
    let world = ctx.world();
    let account =
        world.bluesky.actor(&handle).filter(|account| account.handle == handle.to_ascii_lowercase());
    let account = account.ok_or_else(|| Refusal::invalid("Unable to resolve handle"))?;
    Ok(ok(&json!({"did": account.did})))
}

pub(crate) async fn resolve_did(State(ctx): State<Ctx>, Query(query): Query<Resolve>) -> Answer {
    let did = query.did.ok_or_else(|| Refusal::invalid("Error: Params must have the property \"did\""))?;
    let world = ctx.world();
    let account = world.bluesky.actor(&did).filter(|account| account.did == did);
    let account = account.ok_or_else(|| Refusal::bad("DidNotFound", "Could not resolve DID"))?;
    Ok(ok(&json!({"didDoc": document(&ctx, account)})))
}

/// What the directory of `did:plc` identifiers answers.
pub(super) async fn directory(State(ctx): State<Ctx>, Path(did): Path<String>) -> Response {
    let world = ctx.world();
    if let Some(account) = world.bluesky.actor(&did).filter(|account| account.did == did) {
        ok(&document(&ctx, account))
    } else {
        let body = json!({"message": format!("DID not registered: {did}")});
        answer_json(StatusCode::NOT_FOUND, &body)
    }
}

/// A handle's own host answers its DID; the handle is the `Host` header.
pub(crate) async fn well_known_did(State(ctx): State<Ctx>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let handle = host.split(':').next().unwrap_or_default();
    let did = ctx.world().bluesky.actor(handle).map(|account| account.did.clone());
    match did {
        Some(did) => crate::web::with_type(StatusCode::OK, "text/plain; charset=utf-8", did),
        None => (StatusCode::NOT_FOUND, "User not found").into_response(),
    }
}

pub(crate) async fn server_did_document(State(ctx): State<Ctx>) -> Response {
    answer_json(
        StatusCode::OK,
        &json!({
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": server_did(&ctx),
            "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": ctx.base(Network::Bluesky)}],
        }),
    )
}

/// The account an access token speaks for.
pub(crate) fn authorized<'w>(
    world: &'w World,
    headers: &HeaderMap,
    now_ms: i64,
) -> Result<&'w Account, Refusal> {
    let token = bearer(headers)
        .ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "AuthMissing", "Authentication Required"))?;
    let claims = jwt::verify(world.bluesky.secret(), token, jwt::ACCESS, now_ms)?;
    let account = world.bluesky.actor(&claims.sub);
    let account =
        account.ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "AccountNotFound", "Account not found"))?;
    if claims.jti.parse::<u64>().unwrap_or(0) < account.access_from {
        return Err(Refusal::bad("ExpiredToken", "Token has expired"));
    }
    Ok(account)
}

fn live_session(world: &World, headers: &HeaderMap, now_ms: i64) -> Result<Session, Refusal> {
    let token = bearer(headers)
        .ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "AuthMissing", "Authentication Required"))?;
    let claims = jwt::verify(world.bluesky.secret(), token, jwt::REFRESH, now_ms)?;
    let session = world.bluesky.session(&claims.jti).filter(|session| now_ms < session.expires_ms);
    session.cloned().ok_or_else(|| Refusal::bad("ExpiredToken", "Token has been revoked"))
}

fn tokens(ctx: &Ctx, world: &mut World, account: &Account, session: &Session, now_ms: i64) -> Value {
    let serial = world.bluesky.next_serial(now_ms);
    let iat = now_ms / 1000;
    let sign = |scope: &str, jti: String, exp| {
        let (sub, aud) = (account.did.clone(), server_did(ctx));
        jwt::sign(world.bluesky.secret(), &jwt::Claims { scope: scope.to_owned(), sub, aud, iat, exp, jti })
    };
    let mut body = described(ctx, account);
    body["accessJwt"] = Value::String(sign(jwt::ACCESS, serial.to_string(), iat + account.access_s as i64));
    body["refreshJwt"] = Value::String(sign(jwt::REFRESH, session.id.clone(), session.expires_ms / 1000));
    body
}

fn described(ctx: &Ctx, account: &Account) -> Value {
    json!({
        "handle": account.handle,
        "did": account.did,
        "didDoc": document(ctx, account),
        "email": account.email,
        "emailConfirmed": true,
        "emailAuthFactor": false,
        "active": true,
    })
}

pub(crate) fn document(ctx: &Ctx, account: &Account) -> Value {
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": account.did,
        "alsoKnownAs": [format!("at://{}", account.handle)],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": ctx.base(Network::Bluesky)}],
    })
}

/// The server's own `did:web`, its port written as the method asks.
pub(super) fn server_did(ctx: &Ctx) -> String {
    let host = ctx.public_url.split_once("://").map_or("", |(_, host)| host);
    format!("did:web:{}:bluesky", host.replace(':', "%3A").replace('/', ":"))
}

fn session_id() -> String {
    BASE32_NOPAD.encode(&crypto::random::<20>()).to_ascii_lowercase()
}

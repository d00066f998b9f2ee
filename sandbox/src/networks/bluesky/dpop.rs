//! Proofs of possession as the reference server checks them (RFC 9449): ES256, one request each, with a nonce that changes
//! every minute and is good for three. Authorization server and PDS have nonces of their own.
//!
//! What carries a good proof and token goes on as if it came with an app password's token, so the routes know one kind.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{
    Refusal, jwt,
    oauth::{Access, NETWORK},
    session::server_did,
};
use crate::{
    crypto,
    docs::Change,
    web,
    world::{Ctx, World},
};

/// How old or how far ahead a proof may be, seconds.
const SKEW_S: i64 = 180;

/// How long a nonce is handed out, milliseconds; it is taken for three times as long.
const NONCE_MS: i64 = 60_000;

/// Who checks the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Issuer,
    Resource,
}

/// Why a proof is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    Nonce,
    Proof(&'static str),
}

/// The nonce handed out now.
pub(super) fn nonce(world: &World, part: Part, now_ms: i64) -> String {
    nonce_of(world, part, now_ms / NONCE_MS)
}

fn nonce_of(world: &World, part: Part, minute: i64) -> String {
    let text = format!("{part:?}|{minute}");
    URL_SAFE_NO_PAD.encode(&crypto::hmac_sha256(world.bluesky.secret(), text.as_bytes())[..15])
}

/// Checks the proof of a request and answers the thumbprint of its key; a proof is good once.
pub(super) fn check(
    ctx: &Ctx,
    world: &mut World,
    part: Part,
    method: &Method,
    url: &str,
    headers: &HeaderMap,
    token: Option<&str>,
) -> Result<String, Bad> {
    let proof = headers.get("dpop").and_then(|value| value.to_str().ok());
    let proof = proof.ok_or(Bad::Proof("DPoP proof required"))?;
    let malformed = Bad::Proof("Malformed DPoP proof");
    let parts: Vec<&str> = proof.split('.').collect();
    let [head, claims, signature] = parts[..] else { return Err(malformed) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
    let read = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| malformed);
    let (header, claims_read) = (read(head)?, read(claims)?);
    if header["typ"] != "dpop+jwt" || header["alg"] != "ES256" || header["jwk"]["crv"] != "P-256" {
        return Err(malformed);
    }
    if header["jwk"].get("d").is_some() {
        return Err(Bad::Proof("DPoP proof shows its private key"));
    }
    let coordinate = |name: &str| header["jwk"][name].as_str().ok_or(malformed).and_then(decode);
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(format!("{head}.{claims}").as_bytes(), &decode(signature)?)
        .map_err(|_| Bad::Proof("DPoP proof signature does not verify"))?;
    let claim = |name: &str| claims_read[name].as_str().unwrap_or_default();
    if claim("htm") != method.as_str() || claim("htu") != url {
        return Err(Bad::Proof("DPoP proof is for another request"));
    }
    let now_ms = ctx.now_ms();
    if claims_read["iat"].as_i64().is_none_or(|iat| (now_ms / 1000 - iat).abs() > SKEW_S) {
        return Err(Bad::Proof("DPoP proof is too old or from the future"));
    }
    if let Some(token) = token
        && claim("ath") != URL_SAFE_NO_PAD.encode(crypto::sha256(token.as_bytes()))
    {
        return Err(Bad::Proof("DPoP proof is for another token"));
    }
    let minute = now_ms / NONCE_MS;
    if (0..3).all(|ago| claim("nonce") != nonce_of(world, part, minute - ago)) {
        return Err(Bad::Nonce);
    }
    let jti = claim("jti");
    if jti.is_empty() || world.docs.has(NETWORK, "dpop_jti", jti) {
        return Err(Bad::Proof("DPoP proof was used before"));
    }
    let kept = world.keep(NETWORK, vec![Change::put("dpop_jti", jti, &now_ms)]);
    kept.map_err(|_| Bad::Proof("DPoP proof could not be noted"))?;
    let (x, y) = (&header["jwk"]["x"], &header["jwk"]["y"]);
    let canonical = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{x},\"y\":{y}}}");
    Ok(URL_SAFE_NO_PAD.encode(crypto::sha256(canonical.as_bytes())))
}

/// The nonce of an answer.
pub(super) fn with_nonce(mut response: Response, nonce: &str) -> Response {
    let value = HeaderValue::from_str(nonce).expect("a nonce is of URL-safe letters");
    response.headers_mut().insert("dpop-nonce", value);
    response
}

/// The token of an `Authorization: DPoP` header.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("DPoP ").map(str::trim)
}

/// The layer before the PDS's routes.
pub(super) async fn pass(State(ctx): State<Ctx>, mut request: Request, next: Next) -> Response {
    let Some(token) = token(request.headers()).map(str::to_owned) else { return next.run(request).await };
    let url = format!("{}{}", ctx.base(NETWORK), request.uri().path());
    let (nonce, checked) = {
        let mut world = ctx.world();
        let nonce = nonce(&world, Part::Resource, ctx.now_ms());
        let proof =
            check(&ctx, &mut world, Part::Resource, request.method(), &url, request.headers(), Some(&token));
        (nonce, proof.map(|key| stand_in_token(&ctx, &mut world, &token, &key, request.uri().path())))
    };
    let response = match checked {
        Ok(Ok(bearer)) => {
            let value = HeaderValue::try_from(format!("Bearer {bearer}")).expect("a JWT is plain letters");
            request.headers_mut().insert(header::AUTHORIZATION, value);
            next.run(request).await
        }
        Ok(Err(refused)) => *refused,
        Err(Bad::Nonce) => unauthorized("use_dpop_nonce", "Resource server requires nonce in DPoP proof"),
        Err(Bad::Proof(why)) => unauthorized("invalid_dpop_proof", why),
    };
    with_nonce(response, &nonce)
}

/// A token such as an app password gives, for one request.
fn stand_in_token(
    ctx: &Ctx,
    world: &mut World,
    token: &str,
    key: &str,
    path: &str,
) -> Result<String, Box<Response>> {
    let now_ms = ctx.now_ms();
    let invalid = |why: &str| Box::new(unauthorized("invalid_token", why));
    let access: Access =
        world.docs.get(NETWORK, "oauth_access", token).ok_or_else(|| invalid("Invalid access token"))?;
    if access.jkt != key {
        let why = "DPoP proof key does not match the token";
        return Err(Box::new(unauthorized("invalid_dpop_proof", why)));
    }
    let account = world.bluesky.actor(&access.did).cloned();
    let account = account.ok_or_else(|| invalid("Invalid access token"))?;
    let is_over = now_ms >= access.expires_ms
        || access.serial < account.access_from
        || !world.docs.has(NETWORK, "oauth_session", &access.session);
    if is_over {
        return Err(invalid(&format!("Token expired at {}", crate::clock::iso_ms(access.expires_ms))));
    }
    let needs_more = !path.ends_with(".getSession") && !path.ends_with(".getProfile");
    if needs_more && !access.scope.split(' ').any(|scope| scope == "transition:generic") {
        let why = "Missing required scope \"repo:app.bsky.feed.post?action=create\"";
        return Err(Box::new(Refusal::new(StatusCode::FORBIDDEN, "ScopeMissingError", why).into_response()));
    }
    let serial = world.bluesky.next_serial(now_ms);
    let iat = now_ms / 1000;
    let claims = jwt::Claims {
        scope: jwt::ACCESS.to_owned(),
        sub: access.did,
        aud: server_did(ctx),
        iat,
        exp: iat + 60,
        jti: serial.to_string(),
    };
    Ok(jwt::sign(world.bluesky.secret(), &claims))
}

fn unauthorized(error: &str, message: &str) -> Response {
    let mut response = web::json(StatusCode::UNAUTHORIZED, &json!({"error": error, "message": message}));
    let value = format!("DPoP algs=\"ES256\", error=\"{error}\", error_description=\"{message}\"");
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

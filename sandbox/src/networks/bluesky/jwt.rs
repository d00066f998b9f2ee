//! Session tokens: HS256 JWTs that really expire.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Refusal;
use crate::crypto;

pub(crate) const ACCESS: &str = "com.atproto.appPass";
pub(crate) const REFRESH: &str = "com.atproto.refresh";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// [`ACCESS`] or [`REFRESH`].
    pub(crate) scope: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    /// Seconds UTC.
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    /// Of a refresh token its session's id, of an access token a number that only grows.
    pub(crate) jti: String,
}

pub(crate) fn sign(secret: &[u8], claims: &Claims) -> String {
    let typ = if claims.scope == REFRESH { "refresh+jwt" } else { "at+jwt" };
    let header = json!({"typ": typ, "alg": "HS256"}).to_string();
    let payload = serde_json::to_string(claims).expect("claims are strings and numbers");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = URL_SAFE_NO_PAD.encode(crypto::hmac_sha256(secret, signed.as_bytes()));
    format!("{signed}.{tag}")
}

/// The claims of a token we signed, of that scope, that has not expired.
pub(crate) fn verify(secret: &[u8], token: &str, scope: &str, now_ms: i64) -> Result<Claims, Refusal> {
    let unverified = || Refusal::bad("InvalidToken", "Token could not be verified");
    let (signed, tag) = token.rsplit_once('.').ok_or_else(unverified)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| unverified())?;
    if !crypto::hmac_matches(secret, signed.as_bytes(), &tag) {
        return Err(unverified());
    }
    let claims = claims(token).ok_or_else(unverified)?;
    if now_ms / 1000 >= claims.exp {
        return Err(Refusal::bad("ExpiredToken", "Token has expired"));
    }
    if claims.scope != scope {
        return Err(Refusal::bad("InvalidToken", "Bad token scope"));
    }
    Ok(claims)
}

/// Whom a token speaks of, without believing it.
pub(crate) fn peek_subject(token: &str) -> Option<String> {
    claims(token).map(|claims| claims.sub)
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{ACCESS, Claims, REFRESH, sign, verify};

    #[test]
    fn refuses_what_is_forged_expired_or_of_another_scope() {
        let text = |t: &str| t.to_owned();
        let claims = Claims {
            scope: text(ACCESS),
            sub: text("did:x"),
            aud: text("did:y"),
            iat: 0,
            exp: 10,
            jti: text("1"),
        };
        let token = sign(b"secret", &claims);
        let error = |result: Result<Claims, super::Refusal>| result.unwrap_err().error;
        assert_eq!(verify(b"secret", &token, ACCESS, 9_999).unwrap().sub, "did:x");
        assert_eq!(error(verify(b"secret", &token, ACCESS, 10_000)), "ExpiredToken");
        assert_eq!(error(verify(b"secret", &token, REFRESH, 0)), "InvalidToken");
        assert_eq!(error(verify(b"other", &token, ACCESS, 0)), "InvalidToken");
        assert_eq!(error(verify(b"secret", "nonsense", ACCESS, 0)), "InvalidToken");
    }
}

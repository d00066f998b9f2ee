//! Proofs of possession (RFC 9449): every call of an OAuth session carries one, signed with the session's own key, so a
//! token that leaks is of no use to others.
//!
//! **Invariant:** a proof is made for one request; nonces are kept apart by what the server does and by its origin, and
//! an answer that asks for a nonce means that the request was not executed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::Response;
use serde_json::{Value, json as object};
use sha2::{Digest, Sha256};
use url::Url;

use super::{Call, Secret, json, text_of};

/// What a server does; its nonces are its own in each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Gives out tokens.
    Issuer,
    /// Takes them.
    Resource,
}

/// The key of one session: P-256, for ES256.
pub(super) struct Key {
    pair: EcdsaKeyPair,
}

impl Key {
    /// A new key as text, to be sealed. `None` only when the machine gives no random numbers.
    pub(super) fn fresh() -> Option<Secret> {
        let sealed =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
        Some(Secret::new(BASE64URL_NOPAD.encode(sealed.as_ref())))
    }

    /// The key that [`Self::fresh`] made.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let sealed = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &sealed).ok().map(|pair| Self { pair })
    }

    /// The public half (RFC 7517): the two coordinates of an uncompressed point.
    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let coordinate = |from: usize| BASE64URL_NOPAD.encode(&point[from..from + 32]);
        object!({ "kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33) })
    }

    /// The proof for one request; `token` is the access token that goes with it.
    pub(super) fn proof(&self, call: &Call, nonce: Option<&str>, token: Option<&str>, now_ms: i64) -> String {
        let header = object!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() });
        let (method, url) = call.target();
        let mut claims = object!({
            "jti": BASE64URL_NOPAD.encode(&rand::random::<[u8; 16]>()),
            "htm": method.as_str(),
            "htu": bare(url),
            "iat": now_ms / 1000,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some(token) = token {
            claims["ath"] = BASE64URL_NOPAD.encode(&Sha256::digest(token)).into();
        }
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.expect("a key that was read signs every message");
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

/// An address without query and fragment, as proofs name it.
fn bare(url: &str) -> &str {
    url.find(['?', '#']).map_or(url, |end| &url[..end])
}

/// The newest nonce of each server, in memory: losing them costs one answer that asks for another.
#[derive(Clone, Default)]
pub(super) struct Nonces(Arc<Mutex<HashMap<(Role, String), Nonce>>>);

#[derive(Clone)]
struct Nonce {
    text: String,
    /// Unix milliseconds.
    seen_at: i64,
}

/// How old a nonce may be before another is asked for ahead of a send: servers change them every minute and take them for
/// three (packages/oauth/oauth-provider/src/dpop/dpop-nonce.ts of bluesky-social/atproto).
const FRESH_FOR: i64 = 60_000;

impl Nonces {
    /// The nonce for a request to that address.
    pub(super) fn of(&self, role: Role, url: &str) -> Option<String> {
        self.known(role, url).map(|nonce| nonce.text)
    }

    /// Whether the nonce for that address is new enough to send with.
    pub(super) fn is_fresh(&self, role: Role, url: &str, now_ms: i64) -> bool {
        self.known(role, url).is_some_and(|nonce| now_ms - nonce.seen_at < FRESH_FOR)
    }

    /// Keeps the nonce of an answer, where it has one.
    pub(super) fn note(&self, role: Role, url: &str, response: &Response<Bytes>, now_ms: i64) {
        let text = response.headers().get("dpop-nonce").and_then(|value| value.to_str().ok());
        if let (Some(text), Some(origin)) = (text, origin(url)) {
            let nonce = Nonce { text: text.to_owned(), seen_at: now_ms };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((role, origin), nonce);
        }
    }

    fn known(&self, role: Role, url: &str) -> Option<Nonce> {
        let key = (role, origin(url)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}

fn origin(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
}

/// Whether an answer asks for the nonce it brings: authorization servers with 400, others with 401.
pub(super) fn wants_nonce(response: &Response<Bytes>) -> bool {
    matches!(response.status().as_u16(), 400 | 401)
        && response.headers().contains_key("dpop-nonce")
        && json(response).is_some_and(|body| text_of(&body, "error") == "use_dpop_nonce")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_proof_speaks_of_one_request_and_verifies() {
        let key = Key::parse(Key::fresh().unwrap().expose()).unwrap();
        let call = Call::get("https://pds.example", "/xrpc/a.b.c", &[("x", "1")]);
        let proof = key.proof(&call, Some("n1"), Some("token"), 1_790_000_000_999);
        let parts: Vec<_> = proof.split('.').collect();
        let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
        assert_eq!((&header["typ"], &header["alg"]), (&object!("dpop+jwt"), &object!("ES256")));
        assert_eq!(claims["htu"], "https://pds.example/xrpc/a.b.c");
        assert_eq!((&claims["htm"], &claims["nonce"]), (&object!("GET"), &object!("n1")));
        assert_eq!(claims["iat"], 1_790_000_000);
        assert_eq!(claims["ath"], BASE64URL_NOPAD.encode(&Sha256::digest("token")));
        let coordinate =
            |name: &str| BASE64URL_NOPAD.decode(text_of(&header["jwk"], name).as_bytes()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let signature = BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap();
        let signed = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        let other = key.proof(&call, None, None, 0);
        let other = decoded(other.split('.').nth(1).unwrap());
        assert_ne!(other["jti"], claims["jti"]);
        assert!(other.get("nonce").is_none() && other.get("ath").is_none());
    }

    #[test]
    fn nonces_are_kept_apart_by_part_and_origin() {
        let nonces = Nonces::default();
        let answer =
            |nonce: &str| Response::builder().header("dpop-nonce", nonce).body(Bytes::new()).unwrap();
        nonces.note(Role::Issuer, "https://a.example/oauth/token", &answer("1"), 0);
        nonces.note(Role::Resource, "https://a.example/xrpc/x?y", &answer("2"), 0);
        assert_eq!(nonces.of(Role::Issuer, "https://a.example/oauth/par").as_deref(), Some("1"));
        assert_eq!(nonces.of(Role::Resource, "https://a.example/").as_deref(), Some("2"));
        assert_eq!(nonces.of(Role::Resource, "https://b.example/"), None);
        assert!(nonces.is_fresh(Role::Resource, "https://a.example/z", FRESH_FOR - 1));
        assert!(!nonces.is_fresh(Role::Resource, "https://a.example/z", FRESH_FOR));
    }

    #[test]
    fn only_an_answer_with_a_nonce_asks_for_one() {
        let answer = |status: u16, error: &str, nonce: bool| {
            let mut response = Response::builder().status(status);
            if nonce {
                response = response.header("dpop-nonce", "n");
            }
            wants_nonce(&response.body(object!({ "error": error }).to_string().into()).unwrap())
        };
        assert!(answer(400, "use_dpop_nonce", true) && answer(401, "use_dpop_nonce", true));
        assert!(!answer(401, "use_dpop_nonce", false) && !answer(401, "invalid_token", true));
        assert!(!answer(500, "use_dpop_nonce", true));
    }
}

//! Making tokens: access tokens (EdDSA JSON Web Tokens after RFC 9068) and opaque refresh tokens.
//!
//! Invariant: the private part of a signing key leaves this file only sealed, a refresh token only towards its owner.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use postmesh_kit::{
    identity::{Claims, ISSUER, TOKEN_TYPE},
    ids,
    keys::KeyRing,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    domain::{keys::Term, roles::Role, session::ACCESS_LIFE_MS},
    error::Error,
    store::keys::KeyRow,
};

/// What a refresh token looks like, so that scanners for leaked secrets find it.
const REFRESH_PREFIX: &str = "pmr_";

/// A key that signs access tokens.
pub struct SigningKey {
    /// Key id: the thumbprint of the public key (RFC 7638).
    pub kid: String,
    /// When it serves.
    pub term: Term,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("term", &self.term).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key, as it is stored.
    pub fn generate(term: Term, now: i64, ring: &KeyRing) -> Result<KeyRow, Error> {
        let pair = Ed25519KeyPair::generate().map_err(|_| Error::NoSigningKey)?;
        let der = pair.to_pkcs8v1().map_err(|_| Error::NoSigningKey)?;
        let public = pair.public_key().as_ref().to_vec();
        let kid = thumbprint(&public);
        let private_key = ring.seal(&aad(&kid), der.as_ref());
        Ok(KeyRow {
            generation: term.generation,
            kid,
            public_key: public,
            private_key,
            created_at: now,
            sign_from: term.sign_from,
            verify_until: term.verify_until,
        })
    }

    /// Opens a stored key.
    pub fn open(row: &KeyRow, ring: &KeyRing) -> Result<Self, Error> {
        let der = ring.open(&aad(&row.kid), &row.private_key)?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| Error::Stored("signing key"))?;
        if pair.public_key().as_ref() != row.public_key || thumbprint(&row.public_key) != row.kid {
            return Err(Error::Stored("signing key"));
        }
        Ok(Self { kid: row.kid.clone(), term: row.term(), pair })
    }

    /// The public key, base64url without padding: `x` of RFC 8037.
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// A signed access token.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = json!({"alg": "EdDSA", "typ": TOKEN_TYPE, "kid": self.kid});
        let claims = serde_json::to_vec(claims).expect("claims are plain values");
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

fn aad(kid: &str) -> Vec<u8> {
    format!("auth|signing-key|{kid}").into_bytes()
}

fn thumbprint(public: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// Whom a session belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// The session.
    pub session_id: Uuid,
    /// Its user.
    pub user_id: Uuid,
    /// The workspace it is in.
    pub workspace_id: Uuid,
    /// The user's role there, now.
    pub role: Role,
    /// When the session ends at the latest.
    pub expires_at: i64,
}

/// A pair of tokens. Times in milliseconds since 1970.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// For the `authorization` header.
    pub access_token: String,
    /// When it ends.
    pub access_expires_at: i64,
    /// For the next refresh.
    pub refresh_token: String,
    /// When it ends.
    pub refresh_expires_at: i64,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("access_expires_at", &self.access_expires_at).finish_non_exhaustive()
    }
}

impl Pair {
    /// A fresh pair.
    pub fn mint(key: &SigningKey, holder: &Holder, now: i64) -> Self {
        let seconds = now.div_euclid(1000);
        let access_expires_at = (seconds * 1000 + ACCESS_LIFE_MS).min(holder.expires_at);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: holder.user_id,
            wid: holder.workspace_id,
            sid: holder.session_id,
            role: holder.role.name().to_owned(),
            scope: holder.role.permissions().join(" "),
            iat: seconds,
            nbf: seconds,
            exp: access_expires_at.div_euclid(1000),
            jti: ids::new(),
        };
        Self {
            access_token: key.sign(&claims),
            access_expires_at,
            refresh_token: format!("{REFRESH_PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())),
            refresh_expires_at: holder.expires_at,
        }
    }

    /// What is stored of the refresh token.
    pub fn hash(&self) -> RefreshHash {
        hash_refresh(&self.refresh_token)
    }

    /// The pair, sealed as the successor of the refresh token with this hash.
    pub fn seal(&self, ring: &KeyRing, of: &RefreshHash) -> Vec<u8> {
        ring.seal(&successor_aad(of), &serde_json::to_vec(self).expect("a pair is plain values"))
    }

    /// Opens the successor of the refresh token with this hash.
    pub fn open(ring: &KeyRing, of: &RefreshHash, sealed: &[u8]) -> Result<Self, Error> {
        let plain = ring.open(&successor_aad(of), sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Error::Stored("successor of a refresh token"))
    }
}

/// SHA-256 of a refresh token. The token has 256 random bits, so a slow hash would add nothing.
pub type RefreshHash = [u8; 32];

/// What is stored of a refresh token.
pub fn hash_refresh(token: &str) -> RefreshHash {
    Sha256::digest(token).into()
}

fn successor_aad(of: &RefreshHash) -> Vec<u8> {
    [b"auth|refresh-successor|".as_slice(), of].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postmesh_kit::testing;

    fn key() -> SigningKey {
        let term = Term { generation: 1, sign_from: 0, verify_until: None };
        SigningKey::open(&SigningKey::generate(term, 0, &testing::keys()).unwrap(), &testing::keys()).unwrap()
    }

    fn holder() -> Holder {
        let expires_at = 10 * ACCESS_LIFE_MS;
        Holder {
            session_id: ids::new(),
            user_id: ids::new(),
            workspace_id: ids::new(),
            role: Role::Viewer,
            expires_at,
        }
    }

    #[test]
    fn a_sealed_key_opens_only_in_its_own_row() {
        let ring = testing::keys();
        let term = Term { generation: 1, sign_from: 0, verify_until: None };
        let (one, other) =
            (SigningKey::generate(term, 0, &ring).unwrap(), SigningKey::generate(term, 0, &ring).unwrap());
        assert!(SigningKey::open(&one, &ring).is_ok());
        let swapped = KeyRow { private_key: other.private_key.clone(), ..one.clone() };
        assert!(matches!(SigningKey::open(&swapped, &ring), Err(Error::Sealed(_))));
        let relabelled = KeyRow { public_key: other.public_key, ..one };
        assert!(matches!(SigningKey::open(&relabelled, &ring), Err(Error::Stored(_))));
    }

    #[test]
    fn no_access_token_outlives_its_session() {
        let holder = Holder { expires_at: 60_000, ..holder() };
        assert_eq!(Pair::mint(&key(), &holder, 0).access_expires_at, 60_000);
    }

    #[test]
    fn a_successor_opens_only_for_its_predecessor_and_prints_no_token() {
        let ring = testing::keys();
        let pair = Pair::mint(&key(), &holder(), 1_700_000_000_123);
        let sealed = pair.seal(&ring, &[1; 32]);
        assert_eq!(Pair::open(&ring, &[1; 32], &sealed).unwrap(), pair);
        assert!(Pair::open(&ring, &[2; 32], &sealed).is_err());
        let printed = format!("{pair:?}");
        assert!(!printed.contains(&pair.refresh_token) && !printed.contains(&pair.access_token));
    }

    #[test]
    fn a_key_id_is_the_thumbprint_of_rfc_8037() {
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}

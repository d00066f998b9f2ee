//! What an attempt to connect keeps secret, and how it is kept.
//!
//! **Invariant:** every sealed value is bound to the row and column it stands in, so that a ciphertext moved elsewhere
//! does not open.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Connecting;
use crate::{error::Error, networks::Secret};

impl Connecting {
    /// Our registration at a server, where there is one.
    pub(super) async fn known_registration(
        &self,
        network: &str,
        server: &str,
    ) -> Result<Option<Secret>, Error> {
        let sealed = self.store.registration(network, server, &self.redirect_uri).await?;
        let aad = registration_aad(network, server, &self.redirect_uri);
        // One that no longer opens (a key was lost) is made anew.
        Ok(sealed.and_then(|sealed| self.keys.open(&aad, &sealed).ok()).and_then(|opened| text(&opened)))
    }

    /// Keeps our registration at a server for further attempts.
    pub(super) async fn keep_registration(
        &self,
        network: &str,
        server: &str,
        registration: &Secret,
        now_ms: i64,
    ) -> Result<(), Error> {
        let aad = registration_aad(network, server, &self.redirect_uri);
        let sealed = self.keys.seal(&aad, registration.expose().as_bytes());
        self.store.keep_registration(network, server, &self.redirect_uri, Some(sealed), now_ms).await
    }

    /// Seals a value for a column of an attempt.
    pub(super) fn seal(&self, id: Uuid, column: &str, secret: &str) -> Vec<u8> {
        self.keys.seal(connection_aad(id, column).as_bytes(), secret.as_bytes())
    }

    /// Opens what [`Self::seal`] has sealed for this column of this attempt.
    pub(super) fn open(&self, id: Uuid, column: &str, sealed: Option<&[u8]>) -> Result<Secret, Error> {
        let sealed = sealed.ok_or_else(|| Error::corrupt("connection", "a sealed value is missing"))?;
        let opened = self.keys.open(connection_aad(id, column).as_bytes(), sealed);
        let opened = opened.map_err(|why| Error::Vault(why.to_string()))?;
        text(&opened).ok_or_else(|| Error::Vault("not a text".into()))
    }
}

/// 256 random bits as text.
pub(super) fn random() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// A state as it is stored.
pub(super) fn hash(state: &str) -> Vec<u8> {
    Sha256::digest(state).to_vec()
}

fn text(bytes: &[u8]) -> Option<Secret> {
    std::str::from_utf8(bytes).ok().map(Secret::new)
}

fn connection_aad(id: Uuid, column: &str) -> String {
    format!("connection|{id}|{column}")
}

fn registration_aad(network: &str, server: &str, redirect_uri: &str) -> Vec<u8> {
    format!("registration|{network}|{server}|{redirect_uri}").into_bytes()
}

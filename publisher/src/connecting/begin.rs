//! Beginning an attempt in the browser: the server proves what it is, and the user is sent there.
//!
//! **Invariant:** state and verifier are new and random for every attempt; the state is kept as a hash alone, the
//! verifier sealed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use postmesh_kit::{identity::Identity, ids, status::Violations};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    ATTEMPT, Connecting,
    sealing::{hash, random},
    void,
};
use crate::{
    error::Error,
    networks::{Secret, connect::Begin},
    store::connections::{Connection, ConnectionStatus},
};

/// An attempt that began.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) connection_id: Uuid,
    pub(crate) authorization_url: String,
    pub(crate) expires_at: i64,
}

impl Connecting {
    /// Begins an attempt in the browser.
    pub(crate) async fn begin(
        &self,
        me: &Identity,
        network: &str,
        server: &str,
        return_path: &str,
        request_id: Option<Uuid>,
    ) -> Result<Started, Error> {
        if let Some(first) = self.first_result(me, request_id).await? {
            return self.started(&first);
        }
        let mut violations = Violations::default();
        let network = violations.take(self.network(network));
        let server = network.and_then(|network| violations.take(self.begins_at(network.as_ref(), server)));
        violations.require(
            is_local_path(return_path),
            "return_path",
            "NOT_A_PATH",
            "must be a path such as `/accounts`",
        );
        violations.into_result().map_err(Error::Invalid)?;
        let (network, server) = network.zip(server).expect("both were taken without a violation");

        let app = self.app_of(me, network.as_ref()).await?;
        let id = ids::new();
        let (state, verifier) = (random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()));
        let known = self.known_registration(network.id(), &server).await?;
        let ask = Begin {
            server: &server,
            redirect_uri: &self.redirect_uri,
            state: state.expose(),
            challenge: &challenge,
            registration: known.as_ref().map(Secret::expose),
            app: app.as_ref(),
        };
        let began = network.begin(ask).await?;
        let now = self.clock.now_ms();
        let is_kept = network.keeps_registrations() && !began.registration.is_empty();
        if is_kept && known.as_ref() != Some(&began.registration) {
            self.keep_registration(network.id(), &server, &began.registration, now).await?;
        }
        let connection = Connection {
            id,
            workspace_id: me.workspace_id,
            user_id: me.user_id,
            network: network.id().to_owned(),
            server,
            request_id,
            status: ConnectionStatus::Pending,
            state_sha256: Some(hash(state.expose())),
            authorization_url: Some(self.seal(id, "authorization_url", &began.authorization_url)),
            verifier: Some(self.seal(id, "verifier", verifier.expose())),
            registration: Some(self.seal(id, "registration", began.registration.expose())),
            code: None,
            redirect_uri: self.redirect_uri.clone(),
            return_path: return_path.to_owned(),
            issuer: began.issuer,
            problem: String::new(),
            account_id: None,
            created_at: now,
            expires_at: now + ATTEMPT,
        };
        if self.store.begin_connection(connection).await? {
            return Ok(Started {
                connection_id: id,
                authorization_url: began.authorization_url,
                expires_at: now + ATTEMPT,
            });
        }
        // The same request came in twice at once; the other one was stored.
        let first = self.first_result(me, request_id).await?;
        self.started(&first.ok_or_else(|| void("This attempt could not be stored; begin again."))?)
    }

    fn started(&self, first: &Connection) -> Result<Started, Error> {
        let is_open = first.status == ConnectionStatus::Pending && first.expires_at > self.clock.now_ms();
        let sealed = first.authorization_url.as_deref().filter(|_| is_open);
        let sealed =
            sealed.ok_or_else(|| void("This attempt is over; begin again with a new request id."))?;
        let url = self.open(first.id, "authorization_url", Some(sealed))?;
        Ok(Started {
            connection_id: first.id,
            authorization_url: url.expose().to_owned(),
            expires_at: first.expires_at,
        })
    }
}

/// A path on our own site, and nothing that a browser could take for another site.
fn is_local_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hidden = ["//", "\\", "%2f", "%5c", "%09", "%0a", "%0d"].iter().any(|trick| lower.contains(trick));
    path.is_empty()
        || (path.starts_with('/')
            && path.len() <= 500
            && !hidden
            && path.chars().all(|c| c.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_path_stays_on_the_site() {
        for path in ["", "/", "/accounts", "/accounts?tab=1#x", "/a/b"] {
            assert!(is_local_path(path), "{path}");
        }
        for path in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "https://evil.example",
            "javascript:alert(1)",
            "evil",
            "/%2f%2fevil.example",
            "/%5Cevil",
            "/a//b",
            "/\tevil",
            "/ä",
            "/a b",
            "/%0d%0aLocation:",
            ".//evil",
        ] {
            assert!(!is_local_path(path), "{path}");
        }
    }
}

//! Seals what an adapter keeps in handles and what is a right in itself, such as the address of an upload session: who
//! reads the database, or a copy of it, cannot use it.
//!
//! **Invariant:** a sealed text opens only for the account, delivery, revision and step it was sealed for.

use data_encoding::BASE64URL_NOPAD;
use postmesh_kit::keys::KeyRing;

use super::Secret;
use crate::domain::delivery::Work;

/// Seals and opens with the keys of the installation.
#[derive(Debug, Clone)]
pub struct Seals(KeyRing);

impl Seals {
    /// Seals with these keys.
    pub fn new(keys: KeyRing) -> Self {
        Self(keys)
    }

    /// The secret as a text that may stand in the handle of this step.
    pub fn seal(&self, work: &Work, step: &str, secret: &Secret) -> String {
        BASE64URL_NOPAD.encode(&self.0.seal(place(work, step).as_bytes(), secret.expose().as_bytes()))
    }

    /// The secret again; `None` when it was sealed for another place, or its key is gone.
    pub fn open(&self, work: &Work, step: &str, sealed: &str) -> Option<Secret> {
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let opened = self.0.open(place(work, step).as_bytes(), &sealed).ok()?;
        std::str::from_utf8(&opened).ok().map(Secret::new)
    }
}

/// `handle|workspace|account|target|revision|step`.
fn place(work: &Work, step: &str) -> String {
    let Work { workspace_id, account_id, target_id, revision, .. } = work;
    format!("handle|{workspace_id}|{account_id}|{target_id}|{revision}|{step}")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, seals, work};

    #[tokio::test]
    async fn a_secret_opens_for_its_own_step_alone() {
        let bench = Bench::new().await;
        let network = super::super::bluesky::Bluesky::new(bench.http.clone(), bench.clock.clone());
        let work = work(&network, "x", 0);
        let sealed = seals().seal(&work, "upload", &Secret::new("https://host.example/?id=1"));
        assert!(!sealed.contains("host"), "{sealed}");
        let open = |work: &Work, step: &str, sealed: &str| seals().open(work, step, sealed);
        assert_eq!(open(&work, "upload", &sealed).unwrap().expose(), "https://host.example/?id=1");
        assert_eq!(open(&work, "other", &sealed), None);
        assert_eq!(open(&Work { revision: 2, ..work.clone() }, "upload", &sealed), None);
        assert_eq!(open(&Work { account_id: Uuid::nil(), ..work.clone() }, "upload", &sealed), None);
        assert_eq!(open(&Work { target_id: Uuid::nil(), ..work.clone() }, "upload", &sealed), None);
        assert_eq!(open(&work, "upload", "https://host.example/?id=1"), None, "nothing unsealed is taken");
    }
}

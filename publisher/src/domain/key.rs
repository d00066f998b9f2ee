//! The idempotency key of a revision. No attempt number and no randomness: it can be derived again after the loss of
//! its row, and every repetition of a send carries the same one.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use postmesh_kit::faults::{Bug, bug};
use uuid::Uuid;

/// The key that names the secret in the key ring; derived secrets are never rotated.
pub const LABEL: &str = "postmesh.publisher.idempotency.v1";

/// Derives idempotency keys.
#[derive(Clone)]
pub struct Keys(hmac::Key);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Keys from the derived secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// base32(HMAC-SHA256(secret, workspace | target | revision | network)): 52 characters of `A-Z2-7`.
    pub fn derive(&self, workspace_id: Uuid, target_id: Uuid, revision: i64, network: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [
            workspace_id.to_string().as_bytes(),
            target_id.to_string().as_bytes(),
            revision.to_string().as_bytes(),
            network.as_bytes(),
        ] {
            context.update(part);
            context.update(b"|");
        }
        if bug(Bug::RandomKey) {
            context.update(Uuid::now_v7().as_bytes());
        }
        BASE32_NOPAD.encode(context.sign().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_every_time_and_differs_by_each_part() {
        let keys = Keys::new(&[7; 32]);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = keys.derive(a, b, 1, "mastodon");
        assert_eq!(key, Keys::new(&[7; 32]).derive(a, b, 1, "mastodon"));
        assert_eq!(key.len(), 52);
        for other in [
            keys.derive(b, a, 1, "mastodon"),
            keys.derive(a, b, 2, "mastodon"),
            keys.derive(a, b, 1, "bluesky"),
            Keys::new(&[8; 32]).derive(a, b, 1, "mastodon"),
        ] {
            assert_ne!(key, other);
        }
    }
}

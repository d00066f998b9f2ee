//! The credential inside an upload address: whoever holds it may write exactly these bytes to exactly this upload
//! until it expires. It is checked before the database is asked anything.

use std::fmt;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use postmesh_kit::keys::KeyRing;
use uuid::Uuid;

use crate::error::Error;

/// How long an upload address works, in milliseconds.
pub const TTL_MS: i64 = 10 * 60 * 1000;

const TAG: usize = 32;
const FIELDS: usize = 16 + 8 + 8;

/// What a ticket states, besides the upload it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The upload's workspace.
    pub workspace_id: Uuid,
    /// Bytes that must come, no more and no fewer.
    pub size_bytes: i64,
    /// When it ends, milliseconds.
    pub expire_time: i64,
}

/// Signs and checks tickets.
#[derive(Clone)]
pub struct Signer(hmac::Key);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer whose key is derived from the installation's.
    pub fn new(keys: &KeyRing) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &keys.derive("media upload ticket")))
    }

    /// The token for an upload.
    pub fn sign(&self, upload_id: Uuid, ticket: &Ticket) -> String {
        let mut token = ticket.fields().to_vec();
        let tag = hmac::sign(&self.0, &signed(upload_id, &token));
        token.extend_from_slice(tag.as_ref());
        BASE64URL_NOPAD.encode(&token)
    }

    /// The ticket in a token, if it was signed here for this upload and has not expired.
    pub fn check(&self, upload_id: Uuid, token: &str, now: i64) -> Result<Ticket, Error> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| Error::BadTicket)?;
        if bytes.len() != FIELDS + TAG {
            return Err(Error::BadTicket);
        }
        let (fields, tag) = bytes.split_at(FIELDS);
        hmac::verify(&self.0, &signed(upload_id, fields), tag).map_err(|_| Error::BadTicket)?;
        let ticket = Ticket::read(fields).ok_or(Error::BadTicket)?;
        if ticket.expire_time > now { Ok(ticket) } else { Err(Error::BadTicket) }
    }
}

impl Ticket {
    fn fields(&self) -> [u8; FIELDS] {
        let mut fields = [0; FIELDS];
        fields[..16].copy_from_slice(self.workspace_id.as_bytes());
        fields[16..24].copy_from_slice(&self.size_bytes.to_be_bytes());
        fields[24..].copy_from_slice(&self.expire_time.to_be_bytes());
        fields
    }

    fn read(fields: &[u8]) -> Option<Self> {
        let (workspace, rest) = fields.split_first_chunk::<16>()?;
        let (size, expiry) = rest.split_first_chunk::<8>()?;
        Some(Self {
            workspace_id: Uuid::from_bytes(*workspace),
            size_bytes: i64::from_be_bytes(*size),
            expire_time: i64::from_be_bytes(expiry.try_into().ok()?),
        })
    }
}

fn signed(upload_id: Uuid, fields: &[u8]) -> Vec<u8> {
    [upload_id.as_bytes().as_slice(), fields].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_good_for_one_upload_until_it_expires() {
        let signer = Signer(hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]));
        let upload = Uuid::from_u128(1);
        let ticket = Ticket { workspace_id: Uuid::from_u128(2), size_bytes: 3, expire_time: 1000 };
        let token = signer.sign(upload, &ticket);
        assert_eq!(signer.check(upload, &token, 999).unwrap(), ticket);
        assert!(signer.check(upload, &token, 1000).is_err(), "expired");
        assert!(signer.check(Uuid::from_u128(9), &token, 0).is_err(), "another upload");
        let other = Signer(hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]));
        assert!(other.check(upload, &token, 0).is_err(), "another installation");
    }

    #[test]
    fn a_changed_token_is_refused_whichever_byte_changed() {
        let signer = Signer(hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]));
        let upload = Uuid::from_u128(1);
        let ticket = Ticket { workspace_id: Uuid::from_u128(2), size_bytes: 3, expire_time: 1000 };
        let bytes = BASE64URL_NOPAD.decode(signer.sign(upload, &ticket).as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(signer.check(upload, &BASE64URL_NOPAD.encode(&changed), 0).is_err(), "byte {at}");
        }
        assert!(signer.check(upload, "", 0).is_err());
    }
}

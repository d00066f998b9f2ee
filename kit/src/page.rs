//! Page sizes and opaque page tokens (AIP-158).

use data_encoding::BASE64URL_NOPAD;
use serde::{Serialize, de::DeserializeOwned};

use crate::status::FieldViolation;

const DEFAULT: usize = 50;
const MOST: usize = 200;

/// The page size to use for a request: 50 when 0, at most 200; negative is an error.
pub fn size(requested: i32) -> Result<usize, FieldViolation> {
    match usize::try_from(requested) {
        Ok(0) => Ok(DEFAULT),
        Ok(n) => Ok(n.min(MOST)),
        Err(_) => Err(FieldViolation::new("page_size", "NEGATIVE", "must not be negative")),
    }
}

/// Where the next page begins, as a token. Bind everything in it that the next request must repeat (filter, order).
pub fn encode<T: Serialize>(position: &T) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(position).expect("positions are plain data"))
}

/// Reads a page token; `None` for the first page.
pub fn decode<T: DeserializeOwned>(token: &str) -> Result<Option<T>, FieldViolation> {
    if token.is_empty() {
        return Ok(None);
    }
    let invalid = || FieldViolation::new("page_token", "INVALID", "is not a token this method answered");
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| invalid())?;
    serde_json::from_slice(&bytes).map(Some).map_err(|_| invalid())
}

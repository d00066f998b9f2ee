//! The ground truth about refresh tokens: one line each time one was presented, in the order the exchanges ended,
//! never changed or removed. The token itself is not kept, only the start of its SHA-256.

use serde::{Deserialize, Serialize};

use crate::{crypto, networks::Network};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Presentation {
    /// True time of the machine when the request arrived.
    pub(crate) at_ms: i64,
    pub(crate) network: Network,
    /// The handle the token names, believed or not.
    pub(crate) account: Option<String>,
    pub(crate) token_sha256_16: String,
    pub(crate) outcome: Outcome,
    /// The HTTP request that presented it (its `X-Request-Id`).
    pub(crate) request_id: String,
}

/// What the network did with a refresh token; the client may not have heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Its first use: a new pair, and its own life ends.
    Rotated,
    /// Good for more uses: a new access token, its own life goes on.
    Renewed,
    /// Used before, and within the time in which that does no harm: it leads to the same next token again.
    Repeated,
    /// Expired, revoked or not one of ours.
    Refused,
    /// A fault or a limit kept the network from looking at it.
    NotExecuted,
}

/// The first 16 hexadecimal digits of a token's SHA-256.
pub(crate) fn fingerprint(token: &str) -> String {
    let mut hex = crypto::sha256_hex(token.as_bytes());
    hex.truncate(16);
    hex
}

//! What a refusal of an AT Protocol server proves. Codes are those that packages/pds and packages/xrpc-server of
//! bluesky-social/atproto answer before a commit. `InvalidSwap` is not among them: it says that another record, which
//! may be ours, holds the key. Neither is any 5xx: an existing key is an opaque 500 for some calls.

use super::super::wire::{Proof, Rule, rule};
use crate::domain::outcome::RATE_LIMITED;

const SIGN_IN: Proof = Proof::Reconnect("The server ended the session. Connect the account again.");

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    // packages/pds/src/auth-verifier.ts: before the handler runs. Expiry is a 400 here, not a 401.
    rule(400, "ExpiredToken", Proof::TokenExpired),
    rule(401, "ExpiredToken", Proof::TokenExpired),
    rule(400, "InvalidToken", SIGN_IN),
    rule(401, "InvalidToken", SIGN_IN),
    // packages/oauth/oauth-verifier and packages/pds/src/auth-verifier.ts: the proof and the token come first as well.
    rule(
        401,
        "use_dpop_nonce",
        Proof::Transient("NONCE", "The server asks for a newer proof; it is sent again with one."),
    ),
    rule(401, "invalid_token", Proof::TokenExpired),
    rule(
        401,
        "AccountTakedown",
        Proof::Reconnect("The account has been taken down. Appeal at the server, then connect again."),
    ),
    rule(
        401,
        "AccountDeactivated",
        Proof::Reconnect("The account is deactivated. Activate it, then connect it again."),
    ),
    rule(403, "AccountNotFound", Proof::Reconnect("The account has left this server. Connect it again.")),
    rule(
        403,
        "ScopeMissing",
        Proof::Reconnect(
            "The authorization does not cover posting. Connect again and allow everything asked for.",
        ),
    ),
    // packages/pds/src/api/com/atproto/repo/putRecord.ts and repo/prepare.ts: before the commit.
    rule(
        400,
        "InvalidRequest",
        Proof::Rejected(
            "CONTENT_REFUSED",
            "The server refuses this content. Change the text or the pictures.",
        ),
    ),
    rule(
        400,
        "InvalidMimeType",
        Proof::Rejected("IMAGE_TYPE", "The server does not accept this kind of picture."),
    ),
    rule(
        400,
        "InvalidSize",
        Proof::Rejected(
            "IMAGE_TOO_LARGE",
            "The server does not accept a picture of this size. Use a smaller one.",
        ),
    ),
    rule(
        413,
        "PayloadTooLarge",
        Proof::Rejected(
            "IMAGE_TOO_LARGE",
            "The server does not accept a picture of this size. Use a smaller one.",
        ),
    ),
    rule(
        400,
        "BlobNotFound",
        Proof::Stale(
            "MEDIA_GONE",
            "The server has cleared the uploaded pictures away; they are uploaded again.",
        ),
    ),
    // packages/xrpc-server/src/rate-limiter.ts: before the handler runs.
    rule(429, "RateLimitExceeded", Proof::Transient(RATE_LIMITED, "The server asks to wait.")),
];

/// Whether an answer to `refreshSession` or `deleteSession` means that the session is over for good.
pub(super) fn ends_session(status: u16, code: &str) -> bool {
    const OVER: [&str; 5] =
        ["ExpiredToken", "InvalidToken", "AccountTakedown", "AccountDeactivated", "AccountNotFound"];
    matches!(status, 400 | 401 | 403) && OVER.contains(&code)
}

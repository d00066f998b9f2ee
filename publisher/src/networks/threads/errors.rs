//! What a refusal of Threads proves, by `code/subcode` of the Graph's error envelope
//! (<https://developers.facebook.com/docs/threads/troubleshooting>, and the codes of the Graph API). A 5xx never proves
//! anything: `threads_publish` has answered 500 with code 10 for containers that were published all the same.

use super::super::{
    graph::{self, THROTTLED},
    wire::{Proof, Rule, rule},
};
use crate::domain::outcome::RATE_LIMITED;

/// The container or post that was asked for is not there, or not there yet.
pub(super) const NOT_THERE: &str = "24/4279009";

/// First match wins; statuses 400 to 429 alike, see [`graph::judge`].
pub(super) const RULES: &[Rule] = &[
    // The token is looked at before anything else; one that has expired can no longer be renewed.
    rule(
        400,
        "190/",
        Proof::Reconnect("The authorization has ended or was taken back. Connect the account again."),
    ),
    rule(
        400,
        "10/",
        Proof::Reconnect(
            "The authorization does not cover this. Connect the account again and allow everything asked for.",
        ),
    ),
    // Right after its creation a container may not be found; the same one is published a moment later.
    rule(
        400,
        NOT_THERE,
        Proof::Transient("CONTAINER_NOT_SEEN", "The network does not show the prepared post yet."),
    ),
    rule(400, "9004/2207052", graph::NOT_FETCHED),
    // 250 posts and 1000 replies in 24 hours.
    rule(
        400,
        "/2207042",
        Proof::Transient(RATE_LIMITED, "The account has reached the network's limit of this day."),
    ),
    rule(
        400,
        "/4279013",
        Proof::Rejected(
            "ACCOUNT_RESTRICTED",
            "The network has restricted this account. Open Threads, settle it there, then post again.",
        ),
    ),
    // Limits of the application, the account and the business use case.
    rule(400, THROTTLED, Proof::Transient(RATE_LIMITED, "The network asks to wait.")),
    // Parameters are checked before anything is made; a text that is too long is among them.
    rule(
        400,
        "100/",
        Proof::Rejected(
            "CONTENT_REFUSED",
            "The network refuses this content. Change the text, media or settings.",
        ),
    ),
];

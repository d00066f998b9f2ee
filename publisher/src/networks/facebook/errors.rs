//! What a refusal of a Page proves. Codes are those of
//! <https://developers.facebook.com/docs/graph-api/guides/error-handling> and of the reference pages of the edges named
//! below. Whatever is not here proves nothing; codes 1 and 2 and every 5xx never do, because the post may have been made.

use super::super::{
    graph::{FORBIDDEN, THROTTLED},
    wire::{Proof, Rule, rule},
};
use crate::domain::outcome::RATE_LIMITED;

const SIGN_IN: Proof = Proof::Reconnect("Facebook took the authorization back. Connect the Page again.");

const SCOPES: Proof = Proof::Reconnect(
    "The authorization does not cover posting to this Page. Connect it again and allow everything asked for.",
);

const IDENTITY: Proof = Proof::Reconnect(
    "Facebook wants the Page or its owner confirmed first. Settle it at Facebook, then connect the Page again.",
);

const WAIT: Proof = Proof::Transient(RATE_LIMITED, "Facebook asks to wait.");

const LINK: Proof = Proof::Rejected("LINK_REFUSED", "Facebook does not accept this link. Use another one.");

const MEDIA: Proof =
    Proof::Rejected("MEDIA_REFUSED", "Facebook does not accept this picture or video. Use another one.");

const POLICY: Proof = Proof::Rejected(
    "BLOCKED_BY_NETWORK",
    "Facebook takes this for abuse or against its rules and blocks it. Look at the Page at Facebook.",
);

const REEL: Proof = Proof::Rejected(
    "REEL_REFUSED",
    "Facebook takes reels of 3 to 90 seconds, 9:16, at least 540 x 960 pixels and 24 to 60 frames a second.",
);

/// First match wins; see [`super::graph::judge`] for how a row is written.
pub(super) const RULES: &[Rule] = &[
    // Error handling guide, "access token": checked before anything else runs.
    rule(400, "190/463", Proof::TokenExpired),
    rule(400, "190/", SIGN_IN),
    rule(400, "102/", SIGN_IN),
    // Page publishing authorization and checks of identity.
    rule(400, "/1404078", IDENTITY),
    rule(400, "/4854002", IDENTITY),
    // Reels publishing guide, "errors".
    rule(400, "/1363040", REEL),
    rule(400, "/1363127", REEL),
    rule(400, "/1363128", REEL),
    rule(400, "/1363129", REEL),
    // Page feed and Page photos reference, "error codes".
    rule(400, "/1609005", LINK),
    rule(400, "/1609008", LINK),
    rule(400, "/2061006", LINK),
    rule(400, "/1366046", MEDIA),
    rule(400, "/2069019", MEDIA),
    rule(400, "/1349125", MEDIA),
    rule(400, "324/", MEDIA),
    rule(400, "389/", MEDIA),
    rule(400, "368/", POLICY),
    rule(400, "/1346003", POLICY),
    rule(400, "/1404102", POLICY),
    rule(400, "/1404112", POLICY),
    rule(400, "/1404006", POLICY),
    rule(400, "/1390008", WAIT),
    // Rate limiting guide: 4 application, 17 person, 32 Page, 80001 Page with its own token; 341 and 613 of edges.
    rule(400, THROTTLED, WAIT),
    // Permissions: error handling guide, codes 3, 10 and 200 to 299.
    rule(400, "3/", SCOPES),
    rule(400, FORBIDDEN, SCOPES),
    rule(
        400,
        "100/33",
        Proof::Rejected(
            "PAGE_GONE",
            "Facebook no longer shows this Page to us. Look at its access, then connect it again.",
        ),
    ),
    // A parameter is looked at before anything is made.
    rule(
        400,
        "100/",
        Proof::Rejected("CONTENT_REFUSED", "Facebook refuses this content. Change the text or the settings."),
    ),
];

/// The same text twice in a row (Page feed reference, 506). On a first send it is another post's text; on a repetition
/// the post it repeats may well be ours, so there it proves nothing.
pub(super) const DUPLICATE: Rule = rule(
    400,
    "506/",
    Proof::Rejected("DUPLICATE", "The Page's last post has the same text. Change it, or post it later."),
);

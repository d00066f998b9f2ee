//! What a refusal of Instagram proves. Codes are those of
//! <https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes>. Whatever is not
//! here proves nothing: 4/2207051 was answered to posts that went live, and server trouble (1, 2, 5xx) may come after
//! the publication.

use super::super::{
    graph::{FORBIDDEN, NOT_FETCHED, THROTTLED},
    wire::{Proof, Rule, rule},
};
use crate::domain::outcome::RATE_LIMITED;

const SIGN_IN: Proof = Proof::Reconnect("Instagram took the authorization back. Connect the account again.");

const VIDEO: Proof = Proof::Rejected(
    "VIDEO_REFUSED",
    "Instagram does not take this video: MP4 or MOV with H.264 or HEVC and AAC, 3 seconds to 15 minutes.",
);

const TAGS: Proof =
    Proof::Rejected("TAGS_REFUSED", "Instagram refuses the user names or hashtags. Change them.");

/// The code of a used-up day.
pub(super) const DAILY_LIMIT: &str = "DAILY_LIMIT";

/// First match wins; see [`super::graph::judge`] for how a row is written.
pub(super) const RULES: &[Rule] = &[
    // The token is looked at before anything else.
    rule(400, "190/463", Proof::TokenExpired),
    rule(400, "190/", SIGN_IN),
    rule(400, "102/", SIGN_IN),
    rule(
        400,
        "/2207050",
        Proof::Reconnect(
            "Instagram restricts this account. Settle it in the app, then connect the account again.",
        ),
    ),
    // Publishing is refused before it begins.
    rule(
        400,
        "/2207042",
        Proof::Transient(DAILY_LIMIT, "The account has published as much as Instagram allows in a day."),
    ),
    rule(400, "/2207027", Proof::Transient("MEDIA_PROCESSING", "Instagram is still processing the media.")),
    // The content, as it is told when a container is made or when it fails.
    rule(400, "/2207026", VIDEO),
    rule(400, "/2207077", VIDEO),
    rule(
        400,
        "/2207004",
        Proof::Rejected("IMAGE_TOO_LARGE", "Instagram takes pictures of at most 8 MB. Use a smaller one."),
    ),
    rule(
        400,
        "/2207005",
        Proof::Rejected("MEDIA_REFUSED", "Instagram does not accept this picture. Use another one."),
    ),
    rule(
        400,
        "/2207009",
        Proof::Rejected("IMAGE_ASPECT", "Instagram takes pictures between 4:5 and 1.91:1. Crop it."),
    ),
    rule(
        400,
        "/2207010",
        Proof::Rejected("TEXT_TOO_LONG", "Instagram takes captions of at most 2200 characters. Shorten it."),
    ),
    rule(
        400,
        "/2207023",
        Proof::Rejected("MEDIA_REFUSED", "Instagram does not take this kind of media in this kind of post."),
    ),
    rule(
        400,
        "/2207028",
        Proof::Rejected("CAROUSEL_REFUSED", "Instagram takes 2 to 10 items in a carousel."),
    ),
    rule(400, "/2207035", TAGS),
    rule(400, "/2207036", TAGS),
    rule(400, "/2207037", TAGS),
    rule(400, "/2207040", TAGS),
    rule(
        400,
        "/2207057",
        Proof::Rejected("COVER_REFUSED", "The cover's moment lies outside of the video. Choose another one."),
    ),
    rule(
        400,
        "/2207081",
        Proof::Rejected("NOT_ALLOWED", "Instagram does not offer trial reels to this account."),
    ),
    // Rate limits of the Graph API; 80002 is Instagram's own.
    rule(400, THROTTLED, Proof::Transient(RATE_LIMITED, "Instagram asks to wait.")),
    rule(
        400,
        FORBIDDEN,
        Proof::Reconnect(
            "The authorization does not cover publishing. Connect the account again and allow everything asked for.",
        ),
    ),
    rule(400, "100/33", Proof::Reconnect("Instagram no longer shows this account to us. Connect it again.")),
    // A parameter is looked at before anything is made.
    rule(
        400,
        "100/",
        Proof::Rejected(
            "CONTENT_REFUSED",
            "Instagram refuses this content. Change the text or the settings.",
        ),
    ),
];

/// What a container may run into that a further one may not.
pub(super) const CONTAINER: &[Rule] = &[
    rule(400, "/2207001", AGAIN),
    rule(400, "/2207003", AGAIN),
    rule(400, "/2207020", AGAIN),
    rule(400, "/2207032", AGAIN),
    rule(400, "/2207053", AGAIN),
    rule(400, "/2207082", AGAIN),
    rule(400, "/2207085", AGAIN),
    rule(400, "/2207052", NOT_FETCHED),
];

const AGAIN: Proof = Proof::Transient("MEDIA_FAILED", "Instagram could not take the media this time.");

/// The container is not there any more (24/2207008). On a first send it has expired, and others are made; on a repetition
/// it may well have been published by the one before, so there it proves nothing.
pub(super) const CONTAINER_GONE: Rule = rule(
    400,
    "24/2207008",
    Proof::Stale("CONTAINER_GONE", "Instagram has dropped the prepared media; they are prepared again."),
);

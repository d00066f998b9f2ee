//! What a refusal of a Mastodon server proves. Texts are those of `config/locales/en.yml` and of the models in
//! mastodon/mastodon, which the API answers untranslated. Whatever is not here proves nothing; 5xx never does, even
//! where the server calls it temporary, because the post may have been stored before.

use super::super::{
    thread,
    wire::{Proof, Rule, rule},
};
use crate::domain::outcome::RATE_LIMITED;

const SIGN_IN: Proof = Proof::Reconnect("The server took the authorization back. Connect the account again.");

/// First match wins.
pub(super) const RULES: &[Rule] = &[
    // doorkeeper: the token is checked before anything else runs.
    rule(401, "The access token is invalid", SIGN_IN),
    rule(401, "The access token was revoked", SIGN_IN),
    rule(401, "The access token expired", SIGN_IN),
    // app/controllers/api/base_controller.rb: require_user!, before the action.
    rule(
        403,
        "Your login is currently disabled",
        Proof::Reconnect(
            "The server has disabled this account. Settle it with its moderators, then connect again.",
        ),
    ),
    rule(
        403,
        "Your login is missing a confirmed e-mail address",
        Proof::Reconnect("Confirm the account's e-mail address at the server, then connect again."),
    ),
    rule(
        403,
        "Your login is currently pending approval",
        Proof::Reconnect("The server has not approved this account yet. Connect again once it has."),
    ),
    rule(
        403,
        "This action is outside the authorized scopes",
        Proof::Reconnect(
            "The authorization does not cover posting. Connect again and allow everything asked for.",
        ),
    ),
    rule(
        403,
        "This action is not allowed",
        Proof::Rejected("NOT_ALLOWED", "The server does not allow this account to post this."),
    ),
    // app/validators/status_length_validator.rb and the model: the transaction is rolled back.
    rule(
        422,
        "Validation failed: Text character limit",
        Proof::Rejected("TEXT_TOO_LONG", "The text is longer than the server accepts. Shorten it."),
    ),
    rule(
        422,
        "Validation failed: Text can't be blank",
        Proof::Rejected("EMPTY", "The server takes no empty post. Write a text or add a picture."),
    ),
    rule(
        422,
        "Validation failed: File",
        Proof::Rejected("MEDIA_REFUSED", "The server does not accept this file. Use another one."),
    ),
    rule(
        422,
        "Error processing thumbnail for uploaded media",
        Proof::Rejected("MEDIA_REFUSED", "The server could not process the file. Use another one."),
    ),
    rule(
        422,
        "Validation failed:",
        Proof::Rejected(
            "CONTENT_REFUSED",
            "The server refuses this content. Change the text or the settings.",
        ),
    ),
    // app/services/post_status_service.rb: validate_media!, before the status is built.
    rule(
        422,
        "Cannot attach files that have not finished processing",
        Proof::Transient("MEDIA_PROCESSING", "The server is still processing what is attached."),
    ),
    rule(
        422,
        "Cannot attach more than",
        Proof::Rejected("TOO_MANY_IMAGES", "The server accepts fewer pictures in one post. Remove some."),
    ),
    rule(
        422,
        "Cannot attach a video to a post that already contains images",
        Proof::Rejected("MIXED_MEDIA", "The server accepts either pictures or one video in a post."),
    ),
    // app/controllers/api/v1/statuses_controller.rb: set_thread, before the action.
    rule(404, "The post you are trying to reply to", Proof::Rejected(thread::GONE.0, thread::GONE.1)),
    // config/initializers/rack_attack.rb and the rate limits of the models.
    rule(429, "Too many requests", Proof::Transient(RATE_LIMITED, "The server asks to wait.")),
];

/// The answer when media ids are unknown or belong to a post already. On a first send it means that they have been
/// cleared away; on a repetition the post that took them may well be ours, so there it proves nothing.
pub(super) const MEDIA_GONE: Rule = rule(
    422,
    "Media ",
    Proof::Stale("MEDIA_GONE", "The server has cleared the uploaded pictures away; they are uploaded again."),
);

/// A proxy in front of the server says that the upload is too large.
pub(super) const UPLOAD_TOO_LARGE: (&str, &str) =
    ("FILE_TOO_LARGE", "The server does not accept a file of this size. Use a smaller one.");

/// Whether an answer of the token endpoint means that the authorization is over for good (doorkeeper, RFC 6749 5.2).
pub(super) fn ends_session(status: u16, code: &str) -> bool {
    matches!(status, 400 | 401) && matches!(code, "invalid_grant" | "invalid_client" | "unauthorized_client")
}

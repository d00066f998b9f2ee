//! What a user writes, checked in itself: every bad field at once, before anybody else is asked.

use std::collections::HashSet;

use postmesh_kit::{
    ids,
    status::{FieldViolation, Violations},
};
use uuid::Uuid;

use super::{plan, post::Media};

/// Characters a text may have here; each network's own limit is checked by the publisher.
pub const MAX_TEXT_CHARS: usize = 100_000;
/// Media items of a post.
pub const MAX_MEDIA: usize = 20;
/// Targets of a post.
pub const MAX_TARGETS: usize = 100;
/// Characters of a description of a media item.
pub const MAX_ALT_CHARS: usize = 2_000;
/// Bytes of one target's settings, as encoded.
pub const MAX_SETTINGS_BYTES: usize = 16 * 1024;

/// A media item as the user names it.
#[derive(Debug, Clone, Default)]
pub struct RawMedia {
    /// The library's id, unchecked.
    pub media_id: String,
    /// Description; the library's when empty.
    pub alt_text: String,
}

/// A target as the user names it.
#[derive(Debug, Clone, Default)]
pub struct RawTarget {
    /// The account's id, unchecked.
    pub account_id: String,
    /// Its own text.
    pub text: Option<String>,
    /// Encoded settings.
    pub settings: Vec<u8>,
}

/// What a request says; `None` where it says nothing about it.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// The text.
    pub text: Option<String>,
    /// The media.
    pub media: Option<Vec<RawMedia>>,
    /// The targets.
    pub targets: Option<Vec<RawTarget>>,
    /// When to publish, Unix milliseconds; `Err` for a timestamp that is none.
    pub schedule_time: Option<Result<i64, FieldViolation>>,
}

/// A media item with a sound id, not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMedia {
    /// The library's id.
    pub id: Uuid,
    /// Description; the library's when empty.
    pub alt_text: String,
}

impl NewMedia {
    /// As it was on a post before.
    pub fn known(media: &Media) -> Self {
        Self { id: media.id, alt_text: media.alt_text.clone() }
    }
}

/// A target with a sound id; network and handle are known once the publisher was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTarget {
    /// The account.
    pub account_id: Uuid,
    /// The account's network; empty until the publisher was asked.
    pub network: String,
    /// The account's handle; empty until the publisher was asked.
    pub handle: String,
    /// Its own text.
    pub text: Option<String>,
    /// Encoded settings.
    pub settings: Vec<u8>,
}

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The text.
    pub text: Option<String>,
    /// The media.
    pub media: Option<Vec<NewMedia>>,
    /// The targets.
    pub targets: Option<Vec<NewTarget>>,
    /// When to publish.
    pub due_at: Option<i64>,
}

impl Raw {
    /// Checks it, and collects what is wrong into `violations`; the draft is whole only when nothing was.
    pub fn check(self, now: i64, violations: &mut Violations) -> Draft {
        if let Some(text) = &self.text {
            check_text("text", text, violations);
        }
        let media = self.media.map(|media| check_media(media, violations));
        let targets = self.targets.map(|targets| check_targets(targets, violations));
        let due_at = self
            .schedule_time
            .and_then(|time| violations.take(time.and_then(|requested| plan::due_at(requested, now))));
        Draft { text: self.text, media, targets, due_at }
    }
}

fn check_text(field: &str, text: &str, violations: &mut Violations) {
    let chars = text.chars().count();
    violations.require(
        chars <= MAX_TEXT_CHARS,
        field,
        "TEXT_TOO_LONG",
        format!("has {chars} characters; at most {MAX_TEXT_CHARS} are allowed"),
    );
    violations.require(!text.contains('\0'), field, "NUL_CHARACTER", "must not hold a NUL character");
}

fn check_media(media: Vec<RawMedia>, violations: &mut Violations) -> Vec<NewMedia> {
    violations.require(
        media.len() <= MAX_MEDIA,
        "media",
        "TOO_MANY",
        format!("has {} items; at most {MAX_MEDIA} are allowed", media.len()),
    );
    let mut checked = Vec::with_capacity(media.len());
    for (at, item) in media.into_iter().enumerate() {
        let id = violations.take(ids::parse(&format!("media[{at}].media_id"), &item.media_id));
        let field = format!("media[{at}].alt_text");
        let chars = item.alt_text.chars().count();
        violations.require(
            chars <= MAX_ALT_CHARS,
            &field,
            "TEXT_TOO_LONG",
            format!("has {chars} characters; at most {MAX_ALT_CHARS} are allowed"),
        );
        violations.require(
            !item.alt_text.contains('\0'),
            &field,
            "NUL_CHARACTER",
            "must not hold a NUL character",
        );
        checked.extend(id.map(|id| NewMedia { id, alt_text: item.alt_text }));
    }
    checked
}

fn check_targets(targets: Vec<RawTarget>, violations: &mut Violations) -> Vec<NewTarget> {
    violations.require(
        !targets.is_empty(),
        "targets",
        "REQUIRED",
        "needs at least one target: the account to publish on",
    );
    violations.require(
        targets.len() <= MAX_TARGETS,
        "targets",
        "TOO_MANY",
        format!("has {} targets; at most {MAX_TARGETS} are allowed", targets.len()),
    );
    let mut seen = HashSet::new();
    let mut checked = Vec::with_capacity(targets.len());
    for (at, target) in targets.into_iter().enumerate() {
        let field = format!("targets[{at}].account_id");
        let account_id = violations.take(ids::parse(&field, &target.account_id));
        if let Some(id) = account_id {
            violations.require(
                seen.insert(id),
                field,
                "DUPLICATE",
                "names an account that another target names",
            );
        }
        if let Some(text) = &target.text {
            check_text(&format!("targets[{at}].text"), text, violations);
        }
        violations.require(
            target.settings.len() <= MAX_SETTINGS_BYTES,
            format!("targets[{at}].settings"),
            "TOO_LARGE",
            format!("has {} bytes; at most {MAX_SETTINGS_BYTES} are allowed", target.settings.len()),
        );
        checked.extend(account_id.map(|account_id| NewTarget {
            account_id,
            network: String::new(),
            handle: String::new(),
            text: target.text,
            settings: target.settings,
        }));
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(account: &str) -> RawTarget {
        RawTarget { account_id: account.into(), ..RawTarget::default() }
    }

    #[test]
    fn names_every_bad_field_at_once() {
        let account = Uuid::from_u128(9).to_string();
        let mut violations = Violations::default();
        Raw {
            text: Some("a\0".into()),
            media: Some(vec![RawMedia { media_id: "x".into(), alt_text: "y".repeat(MAX_ALT_CHARS + 1) }]),
            targets: Some(vec![
                target(&account),
                target("nope"),
                target(&account),
                RawTarget {
                    text: Some("z".repeat(MAX_TEXT_CHARS + 1)),
                    ..target(&Uuid::from_u128(3).to_string())
                },
            ]),
            schedule_time: Some(Ok(0)),
        }
        .check(1_800_000_000_000, &mut violations);
        let fields: Vec<_> = violations.into_result().unwrap_err().into_iter().map(|v| v.field).collect();
        assert_eq!(
            fields,
            [
                "text",
                "media[0].media_id",
                "media[0].alt_text",
                "targets[1].account_id",
                "targets[2].account_id",
                "targets[3].text",
                "schedule_time"
            ]
        );
    }

    #[test]
    fn asks_for_a_target_and_bounds_the_numbers() {
        let mut violations = Violations::default();
        Raw { targets: Some(Vec::new()), ..Raw::default() }.check(0, &mut violations);
        assert_eq!(violations.into_result().unwrap_err()[0].reason, "REQUIRED");
        let many = |n: u128| (0..n).map(|id| target(&Uuid::from_u128(id + 1).to_string())).collect();
        let mut violations = Violations::default();
        Raw { targets: Some(many(101)), ..Raw::default() }.check(0, &mut violations);
        assert_eq!(violations.into_result().unwrap_err()[0].reason, "TOO_MANY");
        let mut violations = Violations::default();
        let draft = Raw { targets: Some(many(100)), ..Raw::default() }.check(0, &mut violations);
        assert!(violations.is_empty());
        assert_eq!(draft.targets.unwrap().len(), 100);
    }
}

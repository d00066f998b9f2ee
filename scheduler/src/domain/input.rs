//! What a user writes, checked in itself: every bad field at once, before anybody else is asked.

use std::collections::HashSet;

use postmesh_kit::{
    ids,
    status::{FieldViolation, Violations},
};
use uuid::Uuid;

use super::{plan, post::Media, settings, thread::Part};

/// Characters a text may have here; each network's own limit is checked by the publisher.
pub const MAX_TEXT_CHARS: usize = 100_000;
/// Media items of a post, and of each further part of its thread.
pub const MAX_MEDIA: usize = 20;
/// Accounts of a post.
pub const MAX_TARGETS: usize = 100;
/// Further parts of a thread.
pub const MAX_PARTS: usize = 24;
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

/// A further part as the user wrote it.
#[derive(Debug, Clone, Default)]
pub struct RawPart {
    /// The text.
    pub text: String,
    /// The media.
    pub media: Vec<RawMedia>,
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
    /// The further parts.
    pub thread: Option<Vec<RawPart>>,
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

/// A further part whose media are not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// The text.
    pub text: String,
    /// The media.
    pub media: Vec<NewMedia>,
}

impl NewPart {
    /// As it was in a thread before.
    pub fn known(part: &Part) -> Self {
        Self { text: part.text.clone(), media: part.media.iter().map(NewMedia::known).collect() }
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
    /// The further parts.
    pub thread: Option<Vec<NewPart>>,
    /// When to publish.
    pub due_at: Option<i64>,
}

impl Raw {
    /// Checks it, and collects what is wrong into `violations`; the draft is whole only when nothing was.
    pub fn check(self, now: i64, violations: &mut Violations) -> Draft {
        if let Some(text) = &self.text {
            check_text("text", text, violations);
        }
        let media = self.media.map(|media| check_media("media", media, violations));
        let targets = self.targets.map(|targets| check_targets(targets, violations));
        let thread = self.thread.map(|thread| check_thread(thread, violations));
        let due_at = self
            .schedule_time
            .and_then(|time| violations.take(time.and_then(|requested| plan::due_at(requested, now))));
        Draft { text: self.text, media, targets, thread, due_at }
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

fn check_media(name: &str, media: Vec<RawMedia>, violations: &mut Violations) -> Vec<NewMedia> {
    violations.require(
        media.len() <= MAX_MEDIA,
        name,
        "TOO_MANY",
        format!("has {} items; at most {MAX_MEDIA} are allowed", media.len()),
    );
    let mut checked = Vec::with_capacity(media.len());
    for (at, item) in media.into_iter().enumerate() {
        let id = violations.take(ids::parse(&format!("{name}[{at}].media_id"), &item.media_id));
        let field = format!("{name}[{at}].alt_text");
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

fn check_thread(thread: Vec<RawPart>, violations: &mut Violations) -> Vec<NewPart> {
    violations.require(
        thread.len() <= MAX_PARTS,
        "thread",
        "TOO_MANY",
        format!("has {} parts; at most {MAX_PARTS} are allowed after the first", thread.len()),
    );
    let mut checked = Vec::with_capacity(thread.len().min(MAX_PARTS));
    for (at, part) in thread.into_iter().take(MAX_PARTS).enumerate() {
        let field = format!("thread[{at}].text");
        violations.require(
            !part.text.trim().is_empty() || !part.media.is_empty(),
            &field,
            "REQUIRED",
            "is empty, and the part has no media: nothing would be posted",
        );
        check_text(&field, &part.text, violations);
        let media = check_media(&format!("thread[{at}].media"), part.media, violations);
        checked.push(NewPart { text: part.text, media });
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
        for named in settings::named(&target.settings) {
            violations.take(ids::parse(&format!("targets[{at}].{}", named.field), &named.id));
        }
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
            thread: Some(vec![
                RawPart { text: "fine".into(), media: Vec::new() },
                RawPart {
                    text: " ".into(),
                    media: vec![RawMedia { media_id: "y".into(), alt_text: "a\0".into() }],
                },
                RawPart::default(),
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
                "thread[1].media[0].media_id",
                "thread[1].media[0].alt_text",
                "thread[2].text",
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
        let parts = |n: usize| Some(vec![RawPart { text: "p".into(), media: Vec::new() }; n]);
        let mut violations = Violations::default();
        Raw { thread: parts(25), ..Raw::default() }.check(0, &mut violations);
        let refused = violations.into_result().unwrap_err();
        assert_eq!((refused[0].field.as_str(), refused[0].reason), ("thread", "TOO_MANY"));
        let mut violations = Violations::default();
        Raw { thread: parts(24), ..Raw::default() }.check(0, &mut violations);
        assert!(violations.is_empty());
        let mut violations = Violations::default();
        let draft = Raw { targets: Some(many(100)), ..Raw::default() }.check(0, &mut violations);
        assert!(violations.is_empty());
        assert_eq!(draft.targets.unwrap().len(), 100);
    }
}

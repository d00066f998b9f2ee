//! Content checked with those who know: media with the library, accounts and limits with the publisher. All
//! violations come back at once, named by the fields of the request.

use std::collections::{BTreeSet, HashMap};

use postmesh_kit::{status::FieldViolation, time};
use postmesh_proto::{
    media::v1 as library,
    publisher::v1::{Account, AccountState, ValidateItem, ValidateResult},
};
use uuid::Uuid;

use crate::{
    deps::Deps,
    domain::{Media, NewMedia, NewPart, NewTarget, Part, settings},
    error::{Error, NotReady},
    neighbours,
};

/// Content as it was written.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The text.
    pub(super) text: String,
    /// The media.
    pub(super) media: Vec<NewMedia>,
    /// The further parts.
    pub(super) thread: Vec<NewPart>,
    /// The accounts.
    pub(super) targets: Vec<NewTarget>,
    /// The first part to check: those before it are published. 0 checks all.
    pub(super) from: usize,
}

/// Content that its networks take.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// The media with what the library knows of them; empty when only later parts were checked.
    pub(super) media: Vec<Media>,
    /// The further parts; those before the first checked one without media.
    pub(super) thread: Vec<Part>,
    /// The targets with network and handle.
    pub(super) targets: Vec<NewTarget>,
}

/// Checks a post's content, every part for every account. Accounts first: one that is unknown is NOT_FOUND, one that is
/// not connected FAILED_PRECONDITION; then everything else as INVALID_ARGUMENT.
pub(super) async fn content(deps: &Deps, workspace_id: Uuid, wanted: &Wanted) -> Result<Checked, Error> {
    let parts: Vec<_> = std::iter::once((wanted.text.as_str(), wanted.media.as_slice()))
        .chain(wanted.thread.iter().map(|part| (part.text.as_str(), part.media.as_slice())))
        .collect();
    let attached = parts.iter().skip(wanted.from).flat_map(|(_, media)| *media).map(|item| item.id);
    // What settings name belongs to the first part.
    let first: &[NewTarget] = if wanted.from == 0 { &wanted.targets } else { &[] };
    let named = first.iter().flat_map(|target| settings::media_ids(&target.settings));
    let known = look_up(deps, workspace_id, attached.chain(named)).await?;
    let mut violations = Vec::new();
    let mut described = Vec::with_capacity(parts.len());
    for (position, (_, media)) in parts.iter().enumerate() {
        let media = if position < wanted.from { &[] } else { *media };
        described.push(describe_all(position, media, &known, &mut violations));
    }
    let all_media_known = violations.is_empty();
    for (at, target) in first.iter().enumerate() {
        named_media(at, target, &known, &mut violations);
    }
    let mut contents = Vec::with_capacity(wanted.targets.len() * parts.len());
    let mut places = Vec::with_capacity(contents.capacity());
    for (at, target) in wanted.targets.iter().enumerate() {
        for (position, (text, _)) in parts.iter().enumerate().skip(wanted.from) {
            let own = target.text.as_deref().filter(|_| position == 0);
            let content = neighbours::content(own.unwrap_or(text), &described[position], &target.settings)?;
            contents.push(ValidateItem {
                account_id: target.account_id.to_string(),
                content: Some(content),
                thread_position: i32::try_from(position).unwrap_or(i32::MAX),
                settings_media: settings::media_ids(&target.settings)
                    .filter_map(|id| known.get(&id).map(neighbours::described))
                    .collect(),
            });
            places.push((at, position));
        }
    }
    let results = neighbours::validate(&mut deps.publisher.clone(), workspace_id, contents).await?;
    let firsts: Vec<_> = places
        .iter()
        .zip(&results)
        .filter(|((_, position), _)| *position == wanted.from)
        .map(|(_, r)| r)
        .collect();
    let accounts = accounts(&wanted.targets, &firsts)?;
    for ((at, position), result) in places.iter().zip(&results) {
        for found in &result.violations {
            // Without its media a content may seem empty, and places in it are off.
            if !all_media_known && (found.field == "text" || found.field.starts_with("media")) {
                continue;
            }
            let violation = FieldViolation::new(
                field(*at, &wanted.targets[*at], *position, &found.field),
                "NETWORK_LIMIT",
                found.description.clone(),
            );
            if !violations.contains(&violation) {
                violations.push(violation);
            }
        }
    }
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    let targets = wanted
        .targets
        .iter()
        .zip(accounts)
        .map(|(target, account)| NewTarget {
            network: account.network.clone(),
            handle: account.handle.clone(),
            ..target.clone()
        })
        .collect();
    let mut described = described.into_iter();
    let media = described.next().unwrap_or_default();
    let thread = wanted
        .thread
        .iter()
        .zip(described)
        .map(|(part, media)| Part { text: part.text.clone(), media })
        .collect();
    Ok(Checked { media, thread, targets })
}

async fn look_up(
    deps: &Deps,
    workspace_id: Uuid,
    media: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, library::Media>, Error> {
    let ids: Vec<_> = media.collect::<BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    neighbours::media_items(&mut deps.media.clone(), workspace_id, &ids).await
}

/// The media of one part with what the library knows; those it does not know are noted.
fn describe_all(
    position: usize,
    media: &[NewMedia],
    known: &HashMap<Uuid, library::Media>,
    violations: &mut Vec<FieldViolation>,
) -> Vec<Media> {
    let mut described = Vec::with_capacity(media.len());
    for (at, wanted) in media.iter().enumerate() {
        match known.get(&wanted.id) {
            Some(item) => described.push(describe(wanted, item)),
            None => violations.push(FieldViolation::new(
                part_field(position, &format!("media[{at}].media_id")),
                "MEDIA_NOT_FOUND",
                format!("names no media item of this workspace: {}", wanted.id),
            )),
        }
    }
    described
}

/// Notes the media that a target's settings name and the library does not know.
fn named_media(
    at: usize,
    target: &NewTarget,
    known: &HashMap<Uuid, library::Media>,
    violations: &mut Vec<FieldViolation>,
) {
    for named in settings::named(&target.settings) {
        if !Uuid::try_parse(&named.id).is_ok_and(|id| known.contains_key(&id)) {
            violations.push(FieldViolation::new(
                format!("targets[{at}].{}", named.field),
                "MEDIA_NOT_FOUND",
                format!("names no media item of this workspace: {}", named.id),
            ));
        }
    }
}

fn describe(wanted: &NewMedia, item: &library::Media) -> Media {
    Media {
        id: wanted.id,
        alt_text: if wanted.alt_text.is_empty() { item.alt_text.clone() } else { wanted.alt_text.clone() },
        content_type: item.content_type.clone(),
        size_bytes: item.size_bytes,
        width: item.width,
        height: item.height,
        duration_ms: item.duration.as_ref().map_or(0, time::duration_from_proto),
    }
}

/// The account of each target, all of them connected.
fn accounts<'a>(targets: &[NewTarget], results: &[&'a ValidateResult]) -> Result<Vec<&'a Account>, Error> {
    let mut accounts = Vec::with_capacity(targets.len());
    let (mut unknown, mut not_ready) = (Vec::new(), Vec::new());
    for (target, result) in targets.iter().zip(results) {
        let Some(account) = &result.account else {
            unknown.push(target.account_id);
            continue;
        };
        if account.state() != AccountState::Connected {
            let next_step = if account.state_message.is_empty() {
                "connect it again".to_owned()
            } else {
                account.state_message.clone()
            };
            not_ready.push(NotReady {
                account_id: target.account_id,
                handle: account.handle.clone(),
                next_step,
            });
        }
        accounts.push(account);
    }
    if !unknown.is_empty() {
        return Err(Error::AccountNotFound(unknown));
    }
    if !not_ready.is_empty() {
        return Err(Error::AccountNotReady(not_ready));
    }
    Ok(accounts)
}

/// The request's field for something in one target's content.
fn field(at: usize, target: &NewTarget, position: usize, name: &str) -> String {
    let shared = name.starts_with("media") || (name == "text" && (position > 0 || target.text.is_none()));
    if shared { part_field(position, name) } else { format!("targets[{at}].{name}") }
}

/// The request's field for something in one part.
fn part_field(position: usize, name: &str) -> String {
    match position.checked_sub(1) {
        None => name.to_owned(),
        Some(further) => format!("thread[{further}].{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field_the_user_wrote() {
        let shared = NewTarget {
            account_id: Uuid::nil(),
            network: String::new(),
            handle: String::new(),
            text: None,
            settings: Vec::new(),
        };
        let own = NewTarget { text: Some("own".into()), ..shared.clone() };
        assert_eq!(field(1, &shared, 0, "text"), "text");
        assert_eq!(field(1, &own, 0, "text"), "targets[1].text");
        assert_eq!(field(1, &own, 2, "text"), "thread[1].text");
        assert_eq!(field(0, &own, 0, "media[2].alt_text"), "media[2].alt_text");
        assert_eq!(field(0, &own, 1, "media[2].alt_text"), "thread[0].media[2].alt_text");
        assert_eq!(
            field(3, &shared, 0, "settings.mastodon.language"),
            "targets[3].settings.mastodon.language"
        );
        assert_eq!(
            field(3, &shared, 4, "settings.mastodon.language"),
            "targets[3].settings.mastodon.language"
        );
    }
}

//! Content checked with those who know: media with the library, accounts and limits with the publisher. All
//! violations come back at once, named by the fields of the request.

use std::collections::HashMap;

use postmesh_kit::status::FieldViolation;
use postmesh_proto::{
    media::v1 as library,
    publisher::v1::{Account, AccountState, ValidateItem, ValidateResult},
};
use uuid::Uuid;

use crate::{
    deps::Deps,
    domain::{Media, NewMedia, NewTarget},
    error::{Error, NotReady},
    neighbours,
};

/// Content that its networks take.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// The media with what the library knows of them.
    pub(super) media: Vec<Media>,
    /// The targets with network and handle.
    pub(super) targets: Vec<NewTarget>,
}

/// Checks a post's content. Accounts first: one that is unknown is NOT_FOUND, one that is not connected
/// FAILED_PRECONDITION; then everything else as INVALID_ARGUMENT.
pub(super) async fn content(
    deps: &Deps,
    workspace_id: Uuid,
    text: &str,
    media: &[NewMedia],
    targets: &[NewTarget],
) -> Result<Checked, Error> {
    let known = look_up(deps, workspace_id, media).await?;
    let mut violations = Vec::new();
    let mut items = Vec::with_capacity(media.len());
    for (at, wanted) in media.iter().enumerate() {
        match known.get(&wanted.id) {
            Some(item) => items.push(describe(wanted, item)),
            None => violations.push(FieldViolation::new(
                format!("media[{at}].media_id"),
                "MEDIA_NOT_FOUND",
                format!("names no media item of this workspace: {}", wanted.id),
            )),
        }
    }
    let all_media_known = violations.is_empty();
    let contents = targets
        .iter()
        .map(|target| {
            let content =
                neighbours::content(target.text.as_deref().unwrap_or(text), &items, &target.settings)?;
            Ok(ValidateItem { account_id: target.account_id.to_string(), content: Some(content) })
        })
        .collect::<Result<_, Error>>()?;
    let results = neighbours::validate(&mut deps.publisher.clone(), workspace_id, contents).await?;
    let accounts = accounts(targets, &results)?;
    for (at, (target, result)) in targets.iter().zip(&results).enumerate() {
        for found in &result.violations {
            // Without its media a content may seem empty, and places in it are off.
            if !all_media_known && (found.field == "text" || found.field.starts_with("media")) {
                continue;
            }
            let violation = FieldViolation::new(
                field(at, target, &found.field),
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
    let targets = targets
        .iter()
        .zip(accounts)
        .map(|(target, account)| NewTarget {
            network: account.network.clone(),
            handle: account.handle.clone(),
            ..target.clone()
        })
        .collect();
    Ok(Checked { media: items, targets })
}

async fn look_up(
    deps: &Deps,
    workspace_id: Uuid,
    media: &[NewMedia],
) -> Result<HashMap<Uuid, library::Media>, Error> {
    if media.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<_> = media.iter().map(|item| item.id).collect();
    neighbours::media_items(&mut deps.media.clone(), workspace_id, &ids).await
}

fn describe(wanted: &NewMedia, item: &library::Media) -> Media {
    Media {
        id: wanted.id,
        alt_text: if wanted.alt_text.is_empty() { item.alt_text.clone() } else { wanted.alt_text.clone() },
        content_type: item.content_type.clone(),
        size_bytes: item.size_bytes,
        width: item.width,
        height: item.height,
    }
}

/// The account of each target, all of them connected.
fn accounts<'a>(targets: &[NewTarget], results: &'a [ValidateResult]) -> Result<Vec<&'a Account>, Error> {
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

/// The request's field for a part of one target's content.
fn field(at: usize, target: &NewTarget, part: &str) -> String {
    if part == "text" && target.text.is_none() || part.starts_with("media") {
        part.to_owned()
    } else {
        format!("targets[{at}].{part}")
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
        assert_eq!(field(1, &shared, "text"), "text");
        assert_eq!(field(1, &own, "text"), "targets[1].text");
        assert_eq!(field(0, &own, "media[2].alt_text"), "media[2].alt_text");
        assert_eq!(field(3, &shared, "settings.mastodon.language"), "targets[3].settings.mastodon.language");
    }
}

//! What is visible, against what was accepted.

use super::{Case, Findings};
use crate::rig::history::Target;

/// I1: a target that ended as published has its post, and the API still knows every accepted target.
pub(super) fn every_published_target_is_there(case: &Case<'_>, found: &mut Findings) {
    for target in &case.history.targets {
        if target.state == "published" && case.posts_of(target).is_empty() {
            found.of(target, "published, but nothing is visible");
        } else if target.state.is_empty() {
            found.of(target, "accepted, but the API does not know it");
        }
    }
}

/// I2: a target is visible at most once.
pub(super) fn at_most_one_post_per_target(case: &Case<'_>, found: &mut Findings) {
    for target in &case.history.targets {
        let posts = case.posts_of(target);
        if posts.len() > 1 {
            let ids: Vec<_> =
                posts.iter().map(|post| format!("{} at {}", post.native_id, post.at_ms)).collect();
            found.of(target, format!("visible {} times: {}", posts.len(), ids.join(", ")));
        }
    }
}

/// I3: what is visible was asked for, in the text and with the pictures acknowledged last.
pub(super) fn every_post_was_asked_for_as_it_is(case: &Case<'_>, found: &mut Findings) {
    for post in &case.strays {
        let (network, account, id) = (&post.network, &post.account, &post.native_id);
        found.add(format!("{id} of {account} on {network} is visible, but no target of the account is that"));
    }
    for target in &case.history.targets {
        let Some(last) = target.last() else {
            found.of(target, "accepted without content");
            continue;
        };
        for post in case.posts_of(target) {
            if post.content != last.content {
                found.of(target, format!("{} shows a text that was replaced before", post.native_id));
            } else if !shows(case, target, &post.media, &last.media) {
                let (shown, asked) = (post.media.len(), last.media.len());
                found.of(
                    target,
                    format!("{} shows {shown} other pictures than the {asked} asked for", post.native_id),
                );
            }
        }
    }
}

/// Whether these are the pictures asked for: by their descriptions, or by their number where the network shows none.
fn shows(case: &Case<'_>, target: &Target, shown: &[String], asked: &[String]) -> bool {
    let by_description = case.account_of(target).is_none_or(|account| account.shows_alt);
    if by_description { shown == asked } else { shown.len() == asked.len() }
}

/// I4: nothing is visible of a target that ended as failed, missed or cancelled.
pub(super) fn nothing_is_visible_of_what_ended_otherwise(case: &Case<'_>, found: &mut Findings) {
    for target in &case.history.targets {
        if matches!(target.state.as_str(), "failed" | "missed" | "cancelled")
            && let Some(post) = case.posts_of(target).first()
        {
            found.of(target, format!("{}, but {} is visible", target.state, post.native_id));
        }
    }
}

/// I5: a target that ended as published names the post that is visible.
pub(super) fn published_targets_name_their_post(case: &Case<'_>, found: &mut Findings) {
    for target in case.history.targets.iter().filter(|target| target.state == "published") {
        let posts = case.posts_of(target);
        let named = target.native_id.as_deref();
        if !posts.is_empty() && !posts.iter().any(|post| Some(post.native_id.as_str()) == named) {
            found.of(target, format!("published as {named:?}, but {} is visible", posts[0].native_id));
        }
    }
}

/// I14: no tenant's content is on another tenant's account, and no target names one.
pub(super) fn tenants_stay_apart(case: &Case<'_>, found: &mut Findings) {
    for target in &case.history.targets {
        if case.account_of(target).is_some_and(|account| account.tenant != target.tenant) {
            found.of(target, "goes to an account of another tenant");
        }
    }
    for post in &case.strays {
        let is_on = |account: &&crate::rig::history::Account| {
            account.network == post.network && account.handle == post.account
        };
        let Some(account) = case.history.accounts.iter().find(is_on) else { continue };
        let is_of = |content: &str| {
            case.history
                .targets
                .iter()
                .find(|target| target.revisions.iter().any(|revision| revision.content == content))
        };
        if let Some(target) = is_of(&post.content).filter(|target| target.tenant != account.tenant) {
            found.of(target, format!("is visible on {}, an account of another tenant", post.account));
        }
    }
}

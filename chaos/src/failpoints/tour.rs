//! What brings a post to each point. A further point is a line in [`act`], a further network a line in [`unreachable`]
//! when something there cannot be reached.

use std::time::Duration;

use anyhow::ensure;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    faults::POINTS,
};
use postmesh_proto::common::v1::TargetState;
use serde_json::json;
use tokio::time::Instant;

use crate::rig::{
    Sandbox,
    client::{Draft, Network, Part, Written, network},
    history::{Account, Class},
    workload::{Crowd, Member, needs_of},
};

/// A post that is changed or withdrawn is due so late, milliseconds: late enough to be changed, soon enough to be
/// handed over at once.
const LATER_MS: i64 = 1_900;
/// It was handed over by then, or something stands still.
const HANDED_OVER_WITHIN: Duration = Duration::from_millis(1_500);

/// An account that lost its session is connected again by then.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);

/// What a user and the network do so that a point is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A text is posted.
    Text,
    /// A picture is posted.
    Picture,
    /// A thread is posted, where there are threads.
    Thread,
    /// A post is changed after it was handed over.
    Edit,
    /// A post is withdrawn after it was handed over.
    Withdrawal,
    /// A text is posted, and the network says that the tokens have ended.
    Expired,
    /// A text is posted, and the network does not answer, again and again.
    LostAnswer,
    /// An operator marks the data as a restored copy, while nothing runs.
    Restore,
}

impl Act {
    /// Whether a second death on this way would lose more than the promise covers: a network may take a session back
    /// when a refresh token is presented a third time.
    pub(super) fn needs_calm(self) -> bool {
        self == Self::Expired
    }
}

/// What passes the point.
pub(super) fn act(point: &str) -> Act {
    match point.split('.').next().unwrap_or_default() {
        "prep" if point.starts_with("prep.token_intent") => Act::Expired,
        "prep" => Act::Picture,
        "arm" | "outcome" => Act::Thread,
        "token" => Act::Expired,
        "edit" | "recall" => Act::Edit,
        "cancel" => Act::Withdrawal,
        "resend" | "reconcile" => Act::LostAnswer,
        "restore" => Act::Restore,
        _ => Act::Text,
    }
}

/// Why no post of this network passes the point; `None` when one does.
pub(super) fn unreachable(network: &Network, point: &str) -> Option<&'static str> {
    let is_about_tokens = matches!(act(point), Act::Expired);
    match (network.name, point) {
        (name, "poll.save.before" | "poll.save.after") if name != "tiktok" => {
            Some("it leaves no post of these in processing")
        }
        (_, "resend.arm.before" | "resend.arm.after") if matches!(network.class, Class::D | Class::E) => {
            Some("nothing is sent there a second time")
        }
        (_, _) if network.class == Class::E && act(point) == Act::LostAnswer => {
            Some("nothing there can be read")
        }
        ("mastodon" | "facebook", _) if is_about_tokens => Some("its tokens do not end"),
        ("linkedin", _) if is_about_tokens => Some("only a user renews its tokens"),
        ("instagram" | "threads", _) if is_about_tokens => {
            Some("its tokens are renewed weeks before their end, and not after it")
        }
        (_, "lease.renew.before" | "lease.renew.after") => {
            Some("with SQLite a lease lasts as long as its process")
        }
        _ => None,
    }
}

/// The points that posts of this network pass, and those that an operator passes.
pub(super) fn points(network: &Network) -> (Vec<&'static str>, Vec<&'static str>) {
    let reachable =
        POINTS.iter().map(|point| point.name).filter(|point| unreachable(network, point).is_none());
    reachable.partition(|point| act(point) != Act::Restore)
}

/// Does what brings a post of this account to the point. Returns when everything was acknowledged; what the network
/// makes of it comes later.
pub(super) async fn perform(
    act: Act,
    sandbox: &Sandbox,
    crowd: &Crowd,
    account: &Account,
    text: String,
) -> anyhow::Result<()> {
    let member = &crowd.users[0];
    let disturb = |operation: &str, fault: &str, times: u32| {
        json!({"network": account.network, "account": account.handle, "operation": operation,
            "fault": {"kind": fault}, "times": times})
    };
    let of_parts = |ahead_ms: i64, media: Vec<(String, String)>, further: usize| {
        let due_ms = SystemClock.now_ms() + ahead_ms;
        let needed = member.needed(needs_of(account));
        let first = Part { text: text.clone(), media: if needed.is_empty() { media } else { needed } };
        let rest = (1..=further).map(|n| Part { text: format!("{text} part {n}"), media: Vec::new() });
        let parts = std::iter::once(first).chain(rest).collect();
        create(sandbox, crowd, Draft { parts, accounts: vec![account.id.clone()], due_ms })
    };
    let post = |ahead_ms: i64, media: Vec<(String, String)>| of_parts(ahead_ms, media, 0);
    match act {
        Act::Text | Act::Restore => {
            post(0, Vec::new()).await?;
        }
        Act::Thread => {
            let has_threads = network(&account.network).is_some_and(|network| network.threads);
            of_parts(0, Vec::new(), if has_threads { 2 } else { 0 }).await?;
        }
        Act::Picture => {
            post(0, vec![member.picture.clone()]).await?;
        }
        Act::Edit => {
            let mut written = post(LATER_MS, Vec::new()).await?;
            handed_over(member, &written).await?;
            member.user.edit(&mut written, &format!("{text} edited")).await?;
        }
        Act::Withdrawal => {
            let written = post(LATER_MS, Vec::new()).await?;
            handed_over(member, &written).await?;
            member.user.cancel(&written.id).await?;
        }
        Act::Expired => {
            sandbox.script(json!({"network": account.network, "fault": {"kind": "expire_tokens"}})).await?;
            post(0, Vec::new()).await?;
        }
        Act::LostAnswer => {
            // A natural key makes the first repetition harmless at once; only after that is the network read.
            let times = if account.class == Class::A { 2 } else { 1 };
            sandbox.script(disturb("publish", "drop_before", times)).await?;
            post(0, Vec::new()).await?;
        }
    }
    Ok(())
}

/// Writes a post, connecting its account again when a failure has cost the session.
async fn create(sandbox: &Sandbox, crowd: &Crowd, draft: Draft) -> anyhow::Result<Written> {
    let until = Instant::now() + CONNECTED_WITHIN;
    loop {
        if let Some(written) = crowd.users[0].user.try_create(draft.clone()).await? {
            return Ok(written);
        }
        ensure!(Instant::now() < until, "the account could not be connected again");
        crowd.reconnect(sandbox).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the publisher has it, so that a change has to take it back first.
async fn handed_over(member: &Member, written: &Written) -> anyhow::Result<()> {
    let until = Instant::now() + HANDED_OVER_WITHIN;
    while Instant::now() < until {
        let post = member.user.post(&written.id).await?;
        if post.targets.iter().all(|target| target.state() != TargetState::Scheduled) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::client::NETWORKS;

    #[test]
    fn every_network_passes_most_points_and_every_kind_of_act_is_needed() {
        for network in NETWORKS {
            let (points, operators) = points(network);
            assert_eq!(operators.len(), 2);
            assert!(points.len() >= 22, "{}: {}", network.name, points.len());
            for needed in [Act::Text, Act::Picture, Act::Edit, Act::Withdrawal, Act::LostAnswer] {
                if needed == Act::LostAnswer && network.class == Class::E {
                    continue; // nobody reads there
                }
                assert!(points.iter().any(|point| act(point) == needed), "{needed:?}");
            }
        }
    }
}

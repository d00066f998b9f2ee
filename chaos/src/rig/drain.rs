//! The end of a case: faults are taken back, everything runs, and every accepted target comes to its end; then what
//! the networks, the API and the databases say is gathered into one [`History`].

mod rows;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use anyhow::Context as _;
use postmesh_proto::{
    common::v1::TargetState,
    scheduler::v1::{
        ListPostsRequest, Post, Target as PlannedTarget, post_service_client::PostServiceClient,
    },
};
use tokio::time::Instant;

use super::{
    History, Mesh, Sandbox,
    client::{User, told},
    history::{Allowances, Request, Target, Visible},
    sandbox::{Call, Line},
    workload::{Crowd, LATE_MS, RETRY_AFTER_S, ROTATING},
};

/// After the last fault every target has this long to come to its end.
pub const DRAINED_WITHIN: Duration = Duration::from_mins(1);

/// Waits for the end of everything and tells what happened. `accounts` of other meshes in the same sandbox are left
/// out. `crashes` is how many processes were killed.
pub async fn drain(
    sandbox: &Sandbox,
    mesh: &mut Mesh,
    crowd: &Crowd,
    case: u64,
    crashes: u64,
    allowances: Allowances,
) -> anyhow::Result<History> {
    drain_within(sandbox, mesh, crowd, case, crashes, allowances, DRAINED_WITHIN).await
}

/// The same with another time for the end.
pub async fn drain_within(
    sandbox: &Sandbox,
    mesh: &mut Mesh,
    crowd: &Crowd,
    case: u64,
    crashes: u64,
    allowances: Allowances,
    within: Duration,
) -> anyhow::Result<History> {
    let began = Instant::now();
    mesh.start_all().await?;
    let posts = finished(sandbox, crowd, began + within).await?;
    // What was accepted late becomes visible now, or never.
    tokio::time::sleep_until(began + Duration::from_millis(LATE_MS + 500)).await;
    let mut history = History {
        case,
        accounts: crowd.client.accounts(),
        targets: crowd.client.targets(),
        allowances,
        ..History::default()
    };
    let own: BTreeSet<(String, String)> =
        history.accounts.iter().map(|account| (account.network.clone(), account.handle.clone())).collect();
    let is_own = |network: &str, account: &str| own.contains(&(network.to_owned(), account.to_owned()));
    let ledger = sandbox.ledger().await?;
    history.visible =
        ledger.into_iter().filter(|line| is_own(&line.network, &line.account)).map(visible).collect();
    let calls = sandbox.requests().await?;
    let refreshes = sandbox.refreshes().await?;
    history.requests = calls
        .into_iter()
        .filter(|call| call.account.as_ref().is_none_or(|account| is_own(&call.network, account)))
        .map(|call| request(call, &refreshes))
        .collect();
    shown(&posts, &mut history.targets);
    rows::read(&mesh.rows, &mut history).await.context("the databases cannot be read")?;
    history.standing.is_ready = mesh.is_ready().await;
    history.standing.crashes = crashes;
    history.standing.expects_posts = history.targets.iter().any(|target| target.cancelled_ms.is_none());
    Ok(history)
}

/// Every post, once nothing happens to any of them any more or the time is up.
async fn finished(sandbox: &Sandbox, crowd: &Crowd, until: Instant) -> anyhow::Result<Vec<Post>> {
    loop {
        crowd.reconnect(sandbox).await?;
        let mut posts = Vec::new();
        for member in &crowd.users {
            posts.extend(list(&member.user).await?);
        }
        let is_over = |post: &Post| {
            let is_asked = |target: &&PlannedTarget| target.state() == TargetState::NeedsConfirmation;
            post.targets.iter().all(|target| {
                let waits = post.targets.iter().filter(is_asked).any(|asked| {
                    asked.account_id == target.account_id && asked.thread_position <= target.thread_position
                });
                is_final(target.state()) || waits
            })
        };
        if posts.iter().all(is_over) || Instant::now() >= until {
            return Ok(posts);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn list(user: &User) -> anyhow::Result<Vec<Post>> {
    let mut posts = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPostsRequest { page_size: 200, page_token, ..Default::default() };
        let answer = user
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).list_posts(request).await
            })
            .await
            .map_err(|status| told("ListPosts", &status))?;
        posts.extend(answer.posts);
        if answer.next_page_token.is_empty() {
            return Ok(posts);
        }
        page_token = answer.next_page_token;
    }
}

fn is_final(state: TargetState) -> bool {
    use TargetState::{Cancelled, Dropped, Failed, InInbox, Missed, Published};
    matches!(state, Published | InInbox | Failed | Cancelled | Missed | Dropped)
}

/// The state as rows and histories name it.
pub(crate) fn state_word(state: TargetState) -> String {
    state.as_str_name().trim_start_matches("TARGET_STATE_").to_ascii_lowercase()
}

/// Notes how the API shows each target in the end; one that it does not show keeps an empty state.
fn shown(posts: &[Post], targets: &mut [Target]) {
    let shown: BTreeMap<&str, _> =
        posts.iter().flat_map(|post| &post.targets).map(|target| (target.id.as_str(), target)).collect();
    for target in targets {
        let Some(shown) = shown.get(target.id.as_str()) else { continue };
        target.state = state_word(shown.state());
        target.native_id = Some(post_id(&shown.native_id).to_owned()).filter(|id| !id.is_empty());
        target.problem = shown.problem.as_ref().map(|problem| problem.reason.clone());
    }
}

/// The id of a post; a TikTok publish id ends with it.
fn post_id(native_id: &str) -> &str {
    if native_id.starts_with("v_pub_") { native_id.rsplit('.').next().unwrap_or_default() } else { native_id }
}

/// The text a user wrote: a YouTube video shows it below its title.
fn written(line: &Line) -> String {
    let below = line.text.split_once("\n\n").filter(|_| line.network == "youtube");
    below.map_or_else(|| line.text.clone(), |(_title, text)| text.to_owned())
}

fn visible(line: Line) -> Visible {
    Visible {
        content: written(&line),
        native_id: post_id(&line.native_id).to_owned(),
        network: line.network,
        account: line.account,
        media: line.media.into_iter().map(|attached| attached.alt).collect(),
        at_ms: line.visible_at_ms,
    }
}

fn request(call: Call, refreshes: &HashMap<String, String>) -> Request {
    // Elsewhere the same refresh token serves again and again.
    let refresh_token =
        refreshes.get(&call.request_id).filter(|_| ROTATING.contains(&call.network.as_str())).cloned();
    let is_throttled = call.fault.iter().any(|fault| fault == "throttle");
    Request {
        at_ms: call.at_ms,
        network: call.network,
        account: call.account,
        operation: call.operation,
        status: call.status,
        retry_after_ms: is_throttled.then_some(RETRY_AFTER_S as i64 * 1000),
        refresh_token,
        faults: call.fault,
    }
}

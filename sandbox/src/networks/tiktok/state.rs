//! What TikTok keeps: uploads, what became of each publish id, and posts; and what a creator may do.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{NETWORK, words::Refusal};
use crate::{
    accounts::{self, Account},
    docs::Change,
    ledger::Entry,
    media::Stored,
    oauth::{self, Token},
    world::{Ctx, World},
};

/// How long an upload address works, milliseconds.
pub(super) const UPLOAD_MS: i64 = 3_600_000;
/// How long videos and photos are processed unless the script says otherwise, milliseconds.
const PROCESSING_MS: i64 = 300;
/// How long a public post is looked at before its id is told, milliseconds.
const MODERATION_MS: i64 = 300;
/// What the API takes of one creator in a day, and how many drafts.
const DIRECT: usize = 15;
const DRAFTS: usize = 5;

/// A video whose bytes are on their way; its key is the id in its address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) token: String,
    pub(super) account: String,
    pub(super) size: u64,
    pub(super) chunk: u64,
    pub(super) count: u64,
    pub(super) received: u64,
    /// The chunks so far, by digest.
    pub(super) parts: Vec<String>,
    pub(super) expires_ms: i64,
    pub(super) task: Task,
}

/// What a publish id stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) publish_id: String,
    pub(super) post_id: u64,
    pub(super) account: String,
    /// `video`, `photo` or `inbox`.
    pub(super) kind: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) privacy: String,
    /// Whether it is pulled from an address.
    pub(super) pulls: bool,
    /// Whether everything has arrived, and when that was dealt with.
    #[serde(default)]
    pub(super) ready_ms: Option<i64>,
    #[serde(default)]
    pub(super) problem: Option<String>,
    #[serde(default)]
    pub(super) bytes: u64,
    pub(super) created_ms: i64,
}

impl Task {
    /// Its status as the network tells it.
    pub(super) fn status(&self, now_ms: i64) -> &'static str {
        let is_done = self.ready_ms.is_some_and(|ready_ms| now_ms >= ready_ms);
        match (is_done, &self.problem) {
            (false, _) if self.pulls => "PROCESSING_DOWNLOAD",
            (false, _) => "PROCESSING_UPLOAD",
            (true, Some(_)) => "FAILED",
            (true, None) if self.kind == "inbox" => "SEND_TO_USER_INBOX",
            (true, None) => "PUBLISH_COMPLETE",
        }
    }

    /// Whether everybody sees it and its id is told.
    pub(super) fn is_public(&self, now_ms: i64) -> bool {
        let is_over = self.ready_ms.is_some_and(|ready_ms| now_ms >= ready_ms + MODERATION_MS);
        is_over && self.problem.is_none() && self.privacy == "PUBLIC_TO_EVERYONE"
    }
}

/// A fresh publish id, whose beginning tells its kind.
pub(super) fn task(ctx: &Ctx, world: &mut World, account: &str, kind: &str, pulls: bool) -> Task {
    let now_ms = ctx.now_ms();
    let post_id = world.next_id(NETWORK, now_ms);
    let start = match (kind, pulls) {
        ("photo", _) => "p_pub_url~v2.",
        ("inbox", true) => "v_inbox_url~v2.",
        ("inbox", false) => "v_inbox_file~v2-1.",
        (_, true) => "v_pub_url~v2.",
        _ => "v_pub_file~v2-1.",
    };
    Task {
        publish_id: format!("{start}{post_id}"),
        post_id,
        account: account.to_owned(),
        kind: kind.to_owned(),
        title: String::new(),
        description: String::new(),
        privacy: String::new(),
        pulls,
        ready_ms: None,
        problem: None,
        bytes: 0,
        created_ms: now_ms,
    }
}

/// Everything has arrived: it becomes visible, unless something is wrong with it, which its status tells later.
pub(super) fn arrived(
    ctx: &Ctx,
    world: &mut World,
    task: Task,
    files: &[Stored],
    processing: Option<(u64, bool)>,
    more: Vec<Change>,
    request_id: &str,
) -> Result<(), Refusal> {
    let now_ms = ctx.now_ms();
    let (wait_ms, fails) = processing.map_or((PROCESSING_MS, false), |(ms, fails)| (ms as i64, fails));
    let problem = task.problem.clone().or_else(|| fails.then(|| "internal".to_owned()));
    let bytes = files.iter().map(|file| file.size).sum();
    let task = Task { ready_ms: Some(now_ms + wait_ms), problem, bytes, ..task };
    let mut changes = more;
    changes.push(Change::put("task", &task.publish_id, &task));
    let mut seen = Vec::new();
    if task.problem.is_none() {
        let key = format!("{}|{:020}", task.account, task.post_id);
        changes.push(Change::put("post", &task.publish_id, &task));
        changes.push(Change::put("post_of", key, &task.publish_id));
        changes.push(Change::put("post_number", task.post_id.to_string(), &task.publish_id));
        let text = if task.description.is_empty() { &task.title } else { &task.description };
        let attached = files.iter().map(|file| file.attached("")).collect();
        let entry = Entry::new(NETWORK, &task.kind, &task.account, &task.publish_id, text, request_id);
        seen.push(entry.with_media(attached));
    }
    Ok(world.show(NETWORK, changes, seen)?)
}

/// The token of a request, if it covers one of these.
pub(super) fn holder(
    ctx: &Ctx,
    world: &World,
    headers: &HeaderMap,
    scopes: &[&str],
) -> Result<(Token, Account), Refusal> {
    let token = oauth::holder(world, NETWORK, headers, ctx.now_ms())?;
    if !scopes.iter().any(|scope| token.covers(scope)) {
        return Err(Refusal::new(http::StatusCode::UNAUTHORIZED, "scope_not_authorized"));
    }
    let account = accounts::named(world, NETWORK, &token.account);
    let account =
        account.ok_or_else(|| Refusal::new(http::StatusCode::UNAUTHORIZED, "access_token_invalid"))?;
    Ok((token, account))
}

/// Who may see a creator's posts. Accounts whose handle begins with `private` are private.
pub(super) fn privacy_options(handle: &str) -> &'static [&'static str] {
    if handle.starts_with("private") {
        &["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
    } else {
        &["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
    }
}

/// Why a creator cannot post now, if so: handles beginning with `banned` and `busy` stand for creators in trouble.
pub(super) fn trouble(ctx: &Ctx, world: &World, handle: &str, kind: &str) -> Option<&'static str> {
    if handle.starts_with("banned") {
        return Some("spam_risk_user_banned_from_posting");
    }
    if handle.starts_with("busy") {
        return Some("spam_risk_too_many_posts");
    }
    if !world.enforces_limits(NETWORK) {
        return None;
    }
    let now_ms = ctx.now_ms();
    let ids = world.docs.range::<String>(NETWORK, "post_of", &format!("{handle}|")).rev();
    let tasks = ids.filter_map(|(_, id)| world.docs.get::<Task>(NETWORK, "task", &id));
    let today = tasks.take_while(|task| now_ms - task.created_ms < 86_400_000);
    let (drafts, posts): (Vec<Task>, Vec<Task>) = today.partition(|task| task.kind == "inbox");
    match kind {
        "inbox" => (drafts.len() >= DRAFTS).then_some("spam_risk_too_many_pending_share"),
        _ => (posts.len() >= DIRECT).then_some("spam_risk_too_many_posts"),
    }
}

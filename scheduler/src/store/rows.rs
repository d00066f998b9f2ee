//! Rows and the domain, both ways.

use data_encoding::HEXLOWER;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    domain::{Media, Part, Post, Problem, RecallIntent, Target, TargetState},
    error::Error,
};

/// The columns of [`PostRow`], of `posts p`.
macro_rules! post_columns {
    () => {
        "p.id, p.workspace_id, p.author_id, p.text, p.media, p.thread, p.due_at, p.revision, p.created_at, p.updated_at, \
         p.change_seq"
    };
}
pub(super) use post_columns;

/// The columns of [`TargetRow`], of `targets t`.
macro_rules! target_columns {
    () => {
        "t.id, t.post_id, t.thread_position, t.account_id, t.network, t.handle, t.text, t.settings, t.state, t.revision, t.due_at, \
         t.offered_at, t.wake_at, t.recall, t.native_id, t.url, t.problem_reason, t.problem_message, t.published_at"
    };
}

/// All targets of the posts in the JSON list `$1`, in order.
pub(super) const TARGETS_OF_SQLITE: &str = concat!(
    "select ",
    target_columns!(),
    " from targets t where t.post_id in (select unhex(value) from json_each($1)) order by t.post_id, t.position"
);
/// See [`TARGETS_OF_SQLITE`].
pub(super) const TARGETS_OF_POSTGRES: &str = concat!(
    "select ",
    target_columns!(),
    " from targets t where t.post_id = any (select value::uuid from json_array_elements_text($1::json) as value) \
     order by t.post_id, t.position"
);
/// The same, locked against claims.
pub(super) const LOCK_TARGETS_POSTGRES: &str = concat!(
    "select ",
    target_columns!(),
    " from targets t where t.post_id = any (select value::uuid from json_array_elements_text($1::json) as value) \
     order by t.post_id, t.position for update of t"
);

/// The columns of [`TargetRow`] that facts are about; content is left out, for it may be long.
macro_rules! progress_columns {
    ($empty:literal) => {
        concat!(
            "select t.id, t.post_id, t.thread_position, t.account_id, '' as network, '' as handle, null as text, ",
            $empty,
            " as settings, t.state, t.revision, t.due_at, t.offered_at, t.wake_at, t.recall, t.native_id, t.url, \
             t.problem_reason, t.problem_message, t.published_at from targets t "
        )
    };
}
/// How far all targets of the posts in the JSON list `$1` are.
pub(super) const PROGRESS_SQLITE: &str = concat!(
    progress_columns!("x''"),
    "where t.post_id in (select unhex(value) from json_each($1)) order by t.post_id, t.position"
);
/// The same, locked against claims.
pub(super) const PROGRESS_POSTGRES: &str = concat!(
    progress_columns!("''::bytea"),
    "where t.post_id = any (select value::uuid from json_array_elements_text($1::json) as value) \
     order by t.post_id, t.position for update of t"
);

#[derive(Debug, sqlx::FromRow)]
pub(super) struct PostRow {
    pub(super) id: Uuid,
    pub(super) workspace_id: Uuid,
    author_id: Uuid,
    text: String,
    media: String,
    thread: String,
    due_at: Option<i64>,
    revision: i64,
    created_at: i64,
    updated_at: i64,
    change_seq: i64,
}

impl PostRow {
    /// The post of this row, with the targets of theirs (in order).
    pub(super) fn with(self, targets: Vec<Target>) -> Result<Post, Error> {
        Ok(Post {
            id: self.id,
            workspace_id: self.workspace_id,
            author_id: self.author_id,
            text: self.text,
            media: media(&self.media)?,
            thread: serde_json::from_str(&self.thread).map_err(|_| Error::Corrupt("posts.thread"))?,
            targets,
            due_at: self.due_at,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
            change_seq: self.change_seq,
        })
    }
}

/// The media of a post's row.
pub(super) fn media(text: &str) -> Result<Vec<Media>, Error> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt("posts.media"))
}

/// One part of a thread.
pub(super) fn part(text: &str) -> Result<Part, Error> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt("posts.thread"))
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct TargetRow {
    id: Uuid,
    pub(super) post_id: Uuid,
    thread_position: i64,
    account_id: Uuid,
    network: String,
    handle: String,
    text: Option<String>,
    settings: Vec<u8>,
    state: String,
    revision: i64,
    due_at: Option<i64>,
    offered_at: Option<i64>,
    wake_at: Option<i64>,
    recall: Option<String>,
    native_id: String,
    url: String,
    problem_reason: Option<String>,
    problem_message: Option<String>,
    published_at: Option<i64>,
}

impl TryFrom<TargetRow> for Target {
    type Error = Error;

    fn try_from(row: TargetRow) -> Result<Self, Error> {
        let recall = match row.recall.as_deref() {
            None => None,
            Some(word) => Some(RecallIntent::parse(word).ok_or(Error::Corrupt("targets.recall"))?),
        };
        Ok(Self {
            id: row.id,
            thread_position: i32::try_from(row.thread_position)
                .map_err(|_| Error::Corrupt("targets.thread_position"))?,
            account_id: row.account_id,
            network: row.network,
            handle: row.handle,
            text: row.text,
            settings: row.settings,
            state: TargetState::parse(&row.state).ok_or(Error::Corrupt("targets.state"))?,
            revision: row.revision,
            due_at: row.due_at,
            offered_at: row.offered_at,
            wake_at: row.wake_at,
            recall,
            native_id: row.native_id,
            url: row.url,
            problem: row
                .problem_reason
                .map(|reason| Problem::new(reason, row.problem_message.unwrap_or_default())),
            published_at: row.published_at,
        })
    }
}

/// A whole target as the statements take it; ids and bytes in hexadecimal.
#[derive(Serialize)]
pub(super) struct TargetJson<'a> {
    id: String,
    post_id: String,
    workspace_id: String,
    position: usize,
    thread_position: i32,
    account_id: String,
    network: &'a str,
    handle: &'a str,
    text: Option<&'a str>,
    settings: String,
    state: &'static str,
    revision: i64,
    due_at: Option<i64>,
    offered_at: Option<i64>,
    wake_at: Option<i64>,
    recall: Option<&'static str>,
    native_id: &'a str,
    url: &'a str,
    problem_reason: Option<&'a str>,
    problem_message: Option<&'a str>,
    published_at: Option<i64>,
}

/// All targets of a post, for `save_targets`.
pub(super) fn targets_json(post: &Post) -> String {
    super::json(&post.targets.iter().enumerate().map(|(at, t)| target_json(post, at, t)).collect::<Vec<_>>())
}

fn target_json<'a>(post: &Post, position: usize, target: &'a Target) -> TargetJson<'a> {
    TargetJson {
        id: target.id.simple().to_string(),
        post_id: post.id.simple().to_string(),
        workspace_id: post.workspace_id.simple().to_string(),
        position,
        thread_position: target.thread_position,
        account_id: target.account_id.simple().to_string(),
        network: &target.network,
        handle: &target.handle,
        text: target.text.as_deref(),
        settings: HEXLOWER.encode(&target.settings),
        state: target.state.as_str(),
        revision: target.revision,
        due_at: target.due_at,
        offered_at: target.offered_at,
        wake_at: target.wake_at,
        recall: target.recall.map(RecallIntent::as_str),
        native_id: &target.native_id,
        url: &target.url,
        problem_reason: target.problem.as_ref().map(|problem| problem.reason.as_str()),
        problem_message: target.problem.as_ref().map(|problem| problem.message.as_str()),
        published_at: target.published_at,
    }
}

/// What facts change about a target, as `learn_targets` takes it.
#[derive(Serialize)]
pub(super) struct ProgressJson<'a> {
    id: String,
    state: &'static str,
    revision: i64,
    due_at: Option<i64>,
    offered_at: Option<i64>,
    wake_at: Option<i64>,
    recall: Option<&'static str>,
    native_id: &'a str,
    url: &'a str,
    problem_reason: Option<&'a str>,
    problem_message: Option<&'a str>,
    published_at: Option<i64>,
}

impl<'a> From<&'a Target> for ProgressJson<'a> {
    fn from(target: &'a Target) -> Self {
        Self {
            id: target.id.simple().to_string(),
            state: target.state.as_str(),
            revision: target.revision,
            due_at: target.due_at,
            offered_at: target.offered_at,
            wake_at: target.wake_at,
            recall: target.recall.map(RecallIntent::as_str),
            native_id: &target.native_id,
            url: &target.url,
            problem_reason: target.problem.as_ref().map(|problem| problem.reason.as_str()),
            problem_message: target.problem.as_ref().map(|problem| problem.message.as_str()),
            published_at: target.published_at,
        }
    }
}

/// Groups target rows (ordered by post) under their posts, which keep their order.
pub(super) fn assemble(posts: Vec<PostRow>, targets: Vec<TargetRow>) -> Result<Vec<Post>, Error> {
    let mut by_post = by_post(targets)?;
    posts
        .into_iter()
        .map(|row| {
            let id = row.id;
            row.with(by_post.remove(&id).unwrap_or_default())
        })
        .collect()
}

/// Targets by their post, in order.
pub(super) fn by_post(rows: Vec<TargetRow>) -> Result<std::collections::HashMap<Uuid, Vec<Target>>, Error> {
    let mut by_post = std::collections::HashMap::<Uuid, Vec<Target>>::new();
    for row in rows {
        by_post.entry(row.post_id).or_default().push(row.try_into()?);
    }
    Ok(by_post)
}

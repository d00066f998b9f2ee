//! Which targets' accounts have to be checked ahead of their due time, and what was found. Both are stored, so neither
//! a restart nor a second replica repeats a check before its time.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
};

use postmesh_kit::write;
use serde::Serialize;
use uuid::Uuid;

use super::{Store, id_list, json, next_change};
use crate::{domain::Problem, error::Error};

/// A target that waits here and whose account has to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct DueCheck {
    /// The target.
    pub target_id: Uuid,
    /// Its post.
    pub post_id: Uuid,
    /// Their workspace.
    pub workspace_id: Uuid,
    /// The account.
    pub account_id: Uuid,
}

/// What a batch of checks did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warned {
    /// Workspaces with posts that changed.
    pub workspaces: HashSet<Uuid>,
    /// Targets that have a problem now and had none before.
    pub warnings: usize,
}

macro_rules! take_checks {
    ($lock:literal) => {
        concat!(
            "update targets set check_after = $4
            where id in (
                select id
                from targets
                where wake_at is not null and offered_at is null and recall is null
                  and due_at >= $2 and due_at <= $3
                  and (check_after is null or check_after <= $1)
                order by due_at
                limit $5",
            $lock,
            ")
            returning id as target_id, post_id, account_id,
                (select workspace_id from posts where posts.id = targets.post_id) as workspace_id"
        )
    };
}
const TAKE_SQLITE: &str = take_checks!("");
const TAKE_POSTGRES: &str = take_checks!(" for update skip locked");

const LOCK_POSTS_SQLITE: &str =
    "select id, workspace_id from posts where id in (select unhex(value) from json_each($1)) order by id";
const LOCK_POSTS_POSTGRES: &str = "
    select id, workspace_id from posts
    where id = any (select value::uuid from json_array_elements_text($1::json) as value)
    order by id
    for update";

const WAITING_SQLITE: &str = "
    select id, post_id, problem_reason, problem_message from targets
    where id in (select unhex(value) from json_each($1)) and state = 'scheduled' and offered_at is null";
const WAITING_POSTGRES: &str = "
    select id, post_id, problem_reason, problem_message from targets
    where id = any (select value::uuid from json_array_elements_text($1::json) as value)
      and state = 'scheduled' and offered_at is null
    for update";

const STORE_SQLITE: &str = "
    update targets set
        problem_reason = checked.value ->> 'reason',
        problem_message = checked.value ->> 'message',
        check_after = $2
    from json_each($1) as checked
    where targets.id = unhex(checked.value ->> 'id')";
const STORE_POSTGRES: &str = "
    update targets set problem_reason = checked.reason, problem_message = checked.message, check_after = $2
    from json_to_recordset($1::json) as checked (id uuid, reason text, message text)
    where targets.id = checked.id";

const TOUCH_SQLITE: &str = "
    update posts set updated_at = $2, change_seq = $3 where id in (select unhex(value) from json_each($1))";
const TOUCH_POSTGRES: &str = "
    update posts set updated_at = $2, change_seq = $3
    where id = any (select value::uuid from json_array_elements_text($1::json) as value)";

#[derive(sqlx::FromRow)]
struct Waiting {
    id: Uuid,
    post_id: Uuid,
    problem_reason: Option<String>,
    problem_message: Option<String>,
}

#[derive(Serialize)]
struct CheckedJson<'a> {
    id: String,
    reason: Option<&'a str>,
    message: Option<&'a str>,
}

impl Store {
    /// Takes targets due in a span of time that wait here and were not checked lately, the soonest first. Nobody else
    /// takes them before `lease_until`.
    pub async fn take_checks(
        &self,
        now: i64,
        due: RangeInclusive<i64>,
        lease_until: i64,
        limit: usize,
    ) -> Result<Vec<DueCheck>, Error> {
        let take = self.dialect(TAKE_SQLITE, TAKE_POSTGRES);
        let limit = limit as i64;
        write!(self.db, tx => {
            let rows: Vec<DueCheck> = sqlx::query_as(take)
                .bind(now)
                .bind(*due.start())
                .bind(*due.end())
                .bind(lease_until)
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            Ok::<_, Error>(rows)
        })
    }

    /// Stores what checks found on targets that still wait here, and when to check again. A post is changed only where
    /// a problem came or went.
    pub async fn store_checks(
        &self,
        checks: Vec<(DueCheck, Option<Problem>)>,
        now: i64,
        check_after: i64,
    ) -> Result<Warned, Error> {
        let sqlite = self.db.is_sqlite();
        let lock_posts = self.dialect(LOCK_POSTS_SQLITE, LOCK_POSTS_POSTGRES);
        let waiting = self.dialect(WAITING_SQLITE, WAITING_POSTGRES);
        let store = self.dialect(STORE_SQLITE, STORE_POSTGRES);
        let touch = self.dialect(TOUCH_SQLITE, TOUCH_POSTGRES);
        write!(self.db, tx => {
            let posts = id_list(checks.iter().map(|(check, _)| &check.post_id));
            let posts: Vec<(Uuid, Uuid)> = sqlx::query_as(lock_posts).bind(posts).fetch_all(&mut *tx).await?;
            let targets = id_list(checks.iter().map(|(check, _)| &check.target_id));
            let rows: Vec<Waiting> = sqlx::query_as(waiting).bind(targets).fetch_all(&mut *tx).await?;

            let found: HashMap<_, _> = checks.iter().map(|(check, found)| (check.target_id, found.as_ref())).collect();
            let mut warned = Warned::default();
            let mut changed = HashSet::new();
            let mut stored = Vec::with_capacity(rows.len());
            for row in &rows {
                let problem = found.get(&row.id).copied().flatten();
                let (reason, message) = (problem.map(|p| p.reason.as_str()), problem.map(|p| p.message.as_str()));
                if row.problem_reason.as_deref() != reason || row.problem_message.as_deref() != message {
                    changed.insert(row.post_id);
                }
                warned.warnings += usize::from(row.problem_reason.is_none() && reason.is_some());
                stored.push(CheckedJson { id: row.id.simple().to_string(), reason, message });
            }
            sqlx::query(store).bind(json(&stored)).bind(check_after).execute(&mut *tx).await?;
            if !changed.is_empty() {
                let change = next_change!(tx, sqlite);
                sqlx::query(touch).bind(id_list(&changed)).bind(now).bind(change).execute(&mut *tx).await?;
            }
            warned.workspaces =
                posts.into_iter().filter(|(id, _)| changed.contains(id)).map(|(_, workspace_id)| workspace_id).collect();
            Ok::<_, Error>(warned)
        })
    }
}

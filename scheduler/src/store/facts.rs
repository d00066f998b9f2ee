//! Facts about targets, taken in by batches: the publisher's events with their cursor, answers to hand-overs, and
//! what was missed. Repeats change nothing; the decision itself is [`crate::domain::Target::learn`].

use std::collections::{HashMap, HashSet};

use postmesh_kit::{faults, read, write};
use uuid::Uuid;

use super::{
    Store,
    changes::CHECK_HOLD,
    id_list, json, next_change,
    rows::{PROGRESS_POSTGRES, PROGRESS_SQLITE, ProgressJson, TargetRow, by_post},
};
use crate::{
    domain::{Fact, PostState, target::Learned, thread},
    error::Error,
};

/// What a batch of facts did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Workspaces with posts that changed.
    pub workspaces: HashSet<Uuid>,
    /// Targets that changed, with the state they are in now.
    pub changed: usize,
    /// Facts that contradicted a final state.
    pub contradicted: usize,
    /// True when parts of threads were planned anew: the clock has to look.
    pub mended: bool,
}

const LOCK_POSTS_SQLITE: &str = "
    select p.id, p.workspace_id, (p.media <> '[]' or p.thread <> '[]') as has_media
    from posts p
    where p.id in (select post_id from targets where id in (select unhex(value) from json_each($1)))
    order by p.id";
const LOCK_POSTS_POSTGRES: &str = "
    select p.id, p.workspace_id, (p.media <> '[]' or p.thread <> '[]') as has_media
    from posts p
    where p.id = any (
        select post_id from targets
        where id = any (select value::uuid from json_array_elements_text($1::json) as value)
    )
    order by p.id
    for update";

const CURSOR_SQLITE: &str = "select sequence from cursors where name = 'publisher'";
const CURSOR_POSTGRES: &str = "select sequence from cursors where name = 'publisher' for update";

const LEARN_TARGETS_SQLITE: &str = include_str!("sql/learn_targets.sqlite.sql");
const LEARN_TARGETS_POSTGRES: &str = include_str!("sql/learn_targets.postgres.sql");
const LEARN_POSTS_SQLITE: &str = include_str!("sql/learn_posts.sqlite.sql");
const LEARN_POSTS_POSTGRES: &str = include_str!("sql/learn_posts.postgres.sql");

#[derive(sqlx::FromRow)]
struct LockedPost {
    id: Uuid,
    workspace_id: Uuid,
    has_media: bool,
}

impl Store {
    /// How far the publisher's events have been taken in.
    pub async fn cursor(&self) -> Result<i64, Error> {
        let sequence: Result<i64, sqlx::Error> =
            read!(self.db, c => sqlx::query_scalar(CURSOR_SQLITE).fetch_one(&mut *c).await);
        Ok(sequence?)
    }

    /// Takes in facts that were decided or answered here.
    pub async fn learn(&self, facts: Vec<Fact>, now: i64) -> Result<Learnt, Error> {
        if facts.is_empty() {
            return Ok(Learnt::default());
        }
        self.take_in(facts.into_iter().map(|fact| (0, fact)).collect(), None, now).await
    }

    /// Takes in events of the publisher: those up to the stored cursor are skipped, the others are applied in order
    /// of their sequence, and the cursor moves to `highest`, all in one transaction.
    pub async fn learn_events(
        &self,
        mut events: Vec<(i64, Fact)>,
        highest: i64,
        now: i64,
    ) -> Result<Learnt, Error> {
        events.sort_by_key(|(sequence, _)| *sequence);
        faults::at("event.deliver.before").await?;
        let learnt = self.take_in(events, Some(highest), now).await?;
        faults::at("event.deliver.after").await?;
        Ok(learnt)
    }

    async fn take_in(
        &self,
        mut facts: Vec<(i64, Fact)>,
        cursor: Option<i64>,
        now: i64,
    ) -> Result<Learnt, Error> {
        let sqlite = self.db.is_sqlite();
        let read_cursor = self.dialect(CURSOR_SQLITE, CURSOR_POSTGRES);
        let lock_posts = self.dialect(LOCK_POSTS_SQLITE, LOCK_POSTS_POSTGRES);
        let progress = self.dialect(PROGRESS_SQLITE, PROGRESS_POSTGRES);
        let learn_targets = self.dialect(LEARN_TARGETS_SQLITE, LEARN_TARGETS_POSTGRES);
        let learn_posts = self.dialect(LEARN_POSTS_SQLITE, LEARN_POSTS_POSTGRES);
        write!(self.db, tx => {
            if let Some(last) = cursor {
                let known: i64 = sqlx::query_scalar(read_cursor).fetch_one(&mut *tx).await?;
                if last <= known {
                    return Ok(Learnt::default());
                }
                facts.retain(|(sequence, _)| *sequence > known);
                sqlx::query("update cursors set sequence = $1 where name = 'publisher'").bind(last).execute(&mut *tx).await?;
            }
            if facts.is_empty() {
                return Ok(Learnt::default());
            }
            let touched = id_list(facts.iter().map(|(_, fact)| &fact.target_id));
            let locked: Vec<LockedPost> = sqlx::query_as(lock_posts).bind(touched).fetch_all(&mut *tx).await?;
            let ids = id_list(locked.iter().map(|post| &post.id));
            let rows: Vec<TargetRow> = sqlx::query_as(progress).bind(ids).fetch_all(&mut *tx).await?;
            let mut targets = by_post(rows)?;

            let mut learnt = Learnt::default();
            let mut changed = HashMap::<Uuid, HashSet<usize>>::new();
            let mut places = HashMap::new();
            for (post_id, list) in &targets {
                for (at, target) in list.iter().enumerate() {
                    places.insert(target.id, (*post_id, at));
                }
            }
            for (_, fact) in &facts {
                let Some((post_id, at)) = places.get(&fact.target_id) else { continue };
                let Some(target) = targets.get_mut(post_id).and_then(|list| list.get_mut(*at)) else { continue };
                let learned = target.learn(fact);
                if learned != Learned::Nothing {
                    changed.entry(*post_id).or_default().insert(*at);
                    learnt.contradicted += usize::from(learned == Learned::Contradicted);
                }
                if learned == Learned::Changed
                    && let Some(list) = targets.get_mut(post_id)
                {
                    learnt.mended |= thread::mend(list, *at, now);
                }
            }
            if changed.is_empty() {
                return Ok(learnt);
            }

            let rows: Vec<_> = changed
                .iter()
                .flat_map(|(post_id, places)| places.iter().map(|at| ProgressJson::from(&targets[post_id][*at])))
                .collect();
            learnt.changed = rows.len();
            let rows = json(&rows);
            sqlx::query(learn_targets).bind(rows).execute(&mut *tx).await?;

            let mut words = Vec::with_capacity(changed.len());
            let mut ended = Vec::new();
            for post in locked.iter().filter(|post| changed.contains_key(&post.id)) {
                let list = &targets[&post.id];
                let state = PostState::of(list.iter().map(|target| target.state));
                words.push(serde_json::json!({ "id": post.id.simple().to_string(), "state": state.as_str() }));
                learnt.workspaces.insert(post.workspace_id);
                if post.has_media && list.iter().all(|target| target.state.is_final()) {
                    ended.push((post.id, post.workspace_id));
                }
            }
            let change = next_change!(tx, sqlite);
            sqlx::query(learn_posts).bind(json(&words)).bind(now).bind(change).execute(&mut *tx).await?;
            for (post_id, workspace_id) in ended {
                sqlx::query(CHECK_HOLD).bind(post_id).bind(workspace_id).bind(now).execute(&mut *tx).await?;
            }
            Ok::<_, Error>(learnt)
        })
    }
}

//! A user's change in one transaction: lock the post, decide, store the outcome and the answer to its request.

use postmesh_kit::{faults, write};
use uuid::Uuid;

use super::{
    Store, id_list, json, next_change,
    posts::{SAVE_TARGETS_POSTGRES, SAVE_TARGETS_SQLITE},
    requests::{Repeat, recall_answer, remember_answer},
    rows::{
        LOCK_TARGETS_POSTGRES, PostRow, TARGETS_OF_SQLITE, TargetRow, assemble, post_columns, targets_json,
    },
};
use crate::{
    domain::{
        Change, Decision, Post, Refusal, Verdicts,
        change::{Moment, decide},
    },
    error::Error,
};

/// A change to store.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// The tenant.
    pub workspace_id: Uuid,
    /// The post.
    pub post_id: Uuid,
    /// What the caller believes to change; `None` for whatever is there.
    pub etag: Option<String>,
    /// What to do.
    pub change: Change,
    /// What the publisher answered so far.
    pub verdicts: Verdicts,
    /// The request, if it may be repeated.
    pub repeat: Option<Repeat>,
    /// Makes the answer that a repetition gets; `None` for a deleted post.
    pub encode: fn(Option<&Post>) -> Vec<u8>,
    /// Numbers for the decision.
    pub moment: Moment,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The post as stored.
    Done(Post),
    /// It is gone; the post as it was.
    Deleted(Post),
    /// The same request was answered before with these bytes.
    Repeated(Vec<u8>),
    /// The publisher has to be asked first; intents are stored.
    Recall(Vec<(Uuid, i64)>),
    /// It cannot be done; granted recalls have been undone.
    Refused(Refusal),
}

const LOCK_SQLITE: &str =
    concat!("select ", post_columns!(), " from posts p where p.id = $1 and p.workspace_id = $2");
const LOCK_POSTGRES: &str =
    concat!("select ", post_columns!(), " from posts p where p.id = $1 and p.workspace_id = $2 for update");

const UPDATE_POST: &str = "
    update posts
    set text = $2, media = $3, thread = $4, state = $5, due_at = $6, revision = $7, updated_at = $8, change_seq = $9
    where id = $1";

const DROP_TARGETS_SQLITE: &str = "
    delete from targets
    where post_id = $1 and id not in (select unhex(value) from json_each($2))";
const DROP_TARGETS_POSTGRES: &str = "
    delete from targets
    where post_id = $1 and id <> all (select value::uuid from json_array_elements_text($2::json) as value)";

pub(super) const CHECK_HOLD: &str = "
    insert into hold_checks (post_id, workspace_id, check_at)
    values ($1, $2, $3)
    on conflict (post_id) do update set check_at = excluded.check_at";

impl Store {
    /// Carries a change out, or tells what is in its way.
    pub async fn change(&self, request: ChangeRequest) -> Result<Changed, Error> {
        let sqlite = self.db.is_sqlite();
        let lock = self.dialect(LOCK_SQLITE, LOCK_POSTGRES);
        let targets_of = self.dialect(TARGETS_OF_SQLITE, LOCK_TARGETS_POSTGRES);
        let save_targets = self.dialect(SAVE_TARGETS_SQLITE, SAVE_TARGETS_POSTGRES);
        let drop_targets = self.dialect(DROP_TARGETS_SQLITE, DROP_TARGETS_POSTGRES);
        let takes_back = matches!(request.change, Change::Cancel | Change::Delete);
        faults::at(if takes_back { "cancel.cas.before" } else { "edit.rev.before" }).await?;
        let changed = write!(self.db, tx => {
            let ChangeRequest { workspace_id, post_id, etag, change, verdicts, repeat, encode, moment } = request;
            let row: Option<PostRow> =
                sqlx::query_as(lock).bind(post_id).bind(workspace_id).fetch_optional(&mut *tx).await?;
            // With the post locked, a repetition of this request either sees its record or comes first.
            if let Some(repeat) = &repeat
                && let Some(first) = recall_answer!(tx, repeat)
            {
                return Ok(Changed::Repeated(first.answer(repeat)?));
            }
            let row = row.ok_or(Error::PostNotFound(post_id))?;
            let targets: Vec<TargetRow> =
                sqlx::query_as(targets_of).bind(id_list([&post_id])).fetch_all(&mut *tx).await?;
            let before = assemble(vec![row], targets)?.pop().ok_or(Error::Corrupt("posts"))?;
            if etag.is_some_and(|etag| etag != before.etag()) {
                return Err(Error::StaleEtag(post_id));
            }
            let held_media = before.needed_media();
            let (store, mut outcome) = match decide(before.clone(), &change, &verdicts, moment) {
                Decision::Recall(post, items) => (Some(post), Changed::Recall(items)),
                Decision::Save(post) => (Some(post.clone()), Changed::Done(post)),
                Decision::Delete => (None, Changed::Deleted(before.clone())),
                Decision::Refuse(post, refusal) => (post, Changed::Refused(refusal)),
            };
            let deleted = matches!(outcome, Changed::Deleted(_));
            if deleted {
                sqlx::query("delete from posts where id = $1").bind(post_id).execute(&mut *tx).await?;
            }
            if let Some(mut post) = store {
                post.change_seq = next_change!(tx, sqlite);
                post.updated_at = moment.now;
                sqlx::query(UPDATE_POST)
                    .bind(post.id)
                    .bind(post.text.clone())
                    .bind(json(&post.media))
                    .bind(json(&post.thread))
                    .bind(post.state().as_str())
                    .bind(post.due_at)
                    .bind(post.revision)
                    .bind(post.updated_at)
                    .bind(post.change_seq)
                    .execute(&mut *tx)
                    .await?;
                let kept = id_list(post.targets.iter().map(|target| &target.id));
                sqlx::query(drop_targets).bind(post.id).bind(kept).execute(&mut *tx).await?;
                sqlx::query(save_targets).bind(targets_json(&post)).execute(&mut *tx).await?;
                if post.media_ids() != before.media_ids() || post.needed_media() != held_media {
                    sqlx::query(CHECK_HOLD).bind(post.id).bind(workspace_id).bind(moment.now).execute(&mut *tx).await?;
                }
                if let Changed::Done(done) = &mut outcome {
                    *done = post;
                }
            } else if deleted && before.has_media() {
                sqlx::query(CHECK_HOLD).bind(post_id).bind(workspace_id).bind(moment.now).execute(&mut *tx).await?;
            }
            let response = match &outcome {
                Changed::Done(post) => Some(encode(Some(post))),
                Changed::Deleted(_) => Some(encode(None)),
                _ => None,
            };
            if let (Some(repeat), Some(response)) = (&repeat, response)
                && !remember_answer!(tx, repeat, response, moment.now)
            {
                return Err(Error::request_id_reused());
            }
            Ok::<_, Error>(outcome)
        })?;
        faults::at(if takes_back { "cancel.cas.after" } else { "edit.rev.after" }).await?;
        Ok(changed)
    }
}

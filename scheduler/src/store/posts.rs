//! Writing a post and reading it back, always within its workspace.

use postmesh_kit::{faults, read, write};
use uuid::Uuid;

use super::{
    Store, id_list, json, next_change,
    requests::{Repeat, recall_answer, remember_answer},
    rows::{
        PostRow, TARGETS_OF_POSTGRES, TARGETS_OF_SQLITE, TargetRow, assemble, post_columns, targets_json,
    },
};
use crate::{domain::Post, error::Error};

/// What became of a new post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Stored,
    /// The same request was answered before with these bytes; nothing was stored.
    Repeated(Vec<u8>),
}

pub(super) const SAVE_TARGETS_SQLITE: &str = include_str!("sql/save_targets.sqlite.sql");
pub(super) const SAVE_TARGETS_POSTGRES: &str = include_str!("sql/save_targets.postgres.sql");

const INSERT_POST: &str = "
    insert into posts (id, workspace_id, author_id, text, media, thread, state, due_at, revision, created_at, updated_at,
        change_seq)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const POST: &str =
    concat!("select ", post_columns!(), " from posts p where p.id = $1 and p.workspace_id = $2");

const POSTS_SQLITE: &str = concat!(
    "select ",
    post_columns!(),
    " from posts p where p.workspace_id = $1 and p.id in (select unhex(value) from json_each($2))"
);
const POSTS_POSTGRES: &str = concat!(
    "select ",
    post_columns!(),
    " from posts p where p.workspace_id = $1 \
     and p.id = any (select value::uuid from json_array_elements_text($2::json) as value)"
);

impl Store {
    /// Stores a new post and, with it, the answer to its request. A post with media must hold a check
    /// ([`Store::expect_hold`]), which its commit resolves; a check that is gone means that the hold was let go.
    pub async fn create(&self, post: &Post, repeat: Option<(Repeat, Vec<u8>)>) -> Result<Created, Error> {
        let sqlite = self.db.is_sqlite();
        let save_targets = self.dialect(SAVE_TARGETS_SQLITE, SAVE_TARGETS_POSTGRES);
        let post = post.clone();
        faults::at("schedule.insert.before").await?;
        let created = write!(self.db, tx => {
            if let Some((repeat, response)) = &repeat
                && !remember_answer!(tx, repeat, response.clone(), post.created_at)
            {
                let first = recall_answer!(tx, repeat).ok_or(Error::Corrupt("requests"))?;
                return Ok(Created::Repeated(first.answer(repeat)?));
            }
            if post.has_media() {
                let checked = sqlx::query("delete from hold_checks where post_id = $1").bind(post.id).execute(&mut *tx).await?;
                if checked.rows_affected() == 0 {
                    return Err(Error::HoldExpired);
                }
            }
            let change = next_change!(tx, sqlite);
            sqlx::query(INSERT_POST)
                .bind(post.id)
                .bind(post.workspace_id)
                .bind(post.author_id)
                .bind(post.text.clone())
                .bind(json(&post.media))
                .bind(json(&post.thread))
                .bind(post.state().as_str())
                .bind(post.due_at)
                .bind(post.revision)
                .bind(post.created_at)
                .bind(post.updated_at)
                .bind(change)
                .execute(&mut *tx)
                .await?;
            sqlx::query(save_targets).bind(targets_json(&post)).execute(&mut *tx).await?;
            Ok::<_, Error>(Created::Stored)
        })?;
        faults::at("schedule.insert.after").await?;
        Ok(created)
    }

    /// A post of a workspace.
    pub async fn post(&self, workspace_id: Uuid, post_id: Uuid) -> Result<Option<Post>, Error> {
        let targets_of = self.dialect(TARGETS_OF_SQLITE, TARGETS_OF_POSTGRES);
        let rows: Result<_, sqlx::Error> = read!(self.db, c => {
            let post: Option<PostRow> =
                sqlx::query_as(POST).bind(post_id).bind(workspace_id).fetch_optional(&mut *c).await?;
            match post {
                None => Ok(None),
                Some(post) => {
                    let ids = id_list([&post.id]);
                    let targets: Vec<TargetRow> = sqlx::query_as(targets_of).bind(ids).fetch_all(&mut *c).await?;
                    Ok(Some((post, targets)))
                }
            }
        });
        match rows? {
            None => Ok(None),
            Some((post, targets)) => Ok(assemble(vec![post], targets)?.pop()),
        }
    }

    /// Those of the posts named that exist in a workspace, in no order.
    pub async fn posts(&self, workspace_id: Uuid, ids: &[Uuid]) -> Result<Vec<Post>, Error> {
        let posts_by_id = self.dialect(POSTS_SQLITE, POSTS_POSTGRES);
        let targets_of = self.dialect(TARGETS_OF_SQLITE, TARGETS_OF_POSTGRES);
        let rows: Result<_, sqlx::Error> = read!(self.db, c => {
            let posts: Vec<PostRow> =
                sqlx::query_as(posts_by_id).bind(workspace_id).bind(id_list(ids)).fetch_all(&mut *c).await?;
            let found = id_list(posts.iter().map(|post| &post.id));
            let targets: Vec<TargetRow> = sqlx::query_as(targets_of).bind(found).fetch_all(&mut *c).await?;
            Ok((posts, targets))
        });
        let (posts, targets) = rows?;
        assemble(posts, targets)
    }
}

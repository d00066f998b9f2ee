//! What changed: the polling side of watching, exact across replicas.
//!
//! PostgreSQL: a change is numbered by its transaction. `floor` is the oldest transaction still running when it was
//! read, so everything numbered below it is visible for good; what lies at or above it is read again next time.

use postmesh_kit::read;
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// The numbers of changes between which a look lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Everything numbered below is visible for good: the next look begins here.
    pub floor: i64,
    /// Nothing that is visible has this number or a higher one.
    pub end: i64,
}

const FLOOR_SQLITE: &str = "select value + 1, value + 1 from change_counter";
const FLOOR_POSTGRES: &str = "
    select pg_snapshot_xmin(snapshot)::text::bigint, pg_snapshot_xmax(snapshot)::text::bigint
    from pg_current_snapshot() as snapshot";

const CHANGED_WORKSPACES: &str = "
    select distinct workspace_id
    from posts
    where change_seq >= $1 and change_seq < $2";

const CHANGED_POSTS: &str = "
    select id, change_seq
    from posts
    where workspace_id = $1 and (change_seq, id) > ($2, $3) and change_seq < $4
    order by change_seq, id
    limit $5";

const CHANGE_NUMBERS_SQLITE: &str = "
    select id, change_seq
    from posts
    where workspace_id = $1 and id in (select unhex(value) from json_each($2))";
const CHANGE_NUMBERS_POSTGRES: &str = "
    select id, change_seq
    from posts
    where workspace_id = $1 and id = any (select value::uuid from json_array_elements_text($2::json) as value)";

impl Store {
    /// The numbers of now. Read them before the changes: the next look then begins at their floor.
    pub async fn bounds(&self) -> Result<Bounds, Error> {
        let bounds = self.dialect(FLOOR_SQLITE, FLOOR_POSTGRES);
        let row: Result<(i64, i64), sqlx::Error> =
            read!(self.db, c => sqlx::query_as(bounds).fetch_one(&mut *c).await);
        let (floor, end) = row?;
        Ok(Bounds { floor, end })
    }

    /// Workspaces in which something changed from a floor on.
    pub async fn changed_workspaces(&self, floor: i64, bounds: Bounds) -> Result<Vec<Uuid>, Error> {
        let workspaces: Result<Vec<Uuid>, sqlx::Error> = read!(self.db, c =>
            sqlx::query_scalar(CHANGED_WORKSPACES).bind(floor).bind(bounds.end).fetch_all(&mut *c).await
        );
        Ok(workspaces?)
    }

    /// Posts of a workspace and the numbers of their last changes, after a position, oldest change first.
    pub async fn changed_posts(
        &self,
        workspace_id: Uuid,
        after: (i64, Uuid),
        bounds: Bounds,
        limit: usize,
    ) -> Result<Vec<(Uuid, i64)>, Error> {
        let most = limit as i64;
        let rows: Result<Vec<(Uuid, i64)>, sqlx::Error> = read!(self.db, c =>
            sqlx::query_as(CHANGED_POSTS)
                .bind(workspace_id)
                .bind(after.0)
                .bind(after.1)
                .bind(bounds.end)
                .bind(most)
                .fetch_all(&mut *c)
                .await
        );
        Ok(rows?)
    }

    /// The numbers of the last changes of those of the posts named that exist.
    pub async fn change_numbers(&self, workspace_id: Uuid, ids: &[Uuid]) -> Result<Vec<(Uuid, i64)>, Error> {
        let numbers = self.dialect(CHANGE_NUMBERS_SQLITE, CHANGE_NUMBERS_POSTGRES);
        let rows: Result<Vec<(Uuid, i64)>, sqlx::Error> = read!(self.db, c =>
            sqlx::query_as(numbers).bind(workspace_id).bind(super::id_list(ids)).fetch_all(&mut *c).await
        );
        Ok(rows?)
    }
}

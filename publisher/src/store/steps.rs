//! The timeline of one target: its events and its attempts, oldest first.

use postmesh_kit::read;
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// One step, as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct StepRow {
    pub(crate) at: i64,
    /// `moved`, `looked`, `confirmed`, `armed` or `closed`.
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) revision: i64,
    pub(crate) attempt_n: i64,
    pub(crate) replica: String,
    pub(crate) http_status: Option<i64>,
    pub(crate) platform_code: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) detail: Option<String>,
}

/// The events as steps; what tailers number, the timeline orders by time.
macro_rules! steps {
    ($order:literal) => {
        concat!(
            "select at, kind, state, revision, attempt_n, replica, http_status, platform_code, request_id, detail
               from (
                select happened_at as at, 2 as rank, ",
            $order,
            " as place, kind, state, revision, attempt_n, replica,
                       cast(null as bigint) as http_status, cast(null as text) as platform_code,
                       cast(null as text) as request_id,
                       coalesce(detail, problem_message) as detail
                  from events where workspace_id = $1 and target_id = $2
                union all
                select armed_at, 1, n, 'armed', 'sending', revision, n, replica, null, null, null, null
                  from publish_attempts where target_id = $2
                union all
                select closed_at, 1, n, 'closed', outcome, revision, n, replica, http_status, platform_code,
                       request_id, evidence
                  from publish_attempts where target_id = $2 and closed_at is not null
               ) as steps
              order by at, rank, place, kind
              limit $3 offset $4"
        )
    };
}

impl Store {
    /// The steps of a target from `offset` on; none when the workspace has no such target.
    pub(crate) async fn steps(
        &self,
        workspace_id: Uuid,
        target_id: Uuid,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<StepRow>, Error> {
        let sqlite = self.db.is_sqlite();
        read!(self.db, c => {
            let known: bool =
                sqlx::query_scalar("select exists (select 1 from deliveries where target_id = $1 and workspace_id = $2)")
                    .bind(target_id).bind(workspace_id).fetch_one(&mut *c).await?;
            if !known {
                return Ok(Vec::new());
            }
            Ok(sqlx::query_as(super::either!(sqlite, steps!("sequence"), steps!("id")))
                .bind(workspace_id).bind(target_id).bind(limit).bind(offset).fetch_all(&mut *c).await?)
        })
    }
}

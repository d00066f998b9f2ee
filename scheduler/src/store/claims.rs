//! What the clock has to look at: the next moment, the claim of what is due, and what was missed.

use postmesh_kit::{faults, read, write};
use uuid::Uuid;

use super::{Store, id_list, rows};
use crate::{
    domain::{Fact, Media, Problem, TargetState},
    error::Error,
};

/// A target at one revision, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The target.
    pub target_id: Uuid,
    /// Its post.
    pub post_id: Uuid,
    /// Their workspace.
    pub workspace_id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// The revision.
    pub revision: i64,
    /// When it is due, Unix milliseconds.
    pub due_at: i64,
    /// Its text: its own or the post's.
    pub text: String,
    /// Encoded settings.
    pub settings: Vec<u8>,
    /// The post's media.
    pub media: Vec<Media>,
}

/// What a claim took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// To hand over.
    pub offers: Vec<Offer>,
    /// Posts (with their workspace) with recalls whose outcome was never stored.
    pub unsettled: Vec<(Uuid, Uuid)>,
    /// Rows taken; fewer than asked for means that nothing more is due.
    pub taken: usize,
}

/// When the clock has to ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wakes {
    /// Something is due already.
    pub due: bool,
    /// The next moment after now.
    pub next: Option<i64>,
}

const CLAIM_SQLITE: &str = include_str!("sql/claim_due.sqlite.sql");
const CLAIM_POSTGRES: &str = include_str!("sql/claim_due.postgres.sql");

macro_rules! claimed_columns {
    () => {
        "select t.id, t.post_id, p.workspace_id, t.account_id, t.revision, t.due_at, t.settings, t.recall, p.media, \
         coalesce(t.text, p.text) as text from targets t join posts p on p.id = t.post_id "
    };
}
const CLAIMED_SQLITE: &str = concat!(
    claimed_columns!(),
    "where t.id in (select unhex(value) from json_each($1)) order by t.due_at, t.id"
);
const CLAIMED_POSTGRES: &str = concat!(
    claimed_columns!(),
    "where t.id = any (select value::uuid from json_array_elements_text($1::json) as value) order by t.due_at, t.id"
);

const OVERDUE: &str = "
    select id, revision
    from targets
    where wake_at <= $1 and due_at < $2 and offered_at is null and recall is null and state = 'scheduled'
    order by wake_at
    limit $3";

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    id: Uuid,
    post_id: Uuid,
    workspace_id: Uuid,
    account_id: Uuid,
    revision: i64,
    due_at: Option<i64>,
    settings: Vec<u8>,
    recall: Option<String>,
    media: String,
    text: String,
}

impl Store {
    /// Whether something is due, and when the clock has to ring next.
    pub async fn wakes(&self, now: i64) -> Result<Wakes, Error> {
        let row: Result<(Option<i64>, Option<i64>), sqlx::Error> = read!(self.db, c =>
            sqlx::query_as(
                "select (select min(wake_at) from targets), (select min(wake_at) from targets where wake_at > $1)",
            )
            .bind(now)
            .fetch_one(&mut *c)
            .await
        );
        let (first, next) = row?;
        Ok(Wakes { due: first.is_some_and(|at| at <= now), next })
    }

    /// Targets that should have been handed over, or taken back, before a moment, and still wait here.
    pub async fn stuck(&self, due_before: i64) -> Result<i64, Error> {
        let count: Result<i64, sqlx::Error> = read!(self.db, c =>
            sqlx::query_scalar("select count(*) from targets where wake_at is not null and due_at < $1")
                .bind(due_before)
                .fetch_one(&mut *c)
                .await
        );
        Ok(count?)
    }

    /// Takes what is due, at most `limit` targets, until `lease_until`: nobody else takes them before, and if the
    /// claimer dies they come up again then. What was due before `missed_before` and never offered is left out.
    pub async fn claim_due(
        &self,
        now: i64,
        lease_until: i64,
        missed_before: i64,
        limit: usize,
    ) -> Result<Claimed, Error> {
        let claim = self.dialect(CLAIM_SQLITE, CLAIM_POSTGRES);
        let claimed = self.dialect(CLAIMED_SQLITE, CLAIMED_POSTGRES);
        let limit = limit as i64;
        faults::at("sweep.claim.before").await?;
        let rows: Vec<ClaimedRow> = write!(self.db, tx => {
            let ids: Vec<Uuid> = sqlx::query_scalar(claim)
                .bind(now)
                .bind(lease_until)
                .bind(limit)
                .bind(missed_before)
                .fetch_all(&mut *tx)
                .await?;
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let rows: Vec<ClaimedRow> = sqlx::query_as(claimed).bind(id_list(&ids)).fetch_all(&mut *tx).await?;
            Ok::<_, Error>(rows)
        })?;
        faults::at("sweep.claim.after").await?;
        let mut claimed = Claimed { taken: rows.len(), ..Claimed::default() };
        for row in rows {
            if row.recall.is_some() {
                if !claimed.unsettled.contains(&(row.workspace_id, row.post_id)) {
                    claimed.unsettled.push((row.workspace_id, row.post_id));
                }
                continue;
            }
            claimed.offers.push(Offer {
                target_id: row.id,
                post_id: row.post_id,
                workspace_id: row.workspace_id,
                account_id: row.account_id,
                revision: row.revision,
                due_at: row.due_at.ok_or(Error::Corrupt("targets.due_at"))?,
                text: row.text,
                settings: row.settings,
                media: rows::media(&row.media)?,
            });
        }
        Ok(claimed)
    }

    /// Facts about targets that were due before `missed_before` and have never been offered: they are missed.
    pub async fn overdue(&self, now: i64, missed_before: i64, limit: usize) -> Result<Vec<Fact>, Error> {
        let limit = limit as i64;
        let rows: Result<Vec<(Uuid, i64)>, sqlx::Error> = read!(self.db, c =>
            sqlx::query_as(OVERDUE).bind(now).bind(missed_before).bind(limit).fetch_all(&mut *c).await
        );
        let problem = Problem::new(
            "TOO_LATE_TO_SEND",
            "the service was not running when this was due, and it is too late to send it now; send it again if it \
             should still go out",
        );
        let missed = |(target_id, revision)| Fact {
            target_id,
            revision,
            state: TargetState::Missed,
            native_id: String::new(),
            url: String::new(),
            problem: Some(problem.clone()),
            at: now,
        };
        Ok(rows?.into_iter().map(missed).collect())
    }
}

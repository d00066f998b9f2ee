//! What the clock has to look at: the next moment, the claim of what is due, and what was missed.

use postmesh_kit::{faults, read, write};
use uuid::Uuid;

use super::{Store, id_list, json, rows};
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
    /// Its media.
    pub media: Vec<Media>,
    /// Its place in a thread; `None` for a post of its own.
    pub thread: Option<ThreadPlace>,
}

/// Where a target stands in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadPlace {
    /// The thread's first target.
    pub root: Uuid,
    /// The target before it; `None` for the first.
    pub previous: Option<Uuid>,
    /// 0 for the first.
    pub position: i32,
}

/// What a claim took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// To hand over.
    pub offers: Vec<Offer>,
    /// Posts (with their workspace) with recalls whose outcome was never stored.
    pub unsettled: Vec<(Uuid, Uuid)>,
    /// Rows taken; none means that nothing is due but what rests or others are taking.
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
        "select t.id, t.post_id, p.workspace_id, t.account_id, t.revision, t.due_at, t.settings, t.recall, \
         t.thread_position, \
         case when t.thread_position = 0 then coalesce(t.text, p.text) else '' end as text, \
         case when t.thread_position = 0 then p.media else '[]' end as media, \
         case when p.thread <> '[]' then (select r.id from targets r where r.post_id = t.post_id \
             and r.position = t.position - t.thread_position) end as root_id, \
         case when t.thread_position > 0 then (select b.id from targets b where b.post_id = t.post_id \
             and b.position = t.position - 1) end as previous_id, "
    };
}
const CLAIMED_SQLITE: &str = concat!(
    claimed_columns!(),
    "case when t.thread_position > 0 then p.thread -> (t.thread_position - 1) end as part \
     from targets t join posts p on p.id = t.post_id \
     where t.id in (select unhex(value) from json_each($1)) order by t.due_at, t.id"
);
const CLAIMED_POSTGRES: &str = concat!(
    claimed_columns!(),
    "case when t.thread_position > 0 then (p.thread::json -> (t.thread_position - 1)::int)::text end as part \
     from targets t join posts p on p.id = t.post_id \
     where t.id = any (select value::uuid from json_array_elements_text($1::json) as value) order by t.due_at, t.id"
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
    thread_position: i64,
    text: String,
    media: String,
    root_id: Option<Uuid>,
    previous_id: Option<Uuid>,
    /// The part of the thread it is, for a further part.
    part: Option<String>,
}

impl ClaimedRow {
    fn offer(self) -> Result<Offer, Error> {
        let position =
            i32::try_from(self.thread_position).map_err(|_| Error::Corrupt("targets.thread_position"))?;
        let (text, media) = match &self.part {
            None if position > 0 => return Err(Error::Corrupt("posts.thread")),
            None => (self.text, rows::media(&self.media)?),
            Some(part) => {
                let part = rows::part(part)?;
                (part.text, part.media)
            }
        };
        Ok(Offer {
            target_id: self.id,
            post_id: self.post_id,
            workspace_id: self.workspace_id,
            account_id: self.account_id,
            revision: self.revision,
            due_at: self.due_at.ok_or(Error::Corrupt("targets.due_at"))?,
            text,
            settings: self.settings,
            media,
            thread: self.root_id.map(|root| ThreadPlace { root, previous: self.previous_id, position }),
        })
    }
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
    /// claimer dies they come up again then. Tenants take turns; those that rest are left out, and so is what was due
    /// before `missed_before` and never offered.
    pub async fn claim_due(
        &self,
        now: i64,
        lease_until: i64,
        missed_before: i64,
        limit: usize,
        resting: &[Uuid],
    ) -> Result<Claimed, Error> {
        let turns = self.turns(now, limit, resting).await?;
        if turns.is_empty() {
            return Ok(Claimed::default());
        }
        let longest = turns.iter().map(|turn| turn.most).max();
        let turns = json(&turns);
        let claim = self.dialect(CLAIM_SQLITE, CLAIM_POSTGRES);
        let claimed = self.dialect(CLAIMED_SQLITE, CLAIMED_POSTGRES);
        let sqlite = self.db.is_sqlite();
        faults::at("sweep.claim.before").await?;
        let rows: Vec<ClaimedRow> = write!(self.db, tx => {
            let mut claim = sqlx::query_scalar(claim).bind(now).bind(lease_until).bind(turns).bind(missed_before);
            if sqlite {
                claim = claim.bind(longest);
            }
            let ids: Vec<Uuid> = claim.fetch_all(&mut *tx).await?;
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
            let target_id = row.id;
            match row.offer() {
                Ok(offer) => claimed.offers.push(offer),
                // One bad row must not hold the others up; the count of stuck targets shows it.
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, target.id = %target_id, "a target cannot be read");
                }
            }
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

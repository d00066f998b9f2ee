//! What has to be done: accounts with work, an account's line in order, the handles and attempts of a delivery.

use postmesh_kit::{
    faults::{Bug, bug},
    read, write,
};
use uuid::Uuid;

use super::{
    Store, either, events, id_list,
    rows::{Stored, columns},
    timed,
};
use crate::{
    domain::{
        delivery::{AttemptFacts, SKEW},
        step::Problem,
    },
    error::Error,
};

/// What a handle takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replaces {
    /// Nothing: the one that is there stays.
    Nothing,
    /// Whatever is there.
    Anything,
    /// This one alone.
    This(String),
}

/// Native ids of an account that a lost send cannot be, at most.
const TAKEN: i64 = 200;

/// The states that form the line; the text of the partial index.
macro_rules! in_line {
    () => {
        "state in ('handed_over', 'preparing', 'prepared', 'sending', 'retry_wait', 'unknown')"
    };
}

impl Store {
    /// Accounts that `owner` may serve, each behind its workspace: those with an attempt whose process is gone, then
    /// those with something to do before `until`, one workspace after the other, the most urgent first in each.
    pub(crate) async fn accounts_with_work(
        &self,
        until: i64,
        limit: i64,
        owner: Uuid,
    ) -> Result<Vec<(Uuid, Uuid)>, Error> {
        let sqlite = self.db.is_sqlite();
        read!(self.db, c => {
            let mut accounts: Vec<(Uuid, Uuid)> = sqlx::query_as(timed!(sqlite,
                "select d.workspace_id, a.account_id
                   from publish_attempts a join deliveries d on d.target_id = a.target_id
                        left join account_leases l on l.account_id = a.account_id
                  where a.outcome is null and (l.until_at is null or l.until_at <= ", ")"))
                .fetch_all(&mut *c).await?;
            let due: Vec<(Uuid, Uuid)> = sqlx::query_as(timed!(sqlite,
                "select workspace_id, account_id
                   from (select d.workspace_id, d.account_id, min(d.next_at) as first_at,
                                row_number() over (partition by d.workspace_id
                                                       order by min(d.next_at), d.account_id) as turn
                           from deliveries d left join account_leases l on l.account_id = d.account_id
                          where d.next_at is not null and d.next_at <= $1
                            and d.state in ('handed_over', 'preparing', 'prepared', 'sending', 'retry_wait', 'unknown')
                            and (l.account_id is null or l.owner = $3 or l.until_at <= ", ")
                          group by d.workspace_id, d.account_id) as due
                  order by turn, first_at, account_id
                  limit $2"))
                .bind(until).bind(limit).bind(owner).fetch_all(&mut *c).await?;
            accounts.extend(due);
            if bug(Bug::SweeperSkipsUnknown) {
                accounts = sqlx::query_as(
                    "select distinct workspace_id, account_id from deliveries
                      where next_at is not null and next_at <= $1
                        and state in ('handed_over', 'preparing', 'prepared', 'retry_wait')
                      limit $2")
                    .bind(until).bind(limit).fetch_all(&mut *c).await?;
            }
            Ok(accounts)
        })
    }

    /// The account's line: what is due for preparation before `until`, in order of due time.
    pub(crate) async fn line(&self, account_id: Uuid, until: i64, limit: i64) -> Result<Vec<Stored>, Error> {
        read!(self.db, c => {
            Ok(sqlx::query_as(concat!(
                "select ", columns!(), "
                   from deliveries
                  where account_id = $1 and due_at <= $2 and ", in_line!(), "
                  order by due_at, thread_id, position
                  limit $3"))
                .bind(account_id).bind(until).bind(limit).fetch_all(&mut *c).await?)
        })
    }

    /// Deliveries outside of any line whose moment has come: parked, processing, or waiting for a person.
    pub(crate) async fn beside_the_line(&self, now: i64, limit: i64) -> Result<Vec<Stored>, Error> {
        read!(self.db, c => {
            Ok(sqlx::query_as(concat!(
                "select ", columns!(), "
                   from deliveries
                  where next_at is not null and next_at <= $1
                    and state in ('parked', 'processing', 'needs_confirmation')
                  order by next_at
                  limit $2"))
                .bind(now).bind(limit).fetch_all(&mut *c).await?)
        })
    }

    /// One delivery of a workspace.
    pub(crate) async fn delivery(
        &self,
        workspace_id: Uuid,
        target_id: Uuid,
    ) -> Result<Option<Stored>, Error> {
        read!(self.db, c => {
            Ok(sqlx::query_as(concat!(
                "select ", columns!(), " from deliveries where workspace_id = $1 and target_id = $2"))
                .bind(workspace_id).bind(target_id).fetch_optional(&mut *c).await?)
        })
    }

    /// Parked deliveries of an account.
    pub(crate) async fn parked(&self, account_id: Uuid, limit: i64) -> Result<Vec<Stored>, Error> {
        read!(self.db, c => {
            Ok(sqlx::query_as(concat!(
                "select ", columns!(), " from deliveries where account_id = $1 and state = 'parked'
                  order by due_at, thread_id, position limit $2"))
                .bind(account_id).bind(limit).fetch_all(&mut *c).await?)
        })
    }

    /// How many deliveries are past their deadline by `tolerance` milliseconds. Must be 0. One that stands in its
    /// account's line or thread behind another that waits within its time, behind a part of its thread that a user is asked
    /// about, or whose account the network asked to wait, is not late as long as it may still be sent in time; neither is a
    /// parked one before its deadline.
    pub(crate) async fn stuck(&self, tolerance: i64) -> Result<i64, Error> {
        let sqlite = self.db.is_sqlite();
        read!(self.db, c => {
            Ok(sqlx::query_scalar(timed!(sqlite,
                "select count(*) from (select ", " as now) as clock, deliveries d
                  where next_at is not null and state <> 'needs_confirmation' and next_at + $1 < now
                    and (late_at + $1 < now or state not in ('handed_over', 'preparing', 'prepared', 'retry_wait')
                         or not (exists (select 1 from account_leases l
                                          where l.account_id = d.account_id and l.blocked_until > now)
                              or exists (select 1 from deliveries ahead
                                          where ahead.account_id = d.account_id
                                            and ahead.state in ('handed_over', 'preparing', 'prepared', 'sending',
                                                                'retry_wait', 'unknown')
                                            and (ahead.due_at, ahead.thread_id, ahead.position)
                                                < (d.due_at, d.thread_id, d.position)
                                            and ahead.next_at + $1 >= now)
                              or exists (select 1 from deliveries previous
                                          where previous.target_id = d.previous_id
                                            and previous.next_at + $1 >= now)
                              or exists (select 1 from deliveries asked
                                          where asked.thread_id = d.thread_id and asked.position < d.position
                                            and asked.state = 'needs_confirmation')))"))
                .bind(tolerance).fetch_one(&mut *c).await?)
        })
    }

    /// The stored handles of deliveries, as (target, revision, step, handle).
    pub(crate) async fn handles(&self, targets: &[Uuid]) -> Result<Vec<(Uuid, i64, String, String)>, Error> {
        let sqlite = self.db.is_sqlite();
        let ids = id_list(targets);
        read!(self.db, c => {
            Ok(sqlx::query_as(either!(sqlite,
                "select target_id, revision, step, handle from handles
                  where target_id in (select unhex(value) from json_each($1))",
                "select target_id, revision, step, handle from handles
                  where target_id in (select value::uuid from json_array_elements_text($1::json) as value)"))
                .bind(ids).fetch_all(&mut *c).await?)
        })
    }

    /// Stores the handle of a step.
    ///
    /// The first one counts, unless it replaces what is there, and is answered: two processes that prepare one delivery
    /// must send with the same, or a lost answer would be looked for with the other.
    pub(crate) async fn save_handle(
        &self,
        target_id: Uuid,
        revision: i64,
        step: String,
        handle: String,
        replaces: Replaces,
    ) -> Result<String, Error> {
        let sqlite = self.db.is_sqlite();
        let (any, this) = match replaces {
            Replaces::Nothing => (false, None),
            Replaces::Anything => (true, None),
            Replaces::This(handle) => (false, Some(handle)),
        };
        write!(self.db, tx => {
            let stored: String = sqlx::query_scalar(timed!(sqlite,
                "insert into handles (target_id, revision, step, handle, created_at) values ($1, $2, $3, $4, ", ")
                     on conflict (target_id, revision, step) do update
                    set handle = case when $5 or handles.handle = $6 then excluded.handle else handles.handle end
              returning handle"))
                .bind(target_id).bind(revision).bind(step).bind(handle).bind(any).bind(this)
                .fetch_one(&mut *tx).await?;
            Ok::<_, Error>(stored)
        })
    }

    /// Marks deliveries whose reversible steps begin now; answers those that still may.
    pub(crate) async fn begin_preparing(&self, targets: &[Uuid], timeout: i64) -> Result<Vec<Uuid>, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let ids = id_list(targets);
        write!(self.db, tx => {
            let begun: Vec<Uuid> = sqlx::query_scalar(either!(sqlite,
                "update deliveries
                    set state = 'preparing', updated_at = cast(unixepoch('subsec') * 1000 as integer),
                        next_at = min(late_at, cast(unixepoch('subsec') * 1000 as integer) + $2)
                  where target_id in (select unhex(value) from json_each($1))
                    and state in ('handed_over', 'preparing', 'prepared', 'retry_wait')
                    and late_at > cast(unixepoch('subsec') * 1000 as integer)
              returning target_id",
                "update deliveries
                    set state = 'preparing', updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint,
                        next_at = least(late_at, (extract(epoch from clock_timestamp()) * 1000)::bigint + $2)
                  where target_id in (select target_id from deliveries
                                       where target_id in (select value::uuid from json_array_elements_text($1::json) as value)
                                       order by target_id for update)
                    and state in ('handed_over', 'preparing', 'prepared', 'retry_wait')
                    and late_at > (extract(epoch from clock_timestamp()) * 1000)::bigint
              returning target_id"))
                .bind(ids).bind(timeout).fetch_all(&mut *tx).await?;
            if !begun.is_empty() {
                events::note_all!(tx, sqlite, id_list(&begun), replica)?;
            }
            Ok::<_, Error>(begun)
        })
    }

    /// Marks deliveries that are ready; answers those that still are wanted.
    pub(crate) async fn mark_prepared(&self, targets: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let ids = id_list(targets);
        write!(self.db, tx => {
            let ready: Vec<Uuid> = sqlx::query_scalar(either!(sqlite,
                "update deliveries
                    set state = 'prepared', updated_at = cast(unixepoch('subsec') * 1000 as integer),
                        next_at = max(due_at, cast(unixepoch('subsec') * 1000 as integer))
                  where target_id in (select unhex(value) from json_each($1)) and state = 'preparing'
              returning target_id",
                "update deliveries
                    set state = 'prepared', updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint,
                        next_at = greatest(due_at, (extract(epoch from clock_timestamp()) * 1000)::bigint)
                  where target_id in (select target_id from deliveries
                                       where target_id in (select value::uuid from json_array_elements_text($1::json) as value)
                                       order by target_id for update)
                    and state = 'preparing'
              returning target_id"))
                .bind(ids).fetch_all(&mut *tx).await?;
            if !ready.is_empty() {
                events::note_all!(tx, sqlite, id_list(&ready), replica)?;
            }
            Ok::<_, Error>(ready)
        })
    }

    /// What is known about the last attempt of a delivery.
    pub(crate) async fn attempt_facts(&self, stored: &Stored) -> Result<Option<AttemptFacts>, Error> {
        let (target_id, account_id, n) = (stored.target_id, stored.account_id, stored.attempt_n);
        let first_armed_at = stored.first_armed_at;
        read!(self.db, c => {
            let attempt: Option<(i64, Vec<u8>)> = sqlx::query_as(
                "select armed_at, request_sha256 from publish_attempts where target_id = $1 and n = $2")
                .bind(target_id).bind(n).fetch_optional(&mut *c).await?;
            let (armed_at, request_sha256) = match (attempt, first_armed_at) {
                (Some(attempt), _) => attempt,
                // In doubt because records were lost: its attempt is among them, if there was one.
                (None, Some(first_armed_at)) => (first_armed_at, Vec::new()),
                (None, None) => return Ok(None),
            };
            let first_armed_at = first_armed_at.unwrap_or(armed_at);
            let last_native_id = sqlx::query_scalar(
                "select native_id from deliveries
                  where account_id = $1 and native_id is not null and first_armed_at < $2
                  order by first_armed_at desc limit 1")
                .bind(account_id).bind(first_armed_at).fetch_optional(&mut *c).await?;
            let taken_native_ids = sqlx::query_scalar(
                "select native_id from deliveries
                  where account_id = $1 and native_id is not null and first_armed_at >= $2 and target_id <> $3
                  order by first_armed_at limit $4")
                .bind(account_id).bind(first_armed_at - SKEW).bind(target_id).bind(TAKEN).fetch_all(&mut *c).await?;
            Ok(Some(AttemptFacts { n, armed_at, first_armed_at, request_sha256, last_native_id, taken_native_ids }))
        })
    }

    /// Parks what an account has in its line and has not sent; answers how many.
    pub(crate) async fn park_account(&self, account_id: Uuid, problem: &Problem) -> Result<usize, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let Problem { code, message } = problem.clone();
        write!(self.db, tx => {
            let parked: Vec<Uuid> = sqlx::query_scalar(timed!(sqlite,
                "update deliveries
                    set state = 'parked', next_at = late_at, problem_code = $2, problem_message = $3, updated_at = ", "
                  where account_id = $1 and state in ('handed_over', 'preparing', 'prepared', 'retry_wait')
              returning target_id"))
                .bind(account_id).bind(code).bind(message).fetch_all(&mut *tx).await?;
            for target_id in &parked {
                events::insert!(tx, sqlite, *target_id, events::Step::moved(&replica))?;
            }
            Ok::<_, Error>(parked.len())
        })
    }

    /// Cancels what an account has not sent; answers how many. For an account that a user disconnected.
    pub(crate) async fn cancel_account(&self, account_id: Uuid, problem: &Problem) -> Result<usize, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let Problem { code, message } = problem.clone();
        write!(self.db, tx => {
            let cancelled: Vec<Uuid> = sqlx::query_scalar(timed!(sqlite,
                "update deliveries
                    set state = 'cancelled', next_at = null, problem_code = $2, problem_message = $3, updated_at = ", "
                  where account_id = $1 and state in ('handed_over', 'preparing', 'prepared', 'retry_wait', 'parked')
              returning target_id"))
                .bind(account_id).bind(code).bind(message).fetch_all(&mut *tx).await?;
            for target_id in &cancelled {
                events::insert!(tx, sqlite, *target_id, events::Step::moved(&replica))?;
            }
            Ok::<_, Error>(cancelled.len())
        })
    }
}

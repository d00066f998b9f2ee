//! ARM: the one transaction that must be committed before the one visible request.
//!
//! **Invariants.** Only an OK from its COMMIT makes an [`Armed`]. Its guards (lease and fence, permit, state, revision,
//! due, late, the class's window) are read from the database's clock inside the transaction. Two partial unique
//! indexes allow one open attempt per target and per account, whatever else goes wrong. When the answer to the COMMIT
//! is lost there is no `Armed`, so no byte was sent, and [`Store::disarm`] closes the row as not sent. The parts of a
//! thread that the same request makes visible are in doubt from this commit on, all of them, or nothing is armed.
//!
//! **Permits.** The ledger is counted, under the lock of the account's lease, so the count is exact over all processes
//! and in every span of time. An attempt counts while its request may have reached the network within the span: until
//! the span has passed since it was closed, or since its send deadline while it is open. What was certainly not sent
//! does not count.

use std::{sync::Arc, time::Duration};

use postmesh_kit::{
    clockguard::{Boottime, ClockGuard},
    write,
};
use uuid::Uuid;

use super::{
    Change, Store, either,
    marks::timeline,
    points::About,
    riders::{self, Rider},
    settle::{lost_fence, store_change},
    timed,
};
use crate::{domain::state::State, error::Error, networks::limits::Permits};

/// Proof that an attempt is committed and this process may send its request, once. Not `Clone`; `Network::send`
/// consumes it.
#[derive(Debug)]
pub struct Armed {
    target_id: Uuid,
    n: i64,
    key: String,
    resend: bool,
    deadline: Boottime,
}

impl Armed {
    /// The seeded bug: the proof of a commit that has not happened.
    #[cfg(any(debug_assertions, feature = "faults"))]
    pub(crate) fn before_its_time(request: &ArmRequest) -> Self {
        let deadline = Boottime::now() + Duration::from_millis(request.send_timeout.max(0) as u64);
        let resend = request.from == State::Unknown;
        Self { target_id: request.target_id, n: 0, key: request.key.clone(), resend, deadline }
    }

    /// An attempt that no transaction has armed, for testing what adapters do with one.
    #[cfg(test)]
    pub(crate) fn for_tests(resend: bool, time: Duration) -> Self {
        let deadline = Boottime::now() + time;
        Self { target_id: Uuid::nil(), n: 1, key: String::new(), resend, deadline }
    }

    /// The target.
    pub fn target_id(&self) -> Uuid {
        self.target_id
    }

    /// Which attempt, from 1.
    pub fn n(&self) -> i64 {
        self.n
    }

    /// The idempotency key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether an earlier attempt of the same revision may have become visible.
    pub fn is_resend(&self) -> bool {
        self.resend
    }

    /// Time left until the send deadline; `None` when it has passed and no first byte may leave any more. The whole
    /// exchange must end inside it. Counts the time a machine sleeps.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.checked_duration_since(Boottime::now()).filter(|left| !left.is_zero())
    }
}

/// What is to be armed.
#[derive(Debug, Clone)]
pub(crate) struct ArmRequest {
    pub(crate) target_id: Uuid,
    pub(crate) workspace_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) revision: i64,
    /// `Prepared`, or `Unknown` for a resend.
    pub(crate) from: State,
    /// For a resend: the attempt that is closed as unconfirmed, when it is still open.
    pub(crate) close: Option<i64>,
    /// For a resend: whether every attempt in doubt must be quiet.
    pub(crate) needs_quiet: bool,
    /// For a resend: how long after the first ARM the key is trusted; 0 for ever.
    pub(crate) key_window: i64,
    pub(crate) owner: Uuid,
    pub(crate) fence: i64,
    pub(crate) key: String,
    pub(crate) request_sha256: [u8; 32],
    /// Parts of its thread that the same request makes visible.
    pub(crate) riders: Vec<Rider>,
    /// How many posts the account may send, in any span of each length.
    pub(crate) permits: Vec<Permits>,
    pub(crate) send_timeout: i64,
    pub(crate) quiesce: i64,
    /// Chosen by the caller, unique: finds the attempt when the answer to the commit is lost.
    pub(crate) nonce: Uuid,
    pub(crate) guard: Arc<ClockGuard>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Arming {
    /// Send.
    Armed {
        /// The proof.
        armed: Armed,
        /// When, by the database's clock.
        armed_at: i64,
    },
    /// The lease is somebody else's, or has ended.
    NotOwner,
    /// The permits of a span are used up, or the network asked to wait. Prepared deliveries of the account were
    /// postponed.
    OutOfPermits {
        /// When one comes back, by the database's clock.
        until: i64,
        /// The database's clock.
        now: i64,
    },
    /// Its moment has not come, by the database's clock, which shows `now`.
    NotDue {
        /// The database's clock.
        now: i64,
    },
    /// This is not the database it was: first what may be lost is put in doubt.
    AnotherEpoch,
    /// It was recalled, edited, is too late, moved on, or the part of its thread before it is not published.
    Gone,
    /// One of the parts it was to take along was recalled, edited, is too late or moved on; nothing was armed.
    RidersGone,
}

/// The account's lease, locked until the commit, so that nobody else counts or arms meanwhile.
const LEASE_POSTGRES: &str = "
select (extract(epoch from clock_timestamp()) * 1000)::bigint, blocked_until
  from account_leases
 where account_id = $1 and owner = $2 and fence = $3
   and until_at > (extract(epoch from clock_timestamp()) * 1000)::bigint
   for update";
/// The same; the transaction itself holds the one lock of the file.
const LEASE_SQLITE: &str = "
select cast(unixepoch('subsec') * 1000 as integer), blocked_until
  from account_leases
 where account_id = $1 and owner = $2 and fence = $3
   and until_at > cast(unixepoch('subsec') * 1000 as integer)";

struct Committed {
    n: i64,
    armed_at: i64,
}

enum Verdict {
    Committed(Committed),
    Not(Arming),
}

impl Store {
    /// Arms an attempt, storing the given steps in the same transaction before it. The steps are stored even when the
    /// ARM is refused. An error means that nothing was stored, or that nobody knows: then [`Store::disarm`] and
    /// [`Store::apply`].
    pub(crate) async fn apply_and_arm(
        &self,
        changes: Vec<Change>,
        request: ArmRequest,
    ) -> Result<(Vec<bool>, Arming), Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let deadline = Boottime::now() + Duration::from_millis(request.send_timeout.max(0) as u64);
        let (target_id, key, resend) =
            (request.target_id, request.key.clone(), request.from == State::Unknown);
        let (rider_ids, rider_count) = (riders::ids(&request.riders), request.riders.len() as i64);
        let about = About::of(&changes).arming(resend);
        about.before().await?;
        let (moved, verdict) = write!(self.db, tx => {
            let mut moved = Vec::with_capacity(changes.len());
            for change in &changes {
                moved.push(!lost_fence!(tx, change) && store_change!(tx, sqlite, replica, change));
            }
            if !sqlite {
                let is_same: bool = sqlx::query_scalar(concat!(
                    "select coalesce((select value from marks where name = 'timeline') = ", timeline!(), ", false)"))
                    .fetch_one(&mut *tx).await?;
                if !is_same {
                    return Ok((moved, Verdict::Not(Arming::AnotherEpoch)));
                }
            }
            let leased: Option<(i64, i64)> = sqlx::query_as(either!(sqlite, LEASE_SQLITE, LEASE_POSTGRES))
                .bind(request.account_id).bind(request.owner).bind(request.fence)
                .fetch_optional(&mut *tx).await?;
            let Some((now, blocked_until)) = leased else {
                return Ok((moved, Verdict::Not(Arming::NotOwner)));
            };
            // A clock that jumped must not make anything due: roll everything back.
            if !request.guard.agrees(now) {
                return Err(Error::ClockJumped);
            }
            let mut until = blocked_until;
            for permits in &request.permits {
                // The one that must leave the span before another may enter it.
                let oldest: Option<i64> = sqlx::query_scalar(
                    "select ended_at
                       from (select coalesce(closed_at, send_deadline) as ended_at,
                                    sum(1 + riders) over (order by coalesce(closed_at, send_deadline) desc) as posts
                               from publish_attempts
                              where account_id = $1 and coalesce(closed_at, send_deadline) > $2
                                and coalesce(outcome, '') <> 'not_sent') as counted
                      where posts > $3
                      order by ended_at desc
                      limit 1")
                    .bind(request.account_id).bind(now.saturating_sub(permits.window_ms))
                    .bind(permits.posts - 1 - rider_count)
                    .fetch_optional(&mut *tx).await?;
                until = until.max(oldest.map_or(0, |at| at.saturating_add(permits.window_ms)));
            }
            if until > now {
                sqlx::query(
                    "update deliveries set next_at = case when late_at < $2 then late_at else $2 end
                      where account_id = $1 and state = 'prepared' and next_at < $2")
                    .bind(request.account_id).bind(until).execute(&mut *tx).await?;
                return Ok((moved, Verdict::Not(Arming::OutOfPermits { until, now })));
            }
            if rider_count > 0 {
                let free: Vec<(Uuid, i64)> =
                    sqlx::query_as(either!(sqlite, riders::FREE_SQLITE, riders::FREE_POSTGRES))
                        .bind(rider_ids.clone()).bind(request.target_id).bind(request.account_id)
                        .bind(request.workspace_id).bind(now).fetch_all(&mut *tx).await?;
                let may_ever = request.permits.iter().all(|permits| rider_count < permits.posts);
                if !may_ever || !riders::are_all(&request.riders, &free) {
                    return Ok((moved, Verdict::Not(Arming::RidersGone)));
                }
            }
            if let Some(n) = request.close {
                sqlx::query(timed!(sqlite,
                    "update publish_attempts set outcome = 'unconfirmed', closed_at = ", "
                      where target_id = $1 and n = $2 and outcome is null"))
                    .bind(request.target_id).bind(n).execute(&mut *tx).await?;
            }
            let marked: Option<(i64, i64)> = sqlx::query_as(timed!(sqlite,
                "update deliveries
                    set state = 'sending', attempt_n = attempt_n + 1, is_open = true,
                        rides_on = null, first_armed_at = coalesce(first_armed_at, ", "), send_deadline = $7 + ", ",
                        next_at = $7 + $8 + ", ", updated_at = ", "
                  where target_id = $1 and workspace_id = $2 and revision = $3 and state = $4
                    and due_at <= ", " and late_at > ", "
                    and (not $5 or quiet_at is null or quiet_at <= ", ")
                    and ($6 = 0 or first_armed_at + $6 > ", ")
                    and (previous_id is null or exists (select 1 from deliveries p
                          where p.target_id = deliveries.previous_id and p.state in ('published', 'in_inbox')))
              returning attempt_n, updated_at"))
                .bind(request.target_id).bind(request.workspace_id).bind(request.revision).bind(request.from.as_str())
                .bind(request.needs_quiet).bind(request.key_window).bind(request.send_timeout).bind(request.quiesce)
                .fetch_optional(&mut *tx).await?;
            let Some((n, armed_at)) = marked else {
                // The attempt of a resend stays as it was.
                if let Some(n) = request.close {
                    sqlx::query("update publish_attempts set outcome = null, closed_at = null
                                  where target_id = $1 and n = $2 and outcome = 'unconfirmed'")
                        .bind(request.target_id).bind(n).execute(&mut *tx).await?;
                }
                let waits: Option<i64> = sqlx::query_scalar(
                    "select due_at from deliveries where target_id = $1 and revision = $2 and state = $3")
                    .bind(request.target_id).bind(request.revision).bind(request.from.as_str())
                    .fetch_optional(&mut *tx).await?;
                let verdict = if waits.is_some_and(|due_at| due_at > now) { Arming::NotDue { now } } else { Arming::Gone };
                return Ok((moved, Verdict::Not(verdict)));
            };
            let opened = sqlx::query(
                "insert into publish_attempts (target_id, n, account_id, fence, nonce, key, revision, request_sha256,
                     armed_at, send_deadline, replica, riders)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                     on conflict do nothing")
                .bind(request.target_id).bind(n).bind(request.account_id).bind(request.fence).bind(request.nonce)
                .bind(request.key.clone()).bind(request.revision).bind(request.request_sha256.to_vec())
                .bind(armed_at).bind(armed_at + request.send_timeout).bind(replica.clone()).bind(rider_count)
                .execute(&mut *tx).await?;
            if opened.rows_affected() != 1 {
                return Err(Error::Contended); // one of the two indexes: somebody else is sending
            }
            if rider_count > 0 {
                let carried = sqlx::query(either!(sqlite, riders::CARRY_SQLITE, riders::CARRY_POSTGRES))
                    .bind(rider_ids.clone()).bind(request.nonce).bind(armed_at)
                    .bind(armed_at + request.send_timeout + request.quiesce)
                    .execute(&mut *tx).await?;
                // Only a first attempt takes parts along, and they were locked above.
                if n != 1 || carried.rows_affected() != request.riders.len() as u64 {
                    return Err(Error::Contended);
                }
                super::events::note_all!(tx, sqlite, rider_ids, replica)?;
            }
            Ok::<_, Error>((moved, Verdict::Committed(Committed { n, armed_at })))
        })?;
        about.after(matches!(verdict, Verdict::Committed(_))).await?;
        let arming = match verdict {
            Verdict::Committed(Committed { n, armed_at }) => {
                Arming::Armed { armed: Armed { target_id, n, key, resend, deadline }, armed_at }
            }
            Verdict::Not(arming) => arming,
        };
        Ok((moved, arming))
    }

    /// Closes the attempt with this nonce, for which there never was an [`Armed`]; true when there was one.
    pub(crate) async fn disarm(&self, nonce: Uuid) -> Result<bool, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        write!(self.db, tx => {
            let closed: Option<(Uuid, i64)> = sqlx::query_as(timed!(sqlite,
                "update publish_attempts
                    set outcome = 'not_sent', evidence = 'the answer to the commit was lost', closed_at = ", "
                  where nonce = $1 and outcome is null
              returning target_id, n"))
                .bind(nonce).fetch_optional(&mut *tx).await?;
            let Some((target_id, n)) = closed else { return Ok::<_, Error>(false) };
            sqlx::query(timed!(sqlite,
                "update deliveries
                    set state = case when doubt_since is null then 'retry_wait' else 'unknown' end, is_open = false,
                        next_at = ", ", updated_at = ", "
                  where target_id = $1 and attempt_n = $2 and state = 'sending'"))
                .bind(target_id).bind(n).execute(&mut *tx).await?;
            riders::put_back!(tx, sqlite, replica, nonce);
            Ok(true)
        })
    }
}

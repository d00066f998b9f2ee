//! A decided step is stored: the delivery's row by compare-and-set, its attempt's outcome, its event, in one
//! transaction, and in the same one, when the account has more to send, the ARM of the next delivery.
//!
//! Statements of a published post in a burst: close the attempt, update the delivery, write the event, read the lease,
//! count the permits of each span, mark the next one as sending, open its attempt: seven or eight, and one commit.

use postmesh_kit::write;
use uuid::Uuid;

use super::{Store, points::About, rows::Stored};
use crate::{
    domain::{
        outcome::Wire,
        state::State,
        step::{self, Closing, Effect, Problem},
    },
    error::Error,
};

/// One decided step of one delivery, as it is to be stored.
#[derive(Debug, Clone)]
pub struct Change {
    /// The delivery.
    pub target_id: Uuid,
    /// Its account.
    pub account_id: Uuid,
    /// Its revision.
    pub revision: i64,
    /// Where the step began: the compare-and-set.
    pub from: State,
    /// Its last attempt then; part of the compare-and-set.
    pub attempt_n: i64,
    /// What it becomes.
    pub after: step::Delivery,
    /// How its open attempt is closed.
    pub close: Option<Closing>,
    /// What was seen on the wire.
    pub wire: Wire,
    /// Its id at the network.
    pub native_id: Option<String>,
    /// Its address.
    pub url: Option<String>,
    /// How we know, when it was not the network's own answer.
    pub evidence: Option<String>,
    /// What to ask a processing network with.
    pub handle: Option<String>,
    /// Steps whose handles are void.
    pub forget: Vec<String>,
    /// Whether the tailers are told.
    pub reports: bool,
    /// Why it is where it is.
    pub problem: Option<Problem>,
    /// What the network answered when it was asked, for the timeline.
    pub note: Option<String>,
    /// Whether the event is a user's answer.
    pub confirmed: bool,
}

impl Change {
    /// The part of a step that is stored; answers also the effects that are left to be done.
    pub fn new(
        stored: &Stored,
        from: State,
        after: step::Delivery,
        effects: Vec<Effect>,
        wire: Wire,
    ) -> (Self, Vec<Effect>) {
        let mut change = Self {
            target_id: stored.target_id,
            account_id: stored.account_id,
            revision: stored.revision,
            from,
            attempt_n: stored.attempt_n,
            after,
            close: None,
            wire,
            native_id: None,
            url: None,
            evidence: None,
            handle: None,
            forget: Vec::new(),
            reports: false,
            problem: None,
            note: None,
            confirmed: false,
        };
        let mut left = Vec::new();
        for effect in effects {
            match effect {
                Effect::Close(closing) => change.close = Some(closing),
                Effect::Report(problem) => {
                    change.reports = true;
                    change.problem = problem;
                }
                Effect::Record { native_id, url, evidence } => {
                    change.native_id = Some(native_id);
                    change.url = Some(url);
                    change.evidence = evidence;
                }
                Effect::Track { handle } => change.handle = Some(handle),
                Effect::Forget(steps) => change.forget = steps,
                Effect::Note(note) => change.note = Some(note),
                other => left.push(other),
            }
        }
        (change, left)
    }

    /// The same change as rows after it is stored.
    pub fn apply_to(&self, stored: &mut Stored) {
        let after = &self.after;
        after.state.as_str().clone_into(&mut stored.state);
        stored.next_at = after.next_at;
        stored.tries = i64::from(after.tries);
        stored.is_open = after.is_open;
        stored.first_armed_at = after.first_armed_at;
        stored.send_deadline = after.send_deadline;
        stored.doubt_since = after.doubt_since;
        stored.quiet_at = after.quiet_at;
        stored.absent_reads = i64::from(after.absent_reads);
        stored.absent_since = after.absent_since;
        stored.refusal_code = after.refusal.as_ref().map(|refusal| refusal.code.clone());
        stored.refusal_message = after.refusal.as_ref().map(|refusal| refusal.message.clone());
        if let Some(handle) = &self.handle {
            stored.processing_handle = Some(handle.clone());
        }
    }
}

/// Stores one change inside a transaction; evaluates to whether the delivery still was where the step began. The fact
/// that the network accepted is stored wherever the delivery is by now: it stays true.
macro_rules! store_change {
    ($tx:ident, $sqlite:expr, $replica:expr, $change:expr) => {{
        let change: &$crate::store::Change = $change;
        let after = &change.after;
        // What the network asked for holds for every process from this commit on.
        if let Some(hold) = change.wire.hold {
            sqlx::query($crate::store::either!($sqlite,
                "update account_leases
                    set blocked_until = max(blocked_until, cast(unixepoch('subsec') * 1000 as integer) + $2)
                  where account_id = $1",
                "update account_leases
                    set blocked_until = greatest(blocked_until,
                            (extract(epoch from clock_timestamp()) * 1000)::bigint + $2)
                  where account_id = $1"))
                .bind(change.account_id).bind(i64::try_from(hold.as_millis()).unwrap_or(i64::MAX / 4))
                .execute(&mut *$tx).await?;
        }
        // A fact may come from somebody who knows less than the ledger: once it is published, no attempt is open.
        let is_published = change.native_id.is_some() && after.state == State::Published;
        if let Some(closing) = change.close.or(is_published.then_some($crate::domain::step::Closing::Accepted)) {
            sqlx::query($crate::store::timed!($sqlite,
                "update publish_attempts
                    set outcome = $3, http_status = $4, platform_code = $5, request_id = $6, native_id = $7,
                        evidence = $8, closed_at = ", "
                  where target_id = $1 and (n = $2 or $9 and revision = $10) and outcome is null"))
                .bind(change.target_id).bind(change.attempt_n).bind(closing.as_str())
                .bind(change.wire.http_status.map(i64::from)).bind(change.wire.platform_code.clone())
                .bind(change.wire.request_id.clone()).bind(change.native_id.clone()).bind(change.evidence.clone())
                .bind(is_published).bind(change.revision).execute(&mut *$tx).await?;
        }
        let moved = if let (Some(native_id), State::Published) = (&change.native_id, after.state) {
            sqlx::query($crate::store::timed!($sqlite,
                "update deliveries
                    set state = 'published', native_id = nullif($3, ''), url = $4, evidence = $5, next_at = null, is_open = false,
                        rides_on = null, problem_code = null, problem_message = null, updated_at = ", "
                  where target_id = $1 and revision = $2
                    and state in ('sending', 'unknown', 'processing', 'needs_confirmation')"))
                .bind(change.target_id).bind(change.revision).bind(native_id.clone()).bind(change.url.clone())
                .bind(change.evidence.clone())
                .execute(&mut *$tx).await?.rows_affected()
        } else {
            sqlx::query($crate::store::timed!($sqlite,
                "update deliveries
                    set state = $5, next_at = $6, tries = $7, is_open = $8, doubt_since = $9, quiet_at = $10,
                        absent_reads = $11, absent_since = $12, refusal_code = $13, refusal_message = $14,
                        processing_handle = coalesce($15, processing_handle), problem_code = $16,
                        problem_message = $17, updated_at = ", "
                  where target_id = $1 and revision = $2 and state = $3 and attempt_n = $4"))
                .bind(change.target_id).bind(change.revision).bind(change.from.as_str()).bind(change.attempt_n)
                .bind(after.state.as_str()).bind(after.next_at).bind(i64::from(after.tries)).bind(after.is_open)
                .bind(after.doubt_since).bind(after.quiet_at).bind(i64::from(after.absent_reads))
                .bind(after.absent_since).bind(after.refusal.as_ref().map(|refusal| refusal.code.clone()))
                .bind(after.refusal.as_ref().map(|refusal| refusal.message.clone())).bind(change.handle.clone())
                .bind(change.problem.as_ref().map(|problem| problem.code.clone()))
                .bind(change.problem.as_ref().map(|problem| problem.message.clone()))
                .execute(&mut *$tx).await?.rows_affected()
        } == 1;
        if moved {
            // The request was certainly not executed: what it took along is not in doubt any more.
            if matches!(
                change.close,
                Some($crate::domain::step::Closing::NotSent | $crate::domain::step::Closing::Transient)
            ) {
                let nonce: Option<uuid::Uuid> = sqlx::query_scalar(
                    "select nonce from publish_attempts where target_id = $1 and n = $2 and riders > 0")
                    .bind(change.target_id).bind(change.attempt_n).fetch_optional(&mut *$tx).await?;
                if let Some(nonce) = nonce {
                    $crate::store::riders::put_back!($tx, $sqlite, $replica, nonce);
                }
            }
            for step in &change.forget {
                sqlx::query("delete from handles where target_id = $1 and revision = $2 and step = $3")
                    .bind(change.target_id).bind(change.revision).bind(step.clone()).execute(&mut *$tx).await?;
            }
            if let Some(note) = &change.note {
                let step = $crate::store::events::Step {
                    kind: $crate::store::Kind::Looked,
                    reports: false,
                    replica: $replica.clone(),
                    detail: Some(note.clone()),
                };
                $crate::store::events::insert!($tx, $sqlite, change.target_id, step)?;
            }
            if change.reports {
                let mut step = $crate::store::events::Step::moved(&$replica);
                if change.confirmed {
                    step.kind = $crate::store::Kind::Confirmed;
                    step.replica.clear();
                }
                $crate::store::events::insert!($tx, $sqlite, change.target_id, step)?;
            }
        }
        moved
    }};
}
pub(super) use store_change;

/// The seeded bug of a fence on true facts: whether the attempt a success belongs to was armed under a lease that has
/// changed hands.
macro_rules! lost_fence {
    ($tx:ident, $change:expr) => {
        postmesh_kit::faults::bug(postmesh_kit::faults::Bug::FenceOnSuccess)
            && $change.native_id.is_some()
            && !sqlx::query_scalar::<_, bool>(
                "select exists (select 1 from publish_attempts a join account_leases l
                         on l.account_id = a.account_id and l.fence = a.fence
                      where a.target_id = $1 and a.n = $2)",
            )
            .bind($change.target_id)
            .bind($change.attempt_n)
            .fetch_one(&mut *$tx)
            .await?
    };
}
pub(super) use lost_fence;

impl Store {
    /// Stores steps in one transaction; answers for each whether the delivery still was where the step began.
    pub(crate) async fn apply(&self, changes: Vec<Change>) -> Result<Vec<bool>, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let about = About::of(&changes);
        about.before().await?;
        let moved = write!(self.db, tx => {
            let mut moved = Vec::with_capacity(changes.len());
            for change in &changes {
                moved.push(!lost_fence!(tx, change) && store_change!(tx, sqlite, replica, change));
            }
            Ok::<_, Error>(moved)
        })?;
        about.after(false).await?;
        Ok(moved)
    }
}

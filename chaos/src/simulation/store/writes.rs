//! What a worker writes: decided steps by compare-and-set, and ARM.

use postmesh_kit::faults::{Bug, bug};
use postmesh_publisher::{core::Change, domain::state::State};

use super::{Arm, Arming, Attempt, Store};

impl Store {
    /// Stores steps; for each whether the delivery still was where the step began.
    pub(in crate::simulation) fn apply(&mut self, changes: &[Change], now: i64) -> Vec<bool> {
        changes.iter().map(|change| self.apply_one(change, now)).collect()
    }

    pub(in crate::simulation) fn apply_one(&mut self, change: &Change, now: i64) -> bool {
        if let (Some(hold), Some(lease)) = (change.wire.hold, self.leases.get_mut(&change.account_id)) {
            lease.blocked_until = lease.blocked_until.max(now + hold.as_millis() as i64);
        }
        let fence = self.leases.get(&change.account_id).map(|lease| lease.fence);
        let Some(row) = self.rows.get_mut(&change.target_id) else { return false };
        let attempt = row.attempts.iter_mut().find(|attempt| attempt.n == change.attempt_n);
        let is_fenced = change.native_id.is_some() && attempt.as_ref().map(|attempt| attempt.fence) != fence;
        if bug(Bug::FenceOnSuccess) && is_fenced {
            return false;
        }
        if let (Some(closing), Some(attempt)) = (change.close, attempt) {
            attempt.outcome.get_or_insert(closing.as_str());
        }
        if change.native_id.is_some() && change.after.state == State::Published {
            for attempt in row.attempts.iter_mut().filter(|attempt| attempt.revision == change.revision) {
                attempt.outcome.get_or_insert("accepted");
            }
        }
        let (state, after) = (row.state(), &change.after);
        let is_same = row.stored.revision == change.revision;
        if let (Some(native_id), State::Published) = (&change.native_id, after.state) {
            let may = matches!(
                state,
                State::Sending | State::Unknown | State::Processing | State::NeedsConfirmation
            );
            if !(is_same && may) {
                return false;
            }
            row.set(State::Published, None);
            row.stored.is_open = false;
            row.native_id = Some(native_id.clone()).filter(|id| !id.is_empty());
        } else {
            if !is_same || state != change.from || row.stored.attempt_n != change.attempt_n {
                return false;
            }
            let (first_armed_at, send_deadline) = (row.stored.first_armed_at, row.stored.send_deadline);
            change.apply_to(&mut row.stored);
            (row.stored.first_armed_at, row.stored.send_deadline) = (first_armed_at, send_deadline);
            row.problem = change.problem.as_ref().map(|problem| problem.code.clone());
        }
        for step in &change.forget {
            row.handles.remove(step);
        }
        if change.reports {
            Self::tell(&mut self.events, row, now);
        }
        true
    }

    /// The transaction of ARM.
    pub(in crate::simulation) fn arm(&mut self, arm: &Arm, now: i64) -> Arming {
        let lease = self.leases.get(&arm.account);
        let lease = lease.filter(|at| at.owner == arm.owner && at.fence == arm.fence && at.until > now);
        let Some(lease) = lease else { return Arming::NotOwner };
        if lease.blocked_until > now {
            let until = lease.blocked_until;
            for row in self.rows.values_mut().filter(|row| row.stored.account_id == arm.account) {
                if row.state() == State::Prepared && row.stored.next_at.is_some_and(|at| at < until) {
                    row.stored.next_at = Some(until.min(row.stored.late_at));
                }
            }
            return Arming::Blocked { until };
        }
        let guards = arm.guards;
        let others_open = self.rows.values().any(|row| {
            let is_closed_here =
                |at: &Attempt| row.stored.target_id == arm.target && guards.close == Some(at.n);
            row.stored.account_id == arm.account
                && row.attempts.iter().any(|at| at.outcome.is_none() && !is_closed_here(at))
        });
        let Some(row) = self.rows.get_mut(&arm.target) else { return Arming::Gone };
        let is_there = row.stored.revision == arm.revision && row.state() == guards.from;
        let first = row.stored.first_armed_at;
        let in_window = guards.key_window == 0 || first.is_some_and(|first| first + guards.key_window > now);
        let is_quiet = !guards.needs_quiet || row.stored.quiet_at.is_none_or(|at| at <= now);
        let in_time = row.stored.due_at <= now && row.stored.late_at > now;
        if !(is_there && in_window && is_quiet && in_time) {
            let waits = is_there && row.stored.due_at > now;
            return if waits { Arming::NotDue { now } } else { Arming::Gone };
        }
        if others_open {
            return Arming::Contended;
        }
        if let Some(attempt) = row.attempts.iter_mut().find(|attempt| Some(attempt.n) == guards.close) {
            attempt.outcome.get_or_insert("unconfirmed");
        }
        let n = row.stored.attempt_n + 1;
        let deadline = now + self.policy.send_timeout;
        row.set(State::Sending, Some(deadline + self.policy.quiesce));
        row.stored.attempt_n = n;
        row.stored.is_open = true;
        row.stored.first_armed_at.get_or_insert(now);
        row.stored.send_deadline = Some(deadline);
        row.attempts.push(Attempt {
            n,
            fence: arm.fence,
            nonce: arm.nonce,
            key: arm.key.clone(),
            revision: arm.revision,
            armed_at: now,
            outcome: None,
        });
        Arming::Armed { n, armed_at: now }
    }

    /// Closes the attempt with this nonce, which nobody was told of.
    pub(in crate::simulation) fn disarm(&mut self, nonce: u64, now: i64) {
        for row in self.rows.values_mut() {
            let open = row.attempts.iter_mut().find(|at| at.nonce == nonce && at.outcome.is_none());
            let Some(attempt) = open else { continue };
            attempt.outcome = Some("not_sent");
            if row.stored.attempt_n == attempt.n && row.state() == State::Sending {
                let is_sure = row.stored.doubt_since.is_none();
                row.set(if is_sure { State::RetryWait } else { State::Unknown }, Some(now));
                row.stored.is_open = false;
            }
        }
    }
}

//! What may be visible without our knowing: waiting until it is quiet, looking, sending again where the class makes it
//! harmless, asking a person where nothing can tell.

use super::{Closing, DeliveryClass, Effect, Fault, Found, Outcome, Problem, Run, State};

impl Run<'_> {
    pub(super) fn is_quiet(&self) -> bool {
        self.after.quiet_at.is_none_or(|at| self.now >= at)
    }

    pub(super) fn still_unknown(&mut self, hint: Option<std::time::Duration>) {
        let at = self.wait(hint);
        self.after.state = State::Unknown;
        self.after.next_at = Some(at);
    }

    /// The request may be visible. The attempt stays open, so the account stays serialised, until it is quiet.
    pub(super) fn doubt(&mut self, evidence: &str) {
        let quiet_at = self.after.send_deadline.unwrap_or(self.now).saturating_add(self.policy.quiesce);
        let was_in_doubt = self.after.doubt_since.is_some();
        self.after.state = State::Unknown;
        self.after.doubt_since.get_or_insert(self.now);
        self.after.quiet_at = Some(self.after.quiet_at.map_or(quiet_at, |at| at.max(quiet_at)));
        self.after.absent_reads = 0;
        self.after.absent_since = None;
        self.after.next_at = Some(match self.class {
            DeliveryClass::Nothing => quiet_at,
            _ if was_in_doubt => self.wait(None),
            _ => self.now,
        });
        self.effects.push(Effect::Report(Some(Problem::new("ANSWER_LOST", evidence))));
    }

    /// Nothing here says that it was sent, and nothing here can be believed. The forgotten request may have left as
    /// early as its due time, and may still be under way.
    pub(super) fn doubt_unsent(&mut self) {
        let quiet_at = self.now + self.policy.send_timeout + self.policy.quiesce;
        self.after.state = State::Unknown;
        self.after.doubt_since = Some(self.now);
        self.after.first_armed_at = Some(self.after.due_at.min(self.now));
        self.after.quiet_at = Some(quiet_at);
        self.after.tries = 0;
        self.after.absent_reads = 0;
        self.after.absent_since = None;
        self.after.next_at = Some(self.now.max(self.after.due_at));
        self.effects.push(Effect::Report(Some(Problem::new("RECORDS_LOST", super::RECORDS_LOST))));
    }

    /// The request of the first part of its thread makes it visible too, from this moment on. Not reported: it is in
    /// doubt for the time of one request, as what is being sent is.
    pub(super) fn carried(&mut self, send_deadline: i64) {
        let quiet_at = send_deadline.saturating_add(self.policy.quiesce);
        self.after.state = State::Unknown;
        self.after.doubt_since = Some(self.now);
        self.after.first_armed_at = Some(self.now);
        self.after.quiet_at = Some(quiet_at);
        self.after.tries = 0;
        self.after.absent_reads = 0;
        self.after.absent_since = None;
        self.after.next_at = Some(quiet_at);
    }

    /// Nothing of that request was executed, and nothing else ever carried it.
    pub(super) fn put_back(&mut self) {
        self.after.state = State::Prepared;
        self.after.doubt_since = None;
        self.after.first_armed_at = None;
        self.after.quiet_at = None;
        self.after.refusal = None;
        self.after.next_at = Some(self.after.due_at.max(self.now).min(self.after.late_at));
    }

    /// Whether sending again cannot make a second post.
    pub(super) fn may_resend(&self) -> bool {
        let in_time = self.now >= self.after.due_at && !self.is_late() && self.after.refusal.is_none();
        match self.class {
            DeliveryClass::NaturalKey => in_time,
            DeliveryClass::Handle => in_time && self.is_quiet(),
            DeliveryClass::IdempotencyKey => {
                let first = self.after.first_armed_at.unwrap_or(i64::MIN);
                in_time && self.is_quiet() && self.now < first.saturating_add(self.policy.key_window)
            }
            DeliveryClass::ReadBack | DeliveryClass::Nothing => false,
        }
    }

    /// An unknown outcome, looked at afresh.
    pub(super) fn wonder(&mut self) {
        if self.is_quiet() {
            self.close_open(Closing::Unconfirmed);
        }
        let spent = self.after.doubt_since.is_some_and(|at| self.now >= at + self.policy.reconcile_budget);
        if spent || (self.class == DeliveryClass::Nothing && self.is_quiet()) {
            self.close_open(Closing::Unconfirmed);
            self.ask_user();
        } else if self.class == DeliveryClass::NaturalKey && self.may_resend() && self.after.tries % 2 == 0 {
            // Once more at once; when that told nothing either, a look and a resend take turns.
            self.effects.push(Effect::Resend);
        } else if self.class == DeliveryClass::Nothing {
            self.after.next_at = self.after.quiet_at;
        } else {
            self.effects.push(Effect::Look);
        }
    }

    pub(super) fn ask_user(&mut self) {
        self.end(
            State::NeedsConfirmation,
            Some(Problem::new(
                "NEEDS_CONFIRMATION",
                "The network did not answer and cannot tell whether the post is there. Look at the account and decide.",
            )),
        );
        self.after.next_at = Some(self.now + self.policy.late_look_every);
    }

    pub(super) fn looked(&mut self, found: Found) {
        self.note(&found);
        match found {
            Found::Live { native_id, url, evidence } => self.publish(native_id, url, Some(evidence)),
            // The key protects the repetition; it needs no read.
            Found::Unsure { .. } | Found::Unread(_)
                if self.class == DeliveryClass::IdempotencyKey && self.may_resend() =>
            {
                self.close_open(Closing::Unconfirmed);
                self.after.next_at = Some(self.now);
                self.effects.push(Effect::Resend);
            }
            Found::Unsure { .. } => {
                let at = self.wait(None);
                self.after.next_at = Some(at);
            }
            Found::Unread(fault) => {
                let at = self.wait(fault.throttled());
                self.after.next_at = Some(at);
                match fault {
                    Fault::TokenExpired => self.effects.push(Effect::Refresh),
                    Fault::Reconnect { message } => self.effects.push(Effect::ParkAccount { message }),
                    _ => {}
                }
            }
            // A natural key makes a resend harmless even while the first request is under way.
            Found::Absent if self.class == DeliveryClass::NaturalKey && self.may_resend() => self.absent(),
            Found::Absent if self.is_quiet() => self.absent(),
            Found::Unseen if self.is_quiet() => self.unseen(),
            Found::Absent | Found::Unseen => {
                let quiet_at = self.after.quiet_at.unwrap_or(self.now);
                let at = self.wait(None);
                self.after.next_at = Some(at.min(quiet_at));
            }
        }
    }

    /// Not there, and nothing can be under way any more.
    fn absent(&mut self) {
        self.close_open(Closing::Unconfirmed);
        if self.may_resend() {
            self.after.next_at = Some(self.now);
            self.effects.push(Effect::Resend);
            return;
        }
        let proves = matches!(self.class, DeliveryClass::NaturalKey | DeliveryClass::Handle);
        if !proves && !self.missed_often_enough() {
            return;
        }
        if let Some(refusal) = self.after.refusal.clone() {
            self.end(State::Failed, Some(refusal));
        } else if self.class == DeliveryClass::ReadBack {
            self.ask_user();
        } else if self.is_late() {
            self.miss();
        } else {
            self.after.next_at = Some(self.after.late_at);
        }
    }

    /// Not shown, and nothing can be under way any more; whether it was sent nothing tells.
    fn unseen(&mut self) {
        self.close_open(Closing::Unconfirmed);
        if !self.missed_often_enough() {
            return;
        }
        match self.after.refusal.clone() {
            Some(refusal) => self.end(State::Failed, Some(refusal)),
            None => self.ask_user(),
        }
    }

    /// Counts a read that missed it; looks again while they are too few, or too close together.
    fn missed_often_enough(&mut self) -> bool {
        self.after.absent_reads += 1;
        let since = *self.after.absent_since.get_or_insert(self.now);
        let enough = self.after.absent_reads >= self.policy.absent_reads
            && self.now - since >= self.policy.absent_span;
        if !enough {
            let between = self.policy.absent_span / i64::from(self.policy.absent_reads.max(2) - 1);
            self.after.next_at = Some(self.now + between.max(1));
        }
        enough
    }

    fn note(&mut self, found: &Found) {
        match found {
            Found::Live { .. } => {}
            Found::Absent => self.effects.push(Effect::Note("it was not there".to_owned())),
            Found::Unseen => {
                self.effects.push(Effect::Note("it was not shown, which proves nothing".to_owned()));
            }
            Found::Unsure { why } => self.effects.push(Effect::Note(why.clone())),
            Found::Unread(fault) => self.effects.push(Effect::Note(fault.to_string())),
        }
    }

    pub(super) fn looked_late(&mut self, found: Found) {
        self.note(&found);
        if let Found::Live { native_id, url, evidence } = found {
            self.publish(native_id, url, Some(evidence));
        } else {
            let last = self.after.doubt_since.unwrap_or(self.now).saturating_add(self.policy.late_look_for);
            let next = self.now + self.policy.late_look_every;
            self.after.next_at = (next < last).then_some(next);
        }
    }

    pub(super) fn polled(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted { native_id, url } => self.publish(native_id, url, None),
            Outcome::InInbox { native_id } => self.leave_in_inbox(native_id),
            // It says nothing about an attempt that was in doubt before this one.
            Outcome::Rejected { code, message } if self.after.quiet_at.is_some() => {
                self.after.refusal = Some(Problem { code, message });
                self.still_unknown(None);
            }
            Outcome::Rejected { code, message } => self.end(State::Failed, Some(Problem { code, message })),
            other => {
                let hint = match &other {
                    Outcome::Transient { retry_after, .. } => *retry_after,
                    _ => None,
                };
                let spent =
                    self.after.doubt_since.is_some_and(|at| self.now >= at + self.policy.reconcile_budget);
                if spent {
                    self.ask_user();
                    return;
                }
                let at = if matches!(other, Outcome::Processing { .. }) {
                    self.now + self.policy.poll_every
                } else {
                    self.wait(hint)
                };
                self.after.next_at = Some(at);
                match other {
                    Outcome::TokenExpired => self.effects.push(Effect::Refresh),
                    Outcome::Reconnect { message } => self.effects.push(Effect::ParkAccount { message }),
                    _ => {}
                }
            }
        }
    }
}

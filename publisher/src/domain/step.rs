//! The state machine of one delivery: what an event makes of it, and what has to be done next. Pure: the actors, the
//! sweeper and the model check all call [`step`].
//!
//! ```text
//!  handed_over ─▶ preparing ─▶ prepared ══ARM══▶ sending ─▶ published | failed | processing
//!       ▲             ▲            ▲                │
//!       └── parked    └─ retry_wait ◀── not sent ───┤
//!                                                   └─ anything unclear ─▶ unknown ══ARM (A, B, C)══▶ sending
//! ```
//! A part of a thread that the first part's request takes along goes from `prepared` to `unknown` in that ARM, and has
//! no attempt of its own; it goes back when the request was certainly not executed.
//!
//! **Invariants.** After a send that may be visible, another one happens only from `unknown` and only where the class
//! makes it harmless. A revision in doubt never reaches `failed`, `missed` or `retry_wait` before reads after
//! quiescence have shown that nothing is there. Final states never change.

mod doubt;
mod words;

use super::{
    backoff::delay,
    outcome::{DeliveryClass, Fault, Found, Outcome},
    policy::Policy,
    state::State,
};
pub use words::{Closing, Delivery, Effect, Event, Problem, Refused, Verdict};

/// Why a delivery that nobody remembers sending is in doubt.
pub const RECORDS_LOST: &str =
    "The database lost its latest records, so it may have been sent already: the network is being asked.";

/// Decides what `event` makes of `delivery` at `now`. `jitter` is anywhere in `0.0..1.0`.
pub fn step(
    delivery: &Delivery,
    event: Event,
    class: DeliveryClass,
    policy: &Policy,
    now: i64,
    jitter: f64,
) -> Result<(Delivery, Vec<Effect>), Refused> {
    let mut run = Run {
        after: delivery.clone(),
        effects: Vec::new(),
        class,
        policy,
        now,
        jitter,
        from: delivery.state,
    };
    run.take(event)?;
    Ok((run.after, run.effects))
}

/// Why a part ends whose predecessor ended without being published.
fn broken() -> Problem {
    Problem::new(
        "THREAD_BROKEN",
        "The part of the thread before it was not published, so this one was not sent. Send both again.",
    )
}

/// Why a post is tried again with fresh tokens.
const TOKEN_EXPIRED: &str = "The access token had ended; it is renewed and the post is tried again.";

struct Run<'a> {
    after: Delivery,
    effects: Vec<Effect>,
    class: DeliveryClass,
    policy: &'a Policy,
    now: i64,
    jitter: f64,
    from: State,
}

impl Run<'_> {
    fn take(&mut self, event: Event) -> Result<(), Refused> {
        use State::{
            HandedOver, NeedsConfirmation, Parked, Prepared, Preparing, Processing, RetryWait, Sending,
            Unknown,
        };
        match (self.from, event) {
            (HandedOver | RetryWait | Preparing, Event::Tick) => self.prepare_or_miss(),
            (Prepared | Parked, Event::Tick) => {
                if self.is_late() {
                    self.miss();
                }
            }
            (HandedOver | RetryWait | Preparing | Prepared, Event::Begin) if !self.is_late() => {
                self.after.state = Preparing;
                self.after.next_at = Some((self.now + self.policy.prep_timeout).min(self.after.late_at));
            }
            (Preparing, Event::Prepared) => {
                self.after.state = Prepared;
                self.after.next_at = Some(self.after.due_at.max(self.now).min(self.after.late_at));
            }
            (Preparing, Event::PrepareFailed(fault)) => self.prepare_failed(fault),
            (Prepared, Event::Arm { send_deadline })
                if self.after.due_at <= self.now && !self.is_late() && !self.after.is_open =>
            {
                self.arm(send_deadline);
            }
            (Prepared, Event::Carried { send_deadline })
                if self.after.due_at <= self.now
                    && !self.is_late()
                    && !self.after.is_open
                    && self.after.doubt_since.is_none() =>
            {
                self.carried(send_deadline);
            }
            (Unknown, Event::PutBack { armed_at })
                if self.after.doubt_since == Some(armed_at) && !self.after.is_open =>
            {
                self.put_back();
            }
            (Unknown, Event::Arm { send_deadline }) if self.may_resend() => {
                self.close_open(Closing::Unconfirmed);
                self.arm(send_deadline);
            }
            (Sending, Event::Settled(outcome)) => self.settle(outcome),
            (Sending, Event::Lost | Event::Tick) => {
                self.doubt("the process that sent it ended before the answer");
            }
            (Unknown, Event::Tick) => self.wonder(),
            // A true fact may come late, from a process that was thought dead.
            (Unknown | NeedsConfirmation, Event::Settled(Outcome::Accepted { native_id, url })) => {
                self.publish(native_id, url, None);
            }
            (Unknown, Event::Looked(found)) => self.looked(found),
            (NeedsConfirmation, Event::Tick) => self.effects.push(Effect::Look),
            (NeedsConfirmation, Event::Looked(found)) => self.looked_late(found),
            (Processing, Event::Tick) => {
                self.after.next_at = Some(self.now + self.policy.poll_every);
                self.effects.push(Effect::Poll);
            }
            (Processing, Event::Polled(outcome)) => self.polled(outcome),
            (HandedOver | Preparing | Prepared | RetryWait | Parked, Event::Recall) => {
                self.end(State::Cancelled, None);
            }
            (HandedOver | Preparing | Prepared | RetryWait, Event::Disconnected { message }) => {
                self.park(&message);
            }
            (Parked, Event::Reconnected) => {
                self.after.state = HandedOver;
                self.after.tries = 0;
                self.after.next_at = Some((self.after.due_at - self.policy.prep_lead).max(self.now));
                self.effects.push(Effect::Report(None));
            }
            (HandedOver | Preparing | Prepared | RetryWait | Parked, Event::Orphaned) => {
                self.end(State::Failed, Some(broken()));
            }
            // It is not sent again; reads tell whether it is visible all the same.
            (Unknown, Event::Orphaned) if self.after.refusal.is_none() => {
                self.after.refusal = Some(broken());
            }
            (HandedOver | Preparing | Prepared | RetryWait | Parked, Event::Doubted) => self.doubt_unsent(),
            (NeedsConfirmation, Event::Confirmed(Verdict::Live { native_id, url })) => {
                self.publish(native_id, url, Some("a user found it".to_owned()));
            }
            (NeedsConfirmation, Event::Confirmed(Verdict::Dropped)) => self.end(
                State::Dropped,
                Some(Problem::new("DROPPED", "Its answer was lost, and a user decided to leave it.")),
            ),
            (state, _) => return Err(Refused(state)),
        }
        Ok(())
    }

    fn is_late(&self) -> bool {
        self.now >= self.after.late_at
    }

    fn wait(&mut self, hint: Option<std::time::Duration>) -> i64 {
        let at = self.now.saturating_add(delay(self.policy, self.after.tries, hint, self.jitter));
        self.after.tries = self.after.tries.saturating_add(1);
        at
    }

    fn prepare_or_miss(&mut self) {
        if self.is_late() {
            self.miss();
        } else if self.after.next_at.is_none_or(|at| at <= self.now) {
            self.effects.push(Effect::Prepare);
        }
    }

    fn miss(&mut self) {
        self.end(
            State::Missed,
            Some(Problem::new(
                "MISSED",
                "It could not be sent before its deadline, and nothing was published. Plan it again.",
            )),
        );
    }

    fn end(&mut self, state: State, problem: Option<Problem>) {
        self.after.state = state;
        self.after.next_at = None;
        self.effects.push(Effect::Report(problem));
    }

    fn arm(&mut self, send_deadline: i64) {
        self.after.state = State::Sending;
        self.after.is_open = true;
        self.after.first_armed_at.get_or_insert(self.now);
        self.after.send_deadline = Some(send_deadline);
        self.after.next_at = Some(send_deadline + self.policy.quiesce);
    }

    fn close_open(&mut self, closing: Closing) {
        if self.after.is_open {
            self.after.is_open = false;
            self.effects.push(Effect::Close(closing));
        }
    }

    fn publish(&mut self, native_id: String, url: String, evidence: Option<String>) {
        self.close_open(Closing::Accepted);
        self.effects.push(Effect::Record { native_id, url, evidence });
        self.end(State::Published, None);
    }

    fn leave_in_inbox(&mut self, native_id: String) {
        self.close_open(Closing::Accepted);
        self.effects.push(Effect::Record { native_id, url: String::new(), evidence: None });
        self.end(State::InInbox, None);
    }

    fn retry(&mut self, problem: Problem, hint: Option<std::time::Duration>) {
        let at = self.wait(hint);
        self.after.state = State::RetryWait;
        self.after.next_at = Some(at.min(self.after.late_at));
        self.effects.push(Effect::Report(Some(problem)));
    }

    /// Tries again with fresh tokens: at once the first time, later when that did not help.
    fn retry_refreshed(&mut self) {
        let at = if self.after.tries == 0 {
            self.after.tries = 1;
            self.now
        } else {
            self.wait(None)
        };
        self.after.state = State::RetryWait;
        self.after.next_at = Some(at.min(self.after.late_at));
        self.effects.push(Effect::Report(Some(Problem::new("TOKEN_EXPIRED", TOKEN_EXPIRED))));
        self.effects.push(Effect::Refresh);
    }

    fn park(&mut self, message: &str) {
        self.after.state = State::Parked;
        self.after.next_at = Some(self.after.late_at);
        self.effects.push(Effect::Report(Some(Problem::new("RECONNECT", message))));
    }

    fn prepare_failed(&mut self, fault: Fault) {
        match fault {
            Fault::Transient { code, message, retry_after } => {
                self.retry(Problem { code, message }, retry_after);
            }
            Fault::Store(why) => self.retry(Problem::new("STORE_UNAVAILABLE", why), None),
            Fault::Rejected { code, message } => self.end(State::Failed, Some(Problem { code, message })),
            Fault::TokenExpired => self.retry_refreshed(),
            Fault::Reconnect { message } => {
                self.park(&message);
                self.effects.push(Effect::ParkAccount { message });
            }
        }
    }

    /// The answer to the one visible request. While an earlier attempt is in doubt, a definite "no" to this one
    /// proves nothing about the other.
    fn settle(&mut self, outcome: Outcome) {
        let in_doubt = self.after.doubt_since.is_some();
        match outcome {
            Outcome::Accepted { native_id, url } => self.publish(native_id, url, None),
            Outcome::Processing { handle } => {
                self.close_open(Closing::Accepted);
                self.after.state = State::Processing;
                self.after.tries = 0;
                self.after.doubt_since.get_or_insert(self.now);
                self.after.next_at = Some(self.now + self.policy.poll_every);
                self.effects.push(Effect::Track { handle });
                self.effects.push(Effect::Report(None));
            }
            Outcome::InInbox { native_id } => self.leave_in_inbox(native_id),
            Outcome::NotSent { why } => {
                self.close_open(Closing::NotSent);
                self.again(in_doubt, Problem::new("NOT_SENT", why), None);
            }
            Outcome::Transient { code, message, retry_after } => {
                self.close_open(Closing::Transient);
                self.again(in_doubt, Problem { code, message }, retry_after);
            }
            Outcome::Stale { steps, code, message } => {
                self.close_open(Closing::Transient);
                if !in_doubt {
                    self.effects.push(Effect::Forget(steps));
                }
                self.again(in_doubt, Problem { code, message }, None);
            }
            Outcome::Rejected { code, message } => {
                self.close_open(Closing::Rejected);
                if in_doubt {
                    self.after.refusal = Some(Problem { code, message });
                    self.still_unknown(None);
                } else {
                    self.end(State::Failed, Some(Problem { code, message }));
                }
            }
            Outcome::TokenExpired => {
                self.close_open(Closing::NotSent);
                if in_doubt {
                    self.still_unknown(None);
                    self.effects.push(Effect::Refresh);
                } else {
                    self.retry_refreshed();
                }
            }
            Outcome::Reconnect { message } => {
                self.close_open(Closing::NotSent);
                if in_doubt {
                    self.still_unknown(None);
                } else {
                    self.park(&message);
                }
                self.effects.push(Effect::ParkAccount { message });
            }
            Outcome::Ambiguous { evidence } => self.doubt(&evidence),
        }
    }

    fn again(&mut self, in_doubt: bool, problem: Problem, hint: Option<std::time::Duration>) {
        if in_doubt {
            self.still_unknown(hint);
        } else {
            self.retry(problem, hint);
        }
    }
}

#[cfg(test)]
mod tests;

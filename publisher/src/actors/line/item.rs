//! One delivery in a line, and what each of its turns makes of it: prepared, armed and answered, looked for. Pure.

use std::sync::Arc;

use super::Line;
use crate::{
    domain::{
        delivery::Work,
        outcome::{Answer, DeliveryClass, Fault, Found, Outcome, Wire},
        policy::Policy,
        state::State,
        step::{self, Effect, Event, step},
    },
    networks::{HandleMap, Placed, Ready},
    store::{Change, Stored},
};
use postmesh_kit::faults::{Bug, bug};
use uuid::Uuid;

/// What is under way for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Nothing.
    No,
    /// Its reversible steps.
    Preparing,
    /// Its one visible request.
    Sending,
    /// A read of the network.
    Looking,
    /// A decided step waits to be stored.
    Storing,
}

/// One delivery in the line.
#[derive(Debug)]
pub struct Item {
    /// Its row, as far as it is known.
    pub stored: Stored,
    /// What adapters work with.
    pub work: Arc<Work>,
    /// How a lost answer is settled at its network.
    pub class: DeliveryClass,
    /// What decisions depend on.
    pub decision: step::Delivery,
    /// What the reversible steps returned.
    pub handles: HandleMap,
    /// Its request, once it is built.
    pub ready: Option<Arc<Ready>>,
    /// What is under way for it.
    pub busy: Busy,
    /// The database's clock said so: not to be armed before.
    pub not_before: i64,
    /// A read has shown that it is not there and may be sent again.
    pub resends: bool,
    /// How many parts of a thread one request of its network makes visible; 0 where each is sent alone.
    pub carries: usize,
    /// Until when it waits for parts of its thread that are to go with it, once it could go itself.
    pub gathers_until: Option<i64>,
    /// The part of the thread before it moved on while something was under way for it.
    pub is_stale: bool,
}

/// What the answer to a request says about a part that it took along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is visible.
    Live(Placed),
    /// The request was certainly not executed.
    NotSent,
    /// Nobody knows: what was seen instead of an answer.
    Unclear(String),
}

/// What a turn leaves to be done.
#[derive(Debug, Default)]
pub struct Turn {
    /// The step to store.
    pub store: Option<Change>,
    /// New tokens are needed before the next call.
    pub refresh: bool,
    /// The authorization is gone: what the user should do.
    pub park: Option<String>,
}

impl Turn {
    /// What is left of a step once its change is stored.
    pub fn of((change, left): (Change, Vec<Effect>)) -> Self {
        let (refresh, park) = account_effects(&left);
        Self { store: Some(change), refresh, park }
    }
}

/// Whether effects ask for new tokens, and the message when the account is to be parked.
pub(in crate::actors) fn account_effects(effects: &[Effect]) -> (bool, Option<String>) {
    let refresh = effects.contains(&Effect::Refresh);
    let park = effects.iter().find_map(|effect| match effect {
        Effect::ParkAccount { message } => Some(message.clone()),
        _ => None,
    });
    (refresh, park)
}

/// The seeded bugs of reading an answer.
fn mistaken(mut answer: Answer) -> Answer {
    match answer.wire.http_status {
        Some(500..) if bug(Bug::RetryOn500) => {
            let (code, message) = ("SERVER_ERROR".into(), String::new());
            answer.outcome = Outcome::Transient { code, message, retry_after: None };
        }
        Some(429) if bug(Bug::RateLimitedIsSuccess) => {
            answer.outcome = Outcome::Accepted { native_id: String::new(), url: String::new() };
        }
        _ => {}
    }
    answer
}

/// What ARM must find in the row, beside revision, due and late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// `Prepared`, or `Unknown` for a resend.
    pub from: State,
    /// For a resend: the attempt that is closed as unconfirmed, when it is still open.
    pub close: Option<i64>,
    /// For a resend: whether every attempt in doubt must be quiet.
    pub needs_quiet: bool,
    /// For a resend: how long after the first ARM the key is trusted, milliseconds; 0 for ever.
    pub key_window: i64,
}

/// Why a delivery was not armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The lease is somebody else's, or has ended.
    NotOwner,
    /// The account's permits are used up, or the network asked to wait.
    OutOfPermits {
        /// When one comes back, by this process's clock.
        until: i64,
    },
    /// Its moment has not come, by the database's clock.
    NotDue {
        /// The database's clock.
        now: i64,
    },
    /// It was recalled, edited, is too late, or moved on.
    Gone,
    /// One of the parts it was to take along was.
    RidersGone,
    /// Nothing was stored, and nothing will be for a moment.
    Later,
}

impl Item {
    /// A delivery as its row says, with nothing under way.
    pub fn new(stored: Stored, decision: step::Delivery, work: Arc<Work>, class: DeliveryClass) -> Self {
        Self {
            stored,
            work,
            class,
            decision,
            handles: HandleMap::new(),
            ready: None,
            busy: Busy::No,
            not_before: 0,
            resends: false,
            carries: 0,
            gathers_until: None,
            is_stale: false,
        }
    }

    /// When a lost answer is taken up again. What another part's request took along has not been looked after at all:
    /// once the part before it is visible, its own key tells at once.
    pub(super) fn acts_at(&self) -> Option<i64> {
        let is_fresh =
            self.stored.attempt_n == 0 && self.decision.tries == 0 && self.decision.absent_reads == 0;
        let rode = self.class == DeliveryClass::NaturalKey && self.stored.previous_id.is_some();
        if is_fresh && rode && !self.decision.is_open {
            return Some(self.not_before);
        }
        self.decision.next_at.max(Some(self.not_before))
    }

    /// Takes a step in memory; what is left to store and to do. `None` when the step is not possible here.
    pub fn take(
        &mut self,
        event: Event,
        wire: Wire,
        policy: &Policy,
        now: i64,
        jitter: f64,
    ) -> Option<(Change, Vec<Effect>)> {
        let from = self.decision.state;
        let (after, effects) = step(&self.decision, event, self.class, policy, now, jitter).ok()?;
        self.decision = after.clone();
        let (change, left) = Change::new(&self.stored, from, after, effects, wire.within(policy.hint_most));
        for step in &change.forget {
            self.handles.remove(step);
            self.ready = None;
        }
        change.apply_to(&mut self.stored);
        Some((change, left))
    }

    /// Its reversible steps ended; whatever was ready is stored as prepared already.
    pub fn prepared(&mut self, result: Result<Ready, Fault>, policy: &Policy, now: i64, jitter: f64) -> Turn {
        self.busy = Busy::No;
        let is_unknown = self.decision.state == State::Unknown;
        match result {
            Ok(ready) => {
                if !is_unknown {
                    let begun = now.min(self.decision.late_at - 1);
                    self.take(Event::Begin, Wire::default(), policy, begun, 0.0);
                    self.take(Event::Prepared, Wire::default(), policy, now, 0.0);
                }
                self.ready = Some(Arc::new(ready));
                Turn::default()
            }
            Err(Fault::TokenExpired) if is_unknown => Turn { refresh: true, ..Turn::default() },
            Err(fault) if is_unknown => {
                tracing::warn!(%fault, target.id = %self.stored.target_id, "a request could not be built again");
                self.decision.next_at = Some(now + policy.backoff_first);
                self.not_before = now + policy.backoff_first;
                Turn::default()
            }
            Err(fault) => {
                self.take(Event::Begin, Wire::default(), policy, now, 0.0);
                let taken = self.take(Event::PrepareFailed(fault), Wire::default(), policy, now, jitter);
                self.storing(taken)
            }
        }
    }

    /// What ARM must find in its row.
    pub fn guards(&self, policy: &Policy) -> Guards {
        let resends = self.decision.state == State::Unknown;
        let by_key = resends && self.class == DeliveryClass::IdempotencyKey;
        Guards {
            from: self.decision.state,
            close: (resends && self.decision.is_open).then_some(self.stored.attempt_n),
            needs_quiet: resends && self.class != DeliveryClass::NaturalKey,
            key_window: if by_key { policy.key_window } else { 0 },
        }
    }

    /// Attempt `n` was armed at `armed_at`, by the database's clock, sent, and answered or not.
    pub fn answered(
        &mut self,
        n: i64,
        armed_at: i64,
        answer: Answer,
        policy: &Policy,
        now: i64,
        jitter: f64,
    ) -> Turn {
        let answer = mistaken(answer);
        let send_deadline = armed_at + policy.send_timeout;
        if self.take(Event::Arm { send_deadline }, Wire::default(), policy, armed_at, 0.0).is_none() {
            // The database's guards decided; memory follows.
            self.decision.state = State::Sending;
            self.decision.is_open = true;
            self.decision.first_armed_at.get_or_insert(armed_at);
            self.decision.send_deadline = Some(send_deadline);
        }
        self.stored.attempt_n = n;
        self.resends = false;
        let mut taken = self.take(Event::Settled(answer.outcome), answer.wire, policy, now, jitter);
        if bug(Bug::NewContainerAfterUnknown) && self.decision.state == State::Unknown {
            let steps = std::mem::take(&mut self.handles).into_keys().collect();
            self.ready = None;
            taken = taken.map(|(change, left)| (Change { forget: steps, ..change }, left));
        }
        self.storing(taken)
    }

    /// The request that took it along, armed at `armed_at`, was answered or not. What it was put back to is stored with
    /// the first part's step.
    pub fn rode(&mut self, armed_at: i64, fate: Fate, policy: &Policy, now: i64) -> Turn {
        self.busy = Busy::No;
        self.ready = None; // it says nothing of the posts it replies to
        let send_deadline = armed_at + policy.send_timeout;
        if self.take(Event::Carried { send_deadline }, Wire::default(), policy, armed_at, 0.0).is_none() {
            self.is_stale = true; // the database's guards decided
            self.decision.state = State::Unknown;
        }
        match fate {
            Fate::Live(Placed { native_id, url }) => {
                let accepted = Event::Settled(Outcome::Accepted { native_id, url });
                let taken = self.take(accepted, Wire::default(), policy, now, 0.0);
                self.storing(taken)
            }
            Fate::NotSent => {
                let back = self.take(Event::PutBack { armed_at }, Wire::default(), policy, now, 0.0);
                self.is_stale |= back.is_none();
                Turn::default()
            }
            Fate::Unclear(evidence) => {
                let report = Effect::Report(Some(step::Problem::new("ANSWER_LOST", evidence)));
                let unchanged = self.decision.clone();
                let taken =
                    Change::new(&self.stored, State::Unknown, unchanged, vec![report], Wire::default());
                self.storing(Some(taken))
            }
        }
    }

    /// The network was read about its lost answer.
    pub fn looked(&mut self, found: Found, policy: &Policy, now: i64, jitter: f64) -> Turn {
        self.busy = Busy::No;
        let taken = self.take(Event::Looked(found), Wire::default(), policy, now, jitter);
        if let Some((_, left)) = &taken {
            self.resends = left.contains(&Effect::Resend);
        }
        self.storing(taken)
    }

    fn storing(&mut self, taken: Option<(Change, Vec<Effect>)>) -> Turn {
        taken.map_or_else(Turn::default, |taken| {
            self.busy = Busy::Storing;
            Turn::of(taken)
        })
    }

    /// Whether it is still its line's business.
    fn is_in_line(&self) -> bool {
        let state = self.decision.state;
        !state.is_final() && !matches!(state, State::Parked | State::Processing | State::NeedsConfirmation)
    }

    /// Whether the deliveries behind it must wait, once it is due.
    pub(super) fn keeps_its_place(&self, now: i64) -> bool {
        match self.decision.state {
            State::HandedOver | State::Preparing | State::RetryWait => {
                self.decision.tries == 0 || self.stored.attempt_n > 0
            }
            State::Prepared | State::Sending => true,
            // It may be sent again, or its request may still be under way.
            State::Unknown => {
                let settles = !matches!(self.class, DeliveryClass::ReadBack | DeliveryClass::Nothing);
                let may_go = settles && now < self.decision.late_at && self.decision.refusal.is_none();
                self.decision.is_open || may_go
            }
            _ => false,
        }
    }
}

impl Line {
    /// A step of it was stored, unless the row had moved on (`is_moved` is false): then the database knows more than
    /// memory, and the delivery is forgotten here. Answers whether the line is to be read again.
    pub fn stored(&mut self, id: Uuid, is_moved: bool) -> bool {
        let Some(item) = self.get_mut(id) else { return false };
        item.busy = Busy::No;
        let mut has_moved = !is_moved;
        if !is_moved || !item.is_in_line() {
            // The parts behind it in its thread wait for what the database says of this one.
            let (due_at, thread_id, position) =
                (item.decision.due_at, item.stored.thread_id, item.stored.position);
            has_moved |= self
                .items
                .range((due_at, thread_id, position + 1)..=(due_at, thread_id, i64::MAX))
                .next()
                .is_some();
            self.remove(id);
        }
        has_moved
    }

    /// A delivery was not armed. Answers whether the database knows more than memory.
    pub fn refused(&mut self, id: Uuid, refusal: Refusal, now: i64) -> bool {
        let mut has_moved = refusal == Refusal::NotOwner;
        if let Some(item) = self.get_mut(id) {
            item.busy = Busy::No;
            match refusal {
                Refusal::NotDue { now: database } => {
                    item.not_before = now + (item.decision.due_at - database).max(1);
                }
                Refusal::Gone if item.decision.state == State::Unknown => {
                    item.resends = false;
                    item.not_before = now + 200; // its class's guard, by the database's clock
                }
                Refusal::Gone | Refusal::RidersGone => {
                    self.remove(id);
                    has_moved = true;
                }
                Refusal::Later => item.not_before = now + 200,
                Refusal::NotOwner | Refusal::OutOfPermits { .. } => {}
            }
        }
        if refusal == Refusal::NotOwner {
            self.forget_idle();
        }
        has_moved
    }
}

//! What can happen in the model: which events are possible in a state, and what each makes of it.

use std::{fmt, rc::Rc};

use postmesh_publisher::domain::{
    outcome::{Fault, Found, Outcome},
    state::State,
    step::Event,
};

use super::world::{Attempt, Reply, Row, Rules, Stage, Worker, World};

mod network;
mod rows;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A tick passes.
    Time,
    /// The reversible steps begin; they end well; they fail.
    Begin,
    Ready,
    PrepareFails(Reply),
    /// ARM is committed, and the worker hears of it, or does not.
    Arm(usize),
    ArmUnanswered(usize),
    /// The attempt whose commit was not answered is closed.
    Disarm(usize),
    /// The request leaves, or cannot.
    FirstByte(usize),
    NotSent(usize),
    /// The network executes a request on its way and answers that; refuses it; or it is lost.
    Executes(usize, Reply),
    Refuses(usize, Reply),
    Vanishes(usize),
    /// Processing ends.
    Processed(Stage),
    /// The answer arrives; no answer does.
    Answered(usize),
    Unanswered(usize),
    /// A decided step is stored.
    Stores(usize),
    /// The row's moment has come, and a worker looks at it.
    Tick(usize),
    /// A worker finds an attempt that is not its own.
    FindsOpen(usize),
    /// The network was read, and told, or could not.
    Looked(usize),
    LookFailed(usize),
    /// The processing network is asked, and tells, or cannot.
    Polled,
    PollFailed,
    Crash(usize),
    /// The lease ends while its holder lives: the other worker takes it.
    LeaseLost,
    Recall,
    /// After a recall a newer revision comes in.
    Edit,
    Disconnects,
    Reconnects,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

const REFUSALS: [Reply; 4] = [Reply::Transient, Reply::Rejected, Reply::TokenExpired, Reply::Reconnect];

fn outcome(reply: Reply) -> Outcome {
    let text = String::new;
    match reply {
        Reply::Accepted => Outcome::Accepted { native_id: "1".into(), url: text() },
        Reply::Processing => Outcome::Processing { handle: text() },
        Reply::Transient => Outcome::Transient { code: text(), message: text(), retry_after: None },
        Reply::Rejected => Outcome::Rejected { code: text(), message: text() },
        Reply::TokenExpired => Outcome::TokenExpired,
        Reply::Reconnect => Outcome::Reconnect { message: text() },
        Reply::Garbled => Outcome::Ambiguous { evidence: text() },
    }
}

fn fault(reply: Reply) -> Fault {
    let text = String::new;
    match reply {
        Reply::Rejected => Fault::Rejected { code: text(), message: text() },
        Reply::TokenExpired => Fault::TokenExpired,
        Reply::Reconnect => Fault::Reconnect { message: text() },
        _ => Fault::Transient { code: text(), message: text(), retry_after: None },
    }
}

/// Everything that may be possible in this state; most of it is.
pub(super) fn possible(world: &World) -> Vec<Act> {
    use Act::{
        Answered, Arm, ArmUnanswered, Begin, Crash, Disarm, Disconnects, Edit, Executes, FindsOpen,
        FirstByte, LeaseLost, LookFailed, Looked, NotSent, PollFailed, Polled, PrepareFails, Processed,
        Ready, Recall, Reconnects, Refuses, Stores, Tick, Time, Unanswered, Vanishes,
    };
    let state = world.row.delivery.state;
    let mut acts = vec![Time];
    match state {
        State::HandedOver | State::RetryWait => acts.push(Begin),
        State::Preparing => {
            acts.push(Ready);
            acts.extend(REFUSALS.map(PrepareFails));
        }
        State::Processing => acts.extend([Polled, PollFailed]),
        State::Parked => acts.push(Reconnects),
        State::Cancelled => acts.push(Edit),
        _ => {}
    }
    if state.is_unsent() {
        acts.extend([Recall, Disconnects]);
    }
    if world.posts.iter().any(|post| post.stage == Stage::Processing) {
        acts.extend([Processed(Stage::Visible), Processed(Stage::Refused)]);
    }
    for (w, worker) in world.workers.iter().enumerate() {
        match worker {
            Worker::Idle { .. } if w != world.holder => continue,
            Worker::Idle { .. } if state == State::Sending => acts.push(FindsOpen(w)),
            Worker::Idle { .. } => acts.extend([Arm(w), ArmUnanswered(w), Tick(w)]),
            Worker::Armed(_) => acts.extend([FirstByte(w), NotSent(w)]),
            Worker::Unanswered { .. } => acts.push(Disarm(w)),
            Worker::Waiting(_) => acts.extend([Answered(w), Unanswered(w)]),
            Worker::Looking(_) => acts.extend([Looked(w), LookFailed(w)]),
            Worker::Storing(_) => acts.push(Stores(w)),
        }
        acts.push(Crash(w));
    }
    acts.push(LeaseLost);
    for flight in 0..world.flights.len() {
        acts.extend([Executes(flight, Reply::Accepted), Executes(flight, Reply::Processing)]);
        acts.extend([Executes(flight, Reply::Garbled), Refuses(flight, Reply::Garbled), Vanishes(flight)]);
        acts.extend(REFUSALS.map(|reply| Refuses(flight, reply)));
    }
    if world.faults == 0 {
        acts.retain(|act| !act.is_fault());
    }
    acts
}

impl Act {
    /// Whether it always is a fault.
    fn is_fault(self) -> bool {
        matches!(
            self,
            Self::PrepareFails(_)
                | Self::ArmUnanswered(_)
                | Self::Refuses(..)
                | Self::Executes(_, Reply::Garbled)
                | Self::Vanishes(_)
                | Self::Processed(Stage::Refused)
                | Self::LookFailed(_)
                | Self::PollFailed
                | Self::Crash(_)
                | Self::LeaseLost
                | Self::Disconnects
        )
    }
}

impl World {
    /// What `act` makes of this state; `None` when it is not possible.
    pub(super) fn after(&self, act: Act, rules: &Rules) -> Option<Self> {
        let mut world = self.clone();
        world.act(act, rules)?;
        Some(world.canonical(rules))
    }

    fn act(&mut self, act: Act, rules: &Rules) -> Option<()> {
        match act {
            Act::Time => self.time(),
            Act::Begin => self.begin(rules),
            Act::Ready => self.prepared(Event::Prepared, rules),
            Act::PrepareFails(reply) => {
                self.fails()?;
                self.prepared(Event::PrepareFailed(fault(reply)), rules)
            }
            Act::Arm(w) => {
                let attempt = self.arm(w, rules)?;
                self.workers[w] = Worker::Armed(Rc::new(attempt));
                Some(())
            }
            Act::ArmUnanswered(w) => {
                self.fails()?;
                let Attempt { revision, n, .. } = self.arm(w, rules)?;
                self.workers[w] = Worker::Unanswered { revision, n };
                Some(())
            }
            Act::Disarm(w) => self.disarm(w),
            Act::FirstByte(w) => self.first_byte(w, rules),
            Act::NotSent(w) => {
                let Worker::Armed(attempt) = self.workers[w].clone() else { return None };
                if self.now < attempt.deadline {
                    self.fails()?;
                }
                self.settle(w, &attempt, Outcome::NotSent { why: String::new() }, rules);
                Some(())
            }
            Act::Executes(flight, reply) => self.executes(flight, reply, rules),
            Act::Refuses(flight, reply) => {
                self.fails()?;
                let flight = self.flights.remove(flight);
                self.answers.push((flight.n, reply));
                Some(())
            }
            Act::Vanishes(flight) => {
                self.fails()?;
                self.flights.remove(flight);
                Some(())
            }
            Act::Processed(stage) => self.processed(stage),
            Act::Answered(w) => {
                let Worker::Waiting(attempt) = self.workers[w].clone() else { return None };
                let place = self.answers.iter().position(|(n, _)| *n == attempt.n)?;
                let (_, reply) = self.answers.remove(place);
                self.settle(w, &attempt, outcome(reply), rules);
                Some(())
            }
            Act::Unanswered(w) => {
                let Worker::Waiting(attempt) = self.workers[w].clone() else { return None };
                if self.now < attempt.deadline {
                    self.fails()?;
                }
                self.answers.retain(|(n, _)| *n != attempt.n);
                self.settle(w, &attempt, outcome(Reply::Garbled), rules);
                Some(())
            }
            Act::Stores(w) => self.stores(w),
            Act::Tick(w) => self.tick(w, rules),
            Act::FindsOpen(w) => {
                let mine = |worker: &Worker| {
                    matches!(worker, Worker::Armed(at) | Worker::Waiting(at) if at.n == self.row.n)
                        || matches!(worker, Worker::Storing(step) if step.n == self.row.n)
                        || matches!(worker, Worker::Unanswered { n, .. } if *n == self.row.n)
                };
                let is_idle = w == self.holder && matches!(self.workers[w], Worker::Idle { .. });
                if !is_idle || self.row.delivery.state != State::Sending || mine(&self.workers[w]) {
                    return None;
                }
                let row = self.row.clone();
                self.decide(w, &row, Event::Lost, rules);
                Some(())
            }
            Act::Looked(w) => {
                let Worker::Looking(row) = self.workers[w].clone() else { return None };
                let found = self.read(rules);
                self.decide(w, &row, Event::Looked(found), rules);
                Some(())
            }
            Act::LookFailed(w) => {
                let Worker::Looking(row) = self.workers[w].clone() else { return None };
                self.fails()?;
                self.decide(w, &row, Event::Looked(Found::Unsure { why: String::new() }), rules);
                Some(())
            }
            Act::Polled => self.poll(rules),
            Act::PollFailed => {
                self.fails()?;
                self.polled(outcome(Reply::Garbled), rules)
            }
            Act::Crash(w) => {
                if self.workers[w] == (Worker::Idle { resends: None }) {
                    return None;
                }
                self.fails()?;
                self.workers[w] = Worker::Idle { resends: None };
                Some(())
            }
            Act::LeaseLost => {
                self.fails()?;
                if let Worker::Idle { resends } = &mut self.workers[self.holder] {
                    *resends = None; // whoever is refused forgets its line
                }
                self.holder = 1 - self.holder;
                Some(())
            }
            Act::Recall => {
                if self.recalled || !self.row.delivery.state.is_unsent() {
                    return None;
                }
                self.recalled = true;
                self.beside(Event::Recall, rules)
            }
            Act::Edit => {
                if self.row.delivery.state != State::Cancelled || self.row.revision > 1 || self.now > 2 {
                    return None;
                }
                let fresh = Self::new(rules).row.delivery;
                self.row = Row { delivery: fresh, revision: 2, n: self.row.n, open: self.row.open };
                Some(())
            }
            Act::Disconnects => {
                self.fails()?;
                self.beside(Event::Disconnected { message: String::new() }, rules)
            }
            Act::Reconnects => self.beside(Event::Reconnected, rules),
        }
    }

    /// Something goes wrong, if it may.
    fn fails(&mut self) -> Option<()> {
        self.faults = self.faults.checked_sub(1)?;
        Some(())
    }

    /// A tick passes. Requests and answers may take their time; a holder of the lease that stands still is a fault.
    fn time(&mut self) -> Option<()> {
        let is_still = !matches!(self.workers[self.holder], Worker::Idle { .. } | Worker::Waiting(_));
        if is_still {
            self.fails()?;
        }
        self.now += 1;
        let now = self.now;
        self.flights.retain(|flight| now < flight.until);
        Some(())
    }

    /// What happens next when nothing goes wrong any more: answers arrive, steps are stored, moments are kept.
    pub(super) fn calm(&self, rules: &Rules) -> Option<Self> {
        let mut acts = Vec::new();
        for w in 0..2 {
            acts.extend([
                Act::Stores(w),
                Act::FirstByte(w),
                Act::NotSent(w),
                Act::Disarm(w),
                Act::Answered(w),
            ]);
        }
        if !self.flights.is_empty() {
            acts.push(Act::Executes(0, Reply::Accepted));
        }
        acts.push(Act::Processed(Stage::Visible));
        for w in 0..2 {
            acts.extend([Act::Unanswered(w), Act::Looked(w), Act::Arm(w)]);
        }
        acts.extend([Act::FindsOpen(0), Act::FindsOpen(1), Act::Tick(0), Act::Tick(1)]);
        acts.extend([Act::Begin, Act::Ready, Act::Polled, Act::Time]);
        let state = self.row.delivery.state;
        if state.is_final() || state == State::NeedsConfirmation {
            return None;
        }
        acts.into_iter().find_map(|act| {
            // Waiting without a request on its way: the connection's end is noticed, and no fault is needed for that.
            let mut world = self.clone();
            if matches!(act, Act::Unanswered(_) | Act::FindsOpen(_)) {
                world.faults = world.faults.max(1);
            } else {
                world.faults = 0;
            }
            world.act(act, rules)?;
            let after = world.canonical(rules);
            (act == Act::Time || after != *self).then_some(after)
        })
    }
}

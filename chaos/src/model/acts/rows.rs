//! What workers decide about the row, and how it is stored.

use std::rc::Rc;

use postmesh_publisher::domain::{
    outcome::Outcome,
    state::State,
    step::{Delivery, Effect, Event, step},
};

use super::{
    super::world::{Attempt, Decided, Reply, Row, Rules, Stage, Worker, World},
    outcome,
};

impl World {
    /// A step of whoever holds no worker's turn, decided and stored in one transaction.
    pub(super) fn beside(&mut self, event: Event, rules: &Rules) -> Option<()> {
        let (after, _) = step(&self.row.delivery, event, rules.class, &rules.policy, self.now, 0.0).ok()?;
        self.row.delivery = after;
        Some(())
    }

    pub(super) fn begin(&mut self, rules: &Rules) -> Option<()> {
        let row = &self.row.delivery;
        let begins = matches!(row.state, State::HandedOver | State::RetryWait);
        if !begins || row.next_at.is_some_and(|at| at > self.now) {
            return None;
        }
        self.beside(Event::Begin, rules)
    }

    pub(super) fn prepared(&mut self, event: Event, rules: &Rules) -> Option<()> {
        if self.row.delivery.state != State::Preparing {
            return None;
        }
        self.beside(event, rules)
    }

    /// The transaction of ARM: its guards read the row, whatever the worker believes.
    pub(super) fn arm(&mut self, w: usize, rules: &Rules) -> Option<Attempt> {
        let Worker::Idle { resends } = self.workers[w] else { return None };
        if w != self.holder {
            return None; // the lease and its fence
        }
        let state = self.row.delivery.state;
        let mut open = self.row.open;
        match (state, resends) {
            (State::Prepared, _) => {}
            (State::Unknown, Some((revision, closes))) if revision == self.row.revision => {
                if closes.is_some() && open == closes {
                    open = None;
                }
            }
            _ => return None,
        }
        if open.is_some() {
            return None; // the index of open attempts
        }
        let deadline = self.now + rules.policy.send_timeout;
        let event = Event::Arm { send_deadline: deadline };
        let (after, _) = step(&self.row.delivery, event, rules.class, &rules.policy, self.now, 0.0).ok()?;
        let n = self.row.n + 1;
        self.row = Row { delivery: after.clone(), revision: self.row.revision, n, open: Some(n) };
        Some(Attempt { revision: self.row.revision, n, deadline, memory: after })
    }

    pub(super) fn disarm(&mut self, w: usize) -> Option<()> {
        let Worker::Unanswered { revision, n } = self.workers[w] else { return None };
        self.workers[w] = Worker::Idle { resends: None };
        if self.row.open != Some(n) {
            return Some(());
        }
        self.row.open = None;
        let row = &mut self.row.delivery;
        if self.row.revision == revision && self.row.n == n && row.state == State::Sending {
            row.state = if row.doubt_since.is_none() { State::RetryWait } else { State::Unknown };
            row.is_open = false;
            row.next_at = Some(self.now);
        }
        Some(())
    }

    /// Worker `w` takes a step on what it remembers; it is stored later.
    pub(super) fn decide(&mut self, w: usize, memory: &Row, event: Event, rules: &Rules) {
        let Ok((after, effects)) = step(&memory.delivery, event, rules.class, &rules.policy, self.now, 0.0)
        else {
            self.workers[w] = Worker::Idle { resends: None };
            return;
        };
        self.workers[w] = Worker::Storing(Rc::new(Decided {
            revision: memory.revision,
            n: memory.n,
            from: memory.delivery.state,
            after,
            closes: effects.iter().any(|effect| matches!(effect, Effect::Close(_))),
            resends: effects.contains(&Effect::Resend),
        }));
    }

    pub(super) fn settle(&mut self, w: usize, attempt: &Attempt, outcome: Outcome, rules: &Rules) {
        let Attempt { revision, n, ref memory, .. } = *attempt;
        let memory = Row { delivery: memory.clone(), revision, n, open: Some(n) };
        self.decide(w, &memory, Event::Settled(outcome), rules);
    }

    /// The transaction that stores a step: by compare-and-set, but for the fact that it is published.
    pub(super) fn stores(&mut self, w: usize) -> Option<()> {
        let Worker::Storing(step) = self.workers[w].clone() else { return None };
        if step.closes && self.row.open == Some(step.n) {
            self.row.open = None;
        }
        let row = &mut self.row.delivery;
        let is_same = step.revision == self.row.revision;
        let moved = if step.after.state == State::Published {
            let may = matches!(
                row.state,
                State::Sending | State::Unknown | State::Processing | State::NeedsConfirmation
            );
            if is_same {
                self.row.open = None;
            }
            if is_same && may {
                row.state = State::Published;
                row.next_at = None;
                row.is_open = false;
            }
            is_same && may
        } else if is_same && row.state == step.from && self.row.n == step.n {
            let Delivery { first_armed_at, send_deadline, .. } = *row;
            *row = Delivery { first_armed_at, send_deadline, ..step.after.clone() };
            true
        } else {
            false
        };
        let resends = (moved && step.resends).then(|| (step.revision, step.after.is_open.then_some(step.n)));
        self.workers[w] = Worker::Idle { resends };
        Some(())
    }

    /// An idle worker lets time act on the row, as the line and the reconciler do.
    pub(super) fn tick(&mut self, w: usize, rules: &Rules) -> Option<()> {
        let Worker::Idle { resends } = self.workers[w] else { return None };
        let row = self.row.clone();
        if w != self.holder
            || matches!(row.delivery.state, State::Sending | State::Processing)
            || row.delivery.next_at? > self.now
        {
            return None;
        }
        let (after, effects) =
            step(&row.delivery, Event::Tick, rules.class, &rules.policy, self.now, 0.0).ok()?;
        if effects.contains(&Effect::Resend) {
            let closes = row.delivery.is_open.then_some(row.n);
            let resends_now = Some((row.revision, closes));
            if resends == resends_now {
                return None;
            }
            self.workers[w] = Worker::Idle { resends: resends_now };
            return Some(());
        }
        let stores = effects.iter().any(|effect| !matches!(effect, Effect::Look | Effect::Prepare))
            || after.state != row.delivery.state;
        if stores {
            self.decide(w, &row, Event::Tick, rules);
            Some(())
        } else if effects.contains(&Effect::Look) {
            self.workers[w] = Worker::Looking(Rc::new(row));
            Some(())
        } else {
            None
        }
    }

    pub(super) fn poll(&mut self, rules: &Rules) -> Option<()> {
        let post = self.posts.iter().find(|post| post.revision == self.row.revision)?;
        let reply = match post.stage {
            Stage::Processing => Reply::Processing,
            Stage::Visible => Reply::Accepted,
            Stage::Refused => Reply::Rejected,
        };
        self.polled(outcome(reply), rules)
    }

    pub(super) fn polled(&mut self, outcome: Outcome, rules: &Rules) -> Option<()> {
        let row = &self.row.delivery;
        if row.state != State::Processing || row.next_at? > self.now {
            return None;
        }
        self.beside(Event::Polled(outcome), rules)
    }
}

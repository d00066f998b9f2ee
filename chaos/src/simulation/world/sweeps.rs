//! What a worker does from time to time: sweeps, renews its leases, looks after what is outside of any line.

use postmesh_publisher::{
    core::{Change, Stored},
    domain::{
        outcome::{Found, Outcome, Wire},
        step::{Effect, Event as Step, step},
    },
};
use rand::RngExt as _;

use super::{Event, Log, World};
use crate::simulation::{
    class_of,
    network::Asked,
    worker::{LEASE, Msg, Place, SWEEP},
};

impl World {
    pub(in crate::simulation) fn is_alive(&mut self, w: usize, life: u32) -> bool {
        self.workers[w].life == life && self.workers[w].is_up
    }

    /// The sweeper and the reconciler of a worker.
    pub(in crate::simulation) fn sweep(&mut self, w: usize, life: u32) {
        if !self.is_alive(w, life) {
            return;
        }
        let still = self.workers[w].still_until - self.now;
        if still > 0 {
            self.later(still, Event::Sweep(w, life));
            return;
        }
        let now = self.database_now();
        if self.database_away <= self.now {
            self.workers[w].off = now - self.now;
            self.workers[w].has_asked = true;
            self.workers[w].unsteady_until = 0;
            for account in self.store.accounts_with_work(now + SWEEP, now) {
                self.hear(Place { worker: w, life, account }, Msg::Wake);
            }
            let clock = self.clock(w);
            if self.now >= self.workers[w].unsteady_until {
                for row in self.store.beside_the_line(clock) {
                    self.reconcile(w, life, row);
                }
            }
        }
        // Once nothing new comes, it sleeps until something is due.
        let next = self.store.next_moment().filter(|_| self.is_over).map_or(0, |at| at - self.now - SWEEP);
        self.later(SWEEP.max(next / SWEEP * SWEEP), Event::Sweep(w, life));
    }

    /// One delivery outside of any line.
    pub(in crate::simulation) fn reconcile(&mut self, w: usize, life: u32, row: Stored) {
        let clock = self.clock(w);
        let Ok(before) = row.decision() else { return };
        let Ok((ticked, effects)) =
            step(&before, Step::Tick, class_of(&row.network), &self.policy, clock, 0.0)
        else {
            return;
        };
        let ask = effects.iter().find(|effect| matches!(effect, Effect::Poll | Effect::Look)).cloned();
        if let Some(ask) = ask {
            let wait = self.rng.random_range(20..400);
            self.later(wait, Event::Beside { worker: w, life, row: Box::new(row), ask });
        } else if ticked != before {
            let change = Change::new(&row, before.state, ticked, effects, Wire::default()).0;
            self.store.apply(&[change], self.database_now());
        }
    }

    /// The network was asked about it.
    pub(in crate::simulation) fn beside(&mut self, w: usize, life: u32, row: &Stored, ask: &Effect) {
        if !self.is_alive(w, life) {
            return;
        }
        let (clock, account) = (self.clock(w), row.account_id);
        let (class, policy) = (class_of(&row.network), self.policy);
        let session = self.session(account).filter(|_| !self.is_away(account));
        let handles = self.store.rows.get(&row.target_id).map(|row| row.handles.clone()).unwrap_or_default();
        let asked = Asked {
            target: row.target_id,
            key: row.work(&self.keys).map(|work| work.key).unwrap_or_default(),
            container: handles.get("container").and_then(|at| at.as_str()).unwrap_or_default().to_owned(),
        };
        let event = match (ask, session) {
            (Effect::Poll, Some(_)) => {
                let handle = row.processing_handle.as_deref().unwrap_or_default();
                Step::Polled(self.networks.poll(account, handle, self.now))
            }
            (Effect::Poll, None) => Step::Polled(Outcome::Ambiguous { evidence: "away".into() }),
            (_, Some(session)) => {
                Step::Looked(self.networks.look(account, &asked, session.version, self.now))
            }
            (_, None) => Step::Looked(Found::Unsure { why: "away".into() }),
        };
        let Ok(before) = row.decision() else { return };
        let Ok((ticked, _)) = step(&before, Step::Tick, class, &policy, clock, 0.0) else { return };
        let Ok((after, effects)) = step(&ticked, event, class, &policy, clock, 0.0) else { return };
        let change = Change::new(row, before.state, after, effects, Wire::default()).0;
        let line = || format!("beside the line, {}: {}", Log::target(row.target_id), change.after.state);
        self.log.say(self.now, line);
        self.store.apply(&[change], self.database_now());
    }

    pub(in crate::simulation) fn renew(&mut self, w: usize, life: u32) {
        if !self.is_alive(w, life) {
            return;
        }
        let still = self.workers[w].still_until - self.now;
        if still > 0 {
            self.later(still, Event::Renew(w, life));
            return;
        }
        if self.database_away <= self.now {
            let owner = self.workers[w].owner;
            self.store.renew(owner, LEASE, self.database_now());
        }
        self.later(LEASE / 3, Event::Renew(w, life));
    }
}

//! What is broken, and what that does.

use rand::RngExt as _;
use uuid::Uuid;

use super::{Break, Event, World};

impl World {
    pub(in crate::simulation) fn breaks(&mut self, what: Break) {
        self.log.say(self.now, || format!("{what:?}"));
        match what {
            Break::Crash(w) if self.workers[w].is_up => {
                self.seen.crashes += 1;
                self.forgets();
                let worker = &mut self.workers[w];
                worker.is_up = false;
                worker.life += 1;
                worker.still_until = 0;
                worker.actors.clear();
                worker.owner = Uuid::from_u128(worker.owner.as_u128() + 2);
                let wait = self.rng.random_range(200..20_000);
                self.later(wait, Event::Break(Break::Start(w)));
            }
            Break::Start(w) if !self.workers[w].is_up => {
                let worker = &mut self.workers[w];
                worker.is_up = true;
                (worker.off, worker.has_asked) = (worker.skew, false);
                self.begin_life(w);
            }
            Break::Pause(w, until) => {
                self.seen.pauses += 1;
                self.forgets();
                self.crashed_ms.push(until);
                self.workers[w].still_until = until;
            }
            Break::LoseLease(account) => {
                self.seen.leases_lost += 1;
                self.store.end_lease(account);
            }
            Break::Revoke(account) => {
                if let Some(known) = self.networks.accounts.get_mut(&account) {
                    known.is_revoked = true;
                }
            }
            Break::ClockStep(w, by) => {
                self.seen.clock_steps += 1;
                self.set_clock(w, by);
            }
            Break::NetworkAway(account, until) => {
                self.away.insert(account, until);
            }
            Break::DatabaseAway(until) => self.database_away = until,
            Break::Over => {
                self.rate = 0.0;
                self.is_over = true;
                self.away.clear();
                self.database_away = 0;
                for w in 0..2 {
                    self.workers[w].still_until = 0;
                    if self.workers[w].skew != 0 {
                        self.set_clock(w, 0);
                    }
                }
            }
            Break::Crash(_) | Break::Start(_) => {}
        }
    }

    /// What a worker was told just now it may not have stored.
    pub(in crate::simulation) fn forgets(&mut self) {
        self.crashed_ms.push(self.now);
        let since = self.now - self.policy.send_timeout - 1_000;
        for request in self.networks.requests.iter_mut().rev().take_while(|request| request.at_ms >= since) {
            request.retry_after_ms = None;
        }
        self.forgot_at = self.now;
    }

    /// A worker's clock is set; its process notices, and believes it again after a steady minute.
    pub(in crate::simulation) fn set_clock(&mut self, w: usize, skew: i64) {
        let worker = &mut self.workers[w];
        worker.skew = skew;
        if !worker.has_asked {
            worker.off = skew;
            worker.unsteady_until = self.now + 65_000;
        }
    }
}

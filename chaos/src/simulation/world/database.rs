//! Questions to the database: executed and answered, executed and not answered, or lost.

use postmesh_publisher::domain::state::State;
use rand::RngExt as _;
use uuid::Uuid;

use super::{Event, Log, Op, Person, World};
use crate::simulation::{
    store::{Arming, Intent},
    worker::{LEASE, Msg, Place, Session},
};

impl World {
    /// A transaction: executed and answered, executed and not answered, or not executed.
    pub(in crate::simulation) fn database(&mut self, place: Place, op: Op) {
        let worker = &self.workers[place.worker];
        let is_dead = worker.life != place.life || !worker.is_up;
        // Of a dead process's questions some had left already.
        let is_lost =
            (is_dead && self.rng.random_bool(0.5)) || self.database_away > self.now || self.chance(0.01);
        let reply = if is_lost { Err(op) } else { Ok(self.execute(place, op)) };
        let message = match reply {
            Err(op) => Self::unanswered(op),
            Ok(message) if self.chance(0.01) => Self::unheard(message),
            Ok(message) => message,
        };
        if let Some(message) = message {
            self.back(place, message);
        }
    }

    pub(in crate::simulation) fn unanswered(op: Op) -> Option<Msg> {
        Some(match op {
            Op::TakeUp => Msg::Taken(Err(())),
            Op::Load { .. } => Msg::Loaded(Err(())),
            Op::Begin(tasks) => Msg::Begun(Err(()), tasks),
            Op::SaveHandle { id, begins, .. } => Msg::Saved { id, begins, saved: Err(()) },
            Op::Mark(id) => Msg::Marked { id, marked: Err(()) },
            Op::Job { .. } => Msg::Stored(Err(())),
            Op::Disarm(_) => Msg::Disarmed(Err(())),
            Op::Intend { .. } => Msg::Intended(Err(())),
            Op::StoreTokens { .. } => Msg::TokensStored(Err(())),
            Op::Close { .. } => Msg::Changed,
            Op::WithdrawIntent { .. } | Op::Release => return None,
        })
    }

    /// It was executed, and the answer is lost.
    pub(in crate::simulation) fn unheard(message: Option<Msg>) -> Option<Msg> {
        Some(match message? {
            Msg::Taken(_) => Msg::Taken(Err(())),
            Msg::Loaded(_) => Msg::Loaded(Err(())),
            Msg::Begun(_, tasks) => Msg::Begun(Err(()), tasks),
            Msg::Saved { id, begins, .. } => Msg::Saved { id, begins, saved: Err(()) },
            Msg::Marked { id, .. } => Msg::Marked { id, marked: Err(()) },
            Msg::Stored(_) => Msg::Stored(Err(())),
            Msg::Disarmed(_) => Msg::Disarmed(Err(())),
            Msg::Intended(_) => Msg::Intended(Err(())),
            Msg::TokensStored(_) => Msg::TokensStored(Err(())),
            other => other,
        })
    }

    pub(in crate::simulation) fn execute(&mut self, place: Place, op: Op) -> Option<Msg> {
        let (account, now, owner) = (place.account, self.database_now(), self.workers[place.worker].owner);
        Some(match op {
            Op::TakeUp => {
                let fence = self.store.acquire(account, owner, LEASE, now);
                let session = self.session(account);
                if fence.is_some() {
                    let clock = self.clock(place.worker);
                    if session.is_some() {
                        self.store.unpark(account, clock, now);
                    } else {
                        self.seen.parked += self.store.park(account, now);
                    }
                }
                Msg::Taken(Ok((fence, session)))
            }
            Op::Load { until } => Msg::Loaded(Ok(self.store.line(account, until))),
            Op::Begin(tasks) => {
                let beginning: Vec<Uuid> =
                    tasks.iter().filter(|(_, begins)| *begins).map(|(id, _)| *id).collect();
                Msg::Begun(Ok(self.store.begin_preparing(&beginning, now)), tasks)
            }
            Op::SaveHandle { id, revision, begins, value } => {
                let stored = self.store.save_handle(id, revision, "container", value);
                Msg::Saved { id, begins, saved: Ok(stored) }
            }
            Op::Mark(id) => Msg::Marked { id, marked: Ok(self.store.mark_prepared(id, now)) },
            Op::Job { changes, arm } => {
                let moved = self.store.apply(&changes, now);
                for (change, moved) in changes.iter().zip(&moved) {
                    let told = if *moved { "" } else { ", but it has moved on" };
                    let line = || {
                        let (from, to) = (change.from, change.after.state);
                        format!(
                            "worker {} {}: {from} -> {to}{told}",
                            place.worker,
                            Log::target(change.target_id)
                        )
                    };
                    self.log.say(self.now, line);
                }
                let arming = arm.map(|arm| {
                    let arming = self.store.arm(&arm, now);
                    let line =
                        || format!("worker {} arms {}: {arming:?}", place.worker, Log::target(arm.target));
                    self.log.say(self.now, line);
                    if let Arming::Armed { n, .. } = arming {
                        self.seen.attempts += 1;
                        self.seen.resends += usize::from(arm.guards.from == State::Unknown);
                        debug_assert!(n > 0);
                    }
                    arming
                });
                Msg::Stored(Ok((moved, arming)))
            }
            Op::Disarm(nonce) => {
                self.store.disarm(nonce, now);
                self.seen.disarmed += 1;
                Msg::Disarmed(Ok(()))
            }
            Op::Intend { version } => {
                let clock = self.clock(place.worker);
                let is_held = self.store.holds_lease(account, owner, now);
                Msg::Intended(Ok(if is_held {
                    self.store.intend_refresh(account, version, clock)
                } else {
                    Intent::NotOwner
                }))
            }
            Op::WithdrawIntent { version } => {
                let row = self.store.accounts.get_mut(&account)?;
                if row.version == version && row.refresh_tries > 0 {
                    row.refresh_tries -= 1;
                }
                return None;
            }
            Op::StoreTokens { version, tokens } => {
                let row = self.store.accounts.get_mut(&account)?;
                let is_current = row.version == version;
                let line = || {
                    format!(
                        "worker {} stores tokens of {account}, pair {}: {is_current}",
                        place.worker, tokens.0
                    )
                };
                self.log.say(self.now, line);
                if is_current {
                    (row.version, row.expires_at) = tokens;
                    row.refresh_tries = 0;
                    self.seen.refreshed += 1;
                }
                Msg::TokensStored(Ok(self.session(account)))
            }
            Op::Close { version } => {
                let row = self.store.accounts.get_mut(&account)?;
                if row.version == version && row.is_connected {
                    row.is_connected = false;
                    row.refresh_tries = 0;
                    self.seen.parked += self.store.park(account, now);
                    let wait = self.rng.random_range(20_000..120_000);
                    self.later(wait, Event::Person(Person::Reconnect(account)));
                }
                Msg::Changed
            }
            Op::Release => {
                self.store.release(account, owner);
                return None;
            }
        })
    }

    pub(in crate::simulation) fn session(&self, account: Uuid) -> Option<Session> {
        let tokens = self.store.accounts.get(&account).filter(|tokens| tokens.is_connected)?;
        Some(Session { version: tokens.version, expires_at: tokens.expires_at })
    }
}

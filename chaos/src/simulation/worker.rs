//! A worker: one publisher process with an actor per account. What an actor decides is the production [`Line`]; what
//! surrounds the line here (leases, tokens, jobs, timers) mirrors `publisher/src/actors/account` call by call.

use std::{collections::BTreeMap, sync::Arc};

use postmesh_publisher::{
    core::{Busy, Change, Item, Line, Stored, Turn},
    domain::outcome::{Answer, Fault, Found},
    networks::HandleMap,
};
use rand::RngExt as _;
use uuid::Uuid;

use super::{
    class_of,
    store::{Arm, Arming, Intent},
    world::{Event, Op, World},
};

mod jobs;
mod steps;

/// Pause before an account is taken up again after a failure, milliseconds.
const AGAIN: i64 = 1_000;
/// Pause before another refresh ahead of time.
const NEXT_REFRESH: i64 = 5_000;
/// How long one read about a lost answer may take.
pub(super) const LOOK: i64 = 10_000;
/// How long a lease lasts; renewed after a third of it.
pub(super) const LEASE: i64 = 30_000;
/// Between two sweeps.
pub(super) const SWEEP: i64 = 5_000;
/// Without work an actor ends after this.
const IDLE: i64 = 30_000;

/// A process.
#[derive(Debug)]
pub(super) struct Worker {
    /// This life of it, as leases name it.
    pub(super) owner: Uuid,
    /// Counts its lives; what was meant for an earlier one is lost.
    pub(super) life: u32,
    pub(super) is_up: bool,
    /// It stands still until then.
    pub(super) still_until: i64,
    /// How far its own clock is off; by how much it misses the database's time, which it tells once it asked.
    pub(super) skew: i64,
    pub(super) off: i64,
    /// Before it asked its clock leapt; what is late by it is not believed before then, by true time.
    pub(super) unsteady_until: i64,
    pub(super) has_asked: bool,
    pub(super) actors: BTreeMap<Uuid, Actor>,
}

/// Tokens as one call needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) version: i64,
    pub(super) expires_at: Option<i64>,
}

/// What a call to the database or a network brought back.
#[derive(Debug)]
pub(super) enum Msg {
    Wake,
    Changed,
    Timer,
    Taken(Result<(Option<i64>, Option<Session>), ()>),
    Loaded(Result<Vec<(Stored, HandleMap)>, ()>),
    /// Which of them may be prepared; whether each changes its state with it.
    Begun(Result<Vec<Uuid>, ()>, Vec<(Uuid, bool)>),
    /// A reversible step ended.
    Made {
        id: Uuid,
        begins: bool,
        made: Result<Option<String>, Fault>,
    },
    Saved {
        id: Uuid,
        begins: bool,
        saved: Result<String, ()>,
    },
    Marked {
        id: Uuid,
        marked: Result<bool, ()>,
    },
    /// A job's transaction was answered, or not.
    Stored(Result<(Vec<bool>, Option<Arming>), ()>),
    Disarmed(Result<(), ()>),
    Answered {
        nonce: u64,
        answer: Answer,
    },
    /// A read that was begun then.
    Looked {
        id: Uuid,
        begun: i64,
        found: Found,
    },
    Intended(Result<Intent, ()>),
    Refreshed(Result<(i64, Option<i64>), Fault>),
    TokensStored(Result<Option<Session>, ()>),
    Idle(u64),
}

/// A job under way.
#[derive(Debug)]
struct Job {
    changes: Vec<Change>,
    arm: Option<Arm>,
    /// Nothing of it leaves from then on, by the uptime clock.
    deadline: i64,
    stored: Vec<(Uuid, bool)>,
    armed: Option<(i64, i64)>,
    has_failed: bool,
}

/// An account's actor.
#[derive(Debug, Default)]
pub(super) struct Actor {
    fence: Option<i64>,
    session: Option<Session>,
    line: Line,
    pending: Vec<Change>,
    heard: u64,
    is_taking: bool,
    is_loading: bool,
    is_refreshing: bool,
    wants_refresh: bool,
    preparing: usize,
    may_have_more: bool,
    /// The database knows more than memory: nothing is armed before the line is read again.
    is_behind: bool,
    is_catching_up: bool,
    paused_until: i64,
    again_at: i64,
    timer: Option<i64>,
    token_life: Option<i64>,
    no_refresh_before: i64,
    job: Option<Job>,
    new_tokens: Option<(i64, Option<i64>)>,
    /// The pair that new ones are asked for with, and how often it was.
    refreshing: i64,
    refresh_tries: i64,
}

/// Where an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) worker: usize,
    pub(super) life: u32,
    pub(super) account: Uuid,
}

impl World {
    /// The database's time as a worker tells it.
    pub(super) fn clock(&self, worker: usize) -> i64 {
        self.now + self.workers[worker].off
    }

    /// Hands a message to an account's actor, which is started for it when it must be.
    pub(super) fn hear(&mut self, place: Place, message: Msg) {
        let Place { worker, account, .. } = place;
        let starts = matches!(message, Msg::Wake | Msg::Changed);
        let actors = &mut self.workers[worker].actors;
        let Some(mut actor) = actors
            .remove(&account)
            .or_else(|| starts.then(|| Actor { may_have_more: true, ..Actor::default() }))
        else {
            return;
        };
        let ends = self.handle(&mut actor, place, message);
        if ends {
            self.ask(place, Op::Release);
        } else {
            self.advance(&mut actor, place);
            self.workers[worker].actors.insert(account, actor);
        }
    }

    /// One message; whether the actor ends.
    fn handle(&mut self, actor: &mut Actor, place: Place, message: Msg) -> bool {
        let now = self.clock(place.worker);
        match message {
            Msg::Wake => {
                actor.heard += 1;
                actor.may_have_more = true;
            }
            Msg::Changed => {
                actor.heard += 1;
                (actor.fence, actor.session) = (None, None);
                (actor.again_at, actor.paused_until) = (0, 0);
                actor.line.forget_idle();
                actor.may_have_more = true;
            }
            Msg::Timer => actor.timer = None,
            Msg::Taken(taken) => self.taken(actor, place, taken),
            Msg::Loaded(loaded) => self.loaded(actor, place, loaded),
            Msg::Begun(begun, tasks) => self.begun(actor, place, &begun, tasks),
            Msg::Made { id, begins, made } => self.made(actor, place, id, begins, made),
            Msg::Saved { id, begins, saved } => match saved {
                Ok(container) => {
                    if let Some(item) = actor.line.get_mut(id) {
                        item.handles.insert("container".into(), container.into());
                    }
                    self.finish(actor, place, id, begins);
                }
                Err(()) => self.prepared(actor, place, id, Some(Err(Fault::Store("away".into())))),
            },
            Msg::Marked { id, marked } => {
                let result = match marked {
                    Ok(true) => Some(Ok(())),
                    Ok(false) => None,
                    Err(()) => Some(Err(Fault::Store("away".into()))),
                };
                self.prepared(actor, place, id, result);
            }
            Msg::Stored(stored) => self.job_stored(actor, place, stored),
            Msg::Disarmed(Ok(())) => self.retry_job(actor, place),
            Msg::Disarmed(Err(())) => {
                let nonce = actor.job.as_ref().and_then(|job| job.arm.as_ref()).map_or(0, |arm| arm.nonce);
                self.ask_in(200, place, Op::Disarm(nonce));
            }
            Msg::Answered { nonce, answer } => self.answered(actor, place, nonce, answer),
            Msg::Looked { id, begun, found } => {
                let found = if now - begun > LOOK { Found::Unsure { why: "too late".into() } } else { found };
                let (policy, jitter) = (self.policy, self.rng.random());
                if let Some(item) = actor.line.get_mut(id).filter(|item| item.busy == Busy::Looking) {
                    let turn = item.looked(found, &policy, now, jitter);
                    self.carry_out(actor, place, turn);
                }
            }
            Msg::Intended(Ok(Intent::Committed { tries })) => {
                actor.refresh_tries = tries;
                self.call_refresh(place, actor.refreshing);
            }
            Msg::Intended(Ok(Intent::NotOwner)) => {
                actor.is_refreshing = false;
                actor.fence = None;
                actor.line.forget_idle();
                actor.may_have_more = true;
            }
            Msg::Intended(Ok(Intent::Outdated)) => {
                actor.is_refreshing = false;
                actor.session = None;
            }
            Msg::Intended(Ok(Intent::Waits { until })) => Self::keep_tokens(actor, now, Some(until)),
            Msg::Intended(Ok(Intent::Exhausted)) => {
                actor.is_refreshing = false;
                self.park(actor, place, Some("lost twice".into()));
            }
            Msg::Intended(Err(())) => Self::refresh_failed(actor, now),
            Msg::Refreshed(Ok(tokens)) => {
                actor.new_tokens = Some(tokens);
                self.ask(place, Op::StoreTokens { version: actor.refreshing, tokens });
            }
            Msg::Refreshed(Err(Fault::Reconnect { .. })) => {
                actor.is_refreshing = false;
                self.park(actor, place, Some("revoked".into()));
            }
            Msg::Refreshed(Err(Fault::Store(_))) if actor.refresh_tries > 1 => {
                actor.is_refreshing = false;
                self.park(actor, place, Some("lost twice".into()));
            }
            // Its answer was lost: the old pair is used to its end, then it is asked for once more.
            Msg::Refreshed(Err(Fault::Store(_))) => {
                let until = actor.session.and_then(|session| session.expires_at);
                Self::keep_tokens(actor, now, until);
            }
            Msg::Refreshed(Err(_)) => {
                self.ask(place, Op::WithdrawIntent { version: actor.refreshing });
                Self::refresh_failed(actor, now);
            }
            Msg::TokensStored(Err(())) => {
                let Some(tokens) = actor.new_tokens else { return false };
                self.ask_in(200, place, Op::StoreTokens { version: actor.refreshing, tokens });
            }
            Msg::TokensStored(Ok(session)) => {
                actor.is_refreshing = false;
                actor.new_tokens = None;
                actor.token_life =
                    session.and_then(|session| session.expires_at).map(|at| at - now).or(actor.token_life);
                actor.session = session;
            }
            Msg::Idle(heard) => return heard == actor.heard && Self::is_idle(actor),
        }
        false
    }

    fn refresh_failed(actor: &mut Actor, now: i64) {
        actor.is_refreshing = false;
        actor.no_refresh_before = now + NEXT_REFRESH;
        if actor.session.and_then(|session| session.expires_at).is_some_and(|at| at <= now) {
            actor.again_at = now + AGAIN;
        }
    }

    fn keep_tokens(actor: &mut Actor, now: i64, until: Option<i64>) {
        actor.is_refreshing = false;
        actor.no_refresh_before = until.unwrap_or(0).max(now + AGAIN);
        if until.is_none_or(|at| at <= now) {
            actor.wants_refresh = true;
            actor.again_at = now + AGAIN;
        }
    }

    /// Begins whatever can begin. Called after every message.
    fn advance(&mut self, actor: &mut Actor, place: Place) {
        let now = self.clock(place.worker);
        if now < actor.again_at {
            self.work(actor, place, None);
            let at = actor.again_at;
            self.sleep_until(actor, place, Some(at));
            return;
        }
        if self.now < self.workers[place.worker].unsteady_until {
            self.work(actor, place, None);
            self.sleep_until(actor, place, Some(now + AGAIN));
            return;
        }
        let (Some(_), Some(session)) = (actor.fence, actor.session) else {
            self.work(actor, place, None);
            if !actor.is_taking && !actor.is_refreshing {
                actor.is_taking = true;
                self.ask(place, Op::TakeUp);
            }
            return;
        };
        let ahead = actor.token_life.map_or(600_000, |life| 600_000.min(life / 5));
        let ends_soon =
            session.expires_at.is_some_and(|at| at - now < ahead) && now >= actor.no_refresh_before;
        if (actor.wants_refresh || ends_soon) && !actor.is_refreshing {
            actor.is_refreshing = true;
            actor.wants_refresh = false;
            actor.refreshing = session.version;
            self.ask(place, Op::Intend { version: session.version });
        }
        if !actor.is_loading && (actor.may_have_more || actor.is_behind) {
            actor.is_loading = true;
            actor.may_have_more = false;
            actor.is_catching_up = std::mem::take(&mut actor.is_behind);
            self.ask(place, Op::Load { until: now + self.policy.prep_lead });
        }
        let policy = self.policy;
        let todo = actor.line.plan(&policy, now, || self.rng.random());
        actor.pending.extend(todo.store);
        for id in todo.look {
            self.look(actor, place, session, id);
        }
        self.prepare(actor, place, &todo.prepare);
        let is_up_to_date = !(actor.is_behind || actor.is_catching_up);
        let next = todo.send.filter(|_| now >= actor.paused_until && is_up_to_date);
        self.work(actor, place, next);
        let paused = Some(actor.paused_until).filter(|until| now < *until);
        let wake_at = [todo.wake_at, paused].into_iter().flatten().min();
        if Self::is_idle(actor) {
            let heard = actor.heard;
            self.later(IDLE, Event::Hear(place, Msg::Idle(heard)));
        } else {
            self.sleep_until(actor, place, wake_at);
        }
    }

    fn is_idle(actor: &Actor) -> bool {
        actor.line.len() == 0
            && !(actor.may_have_more
                || actor.is_behind
                || actor.is_loading
                || actor.is_refreshing
                || actor.is_taking)
            && actor.job.is_none()
            && actor.pending.is_empty()
            && actor.preparing == 0
    }

    fn sleep_until(&mut self, actor: &mut Actor, place: Place, at: Option<i64>) {
        let Some(at) = at.filter(|at| actor.timer != Some(*at)) else { return };
        let wait = (at - self.clock(place.worker)).max(0);
        actor.timer = Some(at);
        self.later(wait, Event::Hear(place, Msg::Timer));
    }

    fn taken(&mut self, actor: &mut Actor, place: Place, taken: Result<(Option<i64>, Option<Session>), ()>) {
        actor.is_taking = false;
        let now = self.clock(place.worker);
        match taken {
            Ok((Some(fence), Some(session))) => {
                (actor.fence, actor.session) = (Some(fence), Some(session));
                actor.is_behind = true;
            }
            Ok(_) => {
                actor.line.forget_idle();
                actor.again_at = now + SWEEP;
                actor.may_have_more = false;
                let heard = actor.heard;
                self.later(1, Event::Hear(place, Msg::Idle(heard)));
            }
            Err(()) => actor.again_at = now + AGAIN,
        }
    }

    fn loaded(&mut self, actor: &mut Actor, place: Place, loaded: Result<Vec<(Stored, HandleMap)>, ()>) {
        actor.is_loading = false;
        let is_catching_up = std::mem::take(&mut actor.is_catching_up);
        let Ok(rows) = loaded else {
            actor.may_have_more = true;
            actor.is_behind |= is_catching_up;
            actor.again_at = self.clock(place.worker) + AGAIN;
            return;
        };
        let (read, handles): (Vec<Stored>, Vec<HandleMap>) = rows.into_iter().unzip();
        actor.line.forget_gone(&read, true);
        for (mut stored, handles) in read.into_iter().zip(handles) {
            let class = class_of(&stored.network);
            let (Ok(decision), Ok(work)) = (stored.decision(), stored.work(&self.keys)) else { continue };
            stored.content = String::new();
            actor.line.insert(Item { handles, ..Item::new(stored, decision, Arc::new(work), class) });
        }
    }

    fn carry_out(&mut self, actor: &mut Actor, place: Place, turn: Turn) {
        actor.pending.extend(turn.store);
        actor.wants_refresh |= turn.refresh;
        self.park(actor, place, turn.park);
    }

    /// The account lost its authorization.
    fn park(&mut self, actor: &mut Actor, place: Place, message: Option<String>) {
        let (Some(_), Some(session)) = (message, actor.session.take()) else { return };
        actor.fence = None;
        actor.line.forget_idle();
        actor.again_at = self.clock(place.worker) + AGAIN;
        self.ask(place, Op::Close { version: session.version });
    }
}

//! The world of one run: virtual time, the queue of what is going to happen, two workers, the tables, the networks, the
//! people. Whatever happens next is taken from the queue; whatever is left to chance is drawn from the seed.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use postmesh_publisher::{
    core::{Change, Stored},
    domain::{
        key::Keys,
        outcome::{Fault, Found, Outcome, Wire},
        policy::Policy,
        state::State,
        step::{Effect, Event as Step, step},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use uuid::Uuid;

use super::{
    Seen, class_of,
    network::{Asked, Networks, Send, Trouble},
    people::Planned,
    store::{Arm, Arming, Intent, Store},
    worker::{LEASE, LOOK, Msg, Place, SWEEP, Session, Worker},
};

/// What a worker asks of the database.
#[derive(Debug)]
pub(super) enum Op {
    TakeUp,
    Load { until: i64 },
    Begin(Vec<(Uuid, bool)>),
    SaveHandle { id: Uuid, revision: i64, begins: bool, value: String },
    Mark(Uuid),
    Job { changes: Vec<Change>, arm: Option<Arm> },
    Disarm(u64),
    Intend { version: i64 },
    WithdrawIntent { version: i64 },
    StoreTokens { version: i64, tokens: (i64, Option<i64>) },
    Close { version: i64 },
    Release,
}

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// An actor hears something.
    Hear(Place, Msg),
    /// A question reaches the database.
    Database(Place, Op),
    /// A visible request reaches its network.
    Publish {
        place: Place,
        send: Send,
        trouble: Trouble,
        nonce: u64,
        deadline: i64,
    },
    /// Another call does.
    Refresh {
        place: Place,
        version: i64,
    },
    Prepare {
        place: Place,
        id: Uuid,
        begins: bool,
        tokens: i64,
        has_container: bool,
    },
    Look {
        place: Place,
        asked: Asked,
        tokens: i64,
        begun: i64,
    },
    Sweep(usize, u32),
    Renew(usize, u32),
    /// The reconciler's answer from a network, to be stored.
    Beside {
        worker: usize,
        life: u32,
        row: Box<Stored>,
        ask: Effect,
    },
    Person(Person),
    Break(Break),
}

/// What people do.
#[derive(Debug, Clone)]
pub(super) enum Person {
    Deliver { target: usize },
    Withdraw { target: usize, edits: bool },
    Reconnect(Uuid),
}

/// What is broken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Break {
    Crash(usize),
    Start(usize),
    Pause(usize, i64),
    LoseLease(Uuid),
    Revoke(Uuid),
    ClockStep(usize, i64),
    NetworkAway(Uuid, i64),
    DatabaseAway(i64),
    /// From here on nothing is broken.
    Over,
}

/// A readable record of a run, when one is wanted.
#[derive(Debug, Default)]
pub(super) struct Log(pub(super) Option<String>);

impl Log {
    pub(super) fn say(&mut self, now: i64, line: impl FnOnce() -> String) {
        if let Some(text) = &mut self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>9.3}  {}", (now - super::START) as f64 / 1000.0, line());
        }
    }

    /// A target's number, short.
    pub(super) fn target(id: Uuid) -> String {
        format!("target {}", id.as_u128())
    }
}

/// The world.
pub(super) struct World {
    /// True time, which is the uptime clock too.
    pub(super) now: i64,
    queue: BTreeMap<(i64, u64), Event>,
    count: u64,
    pub(super) rng: SmallRng,
    pub(super) policy: Policy,
    pub(super) keys: Keys,
    pub(super) store: Store,
    pub(super) networks: Networks,
    pub(super) workers: [Worker; 2],
    pub(super) nonces: u64,
    /// How often calls go wrong, 0.0 to 1.0; 0 once faults are over.
    pub(super) rate: f64,
    away: BTreeMap<Uuid, i64>,
    database_away: i64,
    pub(super) is_over: bool,
    pub(super) log: Log,
    pub(super) people: Vec<Planned>,
    /// When workers died or stood still: what they were told then they could not store.
    pub(super) crashed_ms: Vec<i64>,
    forgot_at: i64,
    /// Whether something was refused whose first request may have been executed: it gives up its place.
    pub(super) refused_in_doubt: bool,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(seed: u64, rate: f64, policy: Policy, log: Log) -> Self {
        let worker = |w: u128| Worker {
            owner: Uuid::from_u128(1_000 + w),
            life: 1,
            is_up: true,
            still_until: 0,
            skew: 0,
            off: 0,
            unsteady_until: 0,
            has_asked: false,
            actors: BTreeMap::new(),
        };
        let mut world = Self {
            now: super::START,
            queue: BTreeMap::new(),
            count: 0,
            rng: SmallRng::seed_from_u64(seed),
            policy,
            keys: Keys::new(&[7; 32]),
            store: Store::new(policy),
            networks: Networks::default(),
            workers: [worker(0), worker(1)],
            nonces: 0,
            rate,
            away: BTreeMap::new(),
            database_away: 0,
            is_over: false,
            log,
            people: Vec::new(),
            crashed_ms: Vec::new(),
            forgot_at: 0,
            refused_in_doubt: false,
            seen: Seen::default(),
        };
        for w in 0..2 {
            world.begin_life(w);
        }
        world
    }

    fn begin_life(&mut self, w: usize) {
        let life = self.workers[w].life;
        self.later(100 + 700 * w as i64, Event::Sweep(w, life));
        self.later(LEASE / 3, Event::Renew(w, life));
    }

    /// The database's clock.
    pub(super) fn database_now(&self) -> i64 {
        self.now
    }

    pub(super) fn later(&mut self, wait: i64, event: Event) {
        self.count += 1;
        self.queue.insert((self.now + wait.max(0), self.count), event);
    }

    pub(super) fn at(&mut self, at: i64, event: Event) {
        self.later(at - self.now, event);
    }

    pub(super) fn chance(&mut self, of: f64) -> bool {
        let rate = self.rate;
        rate > 0.0 && self.rng.random_bool((of * rate).min(1.0))
    }

    /// The next thing happens; false when nothing is left.
    pub(super) fn go(&mut self) -> bool {
        let Some(((at, _), event)) = self.queue.pop_first() else { return false };
        self.now = at;
        self.seen.events += 1;
        match event {
            Event::Hear(place, message) => {
                let worker = &self.workers[place.worker];
                if worker.life != place.life || !worker.is_up {
                    return true;
                }
                let still = worker.still_until - self.now;
                if still > 0 {
                    self.later(still, Event::Hear(place, message));
                } else {
                    self.hear(place, message);
                }
            }
            Event::Database(place, op) => self.database(place, op),
            Event::Publish { place, send, trouble, nonce, deadline } => {
                self.arrives(place, &send, trouble, nonce, deadline);
            }
            Event::Refresh { place, version } => {
                let line = || {
                    format!(
                        "worker {} asks for tokens of {} with pair {version}",
                        place.worker, place.account
                    )
                };
                self.log.say(self.now, line);
                let answer = if self.is_away(place.account) {
                    Err(Fault::Transient { code: "AWAY".into(), message: "away".into(), retry_after: None })
                } else {
                    let result = self.networks.refresh(place.account, version, self.now);
                    result.map_err(|()| Fault::Reconnect { message: "connect again".into() })
                };
                // The answer of a refresh may be lost on its way.
                let worker = &self.workers[place.worker];
                let is_gone = worker.life != place.life || !worker.is_up;
                let lost = !self.is_away(place.account) && (is_gone || self.chance(0.03));
                if lost && let Some(request) = self.networks.requests.last_mut() {
                    request.faults.push("answer_lost".into());
                }
                let answer = if lost { Err(Fault::Store("the answer was lost".into())) } else { answer };
                self.back(place, Msg::Refreshed(answer));
            }
            Event::Prepare { place, id, begins, tokens, has_container } => {
                let made = self.prepares(place.account, tokens, has_container);
                self.back(place, Msg::Made { id, begins, made });
            }
            Event::Look { place, asked, tokens, begun } => {
                let id = asked.target;
                let away = self.is_away(place.account) || self.chance(0.1);
                let found = if away {
                    Found::Unsure { why: "the network did not answer".into() }
                } else {
                    self.networks.look(place.account, &asked, tokens, self.now)
                };
                self.log.say(self.now, || format!("{} is looked for: {found:?}", Log::target(id)));
                self.back(place, Msg::Looked { id, begun, found });
            }
            Event::Sweep(w, life) => self.sweep(w, life),
            Event::Renew(w, life) => self.renew(w, life),
            Event::Beside { worker, life, row, ask } => self.beside(worker, life, &row, &ask),
            Event::Person(person) => self.person(&person),
            Event::Break(what) => self.breaks(what),
        }
        true
    }

    fn is_away(&self, account: Uuid) -> bool {
        self.away.get(&account).is_some_and(|until| *until > self.now)
    }

    /// An answer goes back to an actor.
    fn back(&mut self, place: Place, message: Msg) {
        let wait = self.rng.random_range(1..60);
        self.later(wait, Event::Hear(place, message));
    }

    /// An actor asks the database.
    pub(super) fn ask(&mut self, place: Place, op: Op) {
        let wait = self.rng.random_range(1..20);
        self.ask_in(wait, place, op);
    }

    pub(super) fn ask_in(&mut self, wait: i64, place: Place, op: Op) {
        self.later(wait, Event::Database(place, op));
    }

    /// A transaction: executed and answered, executed and not answered, or not executed.
    fn database(&mut self, place: Place, op: Op) {
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

    fn unanswered(op: Op) -> Option<Msg> {
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
    fn unheard(message: Option<Msg>) -> Option<Msg> {
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

    fn execute(&mut self, place: Place, op: Op) -> Option<Msg> {
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
                self.store.save_handle(id, revision, "container", &value);
                Msg::Saved { id, begins, saved: Ok(value) }
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

    fn session(&self, account: Uuid) -> Option<Session> {
        let tokens = self.store.accounts.get(&account).filter(|tokens| tokens.is_connected)?;
        Some(Session { version: tokens.version, expires_at: tokens.expires_at })
    }

    /// The one visible request leaves, with whatever happens to it.
    pub(super) fn call_publish(&mut self, place: Place, send: Send, nonce: u64, deadline: i64) {
        let trouble = self.trouble();
        let line = || format!("{} attempt {} leaves, {trouble:?}", Log::target(send.target), send.n);
        self.log.say(self.now, line);
        self.later(deadline - self.now, Event::Hear(place, Msg::Answered { nonce, answer: silence() }));
        let wait = match trouble {
            Trouble::Unreachable => {
                let answer = Outcome::NotSent { why: "it could not connect".into() }.into();
                self.back(place, Msg::Answered { nonce, answer });
                return;
            }
            Trouble::Lost { is_noticed } => {
                if is_noticed {
                    self.back(place, Msg::Answered { nonce, answer: silence() });
                }
                return;
            }
            // As late as quiescence allows.
            Trouble::Late => self.rng.random_range(0..deadline + self.policy.quiesce - self.now),
            Trouble::Slow => self.rng.random_range(1_000..9_000),
            _ => self.rng.random_range(20..400),
        };
        self.later(wait, Event::Publish { place, send, trouble, nonce, deadline });
    }

    fn trouble(&mut self) -> Trouble {
        if !self.chance(0.4) {
            return Trouble::None;
        }
        let wait = self.rng.random_bool(0.5).then(|| Duration::from_secs(self.rng.random_range(1..60)));
        let is_noticed = self.rng.random_bool(0.5);
        match self.rng.random_range(0..24) {
            0 | 1 => Trouble::Lost { is_noticed },
            2 => Trouble::Unreachable,
            3..=5 => Trouble::Silence,
            6..=8 => Trouble::Reset,
            9..=11 => Trouble::Fails,
            12 | 13 => Trouble::Garbage,
            14..=16 => Trouble::Late,
            17 | 18 => Trouble::Slow,
            19..=21 => Trouble::Throttled { wait },
            22 => Trouble::Unavailable,
            _ => Trouble::Refused,
        }
    }

    fn arrives(&mut self, place: Place, send: &Send, trouble: Trouble, nonce: u64, deadline: i64) {
        if self.is_away(send.account) {
            self.back(place, Msg::Answered { nonce, answer: silence() });
            return;
        }
        let answer = self.networks.publish(send, trouble, self.now, &mut self.rng);
        self.refused_in_doubt |= send.is_resend && matches!(answer.outcome, Outcome::Rejected { .. });
        if send.left_at <= self.forgot_at
            && let Some(request) = self.networks.requests.last_mut()
        {
            request.retry_after_ms = None; // whoever sent it may not hear of it
        }
        let line =
            || format!("{} attempt {} is executed: {:?}", Log::target(send.target), send.n, answer.outcome);
        self.log.say(self.now, line);
        if matches!(trouble, Trouble::Silence | Trouble::Late) || self.now >= deadline {
            return;
        }
        let answer = if trouble == Trouble::Reset { silence() } else { answer };
        self.back(place, Msg::Answered { nonce, answer });
    }

    pub(super) fn call_refresh(&mut self, place: Place, version: i64) {
        let wait = self.rng.random_range(20..300);
        self.later(wait, Event::Refresh { place, version });
    }

    pub(super) fn call_prepare(
        &mut self,
        place: Place,
        id: Uuid,
        begins: bool,
        tokens: i64,
        has_container: bool,
    ) {
        let wait = self.rng.random_range(5..300);
        self.later(wait, Event::Prepare { place, id, begins, tokens, has_container });
    }

    fn prepares(&mut self, account: Uuid, tokens: i64, has_container: bool) -> Result<Option<String>, Fault> {
        let transient =
            || Fault::Transient { code: "AWAY".into(), message: "away".into(), retry_after: None };
        if self.is_away(account) || self.chance(0.03) {
            return Err(transient());
        }
        let class = self.networks.accounts[&account].class;
        if has_container || class != postmesh_publisher::domain::outcome::DeliveryClass::Handle {
            return Ok(None);
        }
        self.networks.make_container(account, tokens, self.now).map(Some)
    }

    pub(super) fn call_look(&mut self, place: Place, asked: Asked, tokens: i64) {
        let begun = self.clock(place.worker);
        let wait = self.rng.random_range(20..400);
        let wait = if self.chance(0.02) { LOOK + 1_000 } else { wait };
        self.later(wait, Event::Look { place, asked, tokens, begun });
    }

    fn is_alive(&mut self, w: usize, life: u32) -> bool {
        self.workers[w].life == life && self.workers[w].is_up
    }

    /// The sweeper and the reconciler of a worker.
    fn sweep(&mut self, w: usize, life: u32) {
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
    fn reconcile(&mut self, w: usize, life: u32, row: Stored) {
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
    fn beside(&mut self, w: usize, life: u32, row: &Stored, ask: &Effect) {
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

    fn renew(&mut self, w: usize, life: u32) {
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

    fn breaks(&mut self, what: Break) {
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
    fn forgets(&mut self) {
        self.crashed_ms.push(self.now);
        let since = self.now - self.policy.send_timeout - 1_000;
        for request in self.networks.requests.iter_mut().rev().take_while(|request| request.at_ms >= since) {
            request.retry_after_ms = None;
        }
        self.forgot_at = self.now;
    }

    /// A worker's clock is set; its process notices, and believes it again after a steady minute.
    fn set_clock(&mut self, w: usize, skew: i64) {
        let worker = &mut self.workers[w];
        worker.skew = skew;
        if !worker.has_asked {
            worker.off = skew;
            worker.unsteady_until = self.now + 65_000;
        }
    }

    /// Wakes an account at one of the workers: a hint, which may be lost.
    pub(super) fn hint(&mut self, account: Uuid, message: Msg) {
        let w = self.rng.random_range(0..2);
        let place = Place { worker: w, life: self.workers[w].life, account };
        self.later(2, Event::Hear(place, message));
    }
}

fn silence() -> postmesh_publisher::domain::outcome::Answer {
    Outcome::Ambiguous { evidence: "no answer".into() }.into()
}

//! The world of one run: virtual time, the queue of what is going to happen, two workers, the tables, the networks, the
//! people. Whatever happens next is taken from the queue; whatever is left to chance is drawn from the seed.

use std::{collections::BTreeMap, fmt::Write as _};

use postmesh_publisher::{
    core::{Change, Stored},
    domain::{
        key::Keys,
        outcome::{Fault, Found, Outcome},
        policy::Policy,
        step::Effect,
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use uuid::Uuid;

use super::{
    Seen,
    network::{Asked, Networks, Send, Trouble},
    people::Planned,
    store::{Arm, Store},
    worker::{LEASE, Msg, Place, Worker},
};

mod breaks;
mod calls;
mod database;
mod sweeps;

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

//! What people plan in a run and what they change their minds about, what breaks, and the history of it all.

use postmesh_publisher::domain::{outcome::DeliveryClass, state::State};
use rand::{RngExt as _, rngs::SmallRng};
use uuid::Uuid;

use super::{
    CLASSES, FAULTS_END, START,
    network::Account,
    store::{Tokens, fresh},
    worker::Msg,
    world::{Break, Event, Log, Person, World},
};
use crate::rig::history::{self, Allowances, Class, History, Standing};

/// A target as a person sees it.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    id: Uuid,
    account: Uuid,
    /// What was acknowledged: text, when it is due, since when.
    revisions: Vec<history::Revision>,
    max_late: i64,
    cancelled_ms: Option<i64>,
}

impl World {
    /// Accounts at networks of every class, posts in bursts, and people who change their minds.
    pub(super) fn plan(&mut self) {
        let more = self.rng.random_range(0..3);
        for n in 0..CLASSES.len() + more {
            let class = match CLASSES.get(n) {
                Some(class) => *class,
                None => CLASSES[self.rng.random_range(0..CLASSES.len())],
            };
            let (account, workspace) =
                (Uuid::from_u128(500 + n as u128), Uuid::from_u128(100 + n as u128 % 3));
            let token_life = self.rng.random_bool(0.3).then_some(120_000);
            let mut known = Account::new(class, format!("user{n}"), workspace, token_life);
            known.processes = class == DeliveryClass::Handle && self.rng.random_bool(0.3);
            let (version, expires_at) = known.issue(self.now);
            self.store
                .accounts
                .insert(account, Tokens { is_connected: true, version, expires_at, refresh_tries: 0 });
            self.networks.accounts.insert(account, known);
        }
        let accounts: Vec<Uuid> = self.networks.accounts.keys().copied().collect();
        let bursts: Vec<i64> = (0..4).map(|_| START + self.rng.random_range(90_000..480_000)).collect();
        for n in 0..self.rng.random_range(20..=36) {
            let account = accounts[self.rng.random_range(0..accounts.len())];
            let due = if self.rng.random_bool(0.7) {
                bursts[self.rng.random_range(0..bursts.len())]
            } else {
                START + self.rng.random_range(60_000..540_000)
            };
            let planned = Planned {
                id: Uuid::from_u128(n + 1),
                account,
                revisions: vec![history::Revision {
                    content: format!("post {n}"),
                    due_ms: due,
                    acked_ms: START,
                    ..history::Revision::default()
                }],
                max_late: self.rng.random_range(40..1_800) * 1_000,
                cancelled_ms: None,
            };
            let target = self.people.len();
            self.people.push(planned);
            let handed_over = (due - self.rng.random_range(30_000..120_000)).max(START + 10);
            self.at(handed_over, Event::Person(Person::Deliver { target }));
            if self.rng.random_bool(0.2) {
                let when = due + self.rng.random_range(-20_000..4_000);
                let edits = self.rng.random_bool(0.5);
                self.at(when, Event::Person(Person::Withdraw { target, edits }));
            }
        }
    }

    /// What breaks, and when.
    pub(super) fn plan_breaks(&mut self, is_calm: bool) {
        let accounts: Vec<Uuid> = self.networks.accounts.keys().copied().collect();
        let span = START + 60_000..FAULTS_END - 60_000;
        let some = |rng: &mut SmallRng| accounts[rng.random_range(0..accounts.len())];
        let steps = self.rng.random_bool(0.2);
        let count = if is_calm { 0 } else { self.rng.random_range(0..14) };
        for _ in 0..count {
            let at = self.rng.random_range(span.clone());
            let w = self.rng.random_range(0..2);
            let until = at + self.rng.random_range(1_000..90_000);
            let account = some(&mut self.rng);
            let what = match self.rng.random_range(0..12) {
                0..=4 => Break::Crash(w),
                5 | 6 => Break::Pause(w, until),
                7 => Break::LoseLease(account),
                8 => Break::Revoke(account),
                9 => Break::NetworkAway(account, until),
                10 if steps => {
                    // Often by nearly as much as a post may be late: then it is too late as soon as it was sent.
                    let by = match self.people.get(self.rng.random_range(0..self.people.len())) {
                        Some(planned) if self.rng.random_bool(0.7) => {
                            planned.max_late - self.rng.random_range(0..30_000)
                        }
                        _ => self.rng.random_range(1_000..3_600_000),
                    };
                    Break::ClockStep(w, if self.rng.random_bool(0.5) { by } else { -by })
                }
                _ => Break::DatabaseAway(at + self.rng.random_range(500..20_000)),
            };
            self.at(at, Event::Break(what));
        }
        self.at(FAULTS_END, Event::Break(Break::Over));
    }

    pub(super) fn person(&mut self, person: &Person) {
        match *person {
            Person::Deliver { target } => self.deliver(target),
            Person::Withdraw { target, edits } => self.withdraw(target, edits),
            Person::Reconnect(account) => {
                let (version, expires_at) = self.networks.reconnect(account, self.now);
                let tokens = Tokens { is_connected: true, version, expires_at, refresh_tries: 0 };
                self.store.accounts.insert(account, tokens);
                self.seen.reconnected += 1;
                self.hint(account, Msg::Changed);
            }
        }
    }

    /// The scheduler hands over, until it is answered.
    fn deliver(&mut self, target: usize) {
        let planned = self.people[target].clone();
        let revision = planned.revisions.len() as i64;
        if self.chance(0.05) {
            self.later(500, Event::Person(Person::Deliver { target }));
            return;
        }
        let known = &self.networks.accounts[&planned.account];
        let place = (planned.account, known.network, known.workspace);
        let last = &planned.revisions[planned.revisions.len() - 1];
        let row =
            fresh(planned.id, place, revision, &last.content, (last.due_ms, planned.max_late), &self.policy);
        let taken = self.store.deliver(row, self.database_now());
        let line = || format!("{} revision {revision} comes in: {taken}", Log::target(planned.id));
        self.log.say(self.now, line);
        if self.chance(0.05) {
            self.later(500, Event::Person(Person::Deliver { target }));
        }
        self.hint(planned.account, Msg::Wake);
    }

    /// Somebody changes his mind; only an acknowledged recall makes that true.
    fn withdraw(&mut self, target: usize, edits: bool) {
        let planned = self.people[target].clone();
        if planned.cancelled_ms.is_some() {
            return;
        }
        let revision = planned.revisions.len() as i64;
        let again = Event::Person(Person::Withdraw { target, edits });
        if self.chance(0.05) {
            self.later(300, again);
            return;
        }
        let holds = self.store.recall(planned.id, revision, self.database_now());
        self.log.say(self.now, || format!("{} is withdrawn: {holds}", Log::target(planned.id)));
        if self.chance(0.05) {
            self.later(300, again);
        } else if holds && edits {
            let due_ms = self.now + self.rng.random_range(5_000..60_000);
            let last = &planned.revisions[planned.revisions.len() - 1];
            let content = format!("{}, edited", last.content);
            let edited = history::Revision { content, due_ms, acked_ms: self.now, media: Vec::new() };
            self.people[target].revisions.push(edited);
            self.seen.edits += 1;
            self.later(5, Event::Person(Person::Deliver { target }));
        } else if holds {
            self.people[target].cancelled_ms = Some(self.now);
            self.seen.cancels += 1;
        }
    }

    /// Everything the invariants look at.
    pub(super) fn history(&self, case: u64, is_calm: bool) -> History {
        let class = |class| match class {
            DeliveryClass::NaturalKey => Class::A,
            DeliveryClass::Handle => Class::B,
            DeliveryClass::IdempotencyKey => Class::C,
            DeliveryClass::ReadBack => Class::D,
            DeliveryClass::Nothing => Class::E,
        };
        let accounts = self.networks.accounts.iter().map(|(id, known)| history::Account {
            id: id.to_string(),
            tenant: known.workspace.to_string(),
            network: known.network.to_owned(),
            handle: known.handle.clone(),
            class: class(known.class),
            comments: false,
            shows_alt: true,
            permits: None,
        });
        let rows = || self.store.rows.values();
        let revoked = self.networks.accounts.values().filter(|known| known.is_revoked);
        let is_stuck = |at: i64| at + 60_000 < self.now;
        History {
            case,
            accounts: accounts.collect(),
            targets: self.people.iter().map(|planned| self.target(planned)).collect(),
            visible: self.networks.visible(self.now),
            requests: self.networks.requests.clone(),
            standing: Standing {
                stuck: rows()
                    .filter(|row| row.state() != State::NeedsConfirmation)
                    .filter(|row| row.stored.next_at.is_some_and(is_stuck))
                    .count() as i64,
                open_attempts: rows()
                    .flat_map(|row| &row.attempts)
                    .filter(|attempt| attempt.outcome.is_none())
                    .count() as i64,
                is_ready: true,
                crashes: self.seen.crashes as u64,
                crashed_ms: self.crashed_ms.clone(),
                expects_posts: is_calm,
                ..Standing::default()
            },
            allowances: Allowances {
                lateness_p99_ms: is_calm.then_some(10_000),
                // A database that is away and a worker that stands still delay what was handed over late.
                order_after_ms: (!self.refused_in_doubt).then_some(120_000),
                misses: !is_calm,
                // A read with tokens that were taken back tells nothing.
                finds: !revoked.clone().any(|_| true),
                unreachable: revoked.map(|known| known.network.to_owned()).collect(),
            },
        }
    }

    fn target(&self, planned: &Planned) -> history::Target {
        let row = self.store.rows.get(&planned.id);
        history::Target {
            id: planned.id.to_string(),
            post: planned.id.to_string(),
            tenant: self.networks.accounts[&planned.account].workspace.to_string(),
            account: planned.account.to_string(),
            thread: planned.id.to_string(),
            position: 0,
            revisions: planned.revisions.clone(),
            cancelled_ms: planned.cancelled_ms,
            // What was withdrawn before its hand-over never came to the publisher.
            state: row.map_or("cancelled", |row| row.state().as_str()).to_owned(),
            problem: row.and_then(|row| row.problem.clone()),
            native_id: row.and_then(|row| row.native_id.clone()),
            events: row.map(|row| row.events.clone()).unwrap_or_default(),
            attempts: row
                .iter()
                .flat_map(|row| &row.attempts)
                .map(|attempt| history::Attempt {
                    n: attempt.n,
                    key: attempt.key.clone(),
                    revision: attempt.revision,
                    armed_ms: attempt.armed_at,
                    outcome: attempt.outcome.map(str::to_owned),
                })
                .collect(),
        }
    }
}

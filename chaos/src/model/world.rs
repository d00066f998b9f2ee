//! One state of the model: the row and its open attempt, two workers, what is on its way, what is visible.
//!
//! Time is counted in ticks. Nothing here decides: what an event makes of the row is the production `step()`, and how it
//! is stored follows the guards of the publisher's statements.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use postmesh_publisher::domain::{outcome::DeliveryClass, policy::Policy, state::State, step::Delivery};

/// Which network, which times, how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) class: DeliveryClass,
    pub(super) policy: Policy,
    /// Time stands still here; what is open then is judged by a run without faults.
    pub(super) horizon: i64,
    /// Faults in one history.
    pub(super) faults: u8,
    /// A post may be read this long after it became visible and still not be found.
    pub(super) read_lag: i64,
    /// How long the network remembers a key after it was used first.
    pub(super) key_memory: i64,
}

/// When the delivery is due.
pub(super) const DUE: i64 = 1;
/// How late it may be sent.
pub(super) const MAX_LATE: i64 = 4;

impl Rules {
    /// How long the moment of a post decides anything.
    fn remembers(&self) -> i64 {
        match self.class {
            DeliveryClass::IdempotencyKey => self.key_memory.max(self.read_lag),
            _ => self.read_lag,
        }
    }

    pub(super) fn of(class: DeliveryClass, faults: u8) -> Self {
        let policy = Policy {
            prep_lead: 1,
            prep_timeout: 2,
            send_timeout: 1,
            quiesce: 1,
            key_window: 3,
            reconcile_budget: 12,
            absent_reads: 2,
            absent_span: 2,
            poll_every: 1,
            late_look_every: 2,
            late_look_for: 16,
            backoff_first: 1,
            backoff_most: 2,
            hint_most: 2,
        };
        let reads_late = matches!(class, DeliveryClass::IdempotencyKey | DeliveryClass::ReadBack);
        Self {
            class,
            policy,
            horizon: DUE + MAX_LATE + 2,
            faults,
            read_lag: i64::from(reads_late),
            // An ARM at the end of the window executes as late as its deadline and quiescence allow.
            key_memory: policy.key_window + policy.send_timeout + policy.quiesce - 1,
        }
    }
}

/// The row of the delivery, and its attempt without an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) delivery: Delivery,
    pub(super) revision: u8,
    pub(super) n: u8,
    pub(super) open: Option<u8>,
}

/// A decided step that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Decided {
    pub(super) revision: u8,
    pub(super) n: u8,
    pub(super) from: State,
    pub(super) after: Delivery,
    pub(super) closes: bool,
    /// A look allowed sending again.
    pub(super) resends: bool,
}

/// An attempt in the hands of the worker that armed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) revision: u8,
    pub(super) n: u8,
    pub(super) deadline: i64,
    /// The delivery as this worker remembers it.
    pub(super) memory: Delivery,
}

/// What a worker is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    /// Nothing; it remembers that it may send again, and which attempt that closes.
    Idle { resends: Option<(u8, Option<u8>)> },
    /// Its ARM is committed and it knows.
    Armed(Rc<Attempt>),
    /// Its ARM is committed and it does not know.
    Unanswered { revision: u8, n: u8 },
    /// The request has left.
    Waiting(Rc<Attempt>),
    /// The network is being read, about the delivery as it was.
    Looking(Rc<Row>),
    /// A step waits to be stored.
    Storing(Rc<Decided>),
}

/// A request on its way: it is executed before `until`, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Flight {
    pub(super) revision: u8,
    pub(super) n: u8,
    pub(super) until: i64,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reply {
    Accepted,
    Processing,
    Transient,
    Rejected,
    TokenExpired,
    Reconnect,
    /// A 500, or a 2xx that cannot be read.
    Garbled,
}

/// Where a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Stage {
    Processing,
    Visible,
    Refused,
}

/// What the network made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Post {
    pub(super) revision: u8,
    pub(super) stage: Stage,
    pub(super) at: i64,
}

/// A state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: i64,
    pub(super) row: Row,
    pub(super) workers: [Worker; 2],
    /// Who holds the account's lease; the other one only ends what it has begun.
    pub(super) holder: usize,
    pub(super) flights: Vec<Flight>,
    pub(super) answers: Vec<(u8, Reply)>,
    pub(super) posts: Vec<Post>,
    pub(super) faults: u8,
    pub(super) recalled: bool,
}

impl World {
    pub(super) fn new(rules: &Rules) -> Self {
        let delivery = Delivery::new(DUE, MAX_LATE, &rules.policy);
        Self {
            now: 0,
            row: Row { delivery, revision: 1, n: 0, open: None },
            workers: [Worker::Idle { resends: None }, Worker::Idle { resends: None }],
            holder: 0,
            flights: Vec::new(),
            answers: Vec::new(),
            posts: Vec::new(),
            faults: rules.faults,
            recalled: false,
        }
    }

    /// Whether this attempt can still lead to a request that was not sent yet.
    fn may_send(worker: &Worker, now: i64) -> bool {
        matches!(worker, Worker::Armed(attempt) if now < attempt.deadline)
    }

    /// The first property that does not hold here.
    pub(super) fn violation(&self, rules: &Rules) -> Option<&'static str> {
        let state = self.row.delivery.state;
        let shown = self.posts.iter().filter(|post| post.stage == Stage::Visible).count();
        let may_come = self.posts.iter().any(|post| post.stage == Stage::Processing)
            || !self.flights.is_empty()
            || self.workers.iter().any(|worker| Self::may_send(worker, self.now));
        let denies = state.is_unsent() || matches!(state, State::Failed | State::Missed | State::Cancelled);
        let settles = !matches!(rules.class, DeliveryClass::ReadBack | DeliveryClass::Nothing);
        let budget = rules.policy.reconcile_budget;
        let spent = self.row.delivery.doubt_since.is_some_and(|since| self.now >= since + budget);
        if shown > 1 {
            Some("two posts are visible")
        } else if denies && shown > 0 {
            Some("it is visible, and its state denies it")
        } else if denies && may_come {
            Some("it may still become visible, and its state denies it")
        } else if state == State::Published && shown != 1 {
            Some("it is called published and is not visible")
        } else if state == State::NeedsConfirmation && settles && !spent {
            Some("a user is asked though the network's class can settle it")
        } else if !state.is_final()
            && state != State::NeedsConfirmation
            && self.row.delivery.next_at.is_none()
        {
            Some("it has no next moment")
        } else {
            None
        }
    }

    /// The same state, whoever of the workers is at what; how often it was tried counts only as far as it decides.
    pub(super) fn canonical(mut self, rules: &Rules) -> Self {
        if self.row.delivery.state != State::Unknown {
            for worker in &mut self.workers {
                if matches!(worker, Worker::Idle { .. }) {
                    *worker = Worker::Idle { resends: None };
                }
            }
        }
        let tries = &mut self.row.delivery.tries;
        if *tries > 3 {
            *tries = 2 + *tries % 2;
        }
        if self.holder == 1 {
            self.workers.swap(0, 1);
            self.holder = 0;
        }
        // An answer that nobody waits for is gone.
        let workers = &self.workers;
        self.answers.retain(|(n, _)| {
            workers.iter().any(|worker| matches!(worker, Worker::Waiting(attempt) if attempt.n == *n))
        });
        for flight in &mut self.flights {
            let waits = |worker: &Worker| matches!(worker, Worker::Waiting(at) if at.n == flight.n);
            if !workers.iter().any(waits) {
                flight.n = 0;
            }
        }
        for post in &mut self.posts {
            if self.now >= post.at + rules.remembers() {
                post.at = -rules.remembers();
            }
        }
        self.flights.sort_unstable();
        self.answers.sort_unstable();
        self.posts.sort_unstable();
        self
    }
}

/// A fingerprint: 64 bits tell a few million states apart.
pub(super) fn mark(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

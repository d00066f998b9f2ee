//! The publisher's tables in memory, with the guards of its statements: compare-and-set of a stored step, ARM, leases,
//! intake and recalls. Each method is one transaction, at one moment of the database's clock.
//!
//! What is compared here is what the statements compare; a guard that is missing there must not be added here.

use std::collections::BTreeMap;

use postmesh_kit::faults::{Bug, bug};
use postmesh_publisher::{
    core::{Change, Guards, Stored},
    domain::{
        content::Content,
        outcome::Wire,
        policy::Policy,
        state::State,
        step::{Delivery, Event, step},
    },
    networks::HandleMap,
};
use uuid::Uuid;

use super::class_of;
use crate::rig::history;

mod writes;

/// One delivery with its attempts, handles and events.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) stored: Stored,
    pub(super) native_id: Option<String>,
    pub(super) problem: Option<String>,
    pub(super) handles: HandleMap,
    pub(super) attempts: Vec<Attempt>,
    pub(super) events: Vec<history::Event>,
}

/// One row of the ledger.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) n: i64,
    pub(super) fence: i64,
    pub(super) nonce: u64,
    pub(super) key: String,
    pub(super) revision: i64,
    pub(super) armed_at: i64,
    pub(super) outcome: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    owner: Uuid,
    fence: i64,
    until: i64,
    blocked_until: i64,
}

/// An account's tokens, as they are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens {
    pub(super) is_connected: bool,
    pub(super) version: i64,
    pub(super) expires_at: Option<i64>,
    /// How often new ones were asked for with the present pair.
    pub(super) refresh_tries: i64,
}

/// Whether a refresh may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Committed { tries: i64 },
    Waits { until: i64 },
    Outdated,
    Exhausted,
    NotOwner,
}

/// What is to be armed.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) target: Uuid,
    pub(super) account: Uuid,
    pub(super) revision: i64,
    pub(super) guards: Guards,
    pub(super) owner: Uuid,
    pub(super) fence: i64,
    pub(super) key: String,
    pub(super) nonce: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arming {
    Armed {
        n: i64,
        armed_at: i64,
    },
    NotOwner,
    Blocked {
        until: i64,
    },
    NotDue {
        now: i64,
    },
    Gone,
    /// Rolled back: somebody else's attempt is open.
    Contended,
}

/// The tables.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) rows: BTreeMap<Uuid, Row>,
    pub(super) accounts: BTreeMap<Uuid, Tokens>,
    leases: BTreeMap<Uuid, Lease>,
    recalls: BTreeMap<Uuid, i64>,
    events: i64,
    policy: Policy,
}

const LINE: [State; 6] =
    [State::HandedOver, State::Preparing, State::Prepared, State::Sending, State::RetryWait, State::Unknown];

impl Row {
    pub(super) fn state(&self) -> State {
        State::parse(&self.stored.state).expect("only states are written")
    }

    fn set(&mut self, state: State, next_at: Option<i64>) {
        state.as_str().clone_into(&mut self.stored.state);
        self.stored.next_at = next_at;
    }
}

impl Store {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            rows: BTreeMap::new(),
            accounts: BTreeMap::new(),
            leases: BTreeMap::new(),
            recalls: BTreeMap::new(),
            events: 0,
            policy,
        }
    }

    fn tell(events: &mut i64, row: &mut Row, now: i64) {
        *events += 1;
        row.events.push(history::Event {
            id: *events,
            revision: row.stored.revision,
            state: row.stored.state.clone(),
            attempt: row.stored.attempt_n,
            reports: true,
            at_ms: now,
        });
    }

    /// Takes a revision over; false when a newer one or a recall is here, or an older one may be visible.
    pub(super) fn deliver(&mut self, fresh: Stored, now: i64) -> bool {
        let id = fresh.target_id;
        if self.recalls.get(&id).is_some_and(|revision| *revision >= fresh.revision) {
            return false;
        }
        let attempts = match self.rows.get_mut(&id) {
            Some(row) if row.stored.revision == fresh.revision => return row.state() != State::Cancelled,
            Some(row) if row.stored.revision > fresh.revision || !row.state().gives_way() => return false,
            Some(row) => {
                (std::mem::take(&mut row.attempts), std::mem::take(&mut row.events), row.stored.attempt_n)
            }
            None => (Vec::new(), Vec::new(), 0),
        };
        let (attempts, events, attempt_n) = attempts;
        let stored = Stored { attempt_n, ..fresh };
        let mut row =
            Row { stored, native_id: None, problem: None, handles: HandleMap::new(), attempts, events };
        Self::tell(&mut self.events, &mut row, now);
        self.rows.insert(id, row);
        true
    }

    /// Takes a target back; whether it can never be sent at this revision.
    pub(super) fn recall(&mut self, id: Uuid, revision: i64, now: i64) -> bool {
        let holds = match self.rows.get_mut(&id) {
            None => true,
            Some(row) if row.stored.revision > revision => true,
            Some(row) if row.state().is_unsent() || bug(Bug::CancelWithoutCas) => {
                row.set(State::Cancelled, None);
                Self::tell(&mut self.events, row, now);
                true
            }
            Some(row) => row.state() == State::Cancelled,
        };
        if holds {
            let recalled = self.recalls.entry(id).or_insert(revision);
            *recalled = revision.max(*recalled);
        }
        holds
    }

    /// Takes the account, or takes it again with a new fence.
    pub(super) fn acquire(&mut self, account: Uuid, owner: Uuid, ttl: i64, now: i64) -> Option<i64> {
        let lease =
            self.leases.entry(account).or_insert(Lease { owner, fence: 0, until: 0, blocked_until: 0 });
        (lease.owner == owner || lease.until <= now).then(|| {
            (lease.owner, lease.until, lease.fence) = (owner, now + ttl, lease.fence + 1);
            lease.fence
        })
    }

    pub(super) fn holds_lease(&self, account: Uuid, owner: Uuid, now: i64) -> bool {
        self.leases.get(&account).is_some_and(|lease| lease.owner == owner && lease.until > now)
    }

    pub(super) fn renew(&mut self, owner: Uuid, ttl: i64, now: i64) {
        for lease in self.leases.values_mut().filter(|lease| lease.owner == owner && lease.until > now) {
            lease.until = now + ttl;
        }
    }

    pub(super) fn release(&mut self, account: Uuid, owner: Uuid) {
        if let Some(lease) = self.leases.get_mut(&account).filter(|lease| lease.owner == owner) {
            lease.until = 0;
        }
    }

    /// An operator's mistake, a long pause: the lease is over although its holder lives.
    pub(super) fn end_lease(&mut self, account: Uuid) {
        if let Some(lease) = self.leases.get_mut(&account) {
            lease.until = 0;
        }
    }

    /// Accounts with something to do before `until`, and those with an attempt whose process is gone.
    pub(super) fn accounts_with_work(&self, until: i64, now: i64) -> Vec<Uuid> {
        let mut accounts = Vec::new();
        for row in self.rows.values() {
            let (state, account) = (row.state(), row.stored.account_id);
            let skipped = bug(Bug::SweeperSkipsUnknown) && state == State::Unknown;
            let is_due =
                row.stored.next_at.is_some_and(|at| at <= until) && LINE.contains(&state) && !skipped;
            let is_open = !skipped && row.attempts.iter().any(|attempt| attempt.outcome.is_none());
            let is_alone = self.leases.get(&account).is_none_or(|lease| lease.until <= now);
            if (is_due || (is_open && is_alone)) && !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        accounts
    }

    /// The account's line up to `until`.
    pub(super) fn line(&self, account: Uuid, until: i64) -> Vec<(Stored, HandleMap)> {
        let mut rows: Vec<_> = self
            .rows
            .values()
            .filter(|row| row.stored.account_id == account && row.stored.due_at <= until)
            .filter(|row| LINE.contains(&row.state()))
            .map(|row| (row.stored.clone(), row.handles.clone()))
            .collect();
        rows.sort_by_key(|(stored, _)| (stored.due_at, stored.target_id));
        rows
    }

    /// Outside of any line: parked, processing, waiting for a person.
    pub(super) fn beside_the_line(&self, now: i64) -> Vec<Stored> {
        let is_beside = |row: &&Row| {
            matches!(row.state(), State::Parked | State::Processing | State::NeedsConfirmation)
                && row.stored.next_at.is_some_and(|at| at <= now)
        };
        self.rows.values().filter(is_beside).map(|row| row.stored.clone()).collect()
    }

    /// Marks what begins to be prepared; answers what still may.
    pub(super) fn begin_preparing(&mut self, ids: &[Uuid], now: i64) -> Vec<Uuid> {
        let timeout = self.policy.prep_timeout;
        let mut begun = Vec::new();
        for id in ids {
            let Some(row) = self.rows.get_mut(id) else { continue };
            let may = matches!(
                row.state(),
                State::HandedOver | State::Preparing | State::Prepared | State::RetryWait
            );
            if may && row.stored.late_at > now {
                row.set(State::Preparing, Some(row.stored.late_at.min(now + timeout)));
                begun.push(*id);
            }
        }
        begun
    }

    pub(super) fn mark_prepared(&mut self, id: Uuid, now: i64) -> bool {
        let row = self.rows.get_mut(&id).filter(|row| row.state() == State::Preparing);
        row.map(|row| row.set(State::Prepared, Some(row.stored.due_at.max(now)))).is_some()
    }

    /// The first handle of a step counts, and is answered.
    pub(super) fn save_handle(&mut self, id: Uuid, revision: i64, step: &str, value: String) -> String {
        let row = self.rows.get_mut(&id).filter(|row| row.stored.revision == revision);
        let Some(row) = row else { return value };
        let stored = row.handles.entry(step.to_owned()).or_insert_with(|| value.into());
        stored.as_str().unwrap_or_default().to_owned()
    }

    /// Commits the intent to refresh: once, and once more when the pair is over.
    pub(super) fn intend_refresh(&mut self, account: Uuid, version: i64, now: i64) -> Intent {
        let row = self.accounts.get_mut(&account).filter(|row| row.is_connected && row.version == version);
        let Some(row) = row else { return Intent::Outdated };
        let is_over = row.expires_at.is_none_or(|at| at <= now);
        match (row.refresh_tries, row.expires_at) {
            (0, _) => {}
            (1, _) if is_over => {}
            (1, Some(until)) => return Intent::Waits { until },
            _ => return Intent::Exhausted,
        }
        row.refresh_tries += 1;
        Intent::Committed { tries: row.refresh_tries }
    }

    /// Parked deliveries come back, for an account that is connected.
    pub(super) fn unpark(&mut self, account: Uuid, clock: i64, now: i64) {
        let policy = self.policy;
        let parked: Vec<Change> = self
            .rows
            .values()
            .filter(|row| row.stored.account_id == account && row.state() == State::Parked)
            .filter_map(|row| {
                let before = row.stored.decision().ok()?;
                let event = if clock >= before.late_at { Event::Tick } else { Event::Reconnected };
                let class = class_of(&row.stored.network);
                let (after, effects) = step(&before, event, class, &policy, clock, 0.0).ok()?;
                Some(Change::new(&row.stored, before.state, after, effects, Wire::default()).0)
            })
            .collect();
        self.apply(&parked, now);
    }

    /// Parks what an account has in its line and has not sent.
    pub(super) fn park(&mut self, account: Uuid, now: i64) -> usize {
        let mut parked = 0;
        for row in self.rows.values_mut().filter(|row| row.stored.account_id == account) {
            if row.state().is_unsent() && row.state() != State::Parked {
                row.set(State::Parked, Some(row.stored.late_at));
                Self::tell(&mut self.events, row, now);
                parked += 1;
            }
        }
        parked
    }

    /// The earliest moment of any delivery.
    pub(super) fn next_moment(&self) -> Option<i64> {
        self.rows.values().filter_map(|row| row.stored.next_at).min()
    }

    /// Whether every delivery has ended, or waits for a person.
    pub(super) fn is_drained(&self) -> bool {
        self.rows.values().all(|row| {
            let state = row.state();
            let ended =
                state.is_final() || (state == State::NeedsConfirmation && row.stored.next_at.is_none());
            ended && row.attempts.iter().all(|attempt| attempt.outcome.is_some())
        })
    }
}

/// A row as the intake writes it.
pub(super) fn fresh(
    target: Uuid,
    (account, network, workspace): (Uuid, &str, Uuid),
    revision: i64,
    text: &str,
    (due_at, max_late): (i64, i64),
    policy: &Policy,
) -> Stored {
    let decision = Delivery::new(due_at, max_late, policy);
    let content = Content { text: text.to_owned(), ..Content::default() };
    Stored {
        target_id: target,
        post_id: target,
        workspace_id: workspace,
        account_id: account,
        network: network.to_owned(),
        revision,
        content: serde_json::to_string(&content).expect("plain values make JSON"),
        plan: "null".to_owned(),
        due_at,
        late_at: decision.late_at,
        state: decision.state.as_str().to_owned(),
        next_at: decision.next_at,
        tries: 0,
        attempt_n: 0,
        first_armed_at: None,
        send_deadline: None,
        is_open: false,
        doubt_since: None,
        quiet_at: None,
        absent_reads: 0,
        absent_since: None,
        refusal_code: None,
        refusal_message: None,
        processing_handle: None,
        thread_id: target,
        previous_id: None,
        position: 0,
        previous_state: None,
        previous_native_id: None,
        root_native_id: None,
        root_state: None,
    }
}

//! One connected account with work: prepares its deliveries ahead, sends them in order, keeps its tokens.
//!
//! ```text
//!  Wake ─▶ load ─▶ plan the line ─┬─▶ prepare (tasks) ─▶ Prepared ─┐
//!                                 ├─▶ job: store · ARM · send ─▶ Done ─┤─▶ plan again
//!                                 ├─▶ look at the network ─▶ Looked ───┤
//!                                 └─▶ sleep until the next moment ─────┘
//! ```
//! **Invariants.** One job at a time. Nothing is sent before the lease was taken and the tokens were read. What is in
//! memory is at most a window of the line; the rest stays in the database.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{sync::oneshot, task::AbortHandle, time::Instant};
use uuid::Uuid;

use super::{
    accounts, jitter,
    line::{Busy, Item, Line},
    prepare::{self, Preparation},
    run,
    send::{self, Candidate, Done, Job, Refusal, Sent, account_effects},
    session::{self, Opened},
};
use crate::{
    deps::Parts,
    domain::{
        delivery::AttemptFacts,
        outcome::{DeliveryClass, Fault, Found, Outcome, Wire},
        state::State as Stage,
        step::{Effect, Event},
    },
    error::Error,
    networks::{HandleMap, Ready, Session},
    store::{ArmRequest, Change, Stored},
};

/// Pause before the account is taken up again after a failure, milliseconds.
const AGAIN: i64 = 1_000;

/// The actor.
pub(super) struct Account;

/// What it is started with.
pub(super) struct Arguments {
    pub(super) parts: Arc<Parts>,
    pub(super) account_id: Uuid,
    pub(super) supervisor: ActorRef<accounts::Msg>,
}

/// Messages.
pub(super) enum Msg {
    /// There may be new work.
    Wake,
    /// The account itself changed: read its tokens again.
    Changed,
    /// Answer with tokens that will do.
    Session { stale: Option<i64>, reply: oneshot::Sender<Result<Arc<Session>, Error>> },
    /// Begin nothing new; end when nothing is under way.
    Drain,
    /// A moment has come.
    Timer,
    /// The lease and the tokens were asked for.
    Taken(Result<Taken, Error>),
    /// The line was read.
    Loaded(Result<Loaded, Error>),
    /// Reversible steps have ended.
    Prepared(Vec<Preparation>),
    /// A batch of them is through.
    PreparedAll,
    /// A job has ended.
    Done(Box<Done>),
    /// The network was read.
    Looked(Uuid, Found),
    /// New tokens were asked for.
    Refreshed(Result<Opened, Error>),
}

/// Who serves the account, with which tokens.
pub(super) struct Taken {
    fence: Option<i64>,
    opened: Opened,
}

/// A window of the line, with stored handles.
pub(super) struct Loaded {
    rows: Vec<Stored>,
    handles: Vec<(Uuid, i64, String, String)>,
    is_all: bool,
}

/// What it holds.
pub(super) struct State {
    parts: Arc<Parts>,
    account_id: Uuid,
    supervisor: ActorRef<accounts::Msg>,
    fence: Option<i64>,
    session: Option<Arc<Session>>,
    line: Line,
    pending: Vec<Change>,
    waiting: Vec<(Option<i64>, oneshot::Sender<Result<Arc<Session>, Error>>)>,
    /// Messages from the supervisor so far, told when idle, so that none is lost when it ends.
    heard: u64,
    is_taking: bool,
    is_loading: bool,
    is_working: bool,
    is_refreshing: bool,
    is_draining: bool,
    wants_refresh: bool,
    preparing: usize,
    /// The database may hold more of the line than memory does.
    may_have_more: bool,
    /// Nothing is armed before.
    paused_until: i64,
    /// Nothing that needs the network or the lease is begun before.
    again_at: i64,
    timer: Option<(i64, AbortHandle)>,
    idle_since: Option<Instant>,
}

impl Actor for Account {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        Ok(State {
            parts: arguments.parts,
            account_id: arguments.account_id,
            supervisor: arguments.supervisor,
            fence: None,
            session: None,
            line: Line::default(),
            pending: Vec::new(),
            waiting: Vec::new(),
            heard: 0,
            is_taking: false,
            is_loading: false,
            is_working: false,
            is_refreshing: false,
            is_draining: false,
            wants_refresh: false,
            preparing: 0,
            may_have_more: true,
            paused_until: 0,
            again_at: 0,
            timer: None,
            idle_since: None,
        })
    }

    async fn handle(&self, myself: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Wake => state.wake(),
            Msg::Changed => state.changed(),
            Msg::Session { stale, reply } => state.ask_session(stale, reply),
            Msg::Drain => state.is_draining = true,
            Msg::Timer => state.timer = None,
            Msg::Taken(taken) => state.taken(&myself, taken),
            Msg::Loaded(loaded) => state.loaded(loaded),
            Msg::Prepared(done) => state.prepared(done),
            Msg::PreparedAll => state.preparing -= 1,
            Msg::Done(done) => state.done(*done),
            Msg::Looked(id, found) => state.looked(id, found),
            Msg::Refreshed(opened) => state.refreshed(&myself, opened),
        }
        state.advance(&myself);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some((_, timer)) = state.timer.take() {
            timer.abort();
        }
        Ok(())
    }
}

impl State {
    fn now(&self) -> i64 {
        self.parts.clock.now_ms()
    }

    fn wake(&mut self) {
        self.heard += 1;
        self.may_have_more = true;
    }

    /// Everything that rests on the account's old tokens is read again.
    fn changed(&mut self) {
        self.heard += 1;
        self.fence = None;
        self.session = None;
        self.again_at = 0;
        self.paused_until = 0;
        self.line.forget_idle();
        self.may_have_more = true;
    }

    fn ask_session(&mut self, stale: Option<i64>, reply: oneshot::Sender<Result<Arc<Session>, Error>>) {
        self.heard += 1;
        self.waiting.push((stale, reply));
    }

    /// Answers those who wait for tokens, or notes that new ones are needed.
    fn answer_waiting(&mut self) {
        let Some(session) = self.session.clone() else { return };
        let about_to_end = self.is_about_to_end(&session);
        let mut kept = Vec::new();
        for (stale, reply) in std::mem::take(&mut self.waiting) {
            if stale == Some(session.token_version) || (about_to_end && !reply.is_closed()) {
                kept.push((stale, reply));
            } else {
                let _ = reply.send(Ok(session.clone()));
            }
        }
        self.wants_refresh |= !kept.is_empty();
        self.waiting = kept;
    }

    fn refuse_waiting(&mut self, refusal: impl Fn() -> Error) {
        for (_, reply) in self.waiting.drain(..) {
            let _ = reply.send(Err(refusal()));
        }
    }

    fn is_about_to_end(&self, session: &Session) -> bool {
        session.refresh_token.is_some()
            && session.access_expires_at.is_some_and(|at| at - self.now() < self.parts.config.refresh_ahead_ms)
    }

    /// Begins whatever can begin. Called after every message.
    fn advance(&mut self, myself: &ActorRef<Msg>) {
        self.idle_since = None;
        self.is_draining |= self.parts.lifecycle.is_stopping();
        let now = self.now();
        if self.is_draining {
            self.store(myself);
            if !self.is_working && self.pending.is_empty() {
                self.refuse_waiting(|| Error::Stopping);
                myself.stop(None);
            }
            return;
        }
        if now < self.again_at {
            self.store(myself);
            self.sleep_until(myself, Some(self.again_at));
            return;
        }
        if self.fence.is_none() || self.session.is_none() {
            self.store(myself);
            self.take_up(myself);
            return;
        }
        self.answer_waiting();
        if self.wants_refresh || self.session.as_ref().is_some_and(|session| self.is_about_to_end(session)) {
            self.refresh(myself);
        }
        self.load(myself);
        let policy = self.parts.policy;
        let todo = self.line.plan(&policy, now, jitter);
        self.pending.extend(todo.store);
        for id in todo.look {
            self.look(myself, id);
        }
        self.prepare(myself, &todo.prepare);
        let next = if now >= self.paused_until { todo.send } else { None };
        self.work(myself, next, now);
        let mut wake_at = todo.wake_at;
        if now < self.paused_until {
            wake_at = Some(wake_at.map_or(self.paused_until, |at| at.min(self.paused_until)));
        }
        self.rest(myself, wake_at);
    }

    /// Takes the lease and reads the tokens.
    fn take_up(&mut self, myself: &ActorRef<Msg>) {
        if self.is_taking || self.is_refreshing {
            return;
        }
        self.is_taking = true;
        let (parts, account_id) = (self.parts.clone(), self.account_id);
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let taken = async {
                let fence = parts.store.acquire_lease(account_id, parts.owner, parts.config.lease_ms).await?;
                let opened = if fence.is_some() {
                    session::open_and_tidy(&parts, account_id).await?
                } else {
                    session::open(&parts, account_id).await?
                };
                Ok(Taken { fence, opened })
            };
            Msg::Taken(taken.await)
        });
    }

    fn taken(&mut self, myself: &ActorRef<Msg>, taken: Result<Taken, Error>) {
        self.is_taking = false;
        match taken {
            Ok(Taken { fence: Some(fence), opened: Opened::Ready(session) }) => {
                self.fence = Some(fence);
                self.session = Some(session);
                self.may_have_more = true;
            }
            // Another process serves it; reading its tokens is allowed all the same.
            Ok(Taken { fence: None, opened: Opened::Ready(session) }) => {
                let account_id = self.account_id;
                for (stale, reply) in self.waiting.drain(..) {
                    let fresh = stale != Some(session.token_version);
                    let _ = reply.send(if fresh { Ok(session.clone()) } else { Err(Error::NotOwner(account_id)) });
                }
                self.give_up(myself);
            }
            Ok(Taken { opened: Opened::Closed, .. }) => {
                let account_id = self.account_id;
                self.refuse_waiting(|| Error::NeedsReconnect(account_id));
                self.parts.ring_events();
                self.give_up(myself);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, account.id = %self.account_id, "an account could not be taken up");
                self.again_at = self.now() + AGAIN;
            }
        }
    }

    /// Nothing can be done for this account here: tells the supervisor to end this actor.
    fn give_up(&mut self, myself: &ActorRef<Msg>) {
        self.line.forget_idle();
        self.again_at = self.now() + i64::try_from(self.parts.config.sweep_ms).unwrap_or(AGAIN);
        let idle = accounts::Msg::Idle { account_id: self.account_id, heard: self.heard, actor: myself.get_id() };
        let _ = self.supervisor.cast(idle);
    }

    /// Asks the network for new tokens; one at a time.
    fn refresh(&mut self, myself: &ActorRef<Msg>) {
        if self.is_refreshing {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        self.is_refreshing = true;
        self.wants_refresh = false;
        let parts = self.parts.clone();
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move { Msg::Refreshed(session::refresh(&parts, &session).await) });
    }

    fn refreshed(&mut self, myself: &ActorRef<Msg>, opened: Result<Opened, Error>) {
        self.is_refreshing = false;
        match opened {
            Ok(Opened::Ready(session)) => {
                self.session = Some(session);
                // What was asked for with the old tokens was answered by this refresh.
                for (stale, _) in &mut self.waiting {
                    *stale = None;
                }
            }
            Ok(Opened::Closed) => {
                let account_id = self.account_id;
                self.session = None;
                self.refuse_waiting(|| Error::NeedsReconnect(account_id));
                self.parts.ring_events();
                self.give_up(myself);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, account.id = %self.account_id, "tokens could not be refreshed");
                self.refuse_waiting(|| Error::NetworkUnavailable {
                    message: "the network did not give new tokens; try again in a moment".into(),
                    retry_after: None,
                });
                self.again_at = self.now() + AGAIN;
            }
        }
    }

    /// Reads the next window when memory runs low or something was said to be new.
    fn load(&mut self, myself: &ActorRef<Msg>) {
        let window = self.parts.config.window;
        if self.is_loading || !self.may_have_more || self.line.len() > window / 2 {
            return;
        }
        self.is_loading = true;
        self.may_have_more = false;
        let (parts, account_id) = (self.parts.clone(), self.account_id);
        let until = self.now() + parts.policy.prep_lead;
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let loaded = async {
                let limit = i64::try_from(window).unwrap_or(i64::MAX);
                let rows = parts.store.line(account_id, until, limit).await?;
                let touched: Vec<Uuid> = rows
                    .iter()
                    .filter(|row| row.state != Stage::HandedOver.as_str())
                    .map(|row| row.target_id)
                    .collect();
                let handles =
                    if touched.is_empty() { Vec::new() } else { parts.store.handles(&touched).await? };
                Ok(Loaded { is_all: rows.len() < window, rows, handles })
            };
            Msg::Loaded(loaded.await)
        });
    }

    fn loaded(&mut self, loaded: Result<Loaded, Error>) {
        self.is_loading = false;
        match loaded {
            Ok(loaded) => {
                self.may_have_more |= !loaded.is_all;
                for row in loaded.rows {
                    let handles = loaded
                        .handles
                        .iter()
                        .filter(|(target, revision, ..)| *target == row.target_id && *revision == row.revision)
                        .filter_map(|(.., step, json)| Some((step.clone(), serde_json::from_str(json).ok()?)))
                        .collect();
                    match self.item(row, handles) {
                        Ok(item) => self.line.insert(item),
                        Err(error) => {
                            tracing::error!(error = &error as &dyn std::error::Error, "a delivery cannot be read");
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, account.id = %self.account_id, "a line could not be read");
                self.may_have_more = true;
                self.again_at = self.now() + AGAIN;
            }
        }
    }

    fn item(&self, mut stored: Stored, handles: HandleMap) -> Result<Item, Error> {
        let network = self.parts.network(&stored.network)?;
        let work = Arc::new(stored.work(&self.parts.keys)?);
        stored.content = String::new(); // the work holds it
        Ok(Item {
            class: network.facts().class,
            decision: stored.decision()?,
            network,
            work,
            handles,
            ready: None,
            busy: Busy::No,
            not_before: 0,
            resends: false,
            stored,
        })
    }

    /// Runs reversible steps, in batches.
    fn prepare(&mut self, myself: &ActorRef<Msg>, ids: &[Uuid]) {
        if ids.is_empty() || self.preparing >= 2 || self.is_refreshing {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        let mut batch = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(item) = self.line.get_mut(*id) else { continue };
            item.busy = Busy::Preparing;
            batch.push(prepare::Task {
                id: *id,
                network: item.network.clone(),
                work: item.work.clone(),
                handles: std::mem::take(&mut item.handles),
                // A lost answer keeps its state while its request is built again.
                begins: item.decision.state != Stage::Unknown,
            });
        }
        self.preparing += 1;
        let (parts, actor) = (self.parts.clone(), myself.clone());
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            prepare::batch(parts, session, batch, |done| {
                let _ = actor.cast(Msg::Prepared(done));
            })
            .await;
            Msg::PreparedAll
        });
    }

    fn prepared(&mut self, done: Vec<Preparation>) {
        let (policy, now) = (self.parts.policy, self.now());
        for Preparation { id, handles, result } in done {
            let Some(item) = self.line.get_mut(id) else { continue };
            item.handles = handles;
            item.busy = Busy::No;
            let is_unknown = item.decision.state == Stage::Unknown;
            match result {
                None => {
                    // Recalled, edited or too late: the database knows.
                    self.line.remove(id);
                    self.may_have_more = true;
                }
                Some(Ok(ready)) => {
                    self.ready(id, ready, now);
                }
                Some(Err(Fault::TokenExpired)) if is_unknown => {
                    self.wants_refresh = true;
                }
                Some(Err(fault)) if is_unknown => {
                    tracing::warn!(%fault, target.id = %id, "a request could not be built again");
                    item.decision.next_at = Some(now + policy.backoff_first);
                }
                Some(Err(fault)) => {
                    item.take(Event::Begin, Wire::default(), &policy, now, 0.0);
                    if let Some((change, left)) =
                        item.take(Event::PrepareFailed(fault), Wire::default(), &policy, now, jitter())
                    {
                        item.busy = Busy::Storing;
                        self.pending.push(change);
                        let (refresh, park) = account_effects(&left);
                        self.wants_refresh |= refresh;
                        self.park(park);
                    }
                }
            }
        }
    }

    fn ready(&mut self, id: Uuid, ready: Ready, now: i64) {
        let policy = self.parts.policy;
        let Some(item) = self.line.get_mut(id) else { return };
        if item.decision.state != Stage::Unknown {
            item.take(Event::Begin, Wire::default(), &policy, now.min(item.decision.late_at - 1), 0.0);
            item.take(Event::Prepared, Wire::default(), &policy, now, 0.0);
        }
        item.ready = Some(Arc::new(ready));
    }

    /// Stores what was decided, without sending.
    fn store(&mut self, myself: &ActorRef<Msg>) {
        let now = self.now();
        self.work(myself, None, now);
    }

    /// Begins a job, when none is under way and there is something to do.
    fn work(&mut self, myself: &ActorRef<Msg>, next: Option<Uuid>, now: i64) {
        if self.is_working || (next.is_none() && self.pending.is_empty()) {
            return;
        }
        let next = if self.is_refreshing { None } else { next.and_then(|id| self.candidate(id, now)) };
        if next.is_none() && self.pending.is_empty() {
            return;
        }
        self.is_working = true;
        let job = Job { changes: std::mem::take(&mut self.pending), next };
        let parts = self.parts.clone();
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move { Msg::Done(Box::new(send::run(parts, job).await)) });
    }

    fn candidate(&mut self, id: Uuid, _now: i64) -> Option<Candidate> {
        let (parts, account_id) = (self.parts.clone(), self.account_id);
        let (session, fence) = (self.session.clone()?, self.fence?);
        let item = self.line.get_mut(id)?;
        let ready = item.ready.clone()?;
        item.busy = Busy::Sending;
        let resends = item.decision.state == Stage::Unknown;
        let permits = parts.config.permits.get(item.network.facts().id);
        let request = ArmRequest {
            target_id: id,
            workspace_id: item.stored.workspace_id,
            account_id,
            revision: item.stored.revision,
            from: item.decision.state,
            close: (resends && item.decision.is_open).then_some(item.stored.attempt_n),
            needs_quiet: resends && item.class != DeliveryClass::NaturalKey,
            key_window: if resends && item.class == DeliveryClass::IdempotencyKey { parts.policy.key_window } else { 0 },
            owner: parts.owner,
            fence,
            key: item.work.key.clone(),
            request_sha256: ready.request_sha256,
            permits: permits.map_or(0, |permits| permits.posts),
            permit_window: permits.map_or(0, |permits| permits.window_ms),
            send_timeout: parts.policy.send_timeout,
            quiesce: parts.policy.quiesce,
            nonce: postmesh_kit::ids::new(),
            guard: parts.clock_guard.clone(),
        };
        Some(Candidate { request, network: item.network.clone(), session, work: item.work.clone(), ready })
    }

    fn done(&mut self, done: Done) {
        self.is_working = false;
        for (id, is_moved) in done.stored {
            let Some(item) = self.line.get_mut(id) else { continue };
            item.busy = Busy::No;
            let state = item.decision.state;
            if state.is_final() && is_moved {
                ::metrics::counter!(crate::metrics::ENDED, "network" => item.network.facts().id, "state" => state.as_str())
                    .increment(1);
            }
            let in_line = !state.is_final()
                && !matches!(state, Stage::Parked | Stage::Processing | Stage::NeedsConfirmation);
            if !is_moved || !in_line {
                self.line.remove(id);
                self.may_have_more |= !is_moved;
            }
        }
        match done.sent {
            None => {}
            Some((id, Sent::Answered { n, armed_at, answer })) => self.answered(id, n, armed_at, answer),
            Some((id, Sent::Refused(refusal))) => self.refused(id, &refusal),
        }
    }

    fn answered(&mut self, id: Uuid, n: i64, armed_at: i64, answer: crate::domain::outcome::Answer) {
        let (policy, now) = (self.parts.policy, self.now());
        let Some(item) = self.line.get_mut(id) else { return };
        let send_deadline = armed_at + policy.send_timeout;
        if item.take(Event::Arm { send_deadline }, Wire::default(), &policy, armed_at, 0.0).is_none() {
            // The database's guards decided; memory follows.
            item.decision.state = Stage::Sending;
            item.decision.is_open = true;
            item.decision.first_armed_at.get_or_insert(armed_at);
            item.decision.send_deadline = Some(send_deadline);
        }
        item.stored.attempt_n = n;
        item.resends = false;
        if let Outcome::Ambiguous { evidence } = &answer.outcome {
            tracing::warn!(target.id = %id, attempt = n, evidence, "the answer to a send was lost");
        }
        let Some((change, left)) = item.take(Event::Settled(answer.outcome), answer.wire, &policy, now, jitter()) else {
            return;
        };
        item.busy = Busy::Storing;
        self.pending.push(change);
        let (refresh, park) = account_effects(&left);
        self.wants_refresh |= refresh;
        self.park(park);
    }

    fn refused(&mut self, id: Uuid, refusal: &Refusal) {
        let now = self.now();
        if let Some(item) = self.line.get_mut(id) {
            item.busy = Busy::No;
            match refusal {
                Refusal::NotDue { now: database } => item.not_before = now + (item.decision.due_at - database).max(1),
                Refusal::Gone if item.decision.state == Stage::Unknown => {
                    item.resends = false;
                    item.not_before = now + 200; // its class's guard, by the database's clock
                }
                Refusal::Gone => {
                    self.line.remove(id);
                    self.may_have_more = true;
                }
                Refusal::Later => item.not_before = now + 200,
                Refusal::NotOwner | Refusal::OutOfPermits { .. } => {}
            }
        }
        match refusal {
            Refusal::NotOwner => {
                self.fence = None;
                self.line.forget_idle();
                self.may_have_more = true;
            }
            Refusal::OutOfPermits { until } => {
                self.paused_until = *until;
                let (parts, account_id, until) = (self.parts.clone(), self.account_id, *until);
                let lifecycle = parts.lifecycle.clone();
                lifecycle.spawn(async move {
                    if let Err(error) = parts.store.postpone(account_id, until).await {
                        tracing::warn!(error = &error as &dyn std::error::Error, "waiting deliveries were not postponed");
                    }
                });
            }
            _ => {}
        }
    }

    /// Reads the network about a lost answer.
    fn look(&mut self, myself: &ActorRef<Msg>, id: Uuid) {
        if self.is_refreshing {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        let Some(item) = self.line.get_mut(id) else { return };
        item.busy = Busy::Looking;
        let parts = self.parts.clone();
        let (network, work, handles, stored) =
            (item.network.clone(), item.work.clone(), item.handles.clone(), item.stored.clone());
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let facts: Result<Option<AttemptFacts>, Error> = parts.store.attempt_facts(&stored).await;
            let found = match facts {
                Ok(Some(facts)) => network.reconcile(&session, &work, &handles, &facts).await,
                Ok(None) => Found::Unsure { why: "the attempt is not in the database".into() },
                Err(error) => Found::Unsure { why: error.to_string() },
            };
            Msg::Looked(id, found)
        });
    }

    fn looked(&mut self, id: Uuid, found: Found) {
        let (policy, now) = (self.parts.policy, self.now());
        let Some(item) = self.line.get_mut(id) else { return };
        item.busy = Busy::No;
        if let Found::Unsure { why } = &found {
            tracing::info!(target.id = %id, why, "the network could not tell");
        }
        if let Some((change, left)) = item.take(Event::Looked(found), Wire::default(), &policy, now, jitter()) {
            item.busy = Busy::Storing;
            item.resends = left.contains(&Effect::Resend);
            self.pending.push(change);
        }
    }

    /// The account lost its authorization: notes it and takes the line out of memory.
    fn park(&mut self, message: Option<String>) {
        let (Some(message), Some(session)) = (message, self.session.take()) else { return };
        self.fence = None;
        self.line.forget_idle();
        let (parts, supervisor) = (self.parts.clone(), self.supervisor.clone());
        let account_id = self.account_id;
        self.again_at = self.now() + AGAIN;
        let lifecycle = parts.lifecycle.clone();
        lifecycle.spawn(async move {
            if let Err(error) = session::close(&parts, &session, &message).await {
                tracing::error!(error = &error as &dyn std::error::Error, "a lost authorization was not noted");
            }
            let _ = supervisor.cast(accounts::Msg::Changed(account_id));
        });
    }

    /// Sleeps until the next moment, or tells the supervisor that there is nothing to do.
    fn rest(&mut self, myself: &ActorRef<Msg>, wake_at: Option<i64>) {
        let is_idle = self.line.len() == 0
            && !self.may_have_more
            && !(self.is_loading || self.is_working || self.is_refreshing)
            && self.pending.is_empty()
            && self.waiting.is_empty()
            && self.preparing == 0;
        if !is_idle {
            self.sleep_until(myself, wake_at);
            return;
        }
        let idle = accounts::Msg::Idle { account_id: self.account_id, heard: self.heard, actor: myself.get_id() };
        self.idle_since = Some(Instant::now());
        let _ = self.supervisor.send_after(std::time::Duration::from_millis(self.parts.config.idle_ms), move || idle);
    }

    /// Sets the one timer.
    fn sleep_until(&mut self, myself: &ActorRef<Msg>, wake_at: Option<i64>) {
        let Some(at) = wake_at else { return };
        if let Some((set_for, timer)) = &self.timer {
            if *set_for == at && !timer.is_finished() {
                return;
            }
            timer.abort();
        }
        let wait = u64::try_from(at - self.now()).unwrap_or(0);
        let timer = myself.send_after(std::time::Duration::from_millis(wait), || Msg::Timer);
        self.timer = Some((at, timer.abort_handle()));
    }
}

//! What is done for a delivery: prepared, armed and sent by one job at a time, looked for when its answer was lost.

use std::{sync::Arc, time::Duration};

use postmesh_kit::faults::{self, Bug};
use ractor::ActorRef;
use uuid::Uuid;

use super::{Msg, State};
use crate::{
    actors::{
        jitter,
        line::{Busy, Fate, Item, Refusal, Turn},
        prepare::{self, Preparation},
        run,
        send::{self, Candidate, Done, Job, Sent},
    },
    domain::{
        delivery::{AttemptFacts, Work},
        outcome::{self, Found, Outcome},
        state::State as Stage,
    },
    error::Error,
    holds::Calls,
    networks::{Network, Part, Placed, Ready, Session},
    store::{ArmRequest, Rider},
};

/// How long one read about a lost answer may take.
const LOOK: Duration = Duration::from_secs(10);

impl State {
    /// Runs reversible steps, in batches.
    pub(super) fn prepare(&mut self, myself: &ActorRef<Msg>, ids: &[Uuid]) {
        if ids.is_empty() || self.preparing >= 2 || self.is_refreshing {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        let is_held = self.parts.holds.until(self.account_id, Calls::Uploads, self.now()).is_some();
        let mut batch = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(item) = self.line.get_mut(*id) else { continue };
            if is_held && !item.work.content.media.is_empty() {
                continue;
            }
            let Ok(network) = self.parts.network(&item.stored.network) else { continue };
            item.busy = Busy::Preparing;
            batch.push(prepare::Task {
                id: *id,
                network,
                work: item.work.clone(),
                handles: std::mem::take(&mut item.handles),
                // A lost answer keeps its state while its request is built again.
                begins: item.decision.state != Stage::Unknown,
            });
        }
        if batch.is_empty() {
            return;
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

    pub(super) fn prepared(&mut self, done: Vec<Preparation>) {
        let (policy, now) = (self.parts.policy, self.now());
        for Preparation { id, work, handles, result } in done {
            let Some(item) = self.line.get_mut(id).filter(|item| Arc::ptr_eq(&item.work, &work)) else {
                continue;
            };
            item.handles = handles;
            match result {
                None => {
                    // Recalled, edited or too late: the database knows.
                    self.line.remove(id);
                    self.is_behind = true;
                }
                Some(result) => {
                    let turn = item.prepared(result, &policy, now, jitter());
                    self.carry_out(turn);
                }
            }
        }
    }

    /// Does what a delivery's turn left to be done.
    fn carry_out(&mut self, turn: Turn) {
        self.pending.extend(turn.store);
        if turn.refresh {
            self.wants_refresh = true;
            self.refused = self.session.as_ref().map(|session| session.token_version);
        }
        self.park(turn.park);
    }

    /// Stores what was decided, without sending.
    pub(super) fn store(&mut self, myself: &ActorRef<Msg>) {
        self.work(myself, None);
    }

    /// Begins a job, when none is under way and there is something to do.
    pub(super) fn work(&mut self, myself: &ActorRef<Msg>, next: Option<Uuid>) {
        if self.is_working || (next.is_none() && self.pending.is_empty()) {
            return;
        }
        let next = if self.is_refreshing { None } else { next.and_then(|id| self.candidate(id)) };
        if next.is_none() && self.pending.is_empty() {
            return;
        }
        self.is_working = true;
        let job = Job { changes: std::mem::take(&mut self.pending), next };
        let parts = self.parts.clone();
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move { Msg::Done(Box::new(send::run(parts, job).await)) });
    }

    pub(super) fn candidate(&mut self, id: Uuid) -> Option<Candidate> {
        let (parts, account_id) = (self.parts.clone(), self.account_id);
        let (session, fence) = (self.session.clone()?, self.fence?);
        let item = self.line.get_mut(id)?;
        let alone = item.ready.clone()?;
        let network = parts.network(&item.stored.network).ok()?;
        let guards = item.guards(&parts.policy);
        let (ready, riders) = if guards.from == Stage::Prepared && !faults::bug(Bug::SendBeforeArm) {
            self.with_riders(id, alone, &*network, &session)
        } else {
            (alone, Vec::new())
        };
        for (rider, _) in &riders {
            if let Some(item) = self.line.get_mut(rider.target_id) {
                item.busy = Busy::Sending;
            }
        }
        let item = self.line.get_mut(id)?;
        item.busy = Busy::Sending;
        let request = ArmRequest {
            target_id: id,
            workspace_id: item.stored.workspace_id,
            account_id,
            revision: item.stored.revision,
            from: guards.from,
            close: guards.close,
            needs_quiet: guards.needs_quiet,
            key_window: guards.key_window,
            owner: parts.owner,
            fence,
            key: item.work.key.clone(),
            request_sha256: ready.request_sha256,
            riders: riders.iter().map(|(rider, _)| *rider).collect(),
            permits: parts.config.permits_of(network.facts()),
            send_timeout: parts.policy.send_timeout,
            quiesce: parts.policy.quiesce,
            nonce: postmesh_kit::ids::new(),
            guard: parts.clock_guard.clone(),
        };
        let riders = riders.into_iter().map(|(_, work)| work).collect();
        Some(Candidate { request, network, session, work: item.work.clone(), riders, ready })
    }

    /// The request for a delivery, and the parts of its thread that are in it too: as many as are ready and fit.
    fn with_riders(
        &self,
        id: Uuid,
        alone: Arc<Ready>,
        network: &dyn Network,
        session: &Session,
    ) -> (Arc<Ready>, Vec<(Rider, Arc<Work>)>) {
        // Each of them counts as a post of the account.
        let permitted =
            self.parts.config.permits_of(network.facts()).iter().map(|permits| permits.posts).min();
        let permitted = permitted.and_then(|posts| usize::try_from(posts).ok()).unwrap_or(usize::MAX);
        let group = self.line.group(id, network.carries().min(permitted), self.now());
        if group.len() < 2 {
            return (alone, Vec::new());
        }
        let parts: Vec<Part<'_>> =
            group.iter().map(|item| Part { work: &item.work, handles: &item.handles }).collect();
        let Some((ready, count)) = network.compose(session, &parts) else { return (alone, Vec::new()) };
        let rider = |item: &&Item| {
            let rider = Rider { target_id: item.stored.target_id, revision: item.stored.revision };
            (rider, item.work.clone())
        };
        (Arc::new(ready), group.iter().take(count).skip(1).map(rider).collect())
    }

    pub(super) fn done(&mut self, done: Done) {
        self.is_working = false;
        for (id, is_moved) in done.stored {
            if let Some(item) = self.line.get_mut(id)
                && item.decision.state.is_final()
                && is_moved
            {
                let (network, state) = (item.stored.network.clone(), item.decision.state.as_str());
                ::metrics::counter!(crate::metrics::ENDED, "network" => network, "state" => state)
                    .increment(1);
            }
            self.is_behind |= self.line.stored(id, is_moved);
        }
        match done.sent {
            None => {}
            Some((id, Sent::Answered { n, armed_at, answer, others })) => {
                let fate = fate_of(&answer.outcome);
                self.answered(id, n, armed_at, answer);
                self.rode(&done.riders, armed_at, fate.as_ref(), others);
            }
            Some((id, Sent::Refused(refusal))) => {
                self.refused(id, refusal);
                for rider in done.riders {
                    if refusal == Refusal::RidersGone {
                        self.line.remove(rider);
                    } else if let Some(item) = self.line.get_mut(rider) {
                        item.busy = Busy::No;
                    }
                }
            }
        }
    }

    /// What the answer says about the parts that went with the first one.
    fn rode(&mut self, riders: &[Uuid], armed_at: i64, fate: Option<&Fate>, others: Vec<Placed>) {
        let (policy, now) = (self.parts.policy, self.now());
        let mut others = others.into_iter();
        for id in riders {
            let lost = || Fate::Unclear("the answer does not name this part".to_owned());
            let fate = fate.cloned().or_else(|| others.next().map(Fate::Live)).unwrap_or_else(lost);
            if let Some(item) = self.line.get_mut(*id) {
                let turn = item.rode(armed_at, fate, &policy, now);
                self.carry_out(turn);
            }
        }
    }

    pub(super) fn answered(&mut self, id: Uuid, n: i64, armed_at: i64, answer: outcome::Answer) {
        let (policy, now) = (self.parts.policy, self.now());
        let Some(item) = self.line.get_mut(id) else { return };
        if let Outcome::Ambiguous { evidence } = &answer.outcome {
            tracing::warn!(target.id = %id, attempt = n, evidence, "the answer to a send was lost");
        }
        let turn = item.answered(n, armed_at, answer, &policy, now, jitter());
        self.carry_out(turn);
    }

    pub(super) fn refused(&mut self, id: Uuid, refusal: Refusal) {
        self.is_behind |= self.line.refused(id, refusal, self.now());
        match refusal {
            Refusal::NotOwner => self.fence = None,
            Refusal::OutOfPermits { until } => self.paused_until = until,
            _ => {}
        }
    }

    /// Reads the network about a lost answer.
    pub(super) fn look(&mut self, myself: &ActorRef<Msg>, id: Uuid) {
        if self.is_refreshing {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        let Some(item) = self.line.get_mut(id) else { return };
        let Ok(network) = self.parts.network(&item.stored.network) else { return };
        item.busy = Busy::Looking;
        let parts = self.parts.clone();
        let (work, handles, stored) = (item.work.clone(), item.handles.clone(), item.stored.clone());
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let facts: Result<Option<AttemptFacts>, Error> = parts.store.attempt_facts(&stored).await;
            let found = match facts {
                // The line waits behind a lost answer, so a read that hangs is given up and begun again.
                Ok(Some(facts)) => {
                    let look = async {
                        match faults::at("reconcile.read").await {
                            Ok(()) => network.reconcile(&session, &work, &handles, &facts).await,
                            Err(unread) => Found::Unsure { why: unread.to_string() },
                        }
                    };
                    tokio::time::timeout(LOOK, look).await.unwrap_or_else(|_| Found::Unsure {
                        why: "the network did not answer in time".into(),
                    })
                }
                Ok(None) => Found::Unsure { why: "the attempt is not in the database".into() },
                Err(error) => Found::Unsure { why: error.to_string() },
            };
            Msg::Looked(id, found)
        });
    }

    pub(super) fn looked(&mut self, id: Uuid, found: Found) {
        let (policy, now) = (self.parts.policy, self.now());
        let Some(item) = self.line.get_mut(id) else { return };
        match &found {
            Found::Unsure { why } => tracing::info!(target.id = %id, why, "the network could not tell"),
            Found::Unread(fault) => {
                tracing::info!(target.id = %id, why = fault as &dyn std::error::Error, "the network could not be read");
            }
            Found::Live { .. } | Found::Absent | Found::Unseen => {}
        }
        let turn = item.looked(found, &policy, now, jitter());
        self.carry_out(turn);
    }
}

/// What an answer says about every part that went along; `None` when it accepts them, each under an id of its own.
fn fate_of(outcome: &Outcome) -> Option<Fate> {
    match outcome {
        Outcome::Accepted { .. } => None,
        Outcome::Ambiguous { evidence } => Some(Fate::Unclear(evidence.clone())),
        Outcome::Processing { .. } | Outcome::InInbox { .. } => {
            Some(Fate::Unclear("the answer says nothing of this part".to_owned()))
        }
        Outcome::NotSent { .. }
        | Outcome::Transient { .. }
        | Outcome::Stale { .. }
        | Outcome::Rejected { .. }
        | Outcome::TokenExpired
        | Outcome::Reconnect { .. } => Some(Fate::NotSent),
    }
}

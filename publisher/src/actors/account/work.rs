//! What is done for a delivery: prepared, armed and sent by one job at a time, looked for when its answer was lost.

use std::time::Duration;

use postmesh_kit::faults;
use ractor::ActorRef;
use uuid::Uuid;

use super::{Msg, State};
use crate::{
    actors::{
        jitter,
        line::{Busy, Refusal, Turn},
        prepare::{self, Preparation},
        run,
        send::{self, Candidate, Done, Job, Sent},
    },
    domain::{
        delivery::AttemptFacts,
        outcome::{self, Found, Outcome},
        state::State as Stage,
    },
    error::Error,
    holds::Calls,
    store::ArmRequest,
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
        for Preparation { id, handles, result } in done {
            let Some(item) = self.line.get_mut(id) else { continue };
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
        let ready = item.ready.clone()?;
        let network = parts.network(&item.stored.network).ok()?;
        item.busy = Busy::Sending;
        let guards = item.guards(&parts.policy);
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
            permits: parts.config.permits_of(network.facts()),
            send_timeout: parts.policy.send_timeout,
            quiesce: parts.policy.quiesce,
            nonce: postmesh_kit::ids::new(),
            guard: parts.clock_guard.clone(),
        };
        Some(Candidate { request, network, session, work: item.work.clone(), ready })
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
            Some((id, Sent::Answered { n, armed_at, answer })) => self.answered(id, n, armed_at, answer),
            Some((id, Sent::Refused(refusal))) => self.refused(id, refusal),
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

//! What is done for a delivery: prepared, armed and sent by one job at a time, looked for when its answer was lost.

use std::{sync::Arc, time::Duration};

use ractor::ActorRef;
use uuid::Uuid;

use super::{Msg, State};
use crate::{
    actors::{
        jitter,
        line::Busy,
        prepare::{self, Preparation},
        run,
        send::{self, Candidate, Done, Job, Refusal, Sent, account_effects},
    },
    domain::{
        delivery::AttemptFacts,
        outcome::{self, DeliveryClass, Fault, Found, Outcome, Wire},
        state::State as Stage,
        step::{Effect, Event},
    },
    error::Error,
    networks::Ready,
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

    pub(super) fn prepared(&mut self, done: Vec<Preparation>) {
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

    pub(super) fn ready(&mut self, id: Uuid, ready: Ready, now: i64) {
        let policy = self.parts.policy;
        let Some(item) = self.line.get_mut(id) else { return };
        if item.decision.state != Stage::Unknown {
            item.take(Event::Begin, Wire::default(), &policy, now.min(item.decision.late_at - 1), 0.0);
            item.take(Event::Prepared, Wire::default(), &policy, now, 0.0);
        }
        item.ready = Some(Arc::new(ready));
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
            key_window: if resends && item.class == DeliveryClass::IdempotencyKey {
                parts.policy.key_window
            } else {
                0
            },
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

    pub(super) fn done(&mut self, done: Done) {
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

    pub(super) fn answered(&mut self, id: Uuid, n: i64, armed_at: i64, answer: outcome::Answer) {
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
        let Some((change, left)) =
            item.take(Event::Settled(answer.outcome), answer.wire, &policy, now, jitter())
        else {
            return;
        };
        item.busy = Busy::Storing;
        self.pending.push(change);
        let (refresh, park) = account_effects(&left);
        self.wants_refresh |= refresh;
        self.park(park);
    }

    pub(super) fn refused(&mut self, id: Uuid, refusal: &Refusal) {
        let now = self.now();
        if let Some(item) = self.line.get_mut(id) {
            item.busy = Busy::No;
            match refusal {
                Refusal::NotDue { now: database } => {
                    item.not_before = now + (item.decision.due_at - database).max(1);
                }
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
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "waiting deliveries were not postponed"
                        );
                    }
                });
            }
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
        item.busy = Busy::Looking;
        let parts = self.parts.clone();
        let (network, work, handles, stored) =
            (item.network.clone(), item.work.clone(), item.handles.clone(), item.stored.clone());
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let facts: Result<Option<AttemptFacts>, Error> = parts.store.attempt_facts(&stored).await;
            let found = match facts {
                // The line waits behind a lost answer, so a read that hangs is given up and begun again.
                Ok(Some(facts)) => {
                    let look = network.reconcile(&session, &work, &handles, &facts);
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
        item.busy = Busy::No;
        if let Found::Unsure { why } = &found {
            tracing::info!(target.id = %id, why, "the network could not tell");
        }
        if let Some((change, left)) = item.take(Event::Looked(found), Wire::default(), &policy, now, jitter())
        {
            item.busy = Busy::Storing;
            item.resends = left.contains(&Effect::Resend);
            self.pending.push(change);
        }
    }
}

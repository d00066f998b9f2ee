//! The write side of an account: one job at a time. A job stores the steps that were decided, arms the next delivery in
//! the same transaction, sends it, and brings the answer back.
//!
//! ```text
//!  … send n ──▶ [ close n · event n · ARM n+1 ] one commit ──▶ send n+1 ──▶ [ close n+1 · … ] …
//! ```
//! **Invariant:** a job never loses a decided step. When the database fails it tries again until the process ends; an
//! attempt whose outcome is not stored then is found open and becomes `unknown`.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use postmesh_kit::faults;
use uuid::Uuid;

use super::{epoch, line::Refusal, pause};
use crate::{
    deps::Parts,
    domain::{
        delivery::Work,
        outcome::{Answer, Outcome},
    },
    error::Error,
    holds::OurApp,
    metrics,
    networks::{Network, Placed, Ready, Session, Together, limits::Permits},
    store::{ArmRequest, Armed, Arming, Change},
};

/// What one job is to do.
pub(super) struct Job {
    pub(super) changes: Vec<Change>,
    pub(super) next: Option<Candidate>,
}

/// The delivery to arm and send.
pub(super) struct Candidate {
    pub(super) request: ArmRequest,
    pub(super) network: Arc<dyn Network>,
    pub(super) session: Arc<Session>,
    pub(super) work: Arc<Work>,
    /// The parts of its thread that are in the request too.
    pub(super) riders: Vec<Arc<Work>>,
    pub(super) ready: Arc<Ready>,
}

/// What became of it.
pub(super) struct Done {
    /// Each stored delivery, and whether it still was where the step began.
    pub(super) stored: Vec<(Uuid, bool)>,
    pub(super) sent: Option<(Uuid, Sent)>,
    /// The parts of its thread that were to go with the candidate.
    pub(super) riders: Vec<Uuid>,
}

/// What became of the candidate.
pub(super) enum Sent {
    /// It was armed and answered.
    Answered {
        /// Which attempt.
        n: i64,
        /// When it was armed, by the database's clock.
        armed_at: i64,
        /// The answer.
        answer: Answer,
        /// Where the parts that went with it are.
        others: Vec<Placed>,
    },
    /// It was not armed.
    Refused(Refusal),
}

/// Runs a job to its end.
pub(super) async fn run(parts: Arc<Parts>, job: Job) -> Done {
    let ids: Vec<Uuid> = job.changes.iter().map(|change| change.target_id).collect();
    let reports = job.changes.iter().any(|change| change.reports);
    let Some(candidate) = job.next else {
        let moved = store_until_stored(&parts, job.changes).await;
        finish(&parts, reports);
        return Done { stored: ids.into_iter().zip(moved).collect(), sent: None, riders: Vec::new() };
    };
    let (id, nonce) = (candidate.request.target_id, candidate.request.nonce);
    let riders: Vec<Uuid> = candidate.request.riders.iter().map(|rider| rider.target_id).collect();
    #[cfg(any(debug_assertions, feature = "faults"))]
    if faults::bug(faults::Bug::SendBeforeArm) {
        return send_before_arm(&parts, job.changes, candidate).await;
    }
    let app = AppPermit::of(&parts, &candidate);
    match app.take(&parts).await {
        Ok(None) => {}
        refused => {
            let account_id = candidate.request.account_id;
            let refusal = out_of_app_permits(&parts, account_id, refused).await;
            let moved = store_until_stored(&parts, job.changes).await;
            finish(&parts, reports);
            let stored = ids.into_iter().zip(moved).collect();
            return Done { stored, sent: Some((id, Sent::Refused(refusal))), riders };
        }
    }
    let armed = parts.store.apply_and_arm(job.changes.clone(), candidate.request.clone()).await;
    let (moved, arming) = match armed {
        Ok(answer) => answer,
        Err(error) => {
            // Rolled back, or nobody knows: then the row with our nonce tells, and there is no `Armed`.
            if matches!(error, Error::Database(_)) {
                tracing::warn!(error = &error as &dyn std::error::Error, "an attempt could not be armed");
                disarm_until_known(&parts, nonce).await;
            }
            let moved = store_until_stored(&parts, job.changes).await;
            finish(&parts, reports);
            let stored = ids.into_iter().zip(moved).collect();
            return Done { stored, sent: Some((id, Sent::Refused(Refusal::Later))), riders };
        }
    };
    finish(&parts, reports);
    let stored = ids.into_iter().zip(moved).collect();
    if !matches!(arming, Arming::Armed { .. }) {
        app.give_back(&parts).await;
    }
    let refusal = match arming {
        Arming::Armed { armed, armed_at } => {
            let n = armed.n();
            let lateness = (armed_at - candidate.work.due_at).max(0);
            ::metrics::histogram!(metrics::LATENESS_SECONDS).record(lateness as f64 / 1000.0);
            let limit =
                Duration::from_millis(parts.policy.send_timeout.max(0) as u64) + Duration::from_secs(1);
            let began = tokio::time::Instant::now();
            let sending = AssertUnwindSafe(exchange(armed, &candidate)).catch_unwind();
            let mut others = Vec::new();
            let answer = match tokio::time::timeout(limit, sending).await {
                Ok(Ok(together)) => {
                    others = together.others;
                    together.answer
                }
                Ok(Err(_panic)) => Outcome::Ambiguous { evidence: "the adapter failed".into() }.into(),
                Err(_) => Outcome::Ambiguous { evidence: "no answer before the send deadline".into() }.into(),
            };
            let answer = match faults::at("resp.parsed").await {
                Ok(()) => answer,
                Err(lost) => Outcome::Ambiguous { evidence: lost.to_string() }.into(),
            };
            app.hear(&parts, &answer.outcome);
            let network = candidate.network.facts().id;
            ::metrics::histogram!(metrics::SEND_SECONDS, "network" => network)
                .record(began.elapsed().as_secs_f64());
            ::metrics::counter!(metrics::OUTCOMES, "network" => network, "outcome" => word(&answer.outcome))
                .increment(1);
            return Done { stored, sent: Some((id, Sent::Answered { n, armed_at, answer, others })), riders };
        }
        Arming::NotOwner => Refusal::NotOwner,
        Arming::AnotherEpoch => {
            // Everything in memory is older than the database: read it again.
            if let Err(error) = epoch::begin(&parts, false).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a new epoch was not begun");
            }
            Refusal::NotOwner
        }
        Arming::OutOfPermits { until, now } => {
            Refusal::OutOfPermits { until: parts.clock.now_ms() + (until - now).max(1) }
        }
        Arming::NotDue { now } => Refusal::NotDue { now },
        Arming::Gone => Refusal::Gone,
        Arming::RidersGone => Refusal::RidersGone,
    };
    Done { stored, sent: Some((id, Sent::Refused(refusal))), riders }
}

/// The one visible request, alone or for several parts of a thread.
async fn exchange(armed: Armed, candidate: &Candidate) -> Together {
    let Candidate { network, session, work, riders, ready, .. } = candidate;
    if riders.is_empty() {
        return Together { answer: network.send(armed, session, work, ready).await, others: Vec::new() };
    }
    let works: Vec<Arc<Work>> = std::iter::once(work).chain(riders).cloned().collect();
    let together = network.send_together(armed, session, &works, ready).await;
    Together { answer: part_by_part(together.answer), ..together }
}

/// A definite refusal of several parts does not say which one is to blame. None of them is visible, and the first one
/// was attempted now: it goes alone, and so do the others after it.
fn part_by_part(mut answer: Answer) -> Answer {
    if let Outcome::Rejected { code, .. } | Outcome::Stale { code, .. } = answer.outcome {
        let message = "The network refused the thread as a whole; its parts are sent one by one.".into();
        answer.outcome = Outcome::Transient { code, message, retry_after: None };
    }
    answer
}

/// The seeded bug: the request first, its attempt afterwards.
#[cfg(any(debug_assertions, feature = "faults"))]
async fn send_before_arm(parts: &Parts, changes: Vec<Change>, candidate: Candidate) -> Done {
    let Candidate { request, network, session, work, ready, .. } = candidate;
    let (id, ids) = (request.target_id, changes.iter().map(|change| change.target_id).collect::<Vec<_>>());
    let answer = network.send(Armed::before_its_time(&request), &session, &work, &ready).await;
    let (moved, sent) = match parts.store.apply_and_arm(changes.clone(), request).await {
        Ok((moved, Arming::Armed { armed, armed_at })) => {
            (moved, Sent::Answered { n: armed.n(), armed_at, answer, others: Vec::new() })
        }
        Ok((moved, _)) => (moved, Sent::Refused(Refusal::Gone)),
        Err(_) => (store_until_stored(parts, changes).await, Sent::Refused(Refusal::Later)),
    };
    finish(parts, true);
    Done { stored: ids.into_iter().zip(moved).collect(), sent: Some((id, sent)), riders: Vec::new() }
}

/// The application's share of a send, where our application as a whole is limited.
struct AppPermit {
    app: OurApp,
    permits: Vec<Permits>,
}

impl AppPermit {
    fn of(parts: &Parts, candidate: &Candidate) -> Self {
        let network = candidate.network.facts().id;
        let permits = parts.config.app_permits.get(network).cloned().unwrap_or_default();
        Self { app: OurApp::of(&candidate.session), permits }
    }

    /// `Some(wait)` when none is left, or the network has refused the application a moment ago.
    async fn take(&self, parts: &Parts) -> Result<Option<i64>, Error> {
        let refusal = parts.holds.refusal(&self.app, parts.clock.now_ms());
        if let Some(wait) = refusal.and_then(|refusal| refusal.exhausted()) {
            return Ok(Some(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        }
        if self.permits.is_empty() {
            return Ok(None);
        }
        parts.budgets.take(&parts.store, &self.app.network, &self.app.server, &self.permits).await
    }

    async fn give_back(&self, parts: &Parts) {
        if !self.permits.is_empty() {
            parts.budgets.give_back(&self.app.network, &self.app.server, &self.permits).await;
        }
    }

    /// A refusal of the application holds the sends of all its accounts.
    fn hear(&self, parts: &Parts, outcome: &Outcome) {
        let (most, now) = (parts.policy.hint_most, parts.clock.now_ms());
        parts.holds.hear(self.app.clone(), outcome.refusal().as_ref(), most, now);
    }
}

async fn out_of_app_permits(parts: &Parts, account_id: Uuid, refused: Result<Option<i64>, Error>) -> Refusal {
    let failed = |error: &Error| {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the application's permits could not be taken or waited for"
        );
    };
    match refused {
        Ok(wait) => {
            let wait = wait.unwrap_or_default().max(1);
            if let Err(error) = parts.store.postpone(account_id, wait).await {
                failed(&error);
            }
            Refusal::OutOfPermits { until: parts.clock.now_ms() + wait }
        }
        Err(error) => {
            failed(&error);
            Refusal::Later
        }
    }
}

fn finish(parts: &Parts, reports: bool) {
    if reports {
        parts.ring_events();
    }
}

async fn store_until_stored(parts: &Parts, changes: Vec<Change>) -> Vec<bool> {
    if changes.is_empty() {
        return Vec::new();
    }
    let mut tries = 0;
    loop {
        match parts.store.apply(changes.clone()).await {
            Ok(moved) => return moved,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an outcome could not be stored; trying again"
                );
                tokio::time::sleep(pause(tries)).await;
                tries += 1;
            }
        }
    }
}

async fn disarm_until_known(parts: &Parts, nonce: Uuid) {
    let mut tries = 0;
    while let Err(error) = parts.store.disarm(nonce).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "an attempt could not be disarmed; trying again"
        );
        tokio::time::sleep(pause(tries)).await;
        tries += 1;
    }
}

/// The label of an outcome.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Processing { .. } => "processing",
        Outcome::InInbox { .. } => "in_inbox",
        Outcome::NotSent { .. } => "not_sent",
        Outcome::Transient { .. } => "transient",
        Outcome::Stale { .. } => "stale",
        Outcome::Rejected { .. } => "rejected",
        Outcome::TokenExpired => "token_expired",
        Outcome::Reconnect { .. } => "reconnect",
        Outcome::Ambiguous { .. } => "ambiguous",
    }
}

//! An account's job: steps stored, the next delivery armed in the same transaction, sent, answered; as in
//! `publisher/src/actors/send.rs`.

use postmesh_kit::faults::{Bug, bug};
use postmesh_publisher::{
    core::{Busy, Refusal},
    domain::{
        outcome::{Answer, Outcome},
        state::State,
    },
};
use rand::RngExt as _;
use uuid::Uuid;

use super::{Actor, Job, Place};
use crate::simulation::{
    network::Send,
    store::{Arm, Arming},
    world::{Log, Op, World},
};

impl World {
    /// Begins a job, when none is under way and there is something to do.
    pub(in crate::simulation) fn work(&mut self, actor: &mut Actor, place: Place, next: Option<Uuid>) {
        if actor.job.is_some() {
            return;
        }
        let next = if actor.is_refreshing { None } else { next };
        let arm = next.and_then(|id| self.candidate(actor, place, id));
        if arm.is_none() && actor.pending.is_empty() {
            return;
        }
        let job = Job {
            changes: std::mem::take(&mut actor.pending),
            arm,
            deadline: self.now + self.policy.send_timeout,
            stored: Vec::new(),
            armed: None,
            has_failed: false,
        };
        let op = Op::Job { changes: job.changes.clone(), arm: job.arm.clone() };
        let early = job.arm.clone().filter(|_| bug(Bug::SendBeforeArm)).map(|arm| (arm, job.deadline));
        actor.job = Some(job);
        if let Some((arm, deadline)) = early {
            self.send(actor, place, &arm, 0, deadline);
        }
        self.ask(place, op);
    }

    pub(in crate::simulation) fn candidate(
        &mut self,
        actor: &mut Actor,
        place: Place,
        id: Uuid,
    ) -> Option<Arm> {
        let fence = actor.fence?;
        let (policy, owner) = (self.policy, self.workers[place.worker].owner);
        let item = actor.line.get_mut(id)?;
        item.ready.as_ref()?;
        item.busy = Busy::Sending;
        self.nonces += 1;
        Some(Arm {
            target: id,
            account: place.account,
            revision: item.stored.revision,
            guards: item.guards(&policy),
            owner,
            fence,
            key: item.work.key.clone(),
            nonce: self.nonces,
        })
    }

    pub(in crate::simulation) fn job_stored(
        &mut self,
        actor: &mut Actor,
        place: Place,
        stored: Result<(Vec<bool>, Option<Arming>), ()>,
    ) {
        let Some(job) = actor.job.as_mut() else { return };
        let contended = matches!(stored, Ok((_, Some(Arming::Contended))));
        let (moved, arming) = match stored {
            Err(()) if job.arm.is_some() && !job.has_failed => {
                job.has_failed = true;
                let nonce = job.arm.as_ref().map_or(0, |arm| arm.nonce);
                self.ask(place, Op::Disarm(nonce));
                return;
            }
            Ok(_) if contended => {
                job.has_failed = true;
                self.retry_job(actor, place);
                return;
            }
            Err(()) => {
                let changes = job.changes.clone();
                self.ask_in(200, place, Op::Job { changes, arm: None });
                return;
            }
            Ok(stored) => stored,
        };
        job.stored = job.changes.iter().map(|change| change.target_id).zip(moved).collect();
        let Some(arm) = job.arm.clone() else {
            self.done(actor, place, None);
            return;
        };
        let refusal = match arming {
            Some(Arming::Armed { n, armed_at }) => {
                job.armed = Some((n, armed_at));
                let deadline = job.deadline;
                if !bug(Bug::SendBeforeArm) {
                    self.send(actor, place, &arm, n, deadline);
                }
                return;
            }
            Some(Arming::NotOwner) => Refusal::NotOwner,
            Some(Arming::Blocked { until }) => {
                Refusal::OutOfPermits { until: until - self.database_now() + self.clock(place.worker) }
            }
            Some(Arming::NotDue { now }) => Refusal::NotDue { now },
            Some(Arming::Gone) => Refusal::Gone,
            Some(Arming::Contended) | None => Refusal::Later,
        };
        self.done(actor, place, Some((arm.target, refusal)));
    }

    /// Stores the job's steps without its ARM, until they are stored.
    pub(in crate::simulation) fn retry_job(&mut self, actor: &mut Actor, place: Place) {
        let Some(job) = &actor.job else { return };
        let changes = job.changes.clone();
        self.ask(place, Op::Job { changes, arm: None });
    }

    pub(in crate::simulation) fn send(
        &mut self,
        actor: &mut Actor,
        place: Place,
        arm: &Arm,
        n: i64,
        deadline: i64,
    ) {
        let Some(item) = actor.line.get_mut(arm.target) else { return };
        let container = item.ready.as_ref().map(|ready| ready.request.clone()).unwrap_or_default();
        let send = Send {
            account: place.account,
            target: arm.target,
            n,
            tokens: actor.session.map_or(0, |session| session.version),
            key: arm.key.clone(),
            text: item.work.content.text.clone(),
            container: String::from_utf8_lossy(&container).into_owned(),
            is_resend: arm.guards.from == State::Unknown,
            left_at: self.now,
        };
        if self.now >= deadline {
            let outcome = Outcome::NotSent { why: "no time was left".into() };
            self.answered(actor, place, arm.nonce, outcome.into());
            return;
        }
        self.call_publish(place, send, arm.nonce, deadline);
    }

    pub(in crate::simulation) fn answered(
        &mut self,
        actor: &mut Actor,
        place: Place,
        nonce: u64,
        answer: Answer,
    ) {
        let is_this =
            |job: &&Job| job.armed.is_some() && job.arm.as_ref().is_some_and(|arm| arm.nonce == nonce);
        let Some(job) = actor.job.as_ref().filter(is_this) else { return };
        let (Some((n, armed_at)), Some(arm)) = (job.armed, job.arm.clone()) else { return };
        if let Outcome::Ambiguous { evidence } = &answer.outcome {
            self.seen.ambiguous += 1;
            let line = || format!("{} attempt {n}: no clear answer ({evidence})", Log::target(arm.target));
            self.log.say(self.now, line);
        }
        let (policy, now, jitter) = (self.policy, self.clock(place.worker), self.rng.random());
        self.done(actor, place, None);
        if let Some(item) = actor.line.get_mut(arm.target) {
            let turn = item.answered(n, armed_at, answer, &policy, now, jitter);
            self.carry_out(actor, place, turn);
        }
    }

    /// The job has ended; with a refusal, its candidate was not armed.
    pub(in crate::simulation) fn done(
        &mut self,
        actor: &mut Actor,
        place: Place,
        refused: Option<(Uuid, Refusal)>,
    ) {
        let Some(job) = actor.job.take() else { return };
        for (id, is_moved) in job.stored {
            actor.is_behind |= actor.line.stored(id, is_moved);
        }
        let refused = refused.or_else(|| {
            let arm = job.arm.filter(|_| job.armed.is_none())?;
            Some((arm.target, Refusal::Later))
        });
        if let Some((id, refusal)) = refused {
            actor.is_behind |= actor.line.refused(id, refusal, self.clock(place.worker));
            match refusal {
                Refusal::NotOwner => {
                    self.seen.not_owner += 1;
                    actor.fence = None;
                }
                Refusal::OutOfPermits { until } => actor.paused_until = until,
                _ => {}
            }
        }
    }
}

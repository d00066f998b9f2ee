//! What the publisher's stand-in does with a user's answer about a target whose own answer was lost: settle it once,
//! and give up the parts of its thread that were to follow it.

use postmesh_proto::{
    common::v1::{TargetConfirmation, TargetProblem, TargetState, target_confirmation::Answer},
    publisher::v1 as publisher,
};
use tonic::Status;

use crate::neighbours::PublisherState;

/// A target whose answer was lost.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// What was sent.
    pub(crate) delivery: publisher::Delivery,
    /// How a user settled it.
    pub(crate) settled: Option<TargetConfirmation>,
}

impl PublisherState {
    /// The newest hand-over of a target.
    pub(crate) fn newest(&self, target_id: &str) -> Option<publisher::Delivery> {
        self.delivered.iter().filter(|d| d.target_id == target_id).max_by_key(|d| d.revision).cloned()
    }

    /// Loses the answer of a target, and tells.
    pub(crate) fn doubt(&mut self, target_id: &str) {
        let delivery = self.newest(target_id).expect("it was handed over");
        self.report(&delivery, TargetState::NeedsConfirmation, "", None);
        self.doubts.insert(target_id.to_owned(), Doubt { delivery, settled: None });
    }

    /// Settles a target as its contract says.
    pub(crate) fn settle(&mut self, request: &publisher::ConfirmRequest) -> Result<TargetState, Status> {
        let known = self.newest(&request.target_id).filter(|d| d.workspace_id == request.workspace_id);
        if known.is_none() {
            return Err(Status::not_found("no such target"));
        }
        let refused = || Status::failed_precondition("the target does not wait for a confirmation");
        let doubt = self
            .doubts
            .get_mut(&request.target_id)
            .filter(|doubt| doubt.delivery.revision == request.revision)
            .ok_or_else(refused)?;
        let confirmation = request.confirmation.clone().unwrap_or_default();
        let (state, url) = match confirmation.answer.as_ref() {
            Some(Answer::LiveUrl(url)) => (TargetState::Published, url.clone()),
            Some(Answer::PostAgain(_) | Answer::Drop(_)) => (TargetState::Dropped, String::new()),
            None => return Err(Status::invalid_argument("an answer is required")),
        };
        let delivery = doubt.delivery.clone();
        match &doubt.settled {
            Some(settled) if *settled != confirmation => return Err(refused()),
            Some(_) => {}
            None => {
                doubt.settled = Some(confirmation);
                self.report(&delivery, state, &url, None);
                if state == TargetState::Dropped {
                    self.break_thread(&delivery);
                }
            }
        }
        self.confirmed += 1;
        Ok(state)
    }

    /// Ends what was to follow a target that was not published.
    pub(crate) fn break_thread(&mut self, before: &publisher::Delivery) {
        let Some(place) = &before.thread else { return };
        let mut later: Vec<_> = self
            .delivered
            .iter()
            .filter(|d| {
                d.thread.as_ref().is_some_and(|thread| {
                    thread.root_target_id == place.root_target_id && thread.position > place.position
                })
            })
            .map(|d| d.target_id.clone())
            .collect();
        later.sort();
        later.dedup();
        for target_id in later {
            let delivery = self.newest(&target_id).expect("it was delivered");
            let gone = self.recalled.get(&target_id).is_some_and(|revision| *revision >= delivery.revision);
            if !gone && !self.has_ended(&delivery) {
                let problem = TargetProblem {
                    reason: "THREAD_BROKEN".into(),
                    message: "the part before it was not published".into(),
                };
                self.report(&delivery, TargetState::Failed, "", Some(problem));
            }
        }
    }

    fn has_ended(&self, delivery: &publisher::Delivery) -> bool {
        use TargetState as S;
        self.events.iter().any(|event| {
            event.target_id == delivery.target_id
                && event.revision == delivery.revision
                && matches!(event.state(), S::Published | S::Failed | S::Dropped | S::Missed | S::Cancelled)
        })
    }

    fn report(
        &mut self,
        delivery: &publisher::Delivery,
        state: TargetState,
        url: &str,
        problem: Option<TargetProblem>,
    ) {
        let sequence = self.events.last().map_or(1, |event| event.sequence + 1);
        self.events.push(publisher::DeliveryEvent {
            sequence,
            target_id: delivery.target_id.clone(),
            post_id: delivery.post_id.clone(),
            workspace_id: delivery.workspace_id.clone(),
            account_id: delivery.account_id.clone(),
            network: "mastodon".into(),
            revision: delivery.revision,
            state: state.into(),
            native_id: if state == TargetState::Published { "110".into() } else { String::new() },
            url: url.to_owned(),
            problem,
            event_time: delivery.due_time,
        });
    }
}

//! Hands over what is due: claim a batch, offer it to the publisher, mark the answers, until nothing is left.
//!
//! The claim is committed before the offer leaves, so a cancellation that comes later knows that the publisher may
//! have the target and asks for it back. An offer without an answer is repeated, which the publisher takes for what
//! it is. A batch that cannot be delivered within its lease is dropped here and comes up again in the database.

use std::time::Duration;

use postmesh_proto::publisher::v1::Delivery;
use prost::Message as _;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Room, beside, pause, supervisor};
use crate::{
    deps::PublisherClient,
    domain::{Change, Fact, Problem, TargetState, Verdicts, change::Moment},
    error::Error,
    metrics,
    neighbours::{self, Answer},
    rpc,
    store::{ChangeRequest, Offer},
};

/// Bytes of one Deliver at most, well under the limit of a message.
const MAX_BYTES: usize = 2 * 1024 * 1024;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Lane;

pub(super) enum Msg {
    /// Something is due.
    Work,
    /// The run has ended; false when it died.
    Done(bool),
}

pub(super) struct State {
    room: Room,
    supervisor: ActorRef<supervisor::Msg>,
    running: bool,
    again: bool,
}

impl Actor for Lane {
    type Msg = Msg;
    type State = State;
    type Arguments = (Room, ActorRef<supervisor::Msg>);

    async fn pre_start(
        &self,
        _: ActorRef<Msg>,
        (room, supervisor): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { room, supervisor, running: false, again: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Work if state.running => state.again = true,
            Msg::Work => state.run(&myself),
            Msg::Done(false) => return Err("a hand-over died".into()),
            Msg::Done(true) => {
                state.running = false;
                if std::mem::take(&mut state.again) {
                    state.run(&myself);
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn run(&mut self, myself: &ActorRef<Msg>) {
        self.running = true;
        let (room, supervisor) = (self.room.clone(), self.supervisor.clone());
        beside(&self.room.deps.lifecycle, myself, Msg::Done(false), async move {
            if let Err(error) = run(&room).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a hand-over did not finish");
                // The clock learns the new moments of what was claimed.
                let _ = supervisor.cast(supervisor::Msg::Look);
            }
            Msg::Done(true)
        });
    }
}

async fn run(room: &Room) -> Result<(), Error> {
    while !room.stopping() {
        let now = room.now();
        let lease = Duration::from_millis(room.config.offer_lease_ms as u64);
        let until = Instant::now() + lease;
        let claimed = room
            .store
            .claim_due(
                now,
                now + room.config.offer_lease_ms,
                now - room.config.max_lateness_ms,
                room.config.batch,
            )
            .await?;
        for (workspace_id, post_id) in &claimed.unsettled {
            settle(room, *workspace_id, *post_id).await?;
        }
        hand_over(room, &claimed.offers, until).await?;
        if claimed.taken < room.config.batch {
            break;
        }
    }
    Ok(())
}

/// Offers a batch, in messages of a bounded size.
async fn hand_over(room: &Room, offers: &[Offer], until: Instant) -> Result<(), Error> {
    let mut parts: Vec<Vec<(&Offer, Delivery)>> = Vec::new();
    let mut bytes = 0;
    for offer in offers {
        let delivery = neighbours::delivery(offer, room.config.max_lateness_ms)?;
        let size = delivery.encoded_len();
        if parts.is_empty() || bytes + size > MAX_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        parts.last_mut().expect("a part was pushed before the first offer").push((offer, delivery));
    }
    // A stack, so that a part the publisher cannot take as a whole is halved until the one it minds is found.
    parts.reverse();
    while let Some(part) = parts.pop() {
        let deliveries: Vec<_> = part.iter().map(|(_, delivery)| delivery.clone()).collect();
        match deliver(room, deliveries, until).await {
            Ok(answers) => mark(room, part.iter().map(|(offer, _)| *offer).zip(answers)).await?,
            Err(Error::Neighbour { cause, .. }) if part.len() > 1 => {
                tracing::warn!(targets = part.len(), code = ?cause.code(), "a batch was refused; halving it");
                let mut first = part;
                let second = first.split_off(first.len() / 2);
                parts.push(second);
                parts.push(first);
            }
            Err(Error::Neighbour { cause, .. }) if cause.code() == tonic::Code::InvalidArgument => {
                let problem = Problem::new(
                    "NOT_DELIVERABLE",
                    "the publisher cannot take this post as it is; write it anew and report this if it stays",
                );
                mark(room, part.iter().map(|(offer, _)| (*offer, Answer::Refused(problem.clone())))).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Delivers, and repeats while the publisher is away and the lease holds.
async fn deliver(room: &Room, deliveries: Vec<Delivery>, until: Instant) -> Result<Vec<Answer>, Error> {
    let mut client: PublisherClient = room.deps.publisher.clone();
    let mut failures = 0;
    loop {
        match neighbours::deliver(&mut client, deliveries.clone()).await {
            Err(Error::Away { service, cause }) => {
                ::metrics::counter!(metrics::HAND_OVER_FAILURES).increment(1);
                let wait = pause(failures, LONGEST_PAUSE);
                failures += 1;
                if Instant::now() + wait >= until || room.stopping() {
                    return Err(Error::Away { service, cause });
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = room.deps.lifecycle.stopping() => return Err(Error::Stopping),
                }
            }
            answered => return answered,
        }
    }
}

/// Stores what the publisher answered.
async fn mark<'a>(room: &Room, answers: impl Iterator<Item = (&'a Offer, Answer)>) -> Result<(), Error> {
    let now = room.now();
    let mut facts = Vec::new();
    let mut void = Vec::new();
    for (offer, answer) in answers {
        let (state, problem, outcome) = match answer {
            Answer::Accepted => (TargetState::HandedOver, None, "accepted"),
            Answer::Refused(problem) => (TargetState::Failed, Some(problem), "refused"),
            Answer::Superseded => {
                ::metrics::counter!(metrics::HANDED_OVER, "outcome" => "superseded").increment(1);
                void.push(offer);
                continue;
            }
        };
        ::metrics::counter!(metrics::HANDED_OVER, "outcome" => outcome).increment(1);
        let late = now - (offer.due_at - room.config.prep_lead_ms);
        ::metrics::histogram!(metrics::HAND_OVER_LATENESS).record(late.max(0) as f64 / 1000.0);
        facts.push(Fact {
            target_id: offer.target_id,
            revision: offer.revision,
            state,
            native_id: String::new(),
            url: String::new(),
            problem,
            at: now,
        });
    }
    let learnt = room.store.learn(facts, now).await?;
    room.feed.wake(learnt.workspaces);
    for offer in void {
        tracing::warn!(post.id = %offer.post_id, target.id = %offer.target_id, offer.revision, "the publisher holds the revision to be void");
        let change = Change::Revive { target_id: offer.target_id, revision: offer.revision };
        change_quietly(room, offer.workspace_id, offer.post_id, change).await?;
    }
    Ok(())
}

/// Finishes recalls of a post whose outcome was never stored.
async fn settle(room: &Room, workspace_id: Uuid, post_id: Uuid) -> Result<(), Error> {
    change_quietly(room, workspace_id, post_id, Change::Settle).await
}

/// Carries out a change that no user asked for.
async fn change_quietly(room: &Room, workspace_id: Uuid, post_id: Uuid, change: Change) -> Result<(), Error> {
    let request = ChangeRequest {
        workspace_id,
        post_id,
        etag: None,
        change,
        verdicts: Verdicts::new(),
        repeat: None,
        encode: |_| Vec::new(),
        moment: Moment { now: room.now(), lead_ms: room.config.prep_lead_ms },
    };
    match rpc::carry_out(&room.store, &room.deps.publisher, request).await {
        Ok(_) => {
            room.feed.wake([workspace_id]);
            Ok(())
        }
        // Deleted meanwhile.
        Err(Error::PostNotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

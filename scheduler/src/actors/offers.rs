//! One batch on its way to the publisher: offer it, mark the answers, settle what was left open.
//!
//! An offer without an answer is repeated, which the publisher takes for what it is. A target that the publisher fails
//! on is retried with each lease until it is too late for it, and is then missed, with the publisher's word for it.

use std::time::Duration;

use postmesh_proto::publisher::v1::Delivery;
use prost::Message as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Room, pause};
use crate::{
    deps::PublisherClient,
    domain::{Change, Fact, Problem, RecallIntent, TargetState, Verdicts, change::Moment},
    error::Error,
    metrics,
    neighbours::{self, Answer},
    rpc,
    store::{ChangeRequest, Offer},
};

/// Bytes of one Deliver at most, well under the limit of a message.
const MAX_BYTES: usize = 2 * 1024 * 1024;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Offers a batch, in messages of a bounded size. What the publisher fails on is put aside and holds nothing else up.
pub(super) async fn hand_over(room: &Room, offers: &[Offer], until: Instant) -> Result<(), Error> {
    let mut parts: Vec<Vec<(&Offer, Delivery)>> = Vec::new();
    let mut bytes = 0;
    for offer in offers {
        let delivery = match neighbours::delivery(offer, room.config.max_lateness_ms) {
            Ok(delivery) => delivery,
            Err(error) => {
                put_aside(room, offer, &error).await?;
                continue;
            }
        };
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
            Err(error @ Error::Neighbour { .. }) => {
                for (offer, _) in &part {
                    put_aside(room, offer, &error).await?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Leaves a target that the publisher fails on to the next lease. Past its lateness it is asked back, so that it is
/// certain that nothing was sent, and is missed.
async fn put_aside(room: &Room, offer: &Offer, error: &Error) -> Result<(), Error> {
    let is_late = room.now() >= offer.due_at + room.config.max_lateness_ms;
    ::metrics::counter!(metrics::POISONED).increment(1);
    tracing::error!(
        error = error as &dyn std::error::Error,
        post.id = %offer.post_id,
        target.id = %offer.target_id,
        offer.revision,
        is_late,
        "the publisher fails on this target"
    );
    if !is_late {
        return Ok(());
    }
    let targets = vec![(offer.target_id, offer.revision)];
    change_quietly(
        room,
        offer.workspace_id,
        offer.post_id,
        Change::GiveUp { targets, why: RecallIntent::Miss },
    )
    .await
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
    let (mut void, mut refused) = (Vec::new(), Vec::new());
    for (offer, answer) in answers {
        let (state, problem, outcome) = match answer {
            Answer::Accepted => (TargetState::HandedOver, None, "accepted"),
            Answer::Refused(problem) => {
                refused.extend(offer.thread.is_some().then_some(offer));
                (TargetState::Failed, Some(problem), "refused")
            }
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
    for offer in refused {
        break_thread(room, offer).await?;
    }
    for offer in void {
        tracing::warn!(post.id = %offer.post_id, target.id = %offer.target_id, offer.revision, "the publisher holds the revision to be void");
        let change = Change::Revive { target_id: offer.target_id, revision: offer.revision };
        change_quietly(room, offer.workspace_id, offer.post_id, change).await?;
    }
    Ok(())
}

/// Gives up what was to follow a refused target: the publisher has never seen it, so only we know.
async fn break_thread(room: &Room, offer: &Offer) -> Result<(), Error> {
    let Some(post) = room.store.post(offer.workspace_id, offer.post_id).await? else { return Ok(()) };
    let position = offer.thread.map_or(0, |place| place.position);
    let targets: Vec<_> = post
        .targets
        .iter()
        .filter(|target| target.account_id == offer.account_id && target.thread_position > position)
        .map(|target| (target.id, target.revision))
        .collect();
    let change = Change::GiveUp { targets, why: RecallIntent::Break };
    change_quietly(room, offer.workspace_id, offer.post_id, change).await
}

/// Finishes recalls of a post whose outcome was never stored.
pub(super) async fn settle(room: &Room, workspace_id: Uuid, post_id: Uuid) -> Result<(), Error> {
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
        // It is asked again when its turn comes; others go on.
        Err(error @ (Error::Neighbour { .. } | Error::Contended(_))) => {
            tracing::error!(error = &error as &dyn std::error::Error, post.id = %post_id, "a recall did not finish");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

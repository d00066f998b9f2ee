//! Calls to the publisher and the media library, in the scheduler's own words. Their errors become
//! [`Error::Away`] (ask again) or [`Error::Neighbour`] (out of contract).

use std::collections::HashMap;

use postmesh_kit::time;
use postmesh_proto::{media::v1 as media, publisher::v1 as publisher, publisher::v1::NetworkSettings};
use prost::Message;
use tonic::Status;
use uuid::Uuid;

use crate::{
    deps::{MediaClient, PublisherClient},
    domain::{Fact, Media, Problem, TargetState, Verdict, Verdicts},
    error::Error,
    rpc::convert,
    store::Offer,
};

const PUBLISHER: &str = "publisher";
const MEDIA: &str = "media";
/// Items of one Recall at most, by its contract.
const MAX_RECALL: usize = 500;

/// What the publisher answered to one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It owns the target now.
    Accepted,
    /// It holds the revision to be void.
    Superseded,
    /// It cannot take it.
    Refused(Problem),
}

/// Content as the publisher takes it.
pub fn content(text: &str, media: &[Media], settings: &[u8]) -> Result<publisher::Content, Error> {
    let settings = if settings.is_empty() {
        None
    } else {
        Some(NetworkSettings::decode(settings).map_err(|_| Error::Corrupt("targets.settings"))?)
    };
    let media = media
        .iter()
        .map(|item| publisher::ContentMedia {
            media_id: item.id.to_string(),
            content_type: item.content_type.clone(),
            size_bytes: item.size_bytes,
            width: item.width,
            height: item.height,
            alt_text: item.alt_text.clone(),
        })
        .collect();
    Ok(publisher::Content { text: text.to_owned(), media, settings })
}

/// The message for one offer.
pub fn delivery(offer: &Offer, max_lateness_ms: i64) -> Result<publisher::Delivery, Error> {
    Ok(publisher::Delivery {
        target_id: offer.target_id.to_string(),
        post_id: offer.post_id.to_string(),
        workspace_id: offer.workspace_id.to_string(),
        account_id: offer.account_id.to_string(),
        revision: offer.revision,
        due_time: Some(time::to_proto(offer.due_at)),
        max_lateness: Some(time::duration_to_proto(max_lateness_ms)),
        content: Some(content(&offer.text, &offer.media, &offer.settings)?),
        thread: None,
    })
}

/// Hands deliveries over; one answer for each, in order.
pub async fn deliver(
    client: &mut PublisherClient,
    deliveries: Vec<publisher::Delivery>,
) -> Result<Vec<Answer>, Error> {
    let asked = deliveries.len();
    let results = client
        .deliver(publisher::DeliverRequest { deliveries })
        .await
        .map_err(|status| Error::from_neighbour(PUBLISHER, status))?
        .into_inner()
        .results;
    if results.len() != asked {
        return Err(out_of_contract(format!("{asked} deliveries got {} answers", results.len())));
    }
    results
        .into_iter()
        .map(|result| match result.outcome() {
            publisher::DeliverOutcome::Accepted => Ok(Answer::Accepted),
            publisher::DeliverOutcome::Superseded => Ok(Answer::Superseded),
            publisher::DeliverOutcome::Refused => Ok(Answer::Refused(result.problem.map_or_else(
                || Problem::new("REFUSED", "the publisher could not take it"),
                convert::problem,
            ))),
            publisher::DeliverOutcome::Unspecified => {
                Err(out_of_contract("an answer without an outcome".to_owned()))
            }
        })
        .collect()
}

/// Asks for targets back.
pub async fn recall(
    client: &mut PublisherClient,
    workspace_id: Uuid,
    items: &[(Uuid, i64)],
) -> Result<Verdicts, Error> {
    let mut verdicts = Verdicts::new();
    for chunk in items.chunks(MAX_RECALL) {
        let request = publisher::RecallRequest {
            workspace_id: workspace_id.to_string(),
            items: chunk
                .iter()
                .map(|(id, revision)| publisher::RecallItem {
                    target_id: id.to_string(),
                    revision: *revision,
                })
                .collect(),
        };
        let results = client
            .recall(request)
            .await
            .map_err(|status| Error::from_neighbour(PUBLISHER, status))?
            .into_inner()
            .results;
        if results.len() != chunk.len() {
            return Err(out_of_contract(format!("{} recalls got {} answers", chunk.len(), results.len())));
        }
        for (key, result) in chunk.iter().zip(results) {
            let verdict = match result.outcome() {
                publisher::RecallOutcome::Recalled => Verdict::Recalled,
                publisher::RecallOutcome::TooLate => Verdict::TooLate,
                publisher::RecallOutcome::Unspecified => {
                    return Err(out_of_contract("a recall without an outcome".to_owned()));
                }
            };
            verdicts.insert(*key, verdict);
        }
    }
    Ok(verdicts)
}

/// Checks contents against the limits of their accounts; one result for each, in order.
pub async fn validate(
    client: &mut PublisherClient,
    workspace_id: Uuid,
    items: Vec<publisher::ValidateItem>,
) -> Result<Vec<publisher::ValidateResult>, Error> {
    let asked = items.len();
    let request = publisher::ValidateRequest { workspace_id: workspace_id.to_string(), items };
    let results = client
        .validate(request)
        .await
        .map_err(|status| Error::from_neighbour(PUBLISHER, status))?
        .into_inner()
        .results;
    if results.len() == asked {
        Ok(results)
    } else {
        Err(out_of_contract(format!("{asked} contents got {} results", results.len())))
    }
}

/// Opens the stream of what becomes of deliveries, after a sequence number.
pub async fn tail(
    client: &mut PublisherClient,
    after_sequence: i64,
) -> Result<tonic::Streaming<publisher::TailEventsResponse>, Error> {
    let answer = client.tail_events(publisher::TailEventsRequest { after_sequence }).await;
    Ok(answer.map_err(|status| Error::from_neighbour(PUBLISHER, status))?.into_inner())
}

/// An event as a fact with its sequence; `None` for one about something that is not ours to know.
pub fn fact(event: publisher::DeliveryEvent) -> Option<(i64, Fact)> {
    let state = convert::target_state(event.state())?;
    if matches!(state, TargetState::Draft | TargetState::Scheduled) {
        return None;
    }
    let fact = Fact {
        target_id: Uuid::try_parse(&event.target_id).ok()?,
        revision: event.revision,
        state,
        native_id: convert::clean(event.native_id),
        url: convert::clean(event.url),
        problem: event.problem.map(convert::problem),
        at: event.event_time.as_ref().and_then(time::from_proto).unwrap_or_default(),
    };
    Some((event.sequence, fact))
}

/// The media items of a workspace that exist, by id.
pub async fn media_items(
    client: &mut MediaClient,
    workspace_id: Uuid,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, media::Media>, Error> {
    let request = media::BatchGetMediaRequest {
        workspace_id: workspace_id.to_string(),
        media_ids: ids.iter().map(Uuid::to_string).collect(),
    };
    let found = client
        .batch_get_media(request)
        .await
        .map_err(|status| Error::from_neighbour(MEDIA, status))?
        .into_inner()
        .media;
    Ok(found.into_iter().filter_map(|item| Some((Uuid::try_parse(&item.id).ok()?, item))).collect())
}

/// Says which media a post needs now.
pub async fn replace_holds(
    client: &mut MediaClient,
    workspace_id: Uuid,
    post_id: Uuid,
    ids: &[Uuid],
) -> Result<(), Error> {
    let request = media::ReplaceHoldsRequest {
        workspace_id: workspace_id.to_string(),
        owner_id: post_id.to_string(),
        media_ids: ids.iter().map(Uuid::to_string).collect(),
    };
    client.replace_holds(request).await.map_err(|status| Error::from_neighbour(MEDIA, status))?;
    Ok(())
}

fn out_of_contract(what: String) -> Error {
    Error::Neighbour { service: PUBLISHER, cause: Box::new(Status::internal(what)) }
}

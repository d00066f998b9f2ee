//! Calls to the publisher and the media library, in the scheduler's own words. Their errors become
//! [`Error::Away`] (ask again) or [`Error::Neighbour`] (out of contract).

use std::collections::HashMap;

use postmesh_kit::{status::FieldViolation, time};
use postmesh_proto::{
    common::v1 as common, media::v1 as media, publisher::v1 as publisher, publisher::v1::NetworkSettings,
};
use prost::Message;
use tonic::{Code, Status};
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
/// Items of one Validate at most, by its contract, and their bytes, well under the limit of a message.
const MAX_VALIDATE: usize = 100;
const MAX_VALIDATE_BYTES: usize = 2 * 1024 * 1024;
/// Accounts of one CheckAccounts at most, by its contract.
const MAX_CHECK: usize = 100;

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
            duration_ms: item.duration_ms,
        })
        .collect();
    Ok(publisher::Content { text: text.to_owned(), media, settings })
}

/// A media item that settings name, as the publisher checks it.
pub fn described(item: &media::Media) -> publisher::ContentMedia {
    publisher::ContentMedia {
        media_id: item.id.clone(),
        content_type: item.content_type.clone(),
        size_bytes: item.size_bytes,
        width: item.width,
        height: item.height,
        alt_text: item.alt_text.clone(),
        duration_ms: item.duration.as_ref().map_or(0, time::duration_from_proto),
    }
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
        thread: offer.thread.map(|place| publisher::ThreadPlace {
            root_target_id: place.root.to_string(),
            previous_target_id: place.previous.map(|id| id.to_string()).unwrap_or_default(),
            position: place.position,
        }),
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
    let mut results = Vec::with_capacity(items.len());
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while let Some(item) =
            items.next_if(|item| chunk.is_empty() || bytes + item.encoded_len() <= MAX_VALIDATE_BYTES)
        {
            bytes += item.encoded_len();
            chunk.push(item);
            if chunk.len() == MAX_VALIDATE {
                break;
            }
        }
        let asked = chunk.len();
        let request = publisher::ValidateRequest { workspace_id: workspace_id.to_string(), items: chunk };
        let answer =
            client.validate(request).await.map_err(|status| Error::from_neighbour(PUBLISHER, status))?;
        let answered = answer.into_inner().results;
        if answered.len() != asked {
            return Err(out_of_contract(format!("{asked} contents got {} results", answered.len())));
        }
        results.extend(answered);
    }
    Ok(results)
}

/// Settles a target with a user's answer; where it is now. What the publisher refuses is refused with its words.
pub async fn confirm(
    client: &mut PublisherClient,
    workspace_id: Uuid,
    target_id: Uuid,
    revision: i64,
    confirmation: common::TargetConfirmation,
) -> Result<TargetState, Error> {
    let request = publisher::ConfirmRequest {
        workspace_id: workspace_id.to_string(),
        target_id: target_id.to_string(),
        revision,
        confirmation: Some(confirmation),
    };
    let answer = client.confirm(request).await.map_err(|status| match status.code() {
        Code::FailedPrecondition => Error::NotConfirmable(target_id, status.message().to_owned()),
        Code::NotFound => Error::NotConfirmable(target_id, NEVER_SENT.to_owned()),
        Code::InvalidArgument => Error::invalid(FieldViolation::new(
            "confirmation",
            "REFUSED",
            format!("cannot be taken: {}", status.message()),
        )),
        _ => Error::from_neighbour(PUBLISHER, status),
    })?;
    convert::target_state(answer.into_inner().state())
        .ok_or_else(|| out_of_contract("a confirmation without a state".to_owned()))
}

/// What the answer is when the publisher has never seen the target.
pub const NEVER_SENT: &str = "the target has not been sent, so there is nothing to confirm";

/// A page of the steps of a target; empty for one the publisher has never seen.
pub async fn steps(
    client: &mut PublisherClient,
    request: publisher::ListStepsRequest,
) -> Result<publisher::ListStepsResponse, Error> {
    match client.list_steps(request).await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) if status.code() == Code::NotFound => Ok(publisher::ListStepsResponse::default()),
        Err(status) if status.code() == Code::InvalidArgument => Err(Error::invalid(FieldViolation::new(
            "page_token",
            "NOT_A_TOKEN",
            "is not from a page of this list; begin again without it",
        ))),
        Err(status) => Err(Error::from_neighbour(PUBLISHER, status)),
    }
}

/// Why accounts of a workspace could not publish until then, in their order; `None` for those that could.
pub async fn check_accounts(
    client: &mut PublisherClient,
    workspace_id: Uuid,
    accounts: &[Uuid],
    until: i64,
) -> Result<Vec<Option<Problem>>, Error> {
    let mut found = Vec::with_capacity(accounts.len());
    for chunk in accounts.chunks(MAX_CHECK) {
        let request = publisher::CheckAccountsRequest {
            workspace_id: workspace_id.to_string(),
            account_ids: chunk.iter().map(Uuid::to_string).collect(),
            until: Some(time::to_proto(until)),
        };
        let answer = client
            .check_accounts(request)
            .await
            .map_err(|status| Error::from_neighbour(PUBLISHER, status))?;
        let checks = answer.into_inner().checks;
        if checks.len() != chunk.len() {
            return Err(out_of_contract(format!("{} accounts got {} checks", chunk.len(), checks.len())));
        }
        found.extend(checks.into_iter().map(|check| check.problem.map(convert::problem)));
    }
    Ok(found)
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

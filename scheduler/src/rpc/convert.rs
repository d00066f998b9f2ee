//! The contract and the domain, both ways.

use postmesh_kit::{status::FieldViolation, time};
use postmesh_proto::{common::v1 as common, publisher::v1::NetworkSettings, scheduler::v1 as proto};
use prost::Message;

use crate::domain::{
    Media, Part, Post, PostState, Problem, Target, TargetState,
    input::{RawMedia, RawPart, RawTarget},
};

/// A post as the contract shows it. Settings that cannot be read are left out.
pub fn post(post: &Post) -> proto::Post {
    proto::Post {
        id: post.id.to_string(),
        text: post.text.clone(),
        media: media(&post.media),
        targets: post.targets.iter().map(target).collect(),
        state: post_state(post.state()).into(),
        schedule_time: post.due_at.map(time::to_proto),
        create_time: Some(time::to_proto(post.created_at)),
        update_time: Some(time::to_proto(post.updated_at)),
        etag: post.etag(),
        thread: post.thread.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> proto::ThreadPart {
    proto::ThreadPart { text: part.text.clone(), media: media(&part.media) }
}

fn media(media: &[Media]) -> Vec<proto::PostMedia> {
    let item =
        |item: &Media| proto::PostMedia { media_id: item.id.to_string(), alt_text: item.alt_text.clone() };
    media.iter().map(item).collect()
}

fn target(target: &Target) -> proto::Target {
    proto::Target {
        id: target.id.to_string(),
        account_id: target.account_id.to_string(),
        network: target.network.clone(),
        handle: target.handle.clone(),
        text: target.text.clone(),
        settings: settings(&target.settings),
        state: contract_state(target.state).into(),
        native_id: target.native_id.clone(),
        url: target.url.clone(),
        problem: target
            .problem
            .as_ref()
            .map(|p| common::TargetProblem { reason: p.reason.clone(), message: p.message.clone() }),
        revision: target.revision,
        publish_time: target.published_at.map(time::to_proto),
        thread_position: target.thread_position,
    }
}

fn settings(encoded: &[u8]) -> Option<NetworkSettings> {
    if encoded.is_empty() { None } else { NetworkSettings::decode(encoded).ok() }
}

fn post_state(state: PostState) -> proto::PostState {
    match state {
        PostState::Draft => proto::PostState::Draft,
        PostState::Scheduled => proto::PostState::Scheduled,
        PostState::Publishing => proto::PostState::Publishing,
        PostState::Published => proto::PostState::Published,
        PostState::PartlyPublished => proto::PostState::PartlyPublished,
        PostState::Failed => proto::PostState::Failed,
        PostState::Cancelled => proto::PostState::Cancelled,
        PostState::NeedsAttention => proto::PostState::NeedsAttention,
    }
}

fn contract_state(state: TargetState) -> common::TargetState {
    use common::TargetState as C;
    match state {
        TargetState::Draft => C::Draft,
        TargetState::Scheduled => C::Scheduled,
        TargetState::HandedOver => C::HandedOver,
        TargetState::Preparing => C::Preparing,
        TargetState::Prepared => C::Prepared,
        TargetState::Sending => C::Sending,
        TargetState::Processing => C::Processing,
        TargetState::RetryWait => C::RetryWait,
        TargetState::Unknown => C::Unknown,
        TargetState::Parked => C::Parked,
        TargetState::Published => C::Published,
        TargetState::InInbox => C::InInbox,
        TargetState::Failed => C::Failed,
        TargetState::Cancelled => C::Cancelled,
        TargetState::Missed => C::Missed,
        TargetState::NeedsConfirmation => C::NeedsConfirmation,
        TargetState::Dropped => C::Dropped,
    }
}

/// The state behind the contract's word; `None` for unspecified.
pub fn target_state(state: common::TargetState) -> Option<TargetState> {
    TargetState::ALL.into_iter().find(|ours| contract_state(*ours) == state)
}

/// A problem another service tells.
pub fn problem(problem: common::TargetProblem) -> Problem {
    Problem { reason: clean(problem.reason), message: clean(problem.message) }
}

/// Text from outside without NUL, which PostgreSQL cannot hold.
pub fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

/// Media as a request names them.
pub fn raw_media(media: Vec<proto::PostMedia>) -> Vec<RawMedia> {
    media.into_iter().map(|item| RawMedia { media_id: item.media_id, alt_text: item.alt_text }).collect()
}

/// Further parts as a request holds them.
pub fn raw_thread(thread: Vec<proto::ThreadPart>) -> Vec<RawPart> {
    thread.into_iter().map(|part| RawPart { text: part.text, media: raw_media(part.media) }).collect()
}

/// Targets as a request names them.
pub fn raw_targets(targets: Vec<proto::TargetInput>) -> Vec<RawTarget> {
    targets
        .into_iter()
        .map(|target| RawTarget {
            account_id: target.account_id,
            text: target.text,
            settings: target.settings.map(|settings| settings.encode_to_vec()).unwrap_or_default(),
        })
        .collect()
}

/// The time of a request in milliseconds, or that it is none.
pub fn schedule_time(timestamp: prost_types::Timestamp) -> Result<i64, FieldViolation> {
    time::from_proto(&timestamp).ok_or_else(|| {
        FieldViolation::new("schedule_time", "NOT_A_TIME", "is not a time between the years 1 and 9999")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_word_in_the_contract() {
        for state in TargetState::ALL {
            assert_eq!(target_state(contract_state(state)), Some(state));
        }
        assert_eq!(target_state(common::TargetState::Unspecified), None);
    }
}

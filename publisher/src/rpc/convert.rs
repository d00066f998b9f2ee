//! Between the contract's messages and the domain's values.

use postmesh_kit::{
    status::Violations,
    {ids, time},
};
use postmesh_proto::{
    common::v1::{TargetEvent, TargetEventKind, TargetProblem, TargetState},
    publisher::v1 as proto,
};
use uuid::Uuid;

use crate::{
    domain::{
        content::{Content, Media},
        state::State,
        step::Problem,
    },
    store::{EventRow, StepRow},
};

/// The contract's word for a state.
pub(super) fn state(state: State) -> TargetState {
    match state {
        State::HandedOver => TargetState::HandedOver,
        State::Preparing => TargetState::Preparing,
        State::Prepared => TargetState::Prepared,
        State::Sending => TargetState::Sending,
        State::Processing => TargetState::Processing,
        State::RetryWait => TargetState::RetryWait,
        State::Unknown => TargetState::Unknown,
        State::Parked => TargetState::Parked,
        State::Published => TargetState::Published,
        State::InInbox => TargetState::InInbox,
        State::Failed => TargetState::Failed,
        State::Cancelled => TargetState::Cancelled,
        State::Missed => TargetState::Missed,
        State::NeedsConfirmation => TargetState::NeedsConfirmation,
        State::Dropped => TargetState::Dropped,
    }
}

/// The contract's form of a problem.
pub(super) fn problem(problem: Problem) -> TargetProblem {
    TargetProblem { reason: problem.code, message: problem.message }
}

/// The contract's form of a step.
pub(super) fn step(row: StepRow) -> TargetEvent {
    let kind = match row.kind.as_str() {
        "armed" => TargetEventKind::Armed,
        "closed" => TargetEventKind::Closed,
        "looked" => TargetEventKind::Looked,
        "confirmed" => TargetEventKind::Confirmed,
        _ => TargetEventKind::Moved,
    };
    // The state of a closed attempt is the word of its outcome.
    let detail = match (kind, row.detail) {
        (TargetEventKind::Closed, Some(detail)) => format!("{}: {detail}", row.state),
        (TargetEventKind::Closed, None) => row.state.clone(),
        (_, detail) => detail.unwrap_or_default(),
    };
    TargetEvent {
        event_time: Some(time::to_proto(row.at)),
        kind: kind.into(),
        state: State::parse(&row.state).map_or(TargetState::Unspecified, state).into(),
        revision: row.revision,
        attempt: row.attempt_n,
        replica: row.replica,
        http_status: row.http_status.and_then(|status| i32::try_from(status).ok()).unwrap_or_default(),
        platform_code: row.platform_code.unwrap_or_default(),
        request_id: row.request_id.unwrap_or_default(),
        detail,
    }
}

/// The contract's form of an event.
pub(super) fn event(row: EventRow) -> proto::DeliveryEvent {
    let known = State::parse(&row.state).map_or(TargetState::Unspecified, state);
    proto::DeliveryEvent {
        sequence: row.sequence,
        target_id: row.target_id.to_string(),
        post_id: row.post_id.to_string(),
        workspace_id: row.workspace_id.to_string(),
        account_id: row.account_id.to_string(),
        network: row.network,
        revision: row.revision,
        state: known.into(),
        native_id: row.native_id.unwrap_or_default(),
        url: row.url.unwrap_or_default(),
        problem: row
            .problem_code
            .map(|code| problem(Problem::new(code, row.problem_message.unwrap_or_default()))),
        event_time: Some(time::to_proto(row.happened_at)),
    }
}

/// Reads a content; `field` is where it stands in the request.
pub(super) fn content(violations: &mut Violations, field: &str, content: Option<proto::Content>) -> Content {
    let Some(content) = content else {
        violations.add(field, "REQUIRED", "is required");
        return Content::default();
    };
    let media = media(violations, &format!("{field}.media"), content.media);
    let settings = super::settings::settings(violations, &format!("{field}.settings"), content.settings);
    Content { text: content.text, media, settings }
}

/// Reads a list of media; `field` is where it stands in the request.
pub(super) fn media(violations: &mut Violations, field: &str, media: Vec<proto::ContentMedia>) -> Vec<Media> {
    let item = |(at, item): (usize, proto::ContentMedia)| Media {
        media_id: violations
            .take(ids::parse(&format!("{field}[{at}].media_id"), &item.media_id))
            .unwrap_or(Uuid::nil()),
        content_type: item.content_type,
        size_bytes: item.size_bytes,
        width: item.width,
        height: item.height,
        alt_text: item.alt_text,
        duration_ms: item.duration_ms,
    };
    media.into_iter().enumerate().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = State::ALL.into_iter().map(state).collect();
        assert_eq!(words.len(), State::ALL.len());
    }
}

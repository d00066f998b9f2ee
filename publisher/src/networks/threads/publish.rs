//! Making a post: checks, the one request, and what its answer proves.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::validate::Check,
    Answer, Call, Content, Limits, Outcome, Session, Violation, Work, errors,
    graph::{self, Kept, LATE_MS},
    text_of,
};
use crate::domain::settings::{Settings, ThreadsSettings};

/// Everything the network would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Threads", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Threads(_)));
    let settings = settings(content);
    let topic = settings.topic_tag.as_str();
    if topic.contains(['.', '&', '#']) || topic.chars().count() > 50 {
        let text = format!("`{topic}` is not a topic: at most 50 characters, without `#`, `.` and `&`");
        check.add("settings.threads.topic_tag", "TOPIC", text);
    }
    let link = settings.link_attachment.as_str();
    if !link.is_empty() && !content.media.is_empty() {
        let text = "Threads shows a link card only under a text without media".to_owned();
        check.add("settings.threads.link_attachment", "LINK_WITH_MEDIA", text);
    }
    let is_link = url::Url::parse(link).is_ok_and(|link| matches!(link.scheme(), "http" | "https"));
    if !link.is_empty() && !is_link {
        check.add("settings.threads.link_attachment", "LINK", format!("`{link}` is not an http(s) address"));
    }
    for (i, item) in content.media.iter().enumerate().filter(|(_, item)| !item.is_video()) {
        let (width, height) = (i64::from(item.width), i64::from(item.height));
        if width > 10 * height || height > 10 * width {
            let text = format!("the picture is {width} x {height}, Threads accepts at most 10 to 1");
            check.add(format!("media[{i}]"), "ASPECT_RATIO", text);
        }
    }
    check.into_violations()
}

pub(super) fn settings(content: &Content) -> ThreadsSettings {
    match &content.settings {
        Settings::Threads(settings) => settings.clone(),
        _ => ThreadsSettings::default(),
    }
}

/// What the one request is made from.
pub(super) fn prepared(container: &Kept) -> Bytes {
    object!({ "id": container.id, "made_at": container.made_at }).to_string().into()
}

/// The one visible request: the prepared container and the token.
pub(super) fn request(session: &Session, prepared: &Bytes) -> Call {
    let prepared: Value = serde_json::from_slice(prepared).unwrap_or_default();
    let fields = [("creation_id", text_of(&prepared, "id")), ("access_token", session.access_token.expose())];
    Call::post(&session.server, "/v1.0/me/threads_publish").form(&fields)
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, work: &Work, prepared: &Bytes, now_ms: i64) -> Answer {
    let wire = graph::seen(response, now_ms);
    if response.status().is_success() {
        return Answer { outcome: graph::accepted(response), wire };
    }
    let proof = graph::judge(errors::RULES, response);
    let prepared: Option<Value> = serde_json::from_slice(prepared).ok();
    let is_late = prepared.is_some_and(|prepared| now_ms - Kept::parse(&prepared).made_at > LATE_MS);
    let outcome = if proof.is_some() && graph::code_of(response) == errors::NOT_THERE && is_late {
        let message = "The network no longer knows the prepared post; it is prepared again.";
        let steps = graph::all_steps(work);
        Outcome::Stale { steps, code: "CONTAINER_GONE".into(), message: message.into() }
    } else {
        graph::refused(proof, response, now_ms)
    };
    Answer { outcome, wire }
}

//! Making a message: checks, the one request, and what its answer proves. Files were uploaded beforehand; the visible
//! request then is the one that completes them.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::{count::count, validate::Check},
    Answer, Content, Limits, Session, Violation, Work, channel, connect, errors, files, json, message,
    text_of, wire,
};
use crate::domain::{
    outcome::Outcome,
    settings::{Settings, SlackSettings},
};

/// The method that makes a message visible.
pub(super) const MESSAGE: &str = "chat.postMessage";

/// The method that makes a message with files visible.
pub(super) const FILES: &str = "files.completeUploadExternal";

/// The kind of our metadata. It holds our key, by which a message is found again.
pub(super) const EVENT: &str = "postmesh_post";

/// Everything Slack would refuse or cut.
pub(super) fn validate(limits: &Limits, content: &Content, _position: i64) -> Vec<Violation> {
    let mut check = Check::new("Slack", limits);
    let sent = escaped(content.text.trim());
    check.text(content, count(limits, &sent), sent.len());
    check.media(content);
    check.settings(&content.settings, matches!(content.settings, Settings::Slack(_)));
    check.into_violations()
}

/// Three characters mean something to Slack, also in plain text
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>). So nothing in a text notifies a whole channel.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The body of the message; the same bytes for the same work and handles.
pub(super) fn body(session: &Session, work: &Work, files: &[String]) -> Bytes {
    let text = escaped(work.content.text.trim());
    let thread = work.reply.as_ref().map(|reply| message(&reply.root_native_id).1);
    let mut body = if files.is_empty() {
        let unfurl = !settings(&work.content).unfurl_disabled;
        object!({
            "channel": channel(session),
            "text": text,
            "unfurl_links": unfurl,
            "unfurl_media": unfurl,
            "metadata": { "event_type": EVENT, "event_payload": { "key": work.key } },
        })
    } else {
        let files: Vec<_> = files.iter().map(|id| object!({ "id": id })).collect();
        let mut body = object!({ "channel_id": channel(session), "files": files });
        if !text.is_empty() {
            body["initial_comment"] = object!(text);
        }
        body
    };
    if let Some(thread) = thread {
        body["thread_ts"] = object!(thread);
    }
    body.to_string().into()
}

/// What the answer to it proves. An answer about files names no message: in which one they are, they tell themselves.
pub(super) fn answer(
    session: &Session,
    work: &Work,
    response: &Response<Bytes>,
    resend: bool,
    now_ms: i64,
) -> Answer {
    let body = json(response).unwrap_or_default();
    let status = response.status();
    let error = errors::error(&body);
    let mut seen = wire::seen(response, Some(error).filter(|error| !error.is_empty()), now_ms);
    if status.is_success() && body["ok"] == true {
        let (id, ts) = (text_of(&body, "channel"), text_of(&body, "ts"));
        let file = body.pointer("/files/0/id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let outcome = match file {
            Some(file) if !work.content.media.is_empty() => Outcome::Processing { handle: file.to_owned() },
            _ if id.is_empty() || ts.is_empty() => {
                Outcome::Ambiguous { evidence: format!("Slack answered {status} without a message") }
            }
            _ => accepted(session, id, ts),
        };
        return Answer { outcome, wire: seen };
    }
    let gone = (!resend).then(|| wire::judge(&[errors::FILES_GONE], status, error)).flatten();
    let proof = gone.or_else(|| wire::judge(errors::RULES, status, error));
    if error.starts_with("rate") {
        seen.hold = wire::retry_after(response.headers(), now_ms);
    }
    let steps = || (0..work.content.media.len()).map(files::step).collect();
    Answer { outcome: wire::refused(proof, status, response.headers(), steps, now_ms), wire: seen }
}

/// A message that is there.
pub(super) fn accepted(session: &Session, channel: &str, ts: &str) -> Outcome {
    Outcome::Accepted { native_id: format!("{channel}/{ts}"), url: address(session, channel, ts) }
}

/// Where people find a message: `<workspace>/archives/<channel>/p<ts without its dot>`.
pub(super) fn address(session: &Session, channel: &str, ts: &str) -> String {
    let workspace = connect::workspace(session);
    if workspace.is_empty() {
        return String::new();
    }
    format!("{workspace}/archives/{channel}/p{}", ts.replace('.', ""))
}

/// The id in such an address.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let [.., "archives", channel, ts] = parts.as_slice() else { return None };
    let digits = ts.strip_prefix('p').filter(|ts| ts.bytes().all(|b| b.is_ascii_digit()))?;
    let (seconds, rest) = digits.split_at_checked(digits.len().checked_sub(6)?)?;
    let plain = channel.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && !seconds.is_empty()).then(|| format!("{channel}/{seconds}.{rest}"))
}

fn settings(content: &Content) -> SlackSettings {
    match &content.settings {
        Settings::Slack(settings) => settings.clone(),
        _ => SlackSettings::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_message() {
        for (url, id) in [
            ("https://acme.slack.com/archives/C1/p1503435956000247", Some("C1/1503435956.000247")),
            (
                "http://127.0.0.1:9/slack/archives/C1/p1503435956000247?thread_ts=1.2",
                Some("C1/1503435956.000247"),
            ),
            ("https://acme.slack.com/archives/C1/p123", None),
            ("https://acme.slack.com/archives/C1/1503435956000247", None),
            ("https://acme.slack.com/archives/C1", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
        assert_eq!(escaped("a & <!channel>"), "a &amp; &lt;!channel&gt;");
    }
}

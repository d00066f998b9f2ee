//! Looking back: whether a message whose answer was lost is there, in which message files are, and what became of messages.
//! Changes nothing.

use serde_json::Value;

use super::{
    super::wire, AttemptFacts, Fault, HandleMap, PostMetrics, Session, Slack, Work, channel, files, message,
    publish, text_of,
};
use crate::domain::outcome::{Found, Outcome};

/// Messages asked for at once: the most that apps outside of Slack's Marketplace are given.
const PAGE: &str = "15";

/// Pages read before giving up.
const PAGES: usize = 5;

impl Slack {
    /// The message that carries our key: of the channel, or of the thread where the part belongs.
    pub(super) async fn message_of(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let since = attempt.looked_for_since();
        let oldest = format!("{}.000000", since.div_euclid(1000));
        let thread = work.reply.as_ref().map(|reply| message(&reply.root_native_id).1);
        let name = if thread.is_some() { "conversations.replies" } else { "conversations.history" };
        let mut cursor = String::new();
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let mut fields = vec![
                ("channel", channel(session)),
                ("oldest", oldest.as_str()),
                ("limit", PAGE),
                ("include_all_metadata", "true"),
            ];
            fields.extend(thread.map(|ts| ("ts", ts)));
            fields.extend((!cursor.is_empty()).then_some(("cursor", cursor.as_str())));
            let body = self.ask(session, name, &fields).await?;
            let messages = body.get("messages").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
            let ours = messages.iter().filter(|message| carries(message, &work.key));
            found.extend(ours.map(|message| text_of(message, "ts").to_owned()).filter(|ts| !ts.is_empty()));
            let next = body.pointer("/response_metadata/next_cursor").and_then(Value::as_str);
            let next = next.unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(judged(session, channel(session), &found));
            }
            cursor = next;
        }
        Ok(Found::Unsure { why: "too many messages were written since the attempt".into() })
    }

    /// The message that our files are in, as the first of them tells.
    pub(super) async fn message_with(&self, session: &Session, handles: &HandleMap) -> Result<Found, Fault> {
        let file = handles.get(&files::step(0)).map(|handle| text_of(handle, "id")).unwrap_or_default();
        if file.is_empty() {
            return Ok(Found::Absent);
        }
        match self.shares(session, file).await {
            Ok(found) if found.is_empty() => {
                Ok(Found::Unsure { why: "the files are complete, and not yet shown in a message".into() })
            }
            Ok(found) => Ok(judged(session, channel(session), &found)),
            // Files that were never completed are unknown.
            Err(Fault::Rejected { code, .. }) if code == "FILE_NOT_FOUND" => Ok(Found::Absent),
            Err(fault) => Err(fault),
        }
    }

    /// How far the sharing of files has come.
    pub(super) async fn shared(&self, session: &Session, file: &str) -> Outcome {
        match self.shares(session, file).await {
            Ok(found) => match found.as_slice() {
                [] => Outcome::Processing { handle: file.to_owned() },
                [ts] => publish::accepted(session, channel(session), ts),
                several => {
                    Outcome::Ambiguous { evidence: format!("{} messages hold the file", several.len()) }
                }
            },
            Err(Fault::Transient { code, message, retry_after }) => {
                Outcome::Transient { code, message, retry_after }
            }
            Err(Fault::TokenExpired) => Outcome::TokenExpired,
            Err(Fault::Reconnect { message }) => Outcome::Reconnect { message },
            Err(fault) => Outcome::Ambiguous { evidence: fault.to_string() },
        }
    }

    /// The moments of the messages in our channel that hold a file.
    async fn shares(&self, session: &Session, file: &str) -> Result<Vec<String>, Fault> {
        let body = self.ask(session, "files.info", &[("file", file)]).await?;
        let of = |kind: &str| {
            let path = format!("/file/shares/{kind}/{}", channel(session));
            let shares = body.pointer(&path).and_then(Value::as_array).cloned().unwrap_or_default();
            shares.into_iter().map(|share| text_of(&share, "ts").to_owned()).filter(|ts| !ts.is_empty())
        };
        Ok(of("public").chain(of("private")).collect())
    }

    /// Counts of one message: reactions and replies.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let (channel, ts) = message(native_id);
        let fields = [
            ("channel", channel),
            ("ts", ts),
            ("oldest", ts),
            ("latest", ts),
            ("inclusive", "true"),
            ("limit", "1"),
        ];
        let missing = PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        let body = match self.ask(session, "conversations.replies", &fields).await {
            Ok(body) => body,
            Err(Fault::Rejected { code, .. }) if code == "THREAD_NOT_FOUND" => return Ok(missing),
            Err(fault) => return Err(fault),
        };
        let messages = body.get("messages").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let Some(message) = messages.iter().find(|message| text_of(message, "ts") == ts) else {
            return Ok(missing);
        };
        let reactions = message.get("reactions").and_then(Value::as_array);
        let likes = reactions.into_iter().flatten().filter_map(|reaction| reaction["count"].as_i64()).sum();
        let replies = message.get("reply_count").and_then(Value::as_i64).unwrap_or(0);
        Ok(PostMetrics { found: true, likes, replies, ..missing })
    }
}

/// Whether a message was made by the work of that key.
fn carries(message: &Value, key: &str) -> bool {
    let ours = message.pointer("/metadata/event_type").is_some_and(|kind| kind == publish::EVENT);
    ours && message.pointer("/metadata/event_payload/key").is_some_and(|found| found == key)
}

/// One message is ours, none is absent, several are not guessed between.
fn judged(session: &Session, channel: &str, found: &[String]) -> Found {
    match found {
        [] => Found::Absent,
        [ts] => Found::Live {
            native_id: format!("{channel}/{ts}"),
            url: publish::address(session, channel, ts),
            evidence: format!("the message of {ts} carries this delivery's own mark"),
        },
        several => Found::Unsure { why: format!("{} messages carry this delivery's mark", several.len()) },
    }
}

//! A further part of a thread as a comment below the video. YouTube keeps comments back for review without a word and
//! knows no key for them, so one whose answer was lost and that is not shown stays in doubt: nothing proves that it is not
//! there.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::{server, validate::Check},
    API, Answer, AttemptFacts, Call, Content, Fault, Found, Limits, SITE, Session, Violation, Work, Youtube,
    errors, json, text_of, wire,
};
use crate::domain::{delivery::Reply, outcome::Outcome, settings::Settings};

/// Everything that YouTube would refuse as a comment.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let limits = Limits { text_bytes: 0, media_required: false, images: 0, videos: 0, ..limits.clone() };
    let mut check = Check::new("YouTube", &limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Youtube(_)));
    check.into_violations()
}

/// The body of the request.
pub(super) fn body(video: &str, text: &str) -> Bytes {
    let comment = object!({ "snippet": { "textOriginal": text.trim() } });
    object!({ "snippet": { "videoId": video, "topLevelComment": comment } }).to_string().into()
}

pub(super) fn call(session: &Session, request: Bytes) -> Call {
    let address = server::address(&session.server, "/youtube/v3/commentThreads", &[("part", "snippet")]);
    Call::new(http::Method::POST, address)
        .bearer(session.access_token.expose())
        .body("application/json", request)
}

/// Where people see it.
fn page(session: &Session, video: &str, id: &str) -> String {
    format!("{}/watch?v={video}&lc={id}", server::sibling(&session.server, API, SITE))
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, session: &Session, work: &Work, now_ms: i64) -> Answer {
    let status = response.status();
    let reason = errors::reason(response).unwrap_or_default();
    let wire = wire::seen(response, Some(reason.as_str()).filter(|reason| !reason.is_empty()), now_ms);
    let video = work.reply.as_ref().map(|reply| reply.root_native_id.as_str()).unwrap_or_default();
    let outcome = if status.is_success() {
        let body = json(response).unwrap_or_default();
        let id = text_of(&body, "id");
        if id.is_empty() {
            Outcome::Ambiguous { evidence: format!("YouTube answered {status} without a comment") }
        } else {
            Outcome::Accepted { native_id: id.to_owned(), url: page(session, video, id) }
        }
    } else {
        let proof = wire::judge(errors::RULES, status, &reason);
        let outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms);
        errors::sent_until_tomorrow(outcome, now_ms)
    };
    Answer { outcome, wire }
}

impl Youtube {
    /// The channel's own comment of these words below the video, since shortly before the first attempt.
    pub(super) async fn comments_like(
        &self,
        session: &Session,
        work: &Work,
        reply: &Reply,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let since = attempt.looked_for_since();
        let query = [
            ("part", "snippet"),
            ("videoId", reply.root_native_id.as_str()),
            ("order", "time"),
            ("textFormat", "plainText"),
            ("maxResults", "100"),
        ];
        let body =
            self.ask(session, Call::get(&session.server, "/youtube/v3/commentThreads", &query)).await?;
        let threads = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let own = |thread: &&Value| {
            let at = |path: &str| {
                let comment = thread.pointer("/snippet/topLevelComment/snippet");
                comment.and_then(|comment| comment.pointer(path)).and_then(Value::as_str).unwrap_or_default()
            };
            let published =
                at("/publishedAt").parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
            at("/authorChannelId/value") == session.native_id
                && published.is_ok_and(|published| published >= since)
                && squeezed(at("/textOriginal")) == squeezed(&work.content.text)
        };
        let ids: Vec<_> = threads.iter().filter(own).map(|thread| text_of(thread, "id")).collect();
        let ids: Vec<_> =
            ids.into_iter().filter(|id| !attempt.taken_native_ids.iter().any(|taken| taken == id)).collect();
        Ok(match ids.as_slice() {
            [one] => Found::Live {
                native_id: (*one).to_owned(),
                url: page(session, &reply.root_native_id, one),
                evidence: "the comments of the video hold it".to_owned(),
            },
            // It may be held back.
            [] => Found::Unseen,
            several => Found::Unsure { why: format!("{} comments match", several.len()) },
        })
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

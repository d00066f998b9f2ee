//! Looking back: whether a post whose answer was lost, or which had no id yet, is in the account's own listing, and what
//! became of posts. Changes nothing.

use serde_json::Value;

use super::{
    AttemptFacts, Call, Fault, PostMetrics, Reddit, SERVER, SITE, Session, Work, name,
    publish::{Kind, settings, subreddit, title_and_text},
    server, text_of, wire,
};
use crate::domain::outcome::{Found, Outcome};

/// Posts that one call counts.
pub(super) const AT_ONCE: usize = 100;

/// Posts asked for at once, and pages read before giving up.
const PAGE: &str = "25";
const PAGES: usize = 5;

/// How long posts with media may take to appear, milliseconds.
const LATE: i64 = 600_000;

/// How far before its acceptance, by our clock, a post may be dated, milliseconds.
const BEFORE: i64 = 60_000;

/// One of the account's posts that fits a work.
struct Seen {
    name: String,
    url: String,
}

impl Reddit {
    /// What the account's listing tells of a work.
    pub(super) async fn found(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let mut seen = self.matching(session, work, attempt.looked_for_since()).await?;
        seen.retain(|seen| !attempt.taken_native_ids.contains(&seen.name));
        let is_early = self.clock.now_ms() - attempt.armed_at < LATE;
        Ok(match seen.as_slice() {
            [] if Kind::of(work).is_late() && is_early => {
                Found::Unsure { why: "posts with media may appear minutes later".into() }
            }
            [] => Found::Absent,
            [one] => Found::Live {
                native_id: one.name.clone(),
                url: one.url.clone(),
                evidence: format!("the account's own listing holds it as {}", one.name),
            },
            several => Found::Unsure { why: format!("{} posts of the account match", several.len()) },
        })
    }

    /// Whether a post that was accepted without an id is there; `since` is when it was accepted.
    pub(super) async fn appeared(&self, session: &Session, work: &Work, since: &str) -> Outcome {
        let moment = since.parse::<i64>().unwrap_or(work.due_at);
        match self.matching(session, work, moment - BEFORE).await {
            Ok(seen) => match seen.as_slice() {
                [] => Outcome::Processing { handle: since.to_owned() },
                [one] => Outcome::Accepted { native_id: one.name.clone(), url: one.url.clone() },
                several => Outcome::Ambiguous { evidence: format!("{} posts match", several.len()) },
            },
            Err(Fault::Transient { code, message, retry_after }) => {
                Outcome::Transient { code, message, retry_after }
            }
            Err(Fault::TokenExpired) => Outcome::TokenExpired,
            Err(Fault::Reconnect { message }) => Outcome::Reconnect { message },
            Err(fault) => Outcome::Ambiguous { evidence: fault.to_string() },
        }
    }

    /// The account's own posts since a moment that fit a work.
    async fn matching(&self, session: &Session, work: &Work, since: i64) -> Result<Vec<Seen>, Fault> {
        let listing = if work.reply.is_some() { "comments" } else { "submitted" };
        let path = format!("/user/{}/{listing}", name(session));
        let site = server::sibling(&session.server, SERVER, SITE);
        let mut after = String::new();
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let mut query = vec![("limit", PAGE), ("sort", "new"), ("raw_json", "1")];
            query.extend((!after.is_empty()).then_some(("after", after.as_str())));
            let body = self.ask(session, Call::get(&session.server, &path, &query)).await?;
            let children =
                body.pointer("/data/children").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
            let posts: Vec<_> = children.iter().filter_map(|child| child.get("data")).collect();
            for post in posts.iter().filter(|post| created_at(post) >= since && fits(session, work, post)) {
                let url = format!("{site}{}", text_of(post, "permalink"));
                found.push(Seen { name: text_of(post, "name").to_owned(), url });
            }
            let all_older = posts.last().is_some_and(|last| created_at(last) < since);
            let next = body.pointer("/data/after").and_then(Value::as_str).unwrap_or_default().to_owned();
            if next.is_empty() || all_older {
                return Ok(found);
            }
            after = next;
        }
        let message = "The account has made too many posts since the attempt.".into();
        Err(Fault::Transient { code: "LISTING_TOO_LONG".into(), message, retry_after: None })
    }

    /// Counts of at most a hundred posts.
    pub(super) async fn counts(&self, session: &Session, ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let joined = ids.join(",");
        let query = [("id", joined.as_str()), ("raw_json", "1")];
        let body = self.ask(session, Call::get(&session.server, "/api/info", &query)).await?;
        let children =
            body.pointer("/data/children").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let of = |id: &String| {
            let data = children.iter().filter_map(|child| child.get("data"));
            // What its author deleted is still there, without its author.
            let data = data.filter(|data| text_of(data, "author") != "[deleted]");
            let post = data.into_iter().find(|data| text_of(data, "name") == id);
            let count =
                |name: &str| post.and_then(|post| post.get(name)).and_then(Value::as_i64).unwrap_or(0);
            PostMetrics {
                native_id: id.clone(),
                found: post.is_some(),
                likes: count("score").max(0),
                reposts: count("num_crossposts"),
                replies: count("num_comments"),
                ..PostMetrics::default()
            }
        };
        Ok(ids.iter().map(of).collect())
    }
}

/// Unix milliseconds; Reddit tells seconds with a fraction.
fn created_at(post: &Value) -> i64 {
    post.get("created_utc").and_then(Value::as_f64).map_or(0, |seconds| (seconds * 1000.0) as i64)
}

/// Whether a post of the account is what a work becomes.
fn fits(session: &Session, work: &Work, post: &Value) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(reply) = &work.reply {
        let same = squeeze(text_of(post, "body")) == squeeze(&work.content.text);
        return same && text_of(post, "parent_id") == reply.parent_native_id;
    }
    let (title, text) = title_and_text(&work.content);
    let there = text_of(post, "subreddit").eq_ignore_ascii_case(&subreddit(session, &work.content));
    let same = there && squeeze(text_of(post, "title")) == title;
    let is = |name: &str| post[name] == true;
    same && match Kind::of(work) {
        Kind::Text => is("is_self") && squeeze(text_of(post, "selftext")) == squeeze(&text),
        Kind::Link => !is("is_self") && text_of(post, "url") == settings(&work.content).link.trim(),
        Kind::Gallery => is("is_gallery"),
        Kind::Video => is("is_video"),
        Kind::Image => !is("is_self") && !is("is_video") && !is("is_gallery"),
        Kind::Comment => false,
    }
}

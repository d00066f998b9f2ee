//! Looking back: what became of a container, which post it is, and what posts have collected. Changes nothing.

use serde_json::Value;

use super::{
    AttemptFacts, Fault, Found, HandleMap, PostMetrics, Session, Threads, Work, errors, graph,
    publish::CONTAINER,
    wire::{self, json, text_of},
};

/// How far the network's clock may be off, milliseconds.
const SKEW: i64 = 120_000;

/// Posts asked for at once; the network's maximum.
const PAGE: &str = "100";

/// One of the account's posts.
struct Seen {
    id: String,
    permalink: String,
}

impl Threads {
    /// What became of the container: `PUBLISHED` says that it is a post, `FINISHED` that it is none.
    pub(super) async fn look(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let container = handles.get(CONTAINER).map(|stored| text_of(stored, "id")).unwrap_or_default();
        if container.is_empty() {
            // Its record was lost: the posts may show it, and nothing proves that it was never published.
            let mut found = self.matches(session, work, attempt).await?;
            return Ok(match (found.pop(), found.len()) {
                (Some(Seen { id, permalink }), 0) => {
                    let evidence = "one post since then has its text".into();
                    Found::Live { native_id: id, url: permalink, evidence }
                }
                (Some(_), more) => Found::Unsure { why: format!("{} posts have its text", more + 1) },
                (None, _) => Found::Unseen,
            });
        }
        let status = match self.status(session, container).await {
            Ok((status, _)) => status,
            Err(Fault::Rejected { .. }) => "REFUSED".to_owned(),
            // That is how the network says that a container is not there.
            Err(Fault::Transient { code, .. }) if code == "CONTAINER_NOT_SEEN" => "MISSING".to_owned(),
            Err(fault) => return Err(fault),
        };
        let is_over = matches!(status.as_str(), "EXPIRED" | "ERROR");
        match status.as_str() {
            "FINISHED" => return Ok(Found::Absent),
            "PUBLISHED" | "EXPIRED" | "ERROR" | "REFUSED" | "MISSING" => {}
            other => return Ok(Found::Unsure { why: format!("the container is {}", wire::short(other)) }),
        }
        let mut found = self.matches(session, work, attempt).await?;
        let evidence = format!("the container is {status}, and one post since then has its text");
        Ok(match (found.pop(), found.is_empty()) {
            (Some(Seen { id, permalink }), true) => Found::Live { native_id: id, url: permalink, evidence },
            (None, _) if is_over => Found::Absent,
            (None, _) => {
                Found::Unsure { why: format!("the container is {status}, and no post has its text") }
            }
            (Some(_), false) => Found::Unsure { why: format!("{} posts have its text", found.len() + 1) },
        })
    }

    /// The account's posts since the first attempt that have the work's text and place.
    async fn matches(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<Seen>, Fault> {
        let since = attempt.first_armed_at - SKEW;
        let since_s = (since / 1000).max(1_688_540_400).to_string();
        let (path, fields) = if work.reply.is_some() {
            ("/v1.0/me/replies", "id,text,timestamp,permalink,media_type,replied_to")
        } else {
            ("/v1.0/me/threads", "id,text,timestamp,permalink,media_type,is_quote_post")
        };
        let query = [("fields", fields), ("since", since_s.as_str()), ("limit", PAGE)];
        let body = json(&self.ask(Self::get(session, path, &query)).await?).unwrap_or_default();
        let posts = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let fits = |post: &&Value| {
            graph::time_of(post, "timestamp").is_some_and(|at| at >= since)
                && squeeze(text_of(post, "text")) == squeeze(&work.content.text)
                && text_of(post, "media_type") == media_type(work)
                && post.get("is_quote_post").and_then(Value::as_bool) != Some(true)
                && work.reply.as_ref().is_none_or(|reply| {
                    let parent = post.get("replied_to").map(|parent| graph::id_of(parent, "id"));
                    parent.as_deref() == Some(reply.parent_native_id.as_str())
                })
        };
        let seen = |post: &Value| Seen {
            id: graph::id_of(post, "id"),
            permalink: text_of(post, "permalink").to_owned(),
        };
        let found = posts.iter().filter(fits).map(seen);
        Ok(found.filter(|seen| !seen.id.is_empty() && !attempt.taken_native_ids.contains(&seen.id)).collect())
    }

    /// Counts of one post.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let path = format!("/v1.0/{}/insights", segment(native_id));
        let call = Self::get(session, &path, &[("metric", "views,likes,replies,reposts,quotes,shares")]);
        let response = call.read(&self.http).await?;
        let mut counts = PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        if errors::is_missing(&response) {
            return Ok(counts);
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        let body = json(&response).unwrap_or_default();
        let data = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let value = |name: &str| {
            let one = data.iter().find(|one| text_of(one, "name") == name);
            one.and_then(|one| one.pointer("/values/0/value")?.as_i64()).unwrap_or(0)
        };
        counts.found = true;
        counts.likes = value("likes");
        counts.reposts = value("reposts") + value("quotes");
        counts.replies = value("replies");
        counts.views = value("views");
        Ok(counts)
    }
}

/// What a post of this content is called in listings.
fn media_type(work: &Work) -> &'static str {
    match work.content.media.as_slice() {
        [] => "TEXT_POST",
        [one] if one.is_video() => "VIDEO",
        [_] => "IMAGE",
        _ => "CAROUSEL_ALBUM",
    }
}

/// One path segment; ids come from the network and are not trusted to be free of slashes.
pub(super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

/// One space for every run of white space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Looking back at what a page posted: whether a post whose answer was lost is there, and what became of posts. Changes
//! nothing. Members cannot be asked.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::{
    AttemptFacts, Call, Fault, HandleMap, Linkedin, PostMetrics, Session, Work, encoded, list, little, media,
    publish, versioned,
};
use crate::{
    domain::delivery::Reply,
    networks::wire::{self, json, text_of},
};

/// Posts or comments asked for at once.
const PAGE: usize = 50;

/// Pages read before giving up.
const PAGES: usize = 4;

/// Posts whose counts are asked for at once: addresses have a limit.
const BATCH: usize = 20;

/// One of the page's own posts or comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) urn: String,
    /// Unix milliseconds.
    pub(super) created_at: i64,
    text: String,
    /// The media, or the address of the link card, in their order.
    attached: Vec<String>,
}

impl Seen {
    fn post(post: &Value) -> Option<Self> {
        let urn = text_of(post, "id");
        let created_at = ["createdAt", "publishedAt"].iter().find_map(|name| post.get(*name)?.as_i64())?;
        let published = matches!(text_of(post, "lifecycleState"), "PUBLISHED" | "");
        (is_post(urn) && published).then(|| Self {
            urn: urn.to_owned(),
            created_at,
            text: squeeze(&little::plain(text_of(post, "commentary"))),
            attached: attached(post.get("content").unwrap_or(&Value::Null)),
        })
    }

    fn comment(comment: &Value, author: &str) -> Option<Self> {
        let urn = text_of(comment, "commentUrn");
        let created_at = comment.pointer("/created/time").and_then(Value::as_i64)?;
        let own = text_of(comment, "actor") == author && comment_parts(urn).is_some();
        let text = comment.pointer("/message/text").and_then(Value::as_str).unwrap_or_default();
        own.then(|| Self { urn: urn.to_owned(), created_at, text: squeeze(text), attached: Vec::new() })
    }
}

fn attached(content: &Value) -> Vec<String> {
    let of = |path: &str| content.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let images = content.pointer("/multiImage/images").and_then(Value::as_array);
    match images {
        Some(images) => images.iter().map(|image| text_of(image, "id").to_owned()).collect(),
        None => of("/media/id").or_else(|| of("/article/source")).into_iter().collect(),
    }
}

/// What the work's post shows below its text.
fn expected(work: &Work, handles: &HandleMap) -> Vec<String> {
    if let Some(article) = publish::settings(&work.content).article {
        return vec![article.source];
    }
    let urn = |i| handles.get(&media::step(i)).map(|handle| text_of(handle, "urn").to_owned());
    (0..work.content.media.len()).map(|i| urn(i).unwrap_or_default()).collect()
}

impl Linkedin {
    /// The page's own posts, back to shortly before the first attempt, that show the same text and the same media.
    pub(super) async fn matches(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Vec<Seen>, Fault> {
        let since = attempt.looked_for_since();
        let (text, expected) = (squeeze(work.content.text.trim()), expected(work, handles));
        let fits = |seen: &Seen| {
            seen.created_at >= since
                && seen.text == text
                && (work.reply.is_some() || seen.attached == expected)
                && !attempt.taken_native_ids.contains(&seen.urn)
        };
        let mut found: Vec<Seen> = Vec::new();
        for page in 0..PAGES {
            let (seen, is_last) = self.page_of(session, work.reply.as_ref(), page * PAGE).await?;
            let all_older = !seen.is_empty() && seen.iter().all(|seen| seen.created_at < since);
            for seen in seen.into_iter().filter(|seen| fits(seen)) {
                if !found.iter().any(|known| known.urn == seen.urn) {
                    found.push(seen);
                }
            }
            // Posts come newest first; comments in no order that is promised.
            if is_last || (all_older && work.reply.is_none()) {
                return Ok(found);
            }
        }
        let message = "The page has posted too much since the attempt to tell.".into();
        Err(Fault::Transient { code: "TOO_MANY_POSTS".into(), message, retry_after: None })
    }

    /// Some of the page's posts, or comments under a post, and whether they are the last.
    async fn page_of(
        &self,
        session: &Session,
        reply: Option<&Reply>,
        start: usize,
    ) -> Result<(Vec<Seen>, bool), Fault> {
        let author = self.author(&session.native_id);
        let call = if let Some(reply) = reply {
            let root = encoded(&reply.root_native_id);
            let path = format!("/rest/socialActions/{root}/comments?start={start}&count={PAGE}");
            Call::new(Method::GET, format!("{}{path}", session.server))
        } else {
            let by = encoded(&author);
            let path = format!("/rest/posts?q=author&author={by}&start={start}&count={PAGE}&sortBy=CREATED");
            Call::new(Method::GET, format!("{}{path}", session.server)).header("x-restli-method", "FINDER")
        };
        let body = json(&self.ask(versioned(call, session)).await?).unwrap_or_default();
        let elements = body.get("elements").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let seen = elements.iter().filter_map(|element| match reply {
            Some(_) => Seen::comment(element, &author),
            None => Seen::post(element),
        });
        Ok((seen.collect(), elements.len() < PAGE))
    }

    /// Counts of the page's posts and comments.
    pub(super) async fn counts(
        &self,
        session: &Session,
        native_ids: &[String],
    ) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts: BTreeMap<&String, PostMetrics> = BTreeMap::new();
        let (posts, comments): (Vec<_>, Vec<_>) = native_ids.iter().partition(|id| is_post(id));
        for batch in posts.chunks(BATCH) {
            let known = self.known(session, batch).await?;
            for id in batch.iter().copied().filter(|id| known.contains(*id)) {
                let found = PostMetrics { native_id: id.clone(), found: true, ..PostMetrics::default() };
                counts.insert(id, found);
            }
            for (name, kind) in [("shares", "share"), ("ugcPosts", "ugcPost")] {
                let urns: Vec<_> = known.iter().filter(|urn| urn_kind(urn) == kind).collect();
                if !urns.is_empty() {
                    self.statistics(session, name, kind, &urns, &mut counts).await?;
                }
            }
        }
        for id in comments {
            if let Some(found) = self.reactions(session, id).await? {
                counts.insert(id, found);
            }
        }
        let gone = |id: &String| PostMetrics { native_id: id.clone(), ..PostMetrics::default() };
        Ok(native_ids.iter().map(|id| counts.get(id).cloned().unwrap_or_else(|| gone(id))).collect())
    }

    /// Those of the posts that still are.
    async fn known(&self, session: &Session, ids: &[&String]) -> Result<Vec<String>, Fault> {
        let url = format!("{}/rest/posts?ids={}", session.server, list(ids.iter().copied()));
        let call = Call::new(Method::GET, url).header("x-restli-method", "BATCH_GET");
        let body = json(&self.ask(versioned(call, session)).await?).unwrap_or_default();
        let results = body.get("results").and_then(Value::as_object).ok_or_else(wire::unreadable)?;
        Ok(results.keys().cloned().collect())
    }

    /// Posts that nobody reacted to are not told of.
    async fn statistics(
        &self,
        session: &Session,
        name: &str,
        kind: &str,
        urns: &[&String],
        counts: &mut BTreeMap<&String, PostMetrics>,
    ) -> Result<(), Fault> {
        let url = format!(
            "{}/rest/organizationalEntityShareStatistics?q=organizationalEntity&organizationalEntity={}&{name}={}",
            session.server,
            encoded(&self.author(&session.native_id)),
            list(urns.iter().copied())
        );
        let body = json(&self.ask(versioned(Call::new(Method::GET, url), session)).await?);
        let body = body.unwrap_or_default();
        let elements = body.get("elements").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        for element in elements {
            let urn = text_of(element, kind).to_owned();
            let sum = element.get("totalShareStatistics").unwrap_or(&Value::Null);
            let number = |name: &str| sum.get(name).and_then(Value::as_i64).unwrap_or(0);
            if let Some(found) = counts.get_mut(&urn) {
                found.likes = number("likeCount");
                found.reposts = number("shareCount");
                found.replies = number("commentCount");
                found.views = number("impressionCount");
            }
        }
        Ok(())
    }

    /// Reactions to one comment; none when it is gone.
    async fn reactions(&self, session: &Session, id: &str) -> Result<Option<PostMetrics>, Fault> {
        let url = format!("{}/rest/socialActions/{}", session.server, encoded(id));
        let response = versioned(Call::new(Method::GET, url), session).read(&self.http).await?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            _ => return Err(self.fault(&response)),
        }
        let body = json(&response).ok_or_else(wire::unreadable)?;
        let number = |path: &str| body.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        Ok(Some(PostMetrics {
            native_id: id.to_owned(),
            found: true,
            likes: number("/likesSummary/totalLikes"),
            replies: number("/commentsSummary/aggregatedTotalComments"),
            ..PostMetrics::default()
        }))
    }
}

fn urn_kind(urn: &str) -> &str {
    urn.strip_prefix("urn:li:").and_then(|rest| rest.split(':').next()).unwrap_or_default()
}

/// Whether it names a post.
pub(super) fn is_post(urn: &str) -> bool {
    let number = |prefix: &str| {
        urn.strip_prefix(prefix).is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
    };
    number("urn:li:share:") || number("urn:li:ugcPost:")
}

/// What a comment is under, and its number there.
pub(super) fn comment_parts(urn: &str) -> Option<(&str, &str)> {
    let inside = urn.strip_prefix("urn:li:comment:(")?.strip_suffix(')')?;
    let (object, id) = inside.rsplit_once(',')?;
    let is_number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    (is_number && object.starts_with("urn:li:")).then_some((object, id))
}

/// The id in the address of a post. Pages show a post under its activity as well, which is not its id.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let [.., "update", urn] = parts.as_slice() else { return None };
    let urn = urn.replace("%3A", ":").replace("%3a", ":");
    is_post(&urn).then_some(urn)
}

/// One space for every run of white space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_post() {
        for (url, id) in [
            ("https://www.linkedin.com/feed/update/urn:li:share:7243/", Some("urn:li:share:7243")),
            ("https://www.linkedin.com/feed/update/urn%3Ali%3AugcPost%3A9?x=1", Some("urn:li:ugcPost:9")),
            ("https://www.linkedin.com/feed/update/urn:li:activity:7243/", None),
            ("https://www.linkedin.com/in/ana/", None),
            ("urn:li:share:7243", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }

    #[test]
    fn a_comment_names_what_it_is_under() {
        let urn = "urn:li:comment:(urn:li:activity:62,66)";
        assert_eq!(comment_parts(urn), Some(("urn:li:activity:62", "66")));
        for other in ["urn:li:share:1", "urn:li:comment:(1,2)", "urn:li:comment:(urn:li:activity:1,)", ""] {
            assert_eq!(comment_parts(other), None, "{other}");
        }
    }
}

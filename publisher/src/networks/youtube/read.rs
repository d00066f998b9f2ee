//! Looking back: what became of a session, and of videos and comments. Changes nothing.

use serde_json::Value;

use super::{
    AttemptFacts, Call, Fault, Found, HandleMap, PostMetrics, Session, Work, Youtube, text_of,
    upload::{self, Progress, Upload},
    video,
};

/// How long the list of uploads may lag behind, milliseconds.
const LAG: i64 = 600_000;

impl Youtube {
    /// What the session tells; where nobody knows it any more, what the channel's uploads show.
    pub(super) async fn what_became(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let upload = Upload::read(handles);
        let progress = match &upload {
            Some(upload) => self.probe(session, upload).await?,
            None => Progress::Gone,
        };
        match progress {
            Progress::Done(id) if attempt.taken_native_ids.contains(&id) => Ok(Found::Absent),
            Progress::Done(id) => Ok(Found::Live {
                url: upload::page(session, &id),
                native_id: id,
                evidence: "the upload session is complete and names the video".to_owned(),
            }),
            Progress::Stored(_) => Ok(Found::Absent),
            Progress::Gone => {
                self.among_uploads(session, work, upload.map(|upload| upload.total), attempt).await
            }
        }
    }

    /// The channel's newest uploads, private ones included: same title, made since the first attempt, same size.
    async fn among_uploads(
        &self,
        session: &Session,
        work: &Work,
        size: Option<u64>,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let since = attempt.looked_for_since();
        let playlist = uploads(session);
        let query =
            [("part", "snippet,contentDetails"), ("playlistId", playlist.as_str()), ("maxResults", "50")];
        let body = self.ask(session, Call::get(&session.server, "/youtube/v3/playlistItems", &query)).await?;
        let items = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let title = video::title(&session.limits, &work.content);
        let at = |item: &Value, path: &str| {
            item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let fits = |item: &&Value| {
            let published = at(item, "/snippet/publishedAt").parse::<jiff::Timestamp>();
            at(item, "/snippet/title") == title
                && published.is_ok_and(|published| published.as_millisecond() >= since)
        };
        let ids: Vec<String> = items
            .iter()
            .filter(fits)
            .map(|item| at(item, "/contentDetails/videoId"))
            .filter(|id| !id.is_empty() && !attempt.taken_native_ids.contains(id))
            .collect();
        let same = if ids.is_empty() { ids } else { self.of_size(session, &ids, size).await? };
        let waited = self.clock.now_ms() - attempt.armed_at;
        Ok(match same.as_slice() {
            [one] => Found::Live {
                native_id: one.clone(),
                url: upload::page(session, one),
                evidence: "the channel's uploads hold a video of this title and size".to_owned(),
            },
            // Which session it was is not known any more.
            [] if size.is_none() => Found::Unseen,
            [] if waited < LAG => Found::Unsure {
                why: "the upload session is gone, and the list of uploads may lag behind".to_owned(),
            },
            [] => Found::Absent,
            several => Found::Unsure { why: format!("{} videos of the channel match", several.len()) },
        })
    }

    async fn of_size(
        &self,
        session: &Session,
        ids: &[String],
        size: Option<u64>,
    ) -> Result<Vec<String>, Fault> {
        let Some(size) = size else { return Ok(ids.to_vec()) };
        let list = ids.join(",");
        let query = [("part", "fileDetails"), ("id", list.as_str())];
        let body = self.ask(session, Call::get(&session.server, "/youtube/v3/videos", &query)).await?;
        let items = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let fits = |item: &&Value| {
            let told = item.pointer("/fileDetails/fileSize").and_then(Value::as_str);
            told.is_some_and(|told| told == size.to_string())
        };
        Ok(items.iter().filter(fits).map(|item| text_of(item, "id").to_owned()).collect())
    }

    /// Counts of videos and comments, in their order; counts of videos come as texts.
    pub(super) async fn counts(
        &self,
        session: &Session,
        native_ids: &[String],
    ) -> Result<Vec<PostMetrics>, Fault> {
        let mut items = Vec::new();
        for (comments, path, part) in
            [(false, "/youtube/v3/videos", "statistics"), (true, "/youtube/v3/comments", "snippet")]
        {
            let ids: Vec<&str> =
                native_ids.iter().map(String::as_str).filter(|id| is_comment(id) == comments).collect();
            if ids.is_empty() {
                continue;
            }
            let list = ids.join(",");
            let query = [("part", part), ("id", list.as_str())];
            let body = self.ask(session, Call::get(&session.server, path, &query)).await?;
            items.extend(body.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
        }
        Ok(native_ids.iter().map(|id| metrics(id, &items)).collect())
    }
}

fn metrics(id: &str, items: &[Value]) -> PostMetrics {
    let item = items.iter().find(|item| text_of(item, "id") == id);
    let count = |path: &str| {
        let value = item.and_then(|item| item.pointer(path));
        value.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok())).unwrap_or(0)
    };
    PostMetrics {
        native_id: id.to_owned(),
        found: item.is_some(),
        likes: count("/statistics/likeCount") + count("/snippet/likeCount"),
        reposts: 0,
        replies: count("/statistics/commentCount"),
        views: count("/statistics/viewCount"),
    }
}

/// The playlist of the channel's uploads, as it was told when the channel was connected.
fn uploads(session: &Session) -> String {
    let extra: Value = serde_json::from_str(session.extra.expose()).unwrap_or_default();
    let told = text_of(&extra, "uploads");
    if !told.is_empty() {
        return told.to_owned();
    }
    let channel = session.native_id.as_str();
    format!("UU{}", channel.strip_prefix("UC").unwrap_or(channel))
}

/// Ids of videos have 11 characters; those of comments have more.
pub(super) fn is_comment(native_id: &str) -> bool {
    native_id.len() > 11
}

/// The id in an address: of the comment in `lc`, else of the video in `/watch?v=`, `/shorts/` or `youtu.be/`.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let field =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let in_path = match parts.as_slice() {
        [.., "shorts" | "live" | "video", id] => Some((*id).to_owned()),
        [id] if url.host_str() == Some("youtu.be") => Some((*id).to_owned()),
        _ => None,
    };
    let id = field("lc").or_else(|| field("v")).or(in_path)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (id.len() >= 11 && id.chars().all(plain)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_video_or_comment() {
        for (url, id) in [
            ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3", Some("dQw4w9WgXcQ")),
            ("https://youtu.be/dQw4w9WgXcQ?si=x", Some("dQw4w9WgXcQ")),
            ("https://www.youtube.com/shorts/dQw4w9WgXcQ", Some("dQw4w9WgXcQ")),
            ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&lc=UgxAbc_12-34567890", Some("UgxAbc_12-34567890")),
            ("https://www.youtube.com/@demo", None),
            ("https://www.youtube.com/watch?v=short", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }
}

//! Looking back: whether a post whose answer was lost is there, and what became of posts. Changes nothing.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::{
    AttemptFacts, Facebook, Fault, Found, HandleMap, PostMetrics, SITE, Session, Work,
    address::{self, PERMALINK},
    graph,
    publish::Shape,
    text_of, upload, wire,
};
use crate::domain::delivery::Reply;

impl Facebook {
    /// Whether a work is visible, as the post of a handle or as a post of the Page that fits.
    pub(super) async fn look_back(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        if let Some(reply) = &work.reply {
            return self.among_comments(session, work, reply, attempt).await;
        }
        let id = |step: &str| handles.get(step).map(|handle| text_of(handle, "id").to_owned());
        match Shape::of(work) {
            Shape::Feed | Shape::Video | Shape::Comment => {
                self.among_posts(session, work, handles, attempt).await
            }
            Shape::Reel => match id(upload::DRAFT) {
                Some(id) => self.finished_reel(session, work, &id).await,
                None => Ok(Found::Absent),
            },
            Shape::PhotoStory => self.among_stories(session, id(&upload::photo(0))).await,
            Shape::VideoStory => self.among_stories(session, id(upload::DRAFT)).await,
        }
    }

    /// A story says which photo or video it shows.
    async fn among_stories(&self, session: &Session, media_id: Option<String>) -> Result<Found, Fault> {
        let Some(media_id) = media_id else { return Ok(Found::Absent) };
        let path = format!("{}/stories", graph::segment(&session.native_id));
        let query = [("fields", "post_id,status,creation_time,media_type,media_id,url"), ("limit", "100")];
        let body = self.api.ask(self.api.call(session, Method::GET, &path, &query)).await?;
        let stories = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let found = stories.iter().find(|story| graph::id_of(story, "media_id") == media_id);
        Ok(found.map_or(Found::Absent, |story| Found::Live {
            native_id: graph::id_of(story, "post_id"),
            url: graph::address(text_of(story, "url"), SITE),
            evidence: format!("a story of the Page shows {media_id}"),
        }))
    }

    async fn among_comments(
        &self,
        session: &Session,
        work: &Work,
        reply: &Reply,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let path = format!("{}/comments", graph::segment(&reply.root_native_id));
        let query = [
            ("fields", "id,message,created_time,permalink_url,from{id}"),
            ("order", "reverse_chronological"),
        ];
        let listed = self.api.since(session, &path, &query, ("created_time", 100), attempt).await?;
        // The part before this one ends the search, whatever its words are.
        let listed = listed.after(&reply.parent_native_id);
        let is_own = |comment: &Value| {
            comment.get("from").is_none_or(|from| graph::id_of(from, "id") == session.native_id)
        };
        let fits = |comment: &Value| is_own(comment) && is_text(work, text_of(comment, "message"));
        Ok(found(listed.fitting(attempt, PERMALINK, fits), listed.is_whole))
    }

    /// The Page's posts since the first attempt that show what the work shows.
    async fn among_posts(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let wanted = Wanted::of(work, handles);
        let path = format!("{}/published_posts", graph::segment(&session.native_id));
        let fields = "id,message,created_time,permalink_url,is_published,\
                      attachments{media_type,target,subattachments{media_type,target}}";
        let query = [("fields", fields)];
        let listed = self.api.since(session, &path, &query, ("created_time", 25), attempt).await?;
        let mut posts = listed.fitting(attempt, PERMALINK, |post| wanted.is(post));
        for (id, url) in posts.iter_mut().filter(|(_, url)| url.is_empty()) {
            *url = address::of_id(id);
        }
        Ok(found(posts, listed.is_whole))
    }

    /// Counts of one post, comment, story or video.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let none = || PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        let is_post = native_id.starts_with(&format!("{}_", session.native_id));
        // Stories do not tell every count; whether they are there they do.
        let (fields, fewer) = if is_post {
            ("shares,comments.summary(true).limit(0),reactions.summary(true).limit(0)", None)
        } else if native_id.contains('_') {
            ("like_count,comment_count", Some("id"))
        } else {
            ("comments.summary(true).limit(0),reactions.summary(true).limit(0)", Some("id"))
        };
        let Some(body) = self.api.fields(session, native_id, fields, fewer).await? else { return Ok(none()) };
        let number = |path: &str| body.pointer(path).and_then(Value::as_i64);
        // How many people saw it; 0 where that is not told, which says nothing about the other counts.
        let seen = "post_total_media_view_unique";
        let views =
            if is_post { self.api.insights(session, native_id, seen).await.ok().flatten() } else { None };
        Ok(PostMetrics {
            found: true,
            likes: number("/reactions/summary/total_count").or(number("/like_count")).unwrap_or(0),
            reposts: number("/shares/count").unwrap_or(0),
            replies: number("/comments/summary/total_count").or(number("/comment_count")).unwrap_or(0),
            views: views.map_or(0, |told| graph::insight(&told, seen)),
            ..none()
        })
    }
}

/// What a post of the Page must show to be the one looked for.
struct Wanted<'a> {
    work: &'a Work,
    photos: BTreeSet<String>,
    is_video: bool,
}

impl<'a> Wanted<'a> {
    fn of(work: &'a Work, handles: &HandleMap) -> Self {
        let steps = (0..work.content.media.len()).map(upload::photo);
        let photos =
            steps.filter_map(|step| handles.get(&step)).map(|handle| text_of(handle, "id").to_owned());
        Self { work, photos: photos.collect(), is_video: Shape::of(work) == Shape::Video }
    }

    /// Photos by their ids, which nothing else has; text and videos by the words, with as many media.
    fn is(&self, post: &Value) -> bool {
        let mut shown = Vec::new();
        media_of(post.get("attachments"), &mut shown);
        if post.get("is_published") == Some(&Value::Bool(false)) {
            return false;
        }
        if !self.photos.is_empty() {
            let ids: BTreeSet<&str> = shown.iter().map(|(_, id)| id.as_str()).collect();
            return self.photos.iter().all(|id| ids.contains(id.as_str()));
        }
        let kind = |word: &str| shown.iter().any(|(media_type, _)| media_type.starts_with(word));
        let is_fitting =
            if self.is_video { kind("video") } else { !kind("video") && !kind("photo") && !kind("album") };
        is_fitting && is_text(self.work, text_of(post, "message"))
    }
}

/// Kind and target of every attachment, those of albums included.
fn media_of(attachments: Option<&Value>, shown: &mut Vec<(String, String)>) {
    let data = attachments.and_then(|attachments| attachments.get("data")).and_then(Value::as_array);
    for attachment in data.into_iter().flatten() {
        let target = attachment.get("target").map(|target| graph::id_of(target, "id")).unwrap_or_default();
        shown.push((text_of(attachment, "media_type").to_owned(), target));
        media_of(attachment.get("subattachments"), shown);
    }
}

fn is_text(work: &Work, shown: &str) -> bool {
    graph::words(shown) == graph::words(&work.content.text)
}

/// None, the one, or too many to choose among.
fn found(found: Vec<(String, String)>, is_whole: bool) -> Found {
    match graph::one(found) {
        Ok((native_id, url)) => {
            let evidence = "a post of the Page since the attempt shows the same".into();
            Found::Live { native_id, url, evidence }
        }
        Err(0) if is_whole => Found::Absent,
        Err(0) => Found::Unsure { why: "not everything since the attempt is shown".into() },
        Err(several) => Found::Unsure { why: format!("{several} posts of the Page match") },
    }
}

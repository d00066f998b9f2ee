//! Addresses of posts: the one that the network tells of a post, and the post that an address is of.

use http::Method;
use serde_json::Value;

use super::{Facebook, SITE, Session, Work, graph, publish::Shape, text_of};

/// The field that tells a node's address, which is written without its host for videos.
pub(super) const PERMALINK: (&str, &str) = ("permalink_url", SITE);

impl Facebook {
    /// The address of a post that is there. Stories are told of in their list alone.
    pub(super) async fn address(&self, session: &Session, work: &Work, id: &str) -> Option<String> {
        if !matches!(Shape::of(work), Shape::PhotoStory | Shape::VideoStory) {
            return self.api.permalink(session, id, PERMALINK).await;
        }
        let path = format!("{}/stories", graph::segment(&session.native_id));
        let query = [("fields", "post_id,url"), ("limit", "100")];
        let body = self.api.ask(self.api.call(session, Method::GET, &path, &query)).await.ok()?;
        let stories = body.get("data").and_then(Value::as_array)?;
        let story = stories.iter().find(|story| graph::id_of(story, "post_id") == id)?;
        Some(graph::address(text_of(story, "url"), SITE))
    }
}

/// The address that a post of the feed has by its id; the network tells a nicer one.
pub(super) fn of_id(id: &str) -> String {
    format!("{SITE}/{id}")
}

/// The id in a post's address: `/{page}_{post}`, `/…/posts/{post}`, or `/permalink.php?story_fbid={post}&id={page}`.
pub(super) fn id_at(page: &str, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let is_facebook =
        url.host_str().is_some_and(|host| host == "facebook.com" || host.ends_with(".facebook.com"));
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let query =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let post = match parts.as_slice() {
        _ if !is_facebook => return None,
        [.., both]
            if both.strip_prefix(page).and_then(|rest| rest.strip_prefix('_')).is_some_and(is_number) =>
        {
            return Some((*both).to_owned());
        }
        ["permalink.php" | "story.php"] if query("id").as_deref() == Some(page) => query("story_fbid")?,
        [.., "posts", post] => (*post).to_owned(),
        _ => return None,
    };
    is_number(&post).then(|| format!("{page}_{post}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_post() {
        for (url, id) in [
            ("https://www.facebook.com/12_34", Some("12_34")),
            ("https://www.facebook.com/some.page/posts/34", Some("12_34")),
            ("https://m.facebook.com/story.php?story_fbid=34&id=12", Some("12_34")),
            ("https://www.facebook.com/permalink.php?story_fbid=34&id=13", None),
            ("https://www.facebook.com/13_34", None),
            ("https://www.facebook.com/some.page/posts/pfbid02x", None),
            ("https://facebook.com.evil.example/12_34", None),
            ("12_34", None),
        ] {
            assert_eq!(id_at("12", url).as_deref(), id, "{url}");
        }
    }
}

//! Submissions and comments as they are kept and shown, and the subreddits there are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    NETWORK,
    rules::{self, Rules},
};
use crate::{
    docs::Change,
    media::Stored,
    world::{Counts, Ctx, World},
};

/// A submission (`t3`) or a comment (`t1`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Post {
    /// Base 36, without its prefix.
    pub(super) id: String,
    /// `self`, `link`, `image`, `video`, `gallery` or `comment`.
    pub(super) kind: String,
    pub(super) account: String,
    pub(super) subreddit: String,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) url: String,
    pub(super) media: Vec<Stored>,
    pub(super) created_ms: i64,
    /// When listings begin to show it; media are processed first.
    pub(super) listed_ms: i64,
    /// The fullname of what a comment replies to, and of its submission.
    pub(super) parent: Option<(String, String)>,
    pub(super) nsfw: bool,
    pub(super) spoiler: bool,
    pub(super) flair: Option<String>,
    pub(super) removed_by: Option<String>,
    pub(super) is_deleted: bool,
}

impl Post {
    pub(super) fn is_comment(&self) -> bool {
        self.kind == "comment"
    }

    pub(super) fn name(&self) -> String {
        format!("{}_{}", if self.is_comment() { "t1" } else { "t3" }, self.id)
    }

    pub(super) fn permalink(&self) -> String {
        match &self.parent {
            Some((_, link)) => {
                let link = link.trim_start_matches("t3_");
                format!("/r/{}/comments/{link}/_/{}/", self.subreddit, self.id)
            }
            None => format!("/r/{}/comments/{}/{}/", self.subreddit, self.id, slug(&self.title)),
        }
    }

    /// As a child of a listing. Without `raw_json=1` the characters that mean something in HTML are escaped.
    pub(super) fn child(&self, ctx: &Ctx, counts: Counts, raw: bool) -> Value {
        let text = |text: &str| if raw { text.to_owned() } else { escaped(text) };
        let (author, body) = if self.is_deleted {
            ("[deleted]", "[deleted]".to_owned())
        } else {
            (self.account.as_str(), text(&self.text))
        };
        let mut data = json!({
            "id": self.id, "name": self.name(), "author": author, "subreddit": self.subreddit,
            "created_utc": (self.created_ms / 1000) as f64, "permalink": self.permalink(), "score": 1 + counts.likes,
            "ups": 1 + counts.likes, "locked": false, "removed_by_category": self.removed_by, "over_18": self.nsfw,
        });
        if let Some((parent, link)) = &self.parent {
            data["parent_id"] = json!(parent);
            data["link_id"] = json!(link);
            data["body"] = json!(body);
            data["replies"] = json!("");
            return json!({"kind": "t1", "data": data});
        }
        let page = format!("{}{}", ctx.base(NETWORK), self.permalink());
        let more = json!({
            "title": text(&self.title), "selftext": body, "is_self": self.kind == "self",
            "is_video": self.kind == "video", "is_gallery": self.kind == "gallery", "spoiler": self.spoiler,
            "url": if self.kind == "self" { page } else { text(&self.url) }, "upvote_ratio": 1.0, "view_count": null,
            "num_comments": counts.replies, "num_crossposts": counts.reposts, "link_flair_text": self.flair,
        });
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        json!({"kind": "t3", "data": data})
    }

    /// The documents of a new one. Those whose processing fails are never listed.
    pub(super) fn changes(&self, id: u64) -> Vec<Change> {
        let index = if self.is_comment() { "post_comment_of" } else { "post_of" };
        let key = format!("{}|{}", self.account, crate::docs::padded(id));
        vec![Change::put("post", self.name(), self), Change::put(index, key, &self.name())]
    }
}

/// The post of a fullname, deleted ones included.
pub(super) fn named(world: &World, name: &str) -> Option<Post> {
    world.docs.get(NETWORK, "post", name).or_else(|| world.docs.get(NETWORK, "gone", name))
}

pub(super) fn base36(mut number: u64) -> String {
    let mut text = Vec::new();
    while number > 0 || text.is_empty() {
        text.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
    }
    text.reverse();
    String::from_utf8(text).unwrap_or_default()
}

fn slug(title: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let slug: String = title.chars().take(50).map(plain).collect();
    slug.trim_matches('_').to_owned() + if slug.trim_matches('_').is_empty() { "_" } else { "" }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a subreddit takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subreddit {
    pub(super) name: &'static str,
    /// `any`, `link` or `self`.
    pub(super) takes: &'static str,
    pub(super) media: bool,
    /// What its moderators ask of posts.
    pub(super) rules: Rules,
    /// Whether the account may post here.
    pub(super) is_open: bool,
    /// Whether a filter removes posts after they were accepted.
    pub(super) is_filtered: bool,
}

const OPEN: Subreddit = Subreddit {
    name: "test",
    takes: "any",
    media: true,
    rules: rules::NONE,
    is_open: true,
    is_filtered: false,
};

const SUBREDDITS: [Subreddit; 8] = [
    OPEN,
    Subreddit { name: "textonly", takes: "self", media: false, ..OPEN },
    Subreddit { name: "linksonly", takes: "link", ..OPEN },
    Subreddit { name: "nopictures", media: false, ..OPEN },
    Subreddit { name: "flairs", rules: Rules { flair: true, ..rules::NONE }, ..OPEN },
    Subreddit { name: "strict", rules: rules::STRICT, ..OPEN },
    Subreddit { name: "closed", is_open: false, ..OPEN },
    Subreddit { name: "filtered", is_filtered: true, ..OPEN },
];

pub(super) fn names() -> Vec<&'static str> {
    SUBREDDITS.iter().map(|subreddit| subreddit.name).collect()
}

/// The subreddit of that name, or the account's own profile.
pub(super) fn subreddit(name: &str, account: &str) -> Option<(String, Subreddit)> {
    let lower = name.to_lowercase();
    if let Some(user) = lower.strip_prefix("u_") {
        let is_open = user == account;
        return Some((name.to_owned(), Subreddit { is_open, ..OPEN }));
    }
    SUBREDDITS.iter().find(|known| known.name == lower).map(|known| (known.name.to_owned(), *known))
}

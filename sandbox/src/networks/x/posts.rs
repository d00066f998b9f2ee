//! Making and deleting posts. Checks run in the order a client meets them: token, shape, media, text, reply, and last
//! the search for the same words.

use axum::{
    Extension,
    extract::{Path, State},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Answer, NETWORK, Problem, holder, is_premium,
    media::{Usable, usable},
    ok, text,
};
use crate::{
    accounts, crypto,
    docs::{Change, padded},
    ledger::{Attached, Entry},
    web::{self, RequestId},
    world::{Ctx, World},
};

/// How long the same words are refused, milliseconds. X names no number; clients have seen minutes to hours.
const SAME_WORDS_MS: i64 = 3_600_000;
/// Most weight of a text, and of one by an account that pays for long posts.
const LENGTH: usize = 280;
const LONG: usize = 25_000;

/// One post; its id is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Post {
    pub(super) id: String,
    /// The handle.
    pub(super) account: String,
    pub(super) text: String,
    pub(super) parent: Option<String>,
    pub(super) conversation: String,
    pub(super) media_keys: Vec<String>,
    pub(super) is_video: bool,
    pub(super) created_ms: i64,
    pub(super) reply_settings: String,
}

impl Post {
    /// Its text as answers show it, with `entities.urls`.
    pub(super) fn shown(&self, ctx: &Ctx) -> (String, Vec<Value>) {
        let kind = if self.is_video { "video" } else { "photo" };
        let page = format!("{}/{}/status/{}/{kind}/1", ctx.base(NETWORK), self.account, self.id);
        let media = (!self.media_keys.is_empty()).then_some((page.as_str(), self.media_keys.as_slice()));
        text::shown(&self.text, &self.id, media)
    }

    /// Whether it is longer than a post whose `text` is whole.
    pub(super) fn is_long(&self) -> bool {
        text::weighted(&self.text) > LENGTH
    }
}

/// When an account said these words last, and in which post.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    post: String,
    at_ms: i64,
}

pub(super) async fn publish(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &["tweet.read", "tweet.write", "users.read"])?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or_else(Problem::unauthorized)?;
    let asked = Asked::read(&body)?;
    let now_ms = ctx.now_ms();
    let media = media_of(&world, &account.handle, &asked, now_ms)?;
    if asked.text.trim().is_empty() && media.is_empty() {
        return Err(Problem::invalid(
            "text",
            &asked.text,
            "The `text` field is required unless media is given.",
        ));
    }
    let most = if is_premium(&account) { LONG } else { LENGTH };
    if text::weighted(asked.text.trim()) > most {
        return Err(Problem::not_permitted());
    }
    if text::cashtags(&asked.text) > 1 {
        return Err(Problem::forbidden("Posts are limited to a maximum of one cashtag."));
    }
    let parent = match &asked.parent {
        None => None,
        Some(id) => Some(parent(&world, id, &account.handle)?),
    };
    let words = format!("{}|{}", account.handle, fingerprint(&asked.text));
    let said: Option<Said> = world.docs.get(NETWORK, "said", &words);
    let is_live = |id: &str| world.docs.has(NETWORK, "post", id);
    if said.is_some_and(|said| now_ms - said.at_ms < SAME_WORDS_MS && is_live(&said.post)) {
        return Err(Problem::forbidden("You are not allowed to create a Tweet with duplicate content."));
    }
    let number = world.next_id(NETWORK, now_ms);
    let id = number.to_string();
    let post = Post {
        id: id.clone(),
        account: account.handle.clone(),
        text: asked.text.trim().to_owned(),
        conversation: parent.as_ref().map_or_else(|| id.clone(), |parent| parent.conversation.clone()),
        parent: parent.map(|parent| parent.id),
        media_keys: media.iter().map(|usable| usable.key.clone()).collect(),
        is_video: media.iter().any(|usable| usable.is_video),
        created_ms: now_ms,
        reply_settings: asked.reply_settings.clone().unwrap_or_else(|| "everyone".to_owned()),
    };
    let attached: Vec<Attached> = media.into_iter().map(|usable| usable.attached).collect();
    let mut entry =
        Entry::new(NETWORK, "post", &account.handle, &id, &post.text, request_id).with_media(attached);
    entry.in_reply_to.clone_from(&post.parent);
    let mut changes = vec![
        Change::put("post", &id, &post),
        Change::put("post_of", format!("{}|{}", account.handle, padded(number)), &id),
    ];
    if !post.text.is_empty() {
        changes.push(Change::put("said", words, &Said { post: id.clone(), at_ms: now_ms }));
    }
    world.show(NETWORK, changes, vec![entry])?;
    let (shown, _) = post.shown(&ctx);
    let data = json!({"id": id, "text": shown, "edit_history_tweet_ids": [id]});
    Ok(web::json(StatusCode::CREATED, &json!({"data": data})))
}

/// Deleting what is not there is answered like deleting what is.
pub(super) async fn remove(State(ctx): State<Ctx>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &["tweet.read", "tweet.write", "users.read"])?;
    if let Some(post) = world.docs.get::<Post>(NETWORK, "post", &id) {
        if post.account != token.account {
            return Err(Problem::not_permitted());
        }
        let number = id.parse().unwrap_or_default();
        let place = format!("{}|{}", post.account, padded(number));
        world.keep(NETWORK, vec![Change::remove("post", id), Change::remove("post_of", place)])?;
    }
    Ok(ok(&json!({"data": {"deleted": true}})))
}

/// A request's body; other fields than the documented ones are refused.
struct Asked {
    text: String,
    media_ids: Vec<String>,
    parent: Option<String>,
    reply_settings: Option<String>,
}

const FIELDS: [&str; 16] = [
    "card_uri",
    "community_id",
    "direct_message_deep_link",
    "edit_options",
    "for_super_followers_only",
    "geo",
    "made_with_ai",
    "media",
    "nullcast",
    "paid_partnership",
    "poll",
    "quote_tweet_id",
    "reply",
    "reply_settings",
    "share_with_followers",
    "text",
];
/// What cannot stand beside another of them.
const EXCLUSIVE: [&str; 4] = ["card_uri", "media", "poll", "quote_tweet_id"];
const WHO_REPLIES: [&str; 4] = ["following", "mentionedUsers", "subscribers", "verified"];

impl Asked {
    fn read(body: &Bytes) -> Result<Self, Problem> {
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| Problem::invalid("body", "", "The request body is not a JSON object."))?;
        if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            let message =
                format!("$.{name}: is not defined in the schema and additional properties are refused");
            return Err(Problem::invalid(name, "", &message));
        }
        for flag in ["made_with_ai", "paid_partnership", "nullcast", "for_super_followers_only"] {
            if fields.get(flag).is_some_and(|value| !value.is_boolean()) {
                return Err(Problem::invalid(flag, "", &format!("$.{flag}: is not a boolean")));
            }
        }
        if EXCLUSIVE.iter().filter(|name| fields.contains_key(**name)).count() > 1 {
            return Err(Problem::not_permitted());
        }
        if fields.contains_key("quote_tweet_id") {
            // Quoting is for enterprises since April 2026.
            return Err(Problem::not_permitted());
        }
        let media_ids = match fields.get("media") {
            None => Vec::new(),
            Some(media) => ids(media.get("media_ids"))
                .filter(|ids| (1..=4).contains(&ids.len()))
                .ok_or_else(|| Problem::invalid("media.media_ids", "", "$.media.media_ids: 1 to 4 ids"))?,
        };
        let parent = fields.get("reply").map(|reply| {
            let id = reply.get("in_reply_to_tweet_id").and_then(Value::as_str);
            id.filter(|id| is_id(id)).map(str::to_owned).ok_or_else(|| {
                Problem::invalid("reply.in_reply_to_tweet_id", "", "$.reply.in_reply_to_tweet_id: not an id")
            })
        });
        let reply_settings = fields.get("reply_settings").map(|who| {
            who.as_str().filter(|who| WHO_REPLIES.contains(who)).map(str::to_owned).ok_or_else(|| {
                Problem::invalid("reply_settings", "", "$.reply_settings: not one of the enumeration")
            })
        });
        Ok(Self {
            text: fields.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
            media_ids,
            parent: parent.transpose()?,
            reply_settings: reply_settings.transpose()?,
        })
    }
}

fn is_id(text: &str) -> bool {
    (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn ids(value: Option<&Value>) -> Option<Vec<String>> {
    let of = |id: &Value| id.as_str().filter(|id| is_id(id)).map(str::to_owned);
    value?.as_array()?.iter().map(of).collect()
}

fn media_of(world: &World, handle: &str, asked: &Asked, now_ms: i64) -> Result<Vec<Usable>, Problem> {
    let found = asked.media_ids.iter().map(|id| usable(world, handle, id, now_ms));
    let media: Vec<Usable> = found.collect::<Option<_>>().ok_or_else(|| {
        Problem::invalid("media.media_ids", &asked.media_ids.join(","), "Your media IDs are invalid.")
    })?;
    // Four pictures, or one animation, or one film.
    if media.len() > 1 && media.iter().any(|usable| !usable.is_still) {
        return Err(Problem::not_permitted());
    }
    Ok(media)
}

/// The post replied to. Apps may only reply where the account is the author or was mentioned.
fn parent(world: &World, id: &str, handle: &str) -> Result<Post, Problem> {
    let parent: Post = world.docs.get(NETWORK, "post", id).ok_or_else(|| {
        Problem::forbidden("You attempted to reply to a Tweet that is deleted or not visible to you.")
    })?;
    let summoned = parent.text.split_whitespace().any(|word| word.strip_prefix('@') == Some(handle));
    if parent.account == handle || summoned { Ok(parent) } else { Err(Problem::not_permitted()) }
}

/// The same for texts that differ in case and white space alone.
fn fingerprint(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    crypto::sha256_hex(words.join(" ").as_bytes())[..32].to_owned()
}

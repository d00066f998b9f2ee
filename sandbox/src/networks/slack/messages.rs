//! Messages and their threads: posting, reading back and deleting. A message is known by its channel and its `ts`.

use axum::{Extension, extract::State};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Refusal, account_of, bot_user, channels, forms_only, holder, ok};
use crate::{
    docs::{Change, View},
    ledger::{Attached, Entry},
    oauth::Token,
    params::Params,
    script::Quirks,
    web::RequestId,
    world::{Counts, Ctx, World},
};

/// Longer texts are cut.
const TEXT: usize = 40_000;

/// Most messages that one call reads, for apps outside of the Marketplace.
const PAGE: usize = 15;

/// One message as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) channel: String,
    pub(super) ts: String,
    pub(super) account: String,
    user: String,
    text: String,
    pub(super) thread_ts: Option<String>,
    metadata: Option<Value>,
    files: Vec<String>,
}

impl Message {
    fn key(&self) -> String {
        format!("{}/{}", self.channel, self.ts)
    }

    /// Metadata are shown only to those who ask for them.
    fn view(&self, metadata: bool, counts: Counts, replies: usize) -> Value {
        let mut view = json!({
            "type": "message", "user": self.user, "bot_id": "B0SANDBOX", "text": self.text, "ts": self.ts,
        });
        if let Some(thread_ts) = &self.thread_ts {
            view["thread_ts"] = json!(thread_ts);
        }
        if let Some(told) = self.metadata.as_ref().filter(|_| metadata) {
            view["metadata"] = told.clone();
        }
        if !self.files.is_empty() {
            view["files"] = self.files.iter().map(|id| json!({"id": id})).collect();
            view["subtype"] = json!("file_share");
        }
        let replies = replies + counts.replies as usize;
        if replies > 0 {
            view["reply_count"] = json!(replies);
            view["thread_ts"] = json!(self.ts);
        }
        if counts.likes > 0 {
            view["reactions"] = json!([{"name": "thumbsup", "count": counts.likes, "users": ["U0OWNER"]}]);
        }
        view
    }

    fn is_root(&self) -> bool {
        self.thread_ts.is_none()
    }
}

/// What a message is made of.
pub(super) struct Draft {
    pub(super) channel: String,
    pub(super) text: String,
    pub(super) thread_ts: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) files: Vec<String>,
    pub(super) media: Vec<Attached>,
    pub(super) request_id: String,
}

/// Makes the message, together with other changes. A thread that does not exist is made by its first reply.
pub(super) fn made(
    ctx: &Ctx,
    world: &mut World,
    token: &Token,
    draft: Draft,
    with: impl FnOnce(&Message) -> Vec<Change>,
) -> Result<Message, Refusal> {
    let last: i64 = world.docs.get(NETWORK, "counter", "ts").unwrap_or(0);
    let micros = (ctx.now_ms() * 1000).max(last + 1);
    let user = bot_user(&account_of(world, token)?);
    let text: String = draft.text.chars().take(TEXT).collect();
    let message = Message {
        channel: draft.channel,
        ts: format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
        account: token.account.clone(),
        user,
        text,
        thread_ts: draft.thread_ts,
        metadata: draft.metadata,
        files: draft.files,
    };
    let shown = message.text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let mut entry = Entry::new(NETWORK, "post", &token.account, message.key(), shown, draft.request_id);
    entry = entry.with_media(draft.media);
    if let Some(thread_ts) = &message.thread_ts {
        entry = entry.replying_to(format!("{}/{thread_ts}", message.channel));
    }
    let mut changes =
        vec![Change::put("counter", "ts", &micros), Change::put("post", message.key(), &message)];
    changes.extend(with(&message));
    world.show(NETWORK, changes, vec![entry])?;
    Ok(message)
}

pub(super) async fn publish(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &["chat:write"], ctx.now_ms())?;
    let channel = channels::named(&world, &token, &params.text("channel").unwrap_or_default())?;
    channel.takes_posts_of(&token)?;
    let text = params.present("text").unwrap_or_default();
    if text.is_empty() && params.json("blocks").is_none() {
        return Err(Refusal::new("no_text"));
    }
    let metadata = params.json("metadata");
    let is_plain =
        |metadata: &Value| metadata["event_type"].is_string() && metadata["event_payload"].is_object();
    if metadata.as_ref().is_some_and(|metadata| !is_plain(metadata)) {
        return Err(Refusal::new("invalid_metadata_format"));
    }
    let draft = Draft {
        channel: channel.id,
        text,
        thread_ts: params.present("thread_ts"),
        metadata,
        files: Vec::new(),
        media: Vec::new(),
        request_id,
    };
    let message = made(&ctx, &mut world, &token, draft, |_| Vec::new())?;
    let view = message.view(true, Counts::default(), 0);
    Ok(ok(json!({"channel": message.channel, "ts": message.ts, "message": view})))
}

/// A moment in microseconds; `1503435956.000247` or a part of it.
fn moment(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_once('.').unwrap_or((text, ""));
    let micros = format!("{rest:0<6}");
    Some(seconds.parse::<i64>().ok()? * 1_000_000 + micros.get(..6)?.parse::<i64>().ok()?)
}

/// Whether a message lies in the span that a request asks about.
fn in_span(params: &Params, message: &Message) -> bool {
    let bound = |name: &str| params.present(name).and_then(|text| moment(&text));
    let (at, inclusive) = (moment(&message.ts).unwrap_or(0), params.truth("inclusive"));
    let after = bound("oldest").is_none_or(|oldest| at > oldest || (inclusive && at == oldest));
    let before = bound("latest").is_none_or(|latest| at < latest || (inclusive && at == latest));
    after && before
}

fn of_channel(docs: View<'_>, channel: &str) -> Vec<Message> {
    docs.range::<Message>(NETWORK, "post", &format!("{channel}/")).map(|(_, message)| message).collect()
}

/// One page of messages and the cursor of the next one.
fn paged(world: &World, params: &Params, all: &[Message], shown: &[&Message]) -> Value {
    let limit = params.number("limit").filter(|limit| *limit > 0).unwrap_or(100) as usize;
    let limit = limit.min(PAGE);
    let from: usize = params.present("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let more = from + limit < shown.len();
    let next = if more { (from + limit).to_string() } else { String::new() };
    let metadata = params.truth("include_all_metadata");
    let view = |message: &&Message| {
        let replies = all.iter().filter(|reply| reply.thread_ts.as_ref() == Some(&message.ts)).count();
        message.view(metadata, world.counts(NETWORK, &message.key()).unwrap_or_default(), replies)
    };
    let messages: Vec<_> = shown.iter().skip(from).take(limit).map(view).collect();
    json!({"messages": messages, "has_more": more, "response_metadata": {"next_cursor": next}})
}

/// The messages of a channel without those of threads, the newest first; members only.
pub(super) async fn history(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    forms_only(&headers)?;
    let world = ctx.world();
    let token = holder(&world, &headers, &params, &["channels:history", "groups:history"], ctx.now_ms())?;
    let channel = channels::named(&world, &token, &params.text("channel").unwrap_or_default())?;
    if !channel.is_member {
        return Err(Refusal::new("not_in_channel"));
    }
    let all = of_channel(world.docs.at(quirks.as_of(ctx.now_ms())), &channel.id);
    let shown: Vec<_> =
        all.iter().rev().filter(|message| message.is_root() && in_span(&params, message)).collect();
    Ok(ok(paged(&world, &params, &all, &shown)))
}

/// A message with the replies to it, the oldest first.
pub(super) async fn replies(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    forms_only(&headers)?;
    let world = ctx.world();
    let token = holder(&world, &headers, &params, &["channels:history", "groups:history"], ctx.now_ms())?;
    let channel = channels::named(&world, &token, &params.text("channel").unwrap_or_default())?;
    if !channel.is_member {
        return Err(Refusal::new("not_in_channel"));
    }
    let ts = params.present("ts").unwrap_or_default();
    let all = of_channel(world.docs.at(quirks.as_of(ctx.now_ms())), &channel.id);
    if !all.iter().any(|message| message.ts == ts) {
        return Err(Refusal::new("thread_not_found"));
    }
    let belongs = |message: &&Message| {
        message.ts == ts || (message.thread_ts.as_ref() == Some(&ts) && in_span(&params, message))
    };
    let shown: Vec<_> = all.iter().filter(belongs).collect();
    Ok(ok(paged(&world, &params, &all, &shown)))
}

pub(super) async fn delete(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &["chat:write"], ctx.now_ms())?;
    let channel = channels::named(&world, &token, &params.text("channel").unwrap_or_default())?;
    let key = format!("{}/{}", channel.id, params.text("ts").unwrap_or_default());
    let message: Option<Message> = world.docs.get(NETWORK, "post", &key);
    let message = message.ok_or_else(|| Refusal::new("message_not_found"))?;
    if message.account != token.account {
        return Err(Refusal::new("cant_delete_message"));
    }
    world.keep(NETWORK, vec![Change::remove("post", key)])?;
    Ok(ok(json!({"channel": message.channel, "ts": message.ts})))
}

/// Where people find a message.
pub(super) fn address(ctx: &Ctx, channel: &str, ts: &str) -> String {
    format!("{}/archives/{channel}/p{}", ctx.base(NETWORK), ts.replace('.', ""))
}

pub(super) async fn permalink(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &headers, &params, &[], ctx.now_ms())?;
    let channel = channels::named(&world, &token, &params.text("channel").unwrap_or_default())?;
    let ts = params.text("message_ts").unwrap_or_default();
    if !world.docs.has(NETWORK, "post", &format!("{}/{ts}", channel.id)) {
        return Err(Refusal::new("message_not_found"));
    }
    Ok(ok(json!({"channel": channel.id, "permalink": address(&ctx, &channel.id, &ts)})))
}

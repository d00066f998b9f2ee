//! Messages: sending and deleting. Lengths are counted in UTF-16 units, files may come with the request or be fetched.

use axum::{
    Extension,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Refusal, bot, chats, chats::Chat, ok};
use crate::{
    crypto,
    docs::Change,
    ledger::Entry,
    media::{self, Stored},
    params::Params,
    web::RequestId,
    world::{Ctx, World},
};

const TEXT: usize = 4096;
const CAPTION: usize = 1024;
const PHOTO_BYTES: u64 = 10 << 20;
const FILE_BYTES: u64 = 50 << 20;

/// One message as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Message {
    chat: i64,
    id: i64,
    date_ms: i64,
    text: String,
    file: Option<(String, Stored)>,
    group: Option<String>,
    reply_to: Option<i64>,
    /// Under which id the ledger shows it.
    shown_as: String,
}

impl Message {
    fn view(&self, chat: &Chat) -> Value {
        let mut view = json!({
            "message_id": self.id, "sender_chat": chat.view(), "chat": chat.view(), "date": self.date_ms / 1000,
        });
        match &self.file {
            None => view["text"] = json!(self.text),
            Some((kind, file)) => {
                let unique = &file.sha256[..16];
                let shown = json!({
                    "file_id": format!("AgAC{unique}"), "file_unique_id": unique, "file_size": file.size,
                    "width": file.width.unwrap_or(320), "height": file.height.unwrap_or(320),
                });
                view[kind] = if kind == "photo" { json!([shown]) } else { shown };
                if !self.text.is_empty() {
                    view["caption"] = json!(self.text);
                }
            }
        }
        if let Some(group) = &self.group {
            view["media_group_id"] = json!(group);
        }
        if let Some(reply_to) = self.reply_to {
            view["reply_to_message"] = json!({"message_id": reply_to, "chat": chat.view()});
        }
        view
    }
}

/// The id under which the ledger shows a message.
pub(super) fn shown_as(world: &World, chat: i64, message: &str) -> Option<String> {
    world.docs.get::<Message>(NETWORK, "post", &format!("{chat}/{message}")).map(|message| message.shown_as)
}

pub(super) async fn message(
    State(ctx): State<Ctx>,
    Path(segment): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let text = params.text("text").unwrap_or_default().trim().to_owned();
    sent(&ctx, &segment, &params, request_id, vec![(text, None)])
}

pub(super) async fn photo(
    State(ctx): State<Ctx>,
    Path(segment): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    one(&ctx, &segment, params, request_id, "photo").await
}

pub(super) async fn video(
    State(ctx): State<Ctx>,
    Path(segment): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    one(&ctx, &segment, params, request_id, "video").await
}

pub(super) async fn animation(
    State(ctx): State<Ctx>,
    Path(segment): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    params: Params,
) -> Answer {
    one(&ctx, &segment, params, request_id, "animation").await
}

async fn one(ctx: &Ctx, segment: &str, mut params: Params, request_id: String, kind: &str) -> Answer {
    bot(&ctx.world(), segment, ctx.now_ms())?;
    let named = params.text(kind);
    let file = file(ctx, &mut params, kind, named.as_deref(), kind).await?;
    let caption = params.text("caption").unwrap_or_default().trim().to_owned();
    sent(ctx, segment, &params, request_id, vec![(caption, Some(file))])
}

/// An album. Its items name files of the request as `attach://<field>`.
pub(super) async fn group(
    State(ctx): State<Ctx>,
    Path(segment): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    mut params: Params,
) -> Answer {
    bot(&ctx.world(), &segment, ctx.now_ms())?;
    let media = params.json("media").and_then(|media| media.as_array().cloned());
    let media = media.ok_or_else(|| Refusal::bad("can't parse media JSON object"))?;
    if !(2..=10).contains(&media.len()) {
        return Err(Refusal::bad("there must be 2-10 items in a media group"));
    }
    let mut parts = Vec::new();
    for item in &media {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text("type");
        if kind != "photo" && kind != "video" {
            return Err(Refusal::bad("type of file mismatch"));
        }
        let named = text("media");
        let field = named.strip_prefix("attach://").unwrap_or_default().to_owned();
        let file = file(&ctx, &mut params, &field, Some(&named), &kind).await?;
        parts.push((text("caption").trim().to_owned(), Some(file)));
    }
    sent(&ctx, &segment, &params, request_id, parts)
}

/// A file that came with the request in that field, or that an address names.
async fn file(
    ctx: &Ctx,
    params: &mut Params,
    field: &str,
    named: Option<&str>,
    kind: &str,
) -> Result<(String, Stored), Refusal> {
    let (bytes, mime) = match (params.files.remove(field), named) {
        (Some(upload), _) => (upload.bytes, upload.mime),
        (None, Some(url)) if url.starts_with("http") => {
            let fetched = ctx.fetch(url).await;
            let fetched = fetched.map_err(|_| Refusal::bad("failed to get HTTP URL content"))?;
            (fetched.bytes, fetched.mime)
        }
        (None, None | Some("")) => return Err(Refusal::bad(&format!("there is no {kind} in the request"))),
        _ => return Err(Refusal::bad("wrong file identifier/HTTP URL specified")),
    };
    let size = bytes.len() as u64;
    if size > FILE_BYTES {
        return Err(Refusal(413, "Request Entity Too Large".to_owned(), Value::Null));
    }
    let stored = media::store(ctx, &bytes, mime.as_deref()).await?;
    if kind == "photo" {
        if size > PHOTO_BYTES {
            let text = format!(
                "file of size {size} bytes is too big for a photo; the maximum size is {PHOTO_BYTES} bytes"
            );
            return Err(Refusal::bad(&text));
        }
        let (Some(width), Some(height)) = (stored.width, stored.height) else {
            return Err(Refusal::bad("IMAGE_PROCESS_FAILED"));
        };
        let (long, short) = (width.max(height), width.min(height).max(1));
        if width + height > 10_000 || long > short * 20 {
            return Err(Refusal::bad("PHOTO_INVALID_DIMENSIONS"));
        }
    }
    // Anything but a film is sent as a plain file.
    let kind = if kind == "video" && !stored.is_video() { "document" } else { kind };
    Ok((kind.to_owned(), stored))
}

/// Makes the messages, all of them or none.
fn sent(
    ctx: &Ctx,
    segment: &str,
    params: &Params,
    request_id: String,
    parts: Vec<(String, Option<(String, Stored)>)>,
) -> Answer {
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    let (account, _) = bot(&world, segment, now_ms)?;
    let chat = chats::named(&world, params)?;
    chat.takes_posts_of(&account)?;
    for (text, file) in &parts {
        let length = text.encode_utf16().count();
        if file.is_some() && length > CAPTION {
            return Err(Refusal::bad("message caption is too long"));
        }
        if file.is_none() && text.is_empty() {
            return Err(Refusal::bad("message text is empty"));
        }
        if file.is_none() && length > TEXT {
            return Err(Refusal::bad("message is too long"));
        }
        parsed(params, text)?;
    }
    let reply_to = reply_to(&world, &chat, params)?;
    let first: i64 = world.docs.get(NETWORK, "counter", &chat.id.to_string()).unwrap_or(1) + 1;
    let ids: Vec<_> = (first..).take(parts.len()).collect();
    let named = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let shown_as = format!("{}/{named}", chat.id);
    let group = (parts.len() > 1).then(crypto::token::<8>);
    let text = parts.iter().map(|(text, _)| text.as_str()).find(|text| !text.is_empty()).unwrap_or_default();
    let media = parts.iter().filter_map(|(_, file)| file.as_ref()).map(|(_, file)| file.attached(""));
    let mut entry = Entry::new(NETWORK, "post", &account, &shown_as, text, request_id);
    entry = entry.with_media(media.collect());
    if let Some(parent) = reply_to {
        entry = entry.replying_to(format!("{}/{parent}", chat.id));
    }
    let mut changes = vec![Change::put("counter", chat.id.to_string(), &(first + ids.len() as i64 - 1))];
    let mut views = Vec::new();
    for (id, (text, file)) in ids.into_iter().zip(parts) {
        let message = Message {
            chat: chat.id,
            id,
            date_ms: now_ms,
            text,
            file,
            group: group.clone(),
            reply_to,
            shown_as: shown_as.clone(),
        };
        views.push(message.view(&chat));
        changes.push(Change::put("post", format!("{}/{id}", chat.id), &message));
    }
    world.show(NETWORK, changes, vec![entry])?;
    Ok(ok(&if group.is_some() { json!(views) } else { views.remove(0) }))
}

/// The message replied to; it must be there.
fn reply_to(world: &World, chat: &Chat, params: &Params) -> Result<Option<i64>, Refusal> {
    let Some(reply) = params.json("reply_parameters") else { return Ok(None) };
    let id = reply.get("message_id").and_then(Value::as_i64);
    let id = id.ok_or_else(|| Refusal::bad("can't parse reply parameters"))?;
    if world.docs.has(NETWORK, "post", &format!("{}/{id}", chat.id)) {
        return Ok(Some(id));
    }
    if reply["allow_sending_without_reply"] == true {
        return Ok(None);
    }
    Err(Refusal::bad("message to be replied not found"))
}

/// With `parse_mode`, text is markup: reserved characters that are not escaped are refused.
fn parsed(params: &Params, text: &str) -> Result<(), Refusal> {
    if params.text("parse_mode").as_deref() != Some("MarkdownV2") {
        return Ok(());
    }
    let mut escaped = false;
    for c in text.chars() {
        if !escaped && "{}#+-=|.!>".contains(c) {
            let text = format!("can't parse entities: Character '{c}' is reserved and must be escaped");
            return Err(Refusal::bad(&text));
        }
        escaped = c == '\\' && !escaped;
    }
    Ok(())
}

pub(super) async fn delete(State(ctx): State<Ctx>, Path(segment): Path<String>, params: Params) -> Answer {
    let mut world = ctx.world();
    let (account, _) = bot(&world, &segment, ctx.now_ms())?;
    let chat = chats::named(&world, &params)?;
    chat.takes_posts_of(&account)?;
    let key = format!("{}/{}", chat.id, params.number("message_id").unwrap_or_default());
    if !world.docs.has(NETWORK, "post", &key) {
        return Err(Refusal::bad("message to delete not found"));
    }
    world.keep(NETWORK, vec![Change::remove("post", key)])?;
    Ok(ok(&json!(true)))
}

/// Messages that are not there are passed over.
pub(super) async fn delete_several(
    State(ctx): State<Ctx>,
    Path(segment): Path<String>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let (account, _) = bot(&world, &segment, ctx.now_ms())?;
    let chat = chats::named(&world, &params)?;
    chat.takes_posts_of(&account)?;
    let ids = params.json("message_ids").and_then(|ids| ids.as_array().cloned()).unwrap_or_default();
    if ids.is_empty() || ids.len() > 100 {
        return Err(Refusal::bad("there must be 1-100 identifiers of messages"));
    }
    let gone = ids.iter().map(|id| Change::remove("post", format!("{}/{id}", chat.id)));
    world.keep(NETWORK, gone.collect())?;
    Ok(ok(&json!(true)))
}

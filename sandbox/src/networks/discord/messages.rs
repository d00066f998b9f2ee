//! Messages of a webhook: executing it, reading one again, deleting one.

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Refusal, Webhook, webhook};
use crate::{
    clock,
    docs::Change,
    ledger::Entry,
    media::{self, Stored},
    params::{Params, as_text},
    script::Quirks,
    web::{self, RequestId},
    world::{Counts, Ctx},
};

const CONTENT: usize = 2000;
const FILES: usize = 10;
const FILE_BYTES: u64 = 10 << 20;

/// One message as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Message {
    id: String,
    webhook: String,
    channel_id: String,
    author: String,
    content: String,
    flags: i64,
    created_ms: i64,
    /// Whether it notified everyone.
    pinged: bool,
    files: Vec<(String, String, Stored)>,
}

impl Message {
    fn view(&self, counts: Counts) -> Value {
        let attachments = self.files.iter().enumerate().map(|(i, (name, alt, file))| {
            json!({
                "id": format!("{}{i}", self.id), "filename": name, "description": alt, "size": file.size,
                "content_type": file.mime, "width": file.width, "height": file.height,
                "url": format!("https://cdn.discordapp.com/attachments/{}/{}/{name}", self.channel_id, self.id),
            })
        });
        let attachments = attachments.collect::<Vec<_>>();
        let mut view = json!({
            "id": self.id, "type": 0, "channel_id": self.channel_id, "content": self.content,
            "author": {"bot": true, "id": self.webhook, "username": self.author, "discriminator": "0000"},
            "attachments": attachments, "embeds": [], "mentions": [], "mention_roles": [], "pinned": false,
            "mention_everyone": self.pinged, "tts": false, "timestamp": clock::iso_micros(self.created_ms),
            "edited_timestamp": null, "flags": self.flags, "components": [], "webhook_id": self.webhook,
        });
        if counts.likes > 0 {
            view["reactions"] = json!([
                {"emoji": {"id": null, "name": "👍"}, "count": counts.likes.div_ceil(2), "me": false},
                {"emoji": {"id": null, "name": "🎉"}, "count": counts.likes / 2, "me": false},
            ]);
        }
        view
    }
}

pub(super) async fn execute(
    State(ctx): State<Ctx>,
    Path((id, token)): Path<(String, String)>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    mut params: Params,
) -> Answer {
    let hook = webhook(&ctx.world(), &id, &token, ctx.now_ms())?;
    let waits = params.truth("wait");
    // Beside files the fields are one JSON document.
    let payload = params.json("payload_json").unwrap_or_else(|| Value::Object(params.fields().clone()));
    let content = text(&payload, "content").trim().to_owned();
    let author = author(&hook, &payload)?;
    if content.chars().count() > CONTENT {
        let text = format!("Must be {CONTENT} or fewer in length.");
        return Err(Refusal::invalid("content", "BASE_TYPE_MAX_LENGTH", &text));
    }
    let embeds = payload.get("embeds").and_then(Value::as_array).map_or(0, Vec::len);
    if embeds > 10 {
        return Err(Refusal::invalid("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length."));
    }
    let files = files(&ctx, &mut params, &payload).await?;
    if content.is_empty() && files.is_empty() && embeds == 0 {
        return Err(Refusal::plain(400, 50006, "Cannot send an empty message"));
    }
    if hook.is_forum && text(&payload, "thread_name").is_empty() && params.get("thread_id").is_none() {
        let message = "Webhooks posted to forum channels must have a thread_name or thread_id";
        return Err(Refusal::plain(400, 220_001, message));
    }
    let mut world = ctx.world();
    let now_ms = ctx.now_ms();
    let message = Message {
        id: world.next_id(NETWORK, now_ms).to_string(),
        webhook: hook.id.clone(),
        channel_id: hook.channel_id.clone(),
        author,
        pinged: pings(&payload, &content),
        flags: payload.get("flags").and_then(Value::as_i64).unwrap_or(0),
        content,
        created_ms: now_ms,
        files,
    };
    let media = message.files.iter().map(|(_, alt, file)| file.attached(alt.as_str())).collect();
    let entry = Entry::new(NETWORK, "post", &hook.account, &message.id, &message.content, request_id);
    world.show(NETWORK, vec![Change::put("post", &message.id, &message)], vec![entry.with_media(media)])?;
    Ok(if waits {
        web::json(StatusCode::OK, &message.view(Counts::default()))
    } else {
        StatusCode::NO_CONTENT.into_response()
    })
}

/// The name shown, which may not look like the network's own.
fn author(hook: &Webhook, payload: &Value) -> Result<String, Refusal> {
    let name = text(payload, "username");
    let lower = name.to_lowercase();
    if lower.contains("discord") || lower.contains("clyde") {
        let text = "Username cannot contain \"discord\"";
        return Err(Refusal::invalid("username", "USERNAME_INVALID_CONTAINS", text));
    }
    if name.chars().count() > 80 {
        let text = "Must be between 1 and 80 in length.";
        return Err(Refusal::invalid("username", "BASE_TYPE_BAD_LENGTH", text));
    }
    Ok(if name.is_empty() { hook.name.clone() } else { name.to_owned() })
}

/// Without `allowed_mentions` every mention notifies.
fn pings(payload: &Value, content: &str) -> bool {
    let allowed = payload.pointer("/allowed_mentions/parse").and_then(Value::as_array);
    let everyone = allowed.is_none_or(|allowed| allowed.iter().any(|kind| kind == "everyone"));
    everyone && (content.contains("@everyone") || content.contains("@here"))
}

/// The files `files[0]`, `files[1]`, … with their descriptions.
async fn files(
    ctx: &Ctx,
    params: &mut Params,
    payload: &Value,
) -> Result<Vec<(String, String, Stored)>, Refusal> {
    if params.files.len() > FILES {
        return Err(Refusal::plain(400, 30015, "Maximum number of attachments in a message reached (10)"));
    }
    let about = payload.get("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    let about = |id: usize| {
        about
            .iter()
            .find(|item| item.get("id").and_then(as_text).as_deref() == Some(&id.to_string()))
            .cloned()
    };
    let mut files = Vec::new();
    for i in 0..params.files.len() {
        let Some(upload) = params.files.remove(&format!("files[{i}]")) else {
            return Err(Refusal::plain(400, 50035, "Invalid Form Body"));
        };
        if upload.bytes.len() as u64 > FILE_BYTES {
            return Err(Refusal::plain(413, 40005, "Request entity too large"));
        }
        let about = about(i).unwrap_or_default();
        let alt = text(&about, "description").to_owned();
        if alt.chars().count() > 1024 {
            return Err(Refusal::invalid(
                "attachments",
                "BASE_TYPE_MAX_LENGTH",
                "Must be 1024 or fewer in length.",
            ));
        }
        let name = upload.file_name.unwrap_or_else(|| text(&about, "filename").to_owned());
        files.push((name, alt, media::store(ctx, &upload.bytes, upload.mime.as_deref()).await?));
    }
    Ok(files)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) async fn show(
    State(ctx): State<Ctx>,
    Path((id, token, message)): Path<(String, String, String)>,
    Extension(quirks): Extension<Quirks>,
) -> Answer {
    let world = ctx.world();
    let hook = webhook(&world, &id, &token, ctx.now_ms())?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let found: Option<Message> = docs.get(NETWORK, "post", &message);
    let found = found.filter(|found| found.webhook == hook.id).ok_or_else(unknown)?;
    let counts = world.counts(NETWORK, &message).unwrap_or_default();
    Ok(web::json(StatusCode::OK, &found.view(counts)))
}

pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path((id, token, message)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let mut world = ctx.world();
    let hook = webhook(&world, &id, &token, ctx.now_ms())?;
    let found: Option<Message> = world.docs.get(NETWORK, "post", &message);
    let found = found.filter(|found| found.webhook == hook.id).ok_or_else(unknown)?;
    world.keep(NETWORK, vec![Change::remove("post", found.id)])?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn unknown() -> Refusal {
    Refusal::plain(404, 10008, "Unknown Message")
}

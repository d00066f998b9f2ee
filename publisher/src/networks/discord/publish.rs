//! Making a message: checks, the one request with its files, and what its answer proves.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json as object};

use super::{
    super::{
        files::{File, Form},
        validate::Check,
    },
    Answer, Call, Content, Fault, Limits, MediaSource, Session, Violation, Work, call, connect, errors, json,
    text_of, webhook, wire,
};
use crate::{
    domain::{
        outcome::Outcome,
        settings::{DiscordSettings, Settings},
    },
    media::Room,
};

/// Most bytes of all files of one message: the largest request Discord takes
/// (<https://docs.discord.com/developers/reference#uploading-files>).
const TOGETHER: i64 = 25 << 20;

/// Longest name shown in place of the webhook's own.
const NAME: usize = 80;

/// Parts of names that Discord keeps for itself
/// (<https://docs.discord.com/developers/resources/user#usernames-and-nicknames>).
const RESERVED: [&str; 2] = ["discord", "clyde"];

/// Links get no cards (message flag `SUPPRESS_EMBEDS`).
const SUPPRESS_EMBEDS: i64 = 1 << 2;

/// Everything Discord would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Discord", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Discord(_)));
    check.no_threads(position);
    let name = settings(content).username;
    let (length, lower) = (name.chars().count(), name.to_lowercase());
    if length > NAME {
        let text = format!("the name has {length} characters, Discord accepts at most {NAME}");
        check.add("settings.discord.username", "USERNAME_TOO_LONG", text);
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| lower.contains(**reserved)) {
        let text = format!("Discord accepts no name with `{reserved}` in it");
        check.add("settings.discord.username", "USERNAME_RESERVED", text);
    }
    check.together(content, TOGETHER);
    check.into_violations()
}

/// The body of the message: JSON without files, else a form that carries them. The same bytes for the same work.
pub(super) async fn body(session: &Session, work: &Work, media: &MediaSource) -> Result<Bytes, Fault> {
    let content = &work.content;
    let settings = settings(content);
    // Without this everyone would be notified whose name happens to stand in the text.
    let notified: &[&str] = if settings.mentions_notify { &["everyone", "roles", "users"] } else { &[] };
    let mut body = object!({ "content": content.text.trim(), "allowed_mentions": { "parse": notified } });
    if !settings.username.trim().is_empty() {
        body["username"] = object!(settings.username.trim());
    }
    if settings.suppress_embeds {
        body["flags"] = object!(SUPPRESS_EMBEDS);
    }
    if content.media.is_empty() {
        return Ok(body.to_string().into());
    }
    let mut files = Vec::new();
    for item in &content.media {
        files.push(File::read(media, work, item, Room::of(&session.limits)).await?);
    }
    let named = |i: usize, file: &File| file.name(&format!("file{i}"));
    let attachments = content.media.iter().zip(&files).enumerate().map(|(i, (item, file))| {
        let mut attachment = object!({ "id": i, "filename": named(i, file) });
        if !item.alt_text.is_empty() {
            attachment["description"] = object!(item.alt_text);
        }
        attachment
    });
    body["attachments"] = Value::Array(attachments.collect());
    let mut form = Form::new(&work.key);
    form.json("payload_json", &body);
    for (i, file) in files.iter().enumerate() {
        form.file(&format!("files[{i}]"), &named(i, file), &file.content_type, &file.bytes);
    }
    Ok(form.finish())
}

/// The one visible request.
pub(super) fn request(session: &Session, work: &Work, body: Bytes) -> Call {
    let path = webhook(&session.native_id, session.access_token.expose());
    let call = call(Method::POST, &session.server, &path, &[("wait", "true")]);
    if work.content.media.is_empty() {
        call.body("application/json", body)
    } else {
        call.body(&Form::content_type(&work.key), body)
    }
}

/// What the answer to it proves.
pub(super) fn answer(session: &Session, response: &Response<Bytes>, now_ms: i64) -> Answer {
    let body = json(response).unwrap_or_default();
    let status = response.status();
    let code = errors::code(&body);
    let mut seen = wire::seen(response, Some(code.as_str()).filter(|_| !status.is_success()), now_ms);
    seen.hold = errors::exhausted(response.headers()).or(seen.hold);
    if status.is_success() {
        let (id, channel) = (text_of(&body, "id"), text_of(&body, "channel_id"));
        let outcome = if id.is_empty() || channel.is_empty() {
            Outcome::Ambiguous { evidence: format!("Discord answered {status} without a message") }
        } else {
            let guild = connect::guild(session);
            let url = format!("{}/channels/{guild}/{channel}/{id}", session.server);
            Outcome::Accepted {
                native_id: id.to_owned(),
                url: if guild.is_empty() { String::new() } else { url },
            }
        };
        return Answer { outcome, wire: seen };
    }
    let wait = errors::retry_after(&body);
    if status.as_u16() == 429 {
        seen.hold = wait.filter(|wait| !wait.is_zero()).or(seen.hold);
    }
    let proof = wire::judge(errors::RULES, status, &code);
    let outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms).waiting(wait);
    Answer { outcome, wire: seen }
}

/// The id in a message's address: `discord.com/channels/<guild>/<channel>/<message>`.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let [.., "channels", _, _, id] = parts.as_slice() else { return None };
    id.bytes().all(|b| b.is_ascii_digit()).then(|| (*id).to_owned())
}

fn settings(content: &Content) -> DiscordSettings {
    match &content.settings {
        Settings::Discord(settings) => settings.clone(),
        _ => DiscordSettings::default(),
    }
}

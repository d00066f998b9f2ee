//! Making a message: checks, the one request with its files, and what its answer proves.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::{
        files::{File, Form},
        server,
        validate::Check,
    },
    Answer, Call, Content, Fault, Limits, MediaSource, PAGES, SERVER, Session, Violation, Work, chat, errors,
    json, method, wire,
};
use crate::{
    domain::{
        content::Media,
        outcome::Outcome,
        settings::{Settings, TelegramSettings},
    },
    media::Room,
};

/// Most bytes of all files of one message: a request is sent while its attempt lasts, about a minute.
const TOGETHER: i64 = 50 << 20;

/// Width and height of a photo together, and how many times longer one side may be than the other
/// (<https://core.telegram.org/bots/api#sendphoto>).
const SIDES: i64 = 10_000;
const RATIO: i64 = 20;

/// Everything Telegram would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Telegram", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Telegram(_)));
    for (i, item) in content.media.iter().enumerate() {
        let (width, height) = (i64::from(item.width), i64::from(item.height));
        if is_photo(item) && width.max(height) > width.min(height).max(1) * RATIO {
            let text = format!(
                "the picture has {width} x {height} pixels, Telegram accepts no side over {RATIO} times the other"
            );
            check.add(format!("media[{i}]"), "IMAGE_RATIO", text);
        }
        if is_animation(item) && content.media.len() > 1 {
            let text = "Telegram takes no animation in an album: post it by itself".to_owned();
            check.add(format!("media[{i}]"), "ANIMATION_IN_ALBUM", text);
        }
    }
    check.together(content, TOGETHER);
    check.into_violations()
}

fn is_animation(item: &Media) -> bool {
    item.content_type == "image/gif"
}

fn is_photo(item: &Media) -> bool {
    !item.is_video() && !is_animation(item)
}

/// How a picture must be: not over the sides, and never a WebP, which Telegram may take for a sticker.
fn room(limits: &Limits, item: &Media) -> Room {
    let mut room = Room::of(limits);
    let (width, height) = (i64::from(item.width), i64::from(item.height));
    if is_photo(item) && width + height > SIDES {
        // One per cent of margin for the rounding of both sides.
        let most = SIDES * 99 / 100;
        room.pixels = width * most / (width + height) * (height * most / (width + height));
    }
    if item.content_type == "image/webp" { room.jpeg() } else { room }
}

/// The method, by what is attached.
fn name(work: &Work) -> &'static str {
    match work.content.media.as_slice() {
        [] => "sendMessage",
        [one] if one.is_video() => "sendVideo",
        [one] if is_animation(one) => "sendAnimation",
        [_] => "sendPhoto",
        _ => "sendMediaGroup",
    }
}

/// The body of the message: JSON without files, else a form that carries them. The same bytes for the same work.
pub(super) async fn body(session: &Session, work: &Work, media: &MediaSource) -> Result<Bytes, Fault> {
    let (content, settings) = (&work.content, settings(&work.content));
    let text = content.text.trim();
    let reply = work.reply.as_ref().and_then(|reply| messages(&reply.parent_native_id).first().copied());
    let reply = reply.map(|id| object!({ "message_id": id }));
    let mut common = Vec::new();
    common.extend(reply.map(|reply| ("reply_parameters", reply)));
    common.extend(settings.silent.then_some(("disable_notification", object!(true))));
    common.extend(settings.protect_content.then_some(("protect_content", object!(true))));
    if content.media.is_empty() {
        let mut body = object!({ "chat_id": chat(session), "text": text });
        common.extend(
            settings.preview_disabled.then(|| ("link_preview_options", object!({ "is_disabled": true }))),
        );
        for (name, value) in common {
            body[name] = value;
        }
        return Ok(body.to_string().into());
    }
    let mut form = Form::new(&work.key);
    form.field("chat_id", &session.native_id);
    for (name, value) in common {
        form.field(name, &value.to_string());
    }
    let mut files = Vec::new();
    for item in &content.media {
        files.push(File::read(media, work, item, room(&session.limits, item)).await?);
    }
    if let ([item], [file]) = (content.media.as_slice(), files.as_slice()) {
        if !text.is_empty() {
            form.field("caption", text);
        }
        for (name, value) in of_video(item, file) {
            form.field(name, &value.to_string());
        }
        let field = match () {
            () if item.is_video() => "video",
            () if is_animation(item) => "animation",
            () => "photo",
        };
        form.file(field, &file.name(field), &file.content_type, &file.bytes);
        return Ok(form.finish());
    }
    let album = content.media.iter().zip(&files).enumerate().map(|(i, (item, file))| {
        let kind = if item.is_video() { "video" } else { "photo" };
        let mut part = object!({ "type": kind, "media": format!("attach://file{i}") });
        if i == 0 && !text.is_empty() {
            part["caption"] = object!(text); // more than one caption, and the album shows none
        }
        for (name, value) in of_video(item, file) {
            part[name] = value;
        }
        part
    });
    let album = Value::Array(album.collect());
    form.field("media", &album.to_string());
    for (i, file) in files.iter().enumerate() {
        let name = format!("file{i}");
        form.file(&name, &file.name(&name), &file.content_type, &file.bytes);
    }
    Ok(form.finish())
}

/// What the player should know of a video before it is loaded.
fn of_video(item: &Media, file: &File) -> Vec<(&'static str, Value)> {
    if !item.is_video() {
        return Vec::new();
    }
    vec![
        ("width", object!(file.width)),
        ("height", object!(file.height)),
        ("duration", object!(item.duration_ms.max(0).unsigned_abs().div_ceil(1000))),
        ("supports_streaming", object!(true)),
    ]
}

/// The one visible request.
pub(super) fn request(session: &Session, work: &Work, body: Bytes) -> Call {
    let call = method(&session.server, session.access_token.expose(), name(work));
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
    let text = errors::description(&body);
    let mut seen = wire::seen(response, Some(text).filter(|text| !text.is_empty()), now_ms);
    if status.is_success() {
        let outcome = accepted(session, &body["result"]).filter(|_| body["ok"] == true);
        let evidence =
            || Outcome::Ambiguous { evidence: format!("Telegram answered {status} without a message") };
        return Answer { outcome: outcome.unwrap_or_else(evidence), wire: seen };
    }
    let wait = errors::retry_after(&body);
    if status.as_u16() == 429 {
        seen.hold = wait.filter(|wait| !wait.is_zero()).or(seen.hold);
    }
    let proof = wire::judge(errors::RULES, status, text);
    let outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms).waiting(wait);
    Answer { outcome, wire: seen }
}

/// A message, or the messages of an album. Its id names the chat and every message, so that all of them can be deleted.
fn accepted(session: &Session, result: &Value) -> Option<Outcome> {
    let parts = result.as_array().map_or_else(|| std::slice::from_ref(result), Vec::as_slice);
    let ids: Option<Vec<i64>> = parts.iter().map(|part| part.get("message_id")?.as_i64()).collect();
    let ids = ids.filter(|ids| !ids.is_empty())?;
    let named = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let username = parts[0].pointer("/chat/username").and_then(Value::as_str);
    let place = username
        .map(str::to_owned)
        .or_else(|| session.native_id.strip_prefix("-100").map(|chat| format!("c/{chat}")));
    let site = server::sibling(&session.server, SERVER, PAGES);
    let url = place.map(|place| format!("{site}/{place}/{}", ids[0])).unwrap_or_default();
    Some(Outcome::Accepted { native_id: format!("{}/{named}", session.native_id), url })
}

/// The messages that an id names.
pub(super) fn messages(native_id: &str) -> Vec<i64> {
    let named = native_id.rsplit('/').next().unwrap_or_default();
    named.split(',').filter_map(|id| id.parse().ok()).collect()
}

/// The id in a message's address: `t.me/name/12`, or `t.me/c/1234/12` where the chat has no name.
pub(super) fn id_at(chat: &str, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let message = match parts.as_slice() {
        [.., "c", named, message] => (chat.strip_prefix("-100") == Some(*named)).then_some(*message)?,
        [.., _, message] => message,
        _ => return None,
    };
    message.parse::<i64>().ok().map(|message| format!("{chat}/{message}"))
}

fn settings(content: &Content) -> TelegramSettings {
    match &content.settings {
        Settings::Telegram(settings) => settings.clone(),
        _ => TelegramSettings::default(),
    }
}

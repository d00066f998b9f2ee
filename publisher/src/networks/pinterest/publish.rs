//! Making a pin: checks, the one request, and what its answer proves. Only fields that say something are sent: an empty
//! text is refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};
use url::Url;

use super::{
    Answer, Call, Content, Fault, Limits, MediaSource, Session, Violation, Work, errors, is_id, page, wire,
};
use crate::{
    domain::{
        outcome::Outcome,
        settings::{PinterestSettings, Settings},
    },
    media::Room,
    networks::{
        validate::Check,
        wire::{json, text_of},
    },
};

/// Longest link, characters.
const LINK: usize = 2048;

/// Longest description of a picture, characters; the shared check counts what people call characters.
const ALT: usize = 500;

/// Everything that would be refused.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Pinterest", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Pinterest(_)));
    check.no_threads(position);
    let settings = settings(content);
    check.title("settings.pinterest.title", settings.title.trim());
    let link = settings.link.trim();
    let is_address = Url::parse(link)
        .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some());
    if !link.is_empty() && !is_address {
        let text = format!("`{}` is not an http or https address", wire::short(link));
        check.add("settings.pinterest.link", "LINK", text);
    }
    let length = link.chars().count();
    if length > LINK {
        let text = format!("the link has {length} characters, Pinterest accepts at most {LINK}");
        check.add("settings.pinterest.link", "LINK_TOO_LONG", text);
    }
    for (name, id, reason) in [
        ("board_id", &settings.board_id, "BOARD"),
        ("board_section_id", &settings.board_section_id, "SECTION"),
    ] {
        if !id.is_empty() && !is_id(id) {
            let text = "boards and their sections are named by their numbers".to_owned();
            check.add(format!("settings.pinterest.{name}"), reason, text);
        }
    }
    if settings.cover_offset_ms < 0 {
        let text = "the cover cannot come before the video's beginning".to_owned();
        check.add("settings.pinterest.cover_offset_ms", "COVER", text);
    }
    for (i, item) in content.media.iter().enumerate() {
        let alt = item.alt_text.chars().count();
        if alt > ALT {
            let text = format!("the description has {alt} characters, Pinterest accepts at most {ALT}");
            check.add(format!("media[{i}].alt_text"), "ALT_TEXT_TOO_LONG", text);
        }
        let (width, height) = (i64::from(item.width), i64::from(item.height));
        if item.is_video() && width > 0 && height > 0 && (height > width * 2 || width * 100 > height * 191) {
            let text = format!(
                "the video is {width} x {height} pixels, Pinterest accepts from half as wide as high to 1.91 times as wide"
            );
            check.add(format!("media[{i}]"), "VIDEO_RATIO", text);
        }
    }
    let mut found = check.into_violations();
    found.dedup_by(|a, b| a.field == b.field && a.reason == b.reason);
    found
}

pub(super) fn settings(content: &Content) -> PinterestSettings {
    match &content.settings {
        Settings::Pinterest(settings) => settings.clone(),
        _ => PinterestSettings::default(),
    }
}

/// The texts of a pin by their names; empty ones are left out.
pub(super) fn texts(content: &Content) -> Vec<(&'static str, String)> {
    let settings = settings(content);
    let alt = content.media.iter().map(|item| item.alt_text.trim()).find(|alt| !alt.is_empty());
    let texts = [
        ("title", settings.title.trim()),
        ("description", content.text.trim()),
        ("link", settings.link.trim()),
        ("alt_text", alt.unwrap_or_default()),
    ];
    texts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name, text.to_owned()))
        .collect()
}

/// Whether nothing but the picture tells the pin from another.
pub(super) fn is_wordless(content: &Content) -> bool {
    texts(content).is_empty()
}

/// The body of a pin; the same bytes for the same content and media.
pub(super) fn body(board: &str, content: &Content, source: &Value) -> Bytes {
    let mut body = object!({ "board_id": board, "media_source": source });
    let section = settings(content).board_section_id;
    if !section.is_empty() {
        body["board_section_id"] = object!(section);
    }
    for (name, text) in texts(content) {
        body[name] = object!(text);
    }
    body.to_string().into()
}

/// The pictures, inside the request: nobody needs to fetch them, so postmesh may be where nobody can reach it. Several
/// share the room of one, or the request would be too large.
pub(super) async fn pictures(session: &Session, work: &Work, media: &MediaSource) -> Result<Value, Fault> {
    let items = &work.content.media;
    let room = Room::of(&session.limits);
    let room = Room { bytes: room.bytes / i64::try_from(items.len().max(1)).unwrap_or(1), ..room };
    let mut pictures = Vec::with_capacity(items.len());
    for item in items {
        let takes = session.limits.image_types.contains(&item.content_type);
        let room = if takes { room } else { room.jpeg() };
        let rendition = media.read(work.workspace_id, item.media_id, room).await?;
        let data = STANDARD.encode(&rendition.bytes);
        pictures.push(object!({ "content_type": rendition.content_type, "data": data }));
    }
    if pictures.len() > 1 {
        return Ok(object!({ "source_type": "multiple_image_base64", "items": pictures }));
    }
    let mut picture = pictures.pop().ok_or_else(|| Fault::Rejected {
        code: "MEDIA_REQUIRED".into(),
        message: "Pinterest takes no pin without a picture or a video.".into(),
    })?;
    picture["source_type"] = object!("image_base64");
    Ok(picture)
}

/// An uploaded video, with one of its frames as the cover; a cover is required. Whole seconds from the beginning.
pub(super) fn video(media_id: &str, content: &Content) -> Value {
    let seconds = settings(content).cover_offset_ms.max(0) / 1000;
    object!({ "source_type": "video_id", "media_id": media_id, "cover_image_key_frame_time": seconds })
}

/// The one visible request.
pub(super) fn request(session: &Session, body: Bytes) -> Call {
    Call::post(&session.server, "/v5/pins")
        .bearer(session.access_token.expose())
        .body("application/json", body)
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, session: &Session, now_ms: i64) -> Answer {
    let status = response.status();
    if !status.is_success() {
        return errors::answer(response, now_ms);
    }
    let body = json(response).unwrap_or_default();
    let id = text_of(&body, "id");
    let outcome = if is_id(id) {
        Outcome::Accepted { native_id: id.to_owned(), url: page(&session.server, id) }
    } else {
        Outcome::Ambiguous { evidence: format!("the network answered {status} without a pin") }
    };
    let mut wire = wire::seen(response, None, now_ms);
    wire.hold = errors::hold(response);
    Answer { outcome, wire }
}

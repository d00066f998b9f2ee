//! Photos: shared under addresses of their own, and published by the call that names these.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    Answer, AttemptFacts, Fault, Found, Handles, MediaSource, Session, Tiktok, Work, errors,
    post::{Creator, Head, Request, settings},
    status::Following,
    wire::{self, text_of},
};
use crate::{
    domain::{content::Media, outcome::Outcome},
    media::Room,
};

/// Photos are taken up to 1080p (<https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide>); a little
/// less, so that rounding never goes over it.
const SHORT: f64 = 1076.0;
const LONG: f64 = 1912.0;

/// Shares the photos, each address stored before the network hears of it, and builds the call.
pub(super) async fn share_step(
    session: &Session,
    work: &Work,
    creator: Option<&Creator>,
    media: &MediaSource,
    handles: &mut dyn Handles,
) -> Result<Request, Fault> {
    let mut urls = Vec::with_capacity(work.content.media.len());
    for (i, item) in work.content.media.iter().enumerate() {
        let step = format!("share.{i}");
        if !handles.stored().contains_key(&step) {
            let room = Room { pixels: pixels(item), ..Room::of(&session.limits) }.jpeg();
            let shared = media.share(work.workspace_id, item.media_id, room, 0).await?;
            handles.save(&step, object!(shared.url)).await?;
        }
        urls.push(handles.stored().get(&step).cloned().unwrap_or_default());
    }
    let public = creator.is_some_and(Creator::is_public);
    let body = body(work, creator, &urls).to_string().into();
    Ok(Request { head: Head { public, upload: None }, body })
}

/// How many pixels a photo may have so that no side goes over 1080p; 0 where nobody knows its form.
fn pixels(item: &Media) -> i64 {
    let (width, height) = (f64::from(item.width), f64::from(item.height));
    if item.width <= 0 || item.height <= 0 {
        return 0;
    }
    let scale = (SHORT / width.min(height)).min(LONG / width.max(height)).min(1.0);
    ((width * scale) * (height * scale)).max(1.0) as i64
}

/// The description of the post; the same for the same work and handles.
fn body(work: &Work, creator: Option<&Creator>, urls: &[Value]) -> Value {
    let settings = settings(&work.content);
    let mut info = creator.map(|creator| creator.info(&settings)).unwrap_or_default();
    if creator.is_some() {
        info.insert("auto_add_music".into(), object!(settings.auto_add_music));
    }
    if !settings.title.is_empty() {
        info.insert("title".into(), object!(settings.title));
    }
    info.insert("description".into(), object!(work.content.text.trim()));
    object!({
        "media_type": "PHOTO",
        "post_mode": if creator.is_some() { "DIRECT_POST" } else { "MEDIA_UPLOAD" },
        "post_info": info,
        "source_info": { "source": "PULL_FROM_URL", "photo_cover_index": 0, "photo_images": urls },
    })
}

/// What the answer proves: the code `ok` with a publish id, or a listed refusal.
pub(super) fn answer(response: &Response<Bytes>, request: &Request, now_ms: i64) -> Answer {
    let code = errors::code(response);
    let mut wire = wire::seen(response, Some(code.as_str()).filter(|code| !code.is_empty()), now_ms);
    let publish_id = errors::data(response).map(|data| text_of(&data, "publish_id").to_owned());
    let outcome = match publish_id.filter(|id| !id.is_empty()) {
        Some(id) => {
            Outcome::Processing { handle: Following::new(&id, request.head.public, now_ms).written() }
        }
        None => errors::refused(response, now_ms),
    };
    if let Outcome::Transient { retry_after, .. } = &outcome {
        wire.hold = wire.hold.max(*retry_after);
    }
    Answer { outcome, wire }
}

impl Tiktok {
    /// Whether the list of public posts shows the post. It shows neither private posts nor those that are still looked
    /// at, so nothing follows from their absence.
    pub(super) async fn look_in_list(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let path = "/v2/video/list/?fields=id,create_time,share_url,title,video_description";
        let data = self.ask(Self::post(session, path, object!({ "max_count": 20 }).to_string())).await?;
        let posts = data.get("videos").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let text = squeeze(&work.content.text);
        let fits = |post: &&Value| {
            let at = post.get("create_time").and_then(Value::as_i64).unwrap_or(0).saturating_mul(1000);
            let is_ours = squeeze(text_of(post, "video_description")) == text;
            let is_taken = attempt.taken_native_ids.iter().any(|taken| taken == text_of(post, "id"));
            !text.is_empty() && is_ours && !is_taken && at >= attempt.looked_for_since()
        };
        let mut found = posts.iter().filter(fits).filter(|post| !text_of(post, "id").is_empty());
        Ok(match (found.next(), found.next()) {
            (Some(one), None) => Found::Live {
                native_id: text_of(one, "id").to_owned(),
                url: text_of(one, "share_url").to_owned(),
                evidence: "one public post since then has its description".into(),
            },
            (None, _) => Found::Unseen,
            _ => Found::Unsure { why: "several public posts have its description".into() },
        })
    }
}

/// One space for every run of white space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_go_out_no_larger_than_1080p() {
        let of = |width: i32, height: i32| pixels(&Media { width, height, ..Media::default() });
        assert_eq!(of(800, 600), 480_000);
        assert_eq!(of(0, 600), 0);
        for (width, height) in [(4000, 4000), (4000, 3000), (3000, 4000), (6000, 1000), (1080, 1920)] {
            let most = of(width, height) as f64;
            let ratio = f64::from(width.max(height)) / f64::from(width.min(height));
            let short = (most / ratio).sqrt();
            assert!(short <= 1080.0 && short * ratio <= 1920.0, "{width} x {height}: {short}");
        }
        assert_eq!(of(4000, 4000), 1_157_776);
    }
}

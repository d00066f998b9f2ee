//! What a pin shows: pictures that come along or are fetched, several of them, or a video that was uploaded before.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::Value;

use super::{media, rest::Refused};
use crate::{
    media::{Stored, store},
    world::Ctx,
};

/// Largest picture, bytes.
const PICTURE: usize = 20 << 20;

/// The files of a pin, and what kind of medium it is.
pub(super) struct Shown {
    pub(super) files: Vec<Stored>,
    pub(super) media_type: &'static str,
}

/// Reads the source of a pin; fetches what it points to.
pub(super) async fn read(ctx: &Ctx, account: &str, source: &Value) -> Result<Shown, Refused> {
    let kind = source.get("source_type").and_then(Value::as_str).unwrap_or_default();
    let allowed: &[&str] = match kind {
        "image_base64" => &["source_type", "content_type", "data", "is_standard"],
        "image_url" => &["source_type", "url", "is_standard"],
        "multiple_image_base64" | "multiple_image_urls" => &["source_type", "items", "index"],
        "video_id" => &[
            "source_type",
            "media_id",
            "cover_image_url",
            "cover_image_content_type",
            "cover_image_data",
            "cover_image_key_frame_time",
            "is_standard",
        ],
        _ => return Err(Refused::invalid(format!("'{kind}' is not a valid source_type"))),
    };
    only(source, allowed)?;
    match kind {
        "image_base64" => Ok(Shown { files: vec![inline(ctx, source).await?], media_type: "image" }),
        "image_url" => Ok(Shown { files: vec![fetched(ctx, source).await?], media_type: "image" }),
        "video_id" => video(ctx, account, source),
        _ => {
            let items = source.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if items.len() < 2 {
                return Err(Refused::invalid("items is too short; constraint: minItems=2"));
            }
            if items.len() > 5 {
                return Err(Refused::invalid("items is too long; constraint: maxItems=5"));
            }
            let mut files = Vec::new();
            for item in items {
                only(item, &["title", "description", "link", "content_type", "data", "url"])?;
                files.push(match kind {
                    "multiple_image_base64" => inline(ctx, item).await?,
                    _ => fetched(ctx, item).await?,
                });
            }
            Ok(Shown { files, media_type: "multiple_images" })
        }
    }
}

/// Fields that are not described are refused.
fn only(object: &Value, allowed: &[&str]) -> Result<(), Refused> {
    let fields = object.as_object().ok_or_else(|| Refused::invalid(format!("{object} is not an object")))?;
    match fields.keys().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => {
            let why = format!("Additional properties are not allowed ('{name}' was unexpected)");
            Err(Refused::invalid(why))
        }
        None => Ok(()),
    }
}

fn text<'v>(object: &'v Value, name: &str) -> Result<&'v str, Refused> {
    let text = object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| Refused::invalid(format!("'{name}' is a required property")))
}

async fn inline(ctx: &Ctx, item: &Value) -> Result<Stored, Refused> {
    let claimed = text(item, "content_type")?;
    if !matches!(claimed, "image/jpeg" | "image/png") {
        let why = format!("'{claimed}' is not one of ['image/jpeg', 'image/png']");
        return Err(Refused::invalid(why));
    }
    let bytes = STANDARD.decode(text(item, "data")?);
    let bytes = bytes.map_err(|_| Refused::invalid("data does not match '^[a-zA-Z0-9+/=]+$'"))?;
    let stored = picture(ctx, &Bytes::from(bytes)).await?;
    if stored.mime != claimed {
        return Err(Refused::new(400, 235, "The image is not of the stated content type."));
    }
    Ok(stored)
}

async fn fetched(ctx: &Ctx, item: &Value) -> Result<Stored, Refused> {
    let found = ctx.fetch(text(item, "url")?).await;
    let found = found.map_err(|_| Refused::new(400, 235, "Sorry we could not fetch the image."))?;
    picture(ctx, &found.bytes).await
}

async fn picture(ctx: &Ctx, bytes: &Bytes) -> Result<Stored, Refused> {
    let stored = store(ctx, bytes, None).await?;
    if bytes.len() > PICTURE || !stored.is_image() || stored.width.is_none() {
        return Err(Refused::new(400, 235, "The image is invalid or too large."));
    }
    Ok(stored)
}

fn video(ctx: &Ctx, account: &str, source: &Value) -> Result<Shown, Refused> {
    let id = text(source, "media_id")?;
    let is_time = |time: &Value| time.as_u64().is_some();
    if source.get("cover_image_key_frame_time").is_some_and(|time| !is_time(time)) {
        return Err(Refused::invalid("cover_image_key_frame_time is not of type 'integer'"));
    }
    let has = |name: &str| source.get(name).is_some();
    let covered = has("cover_image_url")
        || has("cover_image_key_frame_time")
        || (has("cover_image_content_type") && has("cover_image_data"));
    if !covered {
        let why = "a video needs cover_image_url or cover_image_content_type and cover_image_data";
        return Err(Refused::invalid(why));
    }
    let found = media::find(&ctx.world(), id).filter(|video| video.account == account);
    let found = found.ok_or_else(|| Refused::new(404, 2102, "Media not found."))?;
    match (found.status(ctx.now_ms()), found.stored) {
        ("succeeded", Some(stored)) => Ok(Shown { files: vec![stored], media_type: "video" }),
        (status, _) => {
            Err(Refused::new(400, 2103, format!("The media upload is not ready: its status is {status}.")))
        }
    }
}

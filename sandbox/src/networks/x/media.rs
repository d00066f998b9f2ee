//! Uploads: pictures in one request, animations and films in segments. A file may be used by the account that uploaded
//! it, once it is processed, for a day.

use axum::{
    Extension,
    extract::{Path, State},
};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Problem, holder, ok};
use crate::{
    docs::Change,
    ledger::Attached,
    media::{self, Stored},
    params::Params,
    script::Quirks,
    world::{Ctx, World},
};

const DAY_MS: i64 = 86_400_000;
/// How long an upload that was begun waits for its end.
const OPEN_MS: i64 = 1_295_999_000;
const LARGEST_IMAGE: u64 = 5 << 20;
const LARGEST_GIF: u64 = 15 << 20;
const LARGEST_VIDEO: u64 = 512 << 20;
const LARGEST_SEGMENT: usize = 5 << 20;
/// How long films and animations are processed unless the script says otherwise.
const PROCESSING_MS: i64 = 1000;
const WRITE: [&str; 1] = ["media.write"];
const TYPES: [&str; 9] = [
    "video/mp4",
    "video/webm",
    "video/mp2t",
    "video/quicktime",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/webp",
    "image/bmp",
];

/// One upload; its id is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    id: String,
    account: String,
    category: String,
    total: u64,
    /// SHA-256 of each segment, by its index.
    segments: Vec<(u32, String)>,
    /// The whole, once it was finalized.
    stored: Option<Stored>,
    alt: String,
    expires_ms: i64,
    ready_ms: i64,
    fails: bool,
    /// What a script said about processing before there was anything to process.
    processing: Option<(u64, bool)>,
}

impl File {
    fn key(&self) -> String {
        let kind = match self.category.as_str() {
            "tweet_gif" => 16,
            "tweet_video" | "amplify_video" => 13,
            _ => 3,
        };
        format!("{kind}_{}", self.id)
    }

    fn told(&self, now_ms: i64) -> Value {
        let mut data = json!({
            "id": self.id,
            "media_key": self.key(),
            "expires_after_secs": (self.expires_ms - now_ms) / 1000,
        });
        let Some(stored) = &self.stored else { return data };
        data["size"] = json!(stored.size);
        if let (Some(w), Some(h)) = (stored.width, stored.height) {
            data["image"] = json!({"image_type": stored.mime, "w": w, "h": h});
        }
        if stored.is_video() {
            data["video"] = json!({"video_type": stored.mime});
        }
        if self.ready_ms > 0 {
            data["processing_info"] = self.processing_info(now_ms);
        }
        data
    }

    fn processing_info(&self, now_ms: i64) -> Value {
        let left_ms = self.ready_ms - now_ms;
        match () {
            () if left_ms > 500 => json!({"state": "pending", "check_after_secs": 1}),
            () if left_ms > 0 => {
                json!({"state": "in_progress", "check_after_secs": 1, "progress_percent": 50})
            }
            () if self.fails => json!({
                "state": "failed",
                "error": {"code": 1, "name": "InvalidMedia", "message": "Unsupported video format"},
            }),
            () => json!({"state": "succeeded", "progress_percent": 100}),
        }
    }
}

/// A file as a post takes it.
pub(super) struct Usable {
    pub(super) key: String,
    pub(super) attached: Attached,
    pub(super) is_video: bool,
    pub(super) is_still: bool,
}

/// The account's own file, when it is whole, processed and not too old.
pub(super) fn usable(world: &World, handle: &str, id: &str, now_ms: i64) -> Option<Usable> {
    let file: File = world.docs.get(NETWORK, "upload", id)?;
    let is_fit = file.account == handle && file.expires_ms > now_ms && file.ready_ms <= now_ms && !file.fails;
    let stored = file.stored.as_ref().filter(|_| is_fit)?;
    Some(Usable {
        key: file.key(),
        is_video: stored.is_video(),
        is_still: file.category == "tweet_image",
        attached: stored.attached(file.alt.clone()),
    })
}

/// A whole picture.
pub(super) async fn upload(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    mut params: Params,
) -> Answer {
    let account = holder(&ctx.world(), &ctx, &headers, &WRITE)?.account;
    let category = params.present("media_category").unwrap_or_default();
    if category != "tweet_image" {
        return Err(Problem::invalid("media_category", &category, "media_category must be tweet_image here"));
    }
    let file = params.files.remove("media").filter(|file| !file.bytes.is_empty());
    let file = file.ok_or_else(|| Problem::invalid("media", "", "media is required"))?;
    let stored = media::store(&ctx, &file.bytes, file.mime.as_deref()).await?;
    if !stored.mime.starts_with("image/") || stored.size > LARGEST_IMAGE {
        return Err(Problem::invalid("media", &stored.mime, "media type unrecognized or file too large."));
    }
    let now_ms = ctx.now_ms();
    let mut world = ctx.world();
    let file = File {
        id: world.next_id(NETWORK, now_ms).to_string(),
        account,
        category,
        total: stored.size,
        segments: Vec::new(),
        stored: Some(stored),
        alt: String::new(),
        expires_ms: now_ms + DAY_MS,
        ready_ms: quirks.processing.map_or(0, |(ms, _)| now_ms + ms as i64),
        fails: quirks.processing.is_some_and(|(_, fails)| fails),
        processing: None,
    };
    world.keep(NETWORK, vec![Change::put("upload", &file.id, &file)])?;
    Ok(ok(&json!({"data": file.told(now_ms)})))
}

pub(super) async fn initialize(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let account = holder(&world, &ctx, &headers, &WRITE)?.account;
    let asked = params.fields();
    let known = ["media_type", "total_bytes", "media_category", "additional_owners", "shared"];
    if let Some(name) = asked.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Problem::invalid(name, "", &format!("$.{name}: is not defined in the schema")));
    }
    let mime = params.present("media_type").unwrap_or_default();
    if !TYPES.contains(&mime.as_str()) {
        return Err(Problem::invalid("media_type", &mime, "media_type is not one of the enumeration"));
    }
    let category = params.present("media_category").unwrap_or_default();
    let most = match category.as_str() {
        "tweet_image" => LARGEST_IMAGE,
        "tweet_gif" => LARGEST_GIF,
        "tweet_video" | "amplify_video" => LARGEST_VIDEO,
        _ => return Err(Problem::invalid("media_category", &category, "media_category is unknown")),
    };
    let total = asked.get("total_bytes").and_then(Value::as_u64).unwrap_or_default();
    if total == 0 || total > most {
        let message = "File size exceeds the limit of its category.";
        return Err(Problem::invalid("total_bytes", &total.to_string(), message));
    }
    let now_ms = ctx.now_ms();
    let file = File {
        id: world.next_id(NETWORK, now_ms).to_string(),
        account,
        category,
        total,
        segments: Vec::new(),
        stored: None,
        alt: String::new(),
        expires_ms: now_ms + OPEN_MS,
        ready_ms: i64::MAX,
        fails: false,
        processing: quirks.processing,
    };
    world.keep(NETWORK, vec![Change::put("upload", &file.id, &file)])?;
    Ok(ok(&json!({"data": file.told(now_ms)})))
}

pub(super) async fn append(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut params: Params,
) -> Answer {
    let account = holder(&ctx.world(), &ctx, &headers, &WRITE)?.account;
    let index = params.number("segment_index").and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 1000);
    let index =
        index.ok_or_else(|| Problem::invalid("segment_index", "", "segment_index must lie in 0..999"))?;
    let segment = params.files.remove("media").filter(|file| !file.bytes.is_empty());
    let segment = segment.ok_or_else(|| Problem::invalid("media", "", "media is required"))?;
    if segment.bytes.len() > LARGEST_SEGMENT {
        return Err(Problem::invalid("media", "", "Segment exceeds the maximum size."));
    }
    let sha256 = ctx.blobs.put(&segment.bytes).await?;
    let mut world = ctx.world();
    let mut file = open(&world, &account, &id, ctx.now_ms())?;
    if file.stored.is_some() {
        return Err(invalid_id(&id));
    }
    file.segments.retain(|(other, _)| *other != index);
    file.segments.push((index, sha256));
    file.segments.sort_unstable();
    file.processing = quirks.processing.or(file.processing);
    let expires_s = file.expires_ms / 1000;
    world.keep(NETWORK, vec![Change::put("upload", &id, &file)])?;
    Ok(ok(&json!({"data": {"expires_at": expires_s}})))
}

pub(super) async fn finalize(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let (account, file) = {
        let world = ctx.world();
        let account = holder(&world, &ctx, &headers, &WRITE)?.account;
        (account.clone(), open(&world, &account, &id, ctx.now_ms())?)
    };
    if file.stored.is_some() {
        return Ok(ok(&json!({"data": file.told(ctx.now_ms())})));
    }
    let mut whole = BytesMut::new();
    for (place, (index, sha256)) in file.segments.iter().enumerate() {
        let segment = ctx.blobs.get(sha256).await.filter(|_| *index as usize == place);
        whole.extend_from_slice(
            &segment.ok_or_else(|| Problem::invalid("id", &id, "Segments do not add up"))?,
        );
    }
    if whole.len() as u64 != file.total {
        return Err(Problem::invalid("id", &id, "Segments do not add up to provided total file size."));
    }
    let whole: Bytes = whole.freeze();
    let stored = media::store(&ctx, &whole, None).await?;
    let fits = match file.category.as_str() {
        "tweet_image" => stored.is_image(),
        "tweet_gif" => stored.mime == "image/gif",
        _ => stored.is_video(),
    };
    if !fits {
        return Err(Problem::invalid("media", &stored.mime, "The file is not of its category."));
    }
    let now_ms = ctx.now_ms();
    let default = (file.category != "tweet_image").then_some((PROCESSING_MS as u64, false));
    let (ms, fails) = quirks.processing.or(file.processing).or(default).unwrap_or_default();
    let mut world = ctx.world();
    let file = File {
        stored: Some(stored),
        expires_ms: now_ms + DAY_MS,
        ready_ms: if ms == 0 { 0 } else { now_ms + ms as i64 },
        fails,
        ..open(&world, &account, &id, now_ms)?
    };
    world.keep(NETWORK, vec![Change::put("upload", &id, &file)])?;
    Ok(ok(&json!({"data": file.told(now_ms)})))
}

pub(super) async fn status(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let account = holder(&world, &ctx, &headers, &WRITE)?.account;
    let command = params.present("command").unwrap_or_default();
    if !command.is_empty() && command != "STATUS" {
        return Err(Problem::invalid("command", &command, "command must be STATUS"));
    }
    let id = params.present("media_id").unwrap_or_default();
    let file = open(&world, &account, &id, ctx.now_ms())?;
    Ok(ok(&json!({"data": file.told(ctx.now_ms())})))
}

pub(super) async fn metadata(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let account = holder(&world, &ctx, &headers, &WRITE)?.account;
    let id = params.present("id").unwrap_or_default();
    let mut file = open(&world, &account, &id, ctx.now_ms())?;
    let alt = params.get("metadata").and_then(|metadata| metadata.pointer("/alt_text/text"));
    let alt = alt.and_then(Value::as_str).unwrap_or_default();
    if alt.chars().count() > 1000 {
        let message = "$.metadata.alt_text.text: may only be 1000 characters long";
        return Err(Problem::invalid("metadata.alt_text.text", "", message));
    }
    alt.clone_into(&mut file.alt);
    world.keep(NETWORK, vec![Change::put("upload", &id, &file)])?;
    Ok(ok(&json!({"data": {"id": id, "associated_metadata": {"alt_text": {"text": alt}}}})))
}

/// The account's own upload that is not over.
fn open(world: &World, account: &str, id: &str, now_ms: i64) -> Result<File, Problem> {
    let file: Option<File> = world.docs.get(NETWORK, "upload", id);
    file.filter(|file| file.account == account && file.expires_ms > now_ms).ok_or_else(|| invalid_id(id))
}

fn invalid_id(id: &str) -> Problem {
    Problem::invalid("id", id, "Your media IDs are invalid.")
}

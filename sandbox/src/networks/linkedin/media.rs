//! Pictures and videos: begin, put the bytes where the answer says, end (videos), wait. A picture cannot be asked about
//! by those who may only write; a video can.

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    NETWORK, organizations,
    rest::{self, Caller, Refused},
};
use crate::{
    crypto,
    docs::Change,
    media::{self, Stored},
    script::Quirks,
    web,
    world::{Ctx, World},
};

/// Bytes of each part of a video but the last.
const PART: u64 = 4 << 20;

/// The largest video, bytes.
const VIDEO: u64 = 500_000_000;

/// The least number of pixels that is too many for a picture.
const PIXELS: u64 = 36_152_320;

/// How long processing takes where nothing else is asked for, milliseconds.
const IMAGE_MS: u64 = 150;
const VIDEO_MS: u64 = 400;

/// How long an upload address lives, milliseconds.
const UPLOAD_MS: i64 = 86_400_000;

/// A picture or a video on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asset {
    pub(super) urn: String,
    pub(super) owner: String,
    is_video: bool,
    /// Bytes, announced.
    size: u64,
    token: String,
    /// What was put, part by part: digests and the ids they were answered.
    parts: Vec<Option<(String, String)>>,
    pub(super) stored: Option<Stored>,
    /// When processing ends.
    ready_ms: i64,
    fails: bool,
}

impl Asset {
    pub(super) fn status(&self, now_ms: i64) -> &'static str {
        match &self.stored {
            None => "WAITING_UPLOAD",
            Some(_) if now_ms < self.ready_ms => "PROCESSING",
            Some(_) if self.fails => "PROCESSING_FAILED",
            Some(_) => "AVAILABLE",
        }
    }

    fn ends_within(&mut self, stored: Stored, fits: bool, usual_ms: u64, quirks: Quirks, now_ms: i64) {
        let (ms, fails) = quirks.processing.unwrap_or((usual_ms, false));
        self.ready_ms = now_ms.saturating_add_unsigned(ms);
        self.fails = fails || !fits;
        self.stored = Some(stored);
    }
}

pub(super) fn find(world: &World, urn: &str) -> Option<Asset> {
    world.docs.get(NETWORK, "asset", urn)
}

fn owner(ctx: &Ctx, headers: &HeaderMap, uri: &Uri, body: &Value, what: &str) -> Result<String, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(ctx, &world, headers, uri)?;
    let owner = body.pointer("/initializeUploadRequest/owner").and_then(Value::as_str);
    let owner = owner.ok_or_else(|| Refused::missing("/initializeUploadRequest/owner"))?;
    if !caller.may(&world, owner, "w_member_social", &["w_organization_social"], organizations::POSTERS) {
        return Err(Refused::denied(what));
    }
    Ok(owner.to_owned())
}

fn body(bytes: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(bytes).map_err(|_| Refused::new(400, "ILLEGAL_ARGUMENT", "The body is no JSON"))
}

fn action(uri: &Uri) -> String {
    rest::query(uri, "action").unwrap_or_default()
}

fn unknown_action() -> Refused {
    Refused::new(400, "ILLEGAL_ARGUMENT", "Unknown action")
}

pub(super) async fn images(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refused> {
    if action(&uri) != "initializeUpload" {
        return Err(unknown_action());
    }
    let owner = owner(&ctx, &headers, &uri, &body(&bytes)?, "images.ACTION-initializeUpload.20260901")?;
    let (asset, secret) = begin(&ctx, owner, false, 0, 1)?;
    let expires = ctx.now_ms() + UPLOAD_MS;
    let url = address(&ctx, &secret, 0);
    let value = json!({"uploadUrlExpiresAt": expires, "uploadUrl": url, "image": asset.urn});
    Ok(web::json(StatusCode::OK, &json!({"value": value})))
}

pub(super) async fn videos(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let body = body(&bytes)?;
    match action(&uri).as_str() {
        "initializeUpload" => {
            let owner = owner(&ctx, &headers, &uri, &body, "videos.ACTION-initializeUpload.20260901")?;
            let size = body.pointer("/initializeUploadRequest/fileSizeBytes").and_then(Value::as_u64);
            let size = size.ok_or_else(|| Refused::missing("/initializeUploadRequest/fileSizeBytes"))?;
            if !(1..=VIDEO).contains(&size) {
                let why = "the file size is not supported";
                return Err(Refused::invalid("/initializeUploadRequest/fileSizeBytes", why));
            }
            let (asset, secret) = begin(&ctx, owner, true, size, size.div_ceil(PART))?;
            let instructions: Vec<Value> = (0..size.div_ceil(PART))
                .map(|part| {
                    let (first, last) = (part * PART, ((part + 1) * PART).min(size) - 1);
                    json!({"uploadUrl": address(&ctx, &secret, part), "firstByte": first, "lastByte": last})
                })
                .collect();
            let value = json!({
                "video": asset.urn,
                "uploadToken": asset.token,
                "uploadUrlsExpireAt": ctx.now_ms() + UPLOAD_MS,
                "uploadInstructions": instructions,
            });
            Ok(web::json(StatusCode::OK, &json!({"value": value})))
        }
        "finalizeUpload" => finalize(&ctx, &headers, &uri, &body, quirks).await,
        _ => Err(unknown_action()),
    }
}

/// A new asset with the secret of its upload addresses.
fn begin(
    ctx: &Ctx,
    owner: String,
    is_video: bool,
    size: u64,
    parts: u64,
) -> Result<(Asset, String), Refused> {
    let mut world = ctx.world();
    let id = world.next_id(NETWORK, ctx.now_ms());
    let kind = if is_video { "video" } else { "image" };
    let asset = Asset {
        urn: format!("urn:li:{kind}:C5{}", super::auth::subject(id)),
        owner,
        is_video,
        size,
        token: if is_video { crypto::token::<8>() } else { String::new() },
        parts: vec![None; parts as usize],
        stored: None,
        ready_ms: 0,
        fails: false,
    };
    let secret = crypto::token::<24>();
    let changes = vec![Change::put("asset", &asset.urn, &asset), Change::put("upload", &secret, &asset.urn)];
    world.keep(NETWORK, changes)?;
    Ok((asset, secret))
}

fn address(ctx: &Ctx, secret: &str, part: u64) -> String {
    format!("{}/dms-uploads/{secret}/{part}", ctx.base(NETWORK))
}

/// A picture as a whole, or one part of a video.
pub(super) async fn upload(
    State(ctx): State<Ctx>,
    Path((secret, part)): Path<(String, usize)>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let asset = {
        let world = ctx.world();
        let urn: Option<String> = world.docs.get(NETWORK, "upload", &secret);
        urn.and_then(|urn| find(&world, &urn)).ok_or_else(|| Refused::not_found("upload"))?
    };
    if asset.is_video {
        return part_of_video(&ctx, &asset.urn, part, &bytes).await;
    }
    Caller::of(&ctx, &ctx.world(), &headers)?;
    let stored = media::store(&ctx, &bytes, None).await?;
    let pixels = u64::from(stored.width.unwrap_or(0)) * u64::from(stored.height.unwrap_or(0));
    let fits = matches!(stored.mime.as_str(), "image/jpeg" | "image/png" | "image/gif")
        && (1..PIXELS).contains(&pixels);
    change(&ctx, &asset.urn, |asset, now_ms| {
        asset.ends_within(stored, fits, IMAGE_MS, quirks, now_ms);
    })?;
    Ok(StatusCode::CREATED.into_response())
}

async fn part_of_video(ctx: &Ctx, urn: &str, part: usize, bytes: &Bytes) -> Result<Response, Refused> {
    let sha256 = ctx.blobs.put(bytes).await?;
    let etag = format!("/ambry-video/signedId/{}/{part}", &sha256[..24]);
    let mut wrong = None;
    change(ctx, urn, |asset, _| {
        let length = asset.size.saturating_sub(part as u64 * PART).min(PART);
        match asset.parts.get_mut(part) {
            Some(slot) if bytes.len() as u64 == length => *slot = Some((sha256, etag.clone())),
            _ => wrong = Some(length),
        }
    })?;
    if let Some(length) = wrong {
        let message = format!("The part has {} bytes, {length} were expected", bytes.len());
        return Err(Refused::new(400, "ILLEGAL_ARGUMENT", message));
    }
    let mut response = StatusCode::OK.into_response();
    let etag = HeaderValue::from_str(&etag).expect("digits, letters and slashes");
    response.headers_mut().insert("etag", etag);
    Ok(response)
}

fn change(ctx: &Ctx, urn: &str, by: impl FnOnce(&mut Asset, i64)) -> Result<(), Refused> {
    let mut world = ctx.world();
    let mut asset = find(&world, urn).ok_or_else(|| Refused::not_found(urn))?;
    by(&mut asset, ctx.now_ms());
    Ok(world.keep(NETWORK, vec![Change::put("asset", urn, &asset)])?)
}

/// The parts become one video, provided that each is named by the id it was answered, in their order.
async fn finalize(
    ctx: &Ctx,
    headers: &HeaderMap,
    uri: &Uri,
    body: &Value,
    quirks: Quirks,
) -> Result<Response, Refused> {
    let of = |name: &str| body.pointer(&format!("/finalizeUploadRequest/{name}"));
    let urn = of("video").and_then(Value::as_str).unwrap_or_default().to_owned();
    let asset = {
        let world = ctx.world();
        let caller = Caller::versioned(ctx, &world, headers, uri)?;
        let asset = find(&world, &urn).ok_or_else(|| Refused::not_found(&urn))?;
        let scopes = &["w_organization_social"];
        if !caller.may(&world, &asset.owner, "w_member_social", scopes, organizations::POSTERS) {
            return Err(Refused::new(403, "ACCESS_DENIED", FOREIGN));
        }
        asset
    };
    let token = of("uploadToken").and_then(Value::as_str);
    if token.ok_or_else(|| Refused::missing("/finalizeUploadRequest/uploadToken"))? != asset.token {
        return Err(Refused::invalid("/finalizeUploadRequest/uploadToken", "is another one"));
    }
    let named: Vec<&str> = of("uploadedPartIds")
        .and_then(Value::as_array)
        .map(|ids| ids.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let put: Vec<&(String, String)> = asset.parts.iter().flatten().collect();
    let agree = put.len() == asset.parts.len()
        && named.len() == put.len()
        && put.iter().zip(&named).all(|((_, etag), named)| etag == named);
    if !agree {
        let why = "the parts are not those that were uploaded";
        return Err(Refused::invalid("/finalizeUploadRequest/uploadedPartIds", why));
    }
    let mut whole = BytesMut::with_capacity(asset.size as usize);
    for (sha256, _) in put {
        whole.extend_from_slice(&ctx.blobs.get(sha256).await.unwrap_or_default());
    }
    let stored = media::store(ctx, &whole.freeze(), None).await?;
    let fits = stored.mime == "video/mp4";
    change(ctx, &urn, |asset, now_ms| asset.ends_within(stored, fits, VIDEO_MS, quirks, now_ms))?;
    Ok(StatusCode::OK.into_response())
}

pub(super) const FOREIGN: &str =
    "Accessing this video resource is forbidden. Please check your permissions for this resource";

/// Those who may only write cannot read what became of a picture.
pub(super) async fn image(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let asset = find(&world, &urn).ok_or_else(|| Refused::not_found(&urn))?;
    let scopes = &["r_organization_social"];
    if !caller.may(&world, &asset.owner, "r_member_social", scopes, organizations::POSTERS) {
        return Err(Refused::denied("images.GET.20260901"));
    }
    Ok(told(&asset, ctx.now_ms()))
}

pub(super) async fn video(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let asset = find(&world, &urn).ok_or_else(|| Refused::not_found(&urn))?;
    let scopes = &["w_organization_social", "r_organization_social"];
    if !caller.may(&world, &asset.owner, "w_member_social", scopes, organizations::POSTERS) {
        return Err(Refused::new(403, "ACCESS_DENIED", FOREIGN));
    }
    Ok(told(&asset, ctx.now_ms()))
}

fn told(asset: &Asset, now_ms: i64) -> Response {
    let status = asset.status(now_ms);
    let mut body = json!({"id": asset.urn, "owner": asset.owner, "status": status});
    if status == "PROCESSING_FAILED" {
        body["processingFailureReason"] = json!("MEDIA_FORMAT_NOT_SUPPORTED");
    }
    web::json(StatusCode::OK, &body)
}

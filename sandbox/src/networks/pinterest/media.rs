//! Videos: registered, put into a bucket with a signed form, processed. The bucket is another service: it knows no
//! token, wants every field of the form, and takes the file as the form's last part.

use axum::{
    Extension,
    extract::{FromRequest, Multipart, Path, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    NETWORK,
    rest::{self, Refused},
};
use crate::{
    crypto,
    docs::Change,
    media::{self, Stored},
    script::Quirks,
    web,
    world::{Ctx, World},
};

/// How long processing takes where nothing else is asked for, milliseconds.
const PROCESSING_MS: u64 = 400;

/// A registered video.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Video {
    pub(super) id: String,
    pub(super) account: String,
    parameters: Map<String, Value>,
    pub(super) stored: Option<Stored>,
    /// When processing ends.
    ready_ms: i64,
    fails: bool,
}

impl Video {
    pub(super) fn status(&self, now_ms: i64) -> &'static str {
        match &self.stored {
            None => "registered",
            Some(_) if now_ms < self.ready_ms => "processing",
            Some(_) if self.fails => "failed",
            Some(_) => "succeeded",
        }
    }
}

pub(super) fn find(world: &World, id: &str) -> Option<Video> {
    world.docs.get(NETWORK, "video", id)
}

pub(super) async fn register(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, &["pins:read", "pins:write"])?;
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| Refused::invalid("the body is no JSON"))?;
    if body != json!({"media_type": "video"}) {
        return Err(Refused::invalid(format!(
            "{body} does not match the schema: media_type must be 'video'"
        )));
    }
    let id = world.next_id(NETWORK, ctx.now_ms()).to_string();
    let parameters = json!({
        "x-amz-date": "20260101T000000Z",
        "x-amz-signature": crypto::token::<24>(),
        "x-amz-security-token": crypto::token::<24>(),
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "key": format!("uploads/11/aa/22/3:video:{id}"),
        "policy": crypto::token::<32>(),
        "x-amz-credential": "SANDBOX/20260101/us-east-1/s3/aws4_request",
        "Content-Type": "multipart/form-data",
    });
    let parameters = parameters.as_object().expect("the literal above is an object").clone();
    let video = Video { id, account: token.account, parameters, stored: None, ready_ms: 0, fails: false };
    let key = video.parameters["key"].as_str().unwrap_or_default().to_owned();
    let changes = vec![Change::put("video", &video.id, &video), Change::put("upload", key, &video.id)];
    world.keep(NETWORK, changes)?;
    let body = json!({
        "media_id": video.id,
        "media_type": "video",
        "upload_url": format!("{}/pinterest-media-upload/", ctx.base(NETWORK)),
        "upload_parameters": video.parameters,
    });
    Ok(web::json(StatusCode::CREATED, &body))
}

/// A refusal of the bucket.
fn denied(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    web::with_type(status, "application/xml", body)
}

pub(super) async fn upload(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    request: Request,
) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::AUTHORIZATION) {
        let message = "Only one auth mechanism allowed";
        return denied(StatusCode::BAD_REQUEST, "InvalidArgument", message);
    }
    if !headers.contains_key(header::CONTENT_LENGTH) {
        let message = "You must provide the Content-Length HTTP header.";
        return denied(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message);
    }
    let (fields, file) = match parts(request).await {
        Ok(parts) => parts,
        Err(response) => return *response,
    };
    let key = fields.get("key").and_then(Value::as_str).unwrap_or_default();
    let video = {
        let world = ctx.world();
        let id: Option<String> = world.docs.get(NETWORK, "upload", key);
        id.and_then(|id| find(&world, &id))
    };
    let Some(mut video) = video.filter(|video| video.parameters == fields) else {
        let message = "Invalid according to Policy: Policy Condition failed";
        return denied(StatusCode::FORBIDDEN, "AccessDenied", message);
    };
    let Ok(stored) = media::store(&ctx, &file, None).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (ms, fails) = quirks.processing.unwrap_or((PROCESSING_MS, false));
    video.ready_ms = ctx.now_ms().saturating_add_unsigned(ms);
    video.fails = fails || !stored.is_video();
    video.stored = Some(stored);
    match ctx.world().keep(NETWORK, vec![Change::put("video", &video.id, &video)]) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The fields before the file, and the file; what follows it is not read.
async fn parts(request: Request) -> Result<(Map<String, Value>, Bytes), Box<Response>> {
    let malformed = || {
        let message = "The body of your POST request is not well-formed multipart/form-data.";
        Box::new(denied(StatusCode::BAD_REQUEST, "MalformedPOSTRequest", message))
    };
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| malformed())?;
    let mut fields = Map::new();
    while let Some(part) = form.next_field().await.map_err(|_| malformed())? {
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(|_| malformed())?;
        if name == "file" {
            return Ok((fields, bytes));
        }
        fields.insert(name, json!(String::from_utf8_lossy(&bytes)));
    }
    let message = "POST requires exactly one file upload per request.";
    Err(Box::new(denied(StatusCode::BAD_REQUEST, "IncorrectNumberOfFilesInPostRequest", message)))
}

pub(super) async fn status(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, &["pins:read"])?;
    let video = find(&world, &id).filter(|video| video.account == token.account);
    let video = video.ok_or_else(|| Refused::new(404, 2102, "Media not found."))?;
    let status = video.status(ctx.now_ms());
    let body = json!({"media_id": video.id, "media_type": "video", "status": status});
    Ok(web::json(StatusCode::OK, &body))
}

//! Uploads: a lease tells where a file goes and with which fields; the storage checks them, in their order, the file last.

use axum::{
    extract::{Multipart, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, NETWORK, Refusal, holder};
use crate::{
    crypto,
    docs::Change,
    media::{self, Stored},
    params::Params,
    web,
    world::{Ctx, World},
};

const IMAGE_BYTES: u64 = 20 << 20;
const TYPES: [&str; 5] = ["image/jpeg", "image/png", "image/gif", "video/mp4", "video/quicktime"];

/// How long a lease lives, milliseconds.
const LEASE_MS: i64 = 3_600_000;

/// One lease as it is kept; its key in the storage is its key here.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lease {
    id: String,
    account: String,
    mime: String,
    fields: Vec<(String, String)>,
    ends_ms: i64,
    stored: Option<Stored>,
}

pub(super) async fn lease(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, "submit", ctx.now_ms())?;
    let mime = params.present("mimetype").unwrap_or_default();
    let path = params.present("filepath").unwrap_or_default();
    if path.is_empty() || !TYPES.contains(&mime.as_str()) {
        return Err(Refusal::Http(StatusCode::BAD_REQUEST, "Bad Request", Some("BAD_MIMETYPE")));
    }
    let id = crypto::token::<10>().replace(['-', '_'], "0").to_lowercase();
    let key = format!("{}/{id}", if mime.starts_with("video/") { "rte_videos" } else { "rte_images" });
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = vec![
        field("acl", "private"),
        field("key", &key),
        field("X-Amz-Credential", "ASIA0SANDBOX/20260101/us-east-1/s3/aws4_request"),
        field("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        field("X-Amz-Date", "20260101T000000Z"),
        field("success_action_status", "201"),
        field("content-type", &mime),
        field("x-amz-storage-class", "STANDARD"),
        field("x-amz-meta-ext", path.rsplit('.').next().unwrap_or_default()),
        field("policy", &crypto::token::<32>()),
        field("X-Amz-Signature", &crypto::sha256_hex(key.as_bytes())),
        field("x-amz-security-token", &crypto::token::<16>()),
    ];
    let told: Vec<_> = fields.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let lease = Lease {
        id: id.clone(),
        account: token.account,
        mime,
        fields,
        ends_ms: ctx.now_ms() + LEASE_MS,
        stored: None,
    };
    world.keep(NETWORK, vec![Change::put("lease", &key, &lease), Change::put("asset", &id, &key)])?;
    Ok(web::json(
        StatusCode::OK,
        &json!({
            "args": {"action": action(&ctx), "fields": told},
            "asset": {
                "asset_id": id, "processing_state": "incomplete", "payload": {"filepath": path},
                "websocket_url": "wss://k8s-lb.wss.redditmedia.com/sandbox",
            },
        }),
    ))
}

/// Where files go, without the scheme, as the API tells it.
fn action(ctx: &Ctx) -> String {
    let base = ctx.base(NETWORK);
    let (_, rest) = base.split_once(':').unwrap_or_default();
    format!("{rest}/s3")
}

/// The storage. It knows nothing of the API's tokens, and refuses requests that carry another kind of permission.
pub(super) async fn store(State(ctx): State<Ctx>, headers: HeaderMap, mut form: Multipart) -> Response {
    if headers.contains_key(header::AUTHORIZATION) {
        return denied(StatusCode::BAD_REQUEST, "InvalidArgument");
    }
    let mut fields = Vec::new();
    loop {
        let Ok(Some(field)) = form.next_field().await else {
            return denied(StatusCode::BAD_REQUEST, "MalformedPOSTRequest");
        };
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" {
            let Ok(value) = field.text().await else {
                return denied(StatusCode::BAD_REQUEST, "MalformedPOSTRequest");
            };
            fields.push((name, value));
            continue;
        }
        // Whatever comes after the file is not looked at.
        let Ok(bytes) = field.bytes().await else {
            return denied(StatusCode::BAD_REQUEST, "IncompleteBody");
        };
        let key =
            fields.iter().find(|(name, _)| name == "key").map(|(_, key)| key.clone()).unwrap_or_default();
        let lease: Option<Lease> = ctx.world().docs.get(NETWORK, "lease", &key);
        let Some(lease) = lease.filter(|lease| lease.fields == fields && ctx.now_ms() < lease.ends_ms) else {
            return denied(StatusCode::FORBIDDEN, "AccessDenied");
        };
        if !lease.mime.starts_with("video/") && bytes.len() as u64 > IMAGE_BYTES {
            return denied(StatusCode::BAD_REQUEST, "EntityTooLarge");
        }
        let Ok(stored) = media::store(&ctx, &bytes, Some(&lease.mime)).await else {
            return denied(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        };
        let kept = Lease { stored: Some(stored), ..lease };
        if ctx.world().keep(NETWORK, vec![Change::put("lease", &key, &kept)]).is_err() {
            return denied(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        let location = format!("https:{}/{}", action(&ctx), key.replace('/', "%2F"));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{location}</Location>\
             <Bucket>reddit-uploaded-media</Bucket><Key>{key}</Key><ETag>\"0\"</ETag></PostResponse>"
        );
        return web::with_type(StatusCode::CREATED, "application/xml", body);
    }
}

fn denied(status: StatusCode, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
    web::with_type(status, "application/xml", body)
}

/// The file behind an asset's address, `{action}/{key}` under either scheme.
pub(super) fn by_url(world: &World, account: &str, url: &str) -> Option<Stored> {
    let key = url.split_once("/s3/")?.1;
    let lease: Lease = world.docs.get(NETWORK, "lease", key)?;
    lease.stored.filter(|_| lease.account == account)
}

/// The file of an asset.
pub(super) fn by_id(world: &World, account: &str, id: &str) -> Option<Stored> {
    let key: String = world.docs.get(NETWORK, "asset", id)?;
    let lease: Lease = world.docs.get(NETWORK, "lease", &key)?;
    lease.stored.filter(|_| lease.account == account)
}

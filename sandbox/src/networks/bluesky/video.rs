//! The video service: takes a whole video with a token that the PDS signs for it, works on it for a while, and hands the
//! blob to the PDS. The same bytes are processed once; later uploads of them are told so with a 409.

use axum::{
    Extension,
    extract::{Query, State},
    response::IntoResponse,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Answer, Refusal, cid, jwt,
    oauth::NETWORK,
    ok,
    repo::needed,
    session::{authorized, server_did},
    state::{Blob, Event},
};
use crate::{
    crypto,
    docs::Change,
    script::Quirks,
    sniff,
    web::{self, bearer},
    world::{self, Ctx, World},
};

/// How long a video is worked on unless the script says otherwise, milliseconds.
const PROCESSING_MS: i64 = 500;
/// Largest video, bytes.
const MAX_VIDEO: usize = 300_000_000;
const UPLOAD: &str = "com.atproto.repo.uploadBlob";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    did: String,
    cid: String,
    sha256: String,
    size: u64,
    ready_ms: i64,
    fails: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ask {
    aud: Option<String>,
    lxm: Option<String>,
    exp: Option<i64>,
    did: Option<String>,
    name: Option<String>,
    job_id: Option<String>,
}

/// A token for another service, good for one method.
pub(super) async fn service_auth(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
) -> Answer {
    let world = ctx.world();
    let now_ms = ctx.now_ms();
    let did = authorized(&world, &headers, now_ms)?.did.clone();
    let aud = needed(ask.aud, "aud")?;
    let iat = now_ms / 1000;
    let exp = ask.exp.unwrap_or(iat + 60);
    if exp < iat {
        return Err(Refusal::bad("BadExpiration", "expiration is in past"));
    }
    if exp - iat > 3600 {
        return Err(Refusal::bad(
            "BadExpiration",
            "cannot request a token with an expiration more than an hour in the future",
        ));
    }
    let scope = format!("service {}", ask.lxm.unwrap_or_default());
    let claims = jwt::Claims { scope, sub: did, aud, iat, exp, jti: crypto::token::<12>() };
    Ok(ok(&json!({"token": jwt::sign(world.bluesky.secret(), &claims)})))
}

fn served(ctx: &Ctx, world: &World, headers: &HeaderMap, aud: &str, lxm: &str) -> Result<String, Refusal> {
    let denied = || Refusal::new(StatusCode::UNAUTHORIZED, "AuthMissing", "a service token is required");
    let token = bearer(headers).ok_or_else(denied)?;
    let claims = jwt::verify(world.bluesky.secret(), token, &format!("service {lxm}"), ctx.now_ms())?;
    if claims.aud == aud {
        Ok(claims.sub)
    } else {
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "BadJwtAudience", "the token is for another service"))
    }
}

pub(super) async fn upload_limits(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    served(&ctx, &ctx.world(), &headers, "did:web:video.bsky.app", "app.bsky.video.getUploadLimits")?;
    Ok(ok(&json!({"canUpload": true, "remainingDailyVideos": 25, "remainingDailyBytes": 10_000_000_000_i64})))
}

pub(super) async fn upload(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
    bytes: Bytes,
) -> Answer {
    let did = served(&ctx, &ctx.world(), &headers, &server_did(&ctx), UPLOAD)?;
    if needed(ask.did, "did")? != did {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthMissing", "the token is another account's"));
    }
    needed(ask.name, "name")?;
    if sniff::mime(&bytes) != Some("video/mp4") {
        return Err(Refusal::bad("InvalidRequest", "the body is no video/mp4"));
    }
    if bytes.len() > MAX_VIDEO {
        return Err(Refusal::bad("VideoTooLarge", "the video is too large"));
    }
    let cid = cid::of_blob(&bytes);
    let key = format!("{did}|{cid}");
    let sha256 = ctx.blobs.put(&bytes).await?;
    let now_ms = ctx.now_ms();
    let mut world = ctx.world();
    let known: Option<String> = world.docs.get(NETWORK, "video_of", &key);
    let known = known.and_then(|id| Some((world.docs.get::<Job>(NETWORK, "video_job", &id)?, id)));
    if let Some((job, id)) = known.filter(|(job, _)| !job.fails) {
        let state = if now_ms < job.ready_ms { "JOB_STATE_ENCODING" } else { "JOB_STATE_COMPLETED" };
        let body = json!({"did": did, "jobId": id, "state": state, "error": "already_exists",
            "message": "Video already processed"});
        return Ok(web::json(StatusCode::CONFLICT, &body).into_response());
    }
    let (ms, fails) = quirks.processing.map_or((PROCESSING_MS, false), |(ms, fails)| (ms as i64, fails));
    let id = crypto::token::<9>();
    let job = Job { did: did.clone(), cid, sha256, size: bytes.len() as u64, ready_ms: now_ms + ms, fails };
    world.keep(NETWORK, vec![Change::put("video_job", &id, &job), Change::put("video_of", key, &id)])?;
    Ok(ok(&json!({"jobId": id, "did": did, "state": "JOB_STATE_CREATED"})))
}

/// How far a video is; the answer that first says it is ready hands the blob to the PDS.
pub(super) async fn job_status(State(ctx): State<Ctx>, Query(ask): Query<Ask>) -> Answer {
    let id = needed(ask.job_id, "jobId")?;
    let now_ms = ctx.now_ms();
    let mut world = ctx.world();
    let job: Option<Job> = world.docs.get(NETWORK, "video_job", &id);
    let job = job.ok_or_else(|| Refusal::bad("InvalidRequest", "no such job"))?;
    let status = |state: &str, more: Value| {
        let mut status = json!({"jobId": id, "did": job.did, "state": state});
        if let (Some(status), Value::Object(more)) = (status.as_object_mut(), more) {
            status.extend(more);
        }
        Ok(ok(&json!({"jobStatus": status})))
    };
    if now_ms < job.ready_ms {
        return status("JOB_STATE_ENCODING", json!({"progress": 50}));
    }
    if job.fails {
        return status("JOB_STATE_FAILED", json!({"error": "internal", "message": "encoding failed"}));
    }
    if world.bluesky.blob(&job.did, &job.cid, now_ms).is_none() {
        let blob = Blob {
            mime: "video/mp4".to_owned(),
            size: job.size,
            sha256: job.sha256.clone(),
            uploaded_ms: now_ms,
            referenced: false,
        };
        let (did, cid) = (job.did.clone(), job.cid.clone());
        world.commit(world::Event::Bluesky(Event::Blob { did, cid, blob }))?;
    }
    let blob = json!({"$type": "blob", "ref": {"$link": job.cid}, "mimeType": "video/mp4", "size": job.size});
    status("JOB_STATE_COMPLETED", json!({"progress": 100, "blob": blob}))
}

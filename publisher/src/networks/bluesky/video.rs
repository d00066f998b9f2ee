//! A video goes to the video service, which makes it playable and hands the blob to the account's own server
//! (<https://docs.bsky.app/docs/tutorials/video>). All of it happens before the post is sent.
//!
//! **Invariant:** the bytes leave in one pass, read as they go out; a video that was uploaded before is recognised by the
//! service, so doing it again makes no second one.

use std::time::Duration;

use http::Request;
use postmesh_kit::http::Bounds;
use serde_json::{Value, json as object};

use super::{
    super::{pieces::pieces, server},
    Bluesky, Call, Fault, Handles, MediaSource, Session, Work,
    identity::{did_of_server, host_beside},
    json,
    record::{blob_step, job_step},
    text_of, wire,
};
use crate::{domain::content::Media, media::Whole};

/// The video service.
const SERVICE: &str = "https://video.bsky.app";

/// How long `prepare` waits for the processing before it asks to be called again.
const PROCESSING: Duration = Duration::from_secs(45);

/// How long a token for the video service is good, seconds: uploads over slow lines take long, and more than an hour is
/// refused (packages/pds/src/api/com/atproto/server/getServiceAuth.ts).
const TOKEN_S: i64 = 1800;

impl Bluesky {
    /// Uploads one video and waits for its blob, unless that is done.
    pub(super) async fn video_step(
        &self,
        session: &Session,
        work: &Work,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        if handles.stored().contains_key(&blob_step(i)) {
            return Ok(());
        }
        let item = &work.content.media[i];
        let job = handles.stored().get(&job_step(i)).cloned().unwrap_or_default();
        let restarts = job.get("restarts").and_then(Value::as_i64).unwrap_or(0);
        let mut id = text_of(&job, "id").to_owned();
        if id.is_empty() {
            let whole = media.open(work.workspace_id, item.media_id).await?;
            wire::pass("prep.media_put.before").await?;
            id = self.upload_video(session, work, i, whole).await?;
            wire::pass("prep.media_put.after").await?;
            let job = object!({ "id": id, "restarts": restarts });
            if handles.stored().contains_key(&job_step(i)) {
                handles.update(&job_step(i), job).await?;
            } else {
                handles.save(&job_step(i), job).await?;
                text_of(&handles.stored()[&job_step(i)], "id").clone_into(&mut id);
            }
        }
        let Some(blob) = self.processed(session, &id).await? else {
            if restarts > 0 {
                return Err(refused(
                    "VIDEO_REFUSED",
                    "The video service cannot process this video. Use another one.",
                ));
            }
            handles.update(&job_step(i), object!({ "id": "", "restarts": 1 })).await?;
            return Err(later("VIDEO_FAILED", "The video service failed; the video is uploaded again.", 5));
        };
        let Media { width, height, .. } = item;
        handles.save(&blob_step(i), object!({ "blob": blob, "width": width, "height": height })).await
    }

    /// The id of the processing that the upload began, or that an upload of the same bytes began before.
    async fn upload_video(
        &self,
        session: &Session,
        work: &Work,
        i: usize,
        whole: Whole,
    ) -> Result<String, Fault> {
        let token = self.service_token(session, "com.atproto.repo.uploadBlob").await?;
        let name = format!("{}-{i}.mp4", text_of(&work.plan, "rkey"));
        let query = [("did", session.native_id.as_str()), ("name", &name)];
        let call = Call::new(
            http::Method::POST,
            server::address(
                host_beside(&session.server, SERVICE),
                "/xrpc/app.bsky.video.uploadVideo",
                &query,
            ),
        );
        let call = call.bearer(&token).header("content-type", &whole.content_type);
        let (head, _) = call.build().map_err(|error| wire::unanswered_read(&error))?.into_parts();
        let size = whole.size_bytes;
        let bounds = wire::upload_bounds(usize::try_from(size).unwrap_or(usize::MAX));
        let sent =
            self.http.bounded(bounds).send_stream(Request::from_parts(head, ()), size, pieces(whole)).await;
        let response = sent.map_err(|error| wire::unanswered_read(&error))?;
        let body = json(&response).unwrap_or_default();
        let status = body.get("jobStatus").unwrap_or(&body);
        let (id, error) = (text_of(status, "jobId"), text_of(status, "error"));
        // 409: these bytes were uploaded before, and their processing has ended or goes on.
        let is_known = response.status().as_u16() == 409 && !id.is_empty();
        if !id.is_empty() && (response.status().is_success() || is_known) {
            return Ok(id.to_owned());
        }
        Err(no_upload(error).unwrap_or_else(|| self.fault(&response)))
    }

    /// A token that lets the video service do one thing in the account's name.
    async fn service_token(&self, session: &Session, method: &str) -> Result<String, Fault> {
        let (audience, until) =
            (did_of_server(&session.server), (self.clock.now_ms() / 1000 + TOKEN_S).to_string());
        let query = [("aud", audience.as_str()), ("lxm", method), ("exp", &until)];
        let call = Call::get(&session.server, "/xrpc/com.atproto.server.getServiceAuth", &query);
        let body = self.ask(session, call).await?;
        Some(text_of(&body, "token").to_owned())
            .filter(|token| !token.is_empty())
            .ok_or_else(wire::unreadable)
    }

    /// The blob, once there is one; `None` when the service gave the video up.
    async fn processed(&self, session: &Session, id: &str) -> Result<Option<Value>, Fault> {
        let service = host_beside(&session.server, SERVICE);
        let (mut pause, mut waited) = (Duration::from_millis(500), Duration::ZERO);
        loop {
            let call = Call::get(service, "/xrpc/app.bsky.video.getJobStatus", &[("jobId", id)]);
            let response = call.read(&self.http.bounded(Bounds::default())).await?;
            if !response.status().is_success() {
                return Err(self.fault(&response));
            }
            let body = json(&response).ok_or_else(wire::unreadable)?;
            let status = body.get("jobStatus").unwrap_or(&body);
            if let Some(blob) = status.get("blob").filter(|blob| blob.get("ref").is_some()) {
                return Ok(Some(blob.clone()));
            }
            if text_of(status, "state") == "JOB_STATE_FAILED" {
                return no_upload(text_of(status, "error")).map_or(Ok(None), Err);
            }
            if waited >= PROCESSING {
                return Err(later("VIDEO_PROCESSING", "The video service is still processing the video.", 5));
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// What the names of app/bsky/video mean for a post; `None` for others.
fn no_upload(error: &str) -> Option<Fault> {
    Some(match error {
        "VideoTooLarge" => {
            refused("VIDEO_TOO_LARGE", "Bluesky does not accept a video of this size. Use a smaller one.")
        }
        "VideoTooLong" => {
            refused("VIDEO_TOO_LONG", "Bluesky does not accept a video of this length. Use a shorter one.")
        }
        "UploadForbidden" => refused("VIDEO_FORBIDDEN", "Bluesky does not let this account upload videos."),
        "unconfirmed_email" => refused(
            "EMAIL_UNCONFIRMED",
            "Bluesky takes videos only from accounts with a confirmed e-mail address. Confirm it, then post again.",
        ),
        "DailyLimitExceeded" => {
            later("VIDEO_LIMIT", "The account has uploaded as many videos as Bluesky takes in a day.", 3600)
        }
        "ServiceOverloaded" | "TooManyOpenUploads" => {
            later("VIDEO_BUSY", "The video service takes no further uploads now.", 60)
        }
        _ => return None,
    })
}

fn refused(code: &str, message: &str) -> Fault {
    Fault::Rejected { code: code.into(), message: message.into() }
}

fn later(code: &str, message: &str, seconds: u64) -> Fault {
    let retry_after = Some(Duration::from_secs(seconds));
    Fault::Transient { code: code.into(), message: message.into(), retry_after }
}

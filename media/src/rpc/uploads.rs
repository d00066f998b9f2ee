//! Announcing files and taking their bytes; what becomes of them is for [`crate::intake`].
//!
//! ```text
//! CreateUpload ─ row + loose key ─▶ PUT (gateway ▶ WriteUpload, or straight to S3) ─▶ CompleteUpload
//!                                      blob of the original                             intake
//! ```

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use postmesh_kit::{
    blob, ids,
    status::{FieldViolation, Violations},
    time,
};
use postmesh_proto::media::v1::{
    CreateUploadRequest, CreateUploadResponse, UploadTicket, WriteUploadRequest, write_upload_request::Part,
};
use tonic::Status;
use uuid::Uuid;

use super::Rpc;
use crate::{
    error::Error,
    intake::PICTURE_BYTES,
    metrics,
    store::Upload,
    sweep,
    ticket::{TTL_MS, Ticket},
};

const CHUNK: usize = 1024 * 1024;
/// One upload of a picture through the gateway, at whatever pace.
const WRITE_MS: i64 = 10 * 60 * 1000;
/// A minute more is granted for every so many bytes.
const BYTES_PER_MINUTE: i64 = 16 << 20;

/// How long writing so many bytes may take beyond what is granted for a picture, milliseconds.
pub(crate) fn extra_ms(size_bytes: i64) -> i64 {
    size_bytes / BYTES_PER_MINUTE * 60 * 1000
}

impl Rpc {
    pub(super) async fn announce(
        &self,
        workspace_id: Uuid,
        request: CreateUploadRequest,
    ) -> Result<CreateUploadResponse, Error> {
        let request_id = validate(&request, self.config.max_video_bytes.max(PICTURE_BYTES))?;
        let now = self.deps.clock.now_ms();
        let id = ids::new();
        let new = Upload {
            id,
            workspace_id,
            request_id: request_id.unwrap_or(id),
            filename: request.filename,
            size_bytes: request.size_bytes,
            alt_text: request.alt_text,
            blob_key: format!("{workspace_id}/{id}"),
            create_time: now,
            complete_time: None,
        };
        let last_write = now + sweep::UPLOAD_LIFE_MS + extra_ms(new.size_bytes);
        let upload = self.store.create_upload(new, last_write + sweep::SLACK_MS).await?;
        self.address(&upload, now).await
    }

    /// Where to send the bytes. An upload that is complete gets the gateway's address, which will refuse them:
    /// nothing may be written to a bucket any more.
    async fn address(&self, upload: &Upload, now: i64) -> Result<CreateUploadResponse, Error> {
        let expire_time = (now + TTL_MS).min(upload.create_time + sweep::UPLOAD_LIFE_MS).max(now + 1000);
        let expire = Some(time::to_proto(expire_time));
        if self.config.direct_uploads && upload.complete_time.is_none() {
            let ttl = Duration::from_millis((expire_time - now).unsigned_abs());
            let kind = Some("application/octet-stream");
            let signed = self
                .deps
                .blob
                .presign_put(&upload.blob_key, upload.size_bytes.unsigned_abs(), kind, ttl)
                .await?;
            if let Some(signed) = signed {
                return Ok(CreateUploadResponse {
                    upload_id: upload.id.to_string(),
                    upload_url: signed.url,
                    headers: signed.headers.into_iter().collect(),
                    expire_time: expire,
                });
            }
        }
        let ticket = Ticket { workspace_id: upload.workspace_id, size_bytes: upload.size_bytes, expire_time };
        let token = self.signer.sign(upload.id, &ticket);
        let base = self.config.public_url.trim_end_matches('/');
        Ok(CreateUploadResponse {
            upload_id: upload.id.to_string(),
            upload_url: format!("{base}/v1/uploads/{}/content?token={token}", upload.id),
            headers: HashMap::new(),
            expire_time: expire,
        })
    }

    /// Takes the bytes of an upload, exactly as many as were announced, straight into the blob store.
    pub(super) async fn receive<S>(&self, mut messages: S) -> Result<i64, Error>
    where
        S: Stream<Item = Result<WriteUploadRequest, Status>> + Send + Unpin + 'static,
    {
        let first = messages.next().await.transpose().map_err(|_| Error::BrokeOff)?;
        let Some(Part::Ticket(UploadTicket { upload_id, token })) = first.and_then(|message| message.part)
        else {
            return Err(Error::field("ticket", "REQUIRED", "must come first"));
        };
        let id = ids::parse("ticket.upload_id", &upload_id)?;
        let ticket = self.signer.check(id, &token, self.deps.clock.now_ms())?;
        let upload = self.store.upload(ticket.workspace_id, id).await?.ok_or(Error::UploadNotFound(id))?;
        if upload.complete_time.is_some() {
            return Err(Error::UploadComplete(id));
        }
        let expected = ticket.size_bytes.unsigned_abs();
        let put = self.deps.blob.put(&upload.blob_key, expected, content(messages));
        let patience = Duration::from_millis((WRITE_MS + extra_ms(ticket.size_bytes)).unsigned_abs());
        match tokio::time::timeout(patience, put).await {
            Ok(Ok(())) => {
                ::metrics::counter!(metrics::RECEIVED).increment(expected);
                Ok(ticket.size_bytes)
            }
            Ok(Err(error @ blob::Error::Length { .. })) => {
                Err(Error::field("chunk", "WRONG_LENGTH", error.to_string()))
            }
            Ok(Err(blob::Error::Content(cause))) => {
                Err(cause.downcast().map_or(Error::BrokeOff, |error| *error))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_too_late) => Err(Error::BrokeOff),
        }
    }
}

/// The request id when there is one.
fn validate(request: &CreateUploadRequest, most_bytes: i64) -> Result<Option<Uuid>, Vec<FieldViolation>> {
    let mut wrong = Violations::default();
    let name = &request.filename;
    let letters = name.chars().count();
    wrong.require(letters > 0, "filename", "REQUIRED", "is required");
    wrong.require(
        letters <= 255,
        "filename",
        "TOO_LONG",
        format!("has {letters} characters; at most 255 are allowed"),
    );
    let is_plain =
        !name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()) && name != "." && name != "..";
    wrong.require(is_plain, "filename", "NOT_A_NAME", "must be a plain file name, without folders");
    let size = request.size_bytes;
    wrong.require(size > 0, "size_bytes", "REQUIRED", "must be the file's size in bytes");
    wrong.require(
        size <= most_bytes,
        "size_bytes",
        "TOO_LARGE",
        format!("is {size}; at most {most_bytes} bytes are accepted ({PICTURE_BYTES} for pictures)"),
    );
    let letters = request.alt_text.chars().count();
    wrong.require(
        letters <= 2000,
        "alt_text",
        "TOO_LONG",
        format!("has {letters} characters; at most 2000 are allowed"),
    );
    let request_id = wrong.take(ids::parse_optional("request_id", &request.request_id));
    wrong.into_result()?;
    Ok(request_id.flatten())
}

fn content<S>(messages: S) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static
where
    S: Stream<Item = Result<WriteUploadRequest, Status>> + Send + 'static,
{
    messages.map_err(|_| Error::BrokeOff).and_then(|message| match message.part {
        Some(Part::Chunk(bytes)) if bytes.len() <= CHUNK => futures::future::ok(bytes),
        Some(Part::Chunk(_)) => futures::future::err(Error::field(
            "chunk",
            "TOO_LARGE",
            "has more than 1 MiB; send smaller pieces",
        )),
        _ => futures::future::err(Error::field(
            "chunk",
            "REQUIRED",
            "is what every message after the first holds",
        )),
    })
}

/// A rendition's bytes in messages of bounded size.
pub(super) fn pieces(bytes: Bytes, most: usize) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(bytes, move |mut rest| async move {
        let piece = rest.split_to(rest.len().min(most));
        (!piece.is_empty()).then_some((piece, rest))
    })
}

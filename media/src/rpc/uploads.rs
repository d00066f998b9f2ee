//! From an announced file to an item of the library.
//!
//! ```text
//! CreateUpload ─ row + loose key ─▶ PUT (gateway ▶ WriteUpload, or straight to S3) ─▶ CompleteUpload
//!                                      blob of the original          check ─ loose key ─ blob ─ item
//! ```
//! A blob is written only after its key is on record as loose, and an item is stored only after its blob is.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use postmesh_kit::{
    blob, ids,
    status::{FieldViolation, Violations},
    time,
};
use postmesh_proto::media::v1::{
    CompleteUploadRequest, CreateUploadRequest, CreateUploadResponse, UploadTicket, WriteUploadRequest,
    write_upload_request::Part,
};
use tonic::Status;
use uuid::Uuid;

use super::Rpc;
use crate::{
    error::Error,
    metrics,
    store::{Item, Upload},
    sweep,
    ticket::{TTL_MS, Ticket},
};

const MOST_BYTES: i64 = 50 * 1024 * 1024;
const CHUNK: usize = 1024 * 1024;
/// One upload through the gateway, at whatever pace.
const WRITE: Duration = Duration::from_mins(10);

impl Rpc {
    pub(super) async fn announce(
        &self,
        workspace_id: Uuid,
        request: CreateUploadRequest,
    ) -> Result<CreateUploadResponse, Error> {
        let request_id = validate(&request)?;
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
        let upload = self.store.create_upload(new, now + sweep::UPLOAD_LIFE_MS + sweep::SLACK_MS).await?;
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
        match tokio::time::timeout(WRITE, put).await {
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

    /// Checks the bytes and makes the item. Whatever is repeated, or happens twice at once, the answer is one item.
    pub(super) async fn complete(
        &self,
        workspace_id: Uuid,
        request: &CompleteUploadRequest,
    ) -> Result<Item, Error> {
        let id = ids::parse("upload_id", &request.upload_id)?;
        let upload = self.store.upload(workspace_id, id).await?.ok_or(Error::UploadNotFound(id))?;
        if upload.complete_time.is_some() {
            return self.store.item(workspace_id, id).await?.ok_or(Error::MediaNotFound(id));
        }
        let place = self.checker.place().await;
        let original = self.deps.blob.get(&upload.blob_key).await?.ok_or(Error::NothingUploaded(id))?;
        if i64::try_from(original.size) != Ok(upload.size_bytes) {
            let sentence = format!("has {} bytes where {} were announced", original.size, upload.size_bytes);
            return Err(Error::field("upload", "WRONG_LENGTH", sentence));
        }
        let checked = place.check(original).await?;
        let picture = checked.picture;
        let key = format!("{workspace_id}/{}", ids::new());
        self.store.note_loose(key.clone(), self.deps.clock.now_ms() + sweep::SLACK_MS).await?;
        let rendition = Bytes::from(picture.rendition);
        let item = Item {
            workspace_id,
            id,
            filename: upload.filename,
            content_type: picture.format.content_type().into(),
            size_bytes: upload.size_bytes,
            width: picture.width.into(),
            height: picture.height.into(),
            alt_text: upload.alt_text,
            sha256: checked.sha256,
            rendition_key: key.clone(),
            rendition_bytes: rendition.len() as i64,
            create_time: self.deps.clock.now_ms(),
        };
        self.deps.blob.put_bytes(&key, rendition).await?;
        // An address given out before may still write the original once more; the sweeper comes after the last of them.
        let discard_at = item.create_time + TTL_MS + sweep::SLACK_MS;
        if self.store.complete_upload(item.clone(), upload.blob_key.clone(), discard_at).await? {
            if let Err(error) = self.deps.blob.delete(&upload.blob_key).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an original is left to the sweeper"
                );
            }
            return Ok(item);
        }
        self.store.item(workspace_id, id).await?.ok_or(Error::MediaNotFound(id))
    }
}

/// The request id when there is one.
fn validate(request: &CreateUploadRequest) -> Result<Option<Uuid>, Vec<FieldViolation>> {
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
        size <= MOST_BYTES,
        "size_bytes",
        "TOO_LARGE",
        format!("is {size}; at most {MOST_BYTES} bytes (50 MiB) are accepted"),
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

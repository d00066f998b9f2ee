//! A video: announced, uploaded but for its last chunk, and published by that one.
//!
//! Invariant: an upload whose last chunk is next is never given up by `prepare`, for that chunk may have been sent.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use postmesh_kit::http::Bounds;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

use super::{
    Answer, Call, Fault, Handles, MediaSource, Session, Tiktok, Work, errors,
    post::{Creator, Head, LastBytes, Request, put, settings},
    status::Following,
    wire::{self, text_of},
};
use crate::{
    domain::{content::Media, outcome::Outcome},
    media::Whole,
};

/// The handle of the upload.
pub(super) const UPLOAD: &str = "upload";

/// The least a chunk may have, unless the whole video has less
/// (<https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide>). Chunks are kept this small: the last
/// one waits in memory, and has to pass within the time of one send.
const LEAST: u64 = 5 << 20;

/// Most chunks of a video.
const MOST: u64 = 1000;

/// An address works for an hour; one that is older than this is not begun with, milliseconds.
const FRESH_MS: i64 = 50 * 60_000;

/// How long one call of `prepare` uploads before it asks to be called again.
const PATIENCE: Duration = Duration::from_secs(45);

/// Chunks carry megabytes over slow lines.
const CHUNK: Bounds = Bounds { answer_in: Duration::from_mins(2), body: 1 << 20 };

/// How a video is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    chunk: u64,
    count: u64,
}

/// Chunks of one size but for the last, which takes what is left: as even as whole numbers allow.
fn cut(size: u64) -> Cut {
    let count = (size / LEAST).clamp(1, MOST);
    Cut { chunk: size / count, count }
}

/// An upload under way.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) publish_id: String,
    url: String,
    content_type: String,
    pub(super) size: u64,
    chunk: u64,
    count: u64,
    /// Bytes that the network has.
    sent: u64,
    /// When it was announced, Unix milliseconds.
    made_at: i64,
}

impl Upload {
    pub(super) fn parse(stored: Option<&Value>) -> Option<Self> {
        serde_json::from_value(stored?.clone()).ok()
    }

    fn stored(&self) -> Value {
        serde_json::to_value(self).expect("plain texts and numbers")
    }

    /// Where the last chunk begins.
    fn last(&self) -> u64 {
        (self.count - 1) * self.chunk
    }

    fn is_ready(&self) -> bool {
        self.sent == self.last()
    }
}

impl Tiktok {
    /// Everything but the last chunk.
    pub(super) async fn upload_step(
        &self,
        session: &Session,
        work: &Work,
        item: &Media,
        creator: Option<&Creator>,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Request, Fault> {
        let whole = media.open(work.workspace_id, item.media_id).await?;
        let began = tokio::time::Instant::now();
        let upload = loop {
            let upload = match Upload::parse(handles.stored().get(UPLOAD)) {
                Some(upload) => upload,
                None => self.announced(session, work, creator, &whole, handles).await?,
            };
            if upload.is_ready() {
                break upload;
            }
            if self.clock.now_ms() - upload.made_at > FRESH_MS {
                handles.update(UPLOAD, Value::Null).await?;
                continue;
            }
            if began.elapsed() >= PATIENCE {
                return Err(again("MEDIA_UPLOADING", "The video is still being uploaded."));
            }
            self.chunk(session, &upload, &whole, handles).await?;
        };
        let start = upload.last();
        let body = whole.read_range(start, upload.size - start).await?;
        let last = LastBytes {
            publish_id: upload.publish_id,
            url: upload.url,
            content_type: upload.content_type,
            start,
            size: upload.size,
        };
        let public = creator.is_some_and(Creator::is_public);
        Ok(Request { head: Head { public, upload: Some(last) }, body })
    }

    /// Announces the upload. Nothing comes of an announcement whose answer is lost: no bytes follow it.
    async fn announced(
        &self,
        session: &Session,
        work: &Work,
        creator: Option<&Creator>,
        whole: &Whole,
        handles: &mut dyn Handles,
    ) -> Result<Upload, Fault> {
        let Cut { chunk, count } = cut(whole.size_bytes);
        let source = object!({
            "source": "FILE_UPLOAD",
            "video_size": whole.size_bytes,
            "chunk_size": chunk,
            "total_chunk_count": count,
        });
        let (path, body) = match creator {
            Some(creator) => {
                let mut info = creator.video_info(&settings(&work.content));
                info.insert("title".into(), object!(work.content.text.trim()));
                ("/v2/post/publish/video/init/", object!({ "post_info": info, "source_info": source }))
            }
            None => ("/v2/post/publish/inbox/video/init/", object!({ "source_info": source })),
        };
        wire::pass("prep.media_put.before").await?;
        let data = self.ask(Self::post(session, path, body.to_string())).await?;
        wire::pass("prep.media_put.after").await?;
        let (publish_id, url) = (text_of(&data, "publish_id"), text_of(&data, "upload_url"));
        if publish_id.is_empty() || url.is_empty() {
            return Err(wire::unreadable());
        }
        let upload = Upload {
            publish_id: publish_id.to_owned(),
            url: url.to_owned(),
            content_type: whole.content_type.clone(),
            size: whole.size_bytes,
            chunk,
            count,
            sent: 0,
            made_at: self.clock.now_ms(),
        };
        if handles.stored().contains_key(UPLOAD) {
            handles.update(UPLOAD, upload.stored()).await?;
        } else {
            handles.save(UPLOAD, upload.stored()).await?;
        }
        Upload::parse(handles.stored().get(UPLOAD)).ok_or_else(wire::unreadable)
    }

    /// One chunk that is not the last.
    async fn chunk(
        &self,
        session: &Session,
        upload: &Upload,
        whole: &Whole,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let bytes = whole.read_range(upload.sent, upload.chunk).await?;
        let length = bytes.len() as u64;
        let call: Call = put(&upload.url, &upload.content_type, upload.sent, upload.size, bytes);
        let response = call.read(&self.http.bounded(CHUNK)).await?;
        match response.status().as_u16() {
            206 => {
                let sent = Upload { sent: upload.sent + length, ..upload.clone() };
                handles.update(UPLOAD, sent.stored()).await
            }
            403 | 404 => handles.update(UPLOAD, Value::Null).await,
            416 => self.resume(session, upload, handles).await,
            400 => Err(Fault::Rejected {
                code: "MEDIA_REFUSED".into(),
                message: "TikTok refused the upload of the video. Use another one.".into(),
            }),
            status => {
                Err(again("SERVER_ERROR", &format!("The server answered {status} to a part of the video.")))
            }
        }
    }

    /// An earlier chunk arrived although its answer was lost: goes on where the network is.
    async fn resume(
        &self,
        session: &Session,
        upload: &Upload,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let status = self.status(session, &upload.publish_id).await?;
        let is_chunk =
            |sent: &u64| *sent <= upload.last() && *sent > upload.sent && sent.is_multiple_of(upload.chunk);
        match status.uploaded.filter(is_chunk) {
            Some(sent) => handles.update(UPLOAD, Upload { sent, ..upload.clone() }.stored()).await,
            None => handles.update(UPLOAD, Value::Null).await,
        }
    }
}

/// What the answer to the last chunk proves: 201 says that all bytes are there and that the post is being made.
pub(super) fn answer(response: &Response<Bytes>, request: &Request, now_ms: i64) -> Answer {
    let wire = wire::seen(response, None, now_ms);
    let publish_id = request.head.upload.as_ref().map(|last| last.publish_id.as_str()).unwrap_or_default();
    let outcome = match response.status().as_u16() {
        201 => {
            Outcome::Processing { handle: Following::new(publish_id, request.head.public, now_ms).written() }
        }
        // The address has ended, or stands for nothing.
        403 | 404 => Outcome::Stale {
            steps: vec![UPLOAD.to_owned()],
            code: "UPLOAD_GONE".into(),
            message: "TikTok no longer takes bytes for this upload; the video is uploaded again.".into(),
        },
        400 => Outcome::Rejected {
            code: "MEDIA_REFUSED".into(),
            message: "TikTok refused the upload of the video. Use another one.".into(),
        },
        _ => errors::refused(response, now_ms),
    };
    Answer { outcome, wire }
}

fn again(code: &str, message: &str) -> Fault {
    Fault::Transient { code: code.into(), message: message.into(), retry_after: Some(Duration::from_secs(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_cut_as_the_network_counts() {
        for size in [
            1,
            LEAST - 1,
            LEAST,
            2 * LEAST - 1,
            2 * LEAST,
            50_000_123,
            1_000_000_000,
            4_000_000_000,
            6_000_000_000,
        ] {
            let Cut { chunk, count } = cut(size);
            assert_eq!(count, size / chunk, "{size}");
            let last = size - (count - 1) * chunk;
            assert!(last >= chunk && last < chunk + count, "{size}: the last has {last} of {chunk}");
            assert!(count == 1 || (LEAST..64_000_000).contains(&chunk), "{size}: {chunk}");
            assert!(count <= MOST && (count > 1 || size < 2 * LEAST), "{size}: {count}");
        }
    }
}

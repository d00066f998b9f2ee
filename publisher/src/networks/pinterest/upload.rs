//! Bringing a video up: registered at Pinterest, put into a bucket of another service with a signed form whose last part
//! is the file, and processed. The file is read while it goes out, so it is never whole in memory.
//!
//! <https://developers.pinterest.com/docs/api-features/creating-boards-and-pins/#creating-video-pins>

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json as object};
use sha2::{Digest, Sha256};

use super::{Call, Fault, Handles, MediaSource, Pinterest, Session, Work, is_id};
use crate::{
    media::Whole,
    networks::{
        pieces::pieces,
        wire::{self, json, text_of},
    },
};

/// How long `prepare` waits for a video to be processed before it asks to be called again.
const PROCESSING: Duration = Duration::from_secs(45);

/// The handle of the video.
const STEP: &str = "media.0";

/// A video on its way.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Video {
    media_id: String,
    url: String,
    /// What the form holds beside the file, as it was given.
    fields: Map<String, Value>,
    uploaded: bool,
    ready: bool,
}

impl Video {
    fn kept(&self) -> Value {
        serde_json::to_value(self).expect("plain strings and booleans")
    }
}

fn stored(handles: &dyn Handles) -> Option<Video> {
    let value = handles.stored().get(STEP)?;
    Video::deserialize(value).ok().filter(|video| !video.media_id.is_empty())
}

impl Pinterest {
    /// Does what is still missing; the id of the video.
    pub(super) async fn video_step(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let mut video = match stored(handles) {
            Some(video) => video,
            None => self.register(session, handles).await?,
        };
        if !video.uploaded {
            let item = work.content.media.first().ok_or_else(wire::unreadable)?;
            let whole = media.open(work.workspace_id, item.media_id).await?;
            wire::pass("prep.media_put.before").await?;
            self.put_file(&video, whole, handles).await?;
            wire::pass("prep.media_put.after").await?;
            video = Video { uploaded: true, url: String::new(), fields: Map::new(), ..video };
            handles.update(STEP, video.kept()).await?;
        }
        if !video.ready {
            self.wait_until_processed(session, &video.media_id).await?;
            video.ready = true;
            handles.update(STEP, video.kept()).await?;
        }
        Ok(video.media_id)
    }

    async fn register(&self, session: &Session, handles: &mut dyn Handles) -> Result<Video, Fault> {
        let call = Call::post(&session.server, "/v5/media")
            .bearer(session.access_token.expose())
            .json(&object!({ "media_type": "video" }));
        let body = json(&self.ask(call).await?).unwrap_or_default();
        let video = Video {
            media_id: text_of(&body, "media_id").to_owned(),
            url: text_of(&body, "upload_url").to_owned(),
            fields: body.get("upload_parameters").and_then(Value::as_object).cloned().unwrap_or_default(),
            ..Video::default()
        };
        if !is_id(&video.media_id) || video.url.is_empty() {
            return Err(wire::unreadable());
        }
        if handles.stored().contains_key(STEP) {
            handles.update(STEP, video.kept()).await?;
            return Ok(video);
        }
        handles.save(STEP, video.kept()).await?;
        stored(handles).ok_or_else(wire::unreadable)
    }

    /// Puts the file into the bucket. Our token stays away from it: the form is signed.
    async fn put_file(&self, video: &Video, whole: Whole, handles: &mut dyn Handles) -> Result<(), Fault> {
        let frame = Frame::new(video, &whole.content_type);
        let length = whole.size_bytes + (frame.before.len() + frame.after.len()) as u64;
        let call = Call::new(http::Method::POST, video.url.clone()).body(&frame.content_type, Bytes::new());
        let (head, _) = call.build().map_err(|error| wire::unanswered_read(&error))?.into_parts();
        let bounds = wire::upload_bounds(usize::try_from(length).unwrap_or(usize::MAX));
        let edge = |bytes: Bytes| stream::once(std::future::ready(Ok::<_, std::io::Error>(bytes)));
        let body = edge(frame.before).chain(pieces(whole)).chain(edge(frame.after));
        let sent = self.http.bounded(bounds).send_stream(Request::from_parts(head, ()), length, body).await;
        let response = sent.map_err(|error| wire::unanswered_read(&error))?;
        if response.status().is_success() {
            return Ok(());
        }
        if response.status().is_client_error() {
            // The form is of no use any more, as after its time is over: the upload begins anew.
            handles.update(STEP, Video::default().kept()).await?;
        }
        Err(Fault::Transient {
            code: "UPLOAD_INTERRUPTED".into(),
            message: format!("The storage of Pinterest answered {} to the video.", response.status()),
            retry_after: None,
        })
    }

    async fn wait_until_processed(&self, session: &Session, media_id: &str) -> Result<(), Fault> {
        let path = format!("/v5/media/{media_id}");
        let mut pause = Duration::from_millis(500);
        let mut waited = Duration::ZERO;
        loop {
            let call = Call::get(&session.server, &path, &[]).bearer(session.access_token.expose());
            let body = json(&self.ask(call).await?).unwrap_or_default();
            match text_of(&body, "status") {
                "succeeded" => return Ok(()),
                "failed" => {
                    let message = "Pinterest could not process the video. Use another file.".into();
                    return Err(Fault::Rejected { code: "MEDIA_REFUSED".into(), message });
                }
                _ => {}
            }
            if waited >= PROCESSING {
                let message = "Pinterest is still processing the video.".into();
                let retry_after = Some(Duration::from_secs(15));
                return Err(Fault::Transient { code: "MEDIA_PROCESSING".into(), message, retry_after });
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }
}

/// What stands before and after the file in the form.
struct Frame {
    content_type: String,
    before: Bytes,
    after: Bytes,
}

impl Frame {
    /// Every field as it was given, then the head of the file. The boundary comes from the signed fields, which nobody
    /// else can guess.
    fn new(video: &Video, content_type: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(&video.media_id)
            .chain_update(Value::Object(video.fields.clone()).to_string())
            .finalize();
        let boundary = format!("postmesh-{}", data_encoding::HEXLOWER.encode(&digest[..16]));
        let mut before = BytesMut::new();
        for (name, value) in &video.fields {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let part =
                format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            before.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"video\"\r\ncontent-type: \
             {content_type}\r\n\r\n"
        );
        before.extend_from_slice(head.as_bytes());
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            before: before.freeze(),
            after: format!("\r\n--{boundary}--\r\n").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_last_part_of_the_form() {
        let fields =
            object!({ "key": "uploads/1", "x-amz-date": "2026", "Content-Type": "multipart/form-data" });
        let video = Video { fields: fields.as_object().unwrap().clone(), ..Video::default() };
        let frame = Frame::new(&video, "video/mp4");
        let before = String::from_utf8(frame.before.to_vec()).unwrap();
        let boundary = frame.content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert_eq!(before.matches(boundary).count(), 4);
        assert!(before.contains("name=\"key\"\r\n\r\nuploads/1\r\n"), "{before}");
        assert!(before.ends_with("filename=\"video\"\r\ncontent-type: video/mp4\r\n\r\n"), "{before}");
        assert_eq!(frame.after, format!("\r\n--{boundary}--\r\n"));
    }
}

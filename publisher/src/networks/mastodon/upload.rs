//! Bringing pictures and videos up, and waiting until the server has processed them.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{Request, Response};
use serde_json::json as object;
use sha2::{Digest, Sha256};

use super::{
    super::pieces::pieces, Call, Fault, Handles, Mastodon, MediaSource, Session, Work, errors, json, read,
    text_of, wire,
};
use crate::{
    domain::content::Media,
    media::{Rendition, Room, Whole},
};

/// How long `prepare` waits for one upload to be processed before it asks to be called again.
const PROCESSING: Duration = Duration::from_secs(45);

impl Mastodon {
    /// Uploads one picture or video unless that is done, and waits until the server has processed it.
    pub(super) async fn upload_step(
        &self,
        session: &Session,
        work: &Work,
        item: &Media,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let step = step(i);
        let stored = handles.stored().get(&step).cloned();
        let (id, ready) = if let Some(stored) = stored {
            (text_of(&stored, "id").to_owned(), stored["ready"] == true)
        } else {
            let (id, ready) = if item.is_video() {
                let whole = media.open(work.workspace_id, item.media_id).await?;
                wire::pass("prep.media_put.before").await?;
                self.upload_video(session, item, whole).await?
            } else {
                let room = Room::of(&session.limits);
                let rendition = media.read(work.workspace_id, item.media_id, room).await?;
                wire::pass("prep.media_put.before").await?;
                self.upload(session, item, &rendition).await?
            };
            wire::pass("prep.media_put.after").await?;
            handles.save(&step, object!({ "id": id, "ready": ready })).await?;
            let stored = &handles.stored()[&step];
            (text_of(stored, "id").to_owned(), stored["ready"] == true)
        };
        if !ready {
            self.wait_until_processed(session, &id).await?;
            handles.update(&step, object!({ "id": id, "ready": true })).await?;
        }
        Ok(id)
    }

    /// 200: ready; 202: still being processed.
    async fn upload(
        &self,
        session: &Session,
        item: &Media,
        rendition: &Rendition,
    ) -> Result<(String, bool), Fault> {
        let (content_type, form) = multipart(rendition, &item.alt_text);
        let bounds = wire::upload_bounds(form.len());
        let call = Call::post(&session.server, "/api/v2/media")
            .bearer(session.access_token.expose())
            .body(&content_type, form);
        let response = call.read(&self.http.bounded(bounds)).await?;
        self.attached(&response)
    }

    /// The same for a file that is read while it goes out.
    async fn upload_video(
        &self,
        session: &Session,
        item: &Media,
        whole: Whole,
    ) -> Result<(String, bool), Fault> {
        let seed = format!("{}|{}", item.media_id, whole.size_bytes);
        let frame = Frame::new(seed.as_bytes(), &whole.content_type, "video", &item.alt_text);
        let call = Call::post(&session.server, "/api/v2/media")
            .bearer(session.access_token.expose())
            .header("content-type", &frame.content_type());
        let (head, _) = call.build().map_err(|error| wire::unanswered_read(&error))?.into_parts();
        let length = whole.size_bytes + (frame.before.len() + frame.after.len()) as u64;
        let bounds = wire::upload_bounds(usize::try_from(length).unwrap_or(usize::MAX));
        let edge = |bytes: Bytes| stream::once(std::future::ready(Ok::<_, std::io::Error>(bytes)));
        let body = edge(frame.before).chain(pieces(whole)).chain(edge(frame.after));
        let sent = self.http.bounded(bounds).send_stream(Request::from_parts(head, ()), length, body).await;
        self.attached(&sent.map_err(|error| wire::unanswered_read(&error))?)
    }

    /// The id of an upload, and whether it is ready.
    fn attached(&self, response: &Response<Bytes>) -> Result<(String, bool), Fault> {
        if response.status().as_u16() == 413 {
            let (code, message) = errors::UPLOAD_TOO_LARGE;
            return Err(Fault::Rejected { code: code.into(), message: message.into() });
        }
        if !response.status().is_success() {
            return Err(self.fault(response));
        }
        let body = json(response).unwrap_or_default();
        let id = text_of(&body, "id").to_owned();
        if id.is_empty() {
            let message = "The server's answer to the upload holds no id.".into();
            return Err(Fault::Transient { code: "SERVER_ERROR".into(), message, retry_after: None });
        }
        Ok((id, response.status().as_u16() == 200))
    }

    /// 206: still at it; 200: done; 422: cannot be processed.
    async fn wait_until_processed(&self, session: &Session, id: &str) -> Result<(), Fault> {
        let path = format!("/api/v1/media/{}", read::segment(id));
        let mut pause = Duration::from_millis(250);
        let mut waited = Duration::ZERO;
        loop {
            let response = self
                .ask(Call::get(&session.server, &path, &[]).bearer(session.access_token.expose()))
                .await?;
            if response.status().as_u16() == 200 {
                return Ok(());
            }
            if waited >= PROCESSING {
                let message = "The server is still processing a picture or video.".into();
                let retry_after = Some(Duration::from_secs(5));
                return Err(Fault::Transient { code: "MEDIA_PROCESSING".into(), message, retry_after });
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// The handle of picture `i`.
pub(super) fn step(i: usize) -> String {
    format!("media.{i}")
}

/// A form of `file` and `description` around a file, whose length is known beforehand: some proxies refuse chunked uploads.
/// The boundary comes from the content, so it cannot occur inside by accident and the same file makes the same bytes.
struct Frame {
    boundary: String,
    before: Bytes,
    after: Bytes,
}

impl Frame {
    fn new(seed: &[u8], content_type: &str, name: &str, alt_text: &str) -> Self {
        let digest = Sha256::new().chain_update(seed).chain_update(alt_text).finalize();
        let boundary = format!("postmesh-{}", data_encoding::HEXLOWER.encode(&digest[..16]));
        let extension = content_type.split('/').nth(1).unwrap_or("bin");
        let description = if alt_text.is_empty() {
            String::new()
        } else {
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"description\"\r\n\r\n{alt_text}\r\n"
            )
        };
        let before = format!(
            "{description}--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; \
             filename=\"{name}.{extension}\"\r\ncontent-type: {content_type}\r\n\r\n"
        );
        let after = format!("\r\n--{boundary}--\r\n").into();
        Self { boundary, before: before.into(), after }
    }

    fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }
}

/// The whole form of a picture.
fn multipart(rendition: &Rendition, alt_text: &str) -> (String, Bytes) {
    let frame = Frame::new(&rendition.bytes, &rendition.content_type, "picture", alt_text);
    let mut form = BytesMut::with_capacity(rendition.bytes.len() + frame.before.len() + frame.after.len());
    for part in [&frame.before, &rendition.bytes, &frame.after] {
        form.put_slice(part);
    }
    (frame.content_type(), form.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_knows_its_length_and_holds_the_file() {
        let bytes = Bytes::from_static(b"\x89PNG");
        let rendition = Rendition { content_type: "image/png".into(), width: 1, height: 1, bytes };
        let (content_type, form) = multipart(&rendition, "a ü");
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = String::from_utf8_lossy(&form);
        assert_eq!(text.matches(boundary).count(), 3);
        assert!(
            text.contains("name=\"description\"\r\n\r\na ü\r\n") && text.contains("filename=\"picture.png\"")
        );
        assert_eq!(multipart(&rendition, "a ü").1, form);
    }
}

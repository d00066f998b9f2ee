//! Bringing media up: stills in one request, animations and videos in segments, then processed by X. Everything here is
//! reversible: what no post uses is cleared away by X within a day.
//!
//! <https://docs.x.com/x-api/media/quickstart/media-upload-chunked>. A segment that is sent again replaces itself.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};
use sha2::{Digest, Sha256};

use super::{
    Call, Fault, Handles, MediaSource, Session, Work, X, json, publish::is_gif, read, text_of, wire,
};
use crate::{
    domain::content::Media,
    media::{Room, Whole},
};

/// Bytes of a segment: at most 5 MB are taken, and at most 1000 segments.
const SEGMENT: u64 = 4 << 20;

/// How long `prepare` waits for one upload to be processed before it asks to be called again.
const PROCESSING: Duration = Duration::from_secs(45);

/// An upload that ends sooner than this is made again rather than used, milliseconds.
const MARGIN: i64 = 600_000;

/// The code of a file that X took and could not process.
const REFUSED: &str = "MEDIA_REFUSED";

/// How far one upload has come; kept as its handle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Upload {
    id: String,
    /// Segments that X has; meaningless once it is whole.
    segments: u64,
    /// X has all of it.
    whole: bool,
    /// X is done working on it.
    processed: bool,
    /// X can show it, and knows its description.
    ready: bool,
    /// When X clears it away, Unix milliseconds.
    until: i64,
}

impl Upload {
    fn of(data: &Value, now_ms: i64) -> Result<Self, Fault> {
        let id = text_of(data, "id").to_owned();
        let lifetime = data.get("expires_after_secs").and_then(Value::as_i64).unwrap_or(86_400);
        let until = now_ms.saturating_add(lifetime.saturating_mul(1000));
        if id.is_empty() { Err(wire::unreadable()) } else { Ok(Self { id, until, ..Self::default() }) }
    }

    /// X has it; without `processing_info` there is nothing to wait for.
    fn whole(data: &Value, now_ms: i64) -> Result<Self, Fault> {
        let processed = data.get("processing_info").is_none();
        Ok(Self { whole: true, processed, ..Self::of(data, now_ms)? })
    }

    fn handle(&self) -> Value {
        object!(self)
    }
}

/// One item on its way up.
struct Part<'a> {
    session: &'a Session,
    work: &'a Work,
    item: &'a Media,
    step: &'a str,
    media: &'a MediaSource,
    handles: &'a mut dyn Handles,
}

/// The handle of item `i`.
pub(super) fn step(i: usize) -> String {
    format!("media.{i}")
}

impl X {
    /// Brings one item up unless that is done; its id.
    pub(super) async fn media_step(
        &self,
        session: &Session,
        work: &Work,
        item: &Media,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let step = step(i);
        let stored: Option<Upload> =
            handles.stored().get(&step).and_then(|value| serde_json::from_value(value.clone()).ok());
        let alive = |upload: &Upload| upload.until - MARGIN > self.clock.now_ms() && !upload.id.is_empty();
        let (mut upload, resumed) = match stored.filter(alive) {
            Some(upload) if upload.ready => return Ok(upload.id),
            Some(upload) => (upload, true),
            None => (self.begun(session, work, item, &step, media, handles).await?, false),
        };
        let mut part = Part { session, work, item, step: &step, media, handles };
        match self.finished(&mut part, &mut upload).await {
            // What was begun before may be gone meanwhile; what has just been begun was refused for what it is.
            Err(Fault::Rejected { code, .. }) if resumed && code != REFUSED => {
                part.handles.update(&step, object!(Upload::default())).await?;
                let message = "X refused to go on with an upload; it is made again.".into();
                Err(Fault::Transient { code: "MEDIA_GONE".into(), message, retry_after: None })
            }
            ended => ended.map(|()| upload.id),
        }
    }

    /// The upload, begun or, for a still, made in one go.
    async fn begun(
        &self,
        session: &Session,
        work: &Work,
        item: &Media,
        step: &str,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Upload, Fault> {
        let upload = if item.is_video() || is_gif(item) {
            let whole = media.open(work.workspace_id, item.media_id).await?;
            wire::pass("prep.media_put.before").await?;
            self.initialize(session, &whole).await?
        } else {
            let picture = media.read(work.workspace_id, item.media_id, Room::of(&session.limits)).await?;
            wire::pass("prep.media_put.before").await?;
            let fields = [("media_category", "tweet_image")];
            let (content_type, form) = multipart(&fields, &picture.content_type, &picture.bytes);
            let call = Call::post(&session.server, "/2/media/upload");
            let data = self.put(session, call, &content_type, form).await?;
            Upload::whole(&data, self.clock.now_ms())?
        };
        wire::pass("prep.media_put.after").await?;
        if handles.stored().contains_key(step) {
            handles.update(step, upload.handle()).await?;
        } else {
            handles.save(step, upload.handle()).await?;
        }
        let stored = handles.stored().get(step).cloned().unwrap_or_default();
        serde_json::from_value(stored).map_err(|problem| Fault::Store(problem.to_string()))
    }

    async fn initialize(&self, session: &Session, whole: &Whole) -> Result<Upload, Fault> {
        let category = if whole.is_video() { "tweet_video" } else { "tweet_gif" };
        let body = object!({
            "media_type": whole.content_type,
            "total_bytes": whole.size_bytes,
            "media_category": category,
        });
        let call = Call::post(&session.server, "/2/media/upload/initialize").json(&body);
        let answer = self.ask(session, call).await?;
        Upload::of(answer.get("data").unwrap_or(&Value::Null), self.clock.now_ms())
    }

    /// Sends what is missing, waits until X can show it, and tells X its description.
    async fn finished(&self, part: &mut Part<'_>, upload: &mut Upload) -> Result<(), Fault> {
        let (session, item) = (part.session, part.item);
        if !upload.whole {
            self.append(part, upload).await?;
            let path = format!("/2/media/upload/{}/finalize", read::segment(&upload.id));
            let answer = self.ask(session, Call::post(&session.server, &path)).await?;
            *upload = Upload::whole(answer.get("data").unwrap_or(&Value::Null), self.clock.now_ms())?;
            part.handles.update(part.step, upload.handle()).await?;
        }
        if !upload.processed {
            self.wait_until_processed(session, &upload.id).await?;
            upload.processed = true;
        }
        if !item.alt_text.is_empty() && !item.is_video() {
            let alt = object!({ "id": upload.id, "metadata": { "alt_text": { "text": item.alt_text } } });
            self.ask(session, Call::post(&session.server, "/2/media/metadata").json(&alt)).await?;
        }
        upload.ready = true;
        part.handles.update(part.step, upload.handle()).await
    }

    async fn append(&self, part: &mut Part<'_>, upload: &mut Upload) -> Result<(), Fault> {
        let whole = part.media.open(part.work.workspace_id, part.item.media_id).await?;
        let path = format!("/2/media/upload/{}/append", read::segment(&upload.id));
        while upload.segments * SEGMENT < whole.size_bytes {
            let bytes = whole.read_range(upload.segments * SEGMENT, SEGMENT).await?;
            let index = upload.segments.to_string();
            let (content_type, form) = multipart(&[("segment_index", &index)], &whole.content_type, &bytes);
            let call = Call::post(&part.session.server, &path);
            self.put(part.session, call, &content_type, form).await?;
            upload.segments += 1;
            part.handles.update(part.step, upload.handle()).await?;
        }
        Ok(())
    }

    /// Sends a form with a file in it; the `data` of the answer.
    async fn put(
        &self,
        session: &Session,
        call: Call,
        content_type: &str,
        form: Bytes,
    ) -> Result<Value, Fault> {
        let bounds = wire::upload_bounds(form.len());
        let call = call.bearer(session.access_token.expose()).body(content_type, form);
        let response = call.read(&self.http.bounded(bounds)).await?;
        if response.status().as_u16() == 413 {
            let message = "X does not accept a file of this size. Use a smaller one.".into();
            return Err(Fault::Rejected { code: "MEDIA_TOO_LARGE".into(), message });
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        Ok(json(&response).and_then(|body| body.get("data").cloned()).unwrap_or_default())
    }

    /// X says how long to wait between two looks.
    async fn wait_until_processed(&self, session: &Session, id: &str) -> Result<(), Fault> {
        let mut waited = Duration::ZERO;
        loop {
            let query = [("command", "STATUS"), ("media_id", id)];
            let answer = self.ask(session, Call::get(&session.server, "/2/media/upload", &query)).await?;
            let Some(info) = answer.pointer("/data/processing_info") else { return Ok(()) };
            match text_of(info, "state") {
                "succeeded" => return Ok(()),
                "failed" => {
                    let why = info.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
                    let message = format!("X could not process a file of this post: {}", wire::short(why));
                    return Err(Fault::Rejected { code: REFUSED.into(), message });
                }
                _ => {}
            }
            let asked = info.get("check_after_secs").and_then(Value::as_u64).unwrap_or(1);
            if waited >= PROCESSING {
                let message = "X is still processing a file of this post.".into();
                let retry_after = Some(Duration::from_secs(asked.clamp(5, 60)));
                return Err(Fault::Transient { code: "MEDIA_PROCESSING".into(), message, retry_after });
            }
            let pause = Duration::from_secs(asked.clamp(1, 10));
            tokio::time::sleep(pause).await;
            waited += pause;
        }
    }
}

/// A form of fields and the file `media`, whose length is known beforehand. The boundary comes from the content, so it
/// cannot occur inside by accident, and the same file makes the same bytes.
fn multipart(fields: &[(&str, &str)], content_type: &str, file: &Bytes) -> (String, Bytes) {
    let digest = Sha256::digest(file);
    let boundary = format!("postmesh-{}", data_encoding::HEXLOWER.encode(&digest[..16]));
    let mut form = BytesMut::with_capacity(file.len() + 1024);
    for (name, value) in fields {
        let field =
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.put_slice(field.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"media\"; filename=\"media\"\r\n\
         content-type: {content_type}\r\n\r\n"
    );
    form.put_slice(head.as_bytes());
    form.put_slice(file);
    form.put_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), form.freeze())
}

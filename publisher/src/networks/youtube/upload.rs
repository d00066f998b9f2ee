//! The resumable upload: everything but its end is brought up beforehand, and the end is the one visible request.
//!
//! ```text
//!  prepare: POST …/videos ──▶ session address (kept) ──▶ PUT 8 MiB ──▶ … ──▶ all but the last ≤ 256 KiB
//!  send:    PUT the rest ──▶ 201 and the video's id        reconcile: PUT nothing, bytes */total
//! ```
//! <https://developers.google.com/youtube/v3/guides/using_resumable_upload_protocol>. Every chunk but the last is a
//! multiple of 262,144 bytes, so the last one, which alone is visible, is never longer than that.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Response, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};
use url::Url;

use super::{
    API, Answer, Call, Fault, HandleMap, Handles, MediaSource, Ready, SITE, Session, Work, Youtube, errors,
    json, server, text_of, video, wire,
};
use crate::{domain::outcome::Outcome, media::Whole};

/// The handle of the session.
pub(super) const STEP: &str = "upload";

/// What chunks are multiples of.
const UNIT: u64 = 262_144;

/// Bytes of a chunk.
const CHUNK: u64 = 32 * UNIT;

/// A session and how far it has come.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    /// Its address: who has it may upload to it and read what became of it, with or without a token.
    address: String,
    /// Bytes of the file.
    pub(super) total: u64,
    /// Bytes that YouTube has, as far as we know.
    sent: u64,
    content_type: String,
}

impl Upload {
    /// The one that is kept for this delivery.
    pub(super) fn read(handles: &HandleMap) -> Option<Self> {
        serde_json::from_value(handles.get(STEP)?.clone()).ok()
    }

    /// Where the last chunk begins.
    fn end(&self) -> u64 {
        self.total.saturating_sub(1) / UNIT * UNIT
    }
}

/// How far YouTube says that a session has come.
pub(super) enum Progress {
    /// So many bytes are stored; the video is not there.
    Stored(u64),
    /// The video is there.
    Done(String),
    /// Nobody knows the session any more.
    Gone,
}

impl Youtube {
    /// Brings up all but the end of the file, going on where it was.
    pub(super) async fn upload(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let Some(item) = work.content.media.first() else {
            let message = "YouTube takes no post without a video. Attach one.".into();
            return Err(Fault::Rejected { code: "MEDIA_REQUIRED".into(), message });
        };
        let whole = media.open(work.workspace_id, item.media_id).await?;
        let mut upload = if let Some(known) = Upload::read(handles.stored()) {
            self.resumed(session, work, &whole, known, handles).await?
        } else {
            let opened = self.open(session, work, &whole).await?;
            if handles.stored().contains_key(STEP) {
                // What is kept cannot be read.
                handles.update(STEP, object!(opened)).await?;
            } else {
                handles.save(STEP, object!(opened)).await?;
            }
            // Another process may have kept its own first.
            Upload::read(handles.stored()).unwrap_or(opened)
        };
        while upload.sent < upload.end() {
            let length = CHUNK.min(upload.end() - upload.sent);
            let bytes = whole.read_range(upload.sent, length).await?;
            let progress = self.put(session, &upload, bytes).await?;
            match progress {
                Progress::Stored(stored) if stored > upload.sent => upload.sent = stored,
                Progress::Stored(_) => return Err(stuck()),
                Progress::Done(_) => upload.sent = upload.end(),
                Progress::Gone => {
                    upload = self.open(session, work, &whole).await?;
                }
            }
            handles.update(STEP, object!(upload)).await?;
        }
        let last = whole.read_range(upload.end(), UNIT).await?;
        Ok(Ready::new(envelope(&upload, &last)))
    }

    /// A session that is stored. YouTube's word counts, not ours, unless all of it was brought up.
    async fn resumed(
        &self,
        session: &Session,
        work: &Work,
        whole: &Whole,
        known: Upload,
        handles: &mut dyn Handles,
    ) -> Result<Upload, Fault> {
        if known.total == whole.size_bytes && known.sent >= known.end() {
            return Ok(known);
        }
        let sent = match self.probe(session, &known).await? {
            Progress::Stored(stored) if known.total == whole.size_bytes => Some(stored.min(known.end())),
            Progress::Done(_) => Some(known.end()),
            Progress::Stored(_) | Progress::Gone => None,
        };
        let upload = match sent {
            Some(sent) => Upload { sent, ..known },
            None => self.open(session, work, whole).await?,
        };
        handles.update(STEP, object!(upload)).await?;
        Ok(upload)
    }

    async fn open(&self, session: &Session, work: &Work, whole: &Whole) -> Result<Upload, Fault> {
        wire::pass("prep.media_put.before").await?;
        let notify = if video::settings(&work.content).skip_notification { "false" } else { "true" };
        let query = [("uploadType", "resumable"), ("part", "snippet,status"), ("notifySubscribers", notify)];
        let address = server::address(&session.server, "/upload/youtube/v3/videos", &query);
        let call = Call::new(Method::POST, address)
            .bearer(session.access_token.expose())
            .header("x-upload-content-length", &whole.size_bytes.to_string())
            .header("x-upload-content-type", &whole.content_type)
            .json(&video::metadata(&session.limits, &work.content));
        let response = call.read(&self.http).await?;
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        wire::pass("prep.media_put.after").await?;
        let uri = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let uri = uri.filter(|uri| is_googles(&session.server, uri)).ok_or_else(wire::unreadable)?;
        Ok(Upload {
            address: uri.to_owned(),
            total: whole.size_bytes,
            sent: 0,
            content_type: whole.content_type.clone(),
        })
    }

    /// Sends bytes from where YouTube is, never the last one.
    async fn put(&self, session: &Session, upload: &Upload, bytes: Bytes) -> Result<Progress, Fault> {
        let bounds = wire::upload_bounds(bytes.len());
        let call = chunk(session, &upload.address, upload.sent, upload.total, &upload.content_type, bytes);
        self.progress(&call.read(&self.http.bounded(bounds)).await?)
    }

    /// Asks how far the session has come; changes nothing.
    pub(super) async fn probe(&self, session: &Session, upload: &Upload) -> Result<Progress, Fault> {
        let call = Call::new(Method::PUT, upload.address.clone())
            .bearer(session.access_token.expose())
            .header("content-range", &format!("bytes */{}", upload.total));
        self.progress(&call.read(&self.http).await?)
    }

    fn progress(&self, response: &Response<Bytes>) -> Result<Progress, Fault> {
        match response.status().as_u16() {
            200 | 201 => {
                let body = json(response).unwrap_or_default();
                let id = text_of(&body, "id");
                if id.is_empty() { Err(wire::unreadable()) } else { Ok(Progress::Done(id.to_owned())) }
            }
            308 => Ok(Progress::Stored(stored(response.headers()))),
            404 | 410 => Ok(Progress::Gone),
            _ => Err(self.fault(response)),
        }
    }
}

/// `Range: bytes=0-<last>`; without the header nothing is stored.
fn stored(headers: &HeaderMap) -> u64 {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let last = range.and_then(|range| range.rsplit_once('-')).and_then(|(_, last)| last.parse::<u64>().ok());
    last.map_or(0, |last| last + 1)
}

fn chunk(session: &Session, uri: &str, first: u64, total: u64, content_type: &str, bytes: Bytes) -> Call {
    let last = first + (bytes.len() as u64).saturating_sub(1);
    Call::new(Method::PUT, uri.to_owned())
        .bearer(session.access_token.expose())
        .header("content-range", &format!("bytes {first}-{last}/{total}"))
        .body(content_type, bytes)
}

/// The token goes to Google alone.
fn is_googles(server: &str, uri: &str) -> bool {
    let host = Url::parse(uri).ok().filter(|url| url.scheme() == "https");
    let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
    server::same_origin(server, uri) || (server == API && host.ends_with(".googleapis.com"))
}

/// The last chunk with all that sending it needs: a line of JSON, then the bytes.
fn envelope(upload: &Upload, last: &Bytes) -> Bytes {
    let head = object!({
        "address": upload.address,
        "first": upload.end(),
        "total": upload.total,
        "content_type": upload.content_type,
    });
    let head = head.to_string();
    let mut whole = BytesMut::with_capacity(head.len() + 1 + last.len());
    whole.put_slice(head.as_bytes());
    whole.put_u8(b'\n');
    whole.put_slice(last);
    whole.freeze()
}

/// The one visible request.
pub(super) fn last_call(session: &Session, request: &Bytes) -> Result<Call, Box<Answer>> {
    let parts = || {
        let end = request.iter().position(|byte| *byte == b'\n')?;
        let head: Value = serde_json::from_slice(&request[..end]).ok()?;
        let number = |name: &str| head.get(name).and_then(Value::as_u64);
        let bytes = request.slice(end + 1..);
        let (first, total) = (number("first")?, number("total")?);
        Some(chunk(session, text_of(&head, "address"), first, total, text_of(&head, "content_type"), bytes))
    };
    parts().ok_or_else(|| {
        let why = "the prepared request is not one of an upload".to_owned();
        Box::new(Outcome::NotSent { why }.into())
    })
}

/// Where people watch it.
pub(super) fn page(session: &Session, id: &str) -> String {
    format!("{}/watch?v={id}", server::sibling(&session.server, API, SITE))
}

/// What the answer to the last chunk proves. A session that wants more has made no video, and neither has one that is
/// gone when its end arrives.
pub(super) fn answer(response: &Response<Bytes>, session: &Session, now_ms: i64) -> Answer {
    let status = response.status();
    let reason = errors::reason(response).unwrap_or_default();
    let wire = wire::seen(response, Some(reason.as_str()).filter(|reason| !reason.is_empty()), now_ms);
    let again = |code: &str, message: &str| Outcome::Stale {
        steps: vec![STEP.to_owned()],
        code: code.into(),
        message: message.into(),
    };
    let outcome = match status.as_u16() {
        200 | 201 => {
            let body = json(response).unwrap_or_default();
            let id = text_of(&body, "id");
            if id.is_empty() {
                Outcome::Ambiguous { evidence: format!("YouTube answered {status} without a video") }
            } else {
                Outcome::Accepted { native_id: id.to_owned(), url: page(session, id) }
            }
        }
        308 => again("UPLOAD_INCOMPLETE", "YouTube has lost a part of the upload; it is uploaded again."),
        404 | 410 => again("UPLOAD_GONE", "YouTube no longer knows the upload; it is uploaded again."),
        _ => {
            let proof = wire::judge(errors::RULES, status, &reason);
            let outcome = wire::refused(proof, status, response.headers(), Vec::new, now_ms);
            errors::sent_until_tomorrow(outcome, now_ms)
        }
    };
    Answer { outcome, wire }
}

fn stuck() -> Fault {
    let message = "YouTube stores nothing of what it is sent.".into();
    Fault::Transient { code: "UPLOAD_STUCK".into(), message, retry_after: None }
}

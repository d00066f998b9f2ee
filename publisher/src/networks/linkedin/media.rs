//! Uploads: a picture in one request, a video in parts of 4 MiB that each have an address of their own, then waiting
//! until they may be posted. Nothing is visible before the post.
//!
//! <https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/images-api> and `videos-api`

use std::time::Duration;

use http::{Method, header::ETAG};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

use super::{
    super::server::{self, same_origin},
    API, Call, Fault, Handles, Linkedin, MediaSource, Session, WEB, Work, encoded, versioned,
};
use crate::{
    domain::content::Media,
    media::{Room, Whole},
    networks::wire::{self, json, text_of},
};

/// How long `prepare` waits for media to be processed before it asks to be called again.
const PROCESSING: Duration = Duration::from_secs(45);

/// A picture that was put.
#[derive(Serialize, Deserialize)]
struct Picture {
    urn: String,
    /// Unix milliseconds.
    at: i64,
    ready: bool,
}

/// A video that was begun.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Begun {
    urn: String,
    token: String,
    /// Unix milliseconds; 0: not told.
    ends_at: i64,
    parts: Vec<Part>,
    complete: bool,
    ready: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    upload_url: String,
    first_byte: u64,
    last_byte: u64,
}

/// The handle of item `i`.
pub(super) fn step(i: usize) -> String {
    format!("media.{i}")
}

/// The handle of the ids that the parts of video `i` were answered.
fn parts_step(i: usize) -> String {
    format!("media.{i}.parts")
}

fn stored<T: for<'de> Deserialize<'de>>(handles: &dyn Handles, step: &str) -> Option<T> {
    handles.stored().get(step).and_then(|value| T::deserialize(value).ok())
}

fn kept(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain strings and numbers")
}

impl Linkedin {
    /// Uploads one item unless that is done; its URN.
    pub(super) async fn upload_step(
        &self,
        session: &Session,
        work: &Work,
        item: &Media,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        if item.is_video() {
            let whole = media.open(work.workspace_id, item.media_id).await?;
            return self.video(session, &whole, i, handles).await;
        }
        if let Some(picture) = stored::<Picture>(handles, &step(i)) {
            return Ok(picture.urn);
        }
        let room = Room::of(&session.limits);
        let takes = session.limits.image_types.contains(&item.content_type);
        let room = if takes { room } else { room.jpeg() };
        let rendition = media.read(work.workspace_id, item.media_id, room).await?;
        wire::pass("prep.media_put.before").await?;
        let value = self.begin_upload(session, "images", object!({})).await?;
        let (url, urn) = (text_of(&value, "uploadUrl"), text_of(&value, "image"));
        if url.is_empty() || urn.is_empty() {
            return Err(wire::unreadable());
        }
        let bounds = wire::upload_bounds(rendition.bytes.len());
        let call = Call::new(Method::PUT, url.to_owned()).body(&rendition.content_type, rendition.bytes);
        // The token goes to LinkedIn alone, whatever address was answered.
        let call = if is_linkedins(&session.server, url) {
            call.bearer(session.access_token.expose())
        } else {
            call
        };
        let response = call.read(&self.http.bounded(bounds)).await?;
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        wire::pass("prep.media_put.after").await?;
        let picture = Picture { urn: urn.to_owned(), at: self.clock.now_ms(), ready: false };
        handles.save(&step(i), kept(&picture)).await?;
        stored::<Picture>(handles, &step(i)).map(|picture| picture.urn).ok_or_else(wire::unreadable)
    }

    /// Waits until an uploaded item may be posted.
    pub(super) async fn wait_step(
        &self,
        session: &Session,
        item: &Media,
        i: usize,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let step = step(i);
        if item.is_video() {
            let Some(begun) = stored::<Begun>(handles, &step).filter(|begun| !begun.ready) else {
                return Ok(());
            };
            self.wait_until_available(session, "videos", &begun.urn, 0).await?;
            return handles.update(&step, kept(&Begun { ready: true, ..begun })).await;
        }
        let Some(picture) = stored::<Picture>(handles, &step).filter(|picture| !picture.ready) else {
            return Ok(());
        };
        self.wait_until_available(session, "images", &picture.urn, picture.at).await?;
        handles.update(&step, kept(&Picture { ready: true, ..picture })).await
    }

    /// Begins an upload; what the answer holds.
    async fn begin_upload(&self, session: &Session, kind: &str, mut more: Value) -> Result<Value, Fault> {
        more["owner"] = object!(self.author(&session.native_id));
        let call = Call::new(Method::POST, format!("{}/rest/{kind}?action=initializeUpload", session.server))
            .json(&object!({ "initializeUploadRequest": more }));
        let body = json(&self.ask(versioned(call, session)).await?);
        body.and_then(|mut body| body.get_mut("value").map(Value::take)).ok_or_else(wire::unreadable)
    }

    /// Sends the parts that are missing, then names them all.
    async fn video(
        &self,
        session: &Session,
        whole: &Whole,
        i: usize,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let known = stored::<Begun>(handles, &step(i)).filter(|begun| !begun.urn.is_empty());
        let over =
            |begun: &Begun| !begun.complete && begun.ends_at > 0 && begun.ends_at <= self.clock.now_ms();
        let mut begun = match known.filter(|begun| !over(begun)) {
            Some(begun) => begun,
            None => self.begin_video(session, whole, i, handles).await?,
        };
        if begun.complete {
            return Ok(begun.urn);
        }
        let mut etags: Vec<String> = stored(handles, &parts_step(i)).unwrap_or_default();
        for part in begun.parts.iter().skip(etags.len()) {
            wire::pass("prep.media_put.before").await?;
            let length = (part.last_byte + 1).saturating_sub(part.first_byte);
            let bytes = whole.read_range(part.first_byte, length).await?;
            let bounds = wire::upload_bounds(bytes.len());
            let call =
                Call::new(Method::PUT, part.upload_url.clone()).body("application/octet-stream", bytes);
            let response = call.read(&self.http.bounded(bounds)).await?;
            let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            let Some(etag) = etag.filter(|_| response.status().is_success()) else {
                if response.status().is_client_error() {
                    // The addresses are of no use any more: the upload begins anew.
                    handles.update(&step(i), kept(&Begun::default())).await?;
                }
                return Err(Fault::Transient {
                    code: "UPLOAD_INTERRUPTED".into(),
                    message: format!("LinkedIn answered {} to a part of the video.", response.status()),
                    retry_after: None,
                });
            };
            etags.push(etag);
            handles.update(&parts_step(i), object!(etags)).await?;
            wire::pass("prep.media_put.after").await?;
        }
        let end = object!({ "finalizeUploadRequest": {
            "video": begun.urn, "uploadToken": begun.token, "uploadedPartIds": etags,
        } });
        let url = format!("{}/rest/videos?action=finalizeUpload", session.server);
        self.ask(versioned(Call::new(Method::POST, url).json(&end), session)).await?;
        begun.complete = true;
        handles.update(&step(i), kept(&begun)).await?;
        Ok(begun.urn)
    }

    async fn begin_video(
        &self,
        session: &Session,
        whole: &Whole,
        i: usize,
        handles: &mut dyn Handles,
    ) -> Result<Begun, Fault> {
        let asked = object!({
            "fileSizeBytes": whole.size_bytes, "uploadCaptions": false, "uploadThumbnail": false,
        });
        let value = self.begin_upload(session, "videos", asked).await?;
        let parts = value.get("uploadInstructions").and_then(|parts| Vec::<Part>::deserialize(parts).ok());
        let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(wire::unreadable)?;
        let begun = Begun {
            urn: text_of(&value, "video").to_owned(),
            token: text_of(&value, "uploadToken").to_owned(),
            ends_at: value.get("uploadUrlsExpireAt").and_then(Value::as_i64).unwrap_or(0),
            parts,
            ..Begun::default()
        };
        if begun.urn.is_empty() {
            return Err(wire::unreadable());
        }
        if handles.stored().contains_key(&step(i)) {
            handles.update(&parts_step(i), object!([])).await?;
            handles.update(&step(i), kept(&begun)).await?;
            return Ok(begun);
        }
        handles.save(&step(i), kept(&begun)).await?;
        stored(handles, &step(i)).ok_or_else(wire::unreadable)
    }

    /// Asks until it is available. Where asking is not allowed, it is given the usual time since its upload.
    async fn wait_until_available(
        &self,
        session: &Session,
        kind: &str,
        urn: &str,
        put_at: i64,
    ) -> Result<(), Fault> {
        let url = format!("{}/rest/{kind}/{}", session.server, encoded(urn));
        let mut pause = Duration::from_millis(250);
        let mut waited = Duration::ZERO;
        loop {
            let call = versioned(Call::new(Method::GET, url.clone()), session);
            let response = call.read(&self.http).await?;
            if response.status().as_u16() == 403 && kind == "images" {
                let since = self.clock.now_ms().saturating_sub(put_at).max(0).unsigned_abs();
                tokio::time::sleep(self.settles.saturating_sub(Duration::from_millis(since))).await;
                return Ok(());
            }
            if !response.status().is_success() {
                return Err(self.fault(&response));
            }
            match text_of(&json(&response).unwrap_or_default(), "status") {
                "AVAILABLE" => return Ok(()),
                "PROCESSING_FAILED" => {
                    let message = "LinkedIn could not process the media. Use another file.".into();
                    return Err(Fault::Rejected { code: "MEDIA_REFUSED".into(), message });
                }
                _ => {}
            }
            if waited >= PROCESSING {
                let message = "LinkedIn is still processing the media.".into();
                let retry_after = Some(Duration::from_secs(5));
                return Err(Fault::Transient { code: "MEDIA_PROCESSING".into(), message, retry_after });
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// Whether an address belongs to LinkedIn, or to the stand-in that plays it.
fn is_linkedins(server: &str, url: &str) -> bool {
    let on_host = url::Url::parse(url).is_ok_and(|url| {
        url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(".linkedin.com"))
    });
    on_host || same_origin(server::sibling(server, API, WEB), url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_linkedin_alone() {
        assert!(is_linkedins(API, "https://www.linkedin.com/dms-uploads/x"));
        assert!(is_linkedins("http://127.0.0.1:9/linkedin", "http://127.0.0.1:9/linkedin/dms-uploads/x/0"));
        for url in [
            "https://www.linkedin.com.evil.example/x",
            "http://www.linkedin.com/x",
            "https://evillinkedin.com/x",
            "https://evil.example/.linkedin.com",
        ] {
            assert!(!is_linkedins(API, url), "{url}");
        }
    }
}

//! Putting photos and videos at the network where nobody sees them yet. Photos are uploaded unpublished; a feed video is
//! a file handle, a reel or a video story a draft with an id. Every id is stored before the next call, and an upload
//! that broke off goes on where the network says that it stopped.

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json as object};

use super::{
    super::{files::Form, pieces::pieces_from, server},
    Call, Facebook, Fault, Handles, MediaSource, Session, VERSION, Work,
    connect::as_person,
    graph, json,
    publish::Shape,
    text_of,
    video::Video,
    wire,
};
use crate::media::{Room, Whole};

/// The handle of a draft: a reel or a video story.
pub(super) const DRAFT: &str = "video";

/// The handles of a feed video: the upload's session, and the file that came of it.
const SESSION: &str = "video.session";
const FILE: &str = "video.file";

/// The person's token has ended, or the person has left the application.
const PERSON_GONE: (&str, &str) = (
    "PERSON_AUTHORIZATION_ENDED",
    "Facebook no longer takes the authorization of the person who connected this Page, which feed videos need. Connect the Page again, then retry the post.",
);

/// The handle of photo `i`.
pub(super) fn photo(i: usize) -> String {
    format!("photo.{i}")
}

/// The call of an upload of a file of the application.
fn call(session: &Session, id: &str, method: Method, oauth: &str) -> Call {
    let address = server::address(&session.server, &format!("{VERSION}/{id}"), &[]);
    Call::new(method, address).header("authorization", oauth)
}

impl Facebook {
    /// Uploads one photo unpublished unless that is done; its id.
    pub(super) async fn photo_step(
        &self,
        session: &Session,
        work: &Work,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let step = photo(i);
        if !handles.stored().contains_key(&step) {
            let item = &work.content.media[i];
            let room = Room::of(&session.limits);
            // JPEG and PNG are taken as they are; every other still becomes a JPEG.
            let is_taken = session.limits.image_types.contains(&item.content_type);
            let room = if is_taken { room } else { room.jpeg() };
            let rendition = media.read(work.workspace_id, item.media_id, room).await?;
            wire::pass("prep.media_put.before").await?;
            // The same photo of the same work makes the same bytes.
            let seed = format!("{}/{step}", work.key);
            let mut form = Form::new(&seed);
            form.field("published", "false");
            if !item.alt_text.is_empty() {
                form.field("alt_text_custom", &item.alt_text);
            }
            let ending = rendition.content_type.rsplit('/').next().unwrap_or("bin");
            form.file("source", &format!("picture.{ending}"), &rendition.content_type, &rendition.bytes);
            let content_type = Form::content_type(&seed);
            let path = format!("{}/photos", graph::segment(&session.native_id));
            let call = self.api.call(session, Method::POST, &path, &[]).body(&content_type, form.finish());
            let bounds = wire::upload_bounds(rendition.bytes.len());
            let response = call.read(&self.api.http.bounded(bounds)).await?;
            let id = graph::made(&self.api.body(&response)?)?;
            wire::pass("prep.media_put.after").await?;
            handles.save(&step, object!({ "id": id })).await?;
        }
        Ok(text_of(&handles.stored()[&step], "id").to_owned())
    }

    /// Uploads a feed video as a file of the application, with the person's token, unless that is done; the file's
    /// handle. <https://developers.facebook.com/docs/graph-api/guides/upload>
    pub(super) async fn file_step(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        if let Some(file) = handles.stored().get(FILE) {
            return Ok(text_of(file, "h").to_owned());
        }
        // The Page's own token is as good as before: nothing else of the account has to wait.
        let gone = || Fault::Rejected { code: PERSON_GONE.0.into(), message: PERSON_GONE.1.into() };
        let person = as_person(session).ok_or_else(gone)?;
        self.upload_file(&person, work, media, handles).await.map_err(|fault| match fault {
            Fault::TokenExpired | Fault::Reconnect { .. } => gone(),
            fault => fault,
        })
    }

    async fn upload_file(
        &self,
        person: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let whole = media.open(work.workspace_id, work.content.media[0].media_id).await?;
        let oauth = format!("OAuth {}", person.access_token.expose());
        let known = handles.stored().get(SESSION).map(|known| text_of(known, "id").to_owned());
        let goes_on = match known {
            Some(id) => {
                let told = self.api.shown(call(person, &id, Method::GET, &oauth)).await?;
                told.map(|told| (id, told.get("file_offset").and_then(Value::as_u64).unwrap_or(0)))
            }
            None => None,
        };
        let (id, offset) = match goes_on {
            Some(known) => known,
            None => (self.open_upload(person, &whole, handles).await?, 0),
        };
        let post = call(person, &id, Method::POST, &oauth).header("file_offset", &offset.to_string());
        let response = self.put(post, whole, offset).await?;
        let file = text_of(&self.api.body(&response)?, "h").to_owned();
        if file.is_empty() {
            return Err(wire::unreadable());
        }
        handles.save(FILE, object!({ "h": file })).await?;
        Ok(text_of(&handles.stored()[FILE], "h").to_owned())
    }

    /// Opens an upload of a file of the application; its id, which holds a query of its own.
    async fn open_upload(
        &self,
        person: &Session,
        whole: &Whole,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let app = person.app.as_ref().map(|app| app.client_id.clone()).unwrap_or_default();
        let length = whole.size_bytes.to_string();
        let name = format!("video.{}", whole.content_type.rsplit('/').next().unwrap_or("mp4"));
        let query = [("file_name", &*name), ("file_length", &*length), ("file_type", &*whole.content_type)];
        let path = format!("{}/uploads", graph::segment(&app));
        let body = self.api.ask(self.api.call(person, Method::POST, &path, &query)).await?;
        let id = graph::id_of(&body, "id");
        if !id.starts_with("upload:") {
            return Err(wire::unreadable());
        }
        // One that the network has forgotten gives way to the new one.
        if handles.stored().contains_key(SESSION) {
            handles.update(SESSION, object!({ "id": id })).await?;
        } else {
            handles.save(SESSION, object!({ "id": id })).await?;
        }
        Ok(text_of(&handles.stored()[SESSION], "id").to_owned())
    }

    /// Sends a file from an offset on, piece by piece.
    async fn put(&self, call: Call, whole: Whole, offset: u64) -> Result<Response<Bytes>, Fault> {
        wire::pass("prep.media_put.before").await?;
        let call = call.header("content-type", "application/octet-stream");
        let (head, _) = call.build().map_err(|error| wire::unanswered_read(&error))?.into_parts();
        let rest = whole.size_bytes.saturating_sub(offset);
        let bounds = wire::upload_bounds(usize::try_from(rest).unwrap_or(usize::MAX));
        let pieces = pieces_from(whole, offset);
        let sent =
            self.api.http.bounded(bounds).send_stream(Request::from_parts(head, ()), rest, pieces).await;
        let response = sent.map_err(|error| wire::unanswered_read(&error))?;
        wire::pass("prep.media_put.after").await?;
        Ok(response)
    }

    /// Starts a reel or a video story and uploads its file, unless that is done; the video's id.
    pub(super) async fn draft_step(
        &self,
        session: &Session,
        work: &Work,
        shape: Shape,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let resumed = handles.stored().contains_key(DRAFT);
        if !resumed {
            let path = format!("{}/{}", graph::segment(&session.native_id), shape.edge());
            let call = self.api.call(session, Method::POST, &path, &[]);
            let body = self.api.ask(call.json(&object!({ "upload_phase": "start" }))).await?;
            let (id, url) = (graph::id_of(&body, "video_id"), text_of(&body, "upload_url"));
            if id.is_empty() || url.is_empty() {
                return Err(wire::unreadable());
            }
            handles.save(DRAFT, object!({ "id": id, "url": url, "uploaded": false })).await?;
        }
        let draft = handles.stored()[DRAFT].clone();
        let (id, url) = (text_of(&draft, "id").to_owned(), text_of(&draft, "url"));
        if draft["uploaded"] != true {
            let known = if resumed { self.video(session, &id).await? } else { None };
            if let Some(offset) = known.map_or(Some(0), |video| video.rest()) {
                self.upload_draft(session, work, url, offset, media).await?;
            }
            if shape == Shape::VideoStory {
                self.wait_until_uploaded(session, &id).await?;
            }
            handles.update(DRAFT, object!({ "id": id, "url": url, "uploaded": true })).await?;
        }
        Ok(id)
    }

    async fn upload_draft(
        &self,
        session: &Session,
        work: &Work,
        url: &str,
        offset: u64,
        media: &MediaSource,
    ) -> Result<(), Fault> {
        let whole = media.open(work.workspace_id, work.content.media[0].media_id).await?;
        let call = Call::new(Method::POST, url.to_owned())
            .header("authorization", &format!("OAuth {}", session.access_token.expose()))
            .header("offset", &offset.to_string())
            .header("file_size", &whole.size_bytes.to_string());
        let response = self.put(call, whole, offset).await?;
        let body = json(&response).unwrap_or_default();
        if response.status().is_success() && body["success"] == true {
            return Ok(());
        }
        Err(match body.get("debug_info") {
            // The uploading host has an envelope of its own.
            Some(info) if info["retriable"] == false && text_of(info, "type") == "ProcessingFailedError" => {
                Fault::Rejected {
                    code: "MEDIA_REFUSED".into(),
                    message: "Facebook could not take the video. Use another one.".into(),
                }
            }
            Some(_) => Fault::Transient {
                code: "UPLOAD_INCOMPLETE".into(),
                message: "Facebook did not take the whole video.".into(),
                retry_after: None,
            },
            None => self.api.fault(&response),
        })
    }

    /// A story is finished only after its upload is known there.
    async fn wait_until_uploaded(&self, session: &Session, id: &str) -> Result<(), Fault> {
        let mut patience = graph::Patience::new();
        loop {
            match self.video(session, id).await? {
                Some(Video { failed: Some(message), .. }) => {
                    return Err(Fault::Rejected { code: "MEDIA_REFUSED".into(), message });
                }
                Some(video) if video.is_uploaded() => return Ok(()),
                _ => patience.pause().await?,
            }
        }
    }
}

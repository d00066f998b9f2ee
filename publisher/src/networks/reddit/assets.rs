//! Uploads: Reddit leases a place in a storage, and the storage takes a form whose fields come in the order of the lease, the
//! file last. Nobody sees a file before a submission names it.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json as object};

use super::{
    super::{
        files::{File, Form},
        wire::{self, Call},
    },
    Fault, Handles, MediaSource, Reddit, Session, Work, text_of,
};
use crate::{domain::content::Media, media::Room};

/// What is shown of a video until it plays, where Reddit wants a picture: plain, 1280 x 720.
const POSTER: &[u8] = include_bytes!("poster.png");

/// The handle of that picture.
const POSTER_STEP: &str = "poster";

/// An uploaded file.
pub(super) struct Asset {
    /// By which galleries name it.
    pub(super) id: String,
    /// By which submissions name it.
    pub(super) url: String,
}

impl Reddit {
    /// Uploads one file unless that is done.
    pub(super) async fn asset_step(
        &self,
        session: &Session,
        work: &Work,
        item: &Media,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Asset, Fault> {
        let step = format!("asset.{i}");
        if !handles.stored().contains_key(&step) {
            let room = Room::of(&session.limits);
            let room = if item.content_type == "image/webp" { room.jpeg() } else { room };
            let file = File::read(media, work, item, room).await?;
            self.upload(session, work, &step, file, handles).await?;
        }
        Ok(stored(handles, &step))
    }

    /// The same for the picture that is shown of a video.
    pub(super) async fn poster_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<Asset, Fault> {
        if !handles.stored().contains_key(POSTER_STEP) {
            let bytes = Bytes::from_static(POSTER);
            let file = File { content_type: "image/png".into(), width: 1280, height: 720, bytes };
            self.upload(session, work, POSTER_STEP, file, handles).await?;
        }
        Ok(stored(handles, POSTER_STEP))
    }

    async fn upload(
        &self,
        session: &Session,
        work: &Work,
        step: &str,
        file: File,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        wire::pass("prep.media_put.before").await?;
        let name = file.name("file");
        let fields = [("filepath", name.as_str()), ("mimetype", file.content_type.as_str())];
        let lease =
            self.ask(session, Call::post(&session.server, "/api/media/asset.json").form(&fields)).await?;
        let id = lease.pointer("/asset/asset_id").and_then(Value::as_str).unwrap_or_default();
        let action = lease.pointer("/args/action").and_then(Value::as_str).unwrap_or_default();
        let leased = lease.pointer("/args/fields").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
        let leased = || leased.iter().map(|field| (text_of(field, "name"), text_of(field, "value")));
        let key = leased().find(|(name, _)| *name == "key").map(|(_, key)| key).unwrap_or_default();
        if id.is_empty() || action.is_empty() || key.is_empty() {
            return Err(wire::unreadable());
        }
        let seed = format!("{}|{step}", work.key);
        let mut form = Form::new(&seed);
        for (name, value) in leased() {
            form.field(name, value);
        }
        form.file("file", &name, &file.content_type, &file.bytes);
        let action = with_scheme(session, action);
        // The storage is not Reddit: it gets neither the token nor our name for ourselves.
        let call = Call::new(Method::POST, action.clone()).body(&Form::content_type(&seed), form.finish());
        let bounds = wire::upload_bounds(file.bytes.len());
        let response = call.read(&self.http.bounded(bounds)).await?;
        if !response.status().is_success() {
            // Leases end; the next attempt asks for another one.
            return Err(wire::refused_as(&[], &response, None, self.clock.now_ms()));
        }
        wire::pass("prep.media_put.after").await?;
        handles.save(step, object!({ "id": id, "url": format!("{action}/{key}") })).await
    }
}

fn stored(handles: &dyn Handles, step: &str) -> Asset {
    let handle = &handles.stored()[step];
    Asset { id: text_of(handle, "id").to_owned(), url: text_of(handle, "url").to_owned() }
}

/// The storage's address comes without a scheme: it is the one Reddit was called with.
fn with_scheme(session: &Session, action: &str) -> String {
    match (action.strip_prefix("//"), session.server.split_once(':')) {
        (Some(_), Some((scheme, _))) => format!("{scheme}:{action}"),
        _ => action.to_owned(),
    }
}

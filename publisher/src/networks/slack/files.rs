//! What happens before the visible request: joining the channel, looking for the thread, uploading files. An uploaded file
//! is seen by nobody until it is completed.

use http::Method;
use serde_json::json as object;

use super::{
    super::{
        files::File,
        thread,
        wire::{self, Call},
    },
    Fault, Handles, MediaSource, Session, Slack, Work, channel, connect, message, text_of,
};
use crate::{domain::content::Media, media::Room};

/// The handle of having joined the channel.
const JOINED: &str = "joined";

impl Slack {
    /// Joins a public channel that the app was not in when it was connected: only members may share files and read back.
    pub(super) async fn join_step(&self, session: &Session, handles: &mut dyn Handles) -> Result<(), Fault> {
        if connect::was_member(session) || handles.stored().contains_key(JOINED) {
            return Ok(());
        }
        self.ask(session, "conversations.join", &[("channel", channel(session))]).await?;
        handles.save(JOINED, object!({ "channel": channel(session) })).await
    }

    /// Looks for the first part of the thread, unless that is done: a reply to nothing would begin a thread that nobody
    /// sees.
    pub(super) async fn parent_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let Some(reply) = &work.reply else { return Ok(()) };
        if handles.stored().contains_key(thread::REPLY) {
            return Ok(());
        }
        if !self.counts(session, &reply.root_native_id).await?.found {
            return Err(thread::missing(handles, self.clock.now_ms()).await);
        }
        handles.save(thread::REPLY, object!({ "thread": message(&reply.root_native_id).1 })).await
    }

    /// Uploads one file unless that is done; its id.
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
        if !handles.stored().contains_key(&step) {
            let file = File::read(media, work, item, Room::of(&session.limits)).await?;
            wire::pass("prep.media_put.before").await?;
            let id = self.upload(session, item, i, file).await?;
            wire::pass("prep.media_put.after").await?;
            handles.save(&step, object!({ "id": id })).await?;
        }
        Ok(text_of(&handles.stored()[&step], "id").to_owned())
    }

    /// An address to upload to, then the bytes. The address is the permission: no token goes there.
    async fn upload(&self, session: &Session, item: &Media, i: usize, file: File) -> Result<String, Fault> {
        let (name, length) = (file.name(&format!("file{}", i + 1)), file.bytes.len().to_string());
        let mut fields = vec![("filename", name.as_str()), ("length", length.as_str())];
        if !item.alt_text.is_empty() {
            fields.push(("alt_txt", &item.alt_text));
        }
        let asked = self.ask(session, "files.getUploadURLExternal", &fields).await?;
        let (id, url) = (text_of(&asked, "file_id"), text_of(&asked, "upload_url"));
        if id.is_empty() || url.is_empty() {
            return Err(wire::unreadable());
        }
        let bounds = wire::upload_bounds(file.bytes.len());
        let call = Call::new(Method::POST, url.to_owned()).body(&file.content_type, file.bytes);
        let response = call.read(&self.http.bounded(bounds)).await?;
        if response.status().is_success() {
            return Ok(id.to_owned());
        }
        Err(wire::refused_as(&[], &response, None, self.clock.now_ms()))
    }
}

/// The handle of file `i`.
pub(super) fn step(i: usize) -> String {
    format!("file.{i}")
}

//! Where adapters get the bytes of pictures and videos: the media service's renditions, without metadata and as small
//! as asked. The same item and room always answer the same bytes, so an upload that is repeated sends the same file,
//! and one that was cut off goes on where it was.
//!
//! ```text
//! read  ─ a whole picture in memory          (networks that take small files)
//! open  ─ any file, range by range           (networks that take chunks)
//! share ─ a public address that ends         (networks that fetch for themselves)
//! ```

use bytes::{Bytes, BytesMut};
use postmesh_kit::{time, transport::Transport};
use postmesh_proto::media::v1::{
    ByteRange, CreateShareRequest, ReadRenditionRequest, RenditionInfo, RevokeShareRequest,
    media_service_client::MediaServiceClient, read_rendition_response::Part,
};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{domain::outcome::Fault, networks::limits::Limits};

/// The most bytes taken into memory at once.
const MAX_BYTES: u64 = 64 << 20;

/// The code of the fault when an item cannot be made as small as asked, or of the type asked for.
pub const CANNOT_FIT: &str = "MEDIA_CANNOT_FIT";

/// How an item goes out: how large it may be (0 is no limit), and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most bytes.
    pub bytes: i64,
    /// Most pixels.
    pub pixels: i64,
    /// Of a picture.
    pub form: Form,
}

/// The form of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    #[default]
    AsIs,
    /// A JPEG; transparent parts become white.
    Jpeg,
}

impl Room {
    /// What an account accepts of pictures.
    pub fn of(limits: &Limits) -> Self {
        Self { bytes: limits.image_bytes, pixels: limits.image_pixels, form: Form::AsIs }
    }

    /// Room for everything as it is.
    pub const fn any() -> Self {
        Self { bytes: 0, pixels: 0, form: Form::AsIs }
    }

    /// The same, for a network that takes JPEG pictures only.
    #[must_use]
    pub const fn jpeg(self) -> Self {
        Self { form: Form::Jpeg, ..self }
    }

    fn content_type(self) -> String {
        match self.form {
            Form::AsIs => String::new(),
            Form::Jpeg => "image/jpeg".into(),
        }
    }
}

/// A picture as it goes out.
#[derive(Debug, Clone)]
pub struct Rendition {
    /// Its content type.
    pub content_type: String,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Its bytes.
    pub bytes: Bytes,
}

/// An item as it goes out, to be read range by range.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Its content type.
    pub content_type: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// How long a video plays; 0 for pictures.
    pub duration_ms: i64,
    source: MediaSource,
    workspace_id: Uuid,
    media_id: Uuid,
}

/// A public address under which a network may fetch an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The address; whoever knows it may fetch.
    pub url: String,
    /// What it answers.
    pub content_type: String,
    /// Bytes.
    pub size_bytes: i64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// How long a video plays; 0 for pictures.
    pub duration_ms: i64,
    /// When it ends by itself, Unix milliseconds.
    pub ends_at: i64,
}

/// How often a public address was fetched before it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetches {
    /// False when nobody knows any more, because it ended long ago.
    pub known: bool,
    /// Answers with bytes.
    pub count: i64,
    /// The last one, Unix milliseconds.
    pub last_at: Option<i64>,
}

impl Fetches {
    /// True when nobody has the file from this address, nor ever will.
    pub fn never(&self) -> bool {
        self.known && self.count == 0
    }
}

/// Reads renditions from the media service.
#[derive(Clone)]
pub struct MediaSource {
    client: MediaServiceClient<Transport>,
}

impl std::fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaSource")
    }
}

impl MediaSource {
    /// Reads through this client.
    pub fn new(client: MediaServiceClient<Transport>) -> Self {
        Self { client }
    }

    /// The whole picture that fits the room. A media service that is away is a transient fault; an item that is gone,
    /// cannot be made small enough, or is a video, is a rejection.
    pub async fn read(&self, workspace_id: Uuid, media_id: Uuid, room: Room) -> Result<Rendition, Fault> {
        let request = request(workspace_id, media_id, room, None);
        let size = |info: &RenditionInfo| {
            if info.content_type.starts_with("video/") {
                return Err(rejected("MEDIA_NOT_A_PICTURE", "A video is where only pictures can be."));
            }
            let why = "The picture is too large to publish. Upload a smaller one.";
            let size = info.size_bytes.unsigned_abs();
            if size > MAX_BYTES { Err(rejected("MEDIA_TOO_LARGE", why)) } else { Ok(size) }
        };
        let (info, bytes) = self.take(request, size).await?;
        Ok(Rendition { content_type: info.content_type, width: info.width, height: info.height, bytes })
    }

    /// An item as it is, without its metadata; nothing of it is read yet.
    pub async fn open(&self, workspace_id: Uuid, media_id: Uuid) -> Result<Whole, Fault> {
        let nothing = ByteRange { offset: 0, length: 0 };
        let request = request(workspace_id, media_id, Room::any(), Some(nothing));
        let (info, _) = self.take(request, |_| Ok(0)).await?;
        Ok(Whole {
            content_type: info.content_type,
            size_bytes: info.size_bytes.unsigned_abs(),
            width: info.width,
            height: info.height,
            duration_ms: info.duration.as_ref().map_or(0, time::duration_from_proto),
            source: self.clone(),
            workspace_id,
            media_id,
        })
    }

    /// A public address of the item in this room, for so many milliseconds (0 is a day, seven days are the most). Every
    /// call makes another address. Limits of pixels and form do not apply to videos.
    pub async fn share(
        &self,
        workspace_id: Uuid,
        media_id: Uuid,
        room: Room,
        for_ms: i64,
    ) -> Result<Shared, Fault> {
        let request = CreateShareRequest {
            workspace_id: workspace_id.to_string(),
            media_id: media_id.to_string(),
            max_bytes: room.bytes,
            max_pixels: room.pixels,
            content_type: room.content_type(),
            ttl: (for_ms > 0).then(|| time::duration_to_proto(for_ms)),
        };
        let answer = self.client.clone().create_share(request).await.map_err(|status| fault(&status))?;
        let answer = answer.into_inner();
        let info = answer.rendition.unwrap_or_default();
        Ok(Shared {
            url: answer.url,
            content_type: info.content_type,
            size_bytes: info.size_bytes,
            width: info.width,
            height: info.height,
            duration_ms: info.duration.as_ref().map_or(0, time::duration_from_proto),
            ends_at: answer.expire_time.as_ref().and_then(time::from_proto).unwrap_or_default(),
        })
    }

    /// Ends a public address at once, and tells how often it was fetched. A fetch is in the count, or was refused; so
    /// [`Fetches::never`] is a proof. May be repeated.
    pub async fn unshare(&self, workspace_id: Uuid, url: &str) -> Result<Fetches, Fault> {
        let request = RevokeShareRequest { workspace_id: workspace_id.to_string(), url: url.to_owned() };
        match self.client.clone().revoke_share(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let last_at = answer.last_read_time.as_ref().and_then(time::from_proto);
                Ok(Fetches { known: true, count: answer.read_count, last_at })
            }
            Err(status) if status.code() == tonic::Code::NotFound => Ok(Fetches::default()),
            Err(status) => Err(fault(&status)),
        }
    }

    /// Reads a description, and then as many bytes as `size` says must follow it.
    async fn take(
        &self,
        request: ReadRenditionRequest,
        size: impl Fn(&RenditionInfo) -> Result<u64, Fault>,
    ) -> Result<(RenditionInfo, Bytes), Fault> {
        let answer = self.client.clone().read_rendition(request).await.map_err(|status| fault(&status))?;
        let mut stream = answer.into_inner();
        let first = stream.message().await.map_err(|status| fault(&status))?;
        let Some(Part::Info(info)) = first.and_then(|message| message.part) else { return Err(cut()) };
        let expected = usize::try_from(size(&info)?).map_err(|_| cut())?;
        let mut bytes = BytesMut::with_capacity(expected);
        while let Some(message) = stream.message().await.map_err(|status| fault(&status))? {
            match message.part {
                Some(Part::Chunk(chunk)) if bytes.len() + chunk.len() <= expected => {
                    bytes.extend_from_slice(&chunk);
                }
                _ => return Err(cut()),
            }
        }
        if bytes.len() == expected { Ok((info, bytes.freeze())) } else { Err(cut()) }
    }
}

impl Whole {
    /// True for a video.
    pub fn is_video(&self) -> bool {
        self.content_type.starts_with("video/")
    }

    /// Exactly so many bytes from a place on, fewer only where the file ends; 64 MiB are the most at once.
    pub async fn read_range(&self, offset: u64, length: u64) -> Result<Bytes, Fault> {
        let expected = length.min(self.size_bytes.saturating_sub(offset)).min(MAX_BYTES);
        if expected == 0 {
            return Ok(Bytes::new());
        }
        let range = ByteRange { offset: offset.cast_signed(), length: expected.cast_signed() };
        let request = request(self.workspace_id, self.media_id, Room::any(), Some(range));
        let same = |info: &RenditionInfo| {
            if info.size_bytes.unsigned_abs() == self.size_bytes { Ok(expected) } else { Err(cut()) }
        };
        Ok(self.source.take(request, same).await?.1)
    }
}

fn request(workspace_id: Uuid, media_id: Uuid, room: Room, range: Option<ByteRange>) -> ReadRenditionRequest {
    ReadRenditionRequest {
        workspace_id: workspace_id.to_string(),
        media_id: media_id.to_string(),
        max_bytes: room.bytes,
        max_pixels: room.pixels,
        content_type: room.content_type(),
        range,
    }
}

fn cut() -> Fault {
    Fault::Transient {
        code: "MEDIA_UNAVAILABLE".into(),
        message: "The file could not be read completely.".into(),
        retry_after: None,
    }
}

fn rejected(code: &str, message: &str) -> Fault {
    Fault::Rejected { code: code.into(), message: message.into() }
}

fn fault(status: &tonic::Status) -> Fault {
    match status.code() {
        tonic::Code::NotFound => {
            rejected("MEDIA_GONE", "A picture or video of this post no longer exists. Add it again.")
        }
        tonic::Code::FailedPrecondition if reason(status) == "CANNOT_FIT" => rejected(
            CANNOT_FIT,
            "A picture or video is larger than the account accepts, or of another kind, and animations and videos \
             cannot be changed. Use another one.",
        ),
        _ => Fault::Transient {
            code: "MEDIA_UNAVAILABLE".into(),
            message: "The media service did not answer.".into(),
            retry_after: None,
        },
    }
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CLIP, PICTURE_JPEG, PICTURE_PNG, clip, library, source_of_bytes};

    const WORKSPACE: Uuid = Uuid::from_u128(1);

    #[tokio::test]
    async fn asks_for_what_fits_and_says_when_nothing_does() {
        let read = |bytes| async move {
            let room = Room { bytes, ..Room::any() };
            source_of_bytes(70).read(Uuid::nil(), Uuid::nil(), room).await
        };
        for bytes in [0, 70] {
            assert_eq!(read(bytes).await.expect("it fits").content_type, "image/png");
        }
        assert!(matches!(read(69).await, Err(Fault::Rejected { code, .. }) if code == CANNOT_FIT));
    }

    #[tokio::test]
    async fn a_picture_comes_in_the_form_asked_for() {
        let library = library().await;
        let source = library.source();
        for (id, kind) in [(PICTURE_PNG, "image/png"), (PICTURE_JPEG, "image/jpeg")] {
            assert_eq!(source.read(WORKSPACE, id, Room::any()).await.unwrap().content_type, kind);
            let jpeg = source.read(WORKSPACE, id, Room::any().jpeg()).await.unwrap();
            assert_eq!(jpeg.content_type, "image/jpeg");
            assert!(jpeg.bytes.starts_with(&[0xFF, 0xD8]));
        }
        let video = source.read(WORKSPACE, CLIP, Room::any()).await;
        assert!(matches!(video, Err(Fault::Rejected { code, .. }) if code == "MEDIA_NOT_A_PICTURE"));
    }

    #[tokio::test]
    async fn a_video_is_read_range_by_range() {
        let library = library().await;
        let whole = library.source().open(WORKSPACE, CLIP).await.unwrap();
        assert!(whole.is_video());
        assert_eq!((whole.content_type.as_str(), whole.width, whole.height), ("video/mp4", 64, 64));
        assert!((900..1100).contains(&whole.duration_ms), "{}", whole.duration_ms);
        assert_eq!(whole.size_bytes, clip().len() as u64);
        let mut read = Vec::new();
        while (read.len() as u64) < whole.size_bytes {
            read.extend_from_slice(&whole.read_range(read.len() as u64, 1000).await.unwrap());
        }
        assert_eq!(read, clip());
        assert!(whole.read_range(whole.size_bytes, 1).await.unwrap().is_empty());
        assert!(whole.read_range(u64::MAX, 1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_address_that_was_ended_tells_whether_anyone_fetched_it() {
        let library = library().await;
        let source = library.source();
        let shared = source.share(WORKSPACE, CLIP, Room::any(), 0).await.unwrap();
        assert!(shared.url.starts_with(&format!("http://{}/m/", library.address())));
        assert!(shared.url.split('.').next_back() == Some("mp4"));
        assert_eq!(shared.size_bytes.unsigned_abs(), clip().len() as u64);
        let (status, body) = library.fetch(&shared.url, "").await;
        assert_eq!((status, body.as_slice()), (200, clip()));
        let (status, body) = library.fetch(&shared.url, "bytes=10-19").await;
        assert_eq!((status, body.as_slice()), (206, &clip()[10..20]));
        let fetches = source.unshare(WORKSPACE, &shared.url).await.unwrap();
        assert!(!fetches.never());
        assert_eq!(library.fetches(), 2);
        assert_eq!((fetches.known, fetches.count), (true, 2));
        assert!(fetches.last_at.is_some());
        assert_eq!(library.fetch(&shared.url, "").await.0, 404);
        assert_eq!(source.unshare(WORKSPACE, &shared.url).await.unwrap(), fetches, "it may be repeated");

        let unread = source.share(WORKSPACE, PICTURE_PNG, Room::any().jpeg(), 0).await.unwrap();
        assert!(unread.url.split('.').next_back() == Some("jpg"));
        assert_ne!(
            unread.url,
            source.share(WORKSPACE, PICTURE_PNG, Room::any().jpeg(), 0).await.unwrap().url
        );
        assert!(source.unshare(WORKSPACE, &unread.url).await.unwrap().never());
        let unknown = source.unshare(WORKSPACE, "http://127.0.0.1:1/m/unknown.jpg").await.unwrap();
        assert!(!unknown.known && !unknown.never(), "nothing is proven");
    }
}

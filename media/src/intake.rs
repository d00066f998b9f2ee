//! From bytes that arrived to an item of the library.
//!
//! ```text
//! CompleteUpload ─▶ first bytes ─┬▶ picture: whole into memory, check ──────────────┬─ loose key ─ blob ─ item
//!                                └▶ video: headers, then a copy that streams by ────┘
//! ```
//! A blob is written only after its key is on record as loose, and an item is stored only after its blob is. Work on a
//! video outlives a caller that loses patience, and whoever completes the upload again waits for that same work.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use postmesh_kit::{
    blob::{Blob, Object},
    ids,
};
use uuid::Uuid;

use crate::{
    check::Checker,
    deps::Deps,
    error::Error,
    lanes::Lanes,
    metrics,
    picture::Rejection,
    rpc::extra_ms,
    store::{Item, Store, Upload},
    sweep,
    ticket::TTL_MS,
    video::{self, Source},
};

/// Largest picture, bytes.
pub(crate) const PICTURE_BYTES: i64 = 50 << 20;
/// First bytes that tell what a file is.
const HEAD: u64 = 64;
/// Checking and copying a video; less than the time after which its new blob would count as left behind.
const VIDEO: Duration = Duration::from_mins(30);

/// Makes items.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    deps: Deps,
    store: Store,
    pictures: Checker,
    videos: Checker,
    max_video_bytes: i64,
    lanes: Lanes<Uuid>,
}

impl Intake {
    pub(crate) fn new(
        deps: Deps,
        store: Store,
        pictures: Checker,
        videos: Checker,
        max_video_bytes: i64,
    ) -> Self {
        Self { deps, store, pictures, videos, max_video_bytes, lanes: Lanes::default() }
    }

    /// Checks the bytes and makes the item. Whatever is repeated, or happens twice at once, the answer is one item.
    pub(crate) async fn complete(&self, workspace_id: Uuid, id: Uuid) -> Result<Item, Error> {
        let upload = self.upload(workspace_id, id).await?;
        if upload.complete_time.is_some() {
            return self.item(workspace_id, id).await;
        }
        match self.take(&upload).await {
            // Someone else was faster, and the original is gone.
            Err(Error::NothingUploaded(_) | Error::Changed)
                if self.upload(workspace_id, id).await?.complete_time.is_some() =>
            {
                self.item(workspace_id, id).await
            }
            taken => taken,
        }
    }

    async fn upload(&self, workspace_id: Uuid, id: Uuid) -> Result<Upload, Error> {
        self.store.upload(workspace_id, id).await?.ok_or(Error::UploadNotFound(id))
    }

    async fn item(&self, workspace_id: Uuid, id: Uuid) -> Result<Item, Error> {
        self.store.item(workspace_id, id).await?.ok_or(Error::MediaNotFound(id))
    }

    async fn take(&self, upload: &Upload) -> Result<Item, Error> {
        let head = self.deps.blob.get_range(&upload.blob_key, 0..=HEAD - 1).await?;
        let head = arrived(head, upload)?;
        if !video::begins_like_one(&collected(head).await?) {
            return self.picture(upload).await;
        }
        let this = self.clone();
        let (workspace_id, id) = (upload.workspace_id, upload.id);
        let work = async move {
            let _lane = this.lanes.enter(id).await;
            // Someone before us in the lane may have done it.
            let upload = this.upload(workspace_id, id).await?;
            if upload.complete_time.is_some() {
                return this.item(workspace_id, id).await;
            }
            tokio::time::timeout(VIDEO, this.video(&upload)).await.unwrap_or(Err(Error::TooSlow))
        };
        self.deps.lifecycle.spawn(work).await.ok().flatten().unwrap_or(Err(Error::TooSlow))
    }

    async fn picture(&self, upload: &Upload) -> Result<Item, Error> {
        if upload.size_bytes > PICTURE_BYTES {
            return Err(refuse(video::too_large("a picture", upload.size_bytes, PICTURE_BYTES)));
        }
        let place = self.pictures.place().await;
        let original = arrived(self.deps.blob.get(&upload.blob_key).await?, upload)?;
        let checked = place.check(original).await?;
        let picture = checked.picture;
        let key = self.new_key(upload).await?;
        let rendition = Bytes::from(picture.rendition);
        let bytes = rendition.len() as i64;
        self.deps.blob.put_bytes(&key, rendition).await?;
        let item = Item {
            content_type: picture.format.content_type().into(),
            width: picture.width.into(),
            height: picture.height.into(),
            sha256: checked.sha256,
            rendition_key: key,
            rendition_bytes: bytes,
            ..self.item_of(upload)
        };
        self.keep(upload, item).await
    }

    async fn video(&self, upload: &Upload) -> Result<Item, Error> {
        if upload.size_bytes > self.max_video_bytes {
            return Err(refuse(video::too_large("a video", upload.size_bytes, self.max_video_bytes)));
        }
        let _place = self.videos.place().await;
        let size = upload.size_bytes.unsigned_abs();
        let source = Stored { blob: &self.deps.blob, key: &upload.blob_key };
        let began = std::time::Instant::now();
        let video = video::inspect(&source, size).await;
        ::metrics::histogram!(metrics::CHECK_SECONDS).record(began.elapsed().as_secs_f64());
        let video = match video {
            Ok(video) => video,
            Err(error) => {
                if let Error::Invalid(fields) = &error {
                    count(fields.first().map_or("refused", |field| field.reason));
                }
                return Err(error);
            }
        };
        let key = self.new_key(upload).await?;
        let item = Item {
            content_type: video.container.content_type().into(),
            width: video.width.into(),
            height: video.height.into(),
            duration_ms: video.duration_ms,
            rendition_key: key.clone(),
            rendition_bytes: upload.size_bytes,
            ..self.item_of(upload)
        };
        let copied = video::copy(&self.deps.blob, &upload.blob_key, &key, size, video).await?;
        count("accepted");
        self.keep(upload, Item { sha256: copied.sha256, ..item }).await
    }

    /// A key for what is about to be written, on record as loose.
    async fn new_key(&self, upload: &Upload) -> Result<String, Error> {
        let key = format!("{}/{}", upload.workspace_id, ids::new());
        self.store.note_loose(key.clone(), self.deps.clock.now_ms() + sweep::SLACK_MS).await?;
        Ok(key)
    }

    /// What an item has of its upload.
    fn item_of(&self, upload: &Upload) -> Item {
        Item {
            workspace_id: upload.workspace_id,
            id: upload.id,
            filename: upload.filename.clone(),
            content_type: String::new(),
            size_bytes: upload.size_bytes,
            width: 0,
            height: 0,
            alt_text: upload.alt_text.clone(),
            sha256: Vec::new(),
            rendition_key: String::new(),
            rendition_bytes: 0,
            duration_ms: 0,
            create_time: self.deps.clock.now_ms(),
        }
    }

    /// Stores the item, and removes the original.
    async fn keep(&self, upload: &Upload, item: Item) -> Result<Item, Error> {
        // An address given out before may still write the original once more; the sweeper comes after the last of them.
        let last_write = item.create_time + TTL_MS + extra_ms(upload.size_bytes);
        let discard_at = last_write + sweep::SLACK_MS;
        if self.store.complete_upload(item.clone(), upload.blob_key.clone(), discard_at).await? {
            if let Err(error) = self.deps.blob.delete(&upload.blob_key).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an original is left to the sweeper"
                );
            }
            return Ok(item);
        }
        self.item(upload.workspace_id, upload.id).await
    }
}

/// The bytes of an upload, when all of them are there.
fn arrived(object: Option<Object>, upload: &Upload) -> Result<Object, Error> {
    let object = object.ok_or(Error::NothingUploaded(upload.id))?;
    if i64::try_from(object.total) == Ok(upload.size_bytes) {
        return Ok(object);
    }
    let sentence = format!("has {} bytes where {} were announced", object.total, upload.size_bytes);
    Err(Error::field("upload", "WRONG_LENGTH", sentence))
}

async fn collected(object: Object) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::with_capacity(usize::try_from(object.size).unwrap_or_default());
    let mut content = object.content;
    while let Some(chunk) = content.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn refuse(rejection: Rejection) -> Error {
    count(rejection.reason);
    rejection.into()
}

fn count(outcome: &'static str) {
    ::metrics::counter!(metrics::CHECKED, "outcome" => outcome).increment(1);
}

/// A stored upload, read piece by piece.
struct Stored<'a> {
    blob: &'a Blob,
    key: &'a str,
}

impl Source for Stored<'_> {
    async fn read(&self, at: u64, length: u64) -> Result<Bytes, Error> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let part = self.blob.get_range(self.key, at..=at + length - 1).await?;
        let part = part.filter(|part| part.size == length).ok_or(Error::Changed)?;
        collected(part).await
    }
}

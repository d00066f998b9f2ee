//! Copies of pictures that fit what a receiver takes: each made once, stored, and answered from then on. Videos go out
//! as they are, or not at all.
//!
//! ```text
//! caller ─▶ row? ─▶ task (outlives its caller) ─▶ lane of this copy ─▶ row? ─▶ pool ─ loose key ─ blob ─ row
//! ```
//! **Whoever asks for a copy gets the bytes that the one row names.** In a process, those who want the same copy queue
//! in its lane and all but the first find the row. Two processes may both make it: the first row counts, and the other
//! blob stays on record as loose.

use bytes::Bytes;
use postmesh_kit::ids;
use uuid::Uuid;

use crate::{
    check::Checker,
    deps::Deps,
    error::Error,
    lanes::Lanes,
    picture::{Format, Limits, Unfit},
    store::{Item, Rendition, Store},
    sweep, video,
};

/// Which copy: of which item, for which limits.
type Wanted = (Uuid, Uuid, Limits);

/// Makes copies.
#[derive(Debug, Clone)]
pub(crate) struct Fitter {
    deps: Deps,
    store: Store,
    checker: Checker,
    lanes: Lanes<Wanted>,
}

impl Fitter {
    pub(crate) fn new(deps: Deps, store: Store, checker: Checker) -> Self {
        Self { deps, store, checker, lanes: Lanes::default() }
    }

    /// The item's file within the limits: its own when that fits, or a copy. Pixels and type are limits of pictures.
    pub(crate) async fn rendition(&self, item: Item, limits: Limits) -> Result<Rendition, Error> {
        if video::is_video(&item.content_type) {
            let fits = limits.admit(item.rendition_bytes, 0);
            let why = Unfit::Video;
            return if fits { Ok(item.into()) } else { Err(Error::CannotFit { media: item.id, why }) };
        }
        let is_right = !limits.only_jpeg || item.content_type == Format::Jpeg.content_type();
        if is_right && limits.admit(item.rendition_bytes, item.width * item.height) {
            return Ok(item.into());
        }
        if let Some(made) = self.store.rendition(item.workspace_id, item.id, limits).await? {
            return Ok(made);
        }
        let this = self.clone();
        // A caller that loses patience would otherwise find the work at its beginning when it comes back.
        let task = self.deps.lifecycle.spawn(async move { this.make_once(item, limits).await });
        task.await.ok().flatten().unwrap_or(Err(Error::TooSlow))
    }

    async fn make_once(&self, item: Item, limits: Limits) -> Result<Rendition, Error> {
        let _lane = self.lanes.enter((item.workspace_id, item.id, limits)).await;
        match self.store.rendition(item.workspace_id, item.id, limits).await? {
            Some(made) => Ok(made),
            None => self.make(item, limits).await,
        }
    }

    async fn make(&self, item: Item, limits: Limits) -> Result<Rendition, Error> {
        let unfit = |why| Error::CannotFit { media: item.id, why };
        let format = Format::of_content_type(&item.content_type).ok_or(unfit(Unfit::Broken))?;
        if format == Format::Gif {
            return Err(unfit(Unfit::Animated));
        }
        let place = self.checker.place().await;
        let original = self.deps.blob.get(&item.rendition_key).await?.ok_or(Error::Lost(item.id))?;
        let fitted = place.fit(original, format, limits).await?.map_err(unfit)?;
        let now = self.deps.clock.now_ms();
        let rendition = Rendition {
            content_type: fitted.format.content_type().into(),
            width: fitted.width.into(),
            height: fitted.height.into(),
            blob_key: format!("{}/{}", item.workspace_id, ids::new()),
            size_bytes: fitted.bytes.len() as i64,
            duration_ms: 0,
        };
        self.store.note_loose(rendition.blob_key.clone(), now + sweep::SLACK_MS).await?;
        self.deps.blob.put_bytes(&rendition.blob_key, Bytes::from(fitted.bytes)).await?;
        self.store.keep_rendition(item.workspace_id, item.id, limits, rendition, now).await
    }
}
